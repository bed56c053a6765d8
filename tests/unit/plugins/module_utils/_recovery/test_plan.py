# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery decides, for every state in which a cluster can be found."""

from __future__ import annotations

import dataclasses
from typing import List

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.refusals import RecoveryRefused
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.tokens import DEFAULT_REVISION_SLACK
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import HostView, host_view, point_view
from tests.unit.plugins.module_utils._recovery.clusters import (
    CA,
    COMPONENTS,
    LIVING,
    MEMBERS,
    NOW,
    POINT,
    SERVED,
    alive,
    bare,
    recover,
    roll_back,
    serves,
    stopped,
)


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
    point = dataclasses.replace(POINT, artifacts=tuple(name for name in POINT.artifacts if not name.startswith("pki/cp2")))
    with pytest.raises(RecoveryRefused, match="pki/cp2"):
        recover([bare("cp1"), bare("cp2"), bare("cp3")], point)


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


def test_data_that_are_newer_than_etcd_are_refused_whoever_wants_them() -> None:
    """etcd 3.6 does not start on data of 3.7; found before anything is stopped, also where it does not answer."""
    point = dataclasses.replace(POINT, storage_version="3.7.0", versions={"etcd": "3.7.3"})
    old = {"etcd": "3.6.16"}
    for hosts in ([alive(name, versions=old) for name in MEMBERS], [dataclasses.replace(stopped(name), versions=old) for name in MEMBERS]):
        with pytest.raises(RecoveryRefused, match="the snapshot is of 3.7.0; etcd on cp1 is 3.6.16, etcd on cp2 is 3.6.16") as refusal:
            roll_back(hosts, point, versions_may_differ=True)
        assert "install etcd 3.7.3 on the machines named" in str(refusal.value)
    new = [alive(name, versions={"etcd": "3.7.3"}) for name in MEMBERS]
    assert roll_back(new, point).strategy == "roll_back"
    # A machine that is rebuilt gets the manifest of the point, and with it the etcd that fits.
    assert recover([dataclasses.replace(bare(name), versions=old) for name in MEMBERS], point).strategy == "rebuild_cluster"


def test_the_survivor_that_got_furthest_is_taken() -> None:
    """Its revision says so, not the time at which its file was touched."""
    first = dataclasses.replace(stopped("cp1"), etcd_own_revision=30, etcd_data_newest=NOW - 50)
    # What the one that got furthest told all others is no revision of theirs.
    hosts = [first, dataclasses.replace(stopped("cp2"), etcd_own_revision=20, etcd_revision=30), bare("cp3")]
    assert recover(hosts, quorum_lost_source="survivor").survivor == "cp1"
    with pytest.raises(RecoveryRefused, match="cp1: last written 50 s ago, revision 30; data on cp2: last written 5 s ago, revision 20"):
        recover(hosts)


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


def test_workers_that_get_files_are_stopped_first() -> None:
    half = alive("w1", missing_files=("/etc/kubernetes/kubelet.conf",))
    assert "w1" in recover([bare("cp1"), bare("cp2"), bare("cp3"), half]).stop_hosts
