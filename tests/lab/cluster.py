# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a finished cluster in order, and tell when it is complete."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from . import kubeadm
from .api import Api, NotAnswering, readyz, with_server
from .commands import in_parallel, wait_until
from .node import Node
from .progress import Progress
from .topology import Topology

MANIFESTS = "etc/kubernetes/manifests"
LATER = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
KUBELET_LINK = "etc/systemd/system/multi-user.target.wants/kubelet.service"
ADMIN = "/etc/kubernetes/admin.conf"
TIMEOUT = 300.0


class Cluster:
    """The Kubernetes side of a lab."""

    def __init__(self, topology: Topology, nodes: Sequence[Node], scratch: Path, progress: Progress) -> None:
        self.topology = topology
        self.control_plane = [node for node in nodes if node.plan.control_plane]
        self.workers = [node for node in nodes if not node.plan.control_plane]
        self.nodes = list(nodes)
        self._scratch = scratch
        self._progress = progress

    def admin_kubeconfig(self) -> str:
        """The administrator's kubeconfig for this machine."""
        return with_server(self.control_plane[0].run(["cat", ADMIN]).stdout, self.topology.api_address)

    def api(self) -> Api:
        """A client with the administrator's rights."""
        return Api(self.topology.api_address, self.admin_kubeconfig(), self._scratch)

    # Starting

    def hold_back(self) -> None:
        """Before the first boot from a finished cluster's disks: hide all that would fail until etcd answers."""
        for node in self.control_plane:
            for name in LATER:
                node.disk.hide(f"{MANIFESTS}/{name}.yaml")
        for node in self.workers:
            node.disk.hide(KUBELET_LINK)

    def start_in_order(self) -> None:
        """etcd has started with the machines; let in the API server when etcd answers, the rest when the API answers."""
        self._progress("starting the control plane: etcd, API server, controllers")
        in_parallel(self._start_node, self.nodes)

    def _start_node(self, node: Node) -> None:
        if not node.plan.control_plane:
            wait_until("the API answers through the load balancer", lambda: readyz(self.topology.api_address), TIMEOUT)
            node.run(["ln", "-s", "/usr/lib/systemd/system/kubelet.service", f"/{KUBELET_LINK}"])
            node.run(["systemctl", "start", "kubelet"])
            return
        wait_until(f"etcd on {node.name} answers", lambda: _etcd_health(node), TIMEOUT, evidence=lambda: self._evidence(node, "etcd"))
        self._release(node, "kube-apiserver")
        wait_until(
            f"the API server on {node.name} is ready", lambda: readyz(node.plan.address), TIMEOUT, evidence=lambda: self._evidence(node, "kube-apiserver")
        )
        self._release(node, "kube-controller-manager")
        self._release(node, "kube-scheduler")

    @staticmethod
    def _release(node: Node, name: str) -> None:
        """Put a manifest where it was, byte for byte."""
        file = f"{MANIFESTS}/{name}.yaml"
        original = next(layer / file for layer in node.disk.layers if (layer / file).exists())
        node.write(f"/{file}", original.read_text(), 0o600)

    # Waiting

    def wait_complete(self, since: float) -> None:
        """Wait until everything that belongs to the finished cluster runs, and says so itself since the given time."""
        api = self.api()
        wait_until(
            "all nodes are ready and all pods run",
            lambda: self._incomplete(api, since),
            TIMEOUT,
            evidence=lambda: self._evidence(self.nodes[-1], ""),
            interval=0.5,
        )

    def _incomplete(self, api: Api, since: float) -> str:
        try:
            nodes = api.items("/api/v1/nodes")
            pods = api.items("/api/v1/pods")
        except NotAnswering as error:
            return str(error)
        # What etcd holds from before looks fine as well: only what was reported since counts.
        unready = [name for name in (node.name for node in self.nodes) if not any(_name(item) == name and _node_ready(item, since) for item in nodes)]
        if unready:
            return f"nodes not ready: {' '.join(unready)}"
        running = {_name(pod) for pod in pods if _pod_runs(pod, since)}
        missing = [f"{name}-{node.name}" for node in self.control_plane for name in ("etcd", *LATER) if f"{name}-{node.name}" not in running]
        if missing:
            return f"static pods not running: {' '.join(missing)}"
        web = [name for name in running if re.fullmatch(rf"{kubeadm.DEPLOYMENT}-[0-9a-z]+-[0-9a-z]+", name)]
        if len(web) < kubeadm.REPLICAS:
            return f"{len(web)} of {kubeadm.REPLICAS} pods of {kubeadm.NAMESPACE}/{kubeadm.DEPLOYMENT} run"
        return ""

    def pod_subnets(self) -> dict[str, object]:
        """The subnet that the cluster gave to each node."""
        return {_name(item): _get(item, "spec", "podCIDR") for item in self.api().items("/api/v1/nodes")}

    @staticmethod
    def _evidence(node: Node, container: str) -> str:
        listing = node.run(["crictl", "ps", "-a"], check=False)
        log = ""
        if container:
            log = node.run(["sh", "-c", f"tail -n 15 $(ls -t /var/log/containers/{container}-*.log | head -n 1)"], check=False).stdout
        return f"containers on {node.name}:\n{listing.stdout}{listing.stderr}\n{log}\nkubelet:\n{node.journal('kubelet', 15)}"


def _etcd_health(node: Node) -> str:
    result = node.run(["curl", "-sS", "--max-time", "2", "http://127.0.0.1:2381/health"], check=False)
    return "" if '"health":"true"' in result.stdout else result.stdout + result.stderr or "no answer"


def _get(item: object, *path: str) -> object:
    for key in path:
        if not isinstance(item, dict):
            return None
        item = item.get(key)
    return item


def _list(item: object, *path: str) -> list[object]:
    found = _get(item, *path)
    return found if isinstance(found, list) else []


def _name(item: object) -> str:
    return str(_get(item, "metadata", "name"))


def _since(text: object, since: float) -> bool:
    """Whether an API time stamp (whole seconds) is not before a time."""
    return isinstance(text, str) and datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() >= int(since)


def _node_ready(item: object, since: float) -> bool:
    return any(
        _get(condition, "type") == "Ready" and _get(condition, "status") == "True" and _since(_get(condition, "lastHeartbeatTime"), since)
        for condition in _list(item, "status", "conditions")
    )


def _pod_runs(item: object, since: float) -> bool:
    statuses = _list(item, "status", "containerStatuses")
    return bool(statuses) and all(_get(status, "ready") is True and _since(_get(status, "state", "running", "startedAt"), since) for status in statuses)
