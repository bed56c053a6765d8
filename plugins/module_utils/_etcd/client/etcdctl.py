# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd through etcdctl: for what neither the gateway of an old server nor gRPC on this host can answer."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from typing import Any, Callable, Dict, Iterator, List, Mapping

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client import messages
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection, MessageClient, SnapshotStream, WatchProbe
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, NotAvailable, Rejected, Unreachable, tls_words
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import programs
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Malformed, Message

_GRACE_SECONDS = 5.0
_UNREACHABLE = ("connection refused", "context deadline exceeded", "no such host", "authentication handshake failed", "DeadlineExceeded", "connection error")


class EtcdctlClient(MessageClient):
    """One member, a process per question. Certificates are named by path, so nothing secret is in the arguments."""

    transport = "etcdctl"

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        program = shutil.which("etcdctl")
        if program is None:
            raise NotAvailable("there is no etcdctl on this host", tried="PATH", remedy="Install etcdctl, or use transport: gateway.")
        self._program = program

    def _call(self, method: messages.Method, request: Mapping[str, Any]) -> Message:
        build = _COMMANDS.get(method.name)
        if build is None:
            raise NotAvailable("etcdctl has no way to ask for %s" % method.name, remedy="Use transport: gateway or grpc.")
        text = self._member_list(request) if method is messages.MEMBER_LIST else self._run(method.name, build(request))
        try:
            document = json.loads(text)
        except ValueError:
            raise self._no_etcd(method.name, "not JSON") from None
        if isinstance(document, list):
            # Questions to endpoints are answered by a list with one wrapped answer for each.
            wrapped = document[0] if document and isinstance(document[0], dict) else {}
            document = next((value for key, value in wrapped.items() if key != "Endpoint"), None)
        try:
            return method.response.from_json(document)
        except Malformed as error:
            raise self._no_etcd(method.name, str(error)) from None

    def _member_list(self, request: Mapping[str, Any]) -> bytes:
        arguments = _COMMANDS[messages.MEMBER_LIST.name](request)
        if not request.get("linearizable"):
            try:
                return self._run(messages.MEMBER_LIST.name, arguments + ["--consistency=s"])
            except Rejected as error:
                # Before 3.6 there was no such option.
                if "unknown flag" not in error.reason:
                    raise
        return self._run(messages.MEMBER_LIST.name, arguments)

    def _watch(self, request: Mapping[str, Any], timeout_seconds: float) -> Iterator[Message]:
        raise NotAvailable("etcdctl gives no access to the answers of a watch", remedy="Use transport: gateway or grpc.")

    def _cancelled_watch(self, key: bytes, revision: int) -> WatchProbe:
        # etcdctl says in words that a watch was cancelled.
        try:
            self._run("watch", ["watch", "--rev=%d" % revision, _text(key)])
        except Rejected as error:
            if error.compacted:
                return WatchProbe(True, 0, error.reason)
            raise
        except Unreachable as error:
            if not error.details.get("timed_out"):
                raise
        return WatchProbe(False, 0, "the watch was not cancelled within %g s" % self.connection.timeout_seconds)

    def snapshot(self) -> SnapshotStream:
        """See EtcdClient. etcdctl saves to a file that it renames at the end, so the stream begins when it has ended."""
        raise NotAvailable("etcdctl cannot stream a snapshot", remedy="Use transport: gateway, which needs nothing on the host.")

    def _run(self, what: str, arguments: List[str]) -> bytes:
        connection = self.connection
        seconds = connection.timeout_seconds
        command = [self._program, "--endpoints=%s" % connection.endpoint, "--write-out=json", "--command-timeout=%gs" % seconds, "--dial-timeout=%gs" % seconds]
        for option, path in (("cacert", connection.ca_cert), ("cert", connection.client_cert), ("key", connection.client_key)):
            if path:
                command.append("--%s=%s" % (option, path))
        environment = {"PATH": os.environ.get("PATH", ""), "ETCDCTL_API": "3", "HOME": tempfile.gettempdir()}
        try:
            answer = programs.run(command + arguments, timeout_seconds=seconds + _GRACE_SECONDS, environment=environment)
        except programs.TooLong:
            raise self._unreachable(what, "no answer within %g s" % seconds, True) from None
        except OSError as error:
            raise NotAvailable("etcdctl does not run on this host", tried=self._program, found=str(error)) from None
        if answer.returncode:
            raise self._failure(what, answer.stderr.decode("utf-8", "replace"))
        return answer.stdout

    def _failure(self, what: str, text: str) -> EtcdError:
        lines = [line for line in reversed(text.splitlines()) if line.strip()] or ["no words"]
        # etcd's own words say most, then those of etcdctl.
        reason = next((line for sign in ("compacted", "etcdserver:", "rror") for line in lines if sign in line), lines[0])[-500:]
        if any(word in text for word in _UNREACHABLE) and "etcdserver:" not in reason:
            return self._unreachable(what, reason, "deadline" in text.lower())
        return Rejected("etcd at %s refused: %s" % (self.connection.endpoint, what), reason=reason, tried="etcdctl", endpoint=self.connection.endpoint)

    def _unreachable(self, what: str, found: str, timed_out: bool) -> Unreachable:
        return Unreachable(
            "etcd at %s cannot be asked for %s" % (self.connection.endpoint, what),
            tried="etcdctl",
            found=found,
            remedy="Check that etcd runs there, that address and port are right, and that ca_cert and client_cert belong to it.",
            endpoint=self.connection.endpoint,
            timed_out=timed_out,
            tls_refused=tls_words(found),
        )

    def _no_etcd(self, what: str, found: str) -> EtcdError:
        return EtcdError("the answer of etcdctl to %s cannot be read" % what, found=found, endpoint=self.connection.endpoint)


def _range_arguments(request: Mapping[str, Any]) -> List[str]:
    arguments = ["get", _text(request["key"])]
    if request.get("range_end"):
        arguments.append(_text(request["range_end"]))
    # Before 3.5 there is no --count-only; the count is told with any answer.
    limit = 1 if request.get("count_only") else request.get("limit")
    if limit:
        arguments.append("--limit=%d" % limit)
    if request.get("revision"):
        arguments.append("--rev=%d" % request["revision"])
    if request.get("keys_only") or request.get("count_only"):
        arguments.append("--keys-only")
    return arguments + ["--consistency=%s" % ("s" if request.get("serializable") else "l")]


def _text(key: bytes) -> str:
    """A key as an argument. Arguments end at a zero byte, so such keys cannot be asked for this way."""
    if b"\0" in key and key != b"\0":
        key = key.replace(b"\0", b"")
    return "" if key == b"\0" else key.decode("utf-8", "surrogateescape")


def _alarm_arguments(request: Mapping[str, Any]) -> List[str]:
    """Only to ask: etcdctl takes back all alarms at once, also that of corrupt data."""
    if request.get("action"):
        raise NotAvailable("etcdctl can't take one alarm back.", found="it takes back all of them", remedy="Use the transport gateway or grpc.")
    return ["alarm", "list"]


_COMMANDS: Dict[str, Callable[[Mapping[str, Any]], List[str]]] = {
    messages.STATUS.name: lambda request: ["endpoint", "status"],
    messages.HASH_KV.name: lambda request: ["endpoint", "hashkv"] + (["--rev=%d" % request["revision"]] if request.get("revision") else []),
    messages.ALARM.name: _alarm_arguments,
    messages.DEFRAGMENT.name: lambda request: ["defrag"],
    messages.MEMBER_LIST.name: lambda request: ["member", "list"],
    messages.MEMBER_ADD.name: lambda request: (
        ["member", "add", "joining", "--peer-urls=%s" % ",".join(request["peerURLs"])] + (["--learner"] if request.get("isLearner") else [])
    ),
    messages.MEMBER_REMOVE.name: lambda request: ["member", "remove", "%x" % request["ID"]],
    messages.MEMBER_PROMOTE.name: lambda request: ["member", "promote", "%x" % request["ID"]],
    messages.RANGE.name: _range_arguments,
    messages.PUT.name: lambda request: ["put", _text(request["key"]), "--", request["value"].decode("utf-8")],
    messages.DELETE.name: lambda request: ["del", _text(request["key"])],
}
