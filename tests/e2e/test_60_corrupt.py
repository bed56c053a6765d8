# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd's data is damaged on every member: there is data, and nobody can use it."""

from __future__ import annotations

import time

from tests.drill.playbooks import Playbooks
from tests.drill.scenarios import corrupt
from tests.e2e.bench import LAB, Bench, refused, relisted, succeeded

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}


def test_etcd_is_corrupt_everywhere(living: Bench, operator: Playbooks) -> None:
    """The damaged data is still data of old members: the operator chooses, it is moved aside, and the point serves."""
    bench = living
    marker = bench.mark("after-the-point")
    memory = bench.memory()
    client = bench.watch()
    bench.dirty = True
    corrupt(bench.lab)
    since = time.time()
    refused(operator.run("recover_cluster", CONFIRMED), "quorum_lost_source=recovery_point")
    succeeded(operator.run("recover_cluster", {**CONFIRMED, "quorum_lost_source": "recovery_point"}))
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=(), marker=marker, since=since))
    relisted(client, bench, marker)
    for name in bench.control_plane:
        assert [path for path in bench.footprints()[name].store if "/member." in path], f"the damaged data of {name} was not kept"
