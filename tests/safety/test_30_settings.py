# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 19: settings of Ansible that used to break a recovery in the middle."""

from __future__ import annotations

import time

from tests.drill.playbooks import Playbooks
from tests.e2e.bench import LAB, Bench, succeeded

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}


def test_one_fork_and_groups_that_must_match(living: Bench, operator: Playbooks) -> None:
    """Groups of the plan that stay empty are no error, and nobody waits inside of one fork for machines that wait for the fork."""
    bench = living
    memory = bench.memory()
    bench.bare(*bench.control_plane)
    since = time.time()
    narrow = {"ANSIBLE_FORKS": "1", "ANSIBLE_HOST_PATTERN_MISMATCH": "error"}
    succeeded(operator.run("recover_cluster", CONFIRMED, process_environment=narrow))
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=bench.control_plane, since=since))
    bench.dirty = True
    succeeded(operator.run("restore_etcd", CONFIRMED, process_environment=narrow))
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=()))
