# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server for a moment: it starts, is asked, ends with whoever started it; and files that grow beside their place."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._system import scratch
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import DiskError, growing
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside, ProgramError
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.passwords import PasswordFileError, read_password
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import running
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.scratch import ScratchError

SERVER = ["sh", "-c", 'echo $$ > "$0.new"; mv "$0.new" "$0"; exec sleep 1000']


def test_a_server_runs_while_it_is_needed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with scratch.serving(Inside(), [*SERVER, str(pid)], pid.exists, 60):
        number = int(pid.read_text())
        assert running("/proc", number)
    assert not running("/proc", number)


def test_a_server_ends_with_whoever_started_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    child = os.fork()
    if child == 0:
        with scratch.serving(Inside(), [*SERVER, str(pid)], pid.exists, 60):
            os.kill(os.getpid(), 9)
    assert os.waitpid(child, 0)[1] == 9
    number = int(pid.read_text())
    deadline = time.monotonic() + 60
    while running("/proc", number):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_server_that_does_not_start() -> None:
    with pytest.raises(ScratchError, match="exit status 3: no room"), scratch.serving(Inside(), ["sh", "-c", "echo no room >&2; exit 3"], lambda: False, 60):
        raise AssertionError("not reached")


def test_the_directory_is_private_empty_and_for_one(tmp_path: Path) -> None:
    left = tmp_path / "base" / "one" / "left"
    left.parent.mkdir(parents=True)
    left.write_text("by a run that was killed")
    with scratch.directory(Inside(), str(tmp_path / "base"), "one") as path:
        assert (os.listdir(path), os.stat(path).st_mode & 0o777) == ([], 0o700)
        with pytest.raises(ScratchError, match="in use"), scratch.directory(Inside(), str(tmp_path / "base"), "one"):
            raise AssertionError("not reached")
        with scratch.directory(Inside(), str(tmp_path / "base"), "two"):
            assert sorted(os.listdir(tmp_path / "base")) == ["one", "two"]
    assert os.listdir(tmp_path / "base") == []


def test_the_first_program_that_is_there() -> None:
    assert Inside().first("no-such-program", "sh").endswith("/sh")
    with pytest.raises(ProgramError, match="none of no-such-program, nor-this"):
        Inside().first("no-such-program", "nor-this")


def test_a_file_that_grows(tmp_path: Path) -> None:
    """It has its name when it is whole, and takes nobody's place."""
    path = tmp_path / "file"
    (tmp_path / "file.part").write_text("left by a run that was killed")
    with growing(str(path), "nobody") as file:
        file.write(b"whole")
        assert not path.exists()
    assert (path.read_bytes(), path.stat().st_uid, path.stat().st_mode & 0o777) == (b"whole", 65534, 0o600)
    with pytest.raises(DiskError, match="File exists"), growing(str(path)) as file:
        file.write(b"other")
    with pytest.raises(KeyError), growing(str(tmp_path / "never")) as file:
        raise KeyError
    with pytest.raises(DiskError, match="no such user"), growing(str(tmp_path / "never"), "no-such-user"):
        pass
    with pytest.raises(DiskError, match="No such file"), growing(str(tmp_path / "nowhere" / "never")):
        pass
    assert (os.listdir(tmp_path), path.read_bytes()) == (["file"], b"whole")


def test_password_files(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("two words \n")
    assert read_password(str(path)) == "two words "
    for content, reason in ((b"\n", "is empty"), (b"\xff\n", "cannot be read")):
        path.write_bytes(content)
        with pytest.raises(PasswordFileError, match=reason):
            read_password(str(path))
    with pytest.raises(PasswordFileError, match="No such file"):
        read_password(str(tmp_path / "nothing"))
