# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of CaaSP v3 names exactly the pieces that its data name, each in the table of its kind of machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.docs.platform_tables import data_rows, paths, platform, rows, section

HEADINGS = {
    "every": "On every machine:",
    "admin": "On the admin node also:",
    "control_plane": "On masters also:",
    "workers": "On workers also:",
    "etcd": "On members of etcd also:",
}


@pytest.fixture
def data(repository: Path) -> dict[str, Any]:
    return platform(repository, "caasp3")


@pytest.fixture
def text(repository: Path) -> str:
    return (repository / "docs/caasp3.md").read_text()


@pytest.mark.parametrize("component", ["pki", "node_config"])
def test_tables_and_platform_data_are_equal(component: str, data: dict[str, Any], text: str) -> None:
    found = section(text, component)
    for group, files in data[component]["files"].items():
        table = found.split(f"\n{HEADINGS[group]}\n\n", 1)[1].split("\n\n", 1)[0]
        assert rows(table) == data_rows(files), group
    assert rows(found) == data_rows(data[component]["files"])


def test_the_salt_masters_table_and_platform_data_are_equal(data: dict[str, Any], text: str) -> None:
    assert rows(section(text, "salt_master")) == data_rows(data["salt"]["files"])


def test_what_is_not_restored_unasked_is_listed(data: dict[str, Any], text: str) -> None:
    assert paths(section(text, "node_config")) == set(data["node_config"]["never"])
    assert paths(section(text, "velum_database")) == set(data["keep_target"])


def test_what_moves_with_an_admin_node_is_listed(data: dict[str, Any], text: str) -> None:
    found, moving = section(text, "Another name or address"), data["moving"]
    assert paths(found) == {entry["path"] for entry in moving["files"]}
    for word in (*moving["rows"]["names"], *moving["certificates"]["checks"], *moving["certificates"]["command"], *moving["never"], moving["domain"]):
        assert f"`{word}`" in found, word


def test_the_databases_tables_are_listed(data: dict[str, Any], text: str) -> None:
    found = section(text, "velum_database")
    for heading, key in (("Rows that count", "state_tables"), ("Structure only", "volatile_tables")):
        (line,) = re.findall(rf"^- \*\*{heading}\*\*: ([^.]*)\.", found, flags=re.MULTILINE)
        assert re.findall(r"`(\w+)`", line) == data["velum_database"][key]


def test_every_component_has_its_section(data: dict[str, Any], text: str) -> None:
    for component in data["component_order"]:
        found = section(text, component)
        assert "**Restore alone**" in found, component
        assert "**Verified" in found, component
        assert f"(#{component})" in text, "the first table leads to it"


def test_the_overrides_for_plain_units_name_services_of_the_platform(data: dict[str, Any], text: str) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", section(text, "Admin services as plain units"), flags=re.DOTALL)
    overrides = yaml.safe_load(example)["lifeboat_platform_overrides"]
    assert set(overrides) <= set(data)
    assert set(overrides["services"]) <= set(data["services"])
    static_pods = {name for group in data["start"]["admin"] for name in group if data["services"][name]["kind"] == "static_pod"}
    assert static_pods <= set(overrides["services"]), "none is left a pod"
