# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renaming staged data into place: what stood there is never lost, and a kill anywhere is finished by a rerun."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import replacement as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.replacement import DONE, MOVE_ASIDE, NOT_STAGED, PUT, REDO, ReplacementError


class Place:
    """A data directory with staged, present and aside data."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.staged, self.target, self.aside = root / "staging" / "member", root / "member", root / "member.t1"
        self.ledger = str(root / "state" / "replaced.json")

    @property
    def item(self) -> dict[str, str]:
        """The option."""
        return {"staged": str(self.staged), "target": str(self.target), "aside": str(self.aside)}

    def write(self, path: Path, text: str) -> None:
        """Data with a text in it."""
        (path / "snap").mkdir(parents=True)
        (path / "snap" / "db").write_text(text)

    def actions(self, rehearse: bool = False) -> list[str]:
        """What is planned."""
        return [step.action for step in subject.plan([self.item], self.ledger, rehearse)]

    def run(self) -> bool:
        """Plan and apply."""
        return subject.apply(subject.plan([self.item], self.ledger), self.ledger)

    def text(self, path: Path) -> str:
        """What data says."""
        return (path / "snap" / "db").read_text()

    def everything(self) -> list[str]:
        """The texts of all data there is."""
        return sorted(path.read_text() for path in self.root.glob("**/db"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "etcd")


def test_nothing_stood_there(place: Place) -> None:
    place.write(place.staged, "new")
    assert place.actions() == [PUT]
    assert place.run()
    assert place.text(place.target) == "new"
    assert not place.aside.exists()
    assert place.actions() == [DONE]
    assert not place.run()


def test_what_stood_there_moves_aside(place: Place) -> None:
    place.write(place.staged, "new")
    place.write(place.target, "old")
    assert place.actions() == [MOVE_ASIDE]
    assert place.run()
    assert (place.text(place.target), place.text(place.aside)) == ("new", "old")
    assert place.actions() == [DONE]


def test_our_own_unused_data_gives_way_and_the_first_data_stays(place: Place) -> None:
    place.write(place.staged, "new")
    place.write(place.target, "old")
    place.run()
    place.write(place.staged, "newer")
    assert place.actions() == [REDO]
    place.run()
    assert place.everything() == ["newer", "old"]
    assert place.text(place.aside) == "old"


def test_our_own_data_that_somebody_used_is_kept(place: Place) -> None:
    place.write(place.staged, "new")
    place.write(place.target, "old")
    place.run()
    (place.target / "snap" / "db").write_text("new, and a day of work")
    place.write(place.staged, "newer")
    assert place.actions() == [MOVE_ASIDE]
    place.run()
    assert place.everything() == ["new, and a day of work", "newer", "old"]
    assert place.text(place.root / "member.t1.1") == "new, and a day of work"


def test_foreign_data_is_kept_even_when_the_aside_is_taken(place: Place) -> None:
    place.write(place.aside, "oldest")
    place.write(place.target, "old")
    place.write(place.staged, "new")
    place.run()
    assert place.everything() == ["new", "old", "oldest"]
    assert place.text(place.aside) == "oldest"


def test_without_staged_data_nothing_is_touched(place: Place) -> None:
    place.write(place.target, "old")
    with pytest.raises(ReplacementError, match="no staged data") as caught:
        place.run()
    assert "Stage the data again" in str(caught.value)
    assert place.actions(rehearse=True) == [NOT_STAGED]
    assert place.everything() == ["old"]


def test_staged_data_of_another_name_is_not_taken_for_done(place: Place) -> None:
    place.write(place.staged, "new")
    place.run()
    other = dict(place.item, staged=str(place.root / "staging2" / "member"))
    with pytest.raises(ReplacementError, match="no staged data"):
        subject.plan([other], place.ledger)


def test_a_mount_point_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(place.staged, "new")
    place.write(place.target, "old")
    monkeypatch.setattr(os.path, "ismount", lambda path: path == str(place.target))
    with pytest.raises(ReplacementError, match="is a mount point"):
        place.run()
    assert place.everything() == ["new", "old"]


def test_another_file_system_is_refused_before_anything_changes(place: Place) -> None:
    shared = Path("/dev/shm") / f"lifeboat-replacement-{os.getpid()}"
    place.write(place.target, "old")
    try:
        place.write(shared, "new")
        with pytest.raises(ReplacementError, match="staged data .* is on another file system"):
            subject.plan([dict(place.item, staged=str(shared))], place.ledger)
        place.write(place.staged, "new")
        with pytest.raises(ReplacementError, match="place for the data moved aside .* is on another file system"):
            subject.plan([dict(place.item, aside=str(shared / "aside"))], place.ledger)
    finally:
        shutil.rmtree(shared)
    assert place.text(place.target) == "old"


def test_a_directory_that_is_a_link_to_another_file_system_is_that_file_system(tmp_path: Path) -> None:
    """Of /var/lib/etcd -> /srv/etcd-data/etcd all names lie on the disk that it leads to."""
    shared = Path("/dev/shm") / f"lifeboat-replacement-{os.getpid()}"
    shared.mkdir()
    try:
        (tmp_path / "link").symlink_to(shared)
        place = Place(tmp_path / "link")
        place.write(place.target, "old")
        place.write(place.staged, "new")
        place.run()
        assert place.text(place.target) == "new"
        assert place.text(place.aside) == "old"
        assert os.path.islink(tmp_path / "link")
    finally:
        shutil.rmtree(shared)


class Killed(BaseException):
    """As if the power had failed."""


@pytest.mark.parametrize("used", [False, True])
def test_a_kill_at_any_step_is_finished_by_a_rerun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: bool) -> None:
    """Every rename, note and removal in turn is the last thing that a first run does; both before and after it happens."""
    names = ("_rename", "_note", "_remove")
    real = {name: getattr(subject, name) for name in names}
    step = 0
    while True:
        place = Place(tmp_path / str(step))
        place.write(place.target, "old")
        place.write(place.staged, "first")
        place.run()
        if used:
            (place.target / "snap" / "db").write_text("first, used")
        place.write(place.staged, "new")
        count = 0

        def dying(name: str, last: int = step) -> object:
            def call(*arguments: object) -> None:
                nonlocal count
                count += 1
                if count * 2 - 1 > last:
                    raise Killed
                real[name](*arguments)
                if count * 2 > last:
                    raise Killed

            return call

        for name in names:
            monkeypatch.setattr(subject, name, dying(name))
        try:
            place.run()
            finished = True
        except Killed:
            finished = False
        for name in names:
            monkeypatch.setattr(subject, name, real[name])
        place.run()
        assert place.text(place.target) == "new", f"step {step}"
        assert place.text(place.aside) == "old", f"step {step}"
        assert place.everything() == (["first, used", "new", "old"] if used else ["new", "old"]), f"step {step}"
        if finished:
            break
        step += 1
    assert step >= 6
