# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real playbooks of the collection: what is wrong with their variables, or with Ansible's settings, is refused before anything is looked at."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.integration import playbooks
from tests.integration.evidence.playground import Playground

NAMES = {"recover_node": "node_to_recover", "backup_node": "node_to_back_up", "remove_node": "node_leaving"}


@pytest.fixture
def playground(tmp_path: Path) -> Playground:
    """Two members of etcd; a location that is not there ends each run that got through its beginning."""
    made = Playground(tmp_path)
    text = made.inventory.read_text() + f"lifeboat_location={{'type': 'directory', 'path': '{tmp_path}/nowhere'}}\n"
    made.inventory.write_text("[etcd]\ncp1\ncp2\n" + text)
    return made


def call(playground: Playground, name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A playbook of the collection, by its full name."""
    command = [playbooks.PROGRAM, "--inventory", str(playground.inventory), f"lifeboat.cluster.{name}", *arguments]
    return playbooks.run(command, playground.directory, playground.variables(**variables))


def refused(playground: Playground, done: subprocess.CompletedProcess[str], *texts: str) -> None:
    """It says so, and nothing was begun, so nothing was looked at either."""
    assert done.returncode == 2, done.stdout
    assert not [text for text in texts if text not in done.stdout], done.stdout
    assert "What every machine is now" not in done.stdout
    assert not playground.run_directories()


@pytest.mark.parametrize("given", ["{name}=", "{name}='  '", ""])
@pytest.mark.parametrize("name", NAMES)
def test_an_empty_or_missing_name_is_refused(playground: Playground, name: str, given: str) -> None:
    """AWX sends empty text for a question that nobody answered; it must not become the whole cluster, whatever was confirmed."""
    variable = NAMES[name]
    arguments = ["-e", "confirm_cluster_name=prod-1", *(["-e", given.format(name=variable)] if given else [])]
    done = call(playground, name, *arguments)
    refused(playground, done, f"{name} is about something that has to be named, and {variable} is empty or not set", f"-e {variable}=<name>")


@pytest.mark.parametrize("given", ["workers", "all", "cp1,cp2", "cp*"])
@pytest.mark.parametrize("name", ["recover_node", "backup_node"])
def test_one_machine_is_no_group_and_no_pattern(playground: Playground, name: str, given: str) -> None:
    done = call(playground, name, "-e", f"{NAMES[name]}={given}")
    refused(playground, done, f"{name} is about one machine, and {NAMES[name]} names more", f"-e lifeboat_scope={given}")


def test_two_scopes_are_refused(playground: Playground) -> None:
    done = call(playground, "recover_node", "-e", "node_to_recover=w1", "-e", "lifeboat_scope=cp1")
    refused(playground, done, "recover_node is about w1, and lifeboat_scope says something else")


@pytest.mark.parametrize(
    ("name", "arguments", "scope"),
    [
        ("recover_cluster", [], "everything"),
        ("recover_cluster", ["-e", "lifeboat_scope="], "everything"),
        ("recover_cluster", ["-e", "lifeboat_scope=everything"], "everything"),
        ("recover_cluster", ["-e", "lifeboat_scope=workers"], "workers"),
        ("recover_admin", ["-e", "lifeboat_scope="], "admin"),
        ("recover_node", ["-e", "node_to_recover=w1", "-e", "lifeboat_scope="], "w1"),
        ("restore_etcd", [], "everything"),
    ],
)
def test_what_a_run_is_about_is_settled_once(playground: Playground, name: str, arguments: list[str], scope: str) -> None:
    """An empty lifeboat_scope means everything where the whole cluster is meant, and never takes the place of a name."""
    done = call(playground, name, "-e", "confirm_cluster_name=prod-1", *arguments)
    assert "recovery point" in done.stdout, done.stdout
    assert playground.records("run_begin")[0]["scope"] == scope


@pytest.mark.parametrize(
    ("setting", "name", "arguments", "texts"),
    [
        ({}, "list_recovery_points", ["--tags", "restore"], ["Tags would leave out all steps of list_recovery_points", "Job Tags"]),
        ({"ANSIBLE_RUN_TAGS": "restore"}, "recover_cluster", [], ["Tags would leave out all steps of recover_cluster"]),
        ({"ANSIBLE_SKIP_TAGS": "untagged"}, "recover_cluster", [], ["Tags would leave out all steps", "skipped tags untagged"]),
        ({"ANSIBLE_TASK_TIMEOUT": "600"}, "recover_cluster", [], ["in the middle of a change", "ANSIBLE_TASK_TIMEOUT=0"]),
        ({"ANSIBLE_TASK_TIMEOUT": "600"}, "remove_node", ["-e", "node_leaving=w1"], ["stop remove_node in the middle"]),
    ],
)
def test_settings_that_would_break_a_run_are_refused(
    playground: Playground, setting: dict[str, str], name: str, arguments: list[str], texts: list[str]
) -> None:
    done = call(playground, name, "-e", "confirm_cluster_name=prod-1", *arguments, **setting)
    refused(playground, done, *texts)


HARMLESS = {
    "ANSIBLE_FORKS": "1",
    "ANSIBLE_HOST_PATTERN_MISMATCH": "error",
    "ANSIBLE_SKIP_TAGS": "debug",
    "ANSIBLE_INJECT_FACT_VARS": "false",
    "ANSIBLE_STRATEGY": "free",
    "ANSIBLE_ANY_ERRORS_FATAL": "true",
    "ANSIBLE_GATHERING": "explicit",
    "ANSIBLE_PRIVATE_ROLE_VARS": "true",
    "ANSIBLE_HASH_BEHAVIOUR": "merge",
}


def test_other_settings_are_harmless(playground: Playground) -> None:
    """With all of them a run begins, and ends where it would without them."""
    plain = call(playground, "list_recovery_points")
    done = call(playground, "list_recovery_points", **HARMLESS)
    assert done.returncode == plain.returncode
    assert [play["kind"] for play in playground.records()][0] == "run_begin"
    assert [line for line in done.stdout.splitlines() if line.startswith("TASK")] == [line for line in plain.stdout.splitlines() if line.startswith("TASK")]


def test_groups_that_stayed_empty_end_no_run(playground: Playground, repository: Path) -> None:
    """host_pattern_mismatch=error: plays on groups of the plan that nobody is in, or that the inventory lacks, are passed over, in every playbook."""
    found = [play["hosts"] for path in sorted((repository / "playbooks").glob("*.yml")) for play in yaml.safe_load(path.read_text()) if "hosts" in play]
    patterns = [pattern for pattern in dict.fromkeys(found) if pattern != "localhost"]
    assert len(patterns) > 15
    sort = {"hosts": "cp1", "gather_facts": False, "tasks": [{"ansible.builtin.group_by": {"key": key}} for key in ("lifeboat_changes", "lifeboat_speaker")]}
    shows = [{"ansible.builtin.debug": {"msg": "%d is {{ inventory_hostname }}" % number}} for number in range(len(patterns))]
    plays = [{"hosts": pattern, "gather_facts": False, "tasks": [shows[number]]} for number, pattern in enumerate(patterns)]
    # The first play of every playbook comes before any group of the plan is there.
    text = json.dumps([*plays, sort, *plays])
    done = playground.play(text, ANSIBLE_HOST_PATTERN_MISMATCH="error")
    assert done.returncode == 0, done.stdout
    assert "Could not match supplied host pattern" not in done.stdout
    for number, pattern in enumerate(patterns):
        hosts = {line.split(" is ")[1].strip('"') for line in done.stdout.splitlines() if f'"{number} is ' in line}
        of_plan = {"cp1"} if "&" not in pattern and ("changes" in pattern or "speaker" in pattern) else set()
        assert hosts == ({"cp1", "cp2", "w1"} if "control_plane'," in pattern else of_plan), pattern
