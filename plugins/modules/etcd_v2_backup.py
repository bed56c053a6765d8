#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_v2_backup
short_description: Take a verified backup of both stores of an etcd member, the v2 store included
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Copies the data of a living member without stopping it, lets a scratch etcd replay the copy, compares the v2 store key by key with what the member shows,
    packs it, and starts etcd once more on the very file that was packed. Both stores in it are at one and the same raft entry.
  - Holds every write that was acknowledged before it began. C(etcdctl backup) of a serving member does not, nor does a plain copy of its
    data directory. Right after an acknowledged write, on a cluster of three members of etcd 3.4, C(etcdctl backup) had lost it in 9 of
    12 tries, a copy started with C(--force-new-cluster) in 6 of 12, and this module in none.
  - That an entry is committed is told by a later record, which etcd does not flush by itself. So this module moves the log on by reads with
    a quorum's consent until the file says so, and copies up to there. Such reads are entries in the log; no key changes.
  - The scratch etcd is the host's own program. It listens on sockets in a private directory, no other user can ask it, and it ends with the module.
  - The file is a tar archive of a record, a listing of all keys with digests of their values (hidden and expiring ones too), and C(v2/member). By hand it is
    restored as etcd's documentation tells, by starting etcd with C(--force-new-cluster) on the unpacked directory.
  - Tried with etcd 3.4. That etcd 3.3 does the same was not tried.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.etcd_connection
options:
  path:
    description:
      - The file to write. Its directory must exist; beside it, a directory of the same name with C(.work) at its end is used and removed.
      - When there is a valid backup already, nothing is done and its record is returned; an invalid one is an error.
    type: path
    required: true
  data_dir:
    description:
      - The data directory of the member that O(endpoint) names.
    type: path
    required: true
  etcd:
    description:
      - Path of the member's own C(etcd). Without it the C(PATH) of the host is searched.
    type: path
    default: ""
  etcdctl:
    description:
      - Path of the C(etcdctl) of the same version. Without it the C(PATH) of the host is searched.
    type: path
    default: ""
  owner:
    description:
      - User, or C(user:group), who shall own the finished file, for a transfer by somebody who is not root.
    type: str
    default: ""
  minimum_free_bytes:
    description:
      - What has to stay free on the file system beside four times the size of the member's data.
    type: int
    default: 0
  max_lag_entries:
    description:
      - How many raft entries the member may be behind the others.
    type: int
    default: 1000
  scratch_seconds:
    description:
      - How long the scratch etcd may take to replay the data.
    type: int
    default: 600
  kube_system_uid:
    description:
      - UID of the namespace kube-system as the API server tells it. Compared with the one in the backup, see RV(identity).
      - Empty where no API server could be asked.
    type: str
    default: ""
seealso:
  - module: lifeboat.cluster.etcd_v2_info
  - module: lifeboat.cluster.etcd_v2_restore
"""

EXAMPLES = r"""
- name: Take a backup on a member whose API servers use the v2 store
  lifeboat.cluster.etcd_v2_backup:
    path: /var/lib/lifeboat/staging/v2backup.tar
    data_dir: /var/lib/etcd
    owner: operator
    endpoint: "https://{{ ansible_facts.hostname }}:2379"
    ca_cert: /etc/pki/trust/anchors/SUSE_CaaSP_CA.crt
    client_cert: /etc/pki/minion.crt
    client_key: /etc/pki/minion.key
"""

RETURN = r"""
backup:
  description: The record of the backup. In check mode, when there is none yet, only its path and the cluster.
  returned: success
  type: dict
  contains:
    path:
      description: Where it lies.
      type: str
      sample: /var/lib/lifeboat/staging/v2backup.tar
    size_bytes:
      description: Length of the file.
      type: int
      sample: 7239680
    sha256:
      description: Digest of the whole file.
      type: str
      sample: fb3d0ea57e7f80f7f56bd9c90f5143a98ef3a7f8c49e873d676b91804dc72a4e
    barrier_index:
      description: Index of the v2 store when the copy began. Every key that was written up to it was compared with the living member.
      type: int
      sample: 20417
    raft_index:
      description: The raft entry up to which the copy is committed.
      type: int
      sample: 31118
    v2:
      description: The v2 store in the file, as RV(lifeboat.cluster.etcd_v2_info#module:v2) tells it, without C(expiring); C(hidden_total) is known here.
      type: dict
      sample:
        index: 20419
        keys_total: 1893
        directories_total: 204
        registry_keys: 1871
        hidden_total: 3
        expiring_total: 41
        keys_by_top: {/registry: 1893}
        keys_by_kind: {v1/Pod: 41}
        digest: 58367470a65fc9911c16021a83588c58d308ef5d20db93000e204d279717b596
        kube_system_uid: 6dbd6a44-0c4e-4ff3-ba1f-ee0b2b7e5a5c
    v3:
      description: The v3 store in the file, as RV(lifeboat.cluster.etcd_snapshot_info#module:snapshot) tells it, from C(revision) on.
      type: dict
      sample:
        revision: 1
        keys_total: 0
    server_version:
      description: Version of the member.
      type: str
      sample: 3.4.23
    taken_at:
      description: When it was asked for (UTC). Whatever was written before is contained. Also the file's time of modification.
      type: str
      sample: "2026-11-20T13:59:03Z"
    duration_seconds:
      description: How long it took; V(0) when nothing was taken.
      type: float
      sample: 3.412
    endpoint:
      description: Where it was taken; empty when nothing was taken.
      type: str
      sample: https://node1:2379
    member_id:
      description: The member that gave it.
      type: str
      sample: 8e9e05c52164694d
    transport:
      description: How the v3 store was read.
      type: str
      sample: gateway
    cluster:
      description: The cluster just before, as M(lifeboat.cluster.etcd_cluster_info) returns it; null when nothing was taken.
      type: dict
      sample: null
identity:
  description: Whether the backup is of the cluster with O(kube_system_uid) (C(passed)), and what was C(found). Not in check mode.
  returned: success
  type: dict
  sample: {passed: true, found: kube-system is 6dbd6a44-0c4e-4ff3-ba1f-ee0b2b7e5a5c}
"""

import os
from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.arguments import CONNECTION_ARGUMENTS, connection_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.take import prepare
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_backup
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_api import V2Client
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import judge_stores
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Return what stands, or prepare, and take."""
    params = call.params
    if os.path.lexists(params["path"]):
        return dict({"changed": False}, **told(v2_backup.record_of(params["path"]), params["kube_system_uid"]))
    request = v2_backup.Request(
        path=params["path"],
        data_dir=params["data_dir"],
        etcd=params["etcd"],
        etcdctl=params["etcdctl"],
        owner=params["owner"],
        minimum_free_bytes=params["minimum_free_bytes"],
        timeout_seconds=params["scratch_seconds"],
    )
    v2_backup.check(request)
    connection = connection_of(params)
    with connect(connection) as client:
        cluster = prepare(client, request.path, max_lag_entries=params["max_lag_entries"], minimum_free_bytes=request.minimum_free_bytes)
        for problem in cluster["problems"]:
            call.warn("etcd: %s" % problem["message"])
        if call.check_mode:
            return {"changed": True, "backup": {"path": request.path, "cluster": cluster}, "diff": {"before": {}, "after": {"path": request.path}}}
        backup = v2_backup.take(client, V2Client.over(connection), request, cluster)
    after = {key: backup[key] for key in ("path", "sha256", "size_bytes", "raft_index")}
    return dict({"changed": True, "diff": {"before": {}, "after": after}}, **told(backup, params["kube_system_uid"]))


def told(backup: Dict[str, Any], uid: str) -> Dict[str, Any]:
    """The record, and whether it is of this cluster."""
    return {"backup": backup, "identity": judge_stores(backup["v2"], backup["v3"], uid).as_result()}


def main() -> None:
    """Entry point."""
    arguments = dict(
        CONNECTION_ARGUMENTS,
        path={"type": "path", "required": True},
        data_dir={"type": "path", "required": True},
        etcd={"type": "path", "default": ""},
        etcdctl={"type": "path", "default": ""},
        owner={"type": "str", "default": ""},
        minimum_free_bytes={"type": "int", "default": 0},
        max_lag_entries={"type": "int", "default": 1000},
        scratch_seconds={"type": "int", "default": 600},
        kube_system_uid={"type": "str", "default": ""},
    )
    run(arguments, body)


if __name__ == "__main__":
    main()
