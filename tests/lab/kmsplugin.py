# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of the trait kms: a module of its own, so that a change of it builds nothing else anew."""

from __future__ import annotations

import os
from pathlib import Path

from .cache import Cache, key_of, source_text
from .commands import CONTAINED, run
from .paths import SOURCE
from .progress import Progress

PROGRAM = "kms-plugin"
_MODULE = SOURCE / "kms_plugin"


def kms_plugin_key() -> str:
    """What the program depends on."""
    return key_of(source_text(SOURCE / "kmsplugin.py", *sorted(path for path in _MODULE.rglob("*") if path.is_file())))


def kms_plugin(cache: Cache, progress: Progress) -> Path:
    """The directory with the program."""

    def build(directory: Path) -> None:
        progress(f"building {PROGRAM} (once)")
        command: list[str | Path] = [*CONTAINED, "go", "build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o", directory / PROGRAM, "."]
        run(command, directory=_MODULE, environment={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"})

    return cache.entry("kms-plugin", kms_plugin_key(), build)
