# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a platform's data say for the machines of some groups."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.cluster.plugins.filter.for_groups import FilterModule, for_groups

DATA = {"etcd": ["e", "a"], "workers": ["w"], "every": ["a", "b"], "admin": []}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["workers", "all"], ["a", "b", "w"]),
        (["etcd", "workers"], ["a", "b", "w", "e"]),
        (["control_plane"], ["a", "b"]),
        (["admin"], ["a", "b"]),
        ([], ["a", "b"]),
    ],
)
def test_what_is_for_every_machine_comes_first_and_nothing_twice(groups: list[str], expected: list[str]) -> None:
    assert for_groups(DATA, groups) == expected


def test_a_list_is_for_every_machine() -> None:
    assert for_groups([{"path": "/etc/hosts"}], ["workers"]) == [{"path": "/etc/hosts"}]


def test_the_data_are_not_changed() -> None:
    data = {"every": ["a"], "etcd": ["b"]}
    for_groups(data, ["etcd"]).append("c")
    assert data == {"every": ["a"], "etcd": ["b"]}


@pytest.mark.parametrize(("data", "message"), [({"master": ["a"]}, "no group master"), ("/etc/hosts", "not str"), (None, "not NoneType")])
def test_a_misspelled_group_and_what_is_no_list_are_refused(data: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        for_groups(data, ["admin"])


def test_it_is_known_by_its_name() -> None:
    assert FilterModule().filters() == {"for_groups": for_groups}
