# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery decides where an earlier one was begun: it goes on, gives way, or asks; and above which revisions a restore has to be."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.refusals import RecoveryRefused
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.tokens import DEFAULT_REVISION_SLACK, target_revision
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import host_view
from tests.unit.plugins.module_utils._recovery.clusters import (
    MEMBERS,
    NOW,
    OLD,
    POINT,
    SERVED,
    alive,
    bare,
    recover,
    restored,
    roll_back,
    serves,
    stopped,
    under_way,
)


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


def test_what_an_earlier_run_thought_of_the_files_is_not_adopted() -> None:
    """Case 9 D: a process was in the way then; the files decide now."""
    record = dataclasses.replace(OLD, restores_files=False, phase="planned")
    plan = recover([bare("cp1"), dataclasses.replace(bare("cp2"), record=record), bare("cp3")])
    assert plan.file_hosts == ["cp1", "cp2", "cp3"]


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


def test_a_store_that_began_by_itself_does_not_stand_for_a_cluster_that_could_not_be_asked() -> None:
    blind = [dataclasses.replace(stopped(name), etcd_answers=False, unseen={"its member of etcd": "no certificate"}) for name in ("cp1", "cp2")]
    with pytest.raises(RecoveryRefused, match="its member of etcd on cp1: no certificate"):
        recover([*blind, alive("cp3", etcd_revision=3, etcd_own_revision=3)], quorum_lost_source="recovery_point")
