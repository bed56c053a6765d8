# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a service's own programs where the service is: on the host itself, or in its container.

Secret values go in by standard input or by the environment, never by the arguments, which every user of the host can read.
"""

from __future__ import annotations

import dataclasses
import os
from typing import IO, Any, Dict, List, Mapping, Optional, Sequence, Union

from ansible_collections.lifeboat.cluster.plugins.module_utils._system import programs
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import SEARCH_PATH, find_program
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

DEFAULT_SECONDS = 60.0
# Options of all modules that run programs of a service; documented in the fragment inside.
INSIDE_ARGUMENTS: Dict[str, Any] = {
    "container": {"type": "str", "default": ""},
    "container_runtime": {"type": "str", "default": "docker"},
    "search_path": {"type": "list", "elements": "path", "default": []},
}
_TAIL = 2000


class ProgramError(LifeboatError):
    """A program could not be run, did not end in time, or said that it failed."""


@dataclasses.dataclass(frozen=True)
class Done:
    """What a program that ended left: its status, what it printed (empty where the output went to a file), what it complained about."""

    status: int
    output: bytes
    complaint: str

    @property
    def text(self) -> str:
        """The output as text; what is no UTF-8 is replaced."""
        return self.output.decode("utf-8", "replace")


@dataclasses.dataclass(frozen=True)
class Inside:
    """Where the programs of a service are.

    ``container`` is the container's name as the kubelet gives it (``k8s_<container>_<pod>_...``, kubernetes/kubernetes
    pkg/kubelet/dockershim/naming.go) or its plain name; empty means the host itself. ``runtime`` is docker or a program with its
    commands. ``search`` are directories that are looked through first.
    """

    container: str = ""
    runtime: str = "docker"
    search: Sequence[str] = ()

    @classmethod
    def of_params(cls, params: Mapping[str, Any]) -> Inside:
        """Out of a module's parameters."""
        return cls(params["container"], params["container_runtime"], tuple(params["search_path"]))

    @property
    def where(self) -> str:
        """For texts."""
        return "container %s" % self.container if self.container else "this host"

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Optional[Mapping[str, str]] = None,
        stdin: Union[bytes, IO[bytes], None] = None,
        stdout: Optional[IO[bytes]] = None,
        timeout_seconds: float = DEFAULT_SECONDS,
        statuses: Sequence[int] = (0,),
    ) -> Done:
        """Run a program to its end.

        ``stdin`` is bytes or an open file; ``stdout`` an open file that takes the output instead of memory. Raises ProgramError when
        the program is missing, takes longer than the time, or ends with a status that is not in ``statuses``.
        """
        variables = dict(environment or {})
        arguments = self._arguments(list(command), variables, stdin is not None)
        try:
            done = programs.run(arguments, environment={**os.environ, "LC_ALL": "C", **variables}, stdin=stdin, stdout=stdout, timeout_seconds=timeout_seconds)
        except programs.TooLong:
            raise self._error(
                command, "it did not end within %d seconds" % timeout_seconds, "Look why it hangs: a lock, or a server that does not answer."
            ) from None
        except OSError as error:
            raise self._error(command, error.strerror or str(error), "Install the program, or name the container that has it.") from error
        complaint = done.stderr.decode("utf-8", "replace").strip()[-_TAIL:]
        if done.returncode not in statuses:
            raise self._error(command, "exit status %d: %s" % (done.returncode, complaint or "it said nothing"), "See what it says.")
        return Done(done.returncode, done.stdout or b"", complaint)

    def has(self, program: str) -> bool:
        """Whether a program is there."""
        if not self.container:
            return bool(self._find(program))
        return self.run(["sh", "-c", 'command -v "$1"', "sh", program], statuses=(0, 1, 127)).status == 0

    def first(self, *programs: str) -> str:
        """The first of these programs that is there, as a shell beside it can call it. Raises ProgramError when none is."""
        for program in programs:
            if self.has(program):
                return program if self.container else self._find(program)
        raise self._error(
            list(programs[:1]), "none of %s (looked in %s)" % (", ".join(programs), self._path()), "Install the program, or name the container that has it."
        )

    def _arguments(self, command: List[str], variables: Mapping[str, str], interactive: bool) -> List[str]:
        if not self.container:
            program = self._find(command[0])
            if not program:
                raise self._error(
                    command, "%s is not on this host (looked in %s)" % (command[0], self._path()), "Install the program, or name the container that has it."
                )
            return [program, *command[1:]]
        options = ["--interactive"] if interactive else []
        for name in variables:
            # By name only: docker takes the value out of its own environment.
            options += ["--env", name]
        return [self._runtime(), "exec", *options, self.container_id(), *command]

    def container_id(self) -> str:
        """The id of the one running container of that name; raises ProgramError when there is none, or more than one."""
        listing = programs.run([self._runtime(), "ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}"], timeout_seconds=DEFAULT_SECONDS)
        if listing.returncode:
            raise self._error([self.runtime, "ps"], listing.stderr.decode("utf-8", "replace").strip()[-_TAIL:], "Start the container runtime.")
        lines = [line.split() for line in listing.stdout.decode("utf-8", "replace").splitlines()]
        found = [line[0] for line in lines if len(line) == 2 and (line[1] == self.container or line[1].startswith("k8s_%s_" % self.container))]
        if len(found) != 1:
            names = ", ".join(line[-1] for line in lines) or "no container"
            raise self._error(
                [self.runtime, "ps"], "%d containers of the name %s among: %s" % (len(found), self.container, names), "Start the service whose container it is."
            )
        return found[0]

    def _runtime(self) -> str:
        program = find_program(self.runtime)
        if not program:
            raise self._error(
                [self.runtime], "%s is not on this host" % self.runtime, "Name the program that runs commands in containers, or leave the container empty."
            )
        return program

    def _path(self) -> str:
        return os.pathsep.join([*self.search, os.environ.get("PATH", ""), SEARCH_PATH])

    def _find(self, program: str) -> str:
        for directory in self.search:
            path = os.path.join(directory, program)
            if os.access(path, os.X_OK):
                return path
        return find_program(program)

    def _error(self, command: Sequence[str], found: str, remedy: str) -> ProgramError:
        return ProgramError(
            "%s failed in %s." % (command[0], self.where) if self.container else "%s failed on this host." % command[0],
            tried=" ".join(command),
            found=found,
            remedy=remedy,
        )
