# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clusters of a topology are made with: kubeadm, or CaaSP's Salt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import forming, golden
from .caasp import documents
from .caasp import forming as caasp_forming
from .caasp import golden as caasp_golden
from .caasp.cluster import CaaspCluster
from .caasp.machines import CaaspMachine, caasp_machine
from .cache import Cache
from .cluster import Cluster
from .containerd import with_containerd, with_needed_containerd
from .crio import with_crio
from .layered import read_machine
from .machines import BareMachine, bare_machine
from .node import Node
from .progress import Progress
from .pythons import with_python
from .topology import Topology
from .traits import Traits


class FinishedCluster(Protocol):
    """A cluster on machines that lie on its golden disks."""

    def admin_kubeconfig(self) -> str:
        """The administrator's kubeconfig for this machine."""

    def hold_back(self, node: Node) -> None:
        """Before the first boot: hide what would fail."""

    def start_in_order(self) -> None:
        """Once the machines have booted."""

    def wait_complete(self, since: float) -> None:
        """Wait until everything runs, and says so itself since the given time."""


MakeCluster = Callable[[Topology, Sequence[Node], Path, Progress], FinishedCluster]


@dataclass(frozen=True)
class Platform:
    """Everything that differs."""

    variables: Mapping[str, object]
    bare_machine: Callable[[Cache, Progress], BareMachine]
    # The same with what a cluster of these traits is formed on.
    forming_machine: Callable[[BareMachine, Traits, Cache, Progress], BareMachine]
    read_machine: Callable[[Mapping[str, str]], BareMachine]
    # The machine that traits ask for, out of the one that clusters are formed on.
    machine_of: Callable[[BareMachine, Traits, Cache, Progress], BareMachine]
    cluster: MakeCluster
    golden_key: Callable[[Topology], str]
    # On machines that run bare; ends with machines that are off.
    form: Callable[[Topology, Sequence[Node], Path, Progress], None]
    # Whether the home of root is a part of the cluster.
    keep_root: bool


def _form_kubeadm(topology: Topology, nodes: Sequence[Node], scratch: Path, progress: Progress) -> None:
    cluster = Cluster(topology, nodes, scratch, progress)
    forming.form(cluster, progress)
    forming.rest(cluster, progress)


def _form_caasp(topology: Topology, nodes: Sequence[Node], scratch: Path, progress: Progress) -> None:
    cluster = CaaspCluster(topology, nodes, scratch, progress)
    caasp_forming.form(cluster, progress)
    caasp_forming.rest(cluster, progress)


def _as_it_is(machine: BareMachine, _traits: Traits, _cache: Cache, _progress: Progress) -> BareMachine:
    return machine


def _forming(machine: BareMachine, traits: Traits, cache: Cache, progress: Progress) -> BareMachine:
    return with_crio(machine, traits, cache, progress) if "cri-o" in traits else with_needed_containerd(machine, cache, progress)


def _with_layers(machine: BareMachine, traits: Traits, cache: Cache, progress: Progress) -> BareMachine:
    return with_python(with_containerd(machine, traits, cache, progress), traits, cache, progress)


_KUBEADM = Platform(
    {"lifeboat_platform": "kubeadm"}, bare_machine, _forming, read_machine, _with_layers, Cluster, golden.golden_key, _form_kubeadm, keep_root=False
)
_CAASP = Platform(
    documents.PLATFORM, caasp_machine, _as_it_is, CaaspMachine.from_record, _as_it_is, CaaspCluster, caasp_golden.golden_key, _form_caasp, keep_root=True
)


def platform_of(kind: str) -> Platform:
    """The platform of a topology."""
    return _CAASP if kind == "caasp" else _KUBEADM
