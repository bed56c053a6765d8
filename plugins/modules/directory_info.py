#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: directory_info
short_description: Look at an OpenLDAP server, and at a dump of it
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Counts the entries in the database and those that the running server shows to the administrator, who logs in with the password in its file.
  - With O(dump), reads the dump to its end, says whether the directory holds the same, and with O(prove) loads it into a scratch server.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.inside
  - lifeboat.cluster.directory_server
  - lifeboat.cluster.directory_server.bind
  - lifeboat.cluster.directory_server.scratch
options:
  url:
    description:
      - URL of the server, as the programs reach it.
    type: str
    required: true
  dump:
    description:
      - A dump of M(lifeboat.cluster.directory_dump) on this host.
    type: path
    default: ""
  sha256:
    description:
      - SHA-256 that the dump has to have.
    type: str
    default: ""
  prove:
    description:
      - Load the dump into a scratch server, log in and count.
    type: bool
    default: false
seealso:
  - module: lifeboat.cluster.directory_dump
"""

EXAMPLES = r"""
- name: Look at the directory of users
  lifeboat.cluster.directory_info:
    container: openldap
    config_dir: /var/lib/misc/ldap-config
    suffix: dc=example,dc=org
    bind_dn: cn=admin,dc=example,dc=org
    password_file: /var/lib/misc/infra-secrets/openldap-password
    url: ldap://127.0.0.1
"""

RETURN = r"""
directory:
  description: The directory as it is.
  returned: success
  type: dict
  contains:
    entries: {description: Entries in the database., type: int}
    served_entries: {description: "Entries that the server shows to the administrator; null when it does not let it in.", type: int}
    bind_ok: {description: Whether the administrator is let in., type: bool}
    bind_reason: {description: Why not., type: str}
    schemas: {description: Schemas that the configuration defines., type: list, elements: str}
    context_csn: {description: Time of the last change as replication knows it., type: list, elements: str}
    version: {description: "Version of the server's programs, or empty.", type: str}
dump:
  description: The dump, read to its end.
  returned: when O(dump) is given
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
equal:
  description: Whether the entries are byte by byte those of the dump. The time of the last change does not count.
  returned: when O(dump) is given
  type: bool
proven:
  description: Whether the dump was loaded into a scratch server, and served all of its entries there.
  returned: when O(dump) is given
  type: bool
"""

import tempfile
from typing import Any, BinaryIO, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap import dump
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap.server import BIND_ARGUMENTS, DIRECTORY_ARGUMENTS, Bind, Directory, same_entries
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.scratch import DEFAULT_DIRECTORY
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def _compare(params: Dict[str, Any], directory: Directory, bind: Bind, tree: BinaryIO) -> Dict[str, Any]:
    """The dump beside the live tree."""
    held = dump.examine(params["dump"], params["sha256"])
    if params["prove"]:
        dump.checked(directory, held, bind, params["scratch_directory"])
    with dump.opened(held.path) as files:
        equal = same_entries(tree, files[dump.TREE])
    return {"dump": held.as_result(), "equal": equal, "proven": params["prove"]}


def body(call: Call) -> Dict[str, Any]:
    """Look; change nothing."""
    params = call.params
    directory, bind = Directory.from_params(params), Bind.from_params(params)
    with tempfile.TemporaryFile() as config, tempfile.TemporaryFile() as tree:
        found = dump.survey(directory, config, tree)
        compared = _compare(params, directory, bind, tree) if params["dump"] else {}
    problem = directory.bind_problem(params["url"], bind)
    result: Dict[str, Any] = {
        "directory": {
            "entries": found.tree.entries,
            "served_entries": None if problem else directory.served_entries(params["url"], bind),
            "bind_ok": not problem,
            "bind_reason": problem,
            "schemas": found.schemas,
            "context_csn": found.context_csn,
            "version": found.version,
        },
        **compared,
    }
    return result


def main() -> None:
    """Entry point."""
    arguments = dict(DIRECTORY_ARGUMENTS, **BIND_ARGUMENTS)
    arguments.update(
        {
            "url": {"type": "str", "required": True},
            "dump": {"type": "path", "default": ""},
            "sha256": {"type": "str", "default": ""},
            "prove": {"type": "bool", "default": False},
            "scratch_directory": {"type": "path", "default": DEFAULT_DIRECTORY},
        }
    )
    run(arguments, body)


if __name__ == "__main__":
    main()
