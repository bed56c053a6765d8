# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which store a cluster keeps its objects: what the API server was told, and where keys are. One alone would be believed too easily."""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection, EtcdClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import NotAvailable, StoreUnknown, Unreachable
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_artifact, v2_tree
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_api import V2Client
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_tree import REGISTRY, Tree
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import processes, telling_flags

V2, V3, BOTH = "v2", "v3", "both"
_FLAG = "storage-backend"
_STORES = {"etcd2": V2, "etcd3": V3}
# What an API server uses that is not told (Kubernetes 1.6 and newer).
_DEFAULT_BACKEND = "etcd3"
_IN_FILE = re.compile(r"--storage-backend[=\s]+([A-Za-z0-9]+)")


@dataclass(frozen=True)
class Declared:
    """What the API server of a host was told; empty where there is none."""

    backend: str = ""
    source: str = ""

    def as_result(self) -> Dict[str, str]:
        """Fields for a module's result."""
        return dict(vars(self))


def declared(process: str, files: Sequence[str], proc: str = "/proc") -> Declared:
    """Of the process that runs, or else of the files with its arguments that would be used."""
    running = processes([process], proc)[process]
    for found in running:
        backend = telling_flags(found.pid, proc).get(_FLAG)
        if backend:
            return Declared(backend, "process %d" % found.pid)
    for path in files:
        backend = _of_file(path)
        if backend:
            return Declared(backend, path)
    return Declared(_DEFAULT_BACKEND, "process %d, which is not told" % running[0].pid) if running else Declared()


def _of_file(path: str) -> str:
    """The last one counts, as on a command line; what is commented out does not."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        return ""
    found: List[str] = []
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            try:
                words = " ".join(shlex.split(line))
            except ValueError:
                words = line
            found += _IN_FILE.findall(words)
    return found[-1] if found else ""


def decide(backends: Sequence[str], v2_keys: int, v3_keys: int) -> str:
    """The store, out of the back ends that the API servers were told (none where none is known) and the keys below /registry in both stores."""
    told = sorted({_STORES.get(backend, backend) for backend in backends if backend})
    held = [store for store, keys in ((V2, v2_keys), (V3, v3_keys)) if keys]
    counts = "%d keys below %s in the v2 store, %d in the v3 store" % (v2_keys, REGISTRY, v3_keys)
    if len(told) > 1 or (told and told[0] not in (V2, V3)):
        raise StoreUnknown(
            "the API servers do not agree on a storage back end that is known here",
            tried="read --storage-backend of each; %s" % counts,
            found=", ".join(sorted(set(backends))),
            remedy="Give all API servers one --storage-backend, etcd2 or etcd3.",
        )
    if not held:
        raise StoreUnknown(
            "no store holds an object of the cluster",
            tried="counted keys below %s in both stores" % REGISTRY,
            found="%s; the API servers use %s" % (counts, told[0] if told else "what is not known"),
            remedy="Is this the etcd of the API servers? Give its endpoint and certificates.",
        )
    if told and told[0] not in held:
        raise StoreUnknown(
            "the API servers use the %s store, and it is empty" % told[0],
            tried="compared --storage-backend with the keys below %s" % REGISTRY,
            found=counts,
            remedy="Find out which etcd and which store the API servers use: a backup of the other one would hold no object.",
        )
    return BOTH if len(held) == 2 else held[0]


def v3_counts(client: EtcdClient) -> Dict[str, Any]:
    """Keys of the v3 store: all, and those of Kubernetes."""
    everything = client.range(b"", prefix=True, count_only=True)
    registry = client.range(REGISTRY.encode() + b"/", prefix=True, count_only=True)
    return {"keys_total": everything.count, "registry_keys": registry.count, "revision": everything.revision}


@dataclass(frozen=True)
class Question:
    """What is asked of one member, and of the API server of its host."""

    expected: str = ""
    since_index: int = 0
    all_members: bool = False
    apiserver_process: str = "kube-apiserver"
    apiserver_files: Sequence[str] = ()
    storage_backends: Sequence[str] = ()


def survey(connection: Connection, question: Question) -> Dict[str, Any]:
    """Fields for a module's result. Reads only."""
    told = declared(question.apiserver_process, question.apiserver_files)
    wanted = v2_artifact.read_file(question.expected).tree if question.expected else None
    with connect(connection) as client:
        v3 = v3_counts(client)
    hidden = wanted.hidden_roots() if wanted else ()
    try:
        tree: Optional[Tree] = V2Client.over(connection).tree(quorum=True, hidden=hidden)
    except NotAvailable:
        tree = None
    v2 = dict(tree.summary(), expiring=_expiring(tree)) if tree else None
    result: Dict[str, Any] = {"v2": v2, "v3": v3, "storage_backend": told.as_result(), "comparison": None, "members": None}
    backends = [told.backend, *question.storage_backends]
    try:
        result.update(store=decide(backends, tree.below(REGISTRY) if tree else 0, v3["registry_keys"]), store_reason="")
    except StoreUnknown as error:
        result.update(store="", store_reason="%s: %s" % (error.message, error.found))
    if wanted is not None:
        result["comparison"] = v2_tree.compare(wanted, tree or Tree(), time.time(), since=question.since_index or None).as_result()
    if question.all_members and tree is not None:
        result["members"] = _members(connection, hidden)
    return result


def _expiring(tree: Tree) -> List[Dict[str, str]]:
    return [{"key": node.key, "expires_at": node.expires_at} for node in tree.sorted() if node.expires_at]


def _members(connection: Connection, hidden: Sequence[str]) -> Dict[str, Any]:
    """Whether every member that answers has the same tree in its own store: each is asked for what it has itself."""
    trees: Dict[str, Tree] = {}
    unheard: List[Dict[str, str]] = []
    for member in V2Client.over(connection).members():
        for url in member["clientURLs"][:1]:
            own = V2Client.over(connection.at(url))
            try:
                # Whoever answers this has applied what was written before, so no member is compared with one that only lags.
                own.barrier()
                trees[url] = own.tree(quorum=False, hidden=hidden)
            except Unreachable as error:
                unheard.append({"endpoint": url, "reason": error.found})
    difference = v2_tree.equal_members(list(trees.values()))
    seen = [{"endpoint": url, "index": tree.index, "keys_total": tree.summary()["keys_total"], "digest": tree.digest} for url, tree in sorted(trees.items())]
    return dict(difference.as_result(), seen=seen, unheard=unheard)
