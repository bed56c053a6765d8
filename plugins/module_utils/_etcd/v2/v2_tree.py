# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of an etcd v2 store without its values: read from a raft snapshot or from the API, listed, counted, compared.

A raft snapshot (``member/snap/*.snap``) holds the whole tree as JSON, hidden keys too, which no recursive read of the API shows
(etcd-io/etcd v3.4 etcdserver/api/v2store/store.go and node.go). User keys lie below ``/1``, the cluster's own below ``/0``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import IO, Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import BackupInvalid
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import KUBE_SYSTEM, uid_of_json
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Buffer, Malformed, fields

REGISTRY = "/registry"
ENCRYPTED = "encrypted"
UNKNOWN = "unknown"
_USER_KEYS = "1"
_CLUSTER_KEYS = "0"
# How etcd writes that a key does not expire: Go's zero time.
_NEVER = "0001-01-01T00:00:00Z"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")
_SECOND = "%Y-%m-%dT%H:%M:%S"
_ENCRYPTION_MAGIC = "k8s:enc:"
_LISTED = ("key", "directory", "value_sha256", "created_index", "modified_index", "expires_at")


@dataclass(frozen=True)
class Node:
    """One key or directory. ``expires_at`` is empty for what stays; ``kind`` is only known where the value was at hand."""

    key: str
    directory: bool
    value_sha256: str
    created_index: int
    modified_index: int
    expires_at: str = ""
    kind: str = ""

    @property
    def hidden(self) -> bool:
        """A key is hidden, with all below it, when a part of its name begins with an underscore."""
        return "/_" in self.key

    @property
    def content(self) -> Tuple[bool, str, str]:
        """What a restore has to bring back."""
        return self.directory, self.value_sha256, self.expires_at

    def expired(self, now: float) -> bool:
        """Whether its time is over."""
        return bool(self.expires_at) and _seconds(self.expires_at) <= now


@dataclass
class Tree:
    """Every key by its name. ``index`` is that of the store when it was read; ``hidden_known`` whether hidden keys would be in it."""

    nodes: Dict[str, Node] = field(default_factory=dict)
    index: int = 0
    hidden_known: bool = True
    # Known where values were at hand.
    kube_system_uid: str = ""
    members: Dict[str, List[str]] = field(default_factory=dict)

    def below(self, prefix: str) -> int:
        """How many keys lie below a directory."""
        return sum(1 for node in self.nodes.values() if not node.directory and node.key.startswith(prefix + "/"))

    @property
    def digest(self) -> str:
        """SHA-256 over name, value, kind of node and whether it expires, of all in order."""
        digest = hashlib.sha256()
        for node in self.sorted():
            digest.update(json.dumps([node.key, node.directory, node.value_sha256, bool(node.expires_at)]).encode() + b"\n")
        return digest.hexdigest()

    def sorted(self) -> List[Node]:
        """In the order of their names."""
        return [self.nodes[key] for key in sorted(self.nodes)]

    def hidden_roots(self) -> List[str]:
        """Hidden nodes, each of which the API only shows to who asks for it by name."""
        return [node.key for node in self.sorted() if node.key.rpartition("/")[2].startswith("_")]

    def summary(self) -> Dict[str, Any]:
        """Counts for a module's result; no value and no key's name."""
        keys = [node for node in self.nodes.values() if not node.directory]
        tops: Dict[str, int] = {}
        kinds: Dict[str, int] = {}
        for node in keys:
            top = "/" + node.key.split("/")[1]
            tops[top] = tops.get(top, 0) + 1
            if node.kind:
                kinds[node.kind] = kinds.get(node.kind, 0) + 1
        return {
            "index": self.index,
            "keys_total": len(keys),
            "directories_total": len(self.nodes) - len(keys),
            "registry_keys": self.below(REGISTRY),
            "hidden_total": sum(1 for node in self.nodes.values() if node.hidden) if self.hidden_known else None,
            "expiring_total": sum(1 for node in self.nodes.values() if node.expires_at),
            "keys_by_top": dict(sorted(tops.items())),
            "keys_by_kind": dict(sorted(kinds.items())),
            "digest": self.digest,
            "kube_system_uid": self.kube_system_uid or None,
        }


@dataclass(frozen=True)
class Difference:
    """Names of keys that differ; never a value. ``changed_since`` and ``expired`` are none: time went on."""

    missing: List[str]
    extra: List[str]
    changed: List[str]
    changed_since: List[str]
    expired: List[str]

    @property
    def equal(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.missing or self.extra or self.changed)

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return dict(vars(self), equal=self.equal)

    def __str__(self) -> str:
        parts = [(what, getattr(self, what)) for what in ("missing", "extra", "changed")]
        return "; ".join("%s: %s%s" % (what, ", ".join(keys[:5]), " and %d more" % (len(keys) - 5) if len(keys) > 5 else "") for what, keys in parts if keys)


def compare(expected: Tree, found: Tree, now: float, since: Optional[int] = None) -> Difference:
    """What differs from the expected tree. With ``since``, what was written to the found one after that index is no difference.

    A key that is gone leaves no index behind. With ``since`` it counts as missing only while the found store is at that very index.
    """
    missing: List[str] = []
    extra: List[str] = []
    changed: List[str] = []
    later: List[str] = []
    expired: List[str] = []
    moved_on = since is not None and found.index > since
    ended = sorted(node.key for node in expected.nodes.values() if node.expired(now))
    for key, node in sorted(expected.nodes.items()):
        other = found.nodes.get(key)
        if other is None:
            if any(key == over or key.startswith(over + "/") for over in ended):
                expired.append(key)
            elif not node.hidden or found.hidden_known:
                (later if moved_on else missing).append(key)
        elif other.content != node.content:
            (later if since is not None and other.modified_index > since else changed).append(key)
    for key, other in sorted(found.nodes.items()):
        if key not in expected.nodes and (not other.hidden or expected.hidden_known):
            (later if since is not None and other.created_index > since else extra).append(key)
    return Difference(missing, extra, changed, later, expired)


def from_raft_snapshot(path: str) -> Tree:
    """The tree out of a raft snapshot file. etcd itself checks the file's checksum when it starts from it."""
    with open(path, "rb") as source:
        outer = _field(memoryview(source.read()), 2, path)
    try:
        document = json.loads(bytes(_field(outer, 1, path)))
        root = document["Root"]["Children"]
        tree = Tree(index=int(document["CurrentIndex"]))
        for child in ((root.get(_USER_KEYS) or {}).get("Children") or {}).values():
            _add_stored(tree, child)
        members = ((root.get(_CLUSTER_KEYS) or {}).get("Children") or {}).get("members") or {}
        for identity, member in (members.get("Children") or {}).items():
            tree.members[identity] = list(json.loads(member["Children"]["raftAttributes"]["Value"])["peerURLs"])
    except (ValueError, KeyError, TypeError) as error:
        raise BackupInvalid(
            "%s is not a raft snapshot with a v2 store" % path, found="%s: %s" % (type(error).__name__, str(error)[:80]), path=path, reason="altered"
        ) from None
    return tree


def _field(buffer: Buffer, number: int, path: str) -> memoryview:
    try:
        for found, raw in fields(buffer):
            if found == number and not isinstance(raw, int):
                return memoryview(raw)
    except Malformed as error:
        raise BackupInvalid("%s is not a raft snapshot" % path, found=str(error), path=path, reason="altered") from None
    raise BackupInvalid("%s is not a raft snapshot" % path, found="no field %d" % number, path=path, reason="altered")


def _add_stored(tree: Tree, stored: Mapping[str, Any]) -> None:
    """A node as the store writes it: no map of children is a key, even an empty one is a directory."""
    key = str(stored["Path"])[len("/" + _USER_KEYS) :]
    children = stored["Children"]
    expires = "" if stored["ExpireTime"] == _NEVER else _utc(str(stored["ExpireTime"]))
    _add(tree, key, children is not None, str(stored["Value"]), int(stored["CreatedIndex"]), int(stored["ModifiedIndex"]), expires)
    for child in (children or {}).values():
        _add_stored(tree, child)


def add_answer(tree: Tree, node: Mapping[str, Any]) -> None:
    """A node as the API answers, with all below it."""
    key, directory = str(node.get("key") or ""), bool(node.get("dir"))
    if key:
        index, expires = int(node.get("modifiedIndex") or 0), str(node.get("expiration") or "")
        _add(tree, key, directory, str(node.get("value") or ""), int(node.get("createdIndex") or 0), index, _utc(expires) if expires else "")
    for child in node.get("nodes") or ():
        add_answer(tree, child)


def _add(tree: Tree, key: str, directory: bool, value: str, created: int, modified: int, expires: str) -> None:
    digest = "" if directory else hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    kind = _kind(value) if not directory and key.startswith(REGISTRY + "/") else ""
    tree.nodes[key] = Node(key, directory, digest, created, modified, expires, kind)
    if key == REGISTRY + KUBE_SYSTEM and not directory:
        tree.kube_system_uid = uid_of_json(value)


def _kind(value: str) -> str:
    if value.startswith(_ENCRYPTION_MAGIC):
        return ENCRYPTED
    try:
        document = json.loads(value)
        return "%s/%s" % (document["apiVersion"], document["kind"])
    except (ValueError, KeyError, TypeError):
        return UNKNOWN


def _utc(text: str) -> str:
    """A time in UTC: the store writes it in the zone of the member, the API tells it in UTC."""
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError("%r is not a time" % text[:40])
    whole, fraction, zone = match.group(1), match.group(2) or "", match.group(3)
    moment = datetime.strptime(whole, _SECOND)
    if zone != "Z":
        sign = -1 if zone[0] == "+" else 1
        moment += timedelta(hours=sign * int(zone[1:3]), minutes=sign * int(zone[4:6]))
    return moment.strftime(_SECOND) + fraction + "Z"


def _seconds(text: str) -> float:
    """Of a time in UTC with up to nine digits after the point, which Python does not read."""
    whole, _point, fraction = text.rstrip("Z").partition(".")
    return datetime.strptime(whole, _SECOND).replace(tzinfo=timezone.utc).timestamp() + float("0.%s" % (fraction or "0"))


def newest_raft_snapshot(directory: str) -> str:
    """The newest raft snapshot in ``member/snap``; empty where there is none. Their names begin with term and index."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".snap"))
    except FileNotFoundError:
        return ""
    return os.path.join(directory, names[-1]) if names else ""


def raft_index(path: str) -> int:
    """The raft index that a snapshot's name tells; 0 for no snapshot."""
    return int(os.path.basename(path)[:-5].rpartition("-")[2], 16) if path else 0


def write_listing(tree: Tree, target: IO[bytes]) -> None:
    """One JSON line for each node, in the order of their names."""
    for node in tree.sorted():
        target.write(json.dumps({name: getattr(node, name) for name in _LISTED}, sort_keys=True).encode() + b"\n")


def read_listing(lines: Iterator[bytes], index: int, what: str) -> Tree:
    """The tree that a listing tells of."""
    tree = Tree(index=index)
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            node = Node(**{name: record[name] for name in _LISTED})
        except (ValueError, KeyError, TypeError) as error:
            raise BackupInvalid(
                "%s is not a listing of a v2 store" % what, found="line %d: %s" % (number, type(error).__name__), path=what, reason="altered"
            ) from None
        tree.nodes[node.key] = node
    return tree


def equal_members(trees: Sequence[Tree]) -> Difference:
    """What differs between members that were read one after the other: only what none of them can have learnt meanwhile."""
    oldest = min(tree.index for tree in trees)
    reference = trees[0]
    found = [compare(reference, tree, float("inf"), since=oldest) for tree in trees[1:]]
    return Difference(*(sorted({key for one in found for key in getattr(one, part)}) for part in ("missing", "extra", "changed", "changed_since", "expired")))
