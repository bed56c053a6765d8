# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last member that is left, after a reboot: it answers no client, and its database is read from the disk."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import SnapshotError, SnapshotInvalid, Unreachable
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members import verify
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import disk, snapshot
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.database import database_of, revision_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look import etcd_data
from tests.integration.etcd.servers import Cluster, Server, wait_for

WRITES = 200


def written(server: Server) -> int:
    """Keys that the cluster has acknowledged; the revision after them."""
    with server.client("grpc") as client:
        for number in range(WRITES):
            revision = client.put(b"/registry/kept/%03d" % number, b"%d" % number)
    return revision


def end(server: Server) -> None:
    """Shut down in good order."""
    assert server.process is not None
    server.signal(signal.SIGTERM)
    server.process.wait()
    server.process = None


def test_what_the_last_member_acknowledged_comes_back_from_its_disk(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = new_cluster(3)
    last, *others = cluster.servers
    revision = written(last)
    for server in others:
        server.kill()
    end(last)
    before = last.log.stat().st_size
    last.start(token="first")
    wait_for("it looks for a leader", lambda: b"starting a new election" in last.log.read_bytes()[before:])
    # Without a quorum it cannot publish itself, and serves nobody.
    with last.client("grpc", 3) as client, pytest.raises(Unreachable):
        client.status()
    database = database_of(str(last.data_dir))
    assert revision_of(database) == revision
    assert etcd_data.describe(str(last.data_dir), str(tmp_path / "aside"))["revision"] == revision
    record = disk.save(str(last.data_dir), str(tmp_path / "survivor.db"))
    assert (record["revision"], record["trailer_ok"]) == (revision, True)
    last.kill()

    alone = new_cluster(1, start=False)
    (server,) = alone.servers
    said = alone.start_restored([tmp_path / "survivor.db"], "fresh-1", bump_revision=1000, snapshot_sha256=record["sha256"])
    assert said["revision_after"] == revision + 1000
    with server.client("grpc") as client:
        assert verify.linearizable_read(client) == (True, "")
        kept = {item.key: item.value for item in client.range(b"/registry/kept/", prefix=True).items}
    assert kept == {b"/registry/kept/%03d" % number: b"%d" % number for number in range(WRITES)}


def test_a_copy_is_what_etcd_sends(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """The pages that are in use, however long the file is, and their sha256."""
    cluster = new_cluster(1)
    (server,) = cluster.servers
    written(server)
    with server.client("grpc") as client:
        sent = snapshot.save(client, str(tmp_path / "sent.db"))
    end(server)
    copied = disk.save(str(server.data_dir), str(tmp_path / "copied.db"))
    told = snapshot.record(str(tmp_path / "sent.db"))
    for name in ("revision", "keys_total", "keys_by_prefix"):
        assert copied[name] == told[name]
    assert sent.size_bytes % 512 == copied["size_bytes"] % 512 == 32


def test_what_is_written_meanwhile_is_read_again(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = new_cluster(1)
    (server,) = cluster.servers
    written(server)
    end(server)
    data = tmp_path / "data"
    shutil.copytree(server.data_dir, data)
    database = Path(database_of(str(data)))
    reading = disk.Database(str(database))
    blocks = iter(reading)
    next(blocks)
    with database.open("r+b") as file:
        file.seek(0)
        file.write(file.read(1))
    os.utime(database, ns=(0, 1))
    with pytest.raises(disk.ChangedError, match="was written while it was read"):
        list(blocks)
    reading.close()


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="cannot be read"):
        disk.save(str(tmp_path), str(tmp_path / "x.db"))
    database = Path(database_of(str(tmp_path)))
    database.parent.mkdir(parents=True)
    database.write_bytes(os.urandom(70_000))
    with pytest.raises(SnapshotInvalid):
        disk.save(str(tmp_path), str(tmp_path / "x.db"))
    assert etcd_data.describe(str(tmp_path), str(tmp_path / "aside"))["revision"] is None
    assert not list(tmp_path.glob("x.db*"))
