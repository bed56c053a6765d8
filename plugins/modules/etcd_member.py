#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Remove, add and promote members of an etcd cluster
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Before any change counts what the quorum would be after it, in the worst case, and refuses what would lose it.
  - A new member joins as a learner, without a vote. It is started with the RV(initial_cluster) that is returned, and gets its vote
    when it has caught up.
  - In check mode only the plan and the count are returned.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.etcd_connection
options:
  state:
    description:
      - V(absent) removes the member.
      - V(learner) registers it as a learner. Start it then.
      - V(voter) waits until the learner has caught up and promotes it.
      - etcd 3.3 knows no learners; there, V(voter) adds the member at once. A cluster of one cannot be extended in this way, since
        a second member that does not come up would take the quorum away.
    type: str
    choices:
      - absent
      - learner
      - voter
    required: true
  name:
    description:
      - Name of the member. One that never started has none in the list, so give O(peer_url) too where you can.
    type: str
    default: ""
  peer_url:
    description:
      - Peer URL of the member. Needed to add one.
    type: str
    default: ""
  member_id:
    description:
      - Id of the member, hexadecimal.
    type: str
    default: ""
  wait_seconds:
    description:
      - How long to try again while etcd says that its members were not connected for long enough, or that the learner has not caught up.
    type: int
    default: 300
  max_lag_entries:
    description:
      - How many raft entries a member may be behind before that is a problem.
    type: int
    default: 1000
seealso:
  - module: lifeboat.cluster.etcd_cluster_info
"""

EXAMPLES = r"""
- name: Take out the member that died
  lifeboat.cluster.etcd_member:
    state: absent
    name: node3
    ca_cert: /etc/kubernetes/pki/etcd/ca.crt
    client_cert: /etc/kubernetes/pki/etcd/server.crt
    client_key: /etc/kubernetes/pki/etcd/server.key

- name: Register its successor
  lifeboat.cluster.etcd_member:
    state: learner
    name: node3
    peer_url: https://192.0.2.13:2380
    ca_cert: /etc/kubernetes/pki/etcd/ca.crt
    client_cert: /etc/kubernetes/pki/etcd/server.crt
    client_key: /etc/kubernetes/pki/etcd/server.key
  register: joining

- name: Give it its vote, once it was started with the initial cluster returned above
  lifeboat.cluster.etcd_member:
    state: voter
    name: node3
    peer_url: https://192.0.2.13:2380
    ca_cert: /etc/kubernetes/pki/etcd/ca.crt
    client_cert: /etc/kubernetes/pki/etcd/server.crt
    client_key: /etc/kubernetes/pki/etcd/server.key
"""

RETURN = r"""
plan:
  description: What had to be done.
  returned: success
  type: dict
  contains:
    action:
      description: One of V(nothing), V(remove), V(add_learner), V(add_voter) and V(promote).
      type: str
      sample: add_learner
    member_id:
      description: Id of the member, empty for one that is yet to be added.
      type: str
      sample: ""
    name:
      description: Its name.
      type: str
      sample: node3
    peer_url:
      description: Its peer URL.
      type: str
      sample: https://192.0.2.13:2380
projection:
  description: The quorum before and after, in the worst case.
  returned: success
  type: dict
  sample:
    change: add learner node3
    voters_before: 2
    healthy_before: 2
    tolerance_before: 0
    voters: 2
    healthy: 2
    quorum: 2
    tolerance_after: 0
    allowed: true
    reason: ""
members:
  description: The member list afterwards; in check mode as it is.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 8e9e05c52164694d
      name: node1
      peer_urls: ["https://192.0.2.11:2380"]
      client_urls: ["https://192.0.2.11:2379"]
      is_learner: false
      started: true
initial_cluster:
  description: Name and peer URL of every member, for starting the one that joins (with C(--initial-cluster-state=existing)).
  returned: success
  type: dict
  sample:
    node1: https://192.0.2.11:2380
    node3: https://192.0.2.13:2380
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.arguments import CONNECTION_ARGUMENTS, connection_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import look
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members import members
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Plan, count, and unless only asked, apply and read back."""
    params = call.params
    lag = params["max_lag_entries"]
    wanted = members.Wanted(params["state"], params["name"], params["peer_url"], params["member_id"])
    with connect(connection_of(params)) as client:
        plan = members.plan(look(client, max_lag_entries=lag), wanted)
        after = plan.view.members
        if plan.changed and not call.check_mode:
            after = members.apply(client, plan, wait_seconds=params["wait_seconds"], max_lag_entries=lag)
    result: Dict[str, Any] = {
        "changed": plan.changed,
        "plan": plan.as_result(),
        "projection": plan.projection.as_result(),
        "members": [member.as_result() for member in after],
        "initial_cluster": members.initial_cluster(after, wanted),
    }
    if plan.changed:
        listed = plan.members_after() if call.check_mode else result["members"]
        result["diff"] = {"before": {"members": [member.as_result() for member in plan.view.members]}, "after": {"members": listed}}
    return result


def main() -> None:
    """Entry point."""
    arguments = dict(
        CONNECTION_ARGUMENTS,
        state={"type": "str", "choices": ["absent", "learner", "voter"], "required": True},
        name={"type": "str", "default": ""},
        peer_url={"type": "str", "default": ""},
        member_id={"type": "str", "default": ""},
        wait_seconds={"type": "int", "default": 300},
        max_lag_entries={"type": "int", "default": 1000},
    )
    run(arguments, body)


if __name__ == "__main__":
    main()
