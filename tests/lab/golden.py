# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The golden cluster: the disks of a finished cluster at rest, from which any number of labs on the same subnet start."""

from __future__ import annotations

import errno
import json
from datetime import UTC, datetime
from pathlib import Path

from . import versions
from .cache import key_of, source_text
from .commands import run
from .containerd import containerd_key
from .crio import crio_key
from .disk import Disk
from .errors import LabError
from .machines import BareMachine, bare_key
from .paths import SOURCE
from .state import write_json
from .topology import Topology, make_topology
from .traits import Traits

_NOTE = "cluster.json"

_RECIPE = (
    "golden.py",
    "forming.py",
    "reshaping.py",
    "kubeadm.py",
    "etcd_place.py",
    "external_etcd.py",
    "external_forming.py",
    "hardening.py",
    "worker_member.py",
    "front.py",
    "kms.py",
    "yamltext.py",
    "topology.py",
)

# What a node wrote that is about the time of forming the cluster, or would be rewritten at every boot anyway.
_FORGOTTEN = ("var/log/journal", "var/log/pods", "var/log/containers", "var/tmp", "tmp", "run", "home")


def cluster_key(topology: Topology, recipe: str, bare: str) -> str:
    """The key of a golden cluster; certificates and etcd members hold addresses, so the slot is a part of it.

    Certificates are good for a year, so a cluster is used in the half-year in which it was formed.
    """
    today = datetime.now(UTC)
    half_year = f"{today.year}-{(today.month - 1) // 6}"
    return key_of(recipe, bare, topology.kind, str(topology.slot), half_year, *topology.formed.traits.words)


def golden_key(topology: Topology) -> str:
    """What a golden cluster of kubeadm depends on."""
    above = [crio_key()] if "cri-o" in topology.traits else [] if versions.OLD_CONTAINERD else [containerd_key()]
    machine = key_of(bare_key(), *above) if above else bare_key()
    return cluster_key(topology, source_text(*(SOURCE / name for name in _RECIPE)), machine)


def note_cluster(entry: Path, topology: Topology) -> None:
    """Write into an entry which cluster it is, so that one can tell whether the present sources would make the same."""
    write_json(entry / _NOTE, {"kind": topology.kind, "slot": topology.slot, "traits": list(topology.traits.words)})


def noted_cluster(entry: Path) -> Topology | None:
    """What was written there; nothing when it was not, or when there is no such topology any more."""
    try:
        note = json.loads((entry / _NOTE).read_text())
        return make_topology(note["kind"], note["slot"], Traits.parse(note["traits"]))
    except (FileNotFoundError, LabError):
        return None


def save_disk(disk: Disk, target: Path, *, keep_root: bool) -> None:
    """Move the disk of a node that is off into a golden entry."""
    target.mkdir(parents=True)
    for name in _FORGOTTEN if keep_root else (*_FORGOTTEN, "root"):
        path = disk.upper / name
        if path.exists():
            run(["rm", "-rf", path])
    _move(disk.upper, target / "upper")
    _move(disk.containerd, target / "containerd")
    if disk.data_image.exists():
        run(["cp", "--sparse=always", disk.data_image, target / "etcd.img"])


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        run(["cp", "-a", source, target])


def golden_disk(disk: Disk, entry: Path, name: str, bare: BareMachine) -> None:
    """A new disk for a node as it was in the golden cluster."""
    saved = entry / name
    data = saved / "etcd.img"
    disk.create([saved / "upper", *bare.layers], saved / "containerd", data if data.exists() else None)
