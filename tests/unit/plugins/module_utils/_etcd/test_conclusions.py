# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is concluded from a view of a cluster: problems, projections of the quorum, plans for members."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Alarm, Member, Status, prefix_end
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import ClusterView, MemberState, quorum_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, MembershipRefused
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members import health, members, quorum
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members.members import Wanted

CLUSTER = 0xC1


def view(states: str, *, version: str = "3.6.16", own: int = 1, lag: int = 0, alarms: tuple[Alarm, ...] = ()) -> ClusterView:
    """One letter for each member: v voter, d dead voter, l learner, u learner that never started, n sees no leader, s stranger, b behind."""
    entries = []
    for number, letter in enumerate(states, start=1):
        started = letter != "u"
        name, urls = (f"node{number}", (f"https://10.0.0.{number}:2379",)) if started else ("", ())
        member = Member(number, name, (f"https://10.0.0.{number}:2380",), urls, letter in "lu")
        status = None
        if letter not in "du":
            leader, cluster = (0 if letter == "n" else 1), (0xBAD if letter == "s" else CLUSTER)
            status = Status(cluster, number, 100, version, leader, 500, 500, 2, 4096, 2048, letter == "l", (), "")
        entries.append(MemberState(member, urls[0] if urls else "", status, "" if status else "refused", lag if letter == "b" else 0))
    listed = tuple(entry.member for entry in entries)
    return ClusterView("https://127.0.0.1:2379", CLUSTER, own, 1, listed, tuple(entries), alarms)


@pytest.mark.parametrize(("voters", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_majorities(voters: int, needed: int) -> None:
    assert quorum_of(voters) == needed


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ("vvv", {}),
        ("vvd", {"unreachable": "warning"}),
        ("vdd", {"quorum_lost": "error", "unreachable": "warning"}),
        ("vvu", {"learner": "warning", "unstarted": "warning"}),
        ("vvl", {"learner": "warning"}),
        ("nvv", {"no_leader": "error"}),
        ("vvn", {"no_leader": "warning"}),
        ("vvs", {"cluster_id_mismatch": "error"}),
        ("bvv", {"lagging": "error"}),
        ("vvb", {"lagging": "warning"}),
    ],
)
def test_problems(states: str, found: dict[str, str]) -> None:
    assert {problem.id: problem.severity for problem in health.problems(view(states, lag=5000))} == found
    assert set(found) <= set(health.PROBLEM_IDS)


def test_alarms_and_what_is_allowed() -> None:
    seen = health.problems(view("vvv", alarms=(Alarm(2, "NOSPACE"), Alarm(9, "CORRUPT"))))
    # What a store without room holds is whole: it can be read, and saved.
    assert [(problem.id, problem.severity) for problem in seen] == [("alarm_corrupt", "error"), ("alarm_nospace", "warning")]
    assert "node2" in seen[1].message
    assert [problem.id for problem in health.forbidding(seen)] == ["alarm_corrupt"]
    assert health.forbidding(seen, ["alarm_corrupt"]) == []


@pytest.mark.parametrize("version", ["3.0.17", "3.2.32", "3.3.20", "3.4.7", "3.5.0", "3.5.2"])
def test_versions_that_corrupt(version: str) -> None:
    assert {problem.id: problem.severity for problem in health.problems(view("vvv", version=version))} == {"corrupting_version": "error"}


@pytest.mark.parametrize("version", ["3.3.21", "3.3.27", "3.4.8", "3.4.45", "3.5.3", "3.5.33", "3.6.15", "3.6.16", "3.7.2", "3.8.0", "4.0.0"])
def test_versions_that_do_not(version: str) -> None:
    assert health.problems(view("vvv", version=version)) == []


@pytest.mark.parametrize(("version", "newer"), [("3.6.0", "3.6.15"), ("3.6.14", "3.6.15"), ("3.6.0-rc.1", "3.6.15"), ("3.7.0", "3.7.2"), ("3.7.1", "3.7.2")])
def test_versions_that_may_lose_what_they_received(version: str, newer: str) -> None:
    """A warning: no snapshot is forbidden by it."""
    seen = health.problems(view("vvv", version=version))
    assert {problem.id: problem.severity for problem in seen} == {"unsynced_snapshot": "warning"}
    assert f"update to {newer} or newer" in seen[0].message
    assert health.forbidding(seen) == []


@pytest.mark.parametrize(
    ("states", "member", "allowed"),
    [("vvv", 3, True), ("vvd", 3, True), ("vvd", 2, False), ("vvvd", 3, True), ("vvvdd", 3, False), ("v", 1, False), ("vd", 2, False), ("vvl", 3, True)],
)
def test_removals(states: str, member: int, allowed: bool) -> None:
    seen = view(states)
    assert quorum.removal(seen, seen.members[member - 1]).allowed is allowed


@pytest.mark.parametrize(
    ("states", "learner", "allowed"),
    [("v", True, True), ("v", False, False), ("vv", False, True), ("vvd", False, False), ("vvd", True, True), ("vdd", True, False), ("vvvv", False, True)],
)
def test_additions_count_the_worst_case(states: str, learner: bool, allowed: bool) -> None:
    assert quorum.addition(view(states), "new", learner=learner).allowed is allowed


@pytest.mark.parametrize(("states", "allowed"), [("vl", True), ("vu", False), ("vvl", True), ("vvdl", True), ("vvu", True), ("vvdu", False), ("vddl", False)])
def test_promotions_count_the_learner_as_it_is(states: str, allowed: bool) -> None:
    seen = view(states)
    assert quorum.promotion(seen, seen.members[-1]).allowed is allowed


def test_a_projection_in_numbers() -> None:
    seen = view("vvd")
    assert quorum.removal(seen, seen.members[2]).as_result() == {
        "change": "remove member node3",
        "voters_before": 3,
        "healthy_before": 2,
        "tolerance_before": 0,
        "voters": 2,
        "healthy": 2,
        "quorum": 2,
        "tolerance_after": 0,
        "allowed": True,
        "reason": "",
    }


def test_a_member_may_be_named_by_any_sign() -> None:
    seen = view("vvu")
    for wanted in (Wanted("absent", name="node2"), Wanted("absent", peer_url="https://10.0.0.2:2380"), Wanted("absent", member_id="2")):
        assert members.plan(seen, wanted).member == seen.members[1]
    # One that never started has no name yet; its URL is enough.
    assert members.plan(seen, Wanted("absent", "node3", "https://10.0.0.3:2380")).member == seen.members[2]
    for wanted in (Wanted("absent", "node2", "https://10.0.0.3:2380"), Wanted("absent", "node9", "https://10.0.0.2:2380")):
        with pytest.raises(MembershipRefused, match="do not point at one member"):
            members.plan(seen, wanted)
    with pytest.raises(EtcdError, match="which member"):
        members.plan(seen, Wanted("absent"))
    with pytest.raises(EtcdError, match="not hexadecimal"):
        members.plan(seen, Wanted("absent", member_id="node2"))


def test_plans() -> None:
    url = "https://10.0.0.4:2380"
    assert members.plan(view("vvv"), Wanted("learner", "node4", url)).action == members.ADD_LEARNER
    assert members.plan(view("vvv", version="3.3.27"), Wanted("voter", "node4", url)).action == members.ADD_VOTER
    assert members.plan(view("vvvl"), Wanted("voter", "node4", url)).action == members.PROMOTE
    assert members.plan(view("vvvl"), Wanted("learner", "node4", url)).action == members.NOTHING
    assert members.plan(view("vvv"), Wanted("absent", "node4", url)).action == members.NOTHING
    with pytest.raises(MembershipRefused, match="no learners"):
        members.plan(view("vvv", version="3.3.27"), Wanted("learner", "node4", url))
    with pytest.raises(MembershipRefused, match="needs name and peer_url"):
        members.plan(view("vvv"), Wanted("learner", "node4"))


def test_the_list_after_a_change_is_foreseen() -> None:
    seen = view("vvl")
    assert [entry["id"] for entry in members.plan(seen, Wanted("absent", "node2")).members_after()] == ["1", "3"]
    assert [entry["is_learner"] for entry in members.plan(seen, Wanted("voter", "node3")).members_after()] == [False, False, False]
    added = members.plan(view("vv"), Wanted("learner", "node3", "https://10.0.0.3:2380")).members_after()
    assert (added[2]["peer_urls"], added[2]["is_learner"]) == (["https://10.0.0.3:2380"], True)


def test_what_a_joining_member_is_started_with() -> None:
    wanted = Wanted("learner", "node3", "https://10.0.0.3:2380")
    assert members.initial_cluster(view("vvu").members, wanted) == {f"node{number}": f"https://10.0.0.{number}:2380" for number in (1, 2, 3)}
    assert "unstarted-4" in members.initial_cluster(view("vvuu").members, wanted)


@pytest.mark.parametrize(("prefix", "end"), [(b"/a", b"/b"), (b"/a\xff", b"/b"), (b"\xff\xff", b"\0"), (b"", b"\0")])
def test_the_end_of_a_prefix(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end
