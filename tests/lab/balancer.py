# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs haproxy: the load balancer before the API servers, and the way to machines that have no address of their own from here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .network import Network
from .processes import Identity, launch, read_identity
from .topology import API_PORT, Topology, bracketed


def configuration(topology: Topology) -> str:
    """The configuration of haproxy.

    A server counts as up when its /readyz says so, or when it does not talk to strangers: an API server that waits for etcd gets no
    requests. Connections to a dead server are closed, otherwise kubelets would hang on them for minutes.
    """
    servers = "\n".join(f"    server {node.name} {bracketed(node.address)}:{topology.server_port}" for node in topology.control_plane)
    return f"""\
global
    maxconn 4000
defaults
    mode tcp
    timeout connect 2s
    timeout client 2h
    timeout server 2h
    timeout check 4s
frontend api
    bind {bracketed(topology.balancer_address)}:{API_PORT}
    default_backend api
backend api
    balance roundrobin
    option httpchk GET /readyz
    http-check expect rstatus (200|401)
    option redispatch
    default-server check check-ssl verify none inter 500ms fastinter 200ms fall 3 rise 1 on-marked-down shutdown-sessions
{servers}
"""


def forwarding(topology: Topology) -> str:
    """Of the trait nat: a port of this box for the ssh of each machine, as a router forwards them. Nothing is known here of a machine that is off."""
    listeners = "\n".join(
        f"listen {node.name}\n    bind {bracketed(topology.host_address)}:{topology.forwarded_port(node)}\n    server {node.name} {bracketed(node.address)}:22"
        for node in topology.nodes
    )
    return f"""\
global
    maxconn 4000
defaults
    mode tcp
    timeout connect 60s
    timeout client 2h
    timeout server 2h
{listeners}
"""


class Proxy:
    """Starts an haproxy and knows whether it runs."""

    def __init__(self, directory: Path, configuration: str, prefix: Sequence[str] = ()) -> None:
        self.directory = directory
        self.record = self.directory / "process.json"
        self.log = self.directory / "haproxy.log"
        self._configuration = configuration
        self._prefix = prefix

    @property
    def identity(self) -> Identity | None:
        """The process, as it was recorded."""
        return read_identity(self.record)

    @property
    def runs(self) -> bool:
        """Whether it is there."""
        identity = self.identity
        return identity is not None and identity.alive()

    def start(self) -> None:
        """Write the configuration and start haproxy."""
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / "haproxy.cfg"
        file.write_text(self._configuration)
        launch(self.directory / "launch.json", [], [*self._prefix, "haproxy", "-db", "-f", str(file)], self.record, self.log)


class Balancer(Proxy):
    """The load balancer, in the namespace of the lab's bridge."""

    def __init__(self, directory: Path, network: Network) -> None:
        super().__init__(directory / "balancer", configuration(network.topology), ("ip", "netns", "exec", network.switch))


class Forwarder(Proxy):
    """The forwarded ports, on this box's own interface."""

    def __init__(self, directory: Path, network: Network) -> None:
        super().__init__(directory / "forwarder", forwarding(network.topology))


def proxies(directory: Path, network: Network) -> list[Proxy]:
    """All that a lab has."""
    found: list[Proxy] = [Balancer(directory, network)]
    if "nat" in network.topology.traits:
        found.append(Forwarder(directory, network))
    return found
