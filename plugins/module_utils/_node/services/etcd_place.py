# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the local member of etcd says that it keeps its data and its log, against where a restore puts them.

etcd that is started on another directory than the restored one begins an empty cluster without a word, and with a log directory of its own it meets the old
log and does not start.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import environment_file
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look import etcd_directories
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.etcd_directories import Directories
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import STATIC_POD, Node, Observation, ServiceError
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import static_pod
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import read_json, write_file
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import processes

DATA_DIR = "/var/lib/etcd"
# What a finished restore leaves beside the data that it built (_etcd/restore/staged.py).
MARKER = "lifeboat-restore.json"
# Set by the inventory: a log directory of its own is given up, and the restored log is read from inside of the data directory.
GIVE_UP_LOG = "wal_into_data_dir"


@dataclass(frozen=True)
class Restored:
    """What a restore has put into the data directory of this host."""

    revision: int
    marker: str
    target: str


def data_dir(facts: Mapping[str, Any]) -> str:
    """Where the platform's facts say that the data are."""
    return str(facts.get("data_dir") or DATA_DIR).rstrip("/")


def restored(replace: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> Optional[Restored]:
    """What the directories that are put in place hold of etcd, by the marker beside them; None when nothing of etcd is restored on this host."""
    for item in replace:
        target, marker = os.path.abspath(str(item["target"])), os.path.join(os.path.dirname(os.path.abspath(str(item["staged"]))), MARKER)
        if target != os.path.join(data_dir(facts), "member"):
            continue
        try:
            document = read_json(marker, "What was restored of etcd")
        except FileNotFoundError:
            return None
        revision = document.get("revision_after")
        return Restored(int(revision), marker, target) if isinstance(revision, int) else None
    return None


def configured(node: Node, facts: Mapping[str, Any], staged: Mapping[str, str]) -> Directories:
    """By what etcd will be started with: ``staged`` has, by their final paths, the files that are about to be put in place."""
    service = node.etcd_service()
    if service is None:
        return Directories()
    if service.kind == STATIC_POD:
        # What is parked is what will be started.
        return etcd_directories.of_manifest((node.parked_path(service), node.live_path(service)), staged)
    return etcd_directories.of_unit(node.systemd.show([service.unit])[service.unit], str(facts.get("environment_file") or ""), staged)


def named(node: Node, facts: Mapping[str, Any]) -> List[Directories]:
    """What the process that runs says, and what it would be started with; for errors."""
    service = node.etcd_service()
    found = [configured(node, facts, {})]
    for process in processes({service.process}, node.proc)[service.process][:1] if service is not None and service.process else []:
        with suppress(FileNotFoundError, ProcessLookupError):
            found.insert(0, etcd_directories.of_process(process.pid, node.proc))
    return [directories for directories in found if directories.said_by]


# --- refusals ---------------------------------------------------------------------------------------------------------------------------


def _elsewhere(directories: Directories, path: Optional[str], wanted: str) -> bool:
    """Whether a directory that is named is another one. What a process says can only be compared if it can be seen."""
    same = directories.leads_to(path, wanted) if path else True
    return not (same if same is not None else directories.root)


def _differences(directories: Directories, facts: Mapping[str, Any]) -> Dict[str, str]:
    wrong = {}
    if _elsewhere(directories, directories.data, data_dir(facts)):
        wrong["data_dir"] = str(directories.data)
    if not facts.get(GIVE_UP_LOG) and _elsewhere(directories, directories.wal, os.path.join(data_dir(facts), "member", "wal")):
        wrong["wal_dir"] = str(directories.wal)
    return wrong


def _refuse(directories: Directories, facts: Mapping[str, Any], what: str) -> None:
    wrong = _differences(directories, facts)
    if not wrong:
        return
    remedies = []
    if "data_dir" in wrong:
        remedies.append(
            "Give etcd's own directory, as the host has it, in the inventory: lifeboat_platform_overrides: {etcd: {data_dir: ...}}, and add it to space_paths."
        )
    if "wal_dir" in wrong:
        remedies.append(
            "A restored log lies inside of the data directory. lifeboat_platform_overrides: {etcd: {%s: true}} lets etcd read it there; "
            "the log directory of its own is left as it is." % GIVE_UP_LOG
        )
    raise ServiceError(
        "etcd uses another directory than a restore would put its data into, so %s." % what,
        tried="compare it with %s of the platform's facts (etcd.data_dir)" % data_dir(facts),
        found=str(directories),
        remedy=" ".join(remedies + ["Then run the same command again."]),
        **wrong,
    )


def refuse_configured_elsewhere(node: Node, facts: Mapping[str, Any], staged: Mapping[str, str]) -> None:
    """Refuse to put data, or etcd's manifest, in place when etcd would look for its data elsewhere."""
    _refuse(configured(node, facts, staged), facts, "nothing was put in place")


def refuse_running_elsewhere(node: Node, seen: Mapping[str, Observation]) -> None:
    """Refuse to stop an etcd that has its data elsewhere: it would have to stay stopped."""
    service = node.etcd_service()
    for process in seen[service.name].processes if service is not None and service.name in seen else []:
        with suppress(FileNotFoundError, ProcessLookupError):
            _refuse(etcd_directories.of_process(process.pid, node.proc), node.etcd, "nothing was stopped")


# --- a log directory that is given up ---------------------------------------------------------------------------------------------------


def give_up_log(node: Node, facts: Mapping[str, Any]) -> bool:
    """Where the inventory says so, let etcd read its log from inside of its data directory; whether anything was changed."""
    service = node.etcd_service()
    if service is None or not facts.get(GIVE_UP_LOG):
        return False
    if service.kind != STATIC_POD:
        return _set(str(facts.get("environment_file") or ""), _environment_without_log)
    # Both are the same manifest, or only one of them is there.
    changed = [_set(path, _manifest_without_log) for path in (node.parked_path(service), node.live_path(service))]
    return any(changed)


def _set(path: str, edit: Callable[[str, str], str]) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            before, mode = file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return False
    after = edit(before, path)
    if after != before:
        write_file(os.path.realpath(path), after.encode("utf-8"), mode)
    return after != before


def _manifest_without_log(text: str, path: str) -> str:
    pod = static_pod.read_pod(text)
    container = pod.container(etcd_directories.PROGRAM) if pod else None
    if container is not None:
        own = container.value("data-dir") or container.environment.get("ETCD_DATA_DIR")
        by_flag, by_variable = container.value("wal-dir"), container.environment.get("ETCD_WAL_DIR")
    else:
        own, by_flag = (etcd_directories.flag_value(flag, text) for flag in ("data-dir", "wal-dir"))
        by_variable = None
    inside = os.path.join(own or DATA_DIR, "member", "wal")
    log = by_flag or by_variable
    if not log or log == inside:
        return text
    # A flag counts more than a variable.
    after = static_pod.set_arguments(text, {"--wal-dir": inside}, path) if "--wal-dir=" in text or (by_variable and not by_flag) else text
    if after == text:
        raise static_pod.ManifestNotUnderstood(
            "The log directory in the static pod manifest %s can't be changed." % path,
            tried="look for a line '- --wal-dir=...'",
            found="another form",
            remedy="Write it as --wal-dir=%s by hand, then run the same command again." % log,
        )
    return after


def _environment_without_log(text: str, path: str) -> str:
    settings = environment_file.settings(text)
    inside = os.path.join(settings.get("ETCD_DATA_DIR") or DATA_DIR, "member", "wal")
    return text if settings.get("ETCD_WAL_DIR", inside) in ("", inside) else environment_file.set_settings(text, {"ETCD_WAL_DIR": inside}, path)
