# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup storage location can do; everything else of this package works on this protocol only."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import BinaryIO, Iterator, List, NamedTuple, Optional, Protocol, Sequence, Type

# Said wherever a location is missing. A slip in its name and a missing mount look the same, so nothing is made unasked.
HOW_TO_CREATE = "make it once, as somebody who may: lifeboat.cluster.prepare_location with -e lifeboat_location_create=true; or correct lifeboat_location"
HOW_TO_HAVE_A_DIRECTORY = "mount it; or " + HOW_TO_CREATE


class StoredObject(NamedTuple):
    """One key of a listing."""

    key: str
    size_bytes: int
    # Versions and delete markers that lie above the original, which is the one that is read. Anything but 0 is tampering: a request of ours that was
    # repeated because its answer was lost does not count.
    overlaid: int = 0


class Upload(Protocol):
    """A new object on its way: nothing is visible under its key before ``commit`` returns; leaving without commit leaves nothing."""

    def write(self, data: bytes) -> int:
        """Take more bytes."""

    def flush(self) -> None:
        """Do nothing; here because encryptors call it."""

    def commit(self) -> bool:
        """Make the object visible, durable and final. False when exactly these bytes were there already."""

    def __enter__(self) -> Upload:
        """Enter the block that writes."""

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        """Drop what was not committed."""


class Location(Protocol):
    """Where recovery points lie. Objects are written once and never changed; where somebody laid a new version over one, the oldest is the object."""

    @property
    def locks(self) -> bool:
        """Whether objects can be locked against deletion here."""

    def lacks(self) -> str:
        """What nothing here protects against, in words; empty where what is written stays until its time is over (it is write-once)."""

    def describe(self) -> str:
        """The location in words, for messages."""

    def upload(self, key: str, retain_until: Optional[datetime] = None) -> Upload:
        """Begin a new object; where there are locks, one that nobody can delete before ``retain_until``."""

    def put_new(self, key: str, data: bytes, retain_until: Optional[datetime] = None) -> bool:
        """Write a small object. False when exactly these bytes were there already; other bytes under the key are an error."""

    def open(self, key: str) -> BinaryIO:
        """Read an object."""

    def read(self, key: str, limit_bytes: int) -> bytes:
        """Read a small object whole; an object above the limit is an error."""

    def size(self, key: str) -> Optional[int]:
        """Size of an object in bytes, or None when there is none."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose keys begin with the prefix (which ends in a slash), sorted by key."""

    def children(self, prefix: str) -> List[str]:
        """Names of what lies directly below the prefix and has something below itself, sorted; without looking further down."""

    def objects_above(self, prefix: str, shown: Sequence[str] = ()) -> List[str]:
        """Keys of objects that have the name of a directory of what lies below the prefix, which listings may not show then; only a bucket can have any.

        ``shown``: prefixes below which something is listed; what is above one of them hides nothing.
        """

    def locked_until(self, key: str) -> Optional[datetime]:
        """Until when a version of the object is locked at the longest; None when none is, or when the location has no locks."""

    def retain(self, key: str, until: datetime) -> bool:
        """Make the lock of an object longer, never shorter. False when it is that long already, or when the location has no locks."""

    def remove(self, key: str) -> bool:
        """Remove an object for good, with everything that lies over it; for pruning only. False when there was none; a locked one is an error."""

    def sweep(self, prefix: str, older_than_seconds: int) -> int:
        """Remove unfinished uploads below the prefix whose writers are dead, as far as age tells; returns how many there were."""

    def clock(self) -> Optional[float]:
        """Seconds since the epoch by the clock of whoever keeps the objects; None when it does not tell. In a directory, a file is made for a moment."""

    def check_writable(self, needed_bytes: int) -> None:
        """Raise when the location cannot take this many bytes more."""
