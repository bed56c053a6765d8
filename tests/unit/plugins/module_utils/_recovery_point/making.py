# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes keys, archives and whole recovery points for tests, with the real programs and the code of the collection."""

from __future__ import annotations

import base64
import datetime
import io
import ipaddress
import os
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.catalog import Catalog, Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import points
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Artifact, Manifest, Opening
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.transfer import Delivery, Workspace
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location

CLUSTER = "shop"
RUN = "20261120T130000Z-backup_cluster-1f3a"
# Values that may appear nowhere but inside sealed artifacts and private key files.
SECRETS = {
    "encryption key": base64.b64encode(b"planted-encryption-key-32-bytes!").decode(),
    "token": "planted-bearer-token-4711",
    "password": "planted-password-0815",
    "option": "planted-option-value-42",
}


@dataclass(frozen=True)
class Keys:
    """A pair of age keys, and an SSH key that signs."""

    identity_file: Path
    recipient: str
    signing_key: Path
    allowed_signers: Path

    @property
    def trust(self) -> Trust:
        """Believes this signer."""
        return Trust(str(self.allowed_signers))


def make_keys(directory: Path, principal: str = "ops@shop") -> Keys:
    """Make keys with age-keygen and ssh-keygen."""
    directory.mkdir(mode=0o700, exist_ok=True)
    identity, signing, allowed = directory / "age.key", directory / "signing_key", directory / "allowed_signers"
    subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
    recipient = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", signing], check=True)
    kind, key = signing.with_suffix(".pub").read_text().split()[:2]
    allowed.write_text(f'{principal} namespaces="lifeboat-*" {kind} {key}\n')
    return Keys(identity, recipient, signing, allowed)


def make_certificate(common_name: str, days: int = 30, is_ca: bool = False) -> tuple[bytes, bytes]:
    """A self-signed certificate and its key, both in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    alternatives = x509.SubjectAlternativeName([x509.DNSName("cp1"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(alternatives, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), _private(key)


def make_rsa() -> tuple[bytes, bytes]:
    """An RSA key and its public half, both in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return _private(key), key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private(key: Any) -> bytes:
    data: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return data


def make_tar(files: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> bytes:
    """A tar archive as host_archive makes it: PAX, paths without a leading slash."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in dict(files).items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.mode = 0o600
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def make_pki_files() -> dict[str, bytes]:
    """What a control plane node has, with secrets in every place where they can be."""
    ca, ca_key = make_certificate("kubernetes", is_ca=True)
    admin, admin_key = make_certificate("kubernetes-admin")
    account, account_public = make_rsa()
    return {
        "etc/kubernetes/pki/ca.crt": ca,
        "etc/kubernetes/pki/ca.key": ca_key,
        "etc/kubernetes/pki/sa.key": account,
        "etc/kubernetes/pki/sa.pub": account_public,
        "etc/kubernetes/encryption.yaml": f"""
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
      - aescbc:
          keys:
            - name: key-2026
              secret: {SECRETS["encryption key"]}
      - identity: {{}}
""".encode(),
        "etc/kubernetes/admin.conf": f"""
apiVersion: v1
kind: Config
current-context: admin
clusters:
  - name: shop
    cluster: {{server: "https://api.shop:6443", certificate-authority-data: {base64.b64encode(ca).decode()}}}
contexts:
  - name: admin
    context: {{cluster: shop, user: kubernetes-admin}}
users:
  - name: kubernetes-admin
    user:
      client-certificate-data: {base64.b64encode(admin).decode()}
      client-key-data: {base64.b64encode(admin_key).decode()}
      token: {SECRETS["token"]}
      password: {SECRETS["password"]}
""".encode(),
        "etc/kubernetes/manifests/etcd.yaml": f"""
apiVersion: v1
kind: Pod
metadata: {{name: etcd, namespace: kube-system}}
spec:
  containers:
    - name: etcd
      image: registry.k8s.io/etcd:3.6.16-0
      command:
        - etcd
        - --name=cp1
        - --data-dir=/var/lib/etcd
        - --initial-cluster=cp1=https://10.0.0.1:2380
        - --listen-client-urls=https://root:{SECRETS["password"]}@127.0.0.1:2379
        - --some-secret={SECRETS["option"]}
""".encode(),
        "etc/kubernetes/manifests/kube-apiserver.yaml": b"""
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  containers:
    - name: kube-apiserver
      image: registry.k8s.io/kube-apiserver:v1.34.1
      command: [kube-apiserver, --etcd-servers=https://127.0.0.1:2379, --service-account-key-file=/etc/kubernetes/pki/sa.pub]
""",
    }


def secret_forms(value: str) -> set[str]:
    """A secret as it is, and inside base64 at each of the three offsets, and in hex."""
    raw = value.encode()
    forms = {value, raw.hex()}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode()
        # The first and last characters of base64 depend on the neighbours.
        forms.add(encoded[4 if offset else 0 : -4])
    return forms


def assert_no_secrets(text: str) -> None:
    """No planted secret and no private key is in the text."""
    for what, value in SECRETS.items():
        for form in secret_forms(value):
            assert form not in text, f"the {what} is in a text that people see"
    assert "PRIVATE KEY-----" not in text
    assert "AGE-SECRET-KEY-1" not in text.upper()


class Maker:
    """Makes recovery points in one location."""

    def __init__(self, directory: Path, keys: Keys, cluster: str = CLUSTER, location: Location | None = None) -> None:
        """``location`` is a directory below ``directory`` when none is given; ``files`` and ``path`` are for that one only."""
        self.keys = keys
        self.cluster = cluster
        self.root = directory / "location"
        self.root.mkdir(mode=0o700, exist_ok=True)
        self.run_directory = directory / "run"
        self.run_directory.mkdir(mode=0o700, exist_ok=True)
        self.location: Location = location or FilesystemLocation(str(self.root))

    def open(self, retain_until: str = "2030-01-01T00:00:00Z") -> Opening:
        """Open a point."""
        return points.open_point(self.location, self.cluster, RUN, retain_until).opening

    def add(self, point: str, component: str, name: str, content: bytes, extension: str = "tar", inspect: bool = False) -> Artifact:
        """Seal one artifact into an open point."""
        artifact = names.artifact_name(component, name, extension)
        delivery = Delivery(self.location, self.cluster, point, artifact, name, Workspace(str(self.run_directory)))
        with delivery.workspace.plain(len(content), artifact) as plain:
            Path(plain).write_bytes(content)
            return delivery.store(plain, [self.keys.recipient], inspect, None)

    def evidence(self, artifacts: Iterable[Artifact], **more: Any) -> dict[str, Any]:
        """What a backup hands to sealing."""
        return {
            "artifacts": [artifact.to_record() for artifact in artifacts],
            "recipients": [self.keys.recipient],
            "etcd": None,
            "platform": "kubeadm",
            "versions": {"kubernetes": "v1.34.1"},
            "cluster_identity": {"kube_system_uid": "6dbd6a44-0c4e-4ff3-ba1f-ee0b2b7e5a5c", "ca_sha256": "ab" * 32},
            **more,
        }

    def seal(self, point: str, artifacts: Iterable[Artifact], sign: bool = True, **more: Any) -> Manifest:
        """Seal a point."""
        manifest = points.draft(self.location, self.cluster, point, self.evidence(artifacts, **more))
        how = points.Sealing(str(self.keys.signing_key) if sign else None, self.keys.trust if sign else Trust())
        return points.seal_point(self.location, manifest, how).manifest

    def point(self, sign: bool = True, **more: Any) -> Manifest:
        """A whole small point: etcd and pki of one host."""
        opening = self.open()
        artifacts = [
            self.add(opening.id, "etcd", "cp1", make_tar({"snapshot/notes.txt": os.urandom(3000)})),
            self.add(opening.id, "pki", "cp1", make_tar({"etc/kubernetes/pki/ca.crt": CA, "etc/kubernetes/pki/ca.key": CA_KEY}), inspect=True),
        ]
        return self.seal(opening.id, artifacts, sign=sign, **more)

    def catalog(self, trust: Trust | None = None, **more: Any) -> Catalog:
        """The catalog of the location."""
        return Catalog(self.location, self.cluster, trust or self.keys.trust, **more)

    def files(self) -> list[Path]:
        """Every file in the location."""
        return sorted(path for path in self.root.rglob("*") if path.is_file())

    def path(self, key: str) -> Path:
        """The file of a key."""
        return self.root / key


CA, CA_KEY = make_certificate("kubernetes", is_ca=True)


def flip(path: Path, position: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(content))
