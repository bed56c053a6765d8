# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of servers in docs/locations.md, out of what was seen of them (rows.json)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.environment import ROOT

ROWS = Path(__file__).parent / "rows.json"
PAGE = ROOT / "docs" / "locations.md"
BEGIN, END = "<!-- table of servers: made by python3 -m tests.servers -->", "<!-- end of the table of servers -->"
TITLES = {
    "versions": "versions",
    "lock": "object lock of a bucket that is made with it",
    "lock_later": "object lock switched on later",
    "write_once": "a locked object stays (write-once)",
    "lock_in_parts": "an upload in parts (above 8 MiB) gets its lock",
    "conditions_versioned": "with versions: a second object under the same name is refused, one request / in parts",
    "conditions_plain": "without versions: the same",
    "replaces": "**Lifeboat in a bucket without versions**",
    "names": "an object below the name of another one (`a`, `a/b`)",
    "tidy": "a rule removes unfinished uploads",
    "checksum": "a wrong checksum is noticed",
    "encryption": "`server_side_encryption: AES256`, no keys configured",
}


def recorded() -> dict[str, dict[str, str]]:
    """What was seen, by the name of the server."""
    found: dict[str, dict[str, str]] = json.loads(ROWS.read_text(encoding="utf-8"))
    return found


def render(rows: dict[str, dict[str, str]]) -> str:
    """The table, a column for each server."""
    names = sorted(rows)
    lines = ["| | %s |" % " | ".join(f"{name} {rows[name]['version']}" for name in names), "|---|%s" % ("---|" * len(names))]
    lines += ["| %s | %s |" % (title, " | ".join(rows[name][key] for name in names)) for key, title in TITLES.items()]
    return "\n".join(lines)


def page_with(rows: dict[str, dict[str, str]]) -> str:
    """The whole page, with this table in it."""
    before, _begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _old, _end, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{render(rows)}\n\n{END}{after}"
