# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a recorded snapshot: counts, single objects, every flipped byte and every cut; names of keys; what a restore asks for."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import random
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import SnapshotStream
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import RestoreError, SnapshotError, SnapshotInvalid, StoreCorrupt
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore import restore, tools
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.bolt import BoltFile
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.inventory import EncryptionKey, Store, encryption_key, key_prefix, resource_of
from tests.unit.plugins.module_utils._etcd.recorded import snapshot_bytes

GOOD = snapshot_bytes()


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], str]:
    """Write a file and give its path."""

    def write(content: bytes) -> str:
        path = tmp_path / "etcd.db"
        path.write_bytes(content)
        return str(path)

    return write


def test_the_record(written: Callable[[bytes], str]) -> None:
    record = snapshot.record(written(GOOD))
    assert record["trailer_ok"]
    assert (record["revision"], record["keys_total"], record["size_bytes"]) == (8, 4, len(GOOD))
    assert record["keys_by_kind"] == {"encrypted": 1, "example.com/v1/Thing": 1, "v1/ConfigMap": 1, "v1/Secret": 1}
    assert record["keys_by_prefix"] == {"/registry/configmaps/": 1, "/registry/example.com/things/": 1, "/registry/secrets/": 2}
    assert record["encryption"] == [{"provider": "secretbox", "version": "v1", "key_name": "key1", "count": 1, "resources": ["secrets"]}]
    assert record["unencrypted_secrets"] == 1
    assert [member["name"] for member in record["members"]] == ["n1"]


def test_single_objects(written: Callable[[bytes], str]) -> None:
    with Store.open(written(GOOD)) as store:
        settings = store.object_at(b"/registry/configmaps/shop/settings")
        assert settings is not None
        assert b"new" in settings.value
        assert (settings.create_revision, settings.mod_revision, settings.version) == (2, 3, 2)
        assert store.object_at(b"/registry/configmaps/shop/gone") is None
        assert [entry.key for entry in store.live(b"/registry/secrets/")] == [b"/registry/secrets/shop/password", b"/registry/secrets/shop/readable"]


def test_every_cut_and_many_flips_are_found(written: Callable[[bytes], str]) -> None:
    for length in {*range(0, len(GOOD), 97), *range(0, len(GOOD), 512), len(GOOD) - 1}:
        with pytest.raises(SnapshotInvalid) as caught:
            snapshot.prove(written(GOOD[:length]))
        assert caught.value.details["reason"] == ("no_trailer" if length == len(GOOD) - 32 else "truncated"), length
    for offset in {*range(0, len(GOOD), 61), *range(len(GOOD) - 40, len(GOOD))}:
        damaged = bytearray(GOOD)
        damaged[offset] ^= 0x01
        with pytest.raises(SnapshotInvalid) as caught:
            snapshot.prove(written(bytes(damaged)))
        assert caught.value.details["reason"] == ("trailer_altered" if offset >= len(GOOD) - 32 else "altered"), offset


def test_random_damage_is_refused_or_harmless(written: Callable[[bytes], str]) -> None:
    chance = random.Random(2)
    refused = 0
    for _round in range(400):
        damaged = bytearray(GOOD)
        page = chance.randrange(len(GOOD) // 4096) * 4096
        for _flip in range(chance.randrange(1, 4)):
            damaged[page + chance.randrange(chance.choice((32, 128, 4096)))] = chance.randrange(256)
        try:
            with Store.open(written(bytes(damaged))) as store:
                store.inventory()
                list(store.live())
        except SnapshotInvalid:
            refused += 1
    assert refused > 40


def test_a_page_that_leads_back_to_itself(written: Callable[[bytes], str]) -> None:
    """The root becomes a branch whose only child is itself."""
    with BoltFile(written(GOOD)) as bolt:
        root = bolt.meta.root
    damaged = bytearray(GOOD)
    page = root * 4096
    damaged[page + 8 : page + 12] = (1).to_bytes(2, "little") + (1).to_bytes(2, "little")
    damaged[page + 16 : page + 32] = (16).to_bytes(4, "little") + (0).to_bytes(4, "little") + root.to_bytes(8, "little")
    with pytest.raises(StoreCorrupt, match="referred to twice"):
        Store.open(written(bytes(damaged)))


@pytest.mark.parametrize(
    ("key", "prefix", "resource"),
    [
        (b"/registry/secrets/ns/name", b"/registry/secrets/", "secrets"),
        (b"/registry/minions/node1", b"/registry/minions/", "minions"),
        (b"/registry/namespaces/a", b"/registry/namespaces/", "namespaces"),
        (b"/registry/services/specs/ns/a", b"/registry/services/specs/", "services/specs"),
        (b"/registry/services/endpoints/ns/a", b"/registry/services/endpoints/", "services/endpoints"),
        (b"/registry/cert-manager.io/certificates/ns/a", b"/registry/cert-manager.io/certificates/", "certificates.cert-manager.io"),
        (b"/registry/apiregistration.k8s.io/apiservices/v1.", b"/registry/apiregistration.k8s.io/apiservices/", "apiservices.apiregistration.k8s.io"),
        (b"/registry/ranges/serviceips", b"/registry/ranges/", "ranges"),
        (b"/kubernetes.io/secrets/ns/a", b"/kubernetes.io/secrets/", "secrets"),
        (b"/short/key", b"/short/", "short"),
        (b"compact_rev_key", b"", ""),
        (b"", b"", ""),
        (b"/\xff/\xfe/x", b"/\xff/\xfe/", "\\xfe"),
    ],
)
def test_the_names_of_keys(key: bytes, prefix: bytes, resource: str) -> None:
    assert key_prefix(key) == prefix
    assert resource_of(prefix) == resource


def test_encryption_prefixes() -> None:
    assert encryption_key(b"k8s:enc:aescbc:v1:key1:data") == EncryptionKey("aescbc", "v1", "key1")
    assert encryption_key(b"k8s:enc:kms:v2:vault:\x0a\x10:more:colons") == EncryptionKey("kms", "v2", "vault")
    # Bytes that are not a name are never shown.
    assert encryption_key(b"k8s:enc:kms:v2:" + b"secret" * 80).key_name == "unknown"


def test_memory_is_bounded_whatever_the_size() -> None:
    blob = bytes(32768)
    count = 2000

    def blobs() -> Iterator[tuple[int, bytes]]:
        left = count * len(blob)
        for _number in range(count):
            left -= len(blob)
            yield left, bytes(bytearray(blob))
        yield 0, hashlib.sha256(b"").digest()

    tracemalloc.start()
    try:
        source = snapshot.VerifiedStream(SnapshotStream(blobs(), lambda: None, "test"))
        with pytest.raises(SnapshotError, match="altered on its way"):
            collections.deque(source, maxlen=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert source.total_bytes > 60_000_000
    assert peak < 8_000_000


def test_etcd_images_are_sorted_by_version() -> None:
    names = [
        "registry.k8s.io/pause:3.10",
        "registry.k8s.io/etcd:3.5.9-0",
        "registry.k8s.io/etcd:3.5.10-0",
        "quay.io/coreos/etcd:v3.4.27",
        "registry.k8s.io/etcd@sha256:0123",
        "sha256:4567",
        "example.com/not-etcd:3.9.9",
        "example.com/etcd:latest",
    ]
    assert tools.etcd_images(names) == ["registry.k8s.io/etcd:3.5.10-0", "registry.k8s.io/etcd:3.5.9-0", "quay.io/coreos/etcd:v3.4.27"]


REQUEST = restore.Request(
    snapshot="/backup/etcd.db",
    data_dir="/var/lib/etcd",
    name="node2",
    initial_cluster={"node2": "https://192.0.2.12:2380", "node1": "https://192.0.2.11:2380"},
    token="t-1",
    bump_revision=1000,
)


def test_the_call_of_etcdutl() -> None:
    assert restore.command(tools.Tool("/opt/etcdutl", "3.6.16", "given"), REQUEST) == [
        "/opt/etcdutl",
        "snapshot",
        "restore",
        "/backup/etcd.db",
        "--data-dir=/var/lib/etcd/.lifeboat-restore-t-1",
        "--name=node2",
        "--initial-cluster=node1=https://192.0.2.11:2380,node2=https://192.0.2.12:2380",
        "--initial-cluster-token=t-1",
        "--initial-advertise-peer-urls=https://192.0.2.12:2380",
        "--bump-revision=1000",
        "--mark-compacted",
    ]
    plain = dataclasses.replace(REQUEST, bump_revision=0, skip_hash_check=True)
    assert restore.command(tools.Tool("/opt/etcdutl", "3.6.16", "given"), plain)[-1] == "--skip-hash-check"


@pytest.mark.parametrize(
    "change",
    [
        {"token": "../escape"},
        {"token": ""},
        {"token": "a/b"},
        {"data_dir": "relative"},
        {"bump_revision": -1},
        {"bump_revision": 1 << 62},
        {"name": "stranger"},
        {"initial_cluster": {"node2": "https://a:1,evil=https://b:2"}},
        {"initial_cluster": {"node2": "192.0.2.12:2380"}},
        {"initial_cluster": {"node2": "https://a:1", "a=b": "https://b:1"}},
        {"peer_url": "https://192.0.2.99:2380"},
    ],
)
def test_requests_that_cannot_be(change: dict[str, object]) -> None:
    with pytest.raises(RestoreError):
        restore.Request(**{**vars(REQUEST), **change})
