# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a gRPC call ended, out of the compressed headers that end its stream (HPACK, RFC 7541).

Of one stream that is the first use of the names ``grpc-status`` and ``grpc-message``, so they stand there as text; what refers to the tables of HPACK
is stepped over.
"""

from __future__ import annotations

from typing import Dict, Iterator, Optional, Tuple
from urllib.parse import unquote

# The code of RFC 7541, appendix B, as far as printable text goes: characters by the length of their codes. Within a length they count up.
_BY_LENGTH = {
    5: "012aceiost",
    6: " %-./3456789=A_bdfghlmnpru",
    7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: "&*,;XZ",
    10: '!"()?',
    11: "'+|",
    12: "#>",
    13: "\0$@[]~",
    14: "^}",
    15: "<`{",
}


class Unreadable(ValueError):
    """These are no headers that we know how to read."""


def _codes() -> Iterator[Tuple[Tuple[int, int], str]]:
    code = length = 0
    for bits, characters in _BY_LENGTH.items():
        code, length = code << (bits - length), bits
        for character in characters:
            yield (length, code), character
            code += 1


_CODES = dict(_codes())
_LONGEST = max(_BY_LENGTH)


def _expand(data: bytes) -> str:
    """Text that was compressed. Raises Unreadable."""
    text, length, code = [], 0, 0
    for byte in data:
        for shift in range(7, -1, -1):
            length, code = length + 1, code << 1 | byte >> shift & 1
            character = _CODES.get((length, code))
            if character is not None:
                text.append(character)
                length = code = 0
            elif length > _LONGEST:
                raise Unreadable("a character that is not printable")
    if length > 7 or code != (1 << length) - 1:
        raise Unreadable("compressed text ends in the middle of a character")
    return "".join(text)


def _number(data: bytes, position: int, bits: int) -> Tuple[int, int]:
    """A number that begins in the low bits of a byte, and where it ends."""
    mask = (1 << bits) - 1
    value, position = data[position] & mask, position + 1
    if value < mask:
        return value, position
    for shift in range(0, 35, 7):
        byte, position = data[position], position + 1
        value += (byte & 127) << shift
        if byte < 128:
            return value, position
    raise Unreadable("a number without an end")


def _text(data: bytes, position: int) -> Tuple[Optional[str], int]:
    """A text, None where it is none of ours, and where it ends."""
    compressed = data[position] & 128
    size, position = _number(data, position, 7)
    raw = data[position : position + size]
    if len(raw) < size:
        raise Unreadable("a text without an end")
    try:
        return (_expand(raw) if compressed else raw.decode("latin-1")), position + size
    except Unreadable:
        return None, position + size


def headers(block: bytes) -> Dict[str, str]:
    """Those headers of a block that stand there by name. Raises Unreadable."""
    found: Dict[str, str] = {}
    position = 0
    try:
        while position < len(block):
            first = block[position]
            if first & 128:
                _index, position = _number(block, position, 7)
            elif first & 0xE0 == 0x20:
                _size, position = _number(block, position, 5)
            else:
                index, position = _number(block, position, 6 if first & 64 else 4)
                name: Optional[str] = None
                if not index:
                    name, position = _text(block, position)
                value, position = _text(block, position)
                if name is not None and value is not None:
                    found[name] = value
    except IndexError:
        raise Unreadable("headers without an end") from None
    return found


def outcome(block: bytes) -> Tuple[Optional[int], str]:
    """Status and message of a call; None where the headers do not say how it ended. Raises Unreadable."""
    found = headers(block)
    status = found.get("grpc-status", "")
    return (int(status) if status.isdigit() else None), unquote(found.get("grpc-message", ""))
