# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery decides, for every state in which a cluster can be found."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Mapping, Sequence

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery.plan import RecoveryPlan, plan_recovery, plan_roll_back
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery.refusals import RecoveryRefused
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery.tokens import DEFAULT_REVISION_SLACK, target_revision
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery.views import HostView, InPlace, PointView, Record, Request, Seen, host_view, point_view

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
    member = "etcd" in groups
    view = HostView(
        name,
        groups,
        bare=False,
        hostname=name,
        ca_sha256=CA,
        etcd_data=member,
        etcd_answers=member,
        etcd_serves=member,
        etcd_data_newest=NOW - 5,
        etcd_revision=POINT.etcd_revision + 50 if member else 0,
    )
    view = dataclasses.replace(view, **changes)
    return view if view.etcd_own_revision else dataclasses.replace(view, etcd_own_revision=view.etcd_revision)


def bare(name: str) -> HostView:
    return alive(name, bare=True, ca_sha256=None, etcd_data=False, etcd_answers=False, etcd_serves=False, etcd_data_newest=None, etcd_revision=0)


def stopped(name: str) -> HostView:
    return alive(name, etcd_serves=False, etcd_answers=True)


def seen(hosts: Sequence[HostView], components: Mapping[str, Sequence[str]] | None = None, unreachable: Sequence[str] = (), **options: Any) -> Seen:
    return Seen(hosts, components or COMPONENTS, Request(**{"now": NOW, "slack": DEFAULT_REVISION_SLACK, **options}), unreachable)


def recover(hosts: Sequence[HostView], point: PointView = POINT, **options: Any) -> RecoveryPlan:
    return plan_recovery(seen(hosts, **options), point)


def roll_back(hosts: Sequence[HostView], point: PointView = POINT, **options: Any) -> RecoveryPlan:
    return plan_roll_back(seen(hosts, **options), point)


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
    """It is looked at all the same."""
    plan = recover([alive("cp1"), alive("cp2"), alive("cp3"), alive("w1")])
    assert plan.strategy == "nothing"
    assert (plan.groups("cp1"), plan.groups("w1")) == (["verify", "cluster"], ["verify"])


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


def test_a_survivor_that_does_not_answer_is_read_from_its_disk() -> None:
    """Started again without a quorum, etcd answers no client; with a new system disk it does not even run."""
    silent = dataclasses.replace(stopped("cp1"), etcd_answers=False, etcd_revision=0)
    hosts = [silent, bare("cp2"), bare("cp3")]
    with pytest.raises(RecoveryRefused, match="the data on cp1 becomes the cluster, read from its disk"):
        recover(hosts)
    plan = recover(hosts, quorum_lost_source="survivor")
    assert (plan.survivor, plan.etcd_hosts, plan.file_hosts) == ("cp1", list(MEMBERS), ["cp2", "cp3"])
    assert "cp1 (read from its disk)" in plan.reason
    with pytest.raises(RecoveryRefused, match="No member has data"):
        recover([dataclasses.replace(alive("cp1"), etcd_revision=3, etcd_own_revision=3), bare("cp2"), bare("cp3")], quorum_lost_source="survivor")


def test_the_point_becomes_the_cluster_when_chosen() -> None:
    plan = recover([stopped("cp1"), bare("cp2"), bare("cp3")], quorum_lost_source="recovery_point")
    assert (plan.source, plan.survivor) == ("recovery_point", "")


def test_a_stranger_is_refused_before_anything_else() -> None:
    with pytest.raises(RecoveryRefused, match="another cluster: w1"):
        recover([bare("cp1"), bare("cp2"), bare("cp3"), alive("w1", ca_sha256="cd" * 32)])


@pytest.mark.parametrize("hosts", [[bare("cp1"), bare("cp2")], [bare("cp1"), bare("cp2"), bare("cp3"), dataclasses.replace(bare("w1"), groups=("etcd",))]])
def test_members_that_do_not_fit_the_point_are_refused(hosts: List[HostView]) -> None:
    with pytest.raises(RecoveryRefused, match="confirm_missing_members|are no members in recovery point"):
        recover(hosts)


def test_a_point_without_a_hosts_files_is_refused() -> None:
    point = dataclasses.replace(POINT, artifacts=tuple(name for name in ARTIFACTS if not name.startswith("pki/cp2")))
    with pytest.raises(RecoveryRefused, match="pki/cp2"):
        recover([bare("cp1"), bare("cp2"), bare("cp3")], point)


OLD = Record("20261120T121500Z-0001", POINT.point, "lifeboat-old", 2_000_000, "begun", "rebuild_cluster", restores_files=True)
SERVED = POINT.etcd_revision + OLD.bump_revision + 300


def under_way(name: str, phase: str, strategy: str = "rebuild_cluster", **changes: Any) -> HostView:
    record = dataclasses.replace(OLD, phase=phase, strategy=strategy, bump_revision=OLD.bump_revision if "cluster" in strategy else 0)
    return alive(name, **{"record": record, **changes})


def restored(name: str, phase: str = "begun", *, staged: bool = False, used: bool = False, **changes: Any) -> HostView:
    """What the unfinished restore left on a machine; not serving unless that is said."""
    place = InPlace(OLD.token, staged, used, POINT.etcd_revision + OLD.bump_revision)
    silent = {"etcd_serves": False, "etcd_answers": False, "etcd_revision": 0, "etcd_data": not staged}
    return under_way(name, phase, **{**silent, "restores": (place,), **changes})


def serves(name: str, phase: str = "started") -> HostView:
    return restored(name, phase, used=True, etcd_serves=True, etcd_answers=True, etcd_revision=SERVED)


def test_a_rerun_adopts_token_and_bump_of_the_killed_run() -> None:
    plan = recover([restored("cp1"), restored("cp2", staged=True), restored("cp3", "planned", staged=True), alive("w1")])
    assert (plan.strategy, plan.token, plan.bump_revision, plan.adopted) == ("rebuild_cluster", "lifeboat-old", OLD.bump_revision, True)
    assert plan.etcd_hosts == ["cp1", "cp2", "cp3"]


def test_what_serves_since_a_restore_is_finished_and_a_lost_member_joins_anew() -> None:
    """Case 2: it never becomes the same member once more with what the point knows, and newer keys of living machines stay."""
    plan = recover([serves("cp1"), serves("cp2"), bare("cp3"), under_way("w1", "started")])
    assert (plan.strategy, plan.situation, plan.token) == ("finish_restore", "restore_serves", "lifeboat-old")
    assert (plan.etcd_hosts, plan.member_hosts, plan.file_hosts, plan.stop_hosts) == ([], ["cp3"], ["cp3"], [])
    assert (plan.start_hosts, plan.living_members) == (["cp1", "cp2"], ["cp1", "cp2"])
    assert "lifeboat_give_up=%s" % OLD.restore_id in plan.reason


def test_a_member_that_only_stands_still_since_the_restore_is_started() -> None:
    plan = recover([serves("cp1"), serves("cp2"), restored("cp3", used=True)])
    assert (plan.strategy, plan.member_hosts, plan.start_hosts) == ("finish_restore", [], ["cp1", "cp2", "cp3"])


def test_a_member_that_was_rebuilt_since_and_is_silent_is_left_alone() -> None:
    """It belongs to the living cluster, and was not named."""
    plan = recover([serves("cp1"), serves("cp2"), stopped("cp3")])
    assert (plan.strategy, plan.member_hosts, plan.left_hosts) == ("finish_restore", [], ["cp3"])
    assert "cp3" not in plan.file_hosts + plan.stop_hosts + plan.start_hosts + plan.verify_hosts


def test_who_was_lost_after_the_restored_data_was_in_use_is_asked_about() -> None:
    """Case 2, B2: writes since then may be on cp1 alone."""
    hosts = [restored("cp1", used=True, etcd_answers=True, etcd_revision=SERVED), bare("cp2"), bare("cp3")]
    with pytest.raises(RecoveryRefused, match="etcd has run since, and cp2, cp3 was lost") as refusal:
        recover(hosts)
    assert "revision %d" % SERVED in str(refusal.value)
    plan = recover(hosts, quorum_lost_source="survivor")
    assert (plan.survivor, plan.adopted, plan.file_hosts) == ("cp1", False, ["cp1", "cp2", "cp3"])
    assert plan.superseded == {"cp1": OLD.restore_id}
    again = recover(hosts, quorum_lost_source="recovery_point")
    assert again.token != OLD.token
    assert POINT.etcd_revision + again.bump_revision > SERVED


def test_who_was_lost_before_anything_ran_gets_the_same_restore() -> None:
    plan = recover([restored("cp1"), restored("cp2", staged=True), bare("cp3")])
    assert (plan.strategy, plan.token) == ("rebuild_cluster", OLD.token)


def test_a_record_that_the_living_cluster_knows_nothing_of_is_no_reason_for_anything() -> None:
    """A restore was begun, then somebody started the old members again."""
    hosts = [under_way(name, "begun") for name in ("cp1", "cp2")]
    assert recover([*hosts, alive("cp3")]).strategy == "nothing"
    plan = recover([*hosts, bare("cp3")])
    assert (plan.strategy, plan.member_hosts, plan.file_hosts, plan.stop_hosts) == ("rebuild_members", ["cp3"], ["cp3"], [])


def test_a_killed_member_rebuild_goes_on_as_one() -> None:
    begun = under_way("cp2", "added", "rebuild_members", etcd_serves=False)
    plan = recover([alive("cp1"), begun, alive("cp3")])
    assert (plan.strategy, plan.member_hosts, plan.token, plan.adopted) == ("rebuild_members", ["cp2"], OLD.token, True)
    promoted = dataclasses.replace(begun, etcd_serves=True)
    assert recover([alive("cp1"), promoted, alive("cp3")]).member_hosts == ["cp2"]
    # It came back by itself meanwhile: it is not taken down.
    back = under_way("cp2", "begun", "rebuild_members")
    plan = recover([alive("cp1"), back, alive("cp3")])
    assert (plan.member_hosts, plan.start_hosts) == ([], ["cp2"])


def test_a_silent_member_is_touched_only_when_it_is_named() -> None:
    """Case 17: its own keys stay even then."""
    hosts = [alive("cp1"), alive("cp2"), dataclasses.replace(stopped("cp3"), etcd_answers=False), bare("w1")]
    plan = recover(hosts)
    assert (plan.strategy, plan.file_hosts, plan.left_hosts) == ("rebuild_workers", ["w1"], ["cp3"])
    assert "cp3" not in plan.stop_hosts + plan.verify_hosts + plan.member_hosts
    with pytest.raises(RecoveryRefused, match="recover_node -e node_to_recover=cp3"):
        recover([*hosts[:3], alive("w1")])
    plan = recover(hosts, scope=["cp3"])
    assert (plan.member_hosts, plan.file_hosts, plan.stop_hosts) == (["cp3"], [], ["cp3"])
    assert {"planned", "members", "record"} <= set(plan.groups("cp3"))
    assert "prepare" not in plan.groups("cp3"), "nothing is brought onto it"


def test_a_machine_that_lost_some_of_its_files_is_named_and_gets_them_when_asked_for() -> None:
    half = alive("w1", missing_files=("/etc/kubernetes/kubelet.conf",))
    with pytest.raises(RecoveryRefused, match="kubelet.conf is missing"):
        recover([alive("cp1"), alive("cp2"), alive("cp3"), half])
    plan = recover([alive("cp1"), alive("cp2"), alive("cp3"), half], scope=["w1"])
    assert (plan.strategy, plan.file_hosts, plan.stop_hosts) == ("rebuild_workers", ["w1"], ["w1"])
    assert recover([bare("cp1"), bare("cp2"), bare("cp3"), half]).file_hosts == ["cp1", "cp2", "cp3", "w1"]


def test_a_member_without_data_joins_anew_and_keeps_its_files() -> None:
    empty = dataclasses.replace(stopped("cp3"), etcd_data=False, etcd_answers=False)
    plan = recover([alive("cp1"), alive("cp2"), empty])
    assert (plan.strategy, plan.member_hosts, plan.file_hosts) == ("rebuild_members", ["cp3"], [])


@pytest.mark.parametrize("look", ["etcd", "identity", "record", "lock", "bare_evidence", "required_files"])
def test_a_look_that_failed_is_no_answer(look: str) -> None:
    """Case 3: the newest data of the cluster may be there."""
    unseen = dataclasses.replace(bare("cp1"), unseen={look: "OSError: [Errno 5] Input/output error"})
    with pytest.raises(RecoveryRefused, match="%s on cp1: OSError" % look):
        recover([unseen, bare("cp2"), bare("cp3")], quorum_lost_source="recovery_point")


def test_data_on_a_file_system_that_is_not_mounted_is_not_gone() -> None:
    point = dataclasses.replace(POINT, etcd_mounts=("cp1",))
    lost = [bare(name) for name in MEMBERS]
    with pytest.raises(RecoveryRefused, match="is a mount point in recovery point .* and none now: cp1"):
        recover(lost, point)
    assert recover(lost, point, mounts_may_differ=True).strategy == "rebuild_cluster"
    assert recover([dataclasses.replace(bare("cp1"), etcd_mount=True), *lost[1:]], point).strategy == "rebuild_cluster"
    with pytest.raises(RecoveryRefused, match="a mount point .* and none now: cp1"):
        roll_back(LIVING, point)
    with pytest.raises(RecoveryRefused, match="a mount point .* and none now: cp1"):
        recover([bare("cp1"), serves("cp2"), serves("cp3")], point)


def test_only_members_of_etcd_can_be_confirmed_as_missing() -> None:
    with pytest.raises(RecoveryRefused) as refusal:
        recover([bare("cp1"), bare("cp2")], unreachable=["cp3", "w1"])
    assert "confirm_missing_members=cp3:" in str(refusal.value)
    with pytest.raises(RecoveryRefused) as refusal:
        recover([bare("cp1"), bare("cp2"), bare("cp3")], unreachable=["w1"])
    assert "confirm_missing_members" not in str(refusal.value)
    with pytest.raises(RecoveryRefused, match="confirm_missing_members=cp2,cp3:"):
        recover([bare("cp1")], unreachable=["cp2", "cp3"], missing_members=["cp2"])
    with pytest.raises(RecoveryRefused, match="without confirm_missing_members"):
        recover([bare("cp1"), bare("cp2"), bare("cp3")], missing_members=["w1"])


def test_system_disks_are_new_and_the_data_survived() -> None:
    """Case 9 C: files come back, and the members start with what they have."""
    kept = [dataclasses.replace(bare(name), bare=False, etcd_data=True, etcd_data_newest=NOW - 5, missing_files=("/etc/kubernetes/pki",)) for name in MEMBERS]
    with pytest.raises(RecoveryRefused, match="quorum_lost_source=members"):
        recover([*kept, alive("w1")])
    plan = recover([*kept, alive("w1")], quorum_lost_source="members")
    assert (plan.strategy, plan.etcd_hosts, plan.file_hosts, plan.start_hosts) == ("start_members", [], list(MEMBERS), list(MEMBERS))
    plan = recover([*kept[:2], bare("cp3")], quorum_lost_source="members")
    assert (plan.member_hosts, plan.start_hosts, plan.file_hosts) == (["cp3"], ["cp1", "cp2"], list(MEMBERS))
    with pytest.raises(RecoveryRefused, match="Too few members have data of one cluster: 1, and 2 make a quorum"):
        recover([kept[0], bare("cp2"), bare("cp3")], quorum_lost_source="members")
    # The point's data over them: the files come back all the same, and in a rerun too.
    plan = recover(kept, quorum_lost_source="recovery_point")
    assert (plan.file_hosts, plan.etcd_hosts) == (list(MEMBERS), list(MEMBERS))


def test_what_an_earlier_run_thought_of_the_files_is_not_adopted() -> None:
    """Case 9 D: a process was in the way then; the files decide now."""
    record = dataclasses.replace(OLD, restores_files=False, phase="planned")
    plan = recover([bare("cp1"), dataclasses.replace(bare("cp2"), record=record), bare("cp3")])
    assert plan.file_hosts == ["cp1", "cp2", "cp3"]


def test_an_etcd_that_knows_less_than_the_point_is_not_the_cluster() -> None:
    """An empty store that began by itself serves linearizable reads, too."""
    empty = alive("cp1", etcd_revision=3)
    with pytest.raises(RecoveryRefused, match="cp1 serves revision 3; the point has 5000"):
        recover([empty, bare("cp2"), bare("cp3")])
    plan = recover([empty, bare("cp2"), bare("cp3")], quorum_lost_source="recovery_point")
    assert (plan.strategy, plan.etcd_hosts, plan.stop_hosts) == ("rebuild_cluster", list(MEMBERS), ["cp1"])


def test_two_clusters_are_not_one() -> None:
    with pytest.raises(RecoveryRefused, match="serve more than one cluster"):
        recover([alive("cp1", etcd_cluster_id="a"), alive("cp2", etcd_cluster_id="b"), bare("cp3")])


def test_a_cluster_comes_back_on_fewer_machines_when_that_is_confirmed() -> None:
    """Case 8: taken out of the inventory or unreachable, the messages name the one way."""
    two = [bare("cp1"), bare("cp2"), alive("w1")]
    for unreachable in ([], ["cp3"]):
        with pytest.raises(RecoveryRefused, match="confirm_missing_members=cp3"):
            recover(two, unreachable=unreachable)
        plan = recover(two, unreachable=unreachable, missing_members=["cp3"])
        assert (plan.strategy, plan.etcd_hosts, sorted(plan.initial_cluster), plan.voters) == ("rebuild_cluster", ["cp1", "cp2"], ["cp1", "cp2"], 2)
        assert "Without cp3, which can join later" in plan.reason
    assert recover([bare("cp1")], missing_members=["cp2", "cp3"]).etcd_hosts == ["cp1"]
    with pytest.raises(RecoveryRefused, match="names machines that are not missing: cp2"):
        recover(two, missing_members=["cp2", "cp3"])
    # The others join what lives.
    later = recover([alive("cp1", etcd_revision=SERVED), alive("cp2", etcd_revision=SERVED), bare("cp3")])
    assert (later.strategy, later.member_hosts) == ("rebuild_members", ["cp3"])
    # The cluster of two lives: machines come back although the point has a third member.
    assert recover([alive("cp1"), alive("cp2"), bare("w1")]).strategy == "rebuild_workers"


def test_another_restore_that_was_begun_is_finished_or_given_up() -> None:
    """Case 16."""
    other = dataclasses.replace(OLD, point="20261119T120000Z-bbbbbb", restore_id="20261119T130000Z-0002")
    hosts = [restored(name, record=other) for name in MEMBERS]
    with pytest.raises(RecoveryRefused, match="lifeboat_give_up=20261119T130000Z-0002") as refusal:
        recover(hosts)
    assert "recover_cluster -e recovery_point_id=20261119T120000Z-bbbbbb" in str(refusal.value)


def test_a_restore_that_is_given_up_is_as_good_as_not_there() -> None:
    raw = {"restore_id": OLD.restore_id, "token": OLD.token, "point": "other", "phase": "begun", "strategy": "rebuild_cluster"}
    node = {"bare": False, "etcd": {"state": "data", "newest_mtime": NOW - 5}, "record": raw}
    for given in (OLD.restore_id, OLD.token):
        assert host_view("cp1", ["etcd"], node, None, [given]).record is None
    assert host_view("cp1", ["etcd"], node, None, ["another"]).record is not None
    assert host_view("cp1", ["etcd"], {**node, "record": {**raw, "phase": "finished"}}, None).record is None


def test_a_token_belongs_to_one_source() -> None:
    """Case 16 a: what was planned with the survivor's data is no plan for the point's, nor the other way round."""
    planned = dataclasses.replace(OLD, phase="planned", source="survivor")
    hosts = [dataclasses.replace(stopped("cp1"), record=planned), dataclasses.replace(bare("cp2"), record=planned), bare("cp3")]
    plan = recover(hosts, quorum_lost_source="recovery_point")
    assert plan.token != OLD.token
    assert not plan.adopted
    own = dataclasses.replace(OLD, phase="planned")
    hosts = [dataclasses.replace(host, record=own) for host in hosts]
    assert recover(hosts, quorum_lost_source="recovery_point").token == OLD.token
    assert recover(hosts, quorum_lost_source="survivor").token != OLD.token
    # The cluster went on since: what was staged would begin below it.
    ahead = [dataclasses.replace(hosts[0], etcd_revision=SERVED * 2), *hosts[1:]]
    assert recover(ahead, quorum_lost_source="recovery_point").token != OLD.token
    # The same id with another snapshot is another restore.
    resealed = dataclasses.replace(POINT, snapshot_sha256="aa" * 32)
    digest = [dataclasses.replace(host, record=dataclasses.replace(own, snapshot_sha256="bb" * 32)) for host in hosts]
    assert recover(digest, resealed, quorum_lost_source="recovery_point").token != OLD.token


def test_roll_back_takes_every_member() -> None:
    plan = roll_back([alive("cp1"), alive("cp2"), alive("cp3"), alive("w1")])
    assert (plan.strategy, plan.etcd_hosts, plan.stop_hosts, plan.worker_hosts) == ("roll_back", list(MEMBERS), list(MEMBERS), ["w1"])


def test_roll_back_refuses_a_bare_member() -> None:
    with pytest.raises(RecoveryRefused, match="recover_cluster"):
        roll_back([alive("cp1"), bare("cp2"), alive("cp3")])


def test_a_roll_back_that_was_finished_is_history() -> None:
    """Case 10: the same command a second time rolls back a second time."""
    node = {"bare": False, "record": {"phase": "finished", "point": POINT.point, "strategy": "roll_back", "token": OLD.token}}
    assert host_view("cp1", ["etcd"], node, None).record is None
    plan = roll_back([alive(name) for name in MEMBERS])
    assert (plan.strategy, plan.adopted) == ("roll_back", False)


def rolled(host: HostView) -> HostView:
    assert host.record is not None
    return dataclasses.replace(host, record=dataclasses.replace(host.record, strategy="roll_back", playbook="restore_etcd"))


def test_a_roll_back_that_was_stopped_goes_on() -> None:
    plan = roll_back([rolled(restored("cp1")), rolled(restored("cp2", staged=True)), rolled(restored("cp3", "planned", staged=True))])
    assert (plan.strategy, plan.token, plan.etcd_hosts) == ("roll_back", OLD.token, list(MEMBERS))
    # It serves: nothing is put over anybody any more.
    plan = roll_back([rolled(serves("cp1")), rolled(serves("cp2")), rolled(restored("cp3", staged=True))])
    assert (plan.strategy, plan.etcd_hosts, plan.member_hosts) == ("finish_restore", [], ["cp3"])
    # Begun, and the old members were started again: it is rolled back, with another token.
    old = [rolled(restored(name, staged=True, etcd_data=True, etcd_serves=True, etcd_revision=POINT.etcd_revision + 60)) for name in MEMBERS]
    plan = roll_back(old)
    assert (plan.strategy, plan.etcd_hosts) == ("roll_back", list(MEMBERS))


def test_a_roll_back_over_an_unfinished_recovery_that_serves_rolls_back() -> None:
    plan = roll_back([serves("cp1"), serves("cp2"), serves("cp3")])
    assert (plan.strategy, plan.etcd_hosts) == ("roll_back", list(MEMBERS))
    assert plan.token != OLD.token
    assert plan.superseded == dict.fromkeys(MEMBERS, OLD.restore_id)


def test_a_roll_back_into_another_restore_is_refused() -> None:
    with pytest.raises(RecoveryRefused, match="Another restore is unfinished"):
        roll_back([restored("cp1"), restored("cp2"), restored("cp3")])
    lost = rolled(restored("cp2", restores=(), etcd_data=False))
    with pytest.raises(RecoveryRefused, match="etcd has run since, and cp2 was lost"):
        roll_back([rolled(restored("cp1", used=True)), lost, rolled(restored("cp3"))])


@pytest.mark.parametrize(("high", "expected"), [(100, 110), (150, 160)])
def test_the_target_is_above_the_highest_revision_ever_seen(high: int, expected: int) -> None:
    """With a clock that stands before the floor begins."""
    assert target_revision(high, slack=10, now=NOW) == expected


@pytest.mark.parametrize("known", ["point", "member"])
def test_the_bump_leads_from_the_point_to_the_target(known: str) -> None:
    """Whoever knows the highest revision: the catalog, or a member that is still there."""
    point = dataclasses.replace(POINT, etcd_revision=200, high_water_revision=900 if known == "point" else 200)
    hosts = [alive(name, etcd_revision=900 if known == "member" else 0) for name in MEMBERS]
    plan = roll_back(hosts, point, slack=10)
    assert 200 + plan.bump_revision == 910


def test_views_are_read_out_of_module_results() -> None:
    node = {"bare": False, "hostname": "cp1", "identity": {"ca_sha256": CA}, "etcd": {"state": "data", "newest_mtime": 12.5}, "record": None}
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
        recover(everyone, components=demoted)
    with pytest.raises(RecoveryRefused, match="cp2 has no component pki"):
        roll_back(everyone, components=demoted)
    for plan in (lambda: roll_back([], components={}), lambda: recover([], components={})):
        with pytest.raises(RecoveryRefused, match="hold no machine"):
            plan()
    # A node that joined after the backup has nothing in the point, and may.
    assert roll_back([*everyone, alive("w2")], components={**COMPONENTS, "w2": ("node_config",)}).strategy == "roll_back"


@pytest.mark.parametrize(("program", "old", "new"), [("etcd", "3.6.16", "3.7.0"), ("etcd", "3.6.16", "3.5.20"), ("kubelet", "1.34.4", "1.35.0")])
def test_data_of_other_versions_is_refused(program: str, old: str, new: str) -> None:
    """Only where programs stay and data comes: not for patch releases, not for machines that are rebuilt, and not when it is wanted."""
    point = dataclasses.replace(POINT, versions={program: old})
    hosts = [alive(name, versions={program: new}) for name in MEMBERS]
    with pytest.raises(RecoveryRefused, match="%s on cp1 is %s, the point was made with %s" % (program, new, old)):
        roll_back(hosts, point)
    assert roll_back(hosts, point, versions_may_differ=True).strategy == "roll_back"
    patch = old.rpartition(".")[0] + ".99"
    assert roll_back([alive(name, versions={program: patch}) for name in MEMBERS], point).strategy == "roll_back"
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
    hosts = [dataclasses.replace(stopped("cp1"), etcd_own_revision=served), bare("cp2"), bare("cp3"), alive("w1")]
    plan = recover(hosts, quorum_lost_source="survivor", now=earlier + 60)
    after = served + plan.bump_revision
    assert after > served
    lost = [bare(name) for name in MEMBERS]
    again = recover([*lost, alive("w1")], now=earlier + 120)
    assert POINT.etcd_revision + again.bump_revision > after + 3_000


def test_the_survivor_that_got_furthest_is_taken() -> None:
    """Its revision says so, not the time at which its file was touched."""
    first = dataclasses.replace(stopped("cp1"), etcd_own_revision=30, etcd_data_newest=NOW - 50)
    # What the one that got furthest told all others is no revision of theirs.
    hosts = [first, dataclasses.replace(stopped("cp2"), etcd_own_revision=20, etcd_revision=30), bare("cp3")]
    assert recover(hosts, quorum_lost_source="survivor").survivor == "cp1"
    with pytest.raises(RecoveryRefused, match="cp1: last written 50 s ago, revision 30; data on cp2: last written 5 s ago, revision 20"):
        recover(hosts)


def test_a_restore_begun_with_a_survivor_goes_on_with_it() -> None:
    """Without the survivor, which has stopped; who kept keys and configuration keeps them. Whoever says something else is not ignored."""
    saved = dataclasses.replace(OLD, source="survivor", choice="survivor")
    survivor = restored("cp1", staged=True, etcd_data=True, record=dataclasses.replace(saved, restores_files=False))
    hosts = [survivor, restored("cp2", staged=True, record=saved), restored("cp3", staged=True, record=saved, missing_files=("/x",)), alive("w1")]
    with pytest.raises(RecoveryRefused, match="what it saved of the survivor, and quorum_lost_source=recovery_point says something else") as refusal:
        recover(hosts, quorum_lost_source="recovery_point")
    assert f"-e lifeboat_give_up={OLD.restore_id} -e quorum_lost_source=recovery_point" in str(refusal.value)
    for chosen in ("", "survivor"):
        plan = recover(hosts, quorum_lost_source=chosen)
        assert (plan.strategy, plan.source, plan.survivor, plan.token, plan.bump_revision) == ("rebuild_cluster", "survivor", "", OLD.token, OLD.bump_revision)
        assert plan.file_hosts == ["cp2", "cp3"]
        assert "saved of the survivor" in plan.reason
    with pytest.raises(RecoveryRefused, match="saved of the survivor is not on: cp3"):
        recover([*hosts[:2], bare("cp3")])


def test_data_that_an_earlier_run_did_not_see_are_asked_about() -> None:
    """It began when nothing was there, so nobody was asked."""
    hosts = [restored("cp1"), restored("cp2", staged=True), stopped("cp3")]
    with pytest.raises(RecoveryRefused, match="Data of members are there that the earlier run did not see: cp3"):
        recover(hosts)
    assert recover(hosts, quorum_lost_source="recovery_point").token == OLD.token
    asked = [dataclasses.replace(host, record=dataclasses.replace(OLD, choice="recovery_point")) for host in hosts[:2]]
    assert recover([*asked, hosts[2]]).token == OLD.token


# The admin node


def with_admin(point: PointView = POINT) -> PointView:
    return dataclasses.replace(point, artifacts=(*point.artifacts, *("%s/adm.tar.zst.age" % component for component in ADMIN)))


def recover_with_admin(hosts: List[HostView], **options: Any) -> RecoveryPlan:
    return recover(hosts, with_admin(), components={**COMPONENTS, "adm": ADMIN}, **options)


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
    point = dataclasses.replace(point, artifacts=(*ARTIFACTS, "node_config/a-worker.tar.zst.age"))
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


def test_a_choice_of_a_source_is_no_reason_to_let_a_member_forget() -> None:
    """Case 2, by restore_etcd: cp3 with an empty log and cp2 would elect without what cp1 and cp2 acknowledged."""
    mine = dataclasses.replace(OLD, playbook="restore_etcd", strategy="roll_back")
    ran = {"used": True, "record": dataclasses.replace(mine, phase="started"), "etcd_answers": True, "etcd_revision": SERVED}
    lost = alive("cp3", record=mine, etcd_data=False, etcd_answers=False, etcd_serves=False)
    hosts = [restored("cp1", **ran), restored("cp2", used=True, record=mine), lost]
    for chosen in ("", "recovery_point"):
        with pytest.raises(RecoveryRefused, match="etcd has run since, and cp3 was lost"):
            roll_back(hosts, quorum_lost_source=chosen)
    given_up = [dataclasses.replace(host, record=None) for host in hosts]
    plan = roll_back(given_up, give_up=[OLD.restore_id])
    assert (plan.adopted, plan.etcd_hosts) == (False, list(MEMBERS))
    assert plan.token != OLD.token


def test_only_data_of_one_cluster_start_together() -> None:
    """What a restore that was given up put on one machine, and the old data on the others."""
    own = [dataclasses.replace(stopped(name), etcd_answers=False, etcd_own_revision=0, etcd_data_cluster="1a") for name in MEMBERS]
    mixed = [*own[:2], dataclasses.replace(own[2], etcd_data_cluster="2b", etcd_asides=("/var/lib/etcd/member.lifeboat-old",))]
    with pytest.raises(RecoveryRefused, match="quorum_lost_source=members") as refusal:
        recover(mixed)
    assert "data on cp3: last written 5 s ago, of cluster 2b, moved aside by earlier restores: /var/lib/etcd/member.lifeboat-old" in str(refusal.value)
    assert "the data that they have (cp1, cp2)" in str(refusal.value)
    plan = recover(mixed, quorum_lost_source="members")
    assert (plan.start_hosts, plan.member_hosts, plan.stop_hosts) == (["cp1", "cp2"], ["cp3"], ["cp3"])
    three = [dataclasses.replace(host, etcd_data_cluster=cluster) for host, cluster in zip(own, ("1a", "2b", "3c"))]
    with pytest.raises(RecoveryRefused, match="Too few members have data of one cluster: 1, and 2 make a quorum"):
        recover(three, quorum_lost_source="members")


def test_a_store_that_began_by_itself_does_not_hide_the_data_of_the_others() -> None:
    own = [dataclasses.replace(stopped(name), etcd_answers=False, etcd_revision=0, etcd_own_revision=0) for name in ("cp1", "cp2")]
    began = alive("cp3", etcd_revision=3)
    with pytest.raises(RecoveryRefused, match="it is not the cluster of recovery point") as refusal:
        recover([*own, began])
    assert "quorum_lost_source=members" in str(refusal.value)
    plan = recover([*own, began], quorum_lost_source="members")
    assert (plan.strategy, plan.start_hosts, plan.member_hosts, plan.stop_hosts) == ("start_members", ["cp1", "cp2"], ["cp3"], ["cp3"])
    assert "data on cp3" not in str(refusal.value), "its data are no choice"


def test_a_member_that_was_rebuilt_and_stands_still_is_not_torn_down() -> None:
    """Case 17: its run failed after it had been promoted, and its record stayed."""
    back = under_way("cp3", "started", "rebuild_members", etcd_serves=False, etcd_answers=False)
    plan = recover([alive("cp1"), alive("cp2"), back, bare("w1")])
    assert (plan.file_hosts, plan.member_hosts, plan.left_hosts) == (["w1"], [], ["cp3"])
    assert recover([alive("cp1"), alive("cp2"), back], scope=["cp3"]).member_hosts == ["cp3"]
    # It serves: the run is finished, and its record closed.
    plan = recover([alive("cp1"), alive("cp2"), dataclasses.replace(back, etcd_serves=True)])
    assert (plan.member_hosts, plan.start_hosts, plan.record_hosts) == ([], ["cp3"], ["cp3"])


def test_a_marker_without_data_is_no_restore() -> None:
    """rm -rf of all but hidden directories."""
    ran = restored("cp1", used=True, etcd_answers=True, etcd_revision=SERVED)
    lost = restored("cp2", used=True, etcd_data=False)
    with pytest.raises(RecoveryRefused, match="etcd has run since, and cp2, cp3 was lost"):
        recover([ran, lost, dataclasses.replace(lost, name="cp3")])


def test_a_restore_goes_on_onto_its_own_members() -> None:
    mine = dataclasses.replace(OLD, members=tuple(MEMBERS))
    two = [restored(name, staged=True, record=mine) for name in ("cp1", "cp2")]
    with pytest.raises(RecoveryRefused, match="onto other members of etcd: cp1, cp2, cp3") as refusal:
        recover(two, missing_members=["cp3"], unreachable=["cp3"])
    assert f"lifeboat_give_up={OLD.restore_id}" in str(refusal.value)
    planned = [restored(name, "planned", staged=True, record=dataclasses.replace(mine, phase="planned")) for name in ("cp1", "cp2")]
    plan = recover(planned, missing_members=["cp3"], unreachable=["cp3"])
    assert (plan.adopted, sorted(plan.initial_cluster)) == (False, ["cp1", "cp2"])


def test_a_roll_back_of_a_part_is_refused() -> None:
    with pytest.raises(RecoveryRefused, match="A roll back is of the whole cluster"):
        roll_back(LIVING, scope=["cp2"])


def test_the_data_say_how_many_members_make_a_quorum() -> None:
    """A cluster that was restored onto one member, which stands still now; and one of three, which would never get a quorum."""
    alone = dataclasses.replace(stopped("cp1"), etcd_answers=False)
    options = {"missing_members": ["cp2", "cp3"], "unreachable": ["cp2", "cp3"]}
    plan = recover([dataclasses.replace(alone, etcd_data_voters=1)], quorum_lost_source="members", **options)
    assert (plan.strategy, plan.start_hosts) == ("start_members", ["cp1"])
    for voters in (0, 3):
        with pytest.raises(RecoveryRefused, match="Too few members have data of one cluster: 1, and 2 make a quorum"):
            recover([dataclasses.replace(alone, etcd_data_voters=voters)], quorum_lost_source="members", **options)


def test_with_data_of_several_clusters_the_survivor_is_named() -> None:
    """A restore that was given up has a revision that no real data have."""
    old = [dataclasses.replace(stopped(name), etcd_data_cluster="1a", etcd_own_revision=9_000) for name in ("cp1", "cp2")]
    given_up = dataclasses.replace(stopped("cp3"), etcd_data_cluster="2b", etcd_own_revision=200_000_000)
    with pytest.raises(RecoveryRefused, match="Data of several clusters are there") as refusal:
        recover([*old, given_up], quorum_lost_source="survivor")
    assert "-e quorum_lost_source=survivor -e quorum_lost_survivor=cp1" in str(refusal.value)
    assert "-e quorum_lost_source=survivor -e quorum_lost_survivor=cp3" in str(refusal.value)
    assert recover([*old, given_up], quorum_lost_source="survivor", survivor="cp2").survivor == "cp2"
    with pytest.raises(RecoveryRefused, match="w1 has no data of etcd"):
        recover([*old, given_up], quorum_lost_source="survivor", survivor="w1")
    # Data that do not tell belong to the others.
    unknown = dataclasses.replace(given_up, etcd_data_cluster="", etcd_own_revision=9_001)
    assert recover([*old, unknown], quorum_lost_source="survivor").survivor == "cp3"
    further = dataclasses.replace(old[0], etcd_answers=False, etcd_own_revision=9_500)
    assert recover([further, old[1], bare("cp3")], quorum_lost_source="survivor").survivor == "cp1", "the one that got furthest, though the other answers"


def test_a_store_that_began_by_itself_does_not_stand_for_a_cluster_that_could_not_be_asked() -> None:
    blind = [dataclasses.replace(stopped(name), etcd_answers=False, unseen={"its member of etcd": "no certificate"}) for name in ("cp1", "cp2")]
    with pytest.raises(RecoveryRefused, match="its member of etcd on cp1: no certificate"):
        recover([*blind, alive("cp3", etcd_revision=3, etcd_own_revision=3)], quorum_lost_source="recovery_point")


def test_workers_that_get_files_are_stopped_first() -> None:
    half = alive("w1", missing_files=("/etc/kubernetes/kubelet.conf",))
    assert "w1" in recover([bare("cp1"), bare("cp2"), bare("cp3"), half]).stop_hosts
