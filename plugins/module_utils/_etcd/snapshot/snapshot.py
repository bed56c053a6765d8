# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a snapshot and proving it while it streams; proving a snapshot file; its record."""

from __future__ import annotations

import errno
import fcntl
import grp
import hashlib
import os
import pwd
import stat
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterator, List, Optional, Protocol, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import TRAILER_BYTES, EtcdClient, SnapshotStream
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, SnapshotError, SnapshotInvalid
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.bolt import BoltFile
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.decodable import release_of, why_not
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.inventory import Inventory, Store
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import DEFAULT_PREFIX
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Buffer

_BLOCK_BYTES = 1 << 20
_SECTOR_BYTES = 512


class VerifiedStream:
    """The bytes of a running snapshot, in blocks, exactly as the file will have them.

    The newest 32 bytes are always held back: they may be the sha256 that etcd sends last. It is compared with our own of everything
    before, and given out only when equal, so whatever consumes this never sees the end of a snapshot that is not whole.
    After the end ``sha256`` is the digest of all bytes given out, trailer included.
    """

    def __init__(self, stream: SnapshotStream) -> None:
        self._stream = stream
        self.endpoint = stream.endpoint
        self.total_bytes = stream.total_bytes
        self.size_bytes = 0
        self.sha256 = ""

    def __iter__(self) -> Iterator[Buffer]:
        digest = hashlib.sha256()
        tail = b""
        pending: List[Buffer] = []
        pending_bytes = 0
        for blob in self._stream:
            if len(blob) < TRAILER_BYTES:
                held = tail + bytes(blob)
                body, tail = held[:-TRAILER_BYTES], held[-TRAILER_BYTES:]
                parts: Tuple[Buffer, ...] = (body,)
            else:
                view = memoryview(blob)
                parts = (tail, view[:-TRAILER_BYTES])
                tail = bytes(view[-TRAILER_BYTES:])
            for part in parts:
                if len(part):
                    digest.update(part)
                    pending.append(part)
                    pending_bytes += len(part)
            if pending_bytes >= _BLOCK_BYTES:
                self.size_bytes += pending_bytes
                yield b"".join(pending)
                pending, pending_bytes = [], 0
        received = self.size_bytes + pending_bytes + len(tail)
        if received != self.total_bytes:
            raise SnapshotError(
                "the snapshot stream of %s ended early" % self.endpoint,
                found="%d of %d bytes" % (received, self.total_bytes),
                remedy="Take the snapshot again.",
                endpoint=self.endpoint,
                received_bytes=received,
                expected_bytes=self.total_bytes,
            )
        if digest.digest() != tail:
            raise SnapshotError(
                "the snapshot from %s was altered on its way" % self.endpoint,
                tried="compared the sha256 of what arrived with the one that etcd sent last",
                found="they differ",
                remedy="Take the snapshot again, from another member if it happens again.",
                endpoint=self.endpoint,
            )
        digest.update(tail)
        self.size_bytes = received
        self.sha256 = digest.hexdigest()
        yield b"".join(pending + [tail])

    def close(self) -> None:
        """Give the connection back."""
        self._stream.close()

    def __enter__(self) -> VerifiedStream:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def stream(client: EtcdClient) -> VerifiedStream:
    """Begin a snapshot and verify it as it comes; for pipelines that need no file in between (iterate, then close)."""
    return VerifiedStream(client.snapshot())


@dataclass(frozen=True)
class Saved:
    """A snapshot that was written and proven."""

    path: str
    size_bytes: int
    sha256: str
    taken_at: str
    duration_seconds: float


class Source(Protocol):
    """The bytes of a snapshot, its sha256 at the end, in blocks."""

    total_bytes: int
    size_bytes: int
    sha256: str

    def __iter__(self) -> Iterator[Buffer]: ...

    def close(self) -> None: ...


def save(client: EtcdClient, path: str, *, minimum_free_bytes: int = 0, owner: str = "") -> Saved:
    """Stream a snapshot of a member into ``path``. An existing file is never replaced."""
    return save_from(lambda: stream(client), path, minimum_free_bytes=minimum_free_bytes, owner=owner)


def save_from(begin: Callable[[], Source], path: str, *, minimum_free_bytes: int = 0, owner: str = "") -> Saved:
    """Write a snapshot into ``path``: beside it as ``.part``, proven by its source, synced, renamed. An existing file is never replaced."""
    identity = owner_ids(owner) if owner else None
    name = os.path.basename(path)
    with directory_of(path) as (directory_path, directory):
        if exists(directory, name):
            raise SnapshotError("%s exists already" % path, remedy="Choose another path; a snapshot is never replaced.", path=path)
        part = name + ".part"
        started = time.time()
        clock = time.monotonic()
        with closing(begin()) as source:
            require_space(directory_path, directory, source.total_bytes, minimum_free_bytes)
            descriptor = _open_part(directory, part, path)
            try:
                _write_all(source, descriptor, path)
                # The time of the snapshot is when it was asked for: whatever was written before is in it.
                os.utime(descriptor, (started, started))
                if identity is not None:
                    os.fchown(descriptor, identity[0], identity[1])
                os.fsync(descriptor)
                os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
                os.fsync(directory)
            except BaseException:
                _discard(directory, part)
                raise
            finally:
                os.close(descriptor)
            return Saved(path, source.size_bytes, source.sha256, iso_time(started), round(time.monotonic() - clock, 3))


@contextmanager
def directory_of(path: str) -> Iterator[Tuple[str, int]]:
    """The directory that a file shall lie in, by path and opened: what is done in it cannot be led elsewhere by a link."""
    place = os.path.dirname(os.path.abspath(path))
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SnapshotError("no snapshot can be written into %s" % place, found=str(error.strerror), remedy="Make the directory first.", path=path) from None
    try:
        yield place, descriptor
    finally:
        os.close(descriptor)


def _open_part(directory: int, part: str, path: str) -> int:
    """Open the file to write into, exclusively; what a killed run left is removed, what a living one writes is not."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for attempt in (1, 2):
        try:
            descriptor = os.open(part, flags, 0o600, dir_fd=directory)
        except FileExistsError:
            if attempt == 2 or not _abandoned(directory, part):
                raise SnapshotError("another snapshot is being written to %s" % path, remedy="Wait for it, or choose another path.", path=path) from None
            _discard(directory, part)
            continue
        except OSError as error:
            raise SnapshotError("%s cannot be written" % path, found=str(error.strerror), path=path) from None
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(descriptor, 0o600)
        return descriptor
    raise AssertionError("unreachable")


def _abandoned(directory: int, part: str) -> bool:
    try:
        descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)


def _discard(directory: int, part: str) -> None:
    try:
        os.unlink(part, dir_fd=directory)
    except FileNotFoundError:
        pass


def _write_all(source: Source, descriptor: int, path: str) -> None:
    try:
        for block in source:
            view = memoryview(block)
            while len(view):
                view = view[os.write(descriptor, view) :]
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise
        raise SnapshotError(
            "writing %s failed after %d bytes" % (path, source.size_bytes),
            found=os.strerror(error.errno),
            remedy="Make room (twice the size of the database), then run again. Nothing was left behind.",
            path=path,
        ) from None


def exists(directory: int, name: str) -> bool:
    """Whether there is anything of that name."""
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def require_space(place: str, directory: int, database_bytes: int, minimum_free_bytes: int = 0) -> None:
    """Refuse when there is not twice the size of the database, and the minimum on top."""
    state = os.fstatvfs(directory)
    free = state.f_bavail * state.f_frsize
    needed = 2 * database_bytes + minimum_free_bytes
    if free < needed:
        raise SnapshotError(
            "not enough room in %s" % place,
            tried="twice the %d bytes of the database and %d bytes to spare" % (database_bytes, minimum_free_bytes),
            found="%d bytes free, %d needed" % (free, needed),
            remedy="Make room or use a directory on another file system.",
            free_bytes=free,
            needed_bytes=needed,
        )


def owner_ids(owner: str) -> Tuple[int, int]:
    """User and group id of ``user`` (with its own group) or ``user:group``; numbers are taken as they are."""
    user, _colon, group = owner.partition(":")
    try:
        if user.isdigit():
            uid, gid = int(user), int(user)
        else:
            entry = pwd.getpwnam(user)
            uid, gid = entry.pw_uid, entry.pw_gid
        if group:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise EtcdError("owner %s is not known on this host" % owner, remedy="Name a user, or user:group, that exists here.") from None
    return uid, gid


def iso_time(seconds: float) -> str:
    """UTC, to the second."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class FileProof:
    """What the bytes of a snapshot file say of themselves."""

    path: str
    size_bytes: int
    sha256: str
    trailer_ok: bool
    modified_at: str


def prove(path: str, *, skip_hash_check: bool = False) -> FileProof:
    """Read the whole file and compare its trailer. Raises SnapshotInvalid, which says what is wrong with it.

    With ``skip_hash_check`` a file without a (right) trailer, such as a copied ``member/snap/db``, is let through as not ok.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SnapshotInvalid(
            "%s cannot be opened" % path, found=str(error.strerror), remedy="Check path and permissions.", path=path, reason="missing"
        ) from None
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        raise SnapshotInvalid("%s is not a file" % path, path=path, reason="not_a_file")
    with os.fdopen(descriptor, "rb", buffering=0) as source:
        digest = hashlib.sha256()
        tail = b""
        size = 0
        block = bytearray(_BLOCK_BYTES)
        view = memoryview(block)
        while True:
            count = source.readinto(block)
            if not count:
                break
            size += count
            held = tail + bytes(view[:count]) if count < TRAILER_BYTES else b""
            if held:
                digest.update(held[:-TRAILER_BYTES])
                tail = held[-TRAILER_BYTES:]
            else:
                digest.update(tail)
                digest.update(view[: count - TRAILER_BYTES])
                tail = bytes(view[count - TRAILER_BYTES : count])
    expected = digest.digest()
    trailer_ok = size % _SECTOR_BYTES == TRAILER_BYTES and expected == tail
    if not trailer_ok and not skip_hash_check:
        raise _why_invalid(path, size, expected, tail)
    digest.update(tail)
    return FileProof(path, size, digest.hexdigest(), trailer_ok, iso_time(state.st_mtime))


def _why_invalid(path: str, size: int, expected: bytes, tail: bytes) -> SnapshotInvalid:
    """Tell truncation, a missing trailer, and altered bytes apart, as far as the file allows."""

    def invalid(reason: str, found: str) -> SnapshotInvalid:
        return SnapshotInvalid(
            "%s is not a whole, unaltered snapshot" % path,
            tried="compared its last 32 bytes with the sha256 of all before, and its length with the one its head tells",
            found=found,
            remedy="Use another copy of this snapshot, or another recovery point.",
            path=path,
            reason=reason,
            size_bytes=size,
        )

    try:
        with BoltFile(path, head_only=True) as bolt:
            whole: Optional[int] = bolt.meta.database_bytes
    except SnapshotInvalid:
        whole = None
    if whole is None:
        if size < 2 * 4096 + TRAILER_BYTES:
            return invalid("truncated", "a file of %d bytes: not even the head of a database" % size)
        return invalid("altered", "the head of the database is damaged, and the sha256 differs")
    complete = whole + TRAILER_BYTES
    # The file of a running member grows ahead of its contents, in whole pages.
    if size == whole or (size > complete and size % 4096 == 0):
        return invalid("no_trailer", "the database is complete, the 32 bytes of sha256 after it are missing (a copy of member/snap/db, or a cut)")
    if size < complete:
        return invalid("truncated", "truncated: %d of %d bytes, %d are missing" % (size, complete, complete - size))
    if size > complete:
        return invalid("too_long", "%d bytes, %d more than the database and its trailer have" % (size, size - complete))
    same = sum(1 for ours, theirs in zip(expected, tail) if ours == theirs)
    if same >= TRAILER_BYTES // 2:
        return invalid("trailer_altered", "the sha256 at the end is itself altered: %d of its 32 bytes differ" % (TRAILER_BYTES - same))
    return invalid("altered", "the length is right, but at least one byte was altered: the sha256 differs")


def record(path: str, *, kinds: bool = True, skip_hash_check: bool = False, prefixes: Sequence[str] = (DEFAULT_PREFIX,)) -> Dict[str, Any]:
    """The record of a snapshot file: proven, opened, counted."""
    return record_of(prove(path, skip_hash_check=skip_hash_check), store_inventory(path, kinds, prefixes))


def undecodable_objects(path: str, version: str) -> List[Dict[str, str]]:
    """Objects of a snapshot file that an API server of this version cannot read: ``key``, ``kind`` and ``reason``. Nothing for an unknown version."""
    release = release_of(version)
    if release is None:
        return []
    found = []
    with Store.open(path) as store:
        keys = list(store.keys())
        for key in keys:
            kind = store.kind_of(key)
            reason = why_not(kind, release)
            if reason:
                found.append({"key": key.decode("utf-8", "backslashreplace"), "kind": kind, "reason": reason})
    return found


def store_inventory(path: str, kinds: bool = True, prefixes: Sequence[str] = (DEFAULT_PREFIX,)) -> Inventory:
    """Open a snapshot file and summarise it."""
    with Store.open(path) as store:
        return store.inventory(kinds, prefixes)


def record_of(proof: FileProof, inventory: Inventory) -> Dict[str, Any]:
    """The record out of its two halves."""
    result: Dict[str, Any] = {"path": proof.path, "size_bytes": proof.size_bytes, "sha256": proof.sha256, "trailer_ok": proof.trailer_ok}
    result.update(inventory.as_result())
    return result
