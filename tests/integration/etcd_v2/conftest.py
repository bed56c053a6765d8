# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of an etcd that still has a v2 store: Debian's 3.4."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.debian_programs import unpacked
from tests.integration.etcd.conftest import authority, new_cluster
from tests.integration.etcd.servers import Cluster

__all__ = ["authority", "binaries", "new_cluster", "with_v2"]


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The directory with etcd and etcdctl."""
    return unpacked("etcd-server", "etcd-client") / "usr/bin"


@pytest.fixture
def with_v2(request: pytest.FixtureRequest) -> Callable[..., Cluster]:
    """Make clusters whose members have the v2 API, which a test may break."""
    make: Callable[..., Cluster] = request.getfixturevalue("new_cluster")
    return lambda size, *options: make(size, "--enable-v2", *options)
