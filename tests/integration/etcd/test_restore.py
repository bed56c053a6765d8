# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores that are really started afterwards, and restores that are killed, cut short or misled."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import look
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import RestoreError, SnapshotInvalid
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members import verify
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore import restore
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.restore import Request
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.inventory import Store
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look import etcd_data
from tests import environment
from tests.etcd_release import release
from tests.integration.etcd.servers import PATIENCE_SECONDS, Authority, Cluster, Server

BUMP = 1_000_000


@pytest.fixture(scope="module")
def saved(single: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of the shared member."""
    path = tmp_path_factory.mktemp("restore") / "etcd.db"
    with single.client() as client:
        snapshot.save(client, str(path))
    return path


@pytest.fixture(scope="module")
def saved_slow(shared_directory: Path, binaries: Path, authority: Authority) -> Path:
    """A snapshot that takes a moment to restore."""
    cluster = Cluster(shared_directory / "slow", binaries, authority, 1).start()
    path = cluster.directory / "etcd.db"
    try:
        with cluster.servers[0].client("grpc", 60) as client:
            block = os.urandom(1_000_000)
            for number in range(60):
                client.put(b"/big/%d" % number, block)
            snapshot.save(client, str(path))
    finally:
        cluster.stop()
    return path


@pytest.fixture
def request_for(saved: Path, binaries: Path, tmp_path: Path) -> Request:
    """A restore of one member."""
    return Request(
        snapshot=str(saved),
        data_dir=str(tmp_path / "data"),
        name="node1",
        initial_cluster={"node1": "https://127.0.0.1:12380"},
        token="fresh-1",
        bump_revision=BUMP,
        etcdutl=str(binaries / "etcdutl"),
    )


def _restore(request: Request) -> dict[str, object]:
    return restore.apply(restore.plan(request))


def _put_into_place(request: Request) -> None:
    os.rename(os.path.join(request.staged.path, "member"), os.path.join(request.data_dir, "member"))


def _tree(directory: str) -> dict[str, tuple[int, int, int]]:
    """Mode, size and time of everything in a directory."""
    result = {}
    for path in sorted(Path(directory).rglob("*")):
        state = path.lstat()
        result[str(path)] = (stat.S_IMODE(state.st_mode), state.st_size, state.st_mtime_ns)
    return result


def test_three_members_from_one_snapshot(saved: Path, request_for: Request, new_cluster: Callable[..., Cluster]) -> None:
    cluster = new_cluster(3, start=False)
    urls = {server.name: server.peer_url for server in cluster.servers}
    record = snapshot.record(str(saved))
    for server in cluster.servers:
        server.data_dir.mkdir(mode=0o700)
        request = replace(request_for, data_dir=str(server.data_dir), name=server.name, initial_cluster=urls, snapshot_sha256=record["sha256"])
        marker = _restore(request)
        assert marker["revision_after"] == record["revision"] + BUMP
        assert marker["keys_total"] == record["keys_total"]
        _put_into_place(request)
    built = {etcd_data.cluster_of_log(str(server.data_dir / "member" / "wal")) for server in cluster.servers}
    cluster.start(token="fresh-1")
    with cluster.servers[0].client("grpc") as client:
        view = look(client)
        assert built == {f"{view.cluster_id:x}"}, "what the log says before etcd runs on it is what etcd says"
        assert len(view.healthy_voters) == 3
        assert view.revision == record["revision"] + BUMP
        comparison = verify.compare_hashes(client, view)
        assert comparison.equal is True, comparison.reason
        assert len(comparison.hashes) == 3
        assert verify.linearizable_read(client) == (True, "")
        assert client.watch_probe(record["revision"]).cancelled
        for prefix, count in record["keys_by_prefix"].items():
            if prefix.startswith("/"):
                assert client.range(prefix.encode(), prefix=True, count_only=True).count == count
        living = {item.key: item.value for item in client.range(b"", prefix=True).items}
        with Store.open(str(saved)) as store:
            assert living == {entry.key: entry.value for entry in store.live()}
            # A new write continues beyond everything that was ever served.
            assert client.put(b"/registry/new", b"x") > record["revision"] + BUMP


def test_modes_marker_and_owner(request_for: Request) -> None:
    request = replace(request_for, owner="12345:54321")
    old_mask = os.umask(0)
    try:
        marker = _restore(request)
    finally:
        os.umask(old_mask)
    assert json.loads(Path(request.staged.marker).read_text()) == marker
    paths = [Path(request.data_dir), Path(request.staged.path), *Path(request.staged.path, "member").rglob("*"), Path(request.staged.path, "member")]
    for path in paths:
        state = path.lstat()
        assert stat.S_IMODE(state.st_mode) == (0o700 if path.is_dir() else 0o600), path
        assert (state.st_uid, state.st_gid) == (12345, 54321), path


def test_data_that_are_gone_are_built_again_whatever_their_marker_says(request_for: Request) -> None:
    """Whoever empties a data directory leaves what is hidden."""
    _restore(request_for)
    shutil.rmtree(request_for.staged.member)
    assert restore.plan(request_for).changed
    _restore(request_for)
    assert os.path.isdir(request_for.staged.member)


def test_data_tell_of_which_cluster_they_are(request_for: Request, single: Server) -> None:
    """A restore makes another cluster, with each token another one; what is no log of etcd tells nothing."""
    with single.client() as client:
        living = f"{look(client).cluster_id:x}"
    assert etcd_data.cluster_of_log(str(single.data_dir / "member" / "wal")) == living
    _restore(request_for)
    other = replace(request_for, token="fresh-2")
    _restore(other)
    told = {etcd_data.cluster_of_log(os.path.join(request.staged.member, "wal")) for request in (request_for, other)}
    assert len(told) == 2
    assert living not in told
    log = sorted(Path(request_for.staged.member, "wal").glob("*.wal"))[-1]
    for content in (b"", b"\x08", log.read_bytes()[:30], os.urandom(200), b"\xff" * 64):
        log.write_bytes(content)
        assert etcd_data.cluster_of_log(str(log.parent)) is None


def test_a_second_run_changes_nothing(request_for: Request) -> None:
    marker = _restore(request_for)
    before = _tree(request_for.data_dir)
    plan = restore.plan(request_for)
    assert not plan.changed
    assert plan.done == marker
    assert restore.apply(plan) == marker
    assert _tree(request_for.data_dir) == before
    _put_into_place(request_for)
    moved = restore.plan(request_for)
    assert not moved.changed
    assert not restore.as_result(moved, moved.done)["member_present"]


def test_what_stands_is_not_touched_and_other_restores_are_reported(request_for: Request) -> None:
    old = Path(request_for.data_dir, "member", "snap", "db")
    old.parent.mkdir(parents=True)
    old.write_text("the old data")
    _restore(request_for)
    other = replace(request_for, token="fresh-2")
    plan = restore.plan(other)
    assert plan.others == [request_for.staged.path]
    restore.apply(plan)
    assert old.read_text() == "the old data"


def test_a_token_serves_one_restore(request_for: Request) -> None:
    _restore(request_for)
    with pytest.raises(RestoreError, match="was used for another restore") as caught:
        restore.plan(replace(request_for, bump_revision=BUMP + 1))
    assert caught.value.details["differing"] == ["bump_revision"]


def test_without_a_bump_the_revision_stays(request_for: Request, saved: Path) -> None:
    assert _restore(replace(request_for, bump_revision=0))["revision_after"] == snapshot.record(str(saved))["revision"]


def test_a_snapshot_that_is_not_the_wanted_one(request_for: Request, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(SnapshotInvalid, match="not the snapshot that was asked for"):
        restore.plan(replace(request_for, snapshot_sha256="0" * 64))
    damaged = tmp_path / "damaged.db"
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(SnapshotInvalid) as caught:
        restore.plan(replace(request_for, snapshot=str(damaged)))
    assert caught.value.details["reason"] == "altered"
    assert not os.path.exists(request_for.data_dir)


def test_a_copied_database_when_that_is_wanted(request_for: Request, saved: Path, tmp_path: Path) -> None:
    bare = tmp_path / "db"
    bare.write_bytes(saved.read_bytes()[:-32])
    request = replace(request_for, snapshot=str(bare))
    with pytest.raises(SnapshotInvalid):
        restore.plan(request)
    assert _restore(replace(request, skip_hash_check=True))["keys_total"] == snapshot.record(str(saved))["keys_total"]


def test_too_little_room(request_for: Request, tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "lifeboat-test", str(place)], check=True)
    try:
        with pytest.raises(RestoreError, match="not enough room"):
            restore.plan(replace(request_for, data_dir=str(place)))
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_mount_point_as_data_directory(request_for: Request, tmp_path: Path) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "lifeboat-test", str(place)], check=True)
    try:
        request = replace(request_for, data_dir=str(place))
        _restore(request)
        _put_into_place(request)
        assert (place / "member" / "snap" / "db").stat().st_dev == place.stat().st_dev
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _etcdutl_at_work(parent: int, request: Request) -> int:
    """The etcdutl that this process started, as soon as the database has begun to appear."""
    database = os.path.join(request.staged.path, "member", "snap", "db")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if os.path.exists(database):
            for task in Path(f"/proc/{parent}/task").iterdir():
                children = (task / "children").read_text().split()
                for child in children:
                    if b"restore" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                        return int(child)
        time.sleep(0.002)
    raise AssertionError("etcdutl was not seen at work")


def test_etcdutl_is_killed_in_the_middle(request_for: Request, saved_slow: Path) -> None:
    request = replace(request_for, snapshot=str(saved_slow))
    killed: list[int] = []

    def kill() -> None:
        pid = _etcdutl_at_work(os.getpid(), request)
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(RestoreError, match="etcdutl could not restore") as caught:
        _restore(request)
    killer.join()
    assert killed
    assert caught.value.details["status"] == -signal.SIGKILL
    assert os.listdir(request.data_dir) == []
    assert _restore(request)["keys_total"] == 60


def test_the_run_itself_is_killed_in_the_middle(request_for: Request, saved_slow: Path) -> None:
    request = replace(request_for, snapshot=str(saved_slow))
    code = (
        "import json, sys\n"
        "from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore import restore\n"
        "restore.apply(restore.plan(restore.Request(**json.loads(sys.argv[1]))))\n"
    )
    variables = dict(os.environ, PYTHONPATH=str(environment.collection_tree()))
    with subprocess.Popen([sys.executable, "-c", code, json.dumps(vars(request))], env=variables) as run:
        child = _etcdutl_at_work(run.pid, request)
        os.kill(child, signal.SIGSTOP)
        run.kill()
    # Its etcdutl lives on and still writes. The next run waits for it, and then begins anew.
    assert not os.path.exists(request.staged.marker)
    plan = restore.plan(request)
    assert plan.unfinished
    threading.Timer(1.0, os.kill, (child, signal.SIGCONT)).start()
    begin = time.monotonic()
    marker = restore.apply(plan)
    assert time.monotonic() - begin > 1.0
    assert marker["keys_total"] == 60
    assert json.loads(Path(request.staged.marker).read_text()) == marker


def test_a_half_made_directory_is_made_anew(request_for: Request) -> None:
    half = Path(request_for.staged.path, "member", "snap", "db")
    half.parent.mkdir(parents=True)
    half.write_text("half")
    plan = restore.plan(request_for)
    assert plan.changed
    assert plan.unfinished
    restore.apply(plan)
    assert half.stat().st_size > 100_000


def test_a_result_that_is_not_the_snapshot_is_refused(request_for: Request, saved: Path, binaries: Path, tmp_path: Path) -> None:
    """An etcdutl that forgets the bump."""
    forgetful = tmp_path / "etcdutl"
    forgetful.write_text(
        '#!/bin/bash\nargs=()\nfor a in "$@"; do case "$a" in --bump-revision=*|--mark-compacted) ;; *) args+=("$a");; esac; done\n'
        f'exec {binaries / "etcdutl"} "${{args[@]}}"\n'
    )
    forgetful.chmod(0o755)
    revision = snapshot.record(str(saved))["revision"]
    with pytest.raises(RestoreError, match="not what the snapshot holds") as caught:
        _restore(replace(request_for, etcdutl=str(forgetful)))
    assert f"revision {revision}, expected {revision + BUMP}" in caught.value.found
    assert not os.path.exists(request_for.staged.marker)


def _script(path: Path, text: str) -> str:
    path.write_text("#!/bin/bash\n" + text)
    path.chmod(0o755)
    return str(path)


def test_where_etcdutl_is_found(request_for: Request, binaries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = str(binaries / "etcdutl")
    on_path = tmp_path / "bin"
    on_path.mkdir()
    monkeypatch.setenv("PATH", f"{on_path}{os.pathsep}{os.environ['PATH']}")
    nothing = replace(request_for, etcdutl="", etcdutl_shipped="")
    with pytest.raises(RestoreError, match="no etcdutl that can restore") as caught:
        _restore(nothing)
    assert "no etcdutl" in caught.value.tried
    found = replace(nothing, etcdutl_shipped=shipped)
    assert restore.foresee(restore.plan(found)) == {"etcdutl": shipped, "etcdutl_source": "shipped", "etcdutl_version": release(binaries)}
    # Too old on the PATH: passed over.
    _script(on_path / "etcdutl", "echo 'etcdutl version: 3.5.9'")
    assert _restore(found)["etcdutl_source"] == "shipped"
    # Older than the data, though it can raise a revision: passed over, too.
    _script(on_path / "etcdutl", "echo 'etcdutl version: 3.5.20'")
    assert _restore(replace(found, token="fresh-1"))["etcdutl_source"] == "shipped"
    shutil.copy(shipped, on_path / "etcdutl")
    assert _restore(replace(found, token="fresh-2"))["etcdutl"] == str(on_path / "etcdutl")
    with pytest.raises(RestoreError, match="no etcdutl that can restore"):
        _restore(replace(found, token="fresh-3", etcdutl=_script(tmp_path / "old", "echo 'etcdutl version: 3.5.9'")))


def test_etcdutl_out_of_an_image(request_for: Request, binaries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for ctr that mounts for real; the image is unmounted afterwards."""
    content = tmp_path / "image" / "usr" / "local" / "bin"
    content.mkdir(parents=True)
    shutil.copy(binaries / "etcdutl", content)
    tools = tmp_path / "bin"
    tools.mkdir()
    log = tmp_path / "log"
    _script(
        tools / "ctr",
        f'echo "$*" >> {log}\ncase "$4" in\n'
        f"ls) echo registry.k8s.io/etcd:3.5.9-0; echo registry.k8s.io/etcd:{release(binaries)}-0; echo registry.k8s.io/pause:3.10;;\n"
        f'mount) mount --bind -o ro {tmp_path / "image"} "$6"; echo "$6";;\n'
        'unmount) umount "$6";;\nesac\n',
    )
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    request = replace(request_for, etcdutl="")
    assert restore.foresee(restore.plan(request))["etcdutl_source"] == "image"
    assert "mount" not in log.read_text()
    marker = _restore(request)
    assert (marker["etcdutl_source"], marker["etcdutl_version"]) == ("image", release(binaries))
    lines = log.read_text().splitlines()
    assert [line.split()[3] for line in lines] == ["ls", "ls", "mount", "unmount"]
    assert f"etcd:{release(binaries)}-0" in lines[2]
    assert not os.path.exists(str(marker["etcdutl"]))
