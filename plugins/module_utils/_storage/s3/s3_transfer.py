# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes to and from S3: in parts, a few at once, each repeated whole when its connection breaks, in bounded memory."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, Deque, Dict, List, Optional, Sequence, Type

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    LocationError,
    NotEncryptedError,
    NotLockableError,
    ObjectDamagedError,
    ObjectExistsError,
    hidden,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_bucket import NOT_THERE, UNVERSIONED, Bucket, Expected, Version
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_lock import Lock
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_BLOCK = 1 << 20
_AT_ONCE = 3
# 10,000 parts are the most: with sizes that double after each thousand, they hold 8 TB.
_PARTS_OF_A_SIZE = 1000
_WRITER = "lifeboat-upload"  # metadata of every object
_REFUSED = ("PreconditionFailed", "ConditionalRequestConflict")


def checksum_of(data: bytes) -> str:
    """The checksum of bytes as S3 takes it: given in a header, it needs no trailer behind the bytes, which some servers refuse."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode("ascii")


def objects_above(bucket: Bucket, key: str, shown: Sequence[str] = ()) -> List[str]:
    """The objects that have the name of a directory in which the key lies: some servers then show nothing below it.

    ``shown``: prefixes below which something is listed, so nothing hides there.
    """
    parts = key.rstrip("/").split("/")[: None if key.endswith("/") else -1]
    parents = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    return [name for name in parents if not any(prefix.startswith(name + "/") for prefix in shown) and bucket.names_an_object(name)]


class S3Reader(io.RawIOBase):
    """The bytes of one version. The first part is there when this is made, so that what is missing is missed at once; the rest is read ahead."""

    def __init__(self, bucket: Bucket, key: str, version: Version) -> None:
        super().__init__()
        self._bucket = bucket
        self._key = key
        self._version = version
        self.size_bytes = version.size_bytes
        self._named = bucket.naming(version)
        # Without versions, a key can get other bytes between two parts. The ETag is that of the first answer: a listing may have another one.
        self._etag = ""
        self._ahead: Deque[Future[bytes]] = deque()
        self._pool: Optional[ThreadPoolExecutor] = None
        self._given_up = False
        self._asked = min(version.size_bytes, bucket.limits.part_bytes)
        self._ready = memoryview(self._fetch(0, self._asked))

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, target: Any) -> int:
        """The next bytes, none at the end."""
        if not self._ready:
            self._next()
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        """Stop reading ahead."""
        self._given_up = True
        for future in self._ahead:
            future.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None
        super().close()

    def _next(self) -> None:
        while len(self._ahead) < _AT_ONCE and self._asked < self._version.size_bytes:
            self._pool = self._pool or ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="lifeboat-s3-read")
            length = min(self._bucket.limits.part_bytes, self._version.size_bytes - self._asked)
            self._ahead.append(self._pool.submit(self._fetch, self._asked, length))
            self._asked += length
        if self._ahead:
            self._ready = memoryview(self._ahead.popleft().result())

    def _fetch(self, start: int, length: int) -> bytes:
        parameters: Dict[str, Any] = dict(self._named)
        if length < self._version.size_bytes:
            parameters["Range"] = "bytes=%d-%d" % (start, start + length - 1)
        for attempt in range(self._bucket.limits.attempts):
            if attempt:
                self._bucket.pause(attempt)
            answer = self._ask(parameters)
            whole = str(answer.get("ContentRange") or "").rpartition("/")[2]
            if answer.get("ContentLength") != length or (whole.isdigit() and int(whole) != self._version.size_bytes):
                raise LocationError(
                    "%s has another size than its listing says" % self._key,
                    tried="to read %d bytes of it from %s" % (length, self._bucket.describe()),
                    found="%s bytes" % answer.get("ContentLength"),
                    remedy="use another recovery point, or another copy of it; look for a defect of the server",
                )
            if self._version.version_id == UNVERSIONED:
                self._etag = self._etag or str(answer.get("ETag") or "")
            try:
                return self._drain(answer["Body"], length)
            except Exception as error:  # the connection broke under the body: botocore repeats only what fails before it
                failure = self._bucket.explained(error, "get_object", self._key)
                if attempt and isinstance(failure, ObjectDamagedError):
                    break  # twice the wrong checksum is not the way's fault
        raise failure

    def _ask(self, parameters: Dict[str, Any]) -> Dict[str, Any]:
        condition = {"IfMatch": self._etag} if self._etag else {}
        try:
            return self._bucket.call("get_object", self._key, ("PreconditionFailed",) if condition else (), **parameters, **condition)
        except Expected as refusal:
            raise LocationError(
                "%s got other bytes while it was read" % self._key,
                tried="to read the rest of it from %s" % self._bucket.describe(),
                found="it had the ETag %s, and no longer has" % self._etag,
                remedy="somebody wrote over it, and this bucket has no versions: use another recovery point, or another copy of it",
            ) from refusal

    def _drain(self, body: Any, length: int) -> bytes:
        data = bytearray()
        with body:
            while len(data) < length and not self._given_up:
                block = body.read(min(_BLOCK, length - len(data)))
                if not block:
                    raise ConnectionResetError("the body ended early")
                data += block
            if not self._given_up:
                body.read(1)  # at the end, checksums are compared
        return bytes(data)


class S3Upload:
    """A new object: one request when it is small, parts when it is not. It is there after ``commit`` only."""

    def __init__(self, bucket: Bucket, key: str, name: str, *, lock: Lock, encryption: Dict[str, str], in_parts: bool = False) -> None:
        """``key`` is the whole key, ``name`` how messages call it. ``in_parts``: also what would fit into one request."""
        self._bucket = bucket
        self._key = key
        self._name = name
        self._lock = lock
        self._encryption = encryption
        self._in_parts = in_parts
        # Who wrote a version: an answer can be lost and the request repeated, then what is there already is ours.
        self._writer = os.urandom(16).hex()
        self._attributes: Dict[str, Any] = {"Metadata": {_WRITER: self._writer}, **encryption, **lock.parameters()}
        # A locked object needs a checksum in its requests, also from clients that were told to send none that is not needed.
        self._checksums = bucket.sends_checksums or lock.wanted
        self._hash = hashlib.sha256()
        self._size = 0
        self._waiting: List[memoryview] = []
        self._waiting_bytes = 0
        self._upload_id = ""
        self._sent = 0
        self._parts: List[Dict[str, Any]] = []
        self._sending: Deque[Future[Dict[str, Any]]] = deque()
        self._pool: Optional[ThreadPoolExecutor] = None

    # -- writing ------------------------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> int:
        """Take more bytes."""
        self._hash.update(data)
        self._size += len(data)
        view = memoryview(data)
        while view:
            taken = view[: self._part_bytes() - self._waiting_bytes]
            self._waiting.append(taken)
            self._waiting_bytes += len(taken)
            view = view[len(taken) :]
            # One that just fits is kept back: it may be the whole object.
            if view and self._waiting_bytes == self._part_bytes():
                self._send()
        return len(data)

    @property
    def sha256(self) -> str:
        """Of all that was written. Whoever seals into this takes it, and spares a hashing of its own."""
        return self._hash.hexdigest()

    def flush(self) -> None:
        """Do nothing; ``commit`` sends what is left."""

    def _part_bytes(self) -> int:
        return self._bucket.limits.part_bytes << (self._sent // _PARTS_OF_A_SIZE)

    def _send(self) -> None:
        if self._pool is None:
            kind = {"ChecksumAlgorithm": "CRC32"} if self._checksums else {}
            answer = self._bucket.call("create_multipart_upload", self._key, **self._attributes, **kind)
            self._upload_id = str(answer["UploadId"])
            self._pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="lifeboat-s3-write")
        while len(self._sending) >= _AT_ONCE:
            self._parts.append(self._sending.popleft().result())
        self._sent += 1
        data = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        self._sending.append(self._pool.submit(self._send_part, self._sent, data))

    def _send_part(self, number: int, data: bytes) -> Dict[str, Any]:
        checksum = self._checksum(data)
        answer = self._bucket.call("upload_part", self._key, UploadId=self._upload_id, PartNumber=number, Body=data, **checksum)
        return {"PartNumber": number, "ETag": answer["ETag"], **checksum}

    def _checksum(self, data: bytes) -> Dict[str, str]:
        return {"ChecksumCRC32": checksum_of(data)} if self._checksums else {}

    # -- committing ---------------------------------------------------------------------------------------------------------------

    def commit(self) -> bool:
        """Make the object visible, durable and final. False when exactly these bytes were there already."""
        if self._upload_id or self._in_parts:
            self._send()
            while self._sending:
                self._parts.append(self._sending.popleft().result())
        conditional = self._bucket.conditional
        for attempt in range(self._bucket.limits.attempts):
            if attempt:
                self._bucket.pause(attempt)
            if self._looks_first:
                original = self._bucket.history(self._key).original
                if original is not None:
                    return self._ours_or_compared(original)
            try:
                return self._publish(conditional)
            except Expected as refusal:
                if conditional and refusal.code in NOT_THERE:
                    conditional = self._bucket.conditional = False
                    # From now on somebody has to look first: what lies over an object, and is locked, cannot be taken back.
                    self._bucket.ignores_conditions = True
                    continue
                original = self._bucket.history(self._key).original
                if original is not None:
                    return self._ours_or_compared(original)
                if refusal.code == "NoSuchUpload":
                    raise self._lost("somebody ended the upload before it was finished") from refusal
                if refusal.code == "PreconditionFailed":
                    # Nothing but a delete marker, which this server takes for an object. Or an object that no listing shows.
                    self._raise_if_hidden()
                    conditional = False
        raise self._lost("another writer of the key that neither finished nor gave up")

    @property
    def _looks_first(self) -> bool:
        """Whether an object that is there would be replaced, or get a version over it that is locked and stays, if nobody looked."""
        return self._bucket.ignores_conditions or not self._bucket.versioned

    def _publish(self, conditional: bool) -> bool:
        """Make it visible; with the condition only if there is nothing. Who was first is looked up in any case."""
        condition = {"IfNoneMatch": "*"} if conditional else {}
        expected = (*_REFUSED, *NOT_THERE) if conditional else ()
        if self._upload_id:
            parts = {"Parts": self._parts}
            answer = self._bucket.call(
                "complete_multipart_upload", self._key, (*expected, "NoSuchUpload"), UploadId=self._upload_id, MultipartUpload=parts, **condition
            )
            self._upload_id = ""
        else:
            answer = self._put(conditional)
        return self._settle(answer.get("VersionId"), conditional)

    def _put(self, conditional: bool) -> Dict[str, Any]:
        data = b"".join(self._waiting)
        request = {"Body": data, **self._attributes, **self._checksum(data)}
        try:
            if not conditional:
                return self._bucket.call("put_object", self._key, **request)
            # A server that does not know the condition, and one that does not know the lock, answer with the same code: the next attempt tells which.
            expected = (*_REFUSED, *NOT_THERE)
            return self._bucket.call("put_object", self._key, expected, IfNoneMatch="*", **request)
        except NotLockableError:
            # Some servers keep what they refused to lock.
            with suppress(LifeboatError):
                head = self._head(None)
                if self._is_ours(head):
                    self._withdraw(head.get("VersionId"))
            raise

    def _settle(self, version_id: Optional[str], conditional: bool) -> bool:
        """After the server said yes: is it all there, locked, and the first?"""
        head = self._head(version_id)
        ours = self._is_ours(head)
        if ours:
            self._check(head, version_id)
        original = self._bucket.history(self._key).original
        if original is None:
            self._raise_if_hidden()
            raise self._lost("nothing under its key")
        if original.version_id == (version_id or UNVERSIONED) and ours:
            return True
        # The server took it although something was there.
        self._bucket.ignores_conditions = self._bucket.ignores_conditions or conditional
        self._withdraw(version_id)
        return self._ours_or_compared(original)

    def _raise_if_hidden(self) -> None:
        above = objects_above(self._bucket, self._key)
        if above:
            raise hidden(self._name, self._bucket.describe(), above)

    def _head(self, version_id: Optional[str]) -> Dict[str, Any]:
        # Not all servers know the only version of a bucket without versions by its id here.
        version = {"VersionId": version_id} if version_id not in (None, UNVERSIONED) else {}
        return self._bucket.call("head_object", self._key, **version)

    def _is_ours(self, head: Dict[str, Any]) -> bool:
        return bool(head.get("Metadata", {}).get(_WRITER) == self._writer)

    def _ours_or_compared(self, original: Version) -> bool:
        head = self._bucket.call("head_object", self._key, **self._bucket.naming(original))
        if self._is_ours(head):  # the answer was lost, and the request repeated
            self._check(head, original.version_id)
            return True
        if original.size_bytes != self._size or not self._same_bytes(original):
            raise ObjectExistsError(
                "%s exists already, with other bytes" % self._name,
                tried="to write it in %s" % self._bucket.describe(),
                found="an earlier or concurrent writer was first; nothing is ever rewritten",
                remedy="open a new recovery point; if two runs back up the same cluster at once, let only one",
            )
        if self._lock.wanted:
            self._lock.extend(self._bucket, self._key, original.version_id)
        return False

    def _same_bytes(self, original: Version) -> bool:
        digest = hashlib.sha256()
        with S3Reader(self._bucket, self._key, original) as stream:
            while True:
                block = stream.read(_BLOCK)
                if not block:
                    return digest.digest() == self._hash.digest()
                digest.update(block)

    def _check(self, head: Dict[str, Any], version_id: Optional[str]) -> None:
        if head.get("ContentLength") != self._size:
            self._withdraw(version_id)
            raise LocationError(
                "%s did not arrive whole, although the S3 server accepted it" % self._name,
                tried="to write %d bytes to %s" % (self._size, self._bucket.describe()),
                found="%s bytes" % head.get("ContentLength"),
                remedy="open a new recovery point; look for a defect of the server, or for something between that changes what is sent",
            )
        try:
            self._check_encrypted(head)
            if not self._lock.holds(head):
                # Some servers drop the lock of an upload in parts, and take one that is set when it is there.
                with suppress(LifeboatError):
                    self._lock.extend(self._bucket, self._key, version_id or UNVERSIONED)
                    head = self._head(version_id)
                    # And some do not show the lock of a version that has another one above it.
                    head = head if self._lock.holds(head) else {**head, **self._lock.shown(self._bucket, self._key, version_id or UNVERSIONED)}
            self._lock.check(head, self._name, self._bucket.describe())
        except LifeboatError:
            self._withdraw(version_id)
            raise

    def _check_encrypted(self, head: Dict[str, Any]) -> None:
        wanted, found = self._encryption.get("ServerSideEncryption"), head.get("ServerSideEncryption")
        if wanted and found != wanted:
            raise NotEncryptedError(
                "%s was stored, but is not encrypted by the server as demanded" % self._name,
                tried="to have it encrypted with %s in %s" % (wanted, self._bucket.describe()),
                found="encrypted with %s" % found if found else "no encryption; the server ignored the request",
                remedy="use a server that does it (docs/locations.md has a table), or take the location's option server_side_encryption out: "
                "artifacts are sealed in any case",
            )

    def _withdraw(self, version_id: Optional[str]) -> None:
        """Take back a version of ours that is of no use, where the credentials allow that; else it lies there and is reported as one too many.

        Without versions, what lies under the key may be another writer's by now.
        """
        with suppress(LifeboatError):
            if version_id not in (None, UNVERSIONED) or self._is_ours(self._head(None)):
                self._bucket.delete(self._key, version_id or UNVERSIONED)

    def _lost(self, found: str) -> LocationError:
        return LocationError(
            "%s could not be finished" % self._name,
            tried="to write it in %s" % self._bucket.describe(),
            found=found,
            remedy="let only one run back up this cluster at a time, and open a new recovery point",
        )

    # -- leaving ------------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> S3Upload:
        """Enter the block that writes."""
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        """Drop what was not committed."""
        for future in self._sending:
            future.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=True)  # a part that arrives after the abort would stay
            self._pool = None
        self._waiting = []
        if self._upload_id:
            with suppress(LifeboatError, Expected):  # the server is gone, or the right to do it; what stayed is swept later
                self._bucket.call("abort_multipart_upload", self._key, UploadId=self._upload_id)
            self._upload_id = ""
