# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role salt_master from backup to restore, against a real Salt master whose files are lost in between."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt import keys as salt_keys
from tests.integration.recovery_point.playing import Stage, Task, role, staged
from tests.integration.salt.servers import LOCAL, NODES, PORTS, World, wait_for
from tests.unit.plugins.module_utils._recovery_point.making import Keys

NODE = NODES[2]
# What is written below these on a cluster's host is written elsewhere here.
PRIVATE = ("/var/lib/lifeboat", "/run/lifeboat")


class Scene(Stage):
    """A location, and the admin node, which is this machine with a network and some directories of its own."""

    def __init__(self, directory: Path, keys: Keys, world: World) -> None:
        other = directory / "unused"
        super().__init__(directory, other, keys)
        self.world = world
        (directory / "group_vars").mkdir()
        minion = world.minions["admin"]
        facts = {
            "salt": {
                "container": "",
                "programs": [str(world.programs)],
                "master_pki": str(world.pki),
                "master_cache": str(world.cache),
                "config": str(world.config),
                "ports": list(PORTS),
                "local_minions": list(LOCAL),
                "minion_config": str(minion.config),
                "minion_pki": str(minion.pki),
                "grains": str(minion.grains),
                "busy_grains": ["bootstrap_in_progress", "update_in_progress"],
                "files": [{"path": str(path), "required": True, "why": "a test"} for path in (world.config, world.cache / "minions", minion.config)],
                "services": [["salt-master"]],
            },
            "services": {"salt-master": {"kind": "unit", "unit": world.master.unit, "process": "salt-master", "ports": list(PORTS)}},
            "node_config": {"never": []},
            "keep_target": [],
        }
        settings = {
            "lifeboat_location": {"type": "directory", "path": str(self.root)},
            "lifeboat_recipients": [keys.recipient],
            "lifeboat_identity_files": [str(keys.identity_file)],
            "lifeboat_signing_key": str(keys.signing_key),
            "lifeboat_allowed_signers": str(keys.allowed_signers),
            "platform_data": facts,
            "salt_master_timeout_seconds": 3,
        }
        (directory / "group_vars" / "all.yml").write_text(yaml.safe_dump(settings))
        hosts = json.loads((directory / "hosts.yml").read_text())
        hosts["all"]["hosts"] = {"admin": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}
        (directory / "hosts.yml").write_text(json.dumps(hosts))

    def command(self, plays: list[tuple[str, list[Task]]], *arguments: str) -> list[str]:
        """In the network of the Salt master, with the stand-in for systemctl, and with private directories for what a restore leaves on a host."""
        mounts = []
        for path in PRIVATE:
            own = self.directory / Path(path).name / Path(path).parent.name
            own.mkdir(parents=True, exist_ok=True)
            mounts.append(f"mkdir -p {path} && mount --bind {own} {path}")
        script = " && ".join([*mounts, f'exec env PATH="{self.world.directory / "bin"}{os.pathsep}$PATH" "$@"'])
        return self.world.inside("unshare", "--mount", "sh", "-c", script, "sh", *super().command(plays, *arguments))

    def backup(self) -> list[tuple[str, list[Task]]]:
        """The plays of a backup."""
        return [
            ("localhost", [role("recovery_point", "open")]),
            ("admin", [staged("preflight", "started"), role("salt_master", "preflight"), staged("preflight", "ended")]),
            ("admin", [staged("backup", "started"), role("salt_master", "backup"), role("recovery_point", "sweep"), staged("backup", "ended")]),
            (
                "localhost",
                [
                    self.sealing(
                        id="{{ recovery_point_opened.id }}", artifacts="{{ hostvars.admin.recovery_point_artifacts }}", required_components=["salt_master"]
                    ),
                    self.telling("sealed", "sealed"),
                ],
            ),
        ]

    def restore(self) -> list[tuple[str, list[Task]]]:
        """The plays of a restore of the Salt master alone."""
        return [
            ("localhost", [role("recovery_point", "verify")]),
            (
                "admin",
                [
                    staged("restore", "started"),
                    role("salt_master", "minion"),
                    role("salt_master", "restore"),
                    role("recovery_point", "sweep"),
                    staged("restore", "ended"),
                ],
            ),
        ]

    def rules(self) -> str:
        """The packet filter, as it says itself."""
        return subprocess.run(self.world.inside("iptables", "-t", "raw", "-S", "PREROUTING"), check=True, capture_output=True, text=True).stdout

    def accepted(self) -> dict[str, str]:
        """Fingerprints of accepted keys."""
        return salt_keys.read_keys(str(self.world.pki)).by_state(salt_keys.ACCEPTED)


@pytest.fixture
def scene(tmp_path: Path, keys: Keys, world: World) -> Scene:
    """A healthy admin node and an empty location."""
    (tmp_path / "unused").mkdir()
    return Scene(tmp_path, keys, world)


def test_a_lost_master_comes_back(scene: Scene) -> None:
    """It is installed anew, its minions knock before its keys are back, and in the end all answer without having been touched."""
    world = scene.world
    expected, master = scene.accepted(), salt_keys.read_master(str(world.pki)).fingerprint
    done = scene.play(*scene.backup())
    assert done.returncode == 0, done.stdout
    checks = scene.checks()
    assert all(check["passed"] for check in checks.values()), checks
    assert all(f"{minion_id} {finger}" in checks["salt_master.accepted"]["found"] for minion_id, finger in expected.items())
    assert [artifact["name"] for artifact in scene.told("sealed")["manifest"]["artifacts"]] == ["salt_master/admin.tar.zst.age"]

    world.master.stop()
    shutil.rmtree(world.pki)
    shutil.rmtree(world.cache / "minions")
    world.master.start()
    world.minions[NODE].stop()
    world.minions[NODE].start()
    wait_for("a minion to knock", lambda: NODE in world.keys("minions_pre"))
    assert salt_keys.read_master(str(world.pki)).fingerprint != master

    done = scene.play(*scene.restore())
    assert done.returncode == 0, done.stdout
    checks = scene.checks()
    assert all(check["passed"] for check in checks.values()), checks
    assert f"{NODE} pending absent" in checks["salt_master.keys_reconciled"]["found"]
    assert salt_keys.read_master(str(world.pki)).fingerprint == master
    assert (scene.accepted(), world.keys("minions_pre")) == (expected, set())
    assert world.answering() == set(world.minions)
    assert set(world.call("salt", "--static", "--timeout=5", "admin", "mine.get", "*", "nodename")["admin"]) == set(world.minions)
    assert "lifeboat" not in scene.rules()
    assert list(scene.directory.rglob("aside/**/master.pem")), "the key of the new master is kept"
    assert not list(scene.directory.rglob("staging/**/master.pem")), "what was unpacked holds keys, and is not left behind"


def test_a_backup_is_refused_while_an_orchestration_goes_on(scene: Scene) -> None:
    scene.world.call("salt", "--static", NODE, "grains.setval", "update_in_progress", "True")
    try:
        done = scene.play(*scene.backup())
    finally:
        scene.world.call("salt", "--static", NODE, "grains.delkey", "update_in_progress", "force=True")
    assert done.returncode != 0
    check = scene.checks()["salt_master.idle"]
    assert (check["passed"], check["found"]) == (False, f"{NODE}: update_in_progress")
    assert not (scene.directory / "sealed.json").exists()


def test_the_key_of_another_master_is_refused_before_anything_changes(scene: Scene) -> None:
    """The recovery point was taken of a master that these minions do not know."""
    world = scene.world
    world.master.stop()
    known = salt_keys.read_master(str(world.pki)).fingerprint
    for name in ("master.pem", "master.pub"):
        (world.pki / name).rename(world.directory / name)
    world.master.start()
    wait_for("the other master's key", lambda: salt_keys.read_master(str(world.pki)).pair)
    done = scene.play(*scene.backup())
    assert done.returncode == 0, done.stdout
    answers = scene.checks()["salt_master.minions_answer"]
    assert (answers["passed"], answers["severity"]) == (False, "warning")
    world.master.stop()
    for name in ("master.pem", "master.pub"):
        (world.directory / name).replace(world.pki / name)
    world.master.start()
    done = scene.play(*scene.restore())
    assert done.returncode != 0
    check = scene.checks()["salt_master.known_to_minions"]
    assert (check["passed"], check["found"]) == (False, "admin")
    assert salt_keys.read_master(str(world.pki)).fingerprint == known
    assert world.master.runs
    assert "lifeboat" not in scene.rules()


def test_another_machines_key_stops_a_reconciliation(scene: Scene) -> None:
    """By name, and nothing is accepted."""
    world = scene.world
    expected = scene.accepted()
    shutil.copy(world.pki / "minions" / NODES[0], world.pki / "minions_pre" / NODE)
    (world.pki / "minions" / NODE).unlink()
    tasks = [staged("restore", "started"), role("salt_master", "reconcile", salt_master_keys=expected)]
    done = scene.play(("admin", tasks))
    assert done.returncode != 0
    check = scene.checks()["salt_master.keys_reconciled"]
    assert check["passed"] is False
    assert check["found"] == f"{NODE}: pending with another fingerprint than in the recovery point; {NODE}: not accepted"
    assert world.keys("minions_pre") == {NODE}
    assert NODE not in world.keys("minions")
