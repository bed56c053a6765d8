# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small client of one API server with client certificate files: one TLS connection kept alive, standard library only."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import urlencode, urlsplit

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.kubeconfig import Kubeconfig, NotUnderstoodError, parse
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

PAGE_SIZE = 500
# Every API server's certificate holds this name; few hold 127.0.0.1.
NAME_IN_EVERY_CERTIFICATE = "kubernetes"
_METADATA_ONLY = "application/json;as=PartialObjectMetadata%s;g=meta.k8s.io;v=v1,application/json"
_POLL_SECONDS = 0.075
# API servers close a connection after 90 s of silence. Source: a constant of k8s.io/apiserver, seen on 1.34 and 1.37.
_IDLE_SECONDS = 60.0
_CLOSED_MEANWHILE = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, ConnectionAbortedError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
# So often a request is asked again that the server was too busy for, and so long it is waited at most in between.
_RETRIES = 3
_LONGEST_PAUSE_SECONDS = 10.0
# A kind of which one object cannot be decoded: that does not end by waiting.
_BROKEN_STORAGE = "storage is (re)initializing"


class ApiError(LifeboatError):
    """The API server can't be reached or refused a request."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "", tried: str = "", found: str = "", remedy: str = "") -> None:
        self.status = status
        self.reason = reason
        super().__init__(message, tried=tried, found=found, remedy=remedy, status=status, reason=reason)


class Answer(NamedTuple):
    """What came back; ``retry_after`` in seconds, None where the server does not say."""

    status: int
    body: bytes
    retry_after: Optional[float] = None


class _Connection(http.client.HTTPSConnection):
    """A connection that checks the server's certificate against another name than the address it connects to."""

    def __init__(self, host: str, port: int, server_name: str, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._server_name = server_name
        self._tls = context

    def connect(self) -> None:
        """Connect and shake hands."""
        plain = socket.create_connection((self.host, self.port), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self._server_name)
        except BaseException:
            plain.close()
            raise


def _certified_name(host: str) -> str:
    try:
        return NAME_IN_EVERY_CERTIFICATE if ipaddress.ip_address(host).is_loopback else host
    except ValueError:
        return NAME_IN_EVERY_CERTIFICATE if host == "localhost" else host


@dataclass(frozen=True)
class Credentials:
    """Paths. The client certificate of the first of ``kubeconfigs`` that is there and has one is presented, else ``client_cert``."""

    ca_cert: str
    client_cert: str = ""
    client_key: str = ""
    kubeconfigs: Tuple[str, ...] = ()

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Credentials:
        """Out of a platform's facts or a module's parameters."""
        ca_cert, client_cert, client_key = (str(facts.get(name) or "") for name in ("ca_cert", "client_cert", "client_key"))
        return cls(ca_cert, client_cert, client_key, tuple(str(path) for path in facts.get("kubeconfigs") or ()))

    def in_kubeconfig(self) -> Optional[Tuple[str, Kubeconfig]]:
        """Which kubeconfig counts, and what it holds; None where the certificate of its own does."""
        for path in self.kubeconfigs:
            found = _with_certificate(path) if os.path.isfile(path) else None
            if found:
                return path, found
        return None


def _with_certificate(path: str) -> Optional[Kubeconfig]:
    """What a kubeconfig holds; None for one of another kind (a token, a program that is asked)."""
    try:
        with open(path, encoding="utf-8") as file:
            found = parse(file.read())
    except (NotUnderstoodError, UnicodeDecodeError):
        return None
    for credential in (found.certificate, found.key):
        # Relative to the file, as client-go reads them.
        credential.path = credential.path and os.path.join(os.path.dirname(path), credential.path)
    return found


def tls_context(credentials: Credentials) -> ssl.SSLContext:
    """Trust this CA alone, present this certificate."""
    found = credentials.in_kubeconfig()
    files = [("CA certificate", credentials.ca_cert)]
    files += [] if found else [("client certificate", credentials.client_cert), ("client key", credentials.client_key)]
    shown = found[0] if found else "%s with key %s" % (credentials.client_cert, credentials.client_key)
    for what, path in files:
        if not os.path.isfile(path):
            raise ApiError(
                "The %s is missing." % what,
                tried="read %s" % path,
                found="no such file",
                remedy="Restore the certificates of this node first, or name the right path in the platform's facts.",
            )
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=credentials.ca_cert)
        # From Python 3.13 on this would refuse certificates that Kubernetes itself takes, such as an authority without key usage or key identifiers.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if found:
            with found[1].certificate.file() as certificate, found[1].key.file() as key:
                context.load_cert_chain(certificate, key)
        else:
            context.load_cert_chain(credentials.client_cert, credentials.client_key)
    except (ssl.SSLError, OSError) as error:
        raise ApiError(
            "The client certificate can't be used.",
            tried="load %s, trust %s" % (shown, credentials.ca_cert),
            found=str(error),
            remedy="Check with certificate_info that certificate and key belong together.",
        ) from error
    return context


def _seconds(text: Optional[str]) -> Optional[float]:
    return float(text) if text and text.isdigit() else None


def _document(body: bytes) -> Dict[str, Any]:
    """The answer, when it is an object in JSON."""
    try:
        document = json.loads(body.decode("utf-8")) if body else {}
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _worth_a_retry(method: str, answer: Answer) -> bool:
    """429: refused before anything was done. 503 and 504: only what can be asked twice, and only where the server says when."""
    if answer.status == 429:
        return _BROKEN_STORAGE.encode() not in answer.body
    return answer.status in (503, 504) and method == "GET" and answer.retry_after is not None


def _remedy(status: int, words: str) -> str:
    if status in (401, 403):
        return "Check the rights of the client certificate (kubectl auth can-i --list)."
    if status == 429 and _BROKEN_STORAGE in words:
        return "An object of this kind cannot be decoded: damaged, or written with an encryption key that the API server does not have. Its log names the key."
    return "Read the server's message above."


class ApiClient:
    """Requests to one API server, in JSON."""

    def __init__(
        self,
        server: str,
        credentials: Credentials,
        server_name: str = "",
        timeout_seconds: float = 30.0,
        context: Optional[ssl.SSLContext] = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        address = urlsplit(server)
        if address.scheme != "https" or not address.hostname:
            raise ApiError(
                "The API server's address can't be used.", tried="read %s" % server, found="no https address", remedy="Give it as https://<host>:<port>."
            )
        self.server = server
        self._timeout = timeout_seconds
        self._clock, self._pause = clock, pause
        self._used = clock()
        self._context = context or tls_context(credentials)
        self._connection = _Connection(address.hostname, address.port or 443, server_name or _certified_name(address.hostname), self._context, timeout_seconds)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _exchange(self, method: str, path: str, body: Optional[bytes], headers: Mapping[str, str]) -> Answer:
        if self._clock() - self._used > _IDLE_SECONDS:
            # A write that fails on the way may have been done: it is not tried twice, so it gets a connection that is not on its way out.
            self._connection.close()
        fresh = self._connection.sock is None
        try:
            self._connection.request(method, path, body=body, headers=dict(headers))
            response = self._connection.getresponse()
            answer = Answer(response.status, response.read(), _seconds(response.getheader("Retry-After")))
            self._used = self._clock()
            return answer
        except _CLOSED_MEANWHILE:
            # A connection kept alive may have been closed while nobody looked; a fresh one has no such excuse.
            self._connection.close()
            if fresh or method != "GET":
                raise
            return self._exchange(method, path, body, headers)
        except BaseException:
            self._connection.close()
            raise

    def raw(self, method: str, path: str, query: Optional[Mapping[str, str]] = None, body: Any = None, accept: str = "application/json") -> Answer:
        """One request; the answer, whatever it is. Raises ApiError where there is none."""
        target = path + ("?" + urlencode(query) if query else "")
        headers = {"Accept": accept, "User-Agent": "lifeboat"}
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            return self._exchange(method, target, payload, headers)
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(
                "The API server did not answer.",
                tried="%s %s%s" % (method, self.server, path),
                found="%s: %s" % (type(error).__name__, error),
                remedy="Check that kube-apiserver runs on this node (crictl ps -a --name kube-apiserver) and that its certificate is signed by the CA named.",
            ) from error

    def request(self, method: str, path: str, query: Optional[Mapping[str, str]] = None, body: Any = None, accept: str = "application/json") -> Dict[str, Any]:
        """One request; the answer as a dict, or an ApiError with the server's own words."""
        answer = self.raw(method, path, query, body, accept)
        for _attempt in range(_RETRIES):
            if not _worth_a_retry(method, answer):
                break
            self._pause(min(_LONGEST_PAUSE_SECONDS, answer.retry_after or 1.0))
            answer = self.raw(method, path, query, body, accept)
        status, document = answer.status, _document(answer.body)
        if not 200 <= status < 300:
            reason = str(document.get("reason", ""))
            # What is no JSON is the server's own text, such as "404 page not found".
            words = str(document.get("message", "")) or ("" if document else answer.body.decode("utf-8", "replace").strip())
            raise ApiError(
                "The API server refused a request.",
                status=status,
                reason=reason,
                tried="%s %s%s" % (method, self.server, path),
                found=" ".join(part for part in ("status %d" % status, reason, words[:300]) if part),
                remedy=_remedy(status, words),
            )
        return document

    def get(self, path: str, query: Optional[Mapping[str, str]] = None, accept: str = "application/json") -> Dict[str, Any]:
        """Read one object or list."""
        return self.request("GET", path, query, None, accept)

    def find(self, path: str) -> Optional[Dict[str, Any]]:
        """Read one object that need not be there."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str, query: Optional[Mapping[str, str]] = None, metadata_only: bool = False) -> Iterator[Dict[str, Any]]:
        """All objects of a list, one page in memory at a time."""
        wanted = dict(query or {}, limit=str(PAGE_SIZE))
        accept = _METADATA_ONLY % "List" if metadata_only else "application/json"
        while True:
            page = self.get(path, wanted, accept)
            yield from page.get("items") or []
            following = str((page.get("metadata") or {}).get("continue") or "")
            if not following:
                return
            wanted["continue"] = following
            # The token says the revision; a server refuses both together.
            for name in ("resourceVersion", "resourceVersionMatch"):
                wanted.pop(name, None)

    def count(self, path: str) -> int:
        """How many objects a list has, without reading them."""
        page = self.get(path, {"limit": "1"}, _METADATA_ONLY % "List")
        return len(page.get("items") or []) + int((page.get("metadata") or {}).get("remainingItemCount") or 0)

    def delete(self, path: str, uid: str, grace_seconds: Optional[int] = None) -> bool:
        """Delete this very object, not another of the same name. False when it was gone already."""
        options: Dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self.request("DELETE", path, None, options)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def ready(self) -> Tuple[bool, str]:
        """Whether the server says that it is ready, and else what it says."""
        try:
            answer = self.raw("GET", "/readyz", accept="*/*")
        except ApiError as error:
            return False, error.found
        if answer.status == 200:
            return True, ""
        text = answer.body.decode("utf-8", "replace")
        failing = [line[3:].split(" ")[0] for line in text.splitlines() if line.startswith("[-]")]
        return False, "status %d%s" % (answer.status, ", failing: " + " ".join(failing) if failing else " " + text[:200].strip())

    def unreadable(self) -> str:
        """What the server says of Secrets that it cannot decode; empty where it can. One is enough to keep a server from ever being ready."""
        try:
            answer = self.raw("GET", "/api/v1/secrets", {"limit": "1"})
        except ApiError:
            return ""
        return str(_document(answer.body).get("message", ""))[:300] if answer.status in (429, 500) else ""

    def wait_ready(self, wait_seconds: float, clock: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep) -> float:
        """Wait until the server is ready; the seconds that took."""
        start = clock()
        while True:
            ready, why = self.ready()
            if ready:
                return clock() - start
            if clock() - start >= wait_seconds:
                secrets = self.unreadable() if "informer-sync" in why else ""
                raise ApiError(
                    "The API server is not ready.",
                    tried="GET %s/readyz for %d seconds" % (self.server, wait_seconds),
                    found=why + ("; Secrets: " + secrets if secrets else ""),
                    remedy="Give the API server the encryption configuration with which the Secret named was written (lifeboat_add_encryption_keys)."
                    if secrets
                    else "Look at its container (crictl ps -a --name kube-apiserver, then crictl logs) and at etcd.",
                )
            pause(_POLL_SECONDS)
