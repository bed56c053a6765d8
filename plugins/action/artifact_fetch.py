# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings one artifact from a host into an open recovery point, sealed."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Optional

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.runs import find_run
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.transfer import Connection, Delivery, Workspace
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import SourceDamagedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.progress import Meter, Teller
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.progress import every_second, say


class ActionModule(ActionBase):
    """lifeboat.cluster.artifact_fetch"""

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec=dict(
                LOCATION_ARGUMENTS,
                **age_keys.SEALING_ARGUMENTS,
                component={"type": "str", "required": True},
                source={"type": "str", "required": True},
                name={"type": "str"},
                point={"type": "str", "required": True, "aliases": ["recovery_point_id"]},
                format={"type": "str", "choices": ["tar", "file"], "default": "tar"},
                sha256={"type": "str"},
                size_bytes={"type": "int"},
                inspect={"type": "bool", "default": False},
                facts={"type": "dict", "default": {}},
                remove_source={"type": "bool", "default": True},
            ),
            required_together=[("sha256", "size_bytes")],
        )
        try:
            result.update(self._fetch(options, task_vars or {}))
        except LifeboatError as error:
            raise AnsibleActionFail(str(error), result=error.as_result()) from None
        return result

    def _fetch(self, options: Dict[str, Any], task_vars: Dict[str, Any]) -> Dict[str, Any]:
        started = time.monotonic()
        run = find_run(task_vars, os.getppid())
        host = str(task_vars["inventory_hostname"])
        source = options["source"]
        extension = "tar" if options["format"] == "tar" else os.path.splitext(source)[1].lstrip(".")
        artifact = names.artifact_name(options["component"], options["name"] or names.host_segment(host), extension)
        age_keys.parse_recipients(options["recipients"])
        location = open_location(options["location"])
        if self._task.check_mode:
            return {"changed": True, "artifact": None, "name": artifact, "diff": _diff(artifact, None)}

        delivery = Delivery(location, options["cluster_name"], options["point"], artifact, host, Workspace(run.directory))
        delivery.check_open()
        size, sha256 = options["size_bytes"], options["sha256"]
        if sha256 is None:
            size, sha256 = self._ask(source, host, task_vars)
        there = delivery.already_there(sha256)
        if there is None:
            with delivery.workspace.plain(size, artifact) as plain:
                self._transfer(source, plain, size, host, artifact)
                teller = Teller(Meter("%s: %s sealed" % (host, artifact), size), say)
                stored = delivery.store(plain, options["recipients"], options["inspect"], sha256, options["facts"], teller.at)
                teller.end()
        if options["remove_source"]:
            self._remove(source)
        record = (there or stored).to_record()
        return {
            "changed": there is None,
            "artifact": record,
            "name": artifact,
            "duration_seconds": round(time.monotonic() - started, 3),
            "diff": _diff(artifact, record) if there is None else {},
        }

    def _ask(self, source: str, host: str, task_vars: Dict[str, Any]) -> Any:
        """Size and SHA-256 as the host sees them."""
        answer = self._execute_module(
            module_name="ansible.builtin.stat",
            module_args={"path": source, "get_checksum": True, "checksum_algorithm": "sha256", "get_mime": False, "get_attributes": False, "follow": False},
            task_vars=task_vars,
        )
        stat = answer.get("stat") or {}
        if not stat.get("isreg") or not stat.get("checksum"):
            raise SourceDamagedError(
                "There is nothing to fetch from %s" % host,
                tried=source,
                found=str(answer.get("msg") or ("not a readable regular file" if stat.get("exists") else "no such file"))[:400],
                remedy="look at the task that makes this file",
            )
        return int(stat["size"]), str(stat["checksum"])

    def _transfer(self, source: str, plain: str, size: int, host: str, artifact: str) -> None:
        teller = Teller(Meter("%s: %s fetched" % (host, artifact), size), say)
        try:
            with every_second(lambda: teller.at(os.path.getsize(plain))):
                Connection(self._connection, (AnsibleError,)).fetch(source, plain)
            teller.end()
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            raise SourceDamagedError(
                "%s could not be fetched from %s" % (source, host),
                tried="the connection's own file transfer, as the login user",
                found=str(error)[:600],
                remedy="the file must belong to the login user, in a directory that this user can enter; the controller needs space for it",
            ) from error
        os.chmod(plain, 0o600)
        found = os.stat(plain).st_size
        if found != size:
            raise SourceDamagedError("%s came incompletely from %s" % (source, host), found="%d of %d bytes" % (found, size), remedy="back up again")

    def _remove(self, source: str) -> None:
        """Remove the plain file on the host, as the login user to whom it belongs."""
        done = self._low_level_execute_command(self._connection._shell.remove(source), sudoable=False)
        if done["rc"] != 0:
            raise SourceDamagedError(
                "The plain file %s could not be removed from the host; the artifact itself is stored" % source,
                found=str(done["stderr"])[:400],
                remedy="it must belong to the login user; remove it, because it may hold secrets",
            )


def _diff(artifact: str, record: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    after: Dict[str, Any] = {"artifact": artifact}
    if record is not None:
        after.update({name: record[name] for name in ("plain_sha256", "plain_size_bytes", "sealed_sha256", "sealed_size_bytes")})
    return {"before": {}, "after": after}
