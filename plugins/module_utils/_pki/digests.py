# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests that tell one cluster from another, of public files only: a digest of a secret could be guessed against."""

from __future__ import annotations

import hashlib
import re
import ssl
from typing import Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import pem
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.probing import LookError, not_there, text_or_none

_BLOCK_BYTES = 1 << 20
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)


def first_certificate_sha256(text: str) -> Optional[str]:
    """Digest of the first certificate of a PEM text, in DER form, as openssl x509 -fingerprint -sha256 has it; None without one."""
    found = _CERTIFICATE.search(text)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(found.group(0))).hexdigest() if found else None


def certificate_file_sha256(path: str) -> Optional[str]:
    """The same of a file; None when it is not there. One that cannot be read, or holds no certificate, is an error: nobody knows whose it is."""
    if not path:
        return None
    text = text_or_none(path)
    if text is None:
        return None
    digest = first_certificate_sha256(text)
    if digest is None:
        raise LookError(
            "%s holds no certificate." % path,
            tried="read whose certificate authority it is",
            found="%s holds no certificate (%d characters)" % (path, len(text)),
            remedy="Put the certificate back, or move the file away when it is of no use any more.",
        )
    return digest


def file_sha256(path: str) -> str:
    """Digest of a file of any size, read block by block. Raises OSError when it cannot be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()


def public_file_sha256(path: str) -> Optional[str]:
    """Digest of a file; None when it is not there. Of a short secret this would tell something, of a key file it does not."""
    try:
        return file_sha256(path)
    except OSError as error:
        if not_there(error):
            return None
        raise


def public_half_sha256(path: str) -> Optional[str]:
    """Digest of what a private key shows to everybody in its public key; None when the file is not there or the key does not hold that."""
    try:
        with open(path, "rb") as file:
            key = pem.private_key(file.read())
    except OSError as error:
        if not_there(error):
            return None
        raise
    return pem.public_half_sha256(key.der) if key else None
