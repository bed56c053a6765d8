# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery decides, for every state in which a cluster can be found."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery.plan import (
    DEFAULT_REVISION_SLACK,
    HostView,
    PointView,
    RecoveryPlan,
    RecoveryRefused,
    host_view,
    one_then_grow,
    plan_recovery,
    plan_roll_back,
    point_view,
    target_revision,
)

CA = "ab" * 32
NOW = 2_000_000.0
ADMIN = ("pki", "node_config", "salt_master")
MEMBERS = {name: "https://10.0.0.%d:2380" % number for number, name in enumerate(("cp1", "cp2", "cp3"), 1)}
COMPONENTS = {**dict.fromkeys(MEMBERS, ("pki", "node_config", "etcd")), "w1": ("node_config",)}
ARTIFACTS = tuple("%s/%s.tar.zst.age" % (component, host) for host, components in COMPONENTS.items() for component in components if component != "etcd") + (
    "etcd/cp1.db.zst.age",
)
POINT = PointView("20261120T120000Z-aaaaaa", NOW - 600, CA, 5_000, 5_100, MEMBERS, ARTIFACTS)


def alive(name: str, **changes: Any) -> HostView:
    groups = ("workers",) if name.startswith("w") else ("control_plane", "etcd")
    view = HostView(name, groups, bare=False, hostname=name, ca_sha256=CA, etcd_data="etcd" in groups, etcd_serves="etcd" in groups, etcd_data_newest=NOW - 5)
    return dataclasses.replace(view, **changes)


def bare(name: str) -> HostView:
    return alive(name, bare=True, ca_sha256=None, etcd_data=False, etcd_serves=False, etcd_data_newest=None)


def stopped(name: str) -> HostView:
    return alive(name, etcd_serves=False, etcd_answers=True)


def recover(hosts: List[HostView], point: PointView = POINT, **options: Any) -> RecoveryPlan:
    options.setdefault("quorum_alive", any(host.etcd_serves for host in hosts))
    return plan_recovery(hosts, COMPONENTS, point, now=NOW, **options)


def test_all_machines_bare_are_rebuilt_from_the_point() -> None:
    plan = recover([bare("cp1"), bare("cp2"), bare("cp3"), bare("w1")])
    assert plan.strategy == "rebuild_cluster"
    assert plan.etcd_hosts == ["cp1", "cp2", "cp3"]
    assert plan.file_hosts == ["cp1", "cp2", "cp3", "w1"]
    assert plan.worker_hosts == ["w1"]
    assert plan.stop_hosts == []
    assert POINT.etcd_revision + plan.bump_revision == POINT.high_water_revision + DEFAULT_REVISION_SLACK
    assert plan.initial_cluster == MEMBERS


def test_a_living_worker_keeps_its_files_and_only_waits() -> None:
    plan = recover([bare("cp1"), bare("cp2"), bare("cp3"), alive("w1")])
    assert plan.file_hosts == ["cp1", "cp2", "cp3"]
    assert plan.worker_hosts == ["w1"]


def test_two_plans_never_share_a_token() -> None:
    hosts = [bare("cp1"), bare("cp2"), bare("cp3")]
    assert recover(hosts).token != recover(hosts).token


def test_one_bare_control_plane_is_rebuilt_and_nothing_rolled_back() -> None:
    plan = recover([alive("cp1"), bare("cp2"), alive("cp3"), alive("w1")])
    assert plan.strategy == "rebuild_members"
    assert (plan.member_hosts, plan.file_hosts, plan.etcd_hosts) == (["cp2"], ["cp2"], [])
    assert plan.living_hosts == ["cp1", "cp3", "w1"]


def test_a_bare_worker_alone_is_rebuilt() -> None:
    plan = recover([alive("cp1"), alive("cp2"), alive("cp3"), bare("w1")])
    assert (plan.strategy, plan.file_hosts, plan.worker_hosts) == ("rebuild_workers", ["w1"], ["w1"])


def test_a_whole_cluster_is_left_alone() -> None:
    assert recover([alive("cp1"), alive("cp2"), alive("cp3"), alive("w1")]).strategy == "nothing"


def test_quorum_lost_with_a_survivor_needs_a_choice_and_shows_both_ages() -> None:
    hosts = [stopped("cp1"), bare("cp2"), bare("cp3"), alive("w1")]
    with pytest.raises(RecoveryRefused) as refusal:
        recover(hosts)
    assert "taken 600 s ago" in str(refusal.value)
    assert "cp1: last written 5 s ago" in str(refusal.value)
    assert "quorum_lost_source=survivor" in str(refusal.value)


def test_the_newest_survivor_becomes_the_cluster_when_chosen() -> None:
    hosts = [dataclasses.replace(stopped("cp1"), etcd_data_newest=NOW - 50), stopped("cp2"), bare("cp3")]
    plan = recover(hosts, quorum_lost_source="survivor")
    assert (plan.strategy, plan.source, plan.survivor) == ("rebuild_cluster", "survivor", "cp2")
    assert plan.stop_hosts == ["cp1", "cp2"]
    assert plan.file_hosts == ["cp3"]


def test_survivors_that_do_not_answer_cannot_become_the_cluster() -> None:
    silent = dataclasses.replace(stopped("cp1"), etcd_answers=False)
    with pytest.raises(RecoveryRefused, match="No surviving member answers"):
        recover([silent, bare("cp2"), bare("cp3")], quorum_lost_source="survivor")


def test_the_point_becomes_the_cluster_when_chosen() -> None:
    plan = recover([stopped("cp1"), bare("cp2"), bare("cp3")], quorum_lost_source="recovery_point")
    assert (plan.source, plan.survivor) == ("recovery_point", "")


def test_a_stranger_is_refused_before_anything_else() -> None:
    with pytest.raises(RecoveryRefused, match="another cluster: w1"):
        recover([bare("cp1"), bare("cp2"), bare("cp3"), alive("w1", ca_sha256="cd" * 32)])


@pytest.mark.parametrize("hosts", [[bare("cp1"), bare("cp2")], [bare("cp1"), bare("cp2"), bare("cp3"), dataclasses.replace(bare("w1"), groups=("etcd",))]])
def test_members_that_do_not_fit_the_point_are_refused(hosts: List[HostView]) -> None:
    with pytest.raises(RecoveryRefused, match="group of the inventory does not fit"):
        recover(hosts)


def test_a_point_without_a_hosts_files_is_refused() -> None:
    point = dataclasses.replace(POINT, artifacts=tuple(name for name in ARTIFACTS if not name.startswith("pki/cp2")))
    with pytest.raises(RecoveryRefused, match="pki/cp2"):
        recover([bare("cp1"), bare("cp2"), bare("cp3")], point)


def under_way(name: str, phase: str, strategy: str = "rebuild_cluster", **changes: Any) -> HostView:
    record: Dict[str, Any] = {"point": POINT.point, "token": "lifeboat-old", "bump_revision": 77, "phase": phase, "strategy": strategy}
    return alive(name, record=record, **changes)


def test_a_rerun_adopts_token_and_bump_of_the_killed_run() -> None:
    plan = recover([under_way("cp1", "started"), under_way("cp2", "prepared", etcd_serves=False), bare("cp3")], quorum_alive=True)
    assert (plan.strategy, plan.token, plan.bump_revision, plan.adopted) == ("rebuild_cluster", "lifeboat-old", 77, True)
    assert plan.etcd_hosts == ["cp1", "cp2", "cp3"]


def test_a_finished_recovery_is_no_change() -> None:
    assert recover([under_way(name, "finished") for name in MEMBERS]).strategy == "nothing"


def test_a_killed_member_rebuild_goes_on_as_one() -> None:
    plan = recover([alive("cp1"), under_way("cp2", "started", "rebuild_members", etcd_serves=False), alive("cp3")])
    assert (plan.strategy, plan.member_hosts) == ("rebuild_members", ["cp2"])


def test_roll_back_takes_every_member() -> None:
    plan = plan_roll_back([alive("cp1"), alive("cp2"), alive("cp3"), alive("w1")], COMPONENTS, POINT, now=NOW)
    assert (plan.strategy, plan.etcd_hosts, plan.stop_hosts, plan.worker_hosts) == ("roll_back", list(MEMBERS), list(MEMBERS), ["w1"])


def test_roll_back_refuses_a_bare_member() -> None:
    with pytest.raises(RecoveryRefused, match="recover_cluster"):
        plan_roll_back([alive("cp1"), bare("cp2"), alive("cp3")], COMPONENTS, POINT, now=NOW)


def test_roll_back_to_the_point_that_serves_is_no_change() -> None:
    assert plan_roll_back([under_way(name, "finished") for name in MEMBERS], COMPONENTS, POINT, now=NOW).strategy == "nothing"


@pytest.mark.parametrize(("high", "expected"), [(100, 110), (150, 160)])
def test_the_target_is_above_the_highest_revision_ever_seen(high: int, expected: int) -> None:
    """With a clock that stands before the floor begins."""
    assert target_revision(high, slack=10, now=NOW) == expected


@pytest.mark.parametrize("known", ["point", "member"])
def test_the_bump_leads_from_the_point_to_the_target(known: str) -> None:
    """Whoever knows the highest revision: the catalog, or a member that is still there."""
    point = dataclasses.replace(POINT, etcd_revision=200, high_water_revision=900 if known == "point" else 200)
    hosts = [alive(name, etcd_revision=900 if known == "member" else 0) for name in MEMBERS]
    plan = plan_roll_back(hosts, COMPONENTS, point, now=NOW, slack=10)
    assert 200 + plan.bump_revision == 910


def test_views_are_read_out_of_module_results() -> None:
    node = {"bare": False, "hostname": "cp1", "identity": {"ca_sha256": CA}, "etcd": {"member": True, "newest_mtime": 12.5}, "record": None}
    view = host_view("cp1", ["etcd"], node, {"answers": True, "linearizable": True})
    assert (view.etcd_data, view.etcd_serves, view.etcd_data_newest, view.ca_sha256) == (True, True, 12.5, CA)
    manifest = {
        "id": POINT.point,
        "cluster_identity": {"ca_sha256": CA},
        "etcd": {"revision": 7, "hosts": MEMBERS},
        "highest_revision": 9,
        "artifacts": [{"name": "pki/cp1.tar.zst.age"}],
    }
    point = point_view(manifest, 8, NOW)
    assert (point.high_water_revision, point.etcd_members, point.artifacts) == (9, MEMBERS, ("pki/cp1.tar.zst.age",))


def test_a_roll_back_that_was_only_planned_does_not_make_a_living_cluster_a_ruin() -> None:
    assert recover([under_way(name, "planned", "roll_back") for name in MEMBERS]).strategy == "nothing"


def test_machines_in_other_groups_are_refused() -> None:
    """Plays for the group that they left would skip them in silence, whatever the strategy."""
    everyone = [alive("cp1"), alive("cp2"), alive("cp3"), alive("w1")]
    demoted = {**COMPONENTS, "cp2": ("etcd", "node_config")}
    with pytest.raises(RecoveryRefused, match="cp2 has no component pki"):
        plan_recovery(everyone, demoted, POINT, quorum_alive=True, now=NOW)
    with pytest.raises(RecoveryRefused, match="cp2 has no component pki"):
        plan_roll_back(everyone, demoted, POINT, now=NOW)
    for plan in (lambda: plan_roll_back([], {}, POINT, now=NOW), lambda: plan_recovery([], {}, POINT, quorum_alive=False, now=NOW)):
        with pytest.raises(RecoveryRefused, match="hold no machine"):
            plan()
    # A node that joined after the backup has nothing in the point, and may.
    assert plan_roll_back([*everyone, alive("w2")], {**COMPONENTS, "w2": ("node_config",)}, POINT, now=NOW).strategy == "roll_back"


@pytest.mark.parametrize(("program", "old", "new"), [("etcd", "3.6.16", "3.7.0"), ("etcd", "3.6.16", "3.5.20"), ("kubelet", "1.34.4", "1.35.0")])
def test_data_of_other_versions_is_refused(program: str, old: str, new: str) -> None:
    """Only where programs stay and data comes: not for patch releases, not for machines that are rebuilt, and not when it is wanted."""
    point = dataclasses.replace(POINT, versions={program: old})
    hosts = [alive(name, versions={program: new}) for name in MEMBERS]
    with pytest.raises(RecoveryRefused, match="%s on cp1 is %s, the point was made with %s" % (program, new, old)):
        plan_roll_back(hosts, COMPONENTS, point, now=NOW)
    assert plan_roll_back(hosts, COMPONENTS, point, now=NOW, versions_may_differ=True).strategy == "roll_back"
    patch = old.rpartition(".")[0] + ".99"
    assert plan_roll_back([alive(name, versions={program: patch}) for name in MEMBERS], COMPONENTS, point, now=NOW).strategy == "roll_back"
    lost = [stopped(name) for name in MEMBERS]
    lost = [dataclasses.replace(host, versions={program: new}) for host in lost]
    with pytest.raises(RecoveryRefused, match=program):
        recover(lost, point, quorum_lost_source="recovery_point")
    assert recover(lost, point, quorum_lost_source="survivor").source == "survivor"
    assert recover([dataclasses.replace(bare(name), versions={program: new}) for name in MEMBERS], point).strategy == "rebuild_cluster"


def test_a_later_restore_is_above_an_earlier_one_whose_result_was_lost() -> None:
    """Nobody recorded how far the first one went; its clients must not wait for revisions that are to come."""
    first, day = 1_795_000_000.0, 86_400
    written = 500 * day
    assert target_revision(POINT.high_water_revision, DEFAULT_REVISION_SLACK, first + day) > target_revision(5_100, DEFAULT_REVISION_SLACK, first) + written
    # A minute later, with a point that was made in between: no slack on top of the clock, or the next restore of an old point would be below it.
    between = target_revision(5_100, DEFAULT_REVISION_SLACK, first) + 2_000
    assert target_revision(between, DEFAULT_REVISION_SLACK, first + 60) < target_revision(5_100, DEFAULT_REVISION_SLACK, first + 61)
    assert target_revision(POINT.high_water_revision, DEFAULT_REVISION_SLACK, first + 20 * 365 * day) < 2**53


def test_a_restore_after_one_from_a_survivor_is_above_it() -> None:
    """What the survivor has was restored before: its revision is the clock's already, and is not moved on by as much again."""
    earlier = 1_795_000_000.0
    served = target_revision(POINT.high_water_revision, DEFAULT_REVISION_SLACK, earlier) + 3_000
    hosts = [dataclasses.replace(stopped("cp1"), etcd_revision=served), bare("cp2"), bare("cp3"), alive("w1")]
    plan = plan_recovery(hosts, COMPONENTS, POINT, quorum_alive=False, quorum_lost_source="survivor", now=earlier + 60)
    after = served + plan.bump_revision
    assert after > served
    lost = [bare(name) for name in MEMBERS]
    again = plan_recovery([*lost, alive("w1")], COMPONENTS, POINT, quorum_alive=False, now=earlier + 120)
    assert POINT.etcd_revision + again.bump_revision > after + 3_000


def test_the_survivor_that_got_furthest_is_taken() -> None:
    """Its revision says so, not the time at which its file was touched."""
    first = dataclasses.replace(stopped("cp1"), etcd_revision=30, etcd_data_newest=NOW - 50)
    hosts = [first, dataclasses.replace(stopped("cp2"), etcd_revision=20), bare("cp3")]
    assert recover(hosts, quorum_lost_source="survivor").survivor == "cp1"
    with pytest.raises(RecoveryRefused, match="cp1: last written 50 s ago, revision 30; data on cp2: last written 5 s ago, revision 20"):
        recover(hosts)


def test_a_restore_begun_with_a_survivor_goes_on_with_it() -> None:
    """Whatever the rerun is told, and without the survivor, which has stopped; who kept keys and configuration keeps them."""
    record: Dict[str, Any] = {
        "point": POINT.point,
        "token": "lifeboat-old",
        "bump_revision": 77,
        "phase": "begun",
        "strategy": "rebuild_cluster",
        "source": "survivor",
        "restores_files": True,
    }
    survivor = alive("cp1", etcd_serves=False, record={**record, "restores_files": False})
    hosts = [survivor, alive("cp2", etcd_serves=False, record=record), bare("cp3"), alive("w1")]
    for chosen in ("", "survivor", "recovery_point"):
        plan = recover(hosts, quorum_lost_source=chosen)
        assert (plan.strategy, plan.source, plan.survivor, plan.token, plan.bump_revision) == ("rebuild_cluster", "survivor", "", "lifeboat-old", 77)
        assert plan.file_hosts == ["cp2", "cp3"]
        assert "saved of the survivor" in plan.reason


# The admin node


def with_admin(point: PointView = POINT) -> PointView:
    return dataclasses.replace(point, artifacts=(*point.artifacts, *("%s/adm.tar.zst.age" % component for component in ADMIN)))


def recover_with_admin(hosts: List[HostView], **options: Any) -> RecoveryPlan:
    options.setdefault("quorum_alive", any(host.etcd_serves for host in hosts))
    return plan_recovery(hosts, {**COMPONENTS, "adm": ADMIN}, with_admin(), now=NOW, **options)


def admin(view: HostView) -> HostView:
    return dataclasses.replace(view, groups=("admin",), etcd_data=False, etcd_serves=False, etcd_data_newest=None)


LIVING = [alive("cp1"), alive("cp2"), alive("cp3"), alive("w1")]


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
    hosts = [under_way(name, "begun", etcd_serves=False) for name in MEMBERS]
    plan = recover_with_admin([*hosts, admin(under_way("adm", "begun")), bare("w1")])
    assert (plan.strategy, plan.admin_hosts, plan.stop_hosts) == ("rebuild_cluster", ["adm"], [*MEMBERS, "adm"])


def test_a_recovery_that_let_etcd_alone_gives_no_bump_to_one_that_restores_it() -> None:
    """Or the store would begin again where its clients have been."""
    begun = admin(alive("adm", record={"point": POINT.point, "token": "lifeboat-old", "bump_revision": 0, "phase": "begun", "strategy": "rebuild_admin"}))
    plan = recover_with_admin([begun, bare("cp1"), bare("cp2"), bare("cp3"), alive("w1")])
    assert plan.token != "lifeboat-old"
    assert not plan.adopted
    assert POINT.etcd_revision + plan.bump_revision == POINT.high_water_revision + DEFAULT_REVISION_SLACK


def test_a_point_without_the_admin_node_is_refused() -> None:
    with pytest.raises(RecoveryRefused, match="holds nothing for: pki/adm, node_config/adm, salt_master/adm"):
        plan_recovery([*LIVING, admin(bare("adm"))], {**COMPONENTS, "adm": ADMIN}, POINT, quorum_alive=True, now=NOW)


def test_an_admin_node_of_another_cluster_is_refused() -> None:
    with pytest.raises(RecoveryRefused, match="another cluster: adm"):
        recover_with_admin([*LIVING, admin(alive("adm", ca_sha256="cd" * 32))])


def test_a_worker_that_is_a_member_of_etcd_starts_with_the_members() -> None:
    """The API servers are let in when all members hold the same data: they would wait for one that is started after them."""
    members = {"cp1": MEMBERS["cp1"], "cp2": MEMBERS["cp2"], "w1": MEMBERS["cp3"]}
    point = dataclasses.replace(POINT, etcd_members=members)
    worker = dataclasses.replace(bare("w1"), groups=("workers", "etcd"))
    plan = plan_recovery([bare("cp1"), bare("cp2"), worker, bare("w2")], COMPONENTS, point, quorum_alive=False, now=NOW)
    assert (plan.etcd_hosts, plan.worker_hosts) == (["cp1", "cp2", "w1"], ["w2"])
    lost = plan_recovery([alive("cp1"), alive("cp2"), worker], COMPONENTS, point, quorum_alive=True, now=NOW)
    assert (lost.strategy, lost.member_hosts, lost.worker_hosts) == ("rebuild_members", ["w1"], [])


def test_a_roll_back_leaves_the_admin_node_alone() -> None:
    plan = plan_roll_back([*LIVING, admin(alive("adm"))], {**COMPONENTS, "adm": ADMIN}, with_admin(), now=NOW)
    assert (plan.stop_hosts, plan.living_hosts, plan.admin_hosts) == (list(MEMBERS), ["w1", "adm"], [])


def test_only_what_is_named_is_rebuilt() -> None:
    """The rest stays as it is, and the reason says so; a cluster that is lost as well is not asked about it afterwards."""
    hosts = [alive("cp1"), alive("cp2"), alive("cp3"), bare("w1")]
    assert plan_recovery(hosts, COMPONENTS, POINT, quorum_alive=True, now=NOW, scope=["w1"]).worker_hosts == ["w1"]
    other = plan_recovery([alive("cp1"), alive("cp2"), bare("cp3"), bare("w1")], COMPONENTS, POINT, quorum_alive=True, now=NOW, scope=["w1"])
    assert (other.file_hosts, other.member_hosts, other.verify_hosts) == (["w1"], [], [])
    assert "Left as they are, though lost: cp3." in other.reason
    nothing = plan_recovery([alive("cp1"), alive("cp2"), bare("cp3"), alive("w1")], COMPONENTS, POINT, quorum_alive=True, now=NOW, scope=["w1"])
    assert nothing.strategy == "nothing"
    assert "cp3" in nothing.reason
    lost = plan_recovery([bare("cp1"), bare("cp2"), bare("cp3"), bare("w1")], COMPONENTS, POINT, quorum_alive=False, now=NOW, scope=["w1"])
    assert (lost.strategy, lost.file_hosts, lost.etcd_hosts, lost.verify_hosts) == ("rebuild_workers", ["w1"], [], ["w1"])


@pytest.mark.parametrize(("scope", "text"), [(["cp1"], "can't come back alone"), (["w9"], "no machines of the cluster: w9")])
def test_what_cannot_come_back_alone_is_refused(scope: List[str], text: str) -> None:
    """Members without a quorum, and what is not there."""
    with pytest.raises(RecoveryRefused, match=text):
        plan_recovery([bare("cp1"), bare("cp2"), bare("cp3"), alive("w1")], COMPONENTS, POINT, quorum_alive=False, now=NOW, scope=scope)


PART = dataclasses.replace(POINT, etcd_members={}, has_snapshot=False)


def test_a_point_of_a_part_is_put_over_no_store() -> None:
    """It has no data of etcd, whichever way it was named."""
    hosts = [bare("cp1"), bare("cp2"), bare("cp3"), alive("w1")]
    with pytest.raises(RecoveryRefused, match="has no data of etcd"):
        plan_recovery(hosts, COMPONENTS, dataclasses.replace(PART, etcd_members=MEMBERS), quorum_alive=False, now=NOW)
    with pytest.raises(RecoveryRefused, match="has no data of etcd"):
        plan_roll_back([alive("cp1"), alive("cp2"), alive("cp3")], COMPONENTS, PART, now=NOW)


def test_a_point_of_a_part_brings_back_its_machine() -> None:
    """No member of etcd in it, none needed for a worker; for a member, its own is enough."""
    living = [alive("cp1"), alive("cp2"), alive("cp3")]
    assert plan_recovery([*living, bare("w1")], COMPONENTS, PART, quorum_alive=True, now=NOW, scope=["w1"]).file_hosts == ["w1"]
    own = dataclasses.replace(PART, etcd_members={"cp3": MEMBERS["cp3"]})
    plan = plan_recovery([*living[:2], bare("cp3")], COMPONENTS, own, quorum_alive=True, now=NOW, scope=["cp3"])
    assert (plan.strategy, plan.member_hosts, plan.initial_cluster) == ("rebuild_members", ["cp3"], {"cp3": MEMBERS["cp3"]})
    with pytest.raises(RecoveryRefused, match="not in the point: cp3"):
        plan_recovery([*living[:2], bare("cp3")], COMPONENTS, PART, quorum_alive=True, now=NOW, scope=["cp3"])


def test_what_cannot_be_reached_is_left_alone_by_those_it_is_not_about() -> None:
    """One machine comes back while another gives no answer; what the whole would prove is not asked for then."""
    hosts = [alive("cp1"), alive("cp2"), bare("w1")]
    plan = plan_recovery(hosts, COMPONENTS, POINT, quorum_alive=True, now=NOW, scope=["w1"], unreachable=["cp3"])
    assert (plan.file_hosts, plan.verify_hosts) == (["w1"], ["w1"])
    for scope in ([], ["cp3"], ["w1", "cp3"]):
        with pytest.raises(RecoveryRefused, match="Nothing is known of machines that this is about: cp3"):
            plan_recovery(hosts, COMPONENTS, POINT, quorum_alive=True, now=NOW, scope=scope, unreachable=["cp3"])


V2_POINT = dataclasses.replace(POINT, store="v2")


def grow(hosts: List[HostView], **options: Any) -> RecoveryPlan:
    return one_then_grow(recover(hosts, V2_POINT, **options), hosts, V2_POINT)


def test_a_point_of_the_v3_store_is_restored_on_all_members_at_once() -> None:
    hosts = [bare("cp1"), bare("cp2"), bare("cp3"), alive("w1")]
    plan = recover(hosts)
    assert one_then_grow(plan, hosts, POINT) == plan


@pytest.mark.parametrize("store", ["v2", "both"])
def test_a_v2_store_is_restored_on_one_member_and_grows(store: str) -> None:
    hosts = [bare("cp1"), bare("cp2"), bare("cp3"), alive("w1")]
    point = dataclasses.replace(POINT, store=store)
    plan = one_then_grow(recover(hosts, point), hosts, point)
    assert (plan.etcd_hosts, plan.member_hosts, plan.file_hosts) == (["cp1"], ["cp2", "cp3"], ["cp1", "cp2", "cp3"])
    # Nothing can be raised, so whoever watched is stopped, and started again at the end.
    assert (plan.bump_revision, plan.stop_hosts, plan.worker_hosts) == (0, ["w1"], ["w1"])


def test_a_worker_that_is_a_member_is_not_the_first_and_joins_as_the_others_do() -> None:
    member = dataclasses.replace(bare("a-worker"), groups=("workers", "etcd"))
    point = dataclasses.replace(V2_POINT, etcd_members={"a-worker": "https://10.0.0.9:2380", "cp1": MEMBERS["cp1"]})
    point = dataclasses.replace(point, artifacts=(*ARTIFACTS, "node_config/a-worker.tar.zst.age"))
    hosts = [member, bare("cp1")]
    components = {"a-worker": ("node_config", "etcd"), "cp1": ("pki", "node_config", "etcd")}
    plan = one_then_grow(plan_recovery(hosts, components, point, quorum_alive=False, now=NOW), hosts, point)
    assert (plan.etcd_hosts, plan.member_hosts, plan.worker_hosts) == (["cp1"], ["a-worker"], [])


def test_a_rerun_does_not_stop_the_members_that_serve_already() -> None:
    hosts = [
        under_way("cp1", "begun"),
        under_way("cp2", "added"),
        under_way("cp3", "begun", etcd_serves=False),
        alive("w1"),
    ]
    plan = grow(hosts)
    assert (plan.strategy, plan.token, plan.adopted) == ("rebuild_cluster", "lifeboat-old", True)
    assert (plan.etcd_hosts, plan.member_hosts) == (["cp1"], ["cp2", "cp3"])
    assert plan.stop_hosts == ["cp3", "w1"]


def test_a_roll_back_of_a_v2_store_stops_all_and_restores_one() -> None:
    hosts = [alive(name) for name in (*MEMBERS, "w1")]
    plan = one_then_grow(plan_roll_back(hosts, COMPONENTS, V2_POINT, now=NOW), hosts, V2_POINT)
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
