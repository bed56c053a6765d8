# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a recovery point a recovery needs: only that may not be damaged."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.needs import needed

COLLECTION, INVENTORY, TOOL, SNAPSHOT = (
    "collection/collection.tar.zst.age",
    "inventory/inventory.json.zst.age",
    "tools/etcdutl.zst.age",
    "etcd/snapshot.db.zst.age",
)
MANIFEST: dict[str, Any] = {
    "artifacts": [
        {"name": COLLECTION, "component": "collection", "host": "localhost"},
        {"name": SNAPSHOT, "component": "etcd", "host": "cp2"},
        {"name": INVENTORY, "component": "inventory", "host": "localhost"},
        *({"name": f"{component}/{host}.tar.zst.age", "component": component, "host": host} for component in ("pki", "node_config") for host in ("cp1", "w1")),
        {"name": TOOL, "component": "tools", "host": "cp2"},
    ]
}


@pytest.mark.parametrize(
    ("components", "etcd", "etcdutl", "expected"),
    [
        ({}, False, False, []),
        # A roll back of a living cluster: keys and configuration stay.
        ({}, True, False, [SNAPSHOT]),
        ({}, True, True, [SNAPSHOT, TOOL]),
        # One worker; its neighbours' archives may be damaged.
        ({"w1": ["pki", "node_config"]}, False, False, ["pki/w1.tar.zst.age", "node_config/w1.tar.zst.age"]),
        ({"w1": ["node_config"], "cp1": ["pki"]}, True, False, [SNAPSHOT, "pki/cp1.tar.zst.age", "node_config/w1.tar.zst.age"]),
        # The data of etcd were taken from cp2, and are nothing that cp2 alone gets back.
        ({"cp2": ["etcd", "tools"]}, False, False, []),
    ],
)
def test_what_is_brought_onto_machines_is_needed_and_nothing_else(components: dict[str, list[str]], etcd: bool, etcdutl: bool, expected: list[str]) -> None:
    assert needed(MANIFEST, components, etcd, etcdutl) == expected
