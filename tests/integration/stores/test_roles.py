# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles velum_database and directory from a backup to a restore, through a sealed recovery point, with real servers."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from tests.integration.recovery_point.playing import Stage, Task
from tests.integration.stores.ldap import ADMIN, SUFFIX, Ldap
from tests.integration.stores.velum import Velum
from tests.unit.plugins.module_utils._recovery_point.making import make_keys, make_tar


def role(name: str, verb: str) -> Task:
    """One verb of one role."""
    return {"ansible.builtin.include_role": {"name": f"lifeboat.cluster.{name}", "tasks_from": verb}}


def staged(name: str, state: str) -> Task:
    """One end of a stage."""
    return {"lifeboat.cluster.stage": {"name": name, "state": state}}


def checks(stage: Stage) -> dict[str, dict[str, Any]]:
    """The checks of the newest run by id."""
    run = max(stage.runs.iterdir(), key=lambda path: (path / "salt").stat().st_mtime_ns)
    return {record["id"]: record for record in Journal(str(run)).read() if record["kind"] == "check"}


@pytest.fixture
def stage(tmp_path: Path, velum: Velum, ldap: Ldap) -> Iterator[Stage]:
    """A machine with both servers, and a location."""
    (tmp_path / "keys").mkdir()
    keys = make_keys(tmp_path / "keys")
    # The temporary directories of pytest are closed to other users.
    with tempfile.TemporaryDirectory(prefix="lifeboat-test-", dir="/var/tmp") as other:
        stage = Stage(tmp_path, Path(other), keys)
        (tmp_path / "group_vars").mkdir()
        facts = {
            "velum_database": {
                **{name: velum.options()[name] for name in ("container", "schema", "socket", "root_user", "root_password_file")},
                **velum.rules(),
                **velum.users(),
                "programs": [str(velum.programs)],
                "scratch_dir": velum.scratch,
                "minions_query": "SELECT minion_id, fqdn, role, highstate FROM minions",
            },
            "directory": {
                "container": "",
                "config_dir": str(ldap.config),
                "data_dir": str(ldap.data),
                "suffix": SUFFIX,
                "bind_dn": ADMIN,
                "password_file": str(ldap.password_file),
                "url": ldap.url,
                "owner": "root",
                "programs": [str(ldap.programs)],
                "scratch_dir": ldap.scratch,
            },
        }
        variables = {
            "lifeboat_location": {"type": "directory", "path": str(stage.root)},
            "lifeboat_recipients": [keys.recipient],
            "lifeboat_identity_files": [str(keys.identity_file)],
            "lifeboat_signing_key": str(keys.signing_key),
            "lifeboat_allowed_signers": str(keys.allowed_signers),
            "platform_data": facts,
        }
        (tmp_path / "group_vars" / "all.yml").write_text(yaml.safe_dump(variables))
        yield stage


def backup(stage: Stage) -> list[tuple[str, list[Task]]]:
    """The plays of a backup, as far as they matter here; what no point is without is made up."""
    made_up: list[Task] = []
    for component in ("etcd", "pki"):
        source = stage.put("cp1", f"{component}.tar", make_tar({"notes": b"x"}))
        made_up += [stage.fetching(source, component, point="{{ hostvars.localhost.recovery_point_opened.id }}"), stage.noting()]
    taking = [role(name, verb) for name in ("velum_database", "directory") for verb in ("preflight", "backup")]
    sealing = stage.sealing(id="{{ recovery_point_opened.id }}", artifacts="{{ hostvars.cp1.recovery_point_artifacts + hostvars.cp1.artifacts }}")
    return [
        ("localhost", [role("recovery_point", "open")]),
        ("cp1", [staged("backup", "started"), *taking, *made_up, role("recovery_point", "sweep"), staged("backup", "ended")]),
        ("localhost", [sealing, stage.telling("sealed", "sealed")]),
    ]


def plain_dumps() -> set[Path]:
    """Dumps of databases that lie in plain in the directories of runs."""
    return set(Path("/var/tmp").glob("lifeboat-*/database.sql"))


def test_from_backup_to_restore(stage: Stage, velum: Velum, ldap: Ldap) -> None:
    left_by_others = plain_dumps()
    done = stage.play(*backup(stage))
    assert done.returncode == 0, done.stdout
    rows, tree = velum.lines(), ldap.tree()
    facts = {artifact["component"]: artifact["contents"].get("facts") for artifact in stage.told("sealed")["manifest"]["artifacts"]}
    assert facts["velum_database"]["rows"]["pillars"] == 9
    assert facts["velum_database"]["schema_version"] == "20182106194300"
    assert facts["directory"]["entries"] == 5
    assert "digest" not in str(facts)
    seen = checks(stage)
    assert {name for name, check in seen.items() if not check["passed"]} == set()
    assert {"velum_database.dumped", "velum_database.credentials", "directory.admits", "directory.dumped"} <= set(seen)
    assert plain_dumps() - left_by_others == set()

    velum.sql("DELETE FROM users; DELETE FROM pillars;")
    velum.new_passwords()
    ldap.modify("dn: uid=root@example.org,ou=People,{suffix}\nchangetype: delete\n")
    live, live_tree = velum.lines(), ldap.tree()
    planning = [staged("restore", "started"), role("velum_database", "restore"), stage.telling("plan", "velum_database_restored"), role("directory", "prepare")]
    planning += [role("recovery_point", "sweep"), staged("restore", "ended")]
    done = stage.play(("localhost", [role("recovery_point", "verify")]), ("cp1", planning), arguments=("--check",))
    assert done.returncode == 0, done.stdout
    assert stage.told("plan")["restore"]["differences"] == ["table pillars has 0 rows instead of 9", "table users has 0 rows instead of 1"]
    assert (velum.lines(), ldap.tree()) == (live, live_tree)
    assert sorted(os.listdir(ldap.data)) == ["data.mdb", "lock.mdb"]

    assert ldap.process is not None
    # It is a child of this process: somebody has to look after it when the play ends it.
    threading.Thread(target=ldap.process.wait, daemon=True).start()
    pid = ldap.process.pid
    stop = {"ansible.builtin.shell": {"cmd": f"kill {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.05; done"}, "changed_when": True}
    start = {
        "ansible.builtin.shell": {"cmd": f"nohup {ldap.programs}/slapd -d 0 -F {ldap.config} -h {ldap.url} >/dev/null 2>&1 </dev/null &"},
        "changed_when": True,
    }
    ready = {"ansible.builtin.wait_for": {"path": str(ldap.directory / "socket")}}
    restoring = [
        staged("restore", "started"),
        role("velum_database", "restore"),
        role("directory", "prepare"),
        stage.telling("prepared", "ansible_facts.lifeboat_prepared.directory"),
        stop,
        role("directory", "restore"),
        start,
        ready,
        role("directory", "verify"),
        stage.telling("minions", "velum_database_minions"),
        role("recovery_point", "sweep"),
        staged("restore", "ended"),
    ]
    try:
        done = stage.play(("localhost", [role("recovery_point", "verify")]), ("cp1", restoring))
        assert done.returncode == 0, done.stdout
        assert velum.lines() == rows
        assert ldap.tree() == tree
    finally:
        ldap.end()
    assert len(stage.told("minions")) == 4
    assert [Path(item["target"]).name for item in stage.told("prepared")["replace"]] == ["cn=config", "cn=config.ldif", "data.mdb", "lock.mdb"]
    seen = checks(stage)
    assert {name for name, check in seen.items() if not check["passed"]} == set()
    expected = {"dump_whole", "restored", "serves", "credentials_fit", "counts_equal", "rows_equal"}
    assert {f"velum_database.{name}" for name in expected} | {"directory.staged", "directory.serves", "directory.entries_equal"} <= set(seen)
    for word in (velum.secret, velum.root_password, ldap.password, velum.file("mariadb-salt-password").read_text().strip()):
        assert word not in done.stdout


def test_a_backup_during_an_orchestration_is_refused(stage: Stage, velum: Velum) -> None:
    velum.sql("INSERT INTO orchestrations (jid, status) VALUES ('1', 0);")
    done = stage.play(*backup(stage))
    assert done.returncode != 0
    check = checks(stage)["velum_database.idle"]
    assert (check["passed"], check["found"]) == (False, "1 in progress")
