# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a member change would do to the quorum, counted before it is tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Member
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import ClusterView, quorum_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import MembershipRefused


@dataclass(frozen=True)
class Projection:
    """Voters, healthy ones among them, and what may still fail, before and after a change; ``reason`` when it must not be made."""

    change: str
    voters_before: int
    healthy_before: int
    voters: int
    healthy: int
    reason: str = ""

    @property
    def quorum(self) -> int:
        """The majority after the change."""
        return quorum_of(self.voters)

    @property
    def tolerance_before(self) -> int:
        """How many healthy voters may fail now."""
        return self.healthy_before - quorum_of(self.voters_before)

    @property
    def tolerance_after(self) -> int:
        """How many healthy voters may fail after the change."""
        return self.healthy - self.quorum

    @property
    def allowed(self) -> bool:
        """Whether the cluster keeps its quorum."""
        return not self.reason

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return {
            "change": self.change,
            "voters_before": self.voters_before,
            "healthy_before": self.healthy_before,
            "tolerance_before": self.tolerance_before,
            "voters": self.voters,
            "healthy": self.healthy,
            "quorum": self.quorum,
            "tolerance_after": self.tolerance_after,
            "allowed": self.allowed,
            "reason": self.reason,
        }

    def require(self) -> None:
        """Raise when the change must not be made."""
        if self.reason:
            raise MembershipRefused(
                "refused to %s" % self.change,
                tried="counted the voters that would be left",
                found=self.reason,
                remedy="Bring members back first; when the quorum cannot come back, restore the cluster from a snapshot.",
                projection=self.as_result(),
            )


def removal(view: ClusterView, member: Member) -> Projection:
    """Take a member out."""
    votes = 0 if member.is_learner else 1
    healthy = sum(1 for state in view.healthy_voters if state.member.member_id == member.member_id)
    return _project(view, "remove member %s" % (member.name or "%x" % member.member_id), -votes, -healthy)


def addition(view: ClusterView, name: str, *, learner: bool) -> Projection:
    """Register a new member. The worst case counts: a new voter that never comes up."""
    return _project(view, "add %s %s" % ("learner" if learner else "voter", name), 0 if learner else 1, 0)


def promotion(view: ClusterView, member: Member) -> Projection:
    """Give a learner its vote. It counts as healthy only if it answers now."""
    state = view.state_of(member.member_id)
    healthy = 1 if state is not None and view.healthy(state) else 0
    return _project(view, "promote learner %s" % (member.name or "%x" % member.member_id), 1, healthy)


def _project(view: ClusterView, change: str, voters: int, healthy: int) -> Projection:
    before, healthy_before = len(view.voters), len(view.healthy_voters)
    projection = Projection(change, before, healthy_before, before + voters, healthy_before + healthy)
    reason = ""
    if healthy_before < quorum_of(before):
        reason = "the quorum is lost already: %d of %d voters are healthy, %d are needed to change anything" % (healthy_before, before, quorum_of(before))
    elif projection.voters < 1:
        reason = "it is the last voter"
    elif projection.healthy < projection.quorum:
        reason = "the quorum would be lost: %d of %d voters would be healthy in the worst case, %d are needed" % (
            projection.healthy,
            projection.voters,
            projection.quorum,
        )
    return Projection(change, before, healthy_before, projection.voters, projection.healthy, reason)
