# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything is lost, and the cluster comes back with both stores of etcd as they were."""

from __future__ import annotations

import json
from typing import Any

from tests.caasp.bench import LAB, Bench, until
from tests.drill.playbooks import Playbooks
from tests.drill.verification import uids
from tests.e2e.bench import succeeded
from tests.workload import Api, capture, difference

# In no listing, as their names begin with an underscore.
HIDDEN = ("/registry/_hidden", "/registry/configmaps/_lifeboat/hidden")
CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}


def values(bench: Bench, member: str) -> dict[str, str]:
    """The v2 store as one member has it: values by key. Indexes move and times to live run; hidden keys are in no listing and asked for by name."""
    pair = "--cacert /etc/pki/trust/anchors/SUSE_CaaSP_CA.crt --cert /etc/pki/minion.crt --key /etc/pki/minion.key"

    def ask(path: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(bench.on(member, f"curl --silent --fail {pair} 'https://{member}:2379/v2/keys{path}'"))
        node: dict[str, Any] = answer["node"]
        return node

    found: dict[str, str] = {}
    waiting = [ask("/?recursive=true&quorum=true"), *(ask(f"{key}?quorum=true") for key in HIDDEN)]
    while waiting:
        node = waiting.pop()
        if node.get("dir"):
            found[f"{node.get('key', '')}/"] = ""
            waiting += node.get("nodes", [])
        else:
            found[node["key"]] = str(node["value"])
    return found


def test_the_whole_cluster_comes_back(bench: Bench, operator: Playbooks) -> None:
    """Admin node, masters and workers, from nothing: rows, keys and entries, both stores key by key, the same nodes, and it works."""
    api = Api(bench.lab.kubeconfig, connections=4)
    picture, nodes = capture(bench.lab.kubeconfig, api=api), uids(api, "/api/v1/nodes")
    members = [node.name for node in bench.lab.topology.etcd]
    before = values(bench, members[0])
    assert any("/registry/" in key for key in before)
    bench.bare("admin", *bench.nodes)
    succeeded(operator.run("recover_cluster", CONFIRMED))
    assert [values(bench, member) == before for member in members] == [True] * len(members)

    def same() -> bool:
        found = difference(picture, capture(bench.lab.kubeconfig, api=api))
        return not found and found.same > 0

    until("every object is as it was", same)
    assert uids(api, "/api/v1/nodes") == nodes
    bench.assert_working(bench.memory)
    bench.assert_issues("m2")
