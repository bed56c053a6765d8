# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The traits ipv6, dual-stack and etcd-on-worker: which addresses and members a lab has, and what it writes of them."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.drill.members import member_names
from tests.drill.memory import api_servers
from tests.lab import balancer, inventory, kubeadm, worker_member
from tests.lab.api import with_server
from tests.lab.errors import LabError
from tests.lab.network import Network
from tests.lab.topology import Topology, bracketed, hosts_file, make_topology
from tests.lab.traits import PLAIN, Traits

SECRETS = kubeadm.Secrets("abcdef.0123456789abcdef", "00" * 32, "a2V5")


def _topology(*traits: str, kind: str = "ha", slot: int = 4) -> Topology:
    return make_topology(kind, slot, Traits.parse(traits))


@pytest.mark.parametrize("slot", [0, 4, 10, 250])
def test_every_address_is_written_as_programs_write_it(slot: int) -> None:
    topology = _topology("ipv6", slot=slot)
    addresses = [topology.host_address, topology.balancer_address, topology.silent_address, *(node.address for node in topology.nodes)]
    assert len(set(addresses)) == len(addresses)
    for address in addresses:
        assert str(ipaddress.IPv6Address(address)) == address
        assert ipaddress.IPv6Address(address) in ipaddress.IPv6Network(topology.subnet)
    for node in topology.nodes:
        assert str(ipaddress.IPv6Network(node.pod_subnet)) == node.pod_subnet
        assert ipaddress.IPv6Network(node.pod_subnet).subnet_of(ipaddress.IPv6Network("fd78::/56"))


def test_no_two_labs_share_a_subnet() -> None:
    assert len({_topology("ipv6", slot=slot).subnet for slot in range(251)}) == 251


def test_the_plain_lab_has_the_addresses_that_it_always_had() -> None:
    topology = make_topology("ha", 4, PLAIN)
    assert (topology.subnet, topology.second_subnet) == ("10.77.4.0/24", "")
    assert [node.addresses for node in topology.nodes] == [("10.77.4.11",), ("10.77.4.12",), ("10.77.4.13",), ("10.77.4.21",)]
    assert topology.nodes[3].pod_subnets == ("10.244.3.0/24",)
    assert yaml.safe_load_all(kubeadm.init_configuration(topology, SECRETS)) is not None


def test_dual_stack_adds_to_what_counts_first() -> None:
    topology = _topology("dual-stack")
    node = topology.node("w1")
    assert node.addresses == ("10.77.4.21", "fd77:4::21")
    assert node.pod_subnets == ("10.244.3.0/24", "fd78:0:0:3::/64")
    assert (topology.subnet, topology.second_subnet) == ("10.77.4.0/24", "fd77:4::/64")


@pytest.mark.parametrize(
    ("traits", "pods", "services", "node_ip"),
    [
        ((), "10.244.0.0/16", "10.96.0.0/16", "10.77.4.11"),
        (("ipv6",), "fd78::/56", "fd79::/112", "fd77:4::11"),
        (("dual-stack",), "10.244.0.0/16,fd78::/56", "10.96.0.0/16,fd79::/112", "10.77.4.11,fd77:4::11"),
    ],
)
def test_kubeadm_is_told_the_families(traits: tuple[str, ...], pods: str, services: str, node_ip: str) -> None:
    init, cluster, _kubelet = yaml.safe_load_all(kubeadm.init_configuration(_topology(*traits), SECRETS))
    assert cluster["networking"] == {"podSubnet": pods, "serviceSubnet": services}
    assert {"name": "node-ip", "value": node_ip} in init["nodeRegistration"]["kubeletExtraArgs"]
    assert set(node_ip.split(",")) <= set(cluster["apiServer"]["certSANs"])


@pytest.mark.parametrize(("traits", "routes"), [(("ipv6",), ["::/0"]), (("dual-stack",), ["0.0.0.0/0", "::/0"])])
def test_pods_get_an_address_of_each_family(traits: tuple[str, ...], routes: list[str]) -> None:
    node = _topology(*traits).node("cp2")
    (document,) = yaml.safe_load_all(kubeadm.network_configuration(node))
    found = document["plugins"][0]["ipam"]
    assert [one[0]["subnet"] for one in found["ranges"]] == list(node.pod_subnets)
    assert [one["dst"] for one in found["routes"]] == routes


def test_an_address_stands_in_brackets_before_a_port(tmp_path: Path) -> None:
    topology = _topology("ipv6")
    assert (bracketed("fd77:4::5"), bracketed("10.77.4.5")) == ("[fd77:4::5]", "10.77.4.5")
    text = balancer.configuration(topology)
    assert "bind [fd77:4::5]:6443" in text
    assert "server cp1 [fd77:4::11]:6443" in text
    assert with_server("    server: https://old:6443\n", topology.api_address) == "    server: https://[fd77:4::5]:6443\n"
    lab: Any = SimpleNamespace(topology=topology)
    assert api_servers(lab)["cp3"] == "https://[fd77:4::13]:6443"
    variables = inventory.variables(topology, "one", tmp_path, tmp_path)
    assert variables["lifeboat_api_server"] == "https://[fd77:4::5]:6443"
    rendered = yaml.safe_load(inventory.render(topology, "one", variables))
    assert rendered["all"]["children"]["cluster"]["children"]["workers"]["hosts"] == {"w1": {"ansible_host": "fd77:4::21"}}


def test_a_forwarder_has_a_port_for_each_address() -> None:
    topology = _topology("ipv6", "nat")
    assert topology.forwarded_port(topology.node("w1")) == _topology("nat").forwarded_port(_topology("nat").node("w1")) == 22021
    assert "bind [fd77:4::1]:22021\n    server w1 [fd77:4::21]:22" in balancer.forwarding(topology)


def test_machines_without_ipv4_know_each_other() -> None:
    text = hosts_file(_topology("ipv6"))
    assert "fd77:4::12 cp2\n" in text
    assert "10.77" not in text


@pytest.mark.parametrize(("trait", "disabled", "forwarded"), [("", "1", None), ("ipv6", "0", "1"), ("dual-stack", "0", "1")])
def test_the_kernel_of_a_machine_has_the_families_that_it_needs(trait: str, disabled: str, forwarded: str | None) -> None:
    settings = Network("one", _topology(*([trait] if trait else [])))._forwarding()
    assert settings["net.ipv6.conf.all.disable_ipv6"] == disabled
    assert settings.get("net.ipv6.conf.all.forwarding") == forwarded


@pytest.mark.parametrize(("one", "other"), [("ipv6", "dual-stack"), ("external-etcd", "etcd-on-worker")])
def test_no_lab_is_both(one: str, other: str) -> None:
    with pytest.raises(LabError, match=f"make a lab with {one} and {other}\nfound:  no lab can be both"):
        _topology(other, one)


# A member on a worker


def test_a_worker_is_a_member_and_a_control_plane_is_none() -> None:
    topology = _topology("etcd-on-worker")
    assert [node.name for node in topology.etcd] == ["cp1", "cp2", "w1"]
    assert [node.name for node in topology.control_plane] == ["cp1", "cp2", "cp3"]
    assert [node.name for node in topology.workers] == ["w1"]
    assert topology.node("w1").data_directory == "/var/lib/etcd"
    assert topology.node("cp3").data_directory == ""
    assert [node.address for node in topology.nodes] == [node.address for node in _topology().nodes]


def test_the_inventory_names_the_members() -> None:
    topology = _topology("etcd-on-worker")
    text = inventory.render(topology, "one", {"ansible_user": "ops"})
    groups = yaml.safe_load(text)["all"]["children"]["cluster"]["children"]
    assert groups["etcd"]["hosts"] == {"cp1": {}, "cp2": {}, "w1": {}}
    assert set(groups["workers"]["hosts"]) == {"w1"}


def test_the_member_on_the_worker_joins_those_that_are_there() -> None:
    topology = _topology("etcd-on-worker", "node-names", "wal-elsewhere")
    init, cluster = yaml.safe_load_all(worker_member.configuration(topology, topology.node("w1")))
    arguments = {one["name"]: one["value"] for one in cluster["etcd"]["local"]["extraArgs"]}
    assert arguments == {
        "initial-cluster": ",".join(f"{name}.nodes.lab.internal=https://10.77.4.{last}:2380" for name, last in (("cp1", 11), ("cp2", 12), ("w1", 21))),
        "initial-cluster-state": "existing",
        "wal-dir": "/var/lib/etcd-wal/wal",
    }
    assert init["localAPIEndpoint"] == {"advertiseAddress": "10.77.4.21"}
    assert init["patches"]
    lab: Any = SimpleNamespace(topology=topology)
    assert member_names(lab) == ["cp1.nodes.lab.internal", "cp2.nodes.lab.internal", "w1.nodes.lab.internal"]
