# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bare machine with more layers above those of all others: what traits bring that is not of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .machines import BareMachine

_NAME, _STORE = "above-", "store"


@dataclass(frozen=True)
class LayeredMachine(BareMachine):
    """With cache entries whose layers lie above, the uppermost first."""

    above: tuple[Path, ...]
    # A store of images besides containerd's, where another runtime has one.
    store: Path | None = None

    @property
    def containerd(self) -> Path:
        """The store of the runtime that the machine has."""
        return self.store or super().containerd

    @property
    def layers(self) -> tuple[Path, ...]:
        """Read-only layers, uppermost first."""
        return (*(entry / "layer" for entry in self.above), *super().layers)

    def to_record(self) -> dict[str, str]:
        """For the record of a lab."""
        store = {_STORE: str(self.store)} if self.store else {}
        return {**super().to_record(), **{f"{_NAME}{number}": str(entry) for number, entry in enumerate(self.above)}, **store}


def below(entry: Path, machine: BareMachine) -> LayeredMachine:
    """The machine with the layer of a cache entry above all that it has."""
    above, store = (machine.above, machine.store) if isinstance(machine, LayeredMachine) else ((), None)
    return LayeredMachine(machine.entry, machine.system, machine.binaries, (entry, *above), store)


def read_machine(entries: Mapping[str, str]) -> BareMachine:
    """Out of the record of a lab, with such layers or without."""
    plain = BareMachine.from_record(entries)
    above = tuple(Path(entries[name]) for name in sorted(entries) if name.startswith(_NAME))
    store = Path(entries[_STORE]) if _STORE in entries else None
    return LayeredMachine(plain.entry, plain.system, plain.binaries, above, store) if above else plain
