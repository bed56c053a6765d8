# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents for an etcd store as an API server writes them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import EtcdClient
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import varint


def _field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def protobuf(api_version: str, kind: str, raw: bytes) -> bytes:
    """A built-in object: magic, then runtime.Unknown with its type and the object."""
    return b"k8s\0" + _field(1, _field(1, api_version.encode()) + _field(2, kind.encode())) + _field(2, raw)


def custom(api_version: str, kind: str, name: str) -> bytes:
    """A custom resource: JSON with sorted names."""
    document = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": {"kind": "decoy"}}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def cbor(api_version: str, kind: str) -> bytes:
    """A custom resource of newer releases: CBOR, shorter names first."""

    def text(value: str) -> bytes:
        return (bytes([0x60 + len(value)]) if len(value) < 24 else bytes([0x78, len(value)])) + value.encode()

    nested = bytes([0xA1]) + text("kind") + text("decoy")
    return b"\xd9\xd9\xf7" + bytes([0xA3]) + text("kind") + text(kind) + text("spec") + nested + text("apiVersion") + text(api_version)


def kubernetes_objects(scale: int = 1) -> dict[bytes, bytes]:
    """About 100 objects for each unit of scale: typed, custom, encrypted and plain."""
    objects: dict[bytes, bytes] = {}
    for number in range(40 * scale):
        objects[b"/registry/configmaps/shop/settings-%05d" % number] = protobuf("v1", "ConfigMap", b"data %d " % number * 20)
    for number in range(20 * scale):
        objects[b"/registry/deployments/shop/web-%05d" % number] = protobuf("apps/v1", "Deployment", b"spec %d " % number * 50)
    for number in range(15 * scale):
        objects[b"/registry/secrets/shop/password-%05d" % number] = b"k8s:enc:secretbox:v1:key1:" + bytes(range(256))
    for number in range(5 * scale):
        objects[b"/registry/secrets/shop/older-%05d" % number] = b"k8s:enc:aescbc:v1:key0:" + bytes(range(128, 256)) * 2
    for number in range(10 * scale):
        objects[b"/registry/cert-manager.io/certificates/shop/tls-%05d" % number] = custom("cert-manager.io/v1", "Certificate", f"tls-{number}")
    for number in range(5 * scale):
        objects[b"/registry/services/specs/shop/web-%05d" % number] = protobuf("v1", "Service", b"ports")
        objects[b"/registry/services/endpoints/shop/web-%05d" % number] = protobuf("v1", "Endpoints", b"subsets")
    objects[b"/registry/secrets/shop/readable"] = protobuf("v1", "Secret", b"in the clear")
    objects[b"/registry/example.com/modern/shop/one"] = cbor("example.com/v1", "Modern")
    objects[b"/registry/ranges/serviceips"] = protobuf("v1", "RangeAllocation", b"range")
    objects[b"compact_rev_key"] = b"17"
    return objects


def fill(client: EtcdClient, objects: dict[bytes, bytes]) -> None:
    """Write them all."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: client.put(*pair), objects.items()))
