# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PEM blocks and the little DER that tells whether a public and a private key belong together."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Iterator, List, NamedTuple, Optional, Tuple

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s*\n(.*?)-----END \1-----", re.DOTALL)
_INTEGER, _BIT_STRING, _OCTET_STRING, _SEQUENCE, _PUBLIC_POINT = 0x02, 0x03, 0x04, 0x30, 0xA1


class Block(NamedTuple):
    """One PEM block."""

    label: str
    der: bytes


def blocks(data: bytes) -> List[Block]:
    """PEM blocks in the order of the file. What cannot be decoded, an encrypted old-style key too, has no DER."""
    found: List[Block] = []
    for match in _BLOCK.finditer(data):
        body = b"".join(match.group(2).split())
        try:
            der = base64.b64decode(body, validate=True)
        except (ValueError, binascii.Error):
            der = b""
        found.append(Block(match.group(1).decode("ascii"), der))
    return found


def certificates(data: bytes) -> List[bytes]:
    """DER of each certificate."""
    return [block.der for block in blocks(data) if block.label in ("CERTIFICATE", "TRUSTED CERTIFICATE")]


def private_key(data: bytes) -> Optional[Block]:
    """The private key."""
    return next((block for block in blocks(data) if block.label.endswith("PRIVATE KEY")), None)


def public_key(data: bytes) -> Optional[Block]:
    """The public key, or the certificate that holds one."""
    return next((block for block in blocks(data) if block.label.endswith(("PUBLIC KEY", "CERTIFICATE"))), None)


def _values(data: bytes) -> Iterator[Tuple[int, bytes]]:
    """Tag and contents of the DER values that lie one after the other."""
    position = 0
    while position < len(data):
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[position : position + count], "big")
            position += count
        if position + length > len(data):
            raise ValueError("a value longer than its data")
        yield tag, data[position : position + length]
        position += length


def _public_part(key: bytes) -> Optional[bytes]:
    """Bytes of a private key that its public key holds too: the RSA modulus, or the point of an elliptic curve."""
    ((tag, body),) = list(_values(key))
    items = list(_values(body)) if tag == _SEQUENCE else []
    if len(items) >= 9 and all(item[0] == _INTEGER for item in items[:9]):
        return items[1][1]
    if len(items) >= 3 and items[1][0] == _SEQUENCE and items[2][0] == _OCTET_STRING:
        return _public_part(items[2][1])
    for tag, value in items:
        if tag == _PUBLIC_POINT:
            return next((point[1:] for kind, point in _values(value) if kind == _BIT_STRING), None)
    return None


def public_half_sha256(private: bytes) -> Optional[str]:
    """Digest of the part of a private key (DER) that its public key holds too; None when the key does not show it."""
    try:
        part = _public_part(private)
    except (ValueError, IndexError):
        return None
    return None if part is None or len(part) < 32 else hashlib.sha256(part).hexdigest()


def belong_together(public: bytes, private: bytes) -> Optional[bool]:
    """Whether two keys (DER) are a pair; None when the private key does not show it (an Ed25519 key, or one that is encrypted)."""
    try:
        part = _public_part(private)
    except (ValueError, IndexError):
        return None
    return None if part is None or len(part) < 32 else part in public
