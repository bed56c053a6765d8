# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which recovery points there are, in what state, and which one to use. What a stored record says is believed only after its signature.

Names are cheap and contents are not: a catalog lists names once, and reads the records of a point when somebody asks for that point.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.etcd.revisions import clock_revision
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point import names, results, signing, tags
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.errors import (
    AccessDeniedError,
    ClockSkewError,
    CredentialsExpiredError,
    LocationSlowError,
    LocationVanishedError,
    ManifestError,
    NoRecoveryPointError,
    ObjectMissingError,
    OtherClusterError,
    PointIncompleteError,
    SignatureUncheckedError,
    TombstoneError,
    UnsignedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.manifest import LARGEST_BYTES, Manifest, Opening
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.results import ResultName
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.tags import TagName
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.tombstones import read_tombstone
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.trust import TRUST_ARGUMENTS, Trust

__all__ = ["TRUST_ARGUMENTS", "Catalog", "Point", "Trust"]

ABANDONED_AFTER_SECONDS = 24 * 3600
STATES = ("complete", "tampered", "open", "abandoned", "pruning", "broken", "foreign")
# Of these the originals are whole, and originals are what is read.
USABLE_STATES = ("complete", "tampered")
SIGNATURES = ("valid", "accepted", "unchecked", "none")
# Points of which the highest revision is looked for.
HIGH_WATER_POINTS = 200
_LARGEST_OPENING_BYTES = 8 << 20
_READERS = 8
# So many points are read at once where nobody knows how many will be needed.
_BATCH = 32
# What these say is true of the whole location. It makes no single point broken.
OF_THE_LOCATION = (AccessDeniedError, ClockSkewError, CredentialsExpiredError, LocationSlowError, LocationVanishedError)


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
    """One point of the catalog.

    ``state``: ``complete``; ``tampered`` (usable as if complete, but something was laid over an original: ``overlaid`` has the keys); ``open`` (being
    made); ``abandoned``; ``pruning`` (its tombstone is there, and objects are left); ``broken``; ``foreign``.
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
            "drill_verdict": _verdict(drilled) if drilled else None,
            "last_result": newest.to_record() if newest else None,
            "kept": is_kept(self.tags),
            "overlaid": self.overlaid,
            "unlisted": self.unlisted,
        }


def age_seconds(manifest: Manifest, now: datetime) -> int:
    """How much would be lost by going back to this point: counted from the time of its snapshot."""
    return int((now - names.parse_time(manifest.taken_at)).total_seconds())


# -- what names alone say ----------------------------------------------------------------------------------------------------------
#
# Whoever may write results can write a name. A table may go by names; who deletes by them reads what is inside (results.read_believed).


def proof(found: Iterable[ResultName]) -> Optional[ResultName]:
    """The result that speaks for a point: the newest that passed and opened it; if none did, the newest that passed. None once a later one failed."""
    proven: Optional[ResultName] = None
    for result in _in_order(found):
        if not result.passed:
            proven = None
        elif proven is None or _opens(result) or not _opens(proven):
            proven = result
    return proven


def last_drill(found: Iterable[ResultName]) -> Optional[ResultName]:
    """The newest drill."""
    return results.newest(result for result in found if result.kind == "drill")


def is_kept(found: Iterable[TagName]) -> bool:
    """Whether somebody said that the point is to be kept, and did not take it back."""
    newest = tags.newest(found)
    return newest is not None and newest.tag == "keep"


def _in_order(found: Iterable[ResultName]) -> List[ResultName]:
    # An escrow check says whose keys open a point, not whether the point is whole.
    return sorted((result for result in found if result.kind != "escrow"), key=lambda result: (result.at, not result.passed))


def _opens(result: ResultName) -> bool:
    return _reaches(result, "opened")


def _reaches(result: ResultName, level: str) -> bool:
    return names.LEVELS.index(result.level) >= names.LEVELS.index(level)


def _verdict(result: ResultName) -> str:
    return "passed" if result.passed else "failed"


def id_time(identifier: str) -> Optional[datetime]:
    """When the point was opened, by its id. None when the id names no time."""
    if not names.is_point_id(identifier):
        return None
    try:
        return datetime.strptime(identifier[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:  # the thirteenth month: the form is right, and nobody opened it
        return None


@dataclass(frozen=True)
class Known:
    """What the names alone say of one point."""

    id: str
    manifest: bool = False
    signature: bool = False
    # Whether anything lies below points/<id>/.
    objects: bool = False
    tombstone: bool = False
    results: Sequence[ResultName] = ()
    tags: Sequence[TagName] = ()
    overlaid: Sequence[str] = ()

    def possible_states(self) -> Tuple[str, ...]:
        """The states that it can turn out to be in when it is read."""
        if not names.is_point_id(self.id):
            return ("foreign",)
        found = ("complete", "tampered", "broken", "foreign") if self.manifest else ("open", "abandoned", "broken", "foreign")
        return (*found, "pruning") if self.tombstone else found


def due(known: Iterable[Known], level: str, now: datetime, after: timedelta, limit: int) -> List[str]:
    """Ids of the points to verify now, newest first, at most ``limit``.

    A sealed point is due when it never passed at this level or a higher one, or did so longer ago than ``after``; or when a drill or restore of it
    failed since. A verification that failed counts as one that was made: else a few broken points, tried again in every run, would use up the limit,
    and no other point would ever be read.
    """
    found: List[str] = []
    for entry in sorted((entry for entry in known if entry.manifest and not entry.tombstone and names.is_point_id(entry.id)), key=_by_id, reverse=True):
        if len(found) >= limit:
            break
        judged: Optional[ResultName] = None
        for result in _in_order(entry.results):
            if result.passed and _reaches(result, level) or result.kind == "verification" and not result.passed:
                judged = result
            elif not result.passed:
                judged = None
        if judged is None or now - judged.at > after:
            found.append(entry.id)
    return found


def _by_id(entry: Known) -> str:
    return entry.id


# -- one point --------------------------------------------------------------------------------------------------------------------


def read_manifest(location: Location, cluster: str, point: str, trust: Trust) -> SignedManifest:
    """Read a manifest after its signature, and prove that it is the one of this cluster and point."""
    try:
        data = location.read(names.manifest_key(cluster, point), LARGEST_BYTES)
    except ObjectMissingError as error:
        raise NoRecoveryPointError(
            "There is no recovery point %s of cluster %s" % (point, cluster),
            tried="to read %s from %s" % (names.manifest_key(cluster, point), location.describe()),
            remedy="list the points with lifeboat.cluster.recovery_point_info; a point that was never sealed cannot be used",
        ) from error
    return _check_manifest(location, cluster, point, trust, data)


def _check_manifest(location: Location, cluster: str, point: str, trust: Trust, data: bytes) -> SignedManifest:
    signature, signer = _check_signature(location, cluster, point, trust, data, "The manifest of %s" % point)
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
        if self.drilled and self.drilled != (_verdict(drill) if drill else "none"):
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


class Catalog:
    """All points of one cluster.

    Making one costs five listings (below ``points/`` of one level only), whatever the number of points. Of a point that is asked for, manifest, signature
    and ``open.json`` are read and its objects are listed, once. Readers see the location as it was when the catalog was made, as far as names go.

    An error that is one of the whole location (credentials, access, a mount that went away) is raised; any other makes the one point broken.
    """

    def __init__(
        self, location: Location, cluster: str, trust: Trust, now: Optional[datetime] = None, abandoned_after_seconds: int = ABANDONED_AFTER_SECONDS
    ) -> None:
        self._location = location
        self._trust = trust
        self._abandoned_after_seconds = abandoned_after_seconds
        self.cluster = names.check_cluster_name(cluster)
        self.now = now or names.now()
        self._read: Dict[str, Point] = {}
        self._manifest_bytes: Dict[str, bytes] = {}
        self._results: Dict[str, List[ResultName]] = {}
        self._tombstones: Set[str] = set()
        # By id, oldest first; what has no id as its name comes before all others.
        self.known: Dict[str, Known] = self._list()
        # Points that ``latest`` found newer than what it chose, or without a readable manifest, and did not choose.
        self.passed_over: List[Point] = []

    # -- names ------------------------------------------------------------------------------------------------------------------------

    def _list(self) -> Dict[str, Known]:
        listings: Sequence[Callable[[str], str]] = (names.manifests_prefix, names.results_prefix, names.tags_prefix)
        with ThreadPoolExecutor(max_workers=_READERS) as pool:
            below = pool.submit(self._location.children, names.points_prefix(self.cluster))
            manifests, appended, tagged = (list(found) for found in pool.map(lambda prefix: list(self._location.list(prefix(self.cluster))), listings))
            objects = set(below.result())
        # Last: a tombstone is written before the first object goes, so of a point that is pruned meanwhile it is seen.
        tombstones = list(self._location.list(names.tombstones_prefix(self.cluster)))

        overlaid: Dict[str, List[str]] = {}
        stems: Dict[str, Dict[str, Set[str]]] = {"manifests": {}, "pruned": {}}
        for kind, stored_objects in (("manifests", manifests), ("pruned", tombstones)):
            for stored in stored_objects:
                stem, suffix = _stem(stored.key.split("/", 2)[2])
                stems[kind].setdefault(stem, set()).add(suffix)
                if stored.overlaid:
                    overlaid.setdefault(stem, []).append(stored.key)
        for stored in (*appended, *tagged):
            if stored.overlaid:
                overlaid.setdefault(stored.key.split("/")[2], []).append(stored.key)
        self._results = results.names_of(stored.key for stored in appended)
        self._tombstones = {stem for stem, suffixes in stems["pruned"].items() if ".json" in suffixes}
        by_tag = tags.names_of(stored.key for stored in tagged)
        found: Dict[str, Known] = {}
        for identifier in sorted(objects | set(stems["manifests"]), key=lambda name: (names.is_point_id(name), name)):
            sealed = stems["manifests"].get(identifier, set())
            found[identifier] = Known(
                identifier,
                manifest=".json" in sealed,
                signature=".json.sig" in sealed,
                objects=identifier in objects,
                tombstone=identifier in self._tombstones,
                results=self._results.get(identifier, ()),
                tags=by_tag.get(identifier, ()),
                overlaid=overlaid.get(identifier, ()),
            )
        return found

    def counts(self) -> Dict[str, int]:
        """How many points there are, by what their names say: ``all``, ``sealed``, ``open``, ``abandoned``, ``pruning``, ``foreign``. Nothing is read."""
        found = dict.fromkeys(("all", "sealed", "open", "abandoned", "pruning", "foreign"), 0)
        for entry in self.known.values():
            began = id_time(entry.id)
            if began is None:
                kind = "foreign"
            elif entry.tombstone:
                kind = "pruning"
            elif entry.manifest:
                kind = "sealed"
            else:
                kind = "abandoned" if (self.now - began).total_seconds() > self._abandoned_after_seconds else "open"
            found[kind] += 1
            found["all"] += 1
        return found

    def due(self, level: str, after: timedelta, limit: int) -> List[str]:
        """Ids of the points to verify now (see the function ``due``)."""
        return due(self.known.values(), level, self.now, after, limit)

    # -- points -----------------------------------------------------------------------------------------------------------------------

    @property
    def points(self) -> List[Point]:
        """Every point, oldest id first. All of them are read: ask for ``find`` where some will do."""
        return self._points(list(self.known))

    def find(self, limit: Optional[int] = None, filters: Filters = ALL) -> List[Point]:
        """The newest points by id that are wanted, oldest first; at most ``limit``. No more are read than it takes to know."""
        candidates = [entry.id for entry in self.known.values() if filters.may_want(entry, self.now)]
        most = len(candidates) if limit is None else limit
        wanted: List[Point] = []
        size = most
        while candidates and len(wanted) < most:
            candidates, batch = candidates[:-size], candidates[-size:]
            wanted = [point for point in self._points(batch) if filters.wants(point, self.now)] + wanted
            size = max(most - len(wanted), _READERS)
        return wanted[-most:] if most else []

    def rows(self, limit: Optional[int] = None, filters: Filters = ALL) -> List[Dict[str, Any]]:
        """The rows of ``find``."""
        return [point.row(self.now) for point in self.find(limit, filters)]

    def get(self, point: str) -> Point:
        """One point by its id."""
        names.check_point_id(point)
        if point not in self.known:
            raise NoRecoveryPointError(
                "There is no recovery point %s of cluster %s" % (point, self.cluster),
                tried=self._location.describe(),
                found=self._summary(),
                remedy="list the points with lifeboat.cluster.recovery_point_info; is the location the right one, and mounted?",
            )
        return self._points([point])[0]

    def latest(self, components: Sequence[str] = (), hosts: Sequence[str] = ()) -> Point:
        """The newest usable point, by the time of its snapshot, with all of these components.

        With ``hosts``, one that holds something of each of them; without, one of the whole cluster.

        Ids are read newest first, and an id says when its point was opened. What is taken is taken after that, and within the time that a backup may take
        (``ABANDONED_AFTER_SECONDS``): so ``taken_at`` is at most that much later than the id says. It may be earlier by any amount: a sealed-again copy has
        the id of its copying and the time of its snapshot. Hence a point with an older id cannot be newer than the best one found so far, once its id is
        older than that one's ``taken_at`` by the time that a backup may take. The reading ends there: after a day's points, not after all.

        Manifests are looked into before their signatures are checked, to know in which order to check them; the one that is chosen was checked like any
        other. A forged one is checked, found out, and noted in ``passed_over``.
        """
        sealed = [entry.id for entry in reversed(list(self.known.values())) if entry.manifest and names.is_point_id(entry.id)]
        if self._trust.allowed_signers is None:  # then only those can be believed
            sealed = [identifier for identifier in sealed if identifier in self._trust.accept_unsigned]
        best: Tuple[str, str] = ("", "")
        chosen: Optional[Point] = None
        unread: List[str] = []
        passed_over: List[Point] = []
        while sealed:
            if chosen and _opened_before(sealed[0], names.parse_time(best[0]) - timedelta(seconds=ABANDONED_AFTER_SECONDS)):
                break
            batch, sealed = sealed[:_BATCH], sealed[_BATCH:]
            claims = self._claims(batch)
            unread += [identifier for identifier in batch if identifier not in claims]
            fitting = [claim for claim in claims.values() if set(components) <= set(claim.components) and claim.covers(hosts)]
            for claim in sorted(fitting, key=lambda claim: (claim.taken_at, claim.id), reverse=True):
                if (claim.taken_at, claim.id) < best:
                    break
                point = self._points([claim.id])[0]
                if point.usable:
                    best, chosen = (claim.taken_at, claim.id), point
                    break
                passed_over.append(point)
        if chosen is None:
            raise self._nothing_usable(components, hosts)
        newer = [point for point in passed_over if point.manifest is None or (point.manifest.taken_at, point.id) > best]
        self.passed_over = newer + self._points([identifier for identifier in unread if identifier > chosen.id])
        return chosen

    def select(self, wanted: str, components: Sequence[str] = (), hosts: Sequence[str] = ()) -> Chosen:
        """A point by id or ``latest`` (see there), usable; else the error says why it is not.

        Who names a point by its id may use it with a tombstone too, as long as it is whole: pruning does not obey every tombstone, and one that was written
        with a stolen key must not take away what nobody could delete.
        """
        point = self.latest(components, hosts) if wanted == "latest" else self.get(wanted)
        if point.error is not None:
            raise point.error
        if point.signed is None or point.state not in USABLE_STATES and not (point.state == "pruning" and point.whole):
            raise NoRecoveryPointError(
                "Recovery point %s is %s" % (point.id, point.state),
                found=point.reason,
                remedy="use a complete point; an open one is usable when its backup has sealed it, one with a tombstone while it is whole",
            )
        if not point.signed.believable:
            raise unchecked("Recovery point %s" % point.id)
        return Chosen(point.id, point.signed)

    def gaps(self) -> List[str]:
        """Ids that manifests read so far name as sealed before them, and that are neither here nor pruned by their names: lost, or hidden from this reader.

        Names only: who stops because of a gap is safe from a listing that is not whole, not from somebody who writes tombstones.
        """
        seen = {earlier for point in self._read.values() if point.manifest for earlier in point.manifest.seen_before}
        return sorted(seen - self._tombstones - {entry.id for entry in self.known.values() if entry.manifest})

    def high_water_revision(self) -> int:
        """The highest revision that a manifest or a restore result names; a restore must go above it.

        Manifests of the newest ``HIGH_WATER_POINTS`` ids, and every restore result: the revision of a cluster only grows, and a restore takes it above all
        that was known and leaves a result. So the highest is in the newest manifests, or in a result that is newer than they. That many, and not one,
        because the newest may be copies of old points or points without a snapshot. Should they all be: the revision after a restore goes by the clock as
        long as nothing known is above that (``recovery.plan.target_revision``), so what is missed here can not be above it either.

        A manifest counts when its signature is not wrong. Higher is the safe side, and a restore goes by the clock at least: so what a restore result says
        counts up to there whoever wrote it (the signing key may be lost with the controller), and above only when it is signed. Else whoever may write
        results could use up the revisions of a cluster.
        """
        highest = 0
        newest = [entry.id for entry in self.known.values() if entry.manifest and names.is_point_id(entry.id)][-HIGH_WATER_POINTS:]
        # The highest claim that stands is the answer: no other signature has to be looked at.
        for claim in sorted(self._claims(newest).values(), key=lambda claim: claim.highest_revision, reverse=True):
            point = self._points([claim.id])[0]
            if point.manifest:
                highest = point.manifest.highest_revision
                break
        restores = [result for entry in self._results.values() for result in entry if result.kind == "restore"]
        with ThreadPoolExecutor(max_workers=_READERS) as pool:
            return max([highest, *pool.map(self._revision_of, restores)])

    def _revision_of(self, name: ResultName) -> int:
        try:
            said = results.Result.from_bytes(self._location.read(name.key, results.LARGEST_BYTES))
            if (said.highest_revision or 0) > clock_revision(self.now.timestamp()) and self._trust.allowed_signers is not None:
                said = results.read_believed(self._location, name, self.cluster, said.point_id, self._trust)
        except OF_THE_LOCATION:
            raise
        except LifeboatError:
            return 0
        return said.highest_revision or 0

    # -- reading ----------------------------------------------------------------------------------------------------------------------

    def _points(self, identifiers: Sequence[str]) -> List[Point]:
        unread = [identifier for identifier in identifiers if identifier not in self._read]
        if unread:
            with ThreadPoolExecutor(max_workers=_READERS) as pool:
                for point in pool.map(self._point, unread):
                    self._read[point.id] = point
        return [self._read[identifier] for identifier in identifiers]

    def _claims(self, identifiers: Sequence[str]) -> Dict[str, Manifest]:
        """What manifests say, by id, before anybody looked at their signatures; those that cannot be read are left out."""
        with ThreadPoolExecutor(max_workers=_READERS) as pool:
            found = zip(identifiers, pool.map(self._claim, identifiers))
            return {identifier: claim for identifier, claim in found if claim is not None}

    def _claim(self, identifier: str) -> Optional[Manifest]:
        if identifier in self._read:
            return self._read[identifier].manifest
        try:
            claim = Manifest.from_bytes(self._manifest_of(identifier))
        except OF_THE_LOCATION:
            raise
        except LifeboatError:
            return None
        return claim if (claim.cluster_name, claim.id) == (self.cluster, identifier) else None

    def _manifest_of(self, identifier: str) -> bytes:
        if identifier not in self._manifest_bytes:
            self._manifest_bytes[identifier] = self._location.read(names.manifest_key(self.cluster, identifier), LARGEST_BYTES)
        return self._manifest_bytes[identifier]

    def _point(self, identifier: str) -> Point:
        known = self.known[identifier]
        if not names.is_point_id(identifier):
            return self._appended(Point(identifier, "foreign", "its name is not the id of a recovery point"), known)
        try:
            point = self._sealed(known) if known.manifest else self._unsealed(known)
        except OF_THE_LOCATION:
            raise
        except OtherClusterError as error:
            point = Point(identifier, "foreign", _told(error), error=error)
        except LifeboatError as error:
            point = Point(identifier, "broken", _told(error), error=error)
        return self._judged(self._appended(point, known), known)

    @staticmethod
    def _appended(point: Point, known: Known) -> Point:
        return replace(point, results=known.results, tags=known.tags, overlaid=sorted({*point.overlaid, *known.overlaid}))

    def _sealed(self, known: Known) -> Point:
        signed = _check_manifest(self._location, self.cluster, known.id, self._trust, self._manifest_of(known.id))
        self._manifest_bytes.pop(known.id, None)
        manifest = signed.manifest
        stored = list(self._location.list("%s%s/" % (names.points_prefix(self.cluster), known.id)))
        objects = {entry.key: entry.size_bytes for entry in stored}
        problem: Optional[LifeboatError] = None
        wrong = check_listed(manifest, objects)
        if wrong:
            problem = PointIncompleteError(
                "Recovery point %s is not whole" % known.id,
                found="; ".join(wrong),
                remedy="use another recovery point, or another copy of it",
                problems=wrong,
            )
        try:
            check_opening(self._location, manifest)
        except OF_THE_LOCATION:
            raise
        except LifeboatError as error:
            problem = problem or error
        return Point(
            known.id,
            "broken" if problem else "complete",
            _told(problem) if problem else "",
            signed,
            manifest.opened_at,
            unlisted=unlisted_objects(manifest, objects),
            error=problem,
            overlaid=[entry.key for entry in stored if entry.overlaid],
            whole=problem is None,
        )

    def _unsealed(self, known: Known) -> Point:
        if not known.objects:
            return Point(known.id, "foreign", "nothing but the signature of a manifest is there" if known.signature else "nothing that is its own is there")
        stored = {entry.key: entry for entry in self._location.list("%s%s/" % (names.points_prefix(self.cluster), known.id))}
        overlaid = [key for key, entry in stored.items() if entry.overlaid]
        key = names.open_key(self.cluster, known.id)
        if key not in stored:
            return Point(known.id, "foreign", "it has neither open.json nor a manifest", overlaid=overlaid)
        opening = _opening_of(self._location.read(key, _LARGEST_OPENING_BYTES), self.cluster, known.id)
        age = (self.now - names.parse_time(opening.opened_at)).total_seconds()
        abandoned = age > self._abandoned_after_seconds
        reason = "opened %s by %s on %s in run %s, not sealed" % (opening.opened_at, opening.user, opening.controller, opening.run_id)
        return Point(known.id, "abandoned" if abandoned else "open", reason, opened_at=opening.opened_at, overlaid=overlaid)

    def _judged(self, point: Point, known: Known) -> Point:
        """The point in the light of what lies over it and of its tombstone."""
        if known.tombstone:
            try:
                return replace(point, state="pruning", reason=self._tombstone(known.id), error=None)
            except TombstoneError as error:
                # Else whoever may write, but not delete, could take every point out of use.
                told = "its tombstone is not believed (%s)" % _told(error)
                reason = "; ".join(word for word in (point.reason, told) if word)
                point = replace(point, reason=reason, overlaid=sorted({*point.overlaid, names.tombstone_key(self.cluster, known.id)}))
        if point.state == "complete" and point.overlaid:
            return replace(point, state="tampered", reason=point.reason or "something was laid over %s; the originals are read" % ", ".join(point.overlaid))
        return point

    def _tombstone(self, identifier: str) -> str:
        """What a tombstone says, in words; a TombstoneError when it is not believed."""
        if self._trust.allowed_signers is None and identifier not in self._trust.accept_unsigned:
            return "it is being pruned, says a tombstone whose signature was not checked: nobody said who may sign"
        try:
            return "%s, says a tombstone whose signature is believed; objects are left" % read_tombstone(self._location, self.cluster, identifier, self._trust)
        except OF_THE_LOCATION:
            raise
        except LifeboatError as error:
            raise TombstoneError(error.message, tried=names.tombstone_key(self.cluster, identifier), found=error.found) from error

    # -- in words ---------------------------------------------------------------------------------------------------------------------

    def _nothing_usable(self, components: Sequence[str], hosts: Sequence[str]) -> LifeboatError:
        if self._trust.allowed_signers is None and any(point.signed and point.signed.signature == "unchecked" for point in self.find(10)):
            return unchecked("The points of cluster %s" % self.cluster)
        return NoRecoveryPointError(
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

    def _summary(self) -> str:
        if not self.known:
            return "no points at all under the name of this cluster"
        return "; ".join("%s: %s%s" % (point.id, point.state, " (%s)" % point.note if point.note else "") for point in self.find(10))


def _stem(name: str) -> Tuple[str, str]:
    for suffix in (".json.sig", ".json"):
        if name.endswith(suffix):
            return name[: -len(suffix)], suffix
    return name, ""


def _opened_before(identifier: str, moment: datetime) -> bool:
    began = id_time(identifier)
    return began is not None and began <= moment


def _told(error: LifeboatError) -> str:
    return error.message + (": " + error.found if error.found else "")
