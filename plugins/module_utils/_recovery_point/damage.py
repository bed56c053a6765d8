# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A damaged recovery point is still worth something: which one may be read in spite of it, what is named, and how an operator accepts it.

A manifest and its signature have to be whole: nothing can be said of anything without them. Damage of an artifact, or of ``open.json``, is named; whoever
recovers may accept it, by the name of each. Whether the recovery needs it is known only when the plan is made (``needs``).
"""

from __future__ import annotations

import json
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.verification import Verification
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import NoRecoveryPointError, PointRefusedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

OPENING = "open.json"
# Recovery points that are looked through for another copy of what is damaged.
_NEWEST = 30
_DAMAGED = ("broken", "unreadable")
_ANOTHER = "Use another recovery point (lifeboat.cluster.list_recovery_points shows them), or another copy of this one"


class Judgement(NamedTuple):
    """What came of reading a point: what is damaged, whether it may be used all the same, and what to do."""

    damaged: List[str]
    usable: bool
    remedy: str
    held_elsewhere: Dict[str, List[str]]


def choose(found: catalog.Catalog, wanted: str, components: Sequence[str] = (), hosts: Sequence[str] = ()) -> Tuple[catalog.Chosen, Optional[LifeboatError]]:
    """As ``Catalog.select``. A point that was named by its id and whose manifest is trusted is chosen although something is missing; the error says what."""
    try:
        return found.select(wanted, components, hosts), None
    except catalog.OF_NO_POINT:
        raise
    except LifeboatError as error:
        if wanted == "latest":
            raise _naming(found, error, components, hosts) from error
        point = found.get(wanted)
        if not _only_damaged(point) or point.signed is None:
            raise
        return catalog.Chosen(point.id, point.signed), point.error


def _only_damaged(point: catalog.Point) -> bool:
    """Whether its manifest is trusted, and all that is wrong is that something else is missing or has another size."""
    return point.state in _DAMAGED and point.signed is not None and point.signed.believable


def _naming(found: catalog.Catalog, error: LifeboatError, components: Sequence[str], hosts: Sequence[str]) -> LifeboatError:
    """Where no point is whole, name the newest that is damaged only: it may be all that is left."""
    if not isinstance(error, NoRecoveryPointError):
        return error
    fitting = [
        point
        for point in found.find(_NEWEST, catalog.Filters(states=list(_DAMAGED)))
        if _only_damaged(point) and point.manifest and set(components) <= set(point.manifest.components) and point.manifest.covers(hosts)
    ]
    if not fitting:
        return error
    newest = max(fitting, key=lambda point: (point.manifest.taken_at if point.manifest else "", point.id))
    return NoRecoveryPointError(
        error.message,
        tried=error.tried,
        found=error.found,
        remedy="Recovery point %s is signed, and only a part of it is missing or damaged. To have that named: -e recovery_point_id=%s" % (newest.id, newest.id),
    )


def judge(
    location: Location, found: catalog.Catalog, point: catalog.Chosen, verified: Optional[Verification], accepted: Sequence[str], error: Optional[LifeboatError]
) -> Judgement:
    """What is damaged of a point that was read, and whether all that is wrong was accepted."""
    opening = _opening_problem(location, point) if error is not None else None
    damaged = ([OPENING] if opening else []) + (verified.damaged if verified else [])
    sound = verified is None or verified.bearable(accepted)
    if not damaged:
        return Judgement([], sound and error is None, _ANOTHER + ".", {})
    usable = sound and (not opening or OPENING in accepted)
    return Judgement(damaged, usable, _remedy(point.id, damaged), _held_elsewhere(found, point.id, damaged))


def _opening_problem(location: Location, point: catalog.Chosen) -> Optional[LifeboatError]:
    try:
        catalog.check_opening(location, point.manifest)
    except catalog.OF_NO_POINT:
        raise
    except LifeboatError as error:
        return error
    return None


def option(damaged: Sequence[str]) -> str:
    """The option that accepts exactly this damage, to be copied."""
    return "-e '%s'" % json.dumps({"lifeboat_accept_damaged": list(damaged)})


def _remedy(identifier: str, damaged: Sequence[str]) -> str:
    return "%s. A recovery that does not need what is damaged can use this one, when it is told so: -e recovery_point_id=%s %s" % (
        _ANOTHER,
        identifier,
        option(damaged),
    )


def refusal(
    identifier: str, checks: Sequence[Dict[str, object]], judgement: Judgement, level: str, artifacts: Sequence[Dict[str, object]]
) -> PointRefusedError:
    """The error of whoever asked for a point that stands up to its verification."""
    return PointRefusedError(
        "Recovery point %s does not stand up to verification at level %s" % (identifier, level),
        found="; ".join("%s: %s" % (entry["title"], entry["found"]) for entry in checks if not entry["passed"]),
        remedy="%s. Keep this one for the search for the cause" % judgement.remedy.rstrip("."),
        checks=checks,
        artifacts=artifacts,
        damaged=judgement.damaged,
    )


def _held_elsewhere(found: catalog.Catalog, identifier: str, damaged: Sequence[str]) -> Dict[str, List[str]]:
    """For each damaged artifact the other usable points that hold one of its name, newest first. Whether it is whole there, only reading it says."""
    newest = found.find(_NEWEST, catalog.Filters(states=list(catalog.USABLE_STATES)))
    others = [point for point in newest if point.usable and point.manifest and point.id != identifier]
    others.sort(key=lambda point: (point.manifest.taken_at if point.manifest else "", point.id), reverse=True)
    held = {point.id: {artifact.name for artifact in point.manifest.artifacts} for point in others if point.manifest}
    return {name: [point.id for point in others if name in held[point.id]] for name in damaged}
