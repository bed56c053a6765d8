# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab of this suite: a cluster with an admin node, one recovery point of it, and what is true of it when it works."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests import environment
from tests.drill.admin import AdminMemory, AdminNode
from tests.drill.keys import SIGNER, Keys
from tests.drill.playbooks import Finished, Playbooks
from tests.lab import Lab
from tests.workload import Api
from tests.workload.creation import wait_for

OUTPUT = environment.BUILD / "caasp"
# One machine may test several checkouts at once, and a lab belongs to one of them.
LAB = "caasp-" + hashlib.sha256(str(environment.ROOT).encode()).hexdigest()[:6]
READY_SECONDS = 300.0


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

    def move(self, machine: str, name: str, directory: Path) -> Path:
        """Give a bare machine another name and the last address of its network; returns an inventory that says so."""
        here = re.compile(rf"( +){machine}:\n +ansible_host: \"([0-9.]+)\"\n")
        text = self.lab.inventory.read_text()
        found = here.search(text)
        assert found, f"{machine} is not in {self.lab.inventory}"
        indent, old = found.groups()
        new = old.rpartition(".")[0] + ".250"
        # The address goes last: others of its network go with it, and the routes.
        self.on(
            machine,
            f"hostname {name} && echo {name} > /etc/hostname && sed -i 's/\\b{machine}\\b/{name}/g; s/\\b{old}\\b/{new}/' /etc/hosts"
            f" && ip address delete {old}/24 dev eth0 && ip address add {new}/24 dev eth0 && ip route replace default via {self.lab.topology.api_address}",
        )
        # Keys of hosts are known by name too.
        settings = {"ansible_host": new, "lifeboat_node_name": name, "ansible_ssh_extra_args": f"-o HostKeyAlias={machine}"}
        lines = "".join(f'{indent}  {key}: "{value}"\n' for key, value in settings.items())
        inventory = directory / "moved.yml"
        inventory.write_text(here.sub(f"{indent}{machine}:\n{lines}", text))
        return inventory


def ready(bench: Bench, name: str) -> bool:
    """Whether Kubernetes believes in a node."""
    node = Api(bench.lab.kubeconfig, connections=1).get(f"/api/v1/nodes/{name}")
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])


def until(what: str, condition: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    wait_for(what, lambda: "" if condition() else "not yet", READY_SECONDS, interval_seconds=1)
