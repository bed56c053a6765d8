# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pruning of real points in a directory: what is looked at, what stops it, what is left after a kill at any moment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import tombstones
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.catalog import Catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import transfer
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention import pruning
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.retention import FINISH, KEEP, REMOVE, Policy, PruneRefusedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    ClockSkewError,
    LocationVanishedError,
    ObjectLockedError,
    ObjectMissingError,
    SignatureError,
    SignatureUncheckedError,
    SignedByStrangerError,
    TombstoneError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import StoredObject
from tests.unit.plugins.module_utils._recovery_point.aging import Past, at
from tests.unit.plugins.module_utils._recovery_point.making import Keys, Maker, flip

NOW = at("2026-10-04T18:00:00Z")
RUN = "20261004T180000Z-prune-0001"
LAST = Policy(keep_last=1)


class Killed(BaseException):
    """The process is no more."""


class Watched:
    """A location that counts what changes it, can fail at such a call, and says that things are locked."""

    def __init__(self, location: FilesystemLocation, die_at: int = 0, locks: dict[str, datetime] | None = None) -> None:
        self._location = location
        self._die_at = die_at
        self.changes: list[tuple[str, str]] = []
        self.until = locks or {}
        self.locks = locks is not None
        self.before: Callable[[str, str], None] = lambda what, key: None
        self.overlaid: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._location, name)

    def _changing(self, what: str, key: str) -> None:
        self.before(what, key)
        self.changes.append((what, key))
        if len(self.changes) == self._die_at:
            raise Killed

    def put_new(self, key: str, data: bytes, retain_until: datetime | None = None) -> bool:
        self._changing("put", key)
        return self._location.put_new(key, data, retain_until)

    def remove(self, key: str) -> bool:
        self._changing("remove", key)
        if self.until.get(key, NOW) > NOW:
            raise ObjectLockedError(f"{key} is locked")
        return self._location.remove(key)

    def locked_until(self, key: str) -> datetime | None:
        return self.until.get(key)

    def retain(self, key: str, until: datetime) -> bool:
        self._changing("retain", key)
        longer = self.until.get(key, at("2000-01-01")) < until
        if longer:
            self.until[key] = until
        return longer

    def list(self, prefix: str) -> Iterator[StoredObject]:
        return (stored._replace(overlaid=int(stored.key in self.overlaid)) for stored in self._location.list(prefix))


@pytest.fixture
def past(tmp_path: Path, keys: Keys) -> Past:
    """Makes points of long ago in an empty directory."""
    (tmp_path / "location").mkdir(mode=0o700)
    return Past(FilesystemLocation(str(tmp_path / "location")), keys)


def prepared(past: Past, policy: Policy = LAST, location: Any = None, now: datetime = NOW) -> pruning.Prepared:
    """The plan."""
    return pruning.prepare(location or past.location, past.cluster, past.trust, policy, now)


def pruned(past: Past, policy: Policy = LAST, location: Any = None, now: datetime = NOW) -> pruning.Outcome:
    """Plan and carry out."""
    where = location or past.location
    return pruning.apply(where, prepared(past, policy, where, now), past.trust, past.signing_key, RUN)


def bytes_of(past: Past) -> dict[str, bytes]:
    """Everything that lies there, but for what is random or of the run in tombstones."""
    return {key: b"" if "/pruned/" in key else past.location.read(key, 1 << 20) for key in past.keys_there()}


def reasons(plan: pruning.Prepared, point: str) -> str:
    """Why a point is kept."""
    decision = plan.plan.get(point)
    assert decision.action == KEEP, decision
    return "; ".join(decision.reasons)


def three(past: Past) -> tuple[str, str, str]:
    """Points of three months."""
    return past.point(at("2026-07-01")), past.point(at("2026-08-01")), past.point(at("2026-09-01"))


def test_what_nothing_keeps_goes_without_a_trace_but_its_tombstone(past: Past) -> None:
    old, middle, new = three(past)
    past.tag(old, "keep", at("2026-07-02"))
    past.tag(old, "release", at("2026-07-03"))
    past.location.put_new(names.artifact_key(past.cluster, old, "pki/late.tar.zst.age"), b"stored by a host that failed later")
    size = sum(stored.size_bytes for stored in past.location.list(names.cluster_prefix(past.cluster)) if f"/{old}" in stored.key)
    before = bytes_of(past)

    plan = prepared(past)
    assert plan.plan.ids(REMOVE) == [old, middle]
    assert bytes_of(past) == before, "a plan changes nothing"
    assert prepared(past) == plan, "the same in check mode"
    assert plan.removable_bytes > size

    watched = Watched(past.location)
    outcome = pruned(past, location=watched)
    assert (outcome.removed, outcome.finished, outcome.extended, outcome.left) == ([old, middle], [], [], [])
    assert outcome.freed_bytes == plan.removable_bytes
    expected = sorted(
        [key for key in before if f"/{new}" in key] + [names.tombstone_key(past.cluster, point) + end for point in (old, middle) for end in ("", ".sig")]
    )
    assert past.keys_there() == expected
    assert not [path for path in Path(past.location.path).glob("*/*/**/*") if path.is_dir() and not any(path.iterdir())]

    of_old = [(what, key.removeprefix("shop/")) for what, key in watched.changes if f"/{old}" in key]
    assert of_old[:4] == [
        ("put", f"pruned/{old}.json.sig"),
        ("put", f"pruned/{old}.json"),
        ("remove", f"manifests/{old}.json"),
        ("remove", f"manifests/{old}.json.sig"),
    ]
    assert [key.split("/")[0] for _what, key in of_old[4:]] == ["points"] * 3 + ["results"] * 2 + ["tags"] * 4 + ["points"]
    assert of_old[-1] == ("remove", f"points/{old}/open.json")

    tombstone = tombstones.read_tombstone(past.location, past.cluster, old, past.trust)
    assert (tombstone.id, tombstone.cluster_name, tombstone.run_id, tombstone.pruned_at) == (old, "shop", RUN, names.format_time(NOW))
    assert (tombstone.taken_at, tombstone.components, tombstone.reason) == ("2026-07-01T12:00:00Z", ["etcd", "pki"], "no tier of the policy wants it")
    assert results.user_name() in tombstone.by

    again = Watched(past.location)
    assert not pruned(past, location=again).changed
    assert again.changes == []


def test_the_diff_is_the_plan(past: Past) -> None:
    old, middle, new = three(past)
    diff = prepared(past).diff()
    assert diff["before"].splitlines() == [
        f"{old}  2026-07-01T12:00:00Z  etcd+pki  remove: no tier of the policy wants it",
        f"{middle}  2026-08-01T12:00:00Z  etcd+pki  remove: no tier of the policy wants it",
        f"{new}  2026-09-01T12:00:00Z  etcd+pki  keep: last 1; newest verified of etcd+pki",
    ]
    assert diff["after"].splitlines() == diff["before"].splitlines()[2:]


# -- what is believed ----------------------------------------------------------------------------------------------------------------


def test_only_results_that_an_allowed_signer_signed_make_a_point_verified(past: Past, stranger: Keys) -> None:
    verified = past.point(at("2026-07-01"))
    unsigned, strange, renamed, plain = (past.point(at(f"2026-08-0{day}"), verified=False) for day in range(1, 5))
    later = at("2026-08-05")
    bad = [past.result(unsigned, later, sign=False), past.result(strange, later, key=stranger.signing_key)]
    failed = past.result(renamed, later, passed=False)
    claimed = failed.replace("-failed-", "-passed-")
    for end in ("", ".sig"):
        data = past.location.read(failed + end, 1 << 20)
        past.location.remove(failed + end)
        past.location.put_new(claimed + end, data)
    escrow = past.point(at("2026-08-05"), verified=False)
    past.result(escrow, later, kind="escrow")
    listed = past.point(at("2026-08-06"), verified=False)
    past.result(listed, later, level="hashed")

    plan = prepared(past)
    assert reasons(plan, verified) == "newest verified of etcd+pki"
    assert [decision.candidate.id for decision in plan.plan.decisions if decision.candidate.verified] == [verified]
    assert plan.plan.ids(REMOVE) == [unsigned, strange, renamed, plain, escrow]
    assert [text.split(" is not believed: ")[0] for text in plan.problems] == [*bad, claimed]

    past.result(plain, later, kind="drill", level="restored")
    assert reasons(prepared(past), plain) == "newest verified of etcd+pki"
    past.result(plain, later + timedelta(hours=1), passed=False, level="listed")
    plan = prepared(past)
    assert "failed at level listed: kept as evidence" in reasons(plan, plain)
    assert reasons(plan, verified) == "newest verified of etcd+pki"
    past.tag(plain, "release", later + timedelta(hours=2))
    assert plain in prepared(past).plan.ids(REMOVE)


def test_a_failure_that_nobody_signed_takes_nothing_from_a_verified_point(past: Past, stranger: Keys) -> None:
    """Whoever may put objects could otherwise make the newest verified point one that may go."""
    point, newer = past.point(at("2026-07-01")), past.point(at("2026-08-01"), verified=False)
    past.result(point, at("2026-09-01"), passed=False, sign=False)
    past.result(point, at("2026-09-02"), passed=False, key=stranger.signing_key)
    plan = prepared(past)
    assert reasons(plan, point) == "newest verified of etcd+pki"
    assert reasons(plan, newer) == "last 1"


def test_nobody_said_who_may_sign(past: Past) -> None:
    three(past)
    with pytest.raises(SignatureUncheckedError):
        pruning.prepare(past.location, past.cluster, Trust(), LAST, NOW)
    with pytest.raises(SignatureError) as caught:
        pruning.prepare(past.location, past.cluster, Trust("/nowhere/allowed_signers"), LAST, NOW)
    assert "not there" in str(caught.value)


def test_tags_hold_back_until_they_are_released(past: Past) -> None:
    old, _middle, _new = three(past)
    past.tag(old, "keep", at("2026-07-05"), "audit of July")
    assert reasons(prepared(past), old) == f"tagged keep by {results.user_name()}: audit of July"
    release = past.tag(old, "release", at("2026-07-06"), sign=False)
    plan = prepared(past)
    assert "audit of July" in reasons(plan, old), "a release that nobody signed ends nothing"
    assert any(release in text for text in plan.problems)
    past.tag(old, "release", at("2026-07-07"))
    assert old in prepared(past).plan.ids(REMOVE)
    past.tag(old, "keep", at("2026-07-08"), sign=False)
    assert "by nobody whose signature is believed" in reasons(prepared(past), old)


def test_what_is_broken_foreign_or_tampered_with_is_evidence(past: Past) -> None:
    edited, short, opening, unsigned, other, covered, new = (past.point(at(f"2026-0{month}-01")) for month in range(1, 8))
    root = Path(past.location.path)
    flip(root / names.manifest_key("shop", edited), 40)
    (root / names.artifact_key("shop", short, "etcd/cp1.tar.zst.age")).write_bytes(b"short")
    flip(root / names.open_key("shop", opening), 40)
    (root / names.signature_key("shop", unsigned)).unlink()
    for end in (".json", ".json.sig"):
        shutil.copy(root / f"shop/manifests/{new}{end}", root / f"shop/manifests/{other}{end}")
    past.location.put_new("shop/points/notes/readme.txt", b"somebody's")
    past.location.put_new("shop/points/20200101T000000Z-abcdef/artifacts/etcd/cp1.tar.zst.age", b"nobody's")
    location = Watched(past.location)
    location.overlaid = {names.artifact_key("shop", covered, "pki/cp1.tar.zst.age")}
    before = bytes_of(past)
    plan = prepared(past, location=location)
    assert plan.plan.ids(REMOVE) == plan.plan.ids(FINISH) == []
    states = {decision.candidate.id: decision.candidate.state for decision in plan.plan.decisions}
    assert states == {
        **dict.fromkeys((edited, short, opening, unsigned, covered), "broken"),
        **dict.fromkeys((other, "notes", "20200101T000000Z-abcdef"), "foreign"),
        new: "complete",
    }
    assert len(plan.problems) == 8
    assert not pruned(past, location=location).changed
    assert bytes_of(past) == before


def test_a_location_that_fails_says_nothing_about_points(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    _old, _middle, new = three(past)
    location = Watched(past.location)

    def vanish(key: str, limit_bytes: int) -> bytes:
        if key == names.manifest_key("shop", new):
            raise LocationVanishedError("gone")
        return past.location.read(key, limit_bytes)

    monkeypatch.setattr(location, "read", vanish, raising=False)
    with pytest.raises(LocationVanishedError):
        prepared(past, location=location)


# -- gaps ----------------------------------------------------------------------------------------------------------------------------


def test_a_gap_stops_everything(past: Past, stranger: Keys) -> None:
    old, middle, new = three(past)
    for key in [key for key in past.keys_there() if f"/{middle}" in key]:
        past.location.remove(key)
    before = bytes_of(past)
    with pytest.raises(PruneRefusedError) as caught:
        prepared(past)
    assert caught.value.details["gaps"] == [middle]
    assert f"{middle} (seen by {new})" in caught.value.found

    past.tombstone(middle, NOW, sign=False)
    with pytest.raises(PruneRefusedError):
        prepared(past)
    past.location.remove(names.tombstone_key("shop", middle))
    for bad in ({"key": stranger.signing_key}, {"says": old}, {"namespace": signing.RESULT_NAMESPACE}):
        past.tombstone(middle, NOW, **bad)
        with pytest.raises(PruneRefusedError):
            prepared(past)
        for end in ("", ".sig"):
            past.location.remove(names.tombstone_key("shop", middle) + end)
    assert bytes_of(past) == before

    past.tombstone(middle, NOW)
    assert prepared(past).plan.ids(REMOVE) == [old]


def test_a_gap_that_only_an_open_or_a_broken_point_saw_stops_everything_too(past: Past) -> None:
    old, new = past.point(at("2026-07-01")), past.point(at("2026-08-01"), verified=False)
    open_one = past.opened(NOW)
    flip(Path(past.location.path) / names.manifest_key("shop", new), 40)
    for key in [key for key in past.keys_there() if f"/{old}" in key]:
        past.location.remove(key)
    with pytest.raises(PruneRefusedError) as caught:
        prepared(past)
    assert caught.value.details["gaps"] == [old]
    past.location.remove(names.open_key("shop", open_one.id))
    with pytest.raises(PruneRefusedError):
        prepared(past)


def test_a_point_that_was_sealed_while_this_run_listed_is_no_gap(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    old = past.point(at("2026-07-01"))
    location = Watched(past.location)
    listing = location.list

    def meanwhile(prefix: str) -> Iterator[StoredObject]:
        there = list(listing(prefix))
        if prefix == names.manifests_prefix("shop"):
            past.point(NOW - timedelta(minutes=5))
            past.opened(NOW)
        return iter(there)

    monkeypatch.setattr(location, "list", meanwhile)
    plan = prepared(past, location=location)
    assert plan.plan.ids(REMOVE) == []
    assert reasons(plan, old) == "last 1; newest verified of etcd+pki"


# -- locks ---------------------------------------------------------------------------------------------------------------------------


def test_one_locked_object_keeps_the_whole_point(past: Past) -> None:
    old, middle, _new = three(past)
    result = next(key for key in past.keys_there() if f"/results/{old}" in key and key.endswith(".sig"))
    for key in (names.open_key("shop", old), names.artifact_key("shop", old, "pki/cp1.tar.zst.age"), names.signature_key("shop", old), result):
        location = Watched(past.location, locks={key: NOW + timedelta(days=1)})
        assert reasons(prepared(past, location=location), old) == "locked until 2026-10-05T18:00:00Z", key
    location = Watched(past.location, locks={key: NOW + timedelta(days=1)})
    outcome = pruned(past, location=location)
    assert outcome.removed == [middle]
    assert not [entry for entry in location.changes if old in entry[1]]


def test_a_lock_that_was_laid_after_the_plan_keeps_the_point_too(past: Past) -> None:
    old, _middle, _new = three(past)
    location = Watched(past.location, locks={})
    plan = prepared(past, location=location)
    location.until[names.open_key("shop", old)] = NOW + timedelta(days=1)
    outcome = pruning.apply(location, plan, past.trust, past.signing_key, RUN)
    assert outcome.left == [f"{old} is left alone: shop/points/{old}/open.json is locked until 2026-10-05T18:00:00Z"]
    assert not [entry for entry in location.changes if old in entry[1]]


def test_retain_until_counts_where_there_are_no_locks(past: Past) -> None:
    old = past.point(at("2026-07-01"), retain_days=365)
    past.point(at("2026-09-01"))
    assert "retain_until in manifest not reached: 2027-07-01" in reasons(prepared(past), old)
    assert prepared(past, now=at("2027-07-02")).plan.ids(REMOVE) == [old]


def test_longer_tiers_make_locks_longer_before_anything_is_removed(past: Past) -> None:
    old, middle, new = three(past)
    gone = past.point(at("2026-08-01") - timedelta(days=3))
    ids = {old: 5, middle: 5, new: 5, gone: 5}
    location = Watched(past.location, locks={key: at("2026-07-06") for key in past.keys_there() for point in ids if point in key})
    policy = Policy(keep_monthly=12)
    plan = prepared(past, policy, location)
    until = {old: at("2027-07-01T00:00:00Z"), middle: at("2027-08-01T00:00:00Z"), new: at("2027-09-01T00:00:00Z")}
    # July has a newer point than the first.
    assert plan.plan.ids(REMOVE) == []
    assert set(plan.extensions) == {gone, middle, new}
    assert plan.extensions[gone] == until[old]
    assert reasons(plan, old) == "oldest of all, while monthly has places left"

    policy = Policy(keep_monthly=3)
    plan = prepared(past, policy, location)
    assert plan.plan.ids(REMOVE) == [old]
    outcome = pruning.apply(location, plan, past.trust, past.signing_key, RUN)
    assert outcome.extended == sorted([gone, middle, new])
    kinds = [what for what, _key in location.changes]
    assert kinds == sorted(kinds, key=lambda what: what != "retain")
    assert {location.until[key] for key in past.keys_there() if f"/{middle}" in key and "/pruned/" not in key} == {at("2026-11-01T00:00:00Z")}
    again = Watched(past.location, locks=location.until)
    assert not pruned(past, policy, again).changed
    assert again.changes == []


# -- kills and neighbours ------------------------------------------------------------------------------------------------------------


def scene(past: Past) -> None:
    """One of everything that pruning does."""
    past.tag(past.point(at("2026-07-01")), "release", at("2026-07-02"))
    past.opened(at("2026-07-15"), identifier="20260715T120000Z-abcdef")
    past.point(at("2026-09-01"))
    past.tombstone("20250101T000000Z-000001", at("2025-02-01"))


def test_a_kill_between_any_two_operations_is_finished_by_the_next_run(past: Past, tmp_path: Path) -> None:
    scene(past)
    root, saved = Path(past.location.path), tmp_path / "saved"
    shutil.copytree(root, saved)

    def restart(die_at: int) -> Watched:
        shutil.rmtree(root)
        shutil.copytree(saved, root)
        past.location = FilesystemLocation(str(root))
        return Watched(past.location, die_at)

    location = restart(0)
    whole = pruned(past, location=location)
    assert len(whole.removed) == 2
    assert len(whole.forgotten) == 1
    expected, changes = bytes_of(past), len(location.changes)
    assert changes > 15
    finished = 0
    for die_at in range(1, changes + 1):
        with pytest.raises(Killed):
            pruned(past, location=restart(die_at))
        outcome = pruned(past)
        assert bytes_of(past) == expected, location.changes[die_at - 1]
        finished += len(outcome.finished)
    assert finished > 7
    assert not pruned(past).changed
    assert [point.state for point in Catalog(past.location, past.cluster, past.trust, now=NOW).points] == ["complete"]


def test_a_tombstone_whose_record_was_not_written_is_written_anew(past: Past) -> None:
    old, _middle, _new = three(past)
    past.location.put_new(names.tombstone_key("shop", old) + ".sig", b"of a run that was killed")
    pruned(past)
    assert tombstones.read_tombstone(past.location, "shop", old, past.trust).id == old


@pytest.mark.parametrize("bad", [{"sign": False}, {"says": "20200101T000000Z-abcdef"}, {"namespace": signing.MANIFEST_NAMESPACE}])
def test_a_strange_tombstone_is_never_obeyed(past: Past, bad: dict[str, Any]) -> None:
    old, middle, new = three(past)
    past.tombstone(new, NOW, **bad)
    past.tombstone(old, NOW, **bad)
    before = bytes_of(past)
    plan = prepared(past, Policy(keep_last=9))
    assert plan.plan.ids(KEEP) == [old, middle, new]
    assert [text.split(" ")[0] for text in plan.problems] == [names.tombstone_key("shop", point) for point in (old, new)]
    assert not pruned(past, Policy(keep_last=9)).changed
    assert bytes_of(past) == before
    # Nor is a point removed under it.
    with pytest.raises((SignatureError, TombstoneError)):
        pruned(past)
    assert old in past.points_there()


def test_a_stolen_key_does_not_let_a_tombstone_remove_what_is_needed(past: Past) -> None:
    """The backup's key lies with the backup; what only whoever prunes may delete is not deleted for a record that contradicts what is there."""
    old, middle, new = three(past)
    fresh = past.point(NOW - timedelta(days=1))
    for point in (new, fresh):
        past.tombstone(point, NOW)
    opened = past.opened(NOW - timedelta(hours=1)).id
    past.tombstone(opened, NOW)
    plan = prepared(past, Policy(keep_last=9))
    assert plan.plan.ids(FINISH) == [new], "what may go is gone"
    assert "contradicts its tombstone" in reasons(plan, fresh)
    assert "contradicts its tombstone" in reasons(plan, opened)
    assert len(plan.problems) == 2
    pruned(past, Policy(keep_last=9))
    assert past.points_there() == [old, middle, fresh]


def test_two_runs_at_once_come_to_the_same_end(past: Past) -> None:
    old, middle, new = three(past)
    first, second = prepared(past), prepared(past)
    # The second comes upon each point after the first did a little more to it.
    location = Watched(past.location)
    others: list[pruning.Outcome] = []
    turns = {"puts": 0}

    def other(what: str, key: str) -> None:
        if what == "remove" and key == names.artifact_key("shop", old, "etcd/cp1.tar.zst.age") and not others:
            others.append(pruning.apply(past.location, second, past.trust, past.signing_key, "another-run"))
        turns["puts"] += what == "put"

    location.before = other
    outcome = pruning.apply(location, first, past.trust, past.signing_key, RUN)
    assert outcome.left == others[0].left == []
    assert past.points_there() == [new]
    assert {key.split("/")[1] for key in past.keys_there() if old in key or middle in key} == {"pruned"}
    for point in (old, middle):
        tombstones.read_tombstone(past.location, "shop", point, past.trust)
    # One that planned before and comes after all is done.
    late = pruning.apply(past.location, second, past.trust, past.signing_key, "late-run")
    assert not late.changed
    assert not pruned(past).changed


def test_a_run_that_looks_while_another_removes_finds_no_gap_and_nothing_broken(past: Past) -> None:
    past.point(at("2026-08-01"))
    new = past.point(at("2026-09-01"))
    first = prepared(past)
    plans: list[pruning.Prepared] = []
    location = Watched(past.location)
    location.before = lambda what, key: plans.append(prepared(past)) if what == "remove" else None
    pruning.apply(location, first, past.trust, past.signing_key, RUN)
    assert len(plans) == 7
    for plan in plans:
        assert plan.problems == []
        assert set(plan.plan.ids(KEEP)) == {new}


def test_prune_while_a_backup_is_open(past: Past) -> None:
    old, middle, new = three(past)
    opening = past.opened(NOW - timedelta(hours=23))
    abandoned = past.opened(NOW - timedelta(days=30), identifier="20260904T180000Z-abcdef")
    young = past.opened(NOW - timedelta(days=3), identifier="20261001T180000Z-abcdef", retain_days=30)
    assert old in opening.seen_before
    outcome = pruned(past)
    assert outcome.removed == [old, middle, abandoned.id]
    assert tombstones.read_tombstone(past.location, "shop", abandoned.id, past.trust).taken_at is None
    assert not pruned(past).changed, "what the open point saw is explained by tombstones"
    assert {key.split("/")[2] for key in past.keys_there() if "/points/" in key} == {new, opening.id, young.id}


def test_a_point_that_was_tagged_or_sealed_since_the_plan_is_left_alone(past: Past) -> None:
    old, middle, _new = three(past)
    abandoned = past.opened(NOW - timedelta(days=30), identifier="20260904T180000Z-abcdef")
    plan = prepared(past)
    assert plan.plan.ids(REMOVE) == [old, middle, abandoned.id]
    past.tag(middle, "keep", NOW)
    past.location.put_new(names.manifest_key("shop", abandoned.id), b"a backup of many days")
    outcome = pruning.apply(past.location, plan, past.trust, past.signing_key, RUN)
    assert outcome.removed == [old]
    assert outcome.left == [
        f"{middle} is left alone: it was tagged since it was looked at",
        f"{abandoned.id} is left alone: it was sealed since it was looked at",
    ]


def test_a_restore_that_reads_a_point_which_goes_away_is_told(maker: Maker, tmp_path: Path) -> None:
    manifest = maker.point()
    chosen = maker.catalog().select(manifest.id).manifest
    past = Past(maker.location, maker.keys)
    after = names.parse_time("2031-01-01T00:00:00Z")
    past.result(manifest.id, names.now())
    past.point(after - timedelta(days=20))
    assert pruned(past, now=after).removed == [manifest.id]
    (tmp_path / "target").touch()
    with pytest.raises(ObjectMissingError) as caught:
        transfer.open_into(maker.location, chosen, chosen.artifacts[0], [str(maker.keys.identity_file)], str(tmp_path / "target"))
    assert "another recovery point" in caught.value.remedy
    assert (tmp_path / "target").read_bytes() == b""


# -- what stops a run ----------------------------------------------------------------------------------------------------------------


def test_a_key_that_no_reader_believes_is_noticed_before_anything_changes(past: Past, stranger: Keys) -> None:
    three(past)
    before = bytes_of(past)
    location = Watched(past.location, locks={})
    plan = prepared(past, Policy(keep_monthly=2), location)
    assert plan.plan.ids(REMOVE)
    assert plan.extensions
    with pytest.raises(SignedByStrangerError):
        pruning.apply(location, plan, past.trust, str(stranger.signing_key), RUN)
    assert location.changes == []
    assert bytes_of(past) == before


def test_nothing_is_pruned_by_a_clock_that_the_location_does_not_share(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    three(past)
    plan, before = prepared(past), past.keys_there()
    real = names.now()
    for wrong, words in ((timedelta(days=400), "ahead by 400 d"), (timedelta(minutes=-6), "behind by 6 min")):
        monkeypatch.setattr(names, "now", lambda wrong=wrong: real + wrong)
        with pytest.raises(ClockSkewError) as caught:
            pruning.apply(past.location, plan, past.trust, past.signing_key, RUN)
        assert words in caught.value.found
    assert past.keys_there() == before
    monkeypatch.undo()
    assert len(pruning.apply(past.location, plan, past.trust, past.signing_key, RUN).removed) == 2


def test_nothing_is_locked_for_longer_by_a_wrong_clock(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    past.point(at("2026-09-30"))
    location = Watched(past.location, locks={})
    plan = prepared(past, Policy(keep_monthly=12), location)
    assert plan.extensions
    real = names.now()
    monkeypatch.setattr(names, "now", lambda: real + timedelta(minutes=6))
    with pytest.raises(ClockSkewError):
        pruning.apply(location, plan, past.trust, past.signing_key, RUN)
    assert location.changes == []


def test_the_name_of_the_cluster_has_to_be_confirmed() -> None:
    for given in ("", "Shop", "shop "):
        with pytest.raises(PruneRefusedError) as caught:
            pruning.confirm("shop", given)
        assert "confirm_cluster_name=shop" in caught.value.remedy
    pruning.confirm("shop", "shop")


def test_an_error_in_the_middle_says_what_is_gone(past: Past) -> None:
    old, middle, _new = three(past)
    location = Watched(past.location)

    def fail(what: str, key: str) -> None:
        if what == "remove" and key == names.signature_key("shop", middle):
            raise LocationVanishedError("gone")

    location.before = fail
    with pytest.raises(LocationVanishedError) as caught:
        pruned(past, location=location)
    assert caught.value.details["removed"] == [old]
    assert caught.value.details["freed_bytes"] > 0
    assert pruned(past).finished == [middle]


def test_a_lock_that_only_removing_meets_is_left_to_the_next_run(past: Past) -> None:
    old, middle, _new = three(past)
    location = Watched(past.location, locks={})
    key = names.artifact_key("shop", old, "pki/cp1.tar.zst.age")
    location.before = lambda what, what_key: location.until.update({key: NOW + timedelta(days=1)}) if what == "put" else None
    outcome = pruned(past, location=location)
    assert outcome.removed == [middle]
    assert outcome.left[0].startswith(f"{old} is not removed whole, and the next run goes on")
    assert old not in past.points_there()
    assert not pruned(past, location=Watched(past.location, locks=location.until)).changed
    assert pruned(past, now=NOW + timedelta(days=2)).finished == [old]


# -- tombstones ----------------------------------------------------------------------------------------------------------------------


def test_tombstones_stay_while_somebody_names_the_point(past: Past) -> None:
    old, middle, new = three(past)
    pruned(past)
    assert prepared(past, now=NOW + timedelta(days=500)).forgotten == []
    newest = past.point(at("2027-01-01"))
    # The two are named by the third point, which goes; the newest saw only the third.
    assert pruned(past, now=at("2027-02-01")).removed == [new]
    opening = past.opened(at("2027-03-01"), retain_days=900)
    assert opening.seen_before == [newest]
    plan = prepared(past, now=at("2027-02-02"))
    assert plan.forgotten == [old, middle]
    pruned(past, now=at("2027-02-02"))
    assert [key for key in past.keys_there() if "/pruned/" in key] == [names.tombstone_key("shop", new) + end for end in ("", ".sig")]
    assert not pruned(past, now=at("2027-02-02")).changed


def test_uploads_of_dead_writers_go_too(past: Past) -> None:
    point = past.point(at("2026-09-01"))
    directory = Path(past.location.path) / "shop" / "points" / point / "artifacts"
    dead, living = (directory / f".{word}.partial" for word in ("dead", "living"))
    for path in (dead, living):
        path.write_bytes(b"half")
    os.utime(dead, (0, 0))
    outcome = pruned(past)
    assert (outcome.swept, outcome.changed, dead.exists(), living.exists()) == (1, True, False, True)
    assert not pruned(past).changed


def test_a_young_tombstone_stays_though_nobody_names_it_yet(past: Past) -> None:
    """A backup that listed the points before writes its open.json a moment later."""
    past.point(at("2026-09-01"))
    past.tombstone("20260101T000000Z-000001", NOW - timedelta(days=29))
    past.tombstone("20260101T000000Z-000002", NOW - timedelta(days=31))
    past.location.put_new(names.tombstones_prefix("shop") + "20260101T000000Z-000003.json", b"no tombstone at all")
    plan = prepared(past)
    assert plan.forgotten == ["20260101T000000Z-000002"]
    assert len(plan.problems) == 1


def test_a_result_that_comes_after_the_end_goes_with_the_next_run(past: Past) -> None:
    old, _middle, _new = three(past)
    pruned(past)
    key = past.result(old, NOW)
    outcome = pruned(past)
    assert outcome.finished == [old]
    assert key not in past.keys_there()
