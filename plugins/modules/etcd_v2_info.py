#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_v2_info
short_description: Tell in which store of etcd a cluster keeps its objects, and what is in the v2 store
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - A snapshot holds the v3 store alone. Of a cluster whose API servers use the v2 store it succeeds, looks healthy, and holds no object.
    So the store is told by two witnesses, what the API servers were told and where keys are, and RV(store) is empty when they disagree.
  - Counts the keys of the v2 store and compares them with a backup, key by key, and between the members. Values never leave the host, nor do differences
    name more than keys.
  - A recursive read never shows hidden keys (those with a part that begins with an underscore), so those of a living store cannot be counted. With O(expected)
    each one of the backup is asked for by its name. M(lifeboat.cluster.etcd_v2_backup) counts them all, in the data.
  - Changes nothing. Reads with a quorum's consent are entries in the log of etcd.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.etcd_connection
options:
  expected:
    description:
      - Path, on the host, of a file made by M(lifeboat.cluster.etcd_v2_backup) to compare the v2 store with.
    type: path
    default: ""
  since_index:
    description:
      - What was written to the v2 store after this index is no difference. V(0) takes every difference for one.
    type: int
    default: 0
  all_members:
    description:
      - Compare the trees of all members with each other too.
    type: bool
    default: false
  apiserver_process:
    description:
      - Name of the API server's process on this host, whose C(--storage-backend) is read.
    type: str
    default: kube-apiserver
  apiserver_files:
    description:
      - Files with the arguments of the API server, for a host on which it does not run.
    type: list
    elements: path
    default: []
  storage_backends:
    description:
      - What API servers of other hosts were told, as RV(storage_backend) of these returns it. A member may live on a host without one.
    type: list
    elements: str
    default: []
seealso:
  - module: lifeboat.cluster.etcd_v2_backup
  - module: lifeboat.cluster.etcd_snapshot
"""

EXAMPLES = r"""
- name: Ask a member whose API server is configured by a file
  lifeboat.cluster.etcd_v2_info:
    endpoint: "https://{{ ansible_facts.hostname }}:2379"
    ca_cert: /etc/pki/trust/anchors/SUSE_CaaSP_CA.crt
    client_cert: /etc/pki/minion.crt
    client_key: /etc/pki/minion.key
    apiserver_files:
      - /etc/kubernetes/apiserver
  register: asked

- name: Compare every key with a backup
  lifeboat.cluster.etcd_v2_info:
    expected: /var/lib/lifeboat/staging/v2backup.tar
    all_members: true
"""

RETURN = r"""
store:
  description: Where the objects are, V(v2), V(v3), or V(both) when both stores hold keys below C(/registry). Empty when it cannot be told.
  returned: success
  type: str
  sample: v2
store_reason:
  description: Why it cannot be told.
  returned: success
  type: str
  sample: ""
storage_backend:
  description: C(--storage-backend) of this host's API server (C(backend), empty where there is none) and where it was read (C(source)).
  returned: success
  type: dict
  sample:
    backend: etcd2
    source: process 1423
v2:
  description: The v2 store; null where the member runs without it.
  returned: success
  type: dict
  contains:
    index:
      description: Index of the store.
      type: int
      sample: 20417
    keys_total:
      description: Number of keys, hidden ones that were not asked for left out.
      type: int
      sample: 1893
    directories_total:
      description: Number of directories.
      type: int
      sample: 204
    registry_keys:
      description: Number of keys below C(/registry).
      type: int
      sample: 1871
    hidden_total:
      description: Number of hidden keys and directories; null, because the API does not tell.
      type: int
      sample: null
    expiring_total:
      description: Number of keys and directories that expire.
      type: int
      sample: 1
    expiring:
      description: Which these are, with the time.
      type: list
      elements: dict
      sample:
        - key: /registry/events/default/web.1
          expires_at: "2026-11-20T14:03:11.5Z"
    keys_by_top:
      description: Number of keys by their first part.
      type: dict
      sample:
        /opensuse.org: 2
        /registry: 1871
    keys_by_kind:
      description: Number of keys below C(/registry) by kind; V(encrypted) and V(unknown) where the value does not tell.
      type: dict
      sample:
        v1/Pod: 41
    digest:
      description: SHA-256 over name, digest of the value, kind of node and whether it expires, of all in order.
      type: str
      sample: 58367470a65fc9911c16021a83588c58d308ef5d20db93000e204d279717b596
v3:
  description: Number of keys of the v3 store, all (C(keys_total)) and below C(/registry) (C(registry_keys)), and its revision.
  returned: success
  type: dict
  sample:
    keys_total: 0
    registry_keys: 0
    revision: 1
comparison:
  description: Keys that differ from those in O(expected), by their names; null without it.
  returned: success
  type: dict
  contains:
    equal:
      description: Whether nothing is missing, extra or changed.
      type: bool
      sample: true
    missing:
      description: Keys that are not there.
      type: list
      elements: str
      sample: []
    extra:
      description: Keys that the backup does not have.
      type: list
      elements: str
      sample: []
    changed:
      description: Keys whose value or expiry is another one.
      type: list
      elements: str
      sample: []
    changed_since:
      description: Keys that were written or removed after O(since_index).
      type: list
      elements: str
      sample: []
    expired:
      description: Keys of the backup whose time is over.
      type: list
      elements: str
      sample: []
members:
  description: The same between the members that answer, index, number of keys and digest of each (C(seen)), and those that could not be
    reached, with the reason (C(unheard)); null without O(all_members=true).
  returned: success
  type: dict
  sample:
    equal: true
    missing: []
    extra: []
    changed: []
    changed_since: []
    expired: []
    seen:
      - endpoint: https://node1:2379
        index: 20417
        keys_total: 1893
        digest: 58367470a65fc9911c16021a83588c58d308ef5d20db93000e204d279717b596
    unheard:
      - endpoint: https://node3:2379
        reason: "ConnectionRefusedError: [Errno 111] Connection refused"
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.arguments import CONNECTION_ARGUMENTS, connection_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_survey import Question, survey
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Ask and tell."""
    params = call.params
    question = Question(
        expected=params["expected"],
        since_index=params["since_index"],
        all_members=params["all_members"],
        apiserver_process=params["apiserver_process"],
        apiserver_files=params["apiserver_files"],
        storage_backends=params["storage_backends"],
    )
    return survey(connection_of(params), question)


def main() -> None:
    """Entry point."""
    arguments = dict(
        CONNECTION_ARGUMENTS,
        expected={"type": "path", "default": ""},
        since_index={"type": "int", "default": 0},
        all_members={"type": "bool", "default": False},
        apiserver_process={"type": "str", "default": "kube-apiserver"},
        apiserver_files={"type": "list", "elements": "path", "default": []},
        storage_backends={"type": "list", "elements": "str", "default": []},
    )
    run(arguments, body)


if __name__ == "__main__":
    main()
