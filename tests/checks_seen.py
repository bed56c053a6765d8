# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A check counts only if some test has seen it fail: lists those that none has.

The plugins append the id of each check that is not met to the file in LIFEBOAT_CHECKS_SEEN. Ids that no test can make fail stand in
tests/checks_never_failed.txt, one a line, with the reason behind a #. Ends with status 1 when a check is in neither, and when the list
holds a check that was seen failing or is gone.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
NEVER_FAILED = ROOT / "tests" / "checks_never_failed.txt"
SEEN_VARIABLE = "LIFEBOAT_CHECKS_SEEN"

# In plugins, checks are made by functions of this name; the id is the first argument.
MAKER = "_check"


def ids_in_yaml(value: Any) -> Iterator[str]:
    """Ids of everything that looks like a check: a mapping with id, expect and found."""
    if isinstance(value, dict):
        if {"id", "expect", "found"} <= set(value):
            yield str(value["id"])
        for item in value.values():
            yield from ids_in_yaml(item)
    elif isinstance(value, list):
        for item in value:
            yield from ids_in_yaml(item)


def ids_in_python(source: str) -> Iterator[str]:
    """Ids of the checks that a plugin makes itself."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == MAKER and len(node.args) > 1:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def defined(root: Path) -> dict[str, str]:
    """All ids of the collection, each with the file that it is in."""
    found: dict[str, str] = {}
    for directory in ("roles", "playbooks"):
        for path in sorted((root / directory).rglob("*.yml")):
            try:
                documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
            except yaml.YAMLError:
                # Tags and templates that only Ansible reads; the gates say when a file is broken.
                continue
            for check_id in ids_in_yaml(documents):
                found.setdefault(check_id, str(path.relative_to(root)))
    for path in sorted((root / "plugins" / "action").glob("*.py")):
        for check_id in ids_in_python(path.read_text(encoding="utf-8")):
            found.setdefault(check_id, str(path.relative_to(root)))
    return found


def pattern_of(check_id: str) -> re.Pattern[str]:
    """Matches the ids that a templated id can become."""
    return re.compile("".join(".+" if part.startswith("{{") else re.escape(part) for part in re.split(r"(\{\{.*?\}\})", check_id)))


def lines_of(path: Path) -> set[str]:
    """Ids in a file, without remarks."""
    if not path.exists():
        return set()
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {line for line in lines if line}


def problems(checks: dict[str, str], seen: Iterable[str], excused: set[str]) -> list[str]:
    """What is wrong, a line each."""
    seen = set(seen)
    failed = {check_id for check_id in checks if any(pattern_of(check_id).fullmatch(one) for one in seen)}
    found = [f"{checks[check_id]}: no test has seen {check_id} fail" for check_id in sorted(set(checks) - failed - excused)]
    found += [f"{NEVER_FAILED.name}: {check_id} was seen failing, so take it out of the list" for check_id in sorted(excused & failed)]
    found += [f"{NEVER_FAILED.name}: there is no check {check_id} any more, so take it out of the list" for check_id in sorted(excused - set(checks))]
    return found


def main() -> int:
    """Compare and report."""
    checks = defined(ROOT)
    seen = lines_of(Path(os.environ[SEEN_VARIABLE])) if os.environ.get(SEEN_VARIABLE) else set()
    excused = lines_of(NEVER_FAILED)
    found = problems(checks, seen, excused)
    print("\n".join([*found, f"{len(checks)} checks, {len(excused)} of them excused, {len(found)} problems"]))
    if not checks:
        print("no checks were found at all: this tool looks in the wrong place")
    return 1 if found or not checks else 0


if __name__ == "__main__":
    sys.exit(main())
