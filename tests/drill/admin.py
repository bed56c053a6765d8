# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's admin node: what it knows, and what it can do to its nodes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from tests.lab import Lab

SALT = "/opt/salt/bin/"
SCHEMA = "velum_production"
# Written by the Salt master while it runs; not a row of anybody's.
VOLATILE = ("salt_events", "salt_returns", "jids", "salt_jobs")
DIRECTORY = "dc=infra,dc=caasp,dc=local"
USER = f"mail=captain@example.org,ou=People,{DIRECTORY}"
SALT_SECONDS = 30
# A flag that a state carries from the pillar to every node, as a file and a service.
STATE = "flag"


@dataclass(frozen=True)
class AdminMemory:
    """What an admin node knew."""

    rows: dict[str, str] = field(repr=False)
    entries: str = field(repr=False)
    keys: dict[str, str]
    minions: dict[str, str]


class AdminNode:
    """Asks the admin node of a lab, on the machine itself."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @property
    def name(self) -> str:
        """Its machine."""
        return self.lab.topology.admin[0].name

    @property
    def nodes(self) -> list[str]:
        """The machines that are no admin node."""
        return [node.name for node in self.lab.topology.nodes if not node.admin]

    def on(self, name: str, script: str, *, check: bool = True) -> str:
        """What a shell script says as root on a machine."""
        return self.lab.node(name).run(["sh", "-c", script], check=check, timeout=300).stdout

    def sql(self, statement: str) -> str:
        """The rows of a statement."""
        password = "MYSQL_PWD=$(cat /var/lib/misc/infra-secrets/mariadb-root-password)"
        return self.on(self.name, f'{password} mariadb --user=root --batch --skip-column-names {SCHEMA} --execute "{statement}"')

    def rows(self) -> dict[str, str]:
        """Every row of every table that holds state, by table."""
        tables = [name for name in self.sql("SHOW TABLES").split() if name not in VOLATILE]
        return {name: "\n".join(sorted(self.sql(f"SELECT * FROM {name}").splitlines())) for name in tables}

    def salt(self, *words: str) -> dict[str, Any]:
        """What minions answer, by id."""
        command = " ".join([f"{SALT}salt --out=json --static --timeout={SALT_SECONDS}", *words, "2>/dev/null"])
        answer = self.on(self.name, f"timeout 120 {command}", check=False)
        loaded: dict[str, Any] = json.loads(answer or "{}")
        return loaded

    def silent(self, ids: list[str]) -> list[str]:
        """Those of the minions that do not answer."""
        found = self.salt("'*'", "test.ping")
        return [one for one in ids if found.get(one) is not True]

    def accepted(self) -> dict[str, str]:
        """Fingerprints of the keys by id, of the master and of every accepted minion."""
        listing = json.loads(self.on(self.name, f"{SALT}salt-key --finger-all --out=json"))
        return {**listing["minions"], "master": listing["local"]["master.pub"]}

    def entries(self) -> str:
        """The tree of the directory, as its administrator sees it."""
        word = "tr -d '\\n' < /var/lib/misc/infra-secrets/openldap-password > /run/lab-password"
        search = f"ldapsearch -x -LLL -o ldif-wrap=no -H ldap://127.0.0.1 -D cn=admin,{DIRECTORY} -y /run/lab-password -b {DIRECTORY} '*' entryUUID"
        return self.on(self.name, f"{word} && {search}; status=$?; rm -f /run/lab-password; exit $status")

    def user_binds(self) -> str:
        """Who the directory takes its user for."""
        word = "(tr -d '\\n' < /var/lib/misc/infra-secrets/openldap-password; printf -- -user) > /run/lab-password"
        return self.on(
            self.name, f"{word} && ldapwhoami -x -H ldap://127.0.0.1 -D {USER} -y /run/lab-password; status=$?; rm -f /run/lab-password; exit $status"
        )

    def remember(self) -> AdminMemory:
        """Look at a healthy admin node."""
        minions = {node: self.on(node, "cat /etc/machine-id").strip() for node in self.nodes}
        return AdminMemory(self.rows(), self.entries(), self.accepted(), minions)

    def minion_process(self, node: str) -> str:
        """Process and start of a node's minion: the same means that nobody touched it."""
        return self.on(node, "systemctl show salt-minion --property=MainPID,ExecMainStartTimestampMonotonic,NRestarts")

    def unchanged_by_state(self, value: str) -> list[str]:
        """Change the pillar and have the state applied: the nodes that did not get the change. The pillar is as it was afterwards."""
        before = self.sql(f"SELECT value FROM pillars WHERE pillar = '{STATE}'").strip()
        try:
            self.sql(f"UPDATE pillars SET value = '{value}' WHERE pillar = '{STATE}'")
            self.salt("'*'", "saltutil.refresh_pillar", "wait=True")
            self.salt("'*'", "state.apply", STATE)
            return [node for node in self.nodes if f"{STATE}={value}\n" not in self.on(node, "cat /run/caasp-flag", check=False)]
        finally:
            self.sql(f"UPDATE pillars SET value = '{before}' WHERE pillar = '{STATE}'")

    def issue(self, node: str, minion: str) -> tuple[bool, str]:
        """Have the authority issue a node's certificate anew: whether it is a new one that the node trusts, and what was found."""
        path = "/etc/pki/minion.crt"
        before = self.on(node, f"openssl x509 -noout -serial -in {path}").strip()
        self.on(node, f"mv {path} {path}.before-{time.time_ns():x}")
        self.salt(minion, "state.apply", "cert")
        now = self.on(node, f"openssl x509 -noout -serial -in {path}", check=False).strip()
        trusted = self.on(node, f"openssl verify -CAfile /etc/pki/trust/anchors/SUSE_CaaSP_CA.crt {path}", check=False).strip()
        return bool(now) and now != before and trusted.endswith(": OK"), f"{before} before, {now or 'none'} now; {trusted or 'not trusted'}"
