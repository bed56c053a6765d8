# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out a list of steps, then become another program.

Runs as a file of its own (``python3 -I -S launch.py SPECIFICATION``), usually under ``unshare --mount``: what it mounts is seen by this process
and its children only and is gone when the last of them ends, however it ends. It writes down its own process id before it does
anything else; ``exec`` keeps that id, so there is no moment at which a program of the lab runs that is not recorded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def start_time(pid: int) -> str:
    """Field 22 of /proc/<pid>/stat: with the pid, the identity of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def remove_cgroup(directory: str) -> None:
    """Remove a tree of cgroups; the kernel empties a cgroup a moment after its last process died."""
    deadline = time.monotonic() + 10
    while Path(directory).is_dir():
        for path, _names, _files in os.walk(directory, topdown=False):
            try:
                Path(path).rmdir()
            except OSError:
                continue
        if Path(directory).is_dir():
            if time.monotonic() > deadline:
                raise OSError(f"cgroup {directory} still has processes after 10 s")
            time.sleep(0.05)


def kill_cgroup(directory: str) -> None:
    """Kill every process in a tree of cgroups, again and again until none is left."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        pids: set[int] = set()
        for path, _names, _files in os.walk(directory):
            try:
                pids.update(int(line) for line in Path(path, "cgroup.procs").read_text().split())
            except OSError:
                continue
        pids -= {0, os.getpid()}
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def carry_out(step: list[str]) -> None:
    """One step: its kind, then its arguments."""
    kind, *arguments = step
    if kind == "run":
        result = subprocess.run(arguments, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if result.returncode:
            raise OSError(f"{' '.join(arguments)} ended with {result.returncode}: {result.stderr.strip()}")
    elif kind == "directory":
        Path(arguments[0]).mkdir(parents=True, exist_ok=True)
    elif kind == "write":
        Path(arguments[0]).write_text(arguments[1])
    elif kind == "copy":
        Path(arguments[1]).write_text(Path(arguments[0]).read_text())
    elif kind == "attach":
        Path(arguments[0], "cgroup.procs").write_text(str(os.getpid()))
    elif kind == "kill-cgroup":
        kill_cgroup(arguments[0])
    elif kind == "remove-cgroup":
        remove_cgroup(arguments[0])
    else:
        raise OSError(f"unknown step {kind}")


def main() -> int:
    """Read the specification, record, do the steps, become the program (if one is named)."""
    specification = json.loads(Path(sys.argv[1]).read_text())
    record = specification.get("record")
    if record:
        pid = os.getpid()
        partial = Path(f"{record}.partial")
        partial.write_text(json.dumps({"pid": pid, "start": start_time(pid)}))
        partial.rename(record)
    for handle in specification.get("close", []):
        os.close(handle)
    for step in specification["steps"]:
        try:
            carry_out(step)
        except OSError as error:
            print(f"lab: step {step[:3]} failed: {error}", file=sys.stderr, flush=True)
            return 70
    argv = specification.get("exec")
    if argv:
        os.execvpe(argv[0], argv, {**os.environ, **specification.get("environment", {})})
    return 0


if __name__ == "__main__":
    sys.exit(main())
