# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of a platform names exactly the pieces that its data names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Set, Tuple

import yaml

Row = Tuple[str, str, str]


def rows(text: str) -> Set[Row]:
    """Rows of tables whose first cell is an absolute path."""
    return set(re.findall(r"^\| `(/[^`]+)` \| (.*?) \| (yes|if there) \|$", text, flags=re.MULTILINE))


def data_rows(entries: list[Dict[str, object]]) -> Set[Row]:
    return {(str(entry["path"]), str(entry["why"]), "yes" if entry["required"] else "if there") for entry in entries}


def section(text: str, title: str) -> str:
    return text.split("\n## %s\n" % title, 1)[1].split("\n## ", 1)[0]


def test_tables_and_platform_data_are_equal(repository: Path) -> None:
    data = yaml.safe_load((repository / "roles/platform/files/kubeadm.yml").read_text())
    text = (repository / "docs/kubeadm.md").read_text()
    assert rows(section(text, "pki")) == data_rows(data["pki"]["files"])
    every = [entry for entries in data["node_config"]["files"].values() for entry in entries]
    assert rows(section(text, "node_config")) == data_rows(every)
    assert set(re.findall(r"^- `(/[^`]+)`$", section(text, "node_config"), flags=re.MULTILINE)) == set(data["node_config"]["never"])


def test_every_component_has_its_section(repository: Path) -> None:
    data = yaml.safe_load((repository / "roles/platform/files/kubeadm.yml").read_text())
    text = (repository / "docs/kubeadm.md").read_text()
    for component in data["component_order"]:
        assert "**Restore alone**" in section(text, component), component
