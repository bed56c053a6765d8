# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The admin node is lost, and comes back as the one that its nodes know."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

from tests.caasp.bench import LAB, Bench
from tests.drill.playbooks import Playbooks
from tests.e2e.bench import refused, succeeded

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
SEED = int(os.environ.get("LIFEBOAT_SEED") or random.SystemRandom().randint(1, 10_000))
# Where a run is killed: the task's beginning, and how long it is left to it.
STAGES = ("Put restored data in place and start", "Load the dump beside the schema", "Reconcile the keys", "Start the rest", "Begin the verification")
TASK = re.compile(r"TASK \[(?:lifeboat\.cluster\.\w+ : )?(.*)\] \*+")


def killer(task: str, delay: float) -> Callable[[str], bool]:
    """Says yes a moment into a task."""

    def at(line: str) -> bool:
        found = TASK.match(line)
        if not found or not found.group(1).startswith(task):
            return False
        time.sleep(delay)
        return True

    return at


def test_nothing_to_recover_is_no_change(bench: Bench, operator: Playbooks) -> None:
    """While everything lives, recover_cluster changes nothing."""
    finished = operator.run("recover_cluster", CONFIRMED)
    assert finished.status == 0, finished.tail()
    assert "nothing to recover" in finished.message()
    bench.assert_working(bench.memory)


def test_the_admin_node_comes_back_alone(bench: Bench, operator: Playbooks, directory: Path) -> None:
    """From a point of its own, while a master gives no answer and a worker is bare, which comes back alone then. Nobody takes that point for the whole."""
    succeeded(operator.run("backup_admin"))
    whole, part = (path.stem for path in sorted((directory / "location" / LAB / "manifests").glob("*.json")))
    bench.lab.break_("power-off", "m1")
    bench.bare("admin", "w2")
    try:
        recovered = succeeded(operator.run("recover_admin", CONFIRMED))
        succeeded(operator.run("recover_node", {**CONFIRMED, "node_to_recover": "w2"}))
    finally:
        bench.lab.heal("power-off", "m1")
        bench.close_connections("m1")
    bench.assert_working(bench.memory)
    assert f"Recovery point {part}" in recovered.output
    assert ", of admin only" in recovered.output
    nothing = operator.run("recover_cluster", CONFIRMED)
    assert nothing.status == 0, nothing.tail()
    assert f"Recovery point {whole}" in nothing.output


def test_an_unknown_part_is_refused(operator: Playbooks) -> None:
    """A name that nobody has is not taken for everything."""
    refused(operator.run("backup_node", {"node_to_back_up": "w9"}), "platform.scope", "w9")
    refused(operator.run("recover_node", {**CONFIRMED, "node_to_recover": "w9"}), "w9")


def test_another_clusters_admin_node_is_refused(bench: Bench, operator: Playbooks) -> None:
    """A machine with another authority on its disk is not written over."""
    bench.bare("admin")
    bench.on(
        "admin",
        "mkdir -p /etc/pki/private && cd /etc/pki && openssl req -x509 -newkey rsa:2048 -nodes -keyout private/ca.key -out ca.crt -days 2 -subj /CN=other 2>&1",
    )
    refused(operator.run("recover_cluster", CONFIRMED), "belong to another cluster", "admin")


def test_a_full_disk_is_refused(bench: Bench, operator: Playbooks) -> None:
    """Seen before anything is brought onto the machine; with room, the same command goes through (the next test)."""
    bench.bare("admin")
    bench.lab.break_("fill-disk", "admin")
    try:
        refused(operator.run("recover_cluster", CONFIRMED), "platform.space", "/var/lib/mysql")
        assert bench.on("admin", "ls /etc/salt/pki/master /var/lib/lifeboat/staging 2> /dev/null", check=False) == ""
    finally:
        bench.lab.heal("fill-disk", "admin")


def test_the_admin_node_comes_back(bench: Bench, operator: Playbooks) -> None:
    """Emptied, recovered by a command that is killed in each stage and then finished: no row, no key and no entry is lost, and no minion was touched."""
    before = {node: bench.minion_process(node) for node in bench.nodes}
    bench.bare("admin")
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    for stage in STAGES:
        assert operator.run("recover_cluster", CONFIRMED, kill_when=killer(stage, chance.choice((0.0, 0.5, 2.0)))).killed, stage
    succeeded(operator.run("recover_cluster", CONFIRMED))
    bench.assert_working(bench.memory)
    assert {node: bench.minion_process(node) for node in bench.nodes} == before
    bench.assert_issues("w2")
    assert "lifeboat" not in bench.on("admin", "iptables -t raw -S"), "the doors are still closed"
