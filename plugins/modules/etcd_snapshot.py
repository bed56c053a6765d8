#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot
short_description: Take a verified snapshot of an etcd member
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Streams a snapshot of one etcd member into a file on the host, compares its sha256 with the one that etcd sends last,
    opens the file and counts what is in it.
  - Refuses when the cluster has a problem that would make the snapshot worthless. A dead member that leaves a quorum is not one.
    A learner is never asked.
  - The file is written beside its place and renamed when it is proven and on the disk. An existing file is never replaced.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.etcd_connection
options:
  transport:
    description:
      - As in the other modules of etcd, but for C(etcdctl), which saves to a file and streams nothing.
    type: str
    choices:
      - auto
      - grpc
      - gateway
    default: auto
  path:
    description:
      - The file to write. Its directory must exist.
      - When there is a valid snapshot already, nothing is done and its record is returned; an invalid one is an error.
    type: path
    required: true
  owner:
    description:
      - User, or C(user:group), who shall own the finished file, for a transfer by somebody who is not root.
    type: str
    default: ""
  minimum_free_bytes:
    description:
      - What has to stay free on the file system beside twice the size of the database.
    type: int
    default: 0
  max_lag_entries:
    description:
      - How many raft entries the member may be behind the others.
    type: int
    default: 1000
  allow_problems:
    description:
      - Ids of problems that shall not forbid the snapshot. For disasters, such as V(quorum_lost) and V(no_leader) to save what a last survivor has.
    type: list
    elements: str
    choices:
      - alarm_corrupt
      - alarm_nospace
      - cluster_id_mismatch
      - corrupting_version
      - lagging
      - no_leader
      - quorum_lost
    default: []
  registry_prefixes:
    description:
      - Below which prefixes the API servers of this cluster keep their objects, see their option C(--etcd-prefix).
      - With none of their keys, or without the namespace kube-system, it is some other etcd that was asked; see RV(registry) and RV(identity).
    type: list
    elements: str
    default: [/registry]
  kube_system_uid:
    description:
      - UID of the namespace kube-system as the API server tells it. Compared with the one in the snapshot, see RV(identity).
      - Empty where no API server could be asked.
    type: str
    default: ""
seealso:
  - module: lifeboat.cluster.etcd_snapshot_info
  - module: lifeboat.cluster.etcd_restore
"""

EXAMPLES = r"""
- name: Take a snapshot on a kubeadm control plane
  lifeboat.cluster.etcd_snapshot:
    path: /var/lib/lifeboat/staging/etcd.db
    owner: operator
    ca_cert: /etc/kubernetes/pki/etcd/ca.crt
    client_cert: /etc/kubernetes/pki/etcd/server.crt
    client_key: /etc/kubernetes/pki/etcd/server.key

- name: Save what the last survivor has
  lifeboat.cluster.etcd_snapshot:
    path: /var/lib/lifeboat/staging/survivor.db
    allow_problems:
      - quorum_lost
      - no_leader
    ca_cert: /etc/kubernetes/pki/etcd/ca.crt
    client_cert: /etc/kubernetes/pki/etcd/server.crt
    client_key: /etc/kubernetes/pki/etcd/server.key
"""

RETURN = r"""
snapshot:
  description: The record of the snapshot. In check mode, when there is none yet, only its path.
  returned: success
  type: dict
  contains:
    path:
      description: Where it lies.
      type: str
      sample: /var/lib/lifeboat/staging/etcd.db
    size_bytes:
      description: Length of the file.
      type: int
      sample: 25751584
    sha256:
      description: Digest of the whole file.
      type: str
      sample: daf658379d712e1608449b109cc7e6c012c3047d70b8a0ed1d0a19bfb1961940
    trailer_ok:
      description: Whether the sha256 that etcd put at the end agrees with what stands before.
      type: bool
      sample: true
    revision:
      description: The newest revision in it.
      type: int
      sample: 48211
    compact_revision:
      description: Revisions below were compacted.
      type: int
      sample: 47010
    consistent_index:
      description: The last raft entry that is contained.
      type: int
      sample: 60123
    term:
      description: Raft term of that entry; V(0) before etcd 3.5.
      type: int
      sample: 3
    storage_version:
      description: Version of the format; empty before etcd 3.6.
      type: str
      sample: 3.6.0
    cluster_version:
      description: The version that the whole cluster agreed on.
      type: str
      sample: 3.6.0
    downgrade_target:
      description: The release to which the cluster is being brought back; empty where it is not. A restored cluster goes on with it by itself.
      type: str
      sample: ""
    cluster_id:
      description: Always null. The database does not know it.
      type: str
      sample: null
    members:
      description: The members at that time.
      type: list
      elements: dict
      sample:
        - id: 8e9e05c52164694d
          name: node1
          peer_urls: ["https://192.0.2.11:2380"]
          client_urls: ["https://192.0.2.11:2379"]
          is_learner: false
          started: true
    members_removed:
      description: Ids of members that were removed once.
      type: list
      elements: str
      sample: []
    alarms:
      description: Alarms that were raised. They come back with a restore.
      type: list
      elements: dict
      sample: []
    keys_total:
      description: Number of live keys.
      type: int
      sample: 1893
    leases_total:
      description: Number of leases.
      type: int
      sample: 41
    leased_keys_total:
      description: Number of live keys that have a lease.
      type: int
      sample: 57
    keys_by_prefix:
      description: Number of live keys of each resource. The paths are never encrypted, so this always works.
      type: dict
      sample:
        /registry/secrets/: 14
        /registry/services/specs/: 5
    keys_by_kind:
      description: Number of live keys of each kind; V(encrypted) where the value is encrypted.
      type: dict
      sample:
        apps/v1/Deployment: 9
        encrypted: 14
        v1/ConfigMap: 30
    encryption:
      description: Which keys values are encrypted with. All of them have to be in the encryption configuration that is restored.
      type: list
      elements: dict
      sample:
        - provider: secretbox
          version: v1
          key_name: key1
          count: 14
          resources: [secrets]
    unencrypted_secrets:
      description: Number of Secrets whose value is readable in the file.
      type: int
      sample: 0
    unencrypted_by_resource:
      description: Number of live keys of each resource whose value is not encrypted. To read them, a configuration that names the resource needs C(identity).
      type: dict
      sample:
        pods: 31
        secrets: 0
    registry_keys:
      description: Number of live keys below each prefix of the API servers.
      type: dict
      sample:
        /registry: 1893
    kube_system_uid:
      description: UID of the namespace kube-system, which names the cluster; null when it cannot be read.
      type: str
      sample: 6dbd6a44-0c4e-4ff3-ba1f-ee0b2b7e5a5c
    kube_system_reason:
      description: Why it cannot be read.
      type: str
      sample: ""
    taken_at:
      description: When it was asked for (UTC). Whatever was written before is contained. Also the file's time of modification.
      type: str
      sample: "2026-11-20T13:59:03Z"
    duration_seconds:
      description: How long streaming and writing took; V(0) when nothing was taken.
      type: float
      sample: 2.412
    endpoint:
      description: Where it was taken; empty when nothing was taken.
      type: str
      sample: https://127.0.0.1:2379
    member_id:
      description: The member that gave it.
      type: str
      sample: 8e9e05c52164694d
    server_version:
      description: Version of that member.
      type: str
      sample: 3.6.16
    transport:
      description: How it was taken.
      type: str
      sample: gateway
    cluster:
      description: The cluster just before, as M(lifeboat.cluster.etcd_cluster_info) returns it; null when nothing was taken.
      type: dict
      sample: null
registry:
  description: Whether the snapshot holds keys below every one of O(registry_prefixes) (C(passed)), and what was C(found). Not in check mode.
  returned: success
  type: dict
  sample: {passed: true, found: 1893 keys below /registry}
identity:
  description:
    - Whether the snapshot is of the cluster with O(kube_system_uid) (C(passed)), and what was C(found). Not in check mode.
    - Where the namespace is encrypted, M(lifeboat.cluster.encryption_proof) compares it when its key is proven.
  returned: success
  type: dict
  sample: {passed: true, found: kube-system is 6dbd6a44-0c4e-4ff3-ba1f-ee0b2b7e5a5c}
encryption_samples:
  description:
    - Encrypted values, as they are stored, for M(lifeboat.cluster.encryption_proof). The shortest of each key and resource; they hold no key.
    - C(path) and C(value) are base64. Not in check mode.
  returned: success
  type: list
  elements: dict
  sample: []
"""

import os
from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.arguments import STREAMING_ARGUMENTS, connection_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members.health import ALLOWABLE_PROBLEM_IDS
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.take import Taken, existing, prepare, take
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import DEFAULT_PREFIX, judge_identity, judge_registry
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Return what stands, or prepare, and take."""
    params = call.params
    prefixes = params["registry_prefixes"]
    if os.path.lexists(params["path"]):
        return dict({"changed": False}, **told(existing(params["path"], prefixes), params["kube_system_uid"]))
    with connect(connection_of(params)) as client:
        cluster = prepare(
            client,
            params["path"],
            max_lag_entries=params["max_lag_entries"],
            minimum_free_bytes=params["minimum_free_bytes"],
            allowed=params["allow_problems"],
        )
        for problem in cluster["problems"]:
            call.warn("etcd: %s" % problem["message"])
        if call.check_mode:
            return {"changed": True, "snapshot": {"path": params["path"], "cluster": cluster}, "diff": {"before": {}, "after": {"path": params["path"]}}}
        taken = take(client, params["path"], cluster, minimum_free_bytes=params["minimum_free_bytes"], owner=params["owner"], prefixes=prefixes)
    after = {key: taken.record[key] for key in ("path", "sha256", "size_bytes", "revision")}
    return dict({"changed": True, "diff": {"before": {}, "after": after}}, **told(taken, params["kube_system_uid"]))


def told(taken: Taken, uid: str) -> Dict[str, Any]:
    """The record, whether it is of this cluster, and what encrypted values look like."""
    inventory = taken.inventory
    identity = inventory.kube_system
    return {
        "snapshot": taken.record,
        "registry": judge_registry(inventory.registry_keys).as_result(),
        "identity": judge_identity(identity.uid, identity.reason, identity.encrypted is not None, uid).as_result(),
        "encryption_samples": [sample.as_result() for sample in inventory.samples],
    }


def main() -> None:
    """Entry point."""
    arguments = dict(
        STREAMING_ARGUMENTS,
        path={"type": "path", "required": True},
        owner={"type": "str", "default": ""},
        minimum_free_bytes={"type": "int", "default": 0},
        max_lag_entries={"type": "int", "default": 1000},
        registry_prefixes={"type": "list", "elements": "str", "default": [DEFAULT_PREFIX]},
        kube_system_uid={"type": "str", "default": ""},
        allow_problems={"type": "list", "elements": "str", "choices": list(ALLOWABLE_PROBLEM_IDS), "default": []},
    )
    run(arguments, body)


if __name__ == "__main__":
    main()
