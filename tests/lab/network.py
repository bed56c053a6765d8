# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of a lab: one namespace with a bridge and the load balancer, one namespace per node.

The bridge lives in a namespace of its own, where no firewall of this machine and no other bridge reaches it; the machine has one
interface to it, with the address .1. Nothing is forwarded to the outside: packets to foreign addresses are answered with "unreachable".
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from .commands import run
from .errors import LabError
from .topology import NodePlan, Topology


def interface_name(lab: str) -> str:
    """The machine's interface to a lab; the kernel allows 15 characters, lab names may be longer."""
    return f"lab-{hashlib.sha256(lab.encode()).hexdigest()[:8]}"


def switch_namespace(lab: str) -> str:
    """The namespace of bridge and load balancer."""
    return f"lifeboat-{lab}"


def node_namespace(lab: str, node: str) -> str:
    """The namespace of a node; a lab name has no dot in it, so this is no other lab's."""
    return f"lifeboat-{lab}.{node}"


def _batch(namespace: str | None, lines: list[str]) -> None:
    """Many ip commands in one process."""
    prefix = ["ip", "-n", namespace] if namespace else ["ip"]
    run([*prefix, "-batch", "-"], stdin="\n".join(lines) + "\n")


def _sysctls(namespace: str, values: dict[str, str]) -> None:
    run(["ip", "netns", "exec", namespace, "sysctl", "-qw", *(f"{key}={value}" for key, value in values.items())])


class Network:
    """Makes and removes the network of one lab."""

    def __init__(self, lab: str, topology: Topology) -> None:
        self.lab = lab
        self.topology = topology
        self.switch = switch_namespace(lab)

    def namespaces(self) -> list[str]:
        """The lab's namespaces that exist."""
        existing = {path.name for path in Path("/run/netns").iterdir()} if Path("/run/netns").is_dir() else set()
        wanted = [self.switch, *(node_namespace(self.lab, node.name) for node in self.topology.nodes)]
        return [name for name in wanted if name in existing]

    def create(self) -> None:
        """Everything, from nothing."""
        self._refuse_foreign_subnet()
        topology = self.topology
        interface = interface_name(self.lab)
        run(["ip", "netns", "add", self.switch])
        # The addresses come with forwarding, so that the route "unreachable" is answered at once instead of being swallowed.
        _sysctls(self.switch, self._forwarding())
        _batch(
            self.switch,
            [
                "link set lo up",
                "link add bridge type bridge forward_delay 0",
                self._address(topology.balancer_address, "bridge"),
                self._address(topology.silent_address, "bridge"),
                "link set bridge up",
                *(f"route add unreachable {default}" for default in self._defaults()),
            ],
        )
        family = "ip6" if ":" in topology.silent_address else "ip"
        rules = f"table {family} lab {{ chain input {{ type filter hook input priority 0; {family} daddr {topology.silent_address} drop; }}; }}\n"
        run(["ip", "netns", "exec", self.switch, "nft", "-f", "-"], stdin=rules)
        run(["ip", "link", "add", interface, "type", "veth", "peer", "name", "machine", "netns", self.switch])
        _batch(self.switch, ["link set machine master bridge up"])
        _batch(None, [self._address(topology.host_address, interface), f"link set {interface} up"])
        for node in topology.nodes:
            self._create_node(node)

    def _six(self) -> bool:
        return any(":" in subnet for subnet in (self.topology.subnet, self.topology.second_subnet))

    def _defaults(self) -> list[str]:
        return ["::/0"] if ":" in self.topology.subnet else ["default", *(["::/0"] if self._six() else [])]

    def _forwarding(self) -> dict[str, str]:
        return {
            "net.ipv4.ip_forward": "1",
            "net.ipv6.conf.all.disable_ipv6": "0" if self._six() else "1",
            **({"net.ipv6.conf.all.forwarding": "1"} if self._six() else {}),
        }

    def _address(self, address: str, interface: str) -> str:
        # Nobody else can have it: no second is spent on asking for it.
        return f"addr add {address}/64 dev {interface} nodad" if ":" in address else f"addr add {address}/{self.topology.prefix_length} dev {interface}"

    def _refuse_foreign_subnet(self) -> None:
        subnet = self.topology.subnet
        for route in json.loads(run(["ip", "-json", "-6" if ":" in subnet else "-4", "route", "show", "root", subnet]).stdout or "[]"):
            raise LabError(
                f"use the subnet {subnet}",
                f"this machine already has a route to it on {route.get('dev')}",
                "remove that interface; if a lab made it, it was one with another LIFEBOAT_LAB_STATE: take it down with that",
            )

    def _create_node(self, node: NodePlan) -> None:
        namespace = node_namespace(self.lab, node.name)
        run(["ip", "netns", "add", namespace])
        # Set from here: a machine that wrote sysctls itself at boot would write those of the whole kernel too.
        _sysctls(namespace, {**self._forwarding(), "net.ipv4.conf.all.rp_filter": "0"})
        run(["ip", "link", "add", node.name, "netns", self.switch, "type", "veth", "peer", "name", "eth0", "netns", namespace])
        _batch(self.switch, [f"link set {node.name} master bridge up"])
        others = [other for other in self.topology.nodes if other != node]
        routes = [f"route add {subnet} via {address}" for other in others for subnet, address in zip(other.pod_subnets, other.addresses, strict=True)]
        addresses = [self._address(address, "eth0") for address in node.addresses]
        default = f"route add {self._defaults()[0]} via {self.topology.balancer_address}"
        _batch(namespace, ["link set lo up", *addresses, "link set eth0 up", default, *routes])

    def remove(self) -> None:
        """Everything; also what a killed program left half made."""
        for name in self.namespaces():
            run(["ip", "netns", "delete", name])
        # The peer went with the namespace, and this end with it, but only after the kernel got round to it.
        run(["ip", "link", "delete", interface_name(self.lab)], check=False)

    def set_link(self, node: str, up: bool) -> None:
        """Plug a node's cable in or out."""
        run(["ip", "-n", self.switch, "link", "set", node, "up" if up else "down"])

    def has_link(self, interface: str) -> bool:
        """Whether the namespace of the bridge has this interface."""
        return run(["ip", "-n", self.switch, "link", "show", interface], check=False).returncode == 0

    def link_is_up(self, node: str) -> bool:
        """Whether the cable is plugged in."""
        result = run(["ip", "-n", self.switch, "-json", "link", "show", node], check=False)
        if result.returncode:
            return False
        return "UP" in json.loads(result.stdout)[0]["flags"]
