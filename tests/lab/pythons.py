# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait python: a layer with another Python than that of the operating system, which is hidden. As `make altinstall` puts it: below /usr/local."""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from .cache import Cache, key_of, source_text
from .commands import run
from .errors import LabError
from .layered import below
from .machines import BareMachine
from .paths import SOURCE
from .progress import Progress
from .traits import PYTHONS, Traits

# Of the operating system: what is left of it is a library without a program.
HIDDEN = ("usr/bin/python3", "usr/bin/python3.11")
# What no module of Ansible needs, a third of it all.
_LEFT_OUT = ("__pycache__", "test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo", "site-packages", "ensurepip", "config-*")
_ASK = """\
import json, os, sys, sysconfig
said = sysconfig.get_config_var
library = os.path.join(said("LIBDIR"), said("INSTSONAME")) if said("Py_ENABLE_SHARED") else ""
print(json.dumps({"version": "%d.%d" % sys.version_info[:2], "whole": sys.version, "standard": sysconfig.get_path("stdlib"), "library": library,
                  "program": os.path.realpath(sys.executable)}))
"""


@dataclass(frozen=True)
class Installed:
    """A Python of this machine: its program, its standard library, and the shared library if it has one."""

    version: str
    whole: str
    program: Path
    standard: Path
    library: Path | None


def candidates(version: str) -> list[Path]:
    """Where a Python of this machine may be: on the PATH, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    # A shim of pyenv asks the directory that it is started in which version it is.
    found = [Path(part) / f"python{version}" for part in os.environ["PATH"].split(os.pathsep) if Path(part).name != "shims"]
    return [path for path in (*found, *sorted(pyenv.glob(f"{version}.*/bin/python{version}"))) if os.access(path, os.X_OK)]


def _ask(program: Path) -> Installed:
    said = json.loads(run([program, "-I", "-c", _ASK]).stdout)
    return Installed(said["version"], said["whole"], Path(said["program"]), Path(said["standard"]), Path(said["library"]) if said["library"] else None)


def installed(version: str) -> Installed | None:
    """The Python of a version on this machine; None without one."""
    for program in candidates(version):
        found = _ask(program)
        if found.version == version:
            return found
    return None


def _key(found: Installed) -> str:
    return key_of(source_text(SOURCE / "pythons.py"), found.whole, str(found.program))


def present_pythons(cache: Cache) -> list[Path]:
    """The entries of the Pythons that this machine has."""
    return [cache.path("python", _key(found)) for found in map(installed, PYTHONS) if found is not None]


def write_layer(found: Installed, layer: Path) -> None:
    """Program, standard library and shared library, and what has to be invisible."""
    target = layer / "usr/local/bin" / f"python{found.version}"
    target.parent.mkdir(parents=True)
    shutil.copy2(found.program, target)
    shutil.copytree(found.standard, layer / "usr/local/lib" / found.standard.name, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    if found.library is not None:
        # Where the dynamic linker looks without being told.
        library = layer / "usr/lib" / found.library.name
        library.parent.mkdir(parents=True)
        shutil.copy2(found.library, library)
    for name in HIDDEN:
        (layer / name).parent.mkdir(parents=True, exist_ok=True)
        os.mknod(layer / name, stat.S_IFCHR, os.makedev(0, 0))
    for directory, _names, _files in os.walk(layer):
        # Whatever this machine's umask is.
        Path(directory).chmod(0o755)


def with_python(machine: BareMachine, traits: Traits, cache: Cache, progress: Progress) -> BareMachine:
    """The machine of a lab: with the Python that the trait names, or as it is."""
    version = traits.value("python")
    if not version:
        return machine
    found = installed(version)
    if found is None:
        where = "neither the PATH nor pyenv has it"
        raise LabError(f"find Python {version} for the machines", where, f"install it, for example with: pyenv install {version}; or name another version")

    def build(directory: Path) -> None:
        progress(f"copying Python {found.version} for the machines (once)")
        write_layer(found, directory / "layer")

    return below(cache.entry("python", _key(found), build), machine)
