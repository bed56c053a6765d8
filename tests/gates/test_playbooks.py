# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that can be trusted with a cluster, inventories that parse, documents that name what exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.gates.support import ROOT, files_under, need, read_yaml, refuse, run_tool, shown, tasks_in

PLAY_CONTROLS = {"any_errors_fatal": (True,), "strategy": ("linear", "ansible.builtin.linear"), "gather_facts": (False,)}
IMPORT = "ansible.builtin.import_playbook"
FAILING = ("ansible.builtin.fail",)
# An entry point of a role that ends in a failure itself.
FAILING_ENTRY = ("lifeboat.cluster.report", "fail_stage")
# What a failure that is silently passed over, or a question that nobody answers, looks like.
FORBIDDEN_KEYWORDS = {
    "ignore_errors": "use failed_when, or a rescue that decides and fails",
    "max_fail_percentage": "it ignores unreachable hosts",
    "vars_prompt": "nobody answers in a job",
    "ansible.builtin.pause": "nobody answers in a job; wait for a state inside a module",
    "run_once": "write a play of one host",
}


def playbooks() -> list[Path]:
    """The playbooks that users call."""
    found = [path for path in files_under("playbooks", suffixes=(".yml", ".yaml")) if path.parent == ROOT / "playbooks"]
    need(found, "playbooks")
    return found


def plays(path: Path) -> list[dict[str, Any]]:
    """The plays and imports of a playbook."""
    content = read_yaml(path)
    if not isinstance(content, list) or not all(isinstance(play, dict) for play in content):
        pytest.fail(f"{shown(path)} is no list of plays", pytrace=False)
    return content


def test_every_play_stops_everything_at_the_first_error() -> None:
    """any_errors_fatal, the linear strategy and no implicit fact gathering, in every play."""
    problems = []
    for path in playbooks():
        for play in plays(path):
            if IMPORT not in play and "hosts" in play:
                missing = [f"{key}: {str(allowed[0]).lower()}" for key, allowed in PLAY_CONTROLS.items() if play.get(key) not in allowed]
                problems += [f"{shown(path)}: play {play.get('name')!r} has not {control}" for control in missing]
    refuse(problems, "write all of any_errors_fatal: true, strategy: linear, gather_facts: false into the play")


def test_playbooks_can_be_called_by_full_name() -> None:
    """File names are identifiers with the suffix .yml, and imports use full names that exist."""
    problems = [f"{shown(path)} is not named <identifier>.yml" for path in playbooks() if not re.fullmatch(r"[a-z][a-z0-9_]*\.yml", path.name)]
    names = {f"lifeboat.cluster.{path.stem}" for path in playbooks()}
    for path in playbooks():
        for play in plays(path):
            imported = next((play[key] for key in (IMPORT, "import_playbook") if key in play), None)
            if imported is not None and ("import_playbook" in play or imported not in names):
                problems.append(f"{shown(path)} imports {imported!r}")
    refuse(problems, f"use {IMPORT}: lifeboat.cluster.<name>")


def fails(task: dict[str, Any]) -> bool:
    """Whether a task ends in a failure."""
    included = task.get("ansible.builtin.include_role") or {}
    return any(key in task for key in FAILING) or (included.get("name"), included.get("tasks_from")) == FAILING_ENTRY


def test_the_entry_point_of_failed_stages_fails() -> None:
    last = read_yaml(ROOT / "roles" / "report" / "tasks" / f"{FAILING_ENTRY[1]}.yml")[-1]
    assert fails(last)
    assert "when" not in last


def test_no_failure_is_passed_over() -> None:
    """No ignore_errors and the like; each rescue ends in a failure without a condition."""
    problems = []
    for path in files_under("playbooks", "roles", suffixes=(".yml", ".yaml")):
        if "files" in path.parts:
            continue
        for item in tasks_in(read_yaml(path)):
            problems += [f"{shown(path)}: {item.get('name')!r} has {keyword}: {reason}" for keyword, reason in FORBIDDEN_KEYWORDS.items() if keyword in item]
            rescue = item.get("rescue")
            if isinstance(rescue, list) and rescue:
                last = rescue[-1]
                if not fails(last) or "when" in last:
                    problems.append(f"{shown(path)}: the rescue of {item.get('name')!r} does not end in {FAILING[0]} without a condition")
    refuse(problems, "a rescue runs on every host of a play with any_errors_fatal, and the play goes on as if healed unless it ends in a failure")


def test_no_condition_of_failure_hides_its_reason() -> None:
    """failed_when lets something pass, and never makes a failure: of one, ansible-core 2.21 shows nothing but that the expression was true."""
    problems = [
        f"{shown(path)}: {item.get('name')!r} has failed_when: {item['failed_when']}"
        for path in files_under("playbooks", "roles", suffixes=(".yml", ".yaml"))
        if "files" not in path.parts
        for item in tasks_in(read_yaml(path))
        if "failed_when" in item and item["failed_when"] is not False
    ]
    refuse(problems, "write failed_when: false, and let a check or ansible.builtin.fail say what was found")


def test_no_run_is_green_because_of_a_limit() -> None:
    """Whatever begins a run on localhost imports the play that fails where a limit left localhost out, right after it."""
    limit = "lifeboat.cluster.refuse_limit"
    problems = []
    for path in playbooks():
        found = plays(path)
        begins = [number for number, play in enumerate(found) if "'begin'" in str(play.get("tasks"))]
        problems += [
            f"{shown(path)}: play {number + 2} is no import of {limit}"
            for number in begins
            if limit not in [play.get(IMPORT) for play in found[number + 1 : number + 2]]
        ]
        if not begins and f"lifeboat.cluster.{path.stem}" != limit and not all(IMPORT in play for play in found):
            problems.append(f"{shown(path)} begins no run")
    refuse(problems, f"write {IMPORT}: {limit} after the play that begins the run")


def test_playbooks_parse(collections_path: Path, tmp_path: Path) -> None:
    """ansible-playbook accepts the syntax of every playbook by its full name."""
    inventory = tmp_path / "hosts"
    inventory.write_text("[admin]\n[etcd]\n[control_plane]\n[workers]\n")
    names = [f"lifeboat.cluster.{path.stem}" for path in playbooks()]
    run_tool(
        ["ansible-playbook", "--syntax-check", "--inventory", inventory, *names],
        "repair the named playbook",
        variables={"ANSIBLE_COLLECTIONS_PATH": str(collections_path), "ANSIBLE_LOCALHOST_WARNING": "false"},
    )


def hosts_of(group: str, inventory: dict[str, Any]) -> set[str]:
    """Hosts of a group and of its children."""
    details = inventory.get(group, {})
    return set(details.get("hosts", [])).union(*(hosts_of(child, inventory) for child in details.get("children", [])))


def test_inventories_parse() -> None:
    """Every example inventory parses without a warning, and each of its groups has hosts."""
    directories = sorted(path for path in (ROOT / "inventories").glob("*") if path.is_dir())
    need(directories, "example inventories")
    problems = []
    for directory in directories:
        result = run_tool(
            ["ansible-inventory", "--inventory", directory, "--list"],
            "repair the inventory",
            variables={"ANSIBLE_INVENTORY_UNPARSED_FAILED": "true", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"},
        )
        inventory = json.loads(result.stdout)
        groups = set(inventory) - {"_meta", "ungrouped"}
        problems += [f"{shown(directory)}: the group {group} has no hosts" for group in sorted(groups) if not hosts_of(group, inventory)]
        problems += [f"{shown(directory)}: there is no group {group}" for group in ("etcd", "control_plane") if group not in groups]
        problems += [f"{shown(directory)}: {line}" for line in result.stderr.splitlines() if "WARNING" in line]
        if not (directory / "hosts").is_file():
            problems.append(f"{shown(directory)}: no file called hosts, which AWX's picker wants")
    refuse(problems, "fill the groups; a recovery on an empty inventory would pass without doing anything")


def test_documents_name_what_exists() -> None:
    """README and docs name only playbooks, roles, plugins, make targets and variables that are there."""
    need([path for path in files_under() if path.name == "README.md" and path.parent == ROOT], "README.md")
    playbook_names = {path.stem for path in files_under("playbooks", suffixes=(".yml",))}
    role_names = {path.name for path in (ROOT / "roles").iterdir()}
    plugin_names = {path.stem for path in files_under("plugins", suffixes=(".py",))}
    known = playbook_names | role_names | plugin_names | {"lifeboat"}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    sources = "\n".join(path.read_text() for path in files_under("roles", "plugins", "playbooks", "inventories", "tests", suffixes=(".py", ".yml", ".j2", "")))
    problems = []
    for path in files_under(suffixes=(".md",)):
        if path.name.startswith("CHANGELOG") or path.is_relative_to(ROOT / "tests"):
            continue
        text = path.read_text()
        problems += [f"{shown(path)}: lifeboat.cluster.{name}" for name in re.findall(r"\blifeboat\.cluster\.([a-z][a-z0-9_]*)", text) if name not in known]
        called = re.findall(r"(?:^(?:\$ )?|`)make ([a-z]+)", text, flags=re.MULTILINE)
        problems += [f"{shown(path)}: make {target}" for target in called if target not in targets]
        problems += [f"{shown(path)}: {name}" for name in re.findall(r"`(lifeboat_[a-z_]+)`", text) if name not in sources]
    refuse(problems, "correct the document, or the name")
