# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab consists of, and which addresses its parts have: pure functions of topology and slot."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from .errors import LabError
from .traits import PLAIN, Part, Traits

API_PORT = 6443
LAST_SLOT = 250
POD_SUBNET, POD_SUBNET_6 = "10.244.0.0/16", "fd78::/56"
SERVICE_SUBNET, SERVICE_SUBNET_6 = "10.96.0.0/16", "fd79::/112"
# Of the trait nat: the port of a machine's ssh on the address of this box is this and the last octet of the machine's own address.
FORWARDED_PORTS = 22000
# Of the trait silent: a worker that is no machine.
SILENT_WORKER = "w9"


def bracketed(address: str) -> str:
    """An address as it stands before a port."""
    return f"[{address}]" if ":" in address else address


def in_words(address: str) -> str:
    """One of IPv6 as everybody writes it, with zeros left out: programs compare them as text."""
    return str(ipaddress.ip_interface(address) if "/" in address else ipaddress.ip_address(address))


@dataclass(frozen=True)
class Runtime:
    """A container runtime: where it is asked, its unit, and where its images lie, which is no part of a machine's overlay."""

    endpoint: str
    unit: str
    store: str


CONTAINERD = Runtime("unix:///run/containerd/containerd.sock", "containerd", "/var/lib/containerd")
CRI_O = Runtime("unix:///var/run/crio/crio.sock", "crio", "/var/lib/containers")


@dataclass(frozen=True)
class NodePlan:
    """One machine of a topology."""

    name: str
    index: int
    roles: frozenset[str]
    address: str
    pod_subnet: str
    traits: Traits = PLAIN
    # Of the other family, with the trait dual-stack; else empty.
    second_address: str = ""
    second_pod_subnet: str = ""

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
        return self.address if self.outside else self.loopback

    @property
    def loopback(self) -> str:
        """Where its own etcd listens for it alone: kubeadm takes the family of the machine's address. Controllers listen on 127.0.0.1 everywhere."""
        return "::1" if ":" in self.address else "127.0.0.1"

    @property
    def addresses(self) -> tuple[str, ...]:
        """All that it has, the one that counts first."""
        return tuple(address for address in (self.address, self.second_address) if address)

    @property
    def pod_subnets(self) -> tuple[str, ...]:
        """Those of its pods, in the same order."""
        return tuple(subnet for subnet in (self.pod_subnet, self.second_pod_subnet) if subnet)

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
    def runtime(self) -> Runtime:
        """What runs its containers."""
        return CRI_O if "cri-o" in self.traits else CONTAINERD

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

    def at(self, last: int) -> str:
        """The address with this last number."""
        return _address(self.slot, last, ipv6="ipv6" in self.traits)

    @property
    def prefix_length(self) -> int:
        """How many bits of an address are the same everywhere."""
        return 64 if "ipv6" in self.traits else 24

    @property
    def subnet(self) -> str:
        """Where all addresses are."""
        return f"{self.at(0)}/{self.prefix_length}"

    @property
    def second_subnet(self) -> str:
        """With the trait dual-stack, the one of the other family; else empty."""
        return f"{_address(self.slot, 0, ipv6=True)}/64" if "dual-stack" in self.traits else ""

    @property
    def host_address(self) -> str:
        """This machine on the lab's network."""
        return self.at(1)

    @property
    def balancer_address(self) -> str:
        """The load balancer before the API servers."""
        return self.at(5)

    @property
    def silent_address(self) -> str:
        """Swallows every packet: the name server of the fault dns-dead."""
        return self.at(53)

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
        return FORWARDED_PORTS + int(re.split("[.:]", node.address)[-1])

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
_MEMBER_ON_WORKER = {"cp3": frozenset({"control_plane"}), "w1": frozenset({"etcd"})}

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
    if "etcd-on-worker" in traits:
        return tuple((name, _MEMBER_ON_WORKER.get(name, roles), octet) for name, roles, octet in found)
    if "external-etcd" not in traits:
        return found
    return tuple((name, roles - {"etcd"}, octet) for name, roles, octet in found) + _EXTERNAL


def make_topology(kind: str, slot: int, traits: Traits = PLAIN) -> Topology:
    """The machines of a topology with the addresses of a slot."""
    if kind not in _MACHINES:
        raise LabError(f"make a lab of topology {kind}", "no such topology", f"use one of: {' '.join(TOPOLOGIES)}")
    traits.check(kind)
    nodes = tuple(_plan(slot, index, machine, traits) for index, machine in enumerate(_machines(kind, traits)))
    return Topology(kind, slot, nodes, traits)


def _plan(slot: int, index: int, machine: tuple[str, frozenset[str], int], traits: Traits) -> NodePlan:
    name, roles, last = machine
    four, six = (_address(slot, last), f"10.244.{index}.0/24"), (_address(slot, last, ipv6=True), in_words(f"fd78:0:0:{index}::/64"))
    (address, pods), second = (six, ("", "")) if "ipv6" in traits else (four, six if "dual-stack" in traits else ("", ""))
    return NodePlan(name, index, roles, address, pods, traits, *second)


def _address(slot: int, last: int, *, ipv6: bool = False) -> str:
    return in_words(f"fd77:{slot}::{last}") if ipv6 else f"10.77.{slot}.{last}"


def loopback_names(topology: Topology, *, admin: bool) -> str:
    """The lines of /etc/hosts that are about the machine itself; the product puts the name of its directory there."""
    directory = f" ldap.{topology.domain}" if admin else ""
    return f"127.0.0.1 localhost{directory}\n::1 localhost ip6-localhost ip6-loopback\n"


def hosts_file(topology: Topology, *, admin: bool = False) -> str:
    """The /etc/hosts of a node: the lab has no name server, this file is its DNS."""
    lines = [f"{topology.api_address} {topology.api_name}"]
    lines += [f"{node.address} {node.host_name}" + (f" {node.name}.{topology.domain}" if topology.admin else "") for node in topology.nodes]
    return loopback_names(topology, admin=admin) + "\n".join(lines) + "\n"
