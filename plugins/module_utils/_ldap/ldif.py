# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LDIF as slapcat writes it: entries, lines that are folded, values in base64."""

from __future__ import annotations

import base64
import binascii
from typing import IO, Callable, Iterator, List, Optional

Entry = List[bytes]


def entries(source: IO[bytes]) -> Iterator[Entry]:
    """Each entry as its lines, unfolded; comments are left out."""
    entry: Entry = []
    for raw in source:
        line = raw.rstrip(b"\r\n")
        if line.startswith(b" ") and entry:
            entry[-1] += line[1:]
        elif not line:
            if entry:
                yield entry
            entry = []
        elif not line.startswith(b"#"):
            entry.append(line)
    if entry:
        yield entry


def name_of(line: bytes) -> str:
    """Name of the attribute on a line, in small letters and without its options."""
    return line.partition(b":")[0].partition(b";")[0].decode("ascii", "replace").lower()


def value_of(line: bytes) -> str:
    """Value of the attribute on a line."""
    value = line.partition(b":")[2]
    if value.startswith(b":"):
        try:
            value = base64.b64decode(value[1:].strip(), validate=True)
        except binascii.Error:
            value = b""
    return value.strip().decode("utf-8", "replace")


def values(entry: Entry, name: str) -> List[str]:
    """All values of an attribute."""
    return [value_of(line) for line in entry if name_of(line) == name.lower()]


def rewritten(source: IO[bytes], change: Callable[[bytes], Optional[bytes]]) -> bytes:
    """The LDIF with each line as ``change`` gives it, or without it."""
    lines: List[bytes] = []
    for entry in entries(source):
        lines += [line for line in map(change, entry) if line is not None]
        lines.append(b"")
    return b"\n".join(lines) + b"\n"
