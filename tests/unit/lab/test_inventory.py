# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab hands to Ansible, ssh and clients of the API."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.lab import inventory
from tests.lab.api import with_server
from tests.lab.errors import LabError
from tests.lab.network import interface_name, node_namespace
from tests.lab.topology import TOPOLOGIES, hosts_file, make_topology

OUTPUT = Path("/repository/build/lab/one")
SOCKETS = Path("/tmp/lab-01234567")


@pytest.mark.parametrize("kind", TOPOLOGIES)
def test_the_inventory_has_every_node_in_its_group(kind: str) -> None:
    topology = make_topology(kind, 7)
    data = yaml.safe_load(inventory.render(topology, "one", inventory.variables(topology, "one", OUTPUT, SOCKETS)))
    groups = data["all"]["children"]
    cluster = groups["cluster"]["children"]
    assert set({**groups, **cluster}["admin"]["hosts"]) == {node.name for node in topology.admin}
    assert set(cluster["control_plane"]["hosts"]) == {node.name for node in topology.control_plane}
    assert set(cluster["workers"]["hosts"]) == {node.name for node in topology.workers}
    for node in topology.nodes:
        hosts = {**groups, **cluster}["admin" if node.admin else "control_plane" if node.control_plane else "workers"]["hosts"]
        assert hosts[node.name]["ansible_host"] == node.address


@pytest.mark.parametrize("kind", ["single", "ha"])
def test_stacked_members_of_etcd_are_the_control_plane(kind: str) -> None:
    topology = make_topology(kind, 7)
    data = yaml.safe_load(inventory.render(topology, "one", inventory.variables(topology, "one", OUTPUT, SOCKETS)))
    assert data["all"]["children"]["cluster"]["children"]["etcd"] == {"children": {"control_plane": {}}}
    assert data["all"]["children"]["admin"] == {"hosts": {}}
    assert data["all"]["vars"]["lifeboat_platform"] == "kubeadm"


def test_the_product_has_a_member_of_etcd_on_a_worker_and_an_admin_node_that_is_reached() -> None:
    topology = make_topology("caasp", 7)
    data = yaml.safe_load(inventory.render(topology, "one", inventory.variables(topology, "one", OUTPUT, SOCKETS)))
    cluster = data["all"]["children"]["cluster"]
    assert set(cluster["children"]["etcd"]["hosts"]) == {"m1", "m2", "w1"}
    assert "w1" in cluster["children"]["workers"]["hosts"]
    assert set(cluster["children"]["admin"]["hosts"]) == {"admin"}
    assert cluster["vars"]["ansible_user"] == "ops"
    assert "admin" not in data["all"]["children"]
    variables = data["all"]["vars"]
    assert variables["lifeboat_platform"] == "caasp3"
    assert variables["lifeboat_platform_overrides"]["salt"] == {"container": "", "programs": ["/opt/salt/bin"]}


def test_localhost_knows_the_cluster_but_not_how_its_hosts_are_reached() -> None:
    topology = make_topology("ha", 0)
    data = yaml.safe_load(inventory.render(topology, "one", inventory.variables(topology, "one", OUTPUT, SOCKETS)))
    everywhere = data["all"]["vars"]
    assert all(name.startswith("lifeboat_") for name in everywhere)
    assert everywhere["lifeboat_lab"] is True
    assert everywhere["lifeboat_cluster_name"] == "one"
    assert everywhere["lifeboat_api_server"] == "https://10.77.0.5:6443"
    variables = data["all"]["children"]["cluster"]["vars"]
    assert all(name.startswith("ansible_") for name in variables)
    assert variables["ansible_become"] is True
    assert variables["ansible_user"] == "ops"
    assert "-o UserKnownHostsFile=/repository/build/lab/one/known_hosts" in variables["ansible_ssh_common_args"]


def test_with_one_node_the_api_is_on_the_node() -> None:
    assert make_topology("single", 3).api_address == "10.77.3.11"


def test_control_paths_fit_into_a_socket_address() -> None:
    options = inventory.ssh_options(OUTPUT, SOCKETS)
    path = next(option for option in options if option.startswith("ControlPath=")).removeprefix("ControlPath=")
    # ssh puts a hash of 40 characters for %C and appends 17 while it makes the socket.
    assert len(path.replace("%C", "c" * 40)) + 17 < 108


def test_ssh_configuration_names_every_node() -> None:
    text = inventory.ssh_configuration(make_topology("ha", 1), OUTPUT, SOCKETS)
    for name, address in (("cp1", "10.77.1.11"), ("cp2", "10.77.1.12"), ("cp3", "10.77.1.13"), ("w1", "10.77.1.21")):
        assert f"Host {name}\n    HostName {address}\n" in text


def test_known_hosts_by_address_and_name() -> None:
    text = inventory.known_hosts(make_topology("single", 0), {"cp1": "ssh-ed25519 AAAA lab-one\n"})
    assert text == "10.77.0.11,cp1 ssh-ed25519 AAAA\n"


def test_the_kubeconfig_names_the_address() -> None:
    text = "clusters:\n- cluster:\n    certificate-authority-data: eA==\n    server: https://api.lab.internal:6443\n  name: lab\n"
    assert "    server: https://10.77.0.5:6443\n" in with_server(text, "10.77.0.5")
    assert "api.lab.internal" not in with_server(text, "10.77.0.5")


def test_the_hosts_file_is_the_name_server() -> None:
    lines = hosts_file(make_topology("ha", 2)).splitlines()
    assert "127.0.0.1 localhost" in lines
    assert "10.77.2.5 api.lab.internal" in lines
    assert "10.77.2.21 w1" in lines


def test_the_directory_of_the_product_is_on_the_admin_node_itself() -> None:
    topology = make_topology("caasp", 2)
    assert "127.0.0.1 localhost ldap.infra.caasp.local" in hosts_file(topology, admin=True).splitlines()
    assert "ldap" not in hosts_file(topology)
    assert "10.77.2.21 w1 w1.infra.caasp.local" in hosts_file(topology).splitlines()
    assert "10.77.2.5 api.infra.caasp.local" in hosts_file(topology).splitlines()


def test_names_of_the_kernel_are_short_and_different() -> None:
    long, longer = "a" * 30, "a" * 31
    assert len(interface_name(longer)) <= 15
    assert interface_name(long) != interface_name(longer)
    assert node_namespace("a", "b-c") != node_namespace("a-b", "c")


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(LabError, match="single ha"):
        make_topology("huge", 0)
    with pytest.raises(LabError, match="cp1 cp2 cp3 w1"):
        make_topology("ha", 0).node("cp9")
