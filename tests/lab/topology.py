# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab consists of, and which addresses its parts have: pure functions of topology and slot."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LabError

API_NAME = "api.lab.internal"
API_PORT = 6443
LAST_SLOT = 250


@dataclass(frozen=True)
class NodePlan:
    """One machine of a topology."""

    name: str
    index: int
    control_plane: bool
    address: str
    pod_subnet: str


@dataclass(frozen=True)
class Topology:
    """Machines and addresses of one lab on one slot."""

    kind: str
    slot: int
    nodes: tuple[NodePlan, ...]

    @property
    def prefix(self) -> str:
        """The first three octets of every address."""
        return f"10.77.{self.slot}"

    @property
    def host_address(self) -> str:
        """This machine on the lab's network."""
        return f"{self.prefix}.1"

    @property
    def balancer_address(self) -> str:
        """The load balancer before the API servers."""
        return f"{self.prefix}.5"

    @property
    def silent_address(self) -> str:
        """Swallows every packet: the name server of the fault dns-dead."""
        return f"{self.prefix}.53"

    @property
    def control_plane(self) -> tuple[NodePlan, ...]:
        """Nodes with etcd and an API server."""
        return tuple(node for node in self.nodes if node.control_plane)

    @property
    def workers(self) -> tuple[NodePlan, ...]:
        """Nodes without."""
        return tuple(node for node in self.nodes if not node.control_plane)

    @property
    def api_address(self) -> str:
        """Where clients reach the API: the load balancer; with one node, the node."""
        return self.balancer_address if len(self.control_plane) > 1 else self.control_plane[0].address

    def node(self, name: str) -> NodePlan:
        """A node by name."""
        for node in self.nodes:
            if node.name == name:
                return node
        known = " ".join(node.name for node in self.nodes)
        raise LabError(f"find node {name}", f"topology {self.kind} has {known}", "name one of these")


# Name, control plane, last octet.
_MACHINES: dict[str, tuple[tuple[str, bool, int], ...]] = {
    "single": (("cp1", True, 11),),
    "ha": (("cp1", True, 11), ("cp2", True, 12), ("cp3", True, 13), ("w1", False, 21)),
}

TOPOLOGIES = tuple(_MACHINES)


def make_topology(kind: str, slot: int) -> Topology:
    """The machines of a topology with the addresses of a slot."""
    if kind not in _MACHINES:
        raise LabError(f"make a lab of topology {kind}", "no such topology", f"use one of: {' '.join(TOPOLOGIES)}")
    nodes = tuple(
        NodePlan(name, index, control_plane, f"10.77.{slot}.{octet}", f"10.244.{index}.0/24")
        for index, (name, control_plane, octet) in enumerate(_MACHINES[kind])
    )
    return Topology(kind, slot, nodes)


LOCAL_HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


def hosts_file(topology: Topology) -> str:
    """The /etc/hosts of every node: the lab has no name server, this file is its DNS."""
    lines = [f"{topology.api_address} {API_NAME}", *(f"{node.address} {node.name}" for node in topology.nodes)]
    return LOCAL_HOSTS + "\n".join(lines) + "\n"
