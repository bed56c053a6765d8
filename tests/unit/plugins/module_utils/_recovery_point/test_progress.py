# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines about long transfers: when, and what they say."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification import verification
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.progress import Meter, Teller, into_file, watched
from tests.unit.plugins.module_utils._recovery_point.making import Maker

GB, MB = 1000**3, 1000**2


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def meter(clock: Clock, total: int | None = 3_400_000_000) -> Meter:
    """A meter of one artifact."""
    return Meter("cp1: etcd/cp1.db.zst.age", total, clock=clock)


def test_a_short_transfer_says_nothing() -> None:
    clock = Clock()
    short = meter(clock)
    clock.seconds += 9.9
    assert short.at(3 * GB) is None
    assert short.end() is None


def test_a_long_one_says_how_much_how_fast_and_how_long_still() -> None:
    clock = Clock()
    long = meter(clock)
    clock.seconds += 12.5
    assert long.at(1_200_000_000) == "cp1: etcd/cp1.db.zst.age 1.2 of 3.4 GB, 96.0 MB/s, 23 s left"
    clock.seconds += 5
    assert long.at(2 * GB) is None
    clock.seconds += 5
    assert long.at(2_200_000_000) == "cp1: etcd/cp1.db.zst.age 2.2 of 3.4 GB, 100 MB/s, 12 s left"
    clock.seconds += 8
    assert long.at(3_400_000_000) is None
    assert long.end() == "cp1: etcd/cp1.db.zst.age 3.4 GB in 30 s, 111 MB/s"


def test_one_that_stalls_is_seen_to_stall_and_to_go_on() -> None:
    clock = Clock()
    stalled = meter(clock)
    clock.seconds += 10
    assert stalled.at(GB) is not None
    clock.seconds += 10
    assert stalled.at(GB) == "cp1: etcd/cp1.db.zst.age 1.0 of 3.4 GB, 0 B/s, nothing came in 10 s"
    clock.seconds += 10
    assert stalled.at(GB + 1_000_000) == "cp1: etcd/cp1.db.zst.age 1.0 of 3.4 GB, 100 kB/s, 6 h 39 min left"


def test_without_a_total_and_with_more_than_it() -> None:
    clock = Clock()
    unknown = meter(clock, None)
    clock.seconds += 10
    assert unknown.at(500) == "cp1: etcd/cp1.db.zst.age 500 B, 50 B/s"
    more = meter(clock, 400)
    clock.seconds += 10
    assert more.at(500) == "cp1: etcd/cp1.db.zst.age 500 of 400 B, 50 B/s"


def test_one_of_which_nothing_is_known_but_that_it_goes_on() -> None:
    clock = Clock()
    sent = Meter("cp1: etcd/cp1.db.zst.age is being sent,", 3 * GB, clock=clock)
    assert sent.waiting() is None
    clock.seconds += 70
    assert sent.waiting() == "cp1: etcd/cp1.db.zst.age is being sent, 3.0 GB: 1 min 10 s so far"
    assert sent.waiting() is None


def test_lines_are_appended_to_a_file_that_is_there_and_only_there(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    clock = Clock()
    teller = Teller(meter(clock), into_file(str(path)))
    clock.seconds += 10
    teller.at(GB)
    assert not path.exists()
    path.write_text("before\n")
    clock.seconds += 10
    teller.more(GB)
    teller.end()
    lines = path.read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["before", "cp1: etcd/cp1.db.zst.age 2.0 of 3.4 GB", "cp1: etcd/cp1.db.zst.age 2.0 GB in 20 s"]
    silent = Teller(meter(clock), into_file(None))
    clock.seconds += 10
    silent.at(GB)


def test_every_byte_of_a_verification_is_counted(maker: Maker) -> None:
    manifest = maker.point()
    counted: list[int] = []
    verified = verification.verify_point(watched(maker.location, counted.append), manifest, "opened", [str(maker.keys.identity_file)])
    assert verified.passed, verified.checks
    assert sum(counted) == manifest.size_bytes
