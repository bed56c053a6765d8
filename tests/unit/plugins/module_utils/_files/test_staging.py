# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private directory of a run: made once, found again, and what dead runs left is removed, but nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import staging

MINE = "20261120T120000Z-recover_cluster-beef"
NAMES = {
    "dead": "lifeboat-20261120T110000Z-backup_cluster-aaaa-abcdefgh",
    "alive": "lifeboat-20261120T110001Z-backup_cluster-bbbb-abcdefgh",
    "recovery": "lifeboat-20261120T110002Z-recover_cluster-cccc-abcdefgh",
    "old": "lifeboat-20261119T100000Z-backup_cluster-dddd-abcdefgh",
    "stranger": "lifeboat-notes",
}
DAY = 86400.0


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Directories of several runs, one of them untouched for two days, and one that is none."""
    for name in NAMES.values():
        (tmp_path / name).mkdir(mode=0o700)
        (tmp_path / name / "pki.tar").write_text("secret")
    for path in (tmp_path / NAMES["old"] / "pki.tar", tmp_path / NAMES["old"]):
        os.utime(path, (path.stat().st_mtime - 2 * DAY,) * 2)
    (tmp_path / "lifeboat-20261120T110003Z-backup_cluster-eeee-abcdefgh").symlink_to(tmp_path / NAMES["stranger"])
    return tmp_path


def stale(base: Path, **options: list[str]) -> set[str]:
    found = staging.plan(str(base), MINE, stale_after_seconds=DAY, **options).stale
    return {os.path.basename(path) for path in found}


def test_only_what_is_dead_is_stale(base: Path) -> None:
    assert stale(base) == {NAMES["old"]}
    assert stale(base, dead_run_ids=["20261120T110000Z-backup_cluster-aaaa"]) == {NAMES["old"], NAMES["dead"]}
    assert stale(base, exclusive_playbooks=["recover_cluster", "restore_etcd"]) == {NAMES["old"], NAMES["recovery"]}


def test_a_file_written_lately_keeps_a_directory(base: Path) -> None:
    (base / NAMES["old"] / "pki.tar").touch()
    assert stale(base) == set()


def test_made_once_private_and_removed(base: Path) -> None:
    path = staging.make(staging.plan(str(base), MINE, stale_after_seconds=DAY))
    assert os.path.basename(path).startswith(f"lifeboat-{MINE}-")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    again = staging.plan(str(base), MINE, exclusive_playbooks=["recover_cluster"], stale_after_seconds=DAY)
    assert staging.make(again) == path
    assert path not in again.stale
    staging.remove([path, *again.stale])
    assert {entry.name for entry in base.iterdir()} == {
        NAMES["dead"],
        NAMES["alive"],
        NAMES["stranger"],
        "lifeboat-20261120T110003Z-backup_cluster-eeee-abcdefgh",
    }
    assert (base / NAMES["stranger"] / "pki.tar").read_text() == "secret"


def test_directories_of_other_users_are_left(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert stale(base, dead_run_ids=["20261120T110000Z-backup_cluster-aaaa"]) == set()


def test_a_base_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    current = staging.Plan(str(tmp_path / "gone"), MINE, None, ())
    with pytest.raises(staging.StagingError, match="No private directory"):
        staging.make(current)


def test_a_directory_whose_run_lost_the_lock_of_the_host_is_stale(base: Path) -> None:
    """Without a word about dead runs, from a controller that is new: the lock that this host shows says who lives."""
    later = max(path.stat().st_mtime for path in base.rglob("*")) + 1
    recovery = "20261120T110002Z-recover_cluster-cccc"

    def found(lock: staging.SeenLock) -> set[str]:
        return {os.path.basename(path) for path in staging.plan(str(base), MINE, stale_after_seconds=DAY, lock=lock).stale}

    # A plan takes no lock, so that nobody has it proves nothing.
    assert found(staging.SeenLock("", later)) == {NAMES["old"]}
    assert staging.make(staging.Plan(str(base), recovery, str(base / NAMES["recovery"]), ()), holds_lock=True) == str(base / NAMES["recovery"])
    later += 1
    assert found(staging.SeenLock("", later)) == {NAMES["old"], NAMES["recovery"]}
    assert found(staging.SeenLock("20261120T115959Z-restore_etcd-ffff", later)) == {NAMES["old"], NAMES["recovery"]}
    # It has the lock; or it may have taken it since somebody looked.
    assert found(staging.SeenLock(recovery, later)) == {NAMES["old"]}
    assert found(staging.SeenLock("", later - 3600)) == {NAMES["old"]}


def test_a_directory_that_another_run_removed_meanwhile_is_no_error(base: Path) -> None:
    staging.remove([str(base / "lifeboat-20261120T110009Z-backup_cluster-9999-abcdefgh"), str(base / NAMES["dead"])])
    assert not (base / NAMES["dead"]).exists()
