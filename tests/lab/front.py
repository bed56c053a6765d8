# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait static-pods: on every node a static pod that forwards a local port to the API servers, as nginx-proxy, haproxy or kube-vip do elsewhere.

The kubelet reaches the API through it and through nothing else, so it has to run before the kubelet knows anything from the API.
"""

from __future__ import annotations

import re

from .topology import Topology, bracketed
from .versions import FRONT_IMAGE
from .yamltext import documents

NAME = "api-front"
ADDRESS = "127.0.0.1"
PORT = 7443
MANIFEST = f"/etc/kubernetes/manifests/{NAME}.yaml"
TARGETS = f"/etc/kubernetes/{NAME}/targets"


def manifest() -> str:
    """The static pod, as a person writes it: a short image name, a priority class without its number."""
    container = {
        "name": NAME,
        "image": FRONT_IMAGE,
        "imagePullPolicy": "Never",
        "args": [f"--listen={ADDRESS}:{PORT}", f"--targets={TARGETS}"],
        "resources": {"requests": {"cpu": "10m"}},
        "volumeMounts": [{"name": "targets", "mountPath": TARGETS, "readOnly": True}],
    }
    specification = {
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "containers": [container],
        "volumes": [{"name": "targets", "hostPath": {"path": TARGETS, "type": "File"}}],
    }
    metadata = {"name": NAME, "namespace": "kube-system", "labels": {"app": NAME}}
    return documents({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": specification})


def targets(topology: Topology) -> str:
    """The API servers, a line each."""
    return "".join(f"{bracketed(node.address)}:{topology.server_port}\n" for node in topology.control_plane)


def through_front(kubeconfig: str) -> str:
    """The kubelet's kubeconfig with the local port as its server."""
    return re.sub(r"^(\s*server:).*$", rf"\1 https://{ADDRESS}:{PORT}", kubeconfig, flags=re.MULTILINE)
