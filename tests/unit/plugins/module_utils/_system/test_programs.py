# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the domain starts other programs."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._system import programs


def test_output_and_complaint_are_apart_unless_asked_for_together() -> None:
    """The status is the caller's to judge."""
    command = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    done = programs.run(command, timeout_seconds=20)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert programs.run(command, timeout_seconds=20, together=True).stdout == b"out\nerr\n"


def test_input_is_what_was_given_and_nothing_else(tmp_path: Path) -> None:
    """Bytes, a file, or nothing: never the terminal of whoever runs us."""
    assert programs.run(["cat"], timeout_seconds=20).stdout == b""
    assert programs.run(["cat"], stdin=b"\0given", timeout_seconds=20).stdout == b"\0given"
    (tmp_path / "in").write_bytes(b"of a file")
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
        assert programs.run(["cat"], stdin=source, stdout=target, timeout_seconds=20).stdout is None
    assert (tmp_path / "out").read_bytes() == b"of a file"


def test_a_program_that_does_not_read_its_input_is_no_fault() -> None:
    """It may end before it was given everything."""
    assert programs.run(["true"], stdin=b"x" * 1_000_000, timeout_seconds=20).returncode == 0


def test_descriptors_and_variables_are_those_named(tmp_path: Path) -> None:
    """Nothing else is inherited."""
    with (tmp_path / "kept").open("wb") as kept, (tmp_path / "other").open("wb") as other:
        os.set_inheritable(other.fileno(), True)
        script = f'echo "$NAMED,$HOME"; for number in {kept.fileno()} {other.fileno()}; do test -e /proc/$$/fd/$number && echo $number; done; true'
        done = programs.run(["sh", "-c", script], environment={"NAMED": "here", "PATH": os.defpath}, pass_fds=(kept.fileno(),), timeout_seconds=20)
        assert done.stdout.decode().split() == ["here,", str(kept.fileno())]


def test_the_time_is_kept_even_when_a_child_holds_the_output() -> None:
    """A program is killed after its time; a child that lives on with its output is not waited for."""
    began = time.monotonic()
    with pytest.raises(programs.TooLong):
        programs.run(["sh", "-c", "sleep 30 & sleep 30"], timeout_seconds=0.2)
    assert time.monotonic() - began < 15


def test_a_program_that_is_missing_is_an_operating_system_error() -> None:
    """Callers say what to install."""
    with pytest.raises(FileNotFoundError):
        programs.run(["no-such-program"], timeout_seconds=1)


def test_a_process_beside_us_gets_no_input_and_ends_when_told() -> None:
    """It is gone afterwards, also when it is told twice."""
    process = programs.Process(["sh", "-c", "cat; exec sleep 60"], stdout=subprocess.DEVNULL)
    process.end()
    process.end()
    assert process.poll() is not None
