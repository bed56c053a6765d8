#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: encryption_coverage_info
short_description: Judge whether the keys of all control planes open what a snapshot holds encrypted
version_added: "0.1.0"
description:
  - Brings together what M(lifeboat.cluster.encryption_proof) found on each control plane, before a recovery point is sealed.
  - Every control plane that could be reached has to have passed, and one of them has to be there. One that could not be reached is named.
  - Runs on the controller.
options:
  snapshot:
    description: The record of the snapshot; empty when none was taken.
    type: dict
    default: {}
  proofs:
    description: RV(lifeboat.cluster.encryption_proof#module:proof) of each control plane.
    type: list
    elements: dict
    default: []
  control_planes:
    description: All control planes of the cluster.
    type: list
    elements: str
    default: []
  not_captured:
    description: Those of which this backup takes nothing, because they could not be reached or are not in its scope.
    type: list
    elements: str
    default: []
  kube_system_uid:
    description: UID of the namespace kube-system as the API server tells it; compared where the namespace was encrypted.
    type: str
    default: ""
extends_documentation_fragment:
  - lifeboat.cluster.attributes
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.encryption_proof
"""

EXAMPLES = r"""
- name: Judge the encryption keys
  lifeboat.cluster.encryption_coverage_info:
    snapshot: "{{ summary.etcd }}"
    proofs: "{{ proofs }}"
    control_planes: "{{ groups['control_plane'] }}"
  register: encryption
"""

RETURN = r"""
coverage:
  description: The verdict.
  returned: success
  type: dict
  contains:
    needed: {description: Whether anything is encrypted., type: bool}
    covered: {description: Whether all of it can be read with what was captured., type: bool}
    problems: {description: What cannot., type: list, elements: str}
    found: {description: The same in words., type: str}
    not_captured: {description: Control planes of which nothing was captured., type: list, elements: str}
    kms: {description: "KMS providers, each with C(name), C(version) and C(endpoint).", type: list, elements: dict}
record:
  description: What the manifest keeps of it, as C(encryption_coverage) of its C(etcd).
  returned: success
  type: dict
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.encryption import Stored
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.encryption import Proof, cover
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Judge."""
    params = call.params
    stored = Stored.from_record(params["snapshot"])
    proofs = [Proof.from_result(record) for record in params["proofs"]]
    found = cover(stored, proofs, params["control_planes"], params["not_captured"], params["kube_system_uid"])
    coverage = {
        "needed": found.needed,
        "covered": found.covered,
        "problems": list(found.problems),
        "found": found.found,
        "not_captured": list(found.not_captured),
        "kms": found.kms,
    }
    return {"coverage": coverage, "record": found.as_record()}


def main() -> None:
    """Entry point."""
    arguments: Dict[str, Any] = {
        "snapshot": {"type": "dict", "default": {}},
        "proofs": {"type": "list", "elements": "dict", "default": []},
        "control_planes": {"type": "list", "elements": "str", "default": []},
        "not_captured": {"type": "list", "elements": "str", "default": []},
        "kube_system_uid": {"type": "str", "default": ""},
    }
    run(arguments, body)


if __name__ == "__main__":
    main()
