# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines about long transfers, for people who wait: how much of how much, how fast, how long still."""

from __future__ import annotations

import io
import time
from contextlib import suppress
from typing import Any, BinaryIO, Callable, Dict, List, Optional, cast

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location

INTERVAL_SECONDS = 10.0
# The same option as the documentation fragment recovery_point_progress.
PROGRESS_ARGUMENTS: Dict[str, Any] = {"progress_file": {"type": "path"}}
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


class Meter:
    """Turns counts into lines: none in the first seconds, then one in ``interval_seconds`` at most, and a last one if there was any before.

    The speed, and what it says of the rest, is that since the last line: a transfer that stalls is seen to stall.
    """

    def __init__(
        self, what: str, total_bytes: Optional[int] = None, interval_seconds: float = INTERVAL_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._total = total_bytes
        self._interval = interval_seconds
        self._clock = clock
        self._began = self._said_at = clock()
        self._done = self._said_bytes = 0
        self._has_said = False

    def at(self, done_bytes: int) -> Optional[str]:
        """The line that is due now that so many bytes are done, if one is."""
        self._done = done_bytes
        now = self._clock()
        if now - self._said_at < self._interval:
            return None
        speed = max(done_bytes - self._said_bytes, 0) / (now - self._said_at)
        self._said_at, self._said_bytes, self._has_said = now, done_bytes, True
        line = "%s %s, %s/s" % (self._what, _of(done_bytes, self._total), _bytes(speed))
        if self._total is None or done_bytes >= self._total:
            return line
        return "%s, %s" % (line, "%s left" % _duration((self._total - done_bytes) / speed) if speed else "nothing came in %s" % _duration(self._interval))

    def waiting(self) -> Optional[str]:
        """The line that is due now about a transfer of which nothing is known but that it goes on."""
        now = self._clock()
        if now - self._said_at < self._interval:
            return None
        self._said_at = now
        return "%s %s: %s so far" % (self._what, _bytes(self._total or 0), _duration(now - self._began))

    def end(self) -> Optional[str]:
        """The last line, if there was one before."""
        if not self._has_said:
            return None
        seconds = self._clock() - self._began
        return "%s %s in %s, %s/s" % (self._what, _bytes(self._done), _duration(seconds), _bytes(self._done / seconds))


class Teller:
    """Says the lines of a meter. Telling is never a reason to fail."""

    def __init__(self, meter: Meter, say: Callable[[str], Any]) -> None:
        self._meter = meter
        self._say = say
        self._done = 0

    def at(self, done_bytes: int) -> None:
        """So many bytes are done."""
        self._done = done_bytes
        self._tell(self._meter.at(done_bytes))

    def more(self, count: int) -> None:
        """So many bytes more are done."""
        self.at(self._done + count)

    def end(self) -> None:
        """It is over."""
        self._tell(self._meter.end())

    def _tell(self, line: Optional[str]) -> None:
        if line is not None:
            with suppress(OSError):
                self._say(line)


def into_file(path: Optional[str]) -> Callable[[str], None]:
    """Says lines by appending them to a file that is there; to none otherwise. A module cannot print: its action plugin shows what the file gains."""

    def say(line: str) -> None:
        if path:
            with open(path, "r+", encoding="utf-8") as stream:
                stream.seek(0, io.SEEK_END)
                stream.write(line + "\n")

    return say


class _Counted(io.RawIOBase):
    """A stream that tells how many bytes were read of it."""

    def __init__(self, stream: BinaryIO, count: Callable[[int], None]) -> None:
        super().__init__()
        self._stream = stream
        self._count = count

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self._count(len(block))
        return block

    def readinto(self, target: Any) -> int:
        block = self.read(len(target))
        target[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Watched:
    """A location of which every byte is counted that is read from an object as a stream."""

    def __init__(self, location: Location, count: Callable[[int], None]) -> None:
        self._location = location
        self._count = count

    def open(self, key: str) -> BinaryIO:
        """Read an object."""
        return cast(BinaryIO, _Counted(self._location.open(key), self._count))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._location, name)


def watched(location: Location, count: Callable[[int], None]) -> Location:
    """The same location; ``count`` is called with the size of every block that is read from an artifact."""
    return cast(Location, _Watched(location, count))


def _of(done: float, total: Optional[int]) -> str:
    if total is None:
        return _bytes(done)
    unit = _unit(total)
    return "%s of %s %s" % (_number(done, unit), _number(total, unit), _UNITS[unit])


def _bytes(count: float) -> str:
    unit = _unit(count)
    return "%s %s" % (_number(count, unit), _UNITS[unit])


def _unit(count: float) -> int:
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1000.0
        unit += 1
    return unit


def _number(count: float, unit: int) -> str:
    value = count / 1000.0**unit
    return "%d" % value if unit == 0 or value >= 100 else "%.1f" % value


def _duration(seconds: float) -> str:
    whole = int(round(seconds))
    parts: List[str] = []
    for size, name in ((3600, "h"), (60, "min")):
        if whole >= size:
            parts.append("%d %s" % (whole // size, name))
            whole %= size
    if len(parts) < 2 and (whole or not parts):  # nobody needs the seconds of hours
        parts.append("%d s" % whole)
    return " ".join(parts[:2])
