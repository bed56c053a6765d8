# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's disk: what it wrote over the read-only layers, containerd's store, and the small file system of its database.

``upper`` and ``work`` belong to the overlay; ``containerd`` is apart because containerd's own overlays cannot sit on one; ``etcd.img`` is
a file system of its own, of etcd or of an admin node's database, so that "the disk is full" is real. ``layers.json`` names the read-only
layers, uppermost first.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from .commands import run
from .errors import LabError


class Disk:
    """The disk of one node in one directory; replaced as a whole, never repaired."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.upper = directory / "upper"
        self.work = directory / "work"
        self.containerd = directory / "containerd"
        self.data_image = directory / "etcd.img"
        self._layers = directory / "layers.json"

    @property
    def exists(self) -> bool:
        """Whether there is a finished disk."""
        return self._layers.exists()

    @property
    def layers(self) -> list[Path]:
        """The read-only layers below, uppermost first."""
        return [Path(text) for text in json.loads(self._layers.read_text())]

    def create(self, layers: Sequence[Path], containerd: Path, data: Path | None) -> None:
        """A new disk: the layers, a copy of a containerd store, and (where there is a database) a copy of its file system."""
        self.remove()
        for path in (self.upper, self.work):
            path.mkdir(parents=True)
        link_tree(containerd, self.containerd)
        if data is not None:
            run(["cp", "--sparse=always", data, self.data_image])
        self._layers.write_text(json.dumps([str(layer) for layer in layers]))

    def write(self, name: str, text: str, mode: int, owner: int = 0) -> None:
        """Put a file on a disk that no node is using."""
        path = self._place(name)
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as opened:
            opened.write(text)
        path.chmod(mode)
        os.chown(path, owner, owner)

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        """Change a file on a disk that no node is using; owner and mode stay."""
        found = self.find(name)
        if found is None:
            raise LabError(f"edit /{name} on the disk {self.directory}", "no such file")
        status = found.stat()
        self.write(name, change(found.read_text()), stat.S_IMODE(status.st_mode))
        os.chown(self.upper / name, status.st_uid, status.st_gid)

    def hide(self, name: str) -> None:
        """Make a file of the layers below invisible (overlayfs: a character device 0, 0)."""
        path = self._place(name)
        path.unlink(missing_ok=True)
        os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))

    def find(self, name: str) -> Path | None:
        """The file as the node would see it."""
        for layer in (self.upper, *self.layers):
            path = layer / name
            if path.is_symlink() or path.exists():
                return None if path.is_char_device() else path
        return None

    def _place(self, name: str) -> Path:
        """The path in the uppermost layer, its directories made with the owner and mode that they have below."""
        path = self.upper
        for part in Path(name).parts[:-1]:
            path = path / part
            if path.is_dir():
                continue
            below = self.find(str(path.relative_to(self.upper)))
            path.mkdir()
            if below is not None:
                status = below.stat()
                os.chown(path, status.st_uid, status.st_gid)
                path.chmod(stat.S_IMODE(status.st_mode))
        return self.upper / name

    def remove(self) -> None:
        """Throw the disk away: renamed at once, so that a half removed disk is never taken for one."""
        if self.directory.exists():
            trash = Path(tempfile.mkdtemp(prefix=".trash-", dir=self.directory.parent))
            self.directory.rename(trash / "disk")
            shutil.rmtree(trash)


def link_tree(source: Path, target: Path) -> None:
    """Copy the store of a container runtime.

    Image content and unpacked images are never changed in place, so they are shared by hard links; the databases are copied.

    On another file system everything is copied.
    """
    same = source.stat().st_dev == target.parent.stat().st_dev
    run(["cp", "-a", *(["--link"] if same else []), source, target])
    if same:
        for directory, _names, files in os.walk(target):
            if directory.endswith(("/fs", "/diff")) or any(part in directory for part in ("/fs/", "/diff/", "/blobs/")):
                continue
            for file in files:
                original = Path(directory, file)
                copy = original.with_name(f".{file}.copy")
                shutil.copy2(original, copy)
                copy.rename(original)
