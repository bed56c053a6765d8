#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: database_restore
short_description: Bring a MariaDB or MySQL schema back from a dump
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Loads a dump of M(lifeboat.cluster.database_dump) into a schema of its own, compares counts and digests of all tables, and swaps it in with one
    C(RENAME TABLE). What stood there is moved into a schema beside it, C(<schema>_lifeboat_<restore_id>), and never deleted.
  - The server has to run, and should have no other users than this module. Killed at any moment, it is finished by running it again.
  - Users are made with the passwords in B(this host's own) files, as grants lie outside of the dump. All of the files have to fit each other, and
    the returner's configuration too, or nothing is changed.
  - Refuses a dump of a newer schema version than that of this machine's programs, which is taken to be the one of the schema that is there.
  - A schema that holds the same already is left as it is.
  - In check mode only the plan is returned.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.inside
  - lifeboat.cluster.database_connection
  - lifeboat.cluster.database_connection.contents
  - lifeboat.cluster.database_connection.credentials
options:
  dump:
    description:
      - The dump, on this host.
    type: path
    required: true
  sha256:
    description:
      - SHA-256 that it has to have.
    type: str
    default: ""
  restore_id:
    description:
      - Name of this restore, the same on a rerun. What makes way is kept under it.
    type: str
    required: true
  expected_version:
    description:
      - Version of the schema that this machine's programs know. Without it, that of the schema that is there.
    type: str
    default: ""
  accept_newer_schema:
    description:
      - Restore a dump of a newer schema version all the same.
    type: bool
    default: false
seealso:
  - module: lifeboat.cluster.database_dump
"""

EXAMPLES = r"""
- name: Bring the dashboard's database back
  lifeboat.cluster.database_restore:
    container: velum-mariadb
    schema: velum_production
    socket: /var/run/mysql/mysql.sock
    root_password_file: /var/lib/misc/infra-secrets/mariadb-root-password
    state_tables: [minions, pillars, users, schema_migrations]
    volatile_tables: [salt_events, salt_returns, jids]
    version_query: SELECT MAX(version) FROM schema_migrations
    users:
      - name: velum
        password_file: /var/lib/misc/infra-secrets/mariadb-velum-password
        privileges: [ALL]
      - name: salt
        password_file: /var/lib/misc/infra-secrets/mariadb-salt-password
        privileges: [SELECT, INSERT, DELETE]
    returner_file: /var/lib/misc/salt-master-credentials/55-returner-credentials.conf
    dump: "{{ staging }}/database.sql"
    sha256: "{{ expected_sha256 }}"
    restore_id: "{{ restore_id }}"
"""

RETURN = r"""
restore:
  description: What was done; in check mode, what would be.
  returned: success
  type: dict
  contains:
    action: {description: "V(nothing), V(create) or V(replace).", type: str}
    schema: {description: Name of the schema., type: str}
    before: {description: "What the schema held; null when there was none.", type: dict}
    dump: {description: "What the dump holds, as M(lifeboat.cluster.database_dump) returns it.", type: dict}
    differences: {description: What was not as in the dump., type: list, elements: str}
    moved_aside: {description: "What made way in this run, each with C(table) and C(aside).", type: list, elements: dict}
    credentials: {description: "As M(lifeboat.cluster.database_info) returns it.", type: list, elements: dict}
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._database import restore
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.arguments import (
    CONNECTION_ARGUMENTS,
    CONTENTS_ARGUMENTS,
    CREDENTIALS_ARGUMENTS,
    open_server,
    users_of,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.contents import Rules
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.dump import examine
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Plan, and unless only asked, apply and read back."""
    params = call.params
    request = restore.Request(
        schema=params["schema"],
        rules=Rules.from_params(params),
        restore_id=params["restore_id"],
        users=users_of(params),
        returner_file=params["returner_file"],
        expected_version=params["expected_version"],
        accept_newer_schema=params["accept_newer_schema"],
    )
    dump = examine(params["dump"], params["sha256"])
    server = open_server(params)
    plan = restore.plan(server, dump, request)
    fitting, moved = plan.credentials, []
    if plan.changed and not call.check_mode:
        fitting, moved = restore.apply(server, dump, request, plan)
    result: Dict[str, Any] = {"changed": plan.changed, "restore": restore.as_result(plan, dump, request, fitting, moved)}
    if plan.changed:
        result["diff"] = {"before": plan.present.lines() if plan.present else {}, "after": dump.contents.lines()}
    return result


def main() -> None:
    """Entry point."""
    arguments = dict(CONNECTION_ARGUMENTS, **CONTENTS_ARGUMENTS, **CREDENTIALS_ARGUMENTS)
    arguments.update(
        dump={"type": "path", "required": True},
        sha256={"type": "str", "default": ""},
        restore_id={"type": "str", "required": True},
        expected_version={"type": "str", "default": ""},
        accept_newer_schema={"type": "bool", "default": False},
    )
    run(arguments, body)


if __name__ == "__main__":
    main()
