# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait external-etcd: members on machines of their own, as kubeadm's documentation sets them up.

"Set up a High Availability etcd Cluster with kubeadm": a kubelet by itself as the service manager, certificates that one machine makes for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import versions
from .commands import in_parallel
from .topology import NodePlan, Topology
from .yamltext import documents

if TYPE_CHECKING:
    from .cluster import Cluster
    from .node import Node
    from .progress import Progress

PKI = "/etc/kubernetes/pki"
CA = f"{PKI}/etcd/ca.crt"
CLIENT = (f"{PKI}/apiserver-etcd-client.crt", f"{PKI}/apiserver-etcd-client.key")
UNIT = "/etc/systemd/system/kubelet.service.d"
KUBELET_CONFIGURATION = f"{UNIT}/kubelet.conf"
_FILE = "/var/tmp/kubeadmcfg.yaml"

_DROP_IN = f"""\
[Service]
Environment="KUBELET_CONFIG_FILE={KUBELET_CONFIGURATION}"
ExecStart=
ExecStart=/usr/bin/kubelet --config={KUBELET_CONFIGURATION}
Restart=always
"""

# Instead of the lab's own condition, which names a file that these machines do not have.
_CONDITION = f"""\
[Unit]
ConditionPathExists={KUBELET_CONFIGURATION}
"""

# What the first machine made for one other, or for itself; the key of the CA stays where it is.
_TAKE = f"""\
set -eu
cd {PKI}
tar -c --exclude=ca.key . | base64
find . -not -name ca.crt -not -name ca.key -type f -delete
"""


def client(topology: Topology) -> dict[str, object]:
    """What the control planes are told of etcd."""
    certificate, key = CLIENT
    endpoints = [f"https://{node.address}:2379" for node in topology.etcd]
    return {"external": {"endpoints": endpoints, "caFile": CA, "certFile": certificate, "keyFile": key}}


def configuration(topology: Topology, node: NodePlan) -> str:
    """For `kubeadm init phase` on a member's machine: the documentation's, with the lab's directory and image."""
    arguments = {
        "initial-cluster": ",".join(f"{member.node_name}=https://{member.address}:2380" for member in topology.etcd),
        "initial-cluster-state": "new",
        "name": node.node_name,
        "listen-peer-urls": f"https://{node.address}:2380",
        "listen-client-urls": f"https://{node.address}:2379",
        "advertise-client-urls": f"https://{node.address}:2379",
        "initial-advertise-peer-urls": f"https://{node.address}:2380",
    }
    local = {
        "dataDir": node.etcd_directory,
        "imageTag": versions.ETCD_IMAGE_TAG,
        "serverCertSANs": [node.address],
        "peerCertSANs": [node.address],
        "extraArgs": [{"name": name, "value": value} for name, value in arguments.items()],
    }
    api = "kubeadm.k8s.io/v1beta4"
    return documents(
        {"apiVersion": api, "kind": "InitConfiguration", "nodeRegistration": {"name": node.node_name}, "localAPIEndpoint": {"advertiseAddress": node.address}},
        {"apiVersion": api, "kind": "ClusterConfiguration", "kubernetesVersion": f"v{versions.KUBERNETES}", "etcd": {"local": local}},
    )


def kubelet_configuration(common: dict[str, object]) -> str:
    """The documentation's, with what every kubelet of a lab needs."""
    return documents(
        {
            **common,
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "address": "127.0.0.1",
            "containerRuntimeEndpoint": "unix:///var/run/containerd/containerd.sock",
            "staticPodPath": "/etc/kubernetes/manifests",
        }
    )


def form(cluster: Cluster, common: dict[str, object], progress: Progress) -> None:
    """A complete etcd on the machines that are for nothing else."""
    progress("etcd on machines of its own")
    first = cluster.outside[0]

    def manage(node: Node) -> None:
        node.write(KUBELET_CONFIGURATION, kubelet_configuration(common))
        node.write(f"{UNIT}/20-etcd-service-manager.conf", _DROP_IN)
        node.write(f"{UNIT}/20-lab.conf", _CONDITION)
        node.run(["systemctl", "daemon-reload"])
        node.run(["systemctl", "restart", "kubelet"])

    in_parallel(manage, cluster.outside)
    _phase(first, first.plan, "certs", "etcd-ca")
    # The first one's own come last: they stay where they are.
    for node in reversed(cluster.outside):
        for certificate in ("etcd-server", "etcd-peer", "etcd-healthcheck-client", "apiserver-etcd-client"):
            _phase(first, node.plan, "certs", certificate)
        if node is not first:
            archive = first.run(["sh", "-c", _TAKE]).stdout
            node.run(["sh", "-c", f"mkdir -p {PKI} && base64 -d | tar -x -C {PKI}"], input=archive)
    for node in cluster.outside:
        _phase(node, node.plan, "etcd", "local")
    for node in cluster.outside:
        cluster.wait_member(node)


def _phase(machine: Node, plan: NodePlan, *phase: str) -> None:
    machine.write(_FILE, configuration(machine.topology, plan), 0o600)
    machine.run(["kubeadm", "init", "phase", *phase, f"--config={_FILE}"], timeout=300)
    machine.run(["rm", "-f", _FILE])


def give_client(member: Node, control_plane: Node) -> None:
    """The first control plane gets what API servers need; the others get it by their join."""
    for path in (CA, *CLIENT):
        control_plane.write(path, member.read(path.lstrip("/")), 0o600)
