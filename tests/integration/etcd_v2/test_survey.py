# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which store the objects are: the API server's word and the keys have to agree. And the modules as Ansible runs them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_survey import Question, survey
from tests.integration.etcd.servers import Cluster, wait_for
from tests.integration.etcd.test_modules import play
from tests.integration.etcd_v2 import store

PROCESS = "stub-apiserver"


@contextmanager
def api_server(directory: Path, *arguments: str) -> Iterator[None]:
    """A process of that name with these arguments; it ends with its standard input."""
    program = directory / PROCESS
    program.symlink_to("/bin/sh")
    with subprocess.Popen([program, "-c", "read line", PROCESS, *arguments], stdin=subprocess.PIPE) as process:
        # The kernel lets the parent go on a moment before it gives the child its name.
        wait_for("the name of the process", lambda: Path(f"/proc/{process.pid}/comm").read_text().strip() == PROCESS)
        yield
        assert process.stdin is not None
        process.stdin.close()


def test_the_word_and_the_keys(with_v2: Callable[..., Cluster], tmp_path: Path) -> None:
    server = with_v2(1).servers[0]
    environment_file = tmp_path / "apiserver"
    environment_file.write_text('# KUBE_API_ARGS="--storage-backend=etcd3"\nKUBE_API_ARGS="--etcd-servers=https://a:2379 --storage-backend=etcd2 --v=2"\n')
    configured = Question(apiserver_process=PROCESS, apiserver_files=[str(tmp_path / "none"), str(environment_file)])

    found = survey(server.connection(), configured)
    assert found["storage_backend"] == {"backend": "etcd2", "source": str(environment_file)}
    assert (found["store"], found["v2"]["registry_keys"], found["v3"]["registry_keys"]) == ("", 0, 0)
    assert "no store holds an object" in found["store_reason"]

    # Objects in the v3 store alone, and an API server that reads the v2 store: whichever is backed up would be the wrong one.
    with server.client() as client:
        client.put(b"/registry/pods/a", b"1")
    found = survey(server.connection(), configured)
    assert found["store"] == ""
    assert "the API servers use the v2 store, and it is empty" in found["store_reason"]
    assert survey(server.connection(), Question(apiserver_process=PROCESS))["store"] == "v3"

    store.Writer(server).put("/registry/pods/a", store.kubernetes_object("Pod", "a"))
    assert survey(server.connection(), configured)["store"] == "both"
    with server.client() as client:
        client.delete(b"/registry/pods/a")
    assert survey(server.connection(), configured)["store"] == "v2"
    assert survey(server.connection(), Question(apiserver_process=PROCESS))["store"] == "v2"

    # A process that runs is believed before a file that it may not have read.
    with api_server(tmp_path, "--storage-backend", "etcd3"):
        found = survey(server.connection(), configured)
        assert found["storage_backend"]["backend"] == "etcd3"
        assert found["storage_backend"]["source"].startswith("process ")
        assert "the API servers use the v3 store, and it is empty" in found["store_reason"]
    (tmp_path / PROCESS).unlink()
    with api_server(tmp_path, "--v=2"):
        assert survey(server.connection(), Question(apiserver_process=PROCESS))["storage_backend"]["backend"] == "etcd3"
    # Another host's API server says something else.
    found = survey(server.connection(), Question(apiserver_process=PROCESS, apiserver_files=[str(environment_file)], storage_backends=["etcd3"]))
    assert "do not agree" in found["store_reason"]


def test_a_member_without_the_v2_api(new_cluster: Callable[..., Cluster]) -> None:
    server = new_cluster(1).servers[0]
    with server.client() as client:
        client.put(b"/registry/pods/a", b"1")
    found = survey(server.connection(), Question(apiserver_process=PROCESS))
    assert (found["v2"], found["store"]) == (None, "v3")


def test_a_day_with_the_modules(with_v2: Callable[..., Cluster], binaries: Path, tmp_path: Path) -> None:
    cluster = with_v2(1)
    server = cluster.servers[0]
    store.fill(server, 10)
    connection = server.connection()
    options = {option: getattr(connection, option) for option in ("transport", "endpoint", "ca_cert", "client_cert", "client_key")}
    backup = str(tmp_path / "v2backup.tar")
    taking = {"path": backup, "data_dir": str(server.data_dir), "etcd": str(binaries / "etcd"), "etcdctl": str(binaries / "etcdctl")}
    restoring = {"backup": backup, "data_dir": str(tmp_path / "etcd"), "peer_url": "https://192.0.2.11:2380", "token": "restore-1"}
    restoring |= {"etcd": taking["etcd"], "etcdctl": taking["etcdctl"], "connect": False}
    half = tmp_path / "half.tar"
    half.write_bytes(b"half")
    found = play(
        tmp_path,
        {
            "planned": {"v2_backup": dict(taking), "check_mode": True},
            "taken": {"v2_backup": dict(taking)},
            "again": {"v2_backup": dict(taking)},
            "half": {"v2_backup": dict(taking, path=str(half))},
            "compared": {"v2_info": {"expected": backup, "all_members": True, "apiserver_process": PROCESS}},
            "foreseen": {"v2_restore": dict(restoring), "check_mode": True},
            "restored": {"v2_restore": dict(restoring)},
            "restored_again": {"v2_restore": dict(restoring)},
            "misled": {"v2_restore": dict(restoring, backup=str(half), token="other")},
        },
        options,
    )
    assert (found["planned"]["changed"], set(found["planned"]["backup"])) == (True, {"path", "cluster"})
    taken = found["taken"]["backup"]
    assert found["taken"]["changed"]
    assert found["taken"]["diff"]["after"]["sha256"] == taken["sha256"]
    assert not found["again"]["changed"]
    assert {key: found["again"]["backup"][key] for key in ("sha256", "size_bytes", "taken_at", "v2", "v3")} == {
        key: taken[key] for key in ("sha256", "size_bytes", "taken_at", "v2", "v3")
    }
    assert found["half"]["error"]["kind"] == "BackupInvalid"
    assert half.read_bytes() == b"half"
    assert found["compared"]["comparison"]["equal"]
    assert found["compared"]["members"]["equal"]
    assert found["compared"]["store"] == "both"
    assert found["foreseen"]["changed"]
    assert found["foreseen"]["restore"]["v2_keys_total"] is None
    assert found["restored"]["restore"]["v2_keys_total"] == taken["v2"]["keys_total"]
    assert not found["restored_again"]["changed"]
    assert found["restored_again"]["restore"] == found["restored"]["restore"]
    assert found["misled"]["error"]["reason"] == "truncated"
    assert "nobody lists this" not in str(found)
