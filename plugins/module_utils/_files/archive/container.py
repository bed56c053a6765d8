# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of a host archive: one PAX tar whose first member is an index with attributes and digest of every path."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
import time
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Callable, Dict, List, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.entries import (
    DIRECTORY,
    FILE,
    HARDLINK,
    SYMLINK,
    Entry,
    entry_from_json,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.globs import normal_path
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import CHUNK, display
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

INDEX_NAME = "LIFEBOAT-INDEX.json"
FACTS_NAME = "LIFEBOAT-FACTS.json"
FORMAT = 1
_XATTR = "SCHILY.xattr."
_TAR_TYPES = {FILE: tarfile.REGTYPE, DIRECTORY: tarfile.DIRTYPE, SYMLINK: tarfile.SYMTYPE, HARDLINK: tarfile.LNKTYPE}
_BLOCK = tarfile.BLOCKSIZE
# What tarfile raises on damaged headers, besides its own errors.
_DAMAGE = (tarfile.TarError, ValueError, EOFError, OverflowError, LookupError, MemoryError)


class ArchiveError(LifeboatError):
    """A host archive that cannot be written, or that must not be believed."""


def damaged(path: str, found: str) -> ArchiveError:
    """The error for an archive that is not what its writer wrote."""
    return ArchiveError(
        "The archive %s is damaged or was not written by host_archive." % display(path),
        tried="read it against its index",
        found=found,
        remedy="Fetch it again; if it stays so, use another copy or another recovery point.",
    )


@dataclass
class Index:
    """What an archive holds, in the order of its members; ``parents`` are directories above the captured paths."""

    entries: List[Entry]
    parents: List[Entry]
    skipped: List[Dict[str, str]]
    missing: List[str]
    paths: List[str]
    exclude: List[str]
    facts_sha256: str = ""
    taken_at: str = ""
    by_path: Dict[str, Entry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.by_path = {entry.path: entry for entry in self.entries}

    def as_bytes(self) -> bytes:
        """The index as it is written."""
        body: Dict[str, Any] = {
            "entries": [entry.as_json() for entry in self.entries],
            "parents": [entry.as_json() for entry in self.parents],
            "skipped": self.skipped,
            "missing": self.missing,
            "paths": self.paths,
            "exclude": self.exclude,
            "facts_sha256": self.facts_sha256,
            "taken_at": self.taken_at,
        }
        return json.dumps({"format": FORMAT, "body_sha256": _canonical(body), "body": body}, sort_keys=True).encode("ascii")


def _canonical(body: Dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def _text_list(value: Any) -> List[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list is not a list of texts")
    return value


def parse_index(data: bytes, path: str) -> Index:
    """The index out of its bytes, checked so that nothing in it can lead out of a directory."""
    try:
        document = json.loads(data.decode("ascii"))
        if document["format"] != FORMAT:
            raise damaged(path, "an index of format %r; this version knows %d" % (document["format"], FORMAT))
        body = document["body"]
        if _canonical(body) != document["body_sha256"]:
            raise damaged(path, "an index that does not agree with its own digest")
        index = Index(
            entries=[entry_from_json(item) for item in body["entries"]],
            parents=[entry_from_json(item) for item in body["parents"]],
            skipped=[{"path": str(item["path"]), "reason": str(item["reason"])} for item in body["skipped"]],
            missing=_text_list(body["missing"]),
            paths=_text_list(body["paths"]),
            exclude=_text_list(body["exclude"]),
            facts_sha256=str(body["facts_sha256"]),
            taken_at=str(body["taken_at"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, "an index that cannot be read") from error
    _check(index, path)
    return index


def _check(index: Index, path: str) -> None:
    """Refuse an index that is not consistent in itself."""
    if len(index.by_path) != len(index.entries):
        raise damaged(path, "a path that is in the index twice")
    if any(entry.type != DIRECTORY for entry in index.parents):
        raise damaged(path, "something that is no directory above a captured path")
    for entry in index.entries + index.parents:
        shown = display(entry.path)
        if entry.path == "/" or normal_path(entry.path) != entry.path or entry.path in ("/" + INDEX_NAME, "/" + FACTS_NAME):
            raise damaged(path, "the path %s, which cannot be restored" % shown)
        if entry.type not in _TAR_TYPES or not re.match(r"[0-7]{4}\Z", entry.mode) or min(entry.uid, entry.gid, entry.size) < 0:
            raise damaged(path, "attributes of %s that are not possible" % shown)
        if not re.match(r"[0-9a-f]{64}\Z" if entry.type in (FILE, HARDLINK) else r"\Z", entry.sha256):
            raise damaged(path, "no usable digest of %s" % shown)
        if "\0" in entry.link_target or bool(entry.link_target) != (entry.type in (SYMLINK, HARDLINK)):
            raise damaged(path, "a link target of %s that is not possible" % shown)
        if any(not isinstance(value, str) for value in entry.xattrs.values()):
            raise damaged(path, "an extended attribute of %s without digest" % shown)
    seen: Dict[str, Entry] = {}
    for entry in index.entries:
        seen[entry.path] = entry
        if entry.type == HARDLINK:
            first = seen.get(entry.link_target)
            if first is None or first.type != FILE or (first.sha256, first.size) != (entry.sha256, entry.size):
                raise damaged(path, "the hard link %s to something that is not in the archive before it" % display(entry.path))
        above = os.path.dirname(entry.path)
        while above != "/":
            if above in index.by_path and index.by_path[above].type != DIRECTORY:
                raise damaged(path, "%s beneath something that is no directory" % display(entry.path))
            above = os.path.dirname(above)


def header(entry: Entry, xattrs: Dict[str, bytes]) -> bytes:
    """The tar header of an entry, with a PAX header for what the old format cannot hold."""
    info = tarfile.TarInfo(entry.path[1:])
    info.type = _TAR_TYPES[entry.type]
    info.mode = int(entry.mode, 8)
    info.uid, info.gid, info.uname, info.gname = entry.uid, entry.gid, entry.owner, entry.group
    info.size = entry.size if entry.type == FILE else 0
    info.linkname = entry.link_target[1:] if entry.type == HARDLINK else entry.link_target
    info.mtime = max(0, entry.mtime_ns // 1_000_000_000)
    extended = {_XATTR + name.replace("%", "%25").replace("=", "%3D"): value.decode("utf-8", "surrogateescape") for name, value in sorted(xattrs.items())}
    if entry.mtime_ns < 0 or entry.mtime_ns % 1_000_000_000:
        extended["mtime"] = _time_text(entry.mtime_ns)
    info.pax_headers = extended
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def plain_header(name: str, size: int, mtime: int) -> bytes:
    """The tar header of one of the archive's own members."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime, info.uname, info.gname = size, 0o600, mtime, "root", "root"
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _time_text(nanoseconds: int) -> str:
    sign = "-" if nanoseconds < 0 else ""
    return "%s%d.%09d" % (sign, *divmod(abs(nanoseconds), 1_000_000_000))


def padding(size: int) -> bytes:
    """Zeros that fill the last block of a member."""
    return bytes(-size % _BLOCK)


def end_of_archive(size: int) -> bytes:
    """The two empty blocks at the end, filled up to a whole record."""
    return bytes(2 * _BLOCK + -(size + 2 * _BLOCK) % tarfile.RECORDSIZE)


class _Hashing:
    """Reads a file from its start and hashes everything that passes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        self.size += len(data)
        return data

    def drain(self) -> bool:
        """Read to the end; whether only zeros were left."""
        empty = True
        while True:
            data = self.read(CHUNK)
            if not data:
                return empty
            empty = empty and not data.strip(b"\0")


# Called for each entry in order, with its extended attributes and a reader of its contents (None when it has none).
Visitor = Callable[[Entry, Dict[str, bytes], Optional[Callable[[Callable[[bytes], None]], None]]], None]


@dataclass
class Contents:
    """What a whole reading of an archive found."""

    index: Index
    facts: Optional[bytes]
    sha256: str
    size: int


def read_index(file: BinaryIO, path: str) -> Index:
    """The index alone, from the start of an open archive."""
    try:
        with tarfile.open(fileobj=file, mode="r|", encoding="utf-8", errors="surrogateescape") as tar:
            return _first(tar, path)
    except _DAMAGE as error:
        raise damaged(path, "something else than a tar archive at its start") from error


def _first(tar: tarfile.TarFile, path: str) -> Index:
    member = tar.next()
    if member is None or member.name != INDEX_NAME or not member.isreg():
        raise damaged(path, "no %s as its first member" % INDEX_NAME)
    return parse_index(_contents(tar, member), path)


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    if file is None:
        raise ValueError("no contents")
    return file.read()


def read_archive(file: BinaryIO, path: str, visit: Visitor) -> Contents:
    """Read a whole archive from the start of an open file; every member must be as the index says, and nothing may be left over."""
    source = _Hashing(file)
    facts: Optional[bytes] = None
    try:
        # tarfile needs nothing of the file but read().
        with tarfile.open(fileobj=_as_file(source), mode="r|", encoding="utf-8", errors="surrogateescape") as tar:
            index = _first(tar, path)
            if index.facts_sha256:
                member = tar.next()
                if member is None or member.name != FACTS_NAME or not member.isreg():
                    raise damaged(path, "no %s where the index announces it" % FACTS_NAME)
                facts = _contents(tar, member)
                if hashlib.sha256(facts).hexdigest() != index.facts_sha256:
                    raise damaged(path, "other contents of %s than the index says" % FACTS_NAME)
            for entry in index.entries:
                _visit(tar, entry, path, visit)
            if tar.next() is not None:
                raise damaged(path, "a member that is not in the index")
    except _DAMAGE as error:
        raise damaged(path, "headers that cannot be read") from error
    if not source.drain():
        raise damaged(path, "data behind its end")
    return Contents(index, facts, source.digest.hexdigest(), source.size)


def _as_file(source: Any) -> BinaryIO:
    file: BinaryIO = source
    return file


def _visit(tar: tarfile.TarFile, entry: Entry, path: str, visit: Visitor) -> None:
    shown = display(entry.path)
    member = tar.next()
    if member is None:
        raise damaged(path, "its end where %s should be" % shown)
    xattrs = _xattrs(member)
    _compare(member, entry, xattrs, path)
    if entry.type != FILE:
        visit(entry, xattrs, None)
        return
    file = tar.extractfile(member)
    digest = hashlib.sha256()
    used: List[bool] = []

    def contents(consume: Callable[[bytes], None]) -> None:
        used.append(True)
        while file is not None:
            data = file.read(CHUNK)
            if not data:
                break
            digest.update(data)
            consume(data)
        if digest.hexdigest() != entry.sha256:
            raise damaged(path, "other contents of %s than the index says" % shown)

    visit(entry, xattrs, contents)
    if not used:
        contents(lambda _data: None)


def _xattrs(member: tarfile.TarInfo) -> Dict[str, bytes]:
    return {
        name[len(_XATTR) :].replace("%3D", "=").replace("%25", "%"): value.encode("utf-8", "surrogateescape")
        for name, value in member.pax_headers.items()
        if name.startswith(_XATTR)
    }


def _compare(member: tarfile.TarInfo, entry: Entry, xattrs: Dict[str, bytes], path: str) -> None:
    """Header and index must tell the same story, or a plain tar would restore something else."""
    expected: Tuple[Any, ...] = (
        entry.path[1:],
        _TAR_TYPES[entry.type],
        int(entry.mode, 8),
        entry.uid,
        entry.gid,
        entry.size if entry.type == FILE else 0,
        entry.link_target[1:] if entry.type == HARDLINK else entry.link_target,
        entry.xattrs,
    )
    digests = {name: hashlib.sha256(value).hexdigest() for name, value in xattrs.items()}
    found = (member.name, member.type, member.mode, member.uid, member.gid, member.size, member.linkname, digests)
    if found != expected:
        raise damaged(path, "another header of %s than the index says" % display(entry.path))


def now() -> str:
    """The time as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
