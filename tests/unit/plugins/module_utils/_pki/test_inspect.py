# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What captured files tell, and what they must not tell."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.inspect import inspect_files
from tests.unit.plugins.module_utils._recovery_point.making import SECRETS, assert_no_secrets, make_certificate, make_pki_files, make_rsa


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """The files of a control plane node."""
    return make_pki_files()


def test_certificates_are_described_as_openssl_does(files: dict[str, bytes], tmp_path: Path) -> None:
    pem = files["etc/kubernetes/pki/ca.crt"]
    (entry,) = inspect_files([("/etc/kubernetes/pki/ca.crt", pem)])["certificates"]
    certificate = x509.load_pem_x509_certificate(pem)
    assert entry["path"] == "etc/kubernetes/pki/ca.crt"
    assert entry["subject"] == entry["issuer"] == "CN=kubernetes"
    assert entry["is_ca"] is True
    assert entry["sans"] == ["DNS:cp1", "IP:10.0.0.1"]
    assert entry["not_after"] == certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert entry["fingerprint_sha256"] == certificate.fingerprint(hashes.SHA256()).hex()
    (tmp_path / "ca.crt").write_bytes(pem)
    shown = subprocess.run(
        ["openssl", "x509", "-in", tmp_path / "ca.crt", "-noout", "-fingerprint", "-sha256"], check=True, capture_output=True, text=True
    ).stdout
    assert shown.strip().split("=")[1].replace(":", "").lower() == entry["fingerprint_sha256"]


def test_a_bundle_gives_each_certificate_a_number() -> None:
    bundle = b"# two of them\n" + make_certificate("one", is_ca=True)[0] + b"\n" + make_certificate("two")[0]
    found = inspect_files([("ca-bundle.crt", bundle)])["certificates"]
    assert [(entry["number"], entry["subject"], entry["is_ca"]) for entry in found] == [(0, "CN=one", True), (1, "CN=two", False)]


def test_a_key_is_known_by_its_public_half(files: dict[str, bytes]) -> None:
    report = inspect_files(files.items())
    keys = {entry["path"]: entry for entry in report["keys"]}
    (ca,) = (entry for entry in report["certificates"] if entry["path"].endswith("ca.crt"))
    assert keys["etc/kubernetes/pki/ca.key"]["public_key_sha256"] == ca["public_key_sha256"]
    assert keys["etc/kubernetes/pki/sa.key"]["type"] == "private"
    assert keys["etc/kubernetes/pki/sa.pub"]["type"] == "public"
    assert report["service_account_key_sha256"] == [keys["etc/kubernetes/pki/sa.pub"]["public_key_sha256"]]


def test_a_service_account_key_of_another_name_is_found_through_the_api_server(files: dict[str, bytes]) -> None:
    other = {"etc/tokens/signing.pem": make_rsa()[0], "etc/kubernetes/manifests/kube-apiserver.yaml": files["etc/kubernetes/manifests/kube-apiserver.yaml"]}
    assert inspect_files(other.items())["service_account_key_sha256"] == []
    other["etc/kubernetes/manifests/kube-apiserver.yaml"] = other["etc/kubernetes/manifests/kube-apiserver.yaml"].replace(
        b"--service-account-key-file=/etc/kubernetes/pki/sa.pub", b"--service-account-signing-key-file=/etc/tokens/signing.pem"
    )
    report = inspect_files(other.items())
    assert report["service_account_key_sha256"] == [report["keys"][0]["public_key_sha256"]]


def test_encryption_configuration_gives_providers_and_names_of_keys(files: dict[str, bytes]) -> None:
    (entry,) = inspect_files(files.items())["encryption"]
    assert entry == {
        "path": "etc/kubernetes/encryption.yaml",
        "resources": [
            {"resources": ["secrets", "configmaps"], "providers": [{"provider": "aescbc", "keys": ["key-2026"]}, {"provider": "identity", "keys": []}]}
        ],
    }


def test_a_kms_provider_gives_its_endpoint() -> None:
    text = b"""
kind: EncryptionConfig
apiVersion: v1
resources:
- resources: [secrets]
  providers: [{kms: {name: vault, endpoint: "unix:///run/kms.sock", cachesize: 10}}]
"""
    (entry,) = inspect_files([("e.yaml", text)])["encryption"]
    assert entry["resources"][0]["providers"] == [{"provider": "kms", "keys": [], "name": "vault", "endpoint": "unix:///run/kms.sock"}]


def test_kubeconfigs_give_server_user_and_expiry(files: dict[str, bytes]) -> None:
    report = inspect_files(files.items())
    (entry,) = report["kubeconfigs"]
    (ca,) = (found for found in report["certificates"] if found["path"].endswith("ca.crt"))
    assert entry["server"] == "https://api.shop:6443"
    assert entry["user"] == "kubernetes-admin"
    assert entry["certificate"]["subject"] == "CN=kubernetes-admin"
    assert entry["certificate"]["not_after"].endswith("Z")
    assert entry["ca_sha256"] == ca["fingerprint_sha256"]
    assert entry["other_credentials"] == ["password", "token"]


def test_static_pods_give_images_and_only_public_options(files: dict[str, bytes]) -> None:
    report = inspect_files(files.items())
    pods = {pod["container"]: pod for pod in report["static_pods"]}
    assert pods["kube-apiserver"]["image"] == "registry.k8s.io/kube-apiserver:v1.34.1"
    assert pods["kube-apiserver"]["options"]["etcd-servers"] == "https://127.0.0.1:2379"
    assert pods["etcd"]["other_options"] == ["listen-client-urls", "some-secret"]
    assert report["etcd"] == {
        "name": "cp1",
        "data_dir": "/var/lib/etcd",
        "initial_cluster": "cp1=https://10.0.0.1:2380",
        "initial_advertise_peer_urls": None,
        "advertise_client_urls": None,
        "listen_client_urls": None,
        "listen_peer_urls": None,
        "image": "registry.k8s.io/etcd:3.6.16-0",
    }


def test_nothing_secret_is_told(files: dict[str, bytes]) -> None:
    told = json.dumps(inspect_files(files.items()))
    assert_no_secrets(told)
    for content in files.values():
        if b"PRIVATE KEY" in content:
            key = serialization.load_pem_private_key(content, password=None)
            der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            assert der.hex()[60:120] not in told
    held = b"".join(files.values()).decode()
    assert all(value in held for value in SECRETS.values())


def test_files_that_cannot_be_read_are_listed_without_their_content() -> None:
    strange = {
        "half.crt": make_certificate("x")[0][:200],
        "garbage.crt": b"-----BEGIN CERTIFICATE-----\nplanted\n-----END CERTIFICATE-----\n",
        "bad.yaml": b"apiVersion: v1\nkind: Config\nplanted: [{",
        "odd.yaml": b"apiVersion: v1\nkind: EncryptionConfiguration\nresources: [planted]\n",
        "odd-pod.yaml": b"apiVersion: v1\nkind: Pod\nspec: planted\n",
        "notes.txt": b"nothing to see",
        "binary": bytes(100),
        "locked.key": b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nplanted\n-----END ENCRYPTED PRIVATE KEY-----\n",
    }
    report = inspect_files(strange.items())
    assert [entry["path"] for entry in report["unreadable"]] == ["bad.yaml", "garbage.crt", "half.crt", "odd-pod.yaml", "odd.yaml"]
    assert report["keys"] == [{"path": "locked.key", "type": "private", "public_key_sha256": None}]
    assert "planted" not in json.dumps(report)


def test_json_and_quotes_are_read_as_well(files: dict[str, bytes]) -> None:
    yaml_text = files["etc/kubernetes/manifests/etcd.yaml"]
    pod = json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "image": "b", "command": ["etcd", "--name=x"]}]}})
    quoted = yaml_text.replace(b"kind: Pod", b"kind: 'Pod'")
    for content in (pod.encode(), pod.replace(" ", "").encode(), quoted):
        assert len(inspect_files([("a", content)])["static_pods"]) == 1
    assert inspect_files([("a", yaml_text.replace(b"kind: Pod", b"kind: PodTemplate"))])["static_pods"] == []


def test_lists_of_objects_are_looked_into() -> None:
    text = b"apiVersion: v1\nkind: Config\nclusters: []\n---\napiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, image: b}]}\n"
    report = inspect_files([("two.yaml", text)])
    assert len(report["kubeconfigs"]) == 1
    assert len(report["static_pods"]) == 1
