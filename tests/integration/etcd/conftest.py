# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters for the tests of the etcd part: shared ones that nobody breaks, and new ones for those who do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.etcd import contents
from tests.integration.etcd.servers import Authority, Cluster, Server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Certificates for all clusters."""
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For data of clusters that live as long as the session."""
    return tmp_path_factory.mktemp("clusters")


@pytest.fixture(scope="session")
def single(shared_directory: Path, binaries: Path, authority: Authority) -> Iterator[Server]:
    """One member with some 2,000 objects, deleted and updated keys, a lease, and a compaction behind it."""
    cluster = Cluster(shared_directory / "single", binaries, authority, 1).start()
    server = cluster.servers[0]
    try:
        with server.client("grpc") as client:
            client.put(b"/registry/configmaps/shop/settings-00001", b"the first version, compacted away")
            contents.fill(client, contents.kubernetes_objects(20))
            client.put(b"/registry/configmaps/shop/gone", b"soon deleted")
            client.delete(b"/registry/configmaps/shop/gone")
            lease = cluster.etcdctl("lease", "grant", "36000").split()[1]
            cluster.etcdctl("put", "--lease", lease, "/registry/masterleases/192.0.2.11", "leased")
            revision = client.status().revision
            cluster.etcdctl("compact", str(revision), "--physical")
            client.put(b"/registry/configmaps/shop/settings-00002", contents.protobuf("v1", "ConfigMap", b"after the compaction"))
        yield server
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def big(shared_directory: Path, binaries: Path, authority: Authority) -> Iterator[Server]:
    """One member with more than 200 MB."""
    cluster = Cluster(shared_directory / "big", binaries, authority, 1).start()
    server = cluster.servers[0]
    block = os.urandom(1_000_000)
    try:
        with server.client("grpc", 60) as client:
            for number in range(205):
                client.put(b"/registry/big/%04d" % number, b"%04d" % number + block)
        yield server
    finally:
        cluster.stop()


@pytest.fixture
def new_cluster(tmp_path: Path, binaries: Path, authority: Authority) -> Iterator[Callable[..., Cluster]]:
    """Make clusters that a test may break."""
    made: list[Cluster] = []

    def make(size: int, *options: str, relays: bool = False, start: bool = True) -> Cluster:
        cluster = Cluster(tmp_path / f"cluster{len(made)}", binaries, authority, size, options, relays)
        made.append(cluster)
        return cluster.start() if start else cluster

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture(params=["grpc", "gateway"])
def transport(request: pytest.FixtureRequest) -> str:
    """Every test that takes this runs over both transports."""
    return str(request.param)


@pytest.fixture
def etcdctl_on_path(binaries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The etcdctl under test is the first on the PATH."""
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
