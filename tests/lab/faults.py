# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Break a node in one way, and heal it again. Only the lab destroys; the collection never does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .errors import LabError
from .machines import BareMachine
from .network import Network
from .node import Node
from .relay import Relay
from .topology import hosts_file, loopback_names

BALLAST = ".lab-ballast"
DELAY_MILLISECONDS = 100

# Everything that is left, byte for byte, until the file system says no. etcd soon fails on that and gives back what it had set aside for
# its log, so this goes on until nothing has come free for some seconds.
_FILL = f"""\
set -eu
ballast=$1/{BALLAST}
free() {{ df --output=avail --block-size=1 "${{ballast%/*}}" | tail -n 1; }}
quiet=0 rounds=0
while [ "$quiet" -lt 10 ]; do
    if [ "$(free)" -lt 4096 ]; then
        quiet=$((quiet + 1))
    else
        quiet=0
        size=$(stat --format=%s "$ballast" 2> /dev/null || echo 0)
        fallocate --offset "$size" --length "$(free)" "$ballast" 2> /dev/null || true
        dd if=/dev/zero of="$ballast" bs=4k oflag=append conv=notrunc status=none 2> /dev/null || true
    fi
    rounds=$((rounds + 1))
    [ "$rounds" -lt 200 ] || {{ echo "the file system does not stay full" >&2; exit 1; }}
    sleep 0.3
done
"""


@dataclass(frozen=True)
class Setting:
    """What faults need besides the node."""

    network: Network
    bare: Callable[[], BareMachine]


def _power_off(node: Node, _setting: Setting) -> None:
    node.power_off()


def _power_on(node: Node, _setting: Setting) -> None:
    node.boot()
    node.wait_booted()


def _lose_disk(node: Node, setting: Setting) -> None:
    node.power_off()
    node.boot_bare(setting.bare())


def _find_disk(node: Node, _setting: Setting) -> None:
    raise LabError(
        f"heal lose-disk on {node.name}", "a lost disk does not come back", f"restore the node, or: python3 -m tests.lab reset {node.lab} {node.name}"
    )


def _cut_network(node: Node, setting: Setting) -> None:
    setting.network.set_link(node.name, False)


def _join_network(node: Node, setting: Setting) -> None:
    setting.network.set_link(node.name, True)


def _fill_etcd_disk(node: Node, setting: Setting) -> None:
    if not node.plan.etcd:
        members = " ".join(member.name for member in node.topology.etcd)
        raise LabError(f"fill the disk of etcd on {node.name}", "it has no etcd", f"name a member: {members}")
    _fill_disk(node, setting)


def _fill_disk(node: Node, _setting: Setting) -> None:
    if not node.plan.data_directory:
        raise LabError(f"fill the disk of {node.name}", "it has no database with a file system of its own", "name a member of etcd or an admin node")
    node.run(["sh", "-c", _FILL, "fill", node.plan.data_directory])


def _empty_disk(node: Node, _setting: Setting) -> None:
    node.run(["rm", "-f", f"{node.plan.data_directory}/{BALLAST}"])


def _kill_names(node: Node, _setting: Setting) -> None:
    own = loopback_names(node.topology, admin=node.plan.admin).splitlines()
    lines = set(hosts_file(node.topology, admin=node.plan.admin).splitlines()) - set(own)
    # Names are the same in capitals.
    names = {name for line in lines for name in line.lower().split()[1:]}
    kept = [line for line in node.read("etc/hosts").splitlines() if not names & set(line.split("#")[0].lower().split()[1:])]
    node.overwrite("etc/hosts", "\n".join(kept) + "\n")
    node.overwrite("etc/resolv.conf", f"nameserver {node.topology.silent_address}\n")


def _revive_names(node: Node, _setting: Setting) -> None:
    present = node.read("etc/hosts").splitlines()
    missing = [line for line in hosts_file(node.topology, admin=node.plan.admin).splitlines() if line not in present]
    node.overwrite("etc/hosts", "\n".join([*present, *missing]) + "\n")
    node.overwrite("etc/resolv.conf", "")


def _slow_network(node: Node, setting: Setting) -> None:
    Relay(node, setting.network).start(DELAY_MILLISECONDS)


def _quick_network(node: Node, setting: Setting) -> None:
    Relay(node, setting.network).stop()


Action = Callable[[Node, Setting], None]


@dataclass(frozen=True)
class Fault:
    """One way to break a node, and the way back."""

    about: str
    break_: Action
    heal: Action


FAULTS: Mapping[str, Fault] = {
    "power-off": Fault("every process dies at once; heal boots it on its old disk", _power_off, _power_on),
    "lose-disk": Fault("power off, empty disk, boot as a bare machine; cannot be healed, only restored or reset", _lose_disk, _find_disk),
    "cut-network": Fault("the network cable is pulled; heal plugs it in", _cut_network, _join_network),
    "fill-etcd-disk": Fault("the file system of etcd is filled to the last byte; heal removes the ballast", _fill_etcd_disk, _empty_disk),
    "fill-disk": Fault("the same for what the node has: etcd, or the database of an admin node", _fill_disk, _empty_disk),
    "dns-dead": Fault("a name server that swallows everything, and no names of the cluster in /etc/hosts; heal brings them back", _kill_names, _revive_names),
    "slow-network": Fault(f"{DELAY_MILLISECONDS} ms delay in each direction; heal removes it", _slow_network, _quick_network),
}


def find(name: str) -> Fault:
    """A fault by name."""
    if name not in FAULTS:
        raise LabError(f"use the fault {name}", "no such fault", f"use one of: {' '.join(FAULTS)}")
    return FAULTS[name]
