# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of recovery points as a person reads it: one line a point, the newest last, what is wrong in words."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.known import IN_THE_FUTURE
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.clocks import is_future

_TITLES = ("ID", "STATE", "STATUS", "TAKEN (UTC)", "AGE", "SIZE", "VERIFIED", "DRILL", "KEPT", "COMPONENTS, OR WHY NOT")
_NUMBERS = ("AGE", "SIZE")
_STATUS = {"completed": "completed", "partially_failed": "partial"}


def table(rows: Sequence[Mapping[str, Any]], counts: Mapping[str, int], now: datetime, lacks: str = "") -> List[str]:
    """Lines for the screen, out of rows of the catalog; then how many points there are in all, and what their location does not protect against."""
    cells = [_TITLES, *(_cells(row, now) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_TITLES))]
    return [_line(line, widths) for line in cells] + [summary(len(rows), counts)] + (["Not write-once: %s" % lacks] if lacks else [])


def summary(shown: int, counts: Mapping[str, int]) -> str:
    """How many points are shown, and how many there are of what kind by their names."""
    kinds = ["%d %s" % (number, kind) for kind, number in counts.items() if kind != "all" and number]
    return "%d of %d points%s" % (shown, counts["all"], ": " + ", ".join(kinds) if kinds else "")


def age(seconds: int) -> str:
    """A time span in the largest unit of which there are two or more: ``35m``, ``47h``, ``12d``."""
    minutes = max(seconds, 0) // 60
    return "%dm" % minutes if minutes < 120 else "%dh" % (minutes // 60) if minutes < 48 * 60 else "%dd" % (minutes // (24 * 60))


def size(count: Optional[int]) -> str:
    """Bytes in a unit that leaves at most four digits."""
    if count is None:
        return "-"
    number, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1000 or unit == "TiB":
            break
        number /= 1024
    return "%d %s" % (number, unit) if unit == "B" or number >= 100 else "%.1f %s" % (number, unit)


def _cells(row: Mapping[str, Any], now: datetime) -> Sequence[str]:
    def since(moment: str) -> str:
        seconds = int((now - names.parse_time(moment)).total_seconds())
        return "in %s" % age(-seconds) if is_future(names.parse_time(moment), now) else age(seconds)

    last: Dict[str, Any] = row["last_result"] or {}
    if row["verified_at"]:
        verified = "%s %s" % (row["verified_level"], since(row["verified_at"]))
    elif last.get("verdict") == "failed":
        verified = "FAILED %s" % since(last["at"])
    else:
        verified = "never" if row["taken_at"] else "-"
    return (
        row["id"],
        row["state"],
        _STATUS.get(row["status"], "-"),
        row["taken_at"][:16].replace("T", " ") if row["taken_at"] else "-",
        since(row["taken_at"] or row["opened_at"]) if row["taken_at"] or row["opened_at"] else "-",
        size(row["size_bytes"]),
        verified,
        "%s %s" % (row["drill_verdict"], since(row["drilled_at"])) if row["drilled_at"] else "-",
        "kept" if row["kept"] else "-",
        _what(row),
    )


def _what(row: Mapping[str, Any]) -> str:
    held = " ".join(row["components"]) + (", of %s only" % ", ".join(row["scope"]) if row["scope"] else "")
    if row["missing"]:
        held += "; missing: %s" % ", ".join(row["missing"])
    return "; ".join(
        text
        for text in (held if row["usable"] or row["state"] == IN_THE_FUTURE or not row["reason"] else "", row["reason"], _last(row["last_result"] or {}))
        if text
    )


def _last(result: Mapping[str, Any]) -> str:
    """What the newest result says beyond its verdict: what was brought back, or what is damaged."""
    if result.get("damaged"):
        return "damaged: %s" % ", ".join(result["damaged"])
    if result.get("kind") == "restore" and result.get("hosts"):
        return "restored last: %s of %s" % (", ".join(result["components"]), ", ".join(result["hosts"]))
    return ""


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.rjust(width) if title in _NUMBERS else cell.ljust(width) for cell, width, title in zip(cells, widths, _TITLES)]
    return "  ".join(padded).rstrip()
