# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab of this suite: a cluster with an admin node, one recovery point of it, and what is true of it when it works."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests import environment
from tests.drill.admin import AdminMemory, AdminNode
from tests.drill.keys import SIGNER, Keys
from tests.drill.playbooks import Finished, Playbooks
from tests.lab import Lab
from tests.workload import Api
from tests.workload.creation import wait_for

OUTPUT = environment.BUILD / "caasp"
# One machine may test several checkouts at once, and a lab belongs to one of them.
LAB = environment.lab_name("caasp")
READY_SECONDS = 300.0
PORTABLE = "/opt/lifeboat/python"
# It finds its library by its own place. What it is built of is Debian's, which Salt goes on using by the name with a version: the product's brings its own.
_OLD_PYTHON = f"""\
set -e
mkdir -p {PORTABLE}/bin {PORTABLE}/lib
cp --dereference /usr/bin/python3.11 {PORTABLE}/bin/python3
cp --recursive --dereference /usr/lib/python3.11 {PORTABLE}/lib/ 2> /dev/null || true
{PORTABLE}/bin/python3 -I -c 'import sys, ssl, json, ctypes; assert sys.prefix == "{PORTABLE}", sys.prefix'
ln --symbolic --force --no-dereference /usr/bin/python3.11 /opt/salt/bin/python3
rm /usr/bin/python3
printf '%s\\n' '#!/bin/sh' 'echo "ansible-core requires a minimum of Python version 3.8. Current version: 3.4.10" >&2' 'exit 1' > /usr/bin/python3
chmod 755 /usr/bin/python3
"""


class Bench(AdminNode):
    """The lab and its recovery point, shared by all tests."""

    def __init__(self, lab: Lab, keys: Keys) -> None:
        super().__init__(lab)
        self.keys = keys
        self.location = Path()
        self.point = ""
        self.backup: Finished
        self.memory: AdminMemory

    def playbooks(self, directory: Path, location: Path, inventory: Path | None = None, **more: object) -> Playbooks:
        """Playbooks of somebody who may open recovery points and write them."""
        variables: dict[str, object] = {
            "lifeboat_location": {"type": "directory", "path": str(location)},
            "lifeboat_recipients": [self.keys.recipient],
            "lifeboat_identity_files": [str(self.keys.identity)],
            "lifeboat_allowed_signers": str(self.keys.allowed_signers),
            "lifeboat_signing_key": str(self.keys.signing_key),
            "lifeboat_signer": SIGNER,
            **more,
        }
        return Playbooks(inventory or self.lab.inventory, directory / "logs", directory / "runs", variables)

    def answers(self, ids: Sequence[str]) -> None:
        """Wait until these minions answer."""

        wait_for("every minion answers", lambda: " ".join(self.silent([*ids])), READY_SECONDS, interval_seconds=1)

    def assert_working(self, memory: AdminMemory) -> None:
        """The admin node knows what it knew, its minions obey it, and what it signs is trusted."""
        rows = self.rows()
        assert {name: text for name, text in rows.items() if memory.rows.get(name) != text} == {}
        assert set(rows) == set(memory.rows)
        assert self.entries() == memory.entries
        assert self.accepted() == memory.keys
        self.answers([*memory.minions.values(), "admin", "ca"])
        assert self.unchanged_by_state(f"value-{time.time_ns():x}") == []

    def assert_issues(self, node: str) -> None:
        """A certificate that the admin node's authority issues now is trusted by the node, and is a new one."""
        good, found = self.issue(node, self.memory.minions[node])
        assert good, found

    def close_connections(self, *machines: str) -> None:
        """End ssh's shared connections: one to a machine that is gone hangs."""
        for name in machines:
            command = ["ssh", "-F", str(self.lab.ssh_config), "-O", "exit", name]
            subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=10)

    def bare(self, *machines: str) -> None:
        """Machines with empty disks."""
        self.lab.reset(list(machines), bare=True)
        self.close_connections(*machines)

    def inventory_with(self, machine: str, directory: Path, **settings: str) -> Path:
        """The lab's inventory, with other settings of one machine."""
        loaded = yaml.safe_load(self.lab.inventory.read_text())

        def apply(group: dict[str, Any]) -> None:
            if machine in (group.get("hosts") or {}):
                group["hosts"][machine] = {**(group["hosts"][machine] or {}), **settings}
            for child in (group.get("children") or {}).values():
                apply(child or {})

        apply(loaded["all"])
        inventory = directory / "hosts.yml"
        inventory.write_text(yaml.safe_dump(loaded))
        return inventory

    def move(self, machine: str, name: str, directory: Path) -> Path:
        """Give a bare machine another name and the last address of its network; returns an inventory that says so."""
        topology = self.lab.topology
        old, new = topology.node(machine).address, topology.at(250)
        # The old address goes first: others of its network go with it, and so do the routes.
        self.on(
            machine,
            f"hostname {name} && echo {name} > /etc/hostname && sed -i 's/\\b{machine}\\b/{name}/g; s/\\b{old}\\b/{new}/' /etc/hosts"
            f" && ip address delete {old}/24 dev eth0 && ip address add {new}/24 dev eth0 && ip route replace default via {topology.api_address}",
        )
        # Keys of hosts are known by name too.
        return self.inventory_with(machine, directory, ansible_host=new, lifeboat_node_name=name, ansible_ssh_extra_args=f"-o HostKeyAlias={machine}")

    def age_python(self, machine: str) -> None:
        """Make a machine's own Python as unusable as SLE 12's, and put an interpreter that can be moved anywhere below /opt."""
        self.on(machine, _OLD_PYTHON)


def ready(bench: Bench, name: str) -> bool:
    """Whether Kubernetes believes in a node."""
    node = Api(bench.lab.kubeconfig, connections=1).get(f"/api/v1/nodes/{name}")
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])


def until(what: str, condition: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    wait_for(what, lambda: "" if condition() else "not yet", READY_SECONDS, interval_seconds=1)
