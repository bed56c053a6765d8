# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bare machine of the product: its software and units, nothing that belongs to one cluster."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..cache import Cache, key_of, source_text
from ..machines import BareMachine, bare_machine
from ..paths import SOURCE
from ..progress import Progress
from .software import software, software_key

FILES = SOURCE / "caasp" / "layer"
# The other programs of a node are in the layer below.
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
# All of them are enabled everywhere: each has a condition that is true on the machines that it belongs to.
UNITS = (
    *("mariadb", "openldap", "salt-master", "salt-minion", "salt-minion-ca"),
    *("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "registry-v2-stub"),
)
# Of kubeadm's machines.
HIDDEN = ("usr/bin/kubeadm", "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", "etc/systemd/system/kubelet.service.d/20-lab.conf")


@dataclass(frozen=True)
class CaaspMachine(BareMachine):
    """What every bare machine of the product is made of: those of the plain one, and two layers over it."""

    software: Path
    product: Path

    @property
    def layers(self) -> tuple[Path, ...]:
        """Read-only layers, uppermost first."""
        return (self.product / "layer", self.software / "layer", *super().layers)

    def to_record(self) -> dict[str, str]:
        """For the record of a lab."""
        return {**super().to_record(), "caasp-software": str(self.software), "caasp": str(self.product)}

    @classmethod
    def from_record(cls, entries: Mapping[str, str]) -> CaaspMachine:
        """Out of the record of a lab."""
        return cls(*(Path(entries[kind]) for kind in ("bare", "system", "binaries", "caasp-software", "caasp")))


def product_key() -> str:
    """What the uppermost layer depends on."""
    files = sorted(path for path in FILES.rglob("*") if path.is_file())
    return key_of(source_text(SOURCE / "caasp" / "machines.py", *files), software_key())


def caasp_machine(cache: Cache, progress: Progress) -> CaaspMachine:
    """The bare machine, built when missing."""
    bare = bare_machine(cache, progress)
    programs = software(cache, bare, progress)

    def build(directory: Path) -> None:
        progress("making the bare machine of CaaSP: units, states, programs (once)")
        write_layer(directory / "layer", bare.binaries)

    return CaaspMachine(bare.entry, bare.system, bare.binaries, programs, cache.entry("caasp", product_key(), build))


def write_layer(layer: Path, binaries: Path) -> None:
    """Files of the repository, programs, links that enable units, and what has to be invisible."""
    shutil.copytree(FILES, layer)
    (layer / "usr/bin").mkdir()
    for program in PROGRAMS:
        shutil.copy2(binaries / program, layer / "usr/bin" / program)
    wants = layer / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    for unit in UNITS:
        (wants / f"{unit}.service").symlink_to(f"/usr/lib/systemd/system/{unit}.service")
    for name in HIDDEN:
        (layer / name).parent.mkdir(parents=True, exist_ok=True)
        os.mknod(layer / name, stat.S_IFCHR, os.makedev(0, 0))
    # Empty until a cluster is made, as the product's packages leave them.
    for name in ("etc/caasp", "etc/pki", "etc/sysconfig", "var/lib/misc"):
        (layer / name).mkdir(parents=True, exist_ok=True)
    for directory, _names, _files in os.walk(layer):
        # Whatever this machine's umask is.
        Path(directory).chmod(0o755)
