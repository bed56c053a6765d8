# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes in a directory, for all tests of what runs on a node."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services import starting
from tests.unit.plugins.module_utils._node.node_calls import started
from tests.unit.plugins.module_utils._node.node_world import World, Zygote, make_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA with a server and a client."""
    directory = tmp_path_factory.mktemp("pki")
    make_certificates(directory)
    return directory


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Makes daemons for all worlds."""
    made = Zygote()
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path, certificates: Path, zygote: Zygote, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """One node. Its units are looked at again sooner than real ones, as all else in it is quicker."""
    monkeypatch.setattr(starting, "SURVIVAL_SECONDS", 0.2)
    with World(tmp_path, zygote) as made:
        shutil.copytree(certificates, tmp_path / "pki", dirs_exist_ok=True)
        yield made


@pytest.fixture
def running(world: World) -> World:
    """The same, with everything started."""
    world.write_manifests()
    started(world)
    return world
