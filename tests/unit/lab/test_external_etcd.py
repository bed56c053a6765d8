# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait external-etcd: which machines there are, and what kubeadm and the inventory are told of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from tests.drill import scenarios
from tests.lab import Lab, external_etcd, inventory, kubeadm
from tests.lab.topology import Topology, make_topology
from tests.lab.traits import Traits

OUTPUT = Path("/repository/build/lab/one")
SOCKETS = Path("/tmp/lab-01234567")


def _topology(*traits: str) -> Topology:
    return make_topology("ha", 4, Traits.parse(traits))


def test_etcd_on_machines_of_its_own_leaves_all_others_where_they_are() -> None:
    plain, external = make_topology("ha", 4), _topology("external-etcd")
    assert [(node.name, node.address) for node in external.etcd] == [("e1", "10.77.4.31"), ("e2", "10.77.4.32"), ("e3", "10.77.4.33")]
    assert [node.name for node in external.nodes if node.node] == [node.name for node in plain.nodes]
    assert (external.control_plane, external.workers) == tuple(
        tuple(dataclasses.replace(node, roles=node.roles - {"etcd"}, traits=external.traits) for node in nodes)
        for nodes in (plain.control_plane, plain.workers)
    )
    # A disk of its own has who has a database.
    assert {node.name: node.data_directory for node in external.nodes if node.data_directory} == dict.fromkeys(("e1", "e2", "e3"), "/var/lib/etcd")
    assert {node.etcd_client_address for node in plain.etcd} == {"127.0.0.1"}
    assert [node.etcd_client_address for node in external.etcd] == [node.address for node in external.etcd]


def test_api_servers_are_told_where_etcd_is_and_members_of_each_other() -> None:
    topology = _topology("external-etcd")
    secrets = kubeadm.Secrets("abcdef.0123456789abcdef", "00" * 32, "key")
    (cluster,) = [one for one in yaml.safe_load_all(kubeadm.init_configuration(topology, secrets)) if one["kind"] == "ClusterConfiguration"]
    assert cluster["etcd"] == {
        "external": {
            "endpoints": [f"https://10.77.4.3{number}:2379" for number in (1, 2, 3)],
            "caFile": "/etc/kubernetes/pki/etcd/ca.crt",
            "certFile": "/etc/kubernetes/pki/apiserver-etcd-client.crt",
            "keyFile": "/etc/kubernetes/pki/apiserver-etcd-client.key",
        }
    }
    init, member = yaml.safe_load_all(external_etcd.configuration(topology, topology.node("e2")))
    assert init["nodeRegistration"]["name"] == "e2"
    arguments = {one["name"]: one["value"] for one in member["etcd"]["local"]["extraArgs"]}
    assert arguments["initial-cluster"] == ",".join(f"e{number}=https://10.77.4.3{number}:2380" for number in (1, 2, 3))
    assert arguments["listen-client-urls"] == "https://10.77.4.32:2379"
    agent = yaml.safe_load(external_etcd.kubelet_configuration(topology.node("e2"), kubeadm.kubelet_configuration()))
    assert (agent["staticPodPath"], agent["address"], agent["cgroupDriver"]) == ("/etc/kubernetes/manifests", "127.0.0.1", "cgroupfs")


def test_an_inventory_says_where_members_are_that_are_nothing_else() -> None:
    topology = _topology("external-etcd")
    data = yaml.safe_load(inventory.render(topology, "one", inventory.variables(topology, "one", OUTPUT, SOCKETS)))
    groups = data["all"]["children"]["cluster"]["children"]
    assert groups["etcd"]["hosts"] == {node.name: {"ansible_host": node.address} for node in topology.etcd}
    assert [set(groups[name]["hosts"]) for name in ("control_plane", "workers")] == [{"cp1", "cp2", "cp3"}, {"w1"}]


def test_scenarios_know_who_has_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab.open("one")
    monkeypatch.setattr(Lab, "topology", _topology("external-etcd"))
    found = {name: (scenario.rebuilt(lab), scenario.rolls_back(lab)) for name, scenario in scenarios.SCENARIOS.items() if "ha" in scenario.topologies}
    assert found["bomb"] == (["cp1", "cp2", "cp3", "w1", "e1", "e2", "e3"], True)
    assert found["control-plane"] == (["cp1", "cp2", "cp3"], False)
    assert found["member"] == (["e2"], False)
    monkeypatch.setattr(Lab, "topology", _topology())
    assert scenarios.SCENARIOS["control-plane"].rolls_back(lab)
    assert scenarios.SCENARIOS["member"].rebuilt(lab) == ["cp2"]
    lost = scenarios.SCENARIOS["control-plane"]
    assert not lost.must_choose(lab)
    monkeypatch.setattr(Lab, "topology", _topology("etcd-on-worker"))
    assert lost.rolls_back(lab)
    assert lost.must_choose(lab), "one member of three is left: a survivor"
    assert lost.rebuilt(lab) == ["cp1", "cp2", "cp3", "w1"]
