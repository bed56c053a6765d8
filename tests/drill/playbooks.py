# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the collection's playbooks as an operator does, and keeps all they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import environment
from tests.killing import kill_tree

LIMIT_SECONDS = 900.0
TAIL_LINES = 40

Line = Callable[[str], None]


@dataclass
class Finished:
    """What came of one playbook."""

    playbook: str
    status: int
    seconds: float
    log: Path
    run_directory: Path | None
    killed: bool = False
    lines: list[str] = field(repr=False, default_factory=list)

    @property
    def output(self) -> str:
        """All that it printed."""
        return "\n".join(self.lines)

    @property
    def report(self) -> dict[str, Any]:
        """The report of its run."""
        assert self.run_directory is not None, f"{self.playbook} made no run directory:\n{self.tail()}"
        loaded: dict[str, Any] = json.loads((self.run_directory / "report.json").read_text())
        return loaded

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The end of the output."""
        return "\n".join(self.lines[-lines:])

    def message(self) -> str:
        """The output with the wrapping of Ansible's errors undone, so that a sentence can be looked for in it."""
        return " ".join(" ".join(self.lines).replace("\\n", " ").split())


def _runs(directory: Path) -> set[Path]:
    return {path for path in directory.iterdir() if (path / "journal").is_dir()} if directory.is_dir() else set()


def settings(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The process environment of ansible-playbook: plain output, and nothing of Ansible or of S3 from the user's own environment."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AWS_"))}
    own.update(
        ANSIBLE_COLLECTIONS_PATH=str(environment.collection_tree()),
        ANSIBLE_FORKS="20",
        ANSIBLE_INJECT_FACT_VARS="false",  # as ansible-core 2.24 will have it
        ANSIBLE_PIPELINING="true",
        ANSIBLE_NOCOLOR="true",
        ANSIBLE_RETRY_FILES_ENABLED="false",
        ANSIBLE_LOCALHOST_WARNING="false",
        ANSIBLE_INVENTORY_UNPARSED_WARNING="false",
        ANSIBLE_SSH_RETRIES="2",
        ANSIBLE_TIMEOUT="10",
        PYTHONUNBUFFERED="1",
        LC_ALL="C.UTF-8",
    )
    own.update(more or {})
    return own


class Playbooks:
    """Starts playbooks against one inventory, with one directory for logs and one for runs."""

    def __init__(
        self,
        inventory: Path,
        logs: Path,
        runs: Path,
        variables: Mapping[str, object],
        *,
        home: Path | None = None,
        controller_environment: Mapping[str, str] | None = None,
    ) -> None:
        self.inventory = inventory
        self.logs = logs
        self.runs = runs
        self.variables = dict(variables)
        self.home = home or logs / "home"
        self._configuration = self.home / "ansible.cfg"
        self._controller_environment = dict(controller_environment or {})
        self._process: subprocess.Popen[str] | None = None

    def process_environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Everything that a playbook finds in its environment."""
        own = {"ANSIBLE_HOME": str(self.home / ".ansible"), "ANSIBLE_CONFIG": str(self._configuration)}
        return settings({**own, **self._controller_environment, **(more or {})})

    def run(
        self,
        name: str,
        variables: Mapping[str, object] | None = None,
        *,
        inventory: Path | None = None,
        check: bool = False,
        options: Sequence[str] = (),
        verbosity: int = 0,
        process_environment: Mapping[str, str] | None = None,
        on_line: Line | None = None,
        kill_when: Callable[[str], bool] | None = None,
        limit_seconds: float = LIMIT_SECONDS,
        on_start: Callable[[int], None] | None = None,
    ) -> Finished:
        """Run a playbook of the collection by its full name to its end, or kill its whole process group at the first line that asks for it."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)
        number = len(list(self.logs.glob("*.log"))) + 1
        log = self.logs / f"{number:02d}-{name}.log"
        everything = {"lifeboat_runs_directory": str(self.runs), **self.variables, **(variables or {})}
        extra = self.logs / f"{number:02d}-{name}.json"
        extra.touch(mode=0o600)
        extra.write_text(json.dumps({key: value for key, value in everything.items() if value is not None}, indent=2))
        runs = Path(str(everything["lifeboat_runs_directory"]))
        before = _runs(runs)
        command = [str(Path(sys.executable).with_name("ansible-playbook")), f"lifeboat.cluster.{name}", "--inventory", str(inventory or self.inventory)]
        command += ["--extra-vars", f"@{extra}", *(["--check", "--diff"] if check else []), *(["-" + "v" * verbosity] if verbosity else []), *options]
        self._configuration.write_text("# Nothing from the user's own configuration.\n")
        begin = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=self.home,
            env=self.process_environment(process_environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._process = process
        if on_start:
            on_start(process.pid)
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            kill_tree(process.pid)

        timer = threading.Timer(limit_seconds, expire)
        timer.daemon = True
        timer.start()
        lines: list[str] = []
        killed = False
        try:
            assert process.stdout is not None
            with log.open("w") as file:
                for raw in process.stdout:
                    line = raw.rstrip("\n")
                    lines.append(line)
                    file.write(raw)
                    file.flush()
                    if on_line:
                        on_line(line)
                    if kill_when and not killed and kill_when(line):
                        killed = True
                        kill_tree(process.pid)
            status = process.wait()
        finally:
            timer.cancel()
            # Whatever happened here, nothing of it goes on in the background.
            if process.poll() is None:
                kill_tree(process.pid)
            process.wait()
            self._process = None
        if expired.is_set():
            raise TimeoutError(f"{name} did not end within {limit_seconds:.0f} s; see {log}\n" + "\n".join(lines[-TAIL_LINES:]))
        new = sorted(_runs(runs) - before)
        return Finished(name, status, time.monotonic() - begin, log, new[-1] if new else None, killed, lines)
