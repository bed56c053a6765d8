# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that all etcd modules share; documented in the fragment etcd_connection."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection

CONNECTION_ARGUMENTS: Dict[str, Any] = {
    "endpoint": {"type": "str", "default": "https://127.0.0.1:2379"},
    "ca_cert": {"type": "path", "default": ""},
    "client_cert": {"type": "path", "default": ""},
    "client_key": {"type": "path", "default": "", "no_log": False},
    "transport": {"type": "str", "default": "auto", "choices": ["auto", "grpc", "gateway", "etcdctl"]},
    "timeout_seconds": {"type": "int", "default": 10},
}
# For modules that etcdctl cannot serve: it streams no snapshot.
STREAMING_ARGUMENTS: Dict[str, Any] = dict(CONNECTION_ARGUMENTS, transport=dict(CONNECTION_ARGUMENTS["transport"], choices=["auto", "grpc", "gateway"]))


def connection_of(params: Mapping[str, Any]) -> Connection:
    """The connection out of a module's parameters."""
    return Connection(
        endpoint=params["endpoint"],
        ca_cert=params["ca_cert"] or "",
        client_cert=params["client_cert"] or "",
        client_key=params["client_key"] or "",
        transport=params["transport"],
        timeout_seconds=params["timeout_seconds"],
    )
