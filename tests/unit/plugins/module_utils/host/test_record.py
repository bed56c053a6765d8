# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The restore record and the lock, with real files and real processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils.host import record
from ansible_collections.lifeboat.cluster.plugins.module_utils.host._disk import DiskError
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.record import LockHeldError, LockRequest, RecordError, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "lifeboat"))


def files(tmp_path: Path) -> List[str]:
    return sorted(os.listdir(tmp_path / "lifeboat")) if (tmp_path / "lifeboat").exists() else []


def owner(run_id: str = "run-1", **more: Any) -> Dict[str, Any]:
    return dict({"run_id": run_id, "controller": "bastion", "controller_boot_id": "boot-1", "pid": 4711, "user": "erika"}, **more)


BEGUN = {"point": "p1", "cluster_name": "prod", "token": "t1", "bump_revision": 1000, "restore_id": "r1", "phase": "stopped"}


def test_reading_changes_nothing(store: Store, tmp_path: Path) -> None:
    assert store.present({}).after is None
    assert store.record() is None
    assert store.lock() is None
    assert store.absent().changed is False
    assert store.release(owner()).changed is False
    assert files(tmp_path) == []


def test_a_record_begins_grows_and_ends(store: Store, tmp_path: Path) -> None:
    first = store.present({"point": "p1", "cluster_name": "prod", "phase": "planned"})
    assert first.changed
    assert first.before is None
    assert first.after is not None
    assert first.after["restore_id"]
    assert stat.S_IMODE(os.stat(tmp_path / "lifeboat" / "restore.json").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "lifeboat").st_mode) == 0o700
    again = store.present({"point": "p1", "cluster_name": "prod", "phase": "planned"})
    assert not again.changed
    assert again.after == first.after
    grown = store.present({"token": "t1", "bump_revision": 7, "phase": "restored", "revision_after": 99, "strategy": "rebuild_cluster"})
    assert grown.after is not None
    assert (grown.after["point"], grown.after["token"], grown.after["restore_id"]) == ("p1", "t1", first.after["restore_id"])
    assert [step["phase"] for step in grown.after["history"]] == ["planned", "restored"]
    assert store.record() == grown.after
    assert set(grown.after) == {*record.IDENTITY, *record.PROGRESS, "started_at", "updated_at", "history"}
    assert record.unfinished(store.record())
    store.present({"phase": "finished"})
    assert not record.unfinished(store.record())
    assert store.absent().changed
    assert store.record() is None
    (line,) = (tmp_path / "lifeboat" / "restore-history.jsonl").read_text().splitlines()
    assert json.loads(line)["phase"] == "finished"


@pytest.mark.parametrize("field", ["point", "cluster_name", "token", "bump_revision", "restore_id"])
def test_another_restore_is_refused_while_one_is_unfinished(store: Store, tmp_path: Path, field: str) -> None:
    store.present(dict(BEGUN, playbook="restore_etcd"))
    with pytest.raises(RecordError) as caught:
        store.present({field: 2 if field == "bump_revision" else "other", "phase": "begun"})
    assert "point p1 of cluster prod in phase stopped" in str(caught.value)
    assert "ansible-playbook lifeboat.cluster.restore_etcd -e recovery_point_id=p1 -e confirm_cluster_name=prod" in str(caught.value)
    assert store.record()["point"] == "p1"
    replaced = store.present({field: 2 if field == "bump_revision" else "other", "phase": "begun"}, replace=True)
    assert replaced.after[field] in (2, "other")
    assert [name for name in record.IDENTITY if replaced.after[name] == BEGUN[name]] == []
    (line,) = (tmp_path / "lifeboat" / "restore-history.jsonl").read_text().splitlines()
    assert json.loads(line)["point"] == "p1"


@pytest.mark.parametrize("phase", ["planned", "finished"])
def test_another_restore_may_begin_before_the_first_change_and_after_the_end(store: Store, phase: str) -> None:
    store.present(dict(BEGUN, phase=phase))
    change = store.present({"point": "p2", "phase": "planned"})
    assert change.after["point"] == "p2"
    assert change.after["token"] is None
    assert len(change.after["history"]) == 1


def test_a_rehearsal_predicts_and_writes_nothing(store: Store, tmp_path: Path) -> None:
    change = store.present(BEGUN, dry_run=True)
    assert change.changed
    assert change.after["point"] == "p1"
    assert store.acquire(LockRequest(owner()), dry_run=True).changed
    assert files(tmp_path) == []
    store.present(BEGUN)
    store.acquire(LockRequest(owner()))
    before = {name: (tmp_path / "lifeboat" / name).read_bytes() for name in files(tmp_path)}
    assert store.absent(dry_run=True).changed
    assert store.release(owner(), dry_run=True).changed
    assert store.present({"phase": "more"}, dry_run=True).changed
    with pytest.raises(LockHeldError):
        store.acquire(LockRequest(owner("run-2")), dry_run=True)
    assert before == {name: (tmp_path / "lifeboat" / name).read_bytes() for name in files(tmp_path)}


def test_unknown_fields_are_refused(store: Store) -> None:
    with pytest.raises(RecordError, match="no such fields: colour"):
        store.present({"colour": "red"})


def test_a_damaged_record_is_named_and_kept(store: Store, tmp_path: Path) -> None:
    store.present(BEGUN)
    path = tmp_path / "lifeboat" / "restore.json"
    for damage in (b"", b"{", b"[]", b"\xff\xfe"):
        path.write_bytes(damage)
        with pytest.raises(DiskError, match=r"The restore record of this host cannot be read"):
            store.present({"phase": "next"})
        assert path.read_bytes() == damage
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises(RecordError):
        store.record()


def test_history_survives_a_line_that_was_cut_short(store: Store, tmp_path: Path) -> None:
    store.present(BEGUN)
    history = tmp_path / "lifeboat" / "restore-history.jsonl"
    history.write_text('{"point": "p0"')
    store.absent()
    assert json.loads(history.read_text().splitlines()[1])["point"] == "p1"


def test_the_lock_is_taken_renewed_and_given_back(store: Store) -> None:
    taken = store.acquire(LockRequest(owner(), purpose="recover"))
    assert taken.changed
    assert taken.after["owner"] == owner()
    time.sleep(1.1)
    renewed = store.acquire(LockRequest(owner(pid=4712)))
    assert not renewed.changed
    assert renewed.after["taken_at"] == taken.after["taken_at"]
    assert renewed.after["heartbeat_at"] > taken.after["heartbeat_at"]
    assert renewed.after["purpose"] == "recover"
    with pytest.raises(LockHeldError) as caught:
        store.release(owner("run-2"))
    assert "run run-1 of erika on controller bastion (process 4712), for recover" in str(caught.value)
    assert store.release(owner()).changed
    assert store.lock() is None


def test_a_lock_of_another_run_is_refused_with_owner_and_age(store: Store) -> None:
    store.acquire(LockRequest(owner(), purpose="recover"))
    for request in (
        LockRequest(owner("run-2")),
        LockRequest(owner("run-2"), take_over="run-0"),
        LockRequest(owner("run-2", controller="elsewhere"), dead_run_ids=["run-1"]),
        LockRequest(owner("run-2", controller_boot_id="boot-2"), dead_run_ids=["run-1"]),
        LockRequest({"run_id": "run-2"}, dead_run_ids=["run-1"]),
        LockRequest(owner("run-2"), dead_run_ids=["run-0"]),
    ):
        with pytest.raises(LockHeldError) as caught:
            store.acquire(request)
        assert "run run-1 of erika on controller bastion (process 4711), for recover; taken " in str(caught.value)
        assert "take_over=run-1" in str(caught.value)
        assert caught.value.details["lock"]["owner"] == owner()
    assert store.lock()["owner"]["run_id"] == "run-1"


@pytest.mark.parametrize("how", [{"take_over": "run-1"}, {"dead_run_ids": ["run-1"]}])
def test_a_lock_changes_hands_when_its_run_is_given_up_or_dead(store: Store, how: Dict[str, Any]) -> None:
    store.acquire(LockRequest(owner()))
    change = store.acquire(LockRequest(owner("run-2"), **how))
    assert change.changed
    assert change.before["owner"]["run_id"] == "run-1"
    assert store.lock()["owner"]["run_id"] == "run-2"


def test_two_unknown_controllers_are_not_the_same_one(store: Store) -> None:
    store.acquire(LockRequest({"run_id": "run-1"}))
    with pytest.raises(LockHeldError):
        store.acquire(LockRequest({"run_id": "run-2"}, dead_run_ids=["run-1"]))


def test_a_stale_lock_belongs_to_nobody(store: Store, tmp_path: Path) -> None:
    store.acquire(LockRequest(owner()))
    path = tmp_path / "lifeboat" / "lock.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps(dict(held, heartbeat_at=record.utc(time.time() - 890))))
    with pytest.raises(LockHeldError, match="last sign of life 89. seconds ago"):
        store.acquire(LockRequest(owner("run-2")))
    with pytest.raises(LockHeldError):
        store.acquire(LockRequest(owner("run-2"), stale_after_seconds=3600))
    path.write_text(json.dumps(dict(held, heartbeat_at=record.utc(time.time() - 910))))
    assert store.acquire(LockRequest(owner("run-2"))).changed


def test_a_lock_from_the_future_is_not_stale_and_one_without_a_time_is_an_error(store: Store, tmp_path: Path) -> None:
    store.acquire(LockRequest(owner()))
    path = tmp_path / "lifeboat" / "lock.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps(dict(held, heartbeat_at=record.utc(time.time() + 10_000))))
    with pytest.raises(LockHeldError):
        store.acquire(LockRequest(owner("run-2")))
    assert store.acquire(LockRequest(owner("run-2"), take_over="run-1")).changed
    path.write_text(json.dumps(dict(held, heartbeat_at="yesterday")))
    with pytest.raises(RecordError, match="A time in the lock cannot be read"):
        store.acquire(LockRequest(owner("run-2")))


@pytest.mark.parametrize("wrong", [{}, {"run_id": ""}, {"run_id": "x", "colour": "red"}])
def test_an_owner_must_have_a_name(store: Store, wrong: Dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="The owner of a lock"):
        store.acquire(LockRequest(wrong))


def _contend(directory: str, number: int, barrier: Any, results: Any) -> None:
    barrier.wait()
    try:
        Store(directory).acquire(LockRequest(owner("run-%d" % number)))
        results.put(number)
    except LockHeldError:
        results.put(-1)


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_processes_exactly_one_gets_the_lock(tmp_path: Path, stale: bool) -> None:
    for attempt in range(5):
        directory = str(tmp_path / str(attempt))
        if stale:
            Store(directory).acquire(LockRequest(owner("old")))
            path = Path(directory, "lock.json")
            path.write_text(json.dumps(dict(json.loads(path.read_text()), heartbeat_at=record.utc(0))))
        context = multiprocessing.get_context("fork")
        barrier, results = context.Barrier(8), context.Queue()
        processes = [context.Process(target=_contend, args=(directory, number, barrier, results)) for number in range(8)]
        for process in processes:
            process.start()
        outcomes = [results.get(timeout=60) for _process in processes]
        for process in processes:
            process.join()
        (winner,) = [number for number in outcomes if number >= 0]
        assert Store(directory).lock()["owner"]["run_id"] == "run-%d" % winner


def test_of_two_restores_that_begin_at_once_one_is_refused(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        from ansible_collections.lifeboat.cluster.plugins.module_utils.host.record import RecordError, Store
        sys.stdin.readline()
        try:
            Store(sys.argv[2]).present({"point": sys.argv[3], "phase": "begun"})
            print("begun")
        except RecordError:
            print("refused")
        """
    )
    command = [sys.executable, "-I", "-c", program, str(_tree()), str(tmp_path / "lifeboat")]
    processes = [subprocess.Popen([*command, "p%d" % number], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for number in range(4)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert sorted(process.communicate(timeout=60)[0].strip() for process in processes) == ["begun", "refused", "refused", "refused"]


def _tree() -> Path:
    """The directory that ansible_collections is in."""
    return Path(next(path for path in sys.path if os.path.isdir(os.path.join(path, "ansible_collections", "lifeboat"))))


def test_a_full_disk_keeps_the_old_record(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "lifeboat-test", str(mount)], check=True)
    try:
        store = Store(str(mount))
        store.present(BEGUN)
        with pytest.raises(OSError, match="No space"):
            (mount / "ballast").write_bytes(b"x" * (1 << 20))
        with pytest.raises(RecordError, match="No space left on device"):
            store.present({"phase": "next"})
        assert store.record()["phase"] == "stopped"
        assert [name for name in os.listdir(mount) if name.endswith(".part")] == []
    finally:
        subprocess.run(["umount", str(mount)], check=True)
