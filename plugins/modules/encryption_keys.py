#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: encryption_keys
short_description: Compare the encryption keys of a recovery point with those of a machine, and add what it lacks
version_added: "0.1.0"
description:
  - For a machine that keeps its files while the snapshot of a recovery point goes onto it. What its API server cannot read would keep it from becoming ready.
  - Keys are compared by their content, in the controller's memory. The machine's file is captured by M(lifeboat.cluster.host_archive) and fetched with
    the connection's own file transfer, as the login user; those of the recovery point are opened out of its artifacts.
  - No key is in a result, a log or an argument of a program.
  - With O(state=present), keys go behind those in use, of the same provider; the first key, which writes, stays the first, and C(identity) stays where it
    is. Of C(aescbc) alone a key of the same name and another content goes before that one, because the API server cannot tell them apart otherwise.
  - A key of a KMS lies in no recovery point and cannot be added.
options:
  state:
    description:
      - V(compared) changes nothing.
      - V(present) writes the configuration anew; comments in it are lost, and the file that was there is kept beside it.
    type: str
    choices: [compared, present]
    default: compared
  point:
    description: Id of the recovery point.
    type: str
    required: true
    aliases: [recovery_point_id]
  in_use:
    description: RV(lifeboat.cluster.encryption_info#module:encryption) of the machine, from before its services were stopped.
    type: dict
    required: true
  staging:
    description: Private directory of the login user on the machine, see M(lifeboat.cluster.staging_directory).
    type: str
    required: true
  owner:
    description: User, or C(user:group), to whom that directory belongs.
    type: str
    default: ""
  aside:
    description: Suffix of the name under which the file that was there is kept.
    type: str
    default: lifeboat
attributes:
  action:
    description: Runs on the controller, with a connection to the host.
    support: full
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.recovery_point_location
  - lifeboat.cluster.recovery_point_location.opening
  - lifeboat.cluster.recovery_point_location.trust
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.encryption_info
  - module: lifeboat.cluster.encryption_proof
"""

EXAMPLES = r"""
- name: Compare the encryption keys
  lifeboat.cluster.encryption_keys:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    point: 20261120T133500Z-1a2b3c
    identity_files: [age.key]
    allowed_signers: allowed_signers
    in_use: "{{ api_server.encryption }}"
    staging: "{{ staging.path }}"
    owner: "{{ staging.owner }}"
  register: compared
"""

RETURN = r"""
encryption:
  description: What the machine lacks. Names of providers, keys and resources, never a key.
  returned: success
  type: dict
  contains:
    configuration: {description: The file that its API server names., type: str}
    same: {description: Whether it can read all that the recovery point holds., type: bool}
    addable: {description: Whether the recovery point has all that is lacking., type: bool}
    problems: {description: The same in words., type: list, elements: str}
    differences:
      description: "Each with C(provider), C(key_name), C(resource), C(kind) (C(missing), C(other), C(kms), C(lost), C(identity)) and C(addable)."
      type: list
      elements: dict
aside:
  description: Where the file that was there is kept.
  returned: when it was written
  type: str
"""
