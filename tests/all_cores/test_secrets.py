# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret is in no text that a module, an action or a playbook leaves, whatever the ansible-core does with no_log."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import core_environments
from tests.core_environments import Cell
from tests.cores.planted import Planted, refusing_server

# Fewer would mean that a part of them is gone.
FEWEST_TASKS = 90


@pytest.mark.parametrize("cell", [core_environments.own(), *core_environments.usual()], ids=str)
def test_failures_tell_no_secret(cell: Cell, tmp_path: Path) -> None:
    """Every module and action that takes one fails as it does for people; screen (-vvv), journals and reports are searched."""
    with refusing_server() as server:
        planted = Planted(tmp_path, server)
        assert len(planted.tasks()) > FEWEST_TASKS
        directory = cell.directory()
        shown = planted.play(directory) + planted.whole_playbooks(directory)
        leaks = planted.leaks(shown)
    assert not leaks, "\n".join(str(hit) for hit in leaks)
