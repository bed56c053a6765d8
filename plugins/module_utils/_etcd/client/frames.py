# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One gRPC call over HTTP/2 with the standard library: for snapshots, and where the JSON gateway may not be asked.

Through the gateway a snapshot is base64 inside JSON, which costs the etcd server six times the processor time of the snapshot itself. Its frames are
easy to read, so they are read here. Of the compressed headers only those are read that say how a call ended (trailers).
"""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass
from functools import partial
from io import IOBase
from itertools import chain
from typing import Callable, Iterator, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.trailers import Unreadable, outcome

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 1, 1, 4, 8, 32
_PRIORITY_BYTES = 5
_STREAM = 1
# The sender is held back by TCP; the window of HTTP/2 only has to be out of its way.
_WINDOW = 1 << 30
_LARGEST_FRAME = 1 << 20
_LARGEST_MESSAGE = 64 * 1024 * 1024
_READ_BYTES = 256 * 1024

Messages = Iterator[bytes]


class Broken(OSError):
    """The other side stopped in the middle."""


class Refused(Exception):
    """The server answered with a status of its own; the text is its message."""


@dataclass(frozen=True)
class Call:
    """``context`` must offer h2 only; without one the connection is plain. ``ended``: nothing follows the request, as in all calls but a watch."""

    host: str
    port: int
    context: Optional[ssl.SSLContext]
    path: str
    timeout_seconds: float
    request: bytes = b""
    ended: bool = True


def open_stream(call: Call) -> Optional[Tuple[Messages, Callable[[], None]]]:
    """Returns the messages and how to close, or nothing when the server does not speak like this. Raises Refused; the messages raise OSError and Refused."""
    link: Optional[socket.socket] = None
    first: Optional[bytes] = None
    messages: Messages = iter(())
    try:
        link = socket.create_connection((call.host, call.port), timeout=call.timeout_seconds)
        if call.context is not None:
            link = call.context.wrap_socket(link, server_hostname=call.host)
            if link.selected_alpn_protocol() != "h2":
                link.close()
                return None
        link.sendall(_opening(call))
        messages = _messages(link)
        first = next(messages, None)
    except Refused:
        if link is not None:
            link.close()
        raise
    except OSError:
        pass
    if link is None or first is None:
        if link is not None:
            link.close()
        return None
    # The connection lives until the last reader of it is gone, so it is ended and not only closed.
    return chain((first,), messages), partial(_end, link)


def _end(link: socket.socket) -> None:
    try:
        link.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    link.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _text(value: str) -> bytes:
    """A text as HPACK writes it when it compresses nothing."""
    raw = value.encode()
    if len(raw) < 127:
        return bytes((len(raw),)) + raw
    size, rest = bytearray((127,)), len(raw) - 127
    while rest > 127:
        size.append(rest & 127 | 128)
        rest >>= 7
    size.append(rest)
    return bytes(size) + raw


def _opening(call: Call) -> bytes:
    """Everything that we have to say, except for acknowledgements."""
    authority = "%s:%d" % ("[%s]" % call.host if ":" in call.host else call.host, call.port)
    settings = struct.pack(">HIHIHI", 2, 0, 4, _WINDOW, 5, _LARGEST_FRAME)
    # Names out of HPACK's static table, values as they are, nothing remembered.
    headers = b"\x83" + (b"\x87" if call.context is not None else b"\x86") + b"\x04" + _text(call.path) + b"\x01" + _text(authority)
    headers += b"\x0f\x10" + _text("application/grpc") + b"\x00" + _text("te") + _text("trailers")
    return b"".join(
        (
            _PREFACE,
            _frame(_SETTINGS, 0, 0, settings),
            _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW - 65535)),
            _frame(_HEADERS, _END_HEADERS, _STREAM, headers),
            _frame(_DATA, _END_STREAM if call.ended else 0, _STREAM, b"\0" + struct.pack(">I", len(call.request)) + call.request),
        )
    )


def _frames(source: IOBase) -> Iterator[Tuple[int, int, bytes]]:
    """Kind, flags and payload of each frame. Raises Broken where the connection ends, or what comes is not HTTP/2."""
    while True:
        head = source.read(9)
        if len(head) < 9:
            raise Broken("the connection was closed in the middle of the stream")
        size = int.from_bytes(head[:3], "big")
        if size > _LARGEST_FRAME:
            raise Broken("what came is not HTTP/2")
        payload = source.read(size)
        if len(payload) < size:
            raise Broken("the connection was closed in the middle of a frame")
        yield head[3], head[4], payload


def _whole(buffer: bytearray) -> Iterator[bytes]:
    """The gRPC messages that have come as a whole; they leave the buffer."""
    while len(buffer) >= 5:
        length = int.from_bytes(buffer[1:5], "big")
        if buffer[0] or length > _LARGEST_MESSAGE:
            raise Broken("what came is not an uncompressed gRPC message")
        if len(buffer) < 5 + length:
            return
        yield bytes(memoryview(buffer)[5 : 5 + length])
        del buffer[: 5 + length]


def _answer(link: socket.socket, kind: int, flags: int, payload: bytes) -> None:
    """Acknowledge what asks for it. Raises Broken where the server gives the stream up."""
    if kind == _SETTINGS and not flags & _ACK:
        link.sendall(_frame(_SETTINGS, _ACK, 0, b""))
    elif kind == _PING and not flags & _ACK:
        link.sendall(_frame(_PING, _ACK, 0, payload))
    elif kind == _RST_STREAM:
        raise Broken("the server reset the stream")
    elif kind == _GOAWAY and payload[4:8] != b"\0\0\0\0":
        raise Broken("the server ended the connection")


def _messages(link: socket.socket) -> Messages:
    """The messages of the stream, until the server ends it."""
    with link.makefile("rb", _READ_BYTES) as source:
        buffer = bytearray()
        unreported = 0
        for kind, flags, payload in _frames(source):
            if kind == _DATA:
                unreported += len(payload)
                buffer += _unpadded(payload) if flags & _PADDED else payload
                yield from _whole(buffer)
                if unreported > _WINDOW // 4:
                    update = struct.pack(">I", unreported)
                    link.sendall(_frame(_WINDOW_UPDATE, 0, 0, update) + _frame(_WINDOW_UPDATE, 0, _STREAM, update))
                    unreported = 0
            _answer(link, kind, flags, payload)
            if kind == _HEADERS and flags & _END_STREAM:
                _end_of_call(payload, flags)
            if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
                return


def _end_of_call(payload: bytes, flags: int) -> None:
    """Raise Refused where the headers say that the call failed."""
    block = _unpadded(payload) if flags & _PADDED else payload
    try:
        status, message = outcome(block[_PRIORITY_BYTES:] if flags & _PRIORITY else block)
    except Unreadable:
        return
    if status:
        raise Refused(message or "gRPC status %d" % status)


def _unpadded(payload: bytes) -> bytes:
    return payload[1 : len(payload) - payload[0]] if payload else payload
