# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which recovery points there are, in what state, and which one to use. What a stored record says is believed only after its signature.

Names are cheap and contents are not: a catalog lists names once, and reads the records of a point when somebody asks for that point.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.tombstones import read_tombstone
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.entry import (
    ALL,
    SIGNATURES,
    STATES,
    USABLE_STATES,
    Filters,
    Point,
    age_seconds,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.known import (
    ABANDONED_AFTER_SECONDS,
    IN_THE_FUTURE,
    Known,
    began_before,
    due,
    id_time,
    is_kept,
    last_drill,
    proof,
    stem,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import LARGEST_BYTES, Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.results import ResultName
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.reading import (
    LARGEST_OPENING_BYTES,
    OF_NO_POINT,
    REFUSED,
    SignedManifest,
    check_listed,
    check_manifest,
    check_opening,
    find_hidden,
    hidden_areas,
    opening_of,
    read_believable,
    read_manifest,
    read_opening,
    unchecked,
    unlisted_objects,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import tags
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import TRUST_ARGUMENTS, Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.clocks import future_text, is_future
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    NoRecoveryPointError,
    OtherClusterError,
    PointIncompleteError,
    TombstoneError,
    hidden,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.revisions import clock_revision

# The whole of it for those who ask: what names alone say is in known.py, reading one point in reading.py, a point and its row in entry.py.
__all__ = [
    "ABANDONED_AFTER_SECONDS",
    "ALL",
    "IN_THE_FUTURE",
    "OF_NO_POINT",
    "REFUSED",
    "SIGNATURES",
    "STATES",
    "TRUST_ARGUMENTS",
    "USABLE_STATES",
    "Catalog",
    "Chosen",
    "Filters",
    "Known",
    "Point",
    "SignedManifest",
    "Trust",
    "age_seconds",
    "check_listed",
    "check_opening",
    "due",
    "id_time",
    "is_kept",
    "last_drill",
    "proof",
    "read_believable",
    "read_manifest",
    "read_opening",
    "unchecked",
    "unlisted_objects",
]

# What to do where a location has no point of the cluster.
NOTHING_YET = (
    "make one with lifeboat.cluster.backup_cluster. If there should be some: is the location the right one, and mounted, and is lifeboat_cluster_name the name "
    "under which they were made?"
)
# Points of which the highest revision is looked for.
HIGH_WATER_POINTS = 200
_READERS = 8
# So many points are read at once where nobody knows how many will be needed.
_BATCH = 32


class Chosen(NamedTuple):
    """A point that may be used."""

    id: str
    signed: SignedManifest

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""
        return self.signed.manifest


class Catalog:
    """All points of one cluster.

    Making one costs five listings (below ``points/`` of one level only), whatever the number of points, one for each point that is not sealed, and a
    look at the directories' names where a listing is empty. Of a point that is asked for, manifest, signature
    and ``open.json`` are read and its objects are listed, once. Readers see the location as it was when the catalog was made, as far as names go.

    An error that is one of the whole location (credentials, access, a mount that went away) is raised; a refusal of the server makes the one point
    unreadable, any other broken. An object that has the name of a directory hides on some servers what lies there: that is looked for, and named.
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
        # Objects that have the name of a directory.
        self._above: Set[str] = set()
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

        listed = {
            names.points_prefix(self.cluster): objects,
            names.manifests_prefix(self.cluster): manifests,
            names.results_prefix(self.cluster): appended,
            names.tags_prefix(self.cluster): tagged,
            names.tombstones_prefix(self.cluster): tombstones,
        }
        above = hidden_areas(self._location, listed)
        if above and not objects and not manifests:
            raise hidden("Everything of cluster %s" % self.cluster, self._location.describe(), above)
        self._above.update(above)
        overlaid: Dict[str, List[str]] = {}
        stems: Dict[str, Dict[str, Set[str]]] = {"manifests": {}, "pruned": {}}
        for kind, stored_objects in (("manifests", manifests), ("pruned", tombstones)):
            for stored in stored_objects:
                name, suffix = stem(stored.key.split("/", 2)[2])
                stems[kind].setdefault(name, set()).add(suffix)
                if stored.overlaid:
                    overlaid.setdefault(name, []).append(stored.key)
        for stored in (*appended, *tagged):
            if stored.key.count("/") == 2:  # it has the name of the directory of a point's results or tags
                self._above.add(stored.key)
            if stored.overlaid or stored.key in self._above:
                overlaid.setdefault(stored.key.split("/")[2], []).append(stored.key)
        if above and not manifests:
            self._find_manifests(objects, stems["manifests"])
        objects = self._not_empty(objects, set(stems["manifests"]))
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
                overlaid=[*overlaid.get(identifier, ()), *above],
            )
        return found

    def _find_manifests(self, identifiers: Set[str], stems: Dict[str, Set[str]]) -> None:
        """Look by its key for the manifest of each of these points, because no listing shows any."""
        kinds: Sequence[Tuple[str, Callable[[str, str], str]]] = ((".json", names.manifest_key), (".json.sig", names.signature_key))
        wanted = [(identifier, suffix, key_of) for identifier in identifiers if names.is_point_id(identifier) for suffix, key_of in kinds]
        with ThreadPoolExecutor(max_workers=_READERS) as pool:
            sizes = pool.map(lambda entry: self._location.size(entry[2](self.cluster, entry[0])), wanted)
            for (identifier, suffix, _key_of), size in zip(wanted, sizes):
                if size is not None:
                    stems.setdefault(identifier, set()).add(suffix)

    def _not_empty(self, identifiers: Set[str], sealed: Set[str]) -> Set[str]:
        """Those below which something lies: some servers go on naming a directory from which everything was removed."""
        unsealed = sorted(identifiers - sealed)
        with ThreadPoolExecutor(max_workers=_READERS) as pool:
            found = pool.map(lambda name: next(self._location.list("%s%s/" % (names.points_prefix(self.cluster), name)), None), unsealed)
            return identifiers - {name for name, first in zip(unsealed, found) if first is None}

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
                remedy="list them with lifeboat.cluster.list_recovery_points; is the location the right one, and mounted?",
            )
        return self._points([point])[0]

    def latest(self, components: Sequence[str] = (), hosts: Sequence[str] = ()) -> Point:
        """The newest usable point, by the time of its snapshot, with all of these components.

        With ``hosts``, one that holds something of each of them; without, one of the whole cluster. None from the future: a clock that was wrong once would
        else be right for years; it is noted in ``passed_over``, and can be used by its id.

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
            if chosen and began_before(sealed[0], names.parse_time(best[0]) - timedelta(seconds=ABANDONED_AFTER_SECONDS)):
                break
            batch, sealed = sealed[:_BATCH], sealed[_BATCH:]
            claims = self._claims(batch)
            unread += [identifier for identifier in batch if identifier not in claims]
            fitting = [claim for claim in claims.values() if set(components) <= set(claim.components) and claim.covers(hosts)]
            # Those from the future are read too: whoever chooses is told of them, and of forged ones what they are.
            passed_over += self._points([claim.id for claim in fitting if self._is_future(claim)])
            fitting = [claim for claim in fitting if not self._is_future(claim)]
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
        """A point by id (see ``Point.usable_by_id``) or ``latest`` (see there), usable; else the error says why it is not."""
        point = self.latest(components, hosts) if wanted == "latest" else self.get(wanted)
        if point.error is not None:
            raise point.error
        if point.signed is None or not point.usable_by_id:
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
        except OF_NO_POINT:
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
        except OF_NO_POINT:
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
        except OF_NO_POINT:
            raise
        except OtherClusterError as error:
            point = Point(identifier, "foreign", _told(error), error=error)
        except REFUSED as error:
            point = Point(identifier, "unreadable", _told(error), error=error)
        except LifeboatError as error:
            point = Point(identifier, "broken", _told(error), error=error)
        return self._judged(self._appended(point, known), known)

    @staticmethod
    def _appended(point: Point, known: Known) -> Point:
        return replace(point, results=known.results, tags=known.tags, overlaid=sorted({*point.overlaid, *known.overlaid}))

    def _sealed(self, known: Known) -> Point:
        signed = check_manifest(self._location, self.cluster, known.id, self._trust, self._manifest_of(known.id))
        self._manifest_bytes.pop(known.id, None)
        manifest = signed.manifest
        stored = list(self._location.list("%s%s/" % (names.points_prefix(self.cluster), known.id)))
        objects = {entry.key: entry.size_bytes for entry in stored}
        above = find_hidden(self._location, manifest, objects)
        self._above.update(above)
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
        except OF_NO_POINT:
            raise
        except LifeboatError as error:
            problem = problem or error
        return Point(
            known.id,
            "complete" if problem is None else "unreadable" if isinstance(problem, REFUSED) else "broken",
            _told(problem) if problem else "",
            signed,
            manifest.opened_at,
            unlisted=unlisted_objects(manifest, objects),
            error=problem,
            overlaid=[entry.key for entry in stored if entry.overlaid] + above,
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
        opening = opening_of(self._location.read(key, LARGEST_OPENING_BYTES), self.cluster, known.id)
        age = (self.now - names.parse_time(opening.opened_at)).total_seconds()
        abandoned = age > self._abandoned_after_seconds
        reason = "opened %s by %s on %s in run %s, not sealed" % (opening.opened_at, opening.user, opening.controller, opening.run_id)
        return Point(known.id, "abandoned" if abandoned else "open", reason, opened_at=opening.opened_at, overlaid=overlaid)

    def _judged(self, point: Point, known: Known) -> Point:
        """The point in the light of what lies over it and of its tombstone."""
        if known.tombstone:
            try:
                return replace(point, state="pruning", reason=self._tombstone(known.id), error=None)
            except REFUSED as error:
                return replace(point, state="unreadable", reason="its tombstone cannot be read: %s" % _told(error), error=error)
            except TombstoneError as error:
                # Else whoever may write, but not delete, could take every point out of use.
                told = "its tombstone is not believed (%s)" % _told(error)
                reason = "; ".join(word for word in (point.reason, told) if word)
                point = replace(point, reason=reason, overlaid=sorted({*point.overlaid, names.tombstone_key(self.cluster, known.id)}))
        if point.state == "complete" and point.overlaid:
            point = replace(point, state="tampered", reason=point.reason or self._told_overlaid(point.overlaid))
        if point.manifest and point.state in USABLE_STATES and self._is_future(point.manifest):
            told = future_text(names.parse_time(point.manifest.taken_at), self.now)
            return replace(point, state=IN_THE_FUTURE, reason="; ".join(word for word in (told, point.reason) if word))
        return point

    def _told_overlaid(self, keys: Sequence[str]) -> str:
        above, over = [key for key in keys if key in self._above], [key for key in keys if key not in self._above]
        texts = ["something was laid over %s; the originals are read" % ", ".join(over)] if over else []
        if above:
            texts.append(
                "an object has the name of a directory (%s), so this server lists nothing of what lies there: remove every version of it, with the "
                "credentials of the bucket's owner" % ", ".join(above)
            )
        return "; ".join(texts)

    def _is_future(self, manifest: Manifest) -> bool:
        return is_future(names.parse_time(manifest.taken_at), self.now)

    def _tombstone(self, identifier: str) -> str:
        """What a tombstone says, in words; a TombstoneError when it is not believed."""
        if self._trust.allowed_signers is None and identifier not in self._trust.accept_unsigned:
            return "it is being pruned, says a tombstone whose signature was not checked: nobody said who may sign"
        try:
            return "%s, says a tombstone whose signature is believed; objects are left" % read_tombstone(self._location, self.cluster, identifier, self._trust)
        except (*OF_NO_POINT, *REFUSED):
            raise
        except LifeboatError as error:
            raise TombstoneError(error.message, tried=names.tombstone_key(self.cluster, identifier), found=error.found) from error

    # -- in words ---------------------------------------------------------------------------------------------------------------------

    def _nothing_usable(self, components: Sequence[str], hosts: Sequence[str]) -> LifeboatError:
        if self._trust.allowed_signers is None and any(point.signed and point.signed.signature == "unchecked" for point in self.find(10)):
            return unchecked("The points of cluster %s" % self.cluster)
        early = [point.id for point in self.find(10) if point.state == IN_THE_FUTURE]
        return NoRecoveryPointError(
            "There is no recovery point of cluster %s that can be used" % self.cluster,
            tried="to find the newest complete one%s%s in %s"
            % (
                " with %s" % ", ".join(components) if components else "",
                " that holds something of %s" % " and ".join(hosts) if hosts else " of the whole cluster",
                self._location.describe(),
            ),
            found=self._summary(),
            remedy=(
                "is the clock of this controller right (timedatectl)? If it is, and the clock that made these points was wrong, use one by its id: "
                "-e recovery_point_id=%s" % early[-1]
            )
            if early
            else NOTHING_YET
            if not self.known
            else "what is wrong with each is said with its id. Make a new one (lifeboat.cluster.backup_cluster), or name one: -e recovery_point_id=<id>",
        )

    def _summary(self) -> str:
        if not self.known:
            return "no points at all under the name of this cluster"
        return "; ".join("%s: %s%s" % (point.id, point.state, " (%s)" % point.note if point.note else "") for point in self.find(10))


def _told(error: LifeboatError) -> str:
    return error.message + (": " + error.found if error.found else "")
