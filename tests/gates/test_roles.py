# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles: verbs and their specifications, defaults, includes, and the collection's action group."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.gates.support import ROOT, files_under, need, read_yaml, refuse, shown, tasks_in, walk

PREFIX = "lifeboat.cluster."
ROLE_INCLUDES = ("ansible.builtin.include_role", "ansible.builtin.import_role", "include_role", "import_role")


@dataclass(frozen=True)
class Role:
    """What a role has on disk."""

    name: str
    directory: Path
    verbs: frozenset[str]
    entries: dict[str, dict[str, Any]]
    defaults: dict[str, Any]


def read_role(directory: Path) -> Role:
    """One role."""
    files = [path for path in (directory / "tasks").glob("*.yml") if not path.name.startswith("_")]
    specification = directory / "meta" / "argument_specs.yml"
    defaults = directory / "defaults" / "main.yml"
    return Role(
        directory.name,
        directory,
        frozenset(path.stem for path in files),
        (read_yaml(specification) or {}).get("argument_specs", {}) if specification.exists() else {},
        (read_yaml(defaults) or {}) if defaults.exists() else {},
    )


@pytest.fixture(scope="module")
def roles() -> dict[str, Role]:
    """All roles of the collection."""
    found = [read_role(path) for path in sorted((ROOT / "roles").iterdir()) if path.is_dir()]
    need(found, "roles")
    return {role.name: role for role in found}


def yaml_of(*directories: str) -> Iterator[tuple[Path, Any]]:
    """YAML files with tasks or plays below some directories."""
    for path in files_under(*directories, suffixes=(".yml", ".yaml")):
        if "templates" not in path.parts and "files" not in path.parts:
            yield path, read_yaml(path)


def test_every_verb_has_a_specification(roles: dict[str, Role]) -> None:
    """Each task file without a leading underscore is an entry point with its own argument specification, and each entry has its file."""
    problems = []
    for role in roles.values():
        problems += [f"roles/{role.name}/tasks/{verb}.yml has no entry in meta/argument_specs.yml" for verb in sorted(role.verbs - set(role.entries))]
        problems += [f"roles/{role.name}/meta/argument_specs.yml has {entry}, but tasks has not" for entry in sorted(set(role.entries) - role.verbs)]
        problems += [shown(path) for path in (role.directory / "tasks").rglob("*.yaml")]
    refuse(problems, "write the entry (a verb without one silently skips validation), or name a file that is no entry point _<name>.yml")


def test_roles_are_included_so_that_arguments_are_validated(roles: dict[str, Role]) -> None:
    """tasks_from has no suffix and names an entry point; roles are called by their full name; no other way to start a role."""
    problems = []
    for path, content in yaml_of("roles", "playbooks", "tests/molecule"):
        for task in tasks_in(content):
            for key in ROLE_INCLUDES:
                if key in task and isinstance(task[key], dict):
                    problems += [f"{shown(path)}: {problem}" for problem in include_problems(task[key], roles, path)]
                elif key in task:
                    problems.append(f"{shown(path)}: {key} wants name and tasks_from")
            if isinstance(task.get("roles"), list) and "hosts" in task:
                problems.append(f"{shown(path)}: play {task.get('name')!r} has `roles`; use include_role with tasks_from")
    refuse(problems, "with a suffix, or without an entry in argument_specs, Ansible silently skips validation")


def include_problems(arguments: dict[str, Any], roles: dict[str, Role], path: Path) -> Iterator[str]:
    """What is wrong with one include_role."""
    name, verb = str(arguments.get("name", "")), str(arguments.get("tasks_from", "main"))
    if not name.startswith(PREFIX):
        yield f"role {name!r} is not called {PREFIX}<role>"
        return
    if verb.endswith((".yml", ".yaml")):
        yield f"tasks_from {verb!r} of {name} has a suffix"
        return
    if arguments.get("rolespec_validate") is False:
        yield f"{name} is included with rolespec_validate: false"
    short = name.removeprefix(PREFIX)
    if "{{" in short:
        fitting = list(roles.values())
    elif short in roles:
        fitting = [roles[short]]
    else:
        yield f"there is no role {name}"
        return
    own = path.is_relative_to(ROOT / "roles" / short) and (ROOT / "roles" / short / "tasks" / f"{verb}.yml").exists()
    if "{{" not in verb and not own and not any(verb in role.entries for role in fitting):
        yield f"{name} has no entry point {verb!r}"


def test_defaults_equal_specifications(roles: dict[str, Role]) -> None:
    """defaults/main.yml and every entry of argument_specs give each option the same default, unless it is a template, and each default is an option."""
    problems = []
    for role in roles.values():
        where = f"roles/{role.name}"
        specified: set[str] = set()
        for entry, specification in role.entries.items():
            for option, details in ((specification or {}).get("options") or {}).items():
                specified.add(option)
                documented, real = (repr(source[key]) if key in source else "nothing" for source, key in ((details, "default"), (role.defaults, option)))
                # Ansible renders the specification, and prints all of it when one option is wrong: what is in lifeboat_location would be on the screen.
                if "{{" in documented:
                    problems.append(f"{where}: the default of {option} in {entry} of argument_specs is a template; describe it in words")
                elif documented != real and not (documented == "nothing" and "{{" in real):
                    problems.append(f"{where}: the default of {option} is {documented} in {entry} of argument_specs and {real} in defaults/main.yml")
        problems += [f"{where}: {option} of defaults/main.yml is in no entry of argument_specs" for option in role.defaults if option not in specified]
    refuse(problems, "defaults/ has what users may change, and argument_specs documents exactly that")


def expressions(content: Any) -> Iterator[str]:
    """Every text that may be or hold a Jinja expression; names of variables that are handed over (keys) are none."""
    return (value for value in walk(content) if isinstance(value, str))


def test_no_role_reads_another_roles_defaults(roles: dict[str, Role]) -> None:
    """A role's files name no option that is a default of another role only."""
    problems = []
    for role in roles.values():
        foreign = {option: other.name for other in roles.values() if other is not role for option in other.defaults if option not in role.defaults}
        if not foreign:
            continue
        pattern = re.compile(rf"(?<![\w.'\"-])({'|'.join(map(re.escape, sorted(foreign)))})(?![\w'\"-])")
        for path in files_under(f"roles/{role.name}"):
            if path.name == "argument_specs.yml" or path.suffix not in (".yml", ".j2"):
                continue
            texts = [path.read_text()] if path.suffix == ".j2" else list(expressions(read_yaml(path)))
            code = [text if path.suffix != ".j2" else " ".join(re.findall(r"\{[{%].*?[%}]\}", text, flags=re.DOTALL)) for text in texts]
            problems += [f"{shown(path)} reads {name}, a default of the role {foreign[name]}" for text in code for name in pattern.findall(text)]
    refuse(problems, "hand the value over as an option of this role; a role has to work alone")


def test_nobody_reads_the_dictionary_of_all_variables() -> None:
    """It is gone in ansible-core 2.24."""
    pattern = re.compile(r"(?<![\w.'\"/-])vars(?![\w.'\"/-])")
    problems = [
        f"{shown(path)}: {text}"
        for path, content in yaml_of("roles", "playbooks")
        for text in expressions(content)
        if any(pattern.search(found) for found in re.findall(r"\{\{(.*?)\}\}", text, flags=re.DOTALL))
    ]
    refuse(problems, "read variables by name with the lookup ansible.builtin.vars")


def test_options_carry_the_roles_name(roles: dict[str, Role]) -> None:
    """Options of a role begin with its name."""
    problems = [
        f"roles/{role.name}: option {option} of {entry}"
        for role in roles.values()
        for entry, specification in role.entries.items()
        for option in (specification or {}).get("options") or {}
        if not option.startswith(f"{role.name}_")
    ]
    refuse(problems, "call it <role>_<option>: variables are global")


def named_in_tasks(content: Any) -> Iterator[str]:
    """Facts and registers that tasks make."""
    for task in tasks_in(content):
        if isinstance(task.get("register"), str):
            yield task["register"]
        for module in ("ansible.builtin.set_fact", "set_fact"):
            if isinstance(task.get(module), dict):
                yield from (name for name in task[module] if name != "cacheable")


def test_no_name_is_an_option_and_a_fact(roles: dict[str, Role]) -> None:
    """What a role registers or sets is not the name of an option: after it, every verb of the role would read the wrong one on that host."""
    options = {option for role in roles.values() for entry in role.entries.values() for option in (entry or {}).get("options") or {}}
    need(sorted(options), "options")
    problems = [f"{shown(path)}: {name}" for path, content in yaml_of("roles", "playbooks") for name in named_in_tasks(content) if name in options]
    refuse(problems, "give the fact or register another name: variables are global, and facts outlive the task")


def test_gates_take_their_groups_from_the_platform() -> None:
    """Which groups have to be there is data of the platform: a list in a playbook passes an inventory without the group that another platform needs."""
    gate = "lifeboat.cluster.gate"
    gates = [(path, task[gate]) for path, content in yaml_of("roles", "playbooks") for task in tasks_in(content) if gate in task]
    need(gates, "gates")
    problems = [f"{shown(path)}: {options['required_groups']}" for path, options in gates if isinstance(options.get("required_groups"), list)]
    refuse(problems, "write required_groups: '{{ platform_data.required_groups }}'")


def test_action_group() -> None:
    """meta/runtime.yml's action group has every module and action, and nothing else."""
    group = read_yaml(ROOT / "meta" / "runtime.yml")["action_groups"]["lifeboat"]
    plugins = {path.stem for kind in ("modules", "action") for path in files_under(f"plugins/{kind}", suffixes=(".py",)) if path.stem != "__init__"}
    problems = [f"{name} is not in the action group" for name in sorted(plugins - set(group))]
    problems += [f"{name} is in the action group, but there is no such module or action" for name in sorted(set(group) - plugins)]
    problems += [f"{name} is twice in the action group" for name in sorted(set(group)) if group.count(name) > 1]
    refuse(problems, "adapt action_groups.lifeboat in meta/runtime.yml")


def test_actions_have_documentation_modules() -> None:
    """Each action plugin has a module of the same name that documents it."""
    modules = {path.stem for path in files_under("plugins/modules", suffixes=(".py",))}
    actions = {path.stem for path in files_under("plugins/action", suffixes=(".py",))}
    refuse((f"plugins/action/{name}.py" for name in sorted(actions - modules - {"__init__"})), "write plugins/modules/<name>.py with its documentation")
