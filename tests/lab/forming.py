# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a cluster with kubeadm on bare machines, and lay it to rest so that others can start from its disks."""

from __future__ import annotations

import base64
import json
import secrets as randomness
import time
from functools import partial

from . import external_forming, hardening, kubeadm
from .cluster import ADMIN, MANIFESTS, Cluster
from .commands import in_parallel, wait_until
from .errors import LabError
from .node import Node
from .progress import Progress
from .reshaping import AUTHORITY, put_fronts, put_plugins, reshape
from .worker_member import move_member

CONTROLLERS = ("kube-controller-manager", "kube-scheduler")


def form(cluster: Cluster, progress: Progress) -> None:
    """kubeadm init and joins on machines that run; ends with a complete cluster."""
    begin = time.time()
    secrets = kubeadm.Secrets(
        token=f"{randomness.token_hex(3)}.{randomness.token_hex(8)}",
        certificate_key=randomness.token_hex(32),
        encryption_key=base64.b64encode(randomness.token_bytes(32)).decode(),
    )
    if cluster.outside:
        external_forming.form(cluster, progress)
    for node in cluster.nodes:
        _host_files(node, secrets)
    first = cluster.control_plane[0]
    if cluster.outside:
        external_forming.give_client(cluster.outside[0], first)
    progress(f"kubeadm init on {first.name}")
    _kubeadm(first, "init", kubeadm.init_configuration(cluster.topology, secrets), "--upload-certs")
    _give_pod_subnet(first, first)
    authority = _authority_hash(first)
    for node in cluster.nodes[1:]:
        progress(f"kubeadm join of {node.name}")
        _join(first, node, secrets, authority)
        _give_pod_subnet(first, node)
    if "etcd-on-worker" in cluster.topology.traits:
        move_member(cluster, progress)
    if "static-pods" in cluster.topology.traits:
        put_fronts(cluster, progress)
    if "kms" in cluster.topology.traits:
        put_plugins(cluster, progress)
    progress("deploying the workload")
    first.run(["kubectl", f"--kubeconfig={ADMIN}", "apply", "-f", "-"], input=kubeadm.workload())
    cluster.wait_complete(begin)
    _verify_pod_subnets(cluster)
    reshape(cluster, secrets, progress)
    cluster.wait_complete(begin)


def _host_files(node: Node, secrets: kubeadm.Secrets) -> None:
    """What has to be there before kubeadm comes."""
    node.write("/etc/cni/net.d/10-lab.conflist", kubeadm.network_configuration(node.plan))
    hardened = "hardened" in node.topology.traits
    external_forming.give_etcd_place(node)
    files = hardening.node_files() if hardened else {}
    if node.plan.control_plane:
        files[kubeadm.encryption_file(node.topology)] = kubeadm.encryption_configuration({"key1": secrets.encryption_key})
        files |= hardening.server_files() if hardened else {}
    for path, text in files.items():
        node.write(path, text, 0o600)
    # containerd 1.6 overlooks a network configuration that is moved into its directory.
    node.run(["systemctl", "restart", node.plan.runtime.unit])


def _join(first: Node, node: Node, secrets: kubeadm.Secrets, authority: str) -> None:
    discovery = "hardened" in node.topology.traits
    if discovery:
        text = kubeadm.discovery_kubeconfig(node.topology, secrets, first.read(AUTHORITY.lstrip("/")))
        node.write(kubeadm.DISCOVERY_FILE, text, 0o600)
    _kubeadm(node, "join", kubeadm.join_configuration(node.topology, node.plan, secrets, authority))
    if discovery:
        node.run(["rm", "-f", kubeadm.DISCOVERY_FILE])


def _kubeadm(node: Node, verb: str, configuration: str, *options: str) -> None:
    file = "/var/tmp/kubeadm.yaml"
    node.write(file, configuration, 0o600)
    try:
        node.run(["kubeadm", verb, f"--config={file}", "--v=2", *options], timeout=1800)
    except LabError as error:
        raise LabError(
            error.tried,
            f"{error.found}\n--- kubelet\n{node.journal('kubelet')}",
            f"the lab is left as it is: look with python3 -m tests.lab ssh {node.lab} {node.name}",
            error.where,
        ) from error
    node.run(["rm", "-f", file])


def _authority_hash(node: Node) -> str:
    script = "openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum"
    return node.run(["sh", "-c", script]).stdout.split()[0]


def _give_pod_subnet(first: Node, node: Node) -> None:
    """The one of the lab's routes. Kubernetes' own allocator gives them in no certain order, and loses one when it is disturbed."""
    subnets = node.plan.pod_subnets
    patch = json.dumps({"spec": {"podCIDR": subnets[0], "podCIDRs": subnets}})
    command = ["kubectl", f"--kubeconfig={ADMIN}", "patch", "node", node.plan.node_name, "--patch", patch]

    def problem() -> str:
        return first.run(command, check=False).stderr.strip()

    wait_until(f"{node.name} has its pod subnet", problem, 300)


def _verify_pod_subnets(cluster: Cluster) -> None:
    """The routes of the lab's network are fixed; the cluster must have given the nodes just these subnets."""
    given = cluster.pod_subnets()
    for node in cluster.nodes:
        name = node.plan.node_name
        if given.get(name) != node.plan.pod_subnet:
            raise LabError("match pod subnets with the lab's routes", f"{name} has {given.get(name)} instead of {node.plan.pod_subnet}")


def rest(cluster: Cluster, progress: Progress) -> None:
    """Stop everything in order and leave disks from which a cluster starts quickly: no containers, no leader leases."""
    api = cluster.api()
    progress("stopping the cluster in order")
    for name in CONTROLLERS:
        for node in cluster.control_plane:
            node.run(["mv", f"/{MANIFESTS}/{name}.yaml", f"/root/{name}.yaml"])
    for node in cluster.control_plane:
        wait_until(f"controllers on {node.name} stopped", partial(_containers, node, "|".join(CONTROLLERS)), 60)
    # A new leader waits until the lease of the old one has run out, unless there is none.
    for name in CONTROLLERS:
        api.request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{name}")
    in_parallel(lambda node: node.run(["systemctl", "stop", "kubelet"]), cluster.machines)
    for pattern in ("kube-apiserver", "etcd", ""):
        in_parallel(partial(remove_pods, pattern), cluster.machines)
    for node in cluster.control_plane:
        node.run(["sh", "-c", f"mv /root/kube-*.yaml /{MANIFESTS}/"])
    in_parallel(lambda node: node.shut_down(), cluster.machines)


def _containers(node: Node, pattern: str) -> str:
    return node.run(["crictl", "ps", "-q", "--name", pattern]).stdout


def remove_pods(pattern: str, node: Node) -> None:
    """Remove the pods of a node whose name has the pattern, with their containers."""
    pods = node.run(["crictl", "pods", "-q", *(["--name", pattern] if pattern else [])]).stdout.split()
    if pods:
        node.run(["crictl", "rmp", "-f", *pods])
