# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker is lost for good, and forgotten everywhere."""

from __future__ import annotations

from pathlib import Path

from tests.caasp.bench import LAB, Bench, ready, until
from tests.drill.memory import uids
from tests.drill.playbooks import Playbooks
from tests.e2e.bench import refused, succeeded
from tests.workload import Api

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
WORKER = "w2"


def traces(bench: Bench, minion: str, name: str) -> list[str]:
    """Where the cluster still knows a node, asked with nothing of the product."""
    cache = "/var/lib/misc/salt/cache/salt-master/minions"
    found = ["row"] if bench.sql(f"SELECT 1 FROM minions WHERE minion_id = '{minion}'").strip() else []
    found += ["dependent rows"] if bench.sql(f"SELECT 1 FROM pillars WHERE minion_id = '{minion}'").strip() else []
    found += bench.on("admin", f"find /etc/salt/pki/master {cache} -name {minion}").split()
    found += ["Node"] if name in uids(Api(bench.lab.kubeconfig, connections=1), "/api/v1/nodes") else []
    return found


def test_a_node_that_is_gone_leaves_no_trace(bench: Bench, operator: Playbooks, directory: Path) -> None:
    """While it lives it is refused; when it is gone, a preview changes nothing, and then it is forgotten in every place."""
    minion = bench.memory.minions[WORKER]
    leaving: dict[str, object] = {**CONFIRMED, "node_leaving": minion}
    refused(operator.run("remove_node", leaving), minion, "is not gone", f"the machine {WORKER} of the inventory")
    bench.lab.break_("power-off", WORKER)
    bench.close_connections(WORKER)
    until("Kubernetes has noticed", lambda: not ready(bench, WORKER))
    inventory = directory / "inventory.yml"
    lines = bench.lab.inventory.read_text().splitlines()
    gone = lines.index(f"            {WORKER}:")
    inventory.write_text("\n".join(lines[:gone] + lines[gone + 2 :]) + "\n")
    known = traces(bench, minion, WORKER)
    assert {"row", "dependent rows", "Node"} < set(known)

    preview = operator.run("remove_node", leaving, inventory=inventory, check=True)
    assert preview.status == 0, preview.tail()
    assert "is still known in: node, database, keys, cache" in preview.message()
    assert traces(bench, minion, WORKER) == known

    succeeded(operator.run("remove_node", leaving, inventory=inventory))
    assert traces(bench, minion, WORKER) == []
    bench.answers([one for one in bench.memory.minions.values() if one != minion])
    again = succeeded(operator.run("remove_node", leaving, inventory=inventory))
    assert "is still known in: no place" in again.message()
