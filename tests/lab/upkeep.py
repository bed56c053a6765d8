# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Care for the cache: make everything in advance, remove what nothing needs any more."""

from __future__ import annotations

from pathlib import Path

from . import prerequisites
from .binaries import binaries_key
from .caasp.machines import caasp_machine, product_key
from .caasp.software import software_key
from .cache import Cache
from .machines import bare_key, bare_machine
from .osimage import os_image_key
from .platforms import platform_of
from .progress import Progress
from .state import LabStore
from .topology import LAST_SLOT, TOPOLOGIES, make_topology

KINDS = ("binaries", "debian", "bare", "caasp-software", "caasp", "golden")


def build(progress: Progress, *, install: bool = False) -> None:
    """Binaries, operating system, bare machines; golden clusters come with the first `up`."""
    prerequisites.check(progress, install=install)
    for make in (bare_machine, caasp_machine):
        progress(f"built: {' '.join(path.name for path in make(Cache(), progress).entries)}")


def clean(progress: Progress) -> list[Path]:
    """Remove cache entries that neither the present sources nor any lab need."""
    cache = Cache()
    keep = [cache.path("binaries", binaries_key()), cache.path("debian", os_image_key()), cache.path("bare", bare_key())]
    keep += [cache.path("caasp-software", software_key()), cache.path("caasp", product_key())]
    keep += [cache.path("golden", platform_of(kind).golden_key(make_topology(kind, slot))) for kind in TOPOLOGIES for slot in range(LAST_SLOT + 1)]
    store = LabStore()
    for name in store.names():
        record = store.read(name)
        if record is not None:
            keep += [Path(path) for path in record.entries.values()]
    removed = cache.remove_unused(KINDS, keep)
    progress(f"removed {len(removed)} cache entries")
    return removed
