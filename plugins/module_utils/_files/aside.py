# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Move what stands in the way aside, once, so that a restore never loses what stood there before it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from typing import Any, Dict, List, Optional, Set

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.entries import (
    DIRECTORY,
    FILE,
    SYMLINK,
    fingerprint,
    read_file,
    read_xattrs,
    set_attributes,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.ledger import Ledger
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import make_directories, sync_directories, sync_directory, write_all

# A second thing that has to make way at the same path: what someone put there between two runs of one restore.
LATER = ".later"
# A hard link or a rename is not possible: another file system, or one without hard links. What is immutable fails the copy's last step instead.
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)


def temporary_name(restore_id: str, path: str) -> str:
    """A name in the target's directory that a rerun of the same restore finds again; short, because the target's may be the longest possible."""
    return ".lifeboat-%s-%s" % (hashlib.sha256(restore_id.encode("utf-8")).hexdigest()[:8], hashlib.sha256(os.fsencode(path)).hexdigest()[:16])


def copy(source: str, target: str) -> List[str]:
    """Copy a file, link or directory with all attributes, durably. Returns the names of attributes that could not be copied. The target must not exist."""
    wanted = fingerprint(source)
    if wanted is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
    mtime_ns = os.lstat(source).st_mtime_ns
    lost: List[str] = []
    if wanted.type == SYMLINK:
        os.symlink(wanted.link_target, target)
    elif wanted.type == FILE:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

        def begin(_status: os.stat_result, _xattrs: Dict[str, bytes]) -> None:
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)

        try:
            read_file(source, begin, lambda data: write_all(descriptor, data))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    elif wanted.type == DIRECTORY:
        os.mkdir(target, 0o700)
        for name in os.listdir(source):
            if kind_is_kept(os.path.join(source, name)):
                lost += copy(os.path.join(source, name), os.path.join(target, name))
    lost += set_attributes(target, wanted, read_xattrs(source), mtime_ns)
    if wanted.type == DIRECTORY:
        sync_directory(target)
    return lost


def kind_is_kept(path: str) -> bool:
    """Whether there is anything to keep at a path; sockets, pipes and devices hold nothing."""
    mode = os.lstat(path).st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def remove(path: str) -> None:
    """Remove a path with all beneath it; one that is gone is fine."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def weight(path: str) -> int:
    """Bytes that a path and all beneath it take."""
    try:
        status = os.lstat(path)
        names = os.listdir(path) if stat.S_ISDIR(status.st_mode) else []
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return status.st_size + 4096 + sum(weight(os.path.join(path, name)) for name in names)


def covered(path: str, slot: str) -> bool:
    """Whether everything at a path is also in the slot: what is left of a move that was interrupted."""
    found = fingerprint(path)
    if found is None or found != fingerprint(slot):
        return found is None
    if found.type != DIRECTORY:
        return True
    return all(covered(os.path.join(path, name), os.path.join(slot, name)) for name in os.listdir(path) if kind_is_kept(os.path.join(path, name)))


class Aside:
    """The place for what makes way, with the same paths as on the host."""

    def __init__(self, directory: str, restore_id: str, ledger: Ledger) -> None:
        self._directory = directory
        self._restore_id = restore_id
        self._ledger = ledger
        self._touched: Set[str] = set()
        self.moved: List[Dict[str, str]] = []
        self.lost: Dict[str, List[str]] = {}

    def _slot(self, real: str, path: str) -> Optional[str]:
        """A free place for what stands at ``real``; None when it is there already."""
        slot = self._directory + path
        number = 0
        while os.path.lexists(slot):
            if covered(real, slot):
                return None
            number += 1
            slot = os.path.join(self._directory, LATER, str(number)) + path
        self._touched.update(make_directories(os.path.dirname(slot)))
        self._touched.add(os.path.dirname(slot))
        return slot

    def _copy(self, real: str, slot: str) -> None:
        temporary = os.path.join(os.path.dirname(slot), temporary_name(self._restore_id, slot))
        self.announce([os.path.dirname(slot)])
        remove(temporary)
        lost = copy(real, temporary)
        if lost:
            self.lost[slot] = sorted(set(lost))
        os.rename(temporary, slot)

    def announce(self, directories: List[str]) -> None:
        """Note in the ledger where unfinished files may lie from now on."""
        new: List[Dict[str, Any]] = [{"operation": "temporary", "path": path} for path in sorted(set(directories) - self._ledger.directories)]
        if new:
            self._ledger.append(new)

    def keep(self, real: str, path: str) -> None:
        """Save the file or link at ``real``, and leave it in place: the new one replaces it in one step."""
        if not kind_is_kept(real):
            return
        slot = self._slot(real, path)
        if slot is None:
            return
        try:
            os.link(real, slot, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            self._copy(real, slot)
        self.moved.append({"path": path, "aside": slot})

    def move(self, real: str, path: str) -> None:
        """Save what stands at ``real``, a whole directory too, and take it away."""
        slot = self._slot(real, path) if kind_is_kept(real) else None
        if slot is not None:
            try:
                os.rename(real, slot)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                self._copy(real, slot)
            self.moved.append({"path": path, "aside": slot})
        self.sync()
        remove(real)
        sync_directory(os.path.dirname(real))

    def sync(self) -> None:
        """Make everything that was saved durable."""
        sync_directories(self._touched)
        self._touched.clear()
