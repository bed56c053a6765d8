# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster was before something happened to it: its identity, its pods, what its clients hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.drill.admin import AdminMemory, AdminNode
from tests.drill.members import v2_values
from tests.lab import Lab
from tests.lab.topology import bracketed
from tests.workload import Api, Picture
from tests.workload.objects import LABEL, RUNNING

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
MARKERS = f"/api/v1/namespaces/{RUNNING}/configmaps"


@dataclass
class Memory:
    """What was true before: of the cluster, of its clients, of its pods."""

    kube_system_uid: str
    node_uids: dict[str, str]
    token: str = field(repr=False)
    token_user: str
    pods: dict[str, dict[str, str]]
    picture: Picture = field(repr=False, default_factory=dict)
    planted: dict[str, str] = field(repr=False, default_factory=dict)
    # Of a cluster with an admin node: what that one knew, which process each node's minion was, and the v2 store of etcd.
    admin: AdminMemory | None = None
    minion_processes: dict[str, str] = field(repr=False, default_factory=dict)
    v2: dict[str, str] = field(repr=False, default_factory=dict)


def api_servers(lab: Lab) -> dict[str, str]:
    """Each control-plane machine's own API server."""
    return {node.name: f"https://{bracketed(node.address)}:{lab.topology.server_port}" for node in lab.topology.control_plane}


def node_names(lab: Lab, machines: Sequence[str]) -> set[str]:
    """What Kubernetes calls these machines."""
    return {lab.topology.node(name).node_name for name in machines}


def uids(api: Api, path: str) -> dict[str, str]:
    """Name to UID of everything in a collection."""
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in api.items(path)}


def running_pods(api: Api) -> dict[str, dict[str, str]]:
    """The pods that controllers run, with their node and container ids: not the static ones, which belong to their machine."""
    found = {}
    for pod in api.items("/api/v1/pods"):
        statuses = pod.get("status", {}).get("containerStatuses", [])
        static = any(owner["kind"] == "Node" for owner in pod["metadata"].get("ownerReferences", []))
        if statuses and not static and all(one["ready"] for one in statuses):
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            containers = " ".join(sorted(one["containerID"] for one in statuses))
            found[name] = {"uid": pod["metadata"]["uid"], "node": pod["spec"]["nodeName"], "containers": containers}
    return found


def issue_token(api: Api) -> str:
    """A token as a pod of the service account would get it."""
    path = f"/api/v1/namespaces/{RUNNING}/serviceaccounts/default/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    return str(api.request("POST", path, body=request)["status"]["token"])


def who_is(kubeconfig: Path, token: str) -> str:
    """The user that the API server takes the bearer of a token for."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = Api(kubeconfig, token=token, connections=1).request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=review)
    return str(answer["status"]["userInfo"]["username"])


def remember(lab: Lab, planted: Mapping[str, str] | None = None) -> Memory:
    """Look at a healthy cluster; the picture of its objects is added by whoever knows the revision."""
    api = Api(lab.kubeconfig)
    token = issue_token(api)
    admin = AdminNode(lab) if lab.topology.admin else None
    return Memory(
        admin=admin.remember() if admin else None,
        minion_processes={node: admin.minion_process(node) for node in admin.nodes} if admin else {},
        v2=v2_values(lab, lab.topology.etcd[0].name) if admin else {},
        kube_system_uid=api.get(KUBE_SYSTEM)["metadata"]["uid"],
        node_uids=uids(api, "/api/v1/nodes"),
        token=token,
        token_user=who_is(lab.kubeconfig, token),
        pods=running_pods(api),
        planted=dict(planted or {}),
    )


def mark(kubeconfig: Path, name: str) -> str:
    """Make an object whose presence tells later whether the cluster was rolled back; returns its revision."""
    body = {"metadata": {"name": name, "labels": LABEL}, "data": {"made": "by the drill"}}
    return str(Api(kubeconfig, connections=1).request("POST", MARKERS, body=body)["metadata"]["resourceVersion"])
