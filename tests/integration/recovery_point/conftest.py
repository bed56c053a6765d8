# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for recovery points that real playbooks make."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.recovery_point.playing import Stage
from tests.integration.recovery_point.servers import Snapshot, take_snapshot
from tests.unit.plugins.module_utils._recovery_point.making import Keys, Maker, make_keys


def pytest_configure(config: pytest.Config) -> None:
    """Marks of this directory."""
    config.addinivalue_line("markers", "big: moves gigabytes")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The keys of the cluster's owner."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory, binaries: Path) -> Snapshot:
    """A snapshot of a real etcd."""
    return take_snapshot(tmp_path_factory.mktemp("etcd"), binaries)


@pytest.fixture
def maker(tmp_path: Path, keys: Keys) -> Maker:
    """Makes points."""
    return Maker(tmp_path, keys)


@pytest.fixture
def stage(tmp_path: Path, keys: Keys) -> Iterator[Stage]:
    """A location, a run directory, and three hosts."""
    # The temporary directories of pytest are closed to other users.
    with tempfile.TemporaryDirectory(prefix="lifeboat-test-", dir="/var/tmp") as other:
        yield Stage(tmp_path, Path(other), keys)
