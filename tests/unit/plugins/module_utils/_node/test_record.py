# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The restore record, with real files and real processes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import List

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.keeping import RecordError
from ansible_collections.lifeboat.cluster.plugins.module_utils._node import record
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.record import Store
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import DiskError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "lifeboat"))


def files(tmp_path: Path) -> List[str]:
    return sorted(os.listdir(tmp_path / "lifeboat")) if (tmp_path / "lifeboat").exists() else []


BEGUN = {"point": "p1", "cluster_name": "prod", "token": "t1", "bump_revision": 1000, "restore_id": "r1", "phase": "stopped"}


def test_reading_changes_nothing(store: Store, tmp_path: Path) -> None:
    assert store.present({}).after is None
    assert store.record() is None
    assert store.absent().changed is False
    assert store.give_up(["r1"]).record is None
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
    assert "-e lifeboat_give_up=r1" in str(caught.value)
    assert store.give_up(["r1"]).record == caught.value.details["record"]
    replaced = store.present({field: 2 if field == "bump_revision" else "other", "phase": "begun"})
    assert replaced.after[field] in (2, "other")
    assert [name for name in record.IDENTITY if replaced.after[name] == BEGUN[name]] == []
    (line,) = (tmp_path / "lifeboat" / "restore-history.jsonl").read_text().splitlines()
    assert json.loads(line)["point"] == "p1"
    assert json.loads(line)["given_up_at"]


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
    assert files(tmp_path) == []
    store.present(BEGUN)
    before = {name: (tmp_path / "lifeboat" / name).read_bytes() for name in files(tmp_path)}
    assert store.absent(dry_run=True).changed
    assert store.present({"phase": "more"}, dry_run=True).changed
    rehearsed = store.give_up(["r1"], [str(tmp_path / "lifeboat")], dry_run=True)
    assert rehearsed.record is not None
    assert rehearsed.moved_aside[0]["path"] == str(tmp_path / "lifeboat")
    assert store.present(dict(BEGUN, token="t2"), dry_run=True, rehearsed=rehearsed).after["token"] == "t2"
    assert before == {name: (tmp_path / "lifeboat" / name).read_bytes() for name in files(tmp_path)}


def test_unknown_fields_are_refused(store: Store) -> None:
    with pytest.raises(RecordError, match="no such fields: colour"):
        store.present({"colour": "red"})


def test_a_record_that_changed_since_it_was_seen_is_refused(store: Store) -> None:
    """The plan is older than the lock: another run may have ended in between."""
    store.require_unchanged({})
    seen = store.present(BEGUN).after
    assert seen is not None
    store.require_unchanged(seen)
    for then in ({}, {**seen, "phase": "planned"}, {**seen, "restore_id": "r0"}, {**seen, "updated_at": "2026-11-20T12:00:00Z"}):
        with pytest.raises(RecordError, match="Another run has changed this host since it was looked at"):
            store.require_unchanged(then)


def test_the_command_that_goes_on_says_what_was_said(store: Store) -> None:
    options = {"node_to_recover": "cp3", "recovery_point_id": "p1", "lifeboat_accept_damaged": ["a"]}
    written = store.present({**BEGUN, "playbook": "recover_node", "options": options}).after
    assert written is not None
    wanted = "ansible-playbook lifeboat.cluster.recover_node -e recovery_point_id=p1 -e confirm_cluster_name=prod"
    assert record.command_to_go_on(written) == wanted + """ -e '{"lifeboat_accept_damaged": ["a"]}' -e '{"node_to_recover": "cp3"}'"""


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


def test_of_two_restores_that_begin_at_once_one_is_refused(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        from ansible_collections.lifeboat.cluster.plugins.module_utils._node.record import RecordError, Store
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


@pytest.fixture
def prepared(tmp_path: Path) -> List[str]:
    """What a restore had prepared on a host: in the data directory of etcd, and unpacked keys."""
    for path in ("etcd/.lifeboat-restore-t1/member/snap/db", "etcd/member/snap/db", "staging/p1/pki/ca.key", "staging/p2/pki/ca.key"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(path)
    return [str(tmp_path / "etcd/.lifeboat-restore-{token}"), str(tmp_path / "staging/{point}"), str(tmp_path / "nowhere/{token}")]


@pytest.mark.parametrize("name", ["r1", "t1"])
@pytest.mark.parametrize("phase", ["planned", "stopped", "begun"])
def test_an_unfinished_restore_is_given_up_by_its_id_or_token(store: Store, tmp_path: Path, prepared: List[str], name: str, phase: str) -> None:
    """Its record goes into the history, what it had prepared is moved aside whole, and another restore begins as if it had never been."""
    store.present(dict(BEGUN, phase=phase))
    given_up = store.give_up(["", name], prepared)
    assert given_up.record["restore_id"] == "r1"
    assert given_up.moved_aside == [
        {"path": str(tmp_path / "etcd/.lifeboat-restore-t1"), "aside": str(tmp_path / "etcd/.lifeboat-given-up-r1")},
        {"path": str(tmp_path / "staging/p1"), "aside": str(tmp_path / "staging/.lifeboat-given-up-r1")},
    ]
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() and "lifeboat/" not in str(path.relative_to(tmp_path))[:9])
    assert left == [
        "etcd/.lifeboat-given-up-r1/member/snap/db",
        "etcd/member/snap/db",
        "staging/.lifeboat-given-up-r1/pki/ca.key",
        "staging/p2/pki/ca.key",
    ]
    assert store.record() is None
    begun = store.present({"point": "p1", "cluster_name": "prod", "token": "t2", "bump_revision": 5})
    assert (begun.after["restore_id"], begun.after["phase"]) == ("t2", "planned")
    # The same command once more, or of a run that was killed after this host: nothing is left to give up here.
    assert store.give_up([name], prepared).record is None
    assert store.record()["token"] == "t2"


def test_a_wrong_name_gives_nothing_up_and_names_the_right_one(store: Store, tmp_path: Path, prepared: List[str]) -> None:
    store.present(dict(BEGUN, playbook="lifeboat.cluster.recover_node"))
    with pytest.raises(RecordError, match="Another restore is unfinished on this host than the one that is to be given up") as caught:
        store.give_up(["r2"], prepared)
    assert "give up r2" in str(caught.value)
    assert "restore r1 of point p1 of cluster prod in phase stopped" in str(caught.value)
    assert "-e lifeboat_give_up=r1" in caught.value.remedy
    assert "ansible-playbook lifeboat.cluster.recover_node -e recovery_point_id=p1" in caught.value.remedy
    assert store.record()["restore_id"] == "r1"
    assert (tmp_path / "etcd/.lifeboat-restore-t1").exists()
    # One that only another host has is named beside it.
    assert store.give_up(["r2", "r1"]).record["restore_id"] == "r1"


def test_what_has_no_name_is_not_moved(store: Store, prepared: List[str], tmp_path: Path) -> None:
    """A record without a point or token must not move the directory of all of them."""
    store.present({"restore_id": "r1", "phase": "begun"})
    given_up = store.give_up(["r1"], [*prepared, str(tmp_path / "staging") + "/{point}"])
    assert given_up.record is not None
    assert given_up.moved_aside == []
    assert (tmp_path / "staging/p1/pki/ca.key").exists()


def test_a_finished_restore_is_not_given_up(store: Store, prepared: List[str]) -> None:
    store.present(dict(BEGUN, phase="finished"))
    assert store.give_up(["r1"], prepared).record is None
    assert store.record()["phase"] == "finished"


def test_giving_up_again_after_a_kill_keeps_both(store: Store, tmp_path: Path, prepared: List[str]) -> None:
    """Killed between moving and archiving, and prepared again since: what was moved first is not overwritten."""
    store.present(BEGUN)
    (tmp_path / "staging/.lifeboat-given-up-r1").mkdir()
    given_up = store.give_up(["r1"], prepared)
    assert given_up.moved_aside[1]["aside"] == str(tmp_path / "staging/.lifeboat-given-up-r1.1")
    assert (tmp_path / "staging/.lifeboat-given-up-r1.1/pki/ca.key").exists()


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


def test_a_rerun_does_not_forget_how_far_a_machine_was(tmp_path: Path) -> None:
    """What ran since a restore may be newer than the recovery point: nobody takes it for half restored files."""
    store = Store(str(tmp_path))
    for reached in ("added", "started"):
        store.present({**BEGUN, "phase": reached})
        assert store.present({"phase": "begun"}).changed is False
        assert (store.record() or {})["phase"] == reached
    store.present({"phase": "finished"})
    store.present({**BEGUN, "token": "t2", "restore_id": "r2", "phase": "begun"})
    assert (store.record() or {})["phase"] == "begun"
