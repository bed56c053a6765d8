# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controllers in containers of one machine, and a machine whose /var/lib/lifeboat is a directory of the test."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration import playbooks
from tests.integration.evidence.playground import Playground
from tests.killing import kill_tree

# /var/lib of its own, with the directory that is named first in it; then the rest of the command line.
_MACHINE = 'mount -t tmpfs lifeboat-test /var/lib && mkdir /var/lib/lifeboat && mount --bind "$1" /var/lib/lifeboat && shift && exec "$@"'
_CONTAINER = ("--pid", "--fork", "--mount-proc", "--kill-child")


class Machine(Playground):
    """A playground whose hosts have the directory ``state`` as their /var/lib/lifeboat."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.state = directory / "lifeboat"
        self.state.mkdir()

    def inside(self, command: list[str], container: bool = False) -> list[str]:
        """The command on this machine; in a container of its own, where other processes have other numbers."""
        return ["unshare", "--mount", *(_CONTAINER if container else ()), "sh", "-c", _MACHINE, "sh", str(self.state), *command]

    def on_machine(self, playbook: str, *arguments: str, container: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook given as text to its end."""
        return playbooks.run(self.inside(self.command(playbook, *arguments), container), self.directory, self.variables(**variables))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def begin(machine: Machine) -> Iterator[Begin]:
    """Begins a playbook that goes on; whatever is left of it is killed in the end."""
    begun: list[subprocess.Popen[str]] = []

    def start(playbook: str, *arguments: str, container: bool = False) -> subprocess.Popen[str]:
        output = (machine.directory / f"output-{len(begun)}").open("w")
        process = subprocess.Popen(
            machine.inside(machine.command(playbook, *arguments), container),
            cwd=machine.directory,
            env=machine.variables(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            text=True,
        )
        output.close()
        begun.append(process)
        return process

    yield start
    for process in begun:
        kill_tree(process.pid)
        process.wait(playbooks.LIMIT_SECONDS)
