# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One point of a catalog: its state, its row in the table, and whether somebody wants to see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.known import (
    ABANDONED_AFTER_SECONDS,
    IN_THE_FUTURE,
    Known,
    id_time,
    is_kept,
    last_drill,
    proof,
    verdict,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.results import ResultName
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.reading import SignedManifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.tags import TagName
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

STATES = ("complete", "tampered", IN_THE_FUTURE, "open", "abandoned", "pruning", "broken", "unreadable", "foreign")
# Of these the originals are whole, and originals are what is read.
USABLE_STATES = ("complete", "tampered")
SIGNATURES = ("valid", "accepted", "unchecked", "none")


@dataclass(frozen=True)
class Point:
    """One point of the catalog.

    ``state``: ``complete``; ``tampered`` (usable as if complete, but something was laid over an original: ``overlaid`` has the keys); ``open`` (being
    made); ``abandoned``; ``pruning`` (its tombstone is there, and objects are left); ``broken``; ``unreadable`` (the server did not give what is there);
    ``foreign``; ``in_the_future`` (whole, but its time has not come: some clock was wrong. Never the newest, and used only by its id).
    """

    id: str
    state: str
    reason: str = ""
    signed: Optional[SignedManifest] = None
    opened_at: Optional[str] = None
    results: Sequence[ResultName] = ()
    # Objects that lie with the point's artifacts and that its manifest does not name.
    unlisted: List[str] = field(default_factory=list)
    error: Optional[LifeboatError] = None
    tags: Sequence[TagName] = ()
    # Keys over which somebody laid a version or a delete marker, and that of a tombstone that is not believed.
    overlaid: List[str] = field(default_factory=list)
    # Whether all that its manifest names is listed, in the right size: also of one whose tombstone is there already.
    whole: bool = False

    @property
    def manifest(self) -> Optional[Manifest]:
        """Its manifest, if it could be read."""
        return self.signed.manifest if self.signed else None

    @property
    def usable(self) -> bool:
        """Whether a cluster may be recovered from it."""
        return self.state in USABLE_STATES and self.signed is not None and self.signed.believable

    @property
    def usable_by_id(self) -> bool:
        """Whether who names it by its id may use it, when its signature is trusted.

        One with a tombstone too, as long as it is whole: pruning does not obey every tombstone, and one that was written with a stolen key must not take
        away what nobody could delete. And one from the future: the clock was wrong, not the bytes.
        """
        return self.state in (*USABLE_STATES, IN_THE_FUTURE) or (self.state == "pruning" and self.whole)

    @property
    def note(self) -> str:
        """Why it is not complete, or of what part of the cluster it is."""
        return self.reason or ("of %s only" % ", ".join(self.manifest.scope) if self.manifest and self.manifest.scope else "")

    def row(self, now: datetime) -> Dict[str, Any]:
        """One row of the table of points."""
        manifest = self.manifest
        newest, proven, drilled = results.newest(self.results), proof(self.results), last_drill(self.results)
        return {
            "id": self.id,
            "state": self.state,
            "usable": self.usable,
            "reason": self.reason,
            "signature": self.signed.signature if self.signed else "none",
            "signer": self.signed.signer.principal if self.signed and self.signed.signer else None,
            "status": manifest.status if manifest else None,
            "opened_at": self.opened_at,
            "taken_at": manifest.taken_at if manifest else None,
            "sealed_at": manifest.sealed_at if manifest else None,
            "retain_until": manifest.retain_until if manifest else None,
            "age_seconds": age_seconds(manifest, now) if manifest else None,
            "size_bytes": manifest.size_bytes if manifest else None,
            "components": manifest.components if manifest else [],
            "scope": manifest.scope if manifest else [],
            "missing": ["%s of %s" % (missing.component, missing.host) for missing in manifest.missing] if manifest else [],
            "highest_revision": manifest.highest_revision if manifest else None,
            "verified": results.is_verified(self.results),
            "verified_at": names.format_time(proven.at) if proven else None,
            "verified_level": proven.level if proven else None,
            "drilled_at": names.format_time(drilled.at) if drilled else None,
            "drill_verdict": verdict(drilled) if drilled else None,
            "last_result": newest.to_record() if newest else None,
            "kept": is_kept(self.tags),
            "overlaid": self.overlaid,
            "unlisted": self.unlisted,
        }


def age_seconds(manifest: Manifest, now: datetime) -> int:
    """How much would be lost by going back to this point: counted from the time of its snapshot."""
    return int((now - names.parse_time(manifest.taken_at)).total_seconds())


@dataclass(frozen=True)
class Filters:
    """Which points are wanted. What is not given, or empty, wants all.

    Ages are seconds since ``taken_at``; a point without a manifest counts from the time in its id. ``components``: all of them. ``drilled``: ``passed``,
    ``failed`` or ``none``, the newest drill.
    """

    min_age_seconds: Optional[int] = None
    max_age_seconds: Optional[int] = None
    components: Sequence[str] = ()
    verified: Optional[bool] = None
    drilled: Optional[str] = None
    states: Sequence[str] = ()
    signatures: Sequence[str] = ()

    def may_want(self, known: Known, now: datetime) -> bool:
        """Whether the names leave it open that the point is wanted."""
        if self.states and not set(self.states) & set(known.possible_states()):
            return False
        if self.verified is not None and results.is_verified(known.results) != self.verified:
            return False
        drill = last_drill(known.results)
        if self.drilled and self.drilled != (verdict(drill) if drill else "none"):
            return False
        if self.components and not known.manifest:
            return False
        # A copy of an old point has a new id, so an id tells how old a point is at least, and never that it is young.
        began = id_time(known.id)
        return self.max_age_seconds is None or began is None or (now - began).total_seconds() - ABANDONED_AFTER_SECONDS <= self.max_age_seconds

    def wants(self, point: Point, now: datetime) -> bool:
        """Whether a point that was read, and that the names left open, is wanted."""
        manifest = point.manifest
        if self.states and point.state not in self.states:
            return False
        if self.signatures and (point.signed.signature if point.signed else "none") not in self.signatures:
            return False
        if self.components and not (manifest and set(self.components) <= set(manifest.components)):
            return False
        if self.min_age_seconds is None and self.max_age_seconds is None:
            return True
        began = names.parse_time(manifest.taken_at) if manifest else id_time(point.id)
        if began is None:
            return False
        age = (now - began).total_seconds()
        return (self.min_age_seconds is None or age >= self.min_age_seconds) and (self.max_age_seconds is None or age <= self.max_age_seconds)


ALL = Filters()
