# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan says of each machine."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.assignments import (
    Assignment,
    Machine,
    Operator,
    Point,
    assign,
    hosts_entries,
    moved_words,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.recovery_plan import RecoveryPlan

BEFORE = {"adm": {"name": "admin", "address": "192.0.2.10"}, "gone": {"name": "gone", "address": "192.0.2.11"}}
MOVING = {"groups": ["admin"], "domain": "example.org", "never": ["/etc/hostname"]}
POINT = Point(
    nodes=BEFORE,
    names={"admin": "192.0.2.10", "cp1": "192.0.2.21"},
    identity={"kube_system_uid": "uid", "ca_sha256": "ca"},
    artifacts=[
        {"name": "pki/cp1.tar.zst.age", "component": "pki", "plain_sha256": "aa"},
        {"name": "etcd/snapshot.db.zst.age", "component": "etcd", "plain_sha256": "bb"},
        {"name": "tools/etcdutl.zst.age", "component": "tools", "plain_sha256": "cc"},
    ],
    etcd={"revision": 41, "names": {"cp1": "member-one"}},
)


def plan(strategy: str = "rebuild_cluster", **fields: Any) -> RecoveryPlan:
    """One of which only that counts which is given."""
    return RecoveryPlan(strategy=strategy, reason="a test", point="id", **fields)


def machine(name: str = "cp1", address: str = "192.0.2.21", **fields: Any) -> Machine:
    """A control plane."""
    plain: dict[str, Any] = {"components": ["pki", "node_config", "etcd"], "groups": ["control_plane"], "connection": address, "keeps": ["/var/lib/kept"]}
    return Machine(at={"name": name, "address": address, "addresses": [address]}, moving=MOVING, **{**plain, **fields})


def admin(name: str, address: str, **fields: Any) -> Machine:
    """A machine that may come back under another name."""
    return machine(name, address, components=["salt_master"], groups=["admin"], **fields)


def one(plan: RecoveryPlan, machine: Machine, **more: Any) -> Assignment:
    """What cp1 gets."""
    return assign(plan, {"cp1": machine}, POINT, Operator(), **more)["cp1"]


def test_a_rebuilt_machine_gets_everything_and_keeps_nothing() -> None:
    found = one(plan(file_hosts=["cp1"], etcd_hosts=["cp1"]), machine())
    assert found.components == ["pki", "node_config", "etcd"]
    assert found.kept == []
    assert found.groups == ["changes", "planned", "prepare"]
    assert (found.snapshot_artifact, found.snapshot_sha256, found.snapshot_revision) == ("etcd/snapshot.db.zst.age", "bb", 41)
    assert found.member_names == {"cp1": "member-one"}
    assert found.identity == POINT.identity
    assert found.tool_artifact == "tools/etcdutl.zst.age"
    assert found.hosts_entries == {"192.0.2.10": ["admin"], "192.0.2.21": ["cp1"]}


def test_a_member_that_learns_its_data_gets_no_snapshot() -> None:
    assert one(plan("rebuild_members", file_hosts=["cp1"], member_hosts=["cp1"]), machine()).components == ["pki", "node_config"]


def test_a_machine_that_keeps_its_files_gets_data_alone_and_keeps_its_own() -> None:
    found = one(plan("roll_back", etcd_hosts=["cp1"]), machine(has_etcdutl=True))
    assert (found.components, found.kept, found.tool_artifact) == (["etcd"], ["/var/lib/kept"], "")


def test_a_machine_that_is_left_alone_gets_nothing() -> None:
    assert one(plan("rebuild_workers", file_hosts=["w1"]), machine()).components == []


@pytest.mark.parametrize(("source", "components"), [("survivor", ["pki", "node_config"]), ("recovery_point", ["pki", "node_config", "etcd"])])
def test_check_mode_ends_with_the_comparison(source: str, components: list[str]) -> None:
    """Nothing is saved of a survivor then, so there is nothing to compare."""
    found = one(plan(file_hosts=["cp1"], etcd_hosts=["cp1"], source=source), machine(), only_planned=True)
    assert (found.groups, found.components) == (["prepare"], components)


def test_a_point_of_a_part_has_no_data_of_etcd() -> None:
    found = assign(plan("rebuild_admin", file_hosts=["adm"]), {"adm": admin("admin", "192.0.2.10")}, Point(identity=POINT.identity), Operator())["adm"]
    assert (found.snapshot_artifact, found.snapshot_sha256, found.snapshot_revision, found.tool_artifact, found.member_names) == ("", "", 0, "", {})


def test_who_moved_is_followed_by_everybody() -> None:
    machines = {"adm": admin("admin2", "192.0.2.90"), "cp1": machine(), "w1": machine("w1", "192.0.2.31", empty=True)}
    found = assign(plan("rebuild_admin", file_hosts=["adm"]), machines, POINT, Operator(moved_names={"dashboard": "dashboard2"}))
    words = {"admin": "admin2", "admin.example.org": "admin2.example.org", "192.0.2.10": "192.0.2.90", "dashboard": "dashboard2"}
    assert all(one.moved_words == words for one in found.values())
    assert found["adm"].hosts_entries == {"192.0.2.90": ["admin2"], "192.0.2.21": ["cp1"]}
    assert {name: "follow" in one.groups for name, one in found.items()} == {"adm": True, "cp1": True, "w1": False}, "an empty machine has no files that follow"
    assert (found["adm"].kept, found["cp1"].kept) == (["/etc/hostname"], ["/var/lib/kept"])


@pytest.mark.parametrize(
    ("strategy", "machines"),
    [
        ("rebuild_admin", {"adm": admin("admin", "192.0.2.10"), "cp1": machine()}),
        # Of the address of the point it is asked still, whatever it says itself.
        ("rebuild_admin", {"adm": admin("admin", "198.51.100.9", connection="192.0.2.10"), "cp1": machine()}),
        ("nothing", {"adm": admin("admin2", "192.0.2.90"), "cp1": machine()}),
        ("rebuild_workers", {"cp1": machine("cp9", "192.0.2.99")}),
    ],
)
def test_nobody_is_followed_who_has_not_moved(strategy: str, machines: dict[str, Machine]) -> None:
    """What the operator says counts only where one did."""
    found = assign(plan(strategy), machines, POINT, Operator(moved_names={"dashboard": "dashboard2"}))
    assert all(one.moved_words == {} for one in found.values())
    assert not any("follow" in one.groups for one in found.values())


def test_names_of_one_address_stand_together() -> None:
    names = {"cp1": "192.0.2.11", "api.example.org": "192.0.2.11", "cp2": "192.0.2.12", "gone": ""}
    assert hosts_entries(names, {}) == {"192.0.2.11": ["api.example.org", "cp1"], "192.0.2.12": ["cp2"]}


def test_a_name_in_the_place_of_an_address_is_left_out_unless_the_operator_says_so() -> None:
    """Recovery points of an inventory of names; and a mistake of today, which has to be told."""
    names = {"cp1": "cp1.example.org", "cp2": "192.0.2.12", "six": "fd00::11", "fd00::11": "fd00::11"}
    assert hosts_entries(names, {}) == {"192.0.2.12": ["cp2"], "fd00::11": ["six"]}
    assert hosts_entries(names, {"cp1": "192.0.2.11", "cp2": "192.0.2.99"}) == {"192.0.2.11": ["cp1"], "192.0.2.99": ["cp2"], "fd00::11": ["six"]}
    assert hosts_entries({}, {"cp1": "cp1.example.org"}) == {"cp1.example.org": ["cp1"]}


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"name": "admin", "address": "192.0.2.10"}, {}),
        ({"name": "admin", "address": "192.0.2.90"}, {"192.0.2.10": "192.0.2.90"}),
        ({"name": "admin2", "address": "192.0.2.10"}, {"admin": "admin2", "admin.example.org": "admin2.example.org"}),
        ({"name": "", "address": None}, {}),
        ({"name": "admin", "address": "admin.example.com"}, {}),
        ({"name": "admin", "address": "198.51.100.9", "addresses": ["198.51.100.9", "192.0.2.10"]}, {}),
    ],
)
def test_only_what_changed_is_a_word(after: dict[str, Any], words: dict[str, str]) -> None:
    """Of machines that are on both sides."""
    assert moved_words(BEFORE, {"adm": after, "new": {"name": "new", "address": "192.0.2.12"}}, "example.org") == words


def test_without_a_domain_names_stand_alone() -> None:
    assert moved_words(BEFORE, {"adm": {"name": "admin2", "address": "192.0.2.10"}}) == {"admin": "admin2"}
