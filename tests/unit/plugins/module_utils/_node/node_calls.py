# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that stop and start the services of a node in a directory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.start_plan import StartRequest
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.starting import start
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.stopping import stop
from tests.unit.plugins.module_utils._node.node_world import World


def request(world: World, **more: Any) -> StartRequest:
    """What a call to start has to do."""
    found = StartRequest(
        groups=world.groups("start"),
        etcd=world.platform["etcd"],
        api=world.platform["api"],
        wait_seconds=20,
        ledger=str(world.directory / "var" / "replaced.json"),
        placed=str(world.directory / "var" / "placed.json"),
        hosts_file=str(world.directory / "hosts"),
    )
    return replace(found, **more)


def started(world: World, **more: Any) -> dict[str, Any]:
    """Start everything."""
    return start(world.node(), request(world, **more), world.journal("started"))


def stopped(world: World, wait_seconds: float = 20) -> dict[str, Any]:
    """Stop everything."""
    return stop(world.node(), world.groups("stop"), wait_seconds, world.journal("stopped"))
