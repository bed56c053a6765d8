# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command of this project runs in: Debian packages, a virtual environment, a tree with the collection in it.

Standard library only, because it runs before anything is installed. All steps are safe to repeat and to run twice at once, and cost
nothing when there is nothing to do.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PACKAGES = ROOT / "bindep.txt"
REQUIREMENTS = ROOT / "requirements"
LOCK = REQUIREMENTS / "lock.txt"
MINIMUM_PYTHON = (3, 11)
PIP_TOOLS = "pip-tools==7.6.2"
# Resolves for Pythons that are not on this machine.
UV = "uv==0.13.9"
# The ansible-cores with a lock file of their own, in which the suites `cores` and `all_cores` run, and the Python from which on each runs. The newest comes
# last; the first is one that the collection refuses. lock.txt has 2.19.
CORE_LOCKS = {"2.18": "3.11", "2.20": "3.12", "2.21": "3.12"}
REFUSED_CORE = "2.18"


class EnvironmentFailure(Exception):
    """The environment could not be made; the text says why and what to do."""


def cache_root() -> Path:
    """What is expensive to make and can be made again."""
    return Path(os.environ.get("LIFEBOAT_CACHE") or "~/.cache/lifeboat").expanduser().resolve()


def lab_name(suite: str) -> str:
    """The name of a suite's lab, which no other checkout's has: a lab of the same name is thrown away."""
    return f"{suite}-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; the kernel drops it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that holds {path}", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str], advice: str, environment: dict[str, str] | None = None) -> None:
    """Run a program with its output on the screen; no standard input."""
    sys.stdout.flush()
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, env=environment, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EnvironmentFailure(f"{error}\nWhat to do: {advice}") from error


def debian_packages() -> list[str]:
    """The packages that bindep.txt names for Debian."""
    lines = (line.split("#")[0].split() for line in PACKAGES.read_text().splitlines())
    return [words[0] for words in lines if words]


def missing_packages() -> list[str]:
    """Those of them that are not installed."""
    wanted = debian_packages()
    query = subprocess.run(["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *wanted], capture_output=True, text=True, check=False)
    installed = {line.split()[0] for line in query.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in installed]


def install_packages() -> None:
    """Install what is missing, as root on Debian; elsewhere say what is missing and go on."""
    if not shutil.which("dpkg-query") or not shutil.which("apt-get"):
        print(f"not a Debian system: the programs of {PACKAGES.name} have to be there already", flush=True)
        return
    missing = missing_packages()
    if not missing:
        return
    if os.geteuid() != 0:
        raise EnvironmentFailure(f"These Debian packages are missing: {' '.join(missing)}\nWhat to do: run this command as root, or have them installed.")
    with locked(cache_root() / "packages.lock"):
        missing = missing_packages()
        if not missing:
            return
        print(f"installing {' '.join(missing)}", flush=True)
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive", NEEDRESTART_SUSPEND="1")
        wait = ("-o", "DPkg::Lock::Timeout=600")
        advice = f"see the lines above; the package names come from {PACKAGES.name}"
        run(["apt-get", *wait, "-q", "update"], advice, environment)
        run(["apt-get", *wait, "-q", "install", "--yes", "--no-install-recommends", *missing], advice, environment)


def venv_directory() -> Path:
    """One directory per lock file and Python."""
    identity = f"{LOCK.read_text()}\n{sys.version}\n{sys.base_prefix}"
    return cache_root() / f"venv-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def build_venv() -> Path:
    """The virtual environment with exactly what the lock file says; a build that was killed is done again."""
    if sys.version_info < MINIMUM_PYTHON:
        raise EnvironmentFailure(f"{sys.executable} is Python {sys.version.split()[0]}\nWhat to do: run make with PYTHON=python3.11 or newer.")
    directory = venv_directory()

    def build() -> None:
        venv.create(directory, with_pip=True, symlinks=True)
        install([str(directory / "bin" / "python"), "-m", "pip"], LOCK)

    return made_once(directory, build)


def made_once(directory: Path, build: Callable[[], None]) -> Path:
    """A virtual environment in the cache: whole or made anew, and made by one process at a time."""
    complete = directory / ".complete"
    if complete.exists():
        return directory
    with locked(directory.with_suffix(".lock")):
        if not complete.exists():
            print(f"building the virtual environment {directory}", flush=True)
            shutil.rmtree(directory, ignore_errors=True)
            build()
            complete.touch()
    return directory


def install(pip: Sequence[str], lock: Path) -> None:
    """Exactly what a lock file says."""
    pip = [*pip, "--disable-pip-version-check"]
    run(
        [*pip, "install", "--quiet", "--no-input", "--no-deps", "--require-hashes", "--requirement", str(lock)],
        "is the package index within reach? A changed requirements/*.in needs `make lock`.",
    )
    run([*pip, "check"], f"the versions in {lock.name} contradict each other: run `make lock`")


def collection_tree() -> Path:
    """A collections path in which this checkout is lifeboat.cluster (a link, so that it is never stale)."""
    tree = BUILD / "collections"
    link = tree / "ansible_collections" / "lifeboat" / "cluster"
    target = os.path.relpath(ROOT, link.parent)
    if not link.is_symlink() or os.readlink(link) != target:
        link.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=link.parent) as scratch:
            fresh = Path(scratch) / "link"
            fresh.symlink_to(target)
            os.replace(fresh, link)
    return tree


def project_files() -> list[str]:
    """Every file of the project as git would commit it now: tracked or new, and not ignored."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        raise EnvironmentFailure(f"{' '.join(command)}: {listing.stderr.decode()}What to do: run from a git checkout.")
    names = sorted({os.fsdecode(name) for name in listing.stdout.split(b"\0") if name})
    return [name for name in names if os.path.lexists(ROOT / name)]


def copy_collection(destination: Path) -> Path:
    """A real copy of the project under ``destination/ansible_collections``, for tools that refuse a link."""
    copy = destination / "ansible_collections" / "lifeboat" / "cluster"
    for name in project_files():
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return copy


def variables(directory: Path) -> dict[str, str]:
    """The process environment inside the virtual environment."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "ANSIBLE_CONFIG", "VIRTUAL_ENV")}
    environment.update(
        VIRTUAL_ENV=str(directory),
        PATH=os.pathsep.join((str(directory / "bin"), environment.get("PATH", os.defpath))),
        ANSIBLE_COLLECTIONS_PATH=str(collection_tree()),
        LIFEBOAT_CACHE=str(cache_root()),
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONUNBUFFERED="1",
        LC_ALL="C.UTF-8",
    )
    return environment


def prepare() -> dict[str, str]:
    """Everything; returns the process environment to run in."""
    install_packages()
    return variables(build_venv())


def core_lock(series: str) -> Path:
    """The lock file of an ansible-core."""
    return REQUIREMENTS / "cores" / f"{series}.txt"


def write_core_locks(scratch: Path) -> None:
    """The same packages with other ansible-cores, for every Python that runs them: the versions of lock.txt, as far as the core does not ask for others."""
    python = scratch / "bin" / "python"
    run([str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", UV], "is the package index within reach?")
    pinned = re.findall(r"^[A-Za-z0-9._-]+==[^ ;\\]+", LOCK.read_text(), flags=re.MULTILINE)
    constraints = scratch / "constraints.txt"
    constraints.write_text("\n".join(pin for pin in pinned if re.split("==", pin)[0] not in ("ansible-core", "resolvelib")))
    options = ["--universal", "--generate-hashes", "--no-annotate", "--no-header", "--quiet", "--no-emit-package", "pip", "--constraint", str(constraints)]
    # As pip does on Debian, it trusts the certificates of the system.
    environment = {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt", **os.environ}
    for series, python_version in CORE_LOCKS.items():
        wanted = scratch / f"core-{series}.in"
        wanted.write_text(f"ansible-core=={series}.*\n")
        sources = [str(wanted)] if series == REFUSED_CORE else [str(wanted), "requirements/runtime.in", "requirements/cores/test.in"]
        command = [str(scratch / "bin" / "uv"), "pip", "compile", *options, "--python-version", python_version, "--output-file", str(core_lock(series))]
        run([*command, *sources], "see the lines above", environment)


def write_locks() -> None:
    """Pin the closure of the requirements; keeps every pin that still fits (remove a line to have it looked up again)."""
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(scratch, with_pip=True, symlinks=True)
        python = str(Path(scratch) / "bin" / "python")
        run([python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", PIP_TOOLS], "is the package index within reach?")
        options = ["--quiet", "--generate-hashes", "--strip-extras", "--allow-unsafe"]
        options += ["--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host"]
        environment = dict(os.environ, CUSTOM_COMPILE_COMMAND="make lock")
        for output, arguments in (
            ("lock.txt", ["runtime.in", "test.in"]),
            ("runtime.txt", ["--constraint", "lock.txt", "runtime.in"]),
            ("salt.txt", ["salt.in"]),
        ):
            command = [python, "-m", "piptools", "compile", *options, "--output-file", f"requirements/{output}"]
            run([*command, *(word if word.startswith("-") else f"requirements/{word}" for word in arguments)], "see the lines above", environment)
        write_core_locks(Path(scratch))


def main() -> int:
    """Command line: `python3 -m tests.environment --help`."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.environment", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("packages", help="install missing Debian packages")
    verbs.add_parser("prepare", help="make everything and print the virtual environment's directory")
    verbs.add_parser("lock", help="write the lock files in requirements/")
    execute = verbs.add_parser("run", help="make everything and run a command in it")
    execute.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    try:
        if arguments.verb == "packages":
            install_packages()
        elif arguments.verb == "lock":
            write_locks()
        else:
            environment = prepare()
            if arguments.verb == "run":
                sys.stdout.flush()
                os.execvpe(arguments.command[0], arguments.command, environment)
            print(environment["VIRTUAL_ENV"])
    except EnvironmentFailure as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
