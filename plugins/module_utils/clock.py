# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in time and spans of time, as the journal writes them and as people read them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from typing import Any, Optional

# Numbers below this are no epoch seconds of our days: 2001-09-09.
_SMALLEST_EPOCH = 1_000_000_000


def now() -> float:
    """This moment, in seconds of the epoch."""
    return time.time()


def to_iso(moment: float) -> str:
    """A moment as ISO 8601 in UTC with milliseconds: 2026-11-20T13:40:12.345Z."""
    text = datetime.fromtimestamp(round(moment, 3), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text[:-3] + "Z"


def to_moment(value: Any) -> Optional[float]:
    """Epoch seconds from ISO text (``Z``, an offset, or none for UTC), from epoch seconds as a number or text; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    if isinstance(value, (int, float)):
        return float(value) if value >= _SMALLEST_EPOCH else None
    text = str(value).strip()
    if re.match(r"^\d{10,}(\.\d+)?$", text):
        return float(text)
    # What fromisoformat of Python 3.8 accepts: an offset with a colon, and a fraction of 3 or 6 digits.
    found = re.match(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d+))?\s*(Z|z|[+-]\d\d:?\d\d)?$", text)
    if not found:
        return None
    day, minute, second, fraction, zone = found.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone if ":" in zone else zone[:3] + ":" + zone[3:]
    try:
        return datetime.fromisoformat("%sT%s%s.%s%s" % (day, minute, second or ":00", (fraction or "0").ljust(6, "0")[:6], zone)).timestamp()
    except ValueError:
        return None


def elapsed(seconds: float) -> str:
    """A running clock: 00:41, 12:05, 1:02:03."""
    whole = max(0, int(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return "%d:%02d:%02d" % (hours, minutes, whole % 60) if hours else "%02d:%02d" % (minutes, whole % 60)


def duration(seconds: Optional[float]) -> str:
    """A span for people: 0.4 s, 12.3 s, 4 min 05 s, 2 h 03 min, 3 d 4 h; an em dash for none."""
    if seconds is None:
        return "\u2014"
    if seconds < 0:
        return "-" + duration(-seconds)
    if round(seconds, 1) < 60:
        return "%.1f s" % seconds
    whole = int(round(seconds))
    if whole < 3600:
        return "%d min %02d s" % divmod(whole, 60)
    minutes = int(round(seconds / 60.0))
    if minutes < 48 * 60:
        return "%d h %02d min" % divmod(minutes, 60)
    hours = int(round(seconds / 3600.0))
    return "%d d %d h" % divmod(hours, 24)
