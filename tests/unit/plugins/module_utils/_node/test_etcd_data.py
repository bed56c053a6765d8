# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies where the data of etcd are: directories and mounts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look import etcd_data as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.etcd_directories import Directories
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.probing import LookError
from tests.unit.plugins.module_utils._node.failing import loop, nobody, open_to_all

MOUNTS = """21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:5 / /dev rw - devtmpfs udev rw
30 21 8:17 / /var/lib/etcd rw,relatime shared:9 - xfs /dev/sdb1 rw
31 21 8:18 / /var/lib/with\\040blank rw - ext4 /dev/sdc1 rw
32 30 8:33 / /var/lib/etcd rw - xfs /dev/mapper/newer rw
broken line
"""


def test_the_mount_of_a_path_is_the_deepest_and_the_last_one() -> None:
    mounts = subject.read_mounts(MOUNTS)
    assert [mount.point for mount in mounts] == ["/", "/dev", "/var/lib/etcd", "/var/lib/with blank", "/var/lib/etcd"]
    for path, source in (("/var/lib/etcd/member", "/dev/mapper/newer"), ("/var/lib/etcd2", "/dev/sda1"), ("/var/lib/with blank/x", "/dev/sdc1")):
        found = subject.mount_of(path, mounts)
        assert found is not None
        assert found.source == source, path
    assert subject.mount_of("/", []) is None


@pytest.mark.parametrize(
    ("files", "directories", "state"),
    [
        ([], [], "absent"),
        ([], ["etcd"], "empty"),
        # A package, or a run that was killed, may leave these.
        ([], ["etcd/member/snap", "etcd/member/wal"], "empty"),
        (["etcd/member.old/snap/db", "etcd/.lifeboat-restore-t/member/snap/db"], ["etcd"], "empty"),
        (["etcd/member/snap/db"], [], "data"),
        (["etcd/member/wal/0000000000000000-0000000000000000.wal"], [], "data"),
        (["etcd/member/snap/0000000000000002-0000000000000009.snap"], [], "data"),
    ],
)
def test_what_is_data(tmp_path: Path, files: list[str], directories: list[str], state: str) -> None:
    for name in directories:
        (tmp_path / name).mkdir(parents=True)
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert subject.state_of(str(tmp_path / "etcd")) == state


def test_data_that_cannot_be_seen_are_not_absent(tmp_path: Path) -> None:
    """Case 3: it was the answer None for the probe, and "no data" for the plan."""
    (tmp_path / "etcd" / "member" / "snap").mkdir(parents=True)
    (tmp_path / "etcd" / "member" / "snap" / "db").write_text("x")
    open_to_all(tmp_path)
    (tmp_path / "etcd" / "member").chmod(0)
    with nobody(), pytest.raises(PermissionError):
        subject.describe(str(tmp_path / "etcd"), str(tmp_path / "aside"))
    loop(tmp_path / "loop")
    with pytest.raises(OSError, match="symbolic links"):
        subject.describe(str(tmp_path / "loop"), str(tmp_path / "aside"))
    (tmp_path / "away").symlink_to("/nonexistent/disk/etcd")
    with pytest.raises(LookError, match="leads to nothing"):
        subject.describe(str(tmp_path / "away"), str(tmp_path / "aside"))
    (tmp_path / "file").touch()
    with pytest.raises(LookError, match="is no directory"):
        subject.describe(str(tmp_path / "file"), str(tmp_path / "aside"))


def test_a_directory_is_described_with_its_mount(tmp_path: Path) -> None:
    data, mountinfo = tmp_path / "etcd", tmp_path / "mountinfo"
    data.mkdir()
    mountinfo.write_text(f"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 21 8:17 / {data} rw - xfs /dev/sdb1 rw\n")
    found = subject.describe(str(data), str(tmp_path / "aside"), str(mountinfo))
    assert (found["state"], found["exists"], found["is_mount"], found["mount_source"]) == ("empty", True, True, "/dev/sdb1")
    (tmp_path / "link").symlink_to("etcd")
    found = subject.describe(str(tmp_path / "link"), str(tmp_path / "aside"), str(mountinfo))
    assert (found["resolved"], found["is_mount"]) == (str(data), True)
    mountinfo.write_text("21 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    found = subject.describe(str(data), str(tmp_path / "aside"), str(mountinfo))
    assert (found["is_mount"], found["mount_source"]) == (False, "/dev/sda1")
    mountinfo.write_text(f"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 21 8:17 / {tmp_path} rw - xfs /dev/sdb1 rw\n")
    found = subject.describe(str(data), str(tmp_path / "aside"), str(mountinfo))
    assert found["is_mount"], "it lies below a file system of its own"
    # The real file: whatever it is, the directory lies on something.
    assert subject.describe(str(data), str(tmp_path / "aside"))["mount_source"]


def test_a_link_that_a_recovery_point_tells_of_is_made_where_nothing_is_in_the_way(tmp_path: Path) -> None:
    """An empty machine has the disk mounted, and not the link that somebody made by hand: it is no machine whose disk is missing."""
    data, disk, mountinfo, fstab = tmp_path / "etcd", tmp_path / "disk", tmp_path / "mountinfo", tmp_path / "fstab"
    disk.mkdir()
    fstab.touch()
    mountinfo.write_text(f"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 21 8:17 / {disk} rw - xfs /dev/sdb1 rw\n")

    def seen(link: str = f"{disk}/etcd") -> dict[str, object]:
        return subject.describe(str(data), str(tmp_path / "aside"), str(mountinfo), str(fstab), link=link)

    found = seen()
    assert (found["to_link"], found["link"], found["state"], found["is_mount"]) == (f"{disk}/etcd", None, "absent", True)
    assert (seen("")["to_link"], seen("")["is_mount"]) == (None, False)
    data.mkdir()
    assert seen()["to_link"] == f"{disk}/etcd", "an empty directory"
    (data / "member").mkdir()
    assert (seen()["to_link"], seen()["is_mount"]) == (None, False)
    (data / "member").rmdir()
    mountinfo.write_text(f"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 21 8:17 / {data} rw - xfs /dev/sdb1 rw\n")
    assert (seen()["to_link"], seen()["is_mount"]) == (None, True), "another disk is mounted there"
    data.rmdir()
    (disk / "etcd").mkdir()
    data.symlink_to(disk / "etcd")
    found = seen()
    assert (found["to_link"], found["link"], found["state"]) == (None, f"{disk}/etcd", "empty")
    mountinfo.write_text("21 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    fstab.write_text(f"UUID=1 {disk} xfs defaults 0 0\n")
    with pytest.raises(LookError, match=f"{disk}/etcd is a mount point|not mounted"):
        seen()


def test_a_file_system_that_should_be_mounted_and_is_not_is_no_empty_directory(tmp_path: Path) -> None:
    data, fstab = tmp_path / "etcd", tmp_path / "fstab"
    data.mkdir()
    arguments = (str(data), str(tmp_path / "aside"), "/proc/self/mountinfo", str(fstab))
    fstab.write_text(f"# UUID=1 {data} xfs defaults 0 0\nUUID=2 none swap sw 0 0\n")
    assert subject.describe(*arguments)["state"] == "empty"
    fstab.write_text(f"UUID=1 {data}/ xfs defaults 0 0\n")
    with pytest.raises(LookError, match="not mounted"):
        subject.describe(*arguments)
    (data / "member" / "wal").mkdir(parents=True)
    (data / "member" / "wal" / "0-0.wal").touch()
    assert subject.describe(*arguments)["state"] == "data", "there it is"


def test_a_log_elsewhere_and_data_elsewhere_are_looked_at_too(tmp_path: Path) -> None:
    for name in ("etcd", "other/member/snap", "log"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "other/member/snap/db").touch()
    (tmp_path / "log/0-0.wal").touch()
    here = subject.describe(str(tmp_path / "etcd"), str(tmp_path / "aside"))

    def seen(data: str | None, wal: str | None) -> dict[str, object]:
        return subject.add_directories(dict(here), Directories(data, wal, "a test"), None)

    plain = seen(str(tmp_path / "etcd"), None)
    assert (plain["flags_state"], plain["wal_state"], subject.evidence(plain)) == ("empty", None, [])
    assert seen(None, str(tmp_path / "etcd/member/wal"))["wal_state"] is None, "that is where it is anyway"
    elsewhere = seen(str(tmp_path / "other"), str(tmp_path / "log"))
    assert (elsewhere["state"], elsewhere["flags_state"], elsewhere["wal_state"]) == ("empty", "data", "data")
    assert subject.evidence(elsewhere) == [f"etcd data in {tmp_path}/other", f"a log of etcd in {tmp_path}/log"]
    shutil.rmtree(tmp_path / "log")
    assert seen(None, str(tmp_path / "log"))["wal_state"] == "absent"


def test_what_restores_left_says_whether_etcd_ran_on_it(tmp_path: Path) -> None:
    """Staged beside the data, in their place, and in use since; one that was cut short has no marker and is nothing."""
    data_dir, aside = tmp_path / "etcd", tmp_path / "aside"
    for token in ("staged", "placed", "cut"):
        (data_dir / (".lifeboat-restore-" + token)).mkdir(parents=True)
    (data_dir / ".lifeboat-restore-staged" / "member").mkdir()
    database = data_dir / "member" / "snap" / "db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"restored")
    os.utime(database, (1000, 1000))
    for token, revision in (("staged", 7), ("placed", 9)):
        marker = data_dir / (".lifeboat-restore-" + token) / "lifeboat-restore.json"
        marker.write_text('{"revision_after": %d}' % revision)
        os.utime(marker, (1001, 1001))

    def restores() -> list[dict[str, object]]:
        return list(subject.describe(str(data_dir), str(aside))["restores"])

    assert restores() == [
        {"token": "placed", "staged": False, "used": False, "revision_after": 9},
        {"token": "staged", "staged": True, "used": False, "revision_after": 7},
    ]
    os.utime(database, (1002, 1002))
    assert [one["used"] for one in restores()] == [True, False]
