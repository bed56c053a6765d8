#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot_info
short_description: Verify an etcd snapshot file and tell what is in it
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Compares the sha256 at the end of the file with what stands before, so that one altered byte anywhere, or a cut anywhere, is found.
    C(etcdutl snapshot status) does not do that.
  - Then opens the database inside, without etcd, and counts what it holds.
  - Fails when the file is not a whole, unaltered snapshot; RV(ignore:error.reason) says which of V(truncated), V(no_trailer),
    V(too_long), V(altered), V(trailer_altered), V(no_meta), V(corrupt) or V(missing) it is.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  path:
    description:
      - The snapshot file.
    type: path
    required: true
  kinds:
    description:
      - Look into every value for its kind and its encryption. Without it RV(snapshot.keys_by_kind), RV(snapshot.encryption) and
        RV(snapshot.unencrypted_by_resource) stay empty.
    type: bool
    default: true
  registry_prefixes:
    description:
      - Below which prefixes the API servers keep their objects, see their option C(--etcd-prefix).
    type: list
    elements: str
    default: [/registry]
  kubernetes_version:
    description:
      - Release of the API server that shall read the data, as V(v1.37.2). Objects that it cannot read are named in RV(undecodable).
    type: str
    default: ""
  skip_hash_check:
    description:
      - Accept a file whose sha256 is missing or wrong, such as a C(member/snap/db) that was copied out of a dead member, and only tell so.
    type: bool
    default: false
seealso:
  - module: lifeboat.cluster.etcd_snapshot
  - module: lifeboat.cluster.etcd_restore
"""

EXAMPLES = r"""
- name: Verify a snapshot
  lifeboat.cluster.etcd_snapshot_info:
    path: /var/lib/lifeboat/staging/etcd.db
  register: etcd

- name: Show which encryption keys a restore will need
  ansible.builtin.debug:
    msg: "{{ etcd.snapshot.encryption | map(attribute='key_name') }}"
"""

RETURN = r"""
undecodable:
  description:
    - Objects that an API server of O(kubernetes_version) cannot read, by the version in which they are stored. Known for Kubernetes 1.34 to 1.37. Custom
      resources and encrypted values are not looked at.
  returned: success
  type: list
  elements: dict
  contains:
    key: {description: Key of the object., type: str}
    kind: {description: In which it is stored., type: str}
    reason: {description: Why it cannot be read., type: str}
  sample:
    - key: /registry/horizontalpodautoscalers/shop/web
      kind: autoscaling/v2beta2/HorizontalPodAutoscaler
      reason: gone in 1.36
snapshot:
  description: The record of the snapshot.
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
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.snapshot import record, undecodable_objects
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import DEFAULT_PREFIX
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Prove, open, count."""
    params = call.params
    found = record(params["path"], kinds=params["kinds"], skip_hash_check=params["skip_hash_check"], prefixes=params["registry_prefixes"])
    return {"snapshot": found, "undecodable": undecodable_objects(params["path"], params["kubernetes_version"])}


def main() -> None:
    """Entry point."""
    arguments = {
        "path": {"type": "path", "required": True},
        "kinds": {"type": "bool", "default": True},
        "registry_prefixes": {"type": "list", "elements": "str", "default": [DEFAULT_PREFIX]},
        "kubernetes_version": {"type": "str", "default": ""},
        "skip_hash_check": {"type": "bool", "default": False},
    }
    run(arguments, body)


if __name__ == "__main__":
    main()
