# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a retention policy goes with an RPO target. Pure.

Damage is noticed late: in the morning, what was deleted in the evening. So for a day at least, the recovery points that are kept may lie no further apart
than the target says; else pruning loses what the schedule of backups has promised.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.freshness import span
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.schedule import INTERVALS
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.retention import Policy
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_HOUR, _DAY = 3600, 86400


class Fit(NamedTuple):
    """Whether a policy fits, why, and what to do when it does not."""

    fits: bool
    found: str
    remedy: str = ""


def fitting(target_seconds: int) -> Dict[str, int]:
    """A policy for this target: every point of a week, then ever fewer. Where points come more often than daily, one an hour of a further day."""
    hourly = {"keep_hourly": 48} if target_seconds < _DAY else {}
    return {"keep_last": 3, **hourly, "keep_daily": 14, "keep_weekly": 8, "keep_monthly": 12, "minimum_age_days": 7}


def judge(policy: Mapping[str, Any], target_seconds: int) -> Fit:
    """Look at a policy as the inventory has it."""
    advice = "Set lifeboat_retention to {%s}" % ", ".join("%s: %d" % entry for entry in fitting(target_seconds).items())
    try:
        parsed = Policy.from_params(policy)
    except LifeboatError as error:
        return Fit(False, "%s: %s" % (error.message, error.found), advice)
    except (TypeError, ValueError) as error:
        return Fit(False, "the retention policy has something else than numbers: %s" % error, advice)
    kept = "%s; the RPO target is %s" % (parsed.describe(), span(target_seconds))
    if (
        parsed.minimum_age_days >= 1
        # The hour that goes on is one of them, and the oldest one keeps its end alone.
        or (target_seconds >= _HOUR and (parsed.keep_hourly - 2) * _HOUR >= _DAY)
        or (target_seconds >= _DAY and parsed.keep_daily >= 1)
        # However often backups are made.
        or parsed.keep_last * INTERVALS[0] >= _DAY
    ):
        return Fit(True, kept)
    return Fit(False, kept, advice + ": pruning would leave points further apart than the target, before anybody has noticed a loss")
