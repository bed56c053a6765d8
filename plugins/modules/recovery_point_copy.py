#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_copy
short_description: Copy a recovery point to other recipients or to another location
version_added: "0.1.0"
description:
  - Makes a new recovery point out of one that is believed. The old one stays as it is.
  - With O(recipients), every artifact is opened and sealed again, in one stream; nothing plain gets onto a disk. So a key is replaced.
  - Without, the sealed bytes are copied to O(target_location) as they are, which takes no private key.
  - The copy stands for the same time as the original, and its manifest names where it comes from. It is signed, and read back whole.
  - A copy that is refused or killed stays unsealed, and nobody uses it. The next attempt begins anew.
  - When the target has a usable copy for the same recipients already, nothing is changed.
  - Runs on the controller.
options:
  id:
    description: Id of the point to copy, or V(latest) for the newest usable one of the whole cluster.
    type: str
    default: latest
    aliases: [recovery_point_id]
  recipients:
    description:
      - Public keys to which the copy is sealed, C(age1...), or C(ssh-ed25519) and C(ssh-rsa) keys. Those of the original are not added.
      - Without any, the copy has the recipients of the original.
    type: list
    elements: str
    default: []
  target_location:
    description: Where the copy is to lie, with the same options as O(location). Without it, in the same location.
    type: dict
    suboptions:
      type:
        description: Kind of location.
        type: str
        choices: [directory, nfs, s3]
        default: directory
      path:
        description: Absolute path of the directory.
        type: path
      mount_required:
        description: Refuse to work when the path lies on the controller's root file system.
        type: bool
      bucket:
        description: Name of the bucket.
        type: str
      prefix:
        description: Beginning of all keys in the bucket.
        type: str
        default: ''
      endpoint_url:
        description: Address of the S3 server.
        type: str
      region:
        description: Region of the bucket.
        type: str
      addressing_style:
        description: Whether the bucket is part of the path or of the host name of requests.
        type: str
        choices: [auto, path, virtual]
        default: auto
      ca_bundle:
        description: File with the certificates of the authorities that the S3 server's certificate may come from.
        type: path
      profile:
        description: Name of a profile in the shared files of the AWS clients.
        type: str
      object_lock_mode:
        description: Lock every object until the time until which the copy is kept.
        type: str
        choices: [none, governance, compliance]
        default: none
      server_side_encryption:
        description: Ask the server to encrypt what it stores.
        type: str
        choices: [AES256, 'aws:kms']
      kms_key_id:
        description: Name of the key that the server uses for V(aws:kms).
        type: str
  retain_days:
    description: The copy is kept as long as the original, and for so many days from now at the least.
    type: int
    default: 30
  reason:
    description: Why it is copied, for the manifest. No secrets.
    type: str
  signing_key:
    description: SSH private key without passphrase that signs the manifest of the copy.
    type: path
    required: true
  run_id:
    description: Run that makes the copy.
    type: str
    default: none
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.recovery_point_location
  - lifeboat.cluster.recovery_point_location.trust
  - lifeboat.cluster.recovery_point_location.opening
  - lifeboat.cluster.recovery_point_progress
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.recovery_point
  - module: lifeboat.cluster.recovery_point_info
"""

EXAMPLES = r"""
- name: Seal the newest point to a new key
  lifeboat.cluster.recovery_point_copy:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    recipients: [age1qqpl3ht9m9k4rtm0z0zqyrv6zk28s3hf8dn5yfjr4kzyk2z5k9as8p2c9l]
    identity_files: [/etc/lifeboat/age.key]
    allowed_signers: /etc/lifeboat/allowed_signers
    signing_key: /etc/lifeboat/signing_key
    reason: the old key was on a laptop that was stolen

- name: Bring it to the second site
  lifeboat.cluster.recovery_point_copy:
    location:
      path: /srv/lifeboat
    target_location:
      type: s3
      bucket: second-site
      object_lock_mode: compliance
    cluster_name: shop
    allowed_signers: /etc/lifeboat/allowed_signers
    signing_key: /etc/lifeboat/signing_key
"""

RETURN = r"""
id:
  description: Id of the copy, or of the point that makes one needless. Null in check mode when there is none yet.
  returned: success
  type: str
  sample: 20261121T090000Z-5c6d7e
original:
  description: Id of the point that was copied.
  returned: success
  type: str
  sample: 20261120T133500Z-1a2b3c
manifest:
  description: Manifest of the copy. Null in check mode when there is none yet.
  returned: success
  type: dict
artifacts:
  description: How many artifacts it has.
  returned: success
  type: int
size_bytes:
  description: Sealed size of all artifacts.
  returned: success
  type: int
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog, copying
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import TRUST_ARGUMENTS, Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.progress import PROGRESS_ARGUMENTS, Meter, Teller, into_file, watched


def body(call: adapter.Call) -> Dict[str, Any]:
    """Choose the point, copy it."""
    params = call.params
    trust = Trust.from_params(params)
    source = open_location(params["location"])
    target = open_location(params["target_location"]) if params["target_location"] else source
    original = catalog.Catalog(source, params["cluster_name"], trust).select(params["id"]).manifest
    wanted = copying.Wanted(
        params["signing_key"],
        trust,
        params["recipients"],
        params["identity_files"],
        params["retain_days"],
        params["reason"] or "",
        params["run_id"],
    )
    # Every byte is read here, and read back there.
    teller = Teller(Meter("Recovery point %s copied and read back" % original.id, 2 * original.size_bytes), into_file(params["progress_file"]))
    copied = copying.copy_point(watched(source, teller.more), watched(target, teller.more), original, wanted, check_mode=call.check_mode)
    teller.end()
    origin = {"id": original.id, "location": source.describe(), "recipients": original.recipients}
    there = dict(origin, id=copied.manifest.id if copied.manifest else None, location=target.describe())
    there["recipients"] = copied.manifest.recipients if copied.manifest else params["recipients"] or original.recipients
    shown = copied.manifest or original
    return {
        "changed": copied.changed,
        "id": there["id"],
        "original": original.id,
        "manifest": copied.manifest.to_record() if copied.manifest else None,
        "artifacts": len(shown.artifacts),
        "size_bytes": shown.size_bytes,
        "diff": {"before": origin if copied.changed else there, "after": there},
    }


def main() -> None:
    """Argument spec and call."""
    adapter.run(
        dict(
            LOCATION_ARGUMENTS,
            **TRUST_ARGUMENTS,
            **age_keys.OPENING_ARGUMENTS,
            **PROGRESS_ARGUMENTS,
            id={"type": "str", "default": "latest", "aliases": ["recovery_point_id"]},
            recipients={"type": "list", "elements": "str", "default": []},
            target_location=dict(LOCATION_ARGUMENTS["location"], required=False),
            retain_days={"type": "int", "default": 30},
            reason={"type": "str"},
            signing_key={"type": "path", "required": True, "no_log": False},
            run_id={"type": "str", "default": "none"},
        ),
        body,
    )


if __name__ == "__main__":
    main()
