# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests that tell one cluster from another, of public files only: a digest of a secret could be guessed against."""

from __future__ import annotations

import hashlib
import re
import ssl
from typing import Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils.pki import _pem

_BLOCK_BYTES = 1 << 20
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)


def first_certificate_sha256(text: str) -> Optional[str]:
    """Digest of the first certificate of a PEM text, in DER form, as openssl x509 -fingerprint -sha256 has it; None without one."""
    found = _CERTIFICATE.search(text)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(found.group(0))).hexdigest() if found else None


def certificate_file_sha256(path: str) -> Optional[str]:
    """The same of a file; None when it is missing or holds no certificate."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return first_certificate_sha256(file.read())
    except OSError:
        return None


def file_sha256(path: str) -> str:
    """Digest of a file of any size, read block by block. Raises OSError when it cannot be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()


def public_file_sha256(path: str) -> Optional[str]:
    """Digest of a file that is no secret; None when it is missing."""
    try:
        return file_sha256(path)
    except OSError:
        return None


def public_half_sha256(path: str) -> Optional[str]:
    """Digest of what a private key shows to everybody in its public key; None when the file is missing or the key does not hold that."""
    try:
        with open(path, "rb") as file:
            key = _pem.private_key(file.read())
    except OSError:
        return None
    return _pem.public_half_sha256(key.der) if key else None
