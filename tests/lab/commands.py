# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run programs of this machine; a failure carries its output."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from .errors import LabError

Item = TypeVar("Item")
Result = TypeVar("Result")

TAIL = 30


def tail(text: str, lines: int = TAIL) -> str:
    """The last lines of a text."""
    return "\n".join(text.strip().splitlines()[-lines:])


def tail_of(path: Path, lines: int = TAIL) -> str:
    """The last lines of a log file, or a remark that there is none."""
    try:
        return tail(path.read_text(errors="replace"), lines) or f"({path} is empty)"
    except OSError as error:
        return f"({path}: {error.strerror})"


def run(
    command: Sequence[str | Path],
    *,
    advice: str = "",
    where: str = "this machine",
    check: bool = True,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    timeout: float | None = 600,
) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it said."""
    argv = [str(word) for word in command]
    shown = " ".join(argv)
    try:
        result = subprocess.run(
            argv,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=dict(environment) if environment is not None else None,
            cwd=directory,
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise LabError(shown, f"{error.filename}: no such program or directory", advice or "install that program", where) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(shown, f"no end after {timeout} s", advice, where) from error
    if check and result.returncode:
        raise LabError(shown, f"exit status {result.returncode}\n{tail(result.stdout + result.stderr)}", advice, where)
    return result


# Ends a program and all its children, and undoes its mounts, when this process dies, however it dies.
CONTAINED = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc")


def in_parallel(action: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Do the same for all items at once; every item is finished before the first failure is raised."""
    if not items:
        return []
    with ThreadPoolExecutor(max_workers=len(items)) as pool:
        futures = [pool.submit(action, item) for item in items]
    return [future.result() for future in futures]


def wait_until(
    what: str,
    check: Callable[[], str],
    timeout: float,
    *,
    evidence: Callable[[], str] | None = None,
    interval: float = 0.2,
    say: Callable[[str], None] | None = None,
    say_every: float = 15.0,
) -> None:
    """Wait until the check returns an empty string; otherwise it says what it found, and so does this from time to time."""
    begin = said = time.monotonic()
    found = check()
    while found:
        now = time.monotonic()
        if now - begin > timeout:
            raise LabError(f"wait up to {timeout:.0f} s until {what}", f"{found}\n{evidence()}" if evidence else found)
        if say and now - said > say_every:
            said = now
            say(f"waiting until {what}: {found.splitlines()[0][:160]}")
        time.sleep(interval)
        found = check()
