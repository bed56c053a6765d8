# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real etcd on loopback, and a snapshot of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.ports import free_port

KEY, VALUE = "/registry/configmaps/shop/settings", "the right content"
PATIENCE_SECONDS = 60


class Snapshot(NamedTuple):
    """A snapshot file and what is known of it."""

    content: bytes
    record: dict[str, Any]


def free_ports() -> tuple[int, int]:
    """Two ports that nobody uses."""
    return free_port(), free_port()


class Etcd:
    """One etcd process."""

    def __init__(self, binaries: Path, client: int, process: subprocess.Popen[bytes]) -> None:
        self._binaries = binaries
        self._client = client
        self.process = process

    def ctl(self, *arguments: str) -> str:
        """Ask it."""
        command = [self._binaries / "etcdctl", "--endpoints", f"http://127.0.0.1:{self._client}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS).stdout

    def is_healthy(self) -> bool:
        """Whether it answers."""
        assert self.process.poll() is None, "etcd ended"
        command = [self._binaries / "etcdctl", "--endpoints", f"http://127.0.0.1:{self._client}", "endpoint", "health"]
        return subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_SECONDS).returncode == 0


@contextmanager
def etcd(binaries: Path, data: Path, name: str, peer: int, client: int) -> Iterator[Etcd]:
    """A running etcd."""
    urls = [f"http://127.0.0.1:{peer}", f"http://127.0.0.1:{client}"]
    command: list[str | Path] = [binaries / "etcd", "--data-dir", data, "--name", name, "--log-level", "error"]
    command += ["--listen-peer-urls", urls[0], "--initial-advertise-peer-urls", urls[0], "--initial-cluster", f"{name}={urls[0]}"]
    command += ["--listen-client-urls", urls[1], "--advertise-client-urls", urls[1]]
    process = subprocess.Popen(command)
    try:
        server = Etcd(binaries, client, process)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not server.is_healthy():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield server
    finally:
        process.kill()
        process.wait()


def take_snapshot(directory: Path, binaries: Path) -> Snapshot:
    """Fill an etcd, and take a snapshot of it."""
    peer, client = free_ports()
    with etcd(binaries, directory / "data", "cp1", peer, client) as server:
        for number in range(50):
            server.ctl("put", KEY, f"version {number}")
        server.ctl("put", KEY, VALUE)
        revision = json.loads(server.ctl("get", KEY, "--write-out", "json"))["header"]["revision"]
        server.ctl("snapshot", "save", str(directory / "snapshot.db"))
    content = (directory / "snapshot.db").read_bytes()
    members = [{"name": "cp1", "peer_urls": [f"http://127.0.0.1:{peer}"]}]
    return Snapshot(content, {"revision": revision, "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content), "members": members})
