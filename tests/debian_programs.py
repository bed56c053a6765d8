# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server programs out of Debian packages that are not installed: unpacked into the cache, so that nothing starts here, and nothing is configured."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.cache import Cache, key_of
from tests.lab.errors import LabError

LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib")


def _apt(*arguments: str, directory: Path | None = None, check: bool = True) -> str:
    done = subprocess.run(["apt-get", "-q", *arguments], cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise LabError(f"apt-get {' '.join(arguments)}", f"{done.stdout}\n{done.stderr}".strip(), "is the Debian mirror of this machine within reach?")
    return done.stdout


def unpacked(*packages: str) -> Path:
    """The root of the named packages' files (``usr/sbin``, ``usr/bin``, ...); what they depend on is to be named too, or installed."""

    def build(directory: Path) -> None:
        archives = directory / "archives"
        archives.mkdir()
        if subprocess.run(["apt-get", "-q", "download", *packages], cwd=archives, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode:
            _apt("-o", "DPkg::Lock::Timeout=600", "update")
            _apt("download", *packages, directory=archives)
        root = directory / "root"
        for archive in sorted(archives.glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", str(archive), str(root)], check=True)
            archive.unlink()

    return Cache().entry("debian-programs", key_of(*sorted(packages)), build) / "root"


def environment(root: Path) -> dict[str, str]:
    """Variables with which the programs of a root find each other and their libraries."""

    def joined(paths: Sequence[Path], name: str, default: str = "") -> str:
        return os.pathsep.join([*map(str, paths), *filter(None, [os.environ.get(name) or default])])

    return {
        **os.environ,
        "PATH": joined([root / "usr/sbin", root / "usr/bin"], "PATH", os.defpath),
        "LD_LIBRARY_PATH": joined([root / name for name in LIBRARIES if (root / name).is_dir()], "LD_LIBRARY_PATH"),
    }
