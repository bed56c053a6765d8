# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Token and revision of a restored etcd cluster: fresh, or taken over from an unfinished restore of the very same data."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.situations import Unfinished, same_restore
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import HostView, PointView, Record, Seen
from ansible_collections.lifeboat.cluster.plugins.module_utils.revisions import clock_revision

#: Added on top of the highest revision ever seen. The etcd documentation gives 1e9 as a week of very busy writing
#: (etcd-io/website content/en/docs/v3.6/op-guide/recovery.md).
DEFAULT_REVISION_SLACK = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class Token:
    """What all members of one restore share. ``bump_revision`` leads from what is restored to where no client has been."""

    token: str
    bump_revision: int
    adopted: bool


def target_revision(high_water: int, slack: int, now: float) -> int:
    """Where a restored store begins, so that no client ever saw a higher revision: where the clock says, or above the high-water mark by the slack.

    What the clock says grows faster than the revision of a cluster in the long run. So a later restore, of whatever point, stays above an earlier one even when
    the earlier one's result was lost: its clients would wait in silence for the revisions in between. Slack on top of it would break just that.
    """
    floor = clock_revision(now)
    return floor if floor > high_water else high_water + slack


def new_name(point: PointView) -> str:
    """A token that no other restore has."""
    return "lifeboat-%s-%s" % (point.point, secrets.token_hex(6))


def high_water(hosts: Sequence[HostView], point: PointView) -> int:
    """The highest revision that anybody is known to have seen."""
    return max([point.high_water_revision, point.etcd_revision, *(max(host.etcd_revision, host.etcd_own_revision) for host in hosts)])


def _planned(seen: Seen, point: PointView) -> Optional[Record]:
    """A restore of the point that was planned and changed nothing: what it staged is of use, while its revision is still above all others."""
    for host in seen.etcd_hosts:
        record = host.record
        if record is None or record.begun or not record.restores_etcd or record.source != "recovery_point" or not same_restore(record, point):
            continue
        wanted = {name for name in point.etcd_members if name not in seen.request.missing_members}
        if record.members and set(record.members) != wanted:
            # What it staged is of another cluster.
            continue
        if record.token and point.etcd_revision + record.bump_revision > high_water(seen.hosts, point):
            return record
    return None


def restore_token(seen: Seen, point: PointView, survivor: Optional[HostView] = None, resumed: Optional[Unfinished] = None) -> Token:
    """The token of a restore of etcd. One belongs to one point, one source and one snapshot: a restore of other data gets another."""
    if resumed is not None:
        return Token(resumed.token, resumed.record.bump_revision, True)
    planned = _planned(seen, point) if survivor is None else None
    if planned is not None:
        return Token(planned.token, planned.bump_revision, True)
    begin = survivor.etcd_own_revision if survivor else point.etcd_revision
    return Token(new_name(point), target_revision(high_water(seen.hosts, point), seen.request.slack, seen.request.now) - begin, False)


def rebuild_token(hosts: Sequence[HostView], point: PointView) -> Token:
    """The token of a run that lets etcd's data alone: that of an unfinished one, first of all of one that added a member already."""
    records = [host.record for host in hosts if host.record is not None and host.record.point == point.point and host.record.token]
    mine = sorted((record for record in records if not record.restores_etcd or record.phase == "added"), key=lambda record: record.phase != "added")
    return Token(mine[0].token, 0, True) if mine else Token(new_name(point), 0, False)
