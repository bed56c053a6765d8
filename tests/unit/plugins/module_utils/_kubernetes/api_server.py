# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for an API server over real TLS: lists in pages, single objects, deletion with preconditions."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.api import ApiClient, Credentials
from tests.unit.plugins.module_utils._node.node_world import make_certificates


class ApiServer:
    """Objects by path of their list; every request is remembered."""

    def __init__(self, directory: Path) -> None:
        make_certificates(directory)
        self.directory = directory
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.objects: dict[str, dict[str, Any]] = {}
        self.refuse: dict[str, tuple[int, str]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.accepts: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.connections = 0
        self.ready = True
        self.drop_after_answer = False
        # Of a path, so many answers that say "too busy", and in how many seconds to come back (empty: not said).
        self.busy: dict[str, tuple[int, int, str]] = {}
        # Of a path, text as it is.
        self.texts: dict[str, tuple[int, bytes]] = {}
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def log_message(self, *_arguments: object) -> None:
                pass

            def setup(self) -> None:
                super().setup()
                owner.connections += 1

            def do_GET(self) -> None:
                owner.answer(self, "GET")

            def do_DELETE(self) -> None:
                owner.answer(self, "DELETE")

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "server.pem")
        context.load_verify_locations(directory / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://127.0.0.1:{self._server.server_port}"

    def client(self, **more: Any) -> ApiClient:
        """A client with the right certificates."""
        client_pem = str(self.directory / "client.pem")
        return ApiClient(self.url, Credentials(str(self.directory / "ca.pem"), client_pem, client_pem), **more)

    def close(self) -> None:
        """No more answers."""
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
        """Add an object to the list at a path (and to the namespace's own list)."""
        metadata = dict({"name": name, "uid": f"uid-{name}"}, **fields.pop("metadata", {}))
        if namespace:
            metadata["namespace"] = namespace
        item = dict(fields, metadata=metadata)
        self.lists.setdefault(path, []).append(item)
        return item

    def answer(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        """One request."""
        parts = urlsplit(handler.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.requests.append((method, parts.path, query))
        self.accepts.append(handler.headers.get("Accept", ""))
        length = int(handler.headers.get("Content-Length") or 0)
        body = json.loads(handler.rfile.read(length)) if length else {}
        if body:
            self.bodies.append(body)
        status, document, retry_after = self._busy(parts.path) or (*self._result(method, parts.path, query, body), "")
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        if retry_after:
            handler.send_header("Retry-After", retry_after)
        handler.end_headers()
        handler.wfile.write(data)
        if self.drop_after_answer:
            handler.close_connection = True

    def _busy(self, path: str) -> tuple[int, Any, str] | None:
        left, status, retry_after = self.busy.get(path, (0, 0, ""))
        if not left:
            return None
        self.busy[path] = (left - 1, status, retry_after)
        return status, {"kind": "Status", "reason": "Busy", "message": "later"}, retry_after

    def _result(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/readyz":
            return (200, b"ok") if self.ready else (500, b"[+]ping ok\n[-]etcd failed: reason withheld\n[-]informer-sync failed\nreadyz check failed")
        if path in self.texts:
            return self.texts[path]
        if path in self.refuse:
            status, reason = self.refuse[path]
            return status, {"kind": "Status", "status": "Failure", "reason": reason, "message": f"{path} is not for you"}
        if method == "DELETE":
            return self._delete(path, body)
        if path in self.objects:
            return 200, self.objects[path]
        if path in self.lists:
            return 200, self._page(self.lists[path], query)
        list_path, _slash, name = path.rpartition("/")
        for item in self.lists.get(list_path, []):
            if item["metadata"]["name"] == name:
                return 200, item
        return 404, {"kind": "Status", "reason": "NotFound", "message": f"{path} not found"}

    @staticmethod
    def _page(items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        assert not ("continue" in query and "resourceVersion" in query), "resourceVersion is forbidden when continue is provided"
        start, limit = int(query.get("continue", "0")), int(query.get("limit", "100000"))
        end = start + limit
        metadata: dict[str, Any] = {"resourceVersion": "1"}
        if end < len(items):
            metadata.update({"continue": str(end), "remainingItemCount": len(items) - end})
        return {"kind": "List", "metadata": metadata, "items": items[start:end]}

    def _delete(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        list_path, _slash, name = path.rpartition("/")
        namespaced = list_path.rpartition("/")[2]
        for key, items in self.lists.items():
            if key not in (list_path, "/api/v1/" + namespaced):
                continue
            for item in items:
                if item["metadata"]["name"] == name:
                    if body.get("preconditions", {}).get("uid") != item["metadata"]["uid"]:
                        return 409, {"kind": "Status", "reason": "Conflict", "message": "the UID in the precondition does not match"}
                    items.remove(item)
                    return 200, {"kind": "Status", "status": "Success"}
        return 404, {"kind": "Status", "reason": "NotFound", "message": "not found"}
