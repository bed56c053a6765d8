# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of servers in docs/locations.md is the one that was seen; whether the servers still do so, tests/servers knows."""

from __future__ import annotations

from tests.servers.table import PAGE, TITLES, page_with, recorded


def test_the_page_has_the_table_that_was_seen() -> None:
    """Run `python3 -m tests.servers` when this fails."""
    rows = recorded()
    assert {name for row in rows.values() for name in row} == {"version", *TITLES}
    assert PAGE.read_text(encoding="utf-8") == page_with(rows)
