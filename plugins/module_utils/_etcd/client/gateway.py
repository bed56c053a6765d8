# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd over its JSON gateway, and where that may not be asked over gRPC read as frames: standard library only, nothing to install on a host."""

from __future__ import annotations

import binascii
import http.client
import json
import socket
import ssl
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client import messages
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection, MessageClient, SnapshotStream, snapshot_blob
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.frames import Call, Messages, Refused, open_stream
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, NotAvailable, Rejected, Unreachable
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Buffer, Malformed, Message

# 3.4 and newer, then 3.3.
_PREFIXES = ("/v3", "/v3beta")
_BLOCK_BYTES = 256 * 1024
# A blob is 32 KiB; a line of watch events may be some MiB.
_LONGEST_LINE_BYTES = 64 * 1024 * 1024
# With authentication on, the gateway refuses everybody whose certificate has a name; gRPC takes it as the user. Seen on 3.5 to 3.7.
_NAMES_REFUSED = "CommonName of client sending a request against gateway"


class _PlainStreamConnection(http.client.HTTPConnection):
    """HTTP/1.0: the answer comes unchunked and ends with the connection, which halves the work of reading a big one."""

    _http_vsn = 10
    _http_vsn_str = "HTTP/1.0"


class _TlsStreamConnection(http.client.HTTPSConnection):
    """The same over TLS."""

    _http_vsn = 10
    _http_vsn_str = "HTTP/1.0"


class GatewayClient(MessageClient):
    """One member over HTTP and JSON."""

    transport = "gateway"

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._prefix: Optional[str] = None
        self._context = tls_context(connection) if connection.tls else None
        # Why the gateway is not asked any more.
        self._closed: Optional[EtcdError] = None

    def _call(self, method: messages.Method, request: Mapping[str, Any]) -> Message:
        refusal: Optional[EtcdError] = self._closed
        if refusal is None:
            try:
                return self._through_gateway(method, request)
            except NotAvailable as error:
                refusal = error
            except Rejected as error:
                if _NAMES_REFUSED not in error.reason:
                    raise
                self._closed = refusal = error
            except Unreachable as error:
                # With --listen-client-http-urls there is nothing but gRPC on the usual port.
                if error.details.get("timed_out"):
                    raise
                refusal = error
        answers, close = self._in_frames(method, request, refusal)
        self._closed = self._closed or refusal
        try:
            return method.response.decode(next(answers))
        except Malformed as error:
            raise self._no_etcd(method, str(error)) from None
        finally:
            close()

    def _through_gateway(self, method: messages.Method, request: Mapping[str, Any]) -> Message:
        response, close = self._post(method, request)
        try:
            return self._message(method, self._document(method, self._read_all(method, response)))
        finally:
            close()

    def _open_frames(self, method: messages.Method, request: Mapping[str, Any], *, ended: bool = True) -> Optional[Tuple[Messages, Callable[[], None]]]:
        connection = self.connection
        context = tls_context(connection) if connection.tls else None
        if context is not None:
            context.set_alpn_protocols(["h2"])
        content = method.request.encode(request)
        try:
            return open_stream(Call(connection.host, connection.port, context, method.grpc_path, connection.timeout_seconds, content, ended))
        except Refused as error:
            raise self._rejected(method, str(error), "gRPC") from None

    def _in_frames(
        self, method: messages.Method, request: Mapping[str, Any], refusal: EtcdError, *, ended: bool = True
    ) -> Tuple[Messages, Callable[[], None]]:
        """The call over gRPC. ``refusal`` is why the gateway does not serve."""
        stream = self._open_frames(method, request, ended=ended)
        if stream is not None:
            return stream
        if isinstance(refusal, (NotAvailable, Unreachable)):
            raise refusal
        raise self._unreachable(method, OSError("no answer to a call over gRPC; through the gateway: %s" % refusal.found))

    def _watch(self, request: Mapping[str, Any], timeout_seconds: float) -> Iterator[Message]:
        if self._closed is not None:
            yield from self._watch_in_frames(request, self._closed)
            return
        try:
            response, close = self._post(messages.WATCH, request)
        except NotAvailable as error:
            yield from self._watch_in_frames(request, error)
            return
        try:
            for line in self._lines(messages.WATCH, response.read1):
                yield self._message(messages.WATCH, self._result(messages.WATCH, line))
        except Unreachable as error:
            if not error.details.get("timed_out"):
                raise
        finally:
            close()

    def _watch_in_frames(self, request: Mapping[str, Any], refusal: EtcdError) -> Iterator[Message]:
        answers, close = self._in_frames(messages.WATCH, request, refusal, ended=False)
        try:
            for answer in answers:
                yield messages.WATCH.response.decode(answer)
        except Refused as error:
            raise self._rejected(messages.WATCH, str(error), "gRPC") from None
        except (socket.timeout, TimeoutError):
            return
        except OSError as error:
            raise self._unreachable(messages.WATCH, error) from None
        except Malformed as error:
            raise self._no_etcd(messages.WATCH, str(error)) from None
        finally:
            close()

    def snapshot(self) -> SnapshotStream:
        """See EtcdClient. As frames where the server lets us, else as JSON. Memory: some blobs, whatever the size of the store."""
        connection = self.connection
        stream = self._open_frames(messages.SNAPSHOT, {})
        if stream is not None:
            answers, close = stream
            blobs = self._blobs_of_frames(answers)
        else:
            response, close = self._post(messages.SNAPSHOT, {})
            blobs = self._blobs_of_json(response)
        try:
            return SnapshotStream(blobs, close, connection.endpoint)
        except BaseException:
            close()
            raise

    def _blobs_of_frames(self, answers: Iterator[bytes]) -> Iterator[Tuple[int, Buffer]]:
        try:
            for answer in answers:
                yield snapshot_blob(answer)
        except Refused as error:
            raise self._rejected(messages.SNAPSHOT, str(error), "gRPC") from None
        except OSError as error:
            raise self._unreachable(messages.SNAPSHOT, error) from None
        except Malformed as error:
            raise self._no_etcd(messages.SNAPSHOT, str(error)) from None

    def _blobs_of_json(self, response: http.client.HTTPResponse) -> Iterator[Tuple[int, Buffer]]:
        for line in self._lines(messages.SNAPSHOT, response.read):
            # The value of "blob" is base64, so the next quotation mark ends it; all else in the line is short.
            start = line.find(b'"blob"')
            start = line.find(b'"', start + 6) + 1 if start >= 0 else 0
            end = line.find(b'"', start) if start else -1
            if end < 0:
                answer = self._result(messages.SNAPSHOT, line)
                yield _remaining(answer), b""
                continue
            answer = self._result(messages.SNAPSHOT, line[:start] + line[end:])
            try:
                yield _remaining(answer), binascii.a2b_base64(memoryview(line)[start:end])
            except binascii.Error as error:
                raise self._no_etcd(messages.SNAPSHOT, "a blob is not base64: %s" % error) from None

    def _post(self, method: messages.Method, request: Mapping[str, Any]) -> Tuple[http.client.HTTPResponse, Any]:
        """Send one request and return the answer's head; a server that does not know the path is asked under the older prefix."""
        body = json.dumps(method.request.to_json(request)).encode()
        for prefix in (self._prefix,) if self._prefix else _PREFIXES:
            response, close = self._open(method, "%s/%s" % (prefix, method.gateway_path), body)
            if response.status == 200:
                self._prefix = prefix
                return response, close
            try:
                text = self._read_all(method, response)
            finally:
                close()
            reason, path_known = _reason(response.status, text)
            if path_known:
                self._prefix = prefix
                raise self._rejected(method, reason)
        raise NotAvailable(
            "the gateway of %s does not know %s" % (self.connection.endpoint, method.name),
            tried="POST %s" % method.gateway_path,
            found="404",
            remedy="Ask over gRPC or etcdctl, or update etcd.",
            endpoint=self.connection.endpoint,
        )

    def _open(self, method: messages.Method, path: str, body: bytes) -> Tuple[http.client.HTTPResponse, Any]:
        timeout = self.connection.timeout_seconds
        host, port = self.connection.host, self.connection.port
        connection: http.client.HTTPConnection
        if self._context is None:
            connection = _PlainStreamConnection(host, port, timeout=timeout)
        else:
            connection = _TlsStreamConnection(host, port, timeout=timeout, context=self._context)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            return connection.getresponse(), connection.close
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(method, error) from None

    def _read_all(self, method: messages.Method, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(method, error) from None

    def _lines(self, method: messages.Method, read: Callable[[int], bytes]) -> Iterator[bytes]:
        """Complete lines of a stream. What follows the last line break is a stream that was cut, and an error.

        ``read`` waits for a whole block, or (as a watch wants it) gives what is there.
        """
        rest = b""
        while True:
            try:
                block = read(_BLOCK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(method, error) from None
            if not block:
                break
            lines = block.split(b"\n")
            if len(lines) == 1:
                rest += block
                if len(rest) > _LONGEST_LINE_BYTES:
                    raise self._no_etcd(method, "a line of more than %d bytes" % _LONGEST_LINE_BYTES)
                continue
            lines[0] = rest + lines[0]
            rest = lines.pop()
            for line in lines:
                if line:
                    yield line
        if rest:
            raise self._unreachable(method, ConnectionResetError("the answer breaks off in the middle of a message"))

    def _document(self, method: messages.Method, text: bytes) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise self._no_etcd(method, "not JSON: %s" % error) from None

    def _message(self, method: messages.Method, document: Any) -> Message:
        try:
            return method.response.from_json(document)
        except Malformed as error:
            raise self._no_etcd(method, str(error)) from None

    def _result(self, method: messages.Method, line: bytes) -> Dict[str, Any]:
        """The message inside one line of a stream, which is either a result or an error."""
        document = self._document(method, line)
        if isinstance(document, dict) and isinstance(document.get("result"), dict):
            return dict(document["result"])
        error = document.get("error") if isinstance(document, dict) else None
        if isinstance(error, dict):
            raise self._rejected(method, str(error.get("message") or error))
        raise self._no_etcd(method, "a line that is neither a result nor an error")

    def _rejected(self, method: messages.Method, reason: str, way: str = "the JSON gateway") -> EtcdError:
        if "not capable" in reason or "unknown service" in reason or "unknown method" in reason:
            return NotAvailable("%s does not answer %s" % (self.connection.endpoint, method.name), found=reason, endpoint=self.connection.endpoint)
        return Rejected(
            "etcd at %s refused: %s" % (self.connection.endpoint, method.name), reason=reason, tried=way, endpoint=self.connection.endpoint
        )

    def _no_etcd(self, method: messages.Method, found: str) -> EtcdError:
        return EtcdError(
            "the answer of %s to %s is not etcd's" % (self.connection.endpoint, method.name),
            found=found,
            remedy="Check that the endpoint is an etcd client URL.",
            endpoint=self.connection.endpoint,
        )

    def _unreachable(self, method: messages.Method, error: Exception) -> Unreachable:
        timed_out = isinstance(error, (socket.timeout, TimeoutError))
        found = "no answer within %g s" % self.connection.timeout_seconds if timed_out else "%s: %s" % (type(error).__name__, error)
        remedy = "Check that etcd runs there and that the address and port are right."
        tls_refused = isinstance(error, (ssl.SSLError, ConnectionResetError)) and self.connection.tls
        if tls_refused:
            remedy = "Check that ca_cert signed the server's certificate, and that the server's CA signed client_cert."
        return Unreachable(
            "etcd at %s cannot be asked for %s" % (self.connection.endpoint, method.name),
            tried="the JSON gateway" + (" with a client certificate" if self.connection.client_cert else ""),
            found=found,
            remedy=remedy,
            endpoint=self.connection.endpoint,
            timed_out=timed_out,
            tls_refused=tls_refused,
        )


def tls_context(connection: Connection) -> ssl.SSLContext:
    """What a connection over TLS is made with."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=connection.ca_cert or None)
        # From Python 3.13 on this would refuse certificates that etcd's own tools take, such as those without key identifiers.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if connection.client_cert:
            context.load_cert_chain(connection.client_cert, connection.client_key)
    except (OSError, ssl.SSLError) as error:
        raise EtcdError(
            "the certificates for %s cannot be used" % connection.endpoint,
            tried="ca_cert %s, client_cert %s, client_key %s" % (connection.ca_cert, connection.client_cert, connection.client_key),
            found=str(error),
            remedy="Give PEM files; the key must belong to the certificate.",
            endpoint=connection.endpoint,
        ) from None
    return context


def _remaining(answer: Mapping[str, Any]) -> int:
    text = str(answer.get("remaining_bytes", "0"))
    return int(text) if text.isdigit() else 0


def _reason(status: int, text: bytes) -> Tuple[str, bool]:
    """What the server says, and whether it knew the path at all."""
    try:
        document = json.loads(text)
    except ValueError:
        reason = text[:200].decode("utf-8", "replace").strip()
        return "HTTP %d: %s" % (status, reason), status != 404
    reason = str(document.get("message") or document.get("error") or document) if isinstance(document, dict) else str(document)
    return reason, not (status in (404, 501) and reason in ("Not Found", "Not Implemented"))
