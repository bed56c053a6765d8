# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old the newest verified point of each component and machine is, against what was promised. Pure: points in, verdicts out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Set

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.pieces import NO_PIECES, Piece
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.clocks import is_future
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import duration
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

# A verified point within the target; one, but too old; points, but none of them verified; no point that holds it. The later, the worse.
VERDICTS = ("fresh", "stale", "unverified", "none")


def span(seconds: float) -> str:
    """A span for people, without parts that are nothing: 1 h, 20 min, 43 min 10 s."""
    text = duration(seconds)
    return re.sub(r" (00|0) (s|min|h)\Z", "", text) if " " in text else text


class TargetError(LifeboatError):
    """What was promised cannot be read as a promise."""


class Verification(NamedTuple):
    """When the contents of a point were proven to open; None when they were not, and then why not."""

    at: Optional[datetime]
    reason: str = ""


class Seen(NamedTuple):
    """A whole and trusted point, as freshness sees it."""

    id: str
    taken_at: datetime
    holds: FrozenSet[Piece]
    # Of the whole cluster, not of named machines only.
    whole: bool
    # Asked for only where it matters, because it costs reading.
    verification: Callable[[], Verification]
    # What it would hold if nothing were missing.
    missing: FrozenSet[Piece] = NO_PIECES


class Machine(NamedTuple):
    """A machine for which a component is not fresh, though it may be for others."""

    machine: str
    verdict: str
    # The newest verified point that holds the component of this machine.
    point: Optional[str]
    taken_at: Optional[datetime]
    age_seconds: Optional[int]
    text: str

    def to_record(self) -> Dict[str, Any]:
        """As plain data."""
        return dict(self._asdict(), taken_at=names.format_time(self.taken_at) if self.taken_at else None)


@dataclass(frozen=True)
class Freshness:
    """One component: its verdict, that of the machine that is worst off; and the newest verified point of the whole cluster that holds it."""

    component: str
    target_seconds: int
    verdict: str
    # Of that point alone.
    own_verdict: str
    point: Optional[str] = None
    taken_at: Optional[datetime] = None
    verified_at: Optional[datetime] = None
    age_seconds: Optional[int] = None
    # Machines that this point lacks.
    missing: List[str] = field(default_factory=list)
    # Those that are worse off than this point says.
    machines: List[Machine] = field(default_factory=list)
    # Points that are newer than that one, but not verified: id and reason.
    unverified: List[Dict[str, str]] = field(default_factory=list)

    def to_record(self) -> Dict[str, Any]:
        """As plain data."""
        return {
            "component": self.component,
            "target_seconds": self.target_seconds,
            "verdict": self.verdict,
            "own_verdict": self.own_verdict,
            "point": self.point,
            "taken_at": names.format_time(self.taken_at) if self.taken_at else None,
            "verified_at": names.format_time(self.verified_at) if self.verified_at else None,
            "age_seconds": self.age_seconds,
            "missing": self.missing,
            "machines": [entry.to_record() for entry in self.machines],
            "unverified": self.unverified,
            "text": self.text,
        }

    @property
    def text(self) -> str:
        """The verdict in words."""
        said = "%s is %s" % (self.component, {"none": "in no point", "unverified": "in no verified point"}.get(self.own_verdict, self.own_verdict))
        if self.point:
            said += ": %s old, target %s (%s)" % (span(self.age_seconds or 0), span(self.target_seconds), self.point)
        if self.unverified:
            first = self.unverified[0]
            said += "; not verified%s: %s (%s)" % (" and newer" if self.point else "", first["id"], first["reason"])
            said += " and %d more" % (len(self.unverified) - 1) if len(self.unverified) > 1 else ""
        for entry in self.machines:
            said += "; %s of %s is %s" % (self.component, entry.machine, "stale: %s" % entry.text if entry.verdict == "stale" else entry.text)
        return said


def targets_of(given: Mapping[str, Any], default_seconds: Any, components: Iterable[str]) -> Dict[str, int]:
    """Seconds by component: what is ``given``, and the default for each other one of ``components`` when there is a default.

    Numbers may be text, as extra vars are. Raises TargetError for anything that is no promise, and when nothing was promised at all.
    """
    targets = {names.check_component(name): _seconds(name, value) for name, value in given.items()}
    if default_seconds not in (None, ""):
        default = _seconds("every component", default_seconds)
        targets = {**dict.fromkeys(components, default), **targets}
    if not targets:
        raise TargetError(
            "Nobody said how old the newest recovery point may become",
            tried="lifeboat_rpo_targets, rpo_target_seconds",
            remedy="set lifeboat_rpo_targets, seconds by component: {etcd: 3600, pki: 86400}; or rpo_target_seconds for all of them",
        )
    return dict(sorted(targets.items()))


def _seconds(what: str, value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise TargetError(
            "The target of %s is no number of seconds" % what,
            found=repr(value)[:80],
            remedy="write a whole number of seconds above 0, as in {etcd: 3600}",
        )
    return int(text)


def assess(
    points: Iterable[Seen],
    targets: Mapping[str, int],
    now: datetime,
    expected: Optional[Mapping[str, FrozenSet[str]]] = None,
    most_points: Optional[int] = None,
) -> List[Freshness]:
    """The freshness of each component that has a target, of the machine that is worst off.

    ``points`` come newest first (by ``taken_at``) and are drawn only until each component is settled for every machine; of a point that holds nothing that
    is still asked for, the verification is not read. ``expected`` are the machines by component; where it does not say, those that the newest point of the
    whole cluster holds or misses. A point of named machines counts for these. A point from the future counts for nothing.

    A machine that no point holds would mean to read all of them: after ``most_points``, and once they are too old to be fresh, the search for it ends.
    """
    components = [_Component(name, target, now, (expected or {}).get(name)) for name, target in targets.items()]
    number = 0
    complete = True
    for number, point in enumerate((point for point in points if not is_future(point.taken_at, now)), 1):
        for component in components:
            component.look(point)
        if all(component.settled for component in components):
            break
        if most_points is not None and number >= most_points and all(component.settled or component.is_too_old(point) for component in components):
            complete = False
            break
    return [component.judge("in no point" if complete else "in none of the newest %d points" % number) for component in components]


class _Component:
    """What the points that were drawn so far say of one component."""

    def __init__(self, name: str, target_seconds: int, now: datetime, expected: Optional[FrozenSet[str]]) -> None:
        self._name = name
        self._target = target_seconds
        self._now = now
        self._expected = expected
        # The newest verified point that holds the component, by machine.
        self._holders: Dict[str, Seen] = {}
        # Machines that a point holds which is not verified.
        self._waiting: Set[str] = set()
        self._unverified: List[Dict[str, str]] = []
        # The newest verified point of the whole cluster.
        self._newest: Optional[Seen] = None

    @property
    def settled(self) -> bool:
        """Whether a verified point is known for every machine."""
        return self._expected is not None and self._expected <= set(self._holders)

    def is_too_old(self, point: Seen) -> bool:
        """Whether neither this point nor an older one would change the verdict."""
        return self._newest is not None and self._age(point) > self._target

    def look(self, point: Seen) -> None:
        """Take a point into account, the next older one."""
        if self.settled:
            return
        held = _machines(point.holds, self._name)
        named = held | _machines(point.missing, self._name)
        if self._expected is None and point.whole and named:
            self._expected = named
        needed = (held & (self._expected or frozenset())) - set(self._holders)
        if not needed:
            return
        verification = point.verification()
        if verification.at is None:
            self._waiting |= needed
            if self._newest is None:
                self._unverified.append({"id": point.id, "reason": verification.reason})
            return
        self._holders.update(dict.fromkeys(needed, point))
        if point.whole and self._newest is None:
            self._newest = point

    def judge(self, none: str) -> Freshness:
        """The verdict; ``none`` are the words for a machine that no point holds."""
        rests_on = self._newest or min(self._holders.values(), key=lambda point: point.taken_at, default=None)
        machines = [self._of_machine(machine, none) for machine in sorted(self._expected or ())]
        others = [entry for entry in machines if entry.verdict != "fresh" and (rests_on is None or entry.point != rests_on.id)]
        own = self._verdict(rests_on) if rests_on else "unverified" if self._unverified else "none"
        worst = max([own, *(entry.verdict for entry in others)], key=VERDICTS.index)
        if rests_on is None:
            # Said of the component, where it is true of all of them.
            others = [entry for entry in others if entry.verdict != own]
            return Freshness(self._name, self._target, worst, own, machines=others, unverified=self._unverified)
        held = _machines(rests_on.holds, self._name)
        return Freshness(
            self._name,
            self._target,
            worst,
            own,
            rests_on.id,
            rests_on.taken_at,
            rests_on.verification().at,
            self._age(rests_on),
            sorted((self._expected or frozenset()) - held) if rests_on.whole else [],
            others,
            self._unverified,
        )

    def _of_machine(self, machine: str, none: str) -> Machine:
        point = self._holders.get(machine)
        if point is not None:
            return Machine(machine, self._verdict(point), point.id, point.taken_at, self._age(point), "%s old (%s)" % (span(self._age(point)), point.id))
        if machine in self._waiting:
            return Machine(machine, "unverified", None, None, None, "in no verified point")
        return Machine(machine, "none", None, None, None, none)

    def _verdict(self, point: Seen) -> str:
        return "fresh" if self._age(point) <= self._target else "stale"

    def _age(self, point: Seen) -> int:
        return max(0, int((self._now - point.taken_at).total_seconds()))


def _machines(found: Iterable[Piece], component: str) -> FrozenSet[str]:
    return frozenset(machine for name, machine in found if name == component)
