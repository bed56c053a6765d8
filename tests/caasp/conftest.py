# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab, one recovery point, for all tests of this suite."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.caasp.bench import LAB, OUTPUT, Bench
from tests.drill.keys import make_keys
from tests.drill.playbooks import Playbooks
from tests.e2e.bench import keep_lab, succeeded
from tests.lab import Lab


@pytest.fixture(scope="session")
def output() -> Path:
    """Where every test keeps what it said."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    return OUTPUT


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The machines; also when they do not come up, nothing of them stays."""
    lab = Lab.open(LAB)
    try:
        if keep_lab() and lab.inventory.exists():
            lab.reset()
        else:
            lab.up("caasp")
        yield lab
    finally:
        if not keep_lab():
            lab.down()


@pytest.fixture(scope="session")
def bench(lab: Lab, output: Path) -> Bench:
    """The lab with a recovery point that was made with the backup playbook at its most talkative."""
    shared = output / "session"
    shared.mkdir()
    bench = Bench(lab, make_keys(shared / "keys"))
    bench.close_connections(*(node.name for node in lab.topology.nodes))
    bench.memory = bench.remember()
    bench.location = shared / "location"
    bench.location.mkdir(mode=0o700)
    bench.backup = succeeded(bench.playbooks(shared, bench.location).run("backup_cluster", verbosity=3))
    bench.point = sorted((bench.location / LAB / "manifests").glob("*.json"))[0].stem
    return bench


@pytest.fixture
def directory(request: pytest.FixtureRequest, output: Path) -> Path:
    """The test's own directory."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", request.node.name.removeprefix("test_")).strip("-")
    path = output / request.node.path.stem.removeprefix("test_") / name
    path.mkdir(parents=True)
    return path


@pytest.fixture
def operator(bench: Bench, directory: Path) -> Playbooks:
    """Playbooks on a copy of the location with the recovery point."""
    copy = directory / "location"
    shutil.copytree(bench.location, copy)
    return bench.playbooks(directory, copy)
