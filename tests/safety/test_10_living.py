# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster that lives, or serves since a restore that did not end: nothing that its quorum acknowledged is lost, whatever a record says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.drill.memory import api_servers
from tests.drill.playbooks import Playbooks
from tests.e2e.bench import CONFIG_MAPS, LAB, READY_SECONDS, Bench, refused, relisted, succeeded
from tests.e2e.footprint import assert_untouched
from tests.workload import Api
from tests.workload.creation import wait_for

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
WRITES = 200
ETCD = "/etc/kubernetes/manifests/etcd.yaml"
PUT_AWAY = "/root/etcd.yaml"
RECORD = "/var/lib/lifeboat/restore.json"


def record(bench: Bench, name: str) -> dict[str, Any]:
    """The restore record of a machine."""
    loaded: dict[str, Any] = json.loads(bench.lab.node(name).run(["cat", RECORD]).stdout)
    return loaded


def serves(bench: Bench, name: str) -> bool:
    """Whether etcd runs on a machine."""
    return bool(bench.lab.node(name).run(["crictl", "ps", "--quiet", "--name", "^etcd$"]).stdout.split())


@contextmanager
def without_etcd(bench: Bench, name: str) -> Iterator[None]:
    """The member of one machine is away; kubelet, keys and data stay."""
    node = bench.lab.node(name)
    node.run(["mv", ETCD, PUT_AWAY])
    wait_for("the member has ended", lambda: "it runs" if serves(bench, name) else "", READY_SECONDS)
    yield
    node.run(["sh", "-c", f"[ -e {ETCD} ] || mv {PUT_AWAY} {ETCD}"], check=False)


def write(bench: Bench, kind: str) -> list[str]:
    """Objects that the cluster has acknowledged, by the API server of the first machine; their names."""
    api = Api(bench.lab.kubeconfig, server=api_servers(bench.lab)[bench.control_plane[0]])
    names = [f"{kind}-{time.time_ns():x}-{number}" for number in range(WRITES)]
    for name in names:
        api.request("POST", CONFIG_MAPS, body={"metadata": {"name": name}})
    return names


def lost(bench: Bench, names: list[str]) -> dict[str, list[str]]:
    """What is missing, by API server; each asks the member of its own machine."""
    missing = {}
    for server, url in api_servers(bench.lab).items():
        there = {item["metadata"]["name"] for item in Api(bench.lab.kubeconfig, server=url).items(CONFIG_MAPS)}
        if gone := [name for name in names if name not in there]:
            missing[server] = gone
    return missing


def test_writes_after_a_restore_that_never_ended_are_kept(living: Bench, operator: Playbooks) -> None:
    """Case 2: the records stayed unfinished, the cluster went on; a member is lost, and joins anew instead of becoming what the point knew."""
    bench = living
    memory = bench.memory()
    bench.bare(*bench.control_plane)
    since = time.time()
    killed = operator.run("recover_cluster", CONFIRMED, kill_when=lambda line: line.startswith("PLAY [Verify]"))
    assert killed.killed
    kept, gone, other = bench.control_plane
    assert {record(bench, name)["phase"] for name in bench.control_plane} == {"started"}
    apis = [Api(bench.lab.kubeconfig, server=url) for url in api_servers(bench.lab).values()]
    wait_for("every API server answers", lambda: "" if all(api.answers() for api in apis) else "one does not", READY_SECONDS)
    keys = bench.lab.node(kept).run(["stat", "-c", "%Y", "/var/lib/kubelet/pki/kubelet-client-current.pem"]).stdout
    with without_etcd(bench, gone):
        written = write(bench, "acknowledged")
        bench.bare(gone)
    finished = succeeded(operator.run("recover_cluster", {**CONFIRMED, "lifeboat_take_over_run": killed.run_directory.name if killed.run_directory else ""}))
    assert "etcd serves it" in finished.message()
    assert not lost(bench, written)
    assert bench.lab.node(kept).run(["stat", "-c", "%Y", "/var/lib/kubelet/pki/kubelet-client-current.pem"]).stdout == keys
    assert record(bench, other)["phase"] == "finished"
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=bench.control_plane, since=since))


def test_a_member_that_is_silent_is_named_and_not_torn_down(living: Bench, operator: Playbooks) -> None:
    """Case 17: nobody named it. With its name it leaves and joins, and keeps its own keys."""
    bench = living
    name = bench.control_plane[2]
    memory = bench.memory(bench.settled())
    bench.dirty = True
    with without_etcd(bench, name):
        written = write(bench, "while-silent")
        before = bench.footprints()
        quick = {**CONFIRMED, "etcd_silent_seconds": 5}
        refused(operator.run("recover_cluster", quick), f"recover_node -e node_to_recover={name}", "does not answer")
        assert_untouched(before, bench.footprints(), containers=False)
        bench.lab.node(name).run(["mv", PUT_AWAY, ETCD])
        bench.lab.node(name).run(["sh", "-c", "systemctl stop kubelet; crictl stop --timeout 5 $(crictl ps --quiet --name '^etcd$') || true"])
        key = bench.lab.node(name).run(["sha256sum", "/etc/kubernetes/pki/etcd/peer.key"]).stdout
        succeeded(operator.run("recover_node", {**quick, "node_to_recover": name}))
        assert bench.lab.node(name).run(["sha256sum", "/etc/kubernetes/pki/etcd/peer.key"]).stdout == key
    assert not lost(bench, written)
    assert memory


def test_a_member_that_is_only_being_started_is_waited_for(living: Bench, operator: Playbooks) -> None:
    """Its kubelet starts it while the recovery looks: nothing is lost, so nothing is done."""
    bench = living
    name = bench.control_plane[2]
    before = bench.footprints()
    bench.lab.node(name).run(["sh", "-c", "crictl stop --timeout 0 $(crictl ps --quiet --name '^etcd$')"])
    finished = succeeded(operator.run("recover_cluster", CONFIRMED))
    assert "there is nothing to recover" in finished.message()
    assert_untouched(before, bench.footprints(), containers=False)


def test_the_same_point_is_restored_twice(living: Bench, operator: Playbooks) -> None:
    """Case 10: a finished restore is history. What came between is gone both times."""
    bench = living
    memory = bench.memory()
    for number in (1, 2):
        marker = bench.mark(f"before-restore-{number}")
        client = bench.watch()
        bench.dirty = True
        succeeded(operator.run("restore_etcd", CONFIRMED))
        bench.verify(memory, bench.expected(rolled_back=True, rebuilt=(), marker=marker))
        relisted(client, bench, marker)


def test_a_run_without_a_name_is_refused(living: Bench, operator: Playbooks) -> None:
    """Case 18: AWX sends an empty text for a question that nobody answered."""
    before = living.footprints()
    refused(operator.run("recover_node", {**CONFIRMED, "node_to_recover": ""}), "node_to_recover")
    assert_untouched(before, living.footprints())
