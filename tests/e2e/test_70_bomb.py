# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bomb: every machine is empty, DNS is dead, the controller is new; and no secret gets out of the most talkative recovery."""

from __future__ import annotations

import time
from pathlib import Path

from tests.drill.keys import Keys
from tests.drill.playbooks import Playbooks
from tests.drill.steps import first_change
from tests.e2e.bench import LAB, Bench, relisted, succeeded
from tests.e2e.conftest import Silence
from tests.secrets_search import Hit

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
# A kubelet that waits for a dead name server does so for 40 s and more.
SLOWER_AT_MOST = 1.5
SLACK_SECONDS = 3.0

# Where a secret may lie on a machine: its own place, and the old data that was moved aside.
PLACES = (
    "etc/kubernetes",
    "var/lib/kubelet",
    "var/lib/etcd",
    "var/lib/containerd",
    "var/lib/lifeboat/aside",
    "run",
    "proc",
    "sys",
    "dev",
)


def operator_after_the_bomb(bench: Bench, directory: Path, location: Path) -> Playbooks:
    """What is left: the location, the age key, the allowed signers, the inventory and the collection."""
    keys = Keys(bench.keys.directory)
    variables: dict[str, object] = {"lifeboat_identity_files": [str(keys.identity)], "lifeboat_allowed_signers": str(keys.allowed_signers)}
    return bench.playbooks(directory, location, variables)


def test_bomb_with_dead_dns(living: Bench, directory: Path, location: Path, silence: Silence) -> None:
    """Everything comes back, no slower for want of a name server; at -vvv nothing secret is said, written or left behind."""
    bench = living
    marker = bench.mark("after-the-point")
    memory = bench.memory()
    client = bench.watch()
    operator = operator_after_the_bomb(bench, directory, location)
    bench.bare(*bench.machines)
    bench.lab.break_("dns-dead", *bench.machines)
    since = time.time()
    clock = bench.ready_clock()
    clock.start()
    with silence.watching() as watched:
        finished = succeeded(operator.run("recover_cluster", CONFIRMED, verbosity=3))
    clock.close()
    assert watched.samples > 10
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=bench.machines, marker=marker, since=since))
    relisted(client, bench, marker)

    hits = [*watched.hits, *silence.outputs(directory, besides=[location])]
    for name in bench.machines:
        hits += left_on(bench, name, silence)
    assert not hits, "\n".join(sorted(map(str, hits)))

    changed_at = first_change(finished.report)
    assert changed_at is not None
    assert clock.all_ready_at is not None
    with_dead_dns = clock.all_ready_at - changed_at
    normal = bench.figures.ready_seconds.get("control planes")
    print(f"first change to API ready with DNS dead: {with_dead_dns:.1f} s; before: {normal or 0:.1f} s; whole playbook {finished.seconds:.1f} s")
    if normal is not None:
        assert with_dead_dns < SLOWER_AT_MOST * normal + SLACK_SECONDS


def left_on(bench: Bench, name: str, silence: Silence) -> list[Hit]:
    """Secrets on a machine's disk outside of their places; the disk is read from the lab's side."""
    upper = bench.lab.node(name).disk.upper
    hits, count = silence.search.in_trees([upper], besides=[upper / place for place in PLACES])
    assert count, f"nothing was read of {upper}"
    return hits
