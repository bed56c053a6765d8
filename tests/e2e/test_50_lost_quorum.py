# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quorum is lost and one member survives: the operator chooses with both ages in sight; then recoveries that are killed on the way."""

from __future__ import annotations

import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from tests.drill.playbooks import Finished, Playbooks
from tests.e2e.bench import LAB, Bench, refused, relisted, succeeded
from tests.e2e.footprint import assert_untouched

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
FROM_POINT: dict[str, object] = {**CONFIRMED, "quorum_lost_source": "recovery_point"}
SEED = int(os.environ.get("LIFEBOAT_SEED") or 20261120)
KILLS = 3
TASKS_UNKNOWN = 60
TASK = re.compile(r"^TASK \[")
ROOMS = "/var/lib/etcd/member"


def lose_quorum(bench: Bench) -> list[str]:
    """All members but the first lose their disks. On that one, API server and controllers end themselves again and again until it is helped."""
    lost = bench.control_plane[1:]
    bench.bare(*lost)
    return lost


def test_the_survivor_is_chosen(living: Bench, operator: Playbooks) -> None:
    """Refused first, with both ages; then the survivor's data becomes the cluster, and nothing that it knew is lost."""
    bench = living
    marker = bench.mark("after-the-point")
    memory = bench.memory(bench.settled())
    lose_quorum(bench)
    since = time.time()
    before = bench.footprints()
    refused(operator.run("recover_cluster", CONFIRMED), "quorum_lost_source=survivor", "quorum_lost_source=recovery_point", "taken", "last written", "cp1")
    assert_untouched(before, bench.footprints(), containers=False)
    finished = succeeded(operator.run("recover_cluster", {**CONFIRMED, "quorum_lost_source": "survivor"}))
    assert "the data on cp1" in finished.message()
    bench.verify(memory, bench.expected(rolled_back=False, rebuilt=bench.control_plane[1:], marker=marker, since=since))


def killed_in(task: str) -> Callable[[str], bool]:
    """Says yes a moment into a task."""

    def at(line: str) -> bool:
        if not TASK.match(line) or task not in line:
            return False
        time.sleep(1.0)
        return True

    return at


def test_a_survivor_is_not_lost_when_killed(living: Bench, operator: Playbooks) -> None:
    """Killed when the survivor is being stopped, and when its data are being replaced: the reruns go on with what was saved of it."""
    bench = living
    marker = bench.mark("after-the-point")
    memory = bench.memory(bench.settled())
    lose_quorum(bench)
    since = time.time()
    assert operator.run("recover_cluster", {**CONFIRMED, "quorum_lost_source": "survivor"}, kill_when=killed_in("Stop the services in order")).killed
    assert operator.run("recover_cluster", CONFIRMED, kill_when=killed_in("Put restored data in place and start the services")).killed
    # By now two members may serve what was saved, and the third joins them.
    finished = succeeded(operator.run("recover_cluster", CONFIRMED))
    assert "saved of the survivor" in finished.message()
    bench.verify(memory, bench.expected(rolled_back=False, rebuilt=bench.control_plane[1:], marker=marker, since=since))


def killer(number: int, chance: random.Random) -> Callable[[str], bool]:
    """Says yes at the given task, or a moment into it."""
    count = 0
    delay = chance.choice((0.0, 0.3, 1.0))

    def at(line: str) -> bool:
        nonlocal count
        count += bool(TASK.match(line))
        if count < number:
            return False
        time.sleep(delay)
        return True

    return at


def task_numbers(finished: Finished | None) -> tuple[int, int]:
    """Where, among all tasks of a whole recovery, those begin that change machines, and how many there are."""
    if finished is None:
        return TASKS_UNKNOWN // 3, TASKS_UNKNOWN
    total = first = 0
    for line in finished.lines:
        total += bool(TASK.match(line))
        if line.startswith("PLAY [Bring everything") and not first:
            first = total + 1
    return first, total


def test_killed_several_times(living: Bench, operator: Playbooks, directory: Path) -> None:
    """One recovery, killed at random tasks; the last controller loses its run directory too. The rerun finishes, and the old data is aside, once."""
    bench = living
    chance = random.Random(SEED)
    marker = bench.mark("after-the-point")
    memory = bench.memory()
    client = bench.watch()
    survivor = bench.control_plane[0]
    # What earlier restores moved aside is there too, and stays.
    earlier = dict(bench.footprints()[survivor].store)
    old = earlier.pop(ROOMS)
    lose_quorum(bench)
    since = time.time()
    first, total = task_numbers(bench.figures.logs.get("recover_cluster"))
    killed = []
    for _number in range(KILLS):
        task = chance.randint(first, total - 5)
        finished = operator.run("recover_cluster", FROM_POINT, kill_when=killer(task, chance))
        killed.append(f"at task {task}" if finished.killed else f"ended with {finished.status} before task {task}")
        if not finished.killed:
            succeeded(finished)
            break
    print(f"seed {SEED}: killed {', '.join(killed)}")
    assert finished.killed or len(killed) > 1, killed

    # Another controller: nothing is known there of the runs before, and their owner cannot be asked.
    last = finished.run_directory
    shutil.rmtree(operator.runs)
    elsewhere = bench.playbooks(directory / "another-controller", directory / "location", bench.reading())
    result = elsewhere.run("recover_cluster", {**FROM_POINT, "lifeboat_take_over_run": last.name if last else ""})
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=bench.control_plane[1:], marker=marker, since=since))
    succeeded(result)
    relisted(client, bench, marker)
    store = bench.footprints()[survivor].store
    aside = [path for path, inode in store.items() if inode == old]
    assert aside, f"the survivor's old data is nowhere: {store}"
    assert aside != [ROOMS], "the survivor still runs on its old data"
    assert sorted(store) == sorted([ROOMS, *aside, *earlier]), f"more than the new and the old data is there: {store}"
