#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: database_info
short_description: Look at a MariaDB or MySQL schema, at its users, and at a dump of it
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Counts the rows of all tables in one transaction, asks for the version of the schema and for what is in progress, and logs in as each user with
    the password in its file.
  - With O(dump), reads the dump to its end, says whether the schema holds the same, and with O(prove) loads it into a scratch server.
  - A server that does not answer is an answer, and no failure. Then only the files are compared with each other.
  - Passwords are in no result. Whether two of them are equal is told as an answer.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.inside
  - lifeboat.cluster.database_connection
  - lifeboat.cluster.database_connection.contents
  - lifeboat.cluster.database_connection.credentials
  - lifeboat.cluster.database_connection.scratch
options:
  dump:
    description:
      - A dump of M(lifeboat.cluster.database_dump) on this host.
    type: path
    default: ""
  sha256:
    description:
      - SHA-256 that the dump has to have.
    type: str
    default: ""
  prove:
    description:
      - Load the dump into a scratch server and compare what is there then with what the dump says.
    type: bool
    default: false
  minions_query:
    description:
      - Query whose rows are returned as C(minions).
    type: str
    default: ""
seealso:
  - module: lifeboat.cluster.database_dump
"""

EXAMPLES = r"""
- name: Look at the dashboard's database and prove a dump of it
  lifeboat.cluster.database_info:
    container: velum-mariadb
    schema: velum_production
    socket: /var/run/mysql/mysql.sock
    root_password_file: /var/lib/misc/infra-secrets/mariadb-root-password
    state_tables: [minions, pillars, users, schema_migrations]
    volatile_tables: [salt_events, salt_returns, jids]
    version_query: SELECT MAX(version) FROM schema_migrations
    dump: "{{ staging }}/database.sql"
    prove: true
    minions_query: SELECT minion_id, fqdn, role, highstate FROM minions
  register: database
"""

RETURN = r"""
database:
  description: The schema as it is. Digests are salted with the salt of O(dump), or with a new one at each call.
  returned: success
  type: dict
  contains:
    answers: {description: Whether the server is there and lets its administrator in., type: bool}
    reason: {description: Why it does not., type: str}
    exists: {description: Whether the schema is there. Without it there is nothing more., type: bool}
    busy: {description: How much is in progress., type: int}
    missing_state_tables: {description: State tables that are not there., type: list, elements: str}
    schema_version: {description: "Version of the schema's structure, or empty.", type: str}
    server_version: {description: Version of the server., type: str}
    tables: {description: "Of each table whose rows are kept, C(rows) and C(digest). Digests are salted.", type: dict}
    volatile_tables: {description: Tables that are kept without their rows., type: list, elements: str}
    code: {description: "Views, triggers, routines and events. A schema with some can't be restored by renaming tables.", type: list, elements: str}
credentials:
  description: Whether each password file is good for its user, and the returner's configuration for its own.
  returned: success
  type: list
  elements: dict
  contains:
    user: {description: Name of the user., type: str}
    file: {description: The file with its password., type: str}
    fits: {description: "Whether the file's password is good, and the user may do what it has to.", type: bool}
    reason: {description: Why not., type: str}
dump:
  description: The dump, read to its end.
  returned: when O(dump) is given
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
differences:
  description: What the schema has otherwise than the dump.
  returned: when O(dump) is given
  type: list
  elements: str
proven:
  description: Whether the dump was loaded into a scratch server, and was equal.
  returned: when O(dump) is given
  type: bool
minions:
  description: The rows of O(minions_query), each a dictionary of texts.
  returned: when O(minions_query) is given and the schema is there
  type: list
  elements: dict
"""

import functools
import secrets
from typing import Any, Dict, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._database import contents, credentials, dump
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.arguments import (
    CONNECTION_ARGUMENTS,
    CONTENTS_ARGUMENTS,
    CREDENTIALS_ARGUMENTS,
    SCRATCH_ARGUMENTS,
    server_of,
    users_of,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.server import Server
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.passwords import PasswordFileError
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def reached(params: Dict[str, Any]) -> Tuple[Optional[Server], str]:
    """The server where its administrator can log in, else why not: a machine that was emptied has not even the password."""
    try:
        server = server_of(params)
    except PasswordFileError as error:
        return None, error.message
    reason = server.refusal()
    return (None, reason) if reason else (server, "")


def body(call: Call) -> Dict[str, Any]:
    """Look; change nothing."""
    params = call.params
    schema, rules = params["schema"], contents.Rules.from_params(params)
    held: Optional[dump.Dump] = dump.examine(params["dump"], params["sha256"]) if params["dump"] else None
    server, reason = reached(params)
    found = None if server is None else contents.read(server, schema, rules, held.contents.salt if held else secrets.token_hex(16))
    look = credentials.files if server is None else functools.partial(credentials.logins, server, schema)
    fitting = look(users_of(params), params["returner_file"])
    result: Dict[str, Any] = {
        "database": {"answers": not reason, "reason": reason, "exists": found is not None},
        "credentials": [item.as_result() for item in fitting],
    }
    if server is not None and found is not None:
        missing = found.missing(rules)
        result["database"].update(found.as_result(), missing_state_tables=missing, busy=0 if missing else contents.busy(server, schema, rules))
        if params["minions_query"]:
            result["minions"] = server.records(params["minions_query"], schema)
    if held is not None:
        if params["prove"]:
            dump.checked(held, rules, Inside.of_params(params), base=params["scratch_directory"], timeout_seconds=params["timeout_seconds"])
        differing = contents.differences(found, held.contents) if found else ["no such schema"]
        result.update(dump=held.as_result(), differences=differing, proven=params["prove"])
    return result


def main() -> None:
    """Entry point."""
    arguments = dict(CONNECTION_ARGUMENTS, **CONTENTS_ARGUMENTS, **CREDENTIALS_ARGUMENTS, **SCRATCH_ARGUMENTS)
    arguments.update(
        dump={"type": "path", "default": ""},
        sha256={"type": "str", "default": ""},
        prove={"type": "bool", "default": False},
        minions_query={"type": "str", "default": ""},
    )
    run(arguments, body)


if __name__ == "__main__":
    main()
