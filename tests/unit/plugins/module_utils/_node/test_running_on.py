# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service runs when it is the same process for a while; one that is started over and over was running in a lucky look too."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services import starting
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import ServiceError, read_groups
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.starting import start
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import parse_containers
from tests.unit.plugins.module_utils._node.node_calls import request, started
from tests.unit.plugins.module_utils._node.node_world import ETCD, KUBELET, World


def started_worker(world: World) -> dict[str, Any]:
    """A machine on which the kubelet is all there is to start."""
    node = world.node()
    return start(node, request(world, groups=read_groups(node.services, [["kubelet"]])), world.journal("started"))


def test_a_kubelet_that_ends_and_is_started_again_has_not_started(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "SURVIVAL_SECONDS", 1.0)
    world.flag(f"crashes-{KUBELET}")
    result = started_worker(world)
    (kubelet,) = result["services"]
    assert result["crash_looping"], "whether it is between two lives at this moment, or in its next one"
    assert not kubelet["evidence"]["unit"]["steady"]


def test_a_kubelet_that_stays_has_started(world: World) -> None:
    result = started_worker(world)
    assert not result["crash_looping"]
    assert [item["state"] for item in result["services"]] == ["started"]
    evidence = result["services"][0]["evidence"]["unit"]
    assert evidence["same_seconds"] >= 0.2
    assert not evidence["steady"], "that it stays is for the verification to see"


def test_a_kubelet_that_had_been_failing_before_is_started_at_once_and_counts_from_zero(world: World) -> None:
    """As on a machine where the packaged kubelet had no configuration to start with."""
    world.next_try = time.monotonic() + 600
    world.set_unit(active="activating", sub="auto-restart", restarts="7")
    result = started_worker(world)
    assert not result["crash_looping"]
    assert result["services"][0]["restarts"] == 0
    assert world.restarts() == 0
    assert "restart --no-block kubelet.service" in world.log("systemctl")
    assert "start --no-block kubelet.service" not in world.log("systemctl"), "that would have waited for the next try"


@pytest.mark.parametrize("moment", [{"active": "activating", "sub": "auto-restart"}, {"active": "active", "sub": "running"}])
def test_a_kubelet_that_fails_again_and_again_does_not_keep_files_from_coming_back(world: World, moment: dict[str, str]) -> None:
    """A package's kubelet without a configuration, on a machine that is otherwise empty: between two tries, and in a life of a tenth of a second."""
    (world.directory / "staged").mkdir()
    item = {"staged": str(world.directory / "staged"), "target": str(world.directory / "data"), "aside": str(world.directory / "aside")}
    world.next_try = time.monotonic() + 600
    world.set_unit(restarts="7", **moment)
    node = world.node()
    result = start(node, request(world, groups=read_groups(node.services, [["kubelet"]]), replace=[item]), world.journal("started"))
    assert (world.directory / "data").is_dir()
    assert [service["state"] for service in result["services"]] == ["started"]
    assert not result["crash_looping"]
    (world.directory / "staged").mkdir()
    with pytest.raises(ServiceError, match="Data of running services is not replaced"):
        start(node, request(world, groups=read_groups(node.services, [["kubelet"]]), replace=[item]), world.journal("started"))


@pytest.mark.parametrize(("state", "age", "steady"), [("RUNNING", 13, True), ("RUNNING", 11, False), ("EXITED", 13, False)])
def test_a_container_is_steady_when_it_is_the_same_for_a_while(state: str, age: float, steady: bool) -> None:
    document = {"containers": [{"id": "1", "state": f"CONTAINER_{state}", "createdAt": str(int((time.time() - age) * 1e9)), "metadata": {"name": "etcd"}}]}
    (container,) = parse_containers(document)
    assert container.as_dict()["steady"] is steady


def test_containers_tell_for_how_long_they_have_been_the_same(world: World) -> None:
    world.write_manifests()
    by_name = {item["name"]: item for item in started(world)["services"]}
    (container,) = by_name[ETCD]["evidence"]["containers"]
    assert 0 <= container["same_seconds"] < 60
