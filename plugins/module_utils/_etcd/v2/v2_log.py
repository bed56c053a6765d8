# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The write-ahead log of a living member, copied up to a record that says how far the log is committed.

``etcdctl backup`` and a plain copy read a log to where it happens to end. That the entries there are committed is told by a later record, which etcd
writes without flushing it; a restore with ``--force-new-cluster`` throws away what is not told to be committed, and acknowledged writes are lost.

Format: frames of eight bytes of length (the upper byte: padding) and a record of type, checksum and data
(etcd-io/etcd v3.4 wal/decoder.go, wal/walpb/record.proto). The checksums are checked by the etcd that replays the copy.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from typing import Iterator, List, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import BackupError
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import CHUNK, write_all
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Malformed, fields

_LENGTH = struct.Struct("<Q")
_RECORD_BYTES = (1 << 56) - 1
_STATE = 3
_COMMIT = 3


@dataclass(frozen=True)
class End:
    """The first place in a log where an index is told to be committed: segment, length of it up to there, index."""

    segment: str
    length: int
    commit: int


def segments(directory: str) -> List[str]:
    """Names of the log's files in order: ``<sequence>-<first index>.wal``."""
    return sorted(name for name in os.listdir(directory) if name.endswith(".wal"))


def needed(names: Sequence[str], index: int) -> List[str]:
    """The segments that hold what follows the snapshot at ``index``."""
    first = max((place for place, name in enumerate(names) if int(name[:-4].rpartition("-")[2], 16) <= index), default=-1)
    if first < 0:
        raise BackupError(
            "the log of the member does not reach back to its snapshot",
            tried="looked for a segment with raft index %d" % index,
            found=", ".join(names) or "no segment",
            remedy="Run the backup again: the member may have removed a segment meanwhile.",
        )
    return list(names[first:])


def find_end(directory: str, names: Sequence[str], commit: int) -> End:
    """Where the log first says that ``commit`` is committed; what is told last where it does not say so at all."""
    best = End("", 0, 0)
    for name in names:
        for end, told in _states(os.path.join(directory, name)):
            if told > best.commit:
                best = End(name, end, told)
                if told >= commit:
                    return best
    return best


def _states(path: str) -> Iterator[Tuple[int, int]]:
    """Position after each record of the raft state, and the commit that it tells. Ends where the log ends, be it in the middle of a record."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            position = 0
            while position + _LENGTH.size <= size:
                (length,) = _LENGTH.unpack_from(content, position)
                if not length:
                    return
                record_bytes = length & _RECORD_BYTES
                padding = length >> 56 & 7 if length >> 63 else 0
                start = position + _LENGTH.size
                position = start + record_bytes + padding
                if position > size:
                    return
                # The type is the first field of every record.
                if content[start : start + 2] == bytes((8, _STATE)):
                    yield position, _commit(content[start : start + record_bytes], path)


def _commit(record: bytes, path: str) -> int:
    try:
        state = next((raw for number, raw in fields(record) if number == 3 and not isinstance(raw, int)), b"")
        return next((raw for number, raw in fields(state) if number == _COMMIT and isinstance(raw, int)), 0)
    except Malformed as error:
        raise BackupError("the log %s cannot be read" % path, found=str(error), remedy="Take the backup from another member.") from None


def copy(directory: str, names: Sequence[str], end: End, target: str) -> None:
    """Copy the segments up to ``end``, and not a byte more: all of it was on the disk before the copy began."""
    os.makedirs(target, mode=0o700)
    for name in names:
        _copy_file(os.path.join(directory, name), os.path.join(target, name), end.length if name == end.segment else -1)
        if name == end.segment:
            return


def _copy_file(source: str, target: str, length: int) -> None:
    with open(source, "rb") as origin:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while length:
                block = origin.read(CHUNK if length < 0 else min(CHUNK, length))
                if not block:
                    break
                write_all(descriptor, block)
                length -= len(block) if length > 0 else 0
        finally:
            os.close(descriptor)


def trim(directory: str) -> None:
    """Cut the room off that etcd reserves at the end of each segment; it reserves it again."""
    for name in segments(directory):
        path = os.path.join(directory, name)
        os.truncate(path, max(_frames(path), default=0))


def _frames(path: str) -> Iterator[int]:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while True:
            head = file.read(_LENGTH.size)
            length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
            following = file.tell() + (length & _RECORD_BYTES) + (length >> 56 & 7 if length >> 63 else 0)
            if not length or following > size:
                return
            file.seek(following)
            yield following
