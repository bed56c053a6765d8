# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an etcd database holds: live keys, counts, kinds, encryption, members, revisions; without a running etcd."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client import messages
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Alarm, Member, sorted_members
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import StoreCorrupt
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.bolt import BoltFile
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import (
    CBOR_MAGIC,
    DEFAULT_PREFIX,
    ENCRYPTION_MAGIC,
    KUBE_SYSTEM,
    PROTOBUF_MAGIC,
    UNKNOWN,
    EncryptionKey,
    NamespaceIdentity,
    Sample,
    choose,
    encryption_key,
    identity_of,
    normal_prefix,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Malformed, fields, read_varint

__all__ = ["UNKNOWN", "EncryptionKey", "Entry", "Inventory", "Sample", "Store", "encryption_key", "key_prefix", "resource_of"]
ENCRYPTED = "encrypted"
NO_PREFIX = "(no prefix)"
# How much of a value is looked at for its kind or its encryption prefix.
_HEAD_BYTES = 512
# Custom resources are stored as JSON with sorted names: apiVersion and kind stand first.
_JSON_HEAD = re.compile(rb'^\{"apiVersion":"([^"\\]{1,253})","kind":"([^"\\]{1,253})"')
_REVISION = struct.Struct(">Q")


@dataclass(frozen=True)
class Entry:
    """One live key of the store."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int

    @property
    def value_sha256(self) -> str:
        """Digest of the value: for comparing without keeping what may be a secret."""
        return hashlib.sha256(self.value).hexdigest()


@dataclass
class Inventory:
    """Summary of a store."""

    revision: int = 0
    highest_row_revision: int = 0
    compact_revision: int = 0
    scheduled_compact_revision: int = 0
    consistent_index: int = 0
    term: int = 0
    storage_version: str = ""
    cluster_version: str = ""
    #: The release to which the cluster is being brought back; empty where it is not.
    downgrade_target: str = ""
    members: List[Member] = field(default_factory=list)
    members_removed: List[str] = field(default_factory=list)
    alarms: List[Alarm] = field(default_factory=list)
    keys_total: int = 0
    leases_total: int = 0
    leased_keys_total: int = 0
    keys_by_prefix: Dict[str, int] = field(default_factory=dict)
    keys_by_kind: Dict[str, int] = field(default_factory=dict)
    encryption: Dict[EncryptionKey, Dict[str, int]] = field(default_factory=dict)
    unencrypted_secrets: int = 0
    unencrypted_by_resource: Dict[str, int] = field(default_factory=dict)
    registry_keys: Dict[str, int] = field(default_factory=dict)
    kube_system: NamespaceIdentity = NamespaceIdentity("", "nobody looked")
    # Not part of a record: what a manifest holds is not encrypted.
    samples: List[Sample] = field(default_factory=list)

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return {
            "revision": self.revision,
            "compact_revision": self.compact_revision,
            "consistent_index": self.consistent_index,
            "term": self.term,
            "storage_version": self.storage_version,
            "cluster_version": self.cluster_version,
            "downgrade_target": self.downgrade_target,
            # The cluster id is not in the database; it is made from the members' URLs and the token.
            "cluster_id": None,
            "members": [member.as_result() for member in self.members],
            "members_removed": list(self.members_removed),
            "alarms": [{"member_id": "%x" % alarm.member_id, "alarm": alarm.alarm} for alarm in self.alarms],
            "keys_total": self.keys_total,
            "leases_total": self.leases_total,
            "leased_keys_total": self.leased_keys_total,
            "keys_by_prefix": dict(sorted(self.keys_by_prefix.items())),
            "keys_by_kind": dict(sorted(self.keys_by_kind.items())),
            "encryption": [
                {"provider": key.provider, "version": key.version, "key_name": key.key_name, "count": sum(resources.values()), "resources": sorted(resources)}
                for key, resources in sorted(self.encryption.items(), key=lambda pair: (pair[0].provider, pair[0].version, pair[0].key_name))
            ],
            "unencrypted_secrets": self.unencrypted_secrets,
            "unencrypted_by_resource": dict(sorted(self.unencrypted_by_resource.items())),
            "registry_keys": dict(sorted(self.registry_keys.items())),
            "kube_system_uid": self.kube_system.uid or None,
            "kube_system_reason": self.kube_system.reason,
        }


class Store:
    """The key space of a bbolt file of etcd, as of its newest revision."""

    def __init__(self, bolt: BoltFile) -> None:
        self._bolt = bolt
        self._rows: Optional[Dict[bytes, Tuple[int, int]]] = None
        self.highest_row_revision = 0

    @classmethod
    def open(cls, path: str) -> Store:
        """Open a snapshot, or a database of a member that does not run."""
        return cls(BoltFile(path))

    def close(self) -> None:
        """Give the file back."""
        self._bolt.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def live(self, prefix: bytes = b"") -> Iterator[Entry]:
        """Every key that is not deleted and begins with ``prefix``, in the order of the keys."""
        rows = self._live_rows()
        for key in sorted(key for key in rows if key.startswith(prefix)) if prefix else sorted(rows):
            yield self._entry(key, rows[key])

    def keys(self, prefix: bytes = b"") -> Iterator[bytes]:
        """The keys alone."""
        return iter(sorted(key for key in self._live_rows() if key.startswith(prefix)))

    def object_at(self, key: bytes) -> Optional[Entry]:
        """One key, or nothing when it is not there."""
        place = self._live_rows().get(key)
        return None if place is None else self._entry(key, place)

    @property
    def storage_version(self) -> str:
        """Of the data, as etcd writes it since 3.6; empty before."""
        return (self._bolt.get("meta", b"storageVersion") or b"").decode("utf-8", "replace")

    def inventory(self, kinds: bool = True, prefixes: Sequence[str] = (DEFAULT_PREFIX,)) -> Inventory:
        """Count and summarise; ``kinds`` looks into every value. ``prefixes`` are those below which API servers keep their objects."""
        result = Inventory()
        self._meta(result)
        self._members(result)
        result.leases_total = sum(1 for _row in self._bolt.rows("lease"))
        rows = self._live_rows()
        result.highest_row_revision = self.highest_row_revision
        # As etcd itself does at start: rows up to a compaction may all be gone, the revision is not.
        result.revision = max(self.highest_row_revision, result.compact_revision, result.scheduled_compact_revision)
        result.keys_total = len(rows)
        self._registry(rows, result, prefixes)
        self._count(rows, result, kinds)
        return result

    def kind_of(self, key: bytes) -> str:
        """The kind that stands in a value (apps/v1/Deployment), ``encrypted`` or ``unknown``."""
        place = self._live_rows()[key]
        start, end, _lease = self._value_place(*place)
        head = self._bolt.data[start : min(end, start + _HEAD_BYTES)]
        return ENCRYPTED if head.startswith(ENCRYPTION_MAGIC) else self._kind(head, start, end, {})

    def _registry(self, rows: Mapping[bytes, Tuple[int, int]], result: Inventory, prefixes: Sequence[str]) -> None:
        """How much lies below each prefix, and who the cluster is."""
        identities = []
        for prefix in dict.fromkeys(normal_prefix(text) for text in prefixes):
            start = prefix.encode() + b"/"
            result.registry_keys[prefix] = sum(1 for key in rows if key.startswith(start))
            namespace = self.object_at((prefix + KUBE_SYSTEM).encode())
            identities.append(identity_of(namespace.value if namespace else None, prefix))
        if identities:
            result.kube_system = next((one for one in identities if one.uid), identities[0])

    def _corrupt(self, what: str) -> StoreCorrupt:
        return StoreCorrupt(
            "the key space in %s cannot be read" % self._bolt.path,
            found=what,
            remedy="Use another copy of this snapshot, or another recovery point.",
            path=self._bolt.path,
            reason="corrupt",
        )

    def _live_rows(self) -> Dict[bytes, Tuple[int, int]]:
        """Where the newest row of each live key has its value. There is no index by key in the file: all rows are read once."""
        if self._rows is not None:
            return self._rows
        data = self._bolt.data
        live: Dict[bytes, Tuple[int, int]] = {}
        newest = b""
        for start, middle, end, _flags in self._bolt.rows("key"):
            row = data[start:middle]
            if row <= newest:
                raise self._corrupt("rows out of order after revision %d" % (_REVISION.unpack_from(newest)[0] if newest else 0))
            if len(row) not in (17, 18) or row[8:9] != b"_":
                raise self._corrupt("a row with a key of %d bytes that is not a revision" % len(row))
            newest = row
            if middle == end:
                # Only the revision counts: this is how a restore raises it.
                continue
            if end - middle < 2:
                raise self._corrupt("the record of revision %d is cut off" % _REVISION.unpack_from(row)[0])
            # The key is the first field of the record.
            size, position = data[middle + 1], middle + 2
            if size > 0x7F:
                size, position = self._long_size(middle + 1)
            if data[middle] != 0x0A or position + size > end:
                raise self._corrupt("the record of revision %d does not begin with a key" % _REVISION.unpack_from(row)[0])
            key = data[position : position + size]
            if len(row) == 18:
                live.pop(key, None)
            else:
                live[key] = (position + size, end)
        if newest:
            self.highest_row_revision = int(_REVISION.unpack_from(newest)[0])
        self._rows = live
        return live

    def _long_size(self, position: int) -> Tuple[int, int]:
        try:
            size, after = read_varint(self._bolt.data[position : position + 10], 0)
        except Malformed as error:
            raise self._corrupt(str(error)) from None
        return size, position + after

    def _entry(self, key: bytes, place: Tuple[int, int]) -> Entry:
        numbers = {2: 0, 3: 0, 4: 0, 6: 0}
        value = b""
        try:
            for number, raw in fields(self._bolt.data[place[0] : place[1]]):
                if isinstance(raw, int):
                    numbers[number] = raw
                elif number == 5:
                    value = bytes(raw)
        except Malformed as error:
            raise self._corrupt("the record of key %r: %s" % (key[:200], error)) from None
        lease = numbers[6] - (1 << 64) if numbers[6] >> 63 else numbers[6]
        return Entry(key, value, numbers[2], numbers[3], numbers[4], lease)

    def _meta(self, result: Inventory) -> None:
        meta = dict(self._bolt.items("meta"))
        result.consistent_index = _number(meta.get(b"consistent_index"))
        result.term = _number(meta.get(b"term"))
        result.storage_version = self.storage_version
        result.compact_revision = _number(meta.get(b"finishedCompactRev"))
        result.scheduled_compact_revision = _number(meta.get(b"scheduledCompactRev"))
        result.cluster_version = (self._bolt.get("cluster", b"clusterVersion") or b"").decode("utf-8", "replace")
        result.downgrade_target = self._downgrade_target()
        for key, _value in self._bolt.items("alarm"):
            try:
                alarm = messages.ALARM_MEMBER.decode(key)
            except Malformed as error:
                raise self._corrupt("an alarm: %s" % error) from None
            result.alarms.append(Alarm(alarm["memberID"], alarm["alarm"]))

    def _downgrade_target(self) -> str:
        """From etcd 3.5 on. Source: server/storage/schema/membership.go of etcd 3.6."""
        value = self._bolt.get("cluster", b"downgrade")
        try:
            document = json.loads(value or b"{}")
            return str(document.get("target-version") or "") if document.get("enabled") else ""
        except (ValueError, AttributeError, RecursionError) as error:
            raise self._corrupt("the pending downgrade: %s" % error) from None

    def _members(self, result: Inventory) -> None:
        members = []
        for key, value in self._bolt.items("members"):
            try:
                document = json.loads(value)
                members.append(
                    Member(
                        member_id=int(key, 16),
                        name=str(document.get("name", "")),
                        peer_urls=tuple(str(url) for url in document.get("peerURLs") or ()),
                        client_urls=tuple(str(url) for url in document.get("clientURLs") or ()),
                        is_learner=bool(document.get("isLearner", False)),
                    )
                )
            except (ValueError, AttributeError, TypeError, RecursionError) as error:
                raise self._corrupt("member %r: %s" % (key[:32], error)) from None
        result.members = sorted_members(members)
        result.members_removed = sorted(key.decode("ascii", "backslashreplace") for key, _value in self._bolt.items("members_removed"))

    def _count(self, rows: Mapping[bytes, Tuple[int, int]], result: Inventory, kinds: bool) -> None:
        data = self._bolt.data
        prefixes: Dict[bytes, int] = {}
        by_kind: Dict[str, int] = {}
        known: Dict[bytes, str] = {}
        resources: Dict[bytes, str] = {}
        plain: Dict[str, int] = {}
        shortest: Dict[Tuple[EncryptionKey, str], Tuple[int, bytes]] = {}
        for key, (start, end) in rows.items():
            prefix = key_prefix(key)
            prefixes[prefix] = prefixes.get(prefix, 0) + 1
            if not kinds:
                continue
            resource = resources.get(prefix)
            if resource is None:
                resource = resources[prefix] = resource_of(prefix)
            start, end, lease = self._value_place(start, end)
            result.leased_keys_total += lease
            head = data[start : min(end, start + _HEAD_BYTES)]
            if head.startswith(ENCRYPTION_MAGIC):
                kind = ENCRYPTED
                encryption = encryption_key(head)
                counts = result.encryption.setdefault(encryption, {})
                counts[resource] = counts.get(resource, 0) + 1
                place = (end - start, key)
                shortest[encryption, resource] = min(place, shortest.get((encryption, resource), place))
            else:
                kind = self._kind(head, start, end, known)
                plain[resource] = plain.get(resource, 0) + 1
            by_kind[kind] = by_kind.get(kind, 0) + 1
        result.keys_by_prefix = {prefix.decode("utf-8", "backslashreplace") or NO_PREFIX: count for prefix, count in prefixes.items()}
        result.keys_by_kind = by_kind
        result.unencrypted_by_resource = plain
        result.unencrypted_secrets = plain.get("secrets", 0)
        if shortest:
            self._take_samples(result, shortest)

    def _take_samples(self, result: Inventory, shortest: Mapping[Tuple[EncryptionKey, str], Tuple[int, bytes]]) -> None:
        """The shortest value of each key, and the namespace that names the cluster where it is encrypted."""
        namespaces = [(prefix + KUBE_SYSTEM).encode() for prefix in result.registry_keys]
        for path in choose(shortest, namespaces if result.kube_system.encrypted else []):
            entry = self.object_at(path)
            if entry is not None and entry.value.startswith(ENCRYPTION_MAGIC):
                result.samples.append(Sample(encryption_key(entry.value[:_HEAD_BYTES]), resource_of(key_prefix(path)), path, entry.value))

    def _value_place(self, start: int, end: int) -> Tuple[int, int, int]:
        """Where the value lies inside the rest of a record, and whether the key has a lease."""
        data = self._bolt.data
        position, value_start, value_end, lease = start, end, end, 0
        try:
            while position < end:
                tag = data[position]
                position += 1
                if tag == 0x2A:
                    size, position = data[position], position + 1
                    if size > 0x7F:
                        size, position = self._long_size(position - 1)
                    value_start, value_end = position, position + size
                    position = value_end
                elif tag in (0x10, 0x18, 0x20, 0x30):
                    if tag == 0x30 and data[position]:
                        lease = 1
                    while data[position] > 0x7F:
                        position += 1
                    position += 1
                else:
                    raise self._corrupt("a record has the unknown field %d" % (tag >> 3))
        except IndexError:
            position = end + 1
        if position > end:
            raise self._corrupt("a record runs over its end")
        return value_start, value_end, lease

    def _kind(self, head: bytes, start: int, end: int, known: Dict[bytes, str]) -> str:
        if head.startswith(PROTOBUF_MAGIC):
            # The type stands first and is short: k8s\0, tag 1, size, type.
            size = head[5] if len(head) > 5 and head[4] == 0x0A else 0
            type_meta = head[6 : 6 + size]
            kind = known.get(type_meta)
            if kind is None:
                kind = known[type_meta] = _protobuf_kind(type_meta)
            return kind
        if head.startswith(b"{"):
            match = _JSON_HEAD.match(head)
            if match:
                return "%s/%s" % (match.group(1).decode("utf-8", "replace"), match.group(2).decode("utf-8", "replace"))
            try:
                document = json.loads(self._bolt.data[start:end])
            except (ValueError, RecursionError):
                return UNKNOWN
            return _kind_of(document.get("apiVersion"), document.get("kind")) if isinstance(document, dict) else UNKNOWN
        if head.startswith(CBOR_MAGIC):
            return _cbor_kind(self._bolt.data[start + len(CBOR_MAGIC) : end])
        return UNKNOWN


def key_prefix(key: bytes) -> bytes:
    """The part of a key that names its resource: /registry/secrets/, /registry/services/specs/, /registry/cert-manager.io/certificates/."""
    parts = key.split(b"/", 4)
    if len(parts) < 3:
        return b""
    if len(parts) == 3:
        return key[: key.rindex(b"/") + 1]
    depth = 4 if len(parts) > 4 and (b"." in parts[2] or parts[2] == b"services") else 3
    return b"/".join(parts[:depth]) + b"/"


def resource_of(prefix: bytes) -> str:
    """The resource, with its group where the key has one, that a prefix stands for."""
    parts = prefix.decode("utf-8", "backslashreplace").strip("/").split("/")
    if len(parts) >= 3 and "." in parts[1]:
        return "%s.%s" % (parts[2], parts[1])
    return "/".join(parts[1:]) if len(parts) > 1 else parts[0]


def _number(value: Optional[bytes]) -> int:
    return int(_REVISION.unpack_from(value)[0]) if value and len(value) >= 8 else 0


def _kind_of(api_version: Any, kind: Any) -> str:
    return "%s/%s" % (api_version, kind) if isinstance(api_version, str) and isinstance(kind, str) and kind else UNKNOWN


def _protobuf_kind(type_meta: bytes) -> str:
    try:
        parts = {number: bytes(raw).decode("utf-8", "replace") for number, raw in fields(type_meta) if not isinstance(raw, int)}
    except Malformed:
        return UNKNOWN
    return _kind_of(parts.get(1), parts.get(2))


def _cbor_kind(data: bytes) -> str:
    """apiVersion and kind of a map in CBOR; everything else in it is stepped over."""
    found: Dict[str, str] = {}
    try:
        major, count, position = _cbor_head(data, 0)
        if major != 5:
            return UNKNOWN
        for _index in range(count):
            start = position
            position = _cbor_skip(data, position, 0)
            name = _cbor_text(data[start:position])
            start = position
            position = _cbor_skip(data, position, 0)
            if name in ("apiVersion", "kind"):
                found[name] = _cbor_text(data[start:position])
                if len(found) == 2:
                    break
    except (IndexError, ValueError):
        return UNKNOWN
    return _kind_of(found.get("apiVersion"), found.get("kind"))


def _cbor_head(data: bytes, position: int) -> Tuple[int, int, int]:
    major, extra = data[position] >> 5, data[position] & 31
    position += 1
    if extra < 24:
        return major, extra, position
    if extra > 27:
        raise ValueError("indefinite length")
    size = 1 << (extra - 24)
    if position + size > len(data):
        raise IndexError
    return major, int.from_bytes(data[position : position + size], "big"), position + size


def _cbor_text(item: bytes) -> str:
    major, size, position = _cbor_head(item, 0)
    return item[position : position + size].decode("utf-8", "replace") if major in (2, 3) else ""


def _cbor_skip(data: bytes, position: int, depth: int) -> int:
    if depth > 64:
        raise ValueError("nested too deeply")
    major, argument, position = _cbor_head(data, position)
    if major in (2, 3):
        position += argument
    elif major in (4, 5):
        for _index in range(argument * (2 if major == 5 else 1)):
            position = _cbor_skip(data, position, depth + 1)
    elif major == 6:
        position = _cbor_skip(data, position, depth + 1)
    if position > len(data):
        raise IndexError
    return position
