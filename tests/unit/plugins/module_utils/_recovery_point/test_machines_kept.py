# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans alone: what a machine needs to come back is kept, and what lies in the future takes no place. For real points see test_cases_of_time.py."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import pieces
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.retention import (
    FINISH,
    GONE_AFTER_DAYS,
    KEEP,
    REMOVE,
    Candidate,
    Plan,
    Policy,
    gone_machines,
    plan,
)
from tests.unit.plugins.module_utils._recovery_point.aging import at

NOW = datetime(2026, 10, 4, 18, 0, tzinfo=timezone.utc)
ALL = ("cp1", "cp2", "cp3")
WEEK = Policy(keep_last=3, keep_daily=7)


def point(when: datetime, machines: Sequence[str] = ALL, lost: Sequence[str] = (), **more: Any) -> Candidate:
    """A verified point of these machines, whose time is long over."""
    etcd = {pieces.piece("etcd", machine) for machine in machines[:1]}
    known: dict[str, Any] = {
        "components": ("etcd", "pki"),
        "holds": frozenset(etcd | {("pki", machine) for machine in machines}),
        "missing": frozenset(("pki", machine) for machine in lost),
        "machines": frozenset(machines),
        "verified": True,
        "retain_until": when + timedelta(hours=1),
        **more,
    }
    return Candidate(f"{when:%Y%m%dT%H%M%SZ}-{len(machines):06x}", known.pop("state", "complete"), at=when, **known)


def hourly(days: float, until: datetime = NOW, **more: Any) -> list[Candidate]:
    """A point each hour of so many days, oldest first."""
    return [point(until - timedelta(hours=hours), **more) for hours in reversed(range(int(days * 24)))]


def reasons(planned: Plan, candidate: Candidate) -> list[str]:
    """Why a point is kept."""
    decision = planned.get(candidate.id)
    assert decision.action == KEEP, decision
    return decision.reasons


def machines_left(planned: Plan, component: str = "pki", verified: bool = True) -> set[str]:
    """Of which machines something is left after pruning."""
    return {
        machine
        for decision in planned.decisions
        if decision.action == KEEP and (decision.candidate.verified or not verified) and decision.candidate.state == "complete"
        for name, machine in decision.candidate.holds
        if name == component
    }


# -- machines that do not answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verified", [True, False])
def test_the_keys_of_a_machine_that_does_not_answer_for_ten_days_are_kept(verified: bool) -> None:
    """keep_last 3, keep_daily 7: every tier is full of points without cp3."""
    away = hourly(10, machines=("cp1", "cp2"), lost=("cp3",), verified=verified)
    before = hourly(5, until=NOW - timedelta(days=10))
    planned = plan([*before, *away], WEEK, NOW)
    assert machines_left(planned) == set(ALL)
    assert reasons(planned, before[-1])[-1] == ("newest verified pki of cp3" if verified else "newest verified of etcd+pki")
    assert "newest in which nothing is missing, beside the last 3" in reasons(planned, before[-1])
    # A second plan keeps the same, and so does a third after a year of the same.
    kept = [decision.candidate for decision in planned.decisions if decision.action == KEEP]
    assert plan(kept, WEEK, NOW).ids(REMOVE) == []
    year = hourly(3, until=NOW + timedelta(days=365), machines=("cp1", "cp2"), lost=("cp3",), verified=verified)
    later = plan([*kept, *year], WEEK, NOW + timedelta(days=365))
    assert machines_left(later) == set(ALL)


def test_each_machine_has_its_own_newest_and_a_part_of_the_cluster_counts_for_what_it_holds() -> None:
    old = point(NOW - timedelta(days=90))
    without_cp3 = point(NOW - timedelta(days=60), ("cp1", "cp2"), ("cp3",))
    node = point(NOW - timedelta(days=50), ("cp3",), scope=("cp3",), components=("pki",), holds=frozenset({("pki", "cp3")}))
    recent = [point(NOW - timedelta(days=day), ("cp1",), ("cp2", "cp3")) for day in (5, 4, 3)]
    planned = plan([old, without_cp3, node, *recent], Policy(keep_daily=1), NOW)
    # cp3's keys are in the point of cp3 alone; the oldest one is not needed for them.
    assert planned.ids(REMOVE) == [old.id, recent[0].id, recent[1].id]
    assert reasons(planned, without_cp3) == ["newest verified pki of cp2"]
    assert reasons(planned, node) == ["daily 2026-08-15", "newest verified of pki, of cp3 only"]
    # Once that one is gone, the oldest is needed again.
    planned = plan([old, without_cp3, *recent], Policy(keep_daily=1), NOW)
    assert reasons(planned, old) == ["newest verified pki of cp3"]


def test_where_nothing_is_verified_the_newest_that_can_be_used_is_kept() -> None:
    unverified = [point(NOW - timedelta(days=days), verified=False) for days in (40, 30, 20)]
    failed = point(NOW - timedelta(days=15), verified=False, failed="verification of yesterday failed at level opened")
    others = [point(NOW - timedelta(days=days), ("cp1", "cp2"), ("cp3",)) for days in (3, 2, 1)]
    planned = plan([*unverified, failed, *others], Policy(keep_daily=1), NOW)
    assert reasons(planned, unverified[-1]) == ["newest pki of cp3, none of them verified"]
    assert planned.ids(REMOVE) == [unverified[0].id, unverified[1].id, others[0].id, others[1].id]
    # When there is nothing else, one whose verification failed and that was released is kept all the same.
    released = replace(failed, failed="")
    planned = plan([released, *others], Policy(keep_daily=1), NOW)
    assert reasons(planned, released) == ["newest pki of cp3, none of them verified"]


def test_a_tombstone_hides_no_machine() -> None:
    """Whoever stole the key may write a tombstone over the last point of a machine: it is not obeyed, and the one before is kept too."""
    old, buried = point(NOW - timedelta(days=40)), replace(point(NOW - timedelta(days=30)), tombstone="pruned by whoever has the key")
    recent = point(NOW - timedelta(days=1), ("cp1", "cp2"), ("cp3",))
    planned = plan([old, buried, recent], Policy(keep_daily=1), NOW)
    assert planned.ids(REMOVE) == planned.ids(FINISH) == []
    assert reasons(planned, buried) == ["newest verified pki of cp3", "this contradicts its tombstone: pruned by whoever has the key"]
    assert reasons(planned, old) == ["newest verified pki of cp3"]


def test_where_the_only_verified_point_is_hidden_by_a_tombstone_the_newest_other_one_is_kept_too() -> None:
    buried = point(NOW - timedelta(days=30), tombstone="pruned by whoever has the key")
    plain = [point(NOW - timedelta(days=day), verified=False) for day in (50, 40)]
    planned = plan([*plain, buried, point(NOW, ("cp1", "cp2"), ("cp3",))], Policy(keep_daily=1), NOW)
    assert planned.ids(REMOVE) == [plain[0].id]
    assert reasons(planned, plain[1]) == ["newest pki of cp3, none of them verified"]


def test_a_snapshot_of_etcd_is_the_same_whichever_member_gave_it() -> None:
    days = [point(NOW - timedelta(days=day), (*ALL[day % 3 :], *ALL[: day % 3])) for day in range(9)]
    planned = plan(days, Policy(keep_last=1), NOW)
    assert planned.ids(KEEP) == [days[0].id]


def test_many_machines_are_counted_not_named() -> None:
    workers = [f"w{number:03}" for number in range(200)]
    old = point(NOW - timedelta(days=40), ["cp1", *workers])
    planned = plan([old, point(NOW, ["cp1"], workers)], Policy(keep_daily=1), NOW)
    assert reasons(planned, old) == ["newest verified pki of w000, w001, w002, w003, w004 and 195 more"]


# -- what is missing takes no place --------------------------------------------------------------------------------------------------


def test_of_a_period_the_point_in_which_nothing_is_missing_is_kept() -> None:
    day = NOW - timedelta(days=2)
    whole = [point(day - timedelta(hours=hours)) for hours in (6, 5)]
    partial = [point(day - timedelta(hours=hours), ("cp1", "cp2"), ("cp3",)) for hours in (4, 3)]
    today = point(NOW)
    planned = plan([*whole, *partial, today], Policy(keep_daily=2), NOW)
    assert planned.ids(KEEP) == [whole[1].id, today.id]
    # It is that one which is locked for as long as the tier wants it.
    assert planned.get(whole[1].id).retain_until == at("2026-10-04T00:00:00Z")
    # Where all are partial, the newest of them.
    assert plan([*partial, today], Policy(keep_daily=2), NOW).ids(KEEP) == [partial[1].id, today.id]


def test_the_newest_point_in_which_nothing_is_missing_is_among_the_last() -> None:
    whole, partial = hourly(1, until=NOW - timedelta(days=1)), hourly(1, machines=("cp1", "cp2"), lost=("cp3",))
    planned = plan([*whole, *partial], Policy(keep_last=3), NOW)
    assert planned.ids(KEEP) == [whole[-1].id, *(each.id for each in partial[-3:])]


def test_a_point_that_misses_a_whole_component_is_counted_with_those_that_have_it() -> None:
    """The admin node is away: its components are in no artifact, and their tiers must not fill with what lacks them."""
    full = {"components": ("etcd", "pki", "salt_master"), "holds": frozenset({("etcd", ""), ("pki", "cp1"), ("salt_master", "admin")})}
    lacking = {"holds": frozenset({("etcd", ""), ("pki", "cp1")}), "missing": frozenset({("salt_master", "admin")})}
    before, away = [point(NOW - timedelta(days=day), **full) for day in (20, 19)], [point(NOW - timedelta(days=day), **lacking) for day in range(10)]
    assert before[0].group == away[0].group
    planned = plan([*before, *away], Policy(keep_daily=3), NOW)
    assert planned.ids(KEEP) == [before[1].id, *(each.id for each in reversed(away[:3]))]
    assert reasons(planned, before[1]) == ["newest verified salt_master of admin"]


# -- machines that are gone ----------------------------------------------------------------------------------------------------------


def without_cp3(days: Iterable[float], **more: Any) -> list[Candidate]:
    """Complete points of a cluster from which cp3 was removed."""
    return [point(NOW - timedelta(days=day), ("cp1", "cp2"), **more) for day in days]


def test_a_machine_that_was_removed_protects_nothing_after_thirty_days() -> None:
    last = point(NOW - timedelta(days=GONE_AFTER_DAYS + 3))
    policy = Policy(keep_last=1)
    young = plan([last, *without_cp3(range(3, 20))], policy, NOW)
    assert reasons(young, last) == ["newest verified pki of cp3"]
    points = [last, *without_cp3(range(2, 20))]
    assert plan(points, policy, NOW).ids(KEEP) == [points[1].id]
    assert gone_machines([*points[1:], last]) == {"cp3"}


@pytest.mark.parametrize("verified", [True, False])
def test_points_of_a_removed_machine_alone_are_kept_by_the_policy_only(verified: bool) -> None:
    own = [
        point(NOW - timedelta(days=day), ("cp3",), scope=("cp3",), components=("pki",), holds=frozenset({("pki", "cp3")}), verified=verified)
        for day in (90, 80, 70)
    ]
    assert plan([*own, *without_cp3([39, 1])], Policy(keep_last=1), NOW).ids(KEEP)[0] == own[2].id
    planned = plan([*own, *without_cp3([39, 1])], Policy(keep_last=1), NOW)
    assert reasons(planned, own[2]) == ["last 1"]
    lately = plan([*own, *without_cp3([41])], Policy(keep_last=1), NOW)
    assert len(lately.ids(REMOVE)) == (2 if verified else 0)


@pytest.mark.parametrize(
    "named",
    [
        {"lost": ("cp3",)},
        {"machines": ("cp1", "cp2", "cp3"), "holds": frozenset({("etcd", ""), ("pki", "cp1"), ("pki", "cp2")})},
        {"machines": ("cp3",), "scope": ("cp3",), "components": ("pki",), "holds": frozenset({("pki", "cp3")}), "verified": False},
    ],
)
def test_a_machine_that_a_point_named_lately_is_not_gone(named: dict[str, Any]) -> None:
    """As missing, as one that was there, or in a point of its own: somebody still reckons with it."""
    last = point(NOW - timedelta(days=90))
    lately = point(NOW - timedelta(days=20), **{"machines": ("cp1", "cp2"), **named})
    planned = plan([last, lately, *without_cp3([1])], Policy(keep_last=1), NOW)
    assert reasons(planned, last) == ["newest verified pki of cp3"]


@pytest.mark.parametrize("newest", [{"lost": ("w1",)}, {"scope": ("cp1", "cp2")}, {"machines": frozenset()}, {"at": NOW + timedelta(days=400)}])
def test_only_a_complete_point_of_the_whole_cluster_says_that_a_machine_is_gone(newest: dict[str, Any]) -> None:
    last = point(NOW - timedelta(days=90))
    points = [replace(each, **{"missing" if name == "lost" else name: value for name, value in newest.items()}) for each in without_cp3([2, 1])]
    points = [replace(each, missing=frozenset({("pki", "w1")})) if "lost" in newest else each for each in points]
    planned = plan([last, *points], Policy(keep_last=1), NOW)
    assert last.id not in planned.ids(REMOVE)


def test_when_backups_end_no_machine_is_gone() -> None:
    points = hourly(1)
    planned = plan([*points, point(NOW - timedelta(hours=1), ("cp1", "cp2"))], Policy(keep_last=1), NOW + timedelta(days=4000))
    assert machines_left(planned) == set(ALL)


# -- the future ----------------------------------------------------------------------------------------------------------------------

LATE = at("2031-01-01T10:00:00Z")


def test_points_from_the_future_take_no_place_and_protect_nothing() -> None:
    """Three of them with keep_last 3 would else remove all real ones."""
    real = [point(NOW - timedelta(days=day)) for day in range(10)]
    future = [point(LATE + timedelta(hours=hour), retain_until=LATE + timedelta(days=30)) for hour in range(3)]
    planned = plan([*real, *future], Policy(keep_last=3, minimum_age_days=1), NOW)
    assert planned.ids(KEEP) == [*(each.id for each in reversed(real[:3])), *(each.id for each in future)]
    assert "newest verified of etcd+pki" in reasons(planned, real[0])
    assert reasons(planned, future[0]) == [
        "from the future, so it takes no place and protects nothing: it says 2031-01-01T10:00:00Z, and here it is 2026-10-04T18:00:00Z",
        "retain_until in manifest not reached: 2031-01-31T10:00:00Z",
    ]
    record = planned.get(future[0].id).to_record()
    assert (record["state"], record["retain_until"]) == ("in_the_future", None)


def test_a_point_from_the_future_goes_when_its_own_time_is_over_and_then_says_why() -> None:
    real, future = point(NOW), point(LATE, retain_until=NOW - timedelta(days=1))
    decision = plan([real, future], Policy(keep_last=3, minimum_age_days=30), NOW).get(future.id)
    assert decision.action == REMOVE
    assert decision.reasons[0].startswith("from the future, so it takes no place")
    for more in ({"tagged": "tagged keep by ops: why"}, {"locked_until": NOW + timedelta(days=1)}):
        assert plan([real, replace(future, **more)], Policy(keep_last=3), NOW).get(future.id).action == KEEP


def test_up_to_five_minutes_ahead_is_now() -> None:
    early = point(NOW + timedelta(minutes=5))
    assert plan([early], Policy(keep_last=1), NOW).get(early.id).candidate.state == "complete"
    late = point(NOW + timedelta(minutes=5, seconds=1))
    assert plan([late], Policy(keep_last=1), NOW).get(late.id).candidate.state == "in_the_future"


# -- how long it takes ---------------------------------------------------------------------------------------------------------------


def test_ten_thousand_points_of_two_hundred_machines_are_planned_at_once() -> None:
    """Hourly points of more than a year; now and then other machines do not answer."""
    chance = random.Random(5)
    machines = [f"w{number:03}" for number in range(200)]
    points = []
    for number in range(10_000):
        lost = chance.sample(machines, 2) if number % 3 == 0 else []
        points.append(point(NOW - timedelta(hours=number), [machine for machine in machines if machine not in lost], lost, verified=number % 7 == 0))
    began = time.process_time()
    planned = plan(points, Policy(keep_last=24, keep_daily=14, keep_monthly=12), NOW)
    spent = time.process_time() - began
    assert machines_left(planned) == set(machines)
    assert len(planned.ids(REMOVE)) > 9_900
    assert spent < 5, spent
