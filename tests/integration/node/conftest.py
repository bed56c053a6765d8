# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server on loopback, and real machines of the lab."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import environment
from tests.integration.node.api_server import RealApiServer
from tests.integration.node.modules import Modules
from tests.lab import Lab

# Names a lab that is up already (topology ha), for work on these tests; without it they make their own and take it down.
LAB_VARIABLE = "LIFEBOAT_NODE_LAB"
# One machine may test several checkouts at once, and a lab belongs to one of them.
LAB = "node-" + hashlib.sha256(str(environment.ROOT).encode()).hexdigest()[:6]


# Only one file uses each of these: what no test needs any more should not take time from the next.
@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory, binaries: Path) -> Iterator[RealApiServer]:
    """kube-apiserver with its etcd."""
    server = RealApiServer(tmp_path_factory.mktemp("api"), binaries)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def local() -> Modules:
    """Modules on this machine."""
    return Modules("localhost,")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Three control planes and a worker."""
    name = os.environ.get(LAB_VARIABLE)
    if name:
        yield Lab.open(name)
        return
    made = Lab.open(LAB)
    try:
        made.up("ha")
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def machines(lab: Lab) -> Modules:
    """Modules on the machines of the lab."""
    return Modules(lab.inventory)
