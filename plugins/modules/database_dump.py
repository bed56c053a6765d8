#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: database_dump
short_description: Take a proven dump of a MariaDB or MySQL schema
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Dumps a schema in one transaction with the server's own dump program, loads the dump into a scratch server of the same programs, and compares
    counts and digests of all tables with the live ones. The scratch server has a data directory of its own, no network, and is gone afterwards.
  - A table that changed while the dump was taken may be as before or as after; every other one has to be equal.
  - The file is plain SQL. Its last line, a comment, has size and SHA-256 of all before, and counts and digests of the tables.
  - Refuses while O(busy_query) says that something is in progress, when a state table is missing, and when a table takes part in no transactions.
  - The file is written beside its place and gets its name when it is proven. An existing file is never replaced.
  - In check mode the refusals are the same, and nothing is written.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.inside
  - lifeboat.cluster.database_connection
  - lifeboat.cluster.database_connection.contents
  - lifeboat.cluster.database_connection.scratch
options:
  path:
    description:
      - The file to write. Its directory must exist.
      - When there is a whole dump already, nothing is done and its record is returned; a damaged one is an error.
    type: path
    required: true
  owner:
    description:
      - User who shall own the finished file, for a transfer by somebody who is not root.
    type: str
    default: ""
seealso:
  - module: lifeboat.cluster.database_info
  - module: lifeboat.cluster.database_restore
"""

EXAMPLES = r"""
- name: Dump the dashboard's database
  lifeboat.cluster.database_dump:
    container: velum-mariadb
    schema: velum_production
    socket: /var/run/mysql/mysql.sock
    root_password_file: /var/lib/misc/infra-secrets/mariadb-root-password
    state_tables: [minions, pillars, users, schema_migrations]
    volatile_tables: [salt_events, salt_returns, jids]
    version_query: SELECT MAX(version) FROM schema_migrations
    busy_query: SELECT COUNT(*) FROM orchestrations WHERE status = 0
    path: "{{ staging }}/database.sql"
    owner: operator
"""

RETURN = r"""
dump:
  description: The dump. In check mode, when there is none yet, what it would hold and its path.
  returned: success
  type: dict
  contains:
    path: {description: Where it lies., type: str}
    size_bytes: {description: Its size., type: int}
    sha256: {description: Its SHA-256., type: str}
    taken_at: {description: When it was begun., type: str}
    schema_version: {description: "Version of the schema's structure, or empty.", type: str}
    server_version: {description: Version of the server., type: str}
    tables: {description: "Of each table whose rows are kept, C(rows) and C(digest). Digests are salted.", type: dict}
    volatile_tables: {description: Tables that are kept without their rows., type: list, elements: str}
    code: {description: "Views, triggers, routines and events. A schema with some can't be restored by renaming tables.", type: list, elements: str}
"""

import os
from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._database import dump
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.arguments import (
    CONNECTION_ARGUMENTS,
    CONTENTS_ARGUMENTS,
    SCRATCH_ARGUMENTS,
    open_server,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.contents import Rules
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Return what stands, or survey, take and prove."""
    params = call.params
    if os.path.lexists(params["path"]):
        return {"changed": False, "dump": dump.examine(params["path"]).as_result()}
    server, rules = open_server(params), Rules.from_params(params)
    if call.check_mode:
        found = dump.survey(server, params["schema"], rules)
        result: Dict[str, Any] = {"path": params["path"], **found.as_result()}
    else:
        taken = dump.take(server, params["schema"], rules, params["path"], owner=params["owner"], scratch_directory=params["scratch_directory"])
        found, result = taken.contents, taken.as_result()
    return {"changed": True, "dump": result, "diff": {"before": {}, "after": {"path": params["path"], **found.lines()}}}


def main() -> None:
    """Entry point."""
    arguments = dict(CONNECTION_ARGUMENTS, **CONTENTS_ARGUMENTS, **SCRATCH_ARGUMENTS)
    arguments.update(path={"type": "path", "required": True}, owner={"type": "str", "default": ""})
    run(arguments, body)


if __name__ == "__main__":
    main()
