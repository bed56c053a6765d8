# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python a machine has to have: that of the ansible-core that is used, not of this collection alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.module_utils import basic
from ansible.parsing.dataloader import DataLoader
from ansible.release import __version__
from ansible.template import Templar, trust_as_template

from tests.environment import ROOT

TASKS: list[dict[str, Any]] = yaml.safe_load((ROOT / "roles/platform/tasks/discover.yml").read_text())
TASK = next(task for task in TASKS if task["name"] == "Check that the machines can be reached")
CHECK = next(check for check in TASK["lifeboat.cluster.check"]["checks"] if check["id"] == "platform.python")


def rendered(text: str, core: str) -> str:
    """A text of the check."""
    oldest = trust_as_template(TASK["vars"]["platform_oldest_python"])
    templar = Templar(DataLoader(), variables={"ansible_version": {"full": core}, "platform_oldest_python": oldest})
    return str(templar.template(trust_as_template(text)))


@pytest.mark.parametrize(("core", "oldest"), [("2.19.14", "3.8"), ("2.20.0", "3.9"), ("2.21.5", "3.9")])
def test_the_check_and_its_remedy_say_the_same(core: str, oldest: str) -> None:
    assert f"Python {oldest} or newer" in rendered(CHECK["expected"], core)
    assert f"Put a Python {oldest} or newer" in rendered(CHECK["remedy"], core)


def test_the_bound_is_that_of_the_core_that_is_installed() -> None:
    """Its own constant; a newer core that wants more than is known here is noticed."""
    assert rendered("{{ platform_oldest_python }}", __version__) == ".".join(map(str, basic._PY_MIN))
