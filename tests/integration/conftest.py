# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How this suite is spread over several workers (``--dist=loadfile``): each file goes to one of them as a whole, and so do some directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

HERE = Path(__file__).parent

# Directories whose files share a server that is expensive to make: two workers would make two of it.
TOGETHER = ("salt", "stores")

# What takes longest begins first, so that no worker is left with it in the end; all others follow by name.
FIRST = (
    "salt",
    "node/test_node_services.py",
    "recovery_point/test_artifacts.py",
    "stores",
    "recovery_point/test_roles.py",
    "etcd_v2/test_roles.py",
)


def unit_of(nodeid: str) -> str:
    """The name of what a test goes to a worker with."""
    path = nodeid.partition("::")[0].rpartition("tests/integration/")[2]
    directory = path.partition("/")[0]
    return directory if directory in TOGETHER else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """By units; only for the way of distribution that is closest to it."""
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = unit_of
    return scheduler


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of units is that of the tests."""
    missing = [name for name in FIRST if not (HERE / name).exists()]
    assert not missing, f"{Path(__file__).name} names what is not there: {missing}"
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(unit_of(item.nodeid), len(FIRST)))
