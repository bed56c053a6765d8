# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait kms: a KMS v2 plugin beside each API server. Values in, text out.

The key is as in a security module of the machine: it is there at every boot, also of a machine whose disks are empty, and on no disk.
"""

from __future__ import annotations

from .hardening import volume
from .kmsplugin import PROGRAM
from .versions import KMS_IMAGE
from .yamltext import documents

NAME = PROGRAM
PROVIDER = "lab-kms"
MANIFEST = f"/etc/kubernetes/manifests/{NAME}.yaml"
SOCKETS = "/var/run/kms-plugin"
SOCKET = f"{SOCKETS}/socket"
# Golden clusters are shared, and so is what opens their Secrets: it protects nothing but labs.
KEY = "the key in the security modules of all machines of all labs"
MODULE = "/run/security-module"
KEY_FILE = f"{MODULE}/key"


def manifest() -> str:
    """The static pod."""
    container = {
        "name": NAME,
        "image": KMS_IMAGE,
        "imagePullPolicy": "Never",
        "args": [f"--listen={SOCKET}", f"--key={KEY_FILE}"],
        "volumeMounts": [{"name": "sockets", "mountPath": SOCKETS}, {"name": "module", "mountPath": MODULE, "readOnly": True}],
    }
    volumes = [
        {"name": "sockets", "hostPath": {"path": SOCKETS, "type": "DirectoryOrCreate"}},
        {"name": "module", "hostPath": {"path": MODULE, "type": "Directory"}},
    ]
    specification = {"hostNetwork": True, "priorityClassName": "system-node-critical", "containers": [container], "volumes": volumes}
    return documents({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME, "namespace": "kube-system"}, "spec": specification})


def server_volume() -> dict[str, object]:
    """Of kube-apiserver: the directory with the socket. Connecting to one is writing."""
    return {**volume("kms", SOCKETS, "DirectoryOrCreate"), "readOnly": False}


def provider() -> dict[str, object]:
    """In the configuration of encryption at rest."""
    return {"kms": {"apiVersion": "v2", "name": PROVIDER, "endpoint": f"unix://{SOCKET}", "timeout": "3s"}}
