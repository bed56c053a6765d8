# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A slow cable: frames between a node and the lab's bridge pass through a program that holds each of them back.

The kernel could do it (netem), but not every kernel has that built in; this needs nothing but a tap device.
"""

from __future__ import annotations

import signal
import sys

from .commands import run, tail_of, wait_until
from .network import Network, node_namespace
from .node import Node
from .paths import SOURCE
from .processes import Identity, launch, read_identity, send, wait_gone


class Relay:
    """The slow cable of one node."""

    def __init__(self, node: Node, network: Network) -> None:
        self._node = node
        self._network = network
        self._record = node.directory / "relay.json"
        self._log = node.directory / "relay.log"
        self._tap = f"slow-{node.name}"

    @property
    def identity(self) -> Identity | None:
        """The process, None when the cable is as quick as ever."""
        identity = read_identity(self._record)
        return identity if identity is not None and identity.alive() else None

    def start(self, milliseconds: int) -> None:
        """Put the program between node and bridge."""
        self.stop()
        switch = self._network.switch
        # Frames must be complete when they leave the node: nobody behind the program would fill in checksums or cut large ones to size.
        run(["ip", "netns", "exec", node_namespace(self._node.lab, self._node.name), sys.executable, "-I", "-S", SOURCE / "offload.py", "eth0", "off"])
        run(["ip", "-n", switch, "tuntap", "add", self._tap, "mode", "tap"])
        command = [sys.executable, "-I", "-S", str(SOURCE / "delay.py"), self._node.name, self._tap, str(milliseconds)]
        self._log.unlink(missing_ok=True)
        launch(self._node.directory / "relay-launch.json", [], ["ip", "netns", "exec", switch, *command], self._record, self._log)
        wait_until(f"the slow cable of {self._node.name} is ready", self._not_ready, 20, evidence=lambda: tail_of(self._log))
        run(["ip", "-n", switch, "link", "set", self._node.name, "nomaster"])
        run(["ip", "-n", switch, "link", "set", self._tap, "master", "bridge", "up"])

    def _not_ready(self) -> str:
        return "" if self._log.exists() and "ready" in self._log.read_text() else "not ready"

    def stop(self) -> None:
        """Plug the node into the bridge again."""
        identity = self.identity
        if identity is not None:
            send(identity, signal.SIGKILL)
            wait_gone(identity, 10, f"the slow cable of {self._node.name}")
        self._record.unlink(missing_ok=True)
        if self._network.has_link(self._tap):
            run(["ip", "-n", self._network.switch, "tuntap", "del", self._tap, "mode", "tap"])
        if self._network.has_link(self._node.name):
            run(["ip", "-n", self._network.switch, "link", "set", self._node.name, "master", "bridge"])
            run(["ip", "netns", "exec", node_namespace(self._node.lab, self._node.name), sys.executable, "-I", "-S", SOURCE / "offload.py", "eth0", "on"])
