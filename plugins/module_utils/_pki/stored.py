# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Kubernetes keeps in a store: the UID that names the cluster, and samples of values that are encrypted.

A stored object is ``k8s\\0`` and a protobuf message (1: type, 2: the object), or JSON. An object begins with its metadata (1), whose UID is field 5
(kubernetes/apimachinery pkg/runtime/generated.proto, pkg/apis/meta/v1/generated.proto). An encrypted value begins with
``k8s:enc:<provider>:<version>:<key name>:`` (kubernetes/apiserver pkg/server/options/encryptionconfig/config.go).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Buffer, Malformed, fields

PROTOBUF_MAGIC = b"k8s\0"
ENCRYPTION_MAGIC = b"k8s:enc:"
CBOR_MAGIC = b"\xd9\xd9\xf7"
DEFAULT_PREFIX = "/registry"
KUBE_SYSTEM = "/namespaces/kube-system"
UNKNOWN = "unknown"
NOT_READABLE = "not readable: it is encrypted with "
# One sample of each key and resource is taken, the shortest; these bound what all of them may be.
MOST_SAMPLES = 64
LARGEST_FURTHER_SAMPLE_BYTES = 16 << 10


@dataclass(frozen=True)
class EncryptionKey:
    """One key of one provider that values in the store are encrypted with."""

    provider: str
    version: str
    key_name: str

    def __str__(self) -> str:
        return "%s %s" % ("kms %s" % self.version if self.provider == "kms" else self.provider, self.key_name)


@dataclass(frozen=True)
class Sample:
    """One encrypted value, as it is stored, and where. It holds no key."""

    encryption: EncryptionKey
    resource: str
    path: bytes
    value: bytes

    def as_result(self) -> Dict[str, Any]:
        """For a module's result; the path is part of what AES-GCM authenticates."""
        return {
            "provider": self.encryption.provider,
            "version": self.encryption.version,
            "key_name": self.encryption.key_name,
            "resource": self.resource,
            "path": base64.b64encode(self.path).decode("ascii"),
            "value": base64.b64encode(self.value).decode("ascii"),
        }

    @classmethod
    def from_result(cls, record: Mapping[str, Any]) -> Sample:
        """Read what ``as_result`` gave."""
        key = EncryptionKey(str(record["provider"]), str(record["version"]), str(record["key_name"]))
        return cls(key, str(record["resource"]), base64.b64decode(record["path"]), base64.b64decode(record["value"]))


@dataclass(frozen=True)
class NamespaceIdentity:
    """The UID of the namespace kube-system, which names the cluster, or why it is not known. ``encrypted`` tells with what, where it is."""

    uid: str
    reason: str = ""
    encrypted: Optional[EncryptionKey] = None


def encryption_key(head: bytes) -> EncryptionKey:
    """Which provider and key a value was encrypted with: k8s:enc:<provider>:<version>:<key name>:."""
    parts = head[len(ENCRYPTION_MAGIC) :].split(b":", 3)
    texts = [part.decode("utf-8", "backslashreplace")[:253] for part in parts[:3]]
    if len(parts) < 4:
        # No colon after the name: whatever this is, its bytes are not to be shown.
        return EncryptionKey(texts[0] if len(parts) > 1 else UNKNOWN, texts[1] if len(parts) > 2 else UNKNOWN, UNKNOWN)
    return EncryptionKey(texts[0], texts[1], texts[2])


def is_object(value: bytes) -> bool:
    """Whether a plain value is an object of Kubernetes, in one of the encodings that it stores."""
    if value.startswith((PROTOBUF_MAGIC, CBOR_MAGIC)):
        return True
    if not value.startswith(b"{"):
        return False
    try:
        return isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False


def normal_prefix(prefix: str) -> str:
    """``--etcd-prefix`` as the API server uses it: with one slash before it and none behind it."""
    return "/" + prefix.strip("/") if prefix.strip("/") else ""


def uid_of(value: bytes) -> str:
    """The UID of a stored object that is not encrypted; empty when it cannot be read."""
    if value.startswith(PROTOBUF_MAGIC):
        metadata = _first(_first(value[len(PROTOBUF_MAGIC) :], 2), 1)
        return bytes(_first(metadata, 5)).decode("utf-8", "replace")
    return uid_of_json(value) if value.startswith(b"{") else ""


def uid_of_json(value: Any) -> str:
    """The UID of an object in JSON; empty when it cannot be read."""
    try:
        uid = json.loads(value)["metadata"]["uid"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return uid if isinstance(uid, str) else ""


def _first(message: Buffer, number: int) -> Buffer:
    """The first field of that number, or nothing."""
    try:
        for found, raw in fields(message):
            if found == number and not isinstance(raw, int):
                return raw
    except Malformed:
        pass
    return b""


def identity_of(value: Optional[bytes], prefix: str) -> NamespaceIdentity:
    """Who a cluster is, out of what is stored for its namespace kube-system."""
    if value is None:
        return NamespaceIdentity("", "%s%s is not there" % (prefix, KUBE_SYSTEM))
    if value.startswith(ENCRYPTION_MAGIC):
        key = encryption_key(value[:512])
        return NamespaceIdentity("", "%s%s" % (NOT_READABLE, key), key)
    uid = uid_of(value)
    return NamespaceIdentity(uid) if uid else NamespaceIdentity("", "%s%s has no UID that can be read" % (prefix, KUBE_SYSTEM))


@dataclass(frozen=True)
class Verdict:
    """Whether a check is met, and what was found."""

    passed: bool
    found: str

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return {"passed": self.passed, "found": self.found}


def judge_registry(counts: Mapping[str, int]) -> Verdict:
    """Whether a store holds the objects of the cluster: keys below each prefix that its API servers name."""
    texts = ["%d keys below %s" % (count, prefix or "/") for prefix, count in sorted(counts.items())]
    return Verdict(bool(counts) and all(counts.values()), ", ".join(texts) or "no prefix was asked for")


def judge_identity(uid: Optional[str], reason: str, encrypted: bool, told: str) -> Verdict:
    """Whether a store is that of the cluster whose API server told its UID.

    What is encrypted is compared when its key is proven; where the API server told nothing, the namespace has to be there all the same.
    """
    if not uid:
        return Verdict(encrypted, reason or "kube-system is not there")
    if told and uid != told:
        return Verdict(False, "kube-system is %s there, the API server says %s" % (uid, told))
    return Verdict(True, "kube-system is %s%s" % (uid, "" if told else "; no API server was asked"))


def judge_stores(v2: Mapping[str, Any], v3: Mapping[str, Any], told: str) -> Verdict:
    """The same of a backup of both stores, out of their records: one of them is the one that the API server serves.

    The other may hold what somebody left there long ago; that it is of the same etcd is certain then.
    """
    uids = sorted({str(store["kube_system_uid"]) for store in (v2, v3) if store.get("kube_system_uid")})
    if told and told in uids:
        others = [uid for uid in uids if uid != told]
        return Verdict(True, "kube-system is %s%s" % (told, "; %s in the store that is not in use" % " and ".join(others) if others else ""))
    if len(uids) > 1:
        return Verdict(False, "the two stores are of two clusters: kube-system is %s" % " and ".join(uids))
    reason = str(v3.get("kube_system_reason") or "")
    return judge_identity(uids[0] if uids else "", reason, reason.startswith(NOT_READABLE), told)


def choose(shortest: Mapping[Tuple[EncryptionKey, str], Tuple[int, bytes]], always: Sequence[bytes]) -> List[bytes]:
    """Paths of the values to take as samples: one of each key in any case, and one of each resource of it as long as they are few and short."""
    firsts: Dict[EncryptionKey, Tuple[int, bytes]] = {}
    for (key, _resource), place in shortest.items():
        firsts[key] = min(place, firsts.get(key, place))
    chosen = list(dict.fromkeys([*always, *(path for _size, path in firsts.values())]))
    for size, path in sorted(shortest.values()):
        if len(chosen) < MOST_SAMPLES and size <= LARGEST_FURTHER_SAMPLE_BYTES and path not in chosen:
            chosen.append(path)
    return chosen
