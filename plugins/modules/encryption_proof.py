#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: encryption_proof
short_description: Prove that the captured keys of a control plane open what a snapshot holds encrypted
version_added: "0.1.0"
description:
  - Reads the encryption configuration out of archives that M(lifeboat.cluster.host_archive) made on the host, and opens a sample of every key and resource
    of the snapshot with it, in the controller's memory.
  - Only the file counts that the host's own API server names. What does not open is a problem in the result, not a failure.
  - Archives are fetched with the connection's own file transfer, as the login user to whom they belong, when the snapshot holds something encrypted. No
    key is in a result, a log or an argument of a program.
options:
  archives:
    description: Archives of the host, in the order in which they are looked into.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path on the host.
        type: str
        required: true
      sha256:
        description: SHA-256 of the archive, as it was sealed.
        type: str
        required: true
      size_bytes:
        description: Its size.
        type: int
        required: true
  in_use:
    description: RV(lifeboat.cluster.encryption_info#module:encryption) of the host.
    type: dict
    required: true
  static_pods:
    description: C(static_pods) of the host's artifacts, which tell where a container's files lie on the machine when no API server runs.
    type: list
    elements: dict
    default: []
  snapshot:
    description: The record of the snapshot, of which C(encryption) and C(unencrypted_by_resource) count.
    type: dict
    required: true
  samples:
    description: RV(lifeboat.cluster.etcd_snapshot#module:encryption_samples). What has no sample is judged by its name.
    type: list
    elements: dict
    default: []
attributes:
  action:
    description: Runs on the controller, with a connection to the host.
    support: full
extends_documentation_fragment:
  - lifeboat.cluster.attributes
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.encryption_info
  - module: lifeboat.cluster.encryption_coverage_info
"""

EXAMPLES = r"""
- name: Open what the snapshot holds encrypted
  lifeboat.cluster.encryption_proof:
    archives: "{{ [pki.archive] }}"
    in_use: "{{ api_server.encryption }}"
    snapshot: "{{ etcd.snapshot }}"
    samples: "{{ etcd.encryption_samples }}"
  register: proven
"""

RETURN = r"""
proof:
  description: What came of it. Names of providers, keys and resources, never a key.
  returned: success
  type: dict
  contains:
    host: {description: The host., type: str}
    configuration: {description: The file that its API server names., type: str}
    proven: {description: Keys of which a value was opened., type: list, elements: str}
    named: {description: Keys that are in the file by name; there was no sample to open., type: list, elements: str}
    kms: {description: "KMS providers, each with C(name), C(version) and C(endpoint); their keys lie in no recovery point.", type: list, elements: dict}
    problems: {description: What cannot be read., type: list, elements: str}
    kube_system_uid: {description: "UID of the namespace kube-system, where it was encrypted and was opened.", type: str}
"""
