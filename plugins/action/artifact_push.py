# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings one artifact of a recovery point to a host, opened."""

from __future__ import annotations

import os
import shlex
import time
from typing import Any, Dict, Optional

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.runs import find_run
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Artifact
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.transfer import Connection, Workspace, open_into
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import LocationFullError, SourceDamagedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.progress import Meter, Teller, watched
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.progress import every_second, say
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.run_lock import OFTEN_ENOUGH_SECONDS, RunLock


class ActionModule(ActionBase):
    """lifeboat.cluster.artifact_push"""

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec=dict(
                LOCATION_ARGUMENTS,
                **catalog.TRUST_ARGUMENTS,
                **age_keys.OPENING_ARGUMENTS,
                artifact={"type": "str", "required": True},
                point={"type": "str", "required": True, "aliases": ["recovery_point_id"]},
                destination={"type": "str", "required": True},
                file_name={"type": "str"},
                executable={"type": "bool", "default": False},
            )
        )
        try:
            result.update(self._push(options, task_vars or {}))
        except LifeboatError as error:
            raise AnsibleActionFail(str(error), result=error.as_result()) from None
        return result

    def _push(self, options: Dict[str, Any], task_vars: Dict[str, Any]) -> Dict[str, Any]:
        started = time.monotonic()
        run = find_run(task_vars, os.getppid())
        host = str(task_vars["inventory_hostname"])
        location = open_location(options["location"])
        manifest = catalog.read_believable(location, options["cluster_name"], options["point"], catalog.Trust.from_params(options))
        artifact = manifest.artifact(options["artifact"])
        identities = age_keys.load_identities(options["identity_files"])
        file_name = names.check_segment(options["file_name"] or artifact.name.split("/")[1][: -len(".zst.age")], "file name")
        path = os.path.join(options["destination"], file_name)
        outcome: Dict[str, Any] = {"path": path, "sha256": artifact.plain_sha256, "size_bytes": artifact.plain_size_bytes, "name": artifact.name}

        mode = "0700" if options["executable"] else "0600"
        there = self._stat(path, task_vars)
        if there.get("checksum") == artifact.plain_sha256 and there.get("mode") == mode:
            return dict(outcome, changed=False, duration_seconds=round(time.monotonic() - started, 3), diff={})
        diff = {"before": {"path": path, "sha256": there.get("checksum")}, "after": {"path": path, "sha256": artifact.plain_sha256}}
        if self._task.check_mode:
            return dict(outcome, changed=True, diff=diff)
        self._check_host_space(options["destination"], artifact, host)
        workspace = Workspace(run.directory)
        # Others may be served first, and the whole of it takes as long as it takes: the run announced that when it took the lock.
        lock = RunLock(run, host)
        lock.renew(self, task_vars, at_most_every=OFTEN_ENOUGH_SECONDS)

        def make(plain: str) -> None:
            workspace.check_space(artifact.plain_size_bytes, artifact.name)
            teller = Teller(Meter("%s: %s read and opened" % (host, artifact.name), artifact.sealed_size_bytes), say)
            open_into(watched(location, teller.more), manifest, artifact, identities, plain)
            teller.end()

        with workspace.shared("%s/%s" % (manifest.id, artifact.name), make) as plain:
            # How much of it has arrived only the host knows.
            meter = Meter("%s: %s is being sent," % (host, artifact.name), artifact.plain_size_bytes)
            with every_second(lambda: say(meter.waiting())):
                self._transfer(plain, path, mode, host)
        lock.renew(self, task_vars, at_most_every=OFTEN_ENOUGH_SECONDS)
        found = self._stat(path, task_vars).get("checksum")
        if found != artifact.plain_sha256:
            raise SourceDamagedError(
                "%s arrived on %s with other bytes" % (artifact.name, host),
                tried=path,
                found="SHA-256 %s, not %s" % (found, artifact.plain_sha256),
                remedy="look at the host's disk, and run it again",
            )
        return dict(outcome, changed=True, duration_seconds=round(time.monotonic() - started, 3), diff=diff)

    def _stat(self, path: str, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        answer = self._execute_module(
            module_name="ansible.builtin.stat",
            module_args={"path": path, "get_checksum": True, "checksum_algorithm": "sha256", "get_mime": False, "get_attributes": False, "follow": False},
            task_vars=task_vars,
        )
        if answer.get("failed"):
            raise SourceDamagedError("The host cannot be asked for %s" % path, found=str(answer.get("msg"))[:400], remedy="see the message")
        stat: Dict[str, Any] = answer.get("stat") or {}
        return stat

    def _check_host_space(self, destination: str, artifact: Artifact, host: str) -> None:
        """Ask the host, as the login user, for the space in the destination; this also proves that it is a directory."""
        done = self._low_level_execute_command("cd %s && df -Pk ." % shlex.quote(destination), sudoable=False)
        fields = (str(done["stdout"]).strip().splitlines() or [""])[-1].split()
        if done["rc"] != 0 or len(fields) < 6 or not fields[-3].isdigit():
            raise SourceDamagedError(
                "%s on %s is not a directory that the login user can use" % (destination, host),
                found=str(done["stderr"] or done["stdout"])[:400],
                remedy="make it first, as the login user, of mode 0700",
            )
        free = int(fields[-3]) * 1024
        if free < artifact.plain_size_bytes:
            raise LocationFullError(
                "There is too little space on %s for %s" % (host, artifact.name),
                tried="%d bytes in %s" % (artifact.plain_size_bytes, destination),
                found="%d bytes free" % free,
                remedy="free some space on the host, or use another directory",
            )

    def _transfer(self, plain: str, path: str, mode: str, host: str) -> None:
        """Put it beside its name, make it private, then give it its name: a file with the name is a whole one."""
        part = "%s.part" % path
        try:
            Connection(self._connection, (AnsibleError,)).put(plain, part)
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            raise SourceDamagedError(
                "%s could not be brought to %s" % (path, host),
                tried="the connection's own file transfer, as the login user",
                found=str(error)[:600],
                remedy="the directory must belong to the login user; look at its space",
            ) from error
        quoted = (mode, shlex.quote(part), shlex.quote(part), shlex.quote(path))
        done = self._low_level_execute_command("chmod %s %s && mv -f %s %s" % quoted, sudoable=False)
        if done["rc"] != 0:
            raise SourceDamagedError(
                "%s could not be given its name on %s" % (path, host), found=str(done["stderr"])[:400], remedy="the directory must belong to the login user"
            )
