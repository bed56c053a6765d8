# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One Salt master with five minions for all tests; what a test breaks is put right before the next."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.salt import units
from tests.integration.salt.servers import World
from tests.salt_programs import salt_programs
from tests.unit.plugins.module_utils._recovery_point.making import Keys, make_keys


@contextmanager
def network(name: str) -> Iterator[str]:
    """A network of its own, with loopback."""
    name = f"lbt-{name}-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


# Not longer than the tests of this directory last: minions that only wait take a third of a processor. (Hence the __init__.py of this and the upper one.)
@pytest.fixture(scope="package")
def running() -> Iterator[World]:
    """Everything runs, every key is accepted, every minion answers."""
    # Paths of sockets are short: not below pytest's own directory.
    with tempfile.TemporaryDirectory(prefix="lbt-salt-", dir="/var/tmp") as directory, network("salt") as name:
        world = World(Path(directory), salt_programs(), name)
        (world.directory / "bin").mkdir()
        systemctl = world.directory / "bin" / "systemctl"
        systemctl.write_text(f"#!/usr/bin/python3\n{Path(units.__file__).read_text()}")
        systemctl.chmod(0o755)
        try:
            world.start()
            world.keep()
            yield world
        finally:
            world.stop()


@pytest.fixture
def world(running: World) -> World:
    """The same, whatever the test before did."""
    running.heal()
    return running


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The keys of the cluster's owner."""
    return make_keys(tmp_path_factory.mktemp("keys"))
