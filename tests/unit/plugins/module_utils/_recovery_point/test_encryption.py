# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption keys over all control planes: before the seal, and in a sealed point."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.inventory import Inventory
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.encryption import Stored
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import EncryptionKey, NamespaceIdentity, Sample
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification import encryption as subject
from tests.encrypting import ENCRYPTION_FILE, IDENTITY, UID, configuration, encrypted, key, keys, stored
from tests.unit.plugins.module_utils._recovery_point.making import Maker, make_certificate, make_tar

PATH = b"/registry/secrets/shop/password"
KEY1 = EncryptionKey("aescbc", "v1", "key1")
SAMPLE = Sample(KEY1, "secrets", PATH, encrypted("aescbc", "key1", key(1), PATH))
STORED = Stored(((KEY1, "secrets"),), (SAMPLE,))
RUNS = {"known": True, "source": "process", "file": ENCRYPTION_FILE}
RIGHT = configuration((["secrets"], [keys("aescbc", ("key1", key(1))), IDENTITY]))
# A file of before, with a key of the same name: until now it passed, and so did the file of one control plane of three.
OLD = configuration((["secrets"], [keys("aescbc", ("key1", key(7))), IDENTITY]))
CA, CA_KEY = make_certificate("kubernetes", is_ca=True)


def proof(host: str, content: bytes | None = RIGHT, in_use: Mapping[str, Any] | None = None) -> subject.Proof:
    """What was captured of one control plane; its API server runs unless it is said otherwise."""
    in_use = RUNS if in_use is None else in_use
    return subject.prove(host, in_use, str(in_use.get("file") or ""), content, STORED)


def test_every_control_plane_has_to_pass() -> None:
    hosts = ["cp1", "cp2", "cp3"]
    good = subject.cover(STORED, [proof(host) for host in hosts], hosts, [])
    assert (good.covered, good.found) == (True, "opened: aescbc key1 (secrets); on cp1, cp2, cp3")
    assert good.as_record()["hosts"]["cp2"] == {"configuration": ENCRYPTION_FILE, "proven": ["aescbc key1 (secrets)"], "named": []}
    one = subject.cover(STORED, [proof("cp1"), proof("cp2", OLD), proof("cp3", None)], hosts, [])
    assert one.problems == (
        f"cp2: {ENCRYPTION_FILE}: aescbc key1 (secrets) is in it, and does not open a value: it is another key of that name",
        f"cp3: {ENCRYPTION_FILE}, which its API server names, was not captured",
    )


def test_one_that_was_not_reached_is_named_and_one_that_was_is_asked() -> None:
    hosts = ["cp1", "cp2"]
    away = subject.cover(STORED, [proof("cp1")], hosts, ["cp2"])
    assert (away.covered, away.not_captured) == (True, ("cp2",))
    assert away.found.endswith("; not captured: cp2")
    assert away.as_record()["not_captured"] == ["cp2"]
    forgotten = subject.cover(STORED, [proof("cp1")], hosts, [])
    assert forgotten.problems == ("cp2: nobody looked at its encryption configuration",)
    nobody = subject.cover(STORED, [], hosts, hosts)
    assert (nobody.covered, nobody.problems) == (False, ("no control plane was captured, and the snapshot holds encrypted values",))


@pytest.mark.parametrize(
    ("in_use", "problem"),
    [
        ({"known": False}, "no API server runs, and nothing says which encryption configuration it would use"),
        ({"known": True, "source": "process", "file": ""}, "its API server names no encryption configuration"),
    ],
)
def test_an_api_server_that_names_nothing(in_use: dict[str, Any], problem: str) -> None:
    assert proof("cp1", None, in_use).problems == (problem,)


def test_a_file_that_is_no_configuration() -> None:
    (problem,) = proof("cp1", b"kind: Pod\n").problems
    assert problem.startswith(f"{ENCRYPTION_FILE} cannot be read as an encryption configuration")


def test_nothing_encrypted_needs_nothing() -> None:
    plain = subject.cover(Stored(()), [], ["cp1"], [])
    assert (plain.needed, plain.covered, plain.found) == (False, True, "nothing is encrypted")


def test_a_kms_is_named_with_its_socket() -> None:
    name = EncryptionKey("kms", "v2", "vault")
    content = configuration((["secrets"], [{"kms": {"apiVersion": "v2", "name": "vault", "endpoint": "unix:///run/kms.sock"}}, IDENTITY]))
    there = Stored(((name, "secrets"),), (Sample(name, "secrets", PATH, b"k8s:enc:kms:v2:vault:x"),))
    found = subject.cover(there, [subject.prove(host, RUNS, ENCRYPTION_FILE, content, there) for host in ("cp1", "cp2")], ["cp1", "cp2"], [])
    assert found.covered
    assert found.kms == [{"name": "vault", "version": "v2", "endpoint": "unix:///run/kms.sock"}]
    assert found.found == "KMS: vault; on cp1, cp2"


def test_an_encrypted_namespace_of_another_cluster_is_found() -> None:
    path = b"/registry/namespaces/kube-system"
    there = Stored(((KEY1, "namespaces"),), (Sample(KEY1, "namespaces", path, encrypted("aescbc", "key1", key(1), path, stored("Namespace", "kube-system"))),))
    content = configuration((["*.*"], [keys("aescbc", ("key1", key(1)))]))
    one = subject.prove("cp1", RUNS, ENCRYPTION_FILE, content, there)
    assert (one.kube_system_uid, subject.cover(there, [one], ["cp1"], [], UID).covered) == (UID, True)
    other = subject.cover(there, [one], ["cp1"], [], "another")
    assert other.problems == (f"cp1: the snapshot's kube-system is {UID}, the API server says another",)


def test_a_proof_travels_as_a_result() -> None:
    one = proof("cp1", OLD)
    back = subject.Proof.from_result(json.loads(json.dumps(one.as_result())))
    assert back.as_result() == one.as_result()


def test_a_manifest_knows_where_a_containers_file_lies() -> None:
    pods = [{"program": "etcd"}, {"program": "kube-apiserver", "encryption_file": "/srv/enc/e.yaml"}]
    stopped = dict(RUNS, source="manifest", file="/etc/enc/e.yaml")
    assert subject.named_file(stopped, pods) == "/srv/enc/e.yaml"
    assert subject.named_file(RUNS, pods) == ENCRYPTION_FILE
    assert subject.named_file(stopped) == "/etc/enc/e.yaml"
    assert subject.named_file({}) == ""


# -- a sealed point -------------------------------------------------------------------------------------------------------------------


def manifest_of(option: str, mounted: str = "", source: str = "") -> bytes:
    """The manifest of an API server."""
    container: dict[str, Any] = {"name": "kube-apiserver", "image": "i", "command": ["kube-apiserver", f"--encryption-provider-config={option}"]}
    spec: dict[str, Any] = {"containers": [container]}
    if mounted:
        container["volumeMounts"] = [{"name": "etc", "mountPath": "/etc"}, {"name": "enc", "mountPath": mounted}]
        spec["volumes"] = [{"name": "etc", "hostPath": {"path": "/etc"}}, {"name": "enc", "hostPath": {"path": source}}]
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": spec}).encode()


def sealed(maker: Maker, contents: Mapping[str, bytes], etcd: Mapping[str, Any] | None = None, **pods: bytes) -> Manifest:
    """A point with the encryption configuration of some control planes, and the manifests of some."""
    opening = maker.open()
    artifacts = [maker.add(opening.id, "etcd", "cp1", make_tar({"notes": b"no snapshot"}))]
    for host, content in contents.items():
        files = {"etc/kubernetes/pki/ca.crt": CA, "etc/kubernetes/pki/ca.key": CA_KEY, ENCRYPTION_FILE.lstrip("/"): content}
        artifacts.append(maker.add(opening.id, "pki", host, make_tar(files), inspect=True))
    for host, pod in pods.items():
        artifacts.append(maker.add(opening.id, "node_config", host, make_tar({"etc/kubernetes/manifests/kube-apiserver.yaml": pod}), inspect=True))
    return maker.seal(opening.id, artifacts, etcd=dict({"revision": 7}, **(etcd or {})))


def reader(manifest: Manifest, contents: Mapping[str, bytes], uid: str = UID) -> subject.Reader:
    """What the verification reads out of it, with a snapshot that holds one encrypted value."""
    found = subject.Reader(manifest)
    for host, content in contents.items():
        found.add_file(host, ENCRYPTION_FILE.lstrip("/"), content)
    inventory = Inventory(encryption={KEY1: {"secrets": 1}}, samples=[SAMPLE], kube_system=NamespaceIdentity(uid))
    found.add_snapshot(inventory)
    return found


def test_a_point_of_before_is_judged_by_the_manifests_of_its_api_servers(maker: Maker) -> None:
    contents = {"cp1": RIGHT, "cp2": RIGHT}
    pods = {host: manifest_of(ENCRYPTION_FILE) for host in contents}
    passing, identity = reader(sealed(maker, contents, **pods), contents).checks()
    assert (passing["passed"], passing["found"]) == (True, "opened: aescbc key1 (secrets); on cp1, cp2")
    assert identity["passed"] is True
    worse = {"cp1": RIGHT, "cp2": OLD}
    failing, _identity = reader(sealed(maker, worse, **pods), worse).checks()
    assert failing["passed"] is False
    assert "cp2" in failing["found"]
    assert "another key of that name" in failing["found"]


def test_a_file_that_the_api_server_does_not_name_does_not_count(maker: Maker) -> None:
    contents = {"cp1": RIGHT}
    failing, _identity = reader(sealed(maker, contents, cp1=manifest_of("/etc/kubernetes/other.yaml")), contents).checks()
    assert (failing["passed"], failing["found"]) == (False, "cp1: /etc/kubernetes/other.yaml, which its API server names, was not captured")


def test_a_container_may_know_the_file_by_another_path(maker: Maker) -> None:
    contents = {"cp1": RIGHT}
    pod = manifest_of("/enc/encryption.yaml", "/enc", "/etc/kubernetes/enc")
    assert reader(sealed(maker, contents, cp1=pod), contents).checks()[0]["passed"]


def test_a_point_says_itself_which_files_were_judged(maker: Maker) -> None:
    contents = {"cp1": RIGHT}
    coverage = subject.cover(STORED, [proof("cp1")], ["cp1"], []).as_record()
    assert reader(sealed(maker, contents, {"encryption_coverage": coverage}), contents).checks()[0]["passed"]
    coverage["hosts"]["cp1"]["configuration"] = "/etc/kubernetes/other.yaml"
    assert not reader(sealed(maker, contents, {"encryption_coverage": coverage}), contents).checks()[0]["passed"]


def test_a_point_without_any_configuration_cannot_be_read(maker: Maker) -> None:
    failing, _identity = reader(sealed(maker, {"cp1": b"nothing"}), {}).checks()
    assert (failing["passed"], failing["found"]) == (False, "no control plane was captured, and the snapshot holds encrypted values")


def test_a_snapshot_of_another_cluster_is_found(maker: Maker) -> None:
    """Case 20 c, for points that were sealed before the backup looked."""
    contents = {"cp1": RIGHT}
    _encryption, identity = reader(sealed(maker, contents), contents, "another").checks()
    assert (identity["passed"], identity["found"]) == (False, "kube-system is another")


def test_configurations_are_opened_out_of_a_point_the_machines_own_first(maker: Maker) -> None:
    manifest = sealed(maker, {"cp1": OLD, "cp2": RIGHT})
    identities = age_keys.load_identities([str(maker.keys.identity_file)])
    found = subject.open_configurations(maker.location, manifest, identities, "cp2")
    assert [one.providers_of("secrets")[0].keys[0].secret for one in found] == [key(1), key(7)]
