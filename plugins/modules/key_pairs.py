#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: key_pairs
short_description: Make and check the keys of a controller
version_added: "0.1.0"
description:
  - Makes what is missing - an age identity, an SSH key that signs, and the allowed signers file that has it.
  - What is there is never replaced and never changed. It is checked, and what is wrong is returned with a remedy.
  - An age identity is made only when O(recipients) is empty. Where recipients are named, its private key may rightly be kept elsewhere.
  - A signing key is made only when there is no allowed signers file either, because an older file would not have it.
  - Private keys are written with mode 0600, and missing directories are made with mode 0700. Nothing of a private key is returned.
  - Runs on the controller. It needs the Python package pyrage and the program C(ssh-keygen).
options:
  identity_file:
    description: File with the age identity, which is the private key that opens recovery points.
    type: path
    required: true
  signing_key:
    description: SSH private key without passphrase that signs manifests and results.
    type: path
    required: true
  allowed_signers:
    description: Allowed signers file of C(ssh-keygen).
    type: path
    required: true
  recipients:
    description: Public keys to which artifacts are sealed, as the inventory names them.
    type: list
    elements: str
    default: []
  signer:
    description: Name of this controller's key in the allowed signers file. Without it, V(backup) is written into a new file.
    type: str
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.recovery_point_escrow
"""

EXAMPLES = r"""
- name: Make and check the keys of this controller
  lifeboat.cluster.key_pairs:
    identity_file: /home/ops/shop/keys/age.key
    signing_key: /home/ops/shop/keys/signing_key
    allowed_signers: /home/ops/shop/keys/allowed_signers
"""

RETURN = r"""
made:
  description: Files that were, or in check mode would be, made.
  returned: success
  type: list
  elements: str
recipients:
  description: O(recipients), or else the public key of the identity. Empty in check mode when the identity would be made.
  returned: success
  type: list
  elements: str
signing_key:
  description: Public half of the signing key. Empty when there is no key that can be used.
  returned: success
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG
signer:
  description: Name under which the signing key stands in the allowed signers file. Empty when that is not known, or not one name.
  returned: success
  type: str
  sample: backup
identity_here:
  description: Whether the age identity lies on this controller.
  returned: success
  type: bool
findings:
  description: What was checked.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: >-
        V(identity_usable), V(recipients_usable), V(identity_recipient), V(files_private), V(directories_private) or V(signing_key_allowed).
      type: str
    passed:
      description: Whether all is well.
      type: bool
    found:
      description: What was found.
      type: str
    remedy:
      description: What to do when it is not.
      type: str
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._controller import key_pairs


def body(call: adapter.Call) -> Dict[str, Any]:
    """Make what is missing, and look at everything."""
    params = call.params
    wish = key_pairs.Wish(params["identity_file"], params["signing_key"], params["allowed_signers"], tuple(params["recipients"]), params["signer"] or "")
    for secret in key_pairs.private(wish.recipients):
        call.hide(secret)
    keys = key_pairs.prepare(wish, check_mode=call.check_mode)
    return {
        "changed": bool(keys.made),
        "made": keys.made,
        "recipients": keys.recipients,
        "signing_key": keys.signing_key,
        "signer": keys.signer,
        "identity_here": keys.identity_here,
        "findings": [finding.to_record() for finding in keys.findings],
        "diff": key_pairs.shown(keys.made),
    }


def main() -> None:
    """Argument spec and call."""
    adapter.run(
        {
            "identity_file": {"type": "path", "required": True},
            "signing_key": {"type": "path", "required": True, "no_log": False},
            "allowed_signers": {"type": "path", "required": True},
            "recipients": {"type": "list", "elements": "str", "default": []},
            "signer": {"type": "str"},
        },
        body,
    )


if __name__ == "__main__":
    main()
