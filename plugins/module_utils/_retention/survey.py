# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pruning decides upon: every point as its own records say, signatures first, and whether the listing has a gap. Changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Callable, Dict, FrozenSet, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple, TypeVar

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.tombstones import Tombstone, read_tombstone
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import pieces, results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.reading import find_hidden, hidden_areas
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import tags
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.retention import (
    Candidate,
    PruneRefusedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    LocationReadOnlyError,
    NoRecoveryPointError,
    ObjectMissingError,
    OtherClusterError,
    SignatureUncheckedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location, StoredObject
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_READERS = 8
_MOST_NAMED = 20
# Where each point has a directory of its own.
_DEEP_AREAS = ("points", "results", "tags")
# Say nothing about a point: the location, or this controller, is not fit to prune.
_NOT_THE_POINTS_FAULT = (*catalog.OF_NO_POINT, LocationReadOnlyError, SignatureUncheckedError)
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Found:
    """One point: what the plan has to know, its objects, and whom it saw before it."""

    candidate: Candidate
    objects: Sequence[StoredObject] = ()
    seen_before: Sequence[str] = ()
    # Things beside it that are not believed.
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class Survey:
    """Everything that pruning decides upon."""

    now: datetime
    found: Dict[str, Found]
    # Ids that have a manifest, whatever it is worth.
    sealed: Set[str]
    # Names of the objects of each tombstone, by id.
    tombstones: Dict[str, Set[str]]
    remarks: List[str] = field(default_factory=list)

    @property
    def candidates(self) -> List[Candidate]:
        """What the plan is made of."""
        return [entry.candidate for entry in self.found.values()]


class _Verdict(NamedTuple):
    verified: bool
    failed: str = ""
    failed_at: Optional[datetime] = None


class _Surveyor:
    """Reads one cluster's part of a location."""

    def __init__(self, location: Location, cluster: str, trust: Trust, now: datetime) -> None:
        self._location = location
        self._cluster = names.check_cluster_name(cluster)
        self._trust = trust
        self._now = now
        self._objects: Dict[str, List[StoredObject]] = {}
        self._results: Dict[str, List[results.ResultName]] = {}
        self._tags: Dict[str, List[tags.TagName]] = {}
        self._tombstones: Dict[str, Set[str]] = {}
        self._known_sets: Dict[FrozenSet[Any], FrozenSet[Any]] = {}
        self._listed: Dict[str, List[StoredObject]] = {}

    def survey(self) -> Survey:
        """List everything, read all small records. Tombstones are listed last, so that whatever another run removes meanwhile has its own."""
        manifests = self._collect(names.manifests_prefix(self._cluster))
        sealed = {_point_of(stored.key) for stored in manifests if stored.key.endswith(".json")}
        self._collect(names.points_prefix(self._cluster))
        self._results = results.names_of(stored.key for stored in self._collect(names.results_prefix(self._cluster)))
        self._tags = tags.names_of(stored.key for stored in self._collect(names.tags_prefix(self._cluster)))
        tombstones = list(self._location.list(names.tombstones_prefix(self._cluster)))
        for stored in tombstones:
            self._tombstones.setdefault(_point_of(stored.key), set()).add(stored.key.rsplit("/", 1)[-1])
        self._listed[names.tombstones_prefix(self._cluster)] = tombstones
        self._refuse_hidden()
        ids = sorted(self._objects)
        found = dict(zip(ids, in_parallel(self._look_at, ids)))
        remarks = [
            "%s has no signature, and is not obeyed" % names.tombstone_key(self._cluster, point)
            for point, there in sorted(self._tombstones.items())
            if there == {"%s.json" % point} and names.is_point_id(point) and point not in found
        ]
        return Survey(self._now, found, sealed, self._tombstones, remarks)

    def _collect(self, prefix: str) -> List[StoredObject]:
        there = self._listed[prefix] = list(self._location.list(prefix))
        for stored in there:
            self._objects.setdefault(_point_of(stored.key), []).append(stored)
        return there

    def _refuse_hidden(self) -> None:
        above = hidden_areas(self._location, self._listed)
        if above:
            raise PruneRefusedError(
                "Nothing is pruned: an object has the name of a directory, so what lies there is in no listing",
                tried="to list everything of cluster %s in %s" % (self._cluster, self._location.describe()),
                found=_list(above),
                remedy="nothing is lost: remove every version of the object named, with the credentials of the bucket's owner, and find out who wrote it",
            )

    def _look_at(self, point: str) -> Found:
        objects = self._objects[point]
        size = sum(stored.size_bytes for stored in objects)
        if not names.is_point_id(point):
            return Found(Candidate(point, "foreign", "its name is not the id of a recovery point", size_bytes=size), objects)
        tombstone, remarks = self._tombstone(point)
        try:
            found = self._judge(point, objects, tombstone)
        except NoRecoveryPointError as error:
            # Another run removes it at this moment, and wrote its tombstone before; or something else did.
            tombstone, remarks = self._tombstone(point, look=True)
            found = Found(Candidate(point, "remains" if tombstone else "broken", sentence(error)))
        except LifeboatError as error:
            _raise_if_not_the_points_fault(error)
            state = "foreign" if isinstance(error, OtherClusterError) else "unreadable" if isinstance(error, catalog.REFUSED) else "broken"
            found = Found(Candidate(point, state, sentence(error)), seen_before=self._seen_by_opening(point))
        candidate = replace(found.candidate, size_bytes=size, tombstone=str(tombstone) if tombstone else "")
        overlaid = [stored.key for stored in objects if stored.overlaid]
        if overlaid and candidate.state != "remains":
            candidate = replace(candidate, state="broken", reason="tampered with: other versions lie over %s" % _list(overlaid))
        above = [stored.key for stored in objects if stored.key.count("/") == 2 and _directory_of(stored.key) in _DEEP_AREAS]
        if above:
            candidate = replace(candidate, state="broken", reason="tampered with: an object has the name of its directory: %s" % _list(above))
        return replace(found, candidate=candidate, objects=objects, remarks=[*found.remarks, *remarks])

    def _judge(self, point: str, objects: Sequence[StoredObject], tombstone: Optional[Tombstone]) -> Found:
        """What the point's own records say, signatures first. Any error says why it is none that can be used."""
        sizes = {stored.key: stored.size_bytes for stored in objects}
        if names.manifest_key(self._cluster, point) in sizes:
            return self._judge_sealed(point, sizes)
        if names.open_key(self._cluster, point) in sizes:
            return self._judge_open(point)
        if tombstone:
            return Found(Candidate(point, "remains"))
        return Found(Candidate(point, "foreign", "it has neither open.json nor a manifest"))

    def _judge_sealed(self, point: str, sizes: Dict[str, int]) -> Found:
        signed = catalog.read_manifest(self._location, self._cluster, point, self._trust)
        if not signed.believable:
            raise catalog.unchecked("Recovery point %s" % point)
        manifest = signed.manifest
        verdict, remarks = self._verdict(point)
        tagged, released_at, more = self._tag(point)
        failed = verdict.failed
        if verdict.failed_at and released_at and released_at >= verdict.failed_at:
            failed = ""
        candidate = Candidate(
            id=point,
            state="complete",
            at=names.parse_time(manifest.taken_at),
            components=tuple(manifest.components),
            scope=tuple(manifest.scope),
            holds=self._shared(pieces.held(manifest)),
            missing=self._shared(pieces.missing(manifest)),
            machines=self._shared(frozenset(manifest.nodes)),
            verified=verdict.verified,
            failed=failed,
            tagged=tagged,
            retain_until=names.parse_time(manifest.retain_until),
        )
        above = find_hidden(self._location, manifest, sizes)
        problem = "tampered with: an object has the name of a directory of it: %s" % _list(above) if above else self._not_whole(manifest, sizes)
        if problem:
            candidate = replace(candidate, state="broken", reason=problem, verified=False)
        return Found(candidate, seen_before=manifest.seen_before, remarks=[*remarks, *more])

    def _shared(self, found: FrozenSet[T]) -> FrozenSet[T]:
        """Most points hold the same: without sharing it, ten thousand points of hundreds of machines would fill the memory."""
        return self._known_sets.setdefault(found, found)

    def _not_whole(self, manifest: Manifest, sizes: Dict[str, int]) -> str:
        wrong = catalog.check_listed(manifest, sizes)
        if wrong:
            return "; ".join(wrong)
        try:
            catalog.check_opening(self._location, manifest)
        except catalog.REFUSED:
            raise
        except LifeboatError as error:
            _raise_if_not_the_points_fault(error)
            return sentence(error)
        return ""

    def _judge_open(self, point: str) -> Found:
        opening = catalog.read_opening(self._location, self._cluster, point)
        tagged, _released_at, remarks = self._tag(point)
        opened_at = names.parse_time(opening.opened_at)
        old = (self._now - opened_at).total_seconds() > catalog.ABANDONED_AFTER_SECONDS
        candidate = Candidate(
            id=point,
            state="abandoned" if old else "open",
            reason="opened %s by %s on %s in run %s, not sealed" % (opening.opened_at, opening.user, opening.controller, opening.run_id),
            at=opened_at,
            tagged=tagged,
            retain_until=names.parse_time(opening.retain_until),
        )
        return Found(candidate, seen_before=opening.seen_before, remarks=remarks)

    def _seen_by_opening(self, point: str) -> Sequence[str]:
        """Of a point that is not believed: whatever it saw, a gap is looked at rather than passed over."""
        try:
            return catalog.read_opening(self._location, self._cluster, point).seen_before
        except LifeboatError as error:
            _raise_if_not_the_points_fault(error)
            return []

    def _verdict(self, point: str) -> Tuple[_Verdict, List[str]]:
        """The newest result that decides whether the point is verified and whose signature is believed; names alone are not."""
        remarks: List[str] = []
        for name in sorted(self._results.get(point, []), key=lambda name: (name.at, not name.passed), reverse=True):
            if name.kind == "escrow" or (name.passed and not results.is_verified([name])):
                continue  # decides nothing
            try:
                results.read_believed(self._location, name, self._cluster, point, self._trust)
            except catalog.REFUSED:
                raise
            except LifeboatError as error:
                _raise_if_not_the_points_fault(error)
                remarks.append("%s is not believed: %s" % (name.key, sentence(error)))
                continue
            if name.passed:
                return _Verdict(True), remarks
            return _Verdict(False, "%s of %s failed at level %s" % (name.kind, names.format_time(name.at), name.level), name.at), remarks
        return _Verdict(False), remarks

    def _tag(self, point: str) -> Tuple[str, Optional[datetime], List[str]]:
        """What holds the point back, else when it was released. A tag to keep that is not believed holds back nevertheless: that costs only space."""
        remarks: List[str] = []
        for name in reversed(self._tags.get(point, [])):
            try:
                tag = tags.read_believed(self._location, name, self._cluster, point, self._trust)
            except LifeboatError as error:
                _raise_if_not_the_points_fault(error)
                remarks.append("%s is not believed: %s" % (name.key, sentence(error)))
                if name.tag == "keep":
                    return "tagged keep at %s, by nobody whose signature is believed" % names.format_time(name.at), None, remarks
                continue
            if tag.tag == "keep":
                return "tagged keep by %s: %s" % (tag.user, tag.reason), None, remarks
            return "", name.at, remarks
        return "", None, remarks

    def _tombstone(self, point: str, look: bool = False) -> Tuple[Optional[Tombstone], List[str]]:
        if not look and "%s.json" % point not in self._tombstones.get(point, ()):
            return None, []
        return _believed_tombstone(self._location, self._cluster, point, self._trust)


def survey(location: Location, cluster: str, trust: Trust, now: datetime) -> Survey:
    """Look at all points of a cluster. Raises SignatureUncheckedError when nobody said who may sign."""
    if trust.allowed_signers is None:
        raise catalog.unchecked("The points of cluster %s" % cluster)
    return _Surveyor(location, cluster, trust, now).survey()


def _believed_tombstone(location: Location, cluster: str, point: str, trust: Trust) -> Tuple[Optional[Tombstone], List[str]]:
    try:
        return read_tombstone(location, cluster, point, trust), []
    except ObjectMissingError:
        return None, []
    except LifeboatError as error:
        _raise_if_not_the_points_fault(error)
        return None, ["%s is not obeyed: %s" % (names.tombstone_key(cluster, point), sentence(error))]


def check_gaps(location: Location, cluster: str, trust: Trust, seen: Survey) -> None:
    """Refuse when some point saw another one that is neither there nor was pruned: what the listing lacks may be what is needed."""
    named: Dict[str, str] = {}
    for point, entry in seen.found.items():
        for before in entry.seen_before:
            if names.is_point_id(before) and before not in seen.sealed:
                named[before] = point

    def explained(point: str) -> bool:
        tombstone, _remarks = _believed_tombstone(location, cluster, point, trust)
        # Sealed, and named by a third one, after the listing was made.
        return tombstone is not None or location.size(names.manifest_key(cluster, point)) is not None

    suspects = sorted(named)
    gaps = [point for point, good in zip(suspects, in_parallel(explained, suspects)) if not good]
    if gaps:
        raise PruneRefusedError(
            "Nothing is pruned: points are missing that others saw before them",
            tried="to find manifest or tombstone of every point that a later one names, in %s" % location.describe(),
            found=_list("%s (seen by %s)" % (point, named[point]) for point in gaps),
            remedy="somebody removed them, hides them from the listing, or this is not the whole location: find out before anything else is removed",
            gaps=gaps,
        )


# -- helpers -----------------------------------------------------------------------------------------------------------------------


def _raise_if_not_the_points_fault(error: LifeboatError) -> None:
    if isinstance(error, _NOT_THE_POINTS_FAULT):
        raise error


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results in the order of the items, a few at work at once; the first error comes out."""
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        return iter(list(pool.map(work, items)))


def _directory_of(key: str) -> str:
    return key.split("/")[1]


def _point_of(key: str) -> str:
    """The id in a key: of ``<cluster>/manifests/<id>.json.sig``, or of ``<cluster>/points/<id>/...``."""
    name = key.split("/")[2]
    for ending in (".sig", ".json"):
        name = name[: -len(ending)] if name.endswith(ending) else name
    return name


def sentence(error: LifeboatError) -> str:
    """What an error says in one line, without its remedy."""
    return error.message + (": " + error.found if error.found else "")


def _list(texts: Iterable[str]) -> str:
    known = list(texts)
    more = len(known) - _MOST_NAMED
    return ", ".join(known[:_MOST_NAMED]) + (" and %d more" % more if more > 0 else "")
