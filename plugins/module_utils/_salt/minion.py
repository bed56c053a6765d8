# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at the Salt minion of a host, whatever is left of it; from its files and its unit, so the master is not needed."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt import grains
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.keys import file_fingerprint
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.programs import busy
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import reason
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Systemd, Unit, UnitError


@dataclass(frozen=True)
class Question:
    """Where the minion's files are."""

    config_dir: str
    pki_dir: str
    grains: str
    busy_grains: Sequence[str] = ()
    unit: str = "salt-minion.service"
    machine_id: str = "/etc/machine-id"


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _configured(config: str, name: str, problems: List[str]) -> Tuple[Any, str]:
    """A setting and the file that has it: those in minion.d come after the main file and win (saltstack/salt salt/config, default_include)."""
    found: Tuple[Any, str] = (None, "")
    for path in [os.path.join(config, "minion"), *sorted(glob.glob(os.path.join(glob.escape(config), "minion.d", "*.conf")))]:
        try:
            value = grains.setting(_text(path) or "", name, path)
        except grains.NotUnderstood as error:
            problems.append("%s: %s" % (path, error.found))
            continue
        except OSError as error:
            problems.append("%s: %s" % (path, reason(error)))
            continue
        if value is not None:
            found = (value, path)
    return found


def _grains(path: str, problems: List[str]) -> Optional[Dict[str, Any]]:
    """None when the file is there and can't be read or understood."""
    try:
        return grains.parse(_text(path) or "", path)
    except grains.NotUnderstood as error:
        problems.append("%s: %s" % (path, error.found))
    except OSError as error:
        problems.append("%s: %s" % (path, reason(error)))
    return None


def _unit(systemd: Systemd, name: str, problems: List[str]) -> Optional[Unit]:
    try:
        return systemd.show([name])[name]
    except UnitError as error:
        problems.append("%s: %s" % (name, error.found))
    return None


def look(question: Question, systemd: Optional[Systemd] = None) -> Dict[str, Any]:
    """What there is. A part that is missing is null or empty; one that is there and not understood is in ``problems``."""
    problems: List[str] = []
    minion_id, id_file = _configured(question.config_dir, "id", problems)
    if minion_id is None:
        # Where Salt keeps an id that it has made up itself.
        id_file = os.path.join(question.config_dir, "minion_id")
        minion_id = (_text(id_file) or "").strip() or None
    master, master_file = _configured(question.config_dir, "master", problems)
    found = _grains(question.grains, problems)
    roles = (found or {}).get("roles") or []
    unit = _unit(systemd or Systemd(), question.unit, problems)
    return {
        "id": None if minion_id is None else str(minion_id),
        "id_file": id_file if minion_id is not None else "",
        "master": [] if master is None else [str(item) for item in (master if isinstance(master, list) else [master])],
        "master_file": master_file,
        "grains": found,
        "roles": [str(role) for role in (roles if isinstance(roles, list) else [roles])],
        "busy": busy(found or {}, question.busy_grains),
        "fingerprint": file_fingerprint(os.path.join(question.pki_dir, "minion.pub")),
        "master_fingerprint": file_fingerprint(os.path.join(question.pki_dir, "minion_master.pub")),
        "machine_id": (_text(question.machine_id) or "").strip(),
        "running": None if unit is None else unit.runs,
        "problems": problems,
    }
