# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old the newest verified point of each component is, against what was promised. Pure: points in, verdicts out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.evidence.clock import duration
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point import names
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.clocks import is_future

# A verified point within the target; one, but too old; points, but none of them verified; no point that holds the component.
VERDICTS = ("fresh", "stale", "unverified", "none")


def span(seconds: float) -> str:
    """A span for people, without parts that are nothing: 1 h, 20 min, 43 min 10 s."""
    text = duration(seconds)
    return re.sub(r" (00|0) (s|min|h)\Z", "", text) if " " in text else text


class TargetError(LifeboatError):
    """What was promised cannot be read as a promise."""


class Seen(NamedTuple):
    """A complete and believed point, as freshness sees it."""

    id: str
    taken_at: datetime
    # The hosts of which it holds something, by component.
    hosts: Mapping[str, FrozenSet[str]]
    # Of the whole cluster, not of named hosts only.
    whole: bool
    # When its contents were proven to open; None when they were not, and then ``reason`` says why not.
    verified_at: Optional[datetime]
    reason: str = ""
    # Hosts that a complete point would hold too, by component.
    missing: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True)
class Freshness:
    """One component: its verdict, and the point that it rests on."""

    component: str
    target_seconds: int
    verdict: str
    point: Optional[str] = None
    taken_at: Optional[datetime] = None
    verified_at: Optional[datetime] = None
    age_seconds: Optional[int] = None
    # Of the point that it rests on: hosts that are missing in it.
    missing: List[str] = field(default_factory=list)
    # Points that are newer than that one, but not verified: id and reason.
    unverified: List[Dict[str, str]] = field(default_factory=list)

    def to_record(self) -> Dict[str, Any]:
        """As plain data."""
        return {
            "component": self.component,
            "target_seconds": self.target_seconds,
            "verdict": self.verdict,
            "point": self.point,
            "taken_at": names.format_time(self.taken_at) if self.taken_at else None,
            "verified_at": names.format_time(self.verified_at) if self.verified_at else None,
            "age_seconds": self.age_seconds,
            "missing": self.missing,
            "unverified": self.unverified,
            "text": self.text,
        }

    @property
    def text(self) -> str:
        """The verdict in words."""
        said = "%s is %s" % (self.component, {"none": "in no point", "unverified": "in no verified point"}.get(self.verdict, self.verdict))
        if self.point:
            said += ": %s old, target %s (%s)" % (span(self.age_seconds or 0), span(self.target_seconds), self.point)
        if self.unverified:
            first = self.unverified[0]
            said += "; not verified%s: %s (%s)" % (" and newer" if self.point else "", first["id"], first["reason"])
            said += " and %d more" % (len(self.unverified) - 1) if len(self.unverified) > 1 else ""
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


def assess(points: Iterable[Seen], targets: Mapping[str, int], now: datetime, reference: Optional[Mapping[str, FrozenSet[str]]] = None) -> List[Freshness]:
    """The freshness of each component that has a target.

    ``points`` come newest first (by ``taken_at``) and are drawn only until each component is settled, so their verification may be read lazily.
    A point of named hosts counts for a component only when it holds it of every host of ``reference``, the hosts by component of the newest point of the
    whole cluster. A point from the future counts for nothing.
    """
    open_components: Dict[str, List[Dict[str, str]]] = {component: [] for component in targets}
    settled: Dict[str, Freshness] = {}
    for point in points:
        if is_future(point.taken_at, now):
            continue
        for component in [name for name in open_components if _holds(point, name, reference or {})]:
            if point.verified_at is None:
                open_components[component].append({"id": point.id, "reason": point.reason})
                continue
            age = max(0, int((now - point.taken_at).total_seconds()))
            settled[component] = Freshness(
                component,
                targets[component],
                "fresh" if age <= targets[component] else "stale",
                point.id,
                point.taken_at,
                point.verified_at,
                age,
                sorted(point.missing.get(component, ())),
                open_components.pop(component),
            )
        if not open_components:
            break
    for component, unverified in open_components.items():
        settled[component] = Freshness(component, targets[component], "unverified" if unverified else "none", unverified=unverified)
    return [settled[component] for component in targets]


def _holds(point: Seen, component: str, reference: Mapping[str, FrozenSet[str]]) -> bool:
    hosts = point.hosts.get(component)
    if not hosts:
        return False
    return point.whole or bool(reference.get(component)) and reference[component] <= hosts
