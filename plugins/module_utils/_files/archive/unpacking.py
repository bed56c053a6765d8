# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpack a host archive into a private directory, where nothing of it takes effect yet."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import stat
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Set

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.archive import open_archive
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.container import (
    FACTS_NAME,
    INDEX_NAME,
    ArchiveError,
    Index,
    damaged,
    parse_index,
    read_archive,
    read_index,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import (
    CHUNK,
    display,
    exclusive,
    make_directories,
    read_json,
    reason,
    room,
    sync_directories,
    sync_directory,
    write_all,
    write_file,
    write_json,
)

TREE = "tree"
_MARKER = "COMPLETE.json"
_STARTED = "UNPACKING"
_ATTRIBUTES = "attributes.json"
_LOCK = ".lock"


@dataclass
class Staged:
    """An unpacked archive."""

    path: str
    index: Index
    archive_sha256: str
    created: bool

    def file(self, entry: Entry) -> str:
        """Where the contents of an entry lie."""
        return staged_path(self.path, entry.path)

    def xattrs(self) -> Dict[str, Dict[str, bytes]]:
        """Values of extended attributes by path and name."""
        document = read_json(os.path.join(self.path, _ATTRIBUTES), "The list of extended attributes in the staging directory")
        return {path: {name: base64.b64decode(value) for name, value in values.items()} for path, values in document.items()}


def staged_path(staging: str, path: str) -> str:
    """Where a captured path lies in a staging directory."""
    return os.path.join(staging, TREE) + path


def archive_digest(path: str) -> str:
    """SHA-256 of an archive file."""
    digest = hashlib.sha256()
    with open_archive(path) as file:
        for data in iter(lambda: file.read(CHUNK), b""):
            digest.update(data)
    return digest.hexdigest()


def _require_digest(path: str, expected: str) -> str:
    found = archive_digest(path)
    if expected and found != expected.lower():
        raise ArchiveError(
            "The archive %s is not the expected one." % display(path),
            tried="compare its SHA-256 with %s" % expected.lower(),
            found=found,
            remedy="Fetch it again; if it stays so, use another copy or another recovery point.",
        )
    return found


def peek(archive: str, sha256: str = "") -> Index:
    """The index of an archive that is not unpacked."""
    _require_digest(archive, sha256)
    with open_archive(archive) as file:
        return read_index(file, archive)


def open_staging(staging: str) -> Staged:
    """An unpacked archive that is complete."""
    try:
        marker = read_json(os.path.join(staging, _MARKER), "The marker of the staging directory")
        with open(os.path.join(staging, INDEX_NAME), "rb") as file:
            data = file.read()
    except OSError as error:
        raise ArchiveError(
            "There is no complete unpacked archive in %s." % display(staging),
            tried="read its marker and index",
            found=reason(error),
            remedy="Unpack the archive first (host_archive_restore with 'archive' and state unpacked).",
        ) from error
    if hashlib.sha256(data).hexdigest() != marker.get("index_sha256"):
        raise damaged(staging, "another index than was unpacked")
    return Staged(staging, parse_index(data, staging), str(marker.get("archive_sha256")), created=False)


def is_complete(staging: str) -> bool:
    """Whether a staging directory holds a completely unpacked archive."""
    return os.path.lexists(os.path.join(staging, _MARKER))


def unpack(archive: str, staging: str, sha256: str = "") -> Staged:
    """Unpack an archive into ``staging``. One that is already complete there is kept; what a killed run left there is done anew."""
    if is_complete(staging) and not os.path.lexists(archive):
        return _instead(staging, sha256)
    digest = _require_digest(archive, sha256)
    _own_directory(staging)
    with exclusive(os.path.join(staging, _LOCK), "The staging directory %s" % display(staging), wait=False):
        if is_complete(staging):
            staged = open_staging(staging)
            _require_same(staged, digest)
            # Killed between its last two steps, an earlier run left its other marker.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(staging, _STARTED))
            return staged
        _clear(staging)
        try:
            return _Unpacking(archive, staging, digest).run()
        except OSError as error:
            raise ArchiveError(
                "The archive %s cannot be unpacked into %s." % (display(archive), display(staging)),
                tried="write its files there",
                found=reason(error),
                remedy="Free space there, or choose another directory, and run again.",
            ) from error


def _instead(staging: str, sha256: str) -> Staged:
    """What was unpacked from an archive that is gone by now."""
    staged = open_staging(staging)
    _require_same(staged, sha256.lower() or staged.archive_sha256)
    return staged


def _require_same(staged: Staged, digest: str) -> None:
    if staged.archive_sha256 != digest:
        raise ArchiveError(
            "The staging directory %s holds another archive." % display(staged.path),
            tried="unpack the archive with SHA-256 %s" % digest,
            found="the one with SHA-256 %s" % staged.archive_sha256,
            remedy="Choose another directory, or remove that one.",
        )


def _own_directory(staging: str) -> None:
    """The staging directory, private to root, and no one else's place."""
    make_directories(os.path.dirname(staging))
    with contextlib.suppress(FileExistsError):
        os.mkdir(staging, 0o700)
    status = os.lstat(staging)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise ArchiveError(
            "%s cannot be the staging directory." % display(staging),
            tried="use it as a directory of its own",
            found="something that is no directory, or another user's directory",
            remedy="Choose a path that does not exist yet.",
        )
    os.chmod(staging, 0o700)


def _clear(staging: str) -> None:
    """Remove what a killed run left; a directory with other things in it is not touched."""
    names = set(os.listdir(staging)) - {_LOCK}
    if names and _STARTED not in names:
        raise ArchiveError(
            "The staging directory %s is not empty." % display(staging),
            tried="unpack into it",
            found="%d names that no unpacking left there" % len(names),
            remedy="Choose a path that does not exist yet.",
        )
    for name in names - {_STARTED}:
        path = os.path.join(staging, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


class _Unpacking:
    """One pass over an archive. Directories are made here only, and links last, so no member can be written through a link."""

    def __init__(self, archive: str, staging: str, digest: str) -> None:
        self._archive = archive
        self._staging = staging
        self._digest = digest
        self._directories: Set[str] = set()
        self._links: List[Entry] = []
        self._xattrs: Dict[str, Dict[str, str]] = {}

    def run(self) -> Staged:
        os.close(os.open(os.path.join(self._staging, _STARTED), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        sync_directory(self._staging)
        with open_archive(self._archive) as file:
            self._check_room(read_index(file, self._archive))
        self._directory("/")
        with open_archive(self._archive) as file:
            contents = read_archive(file, self._archive, self._entry)
        if contents.sha256 != self._digest:
            raise damaged(self._archive, "other bytes than a moment ago: something writes to it")
        captured = {entry.path for entry in contents.index.entries}
        for entry in self._links:
            self._link(entry, captured)
        sync_directories(self._directories)
        index = contents.index.as_bytes()
        write_file(os.path.join(self._staging, INDEX_NAME), index)
        if contents.facts is not None:
            write_file(os.path.join(self._staging, FACTS_NAME), contents.facts)
        write_json(os.path.join(self._staging, _ATTRIBUTES), self._xattrs)
        write_json(os.path.join(self._staging, _MARKER), {"archive_sha256": self._digest, "index_sha256": hashlib.sha256(index).hexdigest()})
        os.unlink(os.path.join(self._staging, _STARTED))
        sync_directory(self._staging)
        return Staged(self._staging, contents.index, self._digest, created=True)

    def _check_room(self, index: Index) -> None:
        needed = sum(entry.size + 4096 for entry in index.entries if entry.type != HARDLINK) + 65536
        free, files = room(self._staging)
        if free < needed or 0 <= files < len(index.entries) + 16:
            raise ArchiveError(
                "There is no room to unpack the archive into %s." % display(self._staging),
                tried="find %d free bytes and %d free files" % (needed, len(index.entries)),
                found="%d free bytes, %s free files" % (free, "unlimited" if files < 0 else files),
                remedy="Free space there, or choose another directory.",
            )

    def _directory(self, path: str) -> None:
        """Make a directory of the tree, and those above it."""
        real = staged_path(self._staging, path.rstrip("/"))
        if real in self._directories:
            return
        if path != "/":
            self._directory(os.path.dirname(path))
        os.mkdir(real, 0o700)
        self._directories.add(real)

    def _entry(self, entry: Entry, xattrs: Dict[str, bytes], contents: Optional[Callable[[Callable[[bytes], None]], None]]) -> None:
        if xattrs:
            self._xattrs[entry.path] = {name: base64.b64encode(value).decode("ascii") for name, value in xattrs.items()}
        if entry.type == DIRECTORY:
            self._directory(entry.path)
            return
        self._directory(os.path.dirname(entry.path))
        real = staged_path(self._staging, entry.path)
        if entry.type == FILE and contents is not None:
            descriptor = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                contents(lambda data: write_all(descriptor, data))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        elif entry.type == HARDLINK:
            os.link(staged_path(self._staging, entry.link_target), real, follow_symlinks=False)
        elif entry.type == SYMLINK:
            self._links.append(entry)

    def _link(self, entry: Entry, captured: Set[str]) -> None:
        """A link within the tree, for readers of the staged files; one that leads elsewhere stays in the index alone."""
        target = os.path.normpath(os.path.join(os.path.dirname(entry.path), entry.link_target))
        if target in captured:
            os.symlink(os.path.relpath(target, os.path.dirname(entry.path)), staged_path(self._staging, entry.path))


def staging_result(staged: Staged) -> Dict[str, Any]:
    """The staging directory in a module's result."""
    return {
        "path": staged.path,
        "tree": os.path.join(staged.path, TREE),
        "facts": os.path.join(staged.path, FACTS_NAME) if staged.index.facts_sha256 else "",
        "archive_sha256": staged.archive_sha256,
        "entries": len(staged.index.entries),
    }
