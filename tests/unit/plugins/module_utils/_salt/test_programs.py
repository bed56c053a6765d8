# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Salt master's programs answer, as they were seen to answer it: remarks before the document, and none of it when there is no master."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.keys import SaltError
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.programs import Programs, busy
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside

NO_MASTER = "[ERROR   ] Message timed out\\nSaltClientError: Salt request timed out. The master is not responding."


def programs(directory: Path, salt: str, salt_run: str = "echo '[]'") -> Programs:
    """Programs that say what is given."""
    for name, text in (("salt", salt), ("salt-run", salt_run)):
        (directory / name).write_text(f'#!/bin/sh\necho "$@" >> {directory}/asked\n{text}\n')
        (directory / name).chmod(0o755)
    return Programs(Inside(search=[str(directory)]), "/etc/salt", 3)


def test_one_is_silent(tmp_path: Path) -> None:
    """Who did not answer is false, or not in the answer at all; the status says only that it is not everybody."""
    asked = programs(tmp_path, """echo '[WARNING ] a remark'; echo '{"a": true, "b": false}'; exit 1""", """echo '["a"]'""")
    answers = asked.ask(["a", "b", "c"])
    assert (answers.running, answers.present, answers.answered, answers.silent) == (True, ["a"], ["a"], ["b", "c"])
    assert (tmp_path / "asked").read_text().splitlines() == [
        "-c /etc/salt --out=json manage.present",
        "-c /etc/salt --out=json --static --timeout=3 -L a,b,c test.ping",
    ]


def test_grains_are_an_answer_too(tmp_path: Path) -> None:
    said = """{"a": {"x_in_progress": true, "y_in_progress": "", "roles": ["etcd"]}, "b": {"x_in_progress": "", "roles": ""}, "c": false}"""
    answers = programs(tmp_path, f"echo '{said}'").ask(["a", "b", "c"], ["x_in_progress", "y_in_progress"], ["roles"])
    assert (answers.answered, answers.silent, answers.busy) == (["a", "b"], ["c"], {"a": ["x_in_progress"]})
    assert answers.grains == {"a": {"roles": ["etcd"]}, "b": {"roles": ""}}


def test_a_master_that_does_not_answer_is_a_finding(tmp_path: Path) -> None:
    answers = programs(tmp_path, f"printf '{NO_MASTER}' >&2; exit 1").ask(["a"])
    assert (answers.running, answers.silent) == (False, ["a"])
    assert "The master is not responding" in answers.reason


def test_programs_that_are_missing_are_a_finding(tmp_path: Path) -> None:
    answers = Programs(Inside(search=[str(tmp_path)]), "/etc/salt", 3).ask(["a"])
    assert (answers.running, answers.silent) == (False, ["a"])
    assert "salt-run is not on this host" in answers.reason


def test_nobody_to_ask(tmp_path: Path) -> None:
    answers = programs(tmp_path, "exit 2").ask([])
    assert (answers.running, answers.answered, answers.silent) == (True, [], [])


def test_an_id_is_one_word_of_the_target(tmp_path: Path) -> None:
    with pytest.raises(SaltError, match="is no id of a minion"):
        programs(tmp_path, "echo '{}'").call(["a,*"], "test.ping")


@pytest.mark.parametrize(
    ("value", "counts"), [(True, True), ("True", True), ("maybe", True), (1, True), (False, False), ("", False), (None, False), ("false", False)]
)
def test_what_counts_as_busy(value: object, counts: bool) -> None:
    assert busy({"x": value}, ["x", "y"]) == ["x"] * counts
