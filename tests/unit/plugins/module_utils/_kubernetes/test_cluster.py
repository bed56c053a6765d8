# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an API server says about its cluster, and what of it is stale."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes import cluster as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.cluster import PARTS, ClusterError, collect, find_stale, remove
from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.nodes import Expectation, epoch
from tests.unit.plugins.module_utils._kubernetes.api_server import ApiServer

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
ADDRESSES = ["192.0.2.11", "192.0.2.12"]


def when(age_seconds: float) -> str:
    return datetime.fromtimestamp(time.time() - age_seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def lease(server: ApiServer, namespace: str, name: str, age_seconds: float, duration_seconds: int, hostname: str = "") -> None:
    labels = {"kubernetes.io/hostname": hostname} if hostname else {}
    spec = {"holderIdentity": f"{name}-holder", "leaseDurationSeconds": duration_seconds, "renewTime": when(age_seconds)}
    server.put(LEASES.format(namespace), name, namespace, metadata={"labels": labels}, spec=spec)


def node(server: ApiServer, name: str, ready: bool = True, age_seconds: float = 200) -> None:
    condition = {
        "type": "Ready",
        "status": "True" if ready else "Unknown",
        "reason": "KubeletReady" if ready else "NodeStatusUnknown",
        "lastHeartbeatTime": when(age_seconds),
    }
    status = {
        "conditions": [{"type": "DiskPressure", "status": "False"}, condition],
        "addresses": [{"type": "InternalIP", "address": "192.0.2.11"}, {"type": "Hostname", "address": name}],
        "nodeInfo": {"machineID": "m1", "bootID": "b1", "kubeletVersion": "v1.34.4"},
    }
    spec = {"providerID": "kind://x", "podCIDRs": ["10.244.0.0/24"], "taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}
    labels = {"node-role.kubernetes.io/control-plane": ""}
    server.put("/api/v1/nodes", name, metadata={"labels": labels, "creationTimestamp": "2026-11-20T13:00:00Z"}, spec=spec, status=status)


def pod(server: ApiServer, name: str, where: str, phase: str = "Running", **status: Any) -> dict[str, Any]:
    found = dict(
        {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"restartCount": 2, "state": {"running": {}}}]}, **status
    )
    return server.put("/api/v1/pods", name, "shop", spec={"nodeName": where} if where else {}, status=found)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    made = ApiServer(tmp_path)
    made.objects["/version"] = {"gitVersion": "v1.34.4"}
    made.objects["/api/v1/namespaces/kube-system"] = {"metadata": {"name": "kube-system", "uid": "cluster-1"}}
    made.objects["/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt"] = {"data": {"ca.crt": (tmp_path / "ca.pem").read_text()}}
    for name in ("cp1", "w1"):
        node(made, name)
        lease(made, "kube-node-lease", name, 5, 40)
    lease(made, "kube-system", "apiserver-cp1", 5, 3600, "cp1")
    lease(made, "kube-system", "kube-scheduler", 2, 15)
    made.put("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", "kubernetes", endpoints=[{"addresses": [address]} for address in ADDRESSES])
    for path in (
        "/api/v1/pods",
        "/apis/apiregistration.k8s.io/v1/apiservices",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        "/apis/storage.k8s.io/v1/volumeattachments",
    ):
        made.lists.setdefault(path, [])
    yield made
    made.close()


EXPECTED = Expectation(["cp1", "w1"], ADDRESSES)
WITHOUT_OBJECTS = [part for part in PARTS if part != "objects"]


def look(server: ApiServer, parts: list[str] = WITHOUT_OBJECTS, expected: Expectation = EXPECTED) -> dict[str, Any]:
    with server.client() as client:
        return collect(client, str(server.directory / "ca.pem"), parts, expected)


def stale(server: ApiServer, expected: Expectation = EXPECTED) -> subject.Stale:
    return find_stale(look(server, expected=expected), expected)


def test_a_healthy_cluster_has_nothing_stale(server: ApiServer) -> None:
    pod(server, "web", "w1")
    found = look(server)
    assert found["kube_system_uid"] == "cluster-1"
    assert found["version"] == "v1.34.4"
    assert found["ca_sha256"] is not None
    assert found["ca_sha256"] == found["root_ca_configmap_sha256"]
    (cp1, _w1) = found["nodes"]
    assert cp1["ready"] is True
    assert cp1["roles"] == ["control-plane"]
    assert cp1["taints"] == ["node-role.kubernetes.io/control-plane:NoSchedule"]
    assert cp1["internal_ips"] == ["192.0.2.11"]
    assert (cp1["machine_id"], cp1["boot_id"], cp1["provider_id"], cp1["pod_cidrs"]) == ("m1", "b1", "kind://x", ["10.244.0.0/24"])
    assert cp1["created_at"] == 1795179600.0
    assert found["endpoints"] == {"addresses": ADDRESSES, "extra": [], "missing": [], "absent": [], "equal": True}
    assert found["node_states"] == {"asked_for": ["cp1", "w1"], "not_ready": [], "silent": [], "others_not_ready": [], "away_not_ready": []}
    answer = find_stale(found, EXPECTED)
    assert answer.removals == []
    assert all(items == [] for items in answer.report.values())
    assert set(answer.report) == {"nodes", "node_leases", "apiserver_leases", "pods_on_missing_nodes", "endpoints_extra", "volume_attachments"}
    assert server.connections == 1


def test_a_heartbeat_is_the_lease_or_the_condition_whichever_is_newer(server: ApiServer) -> None:
    """Kubelets renew their lease every ten seconds, and the condition only every five minutes."""
    assert look(server, ["nodes"])["nodes"][0]["heartbeat_age_seconds"] < 60
    server.lists[LEASES.format("kube-node-lease")].clear()
    assert look(server, ["nodes"])["nodes"][0]["heartbeat_age_seconds"] >= 200


def states(server: ApiServer, **more: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = look(server, ["nodes"], replace(EXPECTED, **more))["node_states"]
    return found


def names(texts: list[str]) -> list[str]:
    return [text.partition(":")[0] for text in texts]


def set_reports(server: ApiServer, name: str, lease_age: float | None, condition_age: float) -> None:
    """When the kubelet of a node has said something by its lease, and by its condition."""
    leases = server.lists[LEASES.format("kube-node-lease")]
    leases[:] = [item for item in leases if item["metadata"]["name"] != name]
    if lease_age is not None:
        lease(server, "kube-node-lease", name, lease_age, 40)
    server.lists["/api/v1/nodes"][:] = [item for item in server.lists["/api/v1/nodes"] if item["metadata"]["name"] != name]
    node(server, name, age_seconds=condition_age)


def test_what_a_kubelet_said_before_the_restore_is_no_ready(server: ApiServer) -> None:
    """A store that was restored, or that lived on, still says Ready of a machine that was emptied half a minute ago."""
    set_reports(server, "w1", 31, 40)
    assert states(server)["not_ready"] == [], "without a moment nothing is known to be old"
    found = states(server, reported_since={"cp1": time.time() - 20, "w1": time.time() - 20})
    assert found["not_ready"] == ["w1: said before it was restored: KubeletReady"]
    assert names(found["silent"]) == ["w1"]
    set_reports(server, "w1", 5, 40)
    found = states(server, reported_since={"w1": time.time() - 20})
    assert (found["not_ready"], found["silent"]) == ([], []), "its kubelet was never stopped: its lease is enough, as the condition comes every five minutes"


def test_of_a_kubelet_that_was_started_the_condition_itself_has_to_be_new(server: ApiServer) -> None:
    """It renews its lease before it has looked whether it is Ready."""
    since = {"w1": time.time() - 20}
    set_reports(server, "w1", 5, 40)
    found = states(server, reported_since=since, restarted=["w1"])
    assert found["not_ready"] == ["w1: said before it was restored: KubeletReady"]
    assert found["silent"] == []
    set_reports(server, "w1", None, 5)
    found = states(server, reported_since=since, restarted=["w1"])
    assert (found["not_ready"], found["silent"]) == ([], [])


def test_a_rebuilt_node_is_asked_for_whatever_became_of_the_others(server: ApiServer) -> None:
    node(server, "w2", ready=False)
    found = states(server, rebuilt=["w1"], nodes=["cp1", "w1", "w3"])
    assert found["asked_for"] == ["w1"]
    assert (found["not_ready"], found["silent"]) == ([], [])
    assert found["others_not_ready"] == ["w2: NodeStatusUnknown", "w3: the cluster has no such node"]
    found = states(server, rebuilt=["w2", "w4"])
    assert found["not_ready"] == ["w2: NodeStatusUnknown", "w4: the cluster has no such node"]
    assert names(found["silent"]) == ["w2", "w4"]
    assert found["others_not_ready"] == []
    assert states(server, nodes=["cp1", "w1", "w2"])["not_ready"] == ["w2: NodeStatusUnknown"], "without a rebuilt one all are asked for"


def test_nodes_of_machines_that_are_away_are_told_apart_and_nothing_of_theirs_is_stale(server: ApiServer) -> None:
    """A master was off while a worker was rebuilt: its node was called one of a machine that is gone, and waited for."""
    node(server, "m1", ready=False)
    lease(server, "kube-node-lease", "m2", 500, 40)
    pod(server, "lost", "m2")
    found = states(server, rebuilt=["w1"], away=["m1", "m2"])
    assert found["others_not_ready"] == []
    assert found["away_not_ready"] == ["m1: NodeStatusUnknown", "m2: the cluster has no such node"]
    answer = stale(server, replace(EXPECTED, away=["m1", "m2"]))
    assert (answer.report["nodes"], answer.report["node_leases"], answer.report["pods_on_missing_nodes"], answer.removals) == ([], [], [], [])
    assert stale(server).report["nodes"] == ["m1"]
    assert stale(server, Expectation(away=["m1"])).report["nodes"] == [], "without expected nodes none is unexpected"


def test_endpoints_need_the_rebuilt_servers_and_allow_those_of_the_inventory(server: ApiServer) -> None:
    def seen(**more: Any) -> dict[str, Any]:
        found: dict[str, Any] = look(server, ["endpoints"], replace(EXPECTED, **more))["endpoints"]
        return found

    (slices,) = server.lists["/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"]
    slices["endpoints"] = [{"addresses": [ADDRESSES[0]]}]
    assert seen()["equal"] is False
    found = seen(rebuilt=["w1"])
    assert (found["equal"], found["absent"]) == (True, [ADDRESSES[1]]), "the other control plane is dead, and this run was not about it"
    found = seen(rebuilt=["cp2"], rebuilt_addresses=[ADDRESSES[1]])
    assert (found["equal"], found["missing"]) == (False, [ADDRESSES[1]])
    found = seen(rebuilt_addresses=[ADDRESSES[0]])
    assert (found["equal"], found["absent"]) == (True, [ADDRESSES[1]]), "the other machine cannot be reached; whether it serves is nobody's guess"
    slices["endpoints"] = [{"addresses": [ADDRESSES[0]]}, {"addresses": [ADDRESSES[1]]}]
    assert seen(rebuilt_addresses=[ADDRESSES[0]])["equal"] is True
    slices["endpoints"] = [{"addresses": [ADDRESSES[0]]}, {"addresses": ["192.0.2.99"]}]
    assert seen(rebuilt=["w1"])["extra"] == ["192.0.2.99"]


def test_only_what_is_asked_for_is_read(server: ApiServer) -> None:
    found = look(server, ["identity"])
    assert set(found) == {"server", "kube_system_uid", "version", "ca_sha256", "root_ca_configmap_sha256"}
    assert not [request for request in server.requests if "/leases" in request[1] or "/pods" in request[1]]


def test_leases_of_nodes_that_are_neither_there_nor_expected(server: ApiServer) -> None:
    lease(server, "kube-node-lease", "gone", 500, 40)
    lease(server, "kube-node-lease", "joining", 5, 40)
    answer = stale(server, Expectation(["cp1", "w1", "absent-but-expected"], ADDRESSES))
    assert answer.report["node_leases"] == ["gone"]
    assert [str(removal) for removal in answer.removals] == ["Lease kube-node-lease/gone (there is no node of this name)"]
    lease(server, "kube-node-lease", "absent-but-expected", 500, 40)
    assert stale(server, Expectation(["cp1", "w1", "absent-but-expected"], ADDRESSES)).report["node_leases"] == ["gone"]


def test_leases_of_api_servers_that_are_gone(server: ApiServer) -> None:
    lease(server, "kube-system", "apiserver-expired", 4000, 3600, "cp1")
    lease(server, "kube-system", "apiserver-silent", 100, 3600, "cp9")
    lease(server, "kube-system", "apiserver-slow", 100, 3600, "cp1")
    lease(server, "kube-system", "apiserver-alive", 5, 3600, "cp9")
    answer = stale(server)
    assert answer.report["apiserver_leases"] == ["apiserver-expired", "apiserver-silent"]
    assert stale(server, Expectation()).report["apiserver_leases"] == ["apiserver-expired"], "without expectation only what has expired"


def test_nodes_are_removed_only_when_named(server: ApiServer) -> None:
    node(server, "old", ready=False)
    lease(server, "kube-node-lease", "old", 5, 40)
    pod(server, "lost", "old")
    answer = stale(server)
    assert answer.report["nodes"] == ["old"]
    assert answer.removals == []
    answer = stale(server, Expectation(["cp1", "w1"], ADDRESSES, ["old", "never-was"]))
    assert [(removal.kind, removal.name) for removal in answer.removals] == [("Node", "old"), ("Lease", "old")]
    with pytest.raises(ClusterError, match="A node that is expected can't be removed"):
        stale(server, Expectation(["cp1", "old"], ADDRESSES, ["old"]))


def test_pods_on_nodes_that_are_gone(server: ApiServer) -> None:
    pod(server, "web", "w1")
    pod(server, "pending", "", phase="Pending")
    pod(server, "lost", "gone")
    pod(server, "waiting", "coming-back")
    expected = Expectation(["cp1", "w1", "coming-back"], ADDRESSES)
    answer = stale(server, expected)
    assert [item["name"] for item in answer.report["pods_on_missing_nodes"]] == ["lost"]
    (removal,) = answer.removals
    assert removal.path == "/api/v1/namespaces/shop/pods/lost"
    assert removal.grace_seconds == 0
    with server.client() as client:
        assert remove(client, answer.removals) == [removal]
        assert remove(client, answer.removals) == []
    assert [item["metadata"]["name"] for item in server.lists["/api/v1/pods"]] == ["web", "pending", "waiting"]


def test_an_object_that_was_replaced_meanwhile_stays(server: ApiServer) -> None:
    lost = pod(server, "lost", "gone")
    answer = stale(server)
    lost["metadata"]["uid"] = "uid-of-its-successor"
    with server.client() as client:
        assert remove(client, answer.removals) == []
    assert server.lists["/api/v1/pods"]


def test_pods_are_summed_up(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "LISTED", 2)
    mirror = pod(server, "etcd-cp1", "cp1")
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    pod(server, "job", "w1", phase="Succeeded", conditions=[])
    pod(server, "crash", "w1", containerStatuses=[{"restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}])
    pod(server, "unready", "w1", conditions=[{"type": "Ready", "status": "False"}])
    pod(server, "evicted", "w1", phase="Failed", reason="Evicted", containerStatuses=[])
    found = look(server)["pods"]
    assert found["total"] == 5
    assert found["by_phase"] == {"Running": 3, "Succeeded": 1, "Failed": 1}
    assert found["by_node"] == {"cp1": 1, "w1": 4}
    assert found["static"] == {"cp1": ["shop/etcd-cp1"]}
    assert found["restarts"] == 13
    assert [(item["name"], item["problem"]) for item in found["troubled"]] == [("crash", "CrashLoopBackOff"), ("unready", "not ready")]
    assert found["troubled_total"] == 3


def test_endpoints_that_differ_are_waited_for(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_POLL_SECONDS", 0.02)
    (slices,) = server.lists["/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"]
    slices["endpoints"].append({"addresses": ["192.0.2.99"]})
    assert stale(server).report["endpoints_extra"] == ["192.0.2.99"]
    with server.client() as client:
        with pytest.raises(ClusterError, match=r"extra: 192.0.2.99; missing: none") as caught:
            subject.wait_endpoints(client, EXPECTED, 0.1)
        assert "/registry/masterleases/" in caught.value.remedy
        slices["endpoints"].pop()
        assert subject.wait_endpoints(client, EXPECTED, 0.1)["equal"] is True
        assert subject.wait_endpoints(client, Expectation(), 0.1)["equal"] is None


def test_endpoints_of_a_server_without_slices(server: ApiServer) -> None:
    server.lists["/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"].clear()
    server.objects["/api/v1/namespaces/default/endpoints/kubernetes"] = {"subsets": [{"addresses": [{"ip": "192.0.2.11"}]}]}
    assert look(server, ["endpoints"])["endpoints"]["missing"] == ["192.0.2.12"]


def test_webhooks_and_aggregated_apis(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    server.put(services, "v1.apps", status={"conditions": [{"type": "Available", "status": "True"}]})
    server.put(services, "v1beta1.metrics.k8s.io", status={"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]})
    hooks = [
        {"name": "a.example", "failurePolicy": "Fail", "clientConfig": {"service": {"namespace": "guard", "name": "there"}}},
        {"name": "b.example", "failurePolicy": "Fail", "clientConfig": {"service": {"namespace": "guard", "name": "gone"}}},
        {"name": "c.example", "failurePolicy": "Ignore", "clientConfig": {"url": "https://outside.example/hook"}},
    ]
    server.put("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", "guard", webhooks=hooks)
    slices = "/apis/discovery.k8s.io/v1/namespaces/guard/endpointslices"
    server.lists[slices] = []
    original = server._page

    def by_label(items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        if query.get("labelSelector") == "kubernetes.io/service-name=there":
            return {"items": [{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}]}], "metadata": {}}
        return original(items, query)

    monkeypatch.setattr(server, "_page", by_label)
    found = look(server, ["services"])
    assert found["api_services_unavailable"] == [{"name": "v1beta1.metrics.k8s.io", "reason": "MissingEndpoints"}]
    assert [(hook["name"], hook["has_endpoints"], hook["url"]) for hook in found["webhooks"]] == [
        ("a.example", True, ""),
        ("b.example", False, ""),
        ("c.example", None, "https://outside.example/hook"),
    ]


def test_attachments_to_nodes_that_are_gone_are_reported_and_never_removed(server: ApiServer) -> None:
    for name, where in (("a", "w1"), ("b", "gone")):
        server.put(
            "/apis/storage.k8s.io/v1/volumeattachments",
            name,
            spec={"nodeName": where, "source": {"persistentVolumeName": f"pv-{name}"}},
            status={"attached": True},
        )
    answer = stale(server)
    assert [item["volume"] for item in answer.report["volume_attachments"]] == ["pv-b"]
    assert answer.removals == []


@pytest.mark.parametrize("aggregated", [True, False])
def test_objects_are_counted_by_resource(server: ApiServer, aggregated: bool) -> None:
    if aggregated:

        def group(name: str, version: str, *resources: str) -> dict[str, Any]:
            entries = [{"resource": resource, "verbs": ["list", "get"]} for resource in resources] + [{"resource": "tokenreviews", "verbs": ["create"]}]
            return {"metadata": {"name": name} if name else {}, "versions": [{"version": version, "resources": entries}, {"version": "v0", "resources": []}]}

        server.objects["/api"] = {"kind": "APIGroupDiscoveryList", "items": [group("", "v1", "pods", "secrets")]}
        server.objects["/apis"] = {"kind": "APIGroupDiscoveryList", "items": [group("apps", "v1", "deployments")]}
    else:
        verbs = {"verbs": ["list"]}
        server.objects["/apis"] = {"kind": "APIGroupList", "groups": [{"name": "apps", "preferredVersion": {"groupVersion": "apps/v1"}}]}
        server.objects["/api/v1"] = {"resources": [dict(verbs, name="pods"), dict(verbs, name="pods/status"), dict(verbs, name="secrets")]}
        server.objects["/apis/apps/v1"] = {"resources": [dict(verbs, name="deployments"), {"name": "x", "verbs": ["create"]}]}
    for number in range(3):
        pod(server, f"p{number}", "w1")
    server.lists["/apis/apps/v1/deployments"] = []
    server.refuse["/api/v1/secrets"] = (403, "Forbidden")
    found = look(server, ["objects"])
    assert found["objects"]["counts"] == {"pods": 3, "deployments.apps": 0}
    assert found["objects"]["total"] == 3
    assert list(found["objects"]["failed"]) == ["secrets"]
    assert found["events_total"] == 0


@pytest.mark.parametrize("aggregated", [True, False])
def test_every_kind_is_counted_once_whichever_version_has_it(server: ApiServer, aggregated: bool) -> None:
    """Two kinds of one group in different versions; events under both of their names; what is made up when asked; and an API with nobody behind it."""
    versions = {"example.com": {"v1": ["rules"], "v1alpha1": ["drafts", "rules"]}, "events.k8s.io": {"v1": ["events"]}, "metrics.k8s.io": {"v1beta1": None}}
    core = ["events", "componentstatuses"]
    if aggregated:

        def entry(version: str, resources: list[str] | None) -> dict[str, Any]:
            listed = [{"resource": resource, "verbs": ["list"]} for resource in resources or []]
            return {"version": version, "freshness": "Current" if resources else "Stale", "resources": listed}

        groups = [{"metadata": {"name": name}, "versions": [entry(*pair) for pair in of.items()]} for name, of in versions.items()]
        server.objects["/api"] = {"kind": "APIGroupDiscoveryList", "items": [{"metadata": {}, "versions": [entry("v1", core)]}]}
        server.objects["/apis"] = {"kind": "APIGroupDiscoveryList", "items": groups}
    else:
        server.objects["/apis"] = {
            "kind": "APIGroupList",
            "groups": [{"name": name, "versions": [{"groupVersion": f"{name}/{version}"} for version in of]} for name, of in versions.items()],
        }
        for name, of in [("", {"v1": core}), *versions.items()]:
            for version, resources in of.items():
                root = f"/apis/{name}/{version}" if name else "/api/v1"
                if resources is None:
                    server.refuse[root] = (503, "ServiceUnavailable")
                else:
                    server.objects[root] = {"resources": [{"name": resource, "verbs": ["list"]} for resource in resources]}
    for path in ("/apis/example.com/v1/rules", "/apis/example.com/v1alpha1/drafts", "/api/v1/events", "/apis/events.k8s.io/v1/events"):
        server.put(path, "one")
    server.put("/api/v1/componentstatuses", "etcd-0")
    found = look(server, ["objects"])["objects"]
    assert found["counts"] == {"rules.example.com": 1, "drafts.example.com": 1, "events": 1}
    assert found["total"] == 3
    assert list(found["failed"]) == ["metrics.k8s.io/v1beta1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T13:00:00Z", 1795179600.0),
        ("2026-11-20T13:00:00.250000Z", 1795179600.25),
        ("2026-11-20T13:00:00.250000123Z", 1795179600.25),
        (None, None),
        ("", None),
    ],
)
def test_times_are_read(text: str | None, expected: float | None) -> None:
    assert epoch(text) == expected


def test_a_lease_that_was_never_renewed_has_expired(server: ApiServer) -> None:
    server.put(LEASES.format("kube-system"), "apiserver-odd", "kube-system", spec={})
    assert stale(server).report["apiserver_leases"] == ["apiserver-odd"]
