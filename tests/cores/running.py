# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tests and playbooks of this project in the environment of another ansible-core."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import environment, run
from tests.core_environments import Cell

# What speaks with Ansible itself, and one whole playbook run.
SHORT = (
    "tests/unit/plugins/action",
    "tests/unit/plugins/filter",
    "tests/unit/plugins/modules",
    "tests/unit/plugins/plugin_utils",
    "tests/integration/evidence/test_role_checks.py",
)
# What a core or a Python could change.
LONG = (
    "tests/unit",
    "tests/integration/evidence",
    "tests/integration/recovery_point/test_list_and_verify.py",
    "tests/integration/recovery_point/test_user_input.py",
)
TAIL_CHARACTERS = 20_000


def variables(directory: Path) -> dict[str, str]:
    """The process environment of a virtual environment; that of the pytest that runs us stays out."""
    own = {name: value for name, value in environment.variables(directory).items() if not name.startswith("PYTEST_")}
    # What tests of the locked core have seen is recorded by their own suites.
    own.pop("LIFEBOAT_CHECKS_SEEN", None)
    return own


def passes(directory: Path, paths: Sequence[str], junit: Path, workers: int = 1) -> int:
    """Run tests in a virtual environment; fails with what pytest said, or returns how many passed."""
    command = [str(directory / "bin" / "python"), "-m", "pytest", "-q", f"--junitxml={junit}", f"--numprocesses={workers}", *paths]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, cwd=environment.ROOT, env=variables(directory), text=True, check=False, **streams)
    assert done.returncode == 0, done.stdout[-TAIL_CHARACTERS:]
    passed, failed = run.read_junit(junit)
    assert not failed, failed
    assert passed > 0, done.stdout[-TAIL_CHARACTERS:]
    return passed


def version(directory: Path) -> tuple[str, str]:
    """Which ansible-core and which Python really run there."""
    probe = "import sys, ansible.release; print(ansible.release.__version__, '%d.%d' % sys.version_info[:2])"
    core, python = subprocess.run([directory / "bin" / "python", "-I", "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    return core, python


def fits(cell: Cell) -> bool:
    """Whether a cell is what it is called."""
    core, python = version(cell.directory())
    return core.startswith(f"{cell.core}.") and python == cell.python


def playbook(directory: Path, home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook of a virtual environment; both streams are in ``stdout``."""
    fixed: Mapping[str, str] = {"ANSIBLE_NOCOLOR": "true", "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_HOME": str(home / "ansible"), "PWD": str(home)}
    return subprocess.run(
        [str(directory / "bin" / "ansible-playbook"), *arguments],
        cwd=home,
        env={**variables(directory), **fixed, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
