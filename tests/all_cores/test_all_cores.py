# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every supported ansible-core on every Python of this machine, and the newest ansible-core that pip finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import core_environments, environment
from tests.core_environments import Cell
from tests.cores import running
from tests.sanity import run_sanity

# More than 1800 tests are there; a path that is gone would pass with none.
FEWEST = 1500


@pytest.mark.parametrize("cell", core_environments.others(), ids=str)
def test_unit_evidence_list_and_verify(cell: Cell, tmp_path: Path) -> None:
    """The same tests as on the locked core, all of them."""
    assert running.fits(cell)
    assert running.passes(cell.directory(), running.LONG, tmp_path / "junit.xml", workers=2) > FEWEST


@pytest.mark.parametrize("cell", [core_environments.own(), *core_environments.usual()[:-1]], ids=str)
def test_sanity_of_older_cores(cell: Cell, collection_copy: Path) -> None:
    """ansible-test of the newest core is a gate; that of the others finds nothing either."""
    assert "pylint" in run_sanity(cell.directory(), collection_copy, ["--skip-test", "compile", "--skip-test", "import"])


def test_the_newest_core_that_pip_finds(tmp_path: Path, collection_copy: Path) -> None:
    """A release that is newer than the lock brings no failure, no deprecation and no rule that we break. Move the lock when it passes."""
    cell = core_environments.newest()
    found = core_environments.newest_release(cell)
    directory = core_environments.build(cell.python, environment.core_lock(cell.core), core=found)
    assert running.version(directory) == (found, cell.python)
    running.passes(directory, running.SHORT, tmp_path / "junit.xml", workers=2)
    assert "pylint" in run_sanity(directory, collection_copy, ["--test", "pylint", "--test", "validate-modules", "--test", "runtime-metadata"])
