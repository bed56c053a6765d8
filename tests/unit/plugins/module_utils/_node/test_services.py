# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping and starting the services of a node, with real processes and ports and a stand-in for the kubelet."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import files
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.archive import CaptureRequest, WantedPath, capture
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services import services, starting, stopping
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.readiness import MembersDifferError
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import Node, ServiceError, read_groups, read_services
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.start_plan import plan_start
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.starting import start
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.stopping import plan_stop, stop
from tests.unit.plugins.module_utils._node.node_calls import request, started, stopped
from tests.unit.plugins.module_utils._node.node_world import API, ETCD, KUBELET, SCHEDULER, World, free_port

# Facts


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({"kind": "pod"}, "kind 'pod'"),
        ({"kind": "unit"}, "has no unit"),
        ({"kind": "static_pod", "manifest": "x"}, "has no container"),
        ({"kind": "unit", "unit": "x", "ready": "soon"}, "ready 'soon'"),
        ("text", "is no dict"),
    ],
)
def test_wrong_facts_are_named(facts: Any, found: str) -> None:
    with pytest.raises(ServiceError, match=found):
        read_services({"services": {"x": facts}})


def test_a_service_that_an_installation_does_without_is_left_out() -> None:
    assert list(read_services({"services": {"a": {"kind": "none", "manifest": "a.yaml"}, "b": {"kind": "unit", "unit": "b"}}})) == ["b"]


def test_groups_take_bare_names_and_refuse_unknown_ones() -> None:
    known = read_services({"services": {"a": {"kind": "unit", "unit": "a"}, "b": {"kind": "unit", "unit": "b"}}})
    assert [[service.name for service in group] for group in read_groups(known, ["a", ["a", "b"]])] == [["a"], ["a", "b"]]
    with pytest.raises(ServiceError, match="no facts about service c; known are a, b"):
        read_groups(known, [["c"]])


# Stopping


def test_stop_parks_manifests_and_proves_everything_gone(running: World) -> None:
    result = stopped(running)
    assert result["changed"]
    assert [phase["name"] for phase in result["phases"]] == [f"stop {SCHEDULER}", f"stop {API}", f"stop {ETCD}", "stop kubelet", "prove stopped"]
    assert not list(running.manifests.iterdir())
    assert sorted(path.name for path in running.parking.iterdir()) == sorted(f"{name}.yaml" for name in running.ports)
    assert running.unit()["active"] == "inactive"
    for item in result["services"]:
        assert item["state"] == "stopped"
        assert item["changed"]
        assert [item["evidence"][key] for key in ("processes", "ports", "containers")] == [[], [], []]
    assert f"{ETCD}: manifest parked; no container runs; no process {ETCD}; nothing listens on {running.ports[ETCD]}" in result["evidence"]
    assert not [call for call in running.log("crictl") if " stop " in call], "the kubelet works, so the runtime is not asked to stop anything"
    assert json.loads((running.directory / "run" / "progress").read_text())["phase"] == "prove stopped"


def test_stop_again_changes_nothing(running: World) -> None:
    stopped(running)
    assert not any(item["change"] for item in plan_stop(running.node(), running.groups("stop")))
    result = stopped(running)
    assert not result["changed"]
    assert result["first_change_at"] is None


def test_a_bare_node_is_stopped_already(world: World) -> None:
    (world.directory / "runtime.sock").unlink()
    shutil.rmtree(world.directory / "units" / "kubelet.service")
    result = stopped(world)
    assert not result["changed"]
    assert f"{ETCD}: no manifest; no container runs; no process {ETCD}; nothing listens on {world.ports[ETCD]}" in result["evidence"]
    assert f"kubelet: unit not there; no process {KUBELET}" in result["evidence"]
    assert not world.parking.exists()


def test_planning_to_stop_changes_nothing(running: World) -> None:
    plan = plan_stop(running.node(), running.groups("stop"))
    assert all(item["change"] for item in plan)
    assert plan[0]["action"] == f"move {running.manifests}/{SCHEDULER}.yaml to {running.parking}/{SCHEDULER}.yaml; the kubelet stops the container"
    assert plan[-1]["action"] == "stop kubelet.service"
    assert len(list(running.manifests.iterdir())) == 3
    assert running.unit()["active"] == "active"


@pytest.mark.parametrize("unit", [{"active": "inactive", "sub": "dead"}, {"active": "activating", "sub": "auto-restart"}])
def test_without_a_working_kubelet_the_runtime_stops_containers(running: World, unit: dict[str, str]) -> None:
    running.set_unit(**unit)
    result = stopped(running)
    assert result["changed"]
    assert len([call for call in running.log("crictl") if " stop " in call]) == 3
    assert len([call for call in running.log("crictl") if " stopp " in call]) == 3
    assert running.unit()["active"] == "inactive"


def test_a_container_that_the_kubelet_was_about_to_start_is_stopped(running: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its manifest was away already, and the kubelet ended right after (an API server that was started over and over, on a busy machine)."""
    stop_group = stopping._stop_group

    def late(node: Node, group: Any, wait_seconds: float, journal: Any) -> None:
        stop_group(node, group, wait_seconds, journal)
        if any(service.name == "kubelet" for service in group):
            running._begin(API)

    monkeypatch.setattr(stopping, "_stop_group", late)
    result = stopped(running)
    assert all(item["state"] == "stopped" for item in result["services"])
    assert API not in running._processes


def test_a_container_that_nobody_will_start_is_removed(running: World) -> None:
    """The kubelet ended between making it and starting it; no stop ends what never began (seen on the lab)."""
    stopped(running)
    running.set_unit(active="inactive", sub="dead")
    made = next((running.directory / "containers").glob("*.json"))
    document = json.loads(made.read_text())
    (made.parent / "made-9.json").write_text(json.dumps({**document, "id": "made-9", "state": "CONTAINER_CREATED"}))
    result = stopped(running)
    assert all(item["state"] == "stopped" for item in result["services"])
    assert [call.split()[-1] for call in running.log("crictl") if " rm " in call] == ["made-9"]


def test_a_kubelet_that_does_not_act_is_not_waited_for(running: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.5)
    running.flag("hung-kubelet")
    result = stopped(running)
    assert all(item["state"] == "stopped" for item in result["services"])
    assert [call for call in running.log("crictl") if " stop " in call]


def test_a_short_grace_is_kept(world: World) -> None:
    world.flag(f"deaf-{API}")
    world.write_manifests()
    started(world)
    node = world.node()
    node.services[API] = replace(node.services[API], grace_seconds=1)
    begin = time.monotonic()
    stop(node, read_groups(node.services, world.platform["stop"]), 20, world.journal("stopped"))
    assert time.monotonic() - begin < 15
    assert [call for call in world.log("crictl") if " stop --timeout 0 " in call]


def test_a_container_that_the_kubelet_replaces_meanwhile_has_no_second_grace(world: World) -> None:
    """Seen on the lab without etcd: the one that failed its probes was ended, its successor did not listen for 22 seconds."""
    world.flag(f"deaf-{API}")
    world.write_manifests()
    started(world)
    world.flag(f"once-more-{API}")
    node = world.node()
    node.services[API] = replace(node.services[API], grace_seconds=1)
    result = stop(node, read_groups(node.services, world.platform["stop"]), 20, world.journal("stopped"))
    assert all(item["state"] == "stopped" for item in result["services"])
    ended = {call.split()[-1] for call in world.log("crictl") if " stop --timeout 0 " in call}
    assert len(ended) == 2, "the first and the one that replaced it"


def test_what_does_not_stop_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.flag(f"deaf-{SCHEDULER}")
    world.write_manifests()
    started(world)
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 60)
    with pytest.raises(ServiceError) as caught:
        stopped(world, wait_seconds=1)
    text = str(caught.value)
    assert f"did not stop: {SCHEDULER}" in text
    assert f"process {SCHEDULER} pid " in text
    assert f"port {world.ports[SCHEDULER]} held by pid " in text
    assert "What to do" in text
    assert (world.manifests / f"{API}.yaml").exists(), "what comes later is not touched"


def test_a_broken_runtime_is_no_proof_but_processes_and_ports_are(running: World) -> None:
    stopped(running)
    running.flag("runtime-broken")
    result = stopped(running)
    assert not result["changed"]
    assert "runtime not asked (rpc error: connection refused)" in result["evidence"][0]


def test_a_service_that_comes_back_is_found(running: World, monkeypatch: pytest.MonkeyPatch) -> None:
    original = stopping._stop_group

    def meddle(node: services.Node, group: Any, *rest: Any) -> None:
        original(node, group, *rest)
        if group[0].name == "kubelet":
            (running.manifests / f"{ETCD}.yaml").write_text("kind: Pod\n")

    monkeypatch.setattr(stopping, "_stop_group", meddle)
    with pytest.raises(ServiceError, match="came back after it had been stopped"):
        stopped(running)


def test_an_older_parked_manifest_is_kept(running: World) -> None:
    running.parking.mkdir(parents=True, exist_ok=True)
    (running.parking / f"{API}.yaml").write_text("older\n")
    live = (running.manifests / f"{API}.yaml").read_text()
    stopped(running)
    assert (running.parking / f"{API}.yaml").read_text() == live
    kept = [path for path in running.parking.iterdir() if ".superseded-" in path.name]
    assert [path.read_text() for path in kept] == ["older\n"]


def test_a_manifest_moves_to_another_file_system(tmp_path: Path) -> None:
    other = Path("/dev/shm") / f"lifeboat-test-{os.getpid()}"
    other.mkdir()
    try:
        assert os.stat(other).st_dev != os.stat(tmp_path).st_dev
        source = tmp_path / "etcd.yaml"
        source.write_text("kind: Pod\n")
        source.chmod(0o600)
        os.utime(source, (1, 1))
        services.move_file(str(source), str(other / "etcd.yaml"))
        assert not source.exists()
        assert [path.name for path in other.iterdir()] == ["etcd.yaml"]
        assert (other / "etcd.yaml").stat().st_mode & 0o777 == 0o600
    finally:
        shutil.rmtree(other)


# Starting


def test_start_releases_one_group_after_the_other(world: World) -> None:
    world.write_manifests(world.parking)
    result = started(world)
    assert result["changed"]
    assert [phase["name"] for phase in result["phases"]] == [f"start kubelet {ETCD}", f"start {API}", f"start {SCHEDULER}", "enable units", "prove started"]
    assert not list(world.parking.iterdir())
    assert world.unit() == {"active": "active", "sub": "running", "enabled": "enabled"}
    assert all(item["state"] == "started" for item in result["services"])
    assert not result["crash_looping"]
    by_name = {item["name"]: item for item in result["services"]}
    assert by_name[API]["container_id"] == f"{API}-0"
    assert by_name[API]["attempt"] == 0
    assert by_name[ETCD]["ready_at"] < by_name[API]["ready_at"] < by_name[SCHEDULER]["ready_at"]
    assert result["first_change_at"] < result["ready_at"] == by_name[API]["ready_at"] < result["finished_at"]


def test_start_again_changes_nothing(running: World) -> None:
    assert not plan_start(running.node(), request(running)).changed
    result = started(running)
    assert not result["changed"]
    assert all(item["state"] == "started" and not item["changed"] for item in result["services"])


def test_manifests_that_lie_in_place_are_held_back(world: World) -> None:
    """As after a power loss: the kubelet would start everything at once."""
    world.write_manifests()
    world.flag("no-quorum")
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(started(world)))
    thread.start()
    world.run_until(ETCD)
    time.sleep(0.5)
    assert sorted(path.name for path in world.manifests.iterdir()) == [f"{ETCD}.yaml"], "the API server is let in only when etcd has a quorum"
    world.flag("no-quorum", on=False)
    thread.join()
    assert answers[0]["changed"]
    assert len(list(world.manifests.iterdir())) == 3


def test_no_quorum_is_an_error_that_says_so(world: World) -> None:
    world.write_manifests(world.parking)
    world.flag("no-quorum")
    with pytest.raises(ServiceError) as caught:
        started(world, wait_seconds=3)
    assert f"did not become ready: {ETCD}" in str(caught.value)
    assert "etcd has no leader yet" in caught.value.found
    assert not (world.manifests / f"{API}.yaml").exists()
    world.flag("no-quorum", on=False)
    assert all(item["state"] == "started" for item in started(world)["services"]), "a rerun goes on"


def test_an_api_server_that_is_not_ready_is_an_error_that_says_so(world: World) -> None:
    world.write_manifests(world.parking)
    world.flag(f"unready-{API}")
    with pytest.raises(ServiceError, match="status 500, failing: etcd"):
        started(world, wait_seconds=3)


def test_a_container_that_was_made_twice_is_a_crash_loop(world: World) -> None:
    world.write_manifests(world.parking)
    world.flag(f"crash-{SCHEDULER}")
    result = started(world)
    by_name = {item["name"]: item for item in result["services"]}
    assert result["crash_looping"]
    assert by_name[SCHEDULER]["crash_looping"]
    assert by_name[SCHEDULER]["restarts"] == 1
    assert by_name[SCHEDULER]["attempt"] == 1
    assert not by_name[API]["crash_looping"]


def test_a_missing_manifest_is_named_before_anything_starts(world: World) -> None:
    world.write_manifests(world.parking)
    (world.parking / f"{API}.yaml").unlink()
    with pytest.raises(ServiceError, match=f"The manifest of {API} is missing"):
        started(world)
    assert world.unit()["active"] == "inactive"


def test_two_different_manifests_are_refused(world: World) -> None:
    world.write_manifests(world.parking)
    world.write_manifests()
    (world.manifests / f"{API}.yaml").write_text("kind: Pod\n")
    with pytest.raises(ServiceError, match=f"two different manifests of {API}"):
        started(world)
    assert world.unit()["active"] == "inactive"


def test_the_same_manifest_twice_is_one(world: World) -> None:
    """A kill in the middle of a move between file systems."""
    world.write_manifests(world.parking)
    world.write_manifests()
    started(world)
    assert not list(world.parking.iterdir())


def test_a_masked_or_missing_unit_is_named(world: World) -> None:
    world.write_manifests(world.parking)
    shutil.rmtree(world.directory / "units" / "kubelet.service")
    with pytest.raises(ServiceError, match=r"unit kubelet.service can't be started"):
        started(world)


def test_names_are_merged_into_the_hosts_file(world: World) -> None:
    world.write_manifests(world.parking)
    hosts = world.directory / "hosts"
    hosts.write_text("127.0.0.1 localhost\n192.0.2.9 cp2\n")
    hosts.chmod(0o644)
    entries = {"192.0.2.11": ["cp1"], "192.0.2.12": ["cp2"]}
    plan = plan_start(world.node(), request(world, hosts_entries=entries))
    assert "192.0.2.11 cp1" in plan.diff()["after"]
    result = started(world, hosts_entries=entries)
    assert hosts.read_text().startswith("127.0.0.1 localhost\n192.0.2.9 cp2\n")
    assert "192.0.2.11 cp1\n" in hosts.read_text()
    assert result["hosts_conflicts"] == ["cp2 is 192.0.2.9 in another line, wanted is 192.0.2.12"]
    assert [phase["name"] for phase in result["phases"]][0] == "hosts"
    assert not started(world, hosts_entries=entries)["changed"]


def test_data_is_put_in_place_and_kept_by_a_rerun(world: World) -> None:
    world.write_manifests(world.parking)
    data = world.directory / "etcd"
    (data / "member").mkdir(parents=True)
    (data / "member" / "db").write_text("old")
    (data / "staged" / "member").mkdir(parents=True)
    (data / "staged" / "member" / "db").write_text("new")
    items = [{"staged": str(data / "staged/member"), "target": str(data / "member"), "aside": str(data / "member.t1")}]
    result = started(world, replace=items)
    assert (data / "member" / "db").read_text() == "new"
    assert (data / "member.t1" / "db").read_text() == "old"
    assert result["plan"]["replace"][0]["action"] == "move present data aside, put staged data in place"
    assert not started(world, replace=items)["changed"]


def test_data_of_running_services_is_not_replaced(running: World) -> None:
    data = running.directory / "etcd"
    (data / "staged").mkdir(parents=True)
    with pytest.raises(ServiceError, match="Data of running services is not replaced") as caught:
        started(running, groups=[], replace=[{"staged": str(data / "staged"), "target": str(data / "member"), "aside": str(data / "aside")}])
    assert f"process {ETCD} pid " in str(caught.value)
    assert (data / "staged").exists()


def test_members_are_compared_before_the_api_server_is_let_in(world: World) -> None:
    world.write_manifests(world.parking)
    result = started(world, etcd_hash=True)
    assert result["etcd"]["equal"] is True
    assert result["etcd"]["revision"] == 1000
    assert [phase["name"] for phase in result["phases"]][1] == "compare etcd members"


def test_unequal_members_keep_the_api_server_out(world: World) -> None:
    world.write_manifests(world.parking)
    world.flag("unequal")
    second = world.spawn(ETCD, port := free_port())
    try:
        (world.directory / "members.json").write_text(json.dumps(world.members([world.ports[ETCD], port])))
        with pytest.raises(MembersDifferError, match="not proven equal, so the API server was not started"):
            started(world, etcd_hash=True, wait_seconds=5)
        assert not (world.manifests / f"{API}.yaml").exists()
        result = started(world, etcd_hash=True, refuse_if_unequal=False)
        assert result["etcd"]["equal"] is False
    finally:
        second.end()


def test_a_member_that_is_missing_is_no_proof_of_equality(world: World) -> None:
    world.write_manifests(world.parking)
    (world.directory / "members.json").write_text(json.dumps(world.members([world.ports[ETCD], 1])))
    with pytest.raises(MembersDifferError, match="Start the members that are missing"):
        started(world, etcd_hash=True, wait_seconds=2)


def test_a_rerun_after_a_kill_at_any_moment_finishes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first run that ends after each of its steps in turn, then a whole one."""

    class Killed(BaseException):
        pass

    world.write_manifests(world.parking)
    hosts = world.directory / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    data = world.directory / "etcd"
    step = 0
    while True:
        stopped(world)
        shutil.rmtree(data, ignore_errors=True)
        (data / "member").mkdir(parents=True)
        (data / "member" / "db").write_text("old")
        (data / "staged" / "member").mkdir(parents=True)
        (data / "staged" / "member" / "db").write_text("new")
        more: dict[str, Any] = {
            "replace": [{"staged": str(data / "staged/member"), "target": str(data / "member"), "aside": str(data / "aside")}],
            "hosts_entries": {"192.0.2.11": [f"cp{step}"]},
            "groups": world.groups("start")[:1],
        }
        journal = world.journal("started")
        original, count = journal.beat, 0

        def beat(*arguments: Any, original: Any = original, last: int = step, **named: Any) -> None:
            nonlocal count
            if named.get("now"):
                count += 1
                if count > last:
                    raise Killed
            original(*arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(journal, "beat", beat)
            try:
                start(world.node(), request(world, **more), journal)
                break
            except Killed:
                pass
        if world.unit()["active"] == "active":
            stopped(world)
        result = started(world, **more)
        assert all(item["state"] == "started" for item in result["services"]), f"after {step} steps"
        assert (data / "member" / "db").read_text() == "new"
        assert (data / "aside" / "db").read_text() == "old"
        step += 1
    assert step >= 4


# Restored files


def captured(world: World, restore_id: str = "r1") -> dict[str, Any]:
    """The live manifests and a unit's configuration in an unpacked archive, as a recovery brings them; then the manifests are gone."""
    world.write_manifests()
    config = world.directory / "conf" / "kubelet.conf"
    config.parent.mkdir(exist_ok=True)
    config.write_text("restored\n")
    paths = [WantedPath(str(world.manifests)), WantedPath(str(config))]
    tar, staging = str(world.directory / "node.tar"), str(world.directory / "staging")
    record = capture(CaptureRequest(paths, tar))
    files.unpack(tar, staging, str(record.sha256))
    shutil.rmtree(world.manifests)
    config.unlink()
    return {"staging": staging, "restore_id": restore_id, "aside": str(world.directory / "var" / "aside")}


def test_restored_manifests_are_started_in_order(world: World) -> None:
    item = captured(world)
    plan = plan_start(world.node(), request(world, files=[item]))
    assert plan.changed
    assert str(world.parking / f"{ETCD}.yaml") in plan.file_paths, "not where the kubelet would see it"
    with pytest.raises(ServiceError, match="manifest"):
        started(world)
    result = started(world, files=[item])
    assert [phase["name"] for phase in result["phases"]][:2] == ["files", f"start kubelet {ETCD}"]
    assert all(item["state"] == "started" for item in result["services"])
    assert len(list(world.manifests.glob("*.yaml"))) == 3
    assert str(world.directory / "conf" / "kubelet.conf") in result["files"][0]["created"]
    again = started(world, files=[item])
    assert not again["changed"]
    stopped(world)
    assert started(world, files=[item])["changed"]


def test_a_restored_manifest_that_was_adapted_and_started_is_left_alone(world: World) -> None:
    """A member that comes back into a living cluster: its files are placed, its manifest is adapted, it starts, then the rest starts."""
    item = captured(world)
    placed = start(world.node(), request(world, groups=[], files=[item]), world.journal("started"))
    assert placed["changed"]
    assert placed["services"] == []
    assert world.unit()["active"] == "inactive"
    manifest = world.parking / f"{ETCD}.yaml"
    manifest.write_text(manifest.read_text() + "# --initial-cluster-state=existing\n")
    started(world, groups=world.groups("start")[:1])
    result = started(world, files=[item])
    assert all(item["state"] == "started" for item in result["services"])
    assert (world.manifests / f"{ETCD}.yaml").read_text().endswith("# --initial-cluster-state=existing\n")


def test_files_of_running_services_are_not_replaced(world: World) -> None:
    item = captured(world)
    started(world, files=[item])
    (world.directory / "conf" / "kubelet.conf").write_text("changed by a person\n")
    with pytest.raises(ServiceError, match="Data of running services is not replaced"):
        started(world, files=[item])
    stopped(world)
    started(world, files=[item])
    assert (world.directory / "conf" / "kubelet.conf").read_text() == "restored\n"


def test_a_rehearsal_needs_no_staged_files(world: World) -> None:
    world.write_manifests(world.parking)
    item = {"staging": str(world.directory / "not-yet"), "restore_id": "r1"}
    data = [{"staged": str(world.directory / "none"), "target": str(world.directory / "etcd"), "aside": str(world.directory / "aside")}]
    plan = plan_start(world.node(), request(world, files=[item], replace=data), rehearse=True)
    assert plan.as_dict()["replace"][0]["action"] == "put staged data in place, once there is some"


def test_a_runtime_whose_configuration_was_restored_is_restarted(world: World) -> None:
    item = captured(world)
    shutil.copytree(world.directory / "units" / "kubelet.service", world.directory / "units" / "lbt-runtime.service")
    facts = dict(world.platform, runtime=dict(world.platform["runtime"], unit="lbt-runtime.service", config=[f"{world.directory}/conf/*"]))
    node = services.Node(facts, world.node().runtime, world.node().systemd)
    result = start(node, request(world, files=[item]), world.journal("started"))
    assert [phase["name"] for phase in result["phases"]][:3] == ["files", "start lbt-runtime.service", f"start kubelet {ETCD}"]
    stopped(world)
    (world.directory / "conf" / "kubelet.conf").unlink()
    result = start(node, request(world, files=[item]), world.journal("started"))
    assert [phase["name"] for phase in result["phases"]][1] == "restart lbt-runtime.service"
    stopped(world)
    result = start(node, request(world, files=[item]), world.journal("started"))
    assert "lbt-runtime" not in str(result["phases"])


def test_units_whose_configuration_was_restored_are_read_again(world: World) -> None:
    item = captured(world)
    node = world.node()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starting, "UNIT_DIRECTORIES", (str(world.directory / "conf"),))
        patch.setattr(starting, "READ_AT_BOOT", ((str(world.directory / "conf"), "kubelet.service"), ("/elsewhere/", "lbt-none.service")))
        result = start(node, request(world, files=[item]), world.journal("started"))
    assert "reload units" in [phase["name"] for phase in result["phases"]]
    assert "daemon-reload" in world.log("systemctl")
    assert any(call.startswith("restart --no-block kubelet.service") for call in world.log("systemctl"))


# Services that are units


@pytest.fixture
def units(world: World) -> World:
    world.write_units()
    return world


def start_units(world: World, **more: Any) -> dict[str, Any]:
    node = world.node(world.platform_of_units)
    return start(node, request(world, groups=read_groups(node.services, world.platform_of_units["start"]), **more), world.journal("started"))


def stop_units(world: World) -> dict[str, Any]:
    node = world.node(world.platform_of_units)
    return stop(node, read_groups(node.services, world.platform_of_units["stop"]), 20, world.journal("stopped"))


def test_units_are_started_in_order_with_the_same_proofs(units: World) -> None:
    result = start_units(units, etcd_hash=True)
    names = [phase["name"] for phase in result["phases"]]
    assert names == [f"start {ETCD}", "compare etcd members", f"start {API}", f"start kubelet {SCHEDULER}", "enable units", "prove started"]
    assert result["etcd"]["equal"] is True
    assert all(item["state"] == "started" and not item["crash_looping"] for item in result["services"])
    by_name = {item["name"]: item for item in result["services"]}
    assert by_name[ETCD]["ready_at"] < by_name[API]["ready_at"] == result["ready_at"]
    again = start_units(units, etcd_hash=True)
    assert not again["changed"]
    assert all(item["state"] == "started" for item in again["services"])


def test_an_api_server_that_is_a_unit_waits_for_the_quorum_of_etcd(units: World) -> None:
    units.flag("no-quorum")
    with pytest.raises(ServiceError) as caught:
        start_units(units, wait_seconds=2)
    assert f"did not become ready: {ETCD}" in str(caught.value)
    assert "etcd has no leader yet" in caught.value.found
    assert not any(API in call for call in units.log("systemctl") if call.startswith("start"))
    units.flag("no-quorum", on=False)
    assert all(item["state"] == "started" for item in start_units(units)["services"]), "a rerun goes on"


def test_units_are_stopped_in_order_and_proven_gone(units: World) -> None:
    start_units(units)
    result = stop_units(units)
    assert [phase["name"] for phase in result["phases"]] == [f"stop kubelet {SCHEDULER}", f"stop {API}", f"stop {ETCD}", "prove stopped"]
    assert all(item["state"] == "stopped" and item["changed"] for item in result["services"])
    assert f"nothing listens on {units.ports[API]}" in "; ".join(result["evidence"])
    assert not stop_units(units)["changed"]
