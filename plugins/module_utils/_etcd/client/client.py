# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Lifeboat asks of an etcd member, whichever way it is asked."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Iterator, List, Mapping, Protocol, Sequence, Tuple
from urllib.parse import urlsplit

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client import messages
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, Rejected
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Buffer, Message, fields

TRAILER_BYTES = 32
WHOLE_STORE = b"\0"


@dataclass(frozen=True)
class Connection:
    """Where a member listens and how it is reached. The certificates are paths; their contents never leave the TLS layer."""

    endpoint: str = "https://127.0.0.1:2379"
    ca_cert: str = ""
    client_cert: str = ""
    client_key: str = ""
    transport: str = "auto"
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise EtcdError(
                "%r is not an etcd endpoint" % self.endpoint, remedy="Give scheme, host and port, such as https://127.0.0.1:2379.", endpoint=self.endpoint
            )
        if bool(self.client_cert) != bool(self.client_key):
            raise EtcdError("client_cert and client_key belong together, only one is given", endpoint=self.endpoint)
        for option in ("ca_cert", "client_cert", "client_key"):
            path = getattr(self, option)
            if path and not os.access(path, os.R_OK):
                raise EtcdError(
                    "%s %s cannot be read" % (option, path),
                    found="no such file" if not os.path.exists(path) else "no permission",
                    remedy="Run as root on an etcd member, or give the paths that this host has.",
                    endpoint=self.endpoint,
                )

    @property
    def tls(self) -> bool:
        """Whether the endpoint speaks TLS."""
        return urlsplit(self.endpoint).scheme == "https"

    @property
    def host(self) -> str:
        """Host name or address."""
        return str(urlsplit(self.endpoint).hostname)

    @property
    def port(self) -> int:
        """Port number."""
        return urlsplit(self.endpoint).port or 2379

    def at(self, endpoint: str) -> Connection:
        """The same way to another member."""
        return replace(self, endpoint=endpoint)


@dataclass(frozen=True)
class Status:
    """What one member says of itself."""

    cluster_id: int
    member_id: int
    revision: int
    version: str
    leader: int
    raft_index: int
    raft_applied_index: int
    raft_term: int
    db_size_bytes: int
    db_size_in_use_bytes: int
    is_learner: bool
    errors: Tuple[str, ...]
    storage_version: str
    # 0 where it does not say (before 3.6).
    db_size_quota_bytes: int = 0


@dataclass(frozen=True)
class Member:
    """One entry of the member list. A member that never started has no name."""

    member_id: int
    name: str
    peer_urls: Tuple[str, ...]
    client_urls: Tuple[str, ...]
    is_learner: bool

    @property
    def started(self) -> bool:
        """A member publishes its name and client URLs when it first starts."""
        return bool(self.name)

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return {
            "id": hex_id(self.member_id),
            "name": self.name,
            "peer_urls": list(self.peer_urls),
            "client_urls": list(self.client_urls),
            "is_learner": self.is_learner,
            "started": self.started,
        }


#: Raised by a member whose database is as large as its quota; it stays until it is taken back, in snapshots too.
NOSPACE = "NOSPACE"


@dataclass(frozen=True)
class Alarm:
    """An alarm that is raised for a member: NOSPACE or CORRUPT."""

    member_id: int
    alarm: str


@dataclass(frozen=True)
class KeyHash:
    """Hash over all keys up to a revision; comparable between members only where ``compact_revision`` is equal."""

    hash: int
    hash_revision: int
    compact_revision: int
    revision: int


@dataclass(frozen=True)
class KeyValue:
    """One key as the store has it."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int


@dataclass(frozen=True)
class Range:
    """Result of a read: at which revision, how many keys there are, and those that were asked for."""

    revision: int
    count: int
    more: bool
    items: Tuple[KeyValue, ...]


@dataclass(frozen=True)
class WatchProbe:
    """Whether a watch from an old revision is cancelled as compacted."""

    cancelled: bool
    compact_revision: int
    reason: str

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return {"cancelled": self.cancelled, "compact_revision": self.compact_revision, "reason": self.reason}


class SnapshotStream:
    """Blobs of a running snapshot, the last of which is the sha256 of all others. ``total_bytes`` (with it) is known before the first."""

    def __init__(self, blobs: Iterator[Tuple[int, Buffer]], close: Callable[[], None], endpoint: str) -> None:
        self._blobs = blobs
        self._close = close
        self.endpoint = endpoint
        self.received_bytes = 0
        remaining, first = next(blobs, (0, b""))
        self._first: Buffer = first
        self.total_bytes = remaining + len(first) + TRAILER_BYTES

    def __iter__(self) -> Iterator[Buffer]:
        if len(self._first):
            self.received_bytes += len(self._first)
            yield self._first
        for _remaining, blob in self._blobs:
            self.received_bytes += len(blob)
            yield blob

    def close(self) -> None:
        """Give the connection back, whether or not everything was read."""
        self._close()

    def __enter__(self) -> SnapshotStream:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class EtcdClient(Protocol):
    """One member, asked over one transport. Raises Unreachable, Rejected or NotAvailable."""

    connection: Connection
    transport: str

    def status(self) -> Status:
        """What the member says of itself (answered without a quorum)."""

    def members(self, linearizable: bool = False) -> Tuple[Member, ...]:
        """The member list as this member knows it, or with a quorum's consent."""

    def member_add(self, peer_urls: Sequence[str], learner: bool) -> Tuple[Member, Tuple[Member, ...]]:
        """Register a member that is to start; returns it and the whole list."""

    def member_remove(self, member_id: int) -> Tuple[Member, ...]:
        """Take a member out of the list."""

    def member_promote(self, member_id: int) -> Tuple[Member, ...]:
        """Give a learner that has caught up its vote."""

    def alarms(self) -> Tuple[Alarm, ...]:
        """Alarms that are raised (needs a quorum)."""

    def disarm_nospace(self) -> Tuple[Alarm, ...]:
        """Take back every alarm of a store without room, also those of members that there are no more; they are returned. Still full, it raises it again."""

    def defragment(self) -> None:
        """Give the room of what was compacted back. The member answers nobody meanwhile."""

    def snapshot(self) -> SnapshotStream:
        """Begin a snapshot."""

    def range(
        self,
        key: bytes,
        *,
        prefix: bool = False,
        limit: int = 0,
        revision: int = 0,
        serializable: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
    ) -> Range:
        """Read one key, or all that begin with it; linearizable unless ``serializable``."""

    def put(self, key: bytes, value: bytes) -> int:
        """Write a key; returns the revision."""

    def delete(self, key: bytes) -> int:
        """Delete a key; returns how many were deleted (0 or 1)."""

    def hash_kv(self, revision: int = 0) -> KeyHash:
        """Hash over all keys at a revision, on this member."""

    def watch_probe(self, revision: int) -> WatchProbe:
        """Whether a watch that starts at ``revision`` is cancelled as compacted."""

    def close(self) -> None:
        """Give connections back."""

    def __enter__(self) -> EtcdClient:
        """Close at the end of a with statement."""

    def __exit__(self, *_exception: object) -> None:
        """See close."""


class MessageClient:
    """The protocol on top of two primitives that a transport brings: one answer to one message, or a stream of answers."""

    transport = ""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def _call(self, method: messages.Method, request: Mapping[str, Any]) -> Message:
        raise NotImplementedError

    def _watch(self, request: Mapping[str, Any], timeout_seconds: float) -> Iterator[Message]:
        raise NotImplementedError

    def snapshot(self) -> SnapshotStream:
        """See EtcdClient."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is kept open unless a transport says so."""

    def __enter__(self) -> EtcdClient:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def status(self) -> Status:
        """See EtcdClient."""
        answer = self._call(messages.STATUS, {})
        header = answer["header"] or messages.HEADER.empty()
        return Status(
            cluster_id=header["cluster_id"],
            member_id=header["member_id"],
            revision=header["revision"],
            version=answer["version"],
            leader=answer["leader"],
            raft_index=answer["raftIndex"],
            # 3.3 does not tell what it has applied; what it has committed is the nearest thing.
            raft_applied_index=answer["raftAppliedIndex"] or answer["raftIndex"],
            raft_term=answer["raftTerm"],
            db_size_bytes=answer["dbSize"],
            db_size_in_use_bytes=answer["dbSizeInUse"],
            is_learner=answer["isLearner"],
            errors=tuple(answer["errors"]),
            storage_version=answer["storageVersion"],
            db_size_quota_bytes=answer["dbSizeQuota"],
        )

    def members(self, linearizable: bool = False) -> Tuple[Member, ...]:
        """See EtcdClient."""
        return _members(self._call(messages.MEMBER_LIST, {"linearizable": linearizable}))

    def member_add(self, peer_urls: Sequence[str], learner: bool) -> Tuple[Member, Tuple[Member, ...]]:
        """See EtcdClient."""
        answer = self._call(messages.MEMBER_ADD, {"peerURLs": list(peer_urls), "isLearner": learner})
        return _member(answer["member"]), _members(answer)

    def member_remove(self, member_id: int) -> Tuple[Member, ...]:
        """See EtcdClient."""
        return _members(self._call(messages.MEMBER_REMOVE, {"ID": member_id}))

    def member_promote(self, member_id: int) -> Tuple[Member, ...]:
        """See EtcdClient."""
        return _members(self._call(messages.MEMBER_PROMOTE, {"ID": member_id}))

    def alarms(self) -> Tuple[Alarm, ...]:
        """See EtcdClient."""
        answer = self._call(messages.ALARM, {})
        return tuple(Alarm(member_id=alarm["memberID"], alarm=alarm["alarm"]) for alarm in answer["alarms"])

    def disarm_nospace(self) -> Tuple[Alarm, ...]:
        """See EtcdClient."""
        raised = tuple(alarm for alarm in self.alarms() if alarm.alarm == NOSPACE)
        for alarm in raised:
            self._call(messages.ALARM, {"action": "DEACTIVATE", "memberID": alarm.member_id, "alarm": alarm.alarm})
        return raised

    def defragment(self) -> None:
        """See EtcdClient."""
        self._call(messages.DEFRAGMENT, {})

    def range(
        self,
        key: bytes,
        *,
        prefix: bool = False,
        limit: int = 0,
        revision: int = 0,
        serializable: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
    ) -> Range:
        """See EtcdClient."""
        request = {
            "key": key or WHOLE_STORE,
            "range_end": prefix_end(key) if prefix else b"",
            "limit": limit,
            "revision": revision,
            "serializable": serializable,
            "keys_only": keys_only,
            "count_only": count_only,
        }
        answer = self._call(messages.RANGE, request)
        items = tuple(KeyValue(kv["key"], kv["value"], kv["create_revision"], kv["mod_revision"], kv["version"], kv["lease"]) for kv in answer["kvs"])
        return Range(revision=answer["header"]["revision"], count=answer["count"], more=answer["more"], items=items)

    def put(self, key: bytes, value: bytes) -> int:
        """See EtcdClient."""
        return int(self._call(messages.PUT, {"key": key, "value": value})["header"]["revision"])

    def delete(self, key: bytes) -> int:
        """See EtcdClient."""
        return int(self._call(messages.DELETE, {"key": key})["deleted"])

    def hash_kv(self, revision: int = 0) -> KeyHash:
        """See EtcdClient."""
        answer = self._call(messages.HASH_KV, {"revision": revision})
        current = answer["header"]["revision"]
        # Before 3.6 the answer does not repeat which revision was hashed.
        return KeyHash(answer["hash"], answer["hash_revision"] or revision or current, answer["compact_revision"], current)

    def watch_probe(self, revision: int) -> WatchProbe:
        """See EtcdClient."""
        key = b"\0lifeboat/watch-probe"
        try:
            self.range(key, revision=revision, serializable=True)
        except Rejected as error:
            if error.future:
                return WatchProbe(False, 0, "revision %d lies in the future of this store" % revision)
            if not error.compacted:
                raise
        else:
            return WatchProbe(False, 0, "revision %d can still be read, so a watch from there goes on in silence" % revision)
        return self._cancelled_watch(key, revision)

    def _cancelled_watch(self, key: bytes, revision: int) -> WatchProbe:
        deadline = time.monotonic() + self.connection.timeout_seconds
        for answer in self._watch({"create_request": {"key": key, "start_revision": revision}}, self.connection.timeout_seconds):
            if answer["canceled"]:
                reason = answer["cancel_reason"] or "cancelled; compacted up to revision %d" % answer["compact_revision"]
                return WatchProbe(answer["compact_revision"] > 0, answer["compact_revision"], reason)
            if time.monotonic() > deadline:
                break
        return WatchProbe(False, 0, "the watch was not cancelled within %g s" % self.connection.timeout_seconds)


def _member(entry: Mapping[str, Any]) -> Member:
    return Member(entry["ID"], entry["name"], tuple(entry["peerURLs"]), tuple(entry["clientURLs"]), entry["isLearner"])


def _members(answer: Mapping[str, Any]) -> Tuple[Member, ...]:
    return tuple(_member(entry) for entry in answer["members"])


def snapshot_blob(answer: Buffer) -> Tuple[int, Buffer]:
    """How many bytes are left, and the bytes that one message of a snapshot brings. Raises Malformed."""
    remaining = 0
    blob: Buffer = b""
    for number, raw in fields(memoryview(answer)):
        if isinstance(raw, int):
            remaining = raw if number == 2 else remaining
        elif number == 3:
            blob = raw
    return remaining, blob


def hex_id(number: int) -> str:
    """An id as etcdctl prints it; empty for none."""
    return "%x" % number if number else ""


def prefix_end(prefix: bytes) -> bytes:
    """The first key after all keys that begin with ``prefix``."""
    end = bytearray(prefix)
    while end:
        if end[-1] < 0xFF:
            end[-1] += 1
            return bytes(end)
        end.pop()
    return WHOLE_STORE


def sorted_members(members: Sequence[Member]) -> List[Member]:
    """By name, the nameless last, so that results do not change with the order of the list."""
    return sorted(members, key=lambda member: (not member.name, member.name, member.member_id))
