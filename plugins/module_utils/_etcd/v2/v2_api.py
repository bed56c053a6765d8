# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd's v2 API: HTTP and JSON, over TCP to a member or over the socket of a scratch server of ours."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Sequence
from urllib.parse import quote

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.gateway import tls_context
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, NotAvailable, Rejected, Unreachable
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_tree import Tree, add_answer

_KEY_NOT_FOUND = 100


@dataclass(frozen=True)
class Position:
    """Where a member was when it answered: index of the v2 store, and the last raft entry that it knew to be committed."""

    index: int
    raft_index: int


@dataclass(frozen=True)
class Answer:
    """Status, position and document of one answer."""

    status: int
    position: Position
    document: Any


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class V2Client:
    """One member. Raises Unreachable, Rejected or NotAvailable."""

    def __init__(self, name: str, opener: Callable[[], http.client.HTTPConnection]) -> None:
        self.name = name
        self._opener = opener

    @classmethod
    def over(cls, connection: Connection) -> V2Client:
        """A member at its client URL."""
        if connection.tls:
            context = tls_context(connection)
            return cls(
                connection.endpoint,
                lambda: http.client.HTTPSConnection(connection.host, connection.port, timeout=connection.timeout_seconds, context=context),
            )
        return cls(connection.endpoint, lambda: http.client.HTTPConnection(connection.host, connection.port, timeout=connection.timeout_seconds))

    @classmethod
    def at_socket(cls, path: str, timeout_seconds: float) -> V2Client:
        """A scratch server of ours."""
        return cls(path, lambda: _SocketConnection(path, timeout_seconds))

    def request(self, method: str, path: str, document: Any = None) -> Answer:
        """One answer, whatever its status, as long as it is etcd's."""
        connection = self._opener()
        try:
            body = None if document is None else json.dumps(document).encode()
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            headers = response.headers
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                "etcd at %s cannot be asked over its v2 API" % self.name,
                tried="%s %s" % (method, path),
                found="%s: %s" % (type(error).__name__, error),
                remedy="Check that etcd runs there, and that the certificates are its own.",
                endpoint=self.name,
            ) from None
        finally:
            connection.close()
        try:
            answer = json.loads(text) if text else {}
        except ValueError:
            answer = None
        if answer is None and response.status == 404:
            raise NotAvailable(
                "etcd at %s has no v2 API" % self.name,
                tried="%s %s" % (method, path),
                found="404",
                remedy="A member whose v2 store is used runs with --enable-v2 (ETCD_ENABLE_V2=true).",
                endpoint=self.name,
            )
        if answer is None:
            raise EtcdError("the answer of %s to %s is not etcd's" % (self.name, path), found="status %d, not JSON" % response.status, endpoint=self.name)
        position = Position(int(headers.get("X-Etcd-Index") or 0), int(headers.get("X-Raft-Index") or 0))
        return Answer(response.status, position, answer)

    def _good(self, method: str, path: str, document: Any = None) -> Answer:
        answer = self.request(method, path, document)
        if answer.status >= 300:
            raise Rejected(
                "etcd at %s refused: %s %s" % (self.name, method, path),
                reason=str(answer.document.get("message") or answer.document) if isinstance(answer.document, dict) else "status %d" % answer.status,
                endpoint=self.name,
            )
        return answer

    def healthy(self) -> bool:
        """Whether it has a leader and answers."""
        answer = self.request("GET", "/health")
        return answer.status == 200 and str(answer.document.get("health")) == "true"

    def barrier(self) -> Position:
        """Read with a quorum's consent. When the answer is there, this member has applied everything that was acknowledged before the question."""
        return self._good("GET", "/v2/keys/?quorum=true").position

    def tree(self, *, quorum: bool, hidden: Sequence[str] = ()) -> Tree:
        """All keys that are not hidden, and the hidden ones that are named."""
        answer = self._good("GET", "/v2/keys/?recursive=true%s" % ("&quorum=true" if quorum else ""))
        tree = Tree(index=answer.position.index, hidden_known=False)
        add_answer(tree, answer.document["node"])
        for key in hidden:
            found = self.request("GET", "/v2/keys%s?recursive=true%s" % (quote(key), "&quorum=true" if quorum else ""))
            if found.status == 200:
                add_answer(tree, found.document["node"])
            elif not isinstance(found.document, dict) or found.document.get("errorCode") != _KEY_NOT_FOUND:
                raise Rejected("etcd at %s refused: %s" % (self.name, key), reason="status %d" % found.status, endpoint=self.name)
        return tree

    def members(self) -> List[Dict[str, Any]]:
        """The member list: id, name, peerURLs, clientURLs."""
        return list(self._good("GET", "/v2/members").document["members"])

    def update_member(self, identity: str, peer_url: str) -> Mapping[str, Any]:
        """Give a member another peer URL, and read it back."""
        self._good("PUT", "/v2/members/%s" % identity, {"peerURLs": [peer_url]})
        return next((member for member in self.members() if member["id"] == identity), {})
