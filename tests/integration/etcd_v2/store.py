# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing into a v2 store as the API servers and daemons of that time did, and the jobs under test as the modules run them."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import look
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.gateway import tls_context
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members.members import Wanted, apply, initial_cluster, plan
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.take import prepare
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_backup, v2_restore
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_api import V2Client
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_restore import Request as RestoreRequest
from tests.integration.etcd.servers import Cluster, Server, wait_for


def kubernetes_object(kind: str, name: str, api_version: str = "v1") -> str:
    """As an API server with --storage-media-type=application/json wrote it."""
    return json.dumps({"kind": kind, "apiVersion": api_version, "metadata": {"name": name, "labels": {"text": "ä 𝄞 \u2028"}}})


class Writer:
    """One connection to one member."""

    def __init__(self, server: Server) -> None:
        connection = server.connection()
        self._connection = http.client.HTTPSConnection(connection.host, connection.port, timeout=30, context=tls_context(connection))

    def call(self, method: str, key: str, **form: str) -> dict[str, Any]:
        """One request of the v2 API."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request(method, "/v2/keys" + quote(key), urlencode(form), headers)
        response = self._connection.getresponse()
        text = response.read()
        assert response.status in (200, 201), text
        answer: dict[str, Any] = json.loads(text)["node"]
        return answer

    def put(self, key: str, value: str, **form: str) -> dict[str, Any]:
        """Write a key."""
        return self.call("PUT", key, value=value, **form)


# All below a part that begins with an underscore, directories too.
HIDDEN = ("/registry/_hidden", "/_locks", "/_locks/reboot")


def fill(server: Server, objects: int = 60) -> None:
    """Every kind of key that there is, some of them changed and deleted, and some keys in the v3 store."""
    writer = Writer(server)
    for number in range(objects):
        writer.put(f"/registry/pods/shop/web-{number:04d}", kubernetes_object("Pod", f"web-{number:04d}"))
    writer.put("/registry/pods/shop/web-0001", kubernetes_object("Pod", "changed"))
    writer.call("DELETE", "/registry/pods/shop/web-0002")
    writer.put("/registry/apps/deployments/shop/web", kubernetes_object("Deployment", "web", "apps/v1"))
    writer.put("/registry/secrets/shop/password", "k8s:enc:secretbox:v1:key1:unreadable")
    writer.put("/registry/ranges/serviceips", "no object")
    writer.put("/registry/minions/empty value", "")
    writer.put("/registry/_hidden", "nobody lists this")
    writer.put("/_locks/reboot", "of a daemon")
    writer.put("/registry/events/shop/web.1", kubernetes_object("Event", "web.1"), ttl="86400")
    writer.call("PUT", "/registry/namespaces", dir="true")
    writer.call("PUT", "/opensuse.org/rebootmgr/locks", dir="true", ttl="86400")
    for number in range(3):
        writer.call("POST", "/queue", value=f"job {number}")
    with server.client() as client:
        for number in range(20):
            client.put(b"/registry/leases/node-%d" % number, b"of the v3 store")


@contextmanager
def load(cluster: Cluster) -> Iterator[list[str]]:
    """Writers on every member as long as the context lasts; the list grows with each acknowledged key."""
    acknowledged: list[str] = []
    stop = threading.Event()

    def write(number: int, server: Server) -> None:
        writer, count = Writer(server), 0
        while not stop.is_set():
            key = f"/registry/load/{number}-{count:06d}"
            writer.put(key, f"value {count}")
            acknowledged.append(key)
            count += 1

    threads = [threading.Thread(target=write, args=pair) for pair in enumerate(cluster.servers)]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def backup(server: Server, path: Path, **more: Any) -> dict[str, Any]:
    """What etcd_v2_backup does; returns the record."""
    programs = server.cluster.binaries
    request = v2_backup.Request(str(path), str(more.pop("data_dir", server.data_dir)), str(programs / "etcd"), str(programs / "etcdctl"), **more)
    with server.client() as client:
        return v2_backup.take(client, V2Client.over(server.connection()), request, prepare(client, request.path))


def restore_request(cluster: Cluster, backup_path: Path, server: Server, **more: Any) -> RestoreRequest:
    """For the first member of a cluster."""
    programs = cluster.binaries
    arguments = {"peer_url": server.peer_url, "token": "restore-1", "etcd": str(programs / "etcd"), "etcdctl": str(programs / "etcdctl"), **more}
    return RestoreRequest(str(backup_path), str(server.data_dir), **arguments)


def restore(request: RestoreRequest) -> dict[str, Any]:
    """What etcd_v2_restore does; returns what the marker holds."""
    current = v2_restore.plan(request)
    return v2_restore.apply(current) if current.done is None else current.done


def put_in_place(request: RestoreRequest) -> None:
    """What node_services does."""
    Path(request.staged.member).rename(Path(request.data_dir, "member"))


def start_first(server: Server) -> None:
    """The first member, with the settings of a cluster of three that its service has: with data they mean nothing."""
    server.start(state="existing")
    wait_for(f"{server.name} to be ready", server.ready)


def join(first: Server, server: Server) -> None:
    """One more member joins with empty data, as roles/etcd does it."""
    with first.client() as client:
        wanted = Wanted("learner", server.name, server.peer_url)
        # What it had was moved aside, and an empty directory stands there.
        Path(server.data_dir, "member").mkdir(parents=True, mode=0o700)
        members = apply(client, plan(look(client), wanted), wait_seconds=60, max_lag_entries=1000)
        server.start(initial_cluster=initial_cluster(members, wanted), state="existing")
        apply(client, plan(look(client), Wanted("voter", server.name, server.peer_url)), wait_seconds=60, max_lag_entries=1000)
    wait_for(f"{server.name} to be ready", server.ready)
