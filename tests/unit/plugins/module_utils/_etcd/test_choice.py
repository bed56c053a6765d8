# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which transport is chosen, in processes of their own: with etcd3, with a protobuf that came first, and without either."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection
from tests import environment

BEGIN = f"""
import sys
sys.path.insert(0, {str(environment.collection_tree())!r})
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import NotAvailable
def choose(transport):
    try:
        return connect(Connection("http://127.0.0.1:9", transport=transport)).transport
    except NotAvailable as error:
        return "not available: " + error.found
"""


def _run(code: str, *options: str) -> str:
    command = [sys.executable, *options, "-c", BEGIN + code]
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout.strip()


def test_etcd3_is_taken_where_it_is() -> None:
    assert _run("import os; print(choose('auto'), choose('grpc'), os.environ.get('PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION'))") == "grpc grpc None"


def test_a_protobuf_that_came_first_is_no_obstacle() -> None:
    """Its fast runtime cannot load etcd3's messages any more: the gateway is taken, and who insists on gRPC is told why."""
    said = _run("import google.protobuf.message; from google.protobuf import descriptor; print(choose('auto')); print(choose('grpc'))").splitlines()
    assert said[0] == "gateway"
    assert said[1].startswith("not available: TypeError: Descriptors cannot be created directly")


def test_a_bare_python_takes_the_gateway() -> None:
    said = _run("print(choose('auto')); print(choose('grpc'))", "-I", "-S").splitlines()
    assert said[0] == "gateway"
    assert said[1].startswith("not available: ModuleNotFoundError")


@pytest.mark.parametrize(
    ("endpoint", "host", "port", "tls"),
    [
        ("https://127.0.0.1:2379", "127.0.0.1", 2379, True),
        ("http://etcd.example.com", "etcd.example.com", 2379, False),
        ("https://[2001:db8::1]:4001", "2001:db8::1", 4001, True),
    ],
)
def test_endpoints(endpoint: str, host: str, port: int, tls: bool) -> None:
    way = Connection(endpoint)
    assert (way.host, way.port, way.tls) == (host, port, tls)
    assert way.at("http://other:1").host == "other"
