#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_push
short_description: Bring an artifact of a recovery point to a host, opened
version_added: "0.1.0"
description:
  - Checks the signature of the recovery point's manifest, decrypts one artifact into the private directory of the run, proves its hashes, and puts it on
    the host with the connection's own file transfer. The plain copy on the controller is removed.
  - Hosts that need the same artifact at the same time share one plain copy.
  - A file that is on the host already with the right SHA-256 is no change.
  - Where the run has locked the host (M(lifeboat.cluster.restore_record)), the lock is renewed before and after, unless that was done within the last minute.
    When another run took it, nothing is brought.
options:
  artifact:
    description: Name of the artifact, as in the manifest.
    type: str
    required: true
  point:
    description: Id of the recovery point.
    type: str
    required: true
    aliases: [recovery_point_id]
  destination:
    description: Directory on the host, which belongs to the login user and has mode 0700.
    type: str
    required: true
  file_name:
    description: Name of the file in O(destination). Without it, the artifact's without C(.zst.age), as in C(cp1.tar).
    type: str
  executable:
    description: Give the file mode 0700 instead of 0600, for a program.
    type: bool
    default: false
attributes:
  action:
    description: Runs on the controller, with a connection to the host.
    support: full
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.recovery_point_location
  - lifeboat.cluster.recovery_point_location.trust
  - lifeboat.cluster.recovery_point_location.opening
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.recovery_point_info
  - module: lifeboat.cluster.artifact_fetch
"""

EXAMPLES = r"""
- name: Bring the snapshot to every etcd host
  lifeboat.cluster.artifact_push:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    point: 20261120T133500Z-1a2b3c
    artifact: etcd/cp1.tar.zst.age
    destination: /home/ops/.lifeboat
    identity_files: [/etc/lifeboat/age.key]
    allowed_signers: /etc/lifeboat/allowed_signers
  register: pushed
"""

RETURN = r"""
path:
  description: Path of the file on the host.
  returned: success
  type: str
sha256:
  description: SHA-256 of the file.
  returned: success
  type: str
size_bytes:
  description: Size of the file.
  returned: success
  type: int
name:
  description: Name of the artifact.
  returned: success
  type: str
duration_seconds:
  description: How long it took.
  returned: success, not in check mode
  type: float
"""
