#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_fetch
short_description: Bring an artifact from a host into an open recovery point, sealed
version_added: "0.1.0"
description:
  - Fetches one plain file from the host to the controller with the connection's own file transfer, compresses and encrypts it into the recovery
    point, and removes both plain copies.
  - The file has to belong to the login user, in a directory of mode 0700 that this user made. It is fetched as the login user, whatever C(become) says.
  - On the controller the plain file lies in the private directory of the run, which M(lifeboat.cluster.run_begin) made.
  - Of large files, 64 MiB and more, only one at a time lies there.
  - A rerun in the same run finds the artifact there and changes nothing.
options:
  component:
    description: Component that the artifact belongs to.
    type: str
    required: true
  source:
    description: Path of the plain file on the host.
    type: str
    required: true
  name:
    description:
      - Name of the artifact within its component. Without it, the name of the host in the inventory, as P(lifeboat.cluster.artifact_name#filter) writes it.
    type: str
  point:
    description: Id of the open recovery point.
    type: str
    required: true
    aliases: [recovery_point_id]
  format:
    description:
      - With V(tar) the file has to be a whole tar archive, and the artifact is called C(<component>/<name>.tar.zst.age).
      - With V(file) it is stored as it is, and keeps its extension, as in C(etcd/cp1.db.zst.age).
    type: str
    choices: [tar, file]
    default: tar
  sha256:
    description: SHA-256 that the module which made the file computed on the host. Without it, the host is asked once more.
    type: str
  size_bytes:
    description: Size of the file, with O(sha256).
    type: int
  inspect:
    description: Record what the files in the archive say about certificates, keys, encryption configuration, kubeconfigs and static pods. Public facts only.
    type: bool
    default: false
  facts:
    description:
      - What the component says of the artifact, such as counts that a restore is compared with. It becomes C(contents.facts) of the manifest, which is
        not sealed, so neither secrets nor digests of secrets may be in it.
    type: dict
    default: {}
  remove_source:
    description: Remove the file from the host when it is stored.
    type: bool
    default: true
attributes:
  action:
    description: Runs on the controller, with a connection to the host.
    support: full
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.recovery_point_location
  - lifeboat.cluster.recovery_point_location.sealing
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.recovery_point
  - module: lifeboat.cluster.artifact_push
"""

EXAMPLES = r"""
- name: Bring the archive into the recovery point
  lifeboat.cluster.artifact_fetch:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    point: 20261120T133500Z-1a2b3c
    component: pki
    source: "{{ archive.path }}"
    sha256: "{{ archive.sha256 }}"
    size_bytes: "{{ archive.size_bytes }}"
    recipients:
      - age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
    inspect: true
  register: fetched
"""

RETURN = r"""
artifact:
  description: The artifact's record for the manifest. Null in check mode.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the artifact.
      type: str
      sample: pki/cp1.tar.zst.age
    component:
      description: Its component.
      type: str
    host:
      description: Where it came from.
      type: str
    sealed_sha256:
      description: SHA-256 of the stored object.
      type: str
    sealed_size_bytes:
      description: Size of the stored object.
      type: int
    plain_sha256:
      description: SHA-256 of the plain file.
      type: str
    plain_size_bytes:
      description: Size of the plain file.
      type: int
    contents:
      description: Of an archive the number of entries, files and bytes in files, and with O(inspect) what the files say; also O(facts).
      type: dict
name:
  description: Name that the artifact has or would have.
  returned: success
  type: str
duration_seconds:
  description: How long it took.
  returned: success, not in check mode
  type: float
"""
