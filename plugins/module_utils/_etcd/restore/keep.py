# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the etcdutl that fits, for the recovery point: in a disaster the machine that is to restore may have neither etcd nor its image."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import RestoreError, ToolError
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.elf import is_program, is_static
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.tools import etcdutl
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.snapshot import owner_ids
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.digests import file_sha256

_MODE = 0o700
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Copy:
    """The copy as it is, or as it would be; size and digest are None where finding them out would change the host."""

    path: str
    size_bytes: Optional[int]
    sha256: Optional[str]
    version: str
    source: str
    static: Optional[bool]

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return dict(vars(self))


def keep(path: str, owner: str = "", explicit: str = "", check_mode: bool = False) -> Tuple[bool, Copy]:
    """Copy the etcdutl of this host to ``path``, unless this very one lies there; returns whether anything changed, and the copy.

    In check mode no image is mounted, so a tool inside of one is judged by the image's tag.
    """
    identity = owner_ids(owner) if owner else None
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
        raise ToolError("%s is not a file" % path, tried="to copy etcdutl there", remedy="Look at what it is and remove it, or choose another path.", path=path)
    with ExitStack() as stack:
        try:
            tool = stack.enter_context(etcdutl(explicit, mount=not check_mode, static=True, member=True))
        except RestoreError:
            # One that needs libraries is better than none: the machine to restore is often of the same kind.
            tool = stack.enter_context(etcdutl(explicit, mount=not check_mode, member=True))
        if not os.path.isabs(tool.path) or not os.path.isfile(tool.path):
            return not os.path.isfile(path), Copy(path, None, None, tool.version, tool.source, None)
        if not is_program(tool.path):
            raise ToolError(
                "the etcdutl of this host is not a program that could be kept",
                tried="%s (%s)" % (tool.path, tool.source),
                found="a script, or something else that calls the real one",
                remedy="Put a static etcdutl onto the host's PATH.",
                path=tool.path,
            )
        size, sha256 = os.path.getsize(tool.path), file_sha256(tool.path)
        found = Copy(path, size, sha256, tool.version, tool.source, is_static(tool.path))
        if _is_there(path, sha256, identity):
            return False, found
        if not check_mode:
            _copy(tool.path, path, size, sha256, identity)
        return True, found


def _is_there(path: str, sha256: str, identity: Optional[Tuple[int, int]]) -> bool:
    if not os.path.isfile(path):
        return False
    state = os.stat(path)
    return state.st_mode & 0o7777 == _MODE and (identity is None or (state.st_uid, state.st_gid) == identity) and file_sha256(path) == sha256


def _copy(source: str, path: str, size: int, sha256: str, identity: Optional[Tuple[int, int]]) -> None:
    """Beside its name, proven, then renamed: a file with the name is a whole one."""
    directory = os.path.dirname(os.path.abspath(path))
    part = path + ".part"
    try:
        free = shutil.disk_usage(directory).free
        if free < size:
            raise ToolError(
                "not enough room for a copy of etcdutl in %s" % directory, found="%d bytes free, %d needed" % (free, size), remedy="Make room.", path=path
            )
        _discard(part)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(source, "rb") as origin, os.fdopen(descriptor, "wb") as target:
                shutil.copyfileobj(origin, target, _BLOCK_BYTES)
                target.flush()
                if identity is not None:
                    os.fchown(target.fileno(), identity[0], identity[1])
                os.fchmod(target.fileno(), _MODE)
                os.fsync(target.fileno())
            if file_sha256(part) != sha256:
                raise ToolError("the copy of etcdutl is not what was copied", tried=source, remedy="Look at the disk of this host, then run again.", path=path)
            os.rename(part, path)
        finally:
            _discard(part)
    except OSError as error:
        raise ToolError(
            "etcdutl could not be copied to %s" % path,
            tried=source,
            found=os.strerror(error.errno) if error.errno else str(error),
            remedy="Make room." if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Make the directory first; it must be writable.",
            path=path,
        ) from None


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
