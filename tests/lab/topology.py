# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab consists of, and which addresses its parts have: pure functions of topology and slot."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LabError
from .traits import PLAIN, Part, Traits

API_PORT = 6443
LAST_SLOT = 250
# Of the trait nat: the port of a machine's ssh on the address of this box is this and the last octet of the machine's own address.
FORWARDED_PORTS = 22000
# Of the trait silent: a worker that is no machine.
SILENT_WORKER = "w9"


@dataclass(frozen=True)
class NodePlan:
    """One machine of a topology."""

    name: str
    index: int
    roles: frozenset[str]
    address: str
    pod_subnet: str
    traits: Traits = PLAIN

    @property
    def host_name(self) -> str:
        """What the machine calls itself."""
        return self.name.upper() if "capitals" in self.traits else self.name

    @property
    def node_name(self) -> str:
        """What Kubernetes and etcd call it."""
        return f"{self.name}.nodes.lab.internal" if "node-names" in self.traits else self.name

    @property
    def admin(self) -> bool:
        """Whether it manages the cluster from outside and is no node of it."""
        return "admin" in self.roles

    @property
    def control_plane(self) -> bool:
        """Whether it has an API server."""
        return "control_plane" in self.roles

    @property
    def etcd(self) -> bool:
        """Whether it has an etcd member."""
        return "etcd" in self.roles

    @property
    def outside(self) -> bool:
        """Whether its member of etcd is all that it has: it serves the cluster, and is no node of it."""
        return "outside" in self.roles

    @property
    def node(self) -> bool:
        """Whether Kubernetes knows it."""
        return not self.admin and not self.outside

    @property
    def data_directory(self) -> str:
        """Where the file system is mounted that can be filled without filling the machine: that of its database. Empty without one."""
        if self.etcd and "etcd-symlink" in self.traits:
            return "/srv/etcd-data"
        if self.etcd:
            return "/srv/etcd" if "etcd-elsewhere" in self.traits else "/var/lib/etcd"
        return "/var/lib/mysql" if self.admin else ""

    @property
    def etcd_client_address(self) -> str:
        """Where its member answers clients: as kubeadm's documentation has it, one on a machine of its own does not listen on the loopback."""
        return self.address if self.outside else "127.0.0.1"

    @property
    def etcd_directory(self) -> str:
        """What etcd is told of where its data are: the mount point itself, a directory below, or a link. Empty without a member."""
        if not self.etcd:
            return ""
        return "/srv/etcd/data" if "etcd-elsewhere" in self.traits else "/var/lib/etcd"

    @property
    def etcd_link_target(self) -> str:
        """Where that leads to when it is a link: below the mount point. Else empty."""
        return f"{self.data_directory}/etcd" if self.etcd and "etcd-symlink" in self.traits else ""

    @property
    def log_directory(self) -> str:
        """Where etcd keeps its write-ahead log when it is not in its data directory. Else empty."""
        return "/var/lib/etcd-wal/wal" if self.etcd and "wal-elsewhere" in self.traits else ""

    @property
    def kms(self) -> bool:
        """Whether its API server encrypts by a KMS plugin."""
        return self.control_plane and "kms" in self.traits

    @property
    def python(self) -> str:
        """The interpreter for Ansible."""
        version = self.traits.value("python")
        return f"/usr/local/bin/python{version}" if version else "/usr/bin/python3"


@dataclass(frozen=True)
class Topology:
    """Machines and addresses of one lab on one slot."""

    kind: str
    slot: int
    nodes: tuple[NodePlan, ...]
    traits: Traits = PLAIN

    @property
    def formed(self) -> Topology:
        """The same without all that does not change the cluster on the disks, which such labs can share."""
        return make_topology(self.kind, self.slot, self.traits.of(Part.CLUSTER))

    @property
    def etcd_directory(self) -> str:
        """Where each member of etcd keeps its data."""
        return self.etcd[0].etcd_directory

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
    def domain(self) -> str:
        """The lab's DNS domain, which only /etc/hosts knows."""
        return "infra.caasp.local" if self.kind == "caasp" else "lab.internal"

    @property
    def api_name(self) -> str:
        """Under which name the nodes reach the API."""
        return f"api.{self.domain}"

    @property
    def server_port(self) -> int:
        """The port of the API servers themselves, behind the load balancer."""
        return 6444 if self.kind == "caasp" else API_PORT

    @property
    def admin(self) -> tuple[NodePlan, ...]:
        """Machines beside the cluster that manage it."""
        return tuple(node for node in self.nodes if node.admin)

    @property
    def control_plane(self) -> tuple[NodePlan, ...]:
        """Nodes with an API server."""
        return tuple(node for node in self.nodes if node.control_plane)

    @property
    def etcd(self) -> tuple[NodePlan, ...]:
        """Machines with an etcd member."""
        return tuple(node for node in self.nodes if node.etcd)

    @property
    def workers(self) -> tuple[NodePlan, ...]:
        """Nodes of the cluster without an API server."""
        return tuple(node for node in self.nodes if node.node and not node.control_plane)

    @property
    def api_address(self) -> str:
        """Where clients reach the API: the load balancer; with one node, the node."""
        return self.balancer_address if len(self.control_plane) > 1 else self.control_plane[0].address

    def forwarded_port(self, node: NodePlan) -> int:
        """With the trait nat: the port of this box that leads to the machine's ssh."""
        return FORWARDED_PORTS + int(node.address.rpartition(".")[2])

    def node(self, name: str) -> NodePlan:
        """A node by name."""
        for node in self.nodes:
            if node.name == name:
                return node
        known = " ".join(node.name for node in self.nodes)
        raise LabError(f"find node {name}", f"topology {self.kind} has {known}", "name one of these")


_CONTROL_PLANE = frozenset({"control_plane", "etcd"})
_WORKER: frozenset[str] = frozenset()
_OUTSIDE = frozenset({"etcd", "outside"})

# Name, roles, last octet.
_MACHINES: dict[str, tuple[tuple[str, frozenset[str], int], ...]] = {
    "single": (("cp1", _CONTROL_PLANE, 11),),
    "ha": (("cp1", _CONTROL_PLANE, 11), ("cp2", _CONTROL_PLANE, 12), ("cp3", _CONTROL_PLANE, 13), ("w1", _WORKER, 21)),
    # Two masters: the third member of etcd is on a worker, as the product does it.
    "caasp": (
        ("admin", frozenset({"admin"}), 10),
        ("m1", _CONTROL_PLANE, 11),
        ("m2", _CONTROL_PLANE, 12),
        ("w1", frozenset({"etcd"}), 21),
        ("w2", _WORKER, 22),
    ),
}

TOPOLOGIES = tuple(_MACHINES)
# Of the trait five; last, so that all others keep their pod subnets.
_FIVE = (("cp4", _CONTROL_PLANE, 14), ("cp5", _CONTROL_PLANE, 15))

# Of the trait external-etcd, last for the same reason.
_EXTERNAL = (("e1", _OUTSIDE, 31), ("e2", _OUTSIDE, 32), ("e3", _OUTSIDE, 33))


def _machines(kind: str, traits: Traits) -> tuple[tuple[str, frozenset[str], int], ...]:
    found = _MACHINES[kind] + (_FIVE if "five" in traits else ())
    if "external-etcd" not in traits:
        return found
    return tuple((name, roles - {"etcd"}, octet) for name, roles, octet in found) + _EXTERNAL


def make_topology(kind: str, slot: int, traits: Traits = PLAIN) -> Topology:
    """The machines of a topology with the addresses of a slot."""
    if kind not in _MACHINES:
        raise LabError(f"make a lab of topology {kind}", "no such topology", f"use one of: {' '.join(TOPOLOGIES)}")
    traits.check(kind)
    machines = enumerate(_machines(kind, traits))
    nodes = tuple(NodePlan(name, index, roles, f"10.77.{slot}.{octet}", f"10.244.{index}.0/24", traits) for index, (name, roles, octet) in machines)
    return Topology(kind, slot, nodes, traits)


def loopback_names(topology: Topology, *, admin: bool) -> str:
    """The lines of /etc/hosts that are about the machine itself; the product puts the name of its directory there."""
    directory = f" ldap.{topology.domain}" if admin else ""
    return f"127.0.0.1 localhost{directory}\n::1 localhost ip6-localhost ip6-loopback\n"


def hosts_file(topology: Topology, *, admin: bool = False) -> str:
    """The /etc/hosts of a node: the lab has no name server, this file is its DNS."""
    lines = [f"{topology.api_address} {topology.api_name}"]
    lines += [f"{node.address} {node.host_name}" + (f" {node.name}.{topology.domain}" if topology.admin else "") for node in topology.nodes]
    return loopback_names(topology, admin=admin) + "\n".join(lines) + "\n"
