# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses turned round."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.cluster.plugins.filter.hosts_entries import FilterModule, hosts_entries


def test_names_of_one_address_stand_together() -> None:
    names = {"cp1": "192.0.2.11", "api.example.org": "192.0.2.11", "cp2": "192.0.2.12"}
    assert hosts_entries(names) == {"192.0.2.11": ["api.example.org", "cp1"], "192.0.2.12": ["cp2"]}


def test_a_name_that_could_not_be_looked_up_is_left_out() -> None:
    assert hosts_entries({"gone": "", "cp1": "192.0.2.11"}) == {"192.0.2.11": ["cp1"]}


def test_a_name_in_the_place_of_an_address_is_left_out_unless_the_operator_says_so() -> None:
    """Recovery points of an inventory of names; and a mistake of today, which has to be told."""
    names = {"cp1": "cp1.example.org", "cp2": "192.0.2.12", "six": "fd00::11"}
    assert hosts_entries(names) == {"192.0.2.12": ["cp2"], "fd00::11": ["six"]}
    assert hosts_entries(names, {"cp1": "192.0.2.11", "cp2": "192.0.2.99"}) == {"192.0.2.11": ["cp1"], "192.0.2.99": ["cp2"], "fd00::11": ["six"]}
    assert hosts_entries({}, {"cp1": "cp1.example.org"}) == {"cp1.example.org": ["cp1"]}


def test_a_machine_that_is_called_by_an_address_needs_no_entry() -> None:
    assert hosts_entries({"fd00::11": "fd00::11", "192.0.2.12": "192.0.2.12", "cp3": "fd00::13"}) == {"fd00::13": ["cp3"]}


def test_anything_but_a_dictionary_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="not list"):
        hosts_entries(["cp1"])


def test_it_is_known_by_its_name() -> None:
    assert FilterModule().filters() == {"hosts_entries": hosts_entries}
