#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_v2_restore
short_description: Build the first member of a new etcd cluster from a backup with a v2 store, beside the old data
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Builds C(<data_dir>/.lifeboat-restore-<token>/member) from a file that M(lifeboat.cluster.etcd_v2_backup) made. The C(member) directory that stands there
    is not touched. Putting the new one into place is the work of M(lifeboat.cluster.node_services).
  - It is the way of etcd's own documentation, and all of it happens in a scratch etcd of the host's own program. C(etcdctl backup) gives the
    data new identities of cluster and member, so that no survivor of the old cluster takes the new one for its own. A start with
    C(--force-new-cluster) makes every former member forgotten, and the peer URL is corrected. The service of the member then starts on it
    as it always does, without such a flag.
  - Every key of both stores is compared with the listing in the backup, hidden and expiring ones too. Keys whose time is over by now are gone.
  - Only the first member is built. The others join it with empty data, one at a time (M(lifeboat.cluster.etcd_member)).
  - The revision of the v3 store and the index of the v2 store cannot be raised on this way, so restart every client of the API afterwards,
    or it waits in silence for changes that it believes to come. A v3 store that C(etcdutl snapshot restore --bump-revision) had raised was
    put into such data in three ways, and etcd 3.4.23 did not start on any of them.
  - A file that is written last marks a finished restore. Run again, the module changes nothing; what a killed run left is removed and made anew.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  backup:
    description:
      - Path of the backup on the host. A snapshot of the v3 store is refused, it holds no key of the v2 store.
    type: path
    required: true
  backup_sha256:
    description:
      - The sha256 that the file must have.
    type: str
    default: ""
  data_dir:
    description:
      - The data directory of etcd. Made when it is not there.
    type: path
    required: true
  peer_url:
    description:
      - Peer URL of this member, at which those that join will find it.
    type: str
    required: true
  token:
    description:
      - A fresh name for this restore; the same one only to go on with it.
    type: str
    required: true
  etcd:
    description:
      - Path of the member's own C(etcd), of the version that made the backup. Without it the C(PATH) of the host is searched.
    type: path
    default: ""
  etcdctl:
    description:
      - Path of the C(etcdctl) of the same version. Without it the C(PATH) of the host is searched.
    type: path
    default: ""
  owner:
    description:
      - User, or C(user:group), that etcd runs as.
    type: str
    default: ""
  scratch_seconds:
    description:
      - How long the scratch etcd and C(etcdctl) may take.
    type: int
    default: 600
seealso:
  - module: lifeboat.cluster.etcd_v2_backup
  - module: lifeboat.cluster.etcd_member
  - module: lifeboat.cluster.node_services
"""

EXAMPLES = r"""
- name: Build the first member
  lifeboat.cluster.etcd_v2_restore:
    backup: /var/lib/lifeboat/staging/v2backup.tar
    backup_sha256: "{{ recovery_point.artifacts.etcd.sha256 }}"
    data_dir: /var/lib/etcd
    peer_url: https://node1:2380
    token: restore-20261120t140000z
    owner: etcd
"""

RETURN = r"""
restore:
  description: What was built, or in check mode what would be.
  returned: success
  type: dict
  contains:
    staged:
      description: The directory that holds C(member).
      type: str
      sample: /var/lib/etcd/.lifeboat-restore-restore-20261120t140000z
    marker:
      description: The file that marks a finished restore.
      type: str
      sample: /var/lib/etcd/.lifeboat-restore-restore-20261120t140000z/lifeboat-restore.json
    member_present:
      description: Whether C(member) is still there, not yet put into place.
      type: bool
      sample: true
    other_stagings:
      description: Directories of restores with other tokens. They can be removed when nobody wants them.
      type: list
      elements: str
      sample: []
    backup_sha256:
      description: Digest of the backup.
      type: str
      sample: fb3d0ea57e7f80f7f56bd9c90f5143a98ef3a7f8c49e873d676b91804dc72a4e
    token:
      description: The name of this restore.
      type: str
      sample: restore-20261120t140000z
    peer_url:
      description: Peer URL of the member.
      type: str
      sample: https://node1:2380
    index_after:
      description: Index of the v2 store; null as long as there is none.
      type: int
      sample: 20425
    revision_after:
      description: Revision of the v3 store; null as long as there is none.
      type: int
      sample: 1
    v2_keys_total:
      description: Keys in the v2 store; null as long as there is none.
      type: int
      sample: 1893
    v2_hidden_total:
      description: Hidden keys and directories among them; null as long as there is none.
      type: int
      sample: 3
    v2_digest:
      description: SHA-256 of the tree, as M(lifeboat.cluster.etcd_v2_info) returns it.
      type: str
      sample: 58367470a65fc9911c16021a83588c58d308ef5d20db93000e204d279717b596
    v2_expired:
      description: Keys of the backup whose time was over.
      type: list
      elements: str
      sample: []
    v3_keys_total:
      description: Live keys in the v3 store; null as long as there is none.
      type: int
      sample: 0
    finished_at:
      description: When it was finished (UTC).
      type: str
      sample: "2026-11-20T14:03:11Z"
    duration_seconds:
      description: How long it took, verification included.
      type: float
      sample: 2.913
"""

from typing import Any, Dict, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_restore
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Plan; and unless it is done, or only asked, apply."""
    params = call.params
    request = v2_restore.Request(
        backup=params["backup"],
        backup_sha256=params["backup_sha256"],
        data_dir=params["data_dir"],
        peer_url=params["peer_url"],
        token=params["token"],
        etcd=params["etcd"],
        etcdctl=params["etcdctl"],
        owner=params["owner"],
        timeout_seconds=params["scratch_seconds"],
    )
    plan = v2_restore.plan(request)
    marker: Optional[Dict[str, Any]] = plan.done
    if plan.changed and not call.check_mode:
        marker = v2_restore.apply(plan)
    result: Dict[str, Any] = {"changed": plan.changed, "restore": v2_restore.as_result(plan, marker)}
    if plan.changed:
        result["diff"] = {"before": {}, "after": {request.staged.marker: plan.promise()}}
    return result


def main() -> None:
    """Entry point."""
    arguments = {
        "backup": {"type": "path", "required": True},
        "backup_sha256": {"type": "str", "default": ""},
        "data_dir": {"type": "path", "required": True},
        "peer_url": {"type": "str", "required": True},
        "token": {"type": "str", "required": True, "no_log": False},
        "etcd": {"type": "path", "default": ""},
        "etcdctl": {"type": "path", "default": ""},
        "owner": {"type": "str", "default": ""},
        "scratch_seconds": {"type": "int", "default": 600},
    }
    run(arguments, body)


if __name__ == "__main__":
    main()
