# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for planted secret values in files, texts and the argument lists of processes, in every form in which they could have got there."""

from __future__ import annotations

import base64
import json
import mmap
import os
import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

# Shorter pieces of base64 would be found by chance.
SHORTEST = 10


@dataclass(frozen=True)
class Hit:
    """A planted value where it must not be; says which one and in what form, never the value."""

    name: str
    form: str
    place: str

    def __str__(self) -> str:
        return f"{self.name} ({self.form}) in {self.place}"


def planted_value(length: int = 24) -> str:
    """A value that no one else has, with characters that JSON, URLs and shells each write in their own way."""
    return f'Zä/{secrets.token_urlsafe(length)}"&+ %\\q'


def base64_forms(plain: bytes) -> Iterator[bytes]:
    """What every base64 text that contains the value at offset 0, 1 or 2 of a group has in common, in both alphabets."""
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + plain)
        first = (0, 2, 3)[offset]
        last = len(encoded) - (0, 3, 2)[(offset + len(plain)) % 3]
        for text in (encoded[first:last], encoded[first:last].replace(b"+", b"-").replace(b"/", b"_")):
            if len(text) >= SHORTEST:
                yield text


def forms(plain: bytes) -> dict[bytes, str]:
    """Every form to look for, with its name."""
    found: dict[bytes, str] = {}
    text = plain.decode("utf-8", "surrogateescape")
    hexadecimal = plain.hex().encode()
    candidates: list[tuple[str, bytes]] = [("raw", plain), ("hex", hexadecimal), ("hex", hexadecimal.upper())]
    candidates += [("base64", form) for form in base64_forms(plain)]
    candidates += [("base64 of base64", form) for form in base64_forms(base64.b64encode(plain))]
    candidates += [("URL", quote(plain, safe="").encode()), ("URL", quote(plain).encode()), ("URL", quote_plus(plain).encode())]
    try:
        twice = json.dumps(json.dumps(text)[1:-1])[1:-1].encode()
        candidates += [("JSON", json.dumps(text)[1:-1].encode()), ("JSON", json.dumps(text, ensure_ascii=False)[1:-1].encode()), ("JSON in JSON", twice)]
        candidates += [("Python", repr(text)[1:-1].encode()), ("Python", ascii(text)[1:-1].encode())]
    except UnicodeEncodeError:
        # Binary values have no text form.
        candidates.append(("Python", repr(plain)[2:-1].encode()))
    for name, form in candidates:
        found.setdefault(form, name)
    return found


class Search:
    """Looks for a set of values."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._known: dict[bytes, tuple[str, str]] = {}
        for name, value in values.items():
            if len(value) < SHORTEST:
                raise ValueError(f"the planted value {name} is too short to be looked for")
            for form, what in forms(value).items():
                self._known.setdefault(form, (name, what))
        longest_first = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(re.escape(form) for form in longest_first))

    def in_bytes(self, data: bytes | mmap.mmap, place: str) -> list[Hit]:
        """Hits in a piece of memory."""
        return sorted({Hit(*self._known[match.group(0)], place) for match in self._pattern.finditer(data)}, key=str)

    def in_file(self, path: Path) -> list[Hit]:
        """Hits in a file of any size."""
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return []
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                return self.in_bytes(mapped, str(path))

    def in_trees(self, roots: Iterable[Path], besides: Iterable[Path] = ()) -> tuple[list[Hit], int]:
        """Hits in all files below, and how many were read; what lies below ``besides`` is where the values belong."""
        left_out = {path.resolve() for path in besides}
        hits: list[Hit] = []
        count = 0
        for root in roots:
            for directory, names, files in os.walk(root):
                here = Path(directory)
                names[:] = [name for name in names if (here / name).resolve() not in left_out]
                for name in files:
                    path = here / name
                    if path.is_symlink() or not path.is_file() or path.resolve() in left_out:
                        continue
                    hits += self.in_file(path)
                    hits += self.in_bytes(os.fsencode(path), f"the name of {path}")
                    count += 1
        return hits, count


class ProcessWatch(threading.Thread):
    """Samples argument lists and environments of all processes of this machine, those in containers included, while something runs."""

    def __init__(self, search: Search, interval_seconds: float = 0.05) -> None:
        super().__init__(name="argv", daemon=True)
        self._search = search
        self._interval = interval_seconds
        self._end = threading.Event()
        self._seen: set[bytes] = set()
        self.hits: set[Hit] = set()
        self.samples = 0

    def run(self) -> None:
        """Look at every process again and again."""
        own = os.getpid()
        while not self._end.wait(self._interval):
            self.samples += 1
            for entry in os.listdir("/proc"):
                if entry.isdigit() and int(entry) != own:
                    self._look(entry)

    def _look(self, pid: str) -> None:
        try:
            arguments = Path("/proc", pid, "cmdline").read_bytes()
        except OSError:
            # It has ended.
            return
        if not arguments or arguments in self._seen:
            return
        self._seen.add(arguments)
        self.hits.update(self._search.in_bytes(arguments, f"the arguments of {arguments.split(bytes(1))[0].decode(errors='replace')}"))
        try:
            environment = Path("/proc", pid, "environ").read_bytes()
        except OSError:
            return
        self.hits.update(self._search.in_bytes(environment, f"the environment of {arguments.split(bytes(1))[0].decode(errors='replace')}"))

    def __enter__(self) -> ProcessWatch:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end.set()
        self.join()
