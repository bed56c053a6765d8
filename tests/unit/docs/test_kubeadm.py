# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of a platform names exactly the pieces that its data name."""

from __future__ import annotations

from pathlib import Path

from tests.unit.docs.platform_tables import data_rows, paths, platform, rows, section


def test_tables_and_platform_data_are_equal(repository: Path) -> None:
    data = platform(repository, "kubeadm")
    text = (repository / "docs/kubeadm.md").read_text()
    assert rows(section(text, "pki")) == data_rows(data["pki"]["files"])
    assert rows(section(text, "node_config")) == data_rows(data["node_config"]["files"])
    assert paths(section(text, "node_config")) == set(data["node_config"]["never"])


def test_every_component_has_its_section(repository: Path) -> None:
    text = (repository / "docs/kubeadm.md").read_text()
    for component in platform(repository, "kubeadm")["component_order"]:
        assert "**Restore alone**" in section(text, component), component
