# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real etcd clusters on loopback with TLS client certificates, and ways to break them."""

from __future__ import annotations

import datetime
import ipaddress
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection, EtcdClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore import restore
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from tests.ports import free_port

PATIENCE_SECONDS = 60.0


def wait_for(what: str, condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Ask until the answer is true; errors of the domain count as not yet."""
    deadline = time.monotonic() + seconds
    problem = ""
    while True:
        try:
            answer = condition()
            if answer:
                return answer
        except LifeboatError as error:
            problem = str(error)
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for: {what}\n{problem}"
        time.sleep(0.05)


class Authority:
    """A CA, and certificates for servers on loopback and for clients."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False)
        builder = builder.add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256())
        self.ca_cert = self._write("ca.crt", self.certificate.public_bytes(serialization.Encoding.PEM))
        self.server_cert, self.server_key = self._issue("server")
        self.client_cert, self.client_key = self._issue("client")

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        return builder.not_valid_after(now + datetime.timedelta(days=30))

    def _issue(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return self._write(f"{name}.crt", certificate), self._write(f"{name}.key", private)

    def _write(self, name: str, content: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path


@dataclass
class Relay:
    """A TCP relay in this process. It can cut or stall what comes back, or stop serving altogether."""

    target: int
    cut_after: int | None = None
    stall_after: int | None = None
    refused: Callable[[int], bool] = lambda _source_port: False
    port: int = 0
    _sockets: list[socket.socket] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=socket.socket)

    def __post_init__(self) -> None:
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, address = self._listener.accept()
            except OSError:
                return
            if self.refused(address[1]):
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._sockets += [near, far]
            threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, back: bool) -> None:
        moved = 0
        try:
            while block := source.recv(65536):
                moved += len(block)
                if back and self.stall_after is not None and moved > self.stall_after:
                    return
                if back and self.cut_after is not None and moved > self.cut_after:
                    break
                sink.sendall(block)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def drop(self) -> None:
        """Break every connection that is open."""
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def close(self) -> None:
        """Stop serving."""
        self._listener.close()
        self.drop()


def connects_from(pid: int, port: int) -> bool:
    """Whether this process has a connection from this local port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {f"socket:[{line.split()[9]}]" for line in lines if int(line.split()[1].partition(":")[2], 16) == port}
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for link in links:
        try:
            if os.readlink(link) in inodes:
                return True
        except OSError:
            continue
    return False


class Server:
    """One etcd process."""

    def __init__(self, cluster: Cluster, name: str, client_port: int, peer_port: int, advertised_peer_port: int) -> None:
        self.cluster = cluster
        self.name = name
        self.endpoint = f"https://127.0.0.1:{client_port}"
        self.peer_url = f"https://127.0.0.1:{advertised_peer_port}"
        self._listen_peer = f"https://127.0.0.1:{peer_port}"
        self.data_dir = cluster.directory / name
        self.log = cluster.directory / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, initial_cluster: dict[str, str] | None = None, state: str = "new", token: str = "first") -> None:
        """Start the process; it need not be ready when this returns."""
        authority = self.cluster.authority
        members = initial_cluster or {server.name: server.peer_url for server in self.cluster.servers}
        command = [str(self.cluster.binaries / "etcd"), "--name", self.name, "--data-dir", str(self.data_dir)]
        command += ["--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint]
        command += ["--listen-peer-urls", self._listen_peer, "--initial-advertise-peer-urls", self.peer_url]
        command += ["--initial-cluster", ",".join(f"{name}={url}" for name, url in members.items())]
        command += ["--initial-cluster-state", state, "--initial-cluster-token", token]
        for side in ("", "peer-"):
            command += [f"--{side}cert-file", str(authority.server_cert), f"--{side}key-file", str(authority.server_key)]
            command += [f"--{side}trusted-ca-file", str(authority.ca_cert), f"--{side}client-cert-auth"]
        command += ["--unsafe-no-fsync", *self.cluster.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Power loss."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The process neither runs nor is gone."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def connection(self, transport: str = "gateway", timeout_seconds: float = 10.0) -> Connection:
        """How to reach it."""
        return self.cluster.connection(self.endpoint, transport, timeout_seconds)

    def client(self, transport: str = "gateway", timeout_seconds: float = 10.0) -> EtcdClient:
        """Reach it."""
        return connect(self.connection(transport, timeout_seconds))

    def ready(self) -> bool:
        """It answers, sees a leader, and a quorum answers through it."""
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log.read_text()[-3000:]}"
        with self.client(timeout_seconds=2.0) as client:
            return client.status().is_learner or client.range(b"ready", count_only=True).count == 0


class Cluster:
    """Servers that belong together."""

    def __init__(self, directory: Path, binaries: Path, authority: Authority, size: int, options: Sequence[str] = (), relays: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.binaries = binaries
        self.authority = authority
        self.options = list(options)
        self.peer_relays: dict[str, Relay] = {}
        self._relays = relays
        self.servers: list[Server] = []
        for number in range(1, size + 1):
            self.add(f"node{number}")

    def add(self, name: str) -> Server:
        """One more server, not started."""
        client_port, peer_port = free_port(), free_port()
        advertised = peer_port
        if self._relays:
            self.peer_relays[name] = Relay(peer_port)
            advertised = self.peer_relays[name].port
        server = Server(self, name, client_port, peer_port, advertised)
        self.servers.append(server)
        return server

    def start(self, token: str = "first") -> Cluster:
        """Start all and wait until all are ready."""
        for server in self.servers:
            server.start(token=token)
        self.wait_ready()
        return self

    def start_restored(self, snapshots: Sequence[Path], token: str, **options: Any) -> dict[str, Any]:
        """Restore a snapshot into each server and start all; what the last restore says of itself. ``options`` are those of a restore."""
        said: dict[str, Any] = {}
        members = {server.name: server.peer_url for server in self.servers}
        for server, path in zip(self.servers, snapshots):
            server.data_dir.mkdir(mode=0o700)
            request = restore.Request(str(path), str(server.data_dir), server.name, members, token, etcdutl=str(self.binaries / "etcdutl"), **options)
            said = restore.apply(restore.plan(request))
            os.rename(request.staged.member, server.data_dir / "member")
        self.start(token)
        return said

    def wait_ready(self) -> None:
        """Until every server that runs answers with a quorum."""
        for server in self.servers:
            if server.process is not None:
                wait_for(f"{server.name} to be ready", server.ready)

    def stop(self) -> None:
        """Kill what runs."""
        for server in self.servers:
            if server.process is not None:
                server.signal(signal.SIGCONT)
            server.kill()
        for relay in self.peer_relays.values():
            relay.close()

    def connection(self, endpoint: str, transport: str = "gateway", timeout_seconds: float = 10.0) -> Connection:
        """A way to any endpoint with this cluster's certificates."""
        authority = self.authority
        return Connection(endpoint, str(authority.ca_cert), str(authority.client_cert), str(authority.client_key), transport, timeout_seconds)

    def isolate(self, victim: Server) -> None:
        """Cut one server off from its peers, in both directions; clients still reach it."""
        pid = victim.pid
        for name, relay in self.peer_relays.items():
            relay.refused = (lambda _port: True) if name == victim.name else (lambda port: connects_from(pid, port))
        for relay in self.peer_relays.values():
            relay.drop()

    def heal(self) -> None:
        """Undo isolate."""
        for relay in self.peer_relays.values():
            relay.refused = lambda _port: False

    def etcdctl(self, *arguments: str, server: Server | None = None) -> str:
        """What the real etcdctl says."""
        authority = self.authority
        command = [str(self.binaries / "etcdctl"), "--endpoints", (server or self.servers[0]).endpoint, "--cacert", str(authority.ca_cert)]
        command += ["--cert", str(authority.client_cert), "--key", str(authority.client_key), *arguments]
        return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=120).stdout
