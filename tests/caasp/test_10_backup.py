# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A point of the whole cluster, and what it is refused for."""

from __future__ import annotations

import json

from tests.caasp.bench import LAB, Bench, until
from tests.drill.playbooks import Playbooks
from tests.e2e.bench import refused
from tests.secrets_search import Search

SECRETS = ("mariadb-root-password", "mariadb-velum-password", "mariadb-salt-password", "openldap-password")


def test_the_backup_is_complete(bench: Bench) -> None:
    """Every component of every machine is in the point, and nothing is missing."""
    manifest = json.loads((bench.location / LAB / "manifests" / f"{bench.point}.json").read_text())
    assert manifest["status"] == "completed"
    held = {(artifact["component"], artifact["host"]) for artifact in manifest["artifacts"]}
    assert {(component, "admin") for component in ("pki", "node_config", "salt_master", "velum_database", "directory")} <= held
    assert {(component, node) for component in ("pki", "node_config") for node in bench.nodes} <= held
    assert any(component == "etcd" for component, _host in held)


def test_secrets_stay_secret(bench: Bench) -> None:
    """Said at -vvv, written into journal, report and recovery point: none of it holds a password or a key."""
    values = {name: bench.on("admin", f"cat /var/lib/misc/infra-secrets/{name}").strip().encode() for name in SECRETS}
    for path in ("/etc/pki/private/ca.key", "/etc/salt/pki/master/master.pem", "/etc/pki/sa.key"):
        lines = bench.on("admin", f"cat {path}").splitlines()
        values[path] = lines[len(lines) // 2].encode()
    hits, count = Search(values | bench.keys.private_values()).in_trees([bench.location.parent], besides=[bench.keys.directory])
    assert count
    assert not hits, "\n".join(map(str, hits))


def test_a_backup_waits_for_no_orchestration(bench: Bench, operator: Playbooks) -> None:
    """While a node says that it is being updated, a point would hold half of it: refused, with the node and the grain."""
    minion = bench.memory.minions["w2"]
    bench.salt(minion, "grains.setval", "update_in_progress", "true")
    try:
        refused(operator.run("backup_cluster"), minion, "update_in_progress")
    finally:
        bench.salt(minion, "grains.delkey", "update_in_progress")
    until("the grain is gone", lambda: bench.salt(minion, "grains.get", "update_in_progress") == {minion: ""})


def test_a_backup_waits_for_no_row_in_progress(bench: Bench, operator: Playbooks) -> None:
    """The same of the dashboard's own book: restored, it would refuse every action."""
    bench.sql("UPDATE orchestrations SET status = 0")
    try:
        refused(operator.run("backup_cluster"), "in progress", "velum_database.idle")
    finally:
        bench.sql("UPDATE orchestrations SET status = 1")
