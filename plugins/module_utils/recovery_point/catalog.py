# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which recovery points there are, in what state, and which one to use. What a stored record says is believed only after its signature."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point import names, results, signing
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.errors import (
    ManifestError,
    NoRecoveryPointError,
    ObjectMissingError,
    OtherClusterError,
    PointIncompleteError,
    SignatureUncheckedError,
    UnsignedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.manifest import LARGEST_BYTES, Manifest, Opening
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.results import ResultName
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.trust import TRUST_ARGUMENTS, Trust

__all__ = ["TRUST_ARGUMENTS", "Catalog", "Point", "Trust"]

ABANDONED_AFTER_SECONDS = 24 * 3600
_LARGEST_OPENING_BYTES = 8 << 20
_READERS = 8


class SignedManifest(NamedTuple):
    """A manifest and what stands behind it: ``valid``, ``accepted`` (by id, without signature) or ``unchecked``."""

    manifest: Manifest
    signature: str
    signer: Optional[signing.Signer]

    @property
    def believable(self) -> bool:
        """Whether it may be acted on."""
        return self.signature in ("valid", "accepted")


@dataclass(frozen=True)
class Point:
    """One point of the catalog."""

    id: str
    # complete, open (being made), abandoned, broken, foreign
    state: str
    reason: str = ""
    signed: Optional[SignedManifest] = None
    opened_at: Optional[str] = None
    results: List[ResultName] = field(default_factory=list)
    # Objects that lie with the point's artifacts and that its manifest does not name.
    unlisted: List[str] = field(default_factory=list)
    error: Optional[LifeboatError] = None

    @property
    def manifest(self) -> Optional[Manifest]:
        """Its manifest, if it could be read."""
        return self.signed.manifest if self.signed else None

    @property
    def note(self) -> str:
        """Why it is not complete, or of what part of the cluster it is."""
        return self.reason or ("of %s only" % ", ".join(self.manifest.scope) if self.manifest and self.manifest.scope else "")

    def row(self, now: datetime) -> Dict[str, Any]:
        """One row of the table of points."""
        manifest = self.manifest
        newest = results.newest(self.results)
        return {
            "id": self.id,
            "state": self.state,
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
            "last_result": newest.to_record() if newest else None,
            "unlisted": self.unlisted,
        }


def age_seconds(manifest: Manifest, now: datetime) -> int:
    """How much would be lost by going back to this point: counted from the time of its snapshot."""
    return int((now - names.parse_time(manifest.taken_at)).total_seconds())


# -- one point --------------------------------------------------------------------------------------------------------------------


def read_manifest(location: Location, cluster: str, point: str, trust: Trust) -> SignedManifest:
    """Read a manifest after its signature, and prove that it is the one of this cluster and point."""
    what = "The manifest of %s" % point
    try:
        data = location.read(names.manifest_key(cluster, point), LARGEST_BYTES)
    except ObjectMissingError as error:
        raise NoRecoveryPointError(
            "There is no recovery point %s of cluster %s" % (point, cluster),
            tried="to read %s from %s" % (names.manifest_key(cluster, point), location.describe()),
            remedy="list the points with lifeboat.cluster.recovery_point_info; a point that was never sealed cannot be used",
        ) from error
    signature, signer = _check_signature(location, cluster, point, trust, data, what)
    manifest = Manifest.from_bytes(data)
    if (manifest.cluster_name, manifest.id) != (cluster, point):
        raise OtherClusterError(
            "The manifest under the name of point %s of cluster %s is that of another one" % (point, cluster),
            found="it says cluster %s, point %s" % (manifest.cluster_name, manifest.id),
            remedy="somebody copied it there: use a point of this cluster, or look under the name of the other one",
            cluster_name=manifest.cluster_name,
            point=manifest.id,
        )
    return SignedManifest(manifest, signature, signer)


def read_believable(location: Location, cluster: str, point: str, trust: Trust) -> Manifest:
    """Read a manifest that may be acted on: signed by an allowed signer, or accepted by its id."""
    signed = read_manifest(location, cluster, point, trust)
    if not signed.believable:
        raise unchecked("Recovery point %s" % point)
    return signed.manifest


def unchecked(what: str) -> SignatureUncheckedError:
    """The error of somebody who does not say whose signature counts."""
    return SignatureUncheckedError(
        "%s cannot be believed: nobody said who may sign" % what,
        found="no allowed signers file is given",
        remedy="give lifeboat_allowed_signers; or, knowing by other means that a point is sound, name its id in accept_unsigned",
    )


def _check_signature(location: Location, cluster: str, point: str, trust: Trust, data: bytes, what: str) -> Any:
    accepted = point in trust.accept_unsigned
    try:
        signature = location.read(names.signature_key(cluster, point), signing.LARGEST_SIGNATURE_BYTES)
    except ObjectMissingError as error:
        if accepted:
            return "accepted", None
        raise UnsignedError(
            "%s is not signed" % what,
            tried="to read %s from %s" % (names.signature_key(cluster, point), location.describe()),
            remedy="use a signed point; if you know by other means that this one is sound, name its id in accept_unsigned",
        ) from error
    if trust.allowed_signers is not None:
        return "valid", signing.verify(data, signature, signing.MANIFEST_NAMESPACE, trust.allowed_signers, what, trust.signer)
    signing.check_integrity(data, signature, signing.MANIFEST_NAMESPACE, what)
    return ("accepted" if accepted else "unchecked"), None


def read_opening(location: Location, cluster: str, point: str) -> Opening:
    """Read ``open.json`` of a point and prove that it is of this cluster and point."""
    try:
        data = location.read(names.open_key(cluster, point), _LARGEST_OPENING_BYTES)
    except ObjectMissingError as error:
        raise NoRecoveryPointError(
            "Recovery point %s of cluster %s was not opened here" % (point, cluster),
            tried="to read %s from %s" % (names.open_key(cluster, point), location.describe()),
            remedy="open it first (lifeboat.cluster.recovery_point, state: opened); is the location the same, and mounted?",
        ) from error
    return _opening_of(data, cluster, point)


def _opening_of(data: bytes, cluster: str, point: str) -> Opening:
    opening = Opening.from_bytes(data)
    if (opening.cluster_name, opening.id) != (cluster, point):
        raise OtherClusterError(
            "open.json of point %s of cluster %s is that of another one" % (point, cluster),
            found="it says cluster %s, point %s" % (opening.cluster_name, opening.id),
            remedy="somebody copied it there: use a point of this cluster",
            cluster_name=opening.cluster_name,
            point=opening.id,
        )
    return opening


def check_opening(location: Location, manifest: Manifest) -> None:
    """Prove that ``open.json`` is still the one that the manifest was made for."""
    key = names.open_key(manifest.cluster_name, manifest.id)
    try:
        data = location.read(key, _LARGEST_OPENING_BYTES)
    except ObjectMissingError as error:
        raise PointIncompleteError(
            "open.json of recovery point %s is missing" % manifest.id, tried=key, remedy="use another recovery point, or another copy of it"
        ) from error
    if hashlib.sha256(data).hexdigest() != manifest.open_sha256:
        raise ManifestError(
            "open.json of recovery point %s is not the one that its manifest names" % manifest.id,
            tried=key,
            remedy="it was edited or damaged: use another recovery point, or another copy of it",
        )


def check_listed(manifest: Manifest, sizes: Mapping[str, int]) -> List[str]:
    """Compare the listed sizes (by key) with the manifest; returns one sentence for each artifact that is not right."""
    problems: List[str] = []
    for artifact in manifest.artifacts:
        size = sizes.get(names.artifact_key(manifest.cluster_name, manifest.id, artifact.name))
        if size is None:
            problems.append("%s is missing" % artifact.name)
        elif size != artifact.sealed_size_bytes:
            problems.append("%s has %d bytes, not %d" % (artifact.name, size, artifact.sealed_size_bytes))
    return problems


def unlisted_objects(manifest: Manifest, sizes: Mapping[str, int]) -> List[str]:
    """Keys among the point's artifacts that the manifest does not name (a host that failed after its artifact was stored, or a stranger)."""
    named = {names.artifact_key(manifest.cluster_name, manifest.id, artifact.name) for artifact in manifest.artifacts}
    named.add(names.open_key(manifest.cluster_name, manifest.id))
    beginning = "%s%s/" % (names.points_prefix(manifest.cluster_name), manifest.id)
    return sorted(key for key in sizes if key.startswith(beginning) and key not in named)


# -- all points of a cluster -------------------------------------------------------------------------------------------------------


class Chosen(NamedTuple):
    """A point that may be used."""

    id: str
    signed: SignedManifest

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""
        return self.signed.manifest


class Catalog:
    """All points of one cluster: one listing of each of points, manifests and results, and one read of each small record."""

    def __init__(
        self, location: Location, cluster: str, trust: Trust, now: Optional[datetime] = None, abandoned_after_seconds: int = ABANDONED_AFTER_SECONDS
    ) -> None:
        self._location = location
        self._trust = trust
        self._abandoned_after_seconds = abandoned_after_seconds
        self.cluster = names.check_cluster_name(cluster)
        self.now = now or names.now()
        self._objects: Dict[str, Dict[str, int]] = {}
        for stored in location.list(names.points_prefix(cluster)):
            self._objects.setdefault(stored.key.split("/")[2], {})[stored.key] = stored.size_bytes
        prefix = names.manifests_prefix(cluster)
        self._manifests = {stored.key[len(prefix) : -len(".json")] for stored in location.list(prefix) if stored.key.endswith(".json")}
        self._results = results.names_of(stored.key for stored in location.list(names.results_prefix(cluster)))
        ids = sorted(self._manifests | set(self._objects))
        with ThreadPoolExecutor(max_workers=_READERS) as pool:
            self.points: List[Point] = list(pool.map(self._point, ids))

    def get(self, point: str) -> Point:
        """One point by its id."""
        names.check_point_id(point)
        for candidate in self.points:
            if candidate.id == point:
                return candidate
        raise NoRecoveryPointError(
            "There is no recovery point %s of cluster %s" % (point, self.cluster),
            tried=self._location.describe(),
            found=self._summary(),
            remedy="list the points with lifeboat.cluster.recovery_point_info; is the location the right one, and mounted?",
        )

    def latest(self, components: Sequence[str] = (), hosts: Sequence[str] = ()) -> Point:
        """The newest complete point (by the time of its snapshot) with a believable signature and all of these components.

        With ``hosts``, one that holds something of each of them; without, one of the whole cluster.
        """
        usable = [
            (point.manifest.taken_at, point.id, point)
            for point in self.points
            if point.state == "complete" and point.signed and point.manifest and point.signed.believable
            if set(components) <= set(point.manifest.components) and point.manifest.covers(hosts)
        ]
        if usable:
            return max(usable, key=lambda entry: entry[:2])[2]
        if any(point.signed and point.signed.signature == "unchecked" for point in self.points):
            raise unchecked("The points of cluster %s" % self.cluster)
        raise NoRecoveryPointError(
            "There is no recovery point of cluster %s that can be used" % self.cluster,
            tried="to find the newest complete one%s%s in %s"
            % (
                " with %s" % ", ".join(components) if components else "",
                " that holds something of %s" % " and ".join(hosts) if hosts else " of the whole cluster",
                self._location.describe(),
            ),
            found=self._summary(),
            remedy="is the location the right one, and mounted? Does the cluster name agree? The table of points has the reasons",
        )

    def select(self, wanted: str, components: Sequence[str] = (), hosts: Sequence[str] = ()) -> Chosen:
        """A point by id or ``latest`` (see there), complete and believable; else the error says why it is not."""
        point = self.latest(components, hosts) if wanted == "latest" else self.get(wanted)
        if point.error is not None:
            raise point.error
        if point.state != "complete" or point.signed is None:
            raise NoRecoveryPointError(
                "Recovery point %s is %s" % (point.id, point.state),
                found=point.reason,
                remedy="use a complete point; an open one is usable when its backup has sealed it",
            )
        if not point.signed.believable:
            raise unchecked("Recovery point %s" % point.id)
        return Chosen(point.id, point.signed)

    def high_water_revision(self) -> int:
        """The highest revision that any manifest or restore result names; a restore must go above it.

        Higher is the safe side, so restore results count whoever wrote them; records bound the number.
        """
        highest = max((point.manifest.highest_revision for point in self.points if point.manifest), default=0)
        for found in self._results.values():
            for name in found:
                if name.kind == "restore":
                    highest = max(highest, self._revision_of(name))
        return highest

    def _revision_of(self, name: ResultName) -> int:
        try:
            return results.Result.from_bytes(self._location.read(name.key, results.LARGEST_BYTES)).highest_revision or 0
        except (ManifestError, ObjectMissingError):
            return 0

    def _point(self, identifier: str) -> Point:
        objects = self._objects.get(identifier, {})
        found = self._results.get(identifier, [])
        if not names.is_point_id(identifier):
            return Point(identifier, "foreign", "its name is not the id of a recovery point", results=found)
        try:
            return self._sealed(identifier, objects, found) if identifier in self._manifests else self._unsealed(identifier, objects, found)
        except OtherClusterError as error:
            return Point(identifier, "foreign", error.message + (": " + error.found if error.found else ""), results=found, error=error)
        except LifeboatError as error:
            return Point(identifier, "broken", error.message + (": " + error.found if error.found else ""), results=found, error=error)

    def _sealed(self, identifier: str, objects: Dict[str, int], found: List[ResultName]) -> Point:
        signed = read_manifest(self._location, self.cluster, identifier, self._trust)
        manifest = signed.manifest
        problem: Optional[LifeboatError] = None
        wrong = check_listed(manifest, objects)
        if wrong:
            problem = PointIncompleteError(
                "Recovery point %s is not whole" % identifier,
                found="; ".join(wrong),
                remedy="use another recovery point, or another copy of it",
                problems=wrong,
            )
        try:
            check_opening(self._location, manifest)
        except LifeboatError as error:
            problem = problem or error
        return Point(
            identifier,
            "broken" if problem else "complete",
            problem.message + (": " + problem.found if problem.found else "") if problem else "",
            signed,
            manifest.opened_at,
            found,
            unlisted_objects(manifest, objects),
            problem,
        )

    def _unsealed(self, identifier: str, objects: Dict[str, int], found: List[ResultName]) -> Point:
        key = names.open_key(self.cluster, identifier)
        if key not in objects:
            return Point(identifier, "foreign", "it has neither open.json nor a manifest", results=found)
        opening = _opening_of(self._location.read(key, _LARGEST_OPENING_BYTES), self.cluster, identifier)
        age = (self.now - names.parse_time(opening.opened_at)).total_seconds()
        abandoned = age > self._abandoned_after_seconds
        reason = "opened %s by %s on %s in run %s, not sealed" % (opening.opened_at, opening.user, opening.controller, opening.run_id)
        return Point(identifier, "abandoned" if abandoned else "open", reason, opened_at=opening.opened_at, results=found)

    def _summary(self) -> str:
        if not self.points:
            return "no points at all under the name of this cluster"
        return "; ".join("%s: %s%s" % (point.id, point.state, " (%s)" % point.note if point.note else "") for point in self.points[-10:])
