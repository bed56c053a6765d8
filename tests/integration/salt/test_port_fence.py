# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fence around ports, with a real listener, a real client behind another address, and the real packet filter of a network of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.host_files.test_host_modules import Play, changed
from tests.integration.salt.conftest import network
from tests.integration.salt.servers import wait_for

SERVER, CLIENT = "192.0.2.1", "192.0.2.2"
PORTS = [4505, 4506]
OTHER = 4507
LISTEN = """
import socket, sys, time
listeners = [socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True) for port in sys.argv[1:]]
print("listening", flush=True)
time.sleep(3600)
"""
CONNECT = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor

def connect(target):
    try:
        socket.create_connection(target.split(), timeout=2).close()
    except TimeoutError:
        return "dropped"
    return "connected"

with ThreadPoolExecutor(len(sys.argv)) as pool:
    print("\\n".join(pool.map(connect, sys.argv[1:])))
"""
# IPv6 addresses of the documentation prefix, one on each side.
SERVER6, CLIENT6 = "2001:db8::1", "2001:db8::2"


class Networks:
    """A network with a server, and one with a client."""

    def __init__(self, server: str, client: str) -> None:
        self.server = server
        self.client = client

    def run(self, name: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command in one of them."""
        return subprocess.run(["ip", "netns", "exec", name, *command], check=check, capture_output=True, text=True, timeout=60)

    def connects(self, name: str, *targets: tuple[str, int]) -> list[bool]:
        """Which connections are made, all at once; in two seconds, one is only not made when packets are dropped."""
        done = self.run(name, sys.executable, "-c", CONNECT, *(f"{address} {port}" for address, port in targets))
        return [line == "connected" for line in done.stdout.splitlines()]

    def from_outside(self) -> list[bool]:
        """Whether the client reaches the two ports and the third, over both families."""
        return self.connects(self.client, *((address, port) for address in (SERVER, SERVER6) for port in (*PORTS, OTHER)))

    def from_inside(self) -> list[bool]:
        """Whether the host reaches its own ports, by loopback and by its own address."""
        return self.connects(self.server, *((address, port) for address in ("127.0.0.1", "::1", SERVER) for port in PORTS))

    def rules(self) -> str:
        """What the filter says itself."""
        return "".join(self.run(self.server, program, "-t", "raw", "-S", "PREROUTING").stdout for program in ("iptables", "ip6tables"))


@pytest.fixture
def networks() -> Iterator[Networks]:
    """Joined by a cable, with a server that listens."""
    with network("server") as server, network("client") as client:
        found = Networks(server, client)
        subprocess.run(["ip", "-n", server, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", client], check=True)
        for name, link, addresses in ((server, "near", (SERVER, SERVER6)), (client, "far", (CLIENT, CLIENT6))):
            for address in addresses:
                length, options = ("64", ["nodad"]) if ":" in address else ("24", [])
                subprocess.run(["ip", "-n", name, "address", "add", f"{address}/{length}", "dev", link, *options], check=True)
            subprocess.run(["ip", "-n", name, "link", "set", link, "up"], check=True)
        command = ["ip", "netns", "exec", server, sys.executable, "-c", LISTEN, *map(str, (*PORTS, OTHER))]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as listener:
            assert listener.stdout is not None
            assert listener.stdout.readline() == "listening\n"
            wait_for("the cable to work", lambda: all(found.from_outside()))
            yield found
            listener.kill()


def play(networks: Networks, directory: Path, **tasks: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Run tasks of the module there."""
    directory.mkdir(exist_ok=True)
    steps = {name: {"check_mode": task.pop("check_mode", False), "port_fence": task} for name, task in tasks.items()}
    return Play(directory, ["ip", "netns", "exec", networks.server])(**steps)


def test_closed_and_open(networks: Networks, tmp_path: Path) -> None:
    """From outside nothing comes through, from inside everything; a rule of somebody else stays where it is."""
    networks.run(networks.server, "iptables", "-t", "raw", "-A", "PREROUTING", "-p", "udp", "--dport", "9", "-j", "DROP")
    foreign = networks.rules()
    results = play(
        networks,
        tmp_path / "close",
        foreseen={"state": "closed", "ports": PORTS, "check_mode": True},
        closed={"state": "closed", "ports": PORTS},
        again={"state": "closed", "ports": list(reversed(PORTS))},
        without_ports={"state": "closed"},
    )
    assert changed(results) == {"foreseen": True, "closed": True, "again": False, "without_ports": "PortFenceError"}
    assert results["foreseen"]["rules"] == []
    assert results["foreseen"]["diff"]["after"].splitlines() == results["closed"]["rules"] == results["again"]["rules"]
    assert [rule.split()[0] for rule in results["closed"]["rules"]] == ["iptables", "ip6tables"]
    assert networks.from_outside() == [False, False, True] * 2
    assert all(networks.from_inside())

    # Somebody let them in before our rule, and twice: the new one is the first again, and the only one.
    for program in ("iptables", "ip6tables"):
        ours = next(line for line in networks.run(networks.server, program, "-t", "raw", "-S", "PREROUTING").stdout.splitlines() if "lifeboat" in line)
        networks.run(networks.server, program, "-t", "raw", *ours.split())
        networks.run(networks.server, program, "-t", "raw", "-I", "PREROUTING", "1", "-p", "tcp", "--dport", str(PORTS[0]), "-j", "ACCEPT")
    assert networks.from_outside() == [True, False, True] * 2
    results = play(networks, tmp_path / "repair", closed={"state": "closed", "ports": PORTS}, again={"state": "closed", "ports": PORTS})
    assert changed(results) == {"closed": True, "again": False}
    assert networks.rules().count("lifeboat") == 2
    assert networks.from_outside() == [False, False, True] * 2

    results = play(networks, tmp_path / "open", foreseen={"state": "open", "check_mode": True}, opened={"state": "open"}, again={"state": "open"})
    assert changed(results) == {"foreseen": True, "opened": True, "again": False}
    assert results["opened"]["rules"] == []
    assert all(networks.from_outside())
    assert [line for line in networks.rules().splitlines() if "ACCEPT" not in line] == [line for line in foreign.splitlines() if "ACCEPT" not in line]


def test_a_connection_that_is_open_already_is_cut(networks: Networks, tmp_path: Path) -> None:
    """A minion that was connected before is not heard either."""
    script = f"""
import socket, sys
with socket.create_server(("", 4508)) as server, socket.create_connection(("127.0.0.1", 4508)): pass
connection = socket.create_connection(("{SERVER}", {PORTS[0]}), timeout=5)
print("connected", flush=True); sys.stdin.readline()
connection.sendall(b"x")
import time, fcntl, struct, termios
time.sleep(0.5)
print(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"    "))[0], flush=True)
"""
    with subprocess.Popen(
        ["ip", "netns", "exec", networks.client, sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        play(networks, tmp_path / "close", closed={"state": "closed", "ports": PORTS})
        client.stdin.write("\n")
        client.stdin.flush()
        assert client.stdout.readline() == "1\n", "the byte was taken"
