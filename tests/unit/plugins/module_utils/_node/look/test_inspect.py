# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a node: this machine's own facts, made-up directories, and probes that fail alone."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look import inspect as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.inspect import PROBES, Look, Question, look
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.digests import certificate_file_sha256, first_certificate_sha256

FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.1
              /32 host LOCAL
     |-- 192.0.2.0
        /24 link UNICAST
        |-- 192.0.2.11
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
        |-- 192.0.2.11
           /32 host LOCAL
"""
IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000011 02 40 00 00     eth0
fe8000000000000000163efffe000001 02 40 20 80     eth0
"""


def platform(root: Path) -> dict[str, Any]:
    return {
        "etcd": {"data_dir": str(root / "etcd"), "ca_cert": str(root / "pki/etcd/ca.crt")},
        "identity": {"ca_certs": [str(root / "pki/ca.crt"), str(root / "pki/copy.crt")], "service_account_public_key": str(root / "pki/sa.pub")},
        "manifests_dir": str(root / "manifests"),
        "manifests_parking": str(root / "parking"),
        "runtime": {"crictl": "no-such-crictl", "endpoint": f"unix://{root}/none.sock"},
        "services": {"etcd": {"kind": "static_pod", "manifest": "etcd.yaml", "container": "etcd", "process": "lbt-no-such", "ports": [2379]}},
    }


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (("RECORD", "restore.json"), ("LOCK", "lock.json"), ("ASIDE", "aside"), ("STAGING", "staging-*")):
        monkeypatch.setattr(subject, name, str(tmp_path / value))
    # This machine need not be booted with systemd.
    monkeypatch.setattr(subject.Systemd, "show", lambda _self, names: {name: subject_unit(name) for name in names})
    return tmp_path


def question(root: Path, **more: Any) -> Question:
    """With the one file that a restore would bring."""
    return Question(**{"platform": platform(root), "required_files": [str(root / "pki/ca.crt")], **more})


def subject_unit(name: str) -> Any:
    from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Unit

    return Unit(name)


def test_a_bare_host_answers_every_probe(bare: Path) -> None:
    node = look(question(bare, paths=[str(bare / "not" / "there")], names=["localhost"]))
    assert node["probe_errors"] == {}
    assert set(PROBES) < set(node)
    assert node["bare"] is True
    assert node["bare_evidence"] == []
    assert node["hostname"] == socket.gethostname()
    assert abs(node["now_epoch"] - time.time()) < 60
    assert node["required_files"] == {"expected": [str(bare / "pki/ca.crt")], "present": [], "missing": [str(bare / "pki/ca.crt")], "faults": []}
    assert node["etcd"]["exists"] is False
    assert (node["etcd"]["state"], node["etcd"]["flags_data_dir"], node["etcd"]["flags_wal_dir"]) == ("absent", None, None)
    assert not any(obstacle["in_the_way"] for name, obstacle in node["obstacles"].items() if name != "manifests"), node["obstacles"]
    assert node["identity"] == {"ca_sha256": None, "etcd_ca_sha256": None, "front_proxy_ca_sha256": None, "sa_pub_sha256": None, "encryption_sha256": None}
    assert node["containers"] == []
    assert node["record"] is None
    assert node["name_resolution"]["localhost"] in ("127.0.0.1", "::1")
    space = node["space"][0]
    assert space["exists"] is False
    assert 0 < space["free_bytes"] <= space["total_bytes"]
    assert (bare / "not").exists() is False
    json.dumps(node)


def test_a_probe_that_fails_fails_alone(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Look) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Look, "etcd", broken)
    (bare / "restore.json").write_text("{ half a rec")
    node = look(question(bare))
    assert node["etcd"] is None
    assert node["record"] is None
    assert set(node["probe_errors"]) == {"etcd", "record"}
    assert "Input/output error" in node["probe_errors"]["etcd"]
    assert node["bare_evidence"] == []
    assert node["bare"] is None, "nobody knows"


def test_a_data_directory_is_described(bare: Path) -> None:
    member = bare / "etcd" / "member"
    (member / "wal").mkdir(parents=True)
    (member / "snap").mkdir()
    (member / "wal" / "0-0.wal").write_bytes(b"x" * 100)
    (member / "snap" / "db").write_bytes(b"x" * 50)
    os.utime(member / "snap" / "db", (2_000_000_000, 2_000_000_000))
    for name in (".lifeboat-restore-t1", "member.t0", "unrelated"):
        (bare / "etcd" / name).mkdir()
    (bare / "etcd.old").mkdir()
    (bare / "aside" / "r1").mkdir(parents=True)
    etcd = look(Question(platform(bare)))["etcd"]
    assert (etcd["member"], etcd["size_bytes"], etcd["newest_mtime"], etcd["wal_files"]) == (True, 150, 2_000_000_000, 1)
    assert etcd["restore_markers"] == [str(bare / "etcd" / ".lifeboat-restore-t1")]
    assert set(etcd["asides"]) == {str(bare / "aside" / "r1"), str(bare / "etcd" / "member.t0"), str(bare / "etcd.old")}
    assert etcd["owner"] == "root:root" if os.getuid() == 0 else etcd["owner"]


def test_files_and_identity(bare: Path) -> None:
    (bare / "pki" / "etcd").mkdir(parents=True)
    body = b"not a real certificate, but DER enough"
    pem = "text before\n-----BEGIN CERTIFICATE-----\n" + base64.b64encode(body).decode() + "\n-----END CERTIFICATE-----\n"
    (bare / "pki" / "ca.crt").write_text(pem)
    (bare / "pki" / "sa.pub").write_text("public")
    node = look(question(bare))
    assert node["bare"] is False
    assert node["bare_evidence"] == [str(bare / "pki/ca.crt")]
    assert node["identity"]["ca_sha256"] == hashlib.sha256(body).hexdigest() == first_certificate_sha256(pem)
    assert node["identity"]["etcd_ca_sha256"] is None
    assert node["identity"]["sa_pub_sha256"] == hashlib.sha256(b"public").hexdigest()
    assert certificate_file_sha256(str(bare / "none")) is None
    # Whose authority it was is not known: that is no "nobody's".
    (bare / "pki" / "etcd" / "ca.crt").write_text("no certificate")
    node = look(question(bare))
    assert (node["identity"], node["bare"]) == (None, None)
    assert "holds no certificate" in node["probe_errors"]["identity"]


def test_the_authority_and_the_key_lie_where_the_kind_of_machine_has_them(bare: Path) -> None:
    """No public key is kept: what the private one shows of it is compared."""
    key = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True).stdout
    traditional = subprocess.run(["openssl", "rsa", "-traditional"], input=key, check=True, capture_output=True).stdout
    modulus = subprocess.run(["openssl", "rsa", "-noout", "-modulus"], input=key, check=True, capture_output=True).stdout.decode().strip().partition("=")[2]
    (bare / "pki").mkdir()
    (bare / "pki" / "copy.crt").write_text("-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n" % base64.b64encode(b"authority").decode())
    facts = platform(bare)
    facts["identity"] = {"ca_certs": facts["identity"]["ca_certs"], "service_account_key": str(bare / "pki/sa.key")}
    assert look(Question(facts))["identity"]["sa_pub_sha256"] is None
    for form in (key, traditional):
        (bare / "pki" / "sa.key").write_bytes(form)
        identity = look(Question(facts))["identity"]
        assert identity["ca_sha256"] == hashlib.sha256(b"authority").hexdigest()
        # A modulus whose first bit is set has a zero byte before it in DER.
        assert identity["sa_pub_sha256"] == hashlib.sha256(b"\0" + bytes.fromhex(modulus)).hexdigest()
    (bare / "pki" / "sa.key").write_text("no key")
    assert look(Question(facts))["identity"]["sa_pub_sha256"] is None


def test_the_kubelet_tells_under_which_name_the_cluster_knows_the_machine(bare: Path) -> None:
    """By its certificate, which stays when it is stopped; a name unlike that of the host (real-clusters, row 25)."""
    own = bare / "kubelet.pem"
    facts = {**platform(bare), "node_certificate": {"certificate": str(own)}}
    assert look(Question(facts))["node_name"] is None
    for subject_, name in (("/O=system:nodes/CN=system:node:rack-1.example.org", "rack-1.example.org"), ("/CN=somebody", None)):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", subject_]
        subprocess.run([*command, "-keyout", str(bare / "key"), "-out", str(bare / "crt")], check=True, capture_output=True)
        own.write_bytes((bare / "crt").read_bytes() + (bare / "key").read_bytes())
        assert look(Question(facts))["node_name"] == name
    own.write_text("no certificate")
    assert look(Question(facts))["node_name"] is None


def test_the_unit_of_the_runtime_is_looked_at(bare: Path) -> None:
    facts = platform(bare)
    assert look(Question(facts))["units"] == {}
    facts["runtime"]["unit"] = "docker.service"
    assert look(Question(facts))["units"]["docker.service"]["active"] == "inactive"


def test_manifests_and_their_images(bare: Path) -> None:
    (bare / "manifests").mkdir()
    (bare / "parking").mkdir()
    (bare / "manifests" / "a.yaml").write_text(
        'spec:\n  containers:\n  - image: registry.k8s.io/a:1\n    imagePullPolicy: Never\n  - name: x\n    image: "b@sha256:1"\n'
    )
    (bare / "parking" / "c.yaml").write_text("    image: 'c:1' # why\n#   image: no:1\n")
    (bare / "parking" / "c.yaml.superseded-1").write_text("image: old:1\n")
    kind = "metadata:\n  name: kube-apiserver\n  namespace: kube-system\n"
    for name in ("kube-apiserver.yaml", "kube-apiserver.yaml.bak"):
        (bare / "manifests" / name).write_text(kind)
    (bare / "parking" / "of-yesterday.yaml").write_text(kind)
    manifests = look(Question(platform(bare)))["manifests"]
    assert manifests == {
        "live": [str(bare / "manifests" / name) for name in ("a.yaml", "kube-apiserver.yaml")],
        "copies": [str(bare / "manifests/kube-apiserver.yaml.bak")],
        "parked": [str(bare / "parking/c.yaml")],
        "images": ["b@sha256:1", "c:1", "registry.k8s.io/a:1"],
    }


def test_record_lock_and_stale_staging(bare: Path) -> None:
    (bare / "restore.json").write_text('{"point": "p1"}')
    (bare / "lock.json").write_text('{"owner": {"run_id": "r1"}}')
    (bare / "staging-abc").mkdir()
    (bare / "staging-abc" / "etcd.db").write_bytes(b"x" * 10)
    node = look(Question(platform(bare)))
    assert node["record"] == {"point": "p1"}
    assert node["lock"] == {"owner": {"run_id": "r1"}}
    (stale,) = node["stale_staging"]
    assert (stale["path"], stale["size_bytes"]) == (str(bare / "staging-abc"), 10)
    assert stale["age_seconds"] < 600


def test_own_addresses() -> None:
    assert subject.local_addresses(FIB_TRIE, IF_INET6) == ["192.0.2.11", "2001:db8::11"]


def test_a_name_server_that_is_silent_is_not_waited_for(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "LOOKUP_SECONDS", 0.2)
    monkeypatch.setattr(subject.socket, "getaddrinfo", lambda *_a, **_n: time.sleep(5))
    monkeypatch.setattr(subject.socket, "getfqdn", lambda *_a: time.sleep(5))
    begin = time.monotonic()
    node = look(Question(platform(bare), names=["a", "b", "c"]))
    assert time.monotonic() - begin < 4
    assert node["name_resolution"] == {"a": None, "b": None, "c": None}
    assert node["resolv"]["answers"] is False
    assert node["resolv"]["seconds"] >= 0.2
    assert node["fqdn"] is None


def test_versions_of_programs(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = bare / "bin"
    programs.mkdir()
    for name, text in (
        ("kubelet", "Kubernetes v1.34.4"),
        ("runc", "runc version 1.1.5+ds1\ncommit: x"),
        ("restic", "restic 0.14.0 compiled with go"),
        ("etcdutl", "nothing"),
    ):
        (programs / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (programs / name).chmod(0o755)
    (programs / "kubeadm").write_text("#!/bin/sh\nexec sleep 60\n")
    (programs / "kubeadm").chmod(0o755)
    (programs / "crictl").write_text("no program")
    (programs / "crictl").chmod(0o755)
    monkeypatch.setattr(subject, "PROGRAM_SECONDS", 0.5)
    monkeypatch.setattr(subject, "find_program", lambda name: str(programs / name) if (programs / name).exists() else "")
    versions = look(Question(platform(bare), programs=["restic"]))["versions"]
    assert {name: version for name, version in versions.items() if version} == {"kubelet": "1.34.4", "runc": "1.1.5+ds1", "restic": "0.14.0"}
    assert versions["etcdutl"] is None
    assert versions["crictl"] is None


@pytest.mark.parametrize(
    ("program", "images", "ctr", "expected"),
    [
        ("3.6.16", [], True, {"source": "host", "version": "3.6.16", "path": "etcdutl"}),
        ("3.4.23", ["registry.k8s.io/etcd:3.6.4-0"], True, {"source": "image", "version": "3.6.4", "path": "registry.k8s.io/etcd:3.6.4-0"}),
        ("", ["registry.k8s.io/etcd:3.6.4-0"], False, None),
        ("", ["registry.k8s.io/pause:3.10"], True, None),
    ],
)
def test_whether_an_etcdutl_has_to_be_shipped(
    bare: Path, monkeypatch: pytest.MonkeyPatch, program: str, images: list[str], ctr: bool, expected: dict[str, str] | None
) -> None:
    """One on the PATH that is new enough, else an image that ctr can mount; an unknown list of images is none."""
    (bare / "etcdutl").write_text(f"#!/bin/sh\necho 'etcdutl version: {program}'\n")
    (bare / "etcdutl").chmod(0o755)
    there = {"etcdutl": str(bare / "etcdutl") if program else "", "ctr": "/bin/true" if ctr else ""}
    monkeypatch.setattr(subject, "find_program", lambda name: there.get(name, ""))
    monkeypatch.setattr(subject.Look, "images", lambda _self: images)
    assert look(Question(platform(bare)))["etcdutl"] == expected
    if not program:
        monkeypatch.delattr(subject.Look, "images")
        assert look(Question(platform(bare)))["etcdutl"] is None


def test_asking_a_program_for_its_version_does_not_make_a_host_look_used(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubelet that says its version is a process of that name for a moment."""
    program = bare / "lbt-versioned"
    program.write_text("#!/bin/sh\nsleep 0.3\necho v1.2.3\n")
    program.chmod(0o755)
    facts = platform(bare)
    facts["services"]["etcd"]["process"] = program.name
    monkeypatch.setattr(subject, "find_program", lambda name: str(program) if name == "kubelet" else "")
    node = look(question(bare, platform=facts))
    assert node["versions"]["kubelet"] == "1.2.3"
    assert node["bare"] is True
    assert node["processes"] == {program.name: []}


@pytest.mark.parametrize(("image", "release"), [("registry.k8s.io/etcd:3.7.3-0", "3.7.3"), ("registry.example/etcd:stable", ""), ("", "")])
def test_which_etcd_would_start_is_told_by_its_image(bare: Path, image: str, release: str) -> None:
    """Also of a long manifest, and where no etcd runs."""
    if image:
        (bare / "manifests").mkdir()
        remarks = "".join(f"# {number} /x\n" for number in range(1000))
        (bare / "manifests/etcd.yaml").write_text(f"{remarks}metadata:\n  name: etcd\nspec:\n  containers:\n  - command:\n    - etcd\n    image: {image}\n")
    node = look(question(bare))
    assert node["probe_errors"] == {}
    assert node["etcd"]["release"] == release


def test_the_clock_is_asked() -> None:
    assert subject.clock_synchronised() in (True, False)


def test_the_login_user_is_not_root_because_of_sudo(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ops")
    assert look(Question(platform(bare)))["login_user"] == "ops"
