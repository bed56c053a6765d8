#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: leaving_plan
short_description: Tell where a node that is gone is still known, or refuse one that lives
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Compares what database, Salt master, etcd and API server say, and returns where the node is still known.
  - Refuses a node that gives any sign of life, as an id that looks dead may answer. With O(judge=false) it only tells, for the proof afterwards.
  - Talks to no machine. Runs on the controller.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  node:
    description: What the node is known by. Where machines have an id of their own (Salt), that id, else its name.
    type: str
    required: true
  name:
    description: Name of its Node object. Needed only where neither a row nor a kubelet tells it.
    type: str
    default: ""
  nodes:
    description: RV(lifeboat.cluster.cluster_info#module:cluster.nodes).
    type: list
    elements: dict
    required: true
  members:
    description: RV(lifeboat.cluster.etcd_cluster_info#module:cluster.members).
    type: list
    elements: dict
    required: true
  statuses:
    description: RV(lifeboat.cluster.etcd_cluster_info#module:cluster.statuses).
    type: list
    elements: dict
    required: true
  machines:
    description: C(hostname) and C(machine_id) of the machines of the inventory, by inventory name.
    type: dict
    required: true
  salt:
    description: RV(lifeboat.cluster.salt_key_info#module:salt) with answers; leave it out where there is no Salt master.
    type: dict
  rows:
    description: Rows of the database with C(minion_id) and C(fqdn); leave it out where there is no database.
    type: list
    elements: dict
  judge:
    description: Whether a sign of life is a refusal.
    type: bool
    default: true
seealso:
  - module: lifeboat.cluster.cluster_info
  - module: lifeboat.cluster.etcd_cluster_info
  - module: lifeboat.cluster.salt_key_info
  - module: lifeboat.cluster.database_info
"""

EXAMPLES = r"""
- name: Tell where a minion that is gone is still known
  lifeboat.cluster.leaving_plan:
    node: 0a3f5c7e9b1d4f60a2c4e6081a2b3c4d
    nodes: "{{ asked.cluster.nodes }}"
    members: "{{ asked_etcd.cluster.members }}"
    statuses: "{{ asked_etcd.cluster.statuses }}"
    machines: "{{ machines }}"
    salt: "{{ asked_salt.salt }}"
    rows: "{{ asked_database.minions }}"
"""

RETURN = r"""
leaving:
  description: The node and where it is known.
  returned: success
  type: dict
  contains:
    id: {description: What it is known by., type: str}
    name: {description: Name of its Node object., type: str}
    places: {description: "Where it is still known, in the order in which it is taken out.", type: list, elements: str}
    traces:
      description: Lists under C(database), C(keys), C(cache), C(etcd) and C(node), of what can be looked up there.
      type: dict
      sample:
        database: ["0a3f5c7e9b1d4f60a2c4e6081a2b3c4d w9.example.org"]
        keys: ["rejected 4f:0c"]
        cache: ["data", "mine"]
        etcd: []
        node: ["w9 7d0b3b0c-6a41-4b0e-8f3b-0a8d8f0f9f43"]
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.leaving import Seen, find, judge
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

DICTS: Dict[str, Any] = {"type": "list", "elements": "dict"}
SPEC: Dict[str, Any] = {
    "node": {"type": "str", "required": True},
    "name": {"type": "str", "default": ""},
    "nodes": {**DICTS, "required": True},
    "members": {**DICTS, "required": True},
    "statuses": {**DICTS, "required": True},
    "machines": {"type": "dict", "required": True},
    "salt": {"type": "dict"},
    "rows": DICTS,
    "judge": {"type": "bool", "default": True},
}


def body(call: Call) -> Dict[str, Any]:
    """What was seen in, traces or a refusal out."""
    params = call.params
    seen = Seen(params["nodes"], params["members"], params["statuses"], params["machines"], params["salt"], params["rows"])
    leaving = find(params["node"], seen, params["name"])
    if params["judge"]:
        judge(leaving, seen)
    return {"leaving": leaving.as_dict()}


def main() -> None:
    """Entry point."""
    run(SPEC, body)


if __name__ == "__main__":
    main()
