# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing recovery points that nobody needs any more: everything is looked at, then planned, then locks are made longer, then points are removed.

Of each point that goes, a signed tombstone is written first; it explains the gap in ``seen_before`` of later points, and lets the next run finish what a
killed one began. Nothing is taken from a catalog that somebody else read: what is decided upon is read here, signatures included.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.tombstones import LARGEST_BYTES, Tombstone, read_tombstone
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.retention import (
    FINISH,
    KEEP,
    REMOVE,
    Decision,
    Plan,
    Policy,
    PruneRefusedError,
    plan,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.survey import Survey, check_gaps, in_parallel, sentence, survey
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.clocks import check_location_clock
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    LocationError,
    ManifestError,
    ObjectExistsError,
    ObjectLockedError,
    ObjectMissingError,
    SignatureError,
    TombstoneError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location, StoredObject
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

# A backup that listed the points before one of them was pruned names it in an open.json that it writes a moment later.
FORGET_AFTER_DAYS = 30


# -- planning ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prepared:
    """A plan, with all that carrying it out needs."""

    cluster: str
    survey: Survey
    plan: Plan
    # Locks that become longer, by id.
    extensions: Dict[str, datetime]
    # Points whose tombstone nobody needs any more.
    forgotten: List[str]
    # What is strange and was not acted upon.
    problems: List[str]

    @property
    def removable_bytes(self) -> int:
        """What carrying it out would free, as far as listings tell."""
        return sum(decision.candidate.size_bytes for decision in self.plan.decisions if decision.action in (REMOVE, FINISH))

    def groups(self) -> List[Dict[str, Any]]:
        """What is counted together, with its newest verified point, or null."""
        found: Dict[str, List[Decision]] = {}
        for decision in self.plan.decisions:
            if decision.candidate.state == "complete":
                found.setdefault(decision.candidate.group_name, []).append(decision)
        return [
            {
                "name": name,
                "points": len(members),
                "kept": sum(decision.action == KEEP for decision in members),
                "newest_verified": max(
                    ((decision.candidate.at, decision.candidate.id) for decision in members if decision.candidate.verified), default=(None, None)
                )[1],
            }
            for name, members in sorted(found.items())
        ]

    def table(self) -> List[str]:
        """The plan for people, a line each: groups one after the other, newest points first."""
        lines: List[str] = []
        for group in self.groups():
            members = [entry for entry in self.plan.decisions if entry.candidate.state == "complete" and entry.candidate.group_name == group["name"]]
            lines.append("%s: %d of %d kept, newest verified %s" % (group["name"], group["kept"], group["points"], group["newest_verified"] or "none"))
            lines += [self._row(entry) for entry in sorted(members, key=lambda entry: (entry.candidate.at, entry.candidate.id), reverse=True)]
        others = [entry for entry in self.plan.decisions if entry.candidate.state != "complete"]
        if others:
            lines += ["not counted, because not whole, or from the future:"] + [self._row(entry) for entry in others]
        counts = [
            (len(self.plan.ids(KEEP)), "%d kept"),
            (len(self.plan.ids(REMOVE)), "%d to remove"),
            (len(self.plan.ids(FINISH)), "%d to finish"),
            (len(self.extensions), "%d to be locked for longer"),
            (len(self.forgotten), "%d old tombstones to forget"),
        ]
        parts = [text % count for count, text in counts if count or text == "%d to remove"]
        return [*lines, "%s; %s to free" % (", ".join(parts), _size(self.removable_bytes))]

    def _row(self, decision: Decision) -> str:
        candidate = decision.candidate
        until = self.extensions.get(candidate.id)
        why = decision.reasons + (["will be locked until %s" % names.format_time(until)] if until else [])
        when = candidate.at.strftime("%Y-%m-%d %H:%M") if candidate.at else "-"
        verified = "verified" if candidate.verified else "-"
        return "  %-6s  %-23s  %-16s  %9s  %-8s  %s" % (decision.action, candidate.id, when, _size(candidate.size_bytes), verified, "; ".join(why))

    def diff(self) -> Dict[str, str]:
        """The points before and after, a line each, for people."""
        before, after = [], []
        for decision in self.plan.decisions:
            line = _line(decision)
            before.append(line)
            if decision.action == KEEP:
                until = self.extensions.get(decision.candidate.id)
                after.append(line + ("; locked until %s" % names.format_time(until) if until else ""))
        return {"before": "".join(line + "\n" for line in before), "after": "".join(line + "\n" for line in after)}


def prepare(location: Location, cluster: str, trust: Trust, policy: Policy, now: datetime) -> Prepared:
    """Look, and decide. Changes nothing. Raises PruneRefusedError when something is missing from the location, or the policy means nothing."""
    policy.check()
    seen = survey(location, cluster, trust, now)
    check_gaps(location, cluster, trust, seen)
    decided = plan(seen.candidates, policy, now)
    if location.locks:
        # A lock takes no place in a tier, so it changes nothing but the decision about its own point.
        going = [*decided.ids(REMOVE), *decided.ids(FINISH)]
        locked = {point: max(locks.values(), default=None) for point, locks in _locks(location, seen, going).items()}
        decided = plan([replace(candidate, locked_until=locked.get(candidate.id)) for candidate in seen.candidates], policy, now)
    problems = [remark for entry in seen.found.values() for remark in entry.remarks] + seen.remarks
    problems += [
        "%s is %s" % (decision.candidate.id, reason)
        for decision in decided.decisions
        for reason in decision.reasons[:1]
        if decision.candidate.state in ("broken", "unreadable", "foreign", catalog.IN_THE_FUTURE)
    ]
    problems += [
        "%s has a tombstone, but is kept: %s" % (decision.candidate.id, "; ".join(decision.reasons))
        for decision in decided.decisions
        if decision.action == KEEP and decision.candidate.tombstone
    ]
    return Prepared(cluster, seen, decided, _extensions(location, seen, decided), _forgettable(location, cluster, seen), problems)


def _locks(location: Location, seen: Survey, points: Sequence[str]) -> Dict[str, Dict[str, datetime]]:
    """The locks of every object of these points that has one."""
    keys = [(point, stored.key) for point in points for stored in seen.found[point].objects]
    found: Dict[str, Dict[str, datetime]] = {point: {} for point in points}
    for (point, key), until in zip(keys, in_parallel(lambda entry: _lock(location, entry[1]), keys)):
        if until is not None:
            found[point][key] = until
    return found


def _lock(location: Location, key: str) -> Optional[datetime]:
    try:
        return location.locked_until(key)
    except ObjectMissingError:  # another run was quicker
        return None


def _extensions(location: Location, seen: Survey, decided: Plan) -> Dict[str, datetime]:
    if not location.locks:
        return {}
    wanted = {decision.candidate.id: decision.retain_until for decision in decided.decisions if decision.action == KEEP and decision.retain_until}
    locks = _locks(location, seen, sorted(wanted))
    return {
        point: until
        for point, until in wanted.items()
        if any(stored.key not in locks[point] or locks[point][stored.key] < until for stored in seen.found[point].objects)
    }


def _forgettable(location: Location, cluster: str, seen: Survey) -> List[str]:
    """Tombstones that explain nothing any more: no object of the point is left, and nobody names it."""
    if any(entry.candidate.state in ("broken", "unreadable") for entry in seen.found.values()):
        return []  # whom it names cannot be known
    named = {before for entry in seen.found.values() for before in entry.seen_before}
    ids = [point for point in sorted(seen.tombstones) if names.is_point_id(point) and point not in named and point not in seen.found]

    def old(point: str) -> bool:
        if "%s.json" % point not in seen.tombstones[point]:
            return True  # what is left of one that a killed run was forgetting
        try:
            pruned_at = names.parse_time(Tombstone.from_bytes(location.read(names.tombstone_key(cluster, point), LARGEST_BYTES)).pruned_at)
        except (ManifestError, ObjectMissingError):
            return False
        return pruned_at < seen.now - timedelta(days=FORGET_AFTER_DAYS)

    return [point for point, is_old in zip(ids, in_parallel(old, ids)) if is_old]


# -- carrying out ------------------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What was done."""

    removed: List[str] = field(default_factory=list)
    finished: List[str] = field(default_factory=list)
    extended: List[str] = field(default_factory=list)
    forgotten: List[str] = field(default_factory=list)
    freed_bytes: int = 0
    # Uploads that nobody finished.
    swept: int = 0
    # What was planned and not done, and why.
    left: List[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return bool(self.removed or self.finished or self.extended or self.forgotten or self.swept)


def confirm(cluster: str, given: str) -> None:
    """Refuse to remove anything before somebody typed the name of the cluster."""
    if given != cluster:
        raise PruneRefusedError(
            "Nothing is pruned: the name of the cluster is not confirmed",
            found=repr(given)[:80] if given else "nothing",
            remedy="look at the plan (--check); then run it with: -e confirm_cluster_name=%s" % cluster,
        )


class _Pruner:
    """Carries out one plan."""

    def __init__(self, location: Location, prepared: Prepared, trust: Trust, signing_key: str, run_id: str) -> None:
        self._location = location
        self._prepared = prepared
        self._cluster = prepared.cluster
        self._trust = trust
        self._signing_key = signing_key
        self._run_id = run_id
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Longer locks first, then one point after the other, oldest id first."""
        decisions = [decision for decision in self._prepared.plan.decisions if decision.action in (REMOVE, FINISH)]
        if decisions or self._prepared.extensions or self._prepared.forgotten:
            self._check_clock()
        if any(decision.action == REMOVE for decision in decisions):
            self._prove_key()
        try:
            for point, until in sorted(self._prepared.extensions.items()):
                self._extend(point, until)
            for decision in decisions:
                self._prune(decision)
            for point in self._prepared.forgotten:
                self._forget(point)
        except LifeboatError as error:
            error.details.update(asdict(self.outcome))
            raise
        try:
            self.outcome.swept = self._location.sweep(names.cluster_prefix(self._cluster), catalog.ABANDONED_AFTER_SECONDS)
        except LocationError as error:  # what was to be removed is, and the next run sweeps again
            self.outcome.left.append("unfinished uploads are not swept: %s" % sentence(error))
        return self.outcome

    def _extend(self, point: str, until: datetime) -> None:
        longer = False
        for stored in self._prepared.survey.found[point].objects:
            with suppress(ObjectMissingError):
                longer = self._location.retain(stored.key, until) or longer
        if longer:
            self.outcome.extended.append(point)

    def _prune(self, decision: Decision) -> None:
        point = decision.candidate.id
        objects = self._objects(point)
        why_not = self._changed_since(point, objects) or self._locked(objects)
        if why_not:
            self.outcome.left.append("%s is left alone: %s" % (point, why_not))
            return
        if decision.action == REMOVE and objects:
            self._bury(decision)
        removed = False
        try:
            for stored in objects:
                if self._location.remove(stored.key):
                    removed = True
                    self.outcome.freed_bytes += stored.size_bytes
        except ObjectLockedError as error:
            self.outcome.left.append("%s is not removed whole, and the next run goes on: %s" % (point, sentence(error)))
            return
        if removed:
            (self.outcome.removed if decision.action == REMOVE else self.outcome.finished).append(point)

    def _objects(self, point: str) -> List[StoredObject]:
        """All objects of a point as they are now, in the order in which they go: first what makes it one, last what tells whose remains these are."""
        heads = [names.manifest_key(self._cluster, point), names.signature_key(self._cluster, point)]
        there = [StoredObject(key, size) for key, size in ((key, self._location.size(key)) for key in heads) if size is not None]
        last: List[StoredObject] = []
        for stored in self._location.list("%s%s/" % (names.points_prefix(self._cluster), point)):
            (last if stored.key == names.open_key(self._cluster, point) else there).append(stored)
        there += self._location.list(names.results_prefix(self._cluster, point))
        there += self._location.list(names.tags_prefix(self._cluster, point))
        return there + last

    def _changed_since(self, point: str, objects: Sequence[StoredObject]) -> str:
        """What happened to it while this run looked at others."""
        known = {stored.key for stored in self._prepared.survey.found[point].objects}
        for stored in objects:
            if stored.key not in known and stored.key.startswith(names.tags_prefix(self._cluster)):
                return "it was tagged since it was looked at"
            if stored.key not in known and stored.key == names.manifest_key(self._cluster, point):
                return "it was sealed since it was looked at"
        return ""

    def _locked(self, objects: Sequence[StoredObject]) -> str:
        if not self._location.locks:
            return ""
        for stored, until in zip(objects, in_parallel(lambda stored: _lock(self._location, stored.key), objects)):
            if until is not None and until > self._prepared.survey.now:
                return "%s is locked until %s" % (stored.key, names.format_time(until))
        return ""

    # -- tombstones

    def _check_clock(self) -> None:
        """What is old enough, no longer locked, or to be locked for longer (for good, in compliance mode) was decided by the clock of this controller."""
        check_location_clock(self._location, "Nothing is pruned")

    def _prove_key(self) -> None:
        """Notice a key that no reader would believe before anything is written."""
        self._signed(b"proof", "A tombstone signed with this key")

    def _signed(self, data: bytes, what: str) -> bytes:
        signature = signing.sign(data, self._signing_key, signing.TOMBSTONE_NAMESPACE)
        signing.verify(data, signature, signing.TOMBSTONE_NAMESPACE, str(self._trust.allowed_signers), what, self._trust.signer)
        return signature

    def _bury(self, decision: Decision) -> None:
        """Write the tombstone, signature first, and read it back: from here on the point is finished by any later run."""
        point, taken_at = decision.candidate.id, decision.candidate.at
        key = names.tombstone_key(self._cluster, point)
        tombstone = Tombstone(
            id=point,
            cluster_name=self._cluster,
            pruned_at=names.format_time(self._prepared.survey.now),
            by="%s on %s" % (results.user_name(), results.controller_name()),
            run_id=self._run_id,
            reason="; ".join(decision.reasons),
            taken_at=names.format_time(taken_at) if taken_at and decision.candidate.state in ("complete", catalog.IN_THE_FUTURE) else None,
            components=sorted(decision.candidate.components),
        )
        data = tombstone.to_bytes()
        signature = self._signed(data, "The new tombstone of %s" % point)
        wrote = False
        try:
            self._put_signature(key, signature)
            wrote = self._location.put_new(key, data)
        except ObjectExistsError:
            pass  # another run prunes it too
        try:
            read_tombstone(self._location, self._cluster, point, self._trust)
        except (SignatureError, ManifestError, TombstoneError):
            if wrote:  # under another run's signature it would be in the way for ever
                self._location.remove(key)
            raise

    def _put_signature(self, key: str, signature: bytes) -> None:
        try:
            self._location.put_new(key + ".sig", signature)
        except ObjectExistsError:
            if self._location.size(key) is not None:
                raise
            # Its run was killed between signature and record.
            self._location.remove(key + ".sig")
            self._location.put_new(key + ".sig", signature)

    def _forget(self, point: str) -> None:
        key = names.tombstone_key(self._cluster, point)
        try:
            gone = [self._location.remove(name) for name in (key, key + ".sig")]
        except ObjectLockedError:
            return
        if any(gone):
            self.outcome.forgotten.append(point)


def apply(location: Location, prepared: Prepared, trust: Trust, signing_key: str, run_id: str) -> Outcome:
    """Carry out a plan. Killed at any moment, the next run finishes it; a second run beside it finds things gone, and that is no error."""
    return _Pruner(location, prepared, trust, signing_key, run_id).run()


# -- helpers -----------------------------------------------------------------------------------------------------------------------


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return "%.*f %s" % (0 if unit == "B" else 1, size, unit)
        size /= 1024
    return "%.1f TiB" % size


def _line(decision: Decision) -> str:
    candidate = decision.candidate
    when = names.format_time(candidate.at) if candidate.at else "-"
    what = candidate.group_name if candidate.state == "complete" else candidate.state
    return "%s  %-20s  %s  %s: %s" % (candidate.id, when, what, decision.action, "; ".join(decision.reasons))
