# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence of a run in the location: whole, once, never rewritten, and never taken for a recovery point."""

from __future__ import annotations

import json
import threading

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.run_files import upload
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.verification import verify_point
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import LocationVanishedError, NameRefusedError, ObjectExistsError
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, RUN, Maker


@pytest.fixture
def journal(maker: Maker) -> Journal:
    """The journal of a run that has begun."""
    journal = Journal(str(maker.run_directory))
    journal.create()
    note(journal, "first")
    return journal


def note(journal: Journal, text: str) -> None:
    """Write one line."""
    journal.append({"kind": "note", "text": text})


def sent(maker: Maker, reports: bool = False) -> list[str]:
    """Upload; the names of what is new."""
    prefix = names.runs_prefix(CLUSTER, RUN)
    return [key[len(prefix) :] for key in upload(maker.location, CLUSTER, RUN, str(maker.run_directory), reports)]


def texts(maker: Maker) -> list[str]:
    """The notes that lie in the location, in order of the segments."""
    prefix = names.runs_prefix(CLUSTER, RUN)
    keys = [stored.key for stored in maker.location.list(prefix) if stored.key.endswith(".jsonl")]
    return [json.loads(line)["text"] for key in keys for line in maker.location.read(key, 1 << 20).splitlines()]


def test_new_lines_become_the_next_segment(maker: Maker, journal: Journal) -> None:
    assert sent(maker) == ["000.jsonl"]
    assert sent(maker) == []
    note(journal, "second")
    note(journal, "third")
    assert sent(maker) == ["001.jsonl"]
    assert texts(maker) == ["first", "second", "third"]
    assert [record["text"] for record in journal.read()] == ["first", "second", "third"]
    for path in (maker.run_directory / "journal").glob("*.jsonl"):
        if path.stat().st_size:
            assert maker.path(names.run_key(CLUSTER, RUN, path.name)).read_bytes() == path.read_bytes()


def test_what_failed_is_sent_the_next_time(maker: Maker, journal: Journal) -> None:
    """The location is away for two ends of a stage: nothing is lost, nothing is sent twice."""
    elsewhere = maker.root.with_name("away")
    assert sent(maker) == ["000.jsonl"]
    maker.root.rename(elsewhere)
    for text in ("second", "third"):
        note(journal, text)
        with pytest.raises(LocationVanishedError):
            sent(maker)
    elsewhere.rename(maker.root)
    assert sent(maker) == ["001.jsonl", "002.jsonl"]
    assert texts(maker) == ["first", "second", "third"]


def test_a_kill_between_copy_and_note_sends_it_again_without_harm(maker: Maker, journal: Journal) -> None:
    sent(maker)
    (maker.run_directory / "upload.lock").write_bytes(b"")
    note(journal, "second")
    assert sent(maker) == ["001.jsonl"]
    assert texts(maker) == ["first", "second"]


def test_the_report_is_sent_once(maker: Maker, journal: Journal) -> None:
    """A later rendering of it has another time in it; the copy stays."""
    for name in ("report.html", "report.json", "report.md", "salt"):
        (maker.run_directory / name).write_text("as it was")
    assert sent(maker, reports=True) == ["000.jsonl", "report.html", "report.json"]
    (maker.run_directory / "report.html").write_text("rendered again")
    note(journal, "after the end")
    assert sent(maker, reports=True) == ["001.jsonl"]
    assert maker.path(names.run_key(CLUSTER, RUN, "report.html")).read_text() == "as it was"


def test_another_run_under_the_same_name_is_never_overwritten(maker: Maker, journal: Journal) -> None:
    maker.location.put_new(names.run_key(CLUSTER, RUN, "000.jsonl"), b"somebody else's")
    with pytest.raises(ObjectExistsError):
        sent(maker)
    assert maker.path(names.run_key(CLUSTER, RUN, "000.jsonl")).read_bytes() == b"somebody else's"
    assert [record["text"] for record in journal.read()] == ["first"]


def test_many_at_once(maker: Maker, journal: Journal) -> None:
    """Hosts fail together, while others still write."""

    def work(number: int) -> None:
        note(journal, str(number))
        upload(maker.location, CLUSTER, RUN, str(maker.run_directory))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts(maker)) == sorted(["first", *map(str, range(12))])


def test_names_that_leave_their_place_are_refused() -> None:
    for run, name in (("../x", "000.jsonl"), ("r", "../000.jsonl"), ("r", ".hidden"), ("a/b", "c")):
        with pytest.raises(NameRefusedError):
            names.run_key(CLUSTER, run, name)


def test_runs_are_no_points(maker: Maker, journal: Journal) -> None:
    """Neither listed, nor in the way of a verification, nor unlisted objects of a point; also a run that is named like a point."""
    manifest = maker.point()
    before = maker.catalog()
    sent(maker)
    note(journal, "second")
    assert upload(maker.location, CLUSTER, manifest.id, str(maker.run_directory))
    maker.location.put_new(names.run_key(CLUSTER, manifest.id, "report.json"), b"{}")
    after = maker.catalog()
    assert [(point.id, point.state, point.unlisted) for point in after.points] == [(manifest.id, "complete", [])]
    assert [point.row(after.now) for point in after.points] == [point.row(after.now) for point in before.points]
    assert verify_point(maker.location, manifest, "opened", [str(maker.keys.identity_file)], str(maker.run_directory)).passed
