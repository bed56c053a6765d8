# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a policy goes with a target, held against what the plan itself keeps."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._retention import retention, retention_fit

NOW = datetime(2026, 10, 4, 18, 0, tzinfo=timezone.utc)
DAY = 86400
TARGETS = [600, 3600, 4 * 3600, DAY, 7 * DAY]


def widest_gap(policy: dict[str, int], interval: int) -> float:
    """How far the points of the last day that are kept lie apart at most, in seconds, after a month of backups and prunings."""
    times = [NOW - timedelta(seconds=interval * number) for number in range(30 * DAY // interval)]
    candidates = [
        retention.Candidate(f"{when:%Y%m%dT%H%M%SZ}-000000", "complete", at=when, components=("etcd",), verified=True, retain_until=when) for when in times
    ]
    planned = retention.plan(candidates, retention.Policy.from_params(policy), NOW)
    kept = sorted(decision.candidate.at for decision in planned.decisions if decision.action == retention.KEEP and decision.candidate.at)
    recent = [when for when in kept if when >= NOW - timedelta(days=1)]
    before = [when for when in kept if when < NOW - timedelta(days=1)][-1:] or [NOW - timedelta(days=1)]
    line = [*before, *recent]
    return max((later - earlier).total_seconds() for earlier, later in zip(line, line[1:], strict=False))


@pytest.mark.parametrize("target", TARGETS)
def test_the_policy_that_is_named_fits(target: int) -> None:
    policy = retention_fit.fitting(target)
    fit = retention_fit.judge(policy, target)
    assert fit == retention_fit.Fit(True, fit.found)
    # Backups come twice in the time of a target, or one that fails makes it stale.
    assert widest_gap(policy, target // 2) <= target


@pytest.mark.parametrize(
    ("policy", "target", "fits"),
    [
        ({"keep_daily": 14, "keep_last": 3}, 3600, False),
        ({"keep_daily": 14, "keep_last": 3}, DAY, True),
        ({"keep_hourly": 26, "keep_daily": 7}, 3600, True),
        ({"keep_hourly": 25, "keep_daily": 7}, 3600, False),
        ({"keep_hourly": 26, "keep_daily": 7}, 1800, False),
        ({"keep_hourly": 6, "keep_daily": 7}, 3600, False),
        ({"keep_last": 288}, 600, True),
        ({"keep_last": 100}, 600, False),
        ({"keep_last": 1, "minimum_age_days": 1}, 600, True),
        ({"keep_weekly": 8}, DAY, False),
    ],
)
def test_a_policy_against_what_the_plan_keeps(policy: dict[str, int], target: int, fits: bool) -> None:
    """What is said to fit leaves no wider gap than the target, and what is said not to fit does."""
    fit = retention_fit.judge(policy, target)
    assert fit.fits is fits
    assert (widest_gap(policy, max(300, target // 2)) <= target) is fits
    assert bool(fit.remedy) is not fits


@pytest.mark.parametrize(("policy", "found"), [({}, "empty"), ({"keep_last": -1}, "keep_last: -1"), ({"keep_last": "many"}, "many")])
def test_a_policy_that_is_none(policy: dict[str, object], found: str) -> None:
    fit = retention_fit.judge(policy, 3600)
    assert fit.fits is False
    assert found in fit.found
    assert "keep_daily: 14" in fit.remedy
