# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pure parts of the lab's CaaSP: what is written on its machines."""

from __future__ import annotations

import json
import re
import shlex
import stat
from pathlib import Path

import pytest
import yaml

from tests.lab.api import with_server
from tests.lab.balancer import configuration
from tests.lab.caasp import documents, machines, registry, velum
from tests.lab.topology import make_topology

TOPOLOGY = make_topology("caasp", 4)
IDS = {node.name: f"ab{node.index:030x}" for node in TOPOLOGY.nodes}


def _variables(text: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(text))


def test_machines_and_their_parts() -> None:
    assert [node.name for node in TOPOLOGY.admin] == ["admin"]
    assert [node.name for node in TOPOLOGY.control_plane] == ["m1", "m2"]
    assert [node.name for node in TOPOLOGY.workers] == ["w1", "w2"]
    assert [node.name for node in TOPOLOGY.etcd] == ["m1", "m2", "w1"]
    assert {node.name: node.data_directory for node in TOPOLOGY.nodes if node.data_directory} == {
        "admin": "/var/lib/mysql",
        **dict.fromkeys(("m1", "m2", "w1"), "/var/lib/etcd"),
    }


def test_the_load_balancer_reaches_the_servers_at_their_own_port() -> None:
    assert "bind 10.77.4.5:6443" in configuration(TOPOLOGY)
    assert "server m2 10.77.4.12:6444" in configuration(TOPOLOGY)
    assert "server cp1 10.77.4.11:6443" in configuration(make_topology("ha", 4))


def test_a_member_of_etcd_is_named_by_its_machine_id_and_reached_by_its_host_name() -> None:
    values = _variables(documents.etcd(TOPOLOGY, TOPOLOGY.node("w1"), IDS, "existing"))
    assert values["ETCD_NAME"] == IDS["w1"]
    assert values["ETCD_INITIAL_CLUSTER"] == ",".join(f"{IDS[name]}=https://{name}:2380" for name in ("m1", "m2", "w1"))
    assert values["ETCD_ADVERTISE_CLIENT_URLS"] == "https://w1:2379"
    assert values["ETCD_ENABLE_V2"] == values["ETCD_CLIENT_CERT_AUTH"] == values["ETCD_PEER_CLIENT_CERT_AUTH"] == "true"
    assert values["ETCD_INITIAL_CLUSTER_TOKEN"] == "k8s"
    client = _variables(documents.etcdctl(TOPOLOGY.node("w1")))
    assert client["ETCDCTL_ENDPOINT"] == client["ETCDCTL_ENDPOINTS"] == "https://w1:2379"
    assert client["ETCDCTL_API"] == "2"


@pytest.mark.parametrize(("name", "roles"), [("admin", ["admin"]), ("m1", ["kube-master", "etcd"]), ("w1", ["kube-minion", "etcd"]), ("w2", ["kube-minion"])])
def test_grains_say_what_a_machine_is(name: str, roles: list[str]) -> None:
    assert yaml.safe_load(documents.grains(TOPOLOGY.node(name))) == {"bootstrap_complete": True, "roles": roles}


def test_a_minion_knows_its_id_and_its_master() -> None:
    files = documents.minion_files(TOPOLOGY, TOPOLOGY.node("m1"), IDS["m1"])
    assert yaml.safe_load(files["/etc/salt/minion.d/minion_id.conf"]) == {"id": IDS["m1"]}
    assert files["/etc/salt/minion.d/master.conf"] == "master: admin\n"
    assert documents.minion_files(TOPOLOGY, TOPOLOGY.node("admin"), "admin")["/etc/salt/minion.d/minion.conf"] == "master: localhost\n"


def test_returner_and_pillar_have_the_same_credentials() -> None:
    data = yaml.safe_load(documents.returner("swordfish"))
    assert data["mysql.pass"] == data["mysql"]["pass"] == "swordfish"
    assert data["mysql.db"] == data["mysql"]["db"] == "velum_production"


def test_only_masters_have_an_api_server() -> None:
    for node in (*TOPOLOGY.control_plane, *TOPOLOGY.workers):
        files = documents.node_files(TOPOLOGY, node)
        assert ("/etc/kubernetes/apiserver" in files) is node.control_plane
        assert ("registerWithTaints" in json.loads(files["/etc/kubernetes/kubelet-config.yaml"])) is node.control_plane
        assert ("/var/lib/kubelet/kubeconfig" in documents.kubeconfigs(TOPOLOGY, node)) is node.control_plane
    server = _variables(documents.node_files(TOPOLOGY, TOPOLOGY.node("m2"))["/etc/kubernetes/apiserver"])
    assert server["KUBE_ETCD_SERVERS"] == "--etcd-servers=https://m1:2379,https://m2:2379,https://w1:2379"
    assert server["KUBE_API_ADDRESS"] == "--advertise-address=10.77.4.12"


def test_clients_outside_get_the_certificates_in_the_kubeconfig() -> None:
    text = documents.administrators_kubeconfig(TOPOLOGY, "YQ==", "Yg==", "Yw==")
    data = yaml.safe_load(text)
    assert data["clusters"][0]["cluster"] == {"certificate-authority-data": "YQ==", "server": "https://10.77.4.5:6443"}
    assert data["users"][0]["user"] == {"client-certificate-data": "Yg==", "client-key-data": "Yw=="}
    # The lab's own clients read it line by line.
    assert with_server(text, "10.77.9.9").count("server: https://10.77.9.9:6443\n") == 1


def test_every_node_has_a_row_and_no_statement_is_broken_by_a_quote() -> None:
    text = velum.rows(TOPOLOGY, IDS, "-----BEGIN CERTIFICATE-----\n")
    for name in ("m1", "m2", "w1", "w2"):
        assert f"('{IDS[name]}', '{name}.infra.caasp.local', {velum.MASTER if name.startswith('m') else velum.WORKER}, " in text
    assert IDS["admin"] not in text
    for pillar in ("dashboard", "dashboard_external_fqdn", "api:server:external_fqdn", "cluster_cidr"):
        assert f"('{pillar}', " in text
    assert text.count("'") % 2 == 0


def test_sql_values() -> None:
    assert [velum.text(value) for value in (None, True, 3, "it's \\ it")] == ["NULL", "TRUE", "3", "'it''s \\\\ it'"]


def test_every_table_of_the_dashboard_is_made() -> None:
    tables = set(re.findall(r"CREATE TABLE `(\w+)`", velum.schema()))
    assert {"minions", "pillars", "users", "registry_mirrors", "dex_connectors_oidc", "salt_jobs", "salt_events", "schema_migrations"} <= tables
    assert "REFERENCES registries (id)" in velum.schema()


def test_the_v2_store_holds_objects_hidden_keys_and_expiring_ones() -> None:
    keys = {key.path: key for key in registry.keys(TOPOLOGY)}
    assert len(keys) == len(registry.keys(TOPOLOGY))
    assert any(key.ttl for key in keys.values())
    assert any("/_" in path for path in keys)
    assert "/opensuse.org/rebootmgr/locks/default/data" in keys
    for path, key in keys.items():
        if path.startswith("/registry/"):
            assert {"kind", "apiVersion", "metadata"} <= set(json.loads(key.value))


def test_units_are_enabled_and_bound_to_what_only_a_cluster_has(tmp_path: Path) -> None:
    for program in machines.PROGRAMS:
        (tmp_path / program).write_text("binary")
    layer = tmp_path / "layer"
    machines.write_layer(layer, tmp_path)
    wants = layer / "etc/systemd/system/multi-user.target.wants"
    for unit in machines.UNITS:
        target = (wants / f"{unit}.service").readlink()
        assert "\nConditionPathExists=/" in (layer / str(target).lstrip("/")).read_text(), unit
    assert stat.S_ISCHR((layer / "usr/bin/kubeadm").lstat().st_mode)
    assert list((layer / "etc/pki").iterdir()) == []
