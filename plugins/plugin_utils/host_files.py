# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a host in the controller's memory: captured into an archive of the login user's, fetched into the run's private directory, read, removed.

Nothing of them is in a module's result, where a log would keep it.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from typing import IO, Any, Dict, Mapping, Sequence, Set

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.transfer import Connection, Workspace
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.archives import read_archive
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import SourceDamagedError

LARGEST_BYTES = 1 << 20


def _matching(archive: str, what: str, wanted: Set[str]) -> Dict[str, bytes]:
    found: Dict[str, bytes] = {}

    def visit(member: tarfile.TarInfo, content: IO[bytes]) -> None:
        path = "/" + member.name.lstrip("/")
        if path in wanted and member.size <= LARGEST_BYTES:
            found[path] = content.read()

    with open(archive, "rb") as stream:
        read_archive(stream, what, visit)
    return found


def read_archived(action: ActionBase, archive: Mapping[str, Any], wanted: Sequence[str], workspace: Workspace, host: str) -> Dict[str, bytes]:
    """Files of an archive on the host, by path; those that it does not hold are left out. Its SHA-256 is proven."""
    source, size = str(archive["path"]), int(archive["size_bytes"])
    with workspace.plain(size, source) as plain:
        try:
            Connection(action._connection, (AnsibleError,)).fetch(source, plain)
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            raise SourceDamagedError(
                "%s could not be fetched from %s" % (source, host),
                tried="the connection's own file transfer, as the login user",
                found=str(error)[:600],
                remedy="the file must belong to the login user, in a directory that this user can enter; then run it again",
            ) from error
        os.chmod(plain, 0o600)
        with open(plain, "rb") as stream:
            digest = hashlib.sha256(stream.read()).hexdigest()
        if digest != archive["sha256"]:
            raise SourceDamagedError(
                "What came from %s for %s is not what lies there" % (host, source),
                found="SHA-256 %s, not %s" % (digest, archive["sha256"]),
                remedy="it changed or was damaged on the way: run it again",
            )
        return _matching(plain, "The archive of %s" % host, set(wanted))


def read_file(action: ActionBase, path: str, staging: str, owner: str, workspace: Workspace, task_vars: Dict[str, Any]) -> bytes:
    """One file of the host, read as root there."""
    host = str(task_vars["inventory_hostname"])
    archive = os.path.join(staging, "read-%s.tar" % os.urandom(8).hex())
    planning, action._task.check_mode = action._task.check_mode, False
    try:
        # A plan reads too: what this writes lies in the private directory, and is removed below.
        answer = action._execute_module(
            module_name="lifeboat.cluster.host_archive",
            module_args={"path": archive, "paths": [{"path": path, "required": True}], "owner": owner},
            task_vars=task_vars,
        )
    finally:
        action._task.check_mode = planning
    if answer.get("failed"):
        raise SourceDamagedError("%s cannot be read on %s" % (path, host), found=str(answer.get("msg"))[:400], remedy="see the message")
    try:
        found = read_archived(action, answer["archive"], [path], workspace, host)
    finally:
        action._low_level_execute_command(action._connection._shell.remove(archive), sudoable=False)
    if path not in found:
        raise SourceDamagedError("%s on %s is not a regular file of at most 1 MiB" % (path, host), remedy="see what lies there")
    return found[path]
