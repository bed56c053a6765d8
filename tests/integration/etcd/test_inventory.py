# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reader finds in a snapshot, beside what the living server says."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.inventory import Store
from tests.etcd_release import release, storage_version
from tests.integration.etcd import contents
from tests.integration.etcd.servers import Cluster, Server


@pytest.fixture(scope="module")
def path(single: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A snapshot of the shared member."""
    target = tmp_path_factory.mktemp("inventory") / "etcd.db"
    with single.client() as client:
        snapshot.save(client, str(target))
    return str(target)


def test_every_object_is_as_the_server_has_it(single: Server, path: str) -> None:
    with single.client("grpc") as client:
        living = client.range(b"", prefix=True)
    with Store.open(path) as store:
        stored = {entry.key: entry for entry in store.live()}
        assert len(stored) == living.count > 2000
        for item in living.items:
            entry = stored[item.key]
            theirs = (item.value, item.create_revision, item.mod_revision, item.version, item.lease)
            assert (entry.value, entry.create_revision, entry.mod_revision, entry.version, entry.lease) == theirs
            assert entry.value_sha256 == hashlib.sha256(item.value).hexdigest()
        assert list(stored) == sorted(stored) == list(store.keys())
        assert store.object_at(living.items[7].key) == stored[living.items[7].key]
        assert store.object_at(b"/registry/configmaps/shop/gone") is None
        secrets = [entry.key for entry in store.live(b"/registry/secrets/")]
        assert len(secrets) == 401
        assert all(key.startswith(b"/registry/secrets/") for key in secrets)


def test_counts_kinds_and_encryption(single: Server, path: str, binaries: Path) -> None:
    record = snapshot.record(path)
    with single.client() as client:
        status = client.status()
        members = client.members()
    objects = contents.kubernetes_objects(20)
    assert record["revision"] == status.revision
    assert record["compact_revision"] == status.revision - 1
    assert record["keys_total"] == len(objects) + 1
    assert record["keys_by_prefix"] == {
        "(no prefix)": 1,
        "/registry/cert-manager.io/certificates/": 200,
        "/registry/configmaps/": 800,
        "/registry/deployments/": 400,
        "/registry/example.com/modern/": 1,
        "/registry/masterleases/": 1,
        "/registry/ranges/": 1,
        "/registry/secrets/": 401,
        "/registry/services/endpoints/": 100,
        "/registry/services/specs/": 100,
    }
    assert record["keys_by_kind"] == {
        "apps/v1/Deployment": 400,
        "cert-manager.io/v1/Certificate": 200,
        "encrypted": 400,
        "example.com/v1/Modern": 1,
        "unknown": 2,
        "v1/ConfigMap": 800,
        "v1/Endpoints": 100,
        "v1/RangeAllocation": 1,
        "v1/Secret": 1,
        "v1/Service": 100,
    }
    assert record["encryption"] == [
        {"provider": "aescbc", "version": "v1", "key_name": "key0", "count": 100, "resources": ["secrets"]},
        {"provider": "secretbox", "version": "v1", "key_name": "key1", "count": 300, "resources": ["secrets"]},
    ]
    assert record["unencrypted_secrets"] == 1
    assert (record["leases_total"], record["leased_keys_total"]) == (1, 1)
    assert [(member["id"], member["name"], member["peer_urls"]) for member in record["members"]] == [
        ("%x" % member.member_id, member.name, list(member.peer_urls)) for member in members
    ]
    assert record["consistent_index"] > 2000
    assert record["term"] >= 2
    assert record["storage_version"] == record["cluster_version"] == storage_version(binaries)
    assert record["downgrade_target"] == ""
    assert record["alarms"] == []
    assert record["cluster_id"] is None


def test_objects_that_another_release_cannot_read(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """By their keys, with the kind in which they are stored."""
    with new_cluster(1).servers[0].client() as client:
        client.put(b"/registry/horizontalpodautoscalers/shop/web", contents.protobuf("autoscaling/v2beta2", "HorizontalPodAutoscaler", b"old"))
        client.put(b"/registry/configmaps/shop/settings", contents.protobuf("v1", "ConfigMap", b"fine"))
        client.put(b"/registry/secrets/shop/token", b"k8s:enc:secretbox:v1:key1:xxxx")
        client.put(b"/registry/example.com/widgets/shop/one", b'{"apiVersion":"example.com/v1beta9","kind":"Widget"}')
        saved = snapshot.save(client, str(tmp_path / "etcd.db"))
    lost = {"key": "/registry/horizontalpodautoscalers/shop/web", "kind": "autoscaling/v2beta2/HorizontalPodAutoscaler", "reason": "gone in 1.36"}
    assert snapshot.undecodable_objects(saved.path, "v1.37.2") == [lost]
    assert snapshot.undecodable_objects(saved.path, "v1.35.4") == []
    assert snapshot.undecodable_objects(saved.path, "") == []


def test_a_downgrade_that_is_under_way(new_cluster: Callable[..., Cluster], binaries: Path, tmp_path: Path) -> None:
    """It is in the store, and a restored cluster goes on with it by itself."""
    cluster = new_cluster(1)
    major, minor, _patch = release(binaries).split(".")
    older = f"{major}.{int(minor) - 1}"
    cluster.etcdctl("downgrade", "enable", older)
    with cluster.servers[0].client() as client:
        saved = snapshot.save(client, str(tmp_path / "etcd.db"))
        assert snapshot.record(saved.path)["downgrade_target"] == f"{older}.0"
        cluster.etcdctl("downgrade", "cancel")
        saved = snapshot.save(client, str(tmp_path / "later.db"))
    assert snapshot.record(saved.path)["downgrade_target"] == ""


def test_without_kinds(path: str) -> None:
    record = snapshot.record(path, kinds=False)
    assert record["keys_by_kind"] == {}
    assert record["encryption"] == []
    assert sum(record["keys_by_prefix"].values()) == record["keys_total"]


def test_two_thousand_objects_take_less_than_a_second(path: str) -> None:
    begin = time.process_time()
    record = snapshot.record(path)
    spent = time.process_time() - begin
    assert record["keys_total"] > 2000
    assert spent < 1.0


def test_nothing_secret_is_in_the_record(path: str) -> None:
    text = repr(snapshot.record(path))
    for secret in ("in the clear", "data 7", repr(bytes(range(200, 210)))[2:-1]):
        assert secret not in text
    assert Path(path).read_bytes().count(b"in the clear") >= 1
    assert Counter(text.split())["'encrypted':"] == 1
