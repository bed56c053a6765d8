# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain copies on the controller: private, checked for space, shared, and always gone afterwards."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import transfer
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.transfer import Connection, Delivery, Workspace, open_into
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.age_keys import load_identities
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    ArtifactDamagedError,
    LocationFullError,
    NoRecoveryPointError,
    ObjectExistsError,
    SourceDamagedError,
)
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Maker, flip, make_tar

NAME = "etcd/cp1.tar.zst.age"
TAR = make_tar({"file": b"content"})


@pytest.fixture
def workspace(maker: Maker) -> Workspace:
    """The private directory of a run."""
    return Workspace(str(maker.run_directory))


def plain_files(workspace: Workspace) -> list[str]:
    """Plain copies that lie about."""
    return [name for name in os.listdir(workspace.directory) if name.endswith(".plain")]


def test_a_plain_copy_is_private_and_gone_afterwards(workspace: Workspace) -> None:
    assert stat.S_IMODE(os.stat(workspace.directory).st_mode) == 0o700
    with workspace.plain(10, NAME) as path:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert len(plain_files(workspace)) == 1
    assert plain_files(workspace) == []
    failure = RuntimeError("x")
    with pytest.raises(RuntimeError, match="x"), workspace.plain(10, NAME):
        raise failure
    assert plain_files(workspace) == []


def test_too_little_space_is_said_before_the_first_byte(workspace: Workspace) -> None:
    with pytest.raises(LocationFullError, match="too little space on the controller for the plain copy of etcd/cp1") as caught, workspace.plain(1 << 60, NAME):
        pass
    assert "bytes free" in str(caught.value)
    assert plain_files(workspace) == []


def test_of_large_copies_there_is_one_at_a_time(workspace: Workspace) -> None:
    order = []

    def second() -> None:
        with workspace.plain(transfer.LARGE_BYTES, NAME):
            order.append("second")

    with workspace.plain(transfer.LARGE_BYTES, NAME):
        thread = threading.Thread(target=second)
        thread.start()
        with workspace.plain(10, NAME):
            order.append("a small one beside it")
        time.sleep(0.2)
        order.append("first ends")
    thread.join()
    assert order == ["a small one beside it", "first ends", "second"]


def test_hosts_share_one_plain_copy_and_the_last_removes_it(workspace: Workspace) -> None:
    made: list[str] = []
    together = threading.Barrier(4, timeout=20)

    def make(path: str) -> None:
        made.append(path)
        time.sleep(0.1)
        Path(path).write_bytes(b"plain")

    contents: list[bytes] = []

    def host() -> None:
        with workspace.shared("point/artifact", make) as path:
            together.wait()
            contents.append(Path(path).read_bytes())

    threads = [threading.Thread(target=host) for _count in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents == [b"plain"] * 4
    assert len(made) == 1
    assert plain_files(workspace) == []
    with workspace.shared("point/artifact", make) as path:
        assert Path(path).read_bytes() == b"plain"
    assert len(made) == 2


def test_many_hosts_one_after_the_other_and_at_once(workspace: Workspace) -> None:
    failures: list[BaseException] = []

    def make(path: str) -> None:
        Path(path).write_bytes(b"plain" * 1000)

    def host() -> None:
        try:
            for _turn in range(20):
                with workspace.shared("point/artifact", make) as path:
                    assert Path(path).read_bytes() == b"plain" * 1000
        except (AssertionError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=host) for _count in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert plain_files(workspace) == []


def test_a_copy_that_could_not_be_made_is_not_left_half(workspace: Workspace) -> None:
    def make(path: str) -> None:
        Path(path).write_bytes(b"half")
        raise ArtifactDamagedError("damaged")

    with pytest.raises(ArtifactDamagedError), workspace.shared("point/artifact", make):
        pass
    assert plain_files(workspace) == []


def delivery(maker: Maker, point: str, workspace: Workspace) -> Delivery:
    """The way of one artifact."""
    return Delivery(maker.location, CLUSTER, point, NAME, "cp1", workspace)


def store(maker: Maker, found: Delivery, content: bytes, sha256: str | None = None) -> Any:
    """Store plain bytes."""
    with found.workspace.plain(len(content), NAME) as path:
        Path(path).write_bytes(content)
        return found.store(path, [maker.keys.recipient], False, sha256)


def test_a_rerun_in_the_same_run_finds_its_artifact(maker: Maker, workspace: Workspace, tmp_path: Path) -> None:
    found = delivery(maker, maker.open().id, workspace)
    found.check_open()
    artifact = store(maker, found, TAR)
    assert artifact.contents == {"entries": 1, "files": 1, "file_bytes": 7}
    assert found.already_there(artifact.plain_sha256) == artifact
    with pytest.raises(ObjectExistsError, match="exists already"):
        found.already_there("0" * 64)
    with pytest.raises(ObjectExistsError, match="cannot prove"):
        delivery(maker, found._point, Workspace(str(tmp_path / "another-run"))).already_there(artifact.plain_sha256)


def test_nothing_is_added_to_a_point_that_is_not_open(maker: Maker, workspace: Workspace) -> None:
    with pytest.raises(NoRecoveryPointError, match="was not opened here"):
        delivery(maker, "20261120T133500Z-1a2b3c", workspace).check_open()
    with pytest.raises(ObjectExistsError, match="is sealed: nothing can be added"):
        delivery(maker, maker.point().id, workspace).check_open()


def test_what_arrives_damaged_is_not_stored(maker: Maker, workspace: Workspace) -> None:
    found = delivery(maker, maker.open().id, workspace)
    with pytest.raises(SourceDamagedError, match="not what lies there"):
        store(maker, found, TAR, "0" * 64)
    for content in (TAR[:600], b"no tar"):
        with pytest.raises(SourceDamagedError, match="not a whole tar archive"):
            store(maker, found, content)
    assert maker.location.size(names.artifact_key(CLUSTER, found._point, NAME)) is None
    assert plain_files(workspace) == []


def test_a_damaged_artifact_is_not_opened_into_use(maker: Maker, workspace: Workspace) -> None:
    manifest = maker.point()
    artifact = manifest.artifact(NAME)
    identities = load_identities([str(maker.keys.identity_file)])
    target = Path(workspace.directory, "target")
    open_into(maker.location, manifest, artifact, identities, str(target))
    assert target.stat().st_size == artifact.plain_size_bytes
    flip(maker.path(names.artifact_key(CLUSTER, manifest.id, NAME)), 500)
    with pytest.raises(ArtifactDamagedError, match=NAME):
        open_into(maker.location, manifest, artifact, identities, str(target))


KILLED = """
import sys, time
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import sealing
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
root, key, recipient = sys.argv[1:]
def blocks():
    for number in range(1000):
        yield __import__("os").urandom(1 << 20)
        if number == 8:
            print("half way", flush=True)
        if number > 8:
            time.sleep(0.1)
sealing.seal_to(FilesystemLocation(root), key, blocks(), [recipient])
"""


def test_a_writer_killed_in_the_middle_of_an_artifact_and_the_rerun(maker: Maker, workspace: Workspace) -> None:
    opening = maker.open()
    key = names.artifact_key(CLUSTER, opening.id, NAME)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(maker.root), key, maker.keys.recipient], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == b"half way\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    left = list(maker.root.rglob("*.partial"))
    assert len(left) == 1
    assert left[0].stat().st_size > 0
    assert maker.catalog().get(opening.id).state == "open"
    artifact = store(maker, delivery(maker, opening.id, workspace), TAR)
    assert list(maker.root.rglob("*.partial")) == []
    pki = maker.add(opening.id, "pki", "cp1", TAR)
    maker.seal(opening.id, [artifact, pki])
    assert maker.catalog().select("latest").id == opening.id


class TransferError(Exception):
    """What a connection raises."""


class FakeConnection:
    """A connection that can be told which methods work."""

    def __init__(self, method: str | None, works: tuple[str, ...]) -> None:
        self.options = {} if method is None else {"ssh_transfer_method": method}
        self.works = works
        self.tried: list[str | None] = []

    def get_option(self, name: str) -> str:
        return self.options[name]

    def set_option(self, name: str, value: str) -> None:
        self.options[name] = value

    def fetch_file(self, source: str, target: str) -> None:
        self.tried.append(self.options.get("ssh_transfer_method"))
        if self.tried[-1] not in self.works:
            raise TransferError(self.tried[-1])

    put_file = fetch_file


@pytest.mark.parametrize(
    ("method", "works", "tried", "succeeds"),
    [
        (None, (None,), [None], True),
        ("smart", ("sftp",), ["sftp"], True),
        ("smart", ("scp",), ["sftp", "scp"], True),
        ("smart", ("piped",), ["sftp", "scp"], False),
        ("piped", ("piped",), ["piped"], True),
    ],
)
def test_files_are_never_read_into_memory_unless_asked_for(method: str | None, works: Any, tried: list[str | None], succeeds: bool) -> None:
    for direction in ("fetch", "put"):
        connection = FakeConnection(method, works)
        run = getattr(Connection(connection, (TransferError,)), direction)
        if succeeds:
            run("a", "b")
        else:
            with pytest.raises(TransferError):
                run("a", "b")
        assert connection.tried == tried
        assert connection.options.get("ssh_transfer_method") == method


@pytest.fixture(autouse=True)
def no_leftovers(maker: Maker) -> Iterator[None]:
    """No test leaves a plain copy behind."""
    yield
    assert list(maker.run_directory.rglob("*.plain")) == []
