# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing: plain bytes, zstd, age, location, in one pass with both hashes; and the same backwards.

Nothing is ever held whole. Sealing is a line of threads with a few blocks between them: one draws from the source where that may have to be waited for,
one hashes and compresses, and the caller's encrypts, hashes and hands on. Opening pushes the other way, in one thread.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import Any, BinaryIO, Callable, ContextManager, Deque, Iterable, Iterator, List, NamedTuple, Optional, Protocol, Sequence, Type, Union

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.age_keys import age_library, parse_recipients
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    ArtifactDamagedError,
    DependencyMissingError,
    SealingError,
    WrongIdentityError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import how_to_install

COMPRESSION_LEVEL = 3
_BLOCK = 1 << 20
_AHEAD = 4  # blocks that may wait between two threads
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # fcntl has the name from Python 3.10 on
_LARGEST_WINDOW_BYTES = 1 << 27


class Digests(NamedTuple):
    """Hashes and sizes of an artifact before and after sealing."""

    plain_sha256: str
    plain_size_bytes: int
    sealed_sha256: str
    sealed_size_bytes: int


class Sink(Protocol):
    """Anything that takes bytes. One that hashes all that it takes, and has the digest as ``sha256``, spares a second hashing."""

    def write(self, data: bytes) -> Any:
        """Take more bytes."""


class _Meter:
    """Hash and count what passes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def update(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class _Told:
    """Counts what passes, and believes a source or sink that hashes the same bytes for itself."""

    def __init__(self, other: Any) -> None:
        self._other = other
        self.size = 0

    def update(self, data: bytes) -> None:
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return str(self._other.sha256)


# -- sealing ------------------------------------------------------------------------------------------------------------------------


class Proven(Protocol):
    """Blocks that are hashed where they come from; at their end ``sha256`` is the digest of all of them."""

    sha256: str

    def __iter__(self) -> Iterator[Any]:
        """The blocks."""


# A file, or blocks.
Source = Union[BinaryIO, Proven, Iterable[bytes]]
# Called again and again with the number of plain bytes that have been worked on so far.
OnProgress = Optional[Callable[[int], None]]


def seal(source: Source, sink: Sink, recipients: Sequence[str], check: Optional[Callable[[Digests], None]] = None, on_progress: OnProgress = None) -> Digests:
    """Compress and encrypt ``source`` into ``sink``.

    ``source`` is a file or an iterable of blocks; an iterable is drawn by a thread of its own, so that its waiting costs no time here,
    and is not hashed once more when it has a ``sha256`` of its own; nor are the sealed bytes when ``sink`` has one.
    ``check`` sees the digests at the end; what it raises comes out of here.
    """
    parsed = parse_recipients(recipients)
    plain, sealed = _meter_for(source), _meter_for(sink)
    if hasattr(source, "read"):
        _seal(_blocks_of(source), sink, parsed, plain, sealed, on_progress)
    else:
        with _Ahead(source) as drawn:
            _seal(drawn, sink, parsed, plain, sealed, on_progress)
    digests = Digests(plain.sha256, plain.size, sealed.sha256, sealed.size)
    if check is not None:
        check(digests)
    return digests


def _meter_for(other: Any) -> Union[_Meter, _Told]:
    return _Told(other) if hasattr(other, "sha256") else _Meter()


def _seal(
    blocks: Iterable[bytes], sink: Sink, recipients: List[Any], plain: Union[_Meter, _Told], sealed: Union[_Meter, _Told], on_progress: OnProgress
) -> None:
    pyrage = age_library()
    output = _Output(sink, sealed)
    with _Ahead(_compressed(blocks, plain)) as compressed:
        reader = _Reader(compressed, lambda: on_progress(plain.size) if on_progress else None)
        try:
            pyrage.encrypt_io(reader, output, recipients)
        except (pyrage.EncryptError, OSError) as error:
            # pyrage wraps what its reader and writer raise.
            unknown = SealingError("Sealing failed", found=str(error)[:200], remedy="this is a defect or a lack of memory; run it again with more verbosity")
            raise (reader.error or output.error or unknown) from error
        output.finish()


def seal_to(
    location: Location,
    key: str,
    source: Source,
    recipients: Sequence[str],
    check: Optional[Callable[[Digests], None]] = None,
    retain_until: Optional[datetime] = None,
    on_progress: OnProgress = None,
) -> Digests:
    """Seal ``source`` as a new object of the location; it becomes visible only when all of it is there and ``check`` agreed."""
    with location.upload(key, retain_until) as upload:
        digests = seal(source, upload, recipients, check, on_progress)
        upload.commit()
    return digests


class _Ahead:
    """Blocks that a thread of its own makes, a few ahead of whoever takes them. An error of the maker comes out where its block would have."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = filter(None, blocks)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lifeboat-seal")
        self._coming: Deque[Future[bytes]] = deque()

    def __enter__(self) -> _Ahead:
        for _number in range(_AHEAD):
            self._ask()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        for future in self._coming:
            future.cancel()
        self._worker.shutdown()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            block = self._coming.popleft().result()
            if not block:
                return
            self._ask()
            yield block

    def _ask(self) -> None:
        self._coming.append(self._worker.submit(next, self._blocks, b""))


def _blocks_of(source: Any) -> Iterator[bytes]:
    while True:
        block = source.read(_BLOCK)
        if not block:
            return
        yield block


def _compressed(blocks: Iterable[bytes], plain: Union[_Meter, _Told]) -> Iterator[bytes]:
    zstandard = _zstandard()
    # Without threads of zstd's own: with them it takes twice the processor time for the same.
    parameters = zstandard.ZstdCompressionParameters.from_level(COMPRESSION_LEVEL, write_checksum=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    for block in blocks:
        plain.update(block)
        yield compressor.compress(block)
    yield compressor.flush()


class _Reader(io.RawIOBase):
    """What age reads from: the compressed blocks, a few KiB at a time."""

    def __init__(self, blocks: Iterable[bytes], passed: Callable[[], None]) -> None:
        super().__init__()
        self._blocks = iter(blocks)
        self._passed = passed
        self._ready = memoryview(b"")
        self.error: Optional[BaseException] = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; empty only at the end."""
        if not self._ready:
            try:
                self._ready = memoryview(next(self._blocks, b""))
                self._passed()
            except BaseException as error:
                self.error = error
                raise
        count = len(self._ready) if size < 0 else size
        taken, self._ready = self._ready[:count], self._ready[count:]
        return bytes(taken)


class _Output(io.RawIOBase):
    """What age writes to: hash, gather into larger blocks, pass on."""

    def __init__(self, sink: Sink, meter: Union[_Meter, _Told, None] = None) -> None:
        super().__init__()
        self._sink = sink
        self._meter = meter
        self._waiting: List[bytes] = []
        self._size = 0
        self.error: Optional[BaseException] = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        block = bytes(data)
        self._waiting.append(block)
        self._size += len(block)
        if self._size >= _BLOCK:
            self._pass_on()
        return len(block)

    def flush(self) -> None:
        pass

    def finish(self) -> None:
        """Pass the rest on."""
        self._pass_on()

    def _pass_on(self) -> None:
        block = b"".join(self._waiting)
        self._waiting, self._size = [], 0
        try:
            if self._meter is not None:
                self._meter.update(block)
            self._sink.write(block)
        except BaseException as error:
            self.error = error
            raise


@contextmanager
def _piped(fill: Callable[[BinaryIO], None]) -> Iterator[BinaryIO]:
    """What ``fill`` writes, in a thread of its own, as a stream to read; its error comes out at the end of the block.

    Through a pipe of the kernel: a slow side makes the other one wait, and a side that leaves makes the other one stop.
    """
    reading, writing = os.pipe()
    with suppress(OSError):
        fcntl.fcntl(reading, _F_SETPIPE_SZ, _PIPE_BYTES)

    def work() -> None:
        with os.fdopen(writing, "wb", buffering=_BLOCK) as target:
            fill(target)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="lifeboat") as pool:
        future = pool.submit(work)
        with os.fdopen(reading, "rb", buffering=_BLOCK) as source:
            try:
                yield source
                while source.read(_BLOCK):
                    pass  # what the reader left counts too
            except BaseException as error:
                source.close()
                cause = future.exception()
                # Where the writing side failed, the reader's failure only follows from it.
                if cause is None or isinstance(cause, BrokenPipeError):
                    raise
                raise cause from error
        future.result()


# -- opening ------------------------------------------------------------------------------------------------------------------------


def unseal(
    source: BinaryIO, sink: Sink, identities: Sequence[Any], *, what: str, expected: Optional[Digests] = None, recipients: Sequence[str] = ()
) -> Digests:
    """Decrypt and decompress ``source`` into ``sink``, and prove that hashes and sizes are the expected ones.

    ``what`` names the artifact in messages. ``sink`` may have got bytes before damage is noticed: use them only after this returned.
    """
    pyrage, zstandard = age_library(), _zstandard()
    sealed, plain = _Meter(), _Meter()
    reader = _Sealed(source, sealed)
    limited = _Plain(sink, plain, what, expected.plain_size_bytes if expected else None)
    output = _Output(zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW_BYTES).stream_writer(limited, write_size=_BLOCK, closefd=False))
    try:
        pyrage.decrypt_io(reader, output, list(identities))
        output.finish()
    except (pyrage.DecryptError, zstandard.ZstdError, OSError) as error:
        # pyrage wraps what its reader and writer raise.
        raise (limited.error or reader.error or _explained(error, what, recipients)) from error
    digests = Digests(plain.sha256, plain.size, sealed.sha256, sealed.size)
    if expected is not None:
        compare(digests, expected, what)
    return digests


def unseal_from(
    location: Location, key: str, sink: Sink, identities: Sequence[Any], *, what: str, expected: Optional[Digests] = None, recipients: Sequence[str] = ()
) -> Digests:
    """Open an object of the location into ``sink``."""
    with location.open(key) as source:
        return unseal(source, sink, identities, what=what, expected=expected, recipients=recipients)


def opened(
    location: Location, key: str, identities: Sequence[Any], *, what: str, expected: Optional[Digests] = None, recipients: Sequence[str] = ()
) -> ContextManager[BinaryIO]:
    """The plain bytes of an object as a stream to read. Read it to its end: leaving the block after that proves the hashes, or raises."""

    def fill(target: BinaryIO) -> None:
        unseal_from(location, key, target, identities, what=what, expected=expected, recipients=recipients)

    return _piped(fill)


def hash_object(location: Location, key: str) -> Digests:
    """Read every byte of an object; only the sealed half of the digests is filled."""
    meter = _Meter()
    with location.open(key) as source:
        for block in _blocks_of(source):
            meter.update(block)
    return Digests("", 0, meter.sha256, meter.size)


def copy_sealed(source: Location, key: str, target: Location, new_key: str, expected: Digests, *, what: str, retain_until: Optional[datetime] = None) -> None:
    """Copy a sealed object as it is; the copy becomes visible only when all its bytes are the expected ones."""
    meter = _Meter()
    with source.open(key) as stream, target.upload(new_key, retain_until) as upload, _Ahead(_blocks_of(stream)) as blocks:
        for block in blocks:
            meter.update(block)
            upload.write(block)
        compare(expected._replace(sealed_sha256=meter.sha256, sealed_size_bytes=meter.size), expected, what)
        upload.commit()


class _Sealed(io.RawIOBase):
    """What age reads from when opening."""

    def __init__(self, source: BinaryIO, meter: _Meter) -> None:
        super().__init__()
        self._source = source
        self._meter = meter
        self._ready = memoryview(b"")
        self.error: Optional[BaseException] = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._ready:
            try:
                block = self._source.read(_BLOCK)
            except BaseException as error:
                self.error = error
                raise
            self._meter.update(block)
            self._ready = memoryview(block)
        count = len(self._ready) if size < 0 else size
        taken, self._ready = self._ready[:count], self._ready[count:]
        return bytes(taken)


class _Plain(io.RawIOBase):
    """Hash, bound and pass on what comes out of the decompressor."""

    def __init__(self, sink: Sink, meter: _Meter, what: str, limit: Optional[int]) -> None:
        super().__init__()
        self._sink = sink
        self._meter = meter
        self._what = what
        self._limit = limit
        self.error: Optional[BaseException] = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        block = bytes(data)
        try:
            self._meter.update(block)
            if self._limit is not None and self._meter.size > self._limit:
                raise ArtifactDamagedError(
                    "%s holds more than was sealed" % self._what,
                    found="more than %d plain bytes" % self._limit,
                    remedy="use another recovery point, or another copy of it",
                    artifact=self._what,
                )
            self._sink.write(block)
        except BaseException as error:
            self.error = error
            raise
        return len(block)


# -- saying what is wrong -----------------------------------------------------------------------------------------------------------


def compare(found: Digests, expected: Digests, what: str) -> None:
    """Raise when an artifact is another one than the manifest says."""
    pairs = zip(Digests._fields, found, expected)
    different = ["%s is %s, not %s" % (field, is_, was) for field, is_, was in pairs if is_ != was]
    if different:
        raise ArtifactDamagedError(
            "%s is not what was sealed" % what,
            found="; ".join(different),
            remedy="use another recovery point, or another copy of it; keep this one for the search for the cause",
            artifact=what,
        )


def _explained(error: BaseException, what: str, recipients: Sequence[str]) -> SealingError:
    text = str(error)
    if "No matching keys" in text:
        return WrongIdentityError(
            "No identity matches: %s cannot be opened with the given private keys" % what,
            found="recipients of this point are: %s" % (", ".join(recipients) or "not known"),
            remedy="give the private key of one of these recipients in lifeboat_identity_files",
            artifact=what,
        )
    # What remains is damage. The words of age and zstd hold no content.
    if "truncated" in text or "fill whole buffer" in text:
        text = "the file is truncated"
    elif "last chunk" in text:
        text = "bytes were added behind its end"
    return ArtifactDamagedError(
        "%s is damaged and cannot be opened" % what,
        found=text[:200],
        remedy="use another recovery point, or another copy of it; keep this one for the search for the cause",
        artifact=what,
    )


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise DependencyMissingError(
            "The Python package zstandard is not there",
            tried="to import it on the controller",
            found=str(error),
            remedy=how_to_install("zstandard"),
        ) from error
    return zstandard


class Discard:
    """A sink for bytes of which only the hash matters."""

    def write(self, data: bytes) -> int:
        """Take and forget."""
        return len(data)
