# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A location in a directory of the controller: a local disk, or NFS."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import BinaryIO, Iterator, List, NoReturn, Optional, Sequence, Tuple, Type

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    LocationError,
    LocationFullError,
    LocationReadOnlyError,
    LocationVanishedError,
    ObjectExistsError,
    ObjectMissingError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import HOW_TO_HAVE_A_DIRECTORY, StoredObject

_PARTIAL = ".partial"
_BLOCK = 1 << 20
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
_VANISHED = (errno.ENOENT, errno.ESTALE, errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ENOTDIR, errno.EHOSTDOWN, errno.ETIMEDOUT)
# A writer that lives writes, or ends, within this time.
DEAD_AFTER_SECONDS = 24 * 3600
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


class FilesystemLocation:
    """Objects are files. A new one is written beside its place, synchronised, and linked to its name, which fails if the name exists.

    ``shared``: several machines write here, as on NFS. Then no lock is relied upon, because a mount may keep locks to its own machine: what a killed
    writer left is told by its age on the server's clock. And no rename that must not replace: NFS has none; links are atomic there.
    """

    locks = False

    def __init__(self, path: str, mount_required: bool = False, shared: bool = False) -> None:
        if not os.path.isabs(path):
            raise LocationError("The path of a backup location must be absolute", found=path, remedy="give the whole path, beginning with /")
        self.path = os.path.realpath(path)
        self._mount_required = mount_required
        self.shared = shared
        self._root = self._identify()

    def lacks(self) -> str:
        """Files stay as long as nobody who may write here removes them."""
        return "files have no locks and no versions: whoever may write to %s can replace or remove recovery points" % self.path

    def describe(self) -> str:
        """The location in words, for messages."""
        return "directory %s" % self.path

    # -- writing ------------------------------------------------------------------------------------------------------------------

    def upload(self, key: str, retain_until: Optional[datetime] = None) -> _FileUpload:
        """Begin a new object; files have no locks, so ``retain_until`` is the manifest's word alone."""
        return _FileUpload(self, key, self._file(key))

    def put_new(self, key: str, data: bytes, retain_until: Optional[datetime] = None) -> bool:
        """Write a small object. False when exactly these bytes were there already; other bytes under the key are an error."""
        with self.upload(key) as upload:
            upload.write(data)
            return upload.commit()

    def check_writable(self, needed_bytes: int) -> None:
        """Raise when the location cannot take this many bytes more."""
        self.check_same()
        try:
            space = os.statvfs(self.path)
        except OSError as error:
            self.refuse("look at the free space", self.path, error)
        if space.f_flag & os.ST_RDONLY:
            raise LocationReadOnlyError(
                "The backup location is mounted read-only", tried=self.describe(), remedy="mount it for writing, or use another location"
            )
        free = space.f_bavail * space.f_frsize
        if free < needed_bytes:
            raise LocationFullError(
                "The backup location has too little space",
                tried="to store up to %d bytes in %s" % (needed_bytes, self.describe()),
                found="%d bytes free" % free,
                remedy="prune old recovery points, or give the location more space",
            )

    # -- reading ------------------------------------------------------------------------------------------------------------------

    def open(self, key: str) -> BinaryIO:
        """Read an object."""
        path = self._file(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self.check_same()
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise ObjectMissingError(
                    "%s is missing" % key, tried="to read it from %s" % self.describe(), remedy="use another recovery point, or another copy of it"
                ) from error
            self.refuse("read %s" % key, path, error)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise LocationError("%s is not a regular file" % key, tried="to read it from %s" % self.describe(), remedy="find out who put it there")
        return os.fdopen(descriptor, "rb", buffering=0)

    def read(self, key: str, limit_bytes: int) -> bytes:
        """Read a small object whole; an object above the limit is an error."""
        parts: List[bytes] = []
        left = limit_bytes + 1
        with self.open(key) as stream:
            while left > 0:
                try:
                    part = stream.read(min(left, _BLOCK))
                except OSError as error:
                    self.refuse("read %s" % key, self._file(key), error)
                if not part:
                    return b"".join(parts)
                parts.append(part)
                left -= len(part)
        raise LocationError(
            "%s is larger than it can be" % key, found="more than %d bytes" % limit_bytes, remedy="it was not written by Lifeboat; use another recovery point"
        )

    def size(self, key: str) -> Optional[int]:
        """Size of an object in bytes, or None when there is none."""
        path = self._file(key)
        try:
            found = os.lstat(path)
        except OSError as error:
            self.check_same()
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            self.refuse("look at %s" % key, path, error)
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose keys begin with the prefix (which ends in a slash), sorted by key."""
        names.check_key(prefix.rstrip("/"))
        self.check_same()
        found: List[StoredObject] = []
        self._walk(prefix.rstrip("/"), found)
        return iter(sorted(found))

    def _walk(self, key: str, found: List[StoredObject]) -> None:
        path = os.path.join(self.path, key)
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    child = "%s/%s" % (key, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        self._walk(child, found)
                    elif entry.is_file(follow_symlinks=False):
                        with suppress(FileNotFoundError):  # removed since its name was read; those behind it are there
                            found.append(StoredObject(child, entry.stat(follow_symlinks=False).st_size))
        except FileNotFoundError:
            self.check_same()
        except OSError as error:
            self.refuse("list %s" % key, path, error)

    def children(self, prefix: str) -> List[str]:
        """Names of what lies directly below the prefix and has something below itself, sorted; without looking further down."""
        names.check_key(prefix.rstrip("/"))
        self.check_same()
        path = os.path.join(self.path, prefix.rstrip("/"))
        try:
            with os.scandir(path) as entries:
                return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            self.check_same()
            return []
        except OSError as error:
            self.refuse("list %s" % prefix, path, error)

    # -- pruning ------------------------------------------------------------------------------------------------------------------

    def objects_above(self, prefix: str, shown: Sequence[str] = ()) -> List[str]:
        """A file cannot have the name of a directory."""
        return []

    def locked_until(self, key: str) -> Optional[datetime]:
        """Files have no locks."""
        return None

    def retain(self, key: str, until: datetime) -> bool:
        """Files have no locks."""
        return False

    def remove(self, key: str) -> bool:
        """Remove an object for good, and the directories that it leaves empty. False when there was none."""
        path = self._inside(names.check_listed_key(key))
        self.check_same()
        try:
            os.unlink(path)
            synchronise(os.path.dirname(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            self.refuse("remove %s" % key, path, error)
        self._remove_empty(os.path.dirname(path), os.path.join(self.path, *key.split("/")[:2]))
        return True

    @staticmethod
    def _remove_empty(directory: str, top: str) -> None:
        """Up to ``<cluster>/<kind>``, below which another run may be making a directory at this moment."""
        while directory.startswith(top + os.sep):
            try:
                os.rmdir(directory)
            except OSError:  # not empty, or another run was quicker
                return
            directory = os.path.dirname(directory)

    def sweep(self, prefix: str, older_than_seconds: int) -> int:
        """Remove files below the prefix that writers left half-written so long ago that they must be dead."""
        names.check_key(prefix.rstrip("/"))
        self.check_same()
        removed = 0
        for directory, _directories, files in os.walk(os.path.join(self.path, prefix.rstrip("/"))):
            for name in files:
                if name.startswith(".") and name.endswith(_PARTIAL):
                    removed += self.remove_if_old(os.path.join(directory, name), older_than_seconds)
        return removed

    def remove_if_old(self, path: str, older_than_seconds: int) -> bool:
        """Remove a half-written file that nobody has written to for so long, by the clock of whoever keeps the files."""
        with suppress(OSError):  # its writer has just finished, or another sweeper was quicker
            if self._clock(os.path.dirname(path)) - os.lstat(path).st_mtime > older_than_seconds:
                os.unlink(path)
                return True
        return False

    def clock(self) -> Optional[float]:
        """Seconds since the epoch by the clock of whoever keeps the files: on NFS that is the server."""
        self.check_same()
        try:
            return self._clock(self.path)
        except OSError as error:
            self.refuse("ask for the time", self.path, error)

    @staticmethod
    def _clock(directory: str) -> float:
        path = os.path.join(directory, ".%s.clock" % os.urandom(6).hex())
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            return os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
            os.unlink(path)

    # -- the directory itself -----------------------------------------------------------------------------------------------------

    def check_same(self) -> None:
        """Raise when the directory is gone, or is another one than when this object was made (its mount went away)."""
        if self._identify() != self._root:
            raise LocationVanishedError(
                "The backup location is no longer the directory that it was",
                tried="to use %s" % self.describe(),
                found="another device or inode under the same path: it was unmounted, remounted or replaced",
                remedy="mount it again, check that nothing was written beneath the mount point, and start the run again",
            )

    def refuse(self, doing: str, path: str, error: OSError) -> NoReturn:
        """Turn an operating system error into one that says what it means here."""
        tried = "to %s (%s)" % (doing, path)
        found = os.strerror(error.errno) if error.errno else str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LocationFullError(
                "No space is left in the backup location",
                tried=tried,
                found=found,
                remedy="prune old recovery points, or give the location more space; what is there is unharmed",
            ) from error
        if error.errno == errno.EROFS:
            raise LocationReadOnlyError(
                "The backup location is read-only", tried=tried, found=found, remedy="mount it for writing, or use another location"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise LocationReadOnlyError(
                "The backup location refuses access",
                tried=tried,
                found="%s, as user id %d" % (found, os.geteuid()),
                remedy="give this user the right, or run as its owner",
            ) from error
        if error.errno in _VANISHED:
            raise LocationVanishedError(
                "The backup location went away", tried=tried, found=found, remedy="mount it again (on NFS: look at the server), and start the run again"
            ) from error
        raise LocationError("The backup location failed", tried=tried, found=found, remedy="look at its file system and the kernel's log") from error

    def _identify(self) -> Tuple[int, int]:
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise LocationVanishedError(
                "The backup location is not there",
                tried="to use directory %s" % self.path,
                found=os.strerror(error.errno) if error.errno else str(error),
                remedy=HOW_TO_HAVE_A_DIRECTORY,
            ) from error
        if not stat.S_ISDIR(found.st_mode):
            raise LocationVanishedError("The backup location is not a directory", tried="to use %s" % self.path, remedy="correct the location's path")
        if self._mount_required and found.st_dev == os.stat("/").st_dev:
            raise LocationVanishedError(
                "Nothing is mounted at the backup location",
                tried="to use directory %s, of which it is said that it is a mount (mount_required)" % self.path,
                found="it lies on the root file system",
                remedy="mount it, and start the run again",
            )
        return found.st_dev, found.st_ino

    def _file(self, key: str) -> str:
        return self._inside(names.check_key(key))

    def _inside(self, key: str) -> str:
        path = os.path.join(self.path, key)
        parent = os.path.dirname(path)
        if os.path.realpath(parent) != parent:
            raise LocationError(
                "A symbolic link lies in the way to %s" % key, tried="to reach it in %s" % self.describe(), remedy="remove the link; the layout has none"
            )
        return path

    def make_parent(self, key: str) -> str:
        """Make the directories of a key, each durable in its own parent; returns the last."""
        self.check_same()
        current = self.path
        for segment in key.split("/")[:-1]:
            parent, current = current, os.path.join(current, segment)
            try:
                os.mkdir(current, 0o700)
            except FileExistsError:
                continue
            except OSError as error:
                self.refuse("make a directory for %s" % key, current, error)
            try:
                os.chmod(current, 0o700)
                synchronise(parent)
            except OSError as error:
                self.refuse("make a directory for %s" % key, current, error)
        return current


class _FileUpload:
    """A file that is written beside its place and linked to its name at the end."""

    def __init__(self, location: FilesystemLocation, key: str, path: str) -> None:
        self._location = location
        self._key = key
        self._path = path
        self._directory = location.make_parent(key)
        self._sweep()
        while not self._create():
            self._drop()

    def _create(self) -> bool:
        """Make the file. False when another writer's sweep was quicker than our lock: it took the file for a dead writer's, or is about to."""
        self._partial = os.path.join(self._directory, ".%s.%s%s" % (os.path.basename(self._path), os.urandom(6).hex(), _PARTIAL))
        try:
            self._descriptor = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._location.refuse("begin %s" % self._key, self._partial, error)
        try:
            os.fchmod(self._descriptor, 0o600)
        except OSError as error:
            self._drop()
            self._location.refuse("begin %s" % self._key, self._partial, error)
        if not self._location.shared:
            try:
                self._lock(self._descriptor)
            except BlockingIOError:
                return False
            except OSError:  # without locks nobody can tell a killed writer's leftover from a living one's file, so nobody sweeps
                return True
        return os.fstat(self._descriptor).st_nlink > 0

    def write(self, data: bytes) -> int:
        """Take more bytes."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self._location.refuse("write %s" % self._key, self._partial, error)
        return len(data)

    def flush(self) -> None:
        """Do nothing; ``commit`` synchronises."""

    def commit(self) -> bool:
        """Make the object visible, durable and final. False when exactly these bytes were there already."""
        self._location.check_same()
        try:
            os.fsync(self._descriptor)
            if not self._publish():
                return self._compare()
            os.unlink(self._partial)
            synchronise(self._directory)
        except OSError as error:
            self._location.refuse("finish %s" % self._key, self._path, error)
        return True

    def __enter__(self) -> _FileUpload:
        """Enter the block that writes."""
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        """Drop what was not committed."""
        self._drop()

    def _publish(self) -> bool:
        try:
            os.link(self._partial, self._path, follow_symlinks=False)
            return True
        except FileExistsError:
            # Over NFS an answer can be lost and the call repeated: then the name is ours already.
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self._path))
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if self._location.shared:
                raise LocationError(
                    "The backup location cannot link files",
                    tried="to give %s its name in %s" % (self._key, self._location.describe()),
                    found=os.strerror(error.errno),
                    remedy="on a shared directory only a link is sure to replace nothing: use NFS, or S3",
                ) from error
        return self._rename()

    def _rename(self) -> bool:
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "renameat2"):
            raise OSError(errno.EOPNOTSUPP, "neither hard links nor renameat2 are there")
        if library.renameat2(_AT_FDCWD, os.fsencode(self._partial), _AT_FDCWD, os.fsencode(self._path), _RENAME_NOREPLACE) == 0:
            # From here on the cleaning up must find nothing under the old name.
            os.close(os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            return True
        code = ctypes.get_errno()
        if code == errno.EEXIST:
            return False
        raise OSError(code, os.strerror(code))

    def _compare(self) -> bool:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        with self._location.open(self._key) as there:
            while True:
                ours = os.read(self._descriptor, _BLOCK)
                theirs = _read_exactly(there, len(ours) or 1)
                if ours != theirs:
                    raise ObjectExistsError(
                        "%s exists already, with other bytes" % self._key,
                        tried="to write it in %s" % self._location.describe(),
                        found="an earlier or concurrent writer was first; nothing is ever rewritten",
                        remedy="open a new recovery point; if two runs back up the same cluster at once, let only one",
                    )
                if not ours:
                    return False

    def _drop(self) -> None:
        if self._descriptor < 0:
            return
        with suppress(OSError):  # committed, or the location is gone; a later writer of the same key sweeps what stayed
            os.unlink(self._partial)
        os.close(self._descriptor)
        self._descriptor = -1

    def _sweep(self) -> None:
        """Remove what killed writers of the same key left; a living writer holds a lock on its file."""
        beginning = ".%s." % os.path.basename(self._path)
        try:
            leftovers = [name for name in os.listdir(self._directory) if name.startswith(beginning) and name.endswith(_PARTIAL)]
        except OSError as error:
            self._location.refuse("look for leftovers of %s" % self._key, self._directory, error)
        for name in leftovers:
            with suppress(OSError):  # its writer lives, or just finished
                self._remove_if_dead(os.path.join(self._directory, name))

    def _remove_if_dead(self, path: str) -> None:
        if self._location.shared:
            self._location.remove_if_old(path, DEAD_AFTER_SECONDS)
            return
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._lock(descriptor)
            os.unlink(path)
        finally:
            os.close(descriptor)

    @staticmethod
    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def synchronise(directory: str) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that cannot do it say so; they order names themselves
            raise
    finally:
        os.close(descriptor)


def _read_exactly(stream: BinaryIO, count: int) -> bytes:
    parts: List[bytes] = []
    while count > 0:
        part = stream.read(count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
