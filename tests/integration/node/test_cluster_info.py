# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cluster_info against a real API server: what it reads, and what it clears away."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from tests.integration.node.api_server import RealApiServer
from tests.integration.node.modules import Modules

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
EXPECTED = {"expected_nodes": ["cp1", "w1"], "control_plane_addresses": ["192.0.2.11"]}
ALL_PARTS = ["identity", "nodes", "leases", "pods", "endpoints", "services", "volumes", "objects"]


def when(age_seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - age_seconds))


def pod(server: RealApiServer, name: str, node: str) -> None:
    spec = {"nodeName": node, "containers": [{"name": "web", "image": "example.org/web:1"}]}
    server.create("/api/v1/namespaces/default/pods", "Pod", "v1", name, spec=spec)


def lease(server: RealApiServer, namespace: str, name: str, age_seconds: float, duration_seconds: int, **labels: str) -> None:
    spec = {"holderIdentity": name, "leaseDurationSeconds": duration_seconds, "renewTime": when(age_seconds)}
    server.create(LEASES.format(namespace), "Lease", "coordination.k8s.io/v1", name, metadata={"labels": labels}, spec=spec)


@pytest.fixture(scope="module")
def restored(api_server: RealApiServer) -> RealApiServer:
    """A cluster that believes in things that are not there any more."""
    api_server.wait_for("/api/v1/namespaces/default")
    for namespace in ("kube-node-lease", "kube-system"):
        api_server.wait_for(f"/api/v1/namespaces/{namespace}")
    for name in ("cp1", "w1", "old"):
        api_server.create("/api/v1/nodes", "Node", "v1", name)
    lease(api_server, "kube-node-lease", "w1", 5, 40)
    lease(api_server, "kube-node-lease", "gone", 9000, 40)
    lease(api_server, "kube-node-lease", "old", 9000, 40)
    lease(api_server, "kube-system", "apiserver-gone", 9000, 3600, **{"kubernetes.io/hostname": "gone"})
    lease(api_server, "kube-system", "kube-scheduler", 9000, 15)
    pod(api_server, "stays", "w1")
    pod(api_server, "lost", "gone")
    api_server.create(
        "/apis/storage.k8s.io/v1/volumeattachments",
        "VolumeAttachment",
        "storage.k8s.io/v1",
        "csi-1",
        spec={"attacher": "csi.example", "nodeName": "gone", "source": {"persistentVolumeName": "pv-1"}},
    )
    api_server.create_config_maps(1200)
    return api_server


HERE = ("-c", "local", "-e", f"ansible_python_interpreter={sys.executable}")


def run(local: Modules, server: RealApiServer, *options: str, **arguments: Any) -> dict[str, Any]:
    return local.run("localhost", "cluster_info", *HERE, *options, **server.options, **EXPECTED, wait_seconds=120, **arguments)["localhost"]


def names(server: RealApiServer, path: str) -> set[str]:
    with server.client() as client:
        return {str(item["metadata"]["name"]) for item in client.items(path)}


def test_everything_is_read(local: Modules, restored: RealApiServer) -> None:
    cluster = run(local, restored, collect=ALL_PARTS)["cluster"]
    with restored.client() as client:
        assert cluster["kube_system_uid"] == client.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    assert cluster["version"].startswith("v1.")
    assert len(cluster["ca_sha256"]) == 64
    assert {node["name"]: node["ready"] for node in cluster["nodes"]} == {"cp1": False, "w1": False, "old": False}
    assert cluster["pods"]["total"] == 2
    assert cluster["pods"]["by_phase"] == {"Pending": 2}
    assert cluster["endpoints"]["equal"] is True
    assert [item["name"] for item in cluster["leases"]["leaders"]] == ["kube-scheduler"]
    assert cluster["objects"]["counts"]["configmaps"] >= 1200
    assert cluster["objects"]["counts"]["nodes"] == 3
    assert cluster["objects"]["counts"]["leases.coordination.k8s.io"] >= 5
    assert cluster["objects"]["failed"] == {}
    assert cluster["api_services_unavailable"] == []


def test_stale_objects_are_reported_planned_and_removed(local: Modules, restored: RealApiServer) -> None:
    reported = run(local, restored)
    assert reported["changed"] is False
    stale = reported["cluster"]["stale"]
    assert stale["nodes"] == ["old"]
    assert stale["node_leases"] == ["gone"]
    assert stale["apiserver_leases"] == ["apiserver-gone"]
    assert [item["name"] for item in stale["pods_on_missing_nodes"]] == ["lost"]
    assert [item["name"] for item in stale["volume_attachments"]] == ["csi-1"]
    assert stale["endpoints_extra"] == []

    planned = run(local, restored, "--check", stale="remove")
    assert planned["changed"] is True
    assert {(item["kind"], item["name"]) for item in planned["removals"]} == {("Lease", "gone"), ("Lease", "apiserver-gone"), ("Pod", "lost")}
    assert "lost" in names(restored, "/api/v1/pods")

    removed = run(local, restored, stale="remove")
    assert removed["changed"] is True
    assert removed["removals"] == planned["removals"]
    assert names(restored, "/api/v1/pods") == {"stays"}
    assert "gone" not in names(restored, LEASES.format("kube-node-lease"))
    assert "apiserver-gone" not in names(restored, LEASES.format("kube-system"))
    assert names(restored, "/api/v1/nodes") == {"cp1", "w1", "old"}, "a Node object goes only when it is named"
    assert names(restored, "/apis/storage.k8s.io/v1/volumeattachments") == {"csi-1"}

    again = run(local, restored, stale="remove")
    assert again["changed"] is False
    assert again["removals"] == []


def test_a_node_is_removed_when_it_is_named(local: Modules, restored: RealApiServer) -> None:
    removed = run(local, restored, stale="remove", remove_nodes=["old"])
    assert {(item["kind"], item["name"]) for item in removed["removals"]} == {("Node", "old"), ("Lease", "old")}
    assert names(restored, "/api/v1/nodes") == {"cp1", "w1"}
    assert run(local, restored, stale="remove", remove_nodes=["old"])["changed"] is False


def test_a_node_that_is_expected_is_never_removed(local: Modules, restored: RealApiServer) -> None:
    results = local.try_("localhost", "cluster_info", *HERE, **restored.options, **EXPECTED, stale="remove", remove_nodes=["w1"])
    assert "A node that is expected can't be removed" in results.failed["localhost"]
    assert "w1" in names(restored, "/api/v1/nodes")


def test_wrong_endpoints_are_an_error_that_says_what_to_do(local: Modules, restored: RealApiServer) -> None:
    arguments = dict(EXPECTED, control_plane_addresses=["192.0.2.12"])
    results = local.try_("localhost", "cluster_info", *HERE, **restored.options, **arguments, stale="remove", wait_seconds=2)
    assert "extra: 192.0.2.11; missing: 192.0.2.12" in results.failed["localhost"]
    assert "/registry/masterleases/" in results.failed["localhost"]


def test_a_server_that_is_not_there_is_an_error_that_says_where_to_look(local: Modules, restored: RealApiServer) -> None:
    options = dict(restored.options, server="https://127.0.0.1:1")
    results = local.try_("localhost", "cluster_info", *HERE, **options, wait_seconds=1)
    assert "The API server is not ready" in results.failed["localhost"]
    assert "ConnectionRefusedError" in results.failed["localhost"]


def test_a_rebuilt_node_is_asked_for_alone_and_what_it_said_before_does_not_count(local: Modules, restored: RealApiServer) -> None:
    now = time.time()
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "lastHeartbeatTime": when(30)[:19] + "Z",
        "lastTransitionTime": when(90)[:19] + "Z",
    }
    restored.create("/api/v1/nodes", "Node", "v1", "w9", status={"conditions": [condition]})
    lease(restored, "kube-node-lease", "w9", 5, 40)
    rebuilt = {"rebuilt_nodes": ["w9"], "control_plane_addresses": ["192.0.2.11", "192.0.2.12"]}

    def states(**more: Any) -> dict[str, list[str]]:
        arguments = dict(EXPECTED, **rebuilt, **more)
        results = local.run("localhost", "cluster_info", *HERE, **restored.options, **arguments, wait_seconds=120)
        cluster = results["localhost"]["cluster"]
        assert cluster["endpoints"]["equal"] is True, "the other API server is not there, and was not rebuilt"
        assert cluster["endpoints"]["absent"] == ["192.0.2.12"]
        found: dict[str, list[str]] = cluster["node_states"]
        return found

    found = states()
    assert (found["asked_for"], found["not_ready"], found["silent"]) == (["w9"], [], [])
    assert sorted(text.partition(":")[0] for text in found["others_not_ready"]) == ["cp1", "w1"]
    assert states(reported_since={"w9": now - 20})["not_ready"] == [], "its lease is newer"
    found = states(reported_since={"w9": now - 20}, restarted_nodes=["w9"])
    assert found["not_ready"] == ["w9: said before it was restored: KubeletReady"]
    assert states(reported_since={"w9": now}, restarted_nodes=["w9"])["silent"] != []
