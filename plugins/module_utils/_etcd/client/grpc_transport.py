# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd over gRPC, through the etcd3 package.

etcd3 brings the channel and its credentials. Its messages are those of etcd 3.2: they know no learners, no promotion, no applied index,
and under a current protobuf only the slow pure-Python runtime loads them. So the calls that go over its channel carry our own messages.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
import warnings
from typing import Any, Callable, Iterator, Mapping, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client import messages
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection, MessageClient, SnapshotStream, snapshot_blob
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, NotAvailable, Rejected, Unreachable, tls_words
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Buffer, Malformed, Message

_SWITCH = "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A dead endpoint of a moment ago is asked again at once.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    # Streams are read by the thread that wants them: twice the throughput.
    ("SingleThreadedUnaryStream", 1),
    # No larger window for a fast stream than its reader takes: the memory of a backup does not grow with the network.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 4 << 20),
)


def _import() -> Tuple[Any, Any]:
    """etcd3 and grpc. etcd3's generated code needs protobuf's pure-Python runtime, which is chosen at the first import of protobuf."""
    before = os.environ.get(_SWITCH)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ[_SWITCH] = "python"
    try:
        with warnings.catch_warnings():
            # Its generated code is old, and protobuf says so once for each of hundreds of fields.
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module("etcd3"), importlib.import_module("grpc")
    except Exception as error:
        # Not only ImportError: protobuf refuses old generated code with a TypeError.
        raise NotAvailable(
            "gRPC cannot be used from this Python",
            tried="import etcd3",
            found="%s: %s" % (type(error).__name__, str(error).partition("\n")[0]),
            remedy="Install etcd3 and grpcio for this interpreter, import etcd3 before anything imports protobuf, or use transport: gateway.",
        ) from None
    finally:
        if before is None:
            os.environ.pop(_SWITCH, None)
        else:
            os.environ[_SWITCH] = before


class GrpcClient(MessageClient):
    """One member over gRPC."""

    transport = "grpc"

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        etcd3, self._grpc = _import()
        if connection.tls and not connection.ca_cert:
            raise NotAvailable("gRPC through etcd3 needs ca_cert for %s" % connection.endpoint, remedy="Give ca_cert, or use transport: gateway.")
        host = "[%s]" % connection.host if ":" in connection.host else connection.host
        try:
            self._etcd3 = etcd3.client(
                host=host,
                port=connection.port,
                ca_cert=connection.ca_cert if connection.tls else None,
                cert_cert=(connection.client_cert or None) if connection.tls else None,
                cert_key=(connection.client_key or None) if connection.tls else None,
                timeout=connection.timeout_seconds,
                grpc_options=_OPTIONS,
            )
        except (OSError, ValueError) as error:
            raise EtcdError("the certificates for %s cannot be used" % connection.endpoint, found=str(error), endpoint=connection.endpoint) from None
        self._channel = self._etcd3.channel

    def close(self) -> None:
        """Close the channel."""
        self._etcd3.close()

    def _call(self, method: messages.Method, request: Mapping[str, Any]) -> Message:
        call = self._channel.unary_unary(method.grpc_path)
        try:
            answer = call(method.request.encode(request), timeout=self.connection.timeout_seconds)
            return method.response.decode(answer)
        except self._grpc.RpcError as error:
            raise self._translate(method, error) from None
        except Malformed as error:
            raise self._no_etcd(method, error) from None

    def _watch(self, request: Mapping[str, Any], timeout_seconds: float) -> Iterator[Message]:
        done = threading.Event()

        def requests() -> Iterator[bytes]:
            yield messages.WATCH.request.encode(request)
            done.wait()

        call = self._channel.stream_stream(messages.WATCH.grpc_path)(requests(), timeout=timeout_seconds)
        try:
            for answer in call:
                yield messages.WATCH.response.decode(answer)
        except self._grpc.RpcError as error:
            if error.code() is not self._grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self._translate(messages.WATCH, error) from None
        except Malformed as error:
            raise self._no_etcd(messages.WATCH, error) from None
        finally:
            done.set()
            call.cancel()

    def snapshot(self) -> SnapshotStream:
        """See EtcdClient. The time-out is for silence, not for the whole: a big store may take as long as it moves."""
        call = self._channel.unary_stream(messages.SNAPSHOT.grpc_path)(b"")
        guard = _SilenceGuard(call.cancel, self.connection.timeout_seconds)

        def close() -> None:
            guard.stop()
            call.cancel()

        try:
            return SnapshotStream(self._blobs(call, guard), close, self.connection.endpoint)
        except BaseException:
            close()
            raise

    def _blobs(self, call: Any, guard: _SilenceGuard) -> Iterator[Tuple[int, Buffer]]:
        try:
            for answer in call:
                guard.heard()
                yield snapshot_blob(answer)
        except self._grpc.RpcError as error:
            if guard.fired:
                raise self._silent(messages.SNAPSHOT) from None
            raise self._translate(messages.SNAPSHOT, error) from None
        except Malformed as error:
            raise self._no_etcd(messages.SNAPSHOT, error) from None

    def _translate(self, method: messages.Method, error: Any) -> EtcdError:
        code, reason = error.code(), str(error.details() or "")
        status = self._grpc.StatusCode
        endpoint = self.connection.endpoint
        if code is status.UNIMPLEMENTED:
            return NotAvailable("etcd at %s does not know %s" % (endpoint, method.name), tried="gRPC", found=reason, endpoint=endpoint)
        if code is status.DEADLINE_EXCEEDED and "etcdserver" not in reason:
            return self._silent(method)
        if code in (status.UNAVAILABLE, status.CANCELLED, status.INTERNAL, status.UNKNOWN) and "etcdserver" not in reason:
            return Unreachable(
                "etcd at %s cannot be asked for %s" % (endpoint, method.name),
                tried="gRPC" + (" with a client certificate" if self.connection.client_cert else ""),
                found=reason[:500],
                remedy="Check that etcd runs there, that address and port are right, and that ca_cert and client_cert belong to it.",
                endpoint=endpoint,
                timed_out=False,
                tls_refused=tls_words(reason),
            )
        return Rejected("etcd at %s refused: %s" % (endpoint, method.name), reason=reason, tried="gRPC", endpoint=endpoint)

    def _silent(self, method: messages.Method) -> Unreachable:
        return Unreachable(
            "etcd at %s cannot be asked for %s" % (self.connection.endpoint, method.name),
            tried="gRPC",
            found="no answer within %g s" % self.connection.timeout_seconds,
            remedy="Check that etcd runs there and that the address and port are right.",
            endpoint=self.connection.endpoint,
            timed_out=True,
        )

    def _no_etcd(self, method: messages.Method, error: Malformed) -> EtcdError:
        return EtcdError("the answer of %s to %s is not etcd's" % (self.connection.endpoint, method.name), found=str(error), endpoint=self.connection.endpoint)


class _SilenceGuard:
    """Cancels a stream when nothing was heard for too long."""

    def __init__(self, cancel: Callable[[], Any], seconds: float) -> None:
        self.fired = False
        self._cancel = cancel
        self._seconds = seconds
        self._last = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def heard(self) -> None:
        """Something came."""
        self._last = time.monotonic()

    def stop(self) -> None:
        """The stream is over."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(max(0.05, self._last + self._seconds - time.monotonic())):
            if time.monotonic() - self._last >= self._seconds:
                self.fired = True
                self._cancel()
                return
