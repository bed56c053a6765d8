#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_data_copy
short_description: Make a snapshot of a member of etcd that cannot be asked, out of its data directory
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Reads the database of a member that does not run, or runs without a quorum and answers nobody, into a file that M(lifeboat.cluster.etcd_restore)
    takes like any snapshot. A member that is started without a quorum answers no client, so the last one that is left cannot be asked after a reboot.
  - The file is proven - every page is read, and a database that was written meanwhile is read again.
  - What was acknowledged in the last moments before etcd ended without a shutdown may be in its log alone, and is not in the file.
    Where the member answers, M(lifeboat.cluster.etcd_snapshot) is the better choice.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  data_dir:
    description: The data directory that etcd is started with. Nothing in it is changed.
    type: path
    required: true
  path:
    description: The file to write, with mode 0600. Its directory must exist. An existing file is never replaced.
    type: path
    required: true
  owner:
    description: User, or C(user:group), who shall own the finished file, for a transfer by somebody who is not root.
    type: str
    default: ""
attributes:
  check_mode:
    description: In check mode nothing is read, and there is no RV(snapshot).
seealso:
  - module: lifeboat.cluster.etcd_snapshot
  - module: lifeboat.cluster.etcd_restore
"""

EXAMPLES = r"""
- name: Save what the last member has
  lifeboat.cluster.etcd_data_copy:
    data_dir: /var/lib/etcd
    path: /var/tmp/lifeboat-x1/survivor.db
    owner: operator
  register: saved
"""

RETURN = r"""
snapshot:
  description: The file, as M(lifeboat.cluster.etcd_snapshot_info) describes one.
  returned: success, not in check mode
  type: dict
  contains:
    path: {description: Where it lies., type: str, sample: /var/tmp/lifeboat-x1/survivor.db}
    size_bytes: {description: Its length., type: int, sample: 25751584}
    sha256: {description: Its digest., type: str, sample: daf658379d712e1608449b109cc7e6c012c3047d70b8a0ed1d0a19bfb1961940}
    revision: {description: The revision of the store., type: int, sample: 48211}
    keys_total: {description: How many keys it holds., type: int, sample: 3120}
    taken_at: {description: When it was read., type: str, sample: "2026-11-20T13:40:12Z"}
    data_dir: {description: The directory it was read from., type: str, sample: /var/lib/etcd}
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.disk import save
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Read, prove, and say what it is."""
    params = call.params
    diff = {"before": {}, "after": {"path": params["path"]}}
    if call.check_mode:
        return {"changed": True, "diff": diff}
    return {"changed": True, "snapshot": save(params["data_dir"], params["path"], owner=params["owner"]), "diff": diff}


def main() -> None:
    """Entry point."""
    run(
        {
            "data_dir": {"type": "path", "required": True},
            "path": {"type": "path", "required": True},
            "owner": {"type": "str", "default": ""},
        },
        body,
    )


if __name__ == "__main__":
    main()
