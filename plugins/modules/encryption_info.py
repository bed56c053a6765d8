#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: encryption_info
short_description: Show which encryption configuration the API server of a host names
version_added: "0.1.0"
description:
  - Asks the running API server, by its own command line and its own view of the file system; where none runs, reads what would start it.
  - Never reads the encryption configuration itself.
options:
  process:
    description: Name of the API server's process, as the platform's data have it.
    type: str
    default: kube-apiserver
  manifests:
    description: Files that start the API server where it does not run, or directories in which manifests are looked for. What is not there is passed over.
    type: list
    elements: path
    default: []
extends_documentation_fragment:
  - lifeboat.cluster.attributes
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.encryption_proof
  - module: lifeboat.cluster.encryption_keys
"""

EXAMPLES = r"""
- name: Ask the API server which encryption configuration it reads
  lifeboat.cluster.encryption_info:
    manifests: [/etc/kubernetes/manifests]
  register: api_server
"""

RETURN = r"""
encryption:
  description: What is known of it.
  returned: success
  type: dict
  contains:
    known: {description: Whether it is known what the API server names., type: bool}
    source: {description: "C(process), C(manifest) or C(none).", type: str}
    option: {description: "Value of C(--encryption-provider-config); empty when there is none.", type: str}
    file: {description: The file on the host., type: str}
    real_file: {description: The same without links., type: str}
    exists: {description: Whether there is such a file., type: bool}
    manifest: {description: "What was read, where no API server runs.", type: str}
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.in_use import look
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Look, and tell."""
    return {"encryption": look(call.params["process"], call.params["manifests"]).as_result()}


def main() -> None:
    """Entry point."""
    arguments: Dict[str, Any] = {
        "process": {"type": "str", "default": "kube-apiserver"},
        "manifests": {"type": "list", "elements": "path", "default": []},
    }
    run(arguments, body)


if __name__ == "__main__":
    main()
