# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the members of the trait external-etcd, before there is a control plane."""

from __future__ import annotations

from . import etcd_place, external_etcd, kubeadm
from .cluster import Cluster
from .commands import in_parallel
from .node import Node
from .progress import Progress
from .topology import NodePlan

_FILE = "/var/tmp/kubeadmcfg.yaml"

# What the first machine made for one other, or for itself; the key of the CA stays where it is.
_TAKE = f"""\
set -eu
cd {external_etcd.PKI}
tar -c --exclude=ca.key . | base64
find . -not -name ca.crt -not -name ca.key -type f -delete
"""


def form(cluster: Cluster, progress: Progress) -> None:
    """A complete etcd on the machines that are for nothing else."""
    progress("etcd on machines of its own")
    first = cluster.outside[0]

    def manage(node: Node) -> None:
        give_etcd_place(node)
        node.write(external_etcd.KUBELET_CONFIGURATION, external_etcd.kubelet_configuration(node.plan, kubeadm.kubelet_configuration()))
        node.write(f"{external_etcd.UNIT}/20-etcd-service-manager.conf", external_etcd.DROP_IN)
        node.write(f"{external_etcd.UNIT}/20-lab.conf", external_etcd.CONDITION)
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
            node.run(["sh", "-c", f"mkdir -p {external_etcd.PKI} && base64 -d | tar -x -C {external_etcd.PKI}"], input=archive)
    for node in cluster.outside:
        _phase(node, node.plan, "etcd", "local")
    for node in cluster.outside:
        cluster.wait_member(node)


def give_etcd_place(node: Node) -> None:
    """What a member finds before kubeadm comes."""
    if node.plan.etcd_link_target:
        node.run(["sh", "-c", etcd_place.LINK, "link", node.plan.etcd_link_target, node.plan.etcd_directory])
    for path, text in etcd_place.files(node.plan).items():
        node.write(path, text, 0o600)


def _phase(machine: Node, plan: NodePlan, *phase: str) -> None:
    machine.write(_FILE, external_etcd.configuration(machine.topology, plan), 0o600)
    machine.run(["kubeadm", "init", "phase", *phase, f"--config={_FILE}"], timeout=300)
    machine.run(["rm", "-f", _FILE])


def give_client(member: Node, control_plane: Node) -> None:
    """The first control plane gets what API servers need; the others get it by their join."""
    for path in (external_etcd.CA, *external_etcd.CLIENT):
        control_plane.write(path, member.read(path.lstrip("/")), 0o600)
