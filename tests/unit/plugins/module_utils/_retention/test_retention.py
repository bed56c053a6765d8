# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which points are kept: periods as restic counts them, and what is never removed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.retention import (
    FINISH,
    KEEP,
    REMOVE,
    Candidate,
    Plan,
    Policy,
    PruneRefusedError,
    plan,
)

NOW = datetime(2026, 10, 4, 18, 0, tzinfo=timezone.utc)


def moment(text: str) -> datetime:
    """A time in UTC; without hours, at noon."""
    return datetime.strptime(text if "T" in text else text + "T12:00", "%Y-%m-%dT%H:%M").replace(tzinfo=timezone.utc)


def point(text: str, **more: Any) -> Candidate:
    """A verified point whose times are long over."""
    when = moment(text)
    known: dict[str, Any] = {"components": ("etcd", "pki"), "verified": True, "retain_until": when + timedelta(hours=1), "size_bytes": 10, **more}
    return Candidate(f"{when:%Y%m%dT%H%M%SZ}-{len(text):06x}", known.pop("state", "complete"), at=when, **known)


def reasons(planned: Plan) -> dict[str, list[str]]:
    """Day and hour of each kept point, and why it is kept."""
    return {f"{decision.candidate.at:%m-%dT%H}": decision.reasons for decision in planned.decisions if decision.action == KEEP and decision.candidate.at}


def decided(candidates: Iterable[Candidate], now: datetime = NOW, **policy: int) -> Plan:
    """The plan of a policy."""
    return plan(candidates, Policy(**policy), now)


DAYS = [point(f"2026-09-{day:02}") for day in range(1, 31)] + [point(f"2026-10-{day:02}") for day in range(1, 5)]


def test_every_reason_is_named() -> None:
    planned = decided(DAYS, keep_last=2, keep_daily=3, keep_weekly=2, keep_monthly=2, minimum_age_days=2)
    assert reasons(planned) == {
        "10-04T12": ["last 2", "daily 2026-10-04", "weekly 2026-W40", "monthly 2026-10", "newest verified of etcd+pki", "younger than 2 days"],
        "10-03T12": ["last 2", "daily 2026-10-03", "younger than 2 days"],
        "10-02T12": ["daily 2026-10-02"],
        "09-30T12": ["monthly 2026-09"],
        "09-27T12": ["weekly 2026-W39"],
    }
    assert len(planned.ids(REMOVE)) == len(DAYS) - 5
    assert planned.get(DAYS[0].id).reasons == ["no tier of the policy wants it"]


@pytest.mark.parametrize(
    ("tier", "times", "kept"),
    [
        ("keep_hourly", ["2026-10-01T10:00", "2026-10-01T10:59", "2026-10-01T11:00", "2026-10-01T23:30", "2026-10-02T00:30"], ["11:00", "23:30", "00:30"]),
        ("keep_daily", ["2026-10-01T00:00", "2026-10-01T23:59", "2026-10-02T00:00", "2026-10-02T08:00", "2026-10-03T01:00"], ["23:59", "08:00", "01:00"]),
        # Week 53 of 2020 goes on into 2021; week 1 begins on Monday the 4th.
        ("keep_weekly", ["2020-12-27T10:00", "2020-12-28T11:00", "2021-01-03T12:00", "2021-01-04T13:00"], ["10:00", "12:00", "13:00"]),
        ("keep_monthly", ["2026-02-28T01:00", "2026-02-28T23:00", "2026-03-01T00:00", "2026-05-31T02:00"], ["23:00", "00:00", "02:00"]),
        ("keep_yearly", ["2023-12-31T23:00", "2024-01-01T00:00", "2024-12-31T22:00", "2025-06-01T05:00"], ["23:00", "22:00", "05:00"]),
    ],
)
def test_the_newest_of_each_period_in_utc(tier: str, times: list[str], kept: list[str]) -> None:
    planned = decided([point(text) for text in times], **{tier: 3})
    assert [f"{decision.candidate.at:%H:%M}" for decision in planned.decisions if decision.action == KEEP] == kept


def test_periods_without_a_point_do_not_count() -> None:
    planned = decided([point("2025-01-10"), point("2025-06-10"), point("2026-02-01"), point("2026-02-02")], keep_monthly=3)
    assert reasons(planned) == {
        "02-02T12": ["monthly 2026-02", "newest verified of etcd+pki"],
        "06-10T12": ["monthly 2025-06"],
        "01-10T12": ["monthly 2025-01"],
    }


def test_while_a_tier_has_places_left_the_oldest_takes_one() -> None:
    """A history that has just begun grows to its full length, instead of losing its oldest point each day."""
    planned = decided([point("2026-10-01"), point("2026-10-02"), point("2026-10-03")], keep_monthly=2)
    assert reasons(planned)["10-01T12"] == ["oldest of all, while monthly has places left"]
    assert planned.ids(REMOVE) == [point("2026-10-02").id]
    assert reasons(decided([point("2026-10-01"), point("2026-10-02"), point("2026-10-03")], keep_monthly=1)) == {
        "10-03T12": ["monthly 2026-10", "newest verified of etcd+pki"]
    }


def test_a_point_of_etcd_alone_does_not_replace_the_last_full_one() -> None:
    full = [point("2026-10-01T02:00"), point("2026-10-02T02:00")]
    hourly = [point(f"2026-10-03T{hour:02}:00", components=("etcd",)) for hour in range(24)]
    node = point("2026-10-02T05:00", scope=("w1",))
    planned = decided([*full, *hourly, node], keep_last=1)
    assert planned.ids(KEEP) == [full[1].id, node.id, hourly[-1].id]
    assert planned.get(node.id).reasons == ["last 1", "newest verified of etcd+pki, of w1 only"]


def test_the_newest_verified_point_is_never_removed() -> None:
    verified = point("2026-01-01")
    newer = [point(f"2026-09-{day:02}", verified=False) for day in range(1, 20)]
    planned = decided([verified, *newer], keep_last=3)
    assert planned.get(verified.id).action == KEEP
    assert planned.get(verified.id).reasons == ["newest verified of etcd+pki"]
    assert len(planned.ids(REMOVE)) == 16


def test_without_a_verified_point_nothing_of_the_group_is_removed() -> None:
    planned = decided(
        [*(replace(day, verified=False) for day in DAYS), point("2026-09-01T01:00", scope=("w1",)), point("2026-09-02T01:00", scope=("w1",))], keep_last=1
    )
    assert planned.ids(REMOVE) == [point("2026-09-01T01:00").id]
    assert all("no point of etcd+pki is verified, so none of them is removed" in planned.get(day.id).reasons for day in DAYS)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"locked_until": NOW + timedelta(seconds=1)}, "locked until 2026-10-04T18:00:01Z"),
        ({"retain_until": NOW + timedelta(days=1)}, "retain_until in manifest not reached: 2026-10-05T18:00:00Z"),
        ({"tagged": "tagged keep by ops: audit"}, "tagged keep by ops: audit"),
        (
            {"failed": "verification of 2026-09-02T00:00:00Z failed at level opened", "verified": False},
            "verification of 2026-09-02T00:00:00Z failed at level opened: kept as evidence until it is verified again, or released",
        ),
    ],
)
def test_what_holds_a_point_back(more: dict[str, Any], reason: str) -> None:
    held = replace(DAYS[3], **more)
    assert decided(DAYS, keep_last=1).get(held.id).action == REMOVE
    planned = decided([held if day.id == held.id else day for day in DAYS], keep_last=1)
    assert planned.get(held.id).reasons == [reason]
    assert len(planned.ids(REMOVE)) == len(DAYS) - 2


def test_locks_and_times_that_are_over_hold_nothing_back() -> None:
    over = replace(DAYS[3], locked_until=NOW, retain_until=NOW)
    assert decided([over, *DAYS[4:]], keep_last=1).get(over.id).action == REMOVE


def test_a_point_whose_verification_failed_takes_no_place() -> None:
    failed = point("2026-09-30T20:00", verified=False, failed="verification of 2026-09-30T21:00:00Z failed at level opened")
    planned = decided([*DAYS, failed], keep_monthly=2)
    assert "monthly 2026-09" in planned.get(point("2026-09-30").id).reasons
    assert planned.get(failed.id).action == KEEP


@pytest.mark.parametrize("state", ["open", "broken", "foreign"])
def test_what_is_no_whole_point_is_left_alone(state: str) -> None:
    odd = point("2020-01-01", state=state, reason="because")
    assert decided([*DAYS, odd], keep_last=1).get(odd.id).action == KEEP


def test_abandoned_points_go_when_nothing_holds_them() -> None:
    abandoned = point("2026-09-01T01:00", state="abandoned", reason="opened long ago", components=(), verified=False)
    assert decided([*DAYS, abandoned], keep_last=1).get(abandoned.id)[1:3] == (REMOVE, ["abandoned: opened long ago"])
    for more in ({"retain_until": NOW + timedelta(days=1)}, {"locked_until": NOW + timedelta(days=1)}, {"tagged": "tagged keep by ops: why"}, {"at": NOW}):
        held = replace(abandoned, **more)
        assert decided([*DAYS, held], keep_last=1, minimum_age_days=2).get(held.id).action == KEEP, more


def test_a_tombstone_is_finished_whatever_the_policy_says_now() -> None:
    buried = replace(DAYS[-2], tombstone="pruned yesterday")
    rest = Candidate("20260101T000000Z-abcdef", "remains", tombstone="pruned yesterday")
    planned = decided([*DAYS[:-2], buried, DAYS[-1], rest], keep_last=50)
    assert planned.ids(FINISH) == [rest.id, buried.id]


@pytest.mark.parametrize(
    "more",
    [
        {"retain_until": NOW + timedelta(days=1)},
        {"locked_until": NOW + timedelta(days=1)},
        {"tagged": "tagged keep by ops: why"},
        {"state": "broken"},
        {"state": "open"},
    ],
)
def test_a_tombstone_that_contradicts_what_is_never_removed_is_not_obeyed(more: dict[str, Any]) -> None:
    buried = replace(DAYS[3], tombstone="pruned yesterday", **more)
    decision = decided([buried, *DAYS[4:]], keep_last=1).get(buried.id)
    assert decision.action == KEEP
    assert decision.reasons[-1] == "this contradicts its tombstone: pruned yesterday"


def test_a_tombstone_over_the_newest_verified_point_is_not_obeyed_and_hides_no_other() -> None:
    buried = replace(DAYS[-1], tombstone="pruned by whoever has the key")
    planned = decided([*DAYS[:-1], buried], keep_monthly=1)
    assert planned.get(buried.id).action == KEEP
    assert "newest verified of etcd+pki" in planned.get(DAYS[-2].id).reasons


@pytest.mark.parametrize(
    ("tier", "count", "until"),
    [
        ("keep_hourly", 100, "2026-09-05T16:00"),
        ("keep_daily", 30, "2026-10-01T00:00"),
        ("keep_weekly", 8, "2026-10-26T00:00"),
        ("keep_monthly", 12, "2027-09-01T00:00"),
    ],
)
def test_a_tier_wants_a_point_until_it_falls_out(tier: str, count: int, until: str) -> None:
    """The last of September in a tier of twelve months is wanted until September of the next year begins."""
    when = "2026-09-01T12:30" if tier != "keep_weekly" else "2026-09-01"
    old = point(when)
    decision = decided([old], **{tier: count}).get(old.id)
    assert decision.retain_until == moment(until)
    longer = replace(old, retain_until=moment(until))
    assert decided([longer], **{tier: count}).get(old.id).retain_until is None


def test_a_period_that_goes_on_locks_nothing() -> None:
    """Tomorrow's point takes the place; a lock of a year on each day's point could never be taken back."""
    today = point("2026-10-04")
    assert decided([today], keep_daily=30, keep_weekly=8, keep_monthly=12, keep_yearly=3).get(today.id).retain_until is None
    assert decided([today], now=moment("2026-11-01T00:00"), keep_monthly=12).get(today.id).retain_until == moment("2027-10-01T00:00")
    leap = point("2024-02-29")
    assert decided([leap], keep_monthly=12, keep_yearly=3).get(leap.id).retain_until == moment("2027-01-01T00:00")


@pytest.mark.parametrize("bad", [{}, {"keep_last": 0, "minimum_age_days": 0}, {"keep_daily": -1}, {"keep_last": 3, "keep_hourly": -2}, {"keep_yearly": 101}])
def test_a_policy_that_nobody_can_have_meant_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(PruneRefusedError) as caught:
        Policy.from_params(bad)
    assert "lifeboat_retention" in caught.value.remedy or "whole numbers" in caught.value.remedy
    with pytest.raises(PruneRefusedError):
        plan(DAYS, Policy(**bad), NOW)


def test_policies_arrive_as_text_and_null() -> None:
    assert Policy.from_params({"keep_last": "3", "keep_daily": None}) == Policy(keep_last=3)
    assert Policy(keep_last=3, minimum_age_days=7).describe() == "keep_last 3, minimum_age_days 7"


def test_the_order_of_what_was_found_does_not_matter_and_a_second_plan_removes_nothing() -> None:
    """For a year of hourly points: pruned each day, the result is that of one pruning at the end, but for the oldest ones of tiers with places left."""
    policy = Policy(keep_last=2, keep_hourly=24, keep_daily=7, keep_weekly=4, keep_monthly=3, minimum_age_days=1)
    hours = [point(f"{moment('2026-06-01') + timedelta(hours=hour):%Y-%m-%dT%H:%M}") for hour in range(0, 24 * 120, 5)]
    now = moment("2026-10-01")
    once = plan(hours, policy, now)
    shuffled = list(hours)
    random.Random(7).shuffle(shuffled)
    assert plan(shuffled, policy, now).to_records() == once.to_records()
    kept = [decision.candidate for decision in once.decisions if decision.action == KEEP]
    again = plan(kept, policy, now)
    assert again.ids(REMOVE) == []

    there: list[Candidate] = []
    for day in range(122):
        today = moment("2026-06-01") + timedelta(days=day)
        there += [hour for hour in hours if hour.at and today - timedelta(days=1) < hour.at <= today]
        daily = plan(there, policy, today)
        there = [decision.candidate for decision in daily.decisions if decision.action == KEEP]
    assert {candidate.id for candidate in there} == set(plan(hours, policy, today).ids(KEEP))
