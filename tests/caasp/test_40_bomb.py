# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything is lost, and the cluster comes back with both stores of etcd as they were."""

from __future__ import annotations

from tests.caasp.bench import LAB, Bench, ready, until
from tests.drill.members import v2_values
from tests.drill.memory import uids
from tests.drill.playbooks import Playbooks
from tests.e2e.bench import succeeded
from tests.workload import Api, capture, difference

OBJECTS = "/api/v1/namespaces/default/configmaps"
CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}


def test_the_living_cluster_goes_back(bench: Bench, operator: Playbooks) -> None:
    """restore_etcd puts both stores back: what was made after the point is gone, on every member, and nothing else."""
    api = Api(bench.lab.kubeconfig, connections=4)
    members = [node.name for node in bench.lab.topology.etcd]
    before = v2_values(bench.lab, members[0])
    succeeded(operator.run("backup_cluster"))
    api.request("POST", OBJECTS, body={"metadata": {"name": "made-after-the-point"}})
    pair = "--cacert /etc/pki/trust/anchors/SUSE_CaaSP_CA.crt --cert /etc/pki/minion.crt --key /etc/pki/minion.key"
    bench.on(members[0], f"curl --silent --fail {pair} -X PUT -d value=new https://{members[0]}:2379/v2/keys/registry/made-after-the-point")
    assert v2_values(bench.lab, members[-1]) != before
    succeeded(operator.run("restore_etcd", CONFIRMED))
    assert [v2_values(bench.lab, member) == before for member in members] == [True] * len(members)
    until("what was made afterwards is gone", lambda: "made-after-the-point" not in uids(api, OBJECTS))
    until("every node is ready", lambda: all(ready(bench, node) for node in bench.nodes))


def test_the_whole_cluster_comes_back(bench: Bench, operator: Playbooks) -> None:
    """Admin node, masters and workers, from nothing: rows, keys and entries, both stores key by key, the same nodes, and it works."""
    api = Api(bench.lab.kubeconfig, connections=4)
    picture, nodes = capture(bench.lab.kubeconfig, api=api), uids(api, "/api/v1/nodes")
    members = [node.name for node in bench.lab.topology.etcd]
    before = v2_values(bench.lab, members[0])
    assert any("/registry/" in key for key in before)
    bench.bare("admin", *bench.nodes)
    succeeded(operator.run("recover_cluster", CONFIRMED))
    assert [v2_values(bench.lab, member) == before for member in members] == [True] * len(members)

    def same() -> bool:
        found = difference(picture, capture(bench.lab.kubeconfig, api=api))
        return not found and found.same > 0

    until("every object is as it was", same)
    assert uids(api, "/api/v1/nodes") == nodes
    bench.assert_working(bench.memory)
    bench.assert_issues("m2")
