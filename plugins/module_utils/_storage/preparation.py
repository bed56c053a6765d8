# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a location: what is there, what is wanted, and only what lacks is added. Nothing that protects is ever weakened."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    AccessDeniedError,
    LocationError,
    LocationVanishedError,
    NotLockableError,
    ServerUnfitError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation, synchronise
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import HOW_TO_CREATE, HOW_TO_HAVE_A_DIRECTORY
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3 import S3Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_bucket import NOT_THERE, Expected
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_lock import default_retention

ABSENT, PRESENT = "absent", "present"
UNSUPPORTED = "not supported by this server"
# The region in which buckets are made without naming it.
_FIRST_REGION = "us-east-1"
_RULE = "lifeboat-unfinished-uploads"
# Answers of servers that take no rule of this kind: some know no rules, others none that does nothing but this.
_NO_SUCH_RULE = ("InvalidArgument", "MalformedXML", "InvalidRequest", *NOT_THERE)
# What a lifecycle rule does that takes objects out of reach.
_TAKING = ("Expiration", "NoncurrentVersionExpiration", "Transitions", "NoncurrentVersionTransitions")


class Wish(NamedTuple):
    """What the location shall be."""

    create: bool = False
    # Of a bucket, for objects that bring no lock of their own; 0 leaves it as it is.
    default_retention_days: int = 0
    # After so many days a bucket drops uploads that nobody finished; 0 leaves it as it is.
    abort_incomplete_days: int = 7


@dataclass
class Prepared:
    """Each property before and after; ``notes`` say what was left as it is, and why."""

    before: Dict[str, str] = field(default_factory=dict)
    after: Dict[str, str] = field(default_factory=dict)
    notes: List[str] = field(default_factory=list)
    # What somebody should look at.
    warnings: List[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, changed."""
        return self.before != self.after


def prepare(specification: Mapping[str, Any], wish: Wish, check_mode: bool = False) -> Prepared:
    """Make the location that the options describe, as far as it is not there."""
    if specification.get("type") == "s3":
        location = open_location(specification)
        if not isinstance(location, S3Location):
            raise LocationError("This is not a bucket", found=location.describe(), remedy="report this as a defect")
        return _BucketMaker(location, str(specification.get("region") or ""), wish, check_mode).run()
    shared = specification.get("type") == "nfs"
    mount_required = specification.get("mount_required")
    return _prepare_directory(str(specification.get("path") or ""), shared if mount_required is None else bool(mount_required), wish, check_mode)


# -- directories -------------------------------------------------------------------------------------------------------------------


def _prepare_directory(path: str, mount_required: bool, wish: Wish, check_mode: bool) -> Prepared:
    """One that is there is left as it is, also its mode: others may need what lies beside."""
    if not os.path.isabs(path):
        raise LocationError("The path of a backup location must be absolute", found=path, remedy="give the whole path, beginning with /")
    parent = os.path.dirname(path.rstrip("/")) or "/"
    there = os.path.isdir(path)
    if not there and os.path.lexists(path):
        raise LocationError("The backup location is not a directory", tried="to use %s" % path, remedy="correct the location's path")
    if not there and not os.path.isdir(parent):
        raise LocationVanishedError(
            "The directory above the backup location is not there",
            tried="to make %s" % path,
            found="no directory %s" % parent,
            remedy="mount it, or make it; only the last directory is made here, so that nothing is written beneath a missing mount",
        )
    if mount_required and os.stat(path if there else parent).st_dev == os.stat("/").st_dev:
        raise LocationVanishedError(
            "Nothing is mounted at the backup location",
            tried="to prepare directory %s, of which it is said that it is a mount (mount_required)" % path,
            found="it would lie on the root file system",
            remedy="mount it, then prepare the location",
        )
    if there:
        now = {"directory": PRESENT, "mode": "%04o" % stat.S_IMODE(os.stat(path).st_mode)}
        return Prepared(now, dict(now))
    if not wish.create:
        raise LocationVanishedError("The backup location is not there", tried="to prepare directory %s" % path, remedy=HOW_TO_HAVE_A_DIRECTORY)
    if not check_mode:
        try:
            os.mkdir(path, 0o700)
            os.chmod(path, 0o700)
            synchronise(parent)
        except OSError as error:
            FilesystemLocation(parent).refuse("make the directory of the backup location", path, error)
    return Prepared({"directory": ABSENT, "mode": ABSENT}, {"directory": PRESENT, "mode": "0700"})


# -- buckets -----------------------------------------------------------------------------------------------------------------------


class _BucketMaker:
    def __init__(self, location: S3Location, region: str, wish: Wish, check_mode: bool) -> None:
        self._bucket = location.bucket
        self._prefix = location.prefix
        self._mode = "" if not location.locks else location.mode.upper()
        self._region = region
        self._wish = wish
        self._check_mode = check_mode
        self._prepared = Prepared()
        self._where = location.describe()
        if wish.default_retention_days and not self._mode:
            raise LocationError(
                "A default retention needs a mode",
                tried="to set a default retention of %d days in %s" % (wish.default_retention_days, self._where),
                found="object_lock_mode: none",
                remedy="set object_lock_mode of the location to governance or compliance",
            )

    def run(self) -> Prepared:
        """Property by property; each is read back."""
        there = self._make()
        self._make_versioned(there)
        if self._mode:
            self._make_lockable(there)
        if self._wish.abort_incomplete_days:
            self._make_tidy(there)
        return self._prepared

    def _set(self, name: str, before: str, after: str, change: Optional[Callable[[], str]] = None) -> None:
        """Record a property; where it differs, ``change`` makes it so, and returns how it is then."""
        self._prepared.before[name], self._prepared.after[name] = before, after
        if before == after or change is None or self._check_mode:
            return
        found = change()
        if found != after:
            raise LocationError(
                "The server took the new %s, and did not keep it" % name.replace("_", " "),
                tried="to make it %s in %s" % (after, self._where),
                found=found,
                remedy="look at the server's documentation; what was set before this stays",
            )

    def _get(self, operation: str, *expected: str) -> Dict[str, Any]:
        try:
            return self._bucket.call(operation, expected=expected)
        except Expected as answer:
            return {"Code": answer.code}

    def _make(self) -> bool:
        code = self._get("get_bucket_versioning", "NoSuchBucket", *NOT_THERE).get("Code")
        if code in NOT_THERE:
            code = self._get("head_bucket", "NoSuchKey").get("Code")  # HEAD says no more than 404
        there = code is None
        if not there and not self._wish.create:
            raise LocationVanishedError("The S3 bucket is not there", tried="to prepare %s" % self._where, remedy=HOW_TO_CREATE)

        def make() -> str:
            parameters: Dict[str, Any] = {"ObjectLockEnabledForBucket": True} if self._mode else {}
            if self._region and self._region != _FIRST_REGION:
                parameters["CreateBucketConfiguration"] = {"LocationConstraint": self._region}
            try:
                self._bucket.call("create_bucket", expected=("BucketAlreadyOwnedByYou",), **parameters)
            except Expected:
                pass  # another run was quicker
            return PRESENT

        self._set("bucket", PRESENT if there else ABSENT, PRESENT, make)
        return there

    def _make_versioned(self, there: bool) -> None:
        def read() -> str:
            answer = self._get("get_bucket_versioning", *NOT_THERE)
            return UNSUPPORTED if answer.get("Code") in NOT_THERE else str(answer.get("Status") or "off")

        def change() -> str:
            self._bucket.call("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
            return read()

        before = read() if there else ABSENT
        if before == UNSUPPORTED and self._check_mode and not self._mode:
            self._unversioned()
            return
        try:
            self._set("versioning", before, "Enabled", change)
        except ServerUnfitError:
            if self._mode:
                raise
            self._unversioned()

    def _unversioned(self) -> None:
        # Whether it can be used without, the checks find out: by its conditions, nothing is written over by mistake.
        self._set("versioning", UNSUPPORTED, UNSUPPORTED)
        self._prepared.warnings.append("this server has no versions of objects: whoever may write to the bucket can replace or remove recovery points")

    # -- locks

    def _lock_configuration(self) -> Dict[str, Any]:
        answer = self._get("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError")
        configuration: Dict[str, Any] = answer.get("ObjectLockConfiguration") or {}
        return configuration

    def _make_lockable(self, there: bool) -> None:
        now = self._lock_configuration() if there else {}
        on = now.get("ObjectLockEnabled") == "Enabled"
        self._set("object_lock", ("on" if on else "off") if there else ABSENT, "on", self._lock)
        mode, days = default_retention(now)
        before = _retention_text(mode, days) if there else ABSENT
        asked = self._wish.default_retention_days
        if not asked or days > asked or (days == asked and mode in (self._mode, "COMPLIANCE")):
            if days > asked > 0:
                self._prepared.notes.append("the default retention of the bucket (%s) is longer than asked and stays" % _retention_text(mode, days))
            self._set("default_retention", before, before if there else _retention_text("", 0))
            return
        stronger = "COMPLIANCE" if "COMPLIANCE" in (mode, self._mode) else self._mode
        if stronger != self._mode:
            self._prepared.notes.append("the default retention of the bucket stays in mode COMPLIANCE, which is stronger than asked")
        rule = {"DefaultRetention": {"Mode": stronger, "Days": asked}}

        def change() -> str:
            self._bucket.call("put_object_lock_configuration", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule})
            return _retention_text(*default_retention(self._lock_configuration()))

        self._set("default_retention", before, _retention_text(stronger, asked), change)

    def _lock(self) -> str:
        """A new bucket has it already; an old one may or may not get it."""
        if self._lock_configuration().get("ObjectLockEnabled") != "Enabled":
            try:
                self._bucket.call("put_object_lock_configuration", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
            except (AccessDeniedError, LocationVanishedError):
                raise
            except LocationError as error:
                raise NotLockableError(
                    "The S3 bucket has no object lock, and cannot get it",
                    tried="to switch it on in %s" % self._where,
                    found=error.found or error.message,
                    remedy="make a new bucket (lifeboat_location_create=true with another name); many servers lock only buckets that were made with it",
                ) from error
        return "on" if self._lock_configuration().get("ObjectLockEnabled") == "Enabled" else "off"

    # -- unfinished uploads

    def _rules(self) -> Optional[List[Dict[str, Any]]]:
        """The lifecycle rules; None where the server has no such thing."""
        answer = self._get("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration", "NotImplemented", "MethodNotAllowed")
        return None if answer.get("Code") in ("NotImplemented", "MethodNotAllowed") else list(answer.get("Rules") or [])

    def _make_tidy(self, there: bool) -> None:
        wanted = self._wish.abort_incomplete_days
        # What the server can do is not known before the bucket is there.
        rules = self._rules() if there or not self._check_mode else []
        if rules is None:
            self._untidy()
            return
        self._prepared.warnings += ["the lifecycle rule %s takes objects away: %s" % found for found in taking_rules(rules, self._prefix)]
        new = tidy_rules(rules, self._prefix, wanted)
        after = "removed after %d days at the latest" % wanted
        if new is None:
            self._set("unfinished_uploads", after if there else ABSENT, after)
        elif self._check_mode:
            self._set("unfinished_uploads", "kept" if there else ABSENT, "%s, if this server takes a rule for that" % after)
        elif self._takes(new) and tidy_rules(self._rules() or [], self._prefix, wanted) is None:
            self._set("unfinished_uploads", "kept" if there else ABSENT, after)
        else:
            self._untidy()

    def _takes(self, rules: List[Dict[str, Any]]) -> bool:
        """Set lifecycle rules. One that was taken is read back by the caller: some servers drop a part of it and say nothing."""
        try:
            self._bucket.call("put_bucket_lifecycle_configuration", expected=_NO_SUCH_RULE, LifecycleConfiguration={"Rules": rules})
        except Expected:
            return False
        return True

    def _untidy(self) -> None:
        self._set("unfinished_uploads", UNSUPPORTED, UNSUPPORTED)
        self._prepared.notes.append("this server takes no rule that removes unfinished uploads; pruning sweeps those that the server lists")


def _retention_text(mode: str, days: int) -> str:
    return "%s, %d days" % (mode, days) if days else "none"


def _prefix_of(rule: Mapping[str, Any]) -> Optional[str]:
    """To which keys a lifecycle rule applies; None when it depends on more than the name."""
    chosen = rule.get("Filter")
    if chosen is None or not chosen:
        return str(rule.get("Prefix") or "")
    return str(chosen["Prefix"] or "") if set(chosen) == {"Prefix"} else None


def tidy_rules(rules: Sequence[Mapping[str, Any]], prefix: str, days: int) -> Optional[List[Dict[str, Any]]]:
    """The rules with one that drops unfinished uploads below the prefix after so many days; None when they have one that does."""
    for rule in rules:
        within = _prefix_of(rule)
        after = (rule.get("AbortIncompleteMultipartUpload") or {}).get("DaysAfterInitiation")
        if rule.get("Status") == "Enabled" and within is not None and prefix.startswith(within) and after is not None and after <= days:
            return None
    ours = {"ID": _RULE, "Status": "Enabled", "Filter": {"Prefix": prefix}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}}
    return [dict(rule) for rule in rules if rule.get("ID") != _RULE] + [ours]


def taking_rules(rules: Sequence[Mapping[str, Any]], prefix: str) -> List[Any]:
    """Rules that remove, hide or move away objects below the prefix: their names, and what they do."""
    found = []
    for rule in rules:
        within = _prefix_of(rule)
        touches = within is None or prefix.startswith(within) or within.startswith(prefix)
        actions = [name for name in _TAKING if rule.get(name) and rule[name] != {"ExpiredObjectDeleteMarker": True}]
        if rule.get("Status") == "Enabled" and touches and actions:
            found.append((str(rule.get("ID") or "without a name"), ", ".join(actions)))
    return found
