# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an API server says about its cluster, what of it is stale after a restore, and the removal of that."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set

from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.api import ApiClient, ApiError
from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.nodes import (
    Expectation,
    condition_of,
    leases,
    metadata_of,
    name_of,
    node_leases,
    node_states,
    read_node,
    uid_of,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.digests import certificate_file_sha256, first_certificate_sha256
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

PARTS = ("identity", "nodes", "leases", "pods", "endpoints", "services", "volumes", "objects")
MIRROR = "kubernetes.io/config.mirror"
# An API server renews its own lease every ten seconds; one that was silent this long is not there.
API_SERVER_SILENCE_SECONDS = 60.0
# Names of single pods in a result: enough to act on, never a whole cluster.
LISTED = 200
_POLL_SECONDS = 0.5
# Made up by the server when it is asked.
_NOT_STORED = ("componentstatuses",)
# Objects that one server shows under two names, and the name that counts. Those of group extensions are of Kubernetes before 1.16 and 1.22.
_SAME_OBJECTS = {
    "events.events.k8s.io": "events",
    "daemonsets.extensions": "daemonsets.apps",
    "deployments.extensions": "deployments.apps",
    "ingresses.extensions": "ingresses.networking.k8s.io",
    "networkpolicies.extensions": "networkpolicies.networking.k8s.io",
    "podsecuritypolicies.extensions": "podsecuritypolicies.policy",
    "replicasets.extensions": "replicasets.apps",
}
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


class ClusterError(LifeboatError):
    """The cluster is not as it has to be."""


@dataclass(frozen=True)
class Removal:
    """One stale object that is to go, this very one."""

    kind: str
    namespace: str
    name: str
    uid: str
    path: str
    reason: str
    grace_seconds: Optional[int] = None

    def as_dict(self) -> Dict[str, str]:
        """For results."""
        return {"kind": self.kind, "namespace": self.namespace, "name": self.name, "uid": self.uid, "reason": self.reason}

    def __str__(self) -> str:
        return "%s %s%s (%s)" % (self.kind, self.namespace + "/" if self.namespace else "", self.name, self.reason)


@dataclass
class Stale:
    """What a restore brought back that is not true any more, and what may be removed of it."""

    report: Dict[str, List[Any]] = field(default_factory=dict)
    removals: List[Removal] = field(default_factory=list)


# --- parts ------------------------------------------------------------------------------------------------------------------------------


def identity(client: ApiClient, ca_cert: str) -> Dict[str, Any]:
    """What tells this cluster from any other."""
    configmap = client.find("/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt") or {}
    return {
        "kube_system_uid": uid_of(client.get("/api/v1/namespaces/kube-system")),
        "version": str(client.get("/version").get("gitVersion", "")),
        "ca_sha256": certificate_file_sha256(ca_cert),
        "root_ca_configmap_sha256": first_certificate_sha256(str((configmap.get("data") or {}).get("ca.crt", ""))),
    }


def _pod_problem(status: Mapping[str, Any]) -> str:
    """Why a pod does not do its work, or an empty text."""
    if status.get("phase") == "Succeeded":
        return ""
    for container in list(status.get("initContainerStatuses") or []) + list(status.get("containerStatuses") or []):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting:
            return str(waiting.get("reason", "waiting"))
    if status.get("phase") != "Running":
        return str(status.get("reason") or status.get("phase") or "Unknown")
    ready = condition_of(status, "Ready")
    return "" if ready.get("status") == "True" else "not ready"


def pods(client: ApiClient, node_names: Set[str]) -> Dict[str, Any]:
    """Counts over all pods, and the names of those that need somebody's eye."""
    by_phase: Dict[str, int] = {}
    static: Dict[str, List[str]] = {}
    by_node: Dict[str, int] = {}
    orphans: List[Dict[str, str]] = []
    troubled: List[Dict[str, Any]] = []
    troubled_total = restarts_total = total = 0
    for item in client.items("/api/v1/pods"):
        metadata, spec, status = metadata_of(item), item.get("spec") or {}, item.get("status") or {}
        node = str(spec.get("nodeName") or "")
        total += 1
        by_phase[str(status.get("phase", "Unknown"))] = by_phase.get(str(status.get("phase", "Unknown")), 0) + 1
        by_node[node] = by_node.get(node, 0) + 1
        if MIRROR in (metadata.get("annotations") or {}):
            static.setdefault(node, []).append("%s/%s" % (metadata.get("namespace", ""), name_of(item)))
        if node and node not in node_names:
            orphans.append({"namespace": str(metadata.get("namespace", "")), "name": name_of(item), "uid": uid_of(item), "node": node})
        restarts = sum(int(container.get("restartCount") or 0) for container in status.get("containerStatuses") or [])
        restarts_total += restarts
        problem = _pod_problem(status)
        if problem:
            troubled_total += 1
            if len(troubled) < LISTED:
                troubled.append(
                    {
                        "namespace": metadata.get("namespace", ""),
                        "name": name_of(item),
                        "node": node,
                        "problem": problem,
                        "restarts": restarts,
                        "phase": status.get("phase", ""),
                    }
                )
    return {
        "total": total,
        "by_phase": by_phase,
        "by_node": by_node,
        "static": {node: sorted(names) for node, names in static.items()},
        "restarts": restarts_total,
        "troubled": troubled,
        "troubled_total": troubled_total,
        "on_missing_nodes": orphans,
    }


def endpoints(client: ApiClient, expected: Expectation) -> Dict[str, Any]:
    """Where the service default/kubernetes leads, against the API servers there are."""
    addresses: Set[str] = set()
    for item in client.items("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {"labelSelector": "kubernetes.io/service-name=kubernetes"}):
        for endpoint in item.get("endpoints") or []:
            addresses.update(str(address) for address in endpoint.get("addresses") or [])
    if not addresses:
        # Servers older than 1.21 have no slices.
        item = client.find("/api/v1/namespaces/default/endpoints/kubernetes") or {}
        for subset in item.get("subsets") or []:
            addresses.update(str(entry.get("ip", "")) for entry in subset.get("addresses") or [])
    known, needed = set(expected.control_plane_addresses), set(expected.needed_addresses)
    extra, missing = addresses - known if known else set(), needed - addresses
    return {
        "addresses": sorted(addresses),
        "extra": sorted(extra),
        "missing": sorted(missing),
        "absent": sorted(known - needed - addresses),
        "equal": not extra and not missing if known else None,
    }


def _service_answers(client: ApiClient, namespace: str, name: str, known: Dict[str, bool]) -> bool:
    key = "%s/%s" % (namespace, name)
    if key not in known:
        slices = client.items("/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices" % namespace, {"labelSelector": "kubernetes.io/service-name=%s" % name})
        known[key] = any(
            (endpoint.get("conditions") or {}).get("ready") is not False
            for item in slices
            for endpoint in item.get("endpoints") or []
            if endpoint.get("addresses")
        )
    return known[key]


def services(client: ApiClient) -> Dict[str, Any]:
    """What the API server itself depends on: aggregated APIs and webhooks, and whether anything answers behind them."""
    known: Dict[str, bool] = {}
    unavailable = []
    for item in client.items("/apis/apiregistration.k8s.io/v1/apiservices"):
        condition = condition_of(item.get("status") or {}, "Available")
        if condition.get("status") != "True":
            unavailable.append({"name": name_of(item), "reason": str(condition.get("reason", ""))})
    webhooks = []
    for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
        for item in client.items("/apis/admissionregistration.k8s.io/v1/%s" % kind):
            for hook in item.get("webhooks") or []:
                config = hook.get("clientConfig") or {}
                service = config.get("service") or {}
                answers = _service_answers(client, str(service.get("namespace", "")), str(service.get("name", "")), known) if service else None
                webhooks.append(
                    {
                        "configuration": name_of(item),
                        "kind": kind,
                        "name": hook.get("name", ""),
                        "failure_policy": hook.get("failurePolicy", ""),
                        "service": "%s/%s" % (service.get("namespace", ""), service.get("name", "")) if service else "",
                        "url": str(config.get("url", "")),
                        "has_endpoints": answers,
                    }
                )
    return {"api_services_unavailable": unavailable, "webhooks": webhooks}


def volume_attachments(client: ApiClient, node_names: Set[str]) -> List[Dict[str, Any]]:
    """Attachments of volumes to nodes, and whether the node is there."""
    answer = []
    for item in client.items("/apis/storage.k8s.io/v1/volumeattachments"):
        spec = item.get("spec") or {}
        node = str(spec.get("nodeName", ""))
        answer.append(
            {
                "name": name_of(item),
                "uid": uid_of(item),
                "node": node,
                "node_exists": node in node_names,
                "volume": str((spec.get("source") or {}).get("persistentVolumeName") or ""),
                "attached": bool((item.get("status") or {}).get("attached")),
            }
        )
    return answer


class _Discovered(NamedTuple):
    """Paths of lists by name, as in events.events.k8s.io; and what could not be asked, with the reason."""

    paths: Dict[str, str]
    failed: Dict[str, str]


def _lists(resources: Iterable[Mapping[str, Any]], key: str) -> Iterator[str]:
    """Names of what can be listed."""
    for resource in resources:
        name = str(resource.get(key, ""))
        if "/" not in name and "list" in (resource.get("verbs") or []):
            yield name


def _discovered(client: ApiClient) -> _Discovered:
    """Of every resource the first version that lists it, in the order in which the server prefers them: not every version of a group has all of its kinds."""
    found = _Discovered({}, {})
    aggregated = client.get("/apis", accept=_DISCOVERY)
    if aggregated.get("kind") == "APIGroupDiscoveryList":
        _by_group(list(client.get("/api", accept=_DISCOVERY).get("items") or []) + list(aggregated.get("items") or []), found)
    else:
        _by_version(client, aggregated.get("groups") or [], found)
    return found


def _by_group(groups: Iterable[Mapping[str, Any]], found: _Discovered) -> None:
    for group in groups:
        group_name = name_of(group)
        for version in group.get("versions") or []:
            root = "/apis/%s/%s" % (group_name, version["version"]) if group_name else "/api/%s" % version["version"]
            if version.get("freshness") == "Stale":
                found.failed["%s/%s" % (group_name, version["version"])] = "the server behind this API does not answer, so its resources are not known"
            for name in _lists(version.get("resources") or [], "resource"):
                found.paths.setdefault("%s.%s" % (name, group_name) if group_name else name, "%s/%s" % (root, name))


def _by_version(client: ApiClient, groups: Iterable[Mapping[str, Any]], found: _Discovered) -> None:
    roots = {"/api/v1": ""}
    for group in groups:
        for version in [group.get("preferredVersion") or {}, *(group.get("versions") or [])]:
            roots.setdefault("/apis/%s" % version.get("groupVersion", ""), str(group.get("name", "")))
    for root, group_name in roots.items():
        try:
            resources = (client.find(root) or {}).get("resources") or []
        except ApiError as error:
            found.failed[root[len("/apis/") :]] = error.found
            continue
        for name in _lists(resources, "name"):
            found.paths.setdefault("%s.%s" % (name, group_name) if group_name else name, "%s/%s" % (root, name))


def objects(client: ApiClient) -> Dict[str, Any]:
    """How many objects there are of each resource that is stored, each once. Resources and APIs that can't be listed are named with the reason."""
    counts: Dict[str, int] = {}
    paths, failed = _discovered(client)
    for name, path in sorted(paths.items()):
        if name in _NOT_STORED or _SAME_OBJECTS.get(name) in paths:
            continue
        try:
            counts[name] = client.count(path)
        except ApiError as error:
            failed[name] = error.found
    return {"counts": counts, "total": sum(counts.values()), "failed": failed}


# --- stale ------------------------------------------------------------------------------------------------------------------------------


def find_stale(cluster: Mapping[str, Any], expected: Expectation) -> Stale:
    """What of a cluster is not true any more. Only what is absent *and* unexpected may be removed; a Node object only when it is named."""
    stale = Stale()
    present = {node["name"]: node for node in cluster.get("nodes") or []}
    wanted = set(expected.nodes) | set(expected.away) if expected.nodes else set()
    report = stale.report
    report["nodes"] = sorted(name for name in present if wanted and name not in wanted)
    for name in expected.remove_nodes:
        if name in wanted:
            raise ClusterError(
                "A node that is expected can't be removed.",
                tried="plan the removal of Node %s" % name,
                found="it is in expected_nodes or away_nodes as well",
                remedy="Take it out of the inventory or out of remove_nodes.",
            )
        if name in present:
            stale.removals.append(Removal("Node", "", name, present[name]["uid"], "/api/v1/nodes/%s" % name, "named in remove_nodes"))
    # What hangs on a node that is removed now is stale with it.
    there = set(present) - set(expected.remove_nodes)
    _stale_leases(cluster.get("leases") or {}, stale, there, wanted, set(expected.remove_nodes))
    orphans = [pod for pod in (cluster.get("pods") or {}).get("on_missing_nodes") or [] if pod["node"] not in wanted]
    report["pods_on_missing_nodes"] = orphans
    stale.removals += [
        Removal(
            "Pod",
            pod["namespace"],
            pod["name"],
            pod["uid"],
            "/api/v1/namespaces/%s/pods/%s" % (pod["namespace"], pod["name"]),
            "its node %s is gone" % pod["node"],
            0,
        )
        for pod in orphans
    ]
    report["endpoints_extra"] = list((cluster.get("endpoints") or {}).get("extra") or [])
    report["volume_attachments"] = [item for item in cluster.get("volume_attachments") or [] if item["node"] not in there | wanted]
    return stale


def _stale_leases(leases_found: Mapping[str, List[Dict[str, Any]]], stale: Stale, there: Set[str], wanted: Set[str], removed: Set[str]) -> None:
    def removal(lease: Mapping[str, Any], namespace: str, reason: str) -> Removal:
        path = "/apis/coordination.k8s.io/v1/namespaces/%s/leases/%s" % (namespace, lease["name"])
        return Removal("Lease", namespace, str(lease["name"]), str(lease["uid"]), path, reason)

    stale.report["node_leases"] = []
    for lease in leases_found.get("nodes") or []:
        if lease["name"] not in there | wanted and (lease["expired"] or lease["name"] in removed):
            stale.report["node_leases"].append(lease["name"])
            stale.removals.append(removal(lease, "kube-node-lease", "there is no node of this name"))
    stale.report["apiserver_leases"] = []
    for lease in leases_found.get("api_servers") or []:
        silent = lease["renew_age_seconds"] is None or lease["renew_age_seconds"] > API_SERVER_SILENCE_SECONDS
        foreign = bool(wanted) and bool(lease["hostname"]) and lease["hostname"] not in wanted
        if lease["expired"] or (silent and foreign):
            stale.report["apiserver_leases"].append(lease["name"])
            stale.removals.append(
                removal(lease, "kube-system", "expired" if lease["expired"] else "its host %s is not expected and silent" % lease["hostname"])
            )


def remove(client: ApiClient, removals: Iterable[Removal]) -> List[Removal]:
    """Remove what was planned; each object only if it is still the one that was looked at."""
    done = []
    for removal in removals:
        try:
            if client.delete(removal.path, removal.uid, removal.grace_seconds):
                done.append(removal)
        except ApiError as error:
            # Another object of the same name has come since: that one is not stale.
            if error.status != 409:
                raise
    return done


def wait_endpoints(client: ApiClient, expected: Expectation, wait_seconds: float, clock: Callable[[], float] = time.monotonic) -> Dict[str, Any]:
    """Wait until the API servers have taken each other out of and into the service default/kubernetes, which they do by themselves."""
    end = clock() + wait_seconds
    while True:
        answer = endpoints(client, expected)
        if answer["equal"] is not False:
            return answer
        if clock() >= end:
            raise ClusterError(
                "The service default/kubernetes does not lead to the API servers there are.",
                tried="compare its endpoints with %s for %d seconds" % (", ".join(expected.control_plane_addresses), wait_seconds),
                found="extra: %s; missing: %s" % (", ".join(answer["extra"]) or "none", ", ".join(answer["missing"]) or "none"),
                remedy="Check that every API server runs with its right --advertise-address; an extra address whose lease was lost needs its key "
                "/registry/masterleases/<address> deleted from etcd.",
                **answer,
            )
        time.sleep(_POLL_SECONDS)


# --- the whole --------------------------------------------------------------------------------------------------------------------------


def collect(client: ApiClient, ca_cert: str, parts: Sequence[str], expected: Expectation) -> Dict[str, Any]:
    """The parts that were asked for, and those they need."""
    now = time.time()
    cluster: Dict[str, Any] = {"server": client.server}
    if "identity" in parts:
        cluster.update(identity(client, ca_cert))
    of_nodes = node_leases(client, now) if "nodes" in parts or "leases" in parts else []
    renewed = {lease["name"]: lease["renewed_at"] for lease in of_nodes}
    restarted, since = set(expected.restarted), expected.reported_since
    nodes = [read_node(item, now, renewed.get(name_of(item)), since.get(name_of(item)), name_of(item) in restarted) for item in client.items("/api/v1/nodes")]
    names = {node["name"] for node in nodes}
    if "nodes" in parts:
        cluster["nodes"] = nodes
        cluster["node_states"] = node_states(nodes, expected)
    if "leases" in parts:
        cluster["leases"] = leases(client, now, of_nodes)
    if "pods" in parts:
        cluster["pods"] = pods(client, names)
    if "endpoints" in parts:
        cluster["endpoints"] = endpoints(client, expected)
    if "services" in parts:
        cluster.update(services(client))
    if "volumes" in parts:
        cluster["volume_attachments"] = volume_attachments(client, names)
    if "objects" in parts:
        cluster["objects"] = objects(client)
        cluster["events_total"] = cluster["objects"]["counts"].get("events", 0)
    return cluster
