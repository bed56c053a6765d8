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
from .containerd import containerd_key
from .crio import crio_key
from .golden import noted_cluster
from .kmsplugin import kms_plugin_key
from .machines import bare_key, bare_machine
from .osimage import os_image_key
from .platforms import platform_of
from .progress import Progress
from .pythons import present_pythons
from .state import LabStore

KINDS = ("binaries", "kms-plugin", "python", "containerd", "crio", "debian", "bare", "caasp-software", "caasp", "golden")


def build(progress: Progress, *, install: bool = False) -> None:
    """Binaries, operating system, bare machines; golden clusters come with the first `up`."""
    prerequisites.check(progress, install=install)
    for make in (bare_machine, caasp_machine):
        progress(f"built: {' '.join(path.name for path in make(Cache(), progress).entries)}")


def _is_present(cache: Cache, golden: Path) -> bool:
    """Whether the present sources would make this golden cluster."""
    topology = noted_cluster(golden)
    return topology is not None and cache.path("golden", platform_of(topology.kind).golden_key(topology)) == golden


def clean(progress: Progress) -> list[Path]:
    """Remove cache entries that neither the present sources nor any lab need."""
    cache = Cache()
    keep = [
        cache.path("binaries", binaries_key()),
        cache.path("kms-plugin", kms_plugin_key()),
        cache.path("containerd", containerd_key()),
        cache.path("crio", crio_key()),
    ]
    keep += [cache.path("debian", os_image_key()), cache.path("bare", bare_key()), *present_pythons(cache)]
    keep += [cache.path("caasp-software", software_key()), cache.path("caasp", product_key())]
    keep += [path for path in cache.entries("golden") if _is_present(cache, path)]
    store = LabStore()
    for name in store.names():
        record = store.read(name)
        if record is not None:
            keep += [Path(path) for path in record.entries.values()]
    removed = cache.remove_unused(KINDS, keep)
    progress(f"removed {len(removed)} cache entries")
    return removed
