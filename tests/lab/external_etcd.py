# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait external-etcd: members on machines of their own, as kubeadm's documentation sets them up. Values in, text out.

"Set up a High Availability etcd Cluster with kubeadm": a kubelet by itself as the service manager, certificates that one machine makes for all.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import etcd_place, versions
from .topology import NodePlan, Topology, bracketed
from .yamltext import documents

PKI = "/etc/kubernetes/pki"
CA = f"{PKI}/etcd/ca.crt"
CLIENT = (f"{PKI}/apiserver-etcd-client.crt", f"{PKI}/apiserver-etcd-client.key")
UNIT = "/etc/systemd/system/kubelet.service.d"
KUBELET_CONFIGURATION = f"{UNIT}/kubelet.conf"

DROP_IN = f"""\
[Service]
Environment="KUBELET_CONFIG_FILE={KUBELET_CONFIGURATION}"
ExecStart=
ExecStart=/usr/bin/kubelet --config={KUBELET_CONFIGURATION}
Restart=always
"""

# Instead of the lab's own condition, which names a file that these machines do not have.
CONDITION = f"""\
[Unit]
ConditionPathExists={KUBELET_CONFIGURATION}
"""


def _url(node: NodePlan, port: int) -> str:
    return f"https://{bracketed(node.address)}:{port}"


def client(topology: Topology) -> dict[str, object]:
    """What the control planes are told of etcd."""
    certificate, key = CLIENT
    endpoints = [_url(node, 2379) for node in topology.etcd]
    return {"external": {"endpoints": endpoints, "caFile": CA, "certFile": certificate, "keyFile": key}}


def configuration(topology: Topology, node: NodePlan) -> str:
    """For `kubeadm init phase` on a member's machine: the documentation's, with the lab's directory and image."""
    arguments = {
        "initial-cluster": ",".join(f"{member.node_name}={_url(member, 2380)}" for member in topology.etcd),
        "initial-cluster-state": "new",
        "name": node.node_name,
        "listen-peer-urls": _url(node, 2380),
        "listen-client-urls": _url(node, 2379),
        "advertise-client-urls": _url(node, 2379),
        "initial-advertise-peer-urls": _url(node, 2380),
        **etcd_place.arguments(node),
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
        {
            "apiVersion": api,
            "kind": "InitConfiguration",
            "nodeRegistration": {"name": node.node_name},
            "localAPIEndpoint": {"advertiseAddress": node.address},
            **etcd_place.patches(node),
        },
        {"apiVersion": api, "kind": "ClusterConfiguration", "kubernetesVersion": f"v{versions.KUBERNETES}", "etcd": {"local": local}},
    )


def kubelet_configuration(node: NodePlan, common: Mapping[str, object]) -> str:
    """The documentation's, with what every kubelet of a lab needs."""
    return documents(
        {
            **common,
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "address": "127.0.0.1",
            "containerRuntimeEndpoint": node.runtime.endpoint,
            "staticPodPath": "/etc/kubernetes/manifests",
        }
    )
