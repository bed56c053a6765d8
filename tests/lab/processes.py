# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of the lab: started through launch.py, known by pid and start time, ended by that and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .launch import start_time
from .locks import HELD
from .paths import SOURCE

LAUNCHER = (sys.executable, "-I", "-S", str(SOURCE / "launch.py"))
PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "private")


@dataclass(frozen=True)
class Identity:
    """A pid alone is reused by the kernel; with the start time it names one process for ever."""

    pid: int
    start: str

    def alive(self) -> bool:
        """Whether just this process still runs (a zombie does not)."""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text()
            return start_time(self.pid) == self.start and text.rpartition(")")[2].split()[0] not in ("Z", "X")
        except (FileNotFoundError, ProcessLookupError):
            return False


def read_identity(record: Path) -> Identity | None:
    """What a record file says, None when there is none."""
    try:
        data = json.loads(record.read_text())
    except FileNotFoundError:
        return None
    return Identity(int(data["pid"]), str(data["start"]))


def children(identity: Identity) -> list[Identity]:
    """The direct children of a process."""
    found: list[Identity] = []
    try:
        words = Path(f"/proc/{identity.pid}/task/{identity.pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return found
    for word in words:
        try:
            found.append(Identity(int(word), start_time(int(word))))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def send(identity: Identity, number: signal.Signals) -> None:
    """Signal this process; nothing happens when it is gone."""
    if identity.alive():
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return


def wait_gone(identity: Identity, timeout: float, what: str) -> None:
    """Wait for a process to end."""
    deadline = time.monotonic() + timeout
    while identity.alive():
        if time.monotonic() > deadline:
            raise LabError(f"end {what} (pid {identity.pid})", f"still there after {timeout} s", "look at it with ps; it may hang in the kernel")
        time.sleep(0.02)
        reap()


def reap() -> None:
    """Collect ended children of this program, so that they don't stay as zombies."""
    while _REAPABLE:
        still = [process for process in _REAPABLE if process.poll() is None]
        if len(still) == len(_REAPABLE):
            return
        _REAPABLE[:] = still


_REAPABLE: list[subprocess.Popen[bytes]] = []


def launch(
    specification: Path,
    steps: Sequence[Sequence[str]],
    program: Sequence[str],
    record: Path,
    log: Path,
    *,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Identity:
    """Start a long-running program through launch.py; returns once its identity is on disk.

    The launcher holds the locks of this process until it has written its identity down. So when this process is killed, the next one gets
    the lock only after everything that this one started is on record.
    """
    held = sorted(HELD)
    specification.write_text(
        json.dumps(
            {"record": str(record), "close": held, "steps": [list(step) for step in steps], "exec": list(program), "environment": dict(environment or {})},
            indent=1,
        )
    )
    record.unlink(missing_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*prefix, *LAUNCHER, str(specification)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            pass_fds=held,
        )
    _REAPABLE.append(process)
    deadline = time.monotonic() + 30
    while True:
        identity = read_identity(record)
        if identity is not None:
            return identity
        if process.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"start {program[0]}", f"it ended at once with {process.returncode}; {log} says:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.01)


def carry_out(specification: Path, steps: Sequence[Sequence[str]], *, prefix: Sequence[str] = ()) -> None:
    """Do steps through launch.py and wait for the end."""
    specification.write_text(json.dumps({"steps": [list(step) for step in steps]}, indent=1))
    result = subprocess.run([*prefix, *LAUNCHER, str(specification)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if result.returncode:
        raise LabError(f"carry out {specification}", result.stderr or f"exit status {result.returncode}")
