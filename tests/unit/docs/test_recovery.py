# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/recovery.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery import plan, situations

TEXT = (Path(__file__).parents[3] / "docs" / "recovery.md").read_text()


def test_the_table_of_situations_is_that_of_the_code() -> None:
    begin, end = "<!-- situations: begin -->\n", "<!-- situations: end -->"
    assert TEXT[TEXT.index(begin) + len(begin) : TEXT.index(end)] == situations.table(), "write the output of situations.table() into docs/recovery.md"


def test_every_situation_has_its_row_and_its_function() -> None:
    for table in (situations.DESCRIPTIONS, plan.PLANNERS):
        assert set(table) == set(situations.Situation)
