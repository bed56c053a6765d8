# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents that kubeadm and the cluster are made from. Values in, text out.

JSON is YAML: everything is a dictionary until it is written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from . import versions
from .topology import API_PORT, NodePlan, Topology

SOCKET = "unix:///run/containerd/containerd.sock"
ENCRYPTION_FILE = "/etc/kubernetes/enc/encryption.yaml"
NAMESPACE = "shop"
DEPLOYMENT = "web"
REPLICAS = 2


@dataclass(frozen=True)
class Secrets:
    """What joins nodes and encrypts Secrets at rest; made once for each golden cluster."""

    token: str
    certificate_key: str
    encryption_key: str


def documents(*wanted: dict[str, object]) -> str:
    """A file of documents."""
    return "\n---\n".join(json.dumps(document, indent=2) for document in wanted) + "\n"


# kubeadm's own limits are for machines that have nothing else to do.
_TIMEOUTS = {
    "controlPlaneComponentHealthCheck": "10m0s",
    "kubeletHealthCheck": "10m0s",
    "kubernetesAPICall": "5m0s",
    "etcdAPICall": "10m0s",
    "tlsBootstrap": "10m0s",
    "discovery": "10m0s",
}


def _registration(topology: Topology, node: NodePlan) -> dict[str, object]:
    registration: dict[str, object] = {
        "name": node.name,
        "criSocket": SOCKET,
        # Nothing can be pulled here, and trying takes minutes.
        "imagePullPolicy": "Never",
        "kubeletExtraArgs": [{"name": "node-ip", "value": node.address}],
        # These look for kernel modules, swap and bridge filters of the machine below, which are not the node's to change.
        "ignorePreflightErrors": ["SystemVerification", "Swap", "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"],
    }
    if not topology.workers:
        registration["taints"] = []
    return registration


def init_configuration(topology: Topology, secrets: Secrets) -> str:
    """For `kubeadm init` on the first control plane node."""
    first = topology.control_plane[0]
    names = [
        topology.api_name,
        topology.api_address,
        topology.balancer_address,
        *(name for node in topology.control_plane for name in (node.name, node.address)),
    ]
    return documents(
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "bootstrapTokens": [{"token": secrets.token, "ttl": "2h"}],
            "certificateKey": secrets.certificate_key,
            "localAPIEndpoint": {"advertiseAddress": first.address, "bindPort": API_PORT},
            "nodeRegistration": _registration(topology, first),
            # No kube-proxy and no CoreDNS: disaster recovery of a control plane needs neither, and both cost time at every start.
            "skipPhases": ["addon"],
            "timeouts": _TIMEOUTS,
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": f"v{versions.KUBERNETES}",
            "clusterName": "lab",
            "controlPlaneEndpoint": f"{topology.api_name}:{API_PORT}",
            "networking": {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/16"},
            "etcd": {"local": {"dataDir": "/var/lib/etcd", "imageTag": versions.ETCD_IMAGE_TAG}},
            "apiServer": {
                "certSANs": sorted(set(names)),
                "extraArgs": [{"name": "encryption-provider-config", "value": ENCRYPTION_FILE}],
                "extraVolumes": [
                    {
                        "name": "encryption",
                        "hostPath": "/etc/kubernetes/enc",
                        "mountPath": "/etc/kubernetes/enc",
                        "readOnly": True,
                        "pathType": "DirectoryOrCreate",
                    }
                ],
            },
            # The lab gives each node the subnet of its routes.
            "controllerManager": {"extraArgs": [{"name": "allocate-node-cidrs", "value": "false"}]},
            "proxy": {"disabled": True},
            "dns": {"disabled": True},
        },
        kubelet_configuration(),
    )


def kubelet_configuration() -> dict[str, object]:
    """What every kubelet of a lab needs on such machines."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        # The root file system is an overlay, for which kubelet finds no usage figures.
        "localStorageCapacityIsolation": False,
        "imageGCHighThresholdPercent": 100,
    }


def join_configuration(topology: Topology, node: NodePlan, secrets: Secrets, certificate_authority_hash: str) -> str:
    """For `kubeadm join`."""
    document: dict[str, object] = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "token": secrets.token,
                "apiServerEndpoint": f"{topology.api_name}:{API_PORT}",
                "caCertHashes": [f"sha256:{certificate_authority_hash}"],
            }
        },
        "nodeRegistration": _registration(topology, node),
        "timeouts": _TIMEOUTS,
    }
    if node.control_plane:
        document["controlPlane"] = {"localAPIEndpoint": {"advertiseAddress": node.address, "bindPort": API_PORT}, "certificateKey": secrets.certificate_key}
    return documents(document)


def encryption_configuration(secrets: Secrets) -> str:
    """Encryption at rest of Secrets."""
    return documents(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [
                {"resources": ["secrets"], "providers": [{"secretbox": {"keys": [{"name": "key1", "secret": secrets.encryption_key}]}}, {"identity": {}}]}
            ],
        }
    )


def network_configuration(node: NodePlan) -> str:
    """The CNI configuration of a node: a bridge with fixed addresses; routes to the others are the network's matter."""
    return documents(
        {
            "cniVersion": "1.0.0",
            "name": "lab",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "cni0",
                    "isGateway": True,
                    "ipam": {"type": "host-local", "ranges": [[{"subnet": node.pod_subnet}]], "routes": [{"dst": "0.0.0.0/0"}]},
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }
    )


def workload() -> str:
    """The application that runs in every finished cluster."""
    labels = {"app": DEPLOYMENT}
    container = {
        "name": DEPLOYMENT,
        "image": versions.WORKLOAD_IMAGE,
        "imagePullPolicy": "Never",
        "ports": [{"containerPort": 8080}],
        "envFrom": [{"configMapRef": {"name": DEPLOYMENT}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "credentials", "mountPath": "/credentials", "readOnly": True}],
    }
    pod = {
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "credentials", "secret": {"secretName": DEPLOYMENT}}],
    }
    metadata = {"name": DEPLOYMENT, "namespace": NAMESPACE}
    return documents(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"LISTEN": ":8080"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "correct horse battery staple"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**metadata, "labels": labels},
            "spec": {"replicas": REPLICAS, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
    )
