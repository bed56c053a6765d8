#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_escrow
short_description: Prove that private keys open a recovery point, each alone
version_added: "0.1.0"
description:
  - Tries each private key of O(identity_files) alone on a recovery point, decrypts the smallest artifact to its end, and proves its hash.
  - Appends a signed result of kind C(escrow) beside the point, with the public keys that were proven. Private keys are never shown and never stored.
  - Runs on the controller that holds the private keys, which should not be the one that makes backups.
options:
  id:
    description: Id of the point, or V(latest) for the newest complete one of the whole cluster whose signature is believed.
    type: str
    aliases: [recovery_point_id]
    default: latest
  identity_files:
    description:
      - Files on the controller with private keys, as C(age-keygen) makes them, or SSH private keys without passphrase.
      - What they hold is never shown.
    type: list
    elements: path
    required: true
  prove_all:
    description: Let each key open every artifact, not only the smallest one.
    type: bool
    default: false
  signing_key:
    description: SSH private key without passphrase that signs the result. Without it the result proves nothing to readers.
    type: path
  run_id:
    description: Id of the run that writes.
    type: str
    default: none
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.recovery_point_location
  - lifeboat.cluster.recovery_point_location.trust
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.recovery_point_info
  - module: lifeboat.cluster.readiness_info
"""

EXAMPLES = r"""
- name: Prove that both keys open what is backed up
  lifeboat.cluster.recovery_point_escrow:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    identity_files: [/media/safe/age.key, /media/other/age.key]
    allowed_signers: /etc/lifeboat/allowed_signers
    signing_key: /etc/lifeboat/verify_key
"""

RETURN = r"""
id:
  description: Id of the point.
  returned: success
  type: str
recipients:
  description: Every recipient of the point.
  returned: success
  type: list
  elements: dict
  contains:
    recipient:
      description: Its public key.
      type: str
    identity_files:
      description: Files that hold its private key. None means that the key was not given.
      type: list
      elements: str
    proven:
      description: Whether the private key opened all that it was tried on.
      type: bool
    artifacts:
      description: What it opened.
      type: list
      elements: str
    problem:
      description: Why it did not.
      type: str
strangers:
  description: Given keys that belong to no recipient of the point, by C(recipient) (public key) and C(identity_file).
  returned: success
  type: list
  elements: dict
result_key:
  description: Where the result was stored. Null when no key of a recipient was given, and in check mode.
  returned: success
  type: str
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import escrow
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import TRUST_ARGUMENTS, Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location


def body(call: adapter.Call) -> Dict[str, Any]:
    """Choose the point, try the keys, append the result."""
    params = call.params
    location, cluster = open_location(params["location"]), params["cluster_name"]
    keys = escrow.keys_in(params["identity_files"])
    chosen = catalog.Catalog(location, cluster, Trust.from_params(params)).select(params["id"])
    proof = escrow.prove(location, chosen.manifest, keys, params["prove_all"])
    tried = bool(proof.proven or proof.failed)
    stored = None
    if tried and not call.check_mode:
        result = results.new_result(cluster, chosen.id, escrow.KIND, "opened", not proof.failed, params["run_id"], details=escrow.details(proof))
        stored = results.append(location, result, params["signing_key"], chosen.manifest.retain)
    return {
        "changed": tried,
        "id": chosen.id,
        "recipients": [attempt.to_record() for attempt in proof.attempts],
        "strangers": [{"recipient": key.recipient, "identity_file": key.path} for key in proof.strangers],
        "result_key": stored,
        "diff": {"before": {}, "after": {chosen.id: escrow.details(proof)} if tried else {}},
    }


def main() -> None:
    """Argument spec and call."""
    adapter.run(
        dict(
            LOCATION_ARGUMENTS,
            **TRUST_ARGUMENTS,
            id={"type": "str", "aliases": ["recovery_point_id"], "default": "latest"},
            identity_files={"type": "list", "elements": "path", "required": True},
            prove_all={"type": "bool", "default": False},
            signing_key={"type": "path", "no_log": False},
            run_id={"type": "str", "default": "none"},
        ),
        body,
    )


if __name__ == "__main__":
    main()
