# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Member changes: what has to be done, whether the quorum bears it, doing it, and reading it back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import EtcdClient, Member, sorted_members
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import ClusterView, Connector, look
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, MembershipRefused, Rejected, Unreachable
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members import quorum
from ansible_collections.lifeboat.cluster.plugins.module_utils.releases import version_tuple

ABSENT, LEARNER, VOTER = "absent", "learner", "voter"
NOTHING, REMOVE, ADD_LEARNER, ADD_VOTER, PROMOTE = "nothing", "remove", "add_learner", "add_voter", "promote"
_LEARNERS_SINCE = (3, 4, 0)
_PAUSE_SECONDS = 0.3
# etcd takes no change until all voters were connected for 5 s, and no promotion before the learner has caught up.
_PASSING = ("unhealthy cluster", "in sync with leader", "timed out", "leader changed", "no leader", "not enough started members")


@dataclass(frozen=True)
class Wanted:
    """Which member, and what it shall be. ``name``, ``peer_url`` and ``member_id`` (hex) each select; those given must agree."""

    state: str
    name: str = ""
    peer_url: str = ""
    member_id: str = ""


@dataclass(frozen=True)
class Plan:
    """The one change that leads to what is wanted, and what it does to the quorum."""

    action: str
    wanted: Wanted
    member: Optional[Member]
    view: ClusterView
    projection: quorum.Projection

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return self.action != NOTHING

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return {
            "action": self.action,
            "member_id": "%x" % self.member.member_id if self.member else "",
            "name": (self.member.name if self.member else "") or self.wanted.name,
            "peer_url": self.wanted.peer_url or (self.member.peer_urls[0] if self.member and self.member.peer_urls else ""),
        }

    def members_after(self) -> List[Dict[str, Any]]:
        """The member list as it will be, for a diff."""
        after = [member.as_result() for member in self.view.members if not (self.action == REMOVE and member is self.member)]
        for entry in after:
            if self.action == PROMOTE and self.member is not None and entry["id"] == "%x" % self.member.member_id:
                entry["is_learner"] = False
        if self.action in (ADD_LEARNER, ADD_VOTER):
            added = Member(0, "", (self.wanted.peer_url,), (), self.action == ADD_LEARNER)
            after.append(added.as_result())
        return after


def plan(view: ClusterView, wanted: Wanted) -> Plan:
    """What has to be done. Raises when the member is ambiguous, or in the way of what is wanted."""
    member = _select(view.members, wanted)
    unchanged = quorum.Projection("change nothing", len(view.voters), len(view.healthy_voters), len(view.voters), len(view.healthy_voters))
    if wanted.state == ABSENT:
        if member is None:
            return Plan(NOTHING, wanted, None, view, unchanged)
        if member.member_id == view.member_id:
            raise MembershipRefused(
                "%s is the member to be removed, so it could not tell the result" % view.endpoint, remedy="Ask the endpoint of a member that stays."
            )
        return Plan(REMOVE, wanted, member, view, quorum.removal(view, member))
    if member is None:
        return _plan_addition(view, wanted)
    if wanted.state == LEARNER and not member.is_learner:
        raise MembershipRefused(
            "member %s is a voter; it cannot become a learner" % (member.name or "%x" % member.member_id),
            found="a started member" if member.started else "registered, never started",
            remedy="If its data is lost, remove it first (state: absent), then add it as a learner.",
        )
    if wanted.state == VOTER and member.is_learner:
        return Plan(PROMOTE, wanted, member, view, quorum.promotion(view, member))
    return Plan(NOTHING, wanted, member, view, unchanged)


def _plan_addition(view: ClusterView, wanted: Wanted) -> Plan:
    if not wanted.peer_url or not wanted.name:
        raise MembershipRefused("there is no such member, and adding one needs name and peer_url", remedy="Give both.")
    learners_known = all(version_tuple(state.status.version) >= _LEARNERS_SINCE for state in view.states if state.status)
    if wanted.state == VOTER and learners_known:
        raise MembershipRefused(
            "there is no member %s; a new member joins as a learner first, so that it cannot take the quorum away" % wanted.name,
            remedy="Add it with state: learner, start it with the initial_cluster that is returned, then ask for state: voter.",
        )
    if wanted.state == LEARNER and not learners_known:
        raise MembershipRefused(
            "this etcd has no learners (they came with 3.4)", remedy="Add the member with state: voter, one at a time, and start it at once."
        )
    learner = wanted.state == LEARNER
    return Plan(ADD_LEARNER if learner else ADD_VOTER, wanted, None, view, quorum.addition(view, wanted.name, learner=learner))


def _select(members: Sequence[Member], wanted: Wanted) -> Optional[Member]:
    """The member that every given criterion points at. A member that never started has no name yet."""
    if not (wanted.name or wanted.peer_url or wanted.member_id):
        raise EtcdError("which member? None of name, peer_url and member_id is given")
    try:
        number = int(wanted.member_id, 16) if wanted.member_id else 0
    except ValueError:
        raise EtcdError("member_id %r is not hexadecimal" % wanted.member_id, remedy="Give it as etcd_cluster_info returns it.") from None
    tests: List[Tuple[str, Callable[[Member], bool]]] = []
    if wanted.member_id:
        tests.append(("member_id %s" % wanted.member_id, lambda member: member.member_id == number))
    if wanted.peer_url:
        tests.append(("peer_url %s" % wanted.peer_url, lambda member: wanted.peer_url in member.peer_urls))
    if wanted.name:
        tests.append(("name %s" % wanted.name, lambda member: member.name == wanted.name))
    hits = [member for member in members if any(test(member) for _what, test in tests)]
    if not hits:
        return None
    exact = [member for member in hits if all(test(member) or (what.startswith("name ") and not member.started) for what, test in tests)]
    if len(exact) == 1 and len(hits) == 1:
        return exact[0]
    found = "; ".join("%x: name %s, peer URLs %s" % (hit.member_id, hit.name or "(none yet)", ", ".join(hit.peer_urls)) for hit in hits)
    raise MembershipRefused(
        "%s do not point at one member" % " and ".join(what for what, _test in tests),
        found=found,
        remedy="Name the member by member_id alone, or remove the old one of that name or URL first.",
    )


def apply(
    client: EtcdClient,
    first: Plan,
    *,
    wait_seconds: float,
    max_lag_entries: int,
    connector: Connector = connect,
    clock: Callable[[], float] = time.monotonic,
) -> Tuple[Member, ...]:
    """Carry the plan out and read it back. What passes by itself (5 s of health, a learner that catches up) is waited for."""
    deadline = clock() + wait_seconds
    current = first
    while True:
        problem: Optional[EtcdError] = None
        try:
            current.projection.require()
            _change(client, current)
        except MembershipRefused as error:
            if current.action != PROMOTE:
                raise
            problem = error
        except Rejected as error:
            if not any(text in error.reason for text in _PASSING):
                raise
            problem = error
        except Unreachable as error:
            # The outcome is unknown: only reading back tells.
            problem = error
        if problem is None or isinstance(problem, Unreachable):
            members = tuple(sorted_members(client.members()))
            if _reached(members, current.wanted):
                return members
        if clock() >= deadline:
            raise MembershipRefused(
                "etcd did not %s within %g s" % (current.projection.change, wait_seconds),
                tried="again and again, as it may become possible",
                found=(problem.found or problem.message) if problem else "accepted, but the member list does not show it",
                remedy="Look at the log of the member that is to join; is it started with the initial_cluster that was returned?",
                projection=current.projection.as_result(),
            )
        time.sleep(_PAUSE_SECONDS)
        current = plan(look(client, max_lag_entries=max_lag_entries, connector=connector), first.wanted)
        if not current.changed:
            return tuple(sorted_members(client.members()))


def _change(client: EtcdClient, current: Plan) -> None:
    if current.action == REMOVE and current.member is not None:
        client.member_remove(current.member.member_id)
    elif current.action == PROMOTE and current.member is not None:
        client.member_promote(current.member.member_id)
    elif current.action in (ADD_LEARNER, ADD_VOTER):
        client.member_add([current.wanted.peer_url], current.action == ADD_LEARNER)


def _reached(members: Sequence[Member], wanted: Wanted) -> bool:
    member = _select(members, wanted)
    if wanted.state == ABSENT:
        return member is None
    return member is not None and member.is_learner == (wanted.state == LEARNER)


def initial_cluster(members: Sequence[Member], wanted: Wanted) -> Dict[str, str]:
    """Name and peer URL of each member, as a member that joins must be started with; its own name is known before it started."""
    result: Dict[str, str] = {}
    for member in members:
        for url in member.peer_urls[:1]:
            name = member.name or (wanted.name if wanted.peer_url in member.peer_urls and wanted.name else "unstarted-%x" % member.member_id)
            result[name] = url
    return result
