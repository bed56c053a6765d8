# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks with Ansible, on each supported ansible-core but the locked one; the suite `all_cores` has the long rest."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests import core_environments
from tests.core_environments import Cell
from tests.cores import running

# The first second, on a machine that does other things beside.
FIRST_SECONDS = 15


@pytest.mark.parametrize("cell", core_environments.usual(), ids=str)
def test_actions_modules_filters_and_a_playbook(cell: Cell, tmp_path: Path) -> None:
    """They pass, and no playbook run of theirs is told of a deprecation (``tests/integration/playbooks.py`` refuses one)."""
    assert running.fits(cell)
    running.passes(cell.directory(), running.SHORT, tmp_path / "junit.xml")


@pytest.mark.parametrize("playbook", ["list_recovery_points", "recover_cluster"])
def test_a_core_that_is_too_old_is_refused_with_a_sentence(playbook: str, tmp_path: Path) -> None:
    """By a real one, before anything is done."""
    cell = core_environments.refused()
    assert running.fits(cell)
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"vars": {"lifeboat_cluster_name": "shop", "lifeboat_runs_directory": str(tmp_path / "runs")}}}))
    began = time.monotonic()
    done = running.playbook(cell.directory(), tmp_path, "--inventory", str(inventory), f"lifeboat.cluster.{playbook}")
    seconds = time.monotonic() - began
    assert done.returncode != 0
    assert "lifeboat.cluster needs ansible-core 2.19 or newer." in done.stdout
    assert f"Found: ansible-core {cell.core}." in done.stdout
    for word in ("What to do: install a newer one", "In AWX, use an execution environment with it"):
        assert word in done.stdout
    for word in ("ImportError", "Traceback"):
        assert word not in done.stdout
    assert not (tmp_path / "runs").exists()
    assert seconds < FIRST_SECONDS
