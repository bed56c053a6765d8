# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy between an S3 client and its server that does what networks, servers and things between do on bad days.

The client is told the proxy's address; the Host header that it signed goes to the server as it is.

    with FaultProxy(server.port) as proxy:
        proxy.add(Unavailable("put_object", times=3))
        ... endpoint_url=proxy.endpoint_url ...
"""

from __future__ import annotations

import http.client
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

PATIENCE_SECONDS = 60.0
_BLOCK = 1 << 16
_BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass
class Request:
    """What the client asks."""

    method: str
    target: str
    headers: dict[str, str]  # names in lower case
    head: bytes
    body: bytes = b""

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the address."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query, keep_blank_values=True).items()}

    @property
    def key(self) -> str:
        """The key in the path, after the bucket."""
        return urlsplit(self.target).path.lstrip("/").partition("/")[2]

    @property
    def operation(self) -> str:
        """What boto3 calls it."""
        query = self.query
        if "lifecycle" in query:
            return "lifecycle"
        if "uploads" in query:
            return "create_multipart_upload" if self.method == "POST" else "list_multipart_uploads"
        if "uploadId" in query:
            return {"PUT": "upload_part", "POST": "complete_multipart_upload", "DELETE": "abort_multipart_upload"}.get(self.method, "list_parts")
        if "versions" in query:
            return "list_object_versions"
        if "retention" in query:
            return "object_retention"
        return {"PUT": "put_object", "GET": "get_object", "HEAD": "head_object", "DELETE": "delete_object"}.get(self.method, self.method)


@dataclass
class Answer:
    """What the client gets."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Fault:
    """Something that happens to requests of one operation (or all, with an empty name), so many times, or for ever."""

    operation: str = ""
    times: int | None = 1
    happened: int = field(default=0, init=False)

    def answer(self, request: Request, ask: Callable[[Request], Answer]) -> Answer | None:
        """The answer to a request; None for none at all."""
        return ask(request)

    def receive_limit(self) -> int | None:
        """After how many bytes of the request's body the connection breaks."""
        return None

    def send_limit(self) -> int | None:
        """After how many bytes of the answer's body the connection breaks."""
        return None

    def bytes_per_second(self) -> int | None:
        """How slowly the answer's body comes."""
        return None


@dataclass
class DropRequest(Fault):
    """The connection breaks after so many bytes of the request's body: the server gets nothing."""

    after_bytes: int = 0

    def receive_limit(self) -> int | None:
        """As many as said."""
        return self.after_bytes


@dataclass
class DropAnswer(Fault):
    """The server does what it was asked, and the connection breaks after so many bytes of its answer's body; below 0 even before its head."""

    after_bytes: int = -1

    def send_limit(self) -> int | None:
        """As many as said."""
        return self.after_bytes


@dataclass
class Unavailable(Fault):
    """503, and the server never hears of it."""

    def answer(self, request: Request, ask: Callable[[Request], Answer]) -> Answer | None:
        """Busy."""
        del request, ask
        return Answer(503, {"Content-Type": "application/xml"}, _BUSY)


@dataclass
class Slow(Fault):
    """The answer's body comes at this rate."""

    rate: int = 1 << 20

    def bytes_per_second(self) -> int | None:
        """As slow as said."""
        return self.rate


@dataclass
class Silent(Fault):
    """The request is taken, and nothing follows until the client hangs up."""

    def answer(self, request: Request, ask: Callable[[Request], Answer]) -> Answer | None:
        """None."""
        del request, ask
        return None


@dataclass
class Instead(Fault):
    """Something else than the server answers, for instance after giving it only a part of the bytes."""

    respond: Callable[[Request], Answer] = lambda _request: Answer(500, {})

    def answer(self, request: Request, ask: Callable[[Request], Answer]) -> Answer | None:
        """What was said."""
        del ask
        return self.respond(request)


@dataclass
class Edited(Fault):
    """The body of the server's answer, changed."""

    edit: Callable[[bytes], bytes] = lambda body: body

    def answer(self, request: Request, ask: Callable[[Request], Answer]) -> Answer | None:
        """Ask, then change."""
        answer = ask(request)
        return Answer(answer.status, answer.headers, self.edit(answer.body))


@dataclass
class When(Fault):
    """What is answered to those requests that are meant; all others go to the server. ``respond`` may ask it, too."""

    times: int | None = None
    meant: Callable[[Request], bool] = lambda _request: True
    respond: Callable[[Request, Callable[[Request], Answer]], Answer] = lambda request, ask: ask(request)

    def answer(self, request: Request, ask: Callable[[Request], Answer]) -> Answer | None:
        """As said."""
        return self.respond(request, ask) if self.meant(request) else ask(request)


def refusal(status: int, code: str, message: str = "") -> Answer:
    """A server that does not do it."""
    return Answer(status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


def without_key(key: str) -> Callable[[bytes], bytes]:
    """For Edited: a listing from which one key with all its versions is gone."""
    entry = re.compile(rb"<(Version|DeleteMarker)>(?:(?!</\1>).)*<Key>" + re.escape(key.encode()) + rb"</Key>.*?</\1>", re.DOTALL)
    return lambda body: entry.sub(b"", body)


def without_markers(body: bytes) -> bytes:
    """For Edited: a page of a listing that does not say where the next begins."""
    return re.sub(rb"<Next\w*Marker>[^<]*</Next\w*Marker>", b"", body)


class FaultProxy:
    """The proxy; requests of all connections at once."""

    def __init__(self, port: int) -> None:
        """``port``: where the server listens on loopback."""
        self._port = port
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.seen: list[str] = []  # operations, in the order in which they came
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            """One connection, for one request."""

            def handle(self) -> None:
                """Pass it on."""
                proxy._serve(self.request)

        class Listener(socketserver.ThreadingTCPServer):
            """On a port that the kernel chooses."""

            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                """Clients that hang up are part of it."""

        self._listener = Listener(("127.0.0.1", 0), Handler)
        self.endpoint_url = f"http://127.0.0.1:{self._listener.server_address[1]}"

    def __enter__(self) -> FaultProxy:
        """Begin to listen."""
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self._listener.shutdown()
        self._listener.server_close()

    def add(self, fault: Fault) -> Fault:
        """From now on this happens, to those requests that no earlier fault takes."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Nothing happens any more."""
        with self._lock:
            self._faults.clear()

    def _fault_for(self, operation: str) -> Fault:
        with self._lock:
            self.seen.append(operation)
            for fault in self._faults:
                if fault.operation in ("", operation) and (fault.times is None or fault.happened < fault.times):
                    fault.happened += 1
                    return fault
        return Fault()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(PATIENCE_SECONDS)
        stream = client.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return
            head += line
        request = _parse(head)
        fault = self._fault_for(request.operation)
        if request.headers.get("expect", "").lower() == "100-continue":
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length, limit = int(request.headers.get("content-length", "0")), fault.receive_limit()
        request.body = stream.read(length if limit is None else min(length, limit))
        if limit is not None:
            _reset(client)
            return
        answer = fault.answer(request, self._ask)
        if answer is None:
            stream.read(1)
            return
        self._send(client, request, answer, fault)

    def _ask(self, request: Request) -> Answer:
        lines = [line for line in request.head.split(b"\r\n") if line and not re.match(rb"(expect|connection):", line, re.IGNORECASE)]
        with socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_SECONDS) as server:
            server.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + request.body)
            response = http.client.HTTPResponse(server, method=request.method)
            response.begin()
            body = response.read()
            return Answer(response.status, dict(response.getheaders()), body)

    def _send(self, client: socket.socket, request: Request, answer: Answer, fault: Fault) -> None:
        limit, rate = fault.send_limit(), fault.bytes_per_second()
        if limit is not None and limit < 0:
            _reset(client)
            return
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in ("connection", "transfer-encoding", "keep-alive")}
        if request.method != "HEAD":
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
            headers["Content-Length"] = str(len(answer.body))
        head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Connection": "close"}.items())
        client.sendall(f"HTTP/1.1 {answer.status} -\r\n{head}\r\n".encode())
        body = answer.body if limit is None else answer.body[:limit]
        for start in range(0, len(body), _BLOCK):
            block = body[start : start + _BLOCK]
            client.sendall(block)
            if rate is not None:
                time.sleep(len(block) / rate)
        if limit is not None:
            _reset(client)


def _parse(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ")
    headers = dict(line.split(":", 1) for line in lines if line)
    return Request(method, target, {name.strip().lower(): value.strip() for name, value in headers.items()}, head)


def _reset(client: socket.socket) -> None:
    """Break the connection as a machine does that has gone: no orderly end. What was sent before has to arrive first."""
    time.sleep(0.05)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
