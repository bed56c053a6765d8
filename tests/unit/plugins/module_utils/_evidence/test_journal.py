# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: whole lines from many writers at once, and readable after a kill."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal, JournalError
from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import Redactor

WRITERS = 8
LINES = 60


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """An empty journal."""
    made = Journal(str(tmp_path))
    made.create()
    return made


def _write_many(directory: str, writer: int) -> None:
    journal = Journal(directory)
    for number in range(LINES):
        journal.append({"kind": "note", "host": f"h{writer}", "text": "x" * (number * 200), "number": number})


def test_many_writers(journal: Journal, tmp_path: Path) -> None:
    """Lines of several kilobytes from several processes come out whole, all of them, each writer's in its order."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_many, args=(str(tmp_path), writer)) for writer in range(WRITERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    lines = (tmp_path / "journal" / "000.jsonl").read_bytes().splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == WRITERS * LINES == len(journal.read())
    for writer in range(WRITERS):
        assert [record["number"] for record in records if record["host"] == f"h{writer}"] == list(range(LINES))


def test_a_torn_last_line(journal: Journal, tmp_path: Path) -> None:
    """A kill in the middle of a line costs that line only; the next one begins on a line of its own."""
    journal.append({"kind": "note", "text": "one"}, {"kind": "note", "text": "two"})
    path = tmp_path / "journal" / "000.jsonl"
    path.write_bytes(path.read_bytes() + b'{"kind":"note","text":"to')
    assert [record["text"] for record in journal.read()] == ["one", "two"]
    journal.append({"kind": "note", "text": "three"})
    assert [record["text"] for record in journal.read()] == ["one", "two", "three"]


def test_what_is_no_record(journal: Journal, tmp_path: Path) -> None:
    """Lines that are no records are passed over."""
    (tmp_path / "journal" / "000.jsonl").write_bytes(b'\n[]\n"text"\n{"other":1}\n\xff\xfe\n{"kind":"note","text":"good"}\n')
    assert [record["text"] for record in journal.read()] == ["good"]


def test_segments(journal: Journal, tmp_path: Path) -> None:
    """A closed segment is never written again, and reading goes over all of them."""
    assert journal.close_segment() is None
    journal.append({"kind": "note", "text": "one"})
    closed = journal.close_segment()
    assert closed == str(tmp_path / "journal" / "000.jsonl")
    assert journal.close_segment() is None
    content = Path(closed).read_bytes()
    journal.append({"kind": "note", "text": "two"})
    assert Path(closed).read_bytes() == content
    assert [os.path.basename(path) for path in journal.segments()] == ["000.jsonl", "001.jsonl"]
    assert [record["text"] for record in journal.read()] == ["one", "two"]


def test_nothing_secret(tmp_path: Path) -> None:
    """What is known as secret, and what looks like one, does not get in."""
    journal = Journal(str(tmp_path), Redactor(["geheim!"]))
    journal.create()
    journal.append({"kind": "note", "text": "geheim! AGE-SECRET-KEY-1QQQQQQQQQQ", "facts": {"a": "geheim!"}})
    text = (tmp_path / "journal" / "000.jsonl").read_text()
    assert "geheim" not in text
    assert "AGE-SECRET" not in text


def test_private(journal: Journal, tmp_path: Path) -> None:
    """Only the owner can read it."""
    journal.append({"kind": "note"})
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "journal" / "000.jsonl").stat().st_mode) == 0o600


def test_time_and_nothing(journal: Journal) -> None:
    """Each record has a time of its own, or the one it came with; fields without a value are left out."""
    journal.append({"kind": "note", "delegated_to": None}, {"kind": "note", "time": "2026-11-20T13:40:12.345Z"})
    first, second = journal.read()
    assert "delegated_to" not in first
    assert first["time"].endswith("Z")
    assert second["time"] == "2026-11-20T13:40:12.345Z"


def test_errors(tmp_path: Path) -> None:
    """A journal that is not there and a kind that nobody knows are said."""
    with pytest.raises(JournalError, match="can't be read"):
        Journal(str(tmp_path)).read()
    with pytest.raises(JournalError, match="could not be written"):
        Journal(str(tmp_path)).append({"kind": "note"})
    with pytest.raises(JournalError, match="no records of kind 'gossip'"):
        Journal(str(tmp_path)).append({"kind": "gossip"})


def test_a_full_disk() -> None:
    """A device without space is reported with the path and what to do."""
    with pytest.raises(OSError, match="No space left"):
        Journal._write("/dev/full", b"x\n")
