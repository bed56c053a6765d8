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
      - It has to exist. Below it, everything of one cluster lies under the cluster's name. Nothing in it is ever rewritten.
    type: dict
    required: true
    suboptions:
      type:
        description:
          - Kind of location.
          - V(directory) is a directory on a disk of the controller.
          - V(nfs) is a directory that other machines write to as well, so nothing depends on locks of files.
          - V(s3) is a bucket of Amazon S3 or of a server that speaks its protocol. It is read by version, the oldest version of a key is the object.
          - Credentials for V(s3) come from the environment, a shared credentials file, a profile, or the role of the machine, never from an option.
        type: str
        choices: [directory, nfs, s3]
        default: directory
      path:
        description: Absolute path of the directory. Required for V(directory) and V(nfs).
        type: path
      mount_required:
        description:
          - Refuse to work when the path lies on the controller's root file system, because then its mount is missing.
          - When it is not given, it is V(true) for V(nfs) and V(false) for V(directory).
        type: bool
      bucket:
        description: Name of the bucket. It should have versioning, and object lock. Required for V(s3).
        type: str
      prefix:
        description: Beginning of all keys in the bucket, when the bucket is used for other things too.
        type: str
        default: ''
      endpoint_url:
        description: Address of the S3 server. Without it, that of Amazon S3 in the region.
        type: str
      region:
        description: Region of the bucket. Without it, what the environment or the profile says.
        type: str
      addressing_style:
        description: Whether the bucket is part of the path or of the host name of requests.
        type: str
        choices: [auto, path, virtual]
        default: auto
      ca_bundle:
        description: Absolute path of a file with the certificates of the authorities that the S3 server's certificate may come from.
        type: path
      profile:
        description: Name of a profile in the shared files of the AWS clients.
        type: str
      object_lock_mode:
        description:
          - Lock every object of a recovery point until the time until which the point is kept. The bucket must have object lock.
          - V(governance) can be lifted by users with a special right, V(compliance) by nobody.
        type: str
        choices: [none, governance, compliance]
        default: none
      server_side_encryption:
        description: Ask the server to encrypt what it stores. Recovery points are sealed in any case.
        type: str
        choices: [AES256, 'aws:kms']
      kms_key_id:
        description: Name of the key that the server uses for V(aws:kms).
        type: str
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
