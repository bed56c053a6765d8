# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/variables.md names everything that people may set."""

from __future__ import annotations

from ansible_collections.lifeboat.cluster.plugins.plugin_utils import said
from tests import variables_page


def test_the_page_is_that_of_the_roles() -> None:
    made = variables_page.page()
    assert variables_page.PAGE.read_text(encoding="utf-8") == made, "write it anew: python3 -m tests.environment run python -m tests.variables_page"


def test_every_variable_is_described() -> None:
    assert [variable.name for variable in variables_page.variables() if len(variable.about) < 10] == []


def test_everything_that_is_kept_of_what_the_operator_said_is_on_it() -> None:
    assert set(said.OF_RECOVERIES) - {variable.name for variable in variables_page.variables()} == set()
