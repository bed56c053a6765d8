# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server of each kind for all tests; each test gets it as newly installed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.stores.ldap import Ldap, installed
from tests.integration.stores.velum import Velum, mounted, running


@contextmanager
def short_directory(size: str = "1G") -> Iterator[Path]:
    """A file system in memory, which no other test makes wait. The path of a socket may not be longer than 107 bytes; pytest's own can be."""
    with tempfile.TemporaryDirectory(prefix="lifeboat-") as directory, mounted(Path(directory) / "m", size) as path:
        yield path


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Velum]:
    """A running MariaDB."""
    with short_directory() as directory, running(directory) as server:
        yield server


@pytest.fixture
def velum(mariadb: Velum) -> Velum:
    """A MariaDB with a schema of the shape of Velum's, whose credentials all fit."""
    mariadb.reset()
    return mariadb


@pytest.fixture(scope="session")
def first_dump(mariadb: Velum, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dump of the schema as it is newly installed: its rows are the same each time."""
    mariadb.reset()
    path = tmp_path_factory.mktemp("dump") / "database.sql"
    mariadb.take(path)
    return path


@pytest.fixture
def dumped(first_dump: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(first_dump, tmp_path / "database.sql"))


@pytest.fixture(scope="session")
def openldap() -> Iterator[Ldap]:
    """OpenLDAP's programs."""
    with short_directory() as directory, installed(directory) as ldap:
        yield ldap


@pytest.fixture
def ldap(openldap: Ldap) -> Iterator[Ldap]:
    """A running directory with a few entries."""
    openldap.reset()
    yield openldap
    openldap.stop()
