# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One error names all that a machine lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import prerequisites
from tests.lab.commands import run, wait_until
from tests.lab.errors import LabError
from tests.lab.progress import Progress


def test_everything_missing_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    packages = prerequisites.missing_packages()
    assert packages == sorted(set(packages))
    assert {"systemd-container", "debootstrap", "haproxy", "iproute2", "nftables"} <= set(packages)


def test_the_error_has_the_command_that_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LIFEBOAT_LAB_INSTALL", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(LabError) as caught:
        prerequisites.check(Progress(quiet=True))
    text = str(caught.value)
    assert "no program of the package haproxy" in text
    assert "Go 1.24 or newer is not in PATH" in text
    assert "apt-get install " in text
    assert "LIFEBOAT_LAB_INSTALL=1" in text


def test_only_root_makes_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LabError, match="run it as root"):
        prerequisites.check(Progress(quiet=True))


def test_a_failed_command_says_what_where_and_why() -> None:
    with pytest.raises(LabError) as caught:
        run(["sh", "-c", "echo because >&2; exit 3"], advice="try again", where="here")
    text = str(caught.value)
    assert "tried:  sh -c echo because >&2; exit 3" in text
    assert "where:  here" in text
    assert "exit status 3\n        because" in text
    assert "do:     try again" in text


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(LabError, match="no such program"):
        run(["lifeboat-no-such-program"])


def test_a_wait_says_what_it_waits_for_and_what_it_found() -> None:
    said: list[str] = []
    with pytest.raises(LabError) as caught:
        wait_until("pigs fly", lambda: "on the ground", 0.3, evidence=lambda: "no wings", interval=0.05, say=said.append, say_every=0.1)
    assert "until pigs fly" in str(caught.value)
    assert "on the ground\n        no wings" in str(caught.value)
    assert said[0] == "waiting until pigs fly: on the ground"
