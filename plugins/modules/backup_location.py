#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: backup_location
short_description: Make a backup storage location
version_added: "0.1.0"
description:
  - Makes the directory or the bucket in which recovery points are to lie, and adds what a location needs to one that is there.
  - A directory is made with mode 0700. The one above it has to exist, and with O(location.mount_required) the mount has to be there.
    A directory that exists is left as it is.
  - A bucket gets versions, object lock when O(location.object_lock_mode) asks for one, on demand a default retention,
    and a lifecycle rule that drops uploads which nobody finished.
  - Nothing that protects is weakened. A longer default retention, the mode V(compliance), other lifecycle rules and the bucket's policy stay as they are.
  - Runs on the controller, with the credentials of somebody who may create the location. No other part of the collection needs these.
options:
  state:
    description: What the location shall be. Nothing here removes one.
    type: str
    choices: [present]
    default: present
  create:
    description:
      - Make the location when it is not there.
      - Without it, a missing location is an error, because a slip in a name or a missing mount looks the same.
    type: bool
    default: false
  default_retention_days:
    description:
      - Default retention of the bucket, for objects that bring no lock of their own. Lifeboat's bring one.
      - Needs O(location.object_lock_mode). Without it, the default retention stays as it is.
    type: int
  abort_incomplete_days:
    description:
      - After so many days the bucket drops uploads that nobody finished. V(0) leaves them alone.
      - No upload of a backup may take longer than this.
      - On servers without lifecycle rules this is reported as not supported, and nothing fails.
    type: int
    default: 7
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.recovery_point_location
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.backup_location_info
"""

EXAMPLES = r"""
- name: Make a bucket that locks what lies in it
  lifeboat.cluster.backup_location:
    location:
      type: s3
      bucket: lifeboat-shop
      endpoint_url: https://s3.example.com
      object_lock_mode: governance
    cluster_name: shop
    create: true
    default_retention_days: 30

- name: Make a directory on a mounted file server
  lifeboat.cluster.backup_location:
    location:
      type: nfs
      path: /mnt/backup/lifeboat
    cluster_name: shop
    create: true
"""

RETURN = r"""
location:
  description: Each property as it is, or in check mode would be.
  returned: success
  type: dict
  sample: {"bucket": "present", "versioning": "Enabled", "object_lock": "on", "default_retention": "GOVERNANCE, 30 days"}
notes:
  description: What was left as it is, and why.
  returned: success
  type: list
  elements: str
warnings_found:
  description: What somebody should look at, such as lifecycle rules that remove objects.
  returned: success
  type: list
  elements: str
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.preparation import Wish, prepare


def body(call: adapter.Call) -> Dict[str, Any]:
    """Prepare the location."""
    params = call.params
    names.check_cluster_name(params["cluster_name"])
    wish = Wish(params["create"], params["default_retention_days"] or 0, params["abort_incomplete_days"])
    done = prepare(params["location"], wish, check_mode=call.check_mode)
    for warning in done.warnings:
        call.warn(warning)
    return {
        "changed": done.changed,
        "location": done.after,
        "notes": done.notes,
        "warnings_found": done.warnings,
        "diff": {"before": done.before, "after": done.after},
    }


def main() -> None:
    """Argument spec and call."""
    adapter.run(
        dict(
            LOCATION_ARGUMENTS,
            state={"type": "str", "choices": ["present"], "default": "present"},
            create={"type": "bool", "default": False},
            default_retention_days={"type": "int"},
            abort_incomplete_days={"type": "int", "default": 7},
        ),
        body,
    )


if __name__ == "__main__":
    main()
