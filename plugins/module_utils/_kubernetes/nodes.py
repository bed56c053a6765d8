# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes and leases as an API server has them: who has to be there, who has reported since when, and what that is worth after a restore."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.api import ApiClient

API_SERVER_LEASE = "apiserver-"
# A kubelet renews its lease every ten seconds.
SILENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Expectation:
    """What the inventory says the cluster consists of, and what of it was rebuilt: all of it, when nothing is named."""

    nodes: Sequence[str] = ()
    control_plane_addresses: Sequence[str] = ()
    remove_nodes: Sequence[str] = ()
    rebuilt: Sequence[str] = ()
    rebuilt_addresses: Sequence[str] = ()
    # By name of a node, the moment on its own clock before which nothing counts that it reported.
    reported_since: Mapping[str, float] = field(default_factory=dict)
    # Nodes whose kubelet was started since.
    restarted: Sequence[str] = ()
    # Nodes of machines that could not be reached: nothing is asked of them, and nothing of theirs is stale.
    away: Sequence[str] = ()

    @property
    def asked_for(self) -> Sequence[str]:
        """The nodes that have to be there and work."""
        return self.rebuilt or self.nodes

    @property
    def needed_addresses(self) -> Sequence[str]:
        """The addresses that have to be there; of others only those are allowed that the inventory has."""
        return self.rebuilt_addresses if self.rebuilt or self.rebuilt_addresses else self.control_plane_addresses


def epoch(text: Optional[str]) -> Optional[float]:
    """Seconds since 1970 of a time as Kubernetes writes it."""
    if not text:
        return None
    plain = text.rstrip("Z")
    pattern = "%Y-%m-%dT%H:%M:%S.%f" if "." in plain else "%Y-%m-%dT%H:%M:%S"
    # Some writers give nanoseconds.
    whole, dot, fraction = plain.partition(".")
    return datetime.strptime(whole + dot + fraction[:6], pattern).replace(tzinfo=timezone.utc).timestamp()


def metadata_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return item.get("metadata") or {}


def name_of(item: Mapping[str, Any]) -> str:
    return str(metadata_of(item).get("name", ""))


def uid_of(item: Mapping[str, Any]) -> str:
    return str(metadata_of(item).get("uid", ""))


def condition_of(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    for condition in status.get("conditions") or []:
        if condition.get("type") == kind:
            return dict(condition)
    return {}


@dataclass(frozen=True)
class _Report:
    """What a kubelet has said, and whether that was after the moment from which on it counts."""

    ready: bool
    reason: str
    reported: bool


def _report(ready: Mapping[str, Any], renewed: Optional[float], since: Optional[float], restarted: bool) -> _Report:
    """Kubelets report by their lease; the condition follows only every five minutes, but a kubelet that has just started sends it at once.

    So where the kubelet was started the condition itself has to be new: a store that was restored, or lived on, still has what the old kubelet said.
    """
    heartbeat = epoch(ready.get("lastHeartbeatTime"))
    says = ready.get("status") == "True"
    reason = str(ready.get("reason", ""))
    if since is None:
        return _Report(says, reason, bool(renewed or heartbeat))
    # The condition's time has whole seconds.
    fresh = heartbeat is not None and heartbeat >= int(since)
    reported = fresh or (renewed is not None and renewed >= since)
    counts = fresh if restarted else reported
    return _Report(says and counts, reason if counts else "said before it was restored: %s" % (reason or "nothing"), reported)


def read_node(item: Mapping[str, Any], now: float, renewed: Optional[float] = None, since: Optional[float] = None, restarted: bool = False) -> Dict[str, Any]:
    """One Node object, as far as a recovery is concerned. ``renewed`` is when its lease was, ``since`` from when on a report counts."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    info = status.get("nodeInfo") or {}
    ready = condition_of(status, "Ready")
    report = _report(ready, renewed, since, restarted)
    ages = [round(now - moment, 1) for moment in (renewed, epoch(ready.get("lastHeartbeatTime"))) if moment is not None]
    labels = metadata_of(item).get("labels") or {}
    prefix = "node-role.kubernetes.io/"
    return {
        "name": name_of(item),
        "uid": uid_of(item),
        "ready": report.ready,
        "ready_reason": report.reason,
        "reported": report.reported,
        "heartbeat_age_seconds": min(ages) if ages else None,
        "unschedulable": bool(spec.get("unschedulable")),
        "roles": sorted(label[len(prefix) :] for label in labels if label.startswith(prefix)),
        "taints": ["%s:%s" % (taint.get("key", ""), taint.get("effect", "")) for taint in spec.get("taints") or []],
        "internal_ips": [entry["address"] for entry in status.get("addresses") or [] if entry.get("type") == "InternalIP"],
        "addresses": [{"type": entry.get("type", ""), "address": entry.get("address", "")} for entry in status.get("addresses") or []],
        "pod_cidrs": list(spec.get("podCIDRs") or []),
        "provider_id": str(spec.get("providerID", "")),
        "machine_id": str(info.get("machineID", "")),
        "boot_id": str(info.get("bootID", "")),
        "kubelet_version": str(info.get("kubeletVersion", "")),
        "created_at": epoch(metadata_of(item).get("creationTimestamp")),
    }


def node_states(nodes: Sequence[Mapping[str, Any]], expected: Expectation) -> Dict[str, List[str]]:
    """What the nodes that are asked for lack, and which of the others, and of those that are away, do not work; each with the reason."""
    by_name = {str(node["name"]): node for node in nodes}
    asked = sorted(set(expected.asked_for))
    away = sorted(set(expected.away) - set(asked))
    others = sorted((set(by_name) | set(expected.nodes)) - set(asked) - set(away)) if expected.rebuilt else []

    def not_ready(names: Sequence[str]) -> List[str]:
        found = []
        for name in names:
            node = by_name.get(name)
            if node is None:
                found.append("%s: the cluster has no such node" % name)
            elif not node["ready"]:
                found.append("%s: %s" % (name, node["ready_reason"] or "not Ready"))
        return found

    silent = []
    for name in asked:
        age = by_name[name]["heartbeat_age_seconds"] if name in by_name else None
        if age is None:
            silent.append("%s: never reported" % name)
        elif not by_name[name]["reported"] or age >= SILENCE_SECONDS:
            silent.append("%s: reported %g s ago" % (name, age))
    return {"asked_for": asked, "not_ready": not_ready(asked), "silent": silent, "others_not_ready": not_ready(others), "away_not_ready": not_ready(away)}


def read_lease(item: Mapping[str, Any], now: float) -> Dict[str, Any]:
    """One Lease object."""
    spec = item.get("spec") or {}
    renewed = epoch(spec.get("renewTime"))
    age = None if renewed is None else round(now - renewed, 1)
    return {
        "name": name_of(item),
        "uid": uid_of(item),
        "holder": str(spec.get("holderIdentity") or ""),
        "hostname": str((metadata_of(item).get("labels") or {}).get("kubernetes.io/hostname", "")),
        "duration_seconds": int(spec.get("leaseDurationSeconds") or 0),
        "renewed_at": renewed,
        "renew_age_seconds": age,
        "expired": age is None or age > int(spec.get("leaseDurationSeconds") or 0),
    }


def node_leases(client: ApiClient, now: float) -> List[Dict[str, Any]]:
    """Leases of kubelets."""
    return [read_lease(item, now) for item in client.items("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")]


def leases(client: ApiClient, now: float, of_nodes: List[Dict[str, Any]]) -> Dict[str, List[Dict[str, Any]]]:
    """Leases of kubelets, of API servers, and of who leads."""
    answer: Dict[str, List[Dict[str, Any]]] = {"nodes": of_nodes, "api_servers": [], "leaders": []}
    for item in client.items("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"):
        answer["api_servers" if name_of(item).startswith(API_SERVER_LEASE) else "leaders"].append(read_lease(item, now))
    return answer
