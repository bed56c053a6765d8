# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The v2 store of etcd as it was on a cluster of the product: objects as JSON below /registry, locks of the reboot manager, hidden and expiring keys."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..topology import Topology

# Longer than a golden cluster is used: an expiring key that a test counts must not be gone before it looks.
YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class Key:
    """A key of the v2 API."""

    path: str
    value: str
    ttl: int = 0


def _object(kind: str, name: str, namespace: str = "", api: str = "v1", **content: object) -> str:
    metadata: dict[str, object] = {
        "name": name,
        "uid": f"00000000-0000-4000-8000-{sum(map(ord, kind + name)):012d}",
        "creationTimestamp": "2018-08-01T12:00:00Z",
    }
    if namespace:
        metadata["namespace"] = namespace
    return json.dumps({"kind": kind, "apiVersion": api, "metadata": metadata, **content}, separators=(",", ":"))


def keys(topology: Topology) -> list[Key]:
    """Everything that the v2 store of a new cluster holds."""
    found = [
        Key("/registry/ranges/serviceips", _object("RangeAllocation", "", range="172.24.0.0/16", data="Aw==")),
        Key("/registry/services/specs/default/kubernetes", _object("Service", "kubernetes", "default", spec={"clusterIP": "172.24.0.1"})),
        Key("/registry/deployments/shop/web", _object("Deployment", "web", "shop", "extensions/v1beta1", spec={"replicas": 2})),
        Key("/registry/events/default/web.1", _object("Event", "web.1", "default", message="Scaled up"), YEAR),
        # Listings leave out what begins with an underscore.
        Key("/registry/_hidden", _object("ConfigMap", "hidden", "default")),
        Key("/registry/configmaps/_lifeboat/hidden", _object("ConfigMap", "hidden", "kube-system")),
        Key("/opensuse.org/rebootmgr/locks/default/mutex", "0"),
        Key("/opensuse.org/rebootmgr/locks/default/data", json.dumps({"max": 1, "holders": []})),
    ]
    for namespace in ("default", "kube-public", "kube-system", "shop"):
        found += [
            Key(f"/registry/namespaces/{namespace}", _object("Namespace", namespace, status={"phase": "Active"})),
            Key(f"/registry/serviceaccounts/{namespace}/default", _object("ServiceAccount", "default", namespace)),
            Key(f"/registry/secrets/{namespace}/default-token-x2k4p", _object("Secret", "default-token-x2k4p", namespace, data={"namespace": "c2hvcA=="})),
        ]
    for number in range(20):
        found.append(
            Key(f"/registry/configmaps/shop/settings-{number:02d}", _object("ConfigMap", f"settings-{number:02d}", "shop", data={"text": "Straße\n" * number}))
        )
    for node in (*topology.control_plane, *topology.workers):
        found.append(Key(f"/registry/minions/{node.name}", _object("Node", node.name, status={"addresses": [{"type": "InternalIP", "address": node.address}]})))
        found.append(Key(f"/registry/pods/shop/web-{node.name}", _object("Pod", f"web-{node.name}", "shop", spec={"nodeName": node.name})))
    for master in topology.control_plane:
        found.append(Key(f"/registry/masterleases/{master.address}", _object("Endpoints", ""), YEAR))
    return found
