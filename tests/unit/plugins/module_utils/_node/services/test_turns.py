# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who starts after whom, and how long that is waited for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services import turns as subject


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("    - --feature-gates=InitialCorruptCheck=true", True),
        ("    - --feature-gates=Other=false,InitialCorruptCheck=true,More=true", True),
        ("    - --experimental-initial-corrupt-check=true", True),
        ('    - "--experimental-initial-corrupt-check"', True),
        ("    - --feature-gates=InitialCorruptCheck=false", False),
        ("    - --experimental-initial-corrupt-check=false", False),
        ("    - --name=cp1", False),
    ],
)
def test_the_check_is_told_by_the_manifest(line: str, expected: bool) -> None:
    assert subject.checks_others(f"spec:\n{line}\n    - --data-dir=/var/lib/etcd\n") is expected


@pytest.mark.parametrize(
    ("text", "name"), [("    - --name=cp1\n", "cp1"), ('    - "--name=cp1"\n', "cp1"), ("ExecStart=/bin/etcd --name cp1 --x", "cp1"), ("none", "")]
)
def test_the_own_name_is_told_by_the_manifest(text: str, name: str) -> None:
    assert subject.own_name(text) == name


def test_without_a_data_directory_there_is_no_order(tmp_path: Path) -> None:
    turn = subject.predecessors(str(tmp_path), "cp1")
    assert turn.after == []
    assert "can't be read" in turn.reason


def test_a_file_that_is_no_database_gives_no_order(tmp_path: Path) -> None:
    (tmp_path / "member" / "snap").mkdir(parents=True)
    (tmp_path / "member" / "snap" / "db").write_bytes(b"x" * 100000)
    assert subject.predecessors(str(tmp_path), "cp1").after == []


class _Peer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/version" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Peer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_serving_predecessor_is_not_waited_for(serving: str) -> None:
    others = subject.Predecessors([serving], {})
    assert others.missing() == []
    assert not others.patience_over


def test_one_that_listens_but_does_not_serve_is_waited_for(serving: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a member in its corruption check: the kernel takes connections, nobody answers."""
    monkeypatch.setattr(subject, "_PROBE_SECONDS", 0.1)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        others = subject.Predecessors([serving, url], {})
        assert others.missing() == [f"etcd at {url} does not serve yet"]


def test_a_dead_one_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "SECONDS_PER_PREDECESSOR", 0.0)
    others = subject.Predecessors(["http://127.0.0.1:1"], {})
    assert others.missing() == ["etcd at http://127.0.0.1:1 does not serve yet"]
    assert others.patience_over


def test_certificates_that_are_missing_make_it_not_serving() -> None:
    assert subject.Predecessors(["https://127.0.0.1:1"], {"ca_cert": "/nonexistent"}).missing() == ["etcd at https://127.0.0.1:1 does not serve yet"]
