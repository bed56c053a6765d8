# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's own gates: sanity, lint, documentation, changelog, build and import, execution environment."""

from __future__ import annotations

import re
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from tests import core_environments, environment
from tests.gates.support import ROOT, files_under, interpreters, need, read_yaml, refuse, run_tool, shown
from tests.sanity import run_sanity

PER_PYTHON_TESTS = ("compile", "import")


def test_sanity_on_every_python(collection_copy: Path) -> None:
    """ansible-test's compile and import tests on every Python of this machine; by the locked core, which knows the oldest of them."""
    said = run_sanity(Path(sys.prefix), collection_copy, [word for test in PER_PYTHON_TESTS for word in ("--test", test)])
    ran = set(re.findall(r'Running sanity test "(\w+)" on Python ([0-9.]+)', said))
    wanted = {(test, version) for test in PER_PYTHON_TESTS for version in interpreters()}
    refuse((f"{test} did not run on Python {version}" for test, version in sorted(wanted - ran)), f"see what ansible-test said:\n{said}")
    refuse(re.findall(r"Skipping sanity test .* because it could not be found\.", said)[: 0 if wanted <= ran else None], "install that Python")


def test_sanity(collection_copy: Path) -> None:
    """All other sanity tests of the newest core that is locked, whose rules are the most, with nothing ignored."""
    newest = core_environments.newest().directory()
    said = run_sanity(newest, collection_copy, [word for test in PER_PYTHON_TESTS for word in ("--skip-test", test)])
    refuse(re.findall(r"WARNING: (.*(?:shellcheck|missing virtual environment|libyaml).*)", said), "install what is missing, see bindep.txt")


def test_no_sanity_ignore_file() -> None:
    """Nothing is exempted from sanity."""
    refuse((str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "sanity").glob("*")), "repair what is ignored there and remove the file")


def test_ansible_lint(collection_copy: Path, copied_collections: Path) -> None:
    """ansible-lint's production profile and the opt-in rules of .ansible-lint; a warning fails, too."""
    run_tool(
        ["ansible-lint", "--offline", "--strict", "--nocolor", "--profile", "production"],
        "repair the named lines; rules are chosen in .ansible-lint",
        directory=collection_copy,
        variables={"ANSIBLE_COLLECTIONS_PATH": str(copied_collections), "HOME": str(copied_collections.parent), "ANSIBLE_HOME": str(copied_collections.parent)},
    )


def test_galaxy_import(collection_copy: Path, copied_collections: Path) -> None:
    """The artifact builds, holds what a user needs and passes galaxy's importer."""
    output = copied_collections.parent / "artifact"
    run_tool(["ansible-galaxy", "collection", "build", "--output-path", output], "repair galaxy.yml", directory=collection_copy)
    artifact = next(output.glob("lifeboat-cluster-*.tar.gz"))
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    wanted = ("LICENSE", "README.md", "meta/runtime.yml", "meta/execution-environment.yml", "meta/ee-requirements.txt", "changelogs/changelog.yaml")
    refuse((f"the artifact lacks {name}" for name in wanted if name not in names), "write it; build_ignore in galaxy.yml says what stays out")
    unwanted = re.compile(r"^(tests|build|requirements|\.ci|\.git|\.ansible)(/|$)")
    refuse((f"the artifact holds {name}" for name in names if unwanted.match(name)), "add it to build_ignore in galaxy.yml")
    said = run_tool(
        [sys.executable, "-m", "galaxy_importer.main", artifact],
        "repair what the importer names",
        directory=output,
        variables={
            "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "True",
            # Both run as gates of their own, the first as ruff and sanity's pep8.
            "GALAXY_IMPORTER_RUN_FLAKE8": "False",
            "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "False",
            "HOME": str(copied_collections.parent),
        },
    )
    text = said.stdout + said.stderr
    refuse(re.findall(r"^(?:ERROR|WARNING): .*", text, flags=re.MULTILINE), "repair what the importer names")
    assert (output / "importer_result.json").exists(), text


def test_documentation(collection_copy: Path) -> None:
    """antsibull-docs accepts the documentation of every plugin and role, and docs/docsite."""
    run_tool(
        ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "dependent", "."],
        "repair the named documentation",
        directory=collection_copy,
    )


def test_changelog(collection_copy: Path) -> None:
    """Changelog fragments and the changelog itself have the right form."""
    run_tool(["antsibull-changelog", "lint"], "repair changelogs/fragments", directory=collection_copy)
    run_tool(["antsibull-changelog", "lint-changelog-yaml", "--no-semantic-versioning", "changelogs/changelog.yaml"], "repair it", directory=collection_copy)


def test_execution_environment(copied_collections: Path, tmp_path: Path) -> None:
    """ansible-builder finds the controller's needs in the collection, and accepts the definition."""
    result = run_tool(["ansible-builder", "introspect", "--sanitize", copied_collections], "repair meta/execution-environment.yml and its files")
    declared = (ROOT / "meta" / "ee-requirements.txt").read_text().splitlines()
    wanted = {re.split(r"[<>=]", line)[0].lower() for line in declared if line and not line.startswith("#")}
    wanted.remove("pyyaml")  # the builder leaves it out: ansible-core brings it
    found = result.stdout.lower()
    unseen = [f"introspection does not show {name}" for name in sorted(wanted) if name not in found]
    refuse(unseen, f"see meta/execution-environment.yml; introspection said\n{found}")
    context = tmp_path / "context"
    definition = ROOT / "execution-environment.yml"
    run_tool(["ansible-builder", "create", "--output-filename", "Containerfile", "--file", definition, "--context", context], f"repair {definition.name}")
    assert (context / "Containerfile").exists()


def test_execution_environment_pins() -> None:
    """The definition pins what the lock files pin, the newest ansible-core among them, and the collection's own version."""
    definition = read_yaml(ROOT / "execution-environment.yml")["dependencies"]
    locks = {"ansible_core": environment.core_lock(core_environments.NEWEST), "ansible_runner": environment.LOCK}
    problems = [
        f"{definition[key]['package_pip']} is not the version of {lock.relative_to(ROOT)}"
        for key, lock in locks.items()
        if f"{definition[key]['package_pip']} \\" not in lock.read_text().splitlines()
    ]
    version = read_yaml(ROOT / "galaxy.yml")["version"]
    if {"name": "lifeboat.cluster", "version": version} not in definition["galaxy"]["collections"]:
        problems.append(f"lifeboat.cluster {version} is not among galaxy collections")
    refuse(problems, "adapt execution-environment.yml")


def test_no_result_has_a_name_of_ansible() -> None:
    """Names at the top of a result that mean something to Ansible, and that newer cores turn into another type, or drop."""
    own = {"async_result", "attempts", "deprecations", "exception", "failed", "false_condition", "finished", "invocation", "module_stderr", "module_stdout"}
    own |= {"rc", "results", "retries", "skip_reason", "skipped", "skipped_reason", "started", "unreachable", "warnings"}
    problems = []
    modules = files_under("plugins/modules", suffixes=(".py",))
    for path in modules:
        documented = re.search(r'^RETURN = r?"""(.*?)"""', path.read_text(), flags=re.MULTILINE | re.DOTALL)
        names = yaml.safe_load(documented[1]) if documented else None
        problems += [f"{shown(path)}: {name}" for name in sorted(own & set(names or {}))]
    need(modules, "modules")
    refuse(problems, "give that part of the result another name")


@pytest.mark.parametrize("kind", ["role", "module"])
def test_ansible_doc(kind: str, collections_path: Path) -> None:
    """ansible-doc shows every role and module that the collection has."""
    variables = {"ANSIBLE_COLLECTIONS_PATH": str(collections_path)}
    said = run_tool(["ansible-doc", "--type", kind, "--list", "lifeboat.cluster"], "repair its documentation", variables=variables).stdout
    if kind == "module":
        names = [path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem != "__init__"]
    else:
        names = [path.parent.parent.name for path in (ROOT / "roles").glob("*/meta/argument_specs.yml")]
    refuse((f"ansible-doc does not list the {kind} {name}" for name in names if f"lifeboat.cluster.{name}" not in said), "repair its documentation")
