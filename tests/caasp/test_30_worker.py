# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker is lost, and brought back as the one that it was."""

from __future__ import annotations

from tests.caasp.bench import LAB, Bench, ready, until
from tests.drill.playbooks import Playbooks
from tests.drill.verification import uids
from tests.e2e.bench import succeeded
from tests.workload import Api

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
WORKER = "w2"
MASTER = "m2"


def test_a_lost_worker_is_itself_again(bench: Bench, operator: Playbooks) -> None:
    """With its identity: the same minion under the same key, the same Node."""
    api = Api(bench.lab.kubeconfig, connections=1)
    node = uids(api, "/api/v1/nodes")[WORKER]
    bench.bare(WORKER)
    assert bench.on(WORKER, "cat /etc/machine-id").strip() != bench.memory.minions[WORKER]
    succeeded(operator.run("recover_cluster", CONFIRMED))
    assert bench.on(WORKER, "cat /etc/machine-id").strip() == bench.memory.minions[WORKER]
    bench.answers(list(bench.memory.minions.values()))
    until("the node is ready", lambda: ready(bench, WORKER))
    assert uids(api, "/api/v1/nodes")[WORKER] == node
    assert bench.accepted() == bench.memory.keys


def test_a_lost_master_comes_back_from_a_point_of_its_own(bench: Bench, operator: Playbooks) -> None:
    """Its member of etcd learns everything from the others."""
    api = Api(bench.lab.kubeconfig, connections=1)
    node = uids(api, "/api/v1/nodes")[MASTER]
    succeeded(operator.run("backup_node", {"node_to_back_up": MASTER}))
    bench.bare(MASTER)
    succeeded(operator.run("recover_node", {**CONFIRMED, "node_to_recover": MASTER}))
    assert bench.on(MASTER, "cat /etc/machine-id").strip() == bench.memory.minions[MASTER]
    bench.answers(list(bench.memory.minions.values()))
    until("the node is ready", lambda: ready(bench, MASTER))
    assert uids(api, "/api/v1/nodes")[MASTER] == node
