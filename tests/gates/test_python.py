# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python and shell: lint, types, headers, exemptions, and what cluster hosts can import."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import environment
from tests.gates.support import ROOT, files_under, interpreters, need, refuse, run_tool, shown

COLLECTION = "ansible_collections.lifeboat.cluster"

# Modules that run on the controller only; all others run on cluster hosts.
CONTROLLER_MODULES = {
    "backup_location",
    "backup_location_info",
    "circle_info",
    "encryption_coverage_info",
    "key_pairs",
    "readiness_info",
    "recovery_plan",
    "recovery_point",
    "recovery_point_copy",
    "recovery_point_escrow",
    "recovery_point_info",
    "recovery_point_prune",
    "recovery_point_tag",
    "retention_info",
    "run_report",
    "text_files",
}
# What a host may happen to have: imported inside functions, with a way to go on without it.
OPTIONAL_ON_HOSTS = {"etcd3", "google", "grpc"}

TYPED = (
    ("-p", f"{COLLECTION}.plugins.module_utils"),
    ("-p", f"{COLLECTION}.plugins.plugin_utils"),
    ("-p", "tests.gates"),
    ("-p", "tests.lab"),
    ("-m", "tests.conftest"),
    ("-m", "tests.environment"),
    ("-m", "tests.run"),
)

# Imports every named module and says, a line each, which cannot be imported; the arguments are the import path and the names.
IMPORTER = """
import importlib, sys, traceback
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        print("%s: %s (%s line %s)" % (name, " ".join(traceback.format_exception_only(type(error), error)[-1].split()), where.filename, where.lineno))
"""


def test_ruff() -> None:
    """The rules chosen in pyproject.toml."""
    directory = environment.cache_root() / "ruff"
    run_tool(["ruff", "check", "--cache-dir", directory, "--output-format", "concise", "."], "repair the named lines; `ruff check --fix` does some of it")


def test_mypy(collections_path: Path) -> None:
    """Strict types in the domain, the lab and the gates."""
    directory = environment.cache_root() / "mypy"
    arguments = [word for option, name in TYPED for word in (option, name)]
    done = run_tool(["mypy", "--cache-dir", directory, *arguments], "add or repair the types", variables={"MYPYPATH": str(collections_path)})
    # An exclusion once left it nothing to check but one file.
    checked = re.search(r"in (\d+) source files", done.stdout)
    domain = list((ROOT / "plugins" / "module_utils").rglob("*.py"))
    assert checked, done.stdout
    assert int(checked.group(1)) > len(domain) > 0, done.stdout


def test_shellcheck() -> None:
    """Every shell script of the project."""
    scripts = [path for path in files_under() if path.suffix == ".sh" or re.match(rb"#!.*\b(ba|da)?sh\b", path.read_bytes()[:100])]
    need(scripts, "shell scripts")
    run_tool(["shellcheck", "--external-sources", *scripts], "repair the named lines")


def test_licence_headers() -> None:
    """Copyright, licence and SPDX identifier at the head of every Python, Go and shell file with content."""
    problems = []
    for path in files_under(suffixes=(".py", ".go", ".sh")):
        head = path.read_text().splitlines()[:6]
        if head and not ("SPDX-License-Identifier: GPL-3.0-or-later" in "\n".join(head) and "Copyright: (c)" in "\n".join(head)):
            problems.append(shown(path))
    refuse(problems, "begin the file with the three lines of plugins/module_utils/errors.py")


def test_no_exemptions() -> None:
    """No marks that switch a check off or put work off."""
    marks = re.compile(
        r"\bT[O]DO\b|\bF[I]XME\b|\bno[q]a\b|type:\s*ign[o]re|pylint:\s*disabl[e]|skip_ansible_lin[t]|pytest\.(mark\.)?(ski[p]|xfai[l])|unittest\.ski[p]"
    )
    problems = []
    for path in files_under(suffixes=(".py", ".yml", ".yaml", ".sh", ".go", ".j2", ".md", ".toml", ".txt")):
        if environment.REQUIREMENTS in path.parents:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            mark = marks.search(line)
            if mark and f"`{mark[0]}`" not in line:
                problems.append(f"{shown(path)}:{number}: {mark[0]}")
    refuse(problems, "repair the cause")


def test_no_paths_of_one_machine() -> None:
    """Nothing names a directory that only the author's machine has."""
    private = re.compile(rf"(?<![\w.{{}}-]){re.escape(os.sep + 'work' + os.sep)}|{os.sep}root{os.sep}(scratch|\.cache|\.pyenv)\b")
    problems = []
    for path in files_under():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if private.search(line):
                problems.append(f"{shown(path)}:{number}: {line.strip()[:120]}")
    refuse(problems, "derive the path from the checkout, LIFEBOAT_CACHE or an option")


def module_path(name: str) -> Path | None:
    """The file of a module of this collection, or None."""
    base = ROOT.joinpath(*name.removeprefix(f"{COLLECTION}.").split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def imports_of(path: Path, package: str) -> tuple[tuple[str, bool], ...]:
    """Names that a file imports, and whether at its top level (not inside a function)."""
    return tuple(find_imports(path, package))


def find_imports(path: Path, package: str) -> Iterator[tuple[str, bool]]:
    """The same, one by one."""
    tree = ast.parse(path.read_text())
    inner = {id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(function)}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parent = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parent, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)] if base.startswith(COLLECTION) else [base]
        for name in names:
            yield name, id(node) not in inner


def closure(start: str) -> dict[str, Path]:
    """A module of this collection and everything of the collection that is shipped with it, however deep or lazily it is imported."""
    found: dict[str, Path] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        path = module_path(name) if name.startswith(f"{COLLECTION}.") else None
        if path is None or name in found:
            continue
        found[name] = path
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        waiting += [imported for imported, _top in imports_of(path, package)]
        waiting += [name.rsplit(".", depth)[0] for depth in range(1, name.count("."))]
    return found


def host_modules() -> list[str]:
    """The modules that run on cluster hosts."""
    names = [path.stem for path in files_under("plugins/modules", suffixes=(".py",)) if path.stem != "__init__"]
    return [f"{COLLECTION}.plugins.modules.{name}" for name in sorted(names) if name not in CONTROLLER_MODULES]


def test_controller_modules_exist() -> None:
    """The table of controller-side modules names modules only."""
    refuse(
        (f"{name} is no module" for name in CONTROLLER_MODULES if not module_path(f"{COLLECTION}.plugins.modules.{name}")),
        "adapt CONTROLLER_MODULES in tests/gates/test_python.py",
    )


def test_host_side_imports_only_standard_library() -> None:
    """What a host-side module imports, directly or not, is standard library, ansible.module_utils or this collection."""
    problems = []
    for module in host_modules():
        for name, path in closure(module).items():
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            for imported, top in imports_of(path, package):
                first = imported.partition(".")[0]
                if first in sys.stdlib_module_names or imported.startswith(("ansible.module_utils", f"{COLLECTION}.plugins.module_utils")):
                    continue
                if not top and first in OPTIONAL_ON_HOSTS:
                    continue
                problems.append(f"{shown(path)} (part of {module.rpartition('.')[2]}) imports {imported}" + (" at its top level" if top else ""))
    refuse(problems, "move it to the controller's side; hosts have nothing but Python's standard library")


@pytest.mark.parametrize("version", interpreters())
def test_host_side_imports_run(version: str, collections_path: Path, tmp_path: Path) -> None:
    """Host-side modules and their closure import on a bare Python that has nothing installed."""
    modules = host_modules()
    need(modules, "host-side modules")
    core = find_spec("ansible.module_utils")
    assert core is not None
    assert core.submodule_search_locations
    (tmp_path / "ansible").mkdir()
    (tmp_path / "ansible" / "__init__.py").touch()
    (tmp_path / "ansible" / "module_utils").symlink_to(next(iter(core.submodule_search_locations)))
    (tmp_path / "ansible_collections").symlink_to(collections_path / "ansible_collections")
    names = sorted({name for module in modules for name in closure(module)})
    bare = [str(interpreters()[version]), "-I", "-S", "-B", "-c", IMPORTER, str(tmp_path)]
    result = subprocess.run([*bare, *names], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300)
    advice = f"write it for the standard library of Python {version}; no third-party import at the top of a file"
    refuse([*result.stdout.splitlines(), *result.stderr.splitlines()], advice)
    assert result.returncode == 0
