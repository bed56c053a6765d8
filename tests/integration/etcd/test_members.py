# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dead member is taken out and replaced, through a learner; what would lose the quorum is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import EtcdClient, Member
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import look
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, MembershipRefused
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members import health, members, verify
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members.members import Wanted
from tests.integration.etcd.servers import Cluster, wait_for


def _change(client: EtcdClient, wanted: Wanted, wait_seconds: float = 60) -> tuple[members.Plan, tuple[Member, ...]]:
    plan = members.plan(look(client), wanted)
    if not plan.changed:
        return plan, plan.view.members
    return plan, members.apply(client, plan, wait_seconds=wait_seconds, max_lag_entries=1000)


def test_a_dead_member_is_replaced(new_cluster: Callable[..., Cluster], transport: str) -> None:
    cluster = new_cluster(3)
    dead = cluster.servers[2]
    with cluster.servers[0].client(transport) as client:
        client.put(b"/registry/a", b"1")
        dead.kill()
        wait_for("a leader among the others", cluster.servers[0].ready)

        plan, after = _change(client, Wanted("absent", name="node3"))
        assert (plan.action, plan.projection.healthy, plan.projection.quorum) == ("remove", 2, 2)
        assert [member.name for member in after] == ["node1", "node2"]
        assert _change(client, Wanted("absent", name="node3"))[0].action == "nothing"

        # Two voters are left: losing one more would be the end.
        with pytest.raises(MembershipRefused, match="ask|Ask"):
            members.plan(look(client), Wanted("absent", name="node1"))
        last = members.plan(look(client), Wanted("absent", name="node2"))
        assert last.projection.allowed
        assert last.projection.tolerance_after == 0

        shutil.rmtree(dead.data_dir)
        wanted = Wanted("learner", "node3", dead.peer_url)
        plan, after = _change(client, wanted)
        assert plan.action == "add_learner"
        cluster_map = members.initial_cluster(after, wanted)
        assert cluster_map == {server.name: server.peer_url for server in cluster.servers}
        assert _change(client, wanted)[0].action == "nothing"
        # It does not run yet, so it cannot be promoted.
        with pytest.raises(MembershipRefused, match="did not promote learner"):
            _change(client, Wanted("voter", "node3", dead.peer_url), wait_seconds=0.5)

        dead.start(initial_cluster=cluster_map, state="existing")
        with dead.client(transport) as learner:
            wait_for("the learner to answer", lambda: learner.status().is_learner and learner.status().leader)
            with pytest.raises(EtcdError, match="is a learner") as caught:
                look(learner)
            assert caught.value.details["reason"] == "learner"
        assert "learner" in {problem.id for problem in health.problems(look(client)) if problem.severity == "warning"}
        plan, after = _change(client, Wanted("voter", "node3", dead.peer_url))
        assert plan.action == "promote"
        assert [(member.name, member.is_learner) for member in after] == [("node1", False), ("node2", False), ("node3", False)]
        assert _change(client, Wanted("voter", "node3", dead.peer_url))[0].action == "nothing"
        view = look(client)
        assert health.problems(view) == []
        assert verify.compare_hashes(client, view).equal is True


def test_what_would_lose_the_quorum_is_refused(new_cluster: Callable[..., Cluster]) -> None:
    cluster = new_cluster(3)
    with cluster.servers[0].client(timeout_seconds=1.0) as client:
        before = client.members()
        cluster.servers[2].kill()
        wait_for("a leader among the others", cluster.servers[0].ready)
        # Removing the dead one is right, removing a living one is not.
        assert members.plan(look(client), Wanted("absent", name="node3")).projection.allowed
        plan = members.plan(look(client), Wanted("absent", name="node2"))
        assert not plan.projection.allowed
        assert "1 of 2 voters would be healthy" in plan.projection.reason
        with pytest.raises(MembershipRefused, match="the quorum would be lost"):
            members.apply(client, plan, wait_seconds=5, max_lag_entries=1000)
        assert client.members() == before

        cluster.servers[1].kill()
        wait_for("the loss of the leader", lambda: client.status().leader == 0)
        for wanted in (Wanted("absent", name="node3"), Wanted("learner", "node4", "https://127.0.0.1:9")):
            plan = members.plan(look(client), wanted)
            with pytest.raises(MembershipRefused, match="the quorum is lost already") as caught:
                members.apply(client, plan, wait_seconds=5, max_lag_entries=1000)
            assert "restore" in caught.value.remedy


def test_members_that_are_in_the_way(new_cluster: Callable[..., Cluster]) -> None:
    cluster = new_cluster(1)
    server = cluster.servers[0]
    with server.client() as client:
        view = look(client)
        member_id = "%x" % view.member_id
        with pytest.raises(MembershipRefused, match="is a voter"):
            members.plan(view, Wanted("learner", "node1", server.peer_url))
        with pytest.raises(MembershipRefused, match="do not point at one member"):
            members.plan(view, Wanted("learner", "node1", "https://127.0.0.1:9"))
        with pytest.raises(MembershipRefused, match="do not point at one member"):
            members.plan(view, Wanted("absent", "other", server.peer_url))
        with pytest.raises(MembershipRefused, match="joins as a learner first"):
            members.plan(view, Wanted("voter", "node2", "https://127.0.0.1:9"))
        assert members.plan(view, Wanted("voter", member_id=member_id)).action == "nothing"


@pytest.mark.usefixtures("etcdctl_on_path")
def test_removing_over_etcdctl(new_cluster: Callable[..., Cluster]) -> None:
    cluster = new_cluster(1)
    wanted = Wanted("learner", "node2", "https://127.0.0.1:9")
    with cluster.servers[0].client("etcdctl") as client:
        assert _change(client, wanted)[0].action == "add_learner"
        plan, after = _change(client, Wanted("absent", peer_url="https://127.0.0.1:9"))
        assert plan.action == "remove"
        assert len(after) == 1
