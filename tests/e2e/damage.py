# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damages a copy of a location as bad disks, careless people and strangers do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.records import canonical
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.signing import MANIFEST_NAMESPACE, sign
from tests.drill.keys import Keys, make_keys


class Copy:
    """The copied location of one cluster with one recovery point."""

    def __init__(self, location: Path, cluster: str, point: str, keys: Keys) -> None:
        self.location = location
        self.cluster = cluster
        self.point = point
        self.keys = keys

    @property
    def root(self) -> Path:
        """Everything of the cluster."""
        return self.location / self.cluster

    @property
    def manifest(self) -> Path:
        """The manifest's file."""
        return self.root / "manifests" / f"{self.point}.json"

    @property
    def signature(self) -> Path:
        """Its signature's file."""
        return self.root / "manifests" / f"{self.point}.json.sig"

    def artifacts(self) -> Path:
        """The artifacts' directory."""
        return self.root / "points" / self.point / "artifacts"

    def artifact(self, beginning: str) -> Path:
        """The one artifact whose name begins so."""
        found = sorted(path for path in self.artifacts().rglob("*.age") if str(path.relative_to(self.artifacts())).startswith(beginning))
        assert found, f"no artifact {beginning} in {self.artifacts()}"
        return found[0]

    def flip(self, beginning: str) -> None:
        """Change one bit in the middle of an artifact; its size stays."""
        path = self.artifact(beginning)
        writable(path)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1]))

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit the manifest; its signature stays what it was."""
        record = json.loads(self.manifest.read_text())
        change(record)
        writable(self.manifest)
        self.manifest.write_bytes(canonical(record))

    def sign(self, keys: Keys | None = None) -> None:
        """Sign the manifest as it is now; with other keys than the operator's, a stranger does it."""
        writable(self.signature)
        self.signature.write_bytes(sign(self.manifest.read_bytes(), str((keys or self.keys).signing_key), MANIFEST_NAMESPACE))

    def rewrite(self, change: Callable[[dict[str, Any]], None]) -> None:
        """A manifest that was honestly written and signed, but for another world."""
        self.edit(change)
        self.sign()

    def rename(self, cluster: str) -> None:
        """Lay the points under another cluster's name."""
        shutil.move(self.root, self.location / cluster)


def writable(path: Path) -> None:
    """Recovery points are laid down read-only."""
    for one in (path, path.parent):
        if one.exists():
            one.chmod(one.stat().st_mode | 0o200)


def strangers(directory: Path) -> Keys:
    """The keys of somebody else."""
    return make_keys(directory / "strangers-keys")
