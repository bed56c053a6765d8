# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small client of an API server, over real TLS."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes import api as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.api import ApiClient, ApiError, Credentials
from tests.unit.plugins.module_utils._kubernetes.api_server import ApiServer
from tests.unit.plugins.module_utils._node.node_world import make_certificates


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    made = ApiServer(tmp_path)
    yield made
    made.close()


def test_one_connection_serves_all_requests(server: ApiServer) -> None:
    server.objects["/version"] = {"gitVersion": "v1.34.4"}
    with server.client() as client:
        assert [client.get("/version")["gitVersion"] for _number in range(5)] == ["v1.34.4"] * 5
    assert server.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_made_again(server: ApiServer) -> None:
    server.objects["/version"] = {"gitVersion": "v1.34.4"}
    server.drop_after_answer = True
    with server.client() as client:
        for _number in range(3):
            client.get("/version")
    assert server.connections == 3


def test_lists_come_in_pages(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "PAGE_SIZE", 10)
    for number in range(25):
        server.put("/api/v1/pods", f"p{number}")
    with server.client() as client:
        assert [item["metadata"]["name"] for item in client.items("/api/v1/pods")] == [f"p{number}" for number in range(25)]
        assert len([request for request in server.requests if request[1] == "/api/v1/pods"]) == 3
        assert client.count("/api/v1/pods") == 25
    assert server.requests[-1][2]["limit"] == "1"
    assert "as=PartialObjectMetadataList" in server.accepts[-1]


def test_pages_at_one_revision(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the token of a page, the server refuses the revision that the token has."""
    monkeypatch.setattr(subject, "PAGE_SIZE", 10)
    for number in range(15):
        server.put("/api/v1/pods", f"p{number}")
    query = {"resourceVersion": "1", "resourceVersionMatch": "Exact"}
    with server.client() as client:
        assert len(list(client.items("/api/v1/pods", query))) == 15
    assert [sorted(asked) for _method, path, asked in server.requests if path == "/api/v1/pods"] == [
        ["limit", "resourceVersion", "resourceVersionMatch"],
        ["continue", "limit"],
    ]


def test_a_write_after_a_silence_takes_a_new_connection(server: ApiServer) -> None:
    """The server closes silent ones after 90 s; a write that failed on the way is not sent twice."""
    now = [0.0]
    server.put("/api/v1/nodes", "old")
    with server.client(clock=lambda: now[0]) as client:
        client.get("/api/v1/nodes/old")
        now[0] = 59.0
        client.get("/api/v1/nodes/old")
        assert server.connections == 1
        now[0] = 159.0
        assert client.delete("/api/v1/nodes/old", "uid-old") is True
    assert server.connections == 2


def test_what_the_server_is_too_busy_for_is_asked_again(server: ApiServer) -> None:
    pauses: list[float] = []
    server.put("/api/v1/nodes", "old")
    path = "/api/v1/nodes/old"
    with server.client(pause=pauses.append) as client:
        server.busy[path] = (2, 429, "3")
        assert client.get(path)["metadata"]["name"] == "old"
        server.busy[path] = (1, 504, "60")
        assert client.get(path)["metadata"]["name"] == "old"
        assert pauses == [3.0, 3.0, 10.0]
        server.busy[path] = (1, 429, "")
        assert client.delete(path, "uid-old") is True
        # What may have been done is not asked twice, nor what never says when.
        for method, status, retry_after in (("DELETE", 503, "1"), ("GET", 503, "")):
            server.busy[path] = (1, status, retry_after)
            with pytest.raises(ApiError, match="status 503 Busy later"):
                client.request(method, path)
        server.busy[path] = (9, 429, "1")
        with pytest.raises(ApiError, match="status 429"):
            client.get(path)
    assert pauses == [3.0, 3.0, 10.0, 1.0, 1.0, 1.0, 1.0]


def test_a_kind_that_cannot_be_decoded_is_not_waited_for(server: ApiServer) -> None:
    message = "storage is (re)initializing"
    server.texts["/api/v1/secrets"] = (429, json.dumps({"kind": "Status", "reason": "TooManyRequests", "message": message}).encode())
    with server.client(pause=lambda _seconds: pytest.fail("it waited")) as client:
        with pytest.raises(ApiError, match="initializing") as caught:
            client.count("/api/v1/secrets")
        assert "cannot be decoded" in caught.value.remedy
    server.ready = False
    with server.client() as client, pytest.raises(ApiError, match=r"informer-sync; Secrets: storage is \(re\)initializing") as caught:
        client.wait_ready(0.2)
    assert "lifeboat_add_encryption_keys" in caught.value.remedy


def test_words_that_are_no_json_are_shown(server: ApiServer) -> None:
    server.texts["/apis/example.com/v1/nothing"] = (404, b"404 page not found\n")
    with server.client() as client, pytest.raises(ApiError) as caught:
        client.get("/apis/example.com/v1/nothing")
    assert caught.value.found == "status 404 404 page not found"


def test_an_object_that_is_not_there(server: ApiServer) -> None:
    with server.client() as client:
        assert client.find("/api/v1/namespaces/x/configmaps/y") is None
        with pytest.raises(ApiError) as caught:
            client.get("/api/v1/namespaces/x/configmaps/y")
    assert caught.value.status == 404
    assert caught.value.as_result()["error"]["status"] == 404


def test_a_refusal_tells_the_servers_words(server: ApiServer) -> None:
    server.refuse["/api/v1/secrets"] = (403, "Forbidden")
    with server.client() as client, pytest.raises(ApiError, match=r"status 403 Forbidden /api/v1/secrets is not for you") as caught:
        client.get("/api/v1/secrets")
    assert "can-i" in caught.value.remedy
    server.refuse["/api/v1/secrets"] = (500, "InternalError")
    with server.client() as client, pytest.raises(ApiError, match="InternalError"):
        client.find("/api/v1/secrets")


def test_deletion_is_of_this_very_object(server: ApiServer) -> None:
    server.put("/api/v1/nodes", "old")
    with server.client() as client:
        with pytest.raises(ApiError) as caught:
            client.delete("/api/v1/nodes/old", "another-uid")
        assert caught.value.status == 409
        assert client.delete("/api/v1/nodes/old", "uid-old", 0) is True
        assert client.delete("/api/v1/nodes/old", "uid-old") is False
    assert server.bodies[1]["gracePeriodSeconds"] == 0
    assert server.bodies[1]["preconditions"] == {"uid": "uid-old"}


def test_readiness_names_what_fails(server: ApiServer) -> None:
    server.ready = False
    with server.client() as client:
        assert client.ready() == (False, "status 500, failing: etcd informer-sync")
        with pytest.raises(ApiError, match="failing: etcd informer-sync"):
            client.wait_ready(0.2)
        server.ready = True
        assert client.wait_ready(5) < 1


def test_a_server_that_is_not_there() -> None:
    context = subject.ssl.create_default_context()
    with ApiClient("https://127.0.0.1:1", Credentials(""), context=context) as client:
        assert "ConnectionRefusedError" in client.ready()[1]
        with pytest.raises(ApiError, match="did not answer"):
            client.get("/version")


def test_a_server_of_another_authority_is_refused(server: ApiServer, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_certificates(other, number=1)
    pem = str(server.directory / "client.pem")
    with ApiClient(server.url, Credentials(str(other / "ca.pem"), pem, pem)) as client:
        ready, why = client.ready()
    assert not ready
    assert "CERTIFICATE_VERIFY_FAILED" in why


def test_a_server_of_another_name_is_refused(server: ApiServer) -> None:
    with server.client(server_name="somebody.example") as client:
        assert "somebody.example" in client.ready()[1]


@pytest.mark.parametrize(
    ("host", "name"),
    [("127.0.0.1", "kubernetes"), ("::1", "kubernetes"), ("localhost", "kubernetes"), ("192.0.2.1", "192.0.2.1"), ("api.example", "api.example")],
)
def test_loopback_addresses_are_in_no_certificate(host: str, name: str) -> None:
    assert subject._certified_name(host) == name


KUBECONFIG = """apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: QUFB
    server: https://192.0.2.1:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: admin
current-context: admin
users:
- name: kubernetes-admin
  user:
    {certificate}
    {key}
"""


def test_the_certificate_of_a_kubeconfig_is_shown(server: ApiServer, tmp_path: Path) -> None:
    """Embedded or named beside it. What is not there, or is of another kind, is passed over; without any the certificate of its own is shown."""
    server.objects["/version"] = {"gitVersion": "v1.37.2"}
    authority, own = str(server.directory / "ca.pem"), str(server.directory / "client.pem")
    encoded = base64.b64encode(Path(own).read_bytes()).decode()
    embedded, named, token = (tmp_path / name for name in ("admin.conf", "named.conf", "token.conf"))
    embedded.write_text(KUBECONFIG.format(certificate=f"client-certificate-data: {encoded}", key=f"client-key-data: {encoded}"))
    shutil.copy(own, tmp_path / "beside.pem")
    named.write_text(KUBECONFIG.format(certificate="client-certificate: beside.pem", key="client-key: beside.pem"))
    token.write_text(KUBECONFIG.format(certificate="token: abc", key=""))
    for kubeconfigs in ([embedded], [named], [tmp_path / "none", token, embedded]):
        with ApiClient(server.url, Credentials(authority, kubeconfigs=tuple(map(str, kubeconfigs)))) as client:
            assert client.get("/version")["gitVersion"] == "v1.37.2"
    with ApiClient(server.url, Credentials(authority, own, own, (str(token),))) as client:
        assert client.get("/version")["gitVersion"] == "v1.37.2"
    embedded.write_text(KUBECONFIG.format(certificate="client-certificate-data: QUFB", key="client-key-data: QUFB"))
    with pytest.raises(ApiError, match="client certificate can't be used") as caught:
        ApiClient(server.url, Credentials(authority, own, own, (str(embedded),)))
    assert str(embedded) in caught.value.tried
    assert "QUFB" not in str(caught.value)


def test_files_are_looked_at_before_connecting(server: ApiServer, tmp_path: Path) -> None:
    pem = str(server.directory / "client.pem")
    with pytest.raises(ApiError, match="CA certificate is missing") as caught:
        ApiClient(server.url, Credentials(str(tmp_path / "none"), pem, pem))
    assert str(tmp_path / "none") in caught.value.tried
    shutil.copy(server.directory / "server.key", tmp_path / "wrong.key")
    with pytest.raises(ApiError, match="client certificate can't be used"):
        ApiClient(server.url, Credentials(str(server.directory / "ca.pem"), str(server.directory / "client.crt"), str(tmp_path / "wrong.key")))
    with pytest.raises(ApiError, match="no https address"):
        ApiClient("http://127.0.0.1", Credentials(pem, pem, pem))
