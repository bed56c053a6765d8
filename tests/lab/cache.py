# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expensive things are made once: entries named by a hash of all that went into them.

An entry is built in a directory beside its final place and renamed when it is finished, under a lock that dies with its holder. So an
entry is complete or absent, whatever is killed, and two builders of the same entry make it once.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from .locks import locked
from .paths import cache_root

_PARTIAL = ".partial-"


def key_of(*inputs: str) -> str:
    """A short hash of inputs; lengths are part of it, so that ("a", "b") is not ("ab", "")."""
    digest = hashlib.sha256()
    for text in inputs:
        data = text.encode()
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()[:16]


@functools.cache
def source_text(*files: Path) -> str:
    """The text of recipe files as an input of a key."""
    return "\n".join(f"{file.name}\n{file.read_text()}" for file in files)


class Cache:
    """The entries under one directory."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_root()

    def path(self, kind: str, key: str) -> Path:
        """Where an entry is, or would be."""
        return self.root / f"{kind}-{key}"

    def entries(self, kind: str) -> list[Path]:
        """All finished entries of a kind."""
        return sorted(path for path in self.root.glob(f"{kind}-*") if path.name.rpartition("-")[0] == kind)

    def entry(self, kind: str, key: str, build: Callable[[Path], None]) -> Path:
        """The finished entry; built first when it is missing."""
        final = self.path(kind, key)
        if not final.exists():
            with locked(self.root / "locks" / f"{kind}-{key}.lock", f"the cache entry {final.name}", timeout=7200):
                if not final.exists():
                    self._build(kind, key, final, build)
        os.utime(final)
        return final

    def _build(self, kind: str, key: str, final: Path, build: Callable[[Path], None]) -> None:
        partial = self.root / f"{_PARTIAL}{kind}-{key}"
        if partial.exists():
            # Ours by the lock: what a killed builder left behind.
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        build(partial)
        # On disk before it has its name: after a crash of the machine an entry is still complete or absent.
        subprocess.run(["sync", "--file-system", str(partial)], check=True)
        partial.rename(final)

    def remove_unused(self, kinds: Collection[str], keep: Iterable[Path]) -> list[Path]:
        """Remove entries of these kinds that are not named, and what killed builders of them left; returns what went.

        Other programs keep other things in the same directory.
        """
        kept = set(keep)
        removed: list[Path] = []
        if not self.root.is_dir():
            return removed
        for path in sorted(self.root.iterdir()):
            name = path.name.removeprefix(_PARTIAL)
            if path in kept or name.rpartition("-")[0] not in kinds:
                continue
            with locked(self.root / "locks" / f"{name}.lock", f"the cache entry {name}", timeout=7200):
                # Renamed first: an entry that is half removed must not look like a finished one.
                doomed = path if path.name.startswith(_PARTIAL) else path.rename(self.root / f"{_PARTIAL}{name}")
                shutil.rmtree(doomed)
                removed.append(path)
        return removed
