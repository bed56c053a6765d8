# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a cluster, and what of it forbids a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import NOSPACE, hex_id
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import DEFAULT_MAX_LAG_ENTRIES, ClusterView, MemberState
from ansible_collections.lifeboat.cluster.plugins.module_utils.releases import corrupting, unsynced

ERROR = "error"
WARNING = "warning"

PROBLEM_IDS = (
    "alarm_corrupt",
    "alarm_nospace",
    "cluster_id_mismatch",
    "corrupting_version",
    "lagging",
    "learner",
    "no_leader",
    "quorum_lost",
    "unreachable",
    "unstarted",
    "unsynced_snapshot",
)
# Those that can forbid a snapshot, and so can be allowed.
ALLOWABLE_PROBLEM_IDS = tuple(identity for identity in PROBLEM_IDS if identity not in ("learner", "unreachable", "unstarted", "unsynced_snapshot"))


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. Errors forbid a snapshot from the endpoint that was asked, warnings don't."""

    id: str
    severity: str
    message: str
    member_id: int = 0
    endpoint: str = ""

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return {"id": self.id, "severity": self.severity, "message": self.message, "member_id": hex_id(self.member_id), "endpoint": self.endpoint}


def problems(view: ClusterView, *, max_lag_entries: int = DEFAULT_MAX_LAG_ENTRIES) -> List[Problem]:
    """Everything that is wrong in this view, errors first."""
    result: List[Problem] = []
    for alarm in view.alarms:
        state = view.state_of(alarm.member_id)
        name = state.label if state else hex_id(alarm.member_id)
        # Without room nothing is written any more; what is read, and a snapshot, is whole.
        severity = WARNING if alarm.alarm == NOSPACE else ERROR
        result.append(Problem("alarm_%s" % alarm.alarm.lower(), severity, "alarm %s is raised by %s" % (alarm.alarm, name), alarm.member_id))
    if not view.has_quorum:
        answering = sum(1 for state in view.states if state.reachable and not state.member.is_learner)
        text = "%d of %d voters are healthy (%d answer), %d are needed" % (len(view.healthy_voters), len(view.voters), answering, view.quorum)
        result.append(Problem("quorum_lost", ERROR, text))
    for state in view.states:
        result.extend(_member_problems(view, state, max_lag_entries))
    return sorted(result, key=lambda problem: problem.severity != ERROR)


def _member_problems(view: ClusterView, state: MemberState, max_lag_entries: int) -> List[Problem]:
    member_id, own = state.member.member_id, state.member.member_id == view.member_id
    result: List[Problem] = []

    def add(identity: str, severity: str, message: str) -> None:
        result.append(Problem(identity, severity, message, member_id, state.endpoint))

    if state.member.is_learner:
        add("learner", WARNING, "%s is a learner: it has no vote yet" % state.label)
    status = state.status
    if status is None:
        add("unreachable" if state.member.started else "unstarted", WARNING, "%s does not answer: %s" % (state.label, state.error))
        return result
    if status.cluster_id != view.cluster_id:
        add("cluster_id_mismatch", ERROR, "%s belongs to cluster %s, not to %s" % (state.label, hex_id(status.cluster_id), hex_id(view.cluster_id)))
        return result
    if status.leader == 0:
        add("no_leader", ERROR if own else WARNING, "%s sees no leader" % state.label)
    if state.lag_entries > max_lag_entries:
        text = "%s is %d raft entries behind (allowed: %d)" % (state.label, state.lag_entries, max_lag_entries)
        add("lagging", ERROR if own else WARNING, text)
    reason = corrupting(status.version)
    if reason:
        add("corrupting_version", ERROR, "%s runs etcd %s: %s" % (state.label, status.version, reason))
    reason = unsynced(status.version)
    if reason:
        add("unsynced_snapshot", WARNING, "%s runs etcd %s: %s" % (state.label, status.version, reason))
    return result


def forbidding(found: Sequence[Problem], allowed: Sequence[str] = ()) -> List[Problem]:
    """Those that forbid a snapshot, less the ones that the operator allows."""
    return [problem for problem in found if problem.severity == ERROR and problem.id not in allowed]


def cluster_result(view: ClusterView, *, max_lag_entries: int = DEFAULT_MAX_LAG_ENTRIES) -> Dict[str, Any]:
    """The view with its problems, as modules return it."""
    result = view.as_result()
    result["problems"] = [problem.as_result() for problem in problems(view, max_lag_entries=max_lag_entries)]
    return result
