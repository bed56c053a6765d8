# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load balancer before the API servers: haproxy in the namespace of the lab's bridge."""

from __future__ import annotations

from pathlib import Path

from .network import Network
from .processes import Identity, launch, read_identity
from .topology import API_PORT, Topology


def configuration(topology: Topology) -> str:
    """The configuration of haproxy.

    A server counts as up when its /readyz says so, or when it does not talk to strangers: an API server that waits for etcd gets no
    requests. Connections to a dead server are closed, otherwise kubelets would hang on them for minutes.
    """
    servers = "\n".join(f"    server {node.name} {node.address}:{topology.server_port}" for node in topology.control_plane)
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
    bind {topology.balancer_address}:{API_PORT}
    default_backend api
backend api
    balance roundrobin
    option httpchk GET /readyz
    http-check expect rstatus (200|401)
    option redispatch
    default-server check check-ssl verify none inter 500ms fastinter 200ms fall 3 rise 1 on-marked-down shutdown-sessions
{servers}
"""


class Balancer:
    """Starts haproxy and knows whether it runs."""

    def __init__(self, directory: Path, network: Network) -> None:
        self.directory = directory / "balancer"
        self.record = self.directory / "process.json"
        self.log = self.directory / "haproxy.log"
        self._network = network

    @property
    def identity(self) -> Identity | None:
        """The process, as it was recorded."""
        return read_identity(self.record)

    def start(self) -> None:
        """Write the configuration and start haproxy."""
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / "haproxy.cfg"
        file.write_text(configuration(self._network.topology))
        launch(
            self.directory / "launch.json",
            [],
            ["ip", "netns", "exec", self._network.switch, "haproxy", "-db", "-f", str(file)],
            self.record,
            self.log,
        )
