# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module reaches an etcd member."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the connection options of all etcd modules."""

    DOCUMENTATION = r"""
options:
  endpoint:
    description:
      - Client URL of the etcd member to ask, usually the one on the host itself.
    type: str
    default: https://127.0.0.1:2379
  ca_cert:
    description:
      - Path, on the host, of the CA certificate that signed the servers' certificates.
      - Without it the system's CAs are trusted.
    type: path
    default: ""
  client_cert:
    description:
      - Path, on the host, of the client certificate.
      - The server's own certificate will do where it may be used as a client's, as with kubeadm.
    type: path
    default: ""
  client_key:
    description:
      - Path, on the host, of the key of O(client_cert).
    type: path
    default: ""
  transport:
    description:
      - V(grpc) goes through the Python package etcd3, which must be importable on the host.
      - V(gateway) uses the JSON gateway of etcd and needs nothing on the host but Python. Snapshots, which would be costly as JSON,
        are read as frames of HTTP/2 where the server offers it.
      - V(etcdctl) runs C(etcdctl) from the C(PATH) for each question; it cannot stream a snapshot.
      - V(auto) is V(grpc) where it can be imported, else V(gateway).
      - A transport that cannot answer a question fails, or says that nothing was proven. It is never read as a good answer.
    type: str
    choices:
      - auto
      - grpc
      - gateway
      - etcdctl
    default: auto
  timeout_seconds:
    description:
      - How long to wait for an answer.
      - While a snapshot streams, how long the member may stay silent. The whole may take as long as it moves.
    type: int
    default: 10
"""
