#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_cluster_info
short_description: Health, members and consistency of an etcd cluster
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Asks one etcd member for the member list and then, all at once, every member for its state. Works without a quorum.
  - On request proves that all members hold the same data, that a quorum answers, and that a watch from an old revision is cancelled.
  - Nothing is written, unless O(sentinel) is given.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.etcd_connection
options:
  hash:
    description:
      - Ask every member for the hash over all keys at one revision, and compare.
    type: bool
    default: false
  hash_revision:
    description:
      - The revision at which to compare; V(0) is the newest that all members have reached.
    type: int
    default: 0
  sentinel:
    description:
      - A key to write before the hashes are asked for, such as C(/lifeboat/sentinel). Outside of check mode this is a change.
      - Needed only straight after a restore with a bump, and only for etcd before 3.4.27 and 3.5.10, which cannot hash the newest revision
        before there is a newer one. RV(hashes_reason) then says that the revision was compacted.
    type: str
    default: ""
  linearizable:
    description:
      - Prove with a linearizable read that a quorum answers right now.
    type: bool
    default: false
  wait_seconds:
    description:
      - With O(linearizable=true), ask again for so long until a quorum answers. A member that is just being started, or a leader that is just being
        elected, is no lost one.
    type: int
    default: 0
  watch_from_revision:
    description:
      - Prove that a watch that starts at this revision is cancelled as compacted. V(0) asks nothing.
      - After a restore, caches of the API server and of controllers only read everything anew when this is so.
    type: int
    default: 0
  max_lag_entries:
    description:
      - How many raft entries a member may be behind before that is a problem.
    type: int
    default: 1000
seealso:
  - module: lifeboat.cluster.etcd_snapshot
  - module: lifeboat.cluster.etcd_member
"""

EXAMPLES = r"""
- name: Look at the cluster from a kubeadm control plane
  lifeboat.cluster.etcd_cluster_info:
    ca_cert: /etc/kubernetes/pki/etcd/ca.crt
    client_cert: /etc/kubernetes/pki/etcd/server.crt
    client_key: /etc/kubernetes/pki/etcd/server.key
  register: etcd

- name: Prove after a restore that all members are one cluster and that old watches end
  lifeboat.cluster.etcd_cluster_info:
    ca_cert: /etc/kubernetes/pki/etcd/ca.crt
    client_cert: /etc/kubernetes/pki/etcd/server.crt
    client_key: /etc/kubernetes/pki/etcd/server.key
    hash: true
    linearizable: true
    watch_from_revision: "{{ snapshot.revision }}"
  register: etcd
  failed_when: etcd.hashes_equal is not true or not etcd.linearizable or not etcd.watch.cancelled
"""

RETURN = r"""
cluster:
  description: The cluster as its members see it.
  returned: success
  type: dict
  contains:
    cluster_id:
      description: Id of the cluster, hexadecimal. Changes with every restore.
      type: str
      sample: cdf818194e3a8c32
    members:
      description: The member list.
      type: list
      elements: dict
      sample:
        - id: 8e9e05c52164694d
          name: node1
          peer_urls: ["https://192.0.2.11:2380"]
          client_urls: ["https://192.0.2.11:2379"]
          is_learner: false
          started: true
    leader:
      description: Id of the leader, empty when none is known.
      type: str
      sample: 8e9e05c52164694d
    alarms:
      description: Alarms that are raised.
      type: list
      elements: dict
      sample:
        - member_id: 8e9e05c52164694d
          alarm: NOSPACE
    statuses:
      description: State of each member, also of those that do not answer.
      type: list
      elements: dict
      sample:
        - endpoint: https://127.0.0.1:2379
          member_id: 8e9e05c52164694d
          name: node1
          reachable: true
          error: ""
          version: 3.6.16
          revision: 48211
          raft_index: 60123
          raft_applied_index: 60123
          raft_term: 3
          lag_entries: 0
          db_size_bytes: 25751552
          db_size_in_use_bytes: 12079104
          is_learner: false
          errors: []
          storage_version: 3.6.0
    voters:
      description: Number of members with a vote.
      type: int
      sample: 3
    healthy_voters:
      description: Number of voters that answer, belong to this cluster and see a leader.
      type: int
      sample: 3
    quorum:
      description: How many voters have to agree.
      type: int
      sample: 2
    revision:
      description: The highest revision that any member told.
      type: int
      sample: 48211
    problems:
      description: What is wrong. An RV(ignore:error) forbids a snapshot from this endpoint, a RV(ignore:warning) does not.
      type: list
      elements: dict
      sample:
        - id: unreachable
          severity: warning
          message: "node3 (https://192.0.2.13:2379) does not answer: Connection refused"
          member_id: 91bc3c398fb3c146
          endpoint: https://192.0.2.13:2379
hashes:
  description: The hash of each member.
  returned: when O(hash=true)
  type: list
  elements: dict
  sample:
    - endpoint: https://127.0.0.1:2379
      member_id: 8e9e05c52164694d
      hash: 2536353010
      hash_revision: 48211
      compact_revision: 47010
      error: ""
hashes_equal:
  description: Whether all members hold equal data. Null when that was not proven, RV(hashes_reason) says why.
  returned: when O(hash=true)
  type: bool
  sample: true
hashes_reason:
  description: What the verdict rests on.
  returned: when O(hash=true)
  type: str
  sample: 3 of 3 members hold equal data at revision 48211
linearizable:
  description: Whether a quorum answered.
  returned: when O(linearizable=true)
  type: bool
  sample: true
linearizable_reason:
  description: Why it did not.
  returned: when O(linearizable=true)
  type: str
  sample: ""
watch:
  description: Whether the watch was cancelled.
  returned: when O(watch_from_revision) is not V(0)
  type: dict
  sample:
    cancelled: true
    compact_revision: 1000048211
    reason: "etcdserver: mvcc: required revision has been compacted"
"""

import time
from typing import Any, Dict, Mapping

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.arguments import CONNECTION_ARGUMENTS, connection_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import look
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members.health import cluster_result
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members.verify import compare_hashes, linearizable_read
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

PAUSE_SECONDS = 1.0


def wait_for_quorum(params: Mapping[str, Any]) -> None:
    """Ask until a quorum answers or the time is over; what is found in the end is for the real look to tell."""
    deadline = time.monotonic() + params["wait_seconds"]
    while time.monotonic() < deadline:
        try:
            if linearizable_read(connect(connection_of(params)))[0]:
                return
        except LifeboatError:
            pass
        time.sleep(PAUSE_SECONDS)


def body(call: Call) -> Dict[str, Any]:
    """Look, and prove what is asked for."""
    params = call.params
    if params["linearizable"]:
        wait_for_quorum(params)
    client = connect(connection_of(params))
    view = look(client, max_lag_entries=params["max_lag_entries"])
    result: Dict[str, Any] = {"cluster": cluster_result(view, max_lag_entries=params["max_lag_entries"])}
    if params["hash"]:
        sentinel = "" if call.check_mode else params["sentinel"]
        comparison = compare_hashes(client, view, revision=params["hash_revision"], sentinel=sentinel.encode())
        result["changed"] = bool(sentinel)
        result["hashes"] = [entry.as_result() for entry in comparison.hashes]
        result["hashes_equal"], result["hashes_reason"] = comparison.equal, comparison.reason
    if params["linearizable"]:
        result["linearizable"], result["linearizable_reason"] = linearizable_read(client)
    if params["watch_from_revision"]:
        result["watch"] = client.watch_probe(params["watch_from_revision"]).as_result()
    return result


def main() -> None:
    """Entry point."""
    arguments = dict(
        CONNECTION_ARGUMENTS,
        hash={"type": "bool", "default": False},
        hash_revision={"type": "int", "default": 0},
        sentinel={"type": "str", "default": ""},
        linearizable={"type": "bool", "default": False},
        wait_seconds={"type": "int", "default": 0},
        watch_from_revision={"type": "int", "default": 0},
        max_lag_entries={"type": "int", "default": 1000},
    )
    run(arguments, body)


if __name__ == "__main__":
    main()
