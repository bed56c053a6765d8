# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times as the journal writes them, spans as people read them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils import clock

MOMENT = 1795182012.345


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-20T13:40:12.345Z",
        "2026-11-20T13:40:12.345+00:00",
        "2026-11-20 14:40:12.345 +0100",
        "2026-11-20T13:40:12,345",
        "1795182012.345",
        MOMENT,
        datetime(2026, 11, 20, 13, 40, 12, 345000, timezone.utc),
        datetime(2026, 11, 20, 13, 40, 12, 345000),
    ],
)
def test_moments(value: Any) -> None:
    """All forms of one moment."""
    assert clock.to_moment(value) == pytest.approx(MOMENT, abs=1e-6)


def test_moments_of_go() -> None:
    """Nanoseconds, as Kubernetes and etcd write them, and no seconds at all."""
    assert clock.to_moment("2026-11-20T13:40:12.345678901Z") == pytest.approx(1795182012.345678)
    assert clock.to_moment("2026-11-20T13:40Z") == 1795182000


@pytest.mark.parametrize("value", [None, True, False, "", "yesterday", "2026-13-01T00:00:00Z", "12:00", 12, "12", [], "2026-11-20"])
def test_not_moments(value: Any) -> None:
    """What is no moment is none, and never an error."""
    assert clock.to_moment(value) is None


def test_there_and_back() -> None:
    """A moment survives being written, to the millisecond."""
    assert clock.to_iso(MOMENT) == "2026-11-20T13:40:12.345Z"
    assert clock.to_iso(1795182012.9996) == "2026-11-20T13:40:13.000Z"
    assert clock.to_moment(clock.to_iso(MOMENT)) == MOMENT


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\u2014"),
        (0, "0.0 s"),
        (0.04, "0.0 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (7380, "2 h 03 min"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
        (-5, "-5.0 s"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """Spans for people."""
    assert clock.duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(-3, "00:00"), (41.9, "00:41"), (725, "12:05"), (3723, "1:02:03")])
def test_elapsed(seconds: float, text: str) -> None:
    """The clock at the beginning of a line on the screen."""
    assert clock.elapsed(seconds) == text
