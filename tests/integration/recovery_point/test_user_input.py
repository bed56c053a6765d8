# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands as README has them and as people and surveys mistype them: what is looked for where, what is said, and how it ends."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration import playbooks
from tests.integration.recovery_point.playing import Stage


def call(stage: Stage, playbook: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook in the directory of the inventory. PWD is that of another directory, as of a program that starts Ansible in a directory of its choice."""
    command = [playbooks.PROGRAM, "--inventory", "hosts.yml", f"lifeboat.cluster.{playbook}", *arguments]
    return playbooks.run(command, stage.directory, stage.environment(PWD="/", **variables))


def say(**variables: object) -> tuple[str, str]:
    """Extra variables that keep their types."""
    return "-e", json.dumps(variables)


@pytest.fixture
def given(stage: Stage) -> tuple[str, ...]:
    """What an inventory says, with the keys in the user's directory, named as README names them."""
    for path in (stage.keys.identity_file, stage.keys.signing_key, stage.keys.allowed_signers):
        shutil.copy2(path, stage.directory / path.name)
    names = {"lifeboat_signing_key": "signing_key", "lifeboat_allowed_signers": "./allowed_signers"}
    return say(lifeboat_location={"type": "directory", "path": str(stage.root)}, rpo_target_seconds=86400, **names)


def test_relative_paths_are_those_of_the_user(stage: Stage, given: tuple[str, ...]) -> None:
    """README to the letter, where age-keygen has written the key; and every other file that is named."""
    stage.point()
    done = call(stage, "verify_recovery_point", *given, "-e", '{"lifeboat_identity_files": ["age.key"]}')
    assert done.returncode == 0, done.stdout
    assert stage.checks()["recovery_point.verified"]["passed"] is True
    done = call(stage, "prove_recipients", *given, "-e", "lifeboat_identity_files=age.key")
    assert done.returncode == 0, done.stdout
    assert f"proven with {stage.directory}/age.key" in done.stdout

    (stage.directory / "schedules").mkdir()
    files = {"lifeboat_metrics_file": "lifeboat.prom", "lifeboat_schedule_directory": "schedules", "report_copy_to": "reports"}
    recipients = f"{stage.keys.recipient}, age1u0z3wqcw6ckgs0ge3v6d9w5fhx9hk2m3pj7mf0dqdzgr2g4mpqfsqt5e9z"
    done = call(stage, "report_readiness", *given, *say(lifeboat_recipients=recipients, **files))
    assert done.returncode == 0, done.stdout
    assert stage.checks()["readiness.signing"]["passed"] is True
    # Recipients as text, as a survey gives them, are counted and not their characters.
    assert stage.checks()["readiness.recipients_several"]["found"] == "2 in the inventory, 1 in the newest point"
    assert (stage.directory / "lifeboat.prom").exists()
    units = {path.name: path.read_text() for path in (stage.directory / "schedules").iterdir()}
    assert len(units) == 7
    assert {f"WorkingDirectory={stage.directory}" in text for name, text in units.items() if name.endswith(".service")} == {True}
    assert (stage.directory / "reports" / "report.html").exists()


def test_a_location_as_text_is_looked_at(stage: Stage, given: tuple[str, ...]) -> None:
    """AWX gives JSON as text; the search for what lies inside the cluster reads it too."""
    stage.point()
    location = json.dumps({"type": "directory", "path": str(stage.root)})
    call(stage, "report_readiness", *given, *say(lifeboat_location=location, lifeboat_services='{"mail": "192.0.2.9"}'))
    assert "of location, mail" in stage.checks()["readiness.no_circle"]["found"]


@pytest.mark.parametrize("playbook", ["list_recovery_points", "report_readiness", "verify_recovery_point", "verify_recovery_points", "prove_recipients"])
def test_signers_that_are_not_there_are_no_fault_of_a_point(stage: Stage, given: tuple[str, ...], playbook: str) -> None:
    """A mistyped name is refused by its name, and no good recovery point is called broken."""
    stage.point()
    done = call(stage, playbook, *given, *say(lifeboat_allowed_signers="signers", lifeboat_identity_files=["age.key"]))
    assert done.returncode == 2, done.stdout
    assert "The allowed signers file is not there" in done.stdout
    assert f"{stage.directory}/signers" in done.stdout
    assert "correct lifeboat_allowed_signers" in done.stdout
    assert not re.search(r"is broken|  broken|that can be used|changed them", done.stdout), done.stdout


def test_a_signing_key_that_is_not_there(stage: Stage, given: tuple[str, ...]) -> None:
    """The advice is about that key, and not about the signers."""
    stage.point()
    done = call(stage, "report_readiness", *given, *say(lifeboat_signing_key="no_key"))
    assert done.returncode == 2, done.stdout
    check = stage.checks()["readiness.signing"]
    assert check["passed"] is False
    assert check["remedy"].startswith("Correct lifeboat_signing_key")
    assert f"{stage.directory}/no_key" in check["found"]


LOCAL = ("list_recovery_points", "report_readiness", "verify_recovery_point", "verify_recovery_points", "prove_recipients", "backup_cluster", "recover_node")


@pytest.mark.parametrize("playbook", LOCAL)
def test_a_limit_without_the_controller_is_no_success(stage: Stage, given: tuple[str, ...], playbook: str) -> None:
    """Ansible skips all plays on localhost without a word. Nothing was done, and that is said."""
    done = call(stage, playbook, *given, "--limit", "cp1")
    assert done.returncode == 2, done.stdout
    assert "Nothing was done: --limit leaves out localhost" in done.stdout
    assert "--limit 'cp1,localhost'" in done.stdout
    assert not stage.runs.exists()


def test_a_limit_with_the_controller(stage: Stage, given: tuple[str, ...]) -> None:
    """It goes on; and a fact of that run, which a cache keeps, is no proof of the next one."""
    stage.point()
    cache = {"ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(stage.directory / "facts")}
    done = call(stage, "list_recovery_points", *given, "--limit", "cp1,localhost", **cache)
    assert done.returncode == 0, done.stdout
    done = call(stage, "list_recovery_points", *given, "--limit", "cp1", **cache)
    assert done.returncode == 2, done.stdout


def test_nothing_there_names_the_next_step(stage: Stage, given: tuple[str, ...]) -> None:
    """An empty location: whoever lists, verifies or proves is told to back up; a job that has nothing to prove warns."""
    done = call(stage, "list_recovery_points", *given)
    assert done.returncode == 0, done.stdout
    assert "lifeboat.cluster.backup_cluster" in done.stdout
    assert stage.checks()["recovery_point.list_any"]["passed"] is False
    done = call(stage, "verify_recovery_points", *given)
    assert done.returncode == 0, done.stdout
    assert "WARNING localhost: There is a sealed recovery point to verify" in done.stdout
    assert "lifeboat.cluster.backup_cluster" in stage.checks()["recovery_point.due_any"]["remedy"]
    for playbook in ("verify_recovery_point", "prove_recipients"):
        done = call(stage, playbook, *given, *say(lifeboat_identity_files=["age.key"]))
        assert done.returncode == 2, done.stdout
        assert re.search(r"no points at all(.|\n)*ake one with lifeboat.cluster.backup_cluster", done.stdout), done.stdout
    # What failed here left nothing half done.
    assert "earlier runs" not in call(stage, "list_recovery_points", *given).stdout


def test_a_location_that_is_not_there_has_one_advice(stage: Stage, given: tuple[str, ...]) -> None:
    """Whoever prepares it and whoever reads it say the same."""
    where = say(lifeboat_location={"path": str(stage.directory / "none")})
    said = [call(stage, playbook, *given, *where).stdout for playbook in ("prepare_location", "list_recovery_points")]
    advice = [re.search(r"^What to do: (mount it; or make it once.*)$", text, flags=re.MULTILINE) for text in said]
    assert advice[0], said[0]
    assert advice[1], said[1]
    assert advice[0].group(1) == advice[1].group(1)
    assert "lifeboat.cluster.prepare_location with -e lifeboat_location_create=true" in advice[0].group(1)


def test_a_mistyped_number_shows_nothing_else(stage: Stage, given: tuple[str, ...]) -> None:
    """Ansible prints the whole specification of what it refuses: there is nothing of the inventory in it."""
    location = {"type": "directory", "path": str(stage.root), "secret_key": "s3cr3t-of-the-bucket"}
    done = call(stage, "list_recovery_points", *given, *say(lifeboat_location=location), "-e", "lifeboat_list_limit=abc")
    assert done.returncode == 2, done.stdout
    assert "recovery_point_list_limit" in done.stdout
    assert "s3cr3t-of-the-bucket" not in done.stdout
    assert str(Path(stage.root)) not in done.stdout
