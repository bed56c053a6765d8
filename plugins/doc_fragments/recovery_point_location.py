# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where recovery points lie, to whom they are sealed, who opens them, and whose are believed."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared by everything that reads or writes recovery points."""

    DOCUMENTATION = r"""
options:
  location:
    description:
      - The backup storage location.
      - It has to exist. Below it, everything of one cluster lies in a directory of the cluster's name. Nothing in it is ever rewritten.
    type: dict
    required: true
    suboptions:
      type:
        description: Kind of location. V(directory) is a directory on the controller, also one on NFS.
        type: str
        choices: [directory]
        default: directory
      path:
        description: Absolute path of the directory.
        type: path
        required: true
      mount_required:
        description: Refuse to work when the path lies on the controller's root file system, because then its mount is missing.
        type: bool
        default: false
  cluster_name:
    description: Name of the cluster, as in the variable C(lifeboat_cluster_name). A point that says another name inside is refused.
    type: str
    required: true
"""

    SEALING = r"""
options:
  recipients:
    description:
      - Public keys that can open the artifact later, C(age1...) as C(age-keygen) makes them, or C(ssh-ed25519) and C(ssh-rsa) keys.
      - The private keys are not needed here, and should not be on this machine.
    type: list
    elements: str
    required: true
"""

    OPENING = r"""
options:
  identity_files:
    description:
      - Files on the controller with private keys, as C(age-keygen) makes them, or SSH private keys without passphrase.
      - What they hold is never shown.
    type: list
    elements: path
    default: []
"""

    TRUST = r"""
options:
  allowed_signers:
    description: File with the SSH keys whose signatures are believed, in the form of C(ssh-keygen), see ALLOWED SIGNERS in its manual page.
    type: path
  signer:
    description: Believe only this principal of O(allowed_signers), not any of them.
    type: str
  accept_unsigned:
    description:
      - Ids of recovery points that are believed although nobody's signature can be checked.
      - A signature that does not agree, or is a stranger's, is refused nevertheless.
    type: list
    elements: str
    default: []
"""
