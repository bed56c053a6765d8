# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker is lost, and brought back as the one that it was."""

from __future__ import annotations

from pathlib import Path

from tests.caasp.bench import LAB, PORTABLE, Bench, ready, until
from tests.drill.memory import uids
from tests.drill.playbooks import Playbooks
from tests.e2e.bench import refused, succeeded
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


def test_a_host_with_an_old_python(bench: Bench, directory: Path, operator: Playbooks) -> None:
    """Its own is of no use, and refused with advice; with a portable one at another path it is backed up, lost and brought back."""
    chosen = {"node_to_back_up": WORKER}
    bench.age_python(WORKER)
    refused(operator.run("backup_node", chosen), "platform.python", "ansible_python_interpreter", "3.4.10")
    inventory = bench.inventory_with(WORKER, directory, ansible_python_interpreter=f"{PORTABLE}/bin/python3")
    succeeded(operator.run("backup_node", chosen, inventory=inventory))
    bench.bare(WORKER)
    bench.age_python(WORKER)
    succeeded(operator.run("recover_node", {**CONFIRMED, "node_to_recover": WORKER}, inventory=inventory))
    assert bench.on(WORKER, "cat /etc/machine-id").strip() == bench.memory.minions[WORKER]
    until("the node is ready", lambda: ready(bench, WORKER))
    bench.on(WORKER, "rm /usr/bin/python3 && ln -s python3.11 /usr/bin/python3")


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
