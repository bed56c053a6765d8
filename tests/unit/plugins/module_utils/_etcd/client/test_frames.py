# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots read off HTTP/2, from a server made of prepared frames: whole, interrupted, and spoken in another language."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client import frames, messages, trailers
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, Rejected, SnapshotError, Unreachable
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 1) -> bytes:
    """One frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


GREETING = frame(SETTINGS, b"", stream=0) + frame(SETTINGS, b"", 1, 0) + frame(HEADERS, b"\x88", 4)
FAREWELL = frame(HEADERS, b"\x00", 5)


def grpc(message: bytes) -> bytes:
    """A message with its length before it."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def answers(blobs: list[bytes]) -> bytes:
    """The messages of a snapshot."""
    whole = b"".join(blobs)
    left = len(whole)
    result = b""
    for blob in [*blobs, hashlib.sha256(whole).digest()]:
        left = max(0, left - len(blob))
        result += grpc(messages.SNAPSHOT_RESPONSE.encode({"remaining_bytes": left, "blob": blob}))
    return result


def in_frames(content: bytes, size: int) -> bytes:
    """Cut without regard to messages."""
    return b"".join(frame(DATA, content[start : start + size]) for start in range(0, len(content), size))


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], Connection]]:
    """A server that says this to everyone, then closes; what it was told is kept in ``heard``."""
    listeners: list[socket.socket] = []

    def start(content: bytes) -> Connection:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def talk() -> None:
            while True:
                try:
                    peer, _address = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(65536)
                    try:
                        peer.sendall(content)
                        peer.shutdown(socket.SHUT_WR)
                        while peer.recv(65536):
                            pass
                    except OSError:
                        continue

        threading.Thread(target=talk, daemon=True).start()
        return Connection(f"http://127.0.0.1:{listener.getsockname()[1]}", transport="gateway", timeout_seconds=5)

    yield start
    for listener in listeners:
        listener.close()


BLOBS = [bytes((number,)) * 32768 for number in range(50)]
WHOLE = b"".join(BLOBS) + hashlib.sha256(b"".join(BLOBS)).digest()


@pytest.mark.parametrize("size", [1000, 16384, 40000])
def test_messages_may_be_cut_anywhere(serve: Callable[[bytes], Connection], size: int) -> None:
    way = serve(GREETING + in_frames(answers(BLOBS), size) + FAREWELL)
    with snapshot.stream(connect(way)) as source:
        assert source.total_bytes == len(WHOLE)
        assert b"".join(bytes(block) for block in source) == WHOLE


def test_what_else_may_come(serve: Callable[[bytes], Connection]) -> None:
    content = answers(BLOBS)
    padded = frame(DATA, bytes((9,)) + content[:1000] + b"\0" * 9, 8)
    noise = frame(PING, b"12345678", stream=0) + frame(0xFA, b"unknown kind") + frame(8, b"\0\0\1\0") + frame(GOAWAY, b"\0" * 8, stream=0)
    way = serve(GREETING + padded + noise + in_frames(content[1000:], 16384) + frame(DATA, b"", 1))
    with snapshot.stream(connect(way)) as source:
        assert b"".join(bytes(block) for block in source) == WHOLE


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (b"", "closed in the middle"),
        (frame(DATA, b"x" * 100)[:50], "closed in the middle"),
        (frame(RST_STREAM, struct.pack(">I", 8)), "reset the stream"),
        (frame(GOAWAY, b"\0" * 4 + struct.pack(">I", 2), stream=0), "ended the connection"),
        (b"\xff" * 20, "not HTTP/2"),
        (frame(DATA, b"\1\0\0\0\5xxxxx"), "not an uncompressed"),
    ],
)
def test_interruptions(serve: Callable[[bytes], Connection], end: bytes, words: str) -> None:
    content = answers(BLOBS)
    whole_messages = len(answers(BLOBS[:20])) - len(answers([])) if words == "not an uncompressed" else len(content) // 2
    way = serve(GREETING + in_frames(content[:whole_messages], 16384) + end)
    with snapshot.stream(connect(way)) as source, pytest.raises(Unreachable, match=words):
        list(source)


def test_an_orderly_end_before_all_was_sent(serve: Callable[[bytes], Connection]) -> None:
    way = serve(GREETING + in_frames(answers(BLOBS)[:500_000], 16384) + FAREWELL)
    with snapshot.stream(connect(way)) as source, pytest.raises(SnapshotError, match="ended early"):
        list(source)


def test_a_message_that_is_none(serve: Callable[[bytes], Connection]) -> None:
    only_blobs = len(answers(BLOBS[:1])) - len(answers([]))
    way = serve(GREETING + in_frames(answers(BLOBS[:1])[:only_blobs] + grpc(b"\xff\xff"), 16384) + FAREWELL)
    with snapshot.stream(connect(way)) as source, pytest.raises(EtcdError, match="not etcd's"):
        list(source)


@pytest.mark.parametrize("content", [b"", b"HTTP/1.1 505 Not Supported\r\n\r\n", GREETING + FAREWELL, GREETING, b"\xff" * 100])
def test_without_a_message_the_gateway_is_asked(serve: Callable[[bytes], Connection], content: bytes) -> None:
    way = serve(content)
    assert frames.open_stream(frames.Call(way.host, way.port, None, "/x", 5)) is None
    with pytest.raises(EtcdError):
        connect(way).snapshot()


# As etcd 3.7 said it: content-type, grpc-status and grpc-message behind the status 200, all but the first by names of their own.
REFUSAL = bytes.fromhex("88") + b"\x5f\x10application/grpc" + b"\x40\x0bgrpc-status\x012" + b"\x40\x0cgrpc-message\x15etcdserver: not%20%25 now"


def test_a_refusal_says_why(serve: Callable[[bytes], Connection]) -> None:
    """At once, or after some messages."""
    block = REFUSAL.replace(b"\x15etcdserver", bytes((len("etcdserver: not%20%25 now"),)) + b"etcdserver")
    way = serve(frame(SETTINGS, b"", stream=0) + frame(HEADERS, block, 5))
    with pytest.raises(Rejected) as refused:
        connect(way).snapshot()
    assert refused.value.reason == "etcdserver: not % now"
    half = in_frames(answers(BLOBS)[:500_000], 16384)
    with snapshot.stream(connect(serve(GREETING + half + frame(HEADERS, block, 5)))) as source, pytest.raises(Rejected, match="refused"):
        list(source)


def test_trailers() -> None:
    """The example of RFC 7541, C.4.1 (compressed), among names of ours; and what cannot be read is no answer."""
    compressed = bytes.fromhex("f1e3c2e5f23a6ba0ab90f4ff")
    block = b"\x00\x0cgrpc-message" + bytes((0x80 | len(compressed),)) + compressed
    assert trailers.outcome(block) == (None, "www.example.com")
    assert trailers.headers(b"\x3f\xe1\x1f\x88\xff\x80\x01\x0f\x2f\x03abc\x10\x01n\x01v") == {"n": "v"}
    # A text with what is not printable is passed over; the headers behind it are read.
    assert trailers.headers(b"\x00\x01a\x84\xff\xff\xff\xff\x00\x01b\x01c") == {"b": "c"}
    for broken in (b"\x00\x05ab", b"\x7f", b"\x00\x01a", b"\xff\xff\xff\xff\xff\xff\xff"):
        with pytest.raises(trailers.Unreadable):
            trailers.headers(broken)


def test_long_names_are_encoded() -> None:
    for size in (1, 126, 127, 128, 300, 20000):
        encoded = frames._text("x" * size)
        prefix = len(encoded) - size
        length = encoded[0]
        if length == 127:
            for place, byte in enumerate(encoded[1:prefix]):
                length += (byte & 127) << (7 * place)
        assert length == size
