# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process is its pid and its start time; nothing else is ever killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.errors import LabError
from tests.lab.launch import start_time
from tests.lab.locks import locked
from tests.lab.paths import REPOSITORY, SOURCE
from tests.lab.processes import Identity, children, launch, read_identity, send, wait_gone


def test_this_process_is_alive() -> None:
    assert Identity(os.getpid(), start_time(os.getpid())).alive()


def test_a_reused_pid_is_another_process() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        impostor = Identity(process.pid, str(int(start_time(process.pid)) - 1))
        assert not impostor.alive()
        send(impostor, signal.SIGKILL)
        time.sleep(0.1)
        assert process.poll() is None
        send(Identity(process.pid, start_time(process.pid)), signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(["true"]) as process:
        identity = Identity(process.pid, start_time(process.pid))
        deadline = time.monotonic() + 5
        while identity.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not identity.alive()


def test_no_record_no_identity(tmp_path: Path) -> None:
    assert read_identity(tmp_path / "none.json") is None


def test_a_launched_program_has_the_recorded_identity(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    steps = [("directory", str(tmp_path / "a/b")), ("write", str(marker), "done")]
    identity = launch(tmp_path / "spec.json", steps, ["sleep", "60"], tmp_path / "record.json", tmp_path / "log")
    try:
        assert read_identity(tmp_path / "record.json") == identity
        deadline = time.monotonic() + 10
        while Path(f"/proc/{identity.pid}/comm").read_text() != "sleep\n":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert marker.read_text() == "done"
        assert identity in children(Identity(os.getpid(), start_time(os.getpid())))
    finally:
        send(identity, signal.SIGKILL)
    wait_gone(identity, 5, "sleep")


def test_a_step_that_fails_ends_the_launch(tmp_path: Path) -> None:
    log = tmp_path / "log"
    identity = launch(tmp_path / "spec.json", [("run", "false")], ["sleep", "60"], tmp_path / "record.json", log)
    wait_gone(identity, 10, "the launcher")
    assert "step ['run', 'false'] failed" in log.read_text()


def test_the_lock_outlives_a_killed_program_until_its_children_are_on_record(tmp_path: Path) -> None:
    """Otherwise the next program would clean up before the last child of the killed one is known."""
    specification = tmp_path / "spec.json"
    script = f"""
import subprocess, sys, time
from pathlib import Path
from tests.lab import locks
with locks.locked(Path(sys.argv[1]), "a test", timeout=1):
    held = sorted(locks.HELD)
    child = subprocess.Popen(["sh", "-c", "sleep 1; exec {sys.executable} -I -S {SOURCE / "launch.py"} {specification}"], pass_fds=held)
    Path({str(specification)!r}).write_text('{{"record": "{tmp_path / "record.json"}", "close": %s, "steps": [], "exec": ["sleep", "60"]}}' % held)
    print(child.pid, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as program:
        assert program.stdout is not None
        program.stdout.readline()
        program.kill()
    with pytest.raises(LabError), locked(tmp_path / "lock", "a test", timeout=0.2):
        pass
    with locked(tmp_path / "lock", "a test", timeout=10):
        identity = read_identity(tmp_path / "record.json")
    assert identity is not None
    send(identity, signal.SIGKILL)
