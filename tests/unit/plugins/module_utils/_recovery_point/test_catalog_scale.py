# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten thousand points: a page of the table, and the newest one, cost what a page and one point cost."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.catalog import Catalog, Filters
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import StoredObject
from tests.unit.plugins.module_utils._recovery_point.copying import copy_of, name_only
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys, Maker

POINTS = 10_000
WHOLE = 40
PAGE = 30
LIMIT_SECONDS = 3
NOW = names.parse_time("2026-11-20T12:00:00Z")


def hour(number: int) -> datetime:
    """When a point was opened; one an hour, the newest an hour ago."""
    return NOW - timedelta(hours=number + 1)


def identifier(number: int) -> str:
    """Its id."""
    return f"{hour(number):%Y%m%dT%H%M%SZ}-{number:06x}"


class Counting(FilesystemLocation):
    """A location that counts what is asked of it: listings of the cluster, listings of one point, and objects read."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.asked: Counter[str] = Counter()

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """List, and count."""
        self.asked["points listed" if prefix.count("/") > 2 else "listings"] += 1
        return super().list(prefix)

    def children(self, prefix: str) -> list[str]:
        """List, and count."""
        self.asked["listings"] += 1
        return super().children(prefix)

    def open(self, key: str) -> BinaryIO:
        """Open, and count; ``read`` opens too."""
        self.asked["read"] += 1
        return super().open(key)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    """The location; the newest forty points are whole, the others are names. Every third was verified once."""
    maker = Maker(tmp_path_factory.mktemp("many"), keys)
    template = maker.point()
    stand_in = maker.root / "stand-in"
    stand_in.write_bytes(b"not read")
    for number in range(POINTS):
        point = identifier(number)
        if number < WHOLE:
            copy_of(maker, template, point, taken_at=names.format_time(hour(number) + timedelta(minutes=1)), highest_revision=POINTS - number)
        else:
            name_only(maker, point, stand_in)
        if number % 3 == 0:
            directory = maker.root / CLUSTER / "results" / point
            directory.mkdir(parents=True)
            os.link(stand_in, directory / f"{NOW:%Y%m%dT%H%M%SZ}-verification-opened-passed-01234567.json")
    maker.path(names.manifest_key(CLUSTER, template.id)).unlink()
    maker.path(names.signature_key(CLUSTER, template.id)).unlink()
    for path in sorted((maker.root / CLUSTER / "points" / template.id).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (maker.root / CLUSTER / "points" / template.id).rmdir()
    return maker.root


class Cost:
    """What was asked of the location, and how much work it was."""

    def __init__(self, root: Path, keys: Keys) -> None:
        self._root = root
        self._keys = keys
        self.seconds = 0.0
        self.asked: Counter[str] = Counter()

    def of(self, ask: Callable[[Catalog], Any]) -> Any:
        """Make a catalog and ask it something."""
        location = Counting(str(self._root))
        began = os.times()
        answer = ask(Catalog(location, CLUSTER, self._keys.trust, now=NOW))
        # Processor time, that of ssh-keygen too: the tests beside this one would count in the time of a clock.
        self.seconds = sum(os.times()[:4]) - sum(began[:4])
        self.asked = location.asked
        assert self.asked["listings"] == 5
        return answer


@pytest.fixture
def cost(many: Path, keys: Keys) -> Cost:
    """Counts."""
    return Cost(many, keys)


def test_a_page_of_the_table(cost: Cost) -> None:
    rows = cost.of(lambda found: found.rows(PAGE))
    assert [row["id"] for row in rows] == [identifier(number) for number in reversed(range(PAGE))]
    assert {(row["state"], row["usable"]) for row in rows} == {("complete", True)}
    assert [row["verified"] for row in rows] == [number % 3 == 0 for number in reversed(range(PAGE))]
    assert cost.asked["points listed"] == PAGE
    assert cost.asked["read"] == 3 * PAGE  # manifest, signature, open.json
    assert cost.seconds < LIMIT_SECONDS, cost.seconds


def test_a_filtered_page_reads_what_the_names_leave_open(cost: Cost) -> None:
    rows = cost.of(lambda found: found.rows(5, Filters(verified=True, max_age_seconds=3 * 86400)))
    assert [row["id"] for row in rows] == [identifier(number) for number in (12, 9, 6, 3, 0)]
    assert cost.asked["read"] == 3 * 5
    assert cost.of(lambda found: found.rows(PAGE, Filters(drilled="passed"))) == []
    assert cost.asked["read"] == 0


def test_the_newest(cost: Cost) -> None:
    assert cost.of(lambda found: found.select("latest")).id == identifier(0)
    # The manifests of a day and what fills the last batch, then signature and open.json of one.
    assert cost.asked["read"] == 32 + 2
    assert cost.asked["points listed"] == 1
    assert cost.seconds < LIMIT_SECONDS, cost.seconds


def test_one_by_its_id(cost: Cost) -> None:
    assert cost.of(lambda found: found.select(identifier(7))).id == identifier(7)
    assert (cost.asked["read"], cost.asked["points listed"]) == (3, 1)


def test_names_alone(cost: Cost) -> None:
    assert cost.of(lambda found: found.counts())["sealed"] == POINTS
    assert cost.of(lambda found: found.due("opened", timedelta(days=7), 3)) == [identifier(1), identifier(2), identifier(4)]
    assert cost.asked["read"] == 0


def test_the_high_water_mark(cost: Cost) -> None:
    assert cost.of(lambda found: found.high_water_revision()) == POINTS
    assert cost.asked["read"] == 200 + 2
