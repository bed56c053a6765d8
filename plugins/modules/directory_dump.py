#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: directory_dump
short_description: Take a proven dump of an OpenLDAP server
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Exports configuration and tree with C(slapcat) while the server runs, loads both into a scratch server behind a private socket, logs in as the
    administrator, counts the entries, and packs the two LDIFs with what they hold into one tar archive.
  - The scratch server shares nothing with the real one, does not talk to others, and is gone afterwards.
  - The archive is written beside its place and gets its name when it is proven. An existing file is never replaced.
  - In check mode both are exported and counted, and nothing is written.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.inside
  - lifeboat.cluster.directory_server
  - lifeboat.cluster.directory_server.bind
  - lifeboat.cluster.directory_server.scratch
options:
  path:
    description:
      - The archive to write. Its directory must exist.
      - When there is a whole dump already, nothing is done and its record is returned; a damaged one is an error.
    type: path
    required: true
  owner:
    description:
      - User who shall own the finished archive, for a transfer by somebody who is not root.
    type: str
    default: ""
seealso:
  - module: lifeboat.cluster.directory_info
  - module: lifeboat.cluster.directory_restore
"""

EXAMPLES = r"""
- name: Dump the directory of users
  lifeboat.cluster.directory_dump:
    container: openldap
    config_dir: /var/lib/misc/ldap-config
    suffix: dc=example,dc=org
    bind_dn: cn=admin,dc=example,dc=org
    password_file: /var/lib/misc/infra-secrets/openldap-password
    path: "{{ staging }}/directory.tar"
    owner: operator
"""

RETURN = r"""
dump:
  description: The dump. In check mode, when there is none yet, what it would hold.
  returned: success
  type: dict
  contains:
    path: {description: Where it lies., type: str}
    size_bytes: {description: Its size., type: int}
    sha256: {description: Its SHA-256., type: str}
    taken_at: {description: When it was begun., type: str}
    version: {description: "Version of the server's programs, or empty.", type: str}
    suffix: {description: The suffix., type: str}
    config: {description: "Of the configuration's LDIF, C(entries), C(size_bytes) and C(sha256).", type: dict}
    tree: {description: The same of the tree., type: dict}
    schemas: {description: Schemas that the configuration defines., type: list, elements: str}
    context_csn: {description: Time of the last change as replication knows it., type: list, elements: str}
"""

import os
import tempfile
from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap import dump
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap.server import BIND_ARGUMENTS, DIRECTORY_ARGUMENTS, Bind, Directory
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.scratch import DEFAULT_DIRECTORY
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Return what stands, or export, prove and pack."""
    params = call.params
    if os.path.lexists(params["path"]):
        return {"changed": False, "dump": dump.examine(params["path"]).as_result()}
    directory = Directory.from_params(params)
    if call.check_mode:
        with tempfile.TemporaryFile() as config, tempfile.TemporaryFile() as tree:
            result: Dict[str, Any] = {"path": params["path"], **dump.survey(directory, config, tree).as_result()}
    else:
        bind = Bind.from_params(params)
        result = dump.take(directory, params["path"], bind=bind, owner=params["owner"], scratch_directory=params["scratch_directory"]).as_result()
    after = {"path": params["path"], "entries": result["tree"]["entries"]}
    return {"changed": True, "dump": result, "diff": {"before": {}, "after": after}}


def main() -> None:
    """Entry point."""
    arguments = dict(DIRECTORY_ARGUMENTS, **BIND_ARGUMENTS)
    arguments.update(path={"type": "path", "required": True}, owner={"type": "str", "default": ""})
    arguments.update({"scratch_directory": {"type": "path", "default": DEFAULT_DIRECTORY}})
    run(arguments, body)


if __name__ == "__main__":
    main()
