# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of a living member: everything acknowledged is in it, of both stores, and what is not whole is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import BackupError, BackupInvalid, SnapshotInvalid
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_artifact
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_api import V2Client
from tests.integration.etcd.servers import Cluster, wait_for
from tests.integration.etcd_v2 import store


def test_nothing_acknowledged_is_lost_under_load(with_v2: Callable[..., Cluster], tmp_path: Path) -> None:
    # Raft snapshots come and go while the data is copied.
    cluster = with_v2(3, "--snapshot-count", "200")
    with store.load(cluster) as acknowledged:
        for server in cluster.servers:
            enough = len(acknowledged) + 150
            wait_for("more writes", lambda enough=enough: len(acknowledged) > enough)
            before = list(acknowledged)
            path = tmp_path / f"{server.name}.tar"
            record = store.backup(server, path)
            found = v2_artifact.read_file(str(path)).tree.nodes
            assert [key for key in before if key not in found] == []
            assert record["v2"]["keys_total"] >= len(before)


def test_the_last_write_before_silence_is_not_lost(with_v2: Callable[..., Cluster], tmp_path: Path) -> None:
    """Nothing follows that would flush the record that tells that it is committed: this is what ``etcdctl backup`` and a plain copy lose."""
    cluster = with_v2(3)
    for number, server in enumerate(cluster.servers):
        store.Writer(server).put(f"/registry/last-{number}", "acknowledged")
        path = tmp_path / f"{number}.tar"
        store.backup(server, path)
        assert f"/registry/last-{number}" in v2_artifact.read_file(str(path)).tree.nodes


def test_every_kind_of_key_is_listed(with_v2: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A member writes times in its own zone, the API tells them in UTC.
    monkeypatch.setenv("TZ", "America/St_Johns")
    cluster = with_v2(1)
    server = cluster.servers[0]
    store.fill(server)
    path = tmp_path / "v2backup.tar"
    record = store.backup(server, path, owner="65534:65534")
    tree = v2_artifact.read_file(str(path)).tree

    assert record["v2"]["hidden_total"] == len(store.HIDDEN)
    assert all(tree.nodes[key].hidden for key in store.HIDDEN)
    assert record["v2"]["keys_by_kind"] == {"apps/v1/Deployment": 1, "encrypted": 1, "unknown": 3, "v1/Event": 1, "v1/Pod": 59}
    assert record["v2"]["keys_by_top"] == {"/_locks": 1, "/queue": 3, "/registry": 65}
    assert record["v2"]["expiring_total"] == 2
    assert [node.key for node in tree.sorted() if node.expires_at] == ["/opensuse.org/rebootmgr/locks", "/registry/events/shop/web.1"]
    living = V2Client.over(server.connection()).tree(quorum=True, hidden=tree.hidden_roots())
    assert {key: replace(node, kind="") for key, node in living.nodes.items()} == tree.nodes
    assert tree.nodes["/registry/namespaces"].directory
    queue = [node for key, node in tree.nodes.items() if key.startswith("/queue/")]
    assert [node.value_sha256 for node in sorted(queue, key=lambda node: node.key)] == [hashlib.sha256(b"job %d" % number).hexdigest() for number in range(3)]
    assert (record["v3"]["keys_total"], record["v3"]["keys_by_prefix"]) == (20, {"/registry/leases/": 20})
    assert record["server_version"] == "3.4.23"
    # No value, and nothing that tells where or by whom it was made.
    assert b"nobody lists this" not in path.read_bytes().partition(b"v2/member/")[0]

    state = path.stat()
    assert (state.st_mode & 0o777, state.st_uid, state.st_gid, state.st_size) == (0o600, 65534, 65534, record["size_bytes"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == record["sha256"]
    assert sorted(os.listdir(tmp_path)) == ["cluster0", "v2backup.tar"]


def test_by_hand_it_is_a_data_directory(with_v2: Callable[..., Cluster], tmp_path: Path) -> None:
    """tar and etcd are enough."""
    cluster = with_v2(1)
    store.fill(cluster.servers[0])
    store.backup(cluster.servers[0], tmp_path / "v2backup.tar")
    cluster.stop()
    subprocess.run(["tar", "-xf", "v2backup.tar", "v2/member"], cwd=tmp_path, check=True)
    alone = cluster.servers[0]
    alone.data_dir = tmp_path / "v2"
    cluster.options.append("--force-new-cluster")
    alone.start()
    wait_for("the member to be ready", alone.ready)
    assert store.Writer(alone).call("GET", "/registry/_hidden")["value"] == "nobody lists this"


def test_what_is_cut_or_altered_is_refused(with_v2: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = with_v2(1)
    server = cluster.servers[0]
    store.fill(server)
    path = tmp_path / "v2backup.tar"
    store.backup(server, path)
    whole = path.read_bytes()
    damaged = tmp_path / "damaged.tar"
    # Every header, and the contents after each.
    ends = [position for position in range(0, len(whole), 512) if whole[position + 257 : position + 262] == b"ustar"]
    assert len(ends) >= 5
    for length in [0, 100, *ends, *[end + 300 for end in ends], *[end + 513 for end in ends]]:
        damaged.write_bytes(whole[:length])
        with pytest.raises(BackupInvalid):
            v2_artifact.read_file(str(damaged))
    for position in [*[end + 3 for end in ends], *[end + 512 + 40 for end in ends]]:
        damaged.write_bytes(whole[:position] + bytes([whole[position] ^ 0x20]) + whole[position + 1 :])
        with pytest.raises(BackupInvalid):
            v2_artifact.read_file(str(damaged))


def test_the_wrong_kind_is_told_apart(with_v2: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = with_v2(1)
    server = cluster.servers[0]
    with server.client() as client:
        client.put(b"/registry/a", b"1")
        snapshot.save(client, str(tmp_path / "snapshot.db"))
    with pytest.raises(BackupInvalid, match="snapshot of the v3 store") as caught:
        v2_artifact.read_file(str(tmp_path / "snapshot.db"))
    assert caught.value.details["reason"] == "v3_snapshot"
    store.backup(server, tmp_path / "v2backup.tar")
    with pytest.raises(SnapshotInvalid):
        snapshot.prove(str(tmp_path / "v2backup.tar"))


def test_the_data_of_another_member_is_refused(with_v2: Callable[..., Cluster], tmp_path: Path) -> None:
    asked, other = with_v2(1).servers[0], with_v2(1).servers[0]
    store.fill(asked)
    with pytest.raises(BackupError, match="does not tell that all acknowledged writes are committed"):
        store.backup(asked, tmp_path / "v2backup.tar", data_dir=other.data_dir)
    with pytest.raises(BackupError, match="not the data directory of an etcd member"):
        store.backup(asked, tmp_path / "v2backup.tar", data_dir=tmp_path)
    assert [name for name in os.listdir(tmp_path) if name.startswith("v2backup")] == []
