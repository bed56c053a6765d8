# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and keys, checked with files that cryptography made."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import socket
import ssl
import threading
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Iterator, List, Optional

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import tls
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.tls import Check, Finding, examine

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
KEYS = {
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "rsa1024": lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024),
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


class Pair:
    """A certificate with its key, in files."""

    def __init__(self, directory: Path, name: str, key: Any, certificate: x509.Certificate) -> None:
        self.key, self.certificate = key, certificate
        self.key_path, self.path = directory / (name + ".key"), directory / (name + ".crt")
        self.key_path.write_bytes(private_pem(key))
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def private_pem(key: Any, old: bool = False, password: Optional[bytes] = None) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL if old else serialization.PrivateFormat.PKCS8
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, encryption)


def public_pem(key: Any) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class Maker:
    """Makes authorities and leaves in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make(
        self,
        name: str,
        issuer: Optional[Pair] = None,
        kind: str = "ec",
        authority: bool = False,
        usage: Optional[str] = None,
        sans: Optional[List[str]] = None,
        begin: datetime.datetime = NOW - DAY,
        end: datetime.datetime = NOW + 365 * DAY,
        subject: Optional[str] = None,
        organization: str = "",
    ) -> Pair:
        key = KEYS[kind]()
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, subject or name))
        full = x509.Name(parts)
        builder = (
            x509.CertificateBuilder()
            .subject_name(full)
            .issuer_name(issuer.certificate.subject if issuer else full)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if usage:
            oid = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH, "code": ExtendedKeyUsageOID.CODE_SIGNING}[usage]
            builder = builder.add_extension(x509.ExtendedKeyUsage([oid]), critical=False)
        if sans:
            names: List[x509.GeneralName] = []
            for san in sans:
                try:
                    names.append(x509.IPAddress(ipaddress.ip_address(san)))
                except ValueError:
                    names.append(x509.DNSName(san))
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signer = issuer.key if issuer else key
        digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return Pair(self.directory, name, key, builder.sign(signer, digest))


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


@pytest.fixture
def ca(maker: Maker) -> Pair:
    return maker.make("ca", authority=True, subject="kubernetes")


def pair_check(pair: Pair, **more: Any) -> Finding:
    return examine(Check("x", "key_pair", certificate=str(pair.path), key=str(pair.key_path), **more))


def chain_check(pair: Pair, ca: Pair, **more: Any) -> Finding:
    return examine(Check("x", "chain", certificate=str(pair.path), key=str(pair.key_path), ca=str(ca.path), **more))


@pytest.mark.parametrize("kind", sorted(KEYS))
@pytest.mark.parametrize("usage", ["server", "client", None])
def test_a_key_pair_of_any_kind_is_described(maker: Maker, ca: Pair, kind: str, usage: Optional[str]) -> None:
    pair = maker.make("leaf", ca, kind=kind, usage=usage, sans=["node1", "10.0.0.1", "::1"], organization="system:nodes")
    finding = pair_check(pair)
    assert (finding.ok, finding.reason) == (True, "")
    assert finding.subject == "O=system:nodes, CN=leaf"
    assert finding.sans == ["DNS:node1", "IP:10.0.0.1", "IP:::1"]
    assert finding.not_after == pair.certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert finding.days_left in (364, 365)
    assert finding.fingerprint_sha256 == pair.certificate.fingerprint(hashes.SHA256()).hex()


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
def test_a_key_of_another_certificate_is_found(maker: Maker, ca: Pair, kind: str) -> None:
    pair, other = maker.make("leaf", ca, kind=kind), maker.make("other", ca, kind=kind)
    finding = examine(Check("x", "key_pair", certificate=str(pair.path), key=str(other.key_path)))
    assert (finding.ok, finding.reason) == (False, "the key does not belong to the certificate")


def test_an_encrypted_key_is_named_and_never_asks(maker: Maker, ca: Pair) -> None:
    pair = maker.make("leaf", ca, kind="rsa")
    for old in (False, True):
        pair.key_path.write_bytes(private_pem(pair.key, old=old, password=b"secret"))
        assert pair_check(pair).reason == "the key is encrypted"


def test_dates(maker: Maker, ca: Pair) -> None:
    expired = maker.make("expired", ca, usage="client", end=NOW - datetime.timedelta(hours=1))
    assert pair_check(expired).reason == "expired on %s" % (NOW - datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert chain_check(expired, ca, purpose="client").reason.startswith("expired on ")
    assert pair_check(expired).subject == "CN=expired"
    assert "the clock of this host says" in pair_check(maker.make("early", ca, begin=NOW + DAY)).reason
    soon = maker.make("soon", ca, end=NOW + 10 * DAY)
    assert pair_check(soon, days=5).ok
    assert pair_check(soon, days=30).reason == "expires in 9 days"


def test_chain_names_and_purposes(maker: Maker, ca: Pair) -> None:
    server = maker.make("server", ca, usage="server", sans=["api.example.org", "10.0.0.1", "fd00::1"], subject="common.example.org")
    for name in ("", "api.example.org", "10.0.0.1", "fd00::1"):
        assert chain_check(server, ca, server_name=name).ok, name
    assert chain_check(server, ca, server_name="other.example.org").reason == "the certificate is for another name (wanted: other.example.org)"
    assert chain_check(server, ca, server_name="10.0.0.2").reason == "the certificate is for another address (wanted: 10.0.0.2)"
    assert chain_check(server, ca, server_name="common.example.org").reason.startswith("the certificate is for another name")
    assert chain_check(server, ca, purpose="client").reason == "the certificate may not be used for this purpose"
    client = maker.make("client", ca, usage="client")
    assert chain_check(client, ca, purpose="client").ok
    assert chain_check(client, ca, purpose="server").reason == "the certificate may not be used for this purpose"


def test_a_name_in_the_subject_alone_is_not_enough(maker: Maker, ca: Pair) -> None:
    assert chain_check(maker.make("old", ca, subject="old.example.org"), ca, server_name="old.example.org").reason.startswith(
        "the certificate is for another name"
    )


@pytest.mark.parametrize("purpose", ["server", "client"])
def test_another_ca_of_the_same_name_is_found(maker: Maker, ca: Pair, purpose: str) -> None:
    leaf = maker.make("leaf", ca)
    rebuilt = maker.make("rebuilt", authority=True, subject="kubernetes")
    other = maker.make("otherca", authority=True)
    for wrong in (rebuilt, other):
        finding = chain_check(leaf, wrong, purpose=purpose)
        assert not finding.ok
        assert "signed by" in finding.reason
        assert finding.subject == "CN=leaf"
    assert chain_check(leaf, leaf, purpose=purpose).ok is False
    assert chain_check(leaf, ca, purpose=purpose).ok


def test_an_intermediate_in_the_certificate_file(maker: Maker, ca: Pair) -> None:
    middle = maker.make("middle", ca, authority=True)
    leaf = maker.make("leaf", middle)
    assert not chain_check(leaf, ca).ok
    leaf.path.write_bytes(leaf.path.read_bytes() + middle.path.read_bytes())
    assert chain_check(leaf, ca).ok


def test_an_expired_ca_is_found(maker: Maker) -> None:
    old = maker.make("ca", authority=True, end=NOW - DAY, begin=NOW - 20 * DAY)
    assert chain_check(maker.make("leaf", old), old).reason == "the certificate has expired, or a certificate above it has"
    finding = examine(Check("x", "authority", certificate=str(old.path)))
    assert finding.reason.startswith("expired on ")
    assert finding.subject == "CN=ca"


def test_authority(maker: Maker, ca: Pair) -> None:
    finding = examine(Check("x", "authority", certificate=str(ca.path), key=str(ca.key_path)))
    assert finding.ok
    assert finding.fingerprint_sha256 == ca.certificate.fingerprint(hashes.SHA256()).hex()
    other = maker.make("other", authority=True)
    assert examine(Check("x", "authority", certificate=str(ca.path), key=str(other.key_path))).reason == "the key does not belong to the certificate"
    bundle = maker.directory / "bundle.crt"
    bundle.write_bytes(ca.path.read_bytes() + other.path.read_bytes())
    finding = examine(Check("x", "authority", certificate=str(bundle)))
    assert finding.ok
    assert len(finding.fingerprints_sha256) == 2
    for pair in (ca, other):
        assert examine(Check("x", "authority", certificate=str(bundle), key=str(pair.key_path))).ok, (
            "while authorities are rotated the key is that of one of them"
        )
    third = maker.make("third", authority=True)
    assert examine(Check("x", "authority", certificate=str(bundle), key=str(third.key_path))).reason == "the key does not belong to the certificate"
    finding = examine(Check("x", "authority", certificate=str(ca.path), key=str(maker.directory / "kept-elsewhere.key")))
    assert (finding.ok, finding.keyless) == (True, True)
    bundle.write_bytes(ca.path.read_bytes() + maker.make("leaf", ca).path.read_bytes())
    assert examine(Check("x", "authority", certificate=str(bundle))).reason == "a certificate in the file is no CA"
    assert pair_check(ca).ok


def test_missing_and_broken_files(maker: Maker, ca: Pair, tmp_path: Path) -> None:
    leaf = maker.make("leaf", ca)
    assert examine(Check("x", "key_pair", certificate="/nonexistent.crt")).reason == "the certificate is missing: /nonexistent.crt"
    assert examine(Check("x", "key_pair")).reason == "the certificate is not given"
    assert "missing" in examine(Check("x", "chain", certificate=str(leaf.path), key=str(leaf.key_path), ca="/nonexistent")).reason
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert examine(Check("x", "key_pair", certificate=str(empty))).reason == "the certificate is empty: %s" % empty
    assert "cannot be read" in examine(Check("x", "key_pair", certificate=str(tmp_path))).reason
    assert chain_check(leaf, Pair(tmp_path, "junk", leaf.key, leaf.certificate)).ok is False
    for damage in (b"junk", leaf.path.read_bytes()[:200], leaf.path.read_bytes().replace(b"MII", b"MIA", 1), b"\x00" * 100):
        empty.write_bytes(damage)
        for kind in ("key_pair", "authority", "chain"):
            finding = examine(Check("x", kind, certificate=str(empty), key=str(leaf.key_path), ca=str(ca.path)))
            assert not finding.ok
            assert finding.reason


def test_every_flipped_byte_of_a_key_pair_is_found_or_harmless(maker: Maker, ca: Pair) -> None:
    leaf = maker.make("leaf", ca)
    data = leaf.path.read_bytes()
    good = chain_check(leaf, ca)
    for position in range(0, len(data), 7):
        leaf.path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        finding = chain_check(leaf, ca)
        assert not finding.ok or finding.fingerprint_sha256 == good.fingerprint_sha256


def test_a_combined_file_through_a_link(maker: Maker, ca: Pair, tmp_path: Path) -> None:
    pair = maker.make("kubelet", ca, usage="client", organization="system:nodes", subject="system:node:n1")
    dated = tmp_path / "kubelet-client-2026-11-20.pem"
    dated.write_bytes(pair.path.read_bytes() + private_pem(pair.key, old=True))
    current = tmp_path / "kubelet-client-current.pem"
    current.symlink_to(dated.name)
    finding = examine(Check("x", "chain", certificate=str(current), ca=str(ca.path), purpose="client"))
    assert finding.ok
    assert finding.subject == "O=system:nodes, CN=system:node:n1"


@pytest.mark.parametrize(
    ("kind", "old", "expected"), [("rsa", True, True), ("rsa", False, True), ("ec", True, True), ("ec", False, True), ("ed25519", False, None)]
)
def test_same_key(tmp_path: Path, kind: str, old: bool, expected: Optional[bool]) -> None:
    key, other = KEYS[kind](), KEYS[kind]()
    private, public = tmp_path / "sa.key", tmp_path / "sa.pub"
    private.write_bytes(private_pem(key, old=old))
    public.write_bytes(public_pem(key))
    check = Check("sa", "same_key", certificate=str(public), key=str(private))
    finding = examine(check, "salt")
    assert finding.ok
    assert finding.matches is expected
    assert finding.digests == examine(check, "salt").digests
    assert finding.digests["key_salted_sha256"] != examine(check, "other").digests["key_salted_sha256"]
    assert examine(check).digests["key_salted_sha256"] is None
    public.write_bytes(public_pem(other))
    changed = examine(check, "salt")
    assert changed.digests["public_sha256"] != finding.digests["public_sha256"]
    if expected:
        assert (changed.ok, changed.reason) == (False, "public and private key do not belong together")
    public.write_bytes(b"no key")
    assert examine(check).reason == "there is no key in the file"
    alone = examine(Check("sa", "same_key", key=str(private)), "s")
    assert alone.ok
    assert (alone.digests["public_sha256"] is None) is (expected is None), "without a public key, what the private one shows of it"
    private.write_bytes(private_pem(key, old=not old and expected is not None))
    assert examine(Check("sa", "same_key", key=str(private)), "s").digests["public_sha256"] == alone.digests["public_sha256"]
    private.write_bytes(private_pem(other, old=old))
    assert expected is None or examine(Check("sa", "same_key", key=str(private)), "s").digests["public_sha256"] != alone.digests["public_sha256"]


KUBEADM = """apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: %(ca)s
    server: https://10.0.0.1:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
preferences: {}
users:
- name: kubernetes-admin
  user:
    client-certificate-data: %(certificate)s
    client-key-data: %(key)s
"""
CAASP = """---
# written by salt
apiVersion: v1
kind: Config
current-context: default-system
clusters:
  - name: local
    cluster:
      server: "https://api.infra.caasp.local:6444"
      certificate-authority: %(ca)s
contexts:
  - name: default-system
    context:
      cluster: local
      user: 'default-admin'
users:
  - name: default-admin
    user:
      client-certificate: %(certificate)s
      client-key: %(key)s
"""


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


@pytest.fixture
def admin(maker: Maker, ca: Pair) -> Pair:
    return maker.make("admin", ca, usage="client", organization="system:masters", subject="kubernetes-admin", kind="rsa")


def kubeadm(path: Path, ca: Pair, pair: Pair, key: Optional[Pair] = None) -> Path:
    path.write_text(KUBEADM % {"ca": encoded(ca.path), "certificate": encoded(pair.path), "key": encoded((key or pair).key_path)})
    return path


def test_kubeconfig(maker: Maker, ca: Pair, admin: Pair, tmp_path: Path) -> None:
    path = kubeadm(tmp_path / "admin.conf", ca, admin)
    finding = examine(Check("x", "kubeconfig", kubeconfig=str(path)))
    assert (finding.ok, finding.reason) == (True, "")
    assert finding.server == "https://10.0.0.1:6443"
    assert finding.subject == "O=system:masters, CN=kubernetes-admin"
    assert examine(Check("x", "kubeconfig", kubeconfig=str(path), days=1000)).reason.startswith("expires in ")
    other = maker.make("other", ca)
    kubeadm(path, ca, admin, other)
    assert examine(Check("x", "kubeconfig", kubeconfig=str(path))).reason == "the key does not belong to the certificate"
    kubeadm(path, maker.make("wrong", authority=True, subject="kubernetes"), admin)
    assert "not signed by this CA" in examine(Check("x", "kubeconfig", kubeconfig=str(path))).reason
    kubeadm(path, ca, maker.make("server", ca, usage="server"))
    assert "may not be used for this purpose" in examine(Check("x", "kubeconfig", kubeconfig=str(path))).reason


def test_kubeconfig_that_names_files(ca: Pair, admin: Pair, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.conf"
    path.write_text(CAASP % {"ca": ca.path, "certificate": admin.path, "key": admin.key_path})
    finding = examine(Check("x", "kubeconfig", kubeconfig=str(path)))
    assert finding.ok
    assert finding.server == "https://api.infra.caasp.local:6444"
    path.write_text(CAASP % {"ca": "ca.crt", "certificate": "admin.crt", "key": "admin.key"})
    assert examine(Check("x", "kubeconfig", kubeconfig=str(path))).ok
    path.write_text(CAASP % {"ca": "/ca.crt", "certificate": "/admin.crt", "key": "/admin.key"})
    assert examine(Check("x", "kubeconfig", kubeconfig=str(path))).reason == "the client certificate is missing: /admin.crt"
    assert examine(Check("x", "kubeconfig", kubeconfig=str(path), root=str(tmp_path))).ok
    (tmp_path / "admin.crt").rename(tmp_path / "dated.crt")
    (tmp_path / "admin.crt").symlink_to("/dated.crt")
    assert examine(Check("x", "kubeconfig", kubeconfig=str(path), root=str(tmp_path))).ok
    (tmp_path / "dated.crt").unlink()
    (tmp_path / "dated.crt").symlink_to("/admin.crt")
    assert "leads in a circle" in examine(Check("x", "kubeconfig", kubeconfig=str(path), root=str(tmp_path))).reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: Config", "kind: List"),
        ("kind: Config", "kind: Config\nkind: Config"),
        ("name: kubernetes-admin\n", "name: &x kubernetes-admin\n"),
        ("  name: kubernetes\n", "  name: other\n"),
        ("current-context: kubernetes-admin@kubernetes", "current-context: elsewhere"),
        ("    server:", "\tserver:"),
        ("    server:", "      server:"),
        ("users:", "users: !!seq"),
        ("client-key-data: ", "client-key-data: =="),
        ("client-key-data: ", "client-key: /etc/key\n    client-key-data: "),
        ("users:\n- name: kubernetes-admin", "users:\n- name: kubernetes-admin\n  user: {}\n- name: kubernetes-admin"),
    ],
)
def test_other_forms_of_kubeconfig_are_not_guessed_at(ca: Pair, admin: Pair, tmp_path: Path, old: str, new: str) -> None:
    path = kubeadm(tmp_path / "admin.conf", ca, admin)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    finding = examine(Check("x", "kubeconfig", kubeconfig=str(path)))
    assert finding.reason.startswith("not understood")
    assert not finding.understood


@pytest.mark.parametrize(
    "field",
    [
        ("server:", "proxy-url: http://proxy.example.org:3128\n    server:"),
        ("server:", "disable-compression: true\n    server:"),
        ("server:", "extensions:\n    - name: client.authentication.k8s.io/exec\n      extension:\n        audience: x\n    server:"),
        ("client-key-data: ", "username: me\n    client-key-data: "),
    ],
)
def test_fields_that_say_nothing_of_certificates_do_not_matter(ca: Pair, admin: Pair, tmp_path: Path, field: tuple[str, str]) -> None:
    path = kubeadm(tmp_path / "admin.conf", ca, admin)
    path.write_text(path.read_text().replace(*field, 1))
    finding = examine(Check("x", "kubeconfig", kubeconfig=str(path)))
    assert (finding.ok, finding.understood) == (True, True), finding.reason


def test_any_damage_to_a_kubeconfig_is_a_finding(ca: Pair, admin: Pair, tmp_path: Path) -> None:
    path = kubeadm(tmp_path / "admin.conf", ca, admin)
    data = path.read_bytes()
    for position in range(0, len(data), 41):
        for damaged in (data[:position], data[:position] + b"\xff" + data[position + 1 :]):
            path.write_bytes(damaged)
            assert not examine(Check("x", "kubeconfig", kubeconfig=str(path))).ok


@contextmanager
def serving(pair: Pair, ca: Pair, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.path, pair.key_path)
    context.load_verify_locations(ca.path)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            plain, _address = listener.accept()
            with plain, context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(1000)
                connection.sendall(answer)
        except (ssl.SSLError, OSError):
            return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield "https://127.0.0.1:%d" % listener.getsockname()[1]
    finally:
        with socket.create_connection(listener.getsockname(), timeout=5) if thread.is_alive() else socket.socket():
            pass
        thread.join(10)
        listener.close()


def test_a_live_connection(maker: Maker, ca: Pair, admin: Pair, tmp_path: Path) -> None:
    path = str(kubeadm(tmp_path / "admin.conf", ca, admin))
    server = maker.make("server", ca, usage="server", sans=["10.0.0.1"])
    with serving(server, ca) as url:
        finding = examine(Check("x", "kubeconfig", kubeconfig=path, server=url))
    assert (finding.ok, finding.reason) == (True, "")
    assert finding.connection == {"ok": True, "reason": "", "status": 200, "fingerprint_sha256": server.certificate.fingerprint(hashes.SHA256()).hex()}
    with serving(server, ca) as url:
        assert "is for another address" in examine(Check("x", "kubeconfig", kubeconfig=path, server=url, server_name="10.9.9.9")).reason
    other = maker.make("other", authority=True)
    with serving(server, other) as url:
        finding = examine(Check("x", "kubeconfig", kubeconfig=path, server=url))
    assert not finding.ok
    assert finding.reason.startswith("the connection to ")
    with serving(maker.make("foreign", other, sans=["10.0.0.1"]), ca) as url:
        assert "signed by" in examine(Check("x", "kubeconfig", kubeconfig=path, server=url)).reason
    with serving(server, ca, b"HTTP/1.1 401 Unauthorized\r\n\r\n") as url:
        assert "does not accept the client certificate" in examine(Check("x", "kubeconfig", kubeconfig=path, server=url)).reason
    with serving(server, ca, b"") as url:
        assert not examine(Check("x", "kubeconfig", kubeconfig=path, server=url)).ok
    assert "no connection" in examine(Check("x", "kubeconfig", kubeconfig=path, server="https://127.0.0.1:1")).reason


def test_nothing_of_a_key_is_ever_in_a_finding(ca: Pair, admin: Pair, tmp_path: Path) -> None:
    path = str(kubeadm(tmp_path / "admin.conf", ca, admin))
    (tmp_path / "sa.pub").write_bytes(public_pem(admin.key))
    checks = [
        Check("a", "kubeconfig", kubeconfig=path),
        Check("b", "kubeconfig", kubeconfig=str(admin.key_path)),
        Check("c", "key_pair", certificate=str(admin.key_path), key=str(admin.key_path)),
        Check("d", "key_pair", certificate=str(ca.path), key=str(admin.key_path)),
        Check("e", "same_key", certificate=str(tmp_path / "sa.pub"), key=str(admin.key_path)),
        Check("f", "authority", certificate=path),
    ]
    text = json.dumps([asdict(examine(check, "salt")) for check in checks])
    body = admin.key_path.read_text().splitlines()[1:-1]
    for secret in [line[:20] for line in body] + [encoded(admin.key_path)[start : start + 20] for start in range(0, 400, 20)]:
        assert secret not in text


def test_hosts_without_files_in_memory(ca: Pair, admin: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.memfd_create")
    before = set(Path("/dev/shm").iterdir())
    assert examine(Check("x", "kubeconfig", kubeconfig=str(kubeadm(tmp_path / "admin.conf", ca, admin)))).ok
    assert [path for path in set(Path("/dev/shm").iterdir()) - before if path.is_file() and path.stat().st_uid == 0 and b"PRIVATE" in path.read_bytes()] == []


def test_a_check_that_is_not_one() -> None:
    with pytest.raises(tls.TlsCheckError, match="of no known type"):
        examine(Check("x", "magic"))
