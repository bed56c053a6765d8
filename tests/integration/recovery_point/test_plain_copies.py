# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that fails leaves nothing in plain: not on the machine that failed, not on its neighbours, not on the controller."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.recovery_point.playing import Stage, Task, role
from tests.unit.plugins.module_utils._recovery_point.making import make_tar

PLAIN = Path("/var/tmp")
UNPACKED = Path("/var/lib/lifeboat/staging")
SECRET = secrets.token_urlsafe(24).encode()


def settings(stage: Stage) -> None:
    """What an inventory says."""
    keys = stage.keys
    (stage.directory / "group_vars").mkdir()
    (stage.directory / "group_vars" / "all.yml").write_text(
        yaml.safe_dump(
            {
                "lifeboat_location": {"type": "directory", "path": str(stage.root)},
                "lifeboat_recipients": [keys.recipient],
                "lifeboat_identity_files": [str(keys.identity_file)],
                "lifeboat_signing_key": str(keys.signing_key),
                "lifeboat_allowed_signers": str(keys.allowed_signers),
            }
        )
    )


def run_directory(stage: Stage) -> Path:
    """The directory of the run."""
    return max(stage.runs.iterdir(), key=lambda path: (path / "salt").stat().st_mtime_ns)


def left(stage: Stage) -> list[str]:
    """Private directories of the run, plain copies in its own directory, and every file there that holds the secret."""
    run = run_directory(stage)
    found = [str(path) for path in PLAIN.glob(f"lifeboat-{run.name}-*")] + [str(path) for path in run.rglob("*.plain")]
    for path in (run, *PLAIN.glob(f"lifeboat-{run.name}-*")):
        found += subprocess.run(["grep", "-rlF", "-e", SECRET.decode(), str(path)], capture_output=True, text=True, check=False).stdout.splitlines()
    return found


def shipped(playbook: str, name: str) -> dict[str, Any]:
    """One play, as the collection has it."""
    path = Path(__file__).parents[3] / "playbooks" / f"{playbook}.yml"
    return next(play for play in yaml.safe_load(path.read_text()) if play["name"] == name)


def test_a_backup_whose_second_component_fails_leaves_nothing_in_plain(stage: Stage) -> None:
    """The keys of both machines were captured by then, and the configuration of both; on one of them a file of it is missing."""
    settings(stage)
    for host in ("cp1", "other"):
        stage.put(host, "ca.key", b"key " + SECRET)
        stage.put(host, "kubelet.conf", b"token " + SECRET)
    stage.put("cp1", "required", b"there")
    files: dict[str, dict[str, Any]] = {
        component: {"files": [{"path": "{{ home }}/%s" % name, "required": True, "why": "test"} for name in wanted]}
        for component, wanted in (("pki", ["ca.key"]), ("node_config", ["kubelet.conf", "required"]))
    }
    files["node_config"]["left_out"] = []
    data = {**files, "services": {}, "etcd": {"data_dir": str(stage.directory / "none")}, "saved_otherwise": []}
    facts = {"platform_data": data, "platform_components": ["pki", "node_config"], "platform_backed_up_components": ["pki", "node_config"]}
    hosts = json.loads((stage.directory / "hosts.yml").read_text())
    for host, home in stage.hosts.items():
        hosts["all"]["hosts"][host]["home"] = str(home)
    (stage.directory / "hosts.yml").write_text(json.dumps(hosts))
    play = shipped("backup_cluster", "Back up every component")
    done = stage.play(
        ("localhost", [role("recovery_point", "open")]),
        ("cp1,other", [{"ansible.builtin.group_by": {"key": "lifeboat_wanted"}}, {"ansible.builtin.set_fact": facts}]),
        (play["hosts"], play["tasks"]),
    )
    assert done.returncode != 0, done.stdout
    assert "Required files are missing" in done.stdout, done.stdout
    checks = stage.checks()
    assert checks["pki.captured"]["passed"] is True
    # Both artifacts of the first component lie in the location, sealed; so its plain archives were there.
    assert sorted(path.name for path in stage.root.rglob("pki/*")) == ["cp1.tar.zst.age", "other.tar.zst.age"]
    assert left(stage) == []


# -- a recovery ---------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def point(stage: Stage) -> Iterator[str]:
    """A recovery point with a secret; and a group of machines, one of which never answers."""
    settings(stage)
    hosts = json.loads((stage.directory / "hosts.yml").read_text())
    hosts["all"]["hosts"]["gone"] = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}
    hosts["all"]["children"] = {"lifeboat_prepare": {"hosts": {"cp1": {}, "other": {}, "gone": {}}}}
    (stage.directory / "hosts.yml").write_text(json.dumps(hosts))
    opening = stage.open()
    artifacts = [stage.add(opening.id, "etcd", "cp1", make_tar({"notes": b"none"}))]
    artifacts += [stage.add(opening.id, "pki", host, make_tar({"ca.key": SECRET})) for host in ("cp1", "other")]
    identifier = stage.seal(opening.id, artifacts).id
    yield identifier
    shutil.rmtree(UNPACKED / identifier, ignore_errors=True)


def preparing(identifier: str) -> list[tuple[str, list[Task]]]:
    """Bring keys onto two machines, unpack those of one as the components do, and leave what a survivor said on the controller."""
    pushing = role("recovery_point", "push", recovery_point_artifact="pki/{{ inventory_hostname }}.tar.zst.age")
    pushed: Task = {"ansible.builtin.command": f"grep -lF -e {SECRET.decode()} {{{{ recovery_point_pushed.path }}}}"}
    directory = f"{UNPACKED}/{identifier}/pki"
    unpacking: list[Task] = [
        {"ansible.builtin.file": {"path": directory, "state": "directory", "mode": "0700"}},
        {"ansible.builtin.copy": {"dest": f"{directory}/ca.key", "content": SECRET.decode(), "mode": "0600"}},
    ]
    survivor: Task = {"ansible.builtin.copy": {"dest": "{{ run.run.directory }}/survivor.plain", "content": SECRET.decode(), "mode": "0600"}}
    return [
        ("localhost", [role("recovery_point", "verify"), survivor]),
        ("cp1,other", [pushing, pushed]),
        ("cp1", unpacking),
    ]


def failing(*where: str) -> Task:
    """A block that fails on some machines, and cleans up as the playbooks do."""
    return {
        "block": [
            {"ansible.builtin.ping": {}, "when": f"'gone' in {list(where)}"},
            {"ansible.builtin.fail": {"msg": "it broke"}, "when": f"inventory_hostname in {list(where)}"},
        ],
        "rescue": [role("recovery_point", "abandon"), {"ansible.builtin.fail": {"msg": "The stage failed."}}],
    }


@pytest.mark.parametrize(("hosts", "broken"), [("cp1,other", ["other"]), ("gone,other", ["other"]), ("gone,other", ["gone"])])
def test_a_recovery_that_fails_leaves_nothing_in_plain(stage: Stage, point: str, hosts: str, broken: list[str]) -> None:
    """Also on a machine that the failing play is not about; and one that does not answer hinders nothing, be it only then or be it the failure itself."""
    done = stage.play(*preparing(point), (hosts, [failing(*broken)]))
    assert done.returncode != 0, done.stdout
    assert "The stage failed." in done.stdout, done.stdout
    assert left(stage) == []
    assert not (UNPACKED / point).exists()


def test_a_plan_that_fails_leaves_nothing_of_its_own_and_takes_nothing_of_others(stage: Stage, point: str) -> None:
    """In check mode, what an earlier run unpacked stays; this one unpacked nothing."""
    foreign = UNPACKED / point / "pki"
    foreign.mkdir(parents=True)
    done = stage.play(*preparing(point)[:2], ("cp1,other", [failing("cp1")]), arguments=("--check",))
    assert done.returncode != 0, done.stdout
    assert not list(PLAIN.glob(f"lifeboat-{run_directory(stage).name}-*"))
    assert foreign.exists()


def test_a_controller_that_knows_no_earlier_run_removes_what_a_dead_recovery_left(stage: Stage) -> None:
    """The host's lock is free, or another run's: whoever had it when it made its directory is over. A plan never had it, and may be going on."""
    settings(stage)
    directories = {
        name: PLAIN / f"lifeboat-20261120T1100{number}Z-recover_cluster-{stage.directory.stat().st_ino % 65536:04x}-{name}"
        for number, name in (("01", "killed000"), ("02", "planning0"))
    }
    try:
        for name, path in directories.items():
            path.mkdir(mode=0o700)
            (path / "pki.tar").write_bytes(SECRET)
            if name == "killed000":
                (path / "HOLDS-LOCK").touch()
        looking: list[Task] = [
            {"ansible.builtin.command": "date +%s.%N", "register": "clock"},
            {"ansible.builtin.set_fact": {"platform_node": {"lock": None, "now_epoch": "{{ clock.stdout | float }}"}}},
        ]
        done = stage.play(("cp1", [*looking, role("recovery_point", "sweep")]))
        assert done.returncode == 0, done.stdout
        assert {name: path.exists() for name, path in directories.items()} == {"killed000": False, "planning0": True}
        assert str(directories["killed000"]) in done.stdout.replace("\n", "")
    finally:
        for path in directories.values():
            shutil.rmtree(path, ignore_errors=True)
