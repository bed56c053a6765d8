# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a finished cluster in order, and tell when it is complete."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from . import front, kms, kubeadm
from .api import Api, NotAnswering, readyz, with_server
from .commands import in_parallel, tail_of, wait_until
from .node import Node
from .progress import Progress
from .topology import Topology, bracketed

MANIFESTS = "etc/kubernetes/manifests"
LATER = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
KUBELET_LINK = "etc/systemd/system/multi-user.target.wants/kubelet.service"
HEALTH_PORTS = {"kube-controller-manager": 10257, "kube-scheduler": 10259}
ADMIN = "/etc/kubernetes/admin.conf"
TIMEOUT = 300.0


class Cluster:
    """The Kubernetes side of a lab."""

    def __init__(self, topology: Topology, nodes: Sequence[Node], scratch: Path, progress: Progress) -> None:
        self.topology = topology
        self.control_plane = [node for node in nodes if node.plan.control_plane]
        self.members = [node for node in nodes if node.plan.etcd]
        self.outside = [node for node in nodes if node.plan.outside]
        # What Kubernetes knows.
        self.nodes = [node for node in nodes if node.plan.node]
        self.machines = list(nodes)
        self._scratch = scratch
        self._progress = progress

    def admin_kubeconfig(self) -> str:
        """The administrator's kubeconfig for this machine."""
        return with_server(self.control_plane[0].run(["cat", ADMIN]).stdout, self.topology.api_address)

    def api(self) -> Api:
        """A client with the administrator's rights."""
        return Api(self.topology.api_address, self.admin_kubeconfig(), self._scratch)

    # Starting

    @staticmethod
    def hold_back(node: Node) -> None:
        """Before the first boot from a finished cluster's disk: hide all that would fail until etcd answers."""
        if node.plan.control_plane:
            for name in LATER:
                node.disk.hide(f"{MANIFESTS}/{name}.yaml")
        elif node.plan.node and not node.plan.etcd:
            node.disk.hide(KUBELET_LINK)

    def start_in_order(self) -> None:
        """etcd has started with the machines; let in the API server when etcd answers, the rest when the API answers."""
        self._progress("starting the control plane: etcd, API server, controllers")
        in_parallel(self._start_node, self.nodes)

    def _start_node(self, node: Node) -> None:
        if not node.plan.control_plane:
            self._wait("the API answers through the load balancer", lambda: readyz(self.topology.api_address))
            if node.plan.etcd:
                # It runs, for its member, and asks the API again only every so often.
                node.run(["systemctl", "restart", "kubelet"])
            else:
                start_kubelet(node)
            return
        for member in [node] if node.plan.etcd else self.members:
            self.wait_member(member)
        self._release(node, "kube-apiserver")
        self._wait(f"the API server on {node.name} is ready", lambda: readyz(node.plan.address), lambda: _evidence(node, "kube-apiserver"))
        self._progress(f"the API server on {node.name} is ready")
        self._release(node, "kube-controller-manager")
        self._release(node, "kube-scheduler")
        # A kubelet that did not reach the API for a while tries again only every so often; a new one tries at once.
        node.run(["systemctl", "restart", "kubelet"])

    def wait_member(self, node: Node) -> None:
        """Until the member of etcd on a machine says that it has a quorum."""
        self._wait(f"etcd on {node.name} answers", lambda: _etcd_health(node), lambda: _evidence(node, "etcd"))

    def _wait(self, what: str, check: Callable[[], str], evidence: Callable[[], str] | None = None) -> None:
        wait_until(what, check, TIMEOUT, evidence=evidence, say=self._progress)

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
        self._wait("all nodes are ready and all pods run", lambda: self._incomplete(api, since), lambda: "\n".join(_evidence(node) for node in self.machines))

    def _incomplete(self, api: Api, since: float) -> str:
        try:
            nodes = api.items("/api/v1/nodes")
            pods = api.items("/api/v1/pods")
        except NotAnswering as error:
            return str(error)
        unready = unready_nodes(nodes, [node.plan.node_name for node in self.nodes], since)
        if unready:
            return unready
        running = {_name(pod) for pod in pods if _pod_runs(pod, since)}
        missing = [name for name in self._static_pods() if name not in running]
        if missing:
            return f"static pods not running: {' '.join(missing)}"
        workload = workload_problem(pods, since)
        if workload:
            return workload
        for node in self.control_plane:
            for name, port in HEALTH_PORTS.items():
                answer = node.run(["curl", "-sSk", "--max-time", "2", f"https://127.0.0.1:{port}/healthz"], check=False)
                if answer.stdout != "ok":
                    return f"{name} on {node.name} is not healthy: {answer.stdout or answer.stderr}"
        return ""

    def _static_pods(self) -> list[str]:
        """The names of all pods that kubelets run out of files, as the API has them."""
        found = [f"etcd-{node.plan.node_name}" for node in self.members if node.plan.node]
        found += [f"{name}-{node.plan.node_name}" for node in self.control_plane for name in LATER]
        if "static-pods" in self.topology.traits:
            found += [f"{front.NAME}-{node.plan.node_name}" for node in self.nodes]
        found += [f"{kms.NAME}-{node.plan.node_name}" for node in self.control_plane if node.plan.kms]
        return found

    def pod_subnets(self) -> dict[str, object]:
        """The subnet that the cluster gave to each node."""
        return {_name(item): _get(item, "spec", "podCIDR") for item in self.api().items("/api/v1/nodes")}


def start_kubelet(node: Node) -> None:
    """Let in a kubelet that was held back, now and at every boot."""
    node.run(["ln", "-s", "/usr/lib/systemd/system/kubelet.service", f"/{KUBELET_LINK}"])
    node.run(["systemctl", "start", "kubelet"])


def unready_nodes(items: Sequence[object], names: Sequence[str], since: float) -> str:
    """Which nodes are not ready. What etcd holds from before looks fine as well: only what was reported since counts."""
    unready = [name for name in names if not any(_name(item) == name and _node_ready(item, since) for item in items)]
    return f"nodes not ready: {' '.join(unready)}" if unready else ""


def workload_problem(pods: Sequence[object], since: float) -> str:
    """What is missing of the lab's Deployment."""
    web = [pod for pod in pods if re.fullmatch(rf"{kubeadm.DEPLOYMENT}-[0-9a-z]+-[0-9a-z]+", _name(pod)) and _pod_runs(pod, since)]
    return f"{len(web)} of {kubeadm.REPLICAS} pods of {kubeadm.NAMESPACE}/{kubeadm.DEPLOYMENT} run" if len(web) < kubeadm.REPLICAS else ""


def _evidence(node: Node, container: str = "") -> str:
    """What a node says about itself, for an error message."""
    if not node.running:
        return f"{node.name} is off; last lines of its console:\n{tail_of(node.console)}"
    listing = node.run(["crictl", "ps", "-a"], check=False)
    log = node.run(["sh", "-c", f"tail -n 15 $(ls -t /var/log/containers/{container}-*.log | head -n 1)"], check=False).stdout if container else ""
    return f"containers on {node.name}:\n{listing.stdout}{listing.stderr}\n{log}\nkubelet on {node.name}:\n{node.journal('kubelet', 10)}"


def _etcd_health(node: Node) -> str:
    result = node.run(["curl", "-sS", "--max-time", "2", f"http://{bracketed(node.plan.loopback)}:2381/health"], check=False)
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
    """Whether its containers run. Not whether they are ready: the start-up probes of static pods take ten seconds to ask for the first time."""
    statuses = _list(item, "status", "containerStatuses")
    return bool(statuses) and all(_since(_get(status, "state", "running", "startedAt"), since) for status in statuses)
