# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom in plugins/module_utils, and how large a package may be: docs/architecture.md, Rooms and floors."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.gates.support import ROOT, files_under, need, refuse, shown

DOMAIN = ROOT / "plugins" / "module_utils"
PREFIX = "ansible_collections.lifeboat.cluster.plugins.module_utils"
MOST_FILES, MOST_LINES, LONGEST_FILE = 20, 2500, 500

# Files directly in module_utils.
GROUND = "ground"
_BASE = frozenset((GROUND, "_system", "_evidence", "_storage"))
_COMPONENTS = ("_etcd", "_database", "_ldap", "_salt", "_kubernetes")
# Which rooms a room may import from, besides itself.
MAY: dict[str, frozenset[str]] = {
    GROUND: frozenset(),
    **dict.fromkeys(("_system", "_evidence", "_storage"), frozenset((GROUND,))),
    **dict.fromkeys(("_files", "_pki"), _BASE),
    **dict.fromkeys(_COMPONENTS, _BASE | {"_files", "_pki"}),
    "_node": _BASE | {"_files", "_pki", *_COMPONENTS},
    "_recovery": frozenset((GROUND,)),
    "_recovery_point": _BASE,
    "_catalog": _BASE | {"_recovery_point"},
    **dict.fromkeys(("_retention", "_readiness"), _BASE | {"_recovery_point", "_catalog"}),
    "_controller": _BASE | {"_recovery_point", "_catalog", "_retention", "_readiness"},
}
# Arrows that are still to go: a point is chosen out of many where it is read, and artifacts of two components are judged where points are verified.
NOT_YET = frozenset(
    (
        ("_recovery_point.damage", "_catalog.catalog"),
        ("_recovery_point.points", "_catalog.catalog"),
        ("_recovery_point.transfer", "_catalog.catalog"),
        ("_recovery_point.trust.escrow", "_catalog.catalog"),
        ("_recovery_point.verification.verification", "_catalog.catalog"),
        ("_recovery_point.verification.archives", "_pki.inspect"),
        ("_recovery_point.verification.encryption", "_etcd.snapshot.inventory"),
        ("_recovery_point.verification.encryption", "_pki.encryption"),
        ("_recovery_point.verification.encryption", "_pki.inspect"),
        ("_recovery_point.verification.encryption", "_pki.stored"),
        ("_recovery_point.verification.verification", "_etcd.errors"),
        ("_recovery_point.verification.verification", "_etcd.restore.elf"),
        ("_recovery_point.verification.verification", "_etcd.snapshot.snapshot"),
        ("_recovery_point.verification.verification", "_etcd.v2.v2_artifact"),
        ("_recovery_point.verification.verification", "_pki.inspect"),
    )
)
# Files that were longer before there was this gate: none may be added, and none of these may grow.
LONG_YET = {
    "plugins/module_utils/_catalog/catalog.py": 568,
    "plugins/module_utils/_files/files.py": 754,
    "plugins/module_utils/_node/look/inspect.py": 512,
    "plugins/module_utils/_storage/filesystem.py": 523,
    "plugins/module_utils/_storage/probing.py": 731,
    "plugins/modules/recovery_point_info.py": 509,
    "tests/drill/steps.py": 512,
    "tests/integration/locations/test_other_servers.py": 658,
    "tests/integration/recovery_point/test_artifacts.py": 508,
    "tests/unit/lab/test_traits.py": 631,
    "tests/unit/plugins/module_utils/_files/archive/test_archive.py": 670,
    "tests/unit/plugins/module_utils/_files/test_files.py": 997,
    "tests/unit/plugins/module_utils/_node/test_services.py": 612,
    "tests/unit/plugins/module_utils/_pki/test_tls.py": 526,
    "tests/unit/plugins/module_utils/_recovery_point/test_catalog.py": 645,
    "tests/unit/plugins/module_utils/_recovery_point/test_filesystem.py": 505,
    "tests/unit/plugins/module_utils/_recovery_point/test_pruning.py": 705,
}


class Arrow(NamedTuple):
    """One file imports another; lazily where the import stands in a function."""

    source: str
    target: str
    lazy: bool


def modules() -> dict[str, Path]:
    """Files of the domain by their names below module_utils."""
    found = {".".join(path.relative_to(DOMAIN).with_suffix("").parts): path for path in files_under("plugins/module_utils", suffixes=(".py",))}
    return {name: path for name, path in found.items() if not name.endswith("__init__")}


def arrows() -> Iterator[Arrow]:
    """All imports of the domain from itself."""
    known = modules()
    for name, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = {node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) and node.col_offset == 0}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PREFIX):
                place = (node.module or "")[len(PREFIX) + 1 :]
                for alias in node.names:
                    whole = f"{place}.{alias.name}".strip(".")
                    yield Arrow(name, whole if whole in known else place, node not in top)


def room(module: str) -> str:
    """The room of a file."""
    return module.partition(".")[0] if "." in module else GROUND


def package(module: str) -> str:
    """The package that a file lies in directly."""
    return module.rpartition(".")[0] or GROUND


@pytest.fixture(scope="module")
def drawn() -> list[Arrow]:
    """The import graph."""
    found = list(arrows())
    need(found, "imports")
    return found


def test_every_room_has_its_floor() -> None:
    rooms = {room(module) for module in modules()}
    need(sorted(rooms), "rooms")
    refuse(sorted(rooms ^ set(MAY)), "say in MAY which rooms it may import from, and in docs/architecture.md what it is")


def test_no_arrow_leads_upward(drawn: list[Arrow]) -> None:
    found = {(one.source, one.target) for one in drawn if room(one.source) != room(one.target) and room(one.target) not in MAY[room(one.source)]}
    problems = [f"{source} imports {target}" for source, target in sorted(found - NOT_YET)]
    problems += [f"{source} imports {target} no more: take it out of NOT_YET" for source, target in sorted(NOT_YET - found)]
    refuse(problems, "move what is needed to the room where it belongs, or hand it in as a parameter")


def test_no_import_hides_in_a_function(drawn: list[Arrow]) -> None:
    refuse((f"{one.source} imports {one.target}" for one in sorted(drawn) if one.lazy), "our own code is imported at the top of a file")


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for following in edges.get(waiting.pop(), set()) - seen:
                seen.add(following)
                waiting.append(following)
        return seen

    reached = {node: reach(node) for node in edges}
    found = {tuple(sorted(other for other in reached[node] if node in reached.get(other, set()))) for node in edges if node in reached[node]}
    return [list(group) for group in sorted(found)]


def test_no_circle_of_files(drawn: list[Arrow]) -> None:
    edges: dict[str, set[str]] = defaultdict(set)
    for one in drawn:
        edges[one.source].add(one.target)
    refuse([" <-> ".join(group) for group in circles(edges)], "move what both need into a file of its own")


def test_no_circle_of_rooms(drawn: list[Arrow]) -> None:
    edges: dict[str, set[str]] = defaultdict(set)
    for one in drawn:
        if room(one.source) != room(one.target) and (one.source, one.target) not in NOT_YET:
            edges[room(one.source)].add(room(one.target))
    refuse([" <-> ".join(group) for group in circles(edges)], "see MAY")


def test_packages_are_small() -> None:
    sizes: dict[str, list[int]] = defaultdict(list)
    for module, path in modules().items():
        sizes[package(module)].append(len(path.read_text(encoding="utf-8").splitlines()))
    need(sorted(sizes), "packages")
    problems = [f"{name} has {len(lines)} files" for name, lines in sorted(sizes.items()) if len(lines) > MOST_FILES]
    problems += [f"{name} has {sum(lines)} lines" for name, lines in sorted(sizes.items()) if sum(lines) > MOST_LINES]
    refuse(problems, f"part it into sub-packages: at most {MOST_FILES} files and {MOST_LINES} lines")


def test_files_are_short() -> None:
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files_under("plugins", "tests", suffixes=(".py",))}
    need(sorted(lengths), "files")
    problems = [f"{name} has {lines} lines" for name, lines in sorted(lengths.items()) if lines > LONG_YET.get(name, LONGEST_FILE)]
    problems += [f"{name} is short enough: take it out of LONG_YET" for name in sorted(LONG_YET) if lengths.get(name, 0) <= LONGEST_FILE]
    refuse(problems, f"part it: at most {LONGEST_FILE} lines")


def test_packages_are_private_and_files_are_not() -> None:
    """A room begins with an underscore, what lies in it does not; package files are empty."""
    problems = [f"{module}: its room is public" for module in modules() if "." in module and not module.startswith("_")]
    hidden = [module for module in modules() if any(part.startswith("_") for part in module.split(".")[1:])]
    problems += [f"{module}: a file, or a package inside a room, has a plain name" for module in hidden]
    problems += [shown(path) for path in sorted(DOMAIN.rglob("__init__.py")) if path.stat().st_size]
    refuse(problems, "rename it; an __init__.py is empty")
