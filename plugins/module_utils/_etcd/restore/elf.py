# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of a Linux program: whether it runs on a machine that has none of this one's libraries."""

from __future__ import annotations

import struct

MAGIC = b"\x7fELF"
_NEEDS_INTERPRETER = 3
# By class (32 or 64 bits): where the program headers begin, their size and number, as struct formats with their offsets in the head.
_LAYOUTS = {1: ("I", 28, 42), 2: ("Q", 32, 54)}
_HEAD_BYTES = 64
_MOST_HEADERS = 1024


def is_program(path: str) -> bool:
    """Whether the file is a Linux program, and not a script that calls one."""
    with open(path, "rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def is_static(path: str) -> bool:
    """Whether the file is a Linux program that asks for no dynamic linker, and so for no library of the machine."""
    with open(path, "rb") as stream:
        head = stream.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES or head[:4] != MAGIC or head[4] not in _LAYOUTS or head[5] not in (1, 2):
            return False
        order = "<" if head[5] == 1 else ">"
        kind, where, how = _LAYOUTS[head[4]]
        (begin,) = struct.unpack_from(order + kind, head, where)
        size, count = struct.unpack_from(order + "HH", head, how)
        if size < 4 or not 0 < count <= _MOST_HEADERS:
            return False
        stream.seek(begin)
        headers = stream.read(size * count)
    if len(headers) < size * count:
        return False
    return all(struct.unpack_from(order + "I", headers, number * size)[0] != _NEEDS_INTERPRETER for number in range(count))
