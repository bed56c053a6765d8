# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery decides where members of etcd have machines of their own: no member is a control plane, no control plane a member."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Mapping, Sequence

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.plan import plan_recovery, plan_roll_back
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.recovery_plan import RecoveryPlan
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.refusals import RecoveryRefused
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import HostView, host_view, point_view
from tests.unit.plugins.module_utils._recovery.clusters import CA, NOW, empty, living, point_of, seen_of

ETCD_CA = "cd" * 32
MEMBERS = {"e%d" % number: "https://10.0.0.3%d:2380" % number for number in (1, 2, 3)}
MASTERS = ("cp1", "cp2", "cp3")
COMPONENTS = {**dict.fromkeys(MEMBERS, ("pki", "node_config", "etcd")), **dict.fromkeys(MASTERS, ("pki", "node_config")), "w1": ("node_config",)}
GROUPS = {**dict.fromkeys(MEMBERS, ("etcd",)), **dict.fromkeys(MASTERS, ("control_plane",)), "w1": ("workers",)}
POINT = point_of(MEMBERS, COMPONENTS, etcd_ca_sha256=ETCD_CA)


def alive(name: str, **changes: Any) -> HostView:
    # A member alone has no other authority than etcd's, a worker none of etcd's.
    authorities = {"ca_sha256": None if name in MEMBERS else CA, "etcd_ca_sha256": None if name == "w1" else ETCD_CA}
    return living(name, GROUPS[name], **{**authorities, **changes})


def bare(name: str) -> HostView:
    return empty(name, GROUPS[name])


def machines(lost: Sequence[str] = (), **changed: HostView) -> List[HostView]:
    return [changed.get(name) or (bare(name) if name in lost else alive(name)) for name in COMPONENTS]


def recover(hosts: Sequence[HostView], **options: Any) -> RecoveryPlan:
    return plan_recovery(seen_of(hosts, COMPONENTS, **options), POINT)


def groups(plan: RecoveryPlan) -> Mapping[str, List[str]]:
    return {name: plan.groups(name) for name in COMPONENTS}


def test_of_nothing_left_members_start_first_and_api_servers_when_they_serve() -> None:
    plan = recover(machines(tuple(COMPONENTS)))
    assert (plan.situation, plan.strategy) == ("cluster_lost", "rebuild_cluster")
    assert (plan.etcd_hosts, plan.voters, plan.initial_cluster) == (list(MEMBERS), 3, MEMBERS)
    assert plan.file_hosts == list(COMPONENTS)
    assert (plan.start_hosts, plan.api_hosts, plan.worker_hosts) == ([*MEMBERS, *MASTERS], list(MASTERS), ["w1"])
    for name, of in groups(plan).items():
        assert ("control_plane" in of, "api_servers" in of, "workers" in of) == (name in MEMBERS, name in MASTERS, name == "w1"), name
    assert plan.speaker == "cp1"
    assert plan.restored_components["e1"] == ["pki", "node_config", "etcd"]
    assert plan.restored_components["cp1"] == ["pki", "node_config"]


def test_all_control_planes_lost_and_no_snapshot_is_put_over_the_living_data() -> None:
    plan = recover(machines(MASTERS))
    assert plan.situation == "machines_lost"
    assert (plan.etcd_hosts, plan.member_hosts, plan.bump_revision) == ([], [], 0)
    assert (plan.file_hosts, plan.api_hosts, plan.stop_hosts) == (list(MASTERS), list(MASTERS), [])
    assert "etcd" not in {component for components in plan.restored_components.values() for component in components}
    assert not {"prepare", "stop", "control_plane", "members", "planned"} & {group for name in MEMBERS for group in plan.groups(name)}
    assert plan.speaker == "cp1"


def test_one_member_lost_leaves_and_joins_and_an_untouched_control_plane_speaks() -> None:
    plan = recover(machines(("e2",)))
    assert (plan.situation, plan.strategy) == ("members_lost", "rebuild_members")
    assert (plan.member_hosts, plan.etcd_hosts, plan.start_hosts, plan.api_hosts) == (["e2"], [], [], [])
    assert plan.living_members == ["e1", "e3"]
    assert plan.speaker == "cp1"
    assert "members" in plan.groups("e2")


def test_a_member_and_a_control_plane_lost_at_once() -> None:
    plan = recover(machines(("e1", "cp1")))
    assert (plan.member_hosts, plan.api_hosts, plan.file_hosts) == (["e1"], ["cp1"], ["e1", "cp1"])
    # One that was not touched.
    assert plan.speaker == "cp2"


def test_a_whole_cluster_is_looked_at_by_a_control_plane() -> None:
    plan = recover(machines())
    assert (plan.strategy, plan.speaker) == ("nothing", "cp1")
    assert "cluster" in plan.groups("cp1")


def test_all_members_lost_and_api_servers_that_keep_their_files_are_stopped_and_started_after_them() -> None:
    plan = recover(machines(tuple(MEMBERS)))
    assert (plan.situation, plan.etcd_hosts, plan.file_hosts) == ("cluster_lost", list(MEMBERS), list(MEMBERS))
    assert (plan.stop_hosts, plan.api_hosts) == (list(MASTERS), list(MASTERS))
    assert plan.speaker == "cp1"


def test_without_a_quorum_a_lost_member_is_not_brought_back_alone_and_a_lost_control_plane_is() -> None:
    silent = {name: alive(name, etcd_serves=False) for name in MEMBERS}
    with pytest.raises(RecoveryRefused, match="can't come back alone"):
        recover(machines(("e1",), e2=silent["e2"], e3=silent["e3"]), scope=["e1"])
    plan = recover(machines(("cp1",), **silent), scope=["cp1"])
    assert (plan.situation, plan.file_hosts, plan.api_hosts) == ("part_lost", ["cp1"], ["cp1"])


def test_data_of_members_that_nobody_serves_are_asked_about_with_the_control_planes_whole() -> None:
    silent = {name: alive(name, etcd_serves=False, etcd_answers=False) for name in ("e1", "e2")}
    with pytest.raises(RecoveryRefused):
        recover(machines(("e3",), **silent))
    plan = recover(machines(("e3",), **silent), quorum_lost_source="recovery_point")
    assert (plan.etcd_hosts, plan.file_hosts) == (list(MEMBERS), ["e3"])
    assert plan.stop_hosts == ["e1", "e2", *MASTERS]


def test_a_roll_back_stops_and_starts_everybody_api_servers_last() -> None:
    plan = plan_roll_back(seen_of(machines(), COMPONENTS), POINT)
    assert (plan.strategy, plan.etcd_hosts) == ("roll_back", list(MEMBERS))
    assert plan.stop_hosts == plan.start_hosts == [*MEMBERS, *MASTERS]
    assert plan.api_hosts == list(MASTERS)


def test_where_members_are_control_planes_nobody_waits_for_them() -> None:
    both = [dataclasses.replace(bare(name), groups=("etcd", "control_plane")) for name in MEMBERS]
    plan = recover([*both, bare("w1")])
    assert (plan.start_hosts, plan.api_hosts) == (list(MEMBERS), [])


def test_a_member_with_the_authority_of_another_etcd_is_a_stranger() -> None:
    with pytest.raises(RecoveryRefused, match="These members of etcd belong to another cluster: e2"):
        recover(machines(e2=alive("e2", etcd_ca_sha256="ef" * 32)))
    # An old point does not say whose it was, an empty machine has none, and a stacked one is known by the cluster's authority.
    old = dataclasses.replace(POINT, etcd_ca_sha256="")
    assert plan_recovery(seen_of(machines(e2=alive("e2", etcd_ca_sha256="ef" * 32)), COMPONENTS), old).strategy == "nothing"
    assert recover(machines(cp1=alive("cp1", etcd_ca_sha256="ef" * 32))).strategy == "nothing"


def test_the_authority_of_etcd_is_read_from_what_was_seen_and_from_the_manifest() -> None:
    node = {"bare": False, "identity": {"ca_sha256": None, "etcd_ca_sha256": ETCD_CA}}
    view = host_view("e1", ("etcd",), node, None)
    assert (view.ca_sha256, view.etcd_ca_sha256) == (None, ETCD_CA)
    manifest = {"id": "20261120T120000Z-aaaaaa", "fingerprints": {"etcd_ca_sha256": ETCD_CA}}
    assert point_view(manifest, 0, NOW).etcd_ca_sha256 == ETCD_CA
    assert point_view({"id": "20261120T120000Z-aaaaaa"}, 0, NOW).etcd_ca_sha256 == ""


def test_a_member_alone_comes_back_while_another_machine_is_unreachable_and_a_control_plane_speaks() -> None:
    hosts = [host for host in machines(("e2",)) if host.name != "w1"]
    plan = plan_recovery(seen_of(hosts, COMPONENTS, ["w1"], scope=["e2"]), POINT)
    assert (plan.rebuilt_hosts, plan.speaker, plan.member_hosts) == (["e2"], "cp1", ["e2"])
