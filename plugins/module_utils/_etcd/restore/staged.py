# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory inside of a data directory in which a member's new data is built: ours by its name, locked while we build, marked when it is whole."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import RestoreError

STAGING_PREFIX = ".lifeboat-restore-"
MARKER_NAME = "lifeboat-restore.json"
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LOCK_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Staged:
    """One restore's directory. All members of one restore have the same token."""

    data_dir: str
    token: str

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.token):
            raise RestoreError(
                "%r is not usable as a token" % self.token, remedy="Use letters, digits, dot, dash and underscore; a fresh one for each restore."
            )
        if not os.path.isabs(self.data_dir):
            raise RestoreError("data_dir %r is not an absolute path" % self.data_dir, remedy="Give the data directory that etcd is started with.")

    @property
    def path(self) -> str:
        """The directory that will hold ``member``."""
        return os.path.join(self.data_dir, STAGING_PREFIX + self.token)

    @property
    def marker(self) -> str:
        """The file written last."""
        return os.path.join(self.path, MARKER_NAME)

    @property
    def member(self) -> str:
        """What is put into the place of the data directory's own one."""
        return os.path.join(self.path, "member")

    def others(self) -> List[str]:
        """Directories of restores with other tokens."""
        try:
            names = os.listdir(self.data_dir)
        except OSError:
            return []
        return sorted(os.path.join(self.data_dir, name) for name in names if name.startswith(STAGING_PREFIX) and name != os.path.basename(self.path))

    def done(self, promise: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
        """What the marker of a finished restore says; raises when that was another restore than ``promise`` tells.

        None without a marker, and where what it is about is neither beside the data nor in their place any more: whoever empties a directory may leave what
        is hidden.
        """
        if not os.path.isdir(self.member) and not os.path.isdir(os.path.join(self.data_dir, "member")):
            return None
        try:
            with open(self.marker, "rb") as source:
                document = json.loads(source.read(1 << 20))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        if not isinstance(document, dict):
            return None
        differing = sorted(key for key, value in promise.items() if document.get(key) != value)
        if differing:
            raise RestoreError(
                "token %s was used for another restore on this host" % self.token,
                found="%s differs in: %s" % (self.marker, ", ".join(differing)),
                remedy="Use a fresh token for each restore; the same one only to go on with the same restore.",
                marker=self.marker,
                differing=differing,
            )
        return document

    def require_space(self, size: int, log_bytes: int) -> None:
        """Refuse when there is not room for twice ``size`` and for the write-ahead log."""
        place = self.data_dir
        while not os.path.isdir(place):
            place = os.path.dirname(place)
        free, needed = _free_bytes(place), 2 * size + log_bytes
        if free < needed:
            raise RestoreError(
                "not enough room for the restore in %s" % place,
                tried="twice the %d bytes of what is restored, and %d for the write-ahead log" % (size, log_bytes),
                found="%d bytes free, %d needed" % (free, needed),
                remedy="Make room on that file system: the old data stays where it is until you remove it.",
                free_bytes=free,
                needed_bytes=needed,
            )

    @contextmanager
    def exclusive(self, identity: Optional[Tuple[int, int]]) -> Iterator[int]:
        """A lock on the data directory itself, which is made when it is not there.

        It leaves nothing behind. A program of ours that inherits it is waited for by the next run when we are killed.
        """
        if not os.path.isdir(self.data_dir):
            os.makedirs(self.data_dir, mode=0o700)
            settle(self.data_dir, 0o700, identity)
        descriptor = os.open(self.data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise RestoreError(
                            "another restore works in %s" % self.data_dir,
                            found="its lock was held for %g s" % _LOCK_PATIENCE_SECONDS,
                            remedy="Wait until it ends.",
                        ) from None
                    time.sleep(0.2)
            yield descriptor
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Take away what an unfinished run left. It is ours by its name, and it has no marker."""
        if os.path.islink(self.path) or (os.path.lexists(self.path) and not os.path.isdir(self.path)):
            raise RestoreError("%s is not a directory" % self.path, remedy="Look at what it is and remove it.")
        if os.path.lexists(self.path):
            shutil.rmtree(self.path)

    def tighten(self, identity: Optional[Tuple[int, int]]) -> None:
        """Owner, modes, and everything on the disk before the marker says so."""
        for directory, _names, files in os.walk(self.path, topdown=False):
            for name in files:
                settle(os.path.join(directory, name), 0o600, identity)
            settle(directory, 0o700, identity)

    def write_marker(self, marker: Mapping[str, Any]) -> None:
        """Say that the directory is whole."""
        draft = self.marker + ".part"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as target:
            json.dump(marker, target, indent=2, sort_keys=True)
            target.write("\n")
            target.flush()
            os.fsync(target.fileno())
        os.rename(draft, self.marker)
        for path in (self.path, self.data_dir):
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


def settle(path: str, mode: int, identity: Optional[Tuple[int, int]]) -> None:
    """Mode and owner of one file or directory, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            os.fchmod(descriptor, mode)
        if identity is not None:
            os.fchown(descriptor, identity[0], identity[1])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_bytes(place: str) -> int:
    """What an ordinary user may still write to the file system of ``place``."""
    state = os.statvfs(place)
    return state.f_bavail * state.f_frsize
