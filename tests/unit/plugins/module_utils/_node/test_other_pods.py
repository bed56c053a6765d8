# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static pods that the platform does not name: they come back with the kubelet, go before it, and nothing fails because of them."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import files
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.archive import CaptureRequest, WantedPath, capture
from ansible_collections.lifeboat.cluster.plugins.module_utils._node import other_pods
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.other_pods import plan_park_copies
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services import stopping
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import ServiceError, read_groups
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.start_plan import plan_start
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.starting import start
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.stopping import plan_stop, stop
from tests.unit.plugins.module_utils._node.node_calls import request, started, stopped
from tests.unit.plugins.module_utils._node.node_world import API, ETCD, SCHEDULER, World

VIP = "lbt-kube-vip"


@pytest.fixture
def captured(world: World) -> dict[str, Any]:
    """What a recovery brings onto an empty machine: the platform's manifests, one more, and a copy that somebody kept."""
    world.write_manifests()
    world.write_manifest(VIP, world.manifests)
    shutil.copy(world.manifests / f"{API}.yaml", world.manifests / f"{API}.yaml.bak")
    tar, staging = str(world.directory / "node.tar"), str(world.directory / "staging")
    record = capture(CaptureRequest([WantedPath(str(world.manifests))], tar))
    files.unpack(tar, staging, str(record.sha256))
    shutil.rmtree(world.manifests)
    return {"staging": staging, "restore_id": "r1", "aside": str(world.directory / "var" / "aside")}


@pytest.fixture
def with_vip(world: World) -> World:
    """A node with a pod of somebody else, all of it running."""
    world.write_manifests()
    world.write_manifest(VIP, world.manifests)
    started(world)
    world.run_until(VIP)
    return world


def live(world: World) -> set[str]:
    return {path.stem for path in world.manifests.glob("*.yaml")}


def test_a_restored_one_is_started_and_not_left_parked(world: World, captured: dict[str, Any]) -> None:
    plan = plan_start(world.node(), request(world, files=[captured]))
    assert plan.changed
    result = started(world, files=[captured])
    assert live(world) == {ETCD, API, SCHEDULER, VIP}
    assert [path.name for path in world.parking.iterdir()] == [f"{API}.yaml.bak"], "it would start a second pod of the same name"
    assert result["left_parked"] == [str(world.parking / f"{API}.yaml.bak")]
    assert [(item["manifest"], item["state"], item["changed"]) for item in result["other_static_pods"]] == [(f"{VIP}.yaml", "started", True)]
    assert not result["crash_looping"]
    again = started(world, files=[captured])
    assert not again["changed"]
    assert [item["state"] for item in again["other_static_pods"]] == ["started"]


def test_it_comes_with_the_kubelet_before_the_api_server(world: World, captured: dict[str, Any]) -> None:
    """The API server may need it (a KMS plugin), and so may whoever looks for the API server (a load balancer)."""
    world.flag("no-quorum")
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(started(world, files=[captured])))
    thread.start()
    world.run_until(VIP)
    world.run_until(ETCD)
    assert live(world) == {ETCD, VIP}
    world.flag("no-quorum", on=False)
    thread.join()
    assert live(world) == {ETCD, API, SCHEDULER, VIP}


def test_one_that_does_not_run_is_waited_for_told_and_gone_on_without(world: World, captured: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_pods, "WAIT_SECONDS", 0.5)
    world.refused.add(VIP)
    result = started(world, files=[captured])
    assert all(item["state"] == "started" for item in result["services"])
    assert [(item["manifest"], item["state"]) for item in result["other_static_pods"]] == [(f"{VIP}.yaml", "stopped")]
    seconds = {phase["name"]: phase["seconds"] for phase in result["phases"]}
    assert 0.4 < seconds["start other static pods"] < 10


def test_its_containers_are_told_from_those_of_pods_with_a_similar_name(with_vip: World) -> None:
    (pod,) = other_pods.find(with_vip.node())
    mine, *_rest = pod.containers(with_vip.node().runtime.containers())
    assert mine.name == VIP
    others = [replace(mine, pod=f"{VIP}-5d8f9-x2x", static=False), replace(mine, namespace="shop"), replace(mine, pod=f"{VIP}s-node1")]
    assert pod.containers([mine, *others]) == [mine]
    assert pod.containers([replace(mine, static=None)]) != [], "a runtime that does not tell the uid"


def test_it_is_stopped_before_the_kubelet_and_comes_back(with_vip: World) -> None:
    planned = [item["service"] for item in plan_stop(with_vip.node(), with_vip.groups("stop"))]
    assert planned == [SCHEDULER, API, ETCD, f"{VIP}.yaml", "kubelet"]
    result = stopped(with_vip)
    names = [phase["name"] for phase in result["phases"]]
    assert names == [f"stop {SCHEDULER}", f"stop {API}", f"stop {ETCD}", "stop other static pods", "stop kubelet", "prove stopped"]
    assert (with_vip.parking / f"{VIP}.yaml").exists()
    assert [(item["manifest"], item["changed"], item["left"]) for item in result["other_static_pods"]] == [(f"{VIP}.yaml", True, [])]
    assert f"{VIP}.yaml: manifest parked" in result["evidence"]
    assert not [item for item in with_vip.node().runtime.containers() if item.name == VIP and item.state == "running"]
    assert not stopped(with_vip)["changed"]
    started(with_vip)
    with_vip.run_until(VIP)
    assert live(with_vip) == {ETCD, API, SCHEDULER, VIP}


def test_without_a_working_kubelet_the_runtime_stops_it(with_vip: World) -> None:
    with_vip.set_unit(active="inactive", sub="dead")
    result = stopped(with_vip)
    assert result["other_static_pods"][0]["left"] == []
    assert [call for call in with_vip.log("crictl") if " stop " in call and VIP in call]


def test_one_that_does_not_end_is_ended_by_the_runtime(with_vip: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with_vip.flag("hung-kubelet")
    monkeypatch.setattr(other_pods, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.3)
    assert stopped(with_vip)["other_static_pods"][0]["left"] == []
    assert [call for call in with_vip.log("crictl") if " stop --timeout 0 " in call and VIP in call]


def test_where_only_a_kubelet_is_stopped_it_goes_on_running(with_vip: World) -> None:
    """As on a worker: its pods go on, a local load balancer among them."""
    node = with_vip.node()
    result = stop(node, read_groups(node.services, [["kubelet"]]), 20, with_vip.journal("stopped"))
    assert result["other_static_pods"] == []
    assert VIP in live(with_vip)


def test_a_manifest_of_the_control_plane_is_never_anybody_elses(world: World) -> None:
    """A control plane without a member of etcd: the captured manifest of one must not begin a cluster of its own."""
    world.write_manifest("etcd", world.parking)
    world.write_manifest("haproxy", world.parking)
    world.write_manifest(VIP, world.parking)
    facts = dict(world.platform, manifests_known=["haproxy.yaml"])
    assert [pod.manifest for pod in other_pods.find(world.node(facts))] == [f"{VIP}.yaml"]
    assert other_pods.left_over(world.node(facts)) == [str(world.parking / "etcd.yaml"), str(world.parking / "haproxy.yaml")]


def test_copies_of_manifests_are_taken_away_before_the_first_service_is_stopped(with_vip: World) -> None:
    """The kubelet would start a copy of the API server's manifest as soon as that is parked, and the API server would never be gone."""
    for name, copy in ((API, f"{API}.yaml.bak"), (SCHEDULER, "before-upgrade.yaml"), (VIP, "vip-copy")):
        shutil.copy(with_vip.manifests / f"{name}.yaml", with_vip.manifests / copy)
    (with_vip.manifests / "notes.txt").write_text("not a pod\n")
    copies = ["before-upgrade.yaml", f"{API}.yaml.bak", "vip-copy"]
    assert sorted(item["service"] for item in plan_stop(with_vip.node(), with_vip.groups("stop"))[:3]) == sorted(copies)
    result = stopped(with_vip)
    assert result["phases"][0]["name"] == "park copies of manifests"
    assert [path.name for path in with_vip.manifests.iterdir()] == ["notes.txt"]
    again = started(with_vip)
    assert again["left_parked"] == sorted(str(with_vip.parking / copy) for copy in copies)
    assert live(with_vip) == {ETCD, API, SCHEDULER, VIP}
    assert not started(with_vip)["changed"]
    assert not plan_park_copies(with_vip.node())


def test_a_pod_in_a_file_without_an_ending_comes_back(world: World) -> None:
    """The kubelet runs it like any other."""
    world.write_manifests(world.parking)
    world.write_manifest(VIP, world.parking)
    (world.parking / f"{VIP}.yaml").rename(world.parking / "vip")
    (pod,) = other_pods.find(world.node())
    assert (pod.manifest, pod.pod, pod.parked) == ("vip", VIP, True)
    result = started(world)
    assert (world.manifests / "vip").exists()
    assert result["left_parked"] == []


def test_two_different_ones_are_refused(world: World) -> None:
    world.write_manifests(world.parking)
    world.write_manifest(VIP, world.parking)
    world.write_manifest(VIP, world.manifests, "--changed")
    with pytest.raises(ServiceError, match=rf"two different manifests of {VIP}\.yaml"):
        started(world)
    assert world.unit()["active"] == "inactive"


def test_a_broken_runtime_is_no_reason_to_wait(with_vip: World) -> None:
    with_vip.flag("runtime-broken")
    assert other_pods.missing(with_vip.node()) == []
    assert [item["state"] for item in other_pods.results(with_vip.node(), set())] == ["unknown"]


def test_a_member_that_is_started_alone_brings_it_along(world: World, captured: dict[str, Any]) -> None:
    """As a learner that joins: files are placed first, then kubelet and etcd start."""
    start(world.node(), request(world, groups=[], files=[captured]), world.journal("started"))
    assert not live(world) if world.manifests.exists() else True
    started(world, groups=world.groups("start")[:1])
    end = time.monotonic() + 20
    while live(world) != {ETCD, VIP}:
        assert time.monotonic() < end
        time.sleep(0.02)
