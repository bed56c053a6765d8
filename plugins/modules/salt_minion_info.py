#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: salt_minion_info
short_description: Look at the Salt minion of a host
version_added: "0.1.0"
description:
  - Reads who the minion is, which master it knows, and what its grains say, from its files. Neither the minion nor its master need run.
  - Never fails because something is missing. What is there and cannot be read or understood is in RV(minion.problems).
  - The private key is not read.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  config_dir:
    description: Directory of the minion's configuration.
    type: path
    default: /etc/salt
  pki_dir:
    description: Directory of the minion's keys.
    type: path
    default: /etc/salt/pki/minion
  grains:
    description: File with the grains that were set on this host.
    type: path
    default: /etc/salt/grains
  busy_grains:
    description: Grains that say that something is going on.
    type: list
    elements: str
    default: []
  unit:
    description: The minion's systemd unit.
    type: str
    default: salt-minion.service
seealso:
  - module: lifeboat.cluster.salt_key_info
"""

EXAMPLES = r"""
- name: Look at the minion
  lifeboat.cluster.salt_minion_info:
    busy_grains: [update_in_progress, removal_in_progress]
"""

RETURN = r"""
minion:
  description: What was found.
  returned: always
  type: dict
  contains:
    id: {description: Its id; null when none is set., type: str}
    id_file: {description: File that has the id., type: str}
    master: {description: Addresses of its master., type: list, elements: str}
    master_file: {description: File that has them., type: str}
    grains: {description: Content of the grains file; null when it is not understood., type: dict}
    roles: {description: The grain C(roles)., type: list, elements: str}
    busy: {description: Those of O(busy_grains) that are set., type: list, elements: str}
    fingerprint: {description: "Of its public key, as C(salt-key -F) has it; empty when there is none.", type: str}
    master_fingerprint: {description: Of the master's key that it remembers; empty when it remembers none., type: str}
    machine_id: {description: Content of /etc/machine-id., type: str}
    running: {description: Whether its unit runs; null when systemd cannot be asked., type: bool}
    problems: {description: "Files that are there and cannot be read or understood, each with the reason.", type: list, elements: str}
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.minion import Question, look
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

SPEC: Dict[str, Any] = {
    "config_dir": {"type": "path", "default": "/etc/salt"},
    "pki_dir": {"type": "path", "default": "/etc/salt/pki/minion"},
    "grains": {"type": "path", "default": "/etc/salt/grains"},
    "busy_grains": {"type": "list", "elements": "str", "default": []},
    "unit": {"type": "str", "default": "salt-minion.service"},
}


def body(call: Call) -> Dict[str, Any]:
    """Look."""
    return {"minion": look(Question(**call.params))}


def main() -> None:
    """Entry point."""
    run(SPEC, body)


if __name__ == "__main__":
    main()
