# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All transports against a real member: the same questions, the same answers; and what they say when there is none."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection, EtcdClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, NotAvailable, Rejected, Unreachable
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot
from tests.integration.etcd.servers import Authority, Cluster, Relay, Server
from tests.ports import free_port


def _answers(client: EtcdClient) -> dict[str, object]:
    status = client.status()
    listing = client.range(b"/registry/services/", prefix=True, limit=3)
    return {
        "cluster": (status.cluster_id, status.member_id, status.version, status.leader, status.is_learner, status.errors),
        "members": client.members(),
        "linearizable members": client.members(linearizable=True),
        "alarms": client.alarms(),
        "values": [(item.key, item.value, item.create_revision, item.mod_revision, item.version, item.lease) for item in listing.items],
        "count of listing": (listing.count, listing.more),
        "count": client.range(b"/registry/configmaps/", prefix=True, count_only=True, serializable=True).count,
        "keys": [(item.key, item.value) for item in client.range(b"/registry/secrets/", prefix=True, limit=2, keys_only=True).items],
        "leased": client.range(b"/registry/masterleases/192.0.2.11").items[0].lease != 0,
        "nothing": client.range(b"/registry/nothing").items,
        "hash": client.hash_kv(status.revision),
    }


@pytest.mark.usefixtures("etcdctl_on_path")
def test_all_transports_give_the_same_answers(single: Server) -> None:
    answers = []
    for transport in ("gateway", "grpc", "etcdctl"):
        with single.client(transport) as client:
            assert client.transport == transport
            answers.append(_answers(client))
    assert answers[0] == answers[1]
    assert answers[0] == answers[2]
    assert answers[0]["count"] == 800
    assert answers[0]["count of listing"] == (200, True)


def test_auto_prefers_grpc(single: Server) -> None:
    with single.client("auto") as client:
        assert client.transport == "grpc"
        assert client.status().version


def test_auto_uses_the_gateway_where_grpc_has_no_ca(single: Server) -> None:
    assert connect(Connection(single.endpoint, transport="auto")).transport == "gateway"


@pytest.mark.usefixtures("etcdctl_on_path")
@pytest.mark.parametrize("transport", ["gateway", "grpc", "etcdctl"])
def test_writing(new_cluster: Callable[..., Cluster], transport: str) -> None:
    with new_cluster(1).servers[0].client(transport) as client:
        revision = client.put(b"/key", b"value")
        assert client.put(b"/key", b"-other") == revision + 1
        assert client.range(b"/key", revision=revision).items[0].value == b"value"
        assert client.range(b"/key").items[0].value == b"-other"
        assert client.delete(b"/key") == 1
        assert client.delete(b"/key") == 0


@pytest.mark.usefixtures("etcdctl_on_path")
@pytest.mark.parametrize("transport", ["gateway", "grpc", "etcdctl"])
def test_revisions_that_cannot_be_read(single: Server, transport: str) -> None:
    with single.client(transport) as client:
        with pytest.raises(Rejected) as compacted:
            client.range(b"/registry/nothing", revision=2)
        assert compacted.value.compacted
        with pytest.raises(Rejected) as future:
            client.range(b"/registry/nothing", revision=10**9)
        assert future.value.future
        with pytest.raises(Rejected):
            client.hash_kv(2)


def test_watch_from_a_compacted_revision_is_cancelled(single: Server, transport: str) -> None:
    with single.client(transport) as client:
        probe = client.watch_probe(2)
        assert probe.cancelled
        assert probe.compact_revision > 2
        revision = client.status().revision
        assert not client.watch_probe(revision).cancelled
        assert not client.watch_probe(revision + 1000).cancelled


@pytest.mark.parametrize("transport", ["gateway", "grpc"])
def test_a_member_that_asks_who_is_there(new_cluster: Callable[..., Cluster], tmp_path: Path, transport: str) -> None:
    """With authentication on, the gateway refuses a certificate with a name. gRPC takes it, and so do the frames that take the gateway's place."""
    cluster = new_cluster(1)
    server = cluster.servers[0]
    # The name in the client certificate is a user's.
    for user in ("root", "client"):
        cluster.etcdctl("user", "add", user, "--no-password")
        cluster.etcdctl("user", "grant-role", user, "root")
    cluster.etcdctl("auth", "enable")
    with server.client(transport) as client:
        revision = client.put(b"/key", b"value")
        assert client.put(b"/key", b"other") == revision + 1
        assert client.range(b"/key").items[0].value == b"other"
        status, members = client.status(), client.members()
        assert (status.revision, [member.member_id for member in members]) == (revision + 1, [status.member_id])
        assert client.hash_kv(revision + 1).hash
        assert client.alarms() == ()
        cluster.etcdctl("compact", str(revision + 1))
        with pytest.raises(Rejected) as compacted:
            client.range(b"/key", revision=revision)
        assert compacted.value.compacted
        assert client.watch_probe(revision).cancelled
        assert not client.watch_probe(revision + 1).cancelled
        with pytest.raises(Rejected, match="member not found"):
            client.member_remove(5)
        saved = snapshot.save(client, str(tmp_path / "etcd.db"))
        assert snapshot.record(saved.path)["keys_total"] == 1


def test_without_its_gateway_a_member_is_asked_in_frames(new_cluster: Callable[..., Cluster]) -> None:
    cluster = new_cluster(1, "--enable-grpc-gateway=false")
    with cluster.servers[0].client("gateway") as client:
        # A watch that is the first question of all.
        assert not client.watch_probe(1).cancelled
    with cluster.servers[0].client("gateway") as client:
        revision = client.put(b"/key", b"value")
        assert client.status().revision == revision
        assert client.watch_probe(revision).reason
        with pytest.raises(Rejected) as future:
            client.range(b"/key", revision=10**9)
        assert future.value.future


def test_a_port_for_grpc_alone_is_asked_in_frames(new_cluster: Callable[..., Cluster]) -> None:
    """With a port of its own for HTTP, the usual one knows nothing else."""
    with new_cluster(1, f"--listen-client-http-urls=https://127.0.0.1:{free_port()}").servers[0].client("gateway") as client:
        revision = client.put(b"/key", b"value")
        assert client.status().revision == revision
        assert client.watch_probe(revision).reason


@pytest.mark.usefixtures("etcdctl_on_path")
def test_etcdctl_tells_a_cancelled_watch_and_never_streams(single: Server) -> None:
    with single.client("etcdctl") as client:
        assert client.watch_probe(2).cancelled
        with pytest.raises(NotAvailable, match="cannot stream"):
            client.snapshot()


@pytest.mark.usefixtures("etcdctl_on_path")
@pytest.mark.parametrize("transport", ["gateway", "grpc", "etcdctl"])
def test_a_dead_endpoint(authority: Authority, transport: str) -> None:
    endpoint = f"https://127.0.0.1:{free_port()}"
    connection = Connection(endpoint, str(authority.ca_cert), str(authority.client_cert), str(authority.client_key), transport, 2.0)
    with connect(connection) as client, pytest.raises(Unreachable) as caught:
        client.status()
    assert endpoint in str(caught.value)


@pytest.mark.usefixtures("etcdctl_on_path")
@pytest.mark.parametrize("transport", ["gateway", "grpc", "etcdctl"])
def test_wrong_client_certificates(single: Server, authority: Authority, tmp_path: Path, transport: str) -> None:
    foreign = Authority(tmp_path, "foreign")
    ours = str(authority.ca_cert)
    for connection in (
        Connection(single.endpoint, ours, str(foreign.client_cert), str(foreign.client_key), transport, 1.0),
        Connection(single.endpoint, ours, "", "", transport, 1.0),
        Connection(single.endpoint, str(foreign.ca_cert), str(authority.client_cert), str(authority.client_key), transport, 1.0),
    ):
        with connect(connection) as client, pytest.raises(Unreachable):
            client.status()


def test_a_key_of_another_certificate(single: Server, authority: Authority) -> None:
    mixed = Connection(single.endpoint, str(authority.ca_cert), str(authority.client_cert), str(authority.server_key), "gateway")
    with pytest.raises(EtcdError, match="certificates") as caught:
        connect(mixed)
    assert "PRIVATE" not in str(caught.value)


def test_a_member_that_is_silent(new_cluster: Callable[..., Cluster], transport: str) -> None:
    server = new_cluster(1).servers[0]
    with server.paused(), server.client(transport, 1.0) as client, pytest.raises(Unreachable, match="no answer within 1 s"):
        client.status()
    with server.client(transport) as client:
        assert client.status().version


def test_something_else_listens(single: Server) -> None:
    class Other(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>\nhello</html>\n")

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        connection = Connection(f"http://127.0.0.1:{other.server_address[1]}", transport="gateway", timeout_seconds=5)
        with pytest.raises(EtcdError, match="not etcd's"):
            connect(connection).status()
        with pytest.raises(EtcdError, match="not etcd's"):
            list(connect(connection).snapshot())
        other.shutdown()
    assert single.client().status()


def test_a_relay_does_no_harm(single: Server, transport: str) -> None:
    relay = Relay(int(single.endpoint.rpartition(":")[2]))
    try:
        with connect(single.cluster.connection(f"https://127.0.0.1:{relay.port}", transport)) as client:
            assert client.status().version
    finally:
        relay.close()
