# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which recovery points are kept, and why: pure functions from what was seen to a plan.

Periods are counted as restic does: points newest first, the newest of each hour, day, ISO week, month and year in UTC by the time of the snapshot, as many
as the policy says; periods without a point don't count, and while a tier has places left, the oldest point of all takes one. Each set of components, and
each scope, is counted for itself: an hourly point of etcd alone does not replace the last full one. Where something is missing in the newest point of a
period, the newest one of the period in which nothing is missing takes its place.

Whatever the tiers say, what a machine needs to come back stays: of each component and machine the newest verified artifact, wherever it lies.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.known import IN_THE_FUTURE
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.pieces import NO_PIECES, Piece, said
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.clocks import future_text, is_future
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import PointError

KEEP, REMOVE, FINISH = "keep", "remove", "finish"
# States of points that are never removed, and what the plan says of them.
_KEPT_STATES = {
    "open": "open: %s",
    "broken": "broken, kept as evidence: %s",
    "unreadable": "unreadable, so nothing is known of it: %s",
    "foreign": "foreign, kept as evidence: %s",
}
# A machine that the newest complete point does not name any more, nor any point of so many days before that one, is gone for good and protects nothing. As
# long as a point is kept by default, so that a machine that fell out of the inventory by mistake is noticed before its keys are gone.
GONE_AFTER_DAYS = 30
# No tier reaches further than about this, so that a slip of the finger locks nothing for a thousand years.
_LONGEST_YEARS = 100


class PruneRefusedError(PointError):
    """Nothing is pruned: what was asked for, or what was found, could cost something that is needed."""


@dataclass(frozen=True)
class Policy:
    """How many points are kept; 0 means none for this reason."""

    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    # Younger points are kept whatever else is said.
    minimum_age_days: int = 0

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Policy:
        """Out of plain data; refuses numbers that mean nothing, and a policy that would keep nothing."""
        policy = cls(**{entry.name: int(params.get(entry.name) or 0) for entry in fields(cls)})
        policy.check()
        return policy

    def check(self) -> None:
        """Refuse a policy that nobody can have meant."""
        limits = dict({tier.option: tier.most for tier in _TIERS}, keep_last=1_000_000, minimum_age_days=_LONGEST_YEARS * 366)
        wrong = ["%s: %d" % (option, getattr(self, option)) for option, most in sorted(limits.items()) if not 0 <= getattr(self, option) <= most]
        if wrong:
            raise PruneRefusedError(
                "The retention policy has numbers that cannot be",
                found=", ".join(wrong),
                remedy="use whole numbers from 0; no tier reaches further than %d years" % _LONGEST_YEARS,
            )
        if not any(getattr(self, option) for option in limits):
            raise PruneRefusedError(
                "The retention policy is empty: it would keep nothing at all",
                found=self.describe(),
                remedy="set lifeboat_retention, for example to {keep_last: 3, keep_daily: 14, keep_weekly: 8, keep_monthly: 12, minimum_age_days: 7}",
            )

    def describe(self) -> str:
        """The policy in words."""
        return ", ".join("%s %d" % (entry.name, getattr(self, entry.name)) for entry in fields(self) if getattr(self, entry.name)) or "all numbers are 0"


@dataclass(frozen=True)
class Candidate:
    """What a plan has to know of a point."""

    id: str
    # complete, in_the_future, open, abandoned, broken, foreign (as in the catalog), or remains: what is left when its manifest was removed
    state: str
    # Why it is not complete.
    reason: str = ""
    # The time of its snapshot; of an open or abandoned one, of its opening.
    at: Optional[datetime] = None
    components: Sequence[str] = ()
    scope: Sequence[str] = ()
    # What it holds, and what is missing in it.
    holds: FrozenSet[Piece] = NO_PIECES
    missing: FrozenSet[Piece] = NO_PIECES
    # The machines that were there when it was made; none where it does not say.
    machines: FrozenSet[str] = frozenset()
    # Of all objects.
    size_bytes: int = 0
    # The newest believed result at level opened or higher passed, and none later failed.
    verified: bool = False
    # What its newest believed result says, when that failed, and nobody released the point since.
    failed: str = ""
    # What holds it back, in the words of its newest tag.
    tagged: str = ""
    # From its manifest or open.json.
    retain_until: Optional[datetime] = None
    # The longest lock of any of its objects.
    locked_until: Optional[datetime] = None
    # What its believed tombstone says.
    tombstone: str = ""

    @property
    def group(self) -> Tuple[Tuple[str, ...], Tuple[str, ...]]:
        """What is counted together: the components that it holds, or would hold if nothing were missing, and its scope."""
        return tuple(sorted({*self.components, *(component for component, _machine in self.missing)})), tuple(sorted(self.scope))

    @property
    def group_name(self) -> str:
        """The same in words."""
        components, scope = self.group
        return "+".join(components) + (", of %s only" % ", ".join(scope) if scope else "")


class Decision(NamedTuple):
    """What happens to one point, and every reason for it."""

    candidate: Candidate
    action: str
    reasons: List[str]
    # Until when a tier wants a kept point locked, where that is longer than its manifest says.
    retain_until: Optional[datetime] = None

    def to_record(self) -> Dict[str, Any]:
        """As plain data."""
        candidate = self.candidate
        return {
            "id": candidate.id,
            "action": self.action,
            "reasons": self.reasons,
            "state": candidate.state,
            "taken_at": _text(candidate.at),
            "components": sorted(candidate.components),
            "scope": sorted(candidate.scope),
            "size_bytes": candidate.size_bytes,
            "verified": candidate.verified,
            "retain_until": _text(self.retain_until),
        }


class Plan(NamedTuple):
    """A decision for each point, oldest id first."""

    decisions: List[Decision]

    def ids(self, action: str) -> List[str]:
        """The points to which this happens."""
        return [decision.candidate.id for decision in self.decisions if decision.action == action]

    def get(self, point: str) -> Decision:
        """The decision about one point."""
        return next(decision for decision in self.decisions if decision.candidate.id == point)

    def to_records(self) -> List[Dict[str, Any]]:
        """As plain data."""
        return [decision.to_record() for decision in self.decisions]


def plan(candidates: Iterable[Candidate], policy: Policy, now: datetime) -> Plan:
    """Decide about every point. Nothing here depends on the time of the call but what became old enough, or ceased to be locked."""
    policy.check()
    everything = sorted((_as_of(candidate, now) for candidate in candidates), key=lambda candidate: candidate.id)
    complete = sorted((candidate for candidate in everything if candidate.state == "complete"), key=_age, reverse=True)
    groups: Dict[Any, List[Candidate]] = {}
    for candidate in complete:
        groups.setdefault(candidate.group, []).append(candidate)
    wanted: Dict[str, List[str]] = {candidate.id: [] for candidate in everything}
    needed: Dict[str, List[str]] = {candidate.id: [] for candidate in everything}
    extended: Dict[str, datetime] = {}
    gone = gone_machines(complete)
    for members in groups.values():
        _apply_tiers([member for member in members if not member.failed and not member.tombstone], policy, now, wanted, extended)
        # Of machines that are gone, the policy alone says how long their own points are kept.
        if not members[0].scope or not gone.issuperset(members[0].scope):
            _protect_verified(members, needed)
    _protect_machines(complete, gone, needed)
    decisions = []
    for candidate in everything:
        hard = needed[candidate.id] + _holding(candidate, policy, now)
        decisions.append(_decide(candidate, wanted[candidate.id], hard, extended.get(candidate.id)))
    return Plan(decisions)


def _as_of(candidate: Candidate, now: datetime) -> Candidate:
    """A whole point whose time has not come counts for nothing: it would take the places of real ones for as long as its time has not come."""
    if candidate.state == "complete" and candidate.at is not None and is_future(candidate.at, now):
        return replace(candidate, state=IN_THE_FUTURE, reason=future_text(candidate.at, now))
    return candidate


def _decide(candidate: Candidate, wanted: List[str], hard: List[str], until: Optional[datetime]) -> Decision:
    if candidate.state in _KEPT_STATES:
        why = _KEPT_STATES[candidate.state] % candidate.reason
        return Decision(candidate, KEEP, [why] + hard + _contradiction(candidate))
    if candidate.tombstone:
        # A policy that changed since doesn't bring it back; what may never be removed is not removed even then.
        if hard:
            return Decision(candidate, KEEP, hard + _contradiction(candidate))
        return Decision(candidate, FINISH, ["%s, and not all of it is gone" % candidate.tombstone])
    if candidate.state == "remains":
        return Decision(candidate, KEEP, ["its manifest went away while it was read"])
    if candidate.state == IN_THE_FUTURE:
        why = "from the future, so it takes no place and protects nothing: %s" % candidate.reason
        return Decision(candidate, KEEP if hard else REMOVE, [why, *hard])
    reasons = wanted + hard
    if reasons:
        longer = until if until and (candidate.retain_until is None or until > candidate.retain_until) else None
        return Decision(candidate, KEEP, reasons, longer)
    if candidate.state == "abandoned":
        return Decision(candidate, REMOVE, ["abandoned: %s" % candidate.reason])
    return Decision(candidate, REMOVE, ["no tier of the policy wants it"])


def _contradiction(candidate: Candidate) -> List[str]:
    return ["this contradicts its tombstone: %s" % candidate.tombstone] if candidate.tombstone else []


def _holding(candidate: Candidate, policy: Policy, now: datetime) -> List[str]:
    """What holds a point back whatever the tiers say."""
    reasons = []
    if candidate.failed:
        reasons.append("%s: kept as evidence until it is verified again, or released" % candidate.failed)
    if candidate.tagged:
        reasons.append(candidate.tagged)
    if candidate.locked_until is not None and candidate.locked_until > now:
        reasons.append("locked until %s" % names.format_time(candidate.locked_until))
    # How old one from the future is, nobody knows.
    young = candidate.at is not None and candidate.at > now - timedelta(days=policy.minimum_age_days) and candidate.state != IN_THE_FUTURE
    if young and policy.minimum_age_days:
        reasons.append("younger than %d day%s" % (policy.minimum_age_days, "" if policy.minimum_age_days == 1 else "s"))
    if candidate.retain_until is not None and candidate.retain_until > now:
        record = "manifest" if candidate.state in ("complete", IN_THE_FUTURE) else "open.json"
        reasons.append("retain_until in %s not reached: %s" % (record, names.format_time(candidate.retain_until)))
    return reasons


def _protect_verified(members: List[Candidate], needed: Dict[str, List[str]]) -> None:
    """The newest verified point of the group stays; where none is verified, all stay. ``members`` are newest first."""
    verified = [member for member in members if member.verified]
    if not verified:
        for member in members:
            needed[member.id].append("no point of %s is verified, so none of them is removed" % member.group_name)
        return
    # A point that has a tombstone may be hidden from whoever looks for one; it protects no other.
    visible = next((member for member in verified if not member.tombstone), None)
    for member in verified[:1] + ([visible] if visible and visible is not verified[0] else []):
        needed[member.id].append("newest verified of %s" % member.group_name)


# -- machines ----------------------------------------------------------------------------------------------------------------------

_VERIFIED, _UNVERIFIED = "newest verified %s", "newest %s, none of them verified"


def _protect_machines(points: Sequence[Candidate], gone: FrozenSet[str], needed: Dict[str, List[str]]) -> None:
    """Of each component and machine, the newest verified artifact stays; where none is verified, the newest. ``points`` are newest first.

    A point that has a tombstone may be hidden from whoever looks for one: it is not given up for that, but protects no other. Points whose verification failed
    serve only where nothing else holds the piece.
    """
    proven = _newest_holders(point for point in points if point.verified)
    visible = _newest_holders(point for point in points if point.verified and not point.tombstone)
    likely = _newest_holders(point for point in points if not point.failed and not point.tombstone)
    every = _newest_holders(points)
    holders = [
        (_VERIFIED, proven),
        (_VERIFIED, visible),
        (_UNVERIFIED, {piece: likely[piece] for piece in set(likely) - set(visible)}),
        (_UNVERIFIED, {piece: every[piece] for piece in set(every) - set(proven) - set(likely)}),
    ]
    reasons: Dict[str, Dict[Tuple[str, str], Set[Piece]]] = {}
    for why, found in holders:
        for piece, holder in found.items():
            if piece[1] not in gone:
                reasons.setdefault(holder, {}).setdefault((why, piece[0]), set()).add(piece)
    for point, by_component in reasons.items():
        # The newest verified one of its kind is kept for that, and says so already.
        if not needed[point]:
            needed[point] += [why % said(pieces) for (why, _component), pieces in sorted(by_component.items())]


def gone_machines(points: Sequence[Candidate]) -> FrozenSet[str]:
    """The machines that were removed from the cluster for good. ``points`` are newest first, none from the future.

    Only a point of the whole cluster in which nothing is missing can say so, because what cannot be reached is named as missing: the newest of them that says
    which machines there were does not name it, and no point did for ``GONE_AFTER_DAYS`` before that.
    """
    reference = next((point for point in points if not point.scope and not point.missing and point.machines), None)
    if reference is None:
        return frozenset()
    border = _age(reference)[0] - timedelta(days=GONE_AFTER_DAYS)
    named: Set[str] = set()
    before: Set[str] = set()
    for point in points:
        machines = point.machines.union((machine for _component, machine in point.holds), (machine for _component, machine in point.missing))
        (named if point is reference or _age(point)[0] >= border else before).update(machines)
    return frozenset(before - named - {""})


def _newest_holders(points: Iterable[Candidate]) -> Dict[Piece, str]:
    """The newest point that holds each piece. Points hold the same pieces mostly, so that each costs no more than a comparison."""
    found: Dict[Piece, str] = {}
    settled: Set[Piece] = set()
    for point in points:
        new = point.holds - settled
        if new:
            settled |= new
            found.update(dict.fromkeys(new, point.id))
    return found


# -- periods -----------------------------------------------------------------------------------------------------------------------


class _Tier(NamedTuple):
    """One kind of period: its option, its word, the most that can be asked for, and where a period begins."""

    option: str
    word: str
    most: int
    begin: Callable[[datetime], datetime]
    # The beginning of the period that is so many later.
    later: Callable[[datetime, int], datetime]
    label: Callable[[datetime], str]


def _day(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _months_later(begin: datetime, count: int) -> datetime:
    year, month = divmod(begin.year * 12 + begin.month - 1 + count, 12)
    return begin.replace(year=year, month=month + 1)


_TIERS = (
    _Tier(
        "keep_hourly",
        "hourly",
        _LONGEST_YEARS * 366 * 24,
        lambda at: at.replace(minute=0, second=0, microsecond=0),
        lambda begin, count: begin + timedelta(hours=count),
        lambda begin: begin.strftime("%Y-%m-%dT%HZ"),
    ),
    _Tier("keep_daily", "daily", _LONGEST_YEARS * 366, _day, lambda begin, count: begin + timedelta(days=count), lambda begin: begin.strftime("%Y-%m-%d")),
    _Tier(
        "keep_weekly",
        "weekly",
        _LONGEST_YEARS * 53,
        lambda at: _day(at) - timedelta(days=at.weekday()),
        lambda begin, count: begin + timedelta(weeks=count),
        lambda begin: "%d-W%02d" % begin.isocalendar()[:2],
    ),
    _Tier("keep_monthly", "monthly", _LONGEST_YEARS * 12, lambda at: _day(at).replace(day=1), _months_later, lambda begin: begin.strftime("%Y-%m")),
    _Tier(
        "keep_yearly",
        "yearly",
        _LONGEST_YEARS,
        lambda at: _day(at).replace(month=1, day=1),
        lambda begin, count: begin.replace(year=begin.year + count),
        lambda begin: begin.strftime("%Y"),
    ),
)


def _apply_tiers(members: List[Candidate], policy: Policy, now: datetime, wanted: Dict[str, List[str]], extended: Dict[str, datetime]) -> None:
    """Note what each tier wants of a group, whose ``members`` are newest first."""
    for member in members[: policy.keep_last]:
        wanted[member.id].append("last %d" % policy.keep_last)
    whole = next((member for member in members if not member.missing), None)
    if policy.keep_last and whole and whole not in members[: policy.keep_last]:
        wanted[whole.id].append("newest in which nothing is missing, beside the last %d" % policy.keep_last)
    for tier in _TIERS:
        count = getattr(policy, tier.option)
        periods = _periods(members, tier, count)
        chosen = ""
        for begin, found in periods:
            # One in which something is missing does not take the place of one that is whole.
            member = next((each for each in found if not each.missing), found[0])
            chosen = member.id
            wanted[chosen].append("%s %s" % (tier.word, tier.label(begin)))
            # A period that goes on may get a newer point, which then takes the place: only what is final is locked for longer.
            if tier.later(begin, 1) <= now:
                until = tier.later(begin, count)
                extended[chosen] = max(until, extended.get(chosen, until))
        if len(periods) < count and members and members[-1].id != chosen:
            wanted[members[-1].id].append("oldest of all, while %s has places left" % tier.word)


def _periods(members: Sequence[Candidate], tier: _Tier, most: int) -> List[Tuple[datetime, List[Candidate]]]:
    """The newest periods in which there is a point, at most so many, each with its points, newest first."""
    by_period = itertools.groupby(members, lambda member: tier.begin(_age(member)[0]))
    return [(begin, list(found)) for begin, found in itertools.islice(by_period, most)]


def _age(member: Candidate) -> Tuple[datetime, str]:
    if member.at is None:
        raise ValueError("the complete point %s has no time" % member.id)
    return member.at, member.id


def _text(moment: Optional[datetime]) -> Optional[str]:
    return names.format_time(moment) if moment else None
