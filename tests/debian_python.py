# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python of Debian 13 on a Debian 12 machine: unpacked into the cache with the C library that it wants, beside the system's own.

Standard library only, because it runs before anything is installed. apt gets a state of its own, so that this machine's packages are neither asked nor changed;
it checks signatures as always.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests import environment

VERSION = "3.13"
SUITE = "trixie"
PACKAGES = (f"python{VERSION}",)
SOURCES = Path("/etc/apt")

# Every path that apt would else take from this machine.
APT = """\
Dir::Etc::SourceList "{state}/sources.list";
Dir::Etc::SourceParts "{state}/parts";
Dir::Etc::Preferences "{state}/preferences";
Dir::Etc::PreferencesParts "{state}/parts";
Dir::State::Lists "{state}/lists";
Dir::State::status "{state}/status";
Dir::Cache::Archives "{state}/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Debug::NoLocking "true";
"""


def mirror() -> str:
    """The Debian mirror that this machine uses."""
    for file in sorted([SOURCES / "sources.list", *(SOURCES / "sources.list.d").glob("*")]):
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        text = re.sub(r"^\s*#.*$", "", file.read_text(errors="replace"), flags=re.MULTILINE)
        for found in re.finditer(r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s+)?)(\S+/debian)/?(?:\s|$)", text, flags=re.MULTILINE):
            return found[1]
    raise environment.EnvironmentFailure(
        f"No Debian mirror is named in {SOURCES}/sources.list*: Python {VERSION} comes from there\n"
        f"What to do: set up apt for Debian, or install a Python {VERSION} that is on the PATH."
    )


def root() -> Path:
    """Where its files are; made first when they are missing."""
    recipe = "\n".join((Path(__file__).read_text(), mirror()))
    directory = environment.cache_root() / f"debian-python-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    complete = directory / ".complete"
    if complete.exists():
        return directory
    with environment.locked(directory.with_suffix(".lock")):
        if not complete.exists():
            print(f"unpacking Python {VERSION} of Debian {SUITE} into {directory}", flush=True)
            shutil.rmtree(directory, ignore_errors=True)
            _build(directory)
            complete.touch()
    return directory


def python() -> Path:
    """Its interpreter."""
    return root() / "usr" / "bin" / f"python{VERSION}"


def _build(directory: Path) -> None:
    state = directory / "apt"
    for name in ("lists/partial", "archives/partial", "parts"):
        (state / name).mkdir(parents=True)
    (state / "status").touch()
    (state / "sources.list").write_text(f"deb {mirror()} {SUITE} main\n")
    (state / "apt.conf").write_text(APT.format(state=state))
    variables = {**os.environ, "APT_CONFIG": str(state / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"}
    advice = f"is the Debian mirror of this machine ({mirror()}) within reach, and is its keyring (debian-archive-keyring) as new as Debian {SUITE}?"
    environment.run(["apt-get", "-qq", "update"], advice, variables)
    environment.run(["apt-get", "-qq", "--yes", "--download-only", "--no-install-recommends", "install", *PACKAGES], advice, variables)
    for archive in sorted((state / "archives").glob("*.deb")):
        environment.run(["dpkg-deb", "--extract", str(archive), str(directory)], "is the disk full?")
    shutil.rmtree(state)
    libraries = next((directory / "usr" / "lib").glob("*-linux-gnu"))
    loader = next(libraries.glob("ld-linux-*.so.*"))
    program = directory / "usr" / "bin" / f"python{VERSION}"
    real = program.rename(program.with_name(f"{program.name}.bin"))
    # Started by its own loader, and known to itself by the name under which it was called (a virtual environment's, too). Programs that it starts keep the
    # libraries of the system. (patchelf breaks this program.)
    program.write_text(f'#!/bin/sh\nexec {loader} --library-path {libraries} --argv0 "$0" {real} "$@"\n')
    program.chmod(0o755)
    proof = "import ssl, sqlite3, ctypes, lzma, sys; print('%d.%d' % sys.version_info[:2])"
    check = subprocess.run([program, "-I", "-c", proof], capture_output=True, text=True, check=False)
    if check.stdout.strip() != VERSION:
        raise environment.EnvironmentFailure(
            f"{program} does not run\nFound: {check.stdout}{check.stderr}\nWhat to do: install a Python {VERSION} that is on the PATH; it is taken first."
        )
