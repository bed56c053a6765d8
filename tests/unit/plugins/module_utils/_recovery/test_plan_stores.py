# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery decides where objects lie in the v2 store of etcd, or in both."""

from __future__ import annotations

import dataclasses
from typing import Any, List

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.recovery_plan import RecoveryPlan
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.refusals import RecoveryRefused
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import HostView, point_view
from tests.unit.plugins.module_utils._recovery.clusters import MEMBERS, NOW, POINT, alive, bare, recover, restored, roll_back, stopped, under_way

V2_POINT = dataclasses.replace(POINT, store="v2")


def grow(hosts: List[HostView], **options: Any) -> RecoveryPlan:
    return recover(hosts, V2_POINT, **options)


def test_a_point_of_the_v3_store_is_restored_on_all_members_at_once() -> None:
    hosts = [bare("cp1"), bare("cp2"), bare("cp3"), alive("w1")]
    plan = recover(hosts)
    assert (plan.etcd_hosts, plan.member_hosts) == (["cp1", "cp2", "cp3"], [])


@pytest.mark.parametrize("store", ["v2", "both"])
def test_a_v2_store_is_restored_on_one_member_and_grows(store: str) -> None:
    hosts = [bare("cp1"), bare("cp2"), bare("cp3"), alive("w1")]
    point = dataclasses.replace(POINT, store=store)
    plan = recover(hosts, point)
    assert (plan.etcd_hosts, plan.member_hosts, plan.file_hosts) == (["cp1"], ["cp2", "cp3"], ["cp1", "cp2", "cp3"])
    # Nothing can be raised, so whoever watched is stopped, and started again at the end.
    assert (plan.bump_revision, plan.stop_hosts, plan.worker_hosts) == (0, ["w1"], ["w1"])


def test_a_worker_that_is_a_member_is_not_the_first_and_joins_as_the_others_do() -> None:
    member = dataclasses.replace(bare("a-worker"), groups=("workers", "etcd"))
    point = dataclasses.replace(V2_POINT, etcd_members={"a-worker": "https://10.0.0.9:2380", "cp1": MEMBERS["cp1"]})
    point = dataclasses.replace(point, artifacts=(*POINT.artifacts, "node_config/a-worker.tar.zst.age"))
    hosts = [member, bare("cp1")]
    components = {"a-worker": ("node_config", "etcd"), "cp1": ("pki", "node_config", "etcd")}
    plan = recover(hosts, point, components=components)
    assert (plan.etcd_hosts, plan.member_hosts, plan.worker_hosts) == (["cp1"], ["a-worker"], [])


def test_a_rerun_does_not_stop_the_members_that_serve_already() -> None:
    first = restored("cp1", used=True, etcd_serves=True, etcd_answers=True, etcd_revision=POINT.etcd_revision)
    hosts = [first, under_way("cp2", "added"), under_way("cp3", "begun", etcd_serves=False), alive("w1")]
    plan = grow(hosts)
    assert (plan.strategy, plan.token, plan.adopted) == ("finish_restore", "lifeboat-old", True)
    assert (plan.etcd_hosts, plan.member_hosts, plan.living_members) == ([], ["cp3"], ["cp1", "cp2"])
    assert plan.stop_hosts == ["cp3", "w1"]


def test_a_roll_back_of_a_v2_store_stops_all_and_restores_one() -> None:
    hosts = [alive(name) for name in (*MEMBERS, "w1")]
    plan = roll_back(hosts, V2_POINT)
    assert (plan.strategy, plan.etcd_hosts, plan.member_hosts) == ("roll_back", ["cp1"], ["cp2", "cp3"])
    assert plan.stop_hosts == ["cp1", "cp2", "cp3", "w1"]


def test_a_member_lost_from_a_living_cluster_learns_both_stores_from_the_others() -> None:
    hosts = [alive("cp1"), bare("cp2"), alive("cp3"), alive("w1")]
    plan = grow(hosts)
    assert (plan.strategy, plan.etcd_hosts, plan.member_hosts, plan.stop_hosts) == ("rebuild_members", [], ["cp2"], [])


def test_a_survivor_of_a_v2_store_cannot_be_saved() -> None:
    with pytest.raises(RecoveryRefused, match="its objects are in the v2 store"):
        grow([stopped("cp1"), bare("cp2"), bare("cp3")], quorum_lost_source="survivor")
    assert grow([stopped("cp1"), bare("cp2"), bare("cp3")], quorum_lost_source="recovery_point").etcd_hosts == ["cp1"]


def test_the_manifest_says_which_store_it_is() -> None:
    manifest = {"id": POINT.point, "etcd": {"store": "v2"}}
    assert point_view(manifest, 0, NOW).store == "v2"
    assert point_view({"id": POINT.point}, 0, NOW).store == "v3"
