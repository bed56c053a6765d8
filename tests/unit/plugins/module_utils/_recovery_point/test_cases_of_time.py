# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Safety cases 4 and 5 with real points in a directory: a clock that said 2031 for an hour, and a machine that does not answer for ten days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.catalog import Catalog, Filters
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.table import table
from ansible_collections.lifeboat.cluster.plugins.module_utils._readiness import readiness
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import points
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Artifact, ClusterIdentity, Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention import pruning
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.retention import Policy
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ClockSkewError, NoRecoveryPointError, PointError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import StoredObject
from tests.unit.plugins.module_utils._recovery_point.aging import RUN, SHA, Past, at
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys, Maker, make_tar

ALL = ("cp1", "cp2", "cp3")
LATE = at("2031-01-01T10:00:00Z")
UNTIL = "2040-01-01T00:00:00Z"


@pytest.fixture
def past(tmp_path: Path, keys: Keys) -> Past:
    """Makes points of any time in an empty directory."""
    (tmp_path / "location").mkdir(mode=0o700)
    return Past(FilesystemLocation(str(tmp_path / "location")), keys)


def pruned(past: Past, policy: Policy) -> pruning.Prepared:
    """Plan, and carry out."""
    prepared = pruning.prepare(past.location, past.cluster, past.trust, policy, names.now())
    pruning.apply(past.location, prepared, past.trust, past.signing_key, "run")
    return prepared


def catalog(past: Past) -> Catalog:
    """What is there."""
    return Catalog(past.location, past.cluster, past.trust)


def ten_real_and_three_wrong(past: Past) -> tuple[list[str], list[str]]:
    """Ten days, then an hour in which the clock said 2031."""
    now = names.now()
    real = [past.point(now - timedelta(days=day), highest_revision=90_000 - day) for day in range(20, 10, -1)]
    return real, [past.point(LATE + timedelta(hours=hour), retain_days=30, highest_revision=1_000) for hour in range(3)]


# -- case 4 --------------------------------------------------------------------------------------------------------------------------


def test_the_newest_point_is_a_real_one_and_those_from_the_future_are_passed_over(past: Past) -> None:
    real, wrong = ten_real_and_three_wrong(past)
    found = catalog(past)
    assert found.select("latest").id == real[-1]
    assert sorted(point.id for point in found.passed_over) == wrong
    assert {point.state for point in found.passed_over} == {"in_the_future"}
    assert "it says 2031-01-01T" in found.passed_over[0].note
    assert found.latest(["etcd"]).id == real[-1]
    # Who names one may use it.
    assert found.select(wrong[0]).id == wrong[0]


def test_the_list_shows_points_from_the_future_as_what_they_are(past: Past) -> None:
    real, wrong = ten_real_and_three_wrong(past)
    found = catalog(past)
    rows = found.rows()
    assert [(row["id"], row["state"], row["usable"]) for row in rows[-4:]] == [
        (real[-1], "complete", True),
        *((point, "in_the_future", False) for point in wrong),
    ]
    assert rows[-1]["age_seconds"] < 0
    lines = [line for line in table(rows, found.counts(), found.now) if "in_the_future" in line]
    assert len(lines) == 3
    assert "etcd pki; it says 2031-01-01T10:00:00Z, and here it is" in lines[0]
    assert f"  in {(LATE - found.now).days}d  " in lines[0]
    assert [row["id"] for row in found.rows(filters=Filters(states=["in_the_future"]))] == wrong
    assert found.rows(filters=Filters(states=["complete"], max_age_seconds=0)) == []


def test_where_every_point_is_from_the_future_the_error_leads_on(past: Past) -> None:
    """The clock of a machine that was just set up may say anything."""
    point = past.point(names.now() + timedelta(days=300))
    with pytest.raises(NoRecoveryPointError) as caught:
        catalog(past).select("latest")
    assert "and here it is" in caught.value.found
    assert f"-e recovery_point_id={point}" in caught.value.remedy
    assert "timedatectl" in caught.value.remedy


def test_something_over_a_point_from_the_future_is_still_named(past: Past) -> None:
    point = past.point(LATE)

    class Over(FilesystemLocation):
        def list(self, prefix: str) -> Iterator[StoredObject]:
            """Everything has a version too many."""
            return (stored._replace(overlaid=1) for stored in super().list(prefix))

    found = Catalog(Over(str(past.location.path)), past.cluster, past.trust)
    row = found.get(point).row(found.now)
    assert row["state"] == "in_the_future"
    assert row["overlaid"]
    assert "the originals are read" in row["reason"]


def test_pruning_keeps_the_real_points_and_not_those_of_a_clock_that_was_wrong(past: Past) -> None:
    """keep_last 3, and three points of 2031."""
    real, wrong = ten_real_and_three_wrong(past)
    made = pruned(past, Policy(keep_last=3))
    assert past.points_there() == [*real[-3:], *wrong]
    assert [group["newest_verified"] for group in made.groups()] == [real[-1]]
    assert [problem.split(" is from the future")[0] for problem in made.problems] == wrong
    lines = made.table()
    assert lines[0] == f"etcd+pki: 3 of 10 kept, newest verified {real[-1]}"
    assert "not counted, because not whole, or from the future:" in lines
    assert "from the future, so it takes no place and protects nothing" in lines[-2]


def test_verification_reads_the_real_points_first(past: Past) -> None:
    now = names.now()
    real = past.point(now - timedelta(days=1), verified=False)
    wrong = past.point(LATE, verified=False)
    assert catalog(past).due("opened", timedelta(days=7), 1) == [real]
    # A result of 2031 does not say for years that the point was read.
    past.result(real, LATE)
    assert catalog(past).due("opened", timedelta(days=7), 2) == [real, wrong]


# -- beginning and sealing -----------------------------------------------------------------------------------------------------------


def begun(past: Past, **more: Any) -> points.Opened:
    """Begin a point now."""
    return points.open_point(past.location, past.cluster, RUN, UNTIL, trust=past.trust, **more)


def at_time(monkeypatch: pytest.MonkeyPatch, past: Past, moment: datetime, location_too: bool = True) -> None:
    """Set the clock of the controller; that of a directory on its own disk is the same."""
    monkeypatch.setattr(names, "now", lambda: moment)
    if location_too:
        monkeypatch.setattr(past.location, "clock", moment.timestamp)


def test_points_from_the_future_end_no_backups(past: Past) -> None:
    real, wrong = ten_real_and_three_wrong(past)
    opened = begun(past).opening
    assert opened.seen_before == [*real, *wrong]


def test_a_clock_that_the_location_does_not_share_begins_no_point(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    for moment, word in ((LATE, "ahead"), (names.now() - timedelta(hours=1), "behind by 1 h")):
        at_time(monkeypatch, past, moment, location_too=False)
        with pytest.raises(ClockSkewError) as caught:
            begun(past)
        assert names.format_time(moment) in caught.value.found
        assert word in caught.value.found
        assert "timedatectl" in caught.value.remedy
        assert begun(past, check_mode=True).changed, "a plan asks no directory for its time"
    assert past.keys_there() == []


def test_a_clock_by_which_every_point_is_from_the_future_begins_no_point(past: Past, monkeypatch: pytest.MonkeyPatch, stranger: Keys) -> None:
    """A machine whose battery is empty says 2020; the points are right."""
    now = names.now()
    first, second = (past.point(now - timedelta(days=day)) for day in (3, 2))
    before = past.keys_there()
    at_time(monkeypatch, past, at("2020-01-01"))
    with pytest.raises(PointError, match="every trusted recovery point is from the future") as caught:
        begun(past)
    assert "this controller says 2020-01-01T12:00:00Z" in caught.value.found
    assert f"{second} says " in caught.value.found
    assert f"-e lifeboat_future_point={second}" in caught.value.remedy
    with pytest.raises(PointError, match="every trusted"):
        begun(past, future_point=first)
    assert past.keys_there() == before
    # Points of somebody else say nothing.
    other = Past(past.location, stranger)
    other.point(at("2019-12-31"))
    with pytest.raises(PointError, match="every trusted"):
        begun(past)


def test_the_way_on_where_the_only_points_are_from_the_future(past: Past) -> None:
    """The clock was wrong when the first backups were made: said once, and never again."""
    past.point(LATE)
    newest = past.point(LATE + timedelta(hours=1))
    with pytest.raises(PointError) as caught:
        begun(past)
    assert caught.value.remedy.endswith(f"-e lifeboat_future_point={newest}")
    assert begun(past, future_point=newest).changed
    past.point(names.now())
    assert begun(past).changed


def test_many_points_from_the_future_take_no_place_of_the_ones_that_a_manifest_names(monkeypatch: pytest.MonkeyPatch, past: Past) -> None:
    monkeypatch.setattr(points, "SEEN_BEFORE_LIMIT", 4)
    real, wrong = ten_real_and_three_wrong(past)
    assert begun(past).opening.seen_before == real[-4:]
    assert len(wrong) == 3


class Backup:
    """A backup that has begun, and is sealed later."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.opening = points.open_point(maker.location, CLUSTER, RUN, UNTIL, trust=maker.keys.trust).opening
        self.artifacts: list[Artifact] = [maker.add(self.opening.id, name, "cp1", make_tar({"file": name.encode()})) for name in ("etcd", "pki")]

    def seal(self, **more: Any) -> Manifest:
        """Seal it."""
        return self.maker.seal(self.opening.id, self.artifacts, **more)


def before(minutes: float) -> str:
    """A time of so many minutes ago."""
    return names.format_time(names.now() - timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("minutes", "word"),
    [(-10, "its snapshot is from the future"), (-60 * 24 * 1500, "from the future"), (120, "older than a trusted point that was there before")],
)
def test_a_snapshot_of_a_machine_whose_clock_is_wrong_is_not_sealed(maker: Maker, minutes: float, word: str) -> None:
    there = maker.point(taken_at=before(20))
    backup = Backup(maker)
    with pytest.raises(PointError, match=word) as caught:
        backup.seal(taken_at=before(minutes))
    assert "machine that gave the snapshot" in caught.value.remedy
    assert "this controller says" in caught.value.found
    assert (there.id in caught.value.found) is (minutes > 0)
    assert maker.location.size(names.manifest_key(CLUSTER, backup.opening.id)) is None
    assert backup.seal(taken_at=before(15)).id == backup.opening.id


def test_a_clock_that_jumps_between_beginning_and_sealing_is_noticed(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.point(taken_at=before(20))
    backup, real = Backup(maker), names.now()
    for moment, word in (
        (real - timedelta(days=2), "the clock of this controller was set back"),
        (real + timedelta(days=1500), "its snapshot is too long after its beginning"),
    ):
        monkeypatch.setattr(names, "now", lambda moment=moment: moment)
        with pytest.raises(ClockSkewError, match="is not sealed while the clocks"):
            backup.seal()
        with monkeypatch.context() as patch:
            patch.setattr(maker.location, "clock", moment.timestamp)
            with pytest.raises(PointError, match=word):
                backup.seal(taken_at=names.format_time(moment))
    monkeypatch.undo()
    assert backup.seal().id == backup.opening.id


def test_of_two_backups_at_a_time_either_may_be_sealed_first(maker: Maker) -> None:
    """The slow one took its snapshot long before the quick one, which it never saw."""
    slow = Backup(maker)
    maker.point(taken_at=before(0))
    assert slow.seal(taken_at=before(60)).id == slow.opening.id


def test_a_copy_stands_for_the_time_of_its_original_whenever_it_is_made(maker: Maker) -> None:
    maker.point()
    backup = Backup(maker)
    origin = {"id": "20250101T000000Z-aaaaaa", "location": "elsewhere", "reason": "why", "copied_at": before(0)}
    assert backup.seal(taken_at="2025-01-01T00:00:00Z", origin=origin).taken_at == "2025-01-01T00:00:00Z"
    # And says nothing of the time that it was made.
    assert Backup(maker).seal(taken_at=before(3)).id


def test_what_cannot_be_read_says_nothing_of_the_time(past: Past) -> None:
    past.location.put_new(names.manifest_key(CLUSTER, "20300101T000000Z-aaaaaa"), b"{")
    assert begun(past).changed
    assert points.open_point(past.location, CLUSTER, RUN, UNTIL, trust=Trust(), identity=ClusterIdentity(None, SHA)).changed


# -- case 5 --------------------------------------------------------------------------------------------------------------------------


def test_pruning_leaves_the_keys_of_a_machine_that_is_away(past: Past) -> None:
    """Ten days, four points a day without cp3; keep_last 3, keep_daily 7."""
    now = names.now()
    whole = [past.point(now - timedelta(days=20 + day), machines=ALL) for day in (2, 1)]
    for hours in range(240, 0, -6):
        past.point(now - timedelta(days=6, hours=hours), machines=("cp1", "cp2"), lost=("cp3",))
    made = pruned(past, Policy(keep_last=3, keep_daily=7))
    assert past.points_there()[0] == whole[1]
    assert "newest verified pki of cp3" in made.plan.get(whole[1]).reasons
    assert whole[0] not in past.points_there()
    assert len(past.points_there()) <= 3 + 7 + 1
    assert any("newest verified pki of cp3" in line for line in made.table())
    held = [artifact.host for point in past.points_there() for artifact in catalog(past).select(point).manifest.artifacts]
    assert set(held) == set(ALL)


def look(past: Past, **more: Any) -> dict[str, Any]:
    """The readiness of the cluster, with a target of a day."""
    wishes: dict[str, Any] = {"rpo_targets": {}, "rpo_target_seconds": 86400, "proof_days": 90, "drill_days": 90, "recipients": [], "signing_key": None, **more}
    return readiness.Look(past.location, catalog(past), past.trust, readiness.Wishes(**wishes)).record()


def of(state: dict[str, Any], component: str) -> dict[str, Any]:
    """One component."""
    return next(entry for entry in state["components"] if entry["component"] == component)


def test_readiness_names_the_machine_that_no_fresh_point_holds(past: Past) -> None:
    now = names.now()
    old = past.point(now - timedelta(days=10), machines=ALL)
    new = [past.point(now - timedelta(hours=hours), machines=("cp1", "cp2"), lost=("cp3",)) for hours in (5, 3, 1)]
    state = look(past)
    assert (of(state, "etcd")["verdict"], of(state, "pki")["verdict"], of(state, "pki")["point"]) == ("fresh", "stale", new[-1])
    assert [(entry["machine"], entry["verdict"], entry["point"]) for entry in of(state, "pki")["machines"]] == [("cp3", "stale", old)]
    assert f"pki of cp3 is stale: 10 d old ({old})" in of(state, "pki")["text"].replace(" 0 h", "")
    lines = readiness.table(state)
    assert any(line.split()[:3] == ["of", "cp3", "STALE"] and line.endswith(old) for line in lines), lines
    metrics = readiness.metrics(state)
    assert 'lifeboat_machine_without_recovery_point{cluster="shop",component="pki",machine="cp3"} 1' in metrics
    # Alerts go by the machine that is worst off.
    taken = at(names.format_time(now - timedelta(days=10))).timestamp()
    assert f'lifeboat_newest_verified_recovery_point_timestamp_seconds{{cluster="shop",component="pki"}} {taken:.0f}' in metrics
    # A backup of that machine alone is enough, once it is verified.
    part = past.point(now - timedelta(minutes=50), ("pki",), ("cp3",), machines=("cp3",), verified=False)
    assert of(look(past), "pki")["verdict"] == "stale"
    past.result(part, now)
    assert (of(look(past), "pki")["verdict"], of(look(past), "pki")["machines"]) == ("fresh", [])


def test_a_component_that_the_newest_points_lack_as_a_whole_is_looked_at_too(past: Past) -> None:
    """The admin node is away, so no artifact of its components is in the newest point; the default target is for them as well."""
    now = names.now()
    past.point(now - timedelta(days=10), ("etcd", "pki", "salt_master"))
    manifest = past.point(now - timedelta(hours=1), missing=[], status="completed")
    assert "salt_master" not in {entry["component"] for entry in look(past)["components"]}, "it was taken out of the cluster"
    past.location.remove(names.manifest_key(CLUSTER, manifest))
    past.point(now - timedelta(minutes=30), ("etcd", "pki", "salt_master"), machines=("cp1",), lost=("admin",))
    assert of(look(past), "salt_master")["machines"][0]["text"] == "in no point"


def test_readiness_is_not_fresh_by_points_and_drills_from_the_future(past: Past) -> None:
    real, wrong = ten_real_and_three_wrong(past)
    past.result(real[0], LATE, kind="drill", level="booted")
    state = look(past)
    assert (of(state, "etcd")["verdict"], of(state, "etcd")["point"]) == ("stale", real[-1])
    assert state["newest"]["id"] == real[-1]
    assert [text.split(":")[0] for text in state["future"]] == wrong
    assert state["points"] == {"complete": 10, "in_the_future": 3}
    assert state["drill"]["text"] == "never"
