# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Galaxy that has one collection: as much of its API (v3) as ansible-galaxy asks for."""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@contextmanager
def serve(artifact: Path) -> Iterator[str]:
    """Serve a built collection; gives the address of the API."""
    with tarfile.open(artifact) as archive:
        stream = archive.extractfile("MANIFEST.json")
        assert stream is not None
        information = json.load(stream)["collection_info"]
    namespace, name, version = (information[key] for key in ("namespace", "name", "version"))
    content = artifact.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        """Answers from one dictionary."""

        def do_GET(self) -> None:
            """Give what is under a path."""
            path = self.path.split("?", 1)[0]
            answer = answers.get(path)
            body = content if path == f"/{artifact.name}" else json.dumps(answer).encode()
            self.send_response(404 if answer is None and body is not content else 200)
            self.send_header("Content-Type", "application/json" if body is not content else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    collection = f"/api/v3/collections/{namespace}/{name}"
    answers: dict[str, Any] = {
        "/api/": {"available_versions": {"v3": "v3/"}},
        f"{collection}/": {"namespace": namespace, "name": name, "highest_version": {"version": version}},
        f"{collection}/versions/": {"meta": {"count": 1}, "links": {"next": None}, "data": [{"version": version, "href": f"{collection}/versions/{version}/"}]},
        f"{collection}/versions/{version}/": {
            "namespace": {"name": namespace},
            "collection": {"name": name},
            "name": name,
            "version": version,
            "href": f"{collection}/versions/{version}/",
            "download_url": f"{address}/{artifact.name}",
            "artifact": {"filename": artifact.name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)},
            "metadata": {"dependencies": {}},
            "signatures": [],
        },
    }
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{address}/api/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
