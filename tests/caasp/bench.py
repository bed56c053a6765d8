# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab of this suite: a cluster with an admin node, one recovery point of it, and what is true of it when it works."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import environment
from tests.drill.keys import SIGNER, Keys
from tests.drill.playbooks import Finished, Playbooks
from tests.lab import Lab
from tests.workload import Api
from tests.workload.creation import wait_for

OUTPUT = environment.BUILD / "caasp"
# One machine may test several checkouts at once, and a lab belongs to one of them.
LAB = "caasp-" + hashlib.sha256(str(environment.ROOT).encode()).hexdigest()[:6]
SALT = "/opt/salt/bin/"
SCHEMA = "velum_production"
# Written by the Salt master while it runs; not a row of anybody's.
VOLATILE = ("salt_events", "salt_returns", "jids", "salt_jobs")
DIRECTORY = "dc=infra,dc=caasp,dc=local"
READY_SECONDS = 300.0
SALT_SECONDS = 30


@dataclass(frozen=True)
class Memory:
    """What the admin node knew when the recovery point was taken."""

    rows: dict[str, str] = field(repr=False)
    entries: str = field(repr=False)
    keys: dict[str, str]
    minions: dict[str, str]


class Bench:
    """The lab and its recovery point, shared by all tests."""

    def __init__(self, lab: Lab, keys: Keys) -> None:
        self.lab = lab
        self.keys = keys
        self.location = Path()
        self.point = ""
        self.backup: Finished
        self.memory: Memory

    @property
    def nodes(self) -> list[str]:
        """The machines that are no admin node."""
        return [node.name for node in self.lab.topology.nodes if not node.admin]

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

    def on(self, name: str, script: str, *, check: bool = True) -> str:
        """What a shell script says as root on a machine."""
        return self.lab.node(name).run(["sh", "-c", script], check=check, timeout=300).stdout

    def sql(self, statement: str) -> str:
        """The rows of a statement."""
        password = "MYSQL_PWD=$(cat /var/lib/misc/infra-secrets/mariadb-root-password)"
        return self.on("admin", f'{password} mariadb --user=root --batch --skip-column-names {SCHEMA} --execute "{statement}"')

    def rows(self) -> dict[str, str]:
        """Every row of every table that holds state, by table."""
        tables = [name for name in self.sql("SHOW TABLES").split() if name not in VOLATILE]
        return {name: "\n".join(sorted(self.sql(f"SELECT * FROM {name}").splitlines())) for name in tables}

    def salt(self, *words: str) -> dict[str, Any]:
        """What minions answer, by id."""
        command = " ".join([f"{SALT}salt --out=json --static --timeout={SALT_SECONDS}", *words, "2>/dev/null"])
        answer = self.on("admin", f"timeout 120 {command}", check=False)
        loaded: dict[str, Any] = json.loads(answer or "{}")
        return loaded

    def accepted(self) -> dict[str, str]:
        """Fingerprints of the keys by id, of the master and of every accepted minion."""
        listing = json.loads(self.on("admin", f"{SALT}salt-key --finger-all --out=json"))
        return {**listing["minions"], "master": listing["local"]["master.pub"]}

    def entries(self) -> str:
        """The tree of the directory, as its administrator sees it."""
        word = "tr -d '\\n' < /var/lib/misc/infra-secrets/openldap-password > /run/lab-password"
        search = f"ldapsearch -x -LLL -o ldif-wrap=no -H ldap://127.0.0.1 -D cn=admin,{DIRECTORY} -y /run/lab-password -b {DIRECTORY} '*' entryUUID"
        return self.on("admin", f"{word} && {search}; status=$?; rm -f /run/lab-password; exit $status")

    def remember(self) -> Memory:
        """Look at a healthy admin node."""
        minions = {node: self.on(node, "cat /etc/machine-id").strip() for node in self.nodes}
        return Memory(self.rows(), self.entries(), self.accepted(), minions)

    def minion_process(self, node: str) -> str:
        """Process and start of a node's minion: the same means that nobody touched it."""
        return self.on(node, "systemctl show salt-minion --property=MainPID,ExecMainStartTimestampMonotonic,NRestarts")

    def flag(self, value: str) -> None:
        """A change in the pillar reaches every node as a file and a service: the admin node configures its cluster."""
        self.sql(f"UPDATE pillars SET value = '{value}' WHERE pillar = 'flag'")
        self.salt("'*'", "saltutil.refresh_pillar", "wait=True")
        self.salt("'*'", "state.apply", "flag")
        for node in self.nodes:
            assert f"flag={value}\n" in self.on(node, "cat /run/caasp-flag"), f"the state did not change {node}"

    def answers(self, ids: Sequence[str]) -> None:
        """Wait until these minions answer."""

        def silent() -> str:
            found = self.salt("'*'", "test.ping")
            return " ".join(one for one in ids if found.get(one) is not True)

        wait_for("every minion answers", silent, READY_SECONDS, interval_seconds=1)

    def assert_working(self, memory: Memory) -> None:
        """The admin node knows what it knew, its minions obey it, and what it signs is trusted."""
        rows = self.rows()
        assert {name: text for name, text in rows.items() if memory.rows.get(name) != text} == {}
        assert set(rows) == set(memory.rows)
        assert self.entries() == memory.entries
        assert self.accepted() == memory.keys
        self.answers([*memory.minions.values(), "admin", "ca"])
        self.flag(f"value-{time.time_ns():x}")
        self.sql(f"UPDATE pillars SET value = '{_value(memory)}' WHERE pillar = 'flag'")

    def assert_issues(self, node: str) -> None:
        """A certificate that the admin node's authority issues now is trusted by the node, and is a new one."""
        path = "/etc/pki/minion.crt"
        before = self.on(node, f"openssl x509 -noout -serial -in {path}")
        self.on(node, f"mv {path} {path}.before")
        self.salt(self.memory.minions[node], "state.apply", "cert")
        assert self.on(node, f"openssl x509 -noout -serial -in {path}") != before
        self.on(node, f"openssl verify -CAfile /etc/pki/trust/anchors/SUSE_CaaSP_CA.crt {path}")

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


def _value(memory: Memory) -> str:
    """What the pillar's flag was."""
    return next(line.split("\t")[-3] for line in memory.rows["pillars"].splitlines() if "\tflag\t" in line)


def ready(bench: Bench, name: str) -> bool:
    """Whether Kubernetes believes in a node."""
    node = Api(bench.lab.kubeconfig, connections=1).get(f"/api/v1/nodes/{name}")
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])


def until(what: str, condition: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    wait_for(what, lambda: "" if condition() else "not yet", READY_SECONDS, interval_seconds=1)
