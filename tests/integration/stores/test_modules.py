# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seven modules as Ansible runs them: check mode, the run, the run again, and failures; no secret in anything that is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import environment
from tests.integration.stores.ldap import Ldap
from tests.integration.stores.velum import ASIDE, SCHEMA, STATE, Velum

WORKER = "fedcba9876543210fedcba9876543210"


def play(directory: Path, tasks: dict[str, dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], str]:
    """Results of tasks in one play on this host, and all that was printed. Beside module and arguments a task may have check_mode."""
    steps: list[dict[str, Any]] = []
    for name, task in tasks.items():
        module = next(key for key in task if key != "check_mode")
        step = {"name": name, f"lifeboat.cluster.{module}": task[module], "register": name, "ignore_errors": True, "diff": True}
        steps.append({**step, "check_mode": bool(task.get("check_mode"))})
    collected = "{{ {" + ", ".join(f"'{name}': {name}" for name in tasks) + "} | to_json }}"
    steps.append({"name": "Results", "ansible.builtin.copy": {"content": collected, "dest": str(directory / "results.json"), "mode": "0600"}, "no_log": True})
    book = directory / "play.json"
    book.write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": steps}]))
    variables = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(environment.collection_tree()), ANSIBLE_LOCALHOST_WARNING="false", ANSIBLE_NOCOLOR="1")
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "-vvv",
        "-i",
        "localhost,",
        "-e",
        f"ansible_python_interpreter={sys.executable}",
        str(book),
    ]
    run = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert run.returncode == 0, run.stdout
    found: dict[str, dict[str, Any]] = json.loads((directory / "results.json").read_text())
    return found, run.stdout


def changed(results: dict[str, dict[str, Any]]) -> dict[str, bool | str]:
    """Which tasks changed something; for those that failed, the kind of error."""
    return {name: result["error"]["kind"] if result.get("failed") else result["changed"] for name, result in results.items()}


def test_a_day_with_the_database(velum: Velum, tmp_path: Path) -> None:
    path = str(tmp_path / "database.sql")
    both = {**velum.options(), **velum.rules()}
    scratch = {"scratch_directory": velum.scratch}
    dumping = {**both, **scratch, "path": path, "owner": "nobody"}
    asking = {**both, **velum.users(), **scratch}
    minions = "SELECT minion_id, fqdn, role, highstate FROM minions ORDER BY id"
    results, printed = play(
        tmp_path,
        {
            "foreseen": {"database_dump": dumping, "check_mode": True},
            "taken": {"database_dump": dumping},
            "again": {"database_dump": dumping},
            "seen": {"database_info": {**asking, "dump": path, "prove": True, "minions_query": minions}},
            "away": {"database_info": {**asking, "socket": str(tmp_path / "nothing")}},
            "damaged": {"database_info": {**asking, "dump": path, "sha256": "0" * 64}},
        },
    )
    assert changed(results) == {"foreseen": True, "taken": True, "again": False, "seen": False, "away": False, "damaged": "DumpError"}
    taken = results["taken"]["dump"]
    assert (taken, os.stat(path).st_uid) == (results["again"]["dump"], 65534)
    assert {name: table["rows"] for name, table in results["foreseen"]["dump"]["tables"].items()} == {
        name: table["rows"] for name, table in taken["tables"].items()
    }
    seen = results["seen"]
    assert (seen["proven"], seen["differences"], seen["database"]["busy"], seen["database"]["missing_state_tables"]) == (True, [], 0, [])
    assert seen["minions"][2] == {"minion_id": "0123456789abcdef0123456789abcdef", "fqdn": "master-0.example", "role": "0", "highstate": "3"}
    assert [item["fits"] for item in seen["credentials"]] == [True, True, True]
    assert (results["away"]["database"]["answers"], results["away"]["database"]["exists"]) == (False, False)
    assert "ERROR 2002" in results["away"]["database"]["reason"]

    restoring = {**both, **velum.users(), "dump": path, "sha256": taken["sha256"], "restore_id": "restore-1"}
    dashboard = {
        **velum.options(),
        "table": "pillars",
        "state": "updated",
        "key": {"pillar": "dashboard"},
        "values": {"value": "192.0.2.99"},
        "show": ["value"],
    }
    secret = {**velum.options(), "table": "pillars", "state": "updated", "key": {"pillar": "ldap:bind_pw"}, "values": {"value": "hidden"}}
    dependents = [{"table": "pillars", "column": "minion_id", "refers_to": "minion_id"}]
    gone = {**velum.options(), "table": "minions", "state": "absent", "key": {"minion_id": WORKER}, "dependents": dependents}
    new = {**velum.options(), "table": "registries", "key": {"name": "new'; DROP TABLE users; --"}}
    velum.sql("DELETE FROM users;")
    velum.new_passwords()
    misfit = tmp_path / "returner.conf"
    misfit.write_text("mysql.user: salt\nmysql.pass: another\n")
    results, more = play(
        tmp_path,
        {
            "misfit": {"database_restore": {**restoring, "returner_file": str(misfit)}},
            "foreseen": {"database_restore": restoring, "check_mode": True},
            "restored": {"database_restore": restoring},
            "again": {"database_restore": restoring},
            "address_foreseen": {"database_row": dashboard, "check_mode": True},
            "address": {"database_row": dashboard},
            "address_again": {"database_row": dashboard},
            "secret": {"database_row": secret},
            "gone_foreseen": {"database_row": gone, "check_mode": True},
            "gone": {"database_row": gone},
            "gone_again": {"database_row": gone},
            "new": {"database_row": new},
            "unknown": {"database_row": {**dashboard, "key": {"pillar": "unknown"}}},
            "no_table": {"database_row": {**dashboard, "table": "nothing"}},
            "absent_dump": {"database_restore": {**restoring, "dump": "/nonexistent"}},
        },
    )
    yes, no = True, False
    assert changed(results) == {
        "foreseen": yes,
        "restored": yes,
        "again": no,
        "address_foreseen": yes,
        "address": yes,
        "address_again": no,
        "secret": yes,
        "gone_foreseen": yes,
        "gone": yes,
        "gone_again": no,
        "new": yes,
        "misfit": "CredentialsError",
        "unknown": "RowError",
        "no_table": "DatabaseError",
        "absent_dump": "DumpError",
    }
    assert results["restored"]["restore"]["action"] == "replace"
    assert {item["aside"] for item in results["restored"]["restore"]["moved_aside"]} >= {f"{ASIDE}.{name}" for name in STATE}
    assert all(item["fits"] for item in results["restored"]["restore"]["credentials"])
    assert results["restored"]["diff"]["before"]["users"].startswith("0 rows")
    assert results["restored"]["diff"]["after"]["users"].startswith("1 rows")
    assert results["address"]["diff"] == {"before": {"pillar": "dashboard", "value": "192.0.2.1"}, "after": {"pillar": "dashboard", "value": "192.0.2.99"}}
    assert results["secret"]["diff"]["before"] == {"pillar": "ldap:bind_pw", "value": "(not shown)"}
    assert results["gone_foreseen"]["row"] == {"action": "delete", "columns": [], "dependents": {"pillars": 1}}
    assert results["gone"]["diff"] == {"before": {"minion_id": WORKER, "rows of pillars": "1"}, "after": {}}
    assert velum.sql(f"SELECT COUNT(*) FROM pillars WHERE minion_id = '{WORKER}';") == [["0"]]
    assert velum.sql("SELECT value FROM pillars WHERE pillar = 'dashboard';") == [["192.0.2.99"]]
    assert velum.sql("SELECT name FROM registries ORDER BY id DESC LIMIT 1;") == [["new'; DROP TABLE users; --"]]
    assert velum.schemas() == {SCHEMA, ASIDE}
    for word in (velum.secret, velum.root_password, *(velum.file(f"mariadb-{name}-password").read_text().strip() for name in ("velum", "salt"))):
        assert word not in printed + more


def test_a_day_with_the_directory(ldap: Ldap, tmp_path: Path) -> None:
    path = str(tmp_path / "directory.tar")
    scratch = {"scratch_directory": ldap.scratch}
    dumping = {**ldap.options(), **ldap.binding(), **scratch, "path": path}
    asking = {**ldap.options(), **ldap.binding(), **scratch, "url": ldap.url}
    restoring = {**ldap.options(), **scratch, "dump": path, "data_dir": str(ldap.data), "owner": "nobody", "restore_id": "r1"}
    results, printed = play(
        tmp_path,
        {
            "foreseen": {"directory_dump": dumping, "check_mode": True},
            "taken": {"directory_dump": dumping},
            "again": {"directory_dump": dumping},
            "seen": {"directory_info": {**asking, "dump": path, "prove": True}},
            "nothing": {"directory_restore": {**restoring, "state": "staged"}},
            "no_suffix": {"directory_info": {**asking, "suffix": "dc=other"}},
        },
    )
    assert changed(results) == {"foreseen": True, "taken": True, "again": False, "seen": False, "nothing": False, "no_suffix": "DumpError"}
    assert results["foreseen"]["dump"]["tree"] == results["taken"]["dump"]["tree"]
    seen = results["seen"]
    assert (seen["proven"], seen["equal"]) == (True, True)
    assert {name: seen["directory"][name] for name in ("entries", "served_entries", "bind_ok", "bind_reason")} == {
        "entries": 5,
        "served_entries": 5,
        "bind_ok": True,
        "bind_reason": "",
    }
    assert results["nothing"]["restore"]["replace"] == []

    before = ldap.tree()
    ldap.add_user("younger")
    restoring["sha256"] = results["taken"]["dump"]["sha256"]
    results, more = play(
        tmp_path,
        {
            "changed": {"directory_info": {**asking, "dump": path}},
            "foreseen": {"directory_restore": {**restoring, "state": "staged"}, "check_mode": True},
            "staged": {"directory_restore": {**restoring, "state": "staged"}},
            "staged_again": {"directory_restore": {**restoring, "state": "staged"}},
            "running": {"directory_restore": {**restoring, "state": "applied"}},
        },
    )
    assert changed(results) == {"changed": False, "foreseen": True, "staged": True, "staged_again": False, "running": "RestoreError"}
    assert (results["changed"]["equal"], results["changed"]["directory"]["entries"]) == (False, 6)
    assert results["foreseen"]["restore"]["replace"] == []
    replace = results["staged"]["restore"]["replace"]
    assert [Path(item["target"]).name for item in replace] == ["cn=config", "cn=config.ldif", "data.mdb", "lock.mdb"]
    assert replace == results["staged_again"]["restore"]["replace"]
    ldap.stop()
    results, even_more = play(
        tmp_path,
        {
            "applied_foreseen": {"directory_restore": restoring, "check_mode": True},
            "applied": {"directory_restore": restoring},
            "applied_again": {"directory_restore": restoring},
        },
    )
    assert changed(results) == {"applied_foreseen": True, "applied": True, "applied_again": False}
    assert results["applied"]["diff"] == {"before": {"config_entries": 10, "entries": 6}, "after": {"config_entries": 10, "entries": 5}}
    assert ldap.tree() == before
    assert ldap.password not in printed + more + even_more
