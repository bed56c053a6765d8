# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds the inventory without its secrets and the collection itself to an open recovery point."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.vault import EncryptedString
from ansible.plugins.action import ActionBase

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.runs import find_run
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.digests import file_sha256
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import kit
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.transfer import Delivery, Workspace
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import HIDDEN, Redactor
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.evidence import collection_root, known_secrets

# Where both come from.
HOST = "localhost"
_SPACE_BYTES = 32 << 20


class ActionModule(ActionBase):
    """lifeboat.cluster.recovery_point_kit"""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec=dict(
                LOCATION_ARGUMENTS,
                **age_keys.SEALING_ARGUMENTS,
                point={"type": "str", "required": True, "aliases": ["recovery_point_id"]},
            )
        )
        try:
            result.update(self._add(options, task_vars or {}))
        except LifeboatError as error:
            raise AnsibleActionFail(str(error), result=error.as_result()) from None
        return result

    def _add(self, options: Dict[str, Any], task_vars: Dict[str, Any]) -> Dict[str, Any]:
        started = time.monotonic()
        run = find_run(task_vars, os.getppid())
        age_keys.parse_recipients(options["recipients"])
        makers: Dict[str, Callable[[str], Any]] = {
            names.artifact_name("inventory", "inventory", "json"): lambda path: _write(path, inventory_of(task_vars, self._templar)),
            names.artifact_name("collection", "collection", "tar"): _write_collection,
        }
        if self._task.check_mode:
            return {"changed": True, "artifacts": [], "problems": [], "diff": {"before": {}, "after": {"artifacts": sorted(makers)}}}
        location = open_location(options["location"])
        workspace = Workspace(run.directory)
        artifacts: List[Dict[str, Any]] = []
        problems: List[str] = []
        changed = False
        for name, make in makers.items():
            delivery = Delivery(location, options["cluster_name"], options["point"], name, HOST, workspace)
            # One that cannot be made must not cost the point, nor the other one.
            try:
                delivery.check_open()
                with workspace.plain(_SPACE_BYTES, name) as plain:
                    make(plain)
                    there = delivery.already_there(file_sha256(plain))
                    artifacts.append((there or delivery.store(plain, options["recipients"], False, None)).to_record())
                changed = changed or there is None
            except LifeboatError as error:
                problems.append("%s: %s%s" % (name, error.message, " (%s)" % error.found if error.found else ""))
        after = {"artifacts": [artifact["name"] for artifact in artifacts]}
        return {
            "changed": changed,
            "artifacts": artifacts,
            "problems": problems,
            "duration_seconds": round(time.monotonic() - started, 3),
            "diff": {"before": {} if changed else after, "after": after},
        }


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(content)


def _write_collection(path: str) -> None:
    with open(path, "wb") as stream:
        kit.write_collection(collection_root(), stream)


def inventory_of(task_vars: Mapping[str, Any], templar: Any) -> bytes:
    """The inventory of this run, as far as it belongs into a point."""
    hostvars = task_vars["hostvars"]
    listed = {str(name): [str(host) for host in hosts] for name, hosts in (task_vars.get("groups") or {}).items()}
    hosts = listed.get("all", [])
    secrets: List[str] = []
    for host in [HOST, *hosts]:
        raw = dict(hostvars.raw_get(host))
        secrets += known_secrets(raw, templar.copy_with_new_env(available_variables=raw))
    redactor = Redactor(secrets)
    variables = {host: dict(_wanted(hostvars, host, kit.wanted_on_host)) for host in hosts}
    return kit.inventory(_groups(hostvars, listed), dict(_wanted(hostvars, HOST, kit.wanted_of_all)), variables, redactor)[0]


def _wanted(hostvars: Any, host: str, wanted: Callable[[str], bool]) -> Iterator[Any]:
    """Names and rendered values; what stands encrypted is hidden whatever it is, and what cannot be rendered is left out."""
    raw, rendered = hostvars.raw_get(host), hostvars[host]
    for name in sorted(str(key) for key in raw):
        if wanted(name):
            try:
                yield name, _plain(raw[name], rendered[name])
            except AnsibleError:
                continue


def _plain(raw: Any, rendered: Any) -> Any:
    if isinstance(raw, EncryptedString):
        return HIDDEN
    if isinstance(rendered, Mapping):
        return {str(key): _plain(raw.get(key) if isinstance(raw, Mapping) else None, rendered[key]) for key in rendered}
    if isinstance(rendered, (list, tuple)):
        same = isinstance(raw, (list, tuple)) and len(raw) == len(rendered)
        return [_plain(raw[number] if same else None, item) for number, item in enumerate(rendered)]
    return rendered


def _groups(hostvars: Any, listed: Mapping[str, List[str]]) -> Dict[str, kit.Group]:
    """Groups with their own hosts and children; without an inventory to ask, with all their hosts, which comes to the same."""
    known = getattr(getattr(hostvars, "_inventory", None), "groups", None) or {}
    found: Dict[str, kit.Group] = {}
    for name, hosts in listed.items():
        group = known.get(name)
        own = [str(host) for host in group.hosts] if group else hosts
        children = [str(child) for child in group.child_groups] if group else []
        found[name] = kit.Group(own, children)
    return found
