# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a node that is gone is still known, and what says that it is not gone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.leaving import PLACES, LeavingRefused, Seen, find, judge

OLD, LIVING = "0a3f5c7e9b1d4f60a2c4e6081a2b3c4d", "ffffffffffffffffffffffffffffffff"
SALT: dict[str, Any] = {
    "accepted": {LIVING: "aa:01"},
    "pending": {},
    "rejected": {OLD: "bb:02"},
    "denied": {OLD: "cc:03"},
    "data": [LIVING, OLD],
    "mine": [OLD],
    "answers": {"running": True, "reason": "", "present": [LIVING], "answered": [LIVING]},
}
SEEN = Seen(
    nodes=[{"name": "w1", "uid": "u1", "ready": True, "machine_id": LIVING}, {"name": "w9", "uid": "u9", "ready": False, "machine_id": OLD}],
    members=[{"id": "1", "name": LIVING}, {"id": "9", "name": OLD}],
    statuses=[{"name": LIVING, "reachable": True}, {"name": OLD, "reachable": False}],
    machines={"w1": {"hostname": "w1", "machine_id": LIVING}},
    salt=SALT,
    rows=[{"minion_id": LIVING, "fqdn": "w1.example.org"}, {"minion_id": OLD, "fqdn": "W9.example.org"}],
)


def seen(**changes: Any) -> Seen:
    return dataclasses.replace(SEEN, **changes)


def test_all_places_are_named_in_order() -> None:
    """With what can be looked up there, in every state of the key; the cache goes last."""
    leaving = find(OLD, SEEN)
    assert leaving.name == "w9"
    assert leaving.places == ["node", "etcd", "database", "keys", "cache"]
    assert leaving.traces == {
        "database": [f"{OLD} W9.example.org"],
        "keys": ["rejected bb:02", "denied cc:03"],
        "cache": ["data", "mine"],
        "etcd": [f"9 {OLD}"],
        "node": ["w9 u9"],
    }
    judge(leaving, SEEN)


def test_nothing_is_left() -> None:
    """Of a node that nobody knows."""
    leaving = find("eeee", SEEN)
    assert (leaving.name, leaving.places) == ("eeee", [])
    assert set(leaving.traces) == set(PLACES)


def test_without_salt_and_database() -> None:
    """A node is known by its name alone."""
    other = seen(salt=None, rows=None, members=[{"id": "9", "name": "w9"}], statuses=[])
    leaving = find("w9", other)
    assert leaving.places == ["node", "etcd"]
    judge(leaving, other)


@pytest.mark.parametrize("missing", ["rows", "nodes", "both"])
def test_the_name_is_told_by_row_or_kubelet(missing: str) -> None:
    """Or given, when neither is there any more."""
    without = {"rows": {"rows": []}, "nodes": {"nodes": []}, "both": {"rows": [], "nodes": []}}[missing]
    assert find(OLD, seen(**without)).name == (OLD if missing == "both" else "w9")
    assert find(OLD, seen(**without), "w9").name == "w9"


def test_two_names_are_refused() -> None:
    """Row and kubelet contradict each other."""
    with pytest.raises(LeavingRefused, match="w8, w9"):
        find(OLD, seen(rows=[{"minion_id": OLD, "fqdn": "w8"}]))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"salt": {**SALT, "answers": {**SALT["answers"], "present": [OLD]}}}, "connected to the Salt master"),
        ({"salt": {**SALT, "answers": {**SALT["answers"], "answered": [OLD]}}}, "answers test.ping"),
        ({"nodes": [{"name": "w9", "uid": "u9", "ready": True, "machine_id": OLD}]}, "Node w9 is Ready"),
        ({"statuses": [{"name": OLD, "reachable": True}]}, "etcd member .* answers"),
        ({"machines": {"any": {"hostname": "w9", "machine_id": "new"}}}, "the machine any of the inventory"),
        ({"machines": {"any": {"hostname": "other", "machine_id": OLD}}}, "the machine any of the inventory"),
        ({"salt": {**SALT, "answers": None}}, "could not be asked"),
        ({"salt": {**SALT, "answers": {"running": False, "reason": "it is stopped"}}}, "it is stopped"),
    ],
)
def test_a_sign_of_life_is_a_refusal(changes: dict[str, Any], text: str) -> None:
    """Each alone is enough; a master that can't be asked is no proof."""
    other = seen(**changes)
    with pytest.raises(LeavingRefused, match=text):
        judge(find(OLD, other), other)
