# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release of etcd can restore what, and which starts on it."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils.releases import restores_since, serves


def test_the_restorer_is_as_new_as_the_data_and_able_to_raise_a_revision() -> None:
    assert restores_since("") == (3, 5, 10)
    assert restores_since("", bump=False) == (3, 5, 0)
    assert restores_since("3.5.0") == (3, 5, 10)
    assert restores_since("3.6.0", bump=False) == (3, 6, 0)
    assert restores_since("3.7.0") == (3, 7, 0)


@pytest.mark.parametrize(
    ("release", "data", "does"),
    [
        ("3.6.16", "3.7.0", False),
        ("3.6.16", "3.6.0", True),
        ("3.7.3", "3.6.0", True),
        ("3.7.3", "3.8.0", False),
        # They do not look.
        ("3.5.35", "3.7.0", True),
        ("3.4.23", "3.6.0", True),
        # Data of before 3.6 say nothing; and what nobody could ask is no reason to refuse.
        ("3.6.16", "", True),
        ("", "3.7.0", True),
    ],
)
def test_what_starts_on_which_data(release: str, data: str, does: bool) -> None:
    assert serves(release, data) is does
