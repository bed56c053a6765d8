# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which transport a client of etcd speaks over."""

from __future__ import annotations

import importlib.util

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection, EtcdClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.etcdctl import EtcdctlClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.gateway import GatewayClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.grpc_transport import GrpcClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, NotAvailable


def grpc_importable() -> bool:
    """Whether the etcd3 package and grpc are there; they are not imported for the answer."""
    return all(importlib.util.find_spec(name) is not None for name in ("etcd3", "grpc"))


def connect(connection: Connection) -> EtcdClient:
    """A client over the transport that the connection names; ``auto`` is gRPC where it can be imported, else the gateway."""
    if connection.transport == "gateway":
        return GatewayClient(connection)
    if connection.transport == "etcdctl":
        return EtcdctlClient(connection)
    if connection.transport == "grpc":
        return GrpcClient(connection)
    if connection.transport != "auto":
        raise EtcdError("%r is not a transport" % connection.transport, remedy="Use auto, grpc, gateway or etcdctl.")
    # gRPC through etcd3 needs the CA as a file; a connection that trusts the system's CAs goes over the gateway.
    if grpc_importable() and not (connection.tls and not connection.ca_cert):
        try:
            return GrpcClient(connection)
        except NotAvailable:
            pass
    return GatewayClient(connection)
