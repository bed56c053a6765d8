# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line."""

from __future__ import annotations

import pytest

from tests.lab.cli import parse
from tests.lab.faults import FAULTS


@pytest.mark.parametrize("words", ["reset one --bare cp1 cp2", "reset one cp1 cp2 --bare", "reset --bare one cp1 cp2", "reset one cp1 --bare cp2"])
def test_options_may_stand_anywhere(words: str) -> None:
    options = parse(words.split())
    assert (options.name, options.nodes, options.bare) == ("one", ["cp1", "cp2"], True)


@pytest.mark.parametrize("words", ["reset one --bear", "up ha extra", "down", "break one no-such-fault", "up huge", ""])
def test_what_is_not_understood_is_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words.split())
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_command_of_ssh_is_left_alone() -> None:
    options = parse(["ssh", "one", "cp1", "--", "ls", "-l", "--all"])
    assert options.command[-3:] == ["ls", "-l", "--all"]


def test_help_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in FAULTS)
