#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_restore
short_description: Build an etcd member's data from a snapshot, beside the old data
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Runs C(etcdutl snapshot restore) into C(<data_dir>/.lifeboat-restore-<token>), on the file system of the data directory, which may be a mount point.
    The C(member) directory that stands there is not touched. Putting the new one into place is the work of M(lifeboat.cluster.node_services).
  - Verifies the snapshot before, and reads the new database afterwards. The revision must have moved by exactly the bump, and every key,
    lease and member must be there.
  - A file that is written last marks a finished restore. Run again, the module changes nothing; what a killed run left is removed and made anew.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  snapshot:
    description:
      - Path of the snapshot file on the host.
    type: path
    required: true
  snapshot_sha256:
    description:
      - The sha256 that the file must have. All members of one restore have to use the same snapshot.
    type: str
    default: ""
  data_dir:
    description:
      - The data directory of etcd. Made when it is not there.
    type: path
    required: true
  name:
    description:
      - Name of this member, as etcd is started with.
    type: str
    required: true
  initial_cluster:
    description:
      - Name and peer URL of every member of the new cluster.
    type: dict
    required: true
  initial_cluster_token:
    description:
      - A fresh token, the same on all members. With an old one a surviving member of the old cluster would be taken for one of the new.
    type: str
    required: true
  peer_url:
    description:
      - Peer URL of this member. It has to be the one in O(initial_cluster), and is taken from there when not given.
    type: str
    default: ""
  bump_revision:
    description:
      - How far to raise the revision, with all revisions below marked as compacted. V(0) leaves it as it is.
      - It has to lead beyond the highest revision that was ever served, and be the same on all members.
    type: int
    default: 0
  etcdutl:
    description:
      - Path of the C(etcdutl) to use. Without it the C(PATH) of the host is searched, then the newest etcd image of containerd
        (mounted as long as it is needed), then O(etcdutl_shipped).
      - A bump needs version 3.5.10 or newer, whatever version the server has.
    type: path
    default: ""
  etcdutl_shipped:
    description:
      - Path of an C(etcdutl) that was copied to the host for the case that it has none.
    type: path
    default: ""
  skip_hash_check:
    description:
      - Accept a snapshot without a right sha256 at its end, such as a copied C(member/snap/db).
    type: bool
    default: false
  owner:
    description:
      - User, or C(user:group), that etcd runs as.
    type: str
    default: ""
  timeout_seconds:
    description:
      - How long C(etcdutl) may take.
    type: int
    default: 3600
seealso:
  - module: lifeboat.cluster.etcd_snapshot_info
  - module: lifeboat.cluster.node_services
"""

EXAMPLES = r"""
- name: Build the data of three members, at the same time
  lifeboat.cluster.etcd_restore:
    snapshot: /var/lib/lifeboat/staging/etcd.db
    snapshot_sha256: "{{ recovery_point.artifacts.etcd.sha256 }}"
    data_dir: /var/lib/etcd
    name: "{{ inventory_hostname }}"
    initial_cluster:
      node1: https://192.0.2.11:2380
      node2: https://192.0.2.12:2380
      node3: https://192.0.2.13:2380
    initial_cluster_token: restore-20261120t140000z
    bump_revision: 1000000000
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
    snapshot_sha256:
      description: Digest of the snapshot.
      type: str
      sample: daf658379d712e1608449b109cc7e6c012c3047d70b8a0ed1d0a19bfb1961940
    token:
      description: The token of the new cluster.
      type: str
      sample: restore-20261120t140000z
    bump_revision:
      description: How far the revision was raised.
      type: int
      sample: 1000000000
    revision_after:
      description: The revision of the new database; null as long as there is none.
      type: int
      sample: 1000048211
    keys_total:
      description: Live keys in the new database; null as long as there is none.
      type: int
      sample: 1893
    name:
      description: Name of this member.
      type: str
      sample: node1
    peer_url:
      description: Its peer URL.
      type: str
      sample: https://192.0.2.11:2380
    initial_cluster:
      description: Name and peer URL of every member.
      type: dict
      sample:
        node1: https://192.0.2.11:2380
    etcdutl:
      description: The program that was used.
      type: str
      sample: /run/lifeboat/etcd-image/usr/local/bin/etcdutl
    etcdutl_source:
      description: Where it was found; V(given), V(host), V(image) or V(shipped).
      type: str
      sample: image
    etcdutl_version:
      description: Its version.
      type: str
      sample: 3.6.16
    finished_at:
      description: When it was finished (UTC).
      type: str
      sample: "2026-11-20T14:03:11Z"
    duration_seconds:
      description: How long it took, verification included.
      type: float
      sample: 1.913
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore import restore
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Plan; and unless it is done, or only asked, apply."""
    params = call.params
    request = restore.Request(
        snapshot=params["snapshot"],
        snapshot_sha256=params["snapshot_sha256"],
        data_dir=params["data_dir"],
        name=params["name"],
        initial_cluster={str(name): str(url) for name, url in params["initial_cluster"].items()},
        token=params["initial_cluster_token"],
        peer_url=params["peer_url"],
        bump_revision=params["bump_revision"],
        etcdutl=params["etcdutl"],
        etcdutl_shipped=params["etcdutl_shipped"],
        skip_hash_check=params["skip_hash_check"],
        owner=params["owner"],
        timeout_seconds=params["timeout_seconds"],
    )
    plan = restore.plan(request)
    if not plan.changed:
        marker = plan.done
    else:
        marker = restore.foresee(plan) if call.check_mode else restore.apply(plan)
    result: Dict[str, Any] = {"changed": plan.changed, "restore": restore.as_result(plan, marker)}
    if plan.changed:
        result["diff"] = {"before": {}, "after": {request.staged.marker: plan.promise()}}
    return result


def main() -> None:
    """Entry point."""
    arguments = {
        "snapshot": {"type": "path", "required": True},
        "snapshot_sha256": {"type": "str", "default": ""},
        "data_dir": {"type": "path", "required": True},
        "name": {"type": "str", "required": True},
        "initial_cluster": {"type": "dict", "required": True},
        "initial_cluster_token": {"type": "str", "required": True, "no_log": False},
        "peer_url": {"type": "str", "default": ""},
        "bump_revision": {"type": "int", "default": 0},
        "etcdutl": {"type": "path", "default": ""},
        "etcdutl_shipped": {"type": "path", "default": ""},
        "skip_hash_check": {"type": "bool", "default": False},
        "owner": {"type": "str", "default": ""},
        "timeout_seconds": {"type": "int", "default": 3600},
    }
    run(arguments, body)


if __name__ == "__main__":
    main()
