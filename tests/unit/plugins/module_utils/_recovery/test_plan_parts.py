# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery of a part decides: the admin node, machines that are named, points of one machine."""

from __future__ import annotations

import dataclasses
from typing import Any, List

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.recovery_plan import RecoveryPlan
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.refusals import RecoveryRefused
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.tokens import DEFAULT_REVISION_SLACK
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import HostView, PointView
from tests.unit.plugins.module_utils._recovery.clusters import COMPONENTS, LIVING, MEMBERS, OLD, POINT, alive, bare, recover, restored, roll_back, under_way

ADMIN = ("pki", "node_config", "salt_master")


def with_admin(point: PointView = POINT) -> PointView:
    return dataclasses.replace(point, artifacts=(*point.artifacts, *("%s/adm.tar.zst.age" % component for component in ADMIN)))


def recover_with_admin(hosts: List[HostView], **options: Any) -> RecoveryPlan:
    return recover(hosts, with_admin(), components={**COMPONENTS, "adm": ADMIN}, **options)


def admin(view: HostView) -> HostView:
    return dataclasses.replace(view, groups=("admin",), etcd_data=False, etcd_serves=False, etcd_data_newest=None)


def test_a_bare_admin_node_alone_is_rebuilt_and_the_cluster_is_left_alone() -> None:
    plan = recover_with_admin([*LIVING, admin(bare("adm"))])
    assert (plan.strategy, plan.admin_hosts, plan.file_hosts, plan.bump_revision) == ("rebuild_admin", ["adm"], ["adm"], 0)
    assert (plan.etcd_hosts, plan.member_hosts, plan.worker_hosts, plan.stop_hosts) == ([], [], [], ["adm"])
    assert plan.living_hosts == ["cp1", "cp2", "cp3", "w1"]


def test_an_admin_node_that_lives_is_left_alone() -> None:
    assert recover_with_admin([*LIVING, admin(alive("adm"))]).strategy == "nothing"
    plan = recover_with_admin([bare("cp1"), bare("cp2"), bare("cp3"), bare("w1"), admin(alive("adm"))])
    assert (plan.strategy, plan.admin_hosts, plan.living_hosts) == ("rebuild_cluster", [], ["adm"])
    assert "adm" not in plan.file_hosts + plan.stop_hosts


@pytest.mark.parametrize(
    ("lost", "strategy"), [("cp2", "rebuild_members"), ("w1", "rebuild_workers"), ("cp1 cp2 cp3", "rebuild_cluster"), ("cp1 cp2 cp3 w1", "rebuild_cluster")]
)
def test_whatever_is_bare_is_rebuilt_with_the_admin_node(lost: str, strategy: str) -> None:
    hosts = [bare(host.name) if host.name in lost.split() else host for host in LIVING]
    plan = recover_with_admin([*hosts, admin(bare("adm"))])
    assert (plan.strategy, plan.admin_hosts, sorted(plan.file_hosts)) == (strategy, ["adm"], sorted([*lost.split(), "adm"]))
    # Programs of an installation that has begun nothing yet may run on it.
    assert "adm" not in plan.member_hosts + plan.worker_hosts + plan.etcd_hosts
    assert "adm" in plan.stop_hosts


@pytest.mark.parametrize(("kind", "name", "strategy"), [("admin", "adm", "rebuild_admin"), ("workers", "w1", "rebuild_workers")])
def test_a_killed_rebuild_of_one_machine_goes_on(kind: str, name: str, strategy: str) -> None:
    """It is not bare any more: its files are in place, and its services may run."""
    begun = under_way(name, "begun", strategy)
    hosts = [admin(begun) if kind == "admin" else begun, *(host for host in [*LIVING, admin(alive("adm"))] if host.name != name)]
    plan = recover_with_admin(hosts)
    assert (plan.strategy, plan.file_hosts, plan.stop_hosts, plan.token, plan.adopted) == (strategy, [name], [name], "lifeboat-old", True)


def test_an_admin_node_that_was_begun_with_the_whole_cluster_is_stopped_first() -> None:
    hosts = [restored(name) for name in MEMBERS]
    plan = recover_with_admin([*hosts, admin(under_way("adm", "begun")), bare("w1")])
    assert (plan.strategy, plan.admin_hosts, plan.stop_hosts) == ("rebuild_cluster", ["adm"], [*MEMBERS, "adm"])


def test_a_recovery_that_let_etcd_alone_gives_no_bump_to_one_that_restores_it() -> None:
    """Or the store would begin again where its clients have been."""
    begun = admin(alive("adm", record=dataclasses.replace(OLD, bump_revision=0, strategy="rebuild_admin")))
    plan = recover_with_admin([begun, bare("cp1"), bare("cp2"), bare("cp3"), alive("w1")])
    assert plan.token != "lifeboat-old"
    assert not plan.adopted
    assert POINT.etcd_revision + plan.bump_revision == POINT.high_water_revision + DEFAULT_REVISION_SLACK


def test_a_point_without_the_admin_node_is_refused() -> None:
    with pytest.raises(RecoveryRefused, match="holds nothing for: pki/adm, node_config/adm, salt_master/adm"):
        recover([*LIVING, admin(bare("adm"))], components={**COMPONENTS, "adm": ADMIN})


def test_an_admin_node_of_another_cluster_is_refused() -> None:
    with pytest.raises(RecoveryRefused, match="another cluster: adm"):
        recover_with_admin([*LIVING, admin(alive("adm", ca_sha256="cd" * 32))])


def test_a_worker_that_is_a_member_of_etcd_starts_with_the_members() -> None:
    """The API servers are let in when all members hold the same data: they would wait for one that is started after them."""
    members = {"cp1": MEMBERS["cp1"], "cp2": MEMBERS["cp2"], "w1": MEMBERS["cp3"]}
    point = dataclasses.replace(POINT, etcd_members=members)
    worker = dataclasses.replace(bare("w1"), groups=("workers", "etcd"))
    plan = recover([bare("cp1"), bare("cp2"), worker, bare("w2")], point)
    assert (plan.etcd_hosts, plan.worker_hosts) == (["cp1", "cp2", "w1"], ["w2"])
    lost = recover([alive("cp1"), alive("cp2"), worker], point)
    assert (lost.strategy, lost.member_hosts, lost.worker_hosts) == ("rebuild_members", ["w1"], [])


def test_a_roll_back_leaves_the_admin_node_alone() -> None:
    plan = roll_back([*LIVING, admin(alive("adm"))], with_admin(), components={**COMPONENTS, "adm": ADMIN})
    assert (plan.stop_hosts, plan.living_hosts, plan.admin_hosts) == (list(MEMBERS), ["w1", "adm"], [])


def test_only_what_is_named_is_rebuilt() -> None:
    """The rest stays as it is, and the reason says so; a cluster that is lost as well is not asked about it afterwards."""
    hosts = [alive("cp1"), alive("cp2"), alive("cp3"), bare("w1")]
    assert recover(hosts, scope=["w1"]).worker_hosts == ["w1"]
    other = recover([alive("cp1"), alive("cp2"), bare("cp3"), bare("w1")], scope=["w1"])
    assert (other.file_hosts, other.member_hosts, other.verify_hosts) == (["w1"], [], ["cp1", "cp2", "w1"])
    assert (other.speaker, other.rebuilt_hosts) == ("cp1", ["w1"])
    assert "Left as they are, though something is lost there: cp3" in other.reason
    nothing = recover([alive("cp1"), alive("cp2"), bare("cp3"), alive("w1")], scope=["w1"])
    assert nothing.strategy == "nothing"
    assert "cp3" in nothing.reason
    lost = recover([bare("cp1"), bare("cp2"), bare("cp3"), bare("w1")], scope=["w1"])
    assert (lost.strategy, lost.file_hosts, lost.etcd_hosts, lost.verify_hosts) == ("rebuild_workers", ["w1"], [], ["w1"])


@pytest.mark.parametrize(("scope", "text"), [(["cp1"], "can't come back alone"), (["w9"], "no machines of the cluster: w9")])
def test_what_cannot_come_back_alone_is_refused(scope: List[str], text: str) -> None:
    """Members without a quorum, and what is not there."""
    with pytest.raises(RecoveryRefused, match=text):
        recover([bare("cp1"), bare("cp2"), bare("cp3"), alive("w1")], scope=scope)


PART = dataclasses.replace(POINT, etcd_members={}, has_snapshot=False)


def test_a_point_of_a_part_is_put_over_no_store() -> None:
    """It has no data of etcd, whichever way it was named."""
    hosts = [bare("cp1"), bare("cp2"), bare("cp3"), alive("w1")]
    with pytest.raises(RecoveryRefused, match="has no data of etcd"):
        recover(hosts, dataclasses.replace(PART, etcd_members=MEMBERS))
    with pytest.raises(RecoveryRefused, match="has no data of etcd"):
        roll_back([alive("cp1"), alive("cp2"), alive("cp3")], PART)


def test_a_point_of_a_part_brings_back_its_machine() -> None:
    """No member of etcd in it, none needed for a worker; for a member, its own is enough."""
    living = [alive("cp1"), alive("cp2"), alive("cp3")]
    assert recover([*living, bare("w1")], PART, scope=["w1"]).file_hosts == ["w1"]
    own = dataclasses.replace(PART, etcd_members={"cp3": MEMBERS["cp3"]})
    plan = recover([*living[:2], bare("cp3")], own, scope=["cp3"])
    assert (plan.strategy, plan.member_hosts, plan.initial_cluster) == ("rebuild_members", ["cp3"], {"cp3": MEMBERS["cp3"]})
    with pytest.raises(RecoveryRefused, match="does not know these as members of etcd: cp3"):
        recover([*living[:2], bare("cp3")], PART, scope=["cp3"])


def test_what_cannot_be_reached_is_left_alone_by_those_it_is_not_about() -> None:
    """One machine comes back while another gives no answer; what the whole would prove is not asked for then."""
    hosts = [alive("cp1"), alive("cp2"), bare("w1")]
    plan = recover(hosts, scope=["w1"], unreachable=["cp3"])
    assert (plan.file_hosts, plan.verify_hosts, plan.rebuilt_hosts, plan.speaker) == (["w1"], ["cp1", "cp2", "w1"], ["w1"], "cp1")
    for scope in ([], ["cp3"], ["w1", "cp3"]):
        with pytest.raises(RecoveryRefused, match="Machines that this is about are unreachable: .*cp3"):
            recover(hosts, scope=scope, unreachable=["cp3"])


def test_a_roll_back_of_a_part_is_refused() -> None:
    with pytest.raises(RecoveryRefused, match="A roll back is of the whole cluster"):
        roll_back(LIVING, scope=["cp2"])
