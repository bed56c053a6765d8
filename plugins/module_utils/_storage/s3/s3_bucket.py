# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One bucket: every request to it, its failures as errors of ours, and its listings by version.

Which version is the original: listings name the versions of a key with the one stored last first, S3 promises that, so the last one named
is the original. The times in a listing do not tell: S3 gives an upload in parts the time of its beginning, so who began one early and ended it
late would seem to have been first; and a server on files may give an old version the time at which something was laid over it.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any, Collection, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    DependencyMissingError,
    LocationError,
    ServerRefusedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3 import s3_errors
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import how_to_install

UNVERSIONED = "null"  # the id of the only version in a bucket without versions
_LONGEST_PAUSE_SECONDS = 5.0
_FIRST_KEYS = 20  # versions and markers of one key, of which the first that is no marker is looked for
_CODES_OF_STATUS = {"404": "NoSuchKey", "405": "MethodNotAllowed", "412": "PreconditionFailed", "501": "NotImplemented"}
# What some servers answer to a removal of what is not there.
_GONE = ("NoSuchKey", "NoSuchVersion")
# How servers say that they have no such thing.
NOT_THERE = ("NotImplemented", "MethodNotAllowed")


class Limits(NamedTuple):
    """How patient and how large; tests make it less."""

    attempts: int = 8
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    part_bytes: int = 8 << 20  # of what is sent and read; no less than 5 MiB for S3
    page_keys: int = 1000


class Version(NamedTuple):
    """One version of a key."""

    version_id: str
    size_bytes: int
    # As a listing has it: some servers answer a GET with another one.
    etag: str
    # Whether nothing else lies under its key.
    alone: bool = False


class History:
    """What lies under a key."""

    def __init__(self) -> None:
        self.versions: List[Version] = []  # newest first
        self.marker_ids: List[str] = []

    @property
    def version_ids(self) -> List[str]:
        """The ids of all versions, newest first."""
        return [version.version_id for version in self.versions]

    @property
    def original(self) -> Optional[Version]:
        """What was stored first."""
        return self.versions[-1]._replace(alone=len(self.versions) == 1 and not self.marker_ids) if self.versions else None

    @property
    def repeated(self) -> int:
        """Versions over the original that are the same bytes by size and ETag.

        A client repeats a request whose answer was lost, and a server that knows no conditions keeps both.
        """
        return sum(self._repeats(version) for version in self.versions[:-1])

    def _repeats(self, version: Version) -> bool:
        original = self.versions[-1]
        return bool(original.etag) and (version.size_bytes, version.etag) == (original.size_bytes, original.etag)

    @property
    def overlaid(self) -> int:
        """Versions and delete markers beside the original. One that lies beneath it counts too: somebody deleted the key before it was written."""
        return max(0, len(self.versions) - 1 - self.repeated) + len(self.marker_ids)


class Expected(Exception):
    """An answer that the caller said it can deal with."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Bucket:
    """A client of one bucket. Safe to use in several threads."""

    def __init__(
        self,
        name: str,
        *,
        endpoint_url: str = "",
        region: str = "",
        addressing_style: str = "auto",
        ca_bundle: str = "",
        profile: str = "",
        limits: Optional[Limits] = None,
    ) -> None:
        self.name = name
        self.limits = limits or Limits()
        self.endpoint_url = endpoint_url
        self.conditional = True  # until the server says that it has no conditional writes
        self.ignores_conditions = False  # until the server takes an object although there is one, or says that it has no conditional writes
        self.versioning_unseen = False  # until the server refuses to tell
        self._versioned: Optional[bool] = None
        if "@" in endpoint_url:
            raise LocationError(
                "The address of the S3 server holds a user or a password",
                tried="to use the location's option endpoint_url",
                remedy="take it out; credentials come from the environment, a profile, or the role of this machine",
            )
        if ca_bundle and not os.access(ca_bundle, os.R_OK):
            raise LocationError(
                "The certificates of the S3 server's authority cannot be read",
                tried="to read %s" % ca_bundle,
                remedy="correct the location's option ca_bundle, or the file's rights",
            )
        self._client = self._connect(region, addressing_style, ca_bundle, profile)

    def _connect(self, region: str, addressing_style: str, ca_bundle: str, profile: str) -> Any:
        boto3 = _boto3()
        from botocore.config import Config

        config = Config(
            connect_timeout=self.limits.connect_timeout_seconds,
            read_timeout=self.limits.read_timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": self.limits.attempts},
            # As over TLS, also without: every part has a checksum, and every artifact is hashed again when it is read back. Signing the bodies, too, costs
            # both sides one more hashing of everything.
            s3={"addressing_style": addressing_style, "payload_signing_enabled": False},
            tcp_keepalive=True,
            user_agent_extra="lifeboat",
        )
        try:
            session = boto3.session.Session(profile_name=profile or None, region_name=region or None)
            return session.client("s3", endpoint_url=self.endpoint_url or None, verify=ca_bundle or None, config=config)
        except Exception as error:  # whatever is wrong with files of profiles and options: botocore has no common class for it
            raise s3_errors.explained(error, "to make a client for %s" % self.describe()) from error

    def describe(self) -> str:
        """The bucket in words, for messages."""
        return "bucket %s at %s" % (self.name, self.endpoint_url or "Amazon S3")

    @property
    def sends_checksums(self) -> bool:
        """Whether the client adds a checksum to what it sends, as it does unless the environment or the profile says ``when_required``."""
        return bool(self._client.meta.config.request_checksum_calculation == "when_supported")

    @property
    def versioned(self) -> bool:
        """Whether what is written over an object leaves it there, as far as these credentials may know; asked once."""
        if self._versioned is None:
            try:
                self._versioned = self.call("get_bucket_versioning", expected=("AccessDenied", *NOT_THERE)).get("Status") == "Enabled"
            except Expected as refusal:
                self.versioning_unseen = refusal.code not in NOT_THERE
                self._versioned = False
        return self._versioned

    # -- requests -----------------------------------------------------------------------------------------------------------------

    def call(self, operation: str, key: str = "", expected: Sequence[str] = (), **parameters: Any) -> Dict[str, Any]:
        """One request (an operation of boto3's client). Answers with an ``expected`` code become Expected, all other failures errors of ours."""
        if key:
            parameters["Key"] = key
        try:
            answer: Dict[str, Any] = getattr(self._client, operation)(Bucket=self.name, **parameters)
        except Exception as error:  # botocore lets errors of the layers below through
            code = s3_errors.code_of(error)
            if _CODES_OF_STATUS.get(code, code) in expected:
                raise Expected(_CODES_OF_STATUS.get(code, code)) from error
            raise self.explained(error, operation, key, parameters) from error
        return answer

    def explained(self, error: Exception, operation: str, key: str, asked: Collection[str] = ()) -> LocationError:
        """An exception of botocore as one of ours."""
        return s3_errors.explained(error, "%s %s in %s" % (operation, key or "-", self.describe()), operation, asked)

    def naming(self, version: Version) -> Dict[str, str]:
        """The parameter that names a version. Some servers without versions refuse even the id that they gave in their listing."""
        return {} if version.version_id == UNVERSIONED and version.alone and not self.versioned else {"VersionId": version.version_id}

    def delete(self, key: str, version_id: str) -> None:
        """Remove one version, or one delete marker. One that is gone is no error: an answer was lost, or another run was quicker."""
        only = version_id == UNVERSIONED and not self.versioned
        try:
            self.call("delete_object", key, (*_GONE, *NOT_THERE) if only else _GONE, VersionId=version_id)
        except Expected as answer:
            if answer.code not in _GONE:
                self.call("delete_object", key)

    def pause(self, attempt: int) -> None:
        """Wait before the attempt of this number, longer each time."""
        time.sleep(min(_LONGEST_PAUSE_SECONDS, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))

    # -- listings -----------------------------------------------------------------------------------------------------------------

    def pages(self, operation: str, markers: Mapping[str, str], expected: Sequence[str] = (), **parameters: Any) -> Iterator[Dict[str, Any]]:
        """All pages of a listing. ``markers``: from the parameter that says where a page begins to the field that says it of the next.

        A listing that does not hang together is an error: what is missing in it would look as if it had been deleted.
        """
        asked: Dict[str, str] = {}
        seen: Set[Tuple[str, ...]] = set()
        while True:
            answer = self.call(operation, "", expected, **parameters, **asked)
            for name, value in asked.items():
                if answer.get(name) not in (None, "", value):
                    raise self._torn(operation, "a page that begins elsewhere than asked: %s is %r, not %r" % (name, answer.get(name), value))
            yield answer
            if not answer.get("IsTruncated"):
                return
            following = {name: str(answer[field]) for name, field in markers.items() if answer.get(field)}
            place = tuple(following.get(name, "") for name in markers)
            if not following:
                raise self._torn(operation, "a page that says more follow, and not where")
            if place in seen:
                raise self._torn(operation, "a page that leads back to an earlier one, at %r" % (place,))
            seen.add(place)
            asked = following

    def versions(self, prefix: str, delimiter: str = "") -> Iterator[Dict[str, Any]]:
        """The pages of all versions and delete markers under keys that begin with the prefix."""
        parameters = {"Delimiter": delimiter} if delimiter else {}
        markers = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
        return self.pages("list_object_versions", markers, Prefix=prefix, MaxKeys=self.limits.page_keys, **parameters)

    def histories(self, prefix: str) -> Dict[str, History]:
        """What lies under every key that begins with the prefix."""
        found: Dict[str, History] = {}
        current = ""
        for page in self.versions(prefix):
            current = self._add(page, prefix, found, current)
        return found

    def history(self, key: str) -> History:
        """What lies under one key."""
        found: Dict[str, History] = {}
        current = ""
        for page in self.versions(key):
            current = self._add(page, key, found, current)
            # The key itself comes before all that are longer.
            if any(other != key for other in found):
                break
        return found.get(key) or History()

    def _add(self, page: Mapping[str, Any], prefix: str, found: Dict[str, History], current: str) -> str:
        for entry in page.get("Versions") or ():
            key = str(entry["Key"])
            if key != current and key in found and found[key].versions:
                raise self._torn("list_object_versions", "%s twice, with other keys between" % key)
            if not key.startswith(prefix):
                raise self._torn("list_object_versions", "a key that was not asked for: %r" % key)
            history = found.setdefault(key, History())
            version = Version(str(entry.get("VersionId") or UNVERSIONED), int(entry["Size"]), str(entry.get("ETag") or ""))
            if any(version.version_id == other.version_id for other in history.versions):
                continue  # some servers begin a page with the version that ended the one before
            if entry.get("IsLatest") and history.versions:
                raise self._torn("list_object_versions", "an older version of %s before the latest, so it cannot be told which was first" % key)
            history.versions.append(version)
            current = key
        for entry in page.get("DeleteMarkers") or ():
            marker_ids = found.setdefault(str(entry["Key"]), History()).marker_ids
            if entry["VersionId"] not in marker_ids:
                marker_ids.append(str(entry["VersionId"]))
        return current

    def names_an_object(self, key: str) -> bool:
        """Whether there is an object of exactly this name, be it under a delete marker: it comes before all names that are longer."""
        answer = self.call("list_object_versions", Prefix=key, Delimiter="/", MaxKeys=_FIRST_KEYS)
        return any(entry["Key"] == key for entry in answer.get("Versions") or ())

    def _torn(self, operation: str, found: str) -> LocationError:
        return ServerRefusedError(
            "The listing of the S3 bucket does not hang together",
            tried="%s in %s" % (operation, self.describe()),
            found=found,
            remedy="start the run again; if it stays, look for a defect of the server, or for something between that changes its answers",
        )


def _boto3() -> Any:
    try:
        import boto3
    except ImportError as error:
        raise DependencyMissingError(
            "The Python package boto3 is not there",
            tried="to import it on the controller",
            found=str(error),
            remedy=how_to_install("boto3"),
        ) from error
    return boto3
