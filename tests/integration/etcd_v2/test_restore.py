# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a backup to a cluster of three: the first member is built, the others grow; every key of both stores is on all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import look
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import BackupError, BackupInvalid, RestoreError
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members import verify
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_artifact, v2_restore
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_api import V2Client
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_survey import Question, survey
from tests import environment
from tests.integration.etcd.servers import Cluster, Server, wait_for
from tests.integration.etcd_v2 import store


@pytest.fixture
def saved(with_v2: Callable[..., Cluster], tmp_path: Path) -> tuple[Cluster, Path]:
    """A cluster of one that was backed up, and is gone."""
    cluster = with_v2(1)
    store.fill(cluster.servers[0])
    path = tmp_path / "v2backup.tar"
    store.backup(cluster.servers[0], path)
    cluster.stop()
    cluster.servers[0].data_dir = tmp_path / "etcd"
    return cluster, path


def test_three_members_are_lost_and_come_back(with_v2: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = with_v2(3)
    first, *others = cluster.servers
    store.fill(others[1])
    path = tmp_path / "v2backup.tar"
    # Any member gives it, any may be the first again.
    record = store.backup(others[1], path)
    tree = v2_artifact.read_file(str(path)).tree
    old_cluster = _cluster_id(first)
    cluster.stop()
    for server in cluster.servers:
        server.data_dir = tmp_path / "new" / server.name

    request = store.restore_request(cluster, path, first, owner="0:0")
    marker = store.restore(request)
    assert marker["v2_hidden_total"] == len(store.HIDDEN)
    assert marker["v3_keys_total"] == 20
    store.put_in_place(request)
    store.start_first(first)
    for server in others:
        store.join(first, server)
        # One after the other: whoever comes next finds a quorum.
        assert store.Writer(server).call("GET", "/registry/_hidden")["value"] == "nobody lists this"

    assert _cluster_id(first) != old_cluster
    for server in cluster.servers:
        own = V2Client.over(server.connection()).tree(quorum=False, hidden=tree.hidden_roots())
        # Word for word, with the index at which each was written: the API server of that time calls it the resource version.
        assert {key: (node.content, node.modified_index) for key, node in own.nodes.items()} == {
            key: (node.content, node.modified_index) for key, node in tree.nodes.items()
        }
    answer = survey(first.connection(), Question(expected=str(path), since_index=marker["index_after"], all_members=True))
    assert answer["comparison"]["equal"]
    assert answer["members"]["equal"]
    assert len({member["digest"] for member in answer["members"]["seen"]}) == 1
    assert answer["members"]["unheard"] == []
    assert answer["store"] == "both"
    with first.client("grpc") as client:
        assert verify.compare_hashes(client, look(client)).equal is True
        assert {member.name for member in client.members()} == {server.name for server in cluster.servers}
        assert client.range(b"", prefix=True, count_only=True).count == record["v3"]["keys_total"]
        # What cannot be had on this way: clients that watched further wait in silence, so they are all to be restarted.
        assert client.status().revision == record["v3"]["revision"]
        assert not client.watch_probe(record["v3"]["revision"] + 1).cancelled

    # A machine that is off keeps nobody from judging the others.
    others[-1].kill()
    wait_for("a leader among the others", first.ready)
    members = survey(first.connection(), Question(all_members=True))["members"]
    assert members["equal"]
    assert len(members["seen"]) == 2
    assert [unheard["endpoint"] for unheard in members["unheard"]] == [others[-1].endpoint]
    assert "refused" in members["unheard"][0]["reason"]


def _cluster_id(server: Server) -> int:
    with server.client() as client:
        return client.status().cluster_id


def test_differences_are_named(saved: tuple[Cluster, Path]) -> None:
    cluster, path = saved
    server = cluster.servers[0]
    request = store.restore_request(cluster, path, server)
    index = store.restore(request)["index_after"]
    store.put_in_place(request)
    store.start_first(server)
    writer = store.Writer(server)
    writer.put("/registry/_hidden", "altered")
    writer.call("DELETE", "/registry/pods/shop/web-0003")
    writer.put("/registry/pods/shop/new", "{}")
    strict = survey(server.connection(), Question(expected=str(path)))["comparison"]
    assert (strict["changed"], strict["missing"], strict["extra"]) == (["/registry/_hidden"], ["/registry/pods/shop/web-0003"], ["/registry/pods/shop/new"])
    assert not strict["equal"]
    later = survey(server.connection(), Question(expected=str(path), since_index=index))["comparison"]
    assert later["equal"]
    assert set(later["changed_since"]) == {"/registry/_hidden", "/registry/pods/shop/web-0003", "/registry/pods/shop/new"}


def test_owner_modes_and_a_rerun(saved: tuple[Cluster, Path]) -> None:
    cluster, path = saved
    request = store.restore_request(cluster, path, cluster.servers[0], owner="65534:65534")
    marker = store.restore(request)
    assert json.loads(Path(request.staged.marker).read_text()) == marker
    for found in [Path(request.data_dir), Path(request.staged.path), *Path(request.staged.member).rglob("*")]:
        state = found.stat()
        assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (65534, 65534, 0o700 if found.is_dir() else 0o600), found
    assert sorted(os.listdir(request.staged.path)) == ["lifeboat-restore.json", "member"]
    assert v2_restore.plan(request).done == marker
    with pytest.raises(RestoreError, match="was used for another restore"):
        v2_restore.plan(store.restore_request(cluster, path, cluster.servers[0], peer_url="https://127.0.0.1:9"))


@pytest.mark.parametrize("moment", ["localhost:1", "unpacked", "member"])
def test_killed_and_run_again(saved: tuple[Cluster, Path], moment: str) -> None:
    """Killed when this appears: before, while and after the scratch etcd starts. It dies with its module, and the next run finishes."""
    cluster, path = saved
    request = store.restore_request(cluster, path, cluster.servers[0])
    code = (
        "import json, sys\n"
        "from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_restore\n"
        "v2_restore.apply(v2_restore.plan(v2_restore.Request(**json.loads(sys.argv[1]))))\n"
    )
    variables = dict(os.environ, PYTHONPATH=str(environment.collection_tree()))
    with subprocess.Popen([sys.executable, "-c", code, json.dumps(asdict(request))], env=variables) as run:
        wait_for(f"{moment} to appear", lambda: list(Path(request.staged.path).rglob(moment)))
        run.kill()
    wait_for("its programs to end", lambda: not _programs_below(request.staged.path))
    assert not os.path.exists(request.staged.marker)
    marker = store.restore(request)
    assert marker["v2_keys_total"] >= 68
    store.put_in_place(request)
    store.start_first(cluster.servers[0])


def _programs_below(directory: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if directory.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return [pid for pid in found if pid != os.getpid()]


def test_what_does_not_fit_is_refused(saved: tuple[Cluster, Path], tmp_path: Path) -> None:
    cluster, path = saved
    server = cluster.servers[0]
    with pytest.raises(BackupInvalid, match="not the backup that was asked for"):
        store.restore(store.restore_request(cluster, path, server, backup_sha256="0" * 64))
    with pytest.raises(BackupError, match="etcdctl is not on this host"):
        store.restore(store.restore_request(cluster, path, server, etcdctl=str(tmp_path / "none")))
    broken = tmp_path / "etcd-that-ends"
    broken.write_text("#!/bin/sh\necho it is a newer format\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(BackupError, match="ended by itself") as caught:
        store.restore(store.restore_request(cluster, path, server, etcd=str(broken)))
    assert "it is a newer format" in caught.value.found
    assert not os.path.exists(store.restore_request(cluster, path, server).staged.marker)
