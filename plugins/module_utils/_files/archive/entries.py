# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of a host archive: what stands at a path, with all attributes that a restore has to bring back."""

from __future__ import annotations

import contextlib
import errno
import grp
import hashlib
import json
import os
import pwd
import stat
import time
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import CHUNK, display
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

FILE = "file"
DIRECTORY = "directory"
SYMLINK = "symlink"
HARDLINK = "hardlink"

# File systems set a time stamp from a coarse clock: a file written more recently than this may change again under the same stamp.
_CLOCK_TICK_NS = 20_000_000
_READ_ATTEMPTS = 5
_XATTR_NAMESPACES = ("user.", "security.", "trusted.", "system.posix_acl_")
# Bound to the inode, the kernel's measurement key or the overlay that they were read from: wrong anywhere else.
_XATTR_IGNORED = ("security.evm", "security.ima", "trusted.overlay.")
SELINUX = "security.selinux"


class EntryError(LifeboatError):
    """Something on the disk cannot be captured or does not agree with its description."""


class FileChangedError(EntryError):
    """A file did not stand still while it was read."""


@dataclass
class Entry:
    """A path with its attributes; ``xattrs`` maps names to the SHA-256 of their values."""

    path: str
    type: str
    mode: str
    uid: int
    gid: int
    owner: str
    group: str
    size: int
    mtime_ns: int
    sha256: str = ""
    link_target: str = ""
    xattrs: Dict[str, str] = field(default_factory=dict)

    def as_json(self) -> Dict[str, Any]:
        """The form of the entry in an index."""
        return asdict(self)

    def as_result(self) -> Dict[str, Any]:
        """The form of the entry in a module's result."""
        result = asdict(self)
        del result["mtime_ns"]
        result.update(path=display(self.path), link_target=display(self.link_target), mtime=iso_time(self.mtime_ns), xattrs=sorted(self.xattrs))
        return result

    def line(self) -> str:
        """The entry in a diff: attributes and digest, never contents."""
        return describe(self.mode, self.owner or str(self.uid), self.group or str(self.gid), self.type, self.sha256, self.link_target, self.path)


def entry_from_json(value: Any) -> Entry:
    """An entry of an index; what is not of the right form is refused."""
    kinds = {"path": str, "type": str, "mode": str, "uid": int, "gid": int, "owner": str, "group": str, "size": int, "mtime_ns": int, "sha256": str}
    kinds.update(link_target=str, xattrs=dict)
    names = {item.name for item in fields(Entry)}
    if not isinstance(value, dict) or set(value) != names or not all(_is(value[name], kind) for name, kind in kinds.items()):
        raise EntryError("The index of the archive has an entry that is not understood.", remedy="Use an archive that host_archive of this collection wrote.")
    return Entry(**value)


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def describe(mode: str, owner: str, group: str, kind: str, sha256: str, link_target: str, path: str) -> str:
    """One line about a path for diffs."""
    content = sha256[:12] if sha256 else "-> %s" % display(link_target) if kind == SYMLINK else kind
    return "%s %s:%s %s %s" % (mode, owner, group, content, display(path))


def iso_time(nanoseconds: int) -> str:
    """A time stamp as ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(nanoseconds // 1_000_000_000))


def mode_text(mode: int) -> str:
    """Permission bits as text, such as 0644."""
    return "%04o" % stat.S_IMODE(mode)


@lru_cache(maxsize=None)
def owner_name(uid: int) -> str:
    """The user's name, or an empty text."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@lru_cache(maxsize=None)
def group_name(gid: int) -> str:
    """The group's name, or an empty text."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


@lru_cache(maxsize=None)
def owner_id(name: str) -> Optional[int]:
    """The number of a user who exists here."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


@lru_cache(maxsize=None)
def group_id(name: str) -> Optional[int]:
    """The number of a group that exists here."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def kept_xattr(name: str) -> bool:
    """Whether an extended attribute belongs to what is saved."""
    return name.startswith(_XATTR_NAMESPACES) and not name.startswith(_XATTR_IGNORED)


def read_xattrs(path: str) -> Dict[str, bytes]:
    """Extended attributes of a path itself, not of what it links to; POSIX ACLs are among them."""
    values: Dict[str, bytes] = {}
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            return values
        raise
    for name in names:
        if kept_xattr(name):
            # A value that is gone or not readable between the two calls is not part of the file.
            with contextlib.suppress(OSError):
                values[name] = os.getxattr(path, name, follow_symlinks=False)
    return values


def digest_xattrs(values: Dict[str, bytes]) -> Dict[str, str]:
    """Names to SHA-256 of values."""
    return {name: hashlib.sha256(value).hexdigest() for name, value in sorted(values.items())}


def kind_of(mode: int) -> str:
    """The entry type for a file mode; empty for sockets, pipes and devices."""
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISDIR(mode):
        return DIRECTORY
    return SYMLINK if stat.S_ISLNK(mode) else ""


def special_kind(mode: int) -> str:
    """A name for what is never captured."""
    for test, name in ((stat.S_ISSOCK, "socket"), (stat.S_ISFIFO, "pipe"), (stat.S_ISBLK, "block device"), (stat.S_ISCHR, "character device")):
        if test(mode):
            return name
    return "special file"


def entry_of(path: str, status: os.stat_result, xattrs: Dict[str, bytes]) -> Entry:
    """The entry for what lies at a path, without a digest."""
    kind = kind_of(status.st_mode)
    return Entry(
        path=path,
        type=kind,
        mode=mode_text(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        owner=owner_name(status.st_uid),
        group=group_name(status.st_gid),
        size=status.st_size if kind == FILE else 0,
        mtime_ns=status.st_mtime_ns,
        link_target=os.readlink(path) if kind == SYMLINK else "",
        xattrs=digest_xattrs(xattrs),
    )


def _identity(status: os.stat_result) -> Tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _settled(descriptor: int) -> Optional[os.stat_result]:
    """Status of an open file whose time stamp is old enough to show the next change; None when it changes all the time."""
    for _attempt in range(_READ_ATTEMPTS):
        status = os.fstat(descriptor)
        if not 0 <= time.time_ns() - status.st_mtime_ns < _CLOCK_TICK_NS:
            return status
        time.sleep(_CLOCK_TICK_NS / 1e9)
    return None


class FileRead(NamedTuple):
    """What one undisturbed reading of a file found."""

    status: os.stat_result
    xattrs: Dict[str, bytes]
    sha256: str


def read_file(path: str, begin: Callable[[os.stat_result, Dict[str, bytes]], None], consume: Callable[[bytes], None]) -> FileRead:
    """Read a regular file while it stands still.

    ``begin`` gets its status and extended attributes before the contents, and again when a change made a new attempt necessary;
    ``consume`` gets the contents piece by piece. After several attempts a file that keeps changing is an error.
    """
    for attempt in range(_READ_ATTEMPTS):
        if attempt:
            time.sleep(0.05 * 2**attempt)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            before = _settled(descriptor)
            if before is None:
                continue
            if not stat.S_ISREG(before.st_mode):
                raise FileChangedError("%s is no regular file any more." % display(path), tried="read it", remedy="Find out what changes it, then run again.")
            xattrs = read_xattrs(path)
            begin(before, xattrs)
            digest = hashlib.sha256()
            size = 0
            while size <= before.st_size:
                data = os.read(descriptor, CHUNK)
                if not data:
                    break
                size += len(data)
                if size > before.st_size:
                    break
                digest.update(data)
                consume(data)
            if size == before.st_size and _identity(os.fstat(descriptor)) == _identity(before) == _identity(os.lstat(path)):
                return FileRead(before, xattrs, digest.hexdigest())
        finally:
            os.close(descriptor)
    raise FileChangedError(
        "%s changes while it is read." % display(path),
        tried="read it %d times" % _READ_ATTEMPTS,
        found="a size or time of change that was different after every attempt",
        remedy="Stop what writes it during the backup, or leave it out with 'exclude' when it is not needed.",
    )


class Fingerprint(NamedTuple):
    """What two paths must have in common to count as the same."""

    type: str
    sha256: str
    mode: str
    uid: int
    gid: int
    link_target: str
    xattrs: Tuple[Tuple[str, str], ...]

    def digest(self) -> str:
        """A short form for the ledger."""
        return hashlib.sha256(json.dumps(self, sort_keys=True).encode("ascii")).hexdigest()

    def line(self, path: str) -> str:
        """The fingerprint in a diff: attributes and digest, never contents."""
        owner = owner_name(self.uid) or str(self.uid)
        return describe(self.mode, owner, group_name(self.gid) or str(self.gid), self.type, self.sha256, self.link_target, path)


def _fingerprint(kind: str, sha256: str, mode: str, uid: int, gid: int, link_target: str, xattrs: Dict[str, str]) -> Fingerprint:
    return Fingerprint(kind, sha256, "0777" if kind == SYMLINK else mode, uid, gid, link_target, tuple(sorted(xattrs.items())))


def fingerprint(path: str) -> Optional[Fingerprint]:
    """Fingerprint of what stands at a path now; None when nothing does."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = kind_of(status.st_mode)
    if kind == FILE:
        try:
            found = read_file(path, lambda _status, _xattrs: None, lambda _data: None)
        except FileNotFoundError:
            return None
        status = found.status
        return _fingerprint(kind, found.sha256, mode_text(status.st_mode), status.st_uid, status.st_gid, "", digest_xattrs(found.xattrs))
    link_target = os.readlink(path) if kind == SYMLINK else ""
    xattrs = digest_xattrs(read_xattrs(path)) if kind else {}
    return _fingerprint(kind or special_kind(status.st_mode), "", mode_text(status.st_mode), status.st_uid, status.st_gid, link_target, xattrs)


def same(wanted: Fingerprint, live: Optional[Fingerprint]) -> bool:
    """Whether the live one is as wanted. A security label that the archive does not have belongs to the target's own policy."""
    return live is not None and wanted == without_foreign_label(live, wanted)


def without_foreign_label(live: Fingerprint, wanted: Fingerprint) -> Fingerprint:
    """The live fingerprint without a security label that the wanted one does not speak of."""
    if any(name == SELINUX for name, _digest in wanted.xattrs):
        return live
    return live._replace(xattrs=tuple(item for item in live.xattrs if item[0] != SELINUX))


class Owners:
    """Owner and group on this host by name where the name exists, else by number; remembers what went by number."""

    def __init__(self) -> None:
        self.by_number: Dict[str, str] = {}

    def resolve(self, entry: Entry) -> Tuple[int, int]:
        """Numbers to set for an entry."""
        return self._one("user", entry.owner, entry.uid, owner_id), self._one("group", entry.group, entry.gid, group_id)

    def _one(self, kind: str, name: str, number: int, look_up: Callable[[str], Optional[int]]) -> int:
        found = look_up(name) if name else None
        if found is not None:
            return found
        self.by_number["%s %d" % (kind, number)] = (
            "%s %s does not exist here" % (kind, name) if name else "%s %d had no name where it was captured" % (kind, number)
        )
        return number


def wanted_fingerprint(entry: Entry, uid: int, gid: int) -> Fingerprint:
    """The fingerprint that a restored entry has."""
    kind = FILE if entry.type == HARDLINK else entry.type
    return _fingerprint(kind, entry.sha256, entry.mode, uid, gid, entry.link_target if kind == SYMLINK else "", entry.xattrs)


def set_attributes(path: str, wanted: Fingerprint, values: Dict[str, bytes], mtime_ns: Optional[int]) -> List[str]:
    """Give a path its owner, mode, extended attributes and time. Returns the names of attributes that the file system does not take."""
    lost: List[str] = []
    os.chown(path, wanted.uid, wanted.gid, follow_symlinks=False)
    names = {name for name, _digest in wanted.xattrs}
    for name in read_xattrs(path):
        if name not in names and name != SELINUX:
            os.removexattr(path, name, follow_symlinks=False)
    if wanted.type != SYMLINK:
        os.chmod(path, int(wanted.mode, 8))
    for name, digest in wanted.xattrs:
        value = values.get(name, b"")
        if hashlib.sha256(value).hexdigest() != digest:
            raise EntryError("The extended attribute %s for %s is not the captured one." % (name, display(path)), remedy="Unpack the archive again.")
        try:
            os.setxattr(path, name, value, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EINVAL):
                raise
            lost.append(name)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)
    return lost


def lines(items: Iterable[str]) -> str:
    """Text for one side of a diff."""
    return "".join(item + "\n" for item in sorted(items))
