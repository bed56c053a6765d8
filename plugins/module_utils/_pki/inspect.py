# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What captured files say about keys, certificates and configuration, without anything that is secret. On the controller only.

The result goes into manifests, which are not encrypted: public facts, names and fingerprints, never private values.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, List, Mapping, Optional, Set, Tuple

# Larger files hold neither keys nor configuration of a control plane.
LARGEST_FILE_BYTES = 1 << 20
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----\s.*?-----END \1-----", re.DOTALL)
# Parsing YAML costs time, so only what can be of these kinds is parsed.
_KINDS = re.compile(rb"""(^|[\s{,])["']?kind["']?\s*:\s*["']?(EncryptionConfiguration|EncryptionConfig|Config|Pod)\b""")
_SERVICE_ACCOUNT_FILES = ("sa.key", "sa.pub", "service-account.key", "service-account.pub", "service-account-key.pem")
_SERVICE_ACCOUNT_OPTIONS = ("service-account-key-file", "service-account-signing-key-file", "service-account-private-key-file")
ENCRYPTION_OPTION = "encryption-provider-config"
_BEARERS = ("token", "token-data", "password", "auth-provider", "exec")
# Options of static pods whose values are public: what a restore has to agree with. Of all others only the name is told.
_PUBLIC_OPTIONS = frozenset(
    (
        "advertise-address",
        "advertise-client-urls",
        "allocate-node-cidrs",
        "allow-privileged",
        "api-audiences",
        "audit-log-path",
        "audit-policy-file",
        "authentication-kubeconfig",
        "authorization-kubeconfig",
        "authorization-mode",
        "auto-compaction-mode",
        "auto-compaction-retention",
        "bind-address",
        "cert-dir",
        "cert-file",
        "client-ca-file",
        "client-cert-auth",
        "cloud-provider",
        "cluster-cidr",
        "cluster-name",
        "cluster-signing-cert-file",
        "cluster-signing-key-file",
        "config",
        "controllers",
        "data-dir",
        "disable-admission-plugins",
        "election-timeout",
        "enable-admission-plugins",
        "enable-bootstrap-token-auth",
        "enable-v2",
        "encryption-provider-config",
        "encryption-provider-config-automatic-reload",
        "etcd-cafile",
        "etcd-certfile",
        "etcd-keyfile",
        "etcd-prefix",
        "etcd-servers",
        "etcd-servers-overrides",
        "event-ttl",
        "experimental-initial-corrupt-check",
        "experimental-watch-progress-notify-interval",
        "feature-gate",
        "feature-gates",
        "heartbeat-interval",
        "initial-advertise-peer-urls",
        "initial-cluster",
        "initial-cluster-state",
        "initial-cluster-token",
        "key-file",
        "kubeconfig",
        "kubelet-client-certificate",
        "kubelet-client-key",
        "kubelet-preferred-address-types",
        "leader-elect",
        "listen-client-http-urls",
        "listen-client-urls",
        "listen-metrics-urls",
        "listen-peer-urls",
        "max-request-bytes",
        "max-snapshots",
        "max-wals",
        "name",
        "node-cidr-mask-size",
        "oidc-ca-file",
        "oidc-client-id",
        "oidc-groups-claim",
        "oidc-issuer-url",
        "oidc-username-claim",
        "peer-cert-file",
        "peer-client-cert-auth",
        "peer-key-file",
        "peer-trusted-ca-file",
        "proxy-client-cert-file",
        "proxy-client-key-file",
        "quota-backend-bytes",
        "requestheader-allowed-names",
        "requestheader-client-ca-file",
        "requestheader-extra-headers-prefix",
        "requestheader-group-headers",
        "requestheader-username-headers",
        "root-ca-file",
        "runtime-config",
        "secure-port",
        "service-account-issuer",
        "service-account-jwks-uri",
        "service-account-key-file",
        "service-account-private-key-file",
        "service-account-signing-key-file",
        "service-cluster-ip-range",
        "service-node-port-range",
        "snapshot-count",
        "storage-backend",
        "storage-media-type",
        "tls-cert-file",
        "tls-private-key-file",
        "trusted-ca-file",
        "use-service-account-credentials",
        "watch-progress-notify-interval",
        "wal-dir",
    )
)


class Inspector:
    """Collects what files say, one file at a time; ``report`` ties it together."""

    def __init__(self) -> None:
        self._certificates: List[Dict[str, Any]] = []
        self._keys: List[Dict[str, Any]] = []
        self._encryption: List[Dict[str, Any]] = []
        self._kubeconfigs: List[Dict[str, Any]] = []
        self._pods: List[Dict[str, Any]] = []
        self._unreadable: List[Dict[str, str]] = []
        self._service_account_paths: Set[str] = set()

    def add(self, path: str, content: bytes) -> None:
        """Look at one file; what it is, is told by its content."""
        path = path.lstrip("/")
        if b"-----BEGIN " in content[:LARGEST_FILE_BYTES] and not _looks_like_configuration(content):
            self._add_pem(path, content)
        elif _looks_like_configuration(content):
            self._add_documents(path, content)

    def report(self) -> Dict[str, Any]:
        """Everything found, sorted by path."""
        service_account = sorted({entry["public_key_sha256"] for entry in self._keys if entry["public_key_sha256"] and self._is_service_account(entry["path"])})
        etcd = [pod for pod in self._pods if pod["program"] == "etcd"]
        return {
            "certificates": sorted(self._certificates, key=lambda entry: (entry["path"], entry["number"])),
            "keys": sorted(self._keys, key=lambda entry: (str(entry["path"]), str(entry["type"]))),
            "service_account_key_sha256": service_account,
            "encryption": sorted(self._encryption, key=lambda entry: str(entry["path"])),
            "kubeconfigs": sorted(self._kubeconfigs, key=lambda entry: str(entry["path"])),
            "static_pods": sorted(self._pods, key=lambda entry: (str(entry["path"]), str(entry["container"]))),
            "etcd": _etcd_facts(etcd[0]) if etcd else None,
            "unreadable": sorted(self._unreadable, key=lambda entry: entry["path"]),
        }

    def _is_service_account(self, path: str) -> bool:
        return os.path.basename(path) in _SERVICE_ACCOUNT_FILES or path in self._service_account_paths

    def _refuse(self, path: str, why: str) -> None:
        self._unreadable.append({"path": path, "reason": why})

    # -- PEM ----------------------------------------------------------------------------------------------------------------------

    def _add_pem(self, path: str, content: bytes) -> None:
        found = 0
        for number, match in enumerate(_PEM.finditer(content)):
            found += 1
            label, block = match.group(1).decode("ascii"), match.group(0) + b"\n"
            if label in ("CERTIFICATE", "TRUSTED CERTIFICATE"):
                try:
                    self._certificates.append(dict({"path": path, "number": number}, **certificate_facts(block)))
                except ValueError:
                    self._refuse(path, "block %d is not a certificate that can be read" % number)
            elif label.endswith("PRIVATE KEY"):
                self._keys.append({"path": path, "type": "private", "public_key_sha256": private_key_fingerprint(block)})
            elif label.endswith("PUBLIC KEY"):
                self._keys.append({"path": path, "type": "public", "public_key_sha256": public_key_fingerprint(block)})
        if not found:
            self._refuse(path, "it begins like PEM, but no block in it is whole")

    # -- YAML ---------------------------------------------------------------------------------------------------------------------

    def _add_documents(self, path: str, content: bytes) -> None:
        import yaml

        try:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            documents = [document for document in yaml.load_all(content.decode("utf-8"), loader) if isinstance(document, dict)]
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
            self._refuse(path, "it looks like configuration, but is not YAML")
            return
        for document in documents:
            kind = document.get("kind")
            try:
                if kind in ("EncryptionConfiguration", "EncryptionConfig"):
                    self._encryption.append({"path": path, "resources": _encryption_resources(document)})
                elif kind == "Config" and "clusters" in document:
                    self._kubeconfigs.append(dict({"path": path}, **_kubeconfig_facts(document)))
                elif kind == "Pod":
                    self._add_pod(path, document)
            except (AttributeError, TypeError, KeyError):
                self._refuse(path, "its kind is %s, but it is not made like one" % str(kind)[:40])

    def _add_pod(self, path: str, document: Mapping[str, Any]) -> None:
        spec = document.get("spec") or {}
        for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
            arguments = _options_of(list(container.get("command") or []) + list(container.get("args") or []))
            for option in _SERVICE_ACCOUNT_OPTIONS:
                if arguments["values"].get(option):
                    self._service_account_paths.add(str(arguments["values"][option]).lstrip("/"))
            pod = {
                "path": path,
                "container": str(container.get("name")),
                "image": str(container.get("image")),
                "program": arguments["program"],
                "options": arguments["values"],
                "other_options": arguments["names"],
            }
            if arguments["program"] == "etcd":
                # As the machine has them, which the container may know by other paths.
                for name, option in (("data_directory", "data-dir"), ("log_directory", "wal-dir")):
                    pod[name] = _host_path(document, container, arguments["values"][option]) if arguments["values"].get(option) else None
            named = arguments["values"].get(ENCRYPTION_OPTION)
            if named:
                # Where it lies on the machine, which the container may know by another path.
                pod["encryption_file"] = _host_path(document, container, named)
            self._pods.append(pod)


def inspect_files(files: Iterable[Tuple[str, bytes]]) -> Dict[str, Any]:
    """Inspect files given as (path, content)."""
    inspector = Inspector()
    for path, content in files:
        inspector.add(path, content)
    return inspector.report()


# -- certificates and keys ---------------------------------------------------------------------------------------------------------


def certificate_facts(pem: bytes) -> Dict[str, Any]:
    """The public facts of one certificate in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    certificate = x509.load_pem_x509_certificate(pem.replace(b"TRUSTED CERTIFICATE", b"CERTIFICATE"))
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": "%x" % certificate.serial_number,
        "sans": _alternative_names(certificate),
        "not_before": _time_of(certificate, "not_valid_before"),
        "not_after": _time_of(certificate, "not_valid_after"),
        "fingerprint_sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "public_key_sha256": _spki_sha256(certificate.public_key()),
        "is_ca": _is_ca(certificate),
    }


def private_key_fingerprint(pem: bytes) -> Optional[str]:
    """SHA-256 over the public half of a private key; None when it cannot be read (a passphrase, an unknown kind)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        if b"OPENSSH PRIVATE KEY" in pem:
            return _spki_sha256(serialization.load_ssh_private_key(pem, password=None).public_key())
        return _spki_sha256(serialization.load_pem_private_key(pem, password=None).public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None  # the cause may quote the key


def public_key_fingerprint(pem: bytes) -> Optional[str]:
    """SHA-256 over a public key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        return _spki_sha256(serialization.load_pem_public_key(pem))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _spki_sha256(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _alternative_names(certificate: Any) -> List[str]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    labels: Dict[Any, str] = {x509.DNSName: "DNS", x509.IPAddress: "IP", x509.RFC822Name: "email", x509.UniformResourceIdentifier: "URI"}
    return ["%s:%s" % (labels.get(type(name), "other"), name.value) for name in extension.value]


def _is_ca(certificate: Any) -> bool:
    from cryptography import x509

    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False


def _time_of(certificate: Any, attribute: str) -> str:
    moment: datetime = getattr(certificate, attribute + "_utc", None) or getattr(certificate, attribute).replace(tzinfo=timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


# -- configuration -----------------------------------------------------------------------------------------------------------------


def _looks_like_configuration(content: bytes) -> bool:
    return len(content) <= LARGEST_FILE_BYTES and b"apiVersion" in content and b"\0" not in content and bool(_KINDS.search(content))


def _encryption_resources(document: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Providers in their order with the names of their keys; never the keys."""
    resources: List[Dict[str, Any]] = []
    for entry in document.get("resources") or []:
        providers: List[Dict[str, Any]] = []
        for provider in entry.get("providers") or []:
            for name, settings in provider.items():
                settings = settings or {}
                described: Dict[str, Any] = {"provider": str(name), "keys": [str(key.get("name")) for key in settings.get("keys") or []]}
                if name == "kms":
                    described.update({"name": str(settings.get("name")), "endpoint": str(settings.get("endpoint"))})
                providers.append(described)
        resources.append({"resources": [str(resource) for resource in entry.get("resources") or []], "providers": providers})
    return resources


def _kubeconfig_facts(document: Mapping[str, Any]) -> Dict[str, Any]:
    clusters = {entry.get("name"): entry.get("cluster") or {} for entry in document.get("clusters") or []}
    users = {entry.get("name"): entry.get("user") or {} for entry in document.get("users") or []}
    contexts = {entry.get("name"): entry.get("context") or {} for entry in document.get("contexts") or []}
    current = contexts.get(document.get("current-context")) or next(iter(contexts.values()), {})
    user_name = current.get("user") or next(iter(users), None)
    user = users.get(user_name) or {}
    cluster = clusters.get(current.get("cluster")) or next(iter(clusters.values()), {})
    facts: Dict[str, Any] = {
        "server": cluster.get("server"),
        "user": user_name,
        "certificate": None,
        "client_certificate_path": user.get("client-certificate"),
        "ca_sha256": None,
        # How else the user proves who it is; the name of the field, never its value.
        "other_credentials": sorted(name for name in _BEARERS if user.get(name)),
    }
    embedded = _decoded(user.get("client-certificate-data"))
    if embedded is not None:
        facts["certificate"] = _brief(embedded)
    authority = _decoded(cluster.get("certificate-authority-data"))
    if authority is not None:
        brief = _brief(authority)
        facts["ca_sha256"] = brief["fingerprint_sha256"] if brief else None
    return facts


def _brief(pem: bytes) -> Optional[Dict[str, Any]]:
    match = _PEM.search(pem)
    try:
        facts = certificate_facts(match.group(0) + b"\n") if match else None
    except ValueError:
        return None
    return {name: facts[name] for name in ("subject", "not_after", "fingerprint_sha256")} if facts else None


def _decoded(text: Any) -> Optional[bytes]:
    if not text:
        return None
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError, TypeError):
        return None


def _options_of(command: List[Any]) -> Dict[str, Any]:
    """Program, options with public values, and the names of the other ones."""
    values: Dict[str, str] = {}
    others: Set[str] = set()
    words = [str(word) for word in command]
    program = os.path.basename(words[0]) if words and not words[0].startswith("-") else ""
    for word in words:
        if not word.startswith("-"):
            continue
        name, separator, value = word.lstrip("-").partition("=")
        if name in _PUBLIC_OPTIONS and separator and not _has_password(value):
            values[name] = value
        elif re.match(r"\A[A-Za-z0-9-]{1,80}\Z", name):
            others.add(name)
    return {"program": program, "values": values, "names": sorted(others)}


def _host_path(document: Mapping[str, Any], container: Mapping[str, Any], path: str) -> str:
    """Where a container's file lies on the machine, by its mounts; the same path where none fits."""
    volumes = {volume.get("name"): volume for volume in (document.get("spec") or {}).get("volumes") or []}
    for mount in sorted(container.get("volumeMounts") or [], key=lambda mount: len(str(mount.get("mountPath"))), reverse=True):
        place = os.path.normpath(str(mount.get("mountPath")))
        source = ((volumes.get(mount.get("name")) or {}).get("hostPath") or {}).get("path")
        if source and (path == place or path.startswith(place.rstrip("/") + "/")):
            return os.path.normpath("/".join((str(source), str(mount.get("subPath") or ""), path[len(place) :])))
    return path


def _has_password(value: str) -> bool:
    return bool(re.search(r"://[^/@\s]*:[^/@\s]*@", value))


def _etcd_facts(pod: Mapping[str, Any]) -> Dict[str, Any]:
    options = pod["options"]
    wanted = ("name", "data-dir", "initial-cluster", "initial-advertise-peer-urls", "advertise-client-urls", "listen-client-urls", "listen-peer-urls")
    facts: Dict[str, Any] = {name.replace("-", "_"): options.get(name) for name in wanted}
    facts["image"] = pod["image"]
    return facts
