# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual environments with other ansible-cores than the one of lock.txt, on other Pythons.

Standard library only. Which Pythons there are differs by machine: one on the PATH or of pyenv is taken, and where there is no Python 3.13, that of Debian 13
is unpacked. Nothing gives a machine a Python 3.12 that it does not have (Debian 12 and 13 are without it, and no package index has an interpreter), so what
runs on 3.12 runs where there is one.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests import debian_python, environment

PYTHONS = ("3.11", "3.12", "3.13")
# What lock.txt has; `cells` proves it.
OLDEST = "2.19"
SUPPORTED = tuple(series for series in environment.CORE_LOCKS if series != environment.REFUSED_CORE)
NEWEST = SUPPORTED[-1]


@cache
def python_of(version: str) -> Path | None:
    """An interpreter of this version."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    candidates = [Path(part) / f"python{version}" for part in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    candidates += sorted(pyenv.glob(f"{version}.*/bin/python{version}"))
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and _runs(candidate, version):
            return candidate
    return debian_python.python() if version == debian_python.VERSION else None


def _runs(candidate: Path, version: str) -> bool:
    """A pyenv shim is there for every version that any project has; Debian's python3 without python3-venv makes no environments."""
    probe = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run([candidate, "-I", "-c", probe], capture_output=True, text=True, check=False)
    return answer.stdout.strip() == version


@dataclass(frozen=True)
class Cell:
    """One ansible-core on one Python."""

    core: str
    python: str

    def __str__(self) -> str:
        return f"core {self.core} on Python {self.python}"

    def directory(self) -> Path:
        """Its virtual environment, made first when it is missing."""
        return build(self.python, environment.core_lock(self.core)) if self.core in environment.CORE_LOCKS else environment.build_venv()

    def variables(self) -> dict[str, str]:
        """The process environment inside."""
        return environment.variables(self.directory())


def own() -> Cell:
    """The environment of lock.txt, in which every other suite runs."""
    return Cell(OLDEST, f"{sys.version_info[0]}.{sys.version_info[1]}")


def others() -> list[Cell]:
    """Every supported ansible-core but that of lock.txt, on every Python that is here and that it runs on."""
    return [Cell(core, python) for core in SUPPORTED for python in PYTHONS if _at_least(python, environment.CORE_LOCKS[core]) and python_of(python)]


def usual() -> list[Cell]:
    """One Python for each of them: the newest core on the newest Python, the others on the oldest."""
    found = others()
    chosen = [[cell for cell in found if cell.core == core][-1 if core == NEWEST else 0] for core in SUPPORTED]
    return chosen


def newest() -> Cell:
    """What a new user gets."""
    return usual()[-1]


def refused() -> Cell:
    """An ansible-core that is too old."""
    return Cell(environment.REFUSED_CORE, environment.CORE_LOCKS[environment.REFUSED_CORE])


def _at_least(version: str, bound: str) -> bool:
    return [int(number) for number in version.split(".")] >= [int(number) for number in bound.split(".")]


def build(python: str, lock: Path, core: str = "") -> Path:
    """A virtual environment with exactly what a lock file says; with ``core``, that very ansible-core instead."""
    interpreter = python_of(python)
    if interpreter is None:
        raise environment.EnvironmentFailure(f"There is no Python {python} on this machine\nWhat to do: put one on the PATH.")
    told = subprocess.run([interpreter, "-I", "-c", "import sys; print(sys.version, sys.base_prefix)"], capture_output=True, text=True, check=True).stdout
    identity = f"{lock.read_text()}\n{told}\n{core}"
    directory = environment.cache_root() / f"venv-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"

    def make() -> None:
        environment.run([str(interpreter), "-m", "venv", "--without-pip", str(directory)], f"does {interpreter} have its standard library?")
        # pip of the environment of lock.txt works into the other one: no interpreter has to bring a pip.
        pip = [str(environment.build_venv() / "bin" / "python"), "-m", "pip", "--python", str(directory / "bin" / "python")]
        environment.install(pip, lock)
        if core:
            command = [*pip, "--disable-pip-version-check", "install", "--quiet", "--no-input", f"ansible-core=={core}"]
            environment.run(command, "is the package index within reach?")

    return environment.made_once(directory, make)


def newest_release(cell: Cell) -> str:
    """The newest ansible-core that pip finds for the Python of a cell."""
    pip = [str(environment.build_venv() / "bin" / "python"), "-m", "pip", "--python", str(cell.directory() / "bin" / "python"), "--disable-pip-version-check"]
    answer = subprocess.run([*pip, "index", "versions", "ansible-core"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    found = re.match(r"ansible-core \(([0-9.]+)\)", answer.stdout)
    if not found:
        raise environment.EnvironmentFailure(
            f"pip does not tell the newest ansible-core\nFound: {answer.stdout[-300:]}{answer.stderr[-600:]}\nWhat to do: is the package index within reach?"
        )
    return found[1]


def cells(everything: bool) -> Iterator[Cell]:
    """What has to be made before the suites run: the short one, or all of them."""
    yield refused()
    yield from others() if everything else usual()


def prepare(everything: bool) -> None:
    """Make them, and say on which Python nothing can run here."""
    if f"\nansible-core=={OLDEST}." not in environment.LOCK.read_text():
        raise environment.EnvironmentFailure(
            f"{environment.LOCK.name} does not have ansible-core {OLDEST}\nWhat to do: make OLDEST in tests/core_environments.py what it has."
        )
    for cell in cells(everything):
        cell.directory()
    missing = [python for python in PYTHONS if not python_of(python)]
    if missing:
        print(f"no Python {', '.join(missing)} on this machine: nothing runs on it", flush=True)


def main() -> int:
    """Command line: print the directory of each environment, made first."""
    argparse.ArgumentParser(prog="python3 -m tests.core_environments", description=main.__doc__).parse_args()
    try:
        prepare(everything=True)
        for cell in [own(), *cells(everything=True)]:
            print(f"{cell}: {cell.directory()}")
    except environment.EnvironmentFailure as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
