# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services are stopped and started under the lock of a run: renewed while that lasts, and nothing is changed any more once another run took it."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.keeping import utc
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.lock import Lock, LockKeeper, LockLostError, LockRequest
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import Journal
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.start_plan import StartRequest
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.starting import start
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.stopping import stop
from tests.unit.plugins.module_utils._node.node_world import API, ETCD, SCHEDULER, World, Zygote, make_certificates

MINE: dict[str, Any] = {"run_id": "run-1", "controller": "bastion"}
OTHER: dict[str, Any] = {"run_id": "run-2", "controller": "elsewhere", "user": "kim"}
LIMIT_SECONDS = 60


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path, zygote: Zygote) -> Iterator[World]:
    with World(tmp_path, zygote) as made:
        make_certificates(tmp_path / "pki")
        yield made


class Locked:
    """The lock of the node, which run-1 holds."""

    def __init__(self, directory: Path, every_seconds: float = 60.0) -> None:
        self.lock = Lock(str(directory / "lifeboat"))
        self.path = directory / "lifeboat" / "lock.json"
        self.lock.acquire(LockRequest(MINE))
        self.keeper = LockKeeper(MINE, str(directory / "lifeboat"), every_seconds)

    def steal(self) -> None:
        """Another run takes it over."""
        self.lock.acquire(LockRequest(OTHER, purpose="restore_etcd", take_over="run-1"))

    def age(self, seconds: float) -> None:
        """Let the last sign of life be so old."""
        self.path.write_text(json.dumps(dict(json.loads(self.path.read_text()), heartbeat_at=utc(time.time() - seconds))))


def request(world: World, **more: Any) -> StartRequest:
    files = {name: str(world.directory / "var" / f"{name}.json") for name in ("ledger", "placed")}
    facts: dict[str, Any] = {"etcd": world.platform["etcd"], "api": world.platform["api"], "hosts_file": str(world.directory / "hosts"), **files, **more}
    return StartRequest(groups=world.groups("start"), wait_seconds=LIMIT_SECONDS, **facts)


def journal(world: World, state: str, guard: Any) -> Journal:
    return Journal(state, str(world.directory / "run"), guard=guard)


def wait_for(condition: Any) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_a_run_whose_lock_was_taken_stops_before_its_next_change(world: World) -> None:
    """The scheduler is stopped when the lock changes hands; the API server and etcd, whose turn comes next, go on running."""
    world.write_manifests()
    start(world.node(), request(world), world.journal("started"))
    held = Locked(world.directory)

    def guard() -> None:
        if not (world.manifests / f"{SCHEDULER}.yaml").exists():
            held.steal()
        held.keeper.guard()

    with pytest.raises(LockLostError, match="Another run took the lock of this host") as caught:
        stop(world.node(), world.groups("stop"), LIMIT_SECONDS, journal(world, "stopped", guard))
    assert "run run-2 of kim on controller elsewhere" in caught.value.found
    assert "lifeboat_take_over_run=run-2" in caught.value.remedy
    assert sorted(path.stem for path in world.manifests.iterdir()) == sorted([API, ETCD])
    assert [path.stem for path in world.parking.iterdir()] == [SCHEDULER]
    assert world.unit()["active"] == "active"
    assert held.lock.read()["owner"]["run_id"] == "run-2"


@pytest.mark.parametrize("what", ["files", "data", "hosts"])
def test_nothing_is_put_in_place_without_the_lock(world: World, what: str) -> None:
    """A data directory is not swapped, a name not written, a manifest not given to the kubelet."""
    world.write_manifests(world.parking)
    for name in ("staged", "target"):
        (world.directory / "etcd" / name).mkdir(parents=True)
        (world.directory / "etcd" / name / "db").write_text(name)
    more: dict[str, Any] = {"files": {}, "hosts": {"hosts_entries": {"192.0.2.1": ["cp1"]}}}.get(what, {})
    if what == "data":
        more = {"replace": [{key: str(world.directory / "etcd" / key) for key in ("staged", "target", "aside")}]}
    (world.directory / "hosts").write_text("127.0.0.1 localhost\n")
    held = Locked(world.directory)
    held.steal()
    with pytest.raises(LockLostError):
        start(world.node(), request(world, **more), journal(world, "started", held.keeper.guard))
    assert (world.directory / "etcd" / "target" / "db").read_text() == "target"
    assert (world.directory / "hosts").read_text() == "127.0.0.1 localhost\n"
    assert not world.manifests.exists() or not list(world.manifests.iterdir())
    assert world.unit()["active"] == "inactive"


def test_who_waits_shows_signs_of_life(world: World) -> None:
    """A quorum that does not come for long: the lock stays this run's meanwhile, though its last sign of life was old when the wait began."""
    world.write_manifests()
    world.flag("no-quorum")
    held = Locked(world.directory, every_seconds=0.2)
    held.age(890)
    done: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: done.append(start(world.node(), request(world), journal(world, "started", held.keeper.guard))))
    thread.start()
    try:
        world.run_until(ETCD)
        for _minute in range(3):
            held.age(890)
            wait_for(lambda: held.lock.read()["heartbeat_at"] >= utc(time.time() - 30))
    finally:
        world.flag("no-quorum", on=False)
        thread.join(LIMIT_SECONDS)
    assert done
    assert done[0]["changed"]
    assert held.lock.read()["owner"]["run_id"] == "run-1"


def test_who_waits_learns_that_the_lock_was_taken(world: World) -> None:
    """It does not wait for the quorum until its time is over, and starts nothing that would come after."""
    world.write_manifests(world.parking)
    world.flag("no-quorum")
    held = Locked(world.directory)
    said: list[LockLostError] = []

    def run() -> None:
        try:
            start(world.node(), request(world), journal(world, "started", held.keeper.guard))
        except LockLostError as error:
            said.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    world.run_until(ETCD)
    held.steal()
    thread.join(LIMIT_SECONDS / 2)
    assert [error.details["lock"]["owner"]["run_id"] for error in said] == ["run-2"]
    assert [path.stem for path in world.manifests.iterdir()] == [ETCD]


def test_without_a_lock_nobody_is_asked(world: World) -> None:
    world.write_manifests()
    result = start(world.node(), request(world), world.journal("started"))
    assert result["changed"]
    assert not (world.directory / "lifeboat").exists()
    shutil.rmtree(world.directory / "run")
