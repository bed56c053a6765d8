# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as an API server stores them, plain and encrypted, and the configurations that it reads. Made by the libraries, not by the code under test."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import Any

import yaml
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from nacl.secret import SecretBox

UID = "6dbd6a44-0c4e-4ff3-ba1f-ee0b2b7e5a5c"
ENCRYPTION_FILE = "/etc/kubernetes/enc/encryption.yaml"


def _field(number: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return bytes([number << 3 | 2]) + length + content


def stored(kind: str = "Secret", name: str = "password", uid: str = UID) -> bytes:
    """A built-in object in protobuf, with its metadata: name (1), namespace (3), UID (5)."""
    metadata = _field(1, name.encode()) + _field(3, b"shop") + _field(5, uid.encode())
    return b"k8s\0" + _field(1, _field(1, b"v1") + _field(2, kind.encode())) + _field(2, _field(1, metadata))


def key(seed: int, size: int = 32) -> bytes:
    """A key that is the same in each run."""
    return bytes((seed * 37 + number * 11) % 256 for number in range(size))


def encrypted(provider: str, name: str, secret: bytes, path: bytes, plain: bytes | None = None) -> bytes:
    """A value as the provider of an API server writes it."""
    plain = stored() if plain is None else plain
    prefix = f"k8s:enc:{provider}:v1:{name}:".encode()
    if provider == "aescbc":
        initial = os.urandom(16)
        padder = padding.PKCS7(128).padder()
        cipher = Cipher(AES(secret), CBC(initial)).encryptor()
        return prefix + initial + cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()
    if provider == "aesgcm":
        nonce = os.urandom(12)
        return prefix + nonce + AESGCM(secret).encrypt(nonce, plain, path)
    return prefix + bytes(SecretBox(secret).encrypt(plain))


def keys(provider: str, *pairs: tuple[str, bytes]) -> dict[str, Any]:
    """A provider with its keys."""
    return {provider: {"keys": [{"name": name, "secret": base64.b64encode(secret).decode()} for name, secret in pairs]}}


def configuration(*entries: tuple[Sequence[str], Sequence[dict[str, Any]]]) -> bytes:
    """A file for --encryption-provider-config, with comments as people write them."""
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": list(resources), "providers": list(providers)} for resources, providers in entries],
    }
    return b"# Kept by hand.\n" + yaml.safe_dump(document, sort_keys=False).encode()


IDENTITY: dict[str, Any] = {"identity": {}}
