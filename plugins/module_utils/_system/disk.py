# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durable writing on a local disk: atomic files, synced directories, room, one process at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pwd
from typing import IO, Any, Dict, Iterable, Iterator, List, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

CHUNK = 1 << 20
_MAXIMUM_LINKS = 40


class DiskError(LifeboatError):
    """The disk refused, or holds something that must not be there."""


def display(path: str) -> str:
    """The path as valid text: bytes that are no UTF-8 are shown escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def reason(error: OSError) -> str:
    """What the system said, without the file name (the caller names it)."""
    return error.strerror or str(error)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directories(paths: Iterable[str]) -> None:
    """Make the names in several directories durable, each once."""
    for path in sorted(set(paths)):
        sync_directory(path)


def make_directories(path: str, mode: int = 0o700) -> List[str]:
    """Create a directory and its missing parents with ``mode``; returns what was created, outermost first."""
    missing: List[str] = []
    current = path
    while not os.path.isdir(current):
        # Another process may have made it between the two looks.
        if os.path.lexists(current) and not os.path.isdir(current):
            raise DiskError(
                "%s is not a directory." % display(current), tried="create %s" % display(path), remedy="Move that file away, or choose another directory."
            )
        missing.insert(0, current)
        current = os.path.dirname(current)
    for directory in missing:
        try:
            os.mkdir(directory, mode)
        except FileExistsError:
            continue
        os.chmod(directory, mode)
        sync_directory(os.path.dirname(directory))
    return missing


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes to a descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_file(path: str, data: bytes, mode: int = 0o600) -> None:
    """Write a file so that it is either the old one or the whole new one, whatever happens. The caller is the only one who writes it."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, ".%s.part" % name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        try:
            os.fchmod(descriptor, mode)
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_directory(directory)


@contextlib.contextmanager
def growing(path: str, owner: str = "") -> Iterator[IO[bytes]]:
    """A new private file that is written beside its place; it gets its owner and its name when the block ends well. Never replaces a file."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, name + ".part")
    try:
        identity = pwd.getpwnam(owner) if owner else None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except KeyError:
        raise DiskError("%s can't be given to %s." % (display(path), owner), found="no such user on this host", remedy="Name a user of this host.") from None
    except OSError as error:
        raise DiskError("%s can't be written." % display(path), found=reason(error), remedy="Make its directory first, mode 0700.") from error
    try:
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            yield file
            if identity is not None:
                os.fchown(descriptor, identity.pw_uid, identity.pw_gid)
            os.fsync(descriptor)
        # A link fails where a rename would replace.
        os.link(temporary, path, follow_symlinks=False)
        os.unlink(temporary)
    except OSError as error:
        raise DiskError("%s can't be written." % display(path), found=reason(error), remedy="Make room, then run again. Nothing was left behind.") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    sync_directory(directory)


def write_json(path: str, value: Any) -> None:
    """Write a value as JSON, atomically, mode 0600."""
    write_file(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode("ascii"))


def read_json(path: str, what: str) -> Dict[str, Any]:
    """Read a JSON object; ``what`` names it in the error."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        data = file.read()
    try:
        value = json.loads(data.decode("utf-8"))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise DiskError(
            "%s cannot be read." % what,
            tried="read %s as a JSON object" % display(path),
            found="%d bytes that are no JSON object" % len(data),
            remedy="Look at the file; move it away when it is of no use any more.",
        )
    return value


@contextlib.contextmanager
def exclusive(path: str, what: str, wait: bool) -> Iterator[int]:
    """Hold an exclusive lock on a file while the block runs. Without ``wait`` a held lock is an error."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise DiskError(
                "%s is in use by another process." % what, tried="lock %s" % display(path), remedy="Wait for the other run on this host to end, then run again."
            ) from error
        yield descriptor
    finally:
        os.close(descriptor)


def existing_ancestor(path: str) -> str:
    """The path itself, or the nearest directory above it that exists."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def resolve(root: str, path: str) -> str:
    """Where a path really lies; links are followed inside ``root``, as they would be on the host that it holds."""
    base = root.rstrip("/")
    pending = list(reversed(path.split("/")))
    current: List[str] = []
    followed = 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del current[-1:]
            continue
        candidate = "/".join([base, *current, part])
        if not os.path.islink(candidate):
            current.append(part)
            continue
        followed += 1
        if followed > _MAXIMUM_LINKS:
            raise DiskError("%s leads in a circle." % display(path), tried="follow its links", remedy="Repair the links on the host.")
        target = os.readlink(candidate)
        if target.startswith("/"):
            current = []
        pending.extend(reversed(target.split("/")))
    return "/".join([base, *current]) or "/"


def room(path: str) -> Tuple[int, int]:
    """Free bytes and free files on the file system that a path is or will be on (-1: it does not count files)."""
    status = os.statvfs(existing_ancestor(path))
    return status.f_bavail * status.f_frsize, status.f_favail if status.f_files else -1


def mount_points() -> List[str]:
    """Where file systems are mounted."""
    points: List[str] = []
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            field = line.split(b" ")[4]
            for code, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
                field = field.replace(code, plain)
            points.append(os.fsdecode(field))
    return points
