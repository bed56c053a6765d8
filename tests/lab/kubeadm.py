# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents that kubeadm and the cluster are made from. Values in, text out."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from . import etcd_place, external_etcd, front, hardening, kms, versions
from .topology import API_PORT, POD_SUBNET, POD_SUBNET_6, SERVICE_SUBNET, SERVICE_SUBNET_6, NodePlan, Topology
from .yamltext import documents

DISCOVERY_FILE = "/var/tmp/discovery.conf"
NAMESPACE = "shop"
DEPLOYMENT = "web"
REPLICAS = 2


@dataclass(frozen=True)
class Secrets:
    """What joins nodes and encrypts Secrets at rest; made once for each golden cluster."""

    token: str
    certificate_key: str
    encryption_key: str


def encryption_file(topology: Topology) -> str:
    """The API server's configuration of encryption at rest."""
    return hardening.ENCRYPTION if "hardened" in topology.traits else "/etc/kubernetes/enc/encryption.yaml"


# kubeadm's own limits are for machines that have nothing else to do.
_TIMEOUTS = {
    "controlPlaneComponentHealthCheck": "10m0s",
    "kubeletHealthCheck": "10m0s",
    "kubernetesAPICall": "5m0s",
    "etcdAPICall": "10m0s",
    "tlsBootstrap": "10m0s",
    "discovery": "10m0s",
}


def _arguments(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Flags as kubeadm's configuration has them."""
    return [{"name": name, "value": value} for name, value in values.items()]


def _server_names(topology: Topology) -> list[str]:
    names = {topology.api_name, topology.api_address, topology.balancer_address}
    for node in topology.control_plane:
        names |= {node.name, *node.addresses}
    if "static-pods" in topology.traits:
        names.add(front.ADDRESS)
    return sorted(names)


def _api_server(topology: Topology) -> dict[str, object]:
    encryption = encryption_file(topology)
    arguments = {"encryption-provider-config": encryption}
    directory = encryption.rpartition("/")[0]
    volumes = [hardening.volume("encryption", directory, "Directory" if "hardened" in topology.traits else "DirectoryOrCreate")]
    if "hardened" in topology.traits:
        arguments |= hardening.server_arguments()
        volumes += hardening.server_volumes()
    if "kms" in topology.traits:
        volumes.append(kms.server_volume())
    return {"certSANs": _server_names(topology), "extraArgs": _arguments(arguments), "extraVolumes": volumes}


def _registration(topology: Topology, node: NodePlan) -> dict[str, object]:
    arguments = {"node-ip": ",".join(node.addresses)}
    if "hardened" in topology.traits:
        arguments["config-dir"] = hardening.KUBELET_DIRECTORY
    registration: dict[str, object] = {
        "name": node.node_name,
        "criSocket": node.runtime.endpoint,
        # Nothing can be pulled here, and trying takes minutes.
        "imagePullPolicy": "Never",
        "kubeletExtraArgs": _arguments(arguments),
        # These look for kernel modules, swap and bridge filters of the machine below, which are not the node's to change.
        "ignorePreflightErrors": ["SystemVerification", "Swap", "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"],
    }
    if not topology.workers:
        registration["taints"] = []
    return registration


def init_configuration(topology: Topology, secrets: Secrets) -> str:
    """For `kubeadm init` on the first control plane node."""
    first = topology.control_plane[0]
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
            **etcd_place.patches(first),
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": f"v{versions.KUBERNETES}",
            "clusterName": "lab",
            "controlPlaneEndpoint": f"{topology.api_name}:{API_PORT}",
            "networking": _networking(topology),
            "etcd": external_etcd.client(topology) if "external-etcd" in topology.traits else etcd(topology),
            "apiServer": _api_server(topology),
            # The lab gives each node the subnet of its routes.
            "controllerManager": {"extraArgs": [{"name": "allocate-node-cidrs", "value": "false"}]},
            "proxy": {"disabled": True},
            "dns": {"disabled": True},
        },
        kubelet_configuration(),
    )


def _networking(topology: Topology) -> dict[str, object]:
    four, six = (POD_SUBNET, SERVICE_SUBNET), (POD_SUBNET_6, SERVICE_SUBNET_6)
    families = [six] if "ipv6" in topology.traits else [four, *([six] if "dual-stack" in topology.traits else [])]
    pods, services = zip(*families, strict=True)
    return {"podSubnet": ",".join(pods), "serviceSubnet": ",".join(services)}


def etcd(topology: Topology) -> dict[str, object]:
    """A member on each control plane."""
    arguments = _arguments(etcd_place.arguments(topology.etcd[0]))
    return {"local": {"dataDir": topology.etcd_directory, "imageTag": versions.ETCD_IMAGE_TAG, **({"extraArgs": arguments} if arguments else {})}}


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


def _discovery(topology: Topology, secrets: Secrets, certificate_authority_hash: str) -> dict[str, object]:
    if "hardened" in topology.traits:
        # A token alone is discovered with a request of nobody in particular, which this API server does not take.
        return {"file": {"kubeConfigPath": DISCOVERY_FILE}}
    return {
        "bootstrapToken": {
            "token": secrets.token,
            "apiServerEndpoint": f"{topology.api_name}:{API_PORT}",
            "caCertHashes": [f"sha256:{certificate_authority_hash}"],
        }
    }


def discovery_kubeconfig(topology: Topology, secrets: Secrets, authority: str) -> str:
    """For joins to an API server that takes no anonymous requests. Without the token in it kubeadm would ask anonymously, again and again."""
    cluster = {"server": f"https://{topology.api_name}:{API_PORT}", "certificate-authority-data": base64.b64encode(authority.encode()).decode()}
    return documents(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "join",
            "contexts": [{"name": "join", "context": {"cluster": "lab", "user": "join"}}],
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": "join", "user": {"token": secrets.token}}],
        }
    )


def join_configuration(topology: Topology, node: NodePlan, secrets: Secrets, certificate_authority_hash: str) -> str:
    """For `kubeadm join`."""
    document: dict[str, object] = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": _discovery(topology, secrets, certificate_authority_hash),
        "nodeRegistration": _registration(topology, node),
        "timeouts": _TIMEOUTS,
        **etcd_place.patches(node),
    }
    if node.control_plane:
        document["controlPlane"] = {"localAPIEndpoint": {"advertiseAddress": node.address, "bindPort": API_PORT}, "certificateKey": secrets.certificate_key}
    return documents(document)


def encryption_configuration(keys: Mapping[str, str], *, by_kms: bool = False) -> str:
    """Encryption at rest of Secrets: new values by the KMS or under the first key, old ones under any of them."""
    named = [{"name": name, "secret": secret} for name, secret in keys.items()]
    providers = [*([kms.provider()] if by_kms else []), {"secretbox": {"keys": named}}, {"identity": {}}]
    return documents(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": providers}],
        }
    )


def _addresses_of_pods(node: NodePlan) -> dict[str, object]:
    routes = [{"dst": "::/0" if ":" in subnet else "0.0.0.0/0"} for subnet in node.pod_subnets]
    return {"type": "host-local", "ranges": [[{"subnet": subnet}] for subnet in node.pod_subnets], "routes": routes}


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
                    "ipam": _addresses_of_pods(node),
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }
    )


def _secret(name: str, password: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "stringData": {"password": password}}


def secret(name: str, password: str) -> str:
    """One Secret beside the application's own."""
    return documents(_secret(name, password))


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
        _secret(DEPLOYMENT, "correct horse battery staple"),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**metadata, "labels": labels},
            "spec": {"replicas": REPLICAS, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
    )
