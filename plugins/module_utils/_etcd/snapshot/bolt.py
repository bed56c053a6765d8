# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader of bbolt files (the database inside an etcd snapshot), read-only and distrustful of every number in the file.

Layout (little endian): pages of ``page_size`` bytes with a header of 16: id u64, flags u16, count u16, overflow u32. Pages 0 and 1
are metas. A leaf element is flags u32 (1: nested bucket), pos u32, ksize u32, vsize u32 with the key at element + pos; a branch
element is pos u32, ksize u32, pgid u64. A nested bucket's value is root pgid u64 and sequence u64; root 0 means that its only page
follows inline.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Set, Tuple, cast

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import SnapshotInvalid, StoreCorrupt

BRANCH, LEAF, META, FREELIST = 1, 2, 4, 16
_MAGIC = 0xED0CDAED
_VERSION = 2
_HEADER = struct.Struct("<QHHI")
_META = struct.Struct("<IIIIQQQQQQ")
_LEAF_ELEMENT = struct.Struct("<IIII")
_BRANCH_ELEMENT = struct.Struct("<IIQ")
_BUCKET = struct.Struct("<QQ")
_LEAF_BUCKET = 1
_SMALLEST_PAGE, _LARGEST_PAGE = 512, 1 << 20


@dataclass(frozen=True)
class Meta:
    """The valid meta page with the higher transaction id."""

    page_size: int
    root: int
    freelist: int
    high_water: int
    transaction: int

    @property
    def database_bytes(self) -> int:
        """How long the database is: a snapshot contains exactly this, and its trailer."""
        return self.high_water * self.page_size


@dataclass(frozen=True)
class Bucket:
    """Where a bucket's rows begin: at page ``root``, or inline at ``inline`` (offset, end) of the file."""

    name: str
    root: int
    inline: Optional[Tuple[int, int]] = None


def _fnv1a64(data: bytes) -> int:
    result = 0xCBF29CE484222325
    for byte in data:
        result = ((result ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return result


class _Reads:
    """A file that is read piece by piece: as much of a mapping as heads, rows and values of small buckets need."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __getitem__(self, part: slice) -> bytes:
        return os.pread(self._descriptor, max(0, part.stop - part.start), part.start)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class BoltFile:
    """An open bbolt file. Rows are given as offsets into ``data``, so that nothing is copied that nobody wants."""

    def __init__(self, path: str, head_only: bool = False, mapped: bool = True) -> None:
        self.path = path
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SnapshotInvalid("%s cannot be opened" % path, found=str(error.strerror), remedy="Check path and permissions.", path=path) from None
        try:
            self.size_bytes = os.fstat(descriptor).st_size
            if self.size_bytes < 4 * _SMALLEST_PAGE:
                raise SnapshotInvalid(
                    "%s is not an etcd database" % path, found="a file of %d bytes" % self.size_bytes, remedy="Use another copy.", path=path, reason="truncated"
                )
            # A disk that fails ends a program that has mapped the file, and is an OSError for one that reads it.
            self.data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) if mapped else cast(mmap.mmap, _Reads(os.dup(descriptor)))
        finally:
            os.close(descriptor)
        self._seen: Set[int] = set()
        self.buckets: Dict[str, Bucket] = {}
        try:
            self.meta = self._newest_meta()
            if not head_only:
                self.buckets = self._top_level()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the mapping back."""
        self.data.close()

    def __enter__(self) -> BoltFile:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def rows(self, name: str) -> Iterator[Tuple[int, int, int, int]]:
        """All rows of a top-level bucket in the order of their keys: (key start, key end = value start, value end, flags).

        A bucket that is not there has no rows.
        """
        bucket = self.buckets.get(name)
        if bucket is None:
            return iter(())
        # Pages of other buckets may not turn up here again, and a second walk of the same bucket must be possible.
        return self._rows(bucket, set(self._seen))

    def items(self, name: str) -> Iterator[Tuple[bytes, bytes]]:
        """All rows of a top-level bucket as (key, value)."""
        for start, middle, end, _flags in self.rows(name):
            yield self.data[start:middle], self.data[middle:end]

    def last_key(self, name: str) -> Optional[bytes]:
        """The highest key of a top-level bucket, without reading the others; None when it has none."""
        bucket = self.buckets.get(name)
        if bucket is None:
            return None
        for start, middle, _end, _flags in self._rows(bucket, set(self._seen), last=True):
            return self.data[start:middle]
        return None

    def get(self, name: str, key: bytes) -> Optional[bytes]:
        """The value of one key in a small bucket."""
        for row_key, value in self.items(name):
            if row_key == key:
                return value
        return None

    def _corrupt(self, what: str, page: int) -> StoreCorrupt:
        return StoreCorrupt(
            "the database in %s contradicts itself" % self.path,
            found="page %d: %s" % (page, what),
            remedy="Use another copy of this snapshot, or another recovery point.",
            path=self.path,
            reason="corrupt",
            page=page,
        )

    def _newest_meta(self) -> Meta:
        candidates: List[Meta] = []
        reasons: List[str] = []
        sizes = [_SMALLEST_PAGE << shift for shift in range(12) if _SMALLEST_PAGE << shift <= _LARGEST_PAGE]
        # The second meta lies one page further; its place is known from the first, or has to be tried when that one is broken.
        for offset in [0] + sizes:
            meta, reason = self._meta_at(offset)
            if meta is not None and (offset == 0 or offset == meta.page_size):
                candidates.append(meta)
            elif offset in (0, 4096):
                reasons.append("at %d: %s" % (offset, reason))
        if not candidates:
            raise SnapshotInvalid(
                "%s is not an etcd database, or its head is damaged" % self.path,
                found="; ".join(reasons),
                remedy="Use another copy of this snapshot, or another recovery point.",
                path=self.path,
                reason="no_meta",
            )
        return max(candidates, key=lambda meta: meta.transaction)

    def _meta_at(self, offset: int) -> Tuple[Optional[Meta], str]:
        start = offset + _HEADER.size
        if start + _META.size > self.size_bytes:
            return None, "the file ends before it"
        magic, version, page_size, _flags, root, _sequence, freelist, high_water, transaction, checksum = _META.unpack(self.data[start : start + _META.size])
        if magic != _MAGIC:
            return None, "no bbolt magic number"
        if version != _VERSION:
            return None, "bbolt version %d" % version
        if _fnv1a64(self.data[start : start + _META.size - 8]) != checksum:
            return None, "wrong checksum"
        if page_size & (page_size - 1) or not _SMALLEST_PAGE <= page_size <= _LARGEST_PAGE:
            return None, "page size %d" % page_size
        return Meta(page_size, root, freelist, high_water, transaction), ""

    def _top_level(self) -> Dict[str, Bucket]:
        result: Dict[str, Bucket] = {}
        for start, middle, end, flags in self._rows(Bucket("", self.meta.root), self._seen):
            if not flags & _LEAF_BUCKET:
                raise self._corrupt("the root holds something that is not a bucket", self.meta.root)
            if end - middle < _BUCKET.size:
                raise self._corrupt("a bucket's head of %d bytes" % (end - middle), self.meta.root)
            name = self.data[start:middle].decode("utf-8", "backslashreplace")
            root, _sequence = _BUCKET.unpack(self.data[middle : middle + _BUCKET.size])
            result[name] = Bucket(name, root, (middle + _BUCKET.size, end) if root == 0 else None)
        return result

    def _rows(self, bucket: Bucket, seen: Set[int], last: bool = False) -> Iterator[Tuple[int, int, int, int]]:
        if bucket.inline is not None:
            start, end = bucket.inline
            if end - start < _HEADER.size:
                raise self._corrupt("inline bucket %s is cut off" % bucket.name, 0)
            _identity, flags, count, _overflow = _HEADER.unpack(self.data[start : start + _HEADER.size])
            if not flags & LEAF:
                raise self._corrupt("inline bucket %s is not a leaf" % bucket.name, 0)
            yield from self._of_leaf(start, end, count, 0, last)
            return
        stack = [bucket.root]
        while stack:
            page = stack.pop()
            if page in seen:
                raise self._corrupt("it is referred to twice", page)
            seen.add(page)
            offset = page * self.meta.page_size
            if page < 2 or page >= self.meta.high_water or offset + self.meta.page_size > self.size_bytes:
                raise self._corrupt("bucket %s refers to it, but it lies outside of the file" % (bucket.name or "(root)"), page)
            identity, flags, count, overflow = _HEADER.unpack(self.data[offset : offset + _HEADER.size])
            end = offset + (overflow + 1) * self.meta.page_size
            if identity != page:
                raise self._corrupt("it says that it is page %d" % identity, page)
            if end > self.size_bytes:
                raise self._corrupt("it is said to be %d pages long, past the end of the file" % (overflow + 1), page)
            if flags & LEAF:
                yield from self._of_leaf(offset, end, count, page, last)
            elif flags & BRANCH:
                children = self._children(offset, end, count, page)
                stack.extend(children[-1:] if last else reversed(children))
            else:
                raise self._corrupt("flags %d are neither a leaf's nor a branch's" % flags, page)

    def _of_leaf(self, offset: int, end: int, count: int, page: int, last: bool) -> Iterator[Tuple[int, int, int, int]]:
        rows = self._leaf(offset, end, count, page)
        return iter(list(rows)[-1:]) if last else rows

    def _leaf(self, offset: int, end: int, count: int, page: int) -> Iterator[Tuple[int, int, int, int]]:
        first = offset + _HEADER.size
        table_end = first + count * _LEAF_ELEMENT.size
        if table_end > end:
            raise self._corrupt("%d elements do not fit into it" % count, page)
        element = first
        for flags, position, key_bytes, value_bytes in _LEAF_ELEMENT.iter_unpack(self.data[first:table_end]):
            start = element + position
            middle = start + key_bytes
            last = middle + value_bytes
            if start < table_end or last > end:
                raise self._corrupt("an element lies outside of it", page)
            yield start, middle, last, flags
            element += 16

    def _children(self, offset: int, end: int, count: int, page: int) -> List[int]:
        first = offset + _HEADER.size
        table_end = first + count * _BRANCH_ELEMENT.size
        if table_end > end:
            raise self._corrupt("%d elements do not fit into it" % count, page)
        if not count:
            raise self._corrupt("a branch without children", page)
        return [child for _position, _key_bytes, child in _BRANCH_ELEMENT.iter_unpack(self.data[first:table_end])]
