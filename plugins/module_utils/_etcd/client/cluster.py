# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster as its members see it: one look at the member list and at every member, at the same time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Alarm, Connection, EtcdClient, Member, Status, hex_id, sorted_members
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError

# Members are not asked at exactly the same time, so a busy cluster always shows some distance.
DEFAULT_MAX_LAG_ENTRIES = 1000
_LAG_PATIENCE_SECONDS = 2.0
_LAG_PAUSE_SECONDS = 0.1
_MOST_AT_ONCE = 16

Connector = Callable[[Connection], EtcdClient]


@dataclass(frozen=True)
class MemberState:
    """One member and what it answered."""

    member: Member
    endpoint: str
    status: Optional[Status]
    error: str = ""
    lag_entries: int = 0

    @property
    def reachable(self) -> bool:
        """It answered."""
        return self.status is not None

    @property
    def label(self) -> str:
        """Name for messages: name and endpoint where there are any."""
        return "%s (%s)" % (self.member.name or hex_id(self.member.member_id), self.endpoint or "never started")

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        status = self.status
        result: Dict[str, Any] = {
            "endpoint": self.endpoint,
            "member_id": hex_id(self.member.member_id),
            "name": self.member.name,
            "reachable": self.reachable,
            "error": self.error,
            "version": "",
            "revision": 0,
            "raft_index": 0,
            "raft_applied_index": 0,
            "raft_term": 0,
            "lag_entries": self.lag_entries,
            "db_size_bytes": 0,
            "db_size_in_use_bytes": 0,
            "is_learner": self.member.is_learner,
            "errors": [],
            "storage_version": "",
        }
        if status is not None:
            result.update(
                version=status.version,
                revision=status.revision,
                raft_index=status.raft_index,
                raft_applied_index=status.raft_applied_index,
                raft_term=status.raft_term,
                db_size_bytes=status.db_size_bytes,
                db_size_in_use_bytes=status.db_size_in_use_bytes,
                is_learner=status.is_learner,
                errors=list(status.errors),
                storage_version=status.storage_version,
            )
        return result


@dataclass(frozen=True)
class ClusterView:
    """The result of one look."""

    endpoint: str
    cluster_id: int
    member_id: int
    leader: int
    members: Tuple[Member, ...]
    states: Tuple[MemberState, ...]
    alarms: Tuple[Alarm, ...]

    @property
    def voters(self) -> Tuple[Member, ...]:
        """Members that are not learners."""
        return tuple(member for member in self.members if not member.is_learner)

    @property
    def quorum(self) -> int:
        """How many voters have to agree."""
        return quorum_of(len(self.voters))

    @property
    def healthy_voters(self) -> Tuple[MemberState, ...]:
        """Voters that answer, belong to this cluster and see a leader."""
        return tuple(state for state in self.states if not state.member.is_learner and self.healthy(state))

    @property
    def has_quorum(self) -> bool:
        """Whether enough voters are healthy."""
        return len(self.healthy_voters) >= self.quorum

    @property
    def revision(self) -> int:
        """The highest revision that any member told."""
        return max([state.status.revision for state in self.states if state.status] or [0])

    def healthy(self, state: MemberState) -> bool:
        """Answers, belongs to this cluster and sees a leader."""
        return state.status is not None and state.status.leader != 0 and state.status.cluster_id == self.cluster_id

    def state_of(self, member_id: int) -> Optional[MemberState]:
        """The state of one member."""
        return next((state for state in self.states if state.member.member_id == member_id), None)

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result, problems not among them."""
        return {
            "cluster_id": hex_id(self.cluster_id),
            "members": [member.as_result() for member in self.members],
            "leader": hex_id(self.leader),
            "alarms": [{"member_id": hex_id(alarm.member_id), "alarm": alarm.alarm} for alarm in self.alarms],
            "statuses": [state.as_result() for state in self.states],
            "voters": len(self.voters),
            "healthy_voters": len(self.healthy_voters),
            "quorum": self.quorum,
            "revision": self.revision,
        }


def quorum_of(voters: int) -> int:
    """The majority of that many voters."""
    return voters // 2 + 1


def look(client: EtcdClient, *, max_lag_entries: int = DEFAULT_MAX_LAG_ENTRIES, connector: Connector = connect) -> ClusterView:
    """Ask the member at hand for the list, and then every member, all at once, for its state. Works without a quorum."""
    own = client.status()
    if own.is_learner:
        raise EtcdError(
            "%s is a learner: it has no vote, may lack data, and does not tell the member list" % client.connection.endpoint,
            remedy="Ask the endpoint of a voter.",
            endpoint=client.connection.endpoint,
            reason="learner",
        )
    members = tuple(sorted_members(client.members()))

    def ask(member: Member) -> MemberState:
        if member.member_id == own.member_id:
            return MemberState(member, client.connection.endpoint, own)
        return _ask(member, client.connection, connector)

    with ThreadPoolExecutor(max_workers=_MOST_AT_ONCE) as pool:
        states = list(pool.map(ask, members))
    view = ClusterView(
        endpoint=client.connection.endpoint,
        cluster_id=own.cluster_id,
        member_id=own.member_id,
        leader=own.leader or next((state.status.leader for state in states if state.status and state.status.leader), 0),
        members=members,
        states=tuple(states),
        alarms=(),
    )
    states = _with_lag(view, client, connector, max_lag_entries)
    view = replace(view, states=tuple(states))
    return replace(view, alarms=_alarms(client, view))


def _ask(member: Member, connection: Connection, connector: Connector) -> MemberState:
    if not member.client_urls:
        return MemberState(member, "", None, "never started: it has published no client URL")
    problem = ""
    for url in member.client_urls:
        try:
            other = connector(connection.at(url))
            try:
                return MemberState(member, url, other.status())
            finally:
                other.close()
        except EtcdError as error:
            problem = problem or "%s: %s" % (error.message, error.found)
    return MemberState(member, member.client_urls[0], None, problem)


def _with_lag(view: ClusterView, client: EtcdClient, connector: Connector, limit: int) -> List[MemberState]:
    """Fill in how far each member is behind. Whoever seems far behind gets a moment to reach what the first was at when all were asked."""
    target = max([state.status.raft_index for state in view.states if state.status] or [0])
    deadline = time.monotonic() + _LAG_PATIENCE_SECONDS
    result = []
    for state in view.states:
        # Who sees no leader cannot catch up.
        while state.status and state.status.leader and target - state.status.raft_applied_index > limit and time.monotonic() < deadline:
            time.sleep(_LAG_PAUSE_SECONDS)
            if state.member.member_id == view.member_id:
                state = replace(state, status=client.status())
            else:
                state = _ask(state.member, client.connection, connector)
        result.append(replace(state, lag_entries=max(0, target - state.status.raft_applied_index) if state.status else 0))
    return result


def _alarms(client: EtcdClient, view: ClusterView) -> Tuple[Alarm, ...]:
    """The alarms; from a member that sees no leader, which cannot answer that, those that members mention in their status."""
    own = view.state_of(view.member_id)
    if view.has_quorum and own is not None and view.healthy(own):
        try:
            return client.alarms()
        except EtcdError:
            pass
    found = set()
    for state in view.states:
        for text in state.status.errors if state.status else ():
            for alarm in ("NOSPACE", "CORRUPT"):
                if alarm in text:
                    # "memberID:10276657743932975437 alarm:NOSPACE"
                    digits = "".join(character for character in text.partition("memberID:")[2].partition(" ")[0] if character.isdigit())
                    found.add(Alarm(int(digits or state.member.member_id), alarm))
    return tuple(sorted(found, key=lambda alarm: (alarm.member_id, alarm.alarm)))
