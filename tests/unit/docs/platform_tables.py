# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of paths in the documentation of a platform, and the same out of its data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

Row = tuple[str, str, str]


def platform(repository: Path, name: str) -> dict[str, Any]:
    """The data of a platform, as its file has them."""
    found: dict[str, Any] = yaml.safe_load((repository / "roles/platform/files" / f"{name}.yml").read_text())
    return found


def entries(data: Any) -> list[dict[str, Any]]:
    """Everything in a list, or in lists by group."""
    return list(data) if isinstance(data, list) else [entry for group in data.values() for entry in group]


def rows(text: str) -> set[Row]:
    """Rows of tables whose first cell is an absolute path."""
    return set(re.findall(r"^\| `(/[^`]+)` \| (.*?) \| (yes|if there) \|$", text, flags=re.MULTILINE))


def data_rows(data: Any) -> set[Row]:
    """The rows that the data would have."""
    return {(str(entry["path"]), str(entry["why"]), "yes" if entry["required"] else "if there") for entry in entries(data)}


def paths(text: str) -> set[str]:
    """Items of lists that are nothing but an absolute path."""
    return set(re.findall(r"^- `(/[^`]+)`$", text, flags=re.MULTILINE))


def section(text: str, title: str) -> str:
    """The text below a heading of the second level."""
    return text.split("\n## %s\n" % title, 1)[1].split("\n## ", 1)[0]
