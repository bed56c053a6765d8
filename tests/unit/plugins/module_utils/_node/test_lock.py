# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a host, with real files, real processes and real pid namespaces."""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path
from typing import Any, Dict

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.keeping import RecordError, utc
from ansible_collections.lifeboat.cluster.plugins.module_utils._node import lock as locks
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.lock import Lock, LockHeldError, LockKeeper, LockLostError, LockRequest


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    return Lock(str(tmp_path / "lifeboat"))


def owner(run_id: str = "run-1", **more: Any) -> Dict[str, Any]:
    controller = {"controller": "bastion", "controller_boot_id": "boot-1", "pid_namespace": "pid:[1]", "pid": 4711, "pid_started_ticks": 99, "user": "erika"}
    return dict({"run_id": run_id}, **dict(controller, **more))


def aged(tmp_path: Path, seconds: float, **more: Any) -> None:
    """Let the last sign of life be so old."""
    path = tmp_path / "lifeboat" / "lock.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), heartbeat_at=utc(time.time() - seconds), **more)))


def test_without_a_lock_nothing_is_written(lock: Lock, tmp_path: Path) -> None:
    assert lock.read() is None
    assert lock.release(owner()).changed is False
    assert lock.acquire(LockRequest(owner()), dry_run=True).changed
    assert not (tmp_path / "lifeboat").exists()


def test_the_lock_is_taken_renewed_and_given_back(lock: Lock) -> None:
    taken = lock.acquire(LockRequest(owner(), purpose="recover"))
    assert taken.changed
    assert taken.after["owner"] == owner()
    time.sleep(1.1)
    renewed = lock.acquire(LockRequest(owner(pid=4712)))
    assert not renewed.changed
    assert renewed.after["taken_at"] == taken.after["taken_at"]
    assert renewed.after["heartbeat_at"] > taken.after["heartbeat_at"]
    assert renewed.after["purpose"] == "recover"
    with pytest.raises(LockHeldError) as caught:
        lock.release(owner("run-2"))
    assert "run run-1 of erika on controller bastion (process 4712), for recover" in str(caught.value)
    assert lock.release(owner()).changed
    assert lock.read() is None


def test_a_lock_of_another_run_is_refused_with_owner_and_age(lock: Lock) -> None:
    lock.acquire(LockRequest(owner(), purpose="recover"))
    for request in (
        LockRequest(owner("run-2")),
        LockRequest(owner("run-2"), take_over="run-0"),
        LockRequest(owner("run-2", controller="elsewhere"), dead_run_ids=["run-1"]),
        LockRequest(owner("run-2", controller_boot_id="boot-2"), dead_run_ids=["run-1"]),
        LockRequest(owner("run-2", pid_namespace="pid:[2]"), dead_run_ids=["run-1"]),
        LockRequest(owner("run-2", pid_namespace=None), dead_run_ids=["run-1"]),
        LockRequest({"run_id": "run-2"}, dead_run_ids=["run-1"]),
        LockRequest(owner("run-2"), dead_run_ids=["run-0"]),
    ):
        with pytest.raises(LockHeldError) as caught:
            lock.acquire(request)
        assert "run run-1 of erika on controller bastion (process 4711), for recover; taken " in str(caught.value)
        assert "lifeboat_take_over_run=run-1" in str(caught.value)
        assert caught.value.details["lock"]["owner"] == owner()
    assert lock.read()["owner"]["run_id"] == "run-1"


@pytest.mark.parametrize("how", [{"take_over": "run-1"}, {"dead_run_ids": ["run-1"]}])
def test_a_lock_changes_hands_when_its_run_is_given_up_or_dead(lock: Lock, how: Dict[str, Any]) -> None:
    lock.acquire(LockRequest(owner()))
    change = lock.acquire(LockRequest(owner("run-2"), **how))
    assert change.changed
    assert change.before["owner"]["run_id"] == "run-1"
    assert lock.read()["owner"]["run_id"] == "run-2"


def test_two_unknown_controllers_are_not_the_same_one(lock: Lock) -> None:
    lock.acquire(LockRequest({"run_id": "run-1"}))
    with pytest.raises(LockHeldError):
        lock.acquire(LockRequest({"run_id": "run-2"}, dead_run_ids=["run-1"]))


def test_only_a_silent_lock_belongs_to_nobody(lock: Lock, tmp_path: Path) -> None:
    lock.acquire(LockRequest(owner()))
    aged(tmp_path, 890)
    with pytest.raises(LockHeldError, match="last sign of life 89. seconds ago") as caught:
        lock.acquire(LockRequest(owner("run-2")))
    assert "it announced to be silent for 900 at most" in str(caught.value)
    aged(tmp_path, 901.5)
    assert lock.acquire(LockRequest(owner("run-2"))).changed


def test_a_lock_that_is_renewed_is_never_free(lock: Lock, tmp_path: Path) -> None:
    """Six hours of a recovery, a sign of life every quarter of an hour: nobody else gets it, and it keeps when it was taken and what for."""
    lock.acquire(LockRequest(owner(), purpose="recover_cluster"))
    aged(tmp_path, 6 * 3600, taken_at=utc(time.time() - 6 * 3600))
    for _quarter in range(24):
        aged(tmp_path, 899)
        assert lock.renew(owner()).changed is False
        with pytest.raises(LockHeldError, match=r"last sign of life \d seconds ago"):
            lock.acquire(LockRequest(owner("run-2")))
    found = lock.read()
    assert (found["purpose"], found["silent_for_seconds"], found["owner"]["run_id"]) == ("recover_cluster", 900, "run-1")
    assert found["taken_at"] < found["heartbeat_at"]


def test_the_owner_announces_how_long_it_may_be_silent(lock: Lock, tmp_path: Path) -> None:
    """Fifty gigabytes under way, or hosts that wait for their turn: only past what was announced the lock is free, and what others think does not matter."""
    lock.acquire(LockRequest(owner(), silent_for_seconds=20_000))
    aged(tmp_path, 19_900)
    with pytest.raises(LockHeldError, match=r"free in 1\d\d seconds: it announced to be silent for 20000 at most"):
        lock.acquire(LockRequest(owner("run-2"), silent_for_seconds=60))
    lock.renew(owner())
    assert lock.read()["silent_for_seconds"] == 20_000
    aged(tmp_path, 19_900)
    with pytest.raises(LockHeldError):
        lock.acquire(LockRequest(owner("run-2")))
    lock.renew(owner(), silent_for_seconds=300)
    aged(tmp_path, 302)
    assert lock.acquire(LockRequest(owner("run-2"))).changed


@pytest.mark.parametrize("announced", [None, "soon", 0])
def test_a_lock_that_announces_nothing_may_be_silent_as_long_as_any(lock: Lock, tmp_path: Path, announced: Any) -> None:
    lock.acquire(LockRequest(owner()))
    aged(tmp_path, 880, silent_for_seconds=announced)
    with pytest.raises(LockHeldError):
        lock.acquire(LockRequest(owner("run-2")))
    aged(tmp_path, 902)
    assert lock.acquire(LockRequest(owner("run-2"))).changed


def test_who_lost_the_lock_is_told_so_and_gets_it_not_back(lock: Lock, tmp_path: Path) -> None:
    lock.acquire(LockRequest(owner()))
    keeper = LockKeeper(owner(), str(tmp_path / "lifeboat"))
    keeper.guard()
    lock.acquire(LockRequest(owner("run-2", controller="elsewhere", user="kim"), purpose="restore_etcd", take_over="run-1"))
    for act in (keeper.check, keeper.renew, keeper.guard, lambda: lock.renew(owner(), dry_run=True)):
        with pytest.raises(LockLostError, match="Another run took the lock of this host, so this run stops before its next change") as caught:
            act()
        assert "run run-2 of kim on controller elsewhere (process 4711), for restore_etcd" in caught.value.found
        assert "-e lifeboat_take_over_run=run-2" in caught.value.remedy
    assert lock.read()["owner"]["run_id"] == "run-2"
    lock.release(owner("run-2"))
    with pytest.raises(LockLostError, match="does not hold the lock of this host any more") as caught:
        keeper.guard()
    assert "run the same command again" in caught.value.remedy
    assert lock.read() is None


def test_a_keeper_looks_each_time_and_writes_once_a_while(lock: Lock, tmp_path: Path) -> None:
    lock.acquire(LockRequest(owner()))
    keeper = LockKeeper(owner(), str(tmp_path / "lifeboat"), every_seconds=3600)
    aged(tmp_path, 500)
    keeper.guard()
    assert lock.read()["heartbeat_at"] >= utc(time.time() - 60)
    aged(tmp_path, 500)
    keeper.guard()
    assert lock.read()["heartbeat_at"] < utc(time.time() - 400)
    eager = LockKeeper(owner(), str(tmp_path / "lifeboat"), every_seconds=0)
    eager.guard()
    assert lock.read()["heartbeat_at"] >= utc(time.time() - 60)
    assert locks.RENEW_EVERY_SECONDS <= 60


def test_a_lock_from_the_future_is_not_stale_and_one_without_a_time_is_an_error(lock: Lock, tmp_path: Path) -> None:
    lock.acquire(LockRequest(owner()))
    path = tmp_path / "lifeboat" / "lock.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps(dict(held, heartbeat_at=utc(time.time() + 10_000))))
    with pytest.raises(LockHeldError):
        lock.acquire(LockRequest(owner("run-2")))
    assert lock.acquire(LockRequest(owner("run-2"), take_over="run-1")).changed
    path.write_text(json.dumps(dict(held, heartbeat_at="yesterday")))
    with pytest.raises(RecordError, match="A time in the lock cannot be read"):
        lock.acquire(LockRequest(owner("run-2")))


@pytest.mark.parametrize("wrong", [{}, {"run_id": ""}, {"run_id": "x", "colour": "red"}])
def test_an_owner_must_have_a_name(lock: Lock, wrong: Dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="The owner of a lock"):
        lock.acquire(LockRequest(wrong))


def _contend(directory: str, number: int, barrier: Any, results: Any) -> None:
    barrier.wait()
    try:
        Lock(directory).acquire(LockRequest(owner("run-%d" % number)))
        results.put(number)
    except LockHeldError:
        results.put(-1)


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_processes_exactly_one_gets_the_lock(tmp_path: Path, stale: bool) -> None:
    for attempt in range(5):
        directory = str(tmp_path / str(attempt))
        if stale:
            Lock(directory).acquire(LockRequest(owner("old")))
            path = Path(directory, "lock.json")
            path.write_text(json.dumps(dict(json.loads(path.read_text()), heartbeat_at=utc(0))))
        context = multiprocessing.get_context("fork")
        barrier, results = context.Barrier(8), context.Queue()
        processes = [context.Process(target=_contend, args=(directory, number, barrier, results)) for number in range(8)]
        for process in processes:
            process.start()
        outcomes = [results.get(timeout=60) for _process in processes]
        for process in processes:
            process.join()
        (winner,) = [number for number in outcomes if number >= 0]
        assert Lock(directory).read()["owner"]["run_id"] == "run-%d" % winner
