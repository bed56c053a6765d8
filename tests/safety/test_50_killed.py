# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recoveries that are killed on the way, several times in one, and finished from another controller: on the ways that test_50_lost_quorum does not go."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from tests.drill.playbooks import Playbooks
from tests.e2e.bench import LAB, Bench, succeeded
from tests.e2e.test_50_lost_quorum import KILLS, SEED, killer
from tests.safety.test_10_living import lost, write
from tests.safety.test_20_lost import LOSE_SYSTEM_DISK, on_all

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
# Of the 160 tasks or so of a recovery, those at which machines are changed.
FIRST, LAST = 63, 145


def finish(bench: Bench, operator: Playbooks, directory: Path, options: dict[str, object]) -> None:
    """Kill it a few times at random tasks; then another controller, which knows nothing of the runs before, takes over and ends it."""
    chance = random.Random(f"{SEED} {directory.name}")
    told: list[str] = []
    took_over: dict[str, object] = {}
    for _number in range(KILLS):
        task = chance.randint(FIRST, LAST)
        done = operator.run("recover_cluster", {**options, **took_over}, kill_when=killer(task, chance))
        told.append(f"at task {task}" if done.killed else f"ended with {done.status} before task {task}")
        if not done.killed:
            succeeded(done)
            break
        took_over = {"lifeboat_take_over_run": done.run_directory.name if done.run_directory else ""}
    print(f"seed {SEED}: killed {', '.join(told)}")
    shutil.rmtree(operator.runs)
    elsewhere = bench.playbooks(directory / "another-controller", directory / "location", bench.reading())
    succeeded(elsewhere.run("recover_cluster", {**options, **took_over}))


def test_members_that_start_with_their_own_data(living: Bench, operator: Playbooks, directory: Path) -> None:
    bench = living
    written = write(bench, "survives")
    memory = bench.memory(bench.settled())
    on_all(bench, LOSE_SYSTEM_DISK)
    since = time.time()
    finish(bench, operator, directory, {**CONFIRMED, "quorum_lost_source": "members"})
    assert not lost(bench, written)
    bench.verify(memory, bench.expected(rolled_back=False, rebuilt=bench.control_plane, since=since))


def test_a_restore_that_serves_and_lost_a_member(living: Bench, operator: Playbooks, directory: Path) -> None:
    bench = living
    memory = bench.memory()
    bench.bare(*bench.control_plane)
    since = time.time()
    first = operator.run("recover_cluster", CONFIRMED, kill_when=lambda line: line.startswith("PLAY [Verify]"))
    assert first.killed
    written = write(bench, "since")
    bench.bare(bench.control_plane[2])
    over = first.run_directory.name if first.run_directory else ""
    finish(bench, operator, directory, {**CONFIRMED, "lifeboat_take_over_run": over})
    assert not lost(bench, written)
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=bench.control_plane, since=since))


def test_a_cluster_on_fewer_machines(living: Bench, operator: Playbooks, directory: Path) -> None:
    bench = living
    memory = bench.memory()
    away = bench.control_plane[2]
    bench.bare(*bench.machines)
    bench.lab.break_("power-off", away)
    bench.close_connections(away)
    since = time.time()
    finish(bench, operator, directory, {**CONFIRMED, "confirm_missing_members": away})
    written = write(bench, "on-two")
    bench.lab.heal("power-off", away)
    bench.bare(away)
    succeeded(bench.playbooks(directory / "later", directory / "location", bench.reading()).run("recover_cluster", CONFIRMED))
    assert not lost(bench, written)
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=bench.machines, since=since))
