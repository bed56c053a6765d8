#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: encryption_config
short_description: Put an encryption configuration in place and keep the one that was there
version_added: "0.1.0"
description:
  - Gives a file that was brought onto the host the name, owner and permissions of the one that is there, in one step.
  - What was there is kept beside it, once. A rerun with the same content changes nothing.
  - M(lifeboat.cluster.encryption_keys) uses it. Its content is in no result.
options:
  path:
    description: The configuration. It has to be there, and to be no link.
    type: str
    required: true
  source:
    description: The file to put in place.
    type: str
    required: true
  sha256:
    description: Its SHA-256.
    type: str
    required: true
  aside:
    description: Suffix of the name under which the one that was there is kept.
    type: str
    default: lifeboat
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.encryption_keys
"""

EXAMPLES = r"""
- name: Put the new configuration in place
  lifeboat.cluster.encryption_config:
    path: /etc/kubernetes/enc/encryption.yaml
    source: "{{ staging }}/encryption.yaml"
    sha256: "{{ digest }}"
"""

RETURN = r"""
path:
  description: The configuration.
  returned: success
  type: str
aside:
  description: Where the one that was there is kept.
  returned: success
  type: str
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.placing import apply, plan
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Look, and put in place."""
    planned = plan(call.params["path"], call.params["source"], call.params["sha256"], call.params["aside"])
    if not call.check_mode:
        apply(planned)
    return {"changed": planned.changed, "path": planned.path, "aside": planned.aside}


def main() -> None:
    """Entry point."""
    arguments: Dict[str, Any] = {
        "path": {"type": "str", "required": True},
        "source": {"type": "str", "required": True},
        "sha256": {"type": "str", "required": True},
        "aside": {"type": "str", "default": "lifeboat"},
    }
    run(arguments, body)


if __name__ == "__main__":
    main()
