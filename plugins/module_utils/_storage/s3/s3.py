# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A location in an S3 bucket.

It is read by version: neither versions nor object lock keep anybody who may write from laying a new version or a delete marker over an object.
What was stored first is the object, and everything above it is counted.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, Dict, Iterator, List, Optional, Sequence, cast

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.clocks import CLOCK_TOLERANCE_SECONDS
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    AccessDeniedError,
    LocationError,
    NotLockableError,
    ObjectLockedError,
    ObjectMissingError,
    ServerRefusedError,
    hidden,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import StoredObject
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_bucket import NOT_THERE, UNVERSIONED, Bucket, Expected, Limits, Version
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_lock import MODES, NO_LOCK, Lock, default_retention, retention
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_transfer import S3Reader, S3Upload, objects_above

_CONFIGURATION_UNSEEN = ("AccessDenied",)
_NO_CONFIGURATION = ("ObjectLockConfigurationNotFoundError", "InvalidRequest")
_ABSENT = ("NoSuchKey", "MethodNotAllowed")
# What a server says when it removes nothing because of a lock. Each with a space: an answer can also name a bucket, which has none.
_SPEAKS_OF_LOCKS = re.compile(r"object lock|is locked|worm protected|legal hold", re.IGNORECASE)
# Answers to a listing of unfinished uploads where there are none, or where the server has no such listing.
_NO_UPLOADS = ("NoSuchUpload", *NOT_THERE)


class S3Location:
    """Objects are the oldest versions of their keys. Credentials come by boto3's usual chain and are in no message."""

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        endpoint_url: str = "",
        region: str = "",
        addressing_style: str = "auto",
        ca_bundle: str = "",
        profile: str = "",
        object_lock_mode: str = NO_LOCK,
        server_side_encryption: str = "",
        kms_key_id: str = "",
        limits: Optional[Limits] = None,
    ) -> None:
        """Nothing is asked of the server yet. ``prefix``: where in the bucket, with or without a slash at its end."""
        if object_lock_mode not in MODES:
            raise LocationError("There is no such mode of object lock", found=repr(object_lock_mode)[:80], remedy="use one of %s" % ", ".join(MODES))
        self._prefix = names.check_key(prefix.strip("/")) + "/" if prefix.strip("/") else ""
        self._mode = object_lock_mode
        self._encryption: Dict[str, str] = {"ServerSideEncryption": server_side_encryption} if server_side_encryption else {}
        if kms_key_id:
            self._encryption["SSEKMSKeyId"] = kms_key_id
        self._bucket = Bucket(
            bucket,
            endpoint_url=endpoint_url,
            region=region,
            addressing_style=addressing_style,
            ca_bundle=ca_bundle,
            profile=profile,
            limits=limits,
        )
        # The original of a key stays the original for as long as it is there, so each is looked up once.
        self._originals: Dict[str, Version] = {}

    @property
    def locks(self) -> bool:
        """Whether objects can be locked against deletion here."""
        return self._mode != NO_LOCK

    def lacks(self) -> str:
        """What nothing here protects against, in words; empty where what is written stays until its time is over."""
        if self.locks:
            return self._lacks_locks()
        if self._bucket.versioned:
            return "objects are not locked (object_lock_mode is none): whoever may remove versions can remove recovery points"
        if self._bucket.versioning_unseen:
            return (
                "objects are not locked (object_lock_mode is none), and these credentials may not see whether the bucket keeps versions "
                "(s3:GetBucketVersioning): without them whoever may write can replace or remove recovery points"
            )
        return "this bucket has neither versions nor locks: whoever may write can replace or remove recovery points"

    def _lacks_locks(self) -> str:
        """That locks are asked for says nothing of what lies here already: the bucket has to have them."""
        try:
            lockable = self._is_lockable()
        except NotLockableError:
            lockable = False
        except ServerRefusedError as error:
            return "whether this bucket has object lock could not be seen: %s" % error.found
        if lockable is False:
            return "object_lock_mode is %s, but this bucket has no object lock: nothing more can be written, and what is there can be removed" % self._mode
        return ""

    def _is_lockable(self) -> Optional[bool]:
        """Whether the bucket has object lock; None when these credentials may not see it."""
        try:
            found = self._bucket.call("get_object_lock_configuration", expected=(*_NO_CONFIGURATION, *_CONFIGURATION_UNSEEN))
        except Expected as refusal:
            return None if refusal.code in _CONFIGURATION_UNSEEN else False
        return bool(found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    @property
    def mode(self) -> str:
        """How objects are locked: none, governance or compliance."""
        return self._mode

    @property
    def encryption(self) -> Dict[str, str]:
        """What the server is asked to encrypt with; empty when it is not asked."""
        return dict(self._encryption)

    @property
    def bucket(self) -> Bucket:
        """The bucket itself, for those who look at what it can do."""
        return self._bucket

    @property
    def prefix(self) -> str:
        """Where in the bucket; empty, or with a slash at its end."""
        return self._prefix

    def whole_key(self, key: str) -> str:
        """A key as the bucket knows it."""
        return self._key(key)

    def describe(self) -> str:
        """The location in words, for messages."""
        return "%s%s" % (self._bucket.describe(), ", below %s" % self._prefix if self._prefix else "")

    # -- writing ------------------------------------------------------------------------------------------------------------------

    def upload(self, key: str, retain_until: Optional[datetime] = None) -> S3Upload:
        """Begin a new object; where there are locks, one that nobody can delete before ``retain_until``."""
        return S3Upload(self._bucket, self._key(key), key, lock=Lock(self._mode, retain_until), encryption=self._encryption)

    def put_in_parts(self, key: str, data: bytes, retain_until: Optional[datetime] = None) -> bool:
        """Write a small object as if it were a large one: servers treat the two differently."""
        lock = Lock(self._mode, retain_until)
        with S3Upload(self._bucket, self._key(key), key, lock=lock, encryption=self._encryption, in_parts=True) as upload:
            upload.write(data)
            return upload.commit()

    def put_new(self, key: str, data: bytes, retain_until: Optional[datetime] = None) -> bool:
        """Write a small object. False when exactly these bytes were there already; other bytes under the key are an error."""
        with self.upload(key, retain_until) as upload:
            upload.write(data)
            return upload.commit()

    def check_writable(self, needed_bytes: int) -> None:
        """Raise when the bucket cannot be reached or listed, or when it has no object lock and one is demanded. S3 does not tell how much space it has."""
        del needed_bytes
        self._bucket.call("list_object_versions", Prefix=self._prefix, MaxKeys=1)
        if not self.locks:
            return
        # Every lock is read back after it was asked for, so nothing depends on the right to see this.
        if self._is_lockable() is False:
            raise NotLockableError(
                "The S3 bucket has no object lock",
                tried="to use %s with object_lock_mode %s" % (self.describe(), self._mode),
                remedy="create another bucket with object lock, or set the location's option object_lock_mode to none and know what that means",
            )

    # -- reading ------------------------------------------------------------------------------------------------------------------

    def open(self, key: str) -> BinaryIO:
        """Read an object."""
        return cast(BinaryIO, self._reader(key))

    def read(self, key: str, limit_bytes: int) -> bytes:
        """Read a small object whole; an object above the limit is an error."""
        with self._reader(key) as stream:
            if stream.size_bytes > limit_bytes:
                raise LocationError(
                    "%s is larger than it can be" % key,
                    found="%d bytes, more than %d" % (stream.size_bytes, limit_bytes),
                    remedy="it was not written by Lifeboat; use another recovery point",
                )
            return stream.readall()

    def _reader(self, key: str) -> S3Reader:
        whole = self._key(key)
        known = self._originals.pop(key, None)
        if known is not None:
            with suppress(ObjectMissingError):  # it was removed since; perhaps there is another
                reader = S3Reader(self._bucket, whole, known)
                self._originals[key] = known
                return reader
        return S3Reader(self._bucket, whole, self._original(key))

    def size(self, key: str) -> Optional[int]:
        """Size of an object in bytes, or None when there is none."""
        original = self._find(self._key(key))
        return original.size_bytes if original is not None else None

    def objects_above(self, prefix: str, shown: Sequence[str] = ()) -> List[str]:
        """Objects that have the name of a directory of what lies below the prefix: some servers show nothing of that in a listing.

        None that is above a prefix of ``shown``, below which something is listed. One above the location's own prefix has its name in the bucket.
        """
        names.check_key(prefix.rstrip("/"))
        found = objects_above(self._bucket, self._prefix + prefix, [self._prefix + other for other in shown])
        return self._relative(found)

    def _relative(self, whole: Sequence[str]) -> List[str]:
        return [name[len(self._prefix) :] or name for name in whole]

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose keys begin with the prefix (which ends in a slash), sorted by key.

        Without those that end in a slash: consoles of servers make them as directories, and some servers keep no versions of them.
        """
        names.check_key(prefix.rstrip("/"))
        found: List[StoredObject] = []
        for whole, history in self._bucket.histories(self._prefix + prefix).items():
            key = whole[len(self._prefix) :]
            if history.original is not None and not key.endswith("/"):
                self._originals[key] = history.original
                found.append(StoredObject(key, history.original.size_bytes, history.overlaid))
        return iter(sorted(found))

    def children(self, prefix: str) -> List[str]:
        """Names of what lies directly below the prefix and has something below itself, sorted; without looking further down."""
        names.check_key(prefix.rstrip("/"))
        whole = self._prefix + prefix
        found = {str(entry["Prefix"]) for page in self._bucket.versions(whole, "/") for entry in page.get("CommonPrefixes") or ()}
        return sorted(child[len(whole) :].rstrip("/") for child in found)

    def _original(self, key: str) -> Version:
        original = self._find(self._listed_key(key))
        if original is None:
            raise ObjectMissingError(
                "%s is missing" % key, tried="to read it from %s" % self.describe(), remedy="use another recovery point, or another copy of it"
            )
        self._originals[key] = original
        return original

    def _find(self, whole: str) -> Optional[Version]:
        """The original; and one that is there and in no listing (see ``objects_above``). Of such a one only the newest version can be found."""
        original = self._bucket.history(whole).original
        if original is not None:
            return original
        try:
            head = self._bucket.call("head_object", whole, _ABSENT)
        except Expected:
            return None
        return Version(str(head.get("VersionId") or UNVERSIONED), int(head["ContentLength"]), str(head.get("ETag") or ""), alone=True)

    def _key(self, key: str) -> str:
        return self._prefix + names.check_key(key)

    def _listed_key(self, key: str) -> str:
        """A key as a listing names it, whoever made it: in a bucket none leads out."""
        return self._prefix + key

    # -- locks and removal --------------------------------------------------------------------------------------------------------

    def locked_until(self, key: str) -> Optional[datetime]:
        """Until when a version of the object is locked at the longest; None when none is, or when the location has no locks."""
        return self._locked_until(key) if self.locks else None

    def _locked_until(self, key: str, tolerance_seconds: int = 0) -> Optional[datetime]:
        whole = self._listed_key(key)
        found = [retention(self._bucket, whole, version_id, tolerance_seconds) for version_id in self._bucket.history(whole).version_ids]
        return max((entry.until for entry in found if entry is not None), default=None)

    def retain(self, key: str, until: datetime) -> bool:
        """Make the lock of an object longer, never shorter. False when it is that long already, or when the location has no locks."""
        if not self.locks:
            return False
        return Lock(self._mode, until).extend(self._bucket, self._listed_key(key), self._original(key).version_id)

    def remove(self, key: str) -> bool:
        """Remove an object for good, with everything that lies over it; for pruning only. False when there was none; a locked one is an error."""
        whole = self._listed_key(key)
        history = self._bucket.history(whole)
        if self.locks:
            self._refuse_locked(key)
        try:
            # The original goes last: were it gone first and this interrupted, what lies over it would be the object.
            for version_id in history.marker_ids + history.version_ids:
                self._bucket.delete(whole, version_id)
        except LocationError as error:
            # Servers have many words for it; the lock itself tells.
            why = self._why_locked(key, error)
            if why is not None:
                raise why from error
            raise
        if history.original is None:
            self._refuse_hidden(key)
        self._originals.pop(key, None)
        return history.original is not None

    def _refuse_locked(self, key: str, tolerance_seconds: int = 0) -> None:
        until = self._locked_until(key, tolerance_seconds)
        if until is not None:
            raise self._locked(key, "a lock until %s" % names.format_time(until), "prune again after that time")

    def _why_locked(self, key: str, refusal: LocationError) -> Optional[ObjectLockedError]:
        """Whether a removal was refused because of a lock, also one of which the server tells nothing at the object itself."""
        if not isinstance(refusal, (AccessDeniedError, ObjectLockedError, ServerRefusedError)):
            return None
        try:
            # By the clock of the server, which may be behind, a lock can still hold.
            self._refuse_locked(key, CLOCK_TOLERANCE_SECONDS)
        except ObjectLockedError as error:
            return error
        except LocationError:
            pass  # what the server said of the removal tells
        # Where no lock is seen, and the server speaks of none, a right is missing.
        if not isinstance(refusal, ObjectLockedError) and not _SPEAKS_OF_LOCKS.search(refusal.found):
            return None
        try:
            configuration = self._bucket.call("get_object_lock_configuration", expected=_NO_CONFIGURATION).get("ObjectLockConfiguration") or {}
        except (Expected, LocationError):
            configuration = {}
        mode, days = default_retention(configuration)
        if days:
            found = "no lock of its own, and the bucket's default retention (%s, %d days); %s" % (mode, days, refusal.found)
            return self._locked(key, found, "prune again when that time is over")
        if isinstance(refusal, AccessDeniedError):
            return self._locked(key, refusal.found, "prune again later; a legal hold stays until its owner takes it off")
        return refusal if isinstance(refusal, ObjectLockedError) else None

    def _locked(self, key: str, found: str, remedy: str) -> ObjectLockedError:
        return ObjectLockedError("%s is locked" % key, tried="to remove it from %s" % self.describe(), found=found, remedy=remedy)

    def _refuse_hidden(self, key: str) -> None:
        if self._find(self._listed_key(key)) is not None:
            raise hidden(key, self.describe(), self._relative(objects_above(self._bucket, self._listed_key(key))))

    def clock(self) -> Optional[float]:
        """Seconds since the epoch by the clock of the server: the Date of an answer, which has whole seconds, cut off, so half a second is added."""
        answer = self._bucket.call("list_object_versions", Prefix=self._prefix, MaxKeys=1)
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        return parsedate_to_datetime(date).timestamp() + 0.5 if date else None

    def sweep(self, prefix: str, older_than_seconds: int) -> int:
        """Remove unfinished uploads below the prefix whose writers are dead, as far as age tells; returns how many there were."""
        names.check_key(prefix.rstrip("/"))
        begun_before = datetime.now(timezone.utc) - timedelta(seconds=older_than_seconds)
        # All are read before the first is ended, because each that goes moves the borders of the pages.
        old = [upload for upload in self._unfinished(self._prefix + prefix) if upload["Initiated"] <= begun_before]
        for upload in old:
            with suppress(Expected):  # its writer finished at this moment
                self._bucket.call("abort_multipart_upload", str(upload["Key"]), ("NoSuchUpload",), UploadId=upload["UploadId"])
        return len(old)

    def _unfinished(self, prefix: str) -> List[Dict[str, Any]]:
        """Uploads that have begun, of keys below the prefix. Some servers find by a prefix only the upload of exactly this key, so all are looked through."""
        found = self._uploads(prefix)
        if not found:
            with suppress(ServerRefusedError):  # of others in the bucket there are more than the server can list
                found = self._uploads("")
        return [upload for upload in found if str(upload["Key"]).startswith(prefix)]

    def _uploads(self, prefix: str) -> List[Dict[str, Any]]:
        markers = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}
        try:
            pages = list(self._bucket.pages("list_multipart_uploads", markers, _NO_UPLOADS, Prefix=prefix))
        except Expected:
            return []
        return [upload for page in pages for upload in page.get("Uploads") or ()]
