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
        # What its own processes say counts more than the network on which Ansible reaches it.
        ({"addresses": OWN, "flags": API}, "172.17.0.1", "", "10.0.0.11"),
        ({"addresses": OWN, "flags": {}, "default_address": "10.0.0.11"}, "172.17.0.1", "", "172.17.0.1"),
        # The kubelet finds it by the machine's name, unless that leads to loopback.
        ({"addresses": OWN, "flags": {}, "resolv": {"own_address": "10.0.0.11"}, "default_address": "172.17.0.1"}, "172.17.0.1", "", "10.0.0.11"),
        ({"addresses": OWN, "flags": {}, "resolv": {"own_address": "127.0.1.1"}, "default_address": "10.0.0.11"}, "w1", "", "10.0.0.11"),
        ({"addresses": ["FD00::11".lower()], "flags": {}}, "FD00::11", "", "fd00::11"),
        # Several, and nothing decides: what Ansible knows.
        ({"addresses": OWN, "flags": {}}, "w1", "", "w1"),
        ({"addresses": OWN[:1], "flags": {}}, "w1", "", "10.0.0.11"),
        # A name, and the address of a NAT.
        ({"addresses": OWN, "flags": API}, "cp1.example.org", "", "10.0.0.11"),
        ({"addresses": OWN, "flags": API}, "203.0.113.7", "", "10.0.0.11"),
        ({"addresses": OWN, "flags": {"etcd": {"initial-advertise-peer-urls": "https://[fd00::11]:2380"}}}, "cp1", "", "fd00::11"),
        ({"addresses": OWN, "flags": {"etcd": {"initial-advertise-peer-urls": "https://cp1:2380"}}, "default_address": "10.0.0.11"}, "cp1", "", "10.0.0.11"),
        ({"addresses": OWN, "flags": {"kubelet": {"node-ip": "fd00::11,10.0.0.11"}}}, "w1", "", "fd00::11"),
        # What every machine has is none, and what is another machine's neither.
        ({"addresses": OWN, "flags": {"kube-apiserver": {"advertise-address": "0.0.0.0"}}, "default_address": "10.0.0.11"}, "cp1", "", "10.0.0.11"),
        ({"addresses": OWN, "flags": {"kube-apiserver": {"advertise-address": "10.9.9.9"}}, "default_address": "10.0.0.11"}, "cp1", "", "10.0.0.11"),
        # Nothing is known: an empty machine without a route, a look that failed.
        ({"addresses": [], "flags": {}}, "cp1", "", "cp1"),
        ({"addresses": None, "flags": None}, "203.0.113.7", "", "203.0.113.7"),
        ({"addresses": OWN, "flags": API}, "cp1", "10.0.0.99", "10.0.0.99"),
    ],
)
def test_whose_word_counts(node: Dict[str, Any], connected: str, named: str, address: str) -> None:
    assert node_address(node, connected, named) == address


def test_an_empty_machine_has_the_address_of_the_recovery_point_if_it_is_its_own() -> None:
    node = {"addresses": OWN, "flags": {}, "default_address": "172.17.0.1"}
    assert node_address(node, "172.17.0.1", "", "10.0.0.11") == "10.0.0.11"
    assert node_address(node, "172.17.0.1", "", "10.0.0.12") == "172.17.0.1"
