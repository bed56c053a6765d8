# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture files of a host into one archive, with everything that a restore has to bring back."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pwd
import re
import stat
import time
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Dict, Iterator, List, Optional, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.container import (
    FACTS_NAME,
    INDEX_NAME,
    ArchiveError,
    Index,
    end_of_archive,
    header,
    now,
    padding,
    plain_header,
    read_archive,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.entries import (
    DIRECTORY,
    FILE,
    HARDLINK,
    SYMLINK,
    Entry,
    entry_of,
    kind_of,
    lines,
    read_file,
    read_xattrs,
    special_kind,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.globs import GlobSet, expand, has_magic, normal_path
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import (
    display,
    mount_points,
    reason,
    room,
    write_all,
)

TEMPORARY = re.compile(r"\.lifeboat-[0-9a-f]{8}-[0-9a-f]{16}\Z")
_RUNTIME = GlobSet(["/proc", "/sys", "/dev", "/run"])
_MAXIMUM_LINKS = 40


@dataclass
class WantedPath:
    """A path or glob to capture."""

    path: str
    required: bool = False


@dataclass
class CaptureRequest:
    """What to capture and where to write it."""

    paths: List[WantedPath]
    path: str
    exclude: List[str] = field(default_factory=list)
    owner: str = ""
    facts: Optional[Dict[str, Any]] = None


@dataclass
class Survey:
    """What a capture would hold, without digests of contents."""

    entries: List[Entry]
    parents: List[Entry]
    skipped: List[Dict[str, str]]
    missing: List[str]
    missing_required: List[str]


@dataclass
class ArchiveRecord:
    """What an archive on the disk holds."""

    path: str
    size_bytes: Optional[int]
    sha256: Optional[str]
    index: Index

    def as_result(self) -> Dict[str, Any]:
        """The record in a module's result."""
        return {
            "path": self.path,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "taken_at": self.index.taken_at or None,
            "entries": [entry.as_result() for entry in self.index.entries],
            "missing": [display(path) for path in self.index.missing],
            "missing_required": [],
            "skipped": [{"path": display(item["path"]), "reason": item["reason"]} for item in self.index.skipped],
        }

    def lines(self) -> str:
        """The archive in a diff: paths with attributes and digests, never contents."""
        return lines(entry.line() for entry in self.index.entries)


class _Surveyor:
    """Walks the listed paths once; each thing on the disk is captured under the first name that leads to it."""

    def __init__(self, request: CaptureRequest) -> None:
        self.entries: Dict[str, Entry] = {}
        self.parents: Dict[str, Entry] = {}
        self.skipped: Dict[str, str] = {}
        self._exclude = GlobSet(request.exclude)
        self._own = {request.path, request.path + ".part"}
        self._mounts = set(mount_points())
        self._places: Set[Tuple[str, str]] = set()
        self._links: Dict[Tuple[int, int], str] = {}

    def root(self, path: str, follow: bool) -> bool:
        """Capture a listed path. One that is named outright and is a link is captured together with what it leads to."""
        found = False
        for _step in range(_MAXIMUM_LINKS):
            if path in self._own or self._exclude.matches(path) or path == "/":
                self.skipped[path] = "the file system's root is never captured" if path == "/" else "excluded"
                return found
            try:
                status = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                return found
            found = self._tree(path, status) or found
            self._note_parents(path)
            if not (follow and stat.S_ISLNK(status.st_mode)):
                return found
            path = os.path.normpath(os.path.join(os.path.realpath(os.path.dirname(path)), os.readlink(path)))
            path = "/" + path.lstrip("/")
            if _RUNTIME.matches(path):
                return found
        return found

    def _note_parents(self, path: str) -> None:
        above = os.path.dirname(path)
        while above != "/" and above not in self.parents:
            self.parents[above] = entry_of(above, os.stat(above), {})
            above = os.path.dirname(above)

    def _tree(self, path: str, status: os.stat_result) -> bool:
        """Capture one path and, for a directory, all beneath it."""
        pending = [(path, status)]
        while pending:
            path, status = pending.pop()
            if not self._one(path, status):
                continue
            try:
                names = sorted(os.listdir(path), reverse=True)
            except FileNotFoundError:
                continue
            for name in names:
                child = os.path.join(path, name)
                if child in self._own or self._exclude.matches(child):
                    continue
                if child in self._mounts:
                    self.skipped[child] = "another file system is mounted there: list it to capture it"
                elif TEMPORARY.match(name):
                    self.skipped[child] = "left over by a restore that was interrupted"
                else:
                    with contextlib.suppress(FileNotFoundError):
                        pending.append((child, os.lstat(child)))
        return True

    def _one(self, path: str, status: os.stat_result) -> bool:
        """Note one path; whether it is a directory to descend into."""
        kind = kind_of(status.st_mode)
        if not kind:
            self.skipped[path] = "a %s has no contents to keep" % special_kind(status.st_mode)
            return False
        place = (os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if place in self._places:
            return False
        self._places.add(place)
        try:
            entry = entry_of(path, status, read_xattrs(path))
        except FileNotFoundError:
            return False
        if kind == FILE and status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                entry.type, entry.link_target = HARDLINK, first
        self.entries[path] = entry
        return kind == DIRECTORY

    def settle(self) -> List[Entry]:
        """The entries, with those that were reached through a captured link moved to where they really lie."""
        for path in list(self.entries):
            above = os.path.dirname(path)
            while above != "/":
                if above in self.entries and self.entries[above].type == SYMLINK:
                    entry = self.entries.pop(path)
                    entry.path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
                    self.entries.setdefault(entry.path, entry)
                    for other in self.entries.values():
                        if other.type == HARDLINK and other.link_target == path:
                            other.link_target = entry.path
                    self._note_parents(entry.path)
                    break
                above = os.path.dirname(above)
        return list(self.entries.values())


def survey(request: CaptureRequest) -> Survey:
    """What a capture would hold. Reads attributes only."""
    surveyor = _Surveyor(request)
    missing: List[str] = []
    missing_required: List[str] = []
    for wanted in request.paths:
        path = normal_path(wanted.path)
        literal = os.path.lexists(path) or not has_magic(path)
        found = [surveyor.root(match, literal) for match in expand(path)]
        if not any(found):
            (missing_required if wanted.required else missing).append(path)
    entries = surveyor.settle()
    captured = {entry.path for entry in entries}
    parents = [entry for path, entry in sorted(surveyor.parents.items()) if path not in captured]
    skipped = [{"path": path, "reason": why} for path, why in sorted(surveyor.skipped.items()) if why != "excluded"]
    return Survey(entries, parents, skipped, missing, missing_required)


def require(found: Survey) -> None:
    """Refuse a survey that lacks a required path."""
    if found.missing_required:
        raise ArchiveError(
            "Required files are missing on this host: %s." % ", ".join(display(path) for path in found.missing_required),
            tried="capture them",
            found="nothing at these paths (or only what 'exclude' leaves out)",
            remedy="Check the platform's paths for this host, or list them without 'required' when this host does not have them.",
            missing_required=[display(path) for path in found.missing_required],
            missing=[display(path) for path in found.missing],
        )


class _Writer:
    """Writes members into the open archive; a member whose file changed meanwhile is begun anew."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = 0

    def add(self, data: bytes) -> None:
        write_all(self._descriptor, data)
        self.size += len(data)

    def go_back(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, size, os.SEEK_SET)
        self.size = size

    def file(self, entry: Entry) -> Entry:
        """Add a regular file; returns its entry as it was when it was read."""
        start = self.size
        current = [entry]

        def begin(status: os.stat_result, xattrs: Dict[str, bytes]) -> None:
            self.go_back(start)
            current[0] = entry_of(entry.path, status, xattrs)
            self.add(header(current[0], xattrs))

        found = read_file(entry.path, begin, self.add)
        current[0].sha256 = found.sha256
        self.add(padding(current[0].size))
        return current[0]


def _members(writer: _Writer, found: Survey) -> Tuple[List[Entry], List[Dict[str, str]]]:
    """Write all entries; what vanished since the survey is left out and named."""
    written: Dict[str, Entry] = {}
    skipped: List[Dict[str, str]] = []
    first_names: Dict[str, str] = {}
    for entry in found.entries:
        try:
            if entry.type == HARDLINK:
                first = first_names.get(entry.link_target, entry.link_target)
                target = written.get(first)
                if target is not None and os.path.samestat(os.lstat(entry.path), os.lstat(first)):
                    entry.sha256, entry.size, entry.link_target = target.sha256, target.size, first
                    entry.mode, entry.uid, entry.gid, entry.owner, entry.group = target.mode, target.uid, target.gid, target.owner, target.group
                    entry.mtime_ns, entry.xattrs = target.mtime_ns, target.xattrs
                    writer.add(header(entry, {name: os.getxattr(entry.path, name) for name in target.xattrs}))
                    written[entry.path] = entry
                    continue
                first_names[entry.link_target] = entry.path
            if entry.type in (FILE, HARDLINK):
                written[entry.path] = writer.file(entry)
            else:
                xattrs = read_xattrs(entry.path)
                current = entry_of(entry.path, os.lstat(entry.path), xattrs)
                if current.type != entry.type:
                    raise FileNotFoundError(errno.ENOENT, "was replaced")
                writer.add(header(current, xattrs))
                written[entry.path] = current
        except FileNotFoundError:
            skipped.append({"path": entry.path, "reason": "gone since the start of the capture"})
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise ArchiveError(
                "%s cannot be captured." % display(entry.path),
                tried="read it with its attributes",
                found=reason(error),
                remedy="Repair it, or leave it out with 'exclude' when it is not needed.",
            ) from error
    return list(written.values()), skipped


@contextlib.contextmanager
def _part(request: CaptureRequest) -> Iterator[Tuple[int, int, str]]:
    """The unfinished archive beside its final name: directory, open file and name. Removed when the block fails."""
    parent, name = os.path.split(request.path)
    part = name + ".part"
    with contextlib.ExitStack() as stack:
        try:
            directory = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, directory)
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                # Left by a run that was killed: whoever is alive holds the lock.
                os.unlink(part, dir_fd=directory)
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
            stack.callback(os.close, descriptor)
        except BlockingIOError as error:
            raise ArchiveError(
                "Another capture is writing to %s." % display(parent), tried="lock that directory", remedy="Wait for it to end, then run again."
            ) from error
        except OSError as error:
            raise ArchiveError(
                "The archive cannot be written to %s." % display(parent),
                tried="create %s there" % display(part),
                found=reason(error),
                remedy="Create the directory first, mode 0700, and remove what is in the way.",
            ) from error
        try:
            yield directory, descriptor, part
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=directory)
            raise


def _owner(name: str) -> Tuple[int, int]:
    """Numbers of the user who is to own the archive."""
    if not name:
        return -1, -1
    try:
        user = pwd.getpwnam(name)
    except KeyError as error:
        raise ArchiveError(
            "The archive cannot be given to %s." % name, found="no such user on this host", remedy="Set 'owner' to the user that Ansible logs in as."
        ) from error
    return user.pw_uid, user.pw_gid


def _check_room(found: Survey, path: str) -> None:
    needed = sum(entry.size + 2048 for entry in found.entries) + 65536
    free, _files = room(os.path.dirname(path))
    if free < needed:
        raise ArchiveError(
            "There is no room for the archive at %s." % display(path),
            tried="find %d free bytes" % needed,
            found="%d free bytes" % free,
            remedy="Free space there, or choose another directory.",
        )


def existing(request: CaptureRequest) -> Optional[ArchiveRecord]:
    """The archive that an earlier run of the same request completed, read through and found good; None when there is none."""
    try:
        descriptor = os.open(request.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArchiveError(
            "%s is in the way." % display(request.path), tried="write the archive there", found=reason(error), remedy="Remove it, or choose another path."
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        contents = read_archive(file, request.path, lambda _entry, _xattrs, _contents: None)
    if _asked(request) != (contents.index.paths, contents.index.exclude):
        raise ArchiveError(
            "%s is the archive of another request." % display(request.path),
            tried="write the archive there",
            found="an archive of %s" % ", ".join(display(path) for path in contents.index.paths),
            remedy="Remove it, or choose another path.",
        )
    return ArchiveRecord(request.path, contents.size, contents.sha256, contents.index)


def _asked(request: CaptureRequest) -> Tuple[List[str], List[str]]:
    return [normal_path(wanted.path) for wanted in request.paths], list(request.exclude)


def capture(request: CaptureRequest) -> ArchiveRecord:
    """Write the archive, read it back, and only then give it its name and its owner."""
    found = survey(request)
    require(found)
    uid, gid = _owner(request.owner)
    _check_room(found, request.path)
    with _part(request) as (directory, descriptor, part):
        try:
            _write(descriptor, request, found)
        except OSError as error:
            raise ArchiveError(
                "The archive %s cannot be written." % display(request.path),
                tried="write and sync it",
                found=reason(error),
                remedy="Free space there and run again.",
            ) from error
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            contents = read_archive(file, request.path, lambda _entry, _xattrs, _contents: None)
        os.fchmod(descriptor, 0o600)
        os.fchown(descriptor, uid, gid)
        os.rename(part, os.path.basename(request.path), src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
    return ArchiveRecord(request.path, contents.size, contents.sha256, contents.index)


def rehearse(request: CaptureRequest) -> ArchiveRecord:
    """What a capture would hold, with the same refusals; nothing is read or written but attributes."""
    found = survey(request)
    require(found)
    _owner(request.owner)
    _check_room(found, request.path)
    paths, exclude = _asked(request)
    return ArchiveRecord(request.path, None, None, Index(found.entries, found.parents, found.skipped, found.missing, paths, exclude))


def _write(descriptor: int, request: CaptureRequest, found: Survey) -> None:
    """All members, then the index into the room that was left for it at the start."""
    facts = b"" if request.facts is None else (json.dumps(request.facts, indent=1, sort_keys=True) + "\n").encode("ascii")
    paths, exclude = _asked(request)
    index = Index(found.entries, found.parents, found.skipped, found.missing, paths, exclude, hashlib.sha256(facts).hexdigest() if facts else "", now())
    # Digests, and whatever grows between survey and reading, need their room in the index.
    reserved = len(index.as_bytes()) + 512 * len(found.entries) + sum(len(json.dumps(entry.path)) for entry in found.entries) + 4096
    started = int(time.time())
    writer = _Writer(descriptor)
    writer.add(plain_header(INDEX_NAME, reserved, started))
    writer.add(b" " * reserved + padding(reserved))
    if facts:
        writer.add(plain_header(FACTS_NAME, len(facts), started) + facts + padding(len(facts)))
    index.entries, vanished = _members(writer, found)
    index.skipped = found.skipped + vanished
    body = index.as_bytes()
    if len(body) > reserved:
        raise ArchiveError("The files changed too much during the capture.", tried="write the index", remedy="Run again.")
    writer.add(end_of_archive(writer.size))
    os.lseek(descriptor, len(plain_header(INDEX_NAME, reserved, started)), os.SEEK_SET)
    write_all(descriptor, body)
    os.fsync(descriptor)


def open_archive(path: str) -> BinaryIO:
    """An archive opened for reading, never through a link."""
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise ArchiveError(
            "The archive %s cannot be opened." % display(path), tried="open it for reading", found=reason(error), remedy="Transfer it to this host first."
        ) from error
