# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lab gets which subnet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.errors import LabError
from tests.lab.paths import REPOSITORY
from tests.lab.state import LabRecord, LabStore, SlotRegistry, check_name
from tests.lab.topology import LAST_SLOT


def test_the_lowest_free_slot_is_taken(tmp_path: Path) -> None:
    registry = SlotRegistry(tmp_path)
    assert [registry.take(name) for name in ("a", "b", "c")] == [0, 1, 2]
    registry.release("b")
    assert registry.take("d") == 1
    assert registry.slots() == {"a": 0, "c": 2, "d": 1}


def test_a_preferred_slot_goes_first_when_it_is_free(tmp_path: Path) -> None:
    registry = SlotRegistry(tmp_path)
    assert registry.take("a", [3, 5]) == 3
    assert registry.take("b", [3, 5]) == 5
    assert registry.take("c", [3, 5]) == 0
    assert registry.take("a", [7]) == 3


def test_a_lab_keeps_its_slot(tmp_path: Path) -> None:
    registry = SlotRegistry(tmp_path)
    registry.take("a")
    assert registry.take("b") == 1
    registry.release("a")
    assert SlotRegistry(tmp_path).take("b") == 1


def test_releasing_twice_changes_nothing(tmp_path: Path) -> None:
    registry = SlotRegistry(tmp_path)
    registry.take("a")
    registry.release("a")
    registry.release("a")
    assert registry.slots() == {}


def test_no_slot_left(tmp_path: Path) -> None:
    registry = SlotRegistry(tmp_path)
    for number in range(LAST_SLOT + 1):
        assert registry.take(f"lab-{number}") == number
    with pytest.raises(LabError, match="find a free subnet"):
        registry.take("one-more")


def test_programs_at_the_same_time_get_different_slots(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from tests.lab.state import SlotRegistry; print(SlotRegistry(Path(sys.argv[1])).take(sys.argv[2]))"
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), f"lab-{number}"], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=os.environ)
        for number in range(8)
    ]
    slots = sorted(int(process.communicate()[0]) for process in running)
    assert slots == list(range(8))


@pytest.mark.parametrize("name", ["", "Big", "1st", "a.b", "a/b", "-a", "a" * 32, "ünder"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(LabError, match="lab name"):
        check_name(name)


def test_a_record_comes_back(tmp_path: Path) -> None:
    store = LabStore(tmp_path)
    record = LabRecord("one", "ha", 3, {"golden": "/somewhere"})
    assert store.read("one") is None
    store.write(record)
    assert store.read("one") == record
    assert store.names() == ["one"]
