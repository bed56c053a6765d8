# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence on its way to the location in real playbooks: with a location, without, with one that is away, and when all hosts fail."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.evidence.playground import BEGIN, FINISH, Playground

SECRET = "planted-password-0815"
STAGES = """
- hosts: control_plane
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - lifeboat.cluster.stage: {name: one, state: started}
    - lifeboat.cluster.check:
        checks: [{id: try.one, title: It is well, expect: not (broken | default(false) | bool), found: "'as it is'", remedy: Repair it.}]
    - lifeboat.cluster.stage: {name: one, state: ended}
    - lifeboat.cluster.stage: {name: two, state: started}
    - lifeboat.cluster.check:
        checks: [{id: try.two, title: It is well, expect: true, found: "'as it is'", remedy: Repair it.}]
    - lifeboat.cluster.stage: {name: two, state: ended}
"""
AGAIN = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: lifeboat.cluster.report, tasks_from: finish}
"""


@pytest.fixture
def location(playground: Playground) -> Path:
    """A location that the inventory names."""
    path = playground.directory / "location"
    path.mkdir(mode=0o700)
    with playground.inventory.open("a") as inventory:
        inventory.write(f"lifeboat_location={{'type': 'directory', 'path': '{path}', 'mount_required': 'no'}}\nvault_token={SECRET}\n")
    return path


def files(location: Path, playground: Playground) -> dict[str, bytes]:
    """What lies in the location of the last run."""
    directory = location / "prod-1" / "runs" / playground.run_directories()[-1].name
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())} if directory.exists() else {}


def records(found: dict[str, bytes]) -> list[dict[str, Any]]:
    """The journal as it lies there."""
    return [json.loads(line) for name in sorted(found) if name.endswith(".jsonl") for line in found[name].splitlines()]


def test_a_run_is_in_the_location_when_it_ends(playground: Playground, location: Path) -> None:
    """One segment for each end of a stage and one for the end; the report once, although finish runs twice."""
    done = playground.play(BEGIN + STAGES + FINISH + AGAIN)
    assert done.returncode == 0, done.stdout
    assert "not copied" not in done.stdout
    found = files(location, playground)
    assert sorted(found) == ["000.jsonl", "001.jsonl", "002.jsonl", "report.html", "report.json"]
    assert records(found) == playground.records()
    assert [record["stage"] for record in records({"a.jsonl": found["001.jsonl"]})] == ["two"] * 6
    assert json.loads(found["report.json"])["verdict"] == "passed"
    assert records(found)[-1]["kind"] == "run_end"


def test_without_a_location_nothing_is_tried(playground: Playground) -> None:
    done = playground.play(BEGIN + STAGES + FINISH)
    assert done.returncode == 0, done.stdout
    assert "not copied" not in done.stdout
    assert not (playground.run_directories()[-1] / "upload.lock").exists()


def test_in_check_mode_nothing_is_written(playground: Playground, location: Path) -> None:
    done = playground.play(BEGIN + STAGES + FINISH, "--check")
    assert done.returncode == 0, done.stdout
    assert list(location.iterdir()) == []


def test_a_failing_check_sends_the_journal(playground: Playground, location: Path) -> None:
    """When all hosts have failed no later play runs, and no stage ends."""
    done = playground.play(BEGIN + STAGES + FINISH, "-e", "broken=true")
    assert done.returncode != 0
    found = files(location, playground)
    assert {record["host"] for record in records(found) if record["kind"] == "check"} == {"cp1", "cp2"}
    assert "report.html" not in found


def test_a_location_that_is_away_is_one_warning(playground: Playground, location: Path) -> None:
    """The run passes, says it once, and records it; the path is in the message, the credentials are not."""
    shutil.rmtree(location)
    done = playground.play(BEGIN + STAGES + FINISH)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("The evidence of this run is not copied to the location") == 1
    notes = [record["text"] for record in playground.records("note")]
    assert len(notes) == 1
    assert str(location) in notes[0]
    assert playground.report()["verdict"] == "passed"


def test_a_location_that_comes_back_gets_everything(playground: Playground, location: Path) -> None:
    location.rmdir()
    middle = f"- hosts: localhost\n  gather_facts: false\n  tasks:\n    - ansible.builtin.file: {{path: {location}, state: directory, mode: '0700'}}\n"
    done = playground.play(BEGIN + STAGES + middle + FINISH)
    assert done.returncode == 0, done.stdout
    assert records(files(location, playground)) == playground.records()


def test_a_location_that_is_none_is_told_without_its_values(playground: Playground) -> None:
    wrong = json.dumps({"lifeboat_location": {"type": "directory", "paht": "/srv", "secret_key": SECRET}})
    done = playground.play(BEGIN + STAGES + FINISH, "-e", wrong)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("lifeboat_location does not describe a location") == 1
    undefined = playground.play(BEGIN + STAGES + FINISH, "-e", '{"lifeboat_location": {"path": "{{ not_there_at_all }}"}}')
    assert undefined.returncode == 0, undefined.stdout
    assert undefined.stdout.count("lifeboat_location cannot be read: 'not_there_at_all' is undefined") == 1
    for path in playground.runs.rglob("*"):
        assert not path.is_file() or SECRET not in path.read_text(errors="replace")
    assert SECRET not in done.stdout


HANGING = """
import time
from ansible.plugins.callback import CallbackBase
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.plugin_utils import evidence

def put_new(self, key, data, retain_until=None):
    with open(self.path + "/asked", "a") as stream:
        stream.write("x")
    time.sleep(60)

evidence.UPLOAD_SECONDS = evidence.LAST_UPLOAD_SECONDS = 1.0
FilesystemLocation.put_new = put_new

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_NAME = "hang"
"""


def test_a_location_that_never_answers_is_not_waited_for_twice(playground: Playground, location: Path) -> None:
    """As a dead NFS server: a callback, which the controller imports before the first task, makes writing hang."""
    callbacks = playground.directory / "callbacks"
    callbacks.mkdir()
    (callbacks / "hang.py").write_text(HANGING)
    begin = time.monotonic()
    done = playground.play(BEGIN + STAGES + FINISH, ANSIBLE_CALLBACK_PLUGINS=str(callbacks), ANSIBLE_CALLBACKS_ENABLED="hang")
    assert done.returncode == 0, done.stdout
    assert time.monotonic() - begin < 50
    assert done.stdout.count("did not answer within 1 s") == 1
    # At the end of stage one and of the run, but not of stage two.
    assert (location / "asked").read_text() == "xx"
    assert (playground.run_directories()[-1] / "report.html").exists()
