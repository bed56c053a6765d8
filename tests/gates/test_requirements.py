# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirements, lock files and the installed environment say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.environment import REQUIREMENTS, debian_packages
from tests.gates.support import ROOT, refuse

LOCK_ADVICE = "run `make lock`"


def requirements(path: Path) -> list[Requirement]:
    """The requirements that a person wrote."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def pins(name: str) -> dict[str, str]:
    """Exact versions of a lock file."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (REQUIREMENTS / name).read_text(), flags=re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


def required_by(name: str) -> list[str]:
    """What an installed package requires; nothing when it is not installed (which another gate reports)."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def closure(start: list[Requirement]) -> Iterator[Requirement]:
    """Requirements and what the installed packages require in turn."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(requirement, frozenset[str]()) for requirement in start]
    while waiting:
        requirement, parent_extras = waiting.pop()
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in parent_extras or {""}):
            continue
        yield requirement
        extras = frozenset(requirement.extras)
        key = (canonicalize_name(requirement.name), extras)
        if key not in seen:
            seen.add(key)
            waiting += [(Requirement(text), extras) for text in required_by(requirement.name)]


def compare(lock: str, start: list[Requirement]) -> Iterator[str]:
    """What is wrong with a lock file."""
    locked = pins(lock)
    needed: set[str] = set()
    for requirement in closure(start):
        name = canonicalize_name(requirement.name)
        needed.add(name)
        if name not in locked:
            yield f"{lock} lacks {name}"
        elif not requirement.specifier.contains(locked[name], prereleases=True):
            yield f"{lock} has {name} {locked[name]}, wanted is {requirement.specifier}"
    yield from (f"{lock} has {name}, which nothing requires" for name in sorted(set(locked) - needed))


def test_lock_is_complete() -> None:
    """lock.txt is the closure of runtime.in and test.in, nothing more and nothing less, with hashes."""
    everything = requirements(REQUIREMENTS / "runtime.in") + requirements(REQUIREMENTS / "test.in")
    refuse(compare("lock.txt", everything), LOCK_ADVICE)
    bare = re.findall(r"^[A-Za-z0-9._-]+==\S+$", (REQUIREMENTS / "lock.txt").read_text(), flags=re.MULTILINE)
    refuse((f"lock.txt has no hash for {pin}" for pin in bare), LOCK_ADVICE)


def test_runtime_lock_is_complete() -> None:
    """runtime.txt is the closure of runtime.in, in the versions that the tests ran with."""
    refuse(compare("runtime.txt", requirements(REQUIREMENTS / "runtime.in")), LOCK_ADVICE)
    different = set(pins("runtime.txt").items()) - set(pins("lock.txt").items())
    refuse((f"runtime.txt has {name} {version}, lock.txt has not" for name, version in sorted(different)), LOCK_ADVICE)


def test_environment_is_the_lock() -> None:
    """These tests run with exactly the locked versions."""
    installed = {(str(canonicalize_name(distribution.name)), distribution.version) for distribution in metadata.distributions()}
    different = set(pins("lock.txt").items()) - installed
    refuse((f"{name} {version} is locked, but not installed" for name, version in sorted(different)), "run the gates through `make gates`")


def test_debian_packages_of_the_lab() -> None:
    """bindep.txt has every package that the lab asks for, so that `make` has installed it before."""
    from tests.lab.prerequisites import PROGRAMS

    refuse((f"bindep.txt lacks {package}" for package in sorted(set(PROGRAMS.values()) - set(debian_packages()))), "add it")


def test_execution_environment_requirements() -> None:
    """meta/ee-requirements.txt asks for what runtime.in asks for, except ansible-core."""
    ours = {str(requirement) for requirement in requirements(REQUIREMENTS / "runtime.in") if requirement.name != "ansible-core"}
    theirs = {str(requirement) for requirement in requirements(ROOT / "meta" / "ee-requirements.txt")}
    advice = "make meta/ee-requirements.txt equal to requirements/runtime.in"
    refuse((f"only one of both files has {requirement}" for requirement in sorted(ours ^ theirs)), advice)
