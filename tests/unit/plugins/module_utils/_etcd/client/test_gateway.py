# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway client against recorded and made-up answers over real sockets: older servers, odd answers, streams that break."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection, EtcdClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import look
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, NotAvailable, Rejected, SnapshotError, Unreachable
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members import verify
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot

# As 3.3 and 3.4 answer: no applied index, numbers as text.
STATUS = {
    "header": {"cluster_id": "14841639068965178418", "member_id": "10276657743932975437", "revision": "9", "raft_term": "2"},
    "version": "3.3.27",
    "dbSize": "24576",
    "leader": "10276657743932975437",
    "raftIndex": "12",
    "raftTerm": "2",
}
MEMBERS = {"members": [{"ID": "10276657743932975437", "name": "node1", "peerURLs": ["http://a:2380"], "clientURLs": ["http://a:2379"]}]}

Answer = tuple[int, bytes]


class Server:
    """A server that gives prepared answers by path; everything else is 404, as in Go."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[dict[str, object]], Answer]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append(self.path)
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = outer.answers.get(self.path)
                status, text = answer(body) if answer else (404, b"404 page not found\n")
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._http.server_address[1]}"

    def answer(self, path: str, document: object, status: int = 200) -> None:
        """Always answer this."""
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.answers[path] = lambda _body: (status, content)

    def client(self) -> EtcdClient:
        """A client for it."""
        return connect(Connection(self.endpoint, transport="gateway", timeout_seconds=5))

    def close(self) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server without answers."""
    made = Server()
    yield made
    made.close()


def _stream(blobs: list[bytes], trailer: bytes | None = None, space: str = "") -> bytes:
    """The lines of a snapshot stream. protojson now and then puts a space after colons."""
    whole = b"".join(blobs)
    left = len(whole)
    lines = []
    for blob in [*blobs, hashlib.sha256(whole).digest() if trailer is None else trailer]:
        left = max(0, left - len(blob))
        remaining = f'"remaining_bytes":{space}"{left}",' if left else ""
        lines.append(f'{{"result":{space}{{{remaining}"blob":{space}"{base64.b64encode(blob).decode()}","version":{space}"3.6.0"}}}}\n'.encode())
    return b"".join(lines)


def test_an_older_prefix_is_found_once(server: Server) -> None:
    server.answer("/v3beta/maintenance/status", STATUS)
    client = server.client()
    for _round in range(2):
        status = client.status()
        assert (status.version, status.revision, status.raft_applied_index) == ("3.3.27", 9, 12)
    assert server.asked == ["/v3/maintenance/status", "/v3beta/maintenance/status", "/v3beta/maintenance/status"]


def test_a_question_that_an_old_gateway_does_not_know(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    server.answer("/v3/maintenance/status", STATUS)
    server.answer("/v3/cluster/member/list", MEMBERS)
    server.answer("/v3/maintenance/alarm", {})
    # The newer gateways say it in JSON.
    server.answer("/v3/maintenance/hashkv", {"code": 5, "message": "Not Found", "details": []}, 404)
    client = server.client()
    with pytest.raises(NotAvailable, match="does not know hash by revision"):
        client.hash_kv(9)
    comparison = verify.compare_hashes(client, look(client))
    assert comparison.equal is None
    assert "etcdctl, which could ask, is not on this host" in comparison.reason


def test_what_is_not_found_is_not_an_unknown_question(server: Server) -> None:
    server.answer("/v3/cluster/member/remove", {"error": "etcdserver: member not found", "code": 5, "message": "etcdserver: member not found"}, 404)
    with pytest.raises(Rejected, match="member not found"):
        server.client().member_remove(5)


def test_refusals_keep_etcds_words(server: Server) -> None:
    server.answer("/v3/kv/range", {"error": "etcdserver: mvcc: required revision has been compacted", "code": 11}, 400)
    with pytest.raises(Rejected) as caught:
        server.client().range(b"k", revision=1)
    assert caught.value.compacted
    server.answer("/v3/kv/range", b"<html>bad gateway</html>", 502)
    with pytest.raises(Rejected, match="HTTP 502"):
        server.client().range(b"k")


def test_the_snapshot_comes_out_as_it_went_in(server: Server) -> None:
    blobs = [bytes([number]) * 32768 for number in range(40)] + [b"end"]
    for space in ("", " "):
        server.answer("/v3/maintenance/snapshot", _stream(blobs, space=space))
        with snapshot.stream(server.client()) as source:
            assert source.total_bytes == sum(map(len, blobs)) + 32
            content = b"".join(bytes(block) for block in source)
        whole = b"".join(blobs)
        assert content == whole + hashlib.sha256(whole).digest()
        assert source.sha256 == hashlib.sha256(content).hexdigest()


def test_blobs_of_any_size(server: Server) -> None:
    for blobs in ([b"x"], [b"x" * 31, b"y", b"z" * 33], [b"a" * 5, b"b" * 5, b"c" * 100]):
        server.answer("/v3/maintenance/snapshot", _stream(blobs))
        with snapshot.stream(server.client()) as source:
            whole = b"".join(blobs)
            assert b"".join(bytes(block) for block in source) == whole + hashlib.sha256(whole).digest()


def test_a_wrong_trailer_is_never_given_out(server: Server) -> None:
    blobs = [b"x" * 32768] * 80
    server.answer("/v3/maintenance/snapshot", _stream(blobs, trailer=b"\0" * 32))
    given: list[int] = []
    with snapshot.stream(server.client()) as source, pytest.raises(SnapshotError, match="altered on its way"):
        given.extend(len(block) for block in source)
    assert sum(given) < sum(map(len, blobs))


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.8])
def test_a_stream_that_ends_early(server: Server, keep: float) -> None:
    lines = _stream([bytes([number]) * 32768 for number in range(40)]).splitlines(keepends=True)
    server.answer("/v3/maintenance/snapshot", b"".join(lines[: int(len(lines) * keep)]))
    with snapshot.stream(server.client()) as source, pytest.raises(SnapshotError, match="ended early"):
        list(source)


def test_a_stream_that_breaks_inside_a_message(server: Server) -> None:
    content = _stream([bytes([number]) * 32768 for number in range(40)])
    server.answer("/v3/maintenance/snapshot", content[: len(content) // 2])
    with snapshot.stream(server.client()) as source, pytest.raises(Unreachable, match="middle of a message"):
        list(source)


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        (b'{"error":{"grpc_code":13,"message":"etcdserver: disk trouble"}}\n', Rejected, "disk trouble"),
        (b"{}\n", EtcdError, "neither a result nor an error"),
        (b"not json\n", EtcdError, "not JSON"),
        (b'{"result":{"blob":"AAA"}}\n', EtcdError, "not base64"),
    ],
)
def test_a_stream_with_something_else_in_it(server: Server, line: bytes, error: type[EtcdError], words: str) -> None:
    lines = _stream([b"x" * 32768] * 3).splitlines(keepends=True)
    server.answer("/v3/maintenance/snapshot", lines[0] + line + b"".join(lines[1:]))
    with pytest.raises(error, match=words), snapshot.stream(server.client()) as source:
        list(source)


def test_a_server_that_answers_nothing(server: Server) -> None:
    server.answer("/v3/maintenance/snapshot", b"")
    with snapshot.stream(server.client()) as source, pytest.raises(SnapshotError, match="0 of 32 bytes"):
        list(source)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:2379", "ftp://a", "https://", ""])
def test_endpoints_that_are_none(endpoint: str) -> None:
    with pytest.raises(EtcdError, match="not an etcd endpoint"):
        Connection(endpoint)


def test_certificates_that_are_not_there() -> None:
    with pytest.raises(EtcdError, match="ca_cert /nowhere/ca.crt cannot be read"):
        Connection(ca_cert="/nowhere/ca.crt")
    with pytest.raises(EtcdError, match="belong together"):
        Connection(client_cert="/etc/hostname")
    with pytest.raises(EtcdError, match="not a transport"):
        connect(Connection("http://127.0.0.1:1", transport="pigeon"))
