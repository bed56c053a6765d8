# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of a member that cannot be asked: out of the database in its data directory.

A member that is started without a quorum answers no client: it first wants to publish itself (etcd-io/etcd server/etcdserver/server.go C(publishV3), and
server/embed/serve.go, which waits for it). So the last member that is left answers as long as it goes on running, and not after a reboot. Its
database is a whole bbolt file all the same. etcd writes it in batches (every 100 ms; backend-batch-interval), so what was acknowledged in the last moments
before it ended without a shutdown may be in its write-ahead log alone.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any, Callable, Dict, Iterator, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import SnapshotError
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.bolt import BoltFile
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.database import database_of
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Buffer

_BLOCK_BYTES = 1 << 20
_TRIES = 5
_PAUSE_SECONDS = 1.0


class Database:
    """The bytes of a database file that nobody writes meanwhile, and their sha256: exactly what etcd sends as a snapshot."""

    def __init__(self, path: str) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SnapshotError(
                "The database of this member cannot be read.",
                tried="open %s" % path,
                found=str(error.strerror),
                remedy="Give the data directory that etcd is started with. Without its database nothing can be saved of this member.",
                path=path,
            ) from None
        self.path = path
        self._before = self._state()
        # What etcd sends, too: the pages that are in use, however long the file is.
        try:
            with BoltFile(path, head_only=True) as bolt:
                self._database_bytes = bolt.meta.database_bytes
        except BaseException:
            self.close()
            raise
        self.total_bytes = self._database_bytes
        self.size_bytes = 0
        self.sha256 = ""

    def _state(self) -> Tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, min(_BLOCK_BYTES, self._database_bytes - self.size_bytes))
        except OSError as error:
            raise SnapshotError(
                "The database of this member cannot be read to its end.",
                tried="read %s" % self.path,
                found="%s after %d of %d bytes" % (error.strerror, self.size_bytes, self._database_bytes),
                remedy="The disk fails. Choose another source: the data of another member, or the recovery point.",
                path=self.path,
            ) from None

    def __iter__(self) -> Iterator[Buffer]:
        digest = hashlib.sha256()
        whole = hashlib.sha256()
        for block in iter(self._read, b""):
            digest.update(block)
            whole.update(block)
            self.size_bytes += len(block)
            yield block
        if self._state() != self._before:
            raise ChangedError(
                "The database of this member was written while it was read.",
                tried="read %s" % self.path,
                found="size and time of the last change are others than before",
                remedy="Stop etcd on this machine (move its manifest away), then run the same command again.",
                path=self.path,
            )
        trailer = digest.digest()
        whole.update(trailer)
        self.size_bytes += len(trailer)
        self.sha256 = whole.hexdigest()
        yield trailer

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class ChangedError(SnapshotError):
    """Somebody writes the database."""


def save(data_dir: str, path: str, *, owner: str = "", pause: Callable[[float], None] = time.sleep) -> Dict[str, Any]:
    """Make a snapshot file of the database in a data directory, and prove it: every page is read. Its record, as that of a snapshot.

    A member that runs without a quorum writes nothing; one that is just being started may. So a database that changed meanwhile is read again, a few times.
    Raises SnapshotError, ChangedError, and SnapshotInvalid where its pages contradict each other.
    """
    for left in range(_TRIES - 1, -1, -1):
        try:
            saved = snapshot.save_from(lambda: Database(database_of(data_dir)), path, owner=owner)
        except ChangedError:
            if not left:
                raise
            pause(_PAUSE_SECONDS)
        else:
            break
    try:
        record = snapshot.record(path)
    except BaseException:
        os.unlink(path)
        raise
    return dict(record, taken_at=saved.taken_at, duration_seconds=saved.duration_seconds, data_dir=data_dir)
