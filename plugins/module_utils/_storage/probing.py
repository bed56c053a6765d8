# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a location, and the credentials of whoever asks, can do: every statement is a check with what was found and what was expected.

A small object is written below ``<cluster>/probes/`` and everything is tried on it. Where there are locks it is locked for a minute: without a lock of its
own it would get the bucket's default, which may be years, and whether a lock holds can only be tried on something locked. What cannot be tried without harm
(rights over the bucket as a whole) is not tried, and the result says so.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    AccessDeniedError,
    ClockSkewError,
    CredentialsExpiredError,
    HiddenError,
    LocationError,
    LocationSlowError,
    LocationVanishedError,
    ServerRefusedError,
    ServerUnfitError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3 import S3Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_bucket import NOT_THERE, UNVERSIONED, Expected
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_lock import Lock, default_retention
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_transfer import checksum_of
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

# What each set of credentials writes; the policies in extensions/s3-policies say the same.
WRITES: Dict[str, Tuple[str, ...]] = {
    "backup": ("manifests", "points", "runs"),
    "verify": ("results", "runs"),
    "restore": ("results", "runs"),
    "prune": ("pruned", "results", "runs", "tags"),
}
PURPOSES = tuple(WRITES)
AREAS = ("manifests", "points", "pruned", "results", "runs", "tags")
# Where every object lies in a directory of its own, below which alone may be written.
DEEP_AREAS = ("points", "results", "runs", "tags")
# The only set that removes versions, and makes locks of points longer.
PRUNES = "prune"
NOT_PROBED = (
    "changing the versioning of the bucket",
    "changing its default retention",
    "changing its lifecycle rules",
    "changing or deleting its policy",
    "deleting the bucket",
)
PROBE_LOCK_SECONDS = 60
# A probe of a run that may still be going on stays.
_OLD_PROBE_SECONDS = 600
# With less left of its lock, the probe says nothing of locks.
_LEAST_LOCK_SECONDS = 10
_TOO_SLOW = "could not be tried: the server took so long that the lock of the probe was over, or nearly"
_MOST_OLD_PROBES = 100
_NOT_HERE = "does not apply here"
_READS = ("manifests", "points")
# After these nothing else can be found out.
_HOPELESS = (LocationVanishedError, CredentialsExpiredError, ClockSkewError, LocationSlowError)

# What is true when a check is met.
_LISTED = "The location can be listed"
_WRITTEN = "A small object can be written and read back"
_PARTS = "An object in parts can be written, and is as safe as others"
_NAMES = "An object cannot hide others by its name"
_VERSIONED = "Versions are kept"
_LOCKED = "New objects are locked against removal"
_LOCK_HOLDS = "A lock cannot be shortened, and what it protects cannot be removed"
_CLOCK = "The clocks of this controller and of the location agree"
_TRANSPORT = "What goes over the network is encrypted"
_SPACE = "There is enough free space"
_LINKS = "A new object cannot replace one that is there"
_PRIVATE = "Only the owner can change the location"
_RIGHTS_NEEDED = "The credentials may do what their purpose needs"
_RIGHTS_EXCESS = "The credentials may do no more than that"


@dataclass(frozen=True)
class Settings:
    """What is expected of a location."""

    # One of PURPOSES, or empty: then no right is too much or too little.
    purpose: str = ""
    clock_tolerance_seconds: int = 60
    minimum_free_bytes: int = 0
    # Days for which points shall be locked.
    retain_days: int = 0
    # Without, only what reading shows is checked.
    write: bool = True


class Probing(NamedTuple):
    """What came of it."""

    checks: List[Dict[str, Any]]
    facts: Dict[str, Any]


def probe(location: Location, cluster: str, settings: Settings, clock: Callable[[], float] = time.time) -> Probing:
    """Try everything. Raises what makes further questions senseless: no location, no valid credentials, a clock that is refused."""
    if isinstance(location, FilesystemLocation):
        return _DirectoryProber(location, cluster, settings, clock).run()
    if isinstance(location, S3Location):
        return _BucketProber(location, cluster, settings, clock).run()
    raise LocationError("Nobody knows how to probe this kind of location", found=location.describe(), remedy="report this as a defect")


class _Prober:
    """What all kinds of locations have in common."""

    def __init__(self, location: Location, cluster: str, settings: Settings, clock: Callable[[], float]) -> None:
        self._any = location
        self._cluster = names.check_cluster_name(cluster)
        self._settings = settings
        self._clock = clock
        self._checks: List[Dict[str, Any]] = []
        self._facts: Dict[str, Any] = {"location": location.describe()}
        self._lacks()
        self._key = names.probe_key(cluster, names.now())
        self._data = b"Lifeboat wrote this to prove that it can (object %s). It is not part of any recovery point and can be removed.\n" % self._key.encode()

    def _lacks(self) -> None:
        try:
            lacks = self._any.lacks()
        except _HOPELESS:
            raise
        except LocationError as error:  # the checks will find it too
            lacks = error.message
        self._facts.update({"write_once": not lacks, "lacks": lacks})

    def _check(self, identifier: str, title: str, passed: bool, found: str, expected: str, remedy: str, severity: str = "error") -> None:
        self._checks.append(
            {"id": identifier, "title": title, "passed": bool(passed), "found": found, "expected": expected, "remedy": remedy, "severity": severity}
        )

    def _attempt(self, identifier: str, title: str, action: Callable[[], str], expected: str, remedy: str) -> bool:
        """One check that is met when the action ends well; its error is what was found."""
        try:
            found, passed = action(), True
        except _HOPELESS:
            raise
        except LifeboatError as error:
            found, passed = error.message + (": " + error.found if error.found else ""), False
        self._check(identifier, title, passed, found, expected, remedy)
        return passed

    def _check_listed(self) -> bool:
        def action() -> str:
            clusters = self._any.children(names.cluster_prefix(self._cluster))
            return "below %s: %s" % (names.cluster_prefix(self._cluster), ", ".join(clusters) or "nothing yet")

        return self._attempt("listed", _LISTED, action, "a listing", "Give these credentials the right to list; see docs/locations.md.")

    def _check_written(self, retain_until: Optional[datetime]) -> bool:
        def action() -> str:
            self._any.put_new(self._key, self._data, retain_until)
            if self._any.read(self._key, len(self._data)) != self._data:
                raise LocationError("The probe was read back with other bytes than were written", found=self._key, remedy="look at the storage")
            return "%s was written and read back" % self._key

        return self._attempt("written", _WRITTEN, action, "the same bytes", "See what was found; every set of credentials may write probes.")

    def _check_clock(self, skew_seconds: Optional[float]) -> None:
        self._facts["skew_seconds"] = None if skew_seconds is None else round(skew_seconds, 1)
        within = skew_seconds is not None and abs(skew_seconds) <= self._settings.clock_tolerance_seconds
        found = "not known" if skew_seconds is None else "this controller is %.0f seconds %s" % (abs(skew_seconds), "ahead" if skew_seconds > 0 else "behind")
        self._check(
            "clock",
            _CLOCK,
            within,
            found,
            "at most %d seconds apart" % self._settings.clock_tolerance_seconds,
            "Correct the clock (chrony, NTP). The ends of locks are computed here, and judged by the clock of the location.",
        )

    def _not_here(self, identifier: str, title: str, why: str) -> None:
        self._check(identifier, title, True, "%s: %s" % (_NOT_HERE, why), _NOT_HERE, "None.")

    def _remove_old_probes(self) -> int:
        """Remove what earlier runs could not, as far as their locks have ended; returns how many are left."""
        left = 0
        before = names.now() - timedelta(seconds=_OLD_PROBE_SECONDS)
        for number, stored in enumerate(self._any.list(names.probes_prefix(self._cluster))):
            written = _time_of(stored.key)
            if number < _MOST_OLD_PROBES and written is not None and written < before:
                with suppress(LocationError):  # still locked, or these credentials may not
                    self._any.remove(stored.key)
                    continue
            left += 1
        return left


def _negated(value: Optional[bool]) -> Optional[bool]:
    return None if value is None else not value


def _time_of(key: str) -> Optional[datetime]:
    try:
        return datetime.strptime(key.rsplit("/", 1)[-1].split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


# -- directories -------------------------------------------------------------------------------------------------------------------


class _DirectoryProber(_Prober):
    def __init__(self, location: FilesystemLocation, cluster: str, settings: Settings, clock: Callable[[], float]) -> None:
        super().__init__(location, cluster, settings, clock)
        self._location = location
        self._path = os.path.join(location.path, self._key)

    def run(self) -> Probing:
        self._facts.update({"kind": "nfs" if self._location.shared else "directory", "versioned": False, "locked": False, "tls": None, "rights": {}})
        self._check_listed()
        before = self._clock()
        written = self._settings.write and self._check_written(None)
        self._not_here("versioned", _VERSIONED, "files have no versions; nothing here is ever rewritten")
        self._not_here("locked", _LOCKED, "files have no locks; use S3 with object lock, or snapshots of the file system")
        self._not_here("lock_holds", _LOCK_HOLDS, "files have no locks")
        # Written by the clock of whoever keeps the files: on NFS that is the server.
        middle = (before + self._clock()) / 2
        if self._settings.write:
            self._check_clock(middle - os.lstat(self._path).st_mtime if written else None)
        self._not_here("transport", _TRANSPORT, "see to the network of a file server yourself; artifacts are sealed before they leave")
        self._check_space()
        if self._settings.write:
            self._check_links(written)
            self._not_here("parts", _PARTS, "files are not written in parts")
            self._not_here("names", _NAMES, "a file cannot have the name of a directory")
        self._check_private()
        self._not_here("rights_needed", _RIGHTS_NEEDED, "whoever may write files may read them")
        self._not_here("rights_excess", _RIGHTS_EXCESS, "whoever may write files may remove them; sets of credentials need S3")
        if written:
            self._location.remove(self._key)
        self._facts["leftover_probes"] = self._remove_old_probes() if written else 0
        return Probing(self._checks, self._facts)

    def _check_space(self) -> None:
        space = os.statvfs(self._location.path)
        free = space.f_bavail * space.f_frsize
        self._facts["free_bytes"] = free

        def action() -> str:
            self._location.check_writable(self._settings.minimum_free_bytes)
            return "%d bytes free" % free

        self._attempt(
            "space",
            _SPACE,
            action,
            "at least %d bytes, mounted for writing" % self._settings.minimum_free_bytes,
            "Prune old recovery points, or give the location more space.",
        )

    def _check_links(self, written: bool) -> None:
        """New objects get their name by a link: it must be the same file, and a second one must be refused, never replace the first."""
        path = self._path + ".link"
        works, found = False, "nothing could be written"
        if written:
            try:
                os.link(self._path, path, follow_symlinks=False)
                works = os.path.samefile(self._path, path)
                found = "links work" if works else "a link is not the same file"
                os.link(self._path, path, follow_symlinks=False)
                works, found = False, "a second link under the same name replaced the first"
            except FileExistsError:
                pass
            except OSError as error:
                works, found = False, os.strerror(error.errno) if error.errno else str(error)
            finally:
                with suppress(OSError):  # it was never made
                    os.unlink(path)
        self._facts["links"] = works
        alternative = not self._location.shared and written and not found.startswith("a ")
        self._check(
            "links",
            _LINKS,
            works or alternative,
            found if works or not alternative else "no links (%s); on a local file system a rename that replaces nothing does it" % found,
            "links, of which the second is refused" + ("" if self._location.shared else ", or a local file system"),
            "Use a file system with hard links (NFS has them), or S3.",
        )

    def _check_private(self) -> None:
        found = os.stat(self._location.path)
        mode = stat.S_IMODE(found.st_mode)
        own = found.st_uid in (os.geteuid(), 0)
        self._facts["mode"] = "%04o" % mode
        self._check(
            "private",
            _PRIVATE,
            own and not mode & 0o022,
            "mode %04o, owner %d; this is user %d" % (mode, found.st_uid, os.geteuid()),
            "owned by this user or root, and not writable for others",
            "chmod 0700, and chown to the user that backs up. Others could rename or remove what lies there.",
            severity="warning",
        )


# -- S3 ----------------------------------------------------------------------------------------------------------------------------


class _BucketProber(_Prober):
    def __init__(self, location: S3Location, cluster: str, settings: Settings, clock: Callable[[], float]) -> None:
        super().__init__(location, cluster, settings, clock)
        self._location = location
        self._bucket = location.bucket
        self._mode = location.mode.upper()
        self._skew: Optional[float] = None
        self._knows_no_conditions = False

    def run(self) -> Probing:
        """Look at the bucket, then at the probe, then at the rights."""
        self._facts.update({"kind": "s3", "tls": not self._bucket.endpoint_url.lower().startswith("http:"), "not_probed": list(NOT_PROBED)})
        self._measure_clock()
        self._check_listed()
        self._check_clock(self._skew)
        self._check_versioned()
        self._check_locked()
        self._check_transport()
        self._not_here("space", _SPACE, "a bucket does not tell")
        self._not_here("private", _PRIVATE, "see the rights")
        if self._settings.write:
            self._try_everything()
        else:
            self._not_here("links", _LINKS, "nothing is written now")
        self._doubt()
        return Probing(self._checks, self._facts)

    def _doubt(self) -> None:
        """What a server says of its locks is one thing, what came of trying them another."""
        doubts = [check["found"] for check in self._checks if check["id"] == "lock_holds" and not check["passed"]]
        if self._facts["write_once"] and doubts:
            self._facts.update({"write_once": False, "lacks": "that locks hold here is not proven: %s" % doubts[0]})

    def _try_everything(self) -> None:
        until = self._until()
        written = self._check_written(until)
        version = self._version() if written else None
        # First what needs the probe: whoever tries its lock, and the rights, may remove it or lay a delete marker over it.
        replaced = self._takes_second() if written else None
        self._check_names(written, self._until())
        # Then its lock, which is a short one.
        self._check_lock_holds(version, until)
        bypass = self._may_bypass(version, until)
        in_parts = self._check_parts(self._until())
        self._check_replacing(replaced, self._takes_second_in_parts() if in_parts else None)
        rights = self._rights(version, bypass)
        self._check_rights(rights)
        if rights["delete_version"] is not False:
            # In this order: what hides others is gone before they are looked for.
            for key in (self._key, self._below, self._parts):
                with suppress(LocationError):  # still locked: a later run removes it
                    self._location.remove(key)
            with suppress(ServerUnfitError):  # what it lacks is told by the checks
                self._facts["leftover_probes"] = self._remove_old_probes()

    # -- what every point relies upon

    @property
    def _parts(self) -> str:
        return self._key + ".parts"

    @property
    def _below(self) -> str:
        return "%s/%s" % (self._key, self._key.rsplit("/", 1)[-1])

    def _check_parts(self, until: Optional[datetime]) -> bool:
        """Artifacts that are larger than one request are written in parts, which some servers treat differently: they drop the lock, or the encryption."""

        def action() -> str:
            self._location.put_in_parts(self._parts, self._data, until)
            if self._any.read(self._parts, len(self._data)) != self._data:
                raise LocationError("The probe in parts was read back with other bytes than were written", found=self._parts, remedy="look at the storage")
            return "%s was written in parts and read back%s" % (self._parts, ", and is locked" if until else "")

        return self._attempt("parts", _PARTS, action, "the same bytes, and the lock that was asked for", "See what was found; docs/locations.md has a table.")

    def _check_replacing(self, single: Optional[bool], parts: Optional[bool]) -> None:
        """New objects are written on the condition that there is none: the probes are written once more, each in its way."""
        taken = {"in one request": single, "in parts": parts}
        self._facts["conditions"] = {"single": _negated(taken["in one request"]), "parts": _negated(taken["in parts"])}
        self._bucket.ignores_conditions = self._bucket.ignores_conditions or True in taken.values()
        ways = [way for way, is_taken in taken.items() if is_taken]
        untried = [way for way, is_taken in taken.items() if is_taken is None]
        if ways and self._knows_no_conditions:
            found = "this server knows no conditions (%s)" + ("; the first version stays, and is the one that is read" if self._bucket.versioned else "")
        elif ways and self._bucket.versioned:
            found = "this server takes a second object (%s) although it is told not to; the first version stays, and is the one that is read"
        elif ways:
            found = "this server replaced an object (%s) although it was told not to, and the bucket keeps no versions"
        else:
            found = "a second object under the same name is refused (%s)"
            ways = [way for way in taken if way not in untried]
        self._check(
            "links",
            _LINKS,
            self._bucket.versioned or False in taken.values() and not untried and True not in taken.values(),
            "could not be tried: %s" % ", ".join(untried) if untried and not ways else found % ", ".join(ways),
            "a second object is refused, or the first version stays",
            "Use a bucket with versions (prepare_location switches them on, with the owner's credentials), or a server that knows conditions: "
            "docs/locations.md has a table. Here two runs, or a repeated one, can replace what another one wrote.",
        )

    def _second(self) -> Dict[str, Any]:
        return {**Lock(self._location.mode, self._until()).parameters(), **self._location.encryption}

    def _takes_second(self) -> Optional[bool]:
        data = b"This replaced a probe.\n"
        request = {"Body": data, "ChecksumCRC32": checksum_of(data), "IfNoneMatch": "*", **self._second()}
        return self._is_taken("put_object", self._location.whole_key(self._key), **request)

    def _takes_second_in_parts(self) -> Optional[bool]:
        data, key = b"This replaced a probe.\n", self._location.whole_key(self._parts)
        try:
            upload = str(self._bucket.call("create_multipart_upload", key, ChecksumAlgorithm="CRC32", **self._second())["UploadId"])
            checksum = {"ChecksumCRC32": checksum_of(data)}
            part = self._bucket.call("upload_part", key, UploadId=upload, PartNumber=1, Body=data, **checksum)
        except _HOPELESS:
            raise
        except LocationError:
            return None
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"], **checksum}]}
        taken = self._is_taken("complete_multipart_upload", key, UploadId=upload, MultipartUpload=parts, IfNoneMatch="*")
        if not taken:
            self._may("abort_multipart_upload", key, UploadId=upload)
        return taken

    def _is_taken(self, operation: str, key: str, **request: Any) -> Optional[bool]:
        """Whether the server does it although the condition is not met; None when that cannot be told."""
        try:
            self._bucket.call(operation, key, ("PreconditionFailed", "ConditionalRequestConflict", *NOT_THERE), **request)
        except Expected as answer:
            # Then objects are written without a condition.
            self._knows_no_conditions = answer.code in NOT_THERE
            return self._knows_no_conditions
        except _HOPELESS:
            raise
        except LocationError:
            return None
        return True

    def _check_names(self, written: bool, until: Optional[datetime]) -> None:
        """What lies below the name of an object: some servers take it and show it in no listing."""
        shown, found = False, "nothing could be written"
        if written:
            try:
                self._any.put_new(self._below, self._data, until)
                shown = any(stored.key == self._below for stored in self._any.list(self._key + "/"))
                found = "both are listed" if shown else "%s is in no listing, because there is an object %s" % (self._below, self._key)
            except HiddenError:
                found = "%s is in no listing, because there is an object %s" % (self._below, self._key)
            except ServerRefusedError as error:
                shown, found = True, "the second is refused: %s" % error.found
            except _HOPELESS:
                raise
            except LocationError as error:
                found = "could not be tried: %s" % error.message
        self._check(
            "names",
            _NAMES,
            shown,
            found,
            "an object below the name of another one is refused, or both are listed",
            "Give each set of credentials its policy of extensions/s3-policies, which allows no such names for points. What somebody hides is found and named, "
            "and nothing of it is lost.",
            severity="warning",
        )

    # -- requests

    def _may(self, operation: str, key: str, **parameters: Any) -> Optional[bool]:
        """Whether a request is allowed; None when the answer tells neither. Who may, is told when a thing is not there."""
        try:
            self._bucket.call(operation, key, ("NoSuchKey", "NoSuchVersion"), **parameters)
        except Expected:
            return True
        except AccessDeniedError:
            return False
        except _HOPELESS:
            raise
        except LocationError:
            return None
        return True

    def _setting(self, operation: str, *absent: str) -> Tuple[Mapping[str, Any], str]:
        """One property of the bucket, empty when it was never set; and why it cannot be seen."""
        try:
            return self._bucket.call(operation, expected=absent), ""
        except Expected:
            return {}, ""
        except _HOPELESS:
            raise
        except LocationError as error:
            return {}, error.found

    def _version(self) -> Optional[str]:
        try:
            return str(self._bucket.call("head_object", self._location.whole_key(self._key)).get("VersionId") or UNVERSIONED)
        except AccessDeniedError:
            return None

    # -- clock

    def _measure_clock(self) -> None:
        before = self._clock()
        try:
            there = self._location.clock()
        except _HOPELESS:
            raise
        except LocationError:  # the check of the listing says why
            there = None
        middle = (before + self._clock()) / 2
        if there is not None:
            self._skew = middle - there

    def _server_time(self, later_seconds: int) -> datetime:
        """A moment by the location's own clock, because that is the one that locks are judged by."""
        return datetime.fromtimestamp(int(self._clock() - (self._skew or 0)) + later_seconds, timezone.utc)

    def _until(self) -> Optional[datetime]:
        """The end of the lock of what is written now."""
        return self._server_time(PROBE_LOCK_SECONDS) if self._location.locks else None

    # -- the bucket

    def _check_versioned(self) -> None:
        answer, problem = self._setting("get_bucket_versioning")
        status = str(answer.get("Status") or "off")
        self._facts["versioned"] = status == "Enabled"
        # Where there can be none, and none of the locks that need them is asked for, it is a place like a directory.
        none = problem.startswith(NOT_THERE) and not self._location.locks
        self._check(
            "versioned",
            _VERSIONED,
            status == "Enabled",
            ("this server has no versions of objects: %s" % problem if none else problem) or "versioning is %s" % status,
            "Enabled",
            "Run lifeboat.cluster.prepare_location with the credentials of the bucket's owner. Without versions whoever may write may replace a backup.",
            severity="warning" if none else "error",
        )

    def _check_locked(self) -> None:
        answer, problem = self._setting("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError")
        configuration = answer.get("ObjectLockConfiguration") or {}
        enabled = configuration.get("ObjectLockEnabled") == "Enabled"
        mode, days = default_retention(configuration)
        self._facts.update({"locked": enabled, "locks_new_objects": self._location.locks, "default_retention": {"mode": mode, "days": days} if days else None})
        wanted = self._settings.retain_days
        by_default = "default retention: %s, %d days" % (mode, days) if days else "no default retention"
        if self._location.locks:
            passed, expected = enabled, "object lock is on; each object brings its own end"
        else:
            passed, expected = enabled and 0 < days >= wanted, "object_lock_mode governance or compliance, or a default retention of at least %d days" % wanted
        self._check(
            "locked",
            _LOCKED,
            passed,
            problem or "object lock is %s, %s; object_lock_mode is %s" % ("on" if enabled else "off", by_default, self._location.mode),
            expected,
            "Set object_lock_mode of the location and use a bucket with object lock (lifeboat.cluster.prepare_location makes one).",
            severity="error" if self._location.locks else "warning",
        )

    def _check_lock_holds(self, version: Optional[str], until: Optional[datetime]) -> None:
        if until is None:
            self._not_here("lock_holds", _LOCK_HOLDS, "objects get no lock of their own")
            return
        problem = "nothing could be written" if version is None else self._breaks_lock(version, until)
        self._check(
            "lock_holds",
            _LOCK_HOLDS,
            not problem,
            problem or "locked until %s; shortening and removing were refused" % names.format_time(until),
            "both are refused",
            "Start it again when the server answers faster: nothing is known of its locks."
            if problem == _TOO_SLOW
            else "This server does not keep locks: don't rely on it against an intruder. Use another one, or keep a second location.",
        )

    def _breaks_lock(self, version: str, until: datetime) -> str:
        """What could be done in spite of the lock, in words; empty when nothing."""
        key, shorter, problem = self._location.whole_key(self._key), self._shorter(until), ""
        if shorter is None:
            return _TOO_SLOW
        if self._may("put_object_retention", key, VersionId=version, Retention=shorter):
            problem = "the lock of the probe was made shorter"
        elif self._may("delete_object", key, VersionId=version):
            problem = "the locked probe was removed"
        # What was done when the lock was over is no breach.
        return problem if self._server_time(0) < until or problem.endswith("shorter") else _TOO_SLOW

    def _may_bypass(self, version: Optional[str], until: Optional[datetime]) -> Optional[bool]:
        """Whether a governance lock can be made shorter by those who may."""
        shorter = self._shorter(until) if until is not None else None
        if version is None or shorter is None or self._location.mode != "governance":
            return None
        key = self._location.whole_key(self._key)
        return self._may("put_object_retention", key, VersionId=version, Retention=shorter, BypassGovernanceRetention=True)

    def _shorter(self, until: datetime) -> Optional[Dict[str, Any]]:
        """A lock that ends between now and the end of the probe's; None when there is too little time between."""
        left = int((until - self._server_time(0)).total_seconds())
        return {"Mode": self._mode, "RetainUntilDate": until - timedelta(seconds=left // 2)} if left >= _LEAST_LOCK_SECONDS else None

    def _check_transport(self) -> None:
        self._check(
            "transport",
            _TRANSPORT,
            bool(self._facts["tls"]),
            self._bucket.endpoint_url or "https, Amazon S3",
            "https",
            "Use TLS, with ca_bundle for an authority of your own. Artifacts are sealed, but names, sizes and answers can be seen and changed.",
            severity="warning",
        )

    # -- rights

    def _check_rights(self, rights: Dict[str, Any]) -> None:
        self._facts["rights"] = rights
        purpose = self._settings.purpose
        missing, excess = missing_rights(rights, purpose), excess_rights(rights, purpose)
        may = ", ".join(_spoken(rights)) or "nothing"
        policy = "extensions/s3-policies/%s.json" % (purpose or "<purpose>")
        self._check(
            "rights_needed",
            _RIGHTS_NEEDED,
            not missing,
            "missing: %s" % ", ".join(missing) if missing else "may %s" % may,
            ", ".join(_needed(purpose, self._location.locks)) if purpose else "no purpose was given",
            "Give these credentials the policy %s." % policy,
        )
        self._check(
            "rights_excess",
            _RIGHTS_EXCESS,
            not excess,
            "may also: %s" % ", ".join(excess) if excess else "nothing; not probed: %s" % ", ".join(NOT_PROBED),
            "nothing more than %s needs" % purpose if purpose else "no way around locks",
            "Give them the policy %s and no other: whoever takes this controller over can do what its credentials can." % policy,
            severity="warning",
        )

    def _rights(self, version: Optional[str], bypass: Optional[bool]) -> Dict[str, Any]:
        key, until = self._location.whole_key(self._key), self._until()
        longer = {"Mode": self._mode, "RetainUntilDate": until}
        rights: Dict[str, Any] = {
            "read": {area: self._may("head_object", self._unwritten(area)) for area in _READS},
            "write": {area: self._may_write(area, self._until()) for area in AREAS},
            # On names that nobody ever wrote: who may, is told that there is nothing.
            "delete_version": self._may("delete_object", key + ".none", VersionId=UNVERSIONED),
            "extend": self._may("put_object_retention", self._unwritten("points"), Retention=longer) if until else None,
            "bypass_governance": bypass,
            "delete_marker": None,
        }
        if version is not None:
            rights["delete_marker"] = self._may("delete_object", key)
        return rights

    def _unwritten(self, area: str) -> str:
        name = self._key.rsplit("/", 1)[-1]
        return self._location.whole_key("%s%s/%s" % (names.cluster_prefix(self._cluster), area, "%s/%s" % (name, name) if area in DEEP_AREAS else name))

    def _may_write(self, area: str, until: Optional[datetime]) -> Optional[bool]:
        """Begin an upload and drop it: no object comes of it. Should the dropping fail, it is swept as that of a killed writer."""
        key = self._unwritten(area)
        lock: Dict[str, Any] = {"ObjectLockMode": self._mode, "ObjectLockRetainUntilDate": until, "ChecksumAlgorithm": "CRC32"} if until else {}
        try:
            upload = self._bucket.call("create_multipart_upload", key, **lock)["UploadId"]
        except AccessDeniedError:
            return False
        except _HOPELESS:
            raise
        except LocationError:
            return None
        self._may("abort_multipart_upload", key, UploadId=upload)
        return True


# -- what rights mean --------------------------------------------------------------------------------------------------------------


def _needed(purpose: str, locks: bool = True) -> List[str]:
    needed = ["read", *("write %s" % area for area in WRITES[purpose])]
    return needed + ((["remove versions"] + (["make locks longer"] if locks else [])) if purpose == PRUNES else [])


def missing_rights(rights: Mapping[str, Any], purpose: str) -> List[str]:
    """What a purpose needs and these rights lack, in words; what could not be found out is not counted."""
    if not purpose:
        return []
    missing = ["reading %s" % area for area, allowed in rights["read"].items() if allowed is False]
    missing += ["writing below %s/" % area for area in WRITES[purpose] if rights["write"][area] is False]
    if purpose == PRUNES:
        missing += ["removing versions"] if rights["delete_version"] is False else []
        missing += ["making locks longer"] if rights["extend"] is False else []
    return missing


def excess_rights(rights: Mapping[str, Any], purpose: str) -> List[str]:
    """What these rights allow beyond a purpose, in words. Without a purpose, only what breaks locks."""
    excess = ["breaking governance locks"] if rights["bypass_governance"] else []
    if not purpose:
        return excess
    excess += ["writing below %s/" % area for area, allowed in rights["write"].items() if allowed and area not in WRITES[purpose]]
    excess += ["laying delete markers"] if rights["delete_marker"] else []
    excess += ["removing versions"] if rights["delete_version"] and purpose != PRUNES else []
    return excess


def _spoken(rights: Mapping[str, Any]) -> List[str]:
    may = ["read"] if all(rights["read"].values()) else []
    areas = [area for area, allowed in rights["write"].items() if allowed]
    may += ["write %s" % ", ".join(areas)] if areas else []
    may += ["lay delete markers"] if rights["delete_marker"] else []
    may += ["remove versions"] if rights["delete_version"] else []
    may += ["make locks longer"] if rights["extend"] else []
    may += ["break governance locks"] if rights["bypass_governance"] else []
    return may
