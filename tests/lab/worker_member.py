# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait etcd-on-worker: kubeadm makes a member on each control plane; afterwards one of them goes to a worker.

The control plane that is left without one asks all members. The others go on asking their own.
"""

from __future__ import annotations

import re
from functools import partial

from . import etcd_place, external_etcd, external_forming, versions
from .api import readyz
from .cluster import MANIFESTS, Cluster
from .progress import Progress
from .reshaping import AUTHORITY, etcdctl, restart_static_pod, running_containers
from .topology import NodePlan, Topology, bracketed
from .yamltext import documents

_FILE = "/var/tmp/kubeadmcfg.yaml"
_PKI = f"{external_etcd.PKI}/etcd"
_AWAY = "/var/tmp/ca.crt"
_CERTIFICATES = ("server", "peer", "healthcheck-client")


def _url(node: NodePlan, port: int) -> str:
    return f"https://{bracketed(node.address)}:{port}"


def configuration(topology: Topology, node: NodePlan) -> str:
    """For `kubeadm init phase` on the worker: a member that joins those that are there."""
    arguments = {
        "initial-cluster": ",".join(f"{member.node_name}={_url(member, 2380)}" for member in topology.etcd),
        "initial-cluster-state": "existing",
        **etcd_place.arguments(node),
    }
    local = {
        "dataDir": node.etcd_directory,
        "imageTag": versions.ETCD_IMAGE_TAG,
        "extraArgs": [{"name": name, "value": value} for name, value in arguments.items()],
    }
    api = "kubeadm.k8s.io/v1beta4"
    registration = {"name": node.node_name, "criSocket": node.runtime.endpoint}
    endpoint = {"advertiseAddress": node.address}
    return documents(
        {"apiVersion": api, "kind": "InitConfiguration", "nodeRegistration": registration, "localAPIEndpoint": endpoint, **etcd_place.patches(node)},
        {
            "apiVersion": api,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": f"v{versions.KUBERNETES}",
            "etcd": {"local": local},
        },
    )


def move_member(cluster: Cluster, progress: Progress) -> None:
    """From the control plane that shall have none to the worker that shall have one."""
    topology = cluster.topology
    (leaving,) = (node for node in cluster.control_plane if not node.plan.etcd)
    (worker,) = (node for node in cluster.members if not node.plan.control_plane)
    first = cluster.control_plane[0]
    progress(f"the member of etcd on {leaving.name} goes to {worker.name}")
    servers = ",".join(_url(member, 2379) for member in topology.etcd)
    manifest = f"/{MANIFESTS}/kube-apiserver.yaml"
    text = re.sub(r"^(\s*- --etcd-servers=).*$", rf"\g<1>{servers}", leaving.read(manifest.lstrip("/")), flags=re.MULTILINE)
    restart_static_pod(leaving, "kube-apiserver", partial(leaving.write, manifest, text, 0o600), partial(readyz, leaving.plan.address))
    member = next(line.split(",")[0] for line in etcdctl(first, "member", "list").splitlines() if f" {leaving.plan.node_name}," in line)
    etcdctl(first, "member", "remove", member)
    leaving.run(["sh", "-c", f"rm /{MANIFESTS}/etcd.yaml {' '.join(f'{_PKI}/{name}.*' for name in _CERTIFICATES)}"])
    for container in running_containers(leaving, "etcd"):
        leaving.run(["crictl", "stop", "--timeout", "10", container], check=False)
    leaving.run(["sh", "-c", f"rm -rf {topology.etcd_directory}"])
    external_forming.give_etcd_place(worker)
    for name in ("ca.crt", "ca.key"):
        worker.write(f"{_PKI}/{name}", first.read(f"{_PKI}/{name}".lstrip("/")), 0o600)
    worker.write(_FILE, configuration(topology, worker.plan), 0o600)
    # Beside a CA whose key is elsewhere, as a worker has it, kubeadm makes nothing.
    worker.run(["mv", AUTHORITY, _AWAY])
    for name in _CERTIFICATES:
        worker.run(["kubeadm", "init", "phase", "certs", f"etcd-{name}", f"--config={_FILE}"])
    etcdctl(first, "member", "add", worker.plan.node_name, f"--peer-urls={_url(worker.plan, 2380)}")
    worker.run(["kubeadm", "init", "phase", "etcd", "local", f"--config={_FILE}"], timeout=300)
    worker.run(["mv", _AWAY, AUTHORITY])
    # What signs certificates of members stays on the control planes.
    worker.run(["rm", "-f", _FILE, f"{_PKI}/ca.key"])
    for node in cluster.members:
        cluster.wait_member(node)
