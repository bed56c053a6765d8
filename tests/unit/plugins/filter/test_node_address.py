# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine tells its address; the inventory may have a name, or the address of a NAT (real-clusters C4)."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from ansible_collections.lifeboat.cluster.plugins.filter.node_address import node_address

OWN = ["10.0.0.11", "172.17.0.1", "fd00::11"]
API = {"kube-apiserver": {"advertise-address": "10.0.0.11"}}


@pytest.mark.parametrize(
    ("node", "connected", "named", "address"),
    [
        # As the inventory has it, where the machine has that address.
        ({"addresses": OWN, "flags": API}, "172.17.0.1", "", "172.17.0.1"),
        # A name, and the address of a NAT.
        ({"addresses": OWN, "flags": API}, "cp1.example.org", "", "10.0.0.11"),
        ({"addresses": OWN, "flags": API}, "203.0.113.7", "", "10.0.0.11"),
        ({"addresses": OWN, "flags": {"etcd": {"initial-advertise-peer-urls": "https://[fd00::11]:2380"}}}, "cp1", "", "fd00::11"),
        ({"addresses": OWN, "flags": {"etcd": {"initial-advertise-peer-urls": "https://cp1:2380"}}, "default_address": "10.0.0.11"}, "cp1", "", "10.0.0.11"),
        ({"addresses": OWN, "flags": {"kubelet": {"node-ip": "fd00::11,10.0.0.11"}}}, "w1", "", "fd00::11"),
        # What every machine has is none, and what is another machine's neither.
        ({"addresses": OWN, "flags": {"kube-apiserver": {"advertise-address": "0.0.0.0"}}, "default_address": "10.0.0.11"}, "cp1", "", "10.0.0.11"),
        ({"addresses": OWN, "flags": {"kube-apiserver": {"advertise-address": "10.9.9.9"}}}, "cp1", "", "10.0.0.11"),
        # Nothing is known: an empty machine without a route, a look that failed.
        ({"addresses": [], "flags": {}}, "cp1", "", "cp1"),
        ({"addresses": None, "flags": None}, "203.0.113.7", "", "203.0.113.7"),
        ({"addresses": OWN, "flags": API}, "cp1", "10.0.0.99", "10.0.0.99"),
    ],
)
def test_whose_word_counts(node: Dict[str, Any], connected: str, named: str, address: str) -> None:
    assert node_address(node, connected, named) == address
