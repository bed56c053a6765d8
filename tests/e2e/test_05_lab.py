# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: killed at any moment it is cleaned up by the next command, labs stand side by side, and a machine without power comes back."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import environment
from tests.e2e.bench import LAB, Bench
from tests.killing import kill_tree
from tests.lab import Lab
from tests.lab.api import readyz
from tests.workload.creation import wait_for

SIDE = LAB.replace("e2e", "side")
TOPOLOGY = "single"
LIMIT_SECONDS = 300.0
MOMENT_SECONDS = 20.0
SEED = 20261120
KILLS = 3


def left(name: str) -> list[str]:
    """Everything on this machine that belongs to a lab: namespaces, mounts, control groups with processes, files."""
    found = [str(path) for path in Path("/run/netns").glob(f"lifeboat-{name}*")]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if f"/{name}/" in line or f"lifeboat-{name}" in line]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # One that has ended and only waits for whoever inherited it is nobody's burden.
                ended = (entry / "stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
                if not ended and f"lifeboat-lab/{name}/" in (entry / "cgroup").read_text() + "/":
                    found.append(f"process {entry.name}: {(entry / 'comm').read_text().strip()}")
            except OSError:
                continue
    directory = Lab.open(name).directory
    return [*found, *([str(directory)] if directory.exists() else [])]


def nothing_left() -> None:
    """The kernel needs a moment to take a killed process away."""
    wait_for("nothing is left of the lab", lambda: "; ".join(left(SIDE)), MOMENT_SECONDS)


@pytest.fixture
def side() -> Iterator[Lab]:
    """A second lab, beside the one of all other tests; nothing is left of it."""
    lab = Lab.open(SIDE)
    lab.down()
    yield lab
    lab.down()
    nothing_left()


def answers(lab: Lab) -> str:
    """What a lab's API server lacks."""
    return readyz(lab.topology.api_address) or ""


def test_two_labs_stand_side_by_side(living: Bench, side: Lab) -> None:
    """Both clusters answer, on networks of their own; what happens to one does not reach the other."""
    begin = time.monotonic()
    side.up(TOPOLOGY)
    first = time.monotonic() - begin
    assert left(SIDE)
    wait_for("the second lab answers", lambda: answers(side), LIMIT_SECONDS)
    wait_for("the first lab answers", lambda: answers(living.lab), LIMIT_SECONDS)
    assert side.status()["subnet"] != living.lab.status()["subnet"]

    node = side.topology.control_plane[0].name
    side.break_("power-off", node)
    assert readyz(side.topology.api_address)
    wait_for("the first lab answers", lambda: answers(living.lab), LIMIT_SECONDS)
    side.heal("power-off", node)
    wait_for("the second lab answers again, on its old disk", lambda: answers(side), LIMIT_SECONDS)

    side.down()
    nothing_left()
    begin = time.monotonic()
    side.up(TOPOLOGY)
    print(f"up {TOPOLOGY}: {first:.0f} s, the second time {time.monotonic() - begin:.0f} s")


def test_a_killed_lab_is_cleaned_up(side: Lab) -> None:
    """Whatever it did in that moment: the next up makes a cluster that answers, and the next down leaves nothing."""
    chance = random.Random(SEED)
    command = [sys.executable, "-m", "tests.lab", "up", TOPOLOGY, "--name", SIDE]
    for number in range(KILLS):
        process = subprocess.Popen(command, cwd=environment.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(chance.uniform(0.3, 8.0))
        kill_tree(process.pid)
        process.wait(LIMIT_SECONDS)
        if number == 1:
            side.down()
            nothing_left()
    side.up(TOPOLOGY)
    wait_for("the lab answers", lambda: answers(side), LIMIT_SECONDS)
