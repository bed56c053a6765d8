# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Object lock: asking for it, reading back that it is there, and making it longer."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import NotLockableError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.names import format_time
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_bucket import Bucket, Expected

NO_LOCK = "none"
MODES = (NO_LOCK, "governance", "compliance")
# What servers answer when an object, or its bucket, has no lock.
_UNLOCKED = ("NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "InvalidRequest", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed")


class Retention(NamedTuple):
    """The lock of one version."""

    mode: str
    until: datetime


class Lock:
    """The lock that one object shall have; none when there is no mode or no time."""

    def __init__(self, mode: str, until: Optional[datetime]) -> None:
        self._mode = mode.upper()
        # Servers keep whole seconds: rounded down by them, the lock would be shorter than asked.
        self._until = _whole_seconds(until) if until is not None and mode != NO_LOCK else None

    @property
    def wanted(self) -> bool:
        """Whether there shall be a lock."""
        return self._until is not None

    def parameters(self) -> Dict[str, Any]:
        """For the request that makes the object."""
        return {"ObjectLockMode": self._mode, "ObjectLockRetainUntilDate": self._until} if self._until is not None else {}

    def holds(self, head: Mapping[str, Any]) -> bool:
        """Whether the object (as HEAD tells of it) is locked as it shall be."""
        if self._until is None:
            return True
        until = head.get("ObjectLockRetainUntilDate")
        return until is not None and until >= self._until and head.get("ObjectLockMode") in (self._mode, "COMPLIANCE")

    def check(self, head: Mapping[str, Any], name: str, where: str) -> None:
        """Raise when the object (as HEAD tells of it) is not locked as it shall be."""
        if self._until is None or self.holds(head):
            return
        mode, until = str(head.get("ObjectLockMode") or "none"), head.get("ObjectLockRetainUntilDate")
        raise NotLockableError(
            "%s was stored, but is not locked as demanded" % name,
            tried="to lock it in mode %s until %s, in %s" % (self._mode, format_time(self._until), where),
            found="mode %s until %s" % (mode, format_time(until)) if until is not None else "no lock, or no right to see it",
            remedy="use a bucket with object lock, on a server that keeps it (docs/locations.md has a table), and give the writer the rights "
            "s3:PutObjectRetention and s3:GetObjectRetention",
        )

    @staticmethod
    def shown(bucket: Bucket, key: str, version_id: str) -> Dict[str, Any]:
        """The lock of a version, if it has one, in the words of HEAD."""
        found = retention(bucket, key, version_id)
        return {"ObjectLockMode": found.mode, "ObjectLockRetainUntilDate": found.until} if found is not None else {}

    def extend(self, bucket: Bucket, key: str, version_id: str) -> bool:
        """Lock a version that is there already, or make its lock longer. False when it is long enough."""
        if self._until is None:
            return False
        current = retention(bucket, key, version_id)
        if current is not None and current.until >= self._until:
            return False
        mode = current.mode if current is not None else self._mode
        bucket.call("put_object_retention", key, VersionId=version_id, Retention={"Mode": mode, "RetainUntilDate": self._until})
        return True


def retention(bucket: Bucket, key: str, version_id: str, tolerance_seconds: int = 0) -> Optional[Retention]:
    """The lock of a version, or None when it has none (any more). One counts that has ended by no more than ``tolerance_seconds``, by the clock here."""
    try:
        answer = bucket.call("get_object_retention", key, _UNLOCKED, VersionId=version_id).get("Retention") or {}
    except Expected:
        return None
    until = answer.get("RetainUntilDate")
    if until is None or until <= datetime.now(timezone.utc) - timedelta(seconds=tolerance_seconds):
        return None
    return Retention(str(answer.get("Mode") or ""), until)


def default_retention(configuration: Mapping[str, Any]) -> Tuple[str, int]:
    """Mode and days of a bucket's default retention, out of its object lock configuration; days are 0 when it has none."""
    default = (configuration.get("Rule") or {}).get("DefaultRetention") or {}
    return str(default.get("Mode") or ""), int(default.get("Days") or 0) + 365 * int(default.get("Years") or 0)


def _whole_seconds(moment: datetime) -> datetime:
    return (moment.astimezone(timezone.utc) + timedelta(microseconds=999999)).replace(microsecond=0)
