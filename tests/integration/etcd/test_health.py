# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters that are broken on purpose: what is seen, what of it forbids a snapshot, and what the last survivor still gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import EtcdClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import look
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import Rejected, SnapshotError
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members import health, verify
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot, take
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.etcd_place import Restored
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.readiness import EtcdProof
from tests.etcd_release import release
from tests.integration.etcd.servers import Cluster, wait_for


def _problems(client: EtcdClient) -> dict[str, str]:
    return {problem.id: problem.severity for problem in health.problems(look(client))}


def test_a_healthy_cluster_has_no_problems(new_cluster: Callable[..., Cluster], tmp_path: Path, transport: str) -> None:
    cluster = new_cluster(3)
    with cluster.servers[1].client(transport) as client:
        client.put(b"/registry/a", b"1")
        view = look(client)
        assert health.problems(view) == []
        assert (len(view.voters), len(view.healthy_voters), view.quorum) == (3, 3, 2)
        assert {state.member.name for state in view.states} == {"node1", "node2", "node3"}
        assert view.leader in {member.member_id for member in view.members}
        comparison = verify.compare_hashes(client, view)
        assert comparison.equal is True
        assert [entry.value is not None for entry in comparison.hashes] == [True, True, True]
        cluster_seen = take.prepare(client, str(tmp_path / "etcd.db"))
        record = take.take(client, str(tmp_path / "etcd.db"), cluster_seen).record
        assert record["member_id"] == "%x" % view.member_id
        assert record["server_version"] == release(cluster.binaries)
        assert record["transport"] == transport
        assert take.existing(str(tmp_path / "etcd.db")).record["taken_at"] == record["taken_at"]


def test_members_die_one_by_one(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = new_cluster(3)
    survivor = cluster.servers[0]
    path = tmp_path / "etcd.db"
    with survivor.client(timeout_seconds=5.0) as client:
        client.put(b"/registry/a", b"1")
        cluster.servers[2].kill()
        wait_for("a leader among the others", survivor.ready)
        assert _problems(client) == {"unreachable": "warning"}
        view = look(client)
        assert len(view.healthy_voters) == 2
        comparison = verify.compare_hashes(client, view)
        assert comparison.equal is None
        assert "2 of 3 members hold equal data" in comparison.reason
        assert "node3" in comparison.reason
        take.prepare(client, str(path))
        cluster.servers[1].kill()
        wait_for("the loss of the leader", lambda: client.status().leader == 0)
        assert _problems(client) == {"quorum_lost": "error", "no_leader": "error", "unreachable": "warning"}
        assert verify.linearizable_read(client)[0] is False
        with pytest.raises(SnapshotError, match=r"0 of 3 voters are healthy \(1 answer\)") as caught:
            take.prepare(client, str(path))
        assert "no_leader, quorum_lost" in caught.value.remedy
        seen = take.prepare(client, str(path), allowed=["quorum_lost", "no_leader"])
        record = take.take(client, str(path), seen).record
    assert record["keys_by_prefix"] == {"/registry/": 1}


def test_the_hashes_of_members_that_differ(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """Two members from one snapshot, the third from another of the same length: what a wrong restore makes."""
    source = new_cluster(1)
    paths = []
    with source.servers[0].client() as client:
        client.put(b"/registry/a", b"original")
        paths.append(tmp_path / "one.db")
        snapshot.save(client, str(paths[0]))
    other = new_cluster(1)
    with other.servers[0].client() as client:
        client.put(b"/registry/a", b"differs!")
        paths.append(tmp_path / "two.db")
        snapshot.save(client, str(paths[1]))
    cluster = new_cluster(3, start=False)
    cluster.start_restored([paths[0], paths[0], paths[1]], "t")
    for transport in ("grpc", "gateway"):
        with cluster.servers[0].client(transport) as client:
            comparison = verify.compare_hashes(client, look(client))
            assert comparison.equal is False
            assert "different data" in comparison.reason
            assert len({entry.value.hash for entry in comparison.hashes if entry.value}) == 2


def test_an_alarm(new_cluster: Callable[..., Cluster], tmp_path: Path, transport: str) -> None:
    server = new_cluster(1, "--quota-backend-bytes", "4000000").servers[0]
    with server.client(transport) as client:
        # etcd looks at the size of its database when a batch was committed: a quick machine writes far more before that than the quota allows.
        def full() -> bool:
            try:
                client.put(b"/registry/a", b"x" * 1_000_000)
            except Rejected as error:
                return "space exceeded" in str(error)
            return False

        wait_for("the quota to be exceeded", full)
        wait_for("the alarm", client.alarms)
        assert _problems(client) == {"alarm_nospace": "warning"}
        seen = take.prepare(client, str(tmp_path / "etcd.db"))
        record = take.take(client, str(tmp_path / "etcd.db"), seen).record
        assert record["alarms"] == [{"member_id": record["member_id"], "alarm": "NOSPACE"}]

    # The alarm comes back with the data, and so does their size: old revisions of one value, which a restore compacts.
    server = new_cluster(1, "--quota-backend-bytes", "4000000", start=False).servers[0]
    marker = server.cluster.start_restored([tmp_path / "etcd.db"], "fresh-1", bump_revision=1000)
    with server.client(transport) as client:
        with pytest.raises(Rejected, match="space exceeded"):
            client.put(b"/registry/a", b"x")
        connection = server.connection()
        facts = {name: getattr(connection, name) for name in ("endpoint", "ca_cert", "client_cert", "client_key")}
        proof = EtcdProof(facts, Restored(int(marker["revision_after"]), "marker", str(server.data_dir)))
        wait_for("the proof", lambda: proof.missing() == "")
        # Of the member that is no more; this one raises its own until it has given room back.
        assert proof.disarmed
        assert all(text.startswith("NOSPACE of member ") for text in proof.disarmed)
        assert proof.no_room == ""
        assert client.put(b"/registry/a", b"x") > int(marker["revision_after"])
        assert client.put(b"/registry/b", b"x") > int(marker["revision_after"])
        assert client.disarm_nospace() == ()


def test_a_member_that_lags(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = new_cluster(3, relays=True)
    with cluster.servers[0].client() as client:
        leader = client.status().leader
        followers = [server for server in cluster.servers if server.client().status().member_id != leader]
    lagging, other = followers
    cluster.isolate(lagging)
    with lagging.client("grpc") as client:
        wait_for("the member to be cut off", lambda: client.status().leader == 0)
    with other.client("grpc") as client:
        for number in range(60):
            client.put(b"/registry/%d" % number, b"x")
        problems = {problem.id: problem for problem in health.problems(look(client, max_lag_entries=20), max_lag_entries=20)}
        assert {identity: problem.severity for identity, problem in problems.items()} == {"lagging": "warning", "no_leader": "warning"}
        assert "raft entries behind" in problems["lagging"].message
        take.prepare(client, str(tmp_path / "etcd.db"), max_lag_entries=20)
    with lagging.client("grpc") as client:
        with pytest.raises(SnapshotError, match="raft entries behind"):
            take.prepare(client, str(tmp_path / "etcd.db"), max_lag_entries=20)
        cluster.heal()
        wait_for("the member to catch up", lambda: health.problems(look(client, max_lag_entries=20), max_lag_entries=20) == [])
        take.prepare(client, str(tmp_path / "etcd.db"), max_lag_entries=20)


def test_a_paused_member_is_named_and_no_obstacle(new_cluster: Callable[..., Cluster], tmp_path: Path, transport: str) -> None:
    cluster = new_cluster(3)
    with cluster.servers[0].client(transport, 1.0) as client, cluster.servers[2].paused():
        begin = time.monotonic()

        def prepared() -> dict[str, object]:
            return take.prepare(client, str(tmp_path / "etcd.db"))

        seen = wait_for("a leader among the others", prepared)
        assert time.monotonic() - begin < 20
    messages = [problem["message"] for problem in seen["problems"]]
    assert len(messages) == 1
    assert "node3" in messages[0]
    assert "no answer within 1 s" in messages[0]
