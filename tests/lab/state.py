# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine knows about its labs: which name has which slot, and what each lab is."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .errors import LabError
from .locks import locked
from .paths import state_root
from .topology import LAST_SLOT

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def check_name(name: str) -> str:
    """A lab name ends up in paths, host names and cgroups."""
    if not _NAME.fullmatch(name):
        raise LabError(f"use the lab name {name!r}", "not a plain name", "use a lower-case letter, then up to 30 lower-case letters, digits and dashes")
    return name


def write_json(path: Path, data: object) -> None:
    """Replace a file as a whole: a reader sees the old or the new content, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n")
    partial.rename(path)


class SlotRegistry:
    """Hands out the numbers in 10.77.<slot>.0/24."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "slots.json"
        self._lock = directory / "slots.lock"

    def _read(self) -> dict[str, int]:
        try:
            return {str(name): int(slot) for name, slot in json.loads(self._file.read_text()).items()}
        except FileNotFoundError:
            return {}

    def slots(self) -> dict[str, int]:
        """Every lab and its slot."""
        with locked(self._lock, "the slot registry", timeout=60):
            return self._read()

    def take(self, name: str, preferred: Collection[int] = ()) -> int:
        """The slot of a lab: the one it has, else the lowest free one, of the preferred ones if any is free."""
        with locked(self._lock, "the slot registry", timeout=60):
            slots = self._read()
            if name not in slots:
                free = [number for number in range(LAST_SLOT + 1) if number not in slots.values()]
                if not free:
                    raise LabError("find a free subnet", f"all {LAST_SLOT + 1} slots are taken", "take labs down that nobody needs: status shows them")
                slots[name] = next((number for number in free if number in preferred), free[0])
                write_json(self._file, slots)
            return slots[name]

    def release(self, name: str) -> None:
        """Give a slot back."""
        with locked(self._lock, "the slot registry", timeout=60):
            slots = self._read()
            if slots.pop(name, None) is not None:
                write_json(self._file, slots)


@dataclass(frozen=True)
class LabRecord:
    """What a lab is; written before anything of it is made, so that it can be cleaned up whatever happens."""

    name: str
    topology: str
    slot: int
    # Cache entries that its disks lie on, by kind. A reset goes back to these, whatever the sources say by then.
    entries: Mapping[str, str] = field(default_factory=dict)
    # As words, each of them spelled out: a preset may mean something else later.
    traits: tuple[str, ...] = ()


class LabStore:
    """The records and directories of the labs."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or state_root()
        self.slots = SlotRegistry(self.root)

    def directory(self, name: str) -> Path:
        """Where a lab keeps its disks, keys and records."""
        return self.root / "labs" / check_name(name)

    def lock_path(self, name: str) -> Path:
        """The lock that every changing command holds; outside the directory, which may be removed."""
        return self.root / "locks" / f"{check_name(name)}.lock"

    def names(self) -> list[str]:
        """All labs, finished or not."""
        try:
            return sorted(path.name for path in (self.root / "labs").iterdir() if (path / "record.json").exists())
        except FileNotFoundError:
            return []

    def read(self, name: str) -> LabRecord | None:
        """The record of a lab, None when there is no such lab."""
        try:
            data = json.loads((self.directory(name) / "record.json").read_text())
        except FileNotFoundError:
            return None
        entries = {str(kind): str(path) for kind, path in data.get("entries", {}).items()}
        traits = tuple(str(word) for word in data.get("traits", ()))
        return LabRecord(str(data["name"]), str(data["topology"]), int(data["slot"]), entries, traits)

    def write(self, record: LabRecord) -> None:
        """Keep a record."""
        write_json(self.directory(record.name) / "record.json", asdict(record))
