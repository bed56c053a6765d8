# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's own gates: sanity, lint, documentation, changelog, build and import, execution environment."""

from __future__ import annotations

import re
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import environment
from tests.gates.support import ROOT, interpreters, read_yaml, refuse, run_tool

PER_PYTHON_TESTS = ("compile", "import")

PIP_CHATTER = re.compile(r"^( *(Collecting|Downloading|Installing|Successfully|Using cached|━).*\n)", flags=re.MULTILINE)

# ansible-test wants to fetch its own copy of get-pip; this stand-in hands its arguments to the pip wheel beside it.
GET_PIP = '''\
"""Stand-in for get-pip: the pip wheel in this directory does the work."""
import glob
import os
import sys

sys.path.insert(0, glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pip-*.whl"))[0])

from pip._internal.cli.main import main

sys.exit(main(["install"] + [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]))
'''


def ansible_test_home() -> Path:
    """A home directory for ansible-test with its environments and what it needs to make them; the user's own stays untouched."""
    home = environment.cache_root() / "ansible-test"
    bootstrap = home / ".ansible" / "test" / "cache"
    package = find_spec("ansible_test")
    assert package is not None, "ansible-core brings ansible_test"
    assert package.submodule_search_locations
    source = Path(package.submodule_search_locations[0]) / "_internal" / "python_requirements.py"
    version = re.search(r"\bpip='([0-9.]+)'", source.read_text())
    assert version, f"{source} no longer says which pip ansible-test wants: adapt this gate to the new ansible-core"
    with environment.locked(home.with_suffix(".lock")):
        wheel = bootstrap / f"pip-{version[1]}-py3-none-any.whl"
        if not wheel.exists():
            pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
            run_tool([*pip, "download", "--quiet", "--no-deps", "--dest", str(bootstrap), f"pip=={version[1]}"], "is the package index within reach?")
        (bootstrap / f"get_pip_{version[1].replace('.', '_')}.py").write_text(GET_PIP)
        programs = home / "bin"
        programs.mkdir(exist_ok=True)
        for number, path in interpreters().items():
            link = programs / f"python{number}"
            if not link.is_symlink() or link.readlink() != path:
                link.unlink(missing_ok=True)
                link.symlink_to(path)
    return home


def run_sanity(copy: Path, options: list[str], timeout_seconds: int) -> str:
    """ansible-test sanity in a copy of the collection; returns what it said."""
    home = ansible_test_home()
    variables = {
        "HOME": str(home),
        "PATH": f"{home / 'bin'}:{environment.variables(Path(sys.prefix))['PATH']}",
        "PIP_CACHE_DIR": str(environment.cache_root() / "pip"),
    }
    result = run_tool(
        ["ansible-test", "sanity", "--local", "--color", "no", "--truncate", "0", *options],
        "repair the named lines; this project has no sanity ignore file",
        directory=copy,
        variables=variables,
        timeout_seconds=timeout_seconds,
        noise=PIP_CHATTER,
    )
    return result.stdout + result.stderr


def test_sanity_on_every_python(collection_copy: Path) -> None:
    """ansible-test's compile and import tests on every Python of this machine that ansible-core supports."""
    said = run_sanity(collection_copy, [word for test in PER_PYTHON_TESTS for word in ("--test", test)], 1200)
    ran = set(re.findall(r'Running sanity test "(\w+)" on Python ([0-9.]+)', said))
    wanted = {(test, version) for test in PER_PYTHON_TESTS for version in interpreters()}
    refuse((f"{test} did not run on Python {version}" for test, version in sorted(wanted - ran)), f"see what ansible-test said:\n{said}")
    refuse(re.findall(r"Skipping sanity test .* because it could not be found\.", said)[: 0 if wanted <= ran else None], "install that Python")


def test_sanity(collection_copy: Path) -> None:
    """All other sanity tests of ansible-test, with nothing ignored."""
    said = run_sanity(collection_copy, [word for test in PER_PYTHON_TESTS for word in ("--skip-test", test)], 1200)
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
    """The definition pins what the lock file pins, and the collection's own version."""
    definition = read_yaml(ROOT / "execution-environment.yml")["dependencies"]
    lock = environment.LOCK.read_text()
    problems = [
        f"{definition[key]['package_pip']} is not the version of requirements/lock.txt"
        for key in ("ansible_core", "ansible_runner")
        if f"\n{definition[key]['package_pip']} " not in lock
    ]
    version = read_yaml(ROOT / "galaxy.yml")["version"]
    if {"name": "lifeboat.cluster", "version": version} not in definition["galaxy"]["collections"]:
        problems.append(f"lifeboat.cluster {version} is not among galaxy collections")
    refuse(problems, "adapt execution-environment.yml")


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
