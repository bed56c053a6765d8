# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server through the raw REST layer of the kubernetes client: its generated models cost more than the server's own work."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import kubernetes
import urllib3

Object = dict[str, Any]

DISCOVERY = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList"
TIMEOUT_SECONDS = 60.0
PAGE = 500


class AnswerError(Exception):
    """The server's answer was no success."""

    def __init__(self, method: str, path: str, status: int, text: str) -> None:
        super().__init__(f"{method} {path}: HTTP {status}: {text[:500]}")
        self.status = status
        self.text = text


class Api:
    """One cluster, named by a kubeconfig; safe to use from many threads."""

    def __init__(self, kubeconfig: Path, *, server: str = "", token: str = "", connections: int = 16) -> None:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration, persist_config=False)
        configuration.connection_pool_maxsize = connections
        if token:
            # Only what the token allows, not what the certificate in the kubeconfig does.
            configuration.cert_file = configuration.key_file = None
            configuration.api_key["BearerToken"] = f"Bearer {token}"
        if server:
            # Another of the cluster's API servers, under the name that their certificate has.
            configuration.host = server
            configuration.tls_server_name = "kubernetes"
        self.host: str = configuration.host
        credentials = {setting["key"]: setting["value"] for setting in configuration.auth_settings().values() if setting.get("in") == "header"}
        self._headers = {"Accept": "application/json", "Content-Type": "application/json", **credentials}
        self._client = kubernetes.client.ApiClient(configuration)
        self._pool: urllib3.PoolManager = self._client.rest_client.pool_manager

    def open(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return the answer unread, whatever its status."""
        url = self.host + path
        if query:
            url += "?" + urlencode({name: str(value) for name, value in query.items()})
        text = None if body is None else json.dumps(body)
        return self._pool.request(
            method, url, body=text, headers={**self._headers, **(headers or {})}, preload_content=False, timeout=urllib3.Timeout(connect=5, read=timeout)
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> Any:
        """Send a request and return its JSON; raises AnswerError on anything but success."""
        response = self.open(method, path, body=body, query=query, headers=headers, timeout=timeout)
        try:
            data = response.read()
        finally:
            response.release_conn()
        if response.status >= 300:
            raise AnswerError(method, path, response.status, data.decode(errors="replace"))
        return json.loads(data)

    def get(self, path: str, **query: object) -> Any:
        """Read one object or list."""
        return self.request("GET", path, query=query)

    def items(self, path: str, revision: int | None = None) -> Iterator[Object]:
        """All items of a list, page by page; as of exactly one revision when given."""
        query: dict[str, object] = {"limit": PAGE}
        if revision is not None:
            query.update(resourceVersion=revision, resourceVersionMatch="Exact")
        while True:
            page = self.request("GET", path, query=query)
            yield from page.get("items") or []
            following = page["metadata"].get("continue")
            if not following:
                return
            query = {"limit": PAGE, "continue": following}

    def answers(self, path: str = "/readyz", timeout: float = 2.0) -> bool:
        """Whether the server answers this with success."""
        try:
            response = self.open("GET", path, timeout=timeout)
            response.drain_conn()
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError):
            return False
        return bool(response.status == 200)

    def resources(self) -> dict[str, Object]:
        """Every resource that can be listed, in its preferred version only: path prefix (/api/v1/secrets) to its discovery entry."""
        found: dict[str, Object] = {}
        for root in ("/api", "/apis"):
            for group in self.request("GET", root, headers={"Accept": DISCOVERY})["items"]:
                name = group.get("metadata", {}).get("name", "")
                seen: set[str] = set()
                for version in group["versions"]:
                    prefix = f"{root}/{version['version']}" if root == "/api" else f"{root}/{name}/{version['version']}"
                    for resource in version.get("resources", []):
                        if "list" in resource["verbs"] and "get" in resource["verbs"] and resource["resource"] not in seen:
                            seen.add(resource["resource"])
                            found[f"{prefix}/{resource['resource']}"] = {**resource, "group": name, "prefix": prefix}
        return found
