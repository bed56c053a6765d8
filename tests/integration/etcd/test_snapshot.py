# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking snapshots of real members: what is written, and what happens when the member, the way or the disk fails."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client import gateway
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, SnapshotError, Unreachable
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot
from tests import environment
from tests.integration.etcd.servers import Cluster, Relay, Server

# Runs in a process of its own, so that memory and limits are its own.
WORKER = """
import json, resource, sys
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client import gateway
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError
task = json.loads(sys.argv[1])
if task["file_limit"]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (task["file_limit"], task["file_limit"]))
try:
    with connect(Connection(**task["connection"])) as client:
        saved = snapshot.save(client, task["path"])
        result = {"size": saved.size_bytes, "sha256": saved.sha256}
except EtcdError as error:
    result = {"error": str(error)}
# Not ru_maxrss, which begins with the parent's.
words = open("/proc/self/status").read().split()
result["peak_bytes"] = int(words[words.index("VmHWM:") + 1]) * 1024
print(json.dumps(result))
"""


def _work(server: Server, transport: str, path: Path, file_limit: int = 0) -> dict[str, Any]:
    connection = server.connection(transport, 60)
    task = {"connection": vars(connection), "path": str(path), "file_limit": file_limit}
    variables = dict(os.environ, PYTHONPATH=str(environment.collection_tree()))
    command = [sys.executable, "-c", WORKER, json.dumps(task)]
    answer = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=variables, timeout=300)
    result: dict[str, Any] = json.loads(answer.stdout)
    return result


@pytest.fixture
def relay(big: Server) -> Iterator[Relay]:
    """A way to the big store that can be broken."""
    made = Relay(int(big.endpoint.rpartition(":")[2]))
    yield made
    made.close()


def test_a_snapshot_is_what_etcdutl_takes_for_one(single: Server, binaries: Path, tmp_path: Path, transport: str) -> None:
    path = tmp_path / "etcd.db"
    with single.client(transport) as client:
        before = client.status()
        saved = snapshot.save(client, str(path))
    content = path.read_bytes()
    assert saved.size_bytes == len(content)
    assert saved.sha256 == hashlib.sha256(content).hexdigest()
    assert hashlib.sha256(content[:-32]).digest() == content[-32:]
    assert path.stat().st_mode & 0o7777 == 0o600
    assert snapshot.iso_time(path.stat().st_mtime) == saved.taken_at
    assert [entry.name for entry in tmp_path.iterdir()] == ["etcd.db"]
    command = [str(binaries / "etcdutl"), "snapshot", "status", str(path), "--write-out=json"]
    theirs = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    record = snapshot.record(str(path))
    assert record["revision"] == theirs["revision"] == before.revision
    assert record["keys_total"] == theirs["totalKey"]
    assert record["size_bytes"] == theirs["totalSize"] + 32


def test_the_stream_is_the_file(single: Server, transport: str) -> None:
    with single.client(transport) as client, snapshot.stream(client) as source:
        announced = source.total_bytes
        content = b"".join(bytes(block) for block in source)
        assert source.size_bytes == announced == len(content)
        assert source.sha256 == hashlib.sha256(content).hexdigest()
        assert hashlib.sha256(content[:-32]).digest() == content[-32:]


def test_the_stream_as_json(single: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the gateway gives where frames do not come through."""
    monkeypatch.setattr(gateway, "open_stream", lambda *_arguments: None)
    with single.client("gateway") as client, snapshot.stream(client) as source:
        content = b"".join(bytes(block) for block in source)
        assert source.total_bytes == len(content)
        assert hashlib.sha256(content[:-32]).digest() == content[-32:]


def test_the_finished_file_belongs_to_whom_it_shall(single: Server, tmp_path: Path) -> None:
    path = tmp_path / "etcd.db"
    with single.client() as client:
        snapshot.save(client, str(path), owner="12345:54321")
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)
        with pytest.raises(EtcdError, match="no-such-user is not known"):
            snapshot.save(client, str(tmp_path / "other.db"), owner="no-such-user")
    assert [entry.name for entry in tmp_path.iterdir()] == ["etcd.db"]


def test_an_existing_file_is_never_replaced(single: Server, tmp_path: Path) -> None:
    path = tmp_path / "etcd.db"
    path.write_text("precious")
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "elsewhere")
    with single.client() as client:
        for taken in (path, link):
            with pytest.raises(SnapshotError, match="exists already"):
                snapshot.save(client, str(taken))
    assert path.read_text() == "precious"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["etcd.db", "link.db"]


def test_what_a_killed_run_left_is_removed_but_not_what_another_writes(single: Server, tmp_path: Path) -> None:
    path, part = tmp_path / "etcd.db", tmp_path / "etcd.db.part"
    part.write_text("half")
    with single.client() as client:
        with part.open() as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(SnapshotError, match="another snapshot is being written"):
                snapshot.save(client, str(path))
        assert part.read_text() == "half"
        snapshot.save(client, str(path))
    assert not part.exists()
    assert snapshot.prove(str(path)).trailer_ok


def test_a_planted_link_is_not_followed(single: Server, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "etcd.db.part").symlink_to(victim)
    with single.client() as client:
        snapshot.save(client, str(tmp_path / "etcd.db"))
    assert victim.read_text() == "precious"


def test_a_missing_directory(single: Server, tmp_path: Path) -> None:
    with single.client() as client, pytest.raises(SnapshotError, match="no snapshot can be written into"):
        snapshot.save(client, str(tmp_path / "missing" / "etcd.db"))


def test_memory_does_not_grow_with_the_store(big: Server, tmp_path: Path, transport: str) -> None:
    path = tmp_path / "big.db"
    saved = _work(big, transport, path)
    assert path.stat().st_size == saved["size"]
    assert saved["size"] > 200_000_000
    assert snapshot.prove(str(path)).sha256 == saved["sha256"]
    assert saved["peak_bytes"] < 100_000_000


def test_a_connection_that_breaks(big: Server, relay: Relay, tmp_path: Path, transport: str) -> None:
    relay.cut_after = 20_000_000
    way = big.cluster.connection(f"https://127.0.0.1:{relay.port}", transport)
    with connect(way) as client, pytest.raises((SnapshotError, Unreachable)):
        snapshot.save(client, str(tmp_path / "etcd.db"))
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_falls_silent(big: Server, relay: Relay, tmp_path: Path, transport: str) -> None:
    relay.stall_after = 20_000_000
    way = big.cluster.connection(f"https://127.0.0.1:{relay.port}", transport, 1.0)
    with connect(way) as client, pytest.raises(Unreachable, match="no answer within 1 s"):
        snapshot.save(client, str(tmp_path / "etcd.db"))
    assert list(tmp_path.iterdir()) == []


def test_a_member_that_dies_while_it_streams(new_cluster: Callable[..., Cluster], transport: str) -> None:
    server = new_cluster(1).servers[0]
    with server.client("grpc") as client:
        for number in range(30):
            client.put(b"/big/%d" % number, os.urandom(1_000_000))
    with server.client(transport) as client, snapshot.stream(client) as source:
        blocks = iter(source)
        assert next(blocks)
        server.kill()
        with pytest.raises((SnapshotError, Unreachable)):
            list(blocks)


def test_a_file_that_may_not_grow(big: Server, tmp_path: Path) -> None:
    answer = _work(big, "gateway", tmp_path / "etcd.db", file_limit=10_000_000)
    assert "failed after" in str(answer["error"])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "lifeboat-test", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_too_little_room_is_refused_before_anything_is_written(big: Server, small_disk: Path) -> None:
    with big.client() as client, pytest.raises(SnapshotError, match="not enough room") as caught:
        snapshot.save(client, str(small_disk / "etcd.db"))
    assert caught.value.details["needed_bytes"] > 400_000_000
    assert list(small_disk.iterdir()) == []


def test_room_to_spare_is_asked_for(single: Server, small_disk: Path) -> None:
    with single.client() as client:
        with pytest.raises(SnapshotError, match="not enough room"):
            snapshot.save(client, str(small_disk / "etcd.db"), minimum_free_bytes=64 * 1024 * 1024)
        snapshot.save(client, str(small_disk / "etcd.db"))
