# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/variables.md: what an inventory or a command may set, made from the argument specifications and defaults of the roles.

`python3 -m tests.environment run python -m tests.variables_page` writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "variables.md"
# A default that is another variable and what holds without it: that other one is what people set.
_BEHIND = re.compile(r"\{\{ (?P<name>\w+) \| default\((?P<default>.*?)\)(?: \| lifeboat\.cluster\.given_\w+)* \}\}")
_SET = re.compile(r"(?:^ +|[{,] ?)(\w+):(?: |$)")
_MARKUP = re.compile(r"\b[CVOMP]\(([^()]*(?:\([^()]*\)[^()]*)*)\)")
_PLUGIN = re.compile(r"lifeboat\.cluster\.(\w+)(?:#\w+)?")

# What playbooks and plugins read themselves, in the words of the code that reads it.
BESIDES = (
    ("lifeboat_runs_directory", "str", "`./lifeboat-runs`", "Directory on the controller, with one directory for each run."),
    ("lifeboat_node_name", "str", "the first part of the name in the inventory", "Host name of this machine."),
    ("lifeboat_node_address", "str", "what the machine's own processes tell", "Address on which this machine serves the cluster."),
    ("lifeboat_host_names", "dict", "`{}`", "Addresses by name that a restore writes into `/etc/hosts` besides those of the nodes."),
    ("lifeboat_moved_names", "dict", "`{}`", "New names by old ones, which a recovery follows besides those that it finds itself."),
    ("lifeboat_scope", "str", "`everything`", "A host or group of the inventory: nothing else is backed up, or rebuilt."),
    ("lifeboat_take_over_run", "str", "-", "Id of a run that is dead: its lock may be taken."),
    ("lifeboat_keep_renewed_certificates", "bool", "`false`", "In a rerun: certificates, keys and kubeconfigs that were renewed on the machines stay."),
    ("lifeboat_vault_url", "str", "`VAULT_ADDR` of the environment", "Where Vault is, so that readiness sees whether it lies in the cluster."),
    ("recovery_point_id", "str", "`latest`", "Id of the recovery point that is meant, or `latest`."),
    ("quorum_lost_survivor", "str", "-", "With `quorum_lost_source=survivor`: the machine whose data become the cluster."),
    ("node_to_recover", "str", "-", "The machine that `recover_node` rebuilds, whatever it has."),
    ("node_to_back_up", "str", "-", "The machine of which `backup_node` makes a recovery point."),
    ("node_leaving", "str", "-", "What the node that `remove_node` forgets is known by: its name, or its id where machines have one."),
)

HEAD = """# Variables

What an inventory, or `-e` on the command line, may say. This page is generated from the roles' argument specifications and defaults
(`tests/variables_page.py`); `ansible-doc --type role lifeboat.cluster.<role>` shows the same with each verb. What a recovery asks the operator stands in
[recovery.md](recovery.md), locations in [locations.md](locations.md), platforms in [kubeadm.md](kubeadm.md) and [caasp3.md](caasp3.md).

A variable whose name begins with that of a role counts for this role alone. All others count wherever they are read.

A list of the whole collection may be text, as a survey or `-e name=value` makes it: with commas or line ends between its items, or in brackets.
A dictionary may be JSON as text. A relative path on the controller is one of the directory in which `ansible-playbook` is called; only those of a
location have to be absolute.
"""


@dataclass
class Variable:
    """One variable that people set, and the roles that read it."""

    name: str
    kind: str
    default: str
    about: str
    roles: list[str] = field(default_factory=list)

    @property
    def of_one_role(self) -> bool:
        """Whether no other role reads it, by its name."""
        return len(self.roles) == 1 and self.name.startswith(f"{self.roles[0]}_")

    @property
    def row(self) -> str:
        """A line of a table."""
        return f"| `{self.name}` | {self.kind} | {self.default} | {self.about} | {', '.join(self.roles)} |"


def _about(name: str, option: dict[str, Any]) -> str:
    """A description without Ansible's markup, and without the variable's own name."""
    description = option.get("description") or ""
    text = " ".join(description) if isinstance(description, list) else str(description)
    text = _MARKUP.sub(lambda found: f"`{_PLUGIN.sub(lambda plugin: plugin.group(1), found.group(1))}`", " ".join(text.split()))
    text = re.sub(rf" (?:Set )?`{name}`(?:, or \w+)?\.", "", text)
    choices = option.get("choices")
    text += f" One of {', '.join(f'`{choice}`' for choice in choices if choice != '')}." if choices else ""
    return text.replace("|", "\\|")


def _shown(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"'[^']*'|\"[^\"]*\"", value):
        value = value[1:-1]
    if value in ("", "none", None):
        return "-"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`"


def _options(role: Path) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Name, specification and default of each option of a role that is no hand-over between its tasks."""
    specifications = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    path = role / "defaults" / "main.yml"
    defaults = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}
    options: dict[str, dict[str, Any]] = {}
    for specification in specifications.values():
        for name, option in (specification.get("options") or {}).items():
            options.setdefault(name, option)
    for name, option in options.items():
        default = defaults.get(name, option.get("default"))
        computed = isinstance(default, str) and "{{" in default and not _BEHIND.fullmatch(default.strip())
        if not option.get("required") and not computed:
            yield name, option, default


def _handed_over() -> set[str]:
    """What playbooks and tasks set for a role: a value of the inventory would not reach it."""
    files = [*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "roles").glob("*/tasks/*.yml")]
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    return {found.group(1) for line in lines for found in _SET.finditer(line)}


def variables() -> list[Variable]:
    """All of them, by name."""
    found = {name: Variable(name, kind, default, about, ["playbooks"]) for name, kind, default, about in BESIDES}
    handed_over = _handed_over()
    for role in sorted((ROOT / "roles").iterdir()):
        for own, option, default in _options(role):
            behind = _BEHIND.fullmatch(default.strip()) if isinstance(default, str) else None
            name = behind.group("name") if behind else own
            shown = _shown(behind.group("default") if behind else default)
            if not behind and own in handed_over:
                continue
            kind = str(option.get("type", "str")).replace("raw", "any")
            variable = found.setdefault(name, Variable(name, kind, shown, _about(name, option)))
            if role.name not in variable.roles:
                variable.roles.append(role.name)
    return sorted(found.values(), key=lambda variable: variable.name)


def page() -> str:
    """The whole page."""
    every = variables()
    parts = [HEAD]
    for title, own in (("Of the whole collection", False), ("Of one role", True)):
        rows = [variable.row for variable in every if variable.of_one_role is own]
        parts.append("\n".join([f"\n## {title}\n", "| variable | type | default | what it is | read by |", "|---|---|---|---|---|", *rows, ""]))
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
