# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""node_info and node_services on real machines: three control planes are stopped, started, killed in between, and started again."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.filter.for_groups import for_groups
from tests.integration.node.modules import Modules, Results, kubeadm_facts
from tests.lab import Lab

CONTROL_PLANES = ("cp1", "cp2", "cp3")
FACTS = kubeadm_facts()
# An API server with open watches does not end by itself within the kubelet's thirty seconds.
FACTS["services"]["kube-apiserver"].setdefault("grace_seconds", 5)
SERVICES = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd", "kubelet")
PORTS = {2379, 2380, 6443, 10250, 10257, 10259}


def names_of_processes(lab: Lab, node: str) -> set[str]:
    """What ps says, which is not what the modules look at."""
    return set(lab.node(node).run(["ps", "-e", "-o", "comm="]).stdout.split())


def stop(machines: Modules, *options: str, hosts: str = "control_plane") -> Results:
    return machines.run(hosts, "node_services", *options, state="stopped", platform=FACTS, services=FACTS["stop"]["control_plane"])


def start(machines: Modules, *options: str, hosts: str = "control_plane", **arguments: Any) -> Results:
    wanted: dict[str, Any] = {"state": "started", "platform": FACTS, "services": FACTS["start"]["control_plane"], "etcd_hash": True}
    return machines.run(hosts, "node_services", *options, **wanted, **arguments)


def assert_started(results: Results) -> None:
    for host, result in results:
        assert [item["name"] for item in result["services"]] == ["kubelet", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
        assert all(item["state"] == "started" for item in result["services"]), (host, result["services"])
        assert not result["crash_looping"], (host, result["services"])


@pytest.fixture
def running(machines: Modules) -> Modules:
    """All control planes run."""
    start(machines)
    return machines


@pytest.fixture
def stopped(machines: Modules) -> Modules:
    """All control planes are stopped."""
    stop(machines)
    return machines


def test_a_look_at_running_machines(running: Modules) -> None:
    groups = ["control_plane", "etcd"]
    files = for_groups(FACTS["pki"]["files"], groups) + for_groups(FACTS["node_config"]["files"], groups)
    required = [entry["path"] for entry in files if entry["required"]]
    certificates = for_groups(FACTS["pki"]["certificates"], groups) + for_groups(FACTS["node_config"]["certificates"], groups)
    results = running.run("all", "node_info", platform=FACTS, names=["cp1", "w1", "no-such-host.invalid"], required_files=required, certificates=certificates)
    for host in CONTROL_PLANES:
        node = results[host]["node"]
        assert node["probe_errors"] == {}
        assert node["hostname"] == host
        assert node["bare"] is False
        assert node["required_files"] == {"expected": required, "present": required, "missing": [], "faults": []}
        assert set(required) <= set(node["bare_evidence"])
        # Each of them is in a container of the runtime, or the main process of its unit.
        assert all(any(f"process {name} pid" in text for text in node["bare_evidence"]) for name in SERVICES)
        assert not [name for name, obstacle in node["obstacles"].items() if obstacle["in_the_way"]], node["obstacles"]
        assert (node["etcd"]["state"], node["etcd"]["flags_data_dir"], node["etcd"]["in_use"]) == ("data", "/var/lib/etcd", True)
        assert all(len(node["processes"][name]) == 1 for name in SERVICES)
        assert set(node["listening"]) >= PORTS
        assert {item["name"] for item in node["containers"] if item["state"] == "running"} >= set(SERVICES) - {"kubelet"}
        assert node["units"]["kubelet.service"]["active"] == "active"
        assert node["etcd"]["member"] is True
        assert node["etcd"]["wal_files"] >= 1
        assert node["flags"]["etcd"]["name"] == host
        assert node["flags"]["kube-apiserver"]["etcd-servers"] == "https://127.0.0.1:2379"
        assert set(node["manifests"]["images"]) <= set(node["images"])
        assert node["login_user"] == "ops"
        assert node["name_resolution"]["w1"] == results["w1"]["node"]["addresses"][0]
        assert node["name_resolution"]["no-such-host.invalid"] is None
    assert len({json.dumps(results[host]["node"]["identity"]) for host in CONTROL_PLANES}) == 1
    assert len({results[host]["node"]["machine_id"] for host in CONTROL_PLANES}) == 3
    assert results["w1"]["node"]["etcd"]["exists"] is False
    assert results["w1"]["node"]["processes"]["etcd"] == []


def test_stopping_is_planned_done_and_proven(lab: Lab, running: Modules) -> None:
    planned = stop(running, "--check", "--diff")
    for host, result in planned:
        assert result["changed"]
        assert [item["service"] for item in result["plan"]] == list(SERVICES)
        assert names_of_processes(lab, host) >= {"etcd", "kube-apiserver", "kubelet"}
    results = stop(running)
    for host, result in results:
        assert result["changed"]
        assert [phase["name"] for phase in result["phases"]] == [f"stop {name}" for name in SERVICES] + ["prove stopped"]
        assert not names_of_processes(lab, host) & {"etcd", "kube-apiserver", "kube-controller", "kube-scheduler", "kubelet"}
        assert not lab.node(host).run(["find", FACTS["manifests_dir"], "-type", "f"]).stdout
        assert len(lab.node(host).run(["ls", FACTS["manifests_parking"]]).stdout.split()) == 4
        listening = lab.node(host).run(["ss", "-Htln"]).stdout
        assert not [port for port in PORTS if f":{port} " in listening]
    again = stop(running)
    assert not any(result["changed"] for _host, result in again)


def test_starting_brings_the_api_back_without_a_crash(lab: Lab, stopped: Modules) -> None:
    planned = start(stopped, "--check", "--diff")
    assert all(result["changed"] for _host, result in planned)
    assert "etcd" not in names_of_processes(lab, "cp1")
    results = start(stopped)
    assert_started(results)
    for _host, result in results:
        assert result["etcd"]["equal"] is True
        assert [member["name"] for member in result["etcd"]["members"]] == list(CONTROL_PLANES)
        by_name = {item["name"]: item for item in result["services"]}
        assert by_name["etcd"]["ready_at"] < by_name["kube-apiserver"]["ready_at"]
        assert result["ready_at"] == by_name["kube-apiserver"]["ready_at"]
    turns = {host: [len(turn["after"]) for turn in result["turns"]] for host, result in results}
    assert turns == {"cp1": [], "cp2": [1], "cp3": [2]}, "members that check each other start one after the other"
    seconds = max(result["ready_at"] for _host, result in results) - min(result["first_change_at"] for _host, result in results)
    print(f"from the first change to the API ready on all three: {seconds:.1f} s")
    again = start(stopped)
    assert not any(result["changed"] for _host, result in again)
    assert_started(again)


@pytest.mark.parametrize("delay_seconds", [0.5, 3.0])
def test_a_start_that_was_killed_is_finished_by_a_rerun(lab: Lab, stopped: Modules, delay_seconds: float) -> None:
    for host in CONTROL_PLANES:
        lab.node(host).run(["rm", "-f", "/run/lifeboat/progress"])
    arguments = {"state": "started", "platform": FACTS, "services": FACTS["start"]["control_plane"], "etcd_hash": True, "wait_seconds": 20}
    process = stopped.begin("control_plane", "node_services", **arguments)
    victim = lab.node("cp2")
    end = time.monotonic() + 60
    progress = ""
    while not progress:
        assert time.monotonic() < end
        progress = victim.run(["sh", "-c", "cat /run/lifeboat/progress 2>/dev/null || true"]).stdout
    time.sleep(delay_seconds)
    pid = json.loads(victim.run(["cat", "/run/lifeboat/progress"]).stdout)["pid"]
    victim.run(["kill", "-9", str(pid)])
    first = stopped.end(process)
    assert "cp2" in first.failed
    assert_started(start(stopped))


def test_without_a_kubelet_the_runtime_stops_the_containers(lab: Lab, running: Modules) -> None:
    lab.node("cp1").run(["systemctl", "stop", "kubelet"])
    assert "etcd" in names_of_processes(lab, "cp1")
    stop(running, hosts="cp1")
    assert not names_of_processes(lab, "cp1") & {"etcd", "kube-apiserver", "kube-controller", "kube-scheduler", "kubelet"}
    assert_started(start(running, hosts="cp1"))


def test_without_dns_the_hosts_file_spares_the_kubelet_its_waiting(lab: Lab, stopped: Modules) -> None:
    entries = {node.address: [node.name] for node in lab.topology.nodes}
    entries[lab.topology.api_address] = ["api.lab.internal"]
    lab.break_("dns-dead", *CONTROL_PLANES)
    try:
        results = start(stopped, hosts_entries=entries)
        assert_started(results)
        for _host, result in results:
            phases = {phase["name"]: phase["seconds"] for phase in result["phases"]}
            assert "hosts" in phases
            # One look of the kubelet at its own name would have cost ten.
            assert phases["start kubelet etcd"] < 10, phases
    finally:
        lab.heal("dns-dead", *CONTROL_PLANES)


def test_a_worker_keeps_its_pods_while_its_kubelet_is_stopped(lab: Lab, running: Modules) -> None:
    before = lab.node("w1").run(["crictl", "ps", "-q"]).stdout.split()
    assert before
    results = running.run("w1", "node_services", state="stopped", platform=FACTS, services=FACTS["stop"]["workers"])
    assert results["w1"]["changed"]
    assert "kubelet" not in names_of_processes(lab, "w1")
    assert sorted(lab.node("w1").run(["crictl", "ps", "-q"]).stdout.split()) == sorted(before)
    results = running.run("w1", "node_services", state="started", platform=FACTS, services=FACTS["start"]["workers"])
    assert [item["state"] for item in results["w1"]["services"]] == ["started"]
    assert sorted(lab.node("w1").run(["crictl", "ps", "-q"]).stdout.split()) == sorted(before)
