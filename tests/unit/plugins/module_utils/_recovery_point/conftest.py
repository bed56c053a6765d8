# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys once for all tests, a location for each."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.unit.plugins.module_utils._recovery_point.making import Keys, Maker, make_keys


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The keys of the cluster's owner."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The keys of somebody else."""
    return make_keys(tmp_path_factory.mktemp("stranger"), "mallory@elsewhere")


@pytest.fixture
def maker(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Makes points in an empty location. Those of one second sort as they were made; else they would by chance."""
    numbers = itertools.count()
    monkeypatch.setattr(names, "new_point_id", lambda moment=None: f"{(moment or names.now()):%Y%m%dT%H%M%SZ}-{next(numbers):06x}")
    return Maker(tmp_path, keys)
