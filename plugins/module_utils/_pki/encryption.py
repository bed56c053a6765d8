# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption at rest: what a configuration of an API server can read, proven on values as they are stored. On the controller only.

Keys stand in memory alone: no text, result or error of this file holds one. The rules are those of the API server
(kubernetes/apiserver pkg/server/options/encryptionconfig/config.go): of a resource, the providers of all entries that name it are tried; where none names it,
those of ``*.<group>``, then those of ``*.*``. A value is tried with every key whose name stands in its prefix. ``identity`` reads what is not encrypted.

- aescbc: 16 bytes of IV, AES-CBC, PKCS #7.
- aesgcm: 12 bytes of nonce, AES-GCM; the path in etcd is authenticated with it.
- secretbox: 24 bytes of nonce, XSalsa20-Poly1305.
- kms: the key is elsewhere, and only the provider's name can be compared.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import ENCRYPTION_MAGIC, EncryptionKey, Sample, is_object
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError, how_to_install

KINDS = ("EncryptionConfiguration", "EncryptionConfig")
LOCAL = ("aescbc", "aesgcm", "secretbox")
KMS = "kms"
IDENTITY = "identity"
# Resources whose keys in etcd have another name than the resource.
_STORED_AS = {
    "minions": "nodes",
    "controllers": "replicationcontrollers",
    "services/specs": "services",
    "services/endpoints": "endpoints",
    "ingress": "ingresses",
    "podsecuritypolicy": "podsecuritypolicies",
}
# What the API server keeps for itself is never encrypted.
_NEVER_ENCRYPTED = ("", "masterleases", "peerserverleases", "ranges")
_BLOCK = 16


class EncryptionConfigurationError(LifeboatError):
    """An encryption configuration cannot be read."""


@dataclass(frozen=True)
class Key:
    """A key of a provider."""

    name: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class Provider:
    """One provider of an entry; of a KMS, its name, version and socket."""

    type: str
    keys: Tuple[Key, ...] = ()
    name: str = ""
    version: str = ""
    endpoint: str = ""

    def names(self, wanted: EncryptionKey) -> bool:
        """Whether it says that it has this key."""
        if self.type != wanted.provider:
            return False
        if self.type == KMS:
            return (self.name, self.version) == (wanted.key_name, wanted.version)
        return any(key.name == wanted.key_name for key in self.keys)


@dataclass(frozen=True)
class Entry:
    """One entry of ``resources``."""

    resources: Tuple[str, ...]
    providers: Tuple[Provider, ...]


@dataclass(frozen=True)
class Configuration:
    """An encryption configuration."""

    entries: Tuple[Entry, ...]

    @classmethod
    def parse(cls, content: bytes, what: str) -> Configuration:
        """Read a file. No error holds anything of it."""
        document = load_document(content)
        try:
            if document is not None:
                return cls.of(document)
        except (AttributeError, TypeError, ValueError, KeyError):
            pass
        raise EncryptionConfigurationError(
            "%s cannot be read as an encryption configuration" % what,
            tried="looked for a document of kind EncryptionConfiguration with resources, providers and keys in base64",
            remedy="Repair the file that --encryption-provider-config of the API server names.",
        )

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Configuration:
        """Out of a document."""
        return cls(tuple(_entry(entry) for entry in document.get("resources") or []))

    def entries_of(self, resource: str) -> List[int]:
        """Numbers of the entries whose providers the API server would try for a resource."""
        for fits in (_same, _of_group, _of_all):
            found = [number for number, entry in enumerate(self.entries) if any(fits(text, resource) for text in entry.resources)]
            if found:
                return found
        return []

    def providers_of(self, resource: str) -> Tuple[Provider, ...]:
        """The providers that the API server would try for a resource, as etcd's keys name it; none where no entry is about it."""
        return tuple(provider for number in self.entries_of(resource) for provider in self.entries[number].providers)

    def text_of(self, resource: str) -> str:
        """As what an entry names a resource; empty where none does."""
        texts = [text for number in self.entries_of(resource) for text in self.entries[number].resources]
        return next((text for fits in (_same, _of_group, _of_all) for text in texts if fits(text, resource)), "")

    def names(self, resource: str) -> bool:
        """Whether an entry is certain to be about a resource; a wildcard of a group is not."""
        return any(_same(text, resource) or _of_all(text, resource) for entry in self.entries for text in entry.resources)


def _same(text: str, resource: str) -> bool:
    """Whether an entry's text is this resource."""
    name, _dot, group = _STORED_AS.get(resource, resource).partition(".")
    its_name, _dot, its_group = text.partition(".")
    return its_name == name and _may_be(its_group, group)


def _of_group(text: str, resource: str) -> bool:
    """Whether an entry's text is every resource of its group."""
    return text.startswith("*.") and text != "*.*" and _may_be(text[2:], resource.partition(".")[2])


def _of_all(text: str, _resource: str) -> bool:
    return text == "*.*"


def _may_be(group: str, stored: str) -> bool:
    """Compare groups. The keys of built-in resources do not tell theirs, which has no domain, or that of Kubernetes."""
    return group == stored if stored else "." not in group or group.endswith(".k8s.io")


def load_document(content: bytes) -> Optional[Dict[str, Any]]:
    """The document of a file, or nothing where there is none of this kind."""
    import yaml

    try:
        for document in yaml.load_all(content.decode("utf-8"), yaml.SafeLoader):
            if isinstance(document, dict) and document.get("kind") in KINDS:
                return document
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        # The cause may quote the file.
        return None
    return None


def _entry(record: Mapping[str, Any]) -> Entry:
    providers = tuple(_provider(str(name), settings or {}) for provider in record.get("providers") or [] for name, settings in provider.items())
    return Entry(tuple(str(resource) for resource in record.get("resources") or []), providers)


def _provider(kind: str, settings: Mapping[str, Any]) -> Provider:
    if kind == KMS:
        return Provider(kind, (), str(settings["name"]), str(settings.get("apiVersion") or "v1"), str(settings.get("endpoint") or ""))
    return Provider(kind, tuple(Key(str(key["name"]), _secret(key["secret"])) for key in settings.get("keys") or []))


def _secret(text: Any) -> bytes:
    try:
        return base64.b64decode(str(text).strip(), validate=True)
    except (binascii.Error, ValueError):
        pass
    raise ValueError  # outside of the handler: the cause may quote the key


# -- opening values ---------------------------------------------------------------------------------------------------------------------


def decrypt(sample: Sample, providers: Sequence[Provider]) -> Optional[bytes]:
    """The plain value, by the first key that opens it; nothing when none does."""
    for provider in providers:
        prefix = ENCRYPTION_MAGIC + ("%s:v1:" % provider.type).encode()
        if provider.type not in LOCAL or not sample.value.startswith(prefix):
            continue
        rest = sample.value[len(prefix) :]
        for key in provider.keys:
            name = key.name.encode() + b":"
            if rest.startswith(name):
                plain = _open(provider.type, key.secret, rest[len(name) :], sample.path)
                # AES-CBC authenticates nothing: a wrong key gives a right padding once in 256 times, but no object.
                if plain is not None and is_object(plain):
                    return plain
    return None


def _open(kind: str, secret: bytes, data: bytes, path: bytes) -> Optional[bytes]:
    if kind == "secretbox":
        return _open_secretbox(secret, data)
    if len(secret) not in (16, 24, 32):
        return None
    return _open_gcm(secret, data, path) if kind == "aesgcm" else _open_cbc(secret, data)


def _open_gcm(secret: bytes, data: bytes, path: bytes) -> Optional[bytes]:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(secret).decrypt(data[:12], data[12:], path)
    except (InvalidTag, ValueError):
        return None


def _open_cbc(secret: bytes, data: bytes) -> Optional[bytes]:
    from cryptography.hazmat.primitives import padding
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    if len(data) < 2 * _BLOCK or len(data) % _BLOCK:
        return None
    opener = Cipher(AES(secret), CBC(data[:_BLOCK])).decryptor()
    unpadder = padding.PKCS7(8 * _BLOCK).unpadder()
    padded = opener.update(data[_BLOCK:]) + opener.finalize()
    try:
        return bytes(unpadder.update(padded) + unpadder.finalize())
    except ValueError:
        return None


def _open_secretbox(secret: bytes, data: bytes) -> Optional[bytes]:
    try:
        from nacl.exceptions import CryptoError
        from nacl.secret import SecretBox
    except ImportError as error:
        raise EncryptionConfigurationError(
            "The Python package PyNaCl is not there",
            tried="to import it on the controller, for values that are encrypted with secretbox",
            found=str(error),
            remedy=how_to_install("PyNaCl"),
        ) from error
    if len(secret) != SecretBox.KEY_SIZE:
        return None
    try:
        return bytes(SecretBox(secret).decrypt(data))
    except (CryptoError, ValueError):
        return None


# -- judging a configuration ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """What a store holds: its encryption keys by resource, samples of them, and how many values of each resource are not encrypted."""

    keys: Tuple[Tuple[EncryptionKey, str], ...]
    samples: Tuple[Sample, ...] = ()
    plain: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], samples: Sequence[Sample] = ()) -> Stored:
        """Out of the record of a snapshot, which a manifest keeps."""
        keys = tuple(
            (EncryptionKey(str(entry["provider"]), str(entry["version"]), str(entry["key_name"])), str(resource))
            for entry in record.get("encryption") or []
            for resource in entry.get("resources") or []
        )
        plain = record.get("unencrypted_by_resource")
        if plain is None:  # a point of before
            plain = {"secrets": int(record.get("unencrypted_secrets") or 0)}
        return cls(keys, tuple(samples), {str(name): int(count) for name, count in plain.items()})

    @property
    def encrypted(self) -> bool:
        """Whether anything is."""
        return bool(self.keys)


@dataclass(frozen=True)
class Judgement:
    """What a configuration can read of a store. ``proven`` opened a value, ``named`` could not be tried; ``problems`` are what it cannot read."""

    proven: Tuple[str, ...] = ()
    named: Tuple[str, ...] = ()
    kms: Tuple[Dict[str, str], ...] = ()
    problems: Tuple[str, ...] = ()
    kube_system: Optional[bytes] = field(default=None, repr=False)


def judge(configuration: Configuration, stored: Stored) -> Judgement:
    """Compare names, open every sample, and look whether what is not encrypted is read too."""
    proven: List[str] = []
    named: List[str] = []
    problems: List[str] = []
    kms: Dict[Tuple[str, str], Dict[str, str]] = {}
    for key, resource in stored.keys:
        providers = configuration.providers_of(resource)
        samples = [sample for sample in stored.samples if (sample.encryption, sample.resource) == (key, resource)]
        label = "%s (%s)" % (key, resource)
        fitting = [provider for provider in providers if provider.names(key)]
        if key.provider == KMS and fitting:
            kms[key.version, key.key_name] = {"name": key.key_name, "version": key.version, "endpoint": fitting[0].endpoint}
        elif samples and all(decrypt(sample, providers) is not None for sample in samples):
            proven.append(label)
        elif not fitting:
            problems.append("%s is not in it" % label)
        elif samples:
            problems.append("%s is in it, and does not open a value: it is another key of that name" % label)
        else:
            named.append(label)
    problems += ["identity (%s) is not in it, and %d values are not encrypted" % unread for unread in unread_plain(configuration, stored)]
    return Judgement(tuple(proven), tuple(named), tuple(kms[place] for place in sorted(kms)), tuple(problems), _kube_system(configuration, stored))


def unread_plain(configuration: Configuration, stored: Stored) -> List[Tuple[str, int]]:
    """Resources of which the store holds values that are not encrypted, how many, and which the configuration reads encrypted alone."""
    return [
        (resource, count)
        for resource, count in sorted(stored.plain.items())
        if count
        and resource not in _NEVER_ENCRYPTED
        and configuration.names(resource)
        and not any(provider.type == IDENTITY for provider in configuration.providers_of(resource))
    ]


def _kube_system(configuration: Configuration, stored: Stored) -> Optional[bytes]:
    for sample in stored.samples:
        if sample.path.endswith(b"/namespaces/kube-system"):
            return decrypt(sample, configuration.providers_of(sample.resource))
    return None
