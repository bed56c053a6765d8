# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What machines were called and are called."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.cluster.plugins.filter.moved_words import FilterModule, moved_words

BEFORE = {"adm": {"name": "admin", "address": "192.0.2.10"}, "gone": {"name": "gone", "address": "192.0.2.11"}}


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
    """No name in no domain."""
    assert moved_words(BEFORE, {"adm": {"name": "admin2", "address": "192.0.2.10"}}) == {"admin": "admin2"}


def test_anything_else_is_refused() -> None:
    """A list is no dictionary."""
    with pytest.raises(AnsibleFilterError, match="not list"):
        FilterModule().filters()["moved_words"](BEFORE, [])
