# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-playbook as a user does: no terminal, no colours, and whatever Ansible keeps for itself below one directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LIMIT_SECONDS = 300
# What Ansible says of us: that something will be taken away, or that a result has a name that is its own.
REFUSED = ("[DEPRECATION WARNING]", "[WARNING]: Value for result key", "[WARNING]: Removed reserved key")
PROGRAM = str(Path(sys.executable).with_name("ansible-playbook"))


def environment(directory: Path, **more: str) -> dict[str, str]:
    """The environment of Ansible."""
    fixed = {"ANSIBLE_NOCOLOR": "true", "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_HOME": str(directory / "home")}
    return {**os.environ, **fixed, **more}


def play(directory: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end in the directory, with ``more`` in its environment; both streams are in ``stdout``."""
    return run([PROGRAM, *arguments], directory, environment(directory, **more))


def run(command: list[str], directory: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The same for a command that may begin with other programs, and with exactly this environment. Ansible may complain of nothing that is ours."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert not any(text in done.stdout for text in REFUSED), done.stdout
    return done
