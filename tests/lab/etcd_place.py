# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The traits etcd-symlink and wal-elsewhere: data behind a link, a write-ahead log of its own. Values in, text out."""

from __future__ import annotations

from .topology import NodePlan
from .yamltext import documents

PATCHES = "/etc/kubernetes/patches"
_PATCH = f"{PATCHES}/etcd+strategic.yaml"

# As somebody does it who moves the data to another disk.
LINK = """\
set -eu
mkdir -p "$1" "$(dirname "$2")"
chmod 700 "$1"
ln -s "$1" "$2"
"""


def arguments(node: NodePlan) -> dict[str, str]:
    """Flags of a member besides kubeadm's own."""
    return {"wal-dir": node.log_directory} if node.log_directory else {}


def patches(node: NodePlan) -> dict[str, object]:
    """Of kubeadm's configuration: it mounts nothing into etcd but data and certificates, so another mount takes a patch of the manifest."""
    return {"patches": {"directory": PATCHES}} if node.log_directory else {}


def files(node: NodePlan) -> dict[str, str]:
    """Path to content of what has to be there before kubeadm comes."""
    if not node.log_directory:
        return {}
    # etcd renames a new directory to this one, so it can be no mount point.
    place = node.log_directory.rpartition("/")[0]
    container = {"name": "etcd", "volumeMounts": [{"name": "etcd-wal", "mountPath": place}]}
    volume = {"name": "etcd-wal", "hostPath": {"path": place, "type": "DirectoryOrCreate"}}
    return {_PATCH: documents({"spec": {"containers": [container], "volumes": [volume]}})}
