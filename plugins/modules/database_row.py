#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: database_row
short_description: Change or remove one row of a MariaDB or MySQL table
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Finds one row by its key, compared byte by byte whatever the table's collation, and changes it, or removes it together with the rows that depend
    on it, in one transaction.
  - A key that finds more than one row is refused.
  - Neither result nor diff shows a value but those of the key and of the columns in O(show). A task that sets a secret needs C(no_log) all the same,
    as Ansible itself prints arguments.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.inside
  - lifeboat.cluster.database_connection
options:
  state:
    description:
      - V(present) makes the row, or gives it O(values).
      - V(updated) gives O(values) to a row that has to be there, or to the one that is (O(when_missing=nothing)).
      - V(absent) removes the row and its O(dependents).
    type: str
    choices: [absent, present, updated]
    default: present
  table:
    description:
      - The table.
    type: str
    required: true
  key:
    description:
      - Columns and values that tell the row. A null is looked for as C(NULL).
    type: dict
    required: true
  values:
    description:
      - Columns and values that the row shall have.
    type: dict
    default: {}
  when_missing:
    description:
      - What it means, for O(state=updated), that there is no row with this key.
    type: str
    choices: [fail, nothing]
    default: fail
  dependents:
    description:
      - Rows of other tables that are removed with the row.
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description: The other table.
        type: str
        required: true
      column:
        description: Its column that refers to the row.
        type: str
        required: true
      refers_to:
        description: The column of the row that it refers to.
        type: str
        required: true
  show:
    description:
      - Columns of O(values) whose values are no secrets.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Tell the nodes the new address of the admin node
  lifeboat.cluster.database_row:
    container: velum-mariadb
    schema: velum_production
    socket: /var/run/mysql/mysql.sock
    root_password_file: /var/lib/misc/infra-secrets/mariadb-root-password
    table: pillars
    state: updated
    key: {pillar: dashboard}
    values: {value: 192.0.2.10}
    show: [value]

- name: Forget a minion and all that belongs to it
  lifeboat.cluster.database_row:
    container: velum-mariadb
    schema: velum_production
    socket: /var/run/mysql/mysql.sock
    root_password_file: /var/lib/misc/infra-secrets/mariadb-root-password
    table: minions
    state: absent
    key: {minion_id: 0123456789abcdef0123456789abcdef}
    dependents:
      - {table: pillars, column: minion_id, refers_to: minion_id}
"""

RETURN = r"""
row:
  description: What was done; in check mode, what would be.
  returned: success
  type: dict
  contains:
    action: {description: "V(nothing), V(insert), V(update) or V(delete).", type: str}
    columns: {description: Columns that get another value., type: list, elements: str}
    dependents: {description: "Number of rows that go with it, by table.", type: dict}
"""

from typing import Any, Dict, Mapping, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._database import rows
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.arguments import CONNECTION_ARGUMENTS, open_server
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

HIDDEN = "(not shown)"


def body(call: Call) -> Dict[str, Any]:
    """Plan, and unless only asked, apply and read back."""
    params = call.params
    wanted = rows.Wanted(
        table=params["table"],
        key={column: rows.text_of(value) for column, value in params["key"].items()},
        values={column: rows.text_of(value) for column, value in params["values"].items()},
        state=params["state"],
        dependents=[rows.Dependent(**entry) for entry in params["dependents"]],
        has_to_exist=params["when_missing"] == "fail",
    )
    server = open_server(params)
    plan = rows.plan(server, params["schema"], wanted)
    if plan.changed and not call.check_mode:
        rows.apply(server, params["schema"], wanted, plan)
    result: Dict[str, Any] = {"changed": plan.changed, "row": {"action": plan.action, "columns": plan.columns, "dependents": plan.dependents}}
    if plan.changed:
        visible = {*wanted.key, *params["show"]}

        def shown(values: Mapping[str, Optional[str]]) -> Dict[str, Optional[str]]:
            return {column: value if column in visible else HIDDEN for column, value in sorted(values.items())}

        after = {} if plan.action == rows.DELETE else shown({**(plan.before or {}), **wanted.key, **wanted.values})
        before = dict(shown(plan.before or {}), **{"rows of %s" % table: str(count) for table, count in plan.dependents.items()})
        result["diff"] = {"before": before, "after": after}
    return result


def main() -> None:
    """Entry point."""
    arguments = dict(
        CONNECTION_ARGUMENTS,
        state={"type": "str", "choices": ["absent", "present", "updated"], "default": "present"},
        table={"type": "str", "required": True},
        key={"type": "dict", "required": True, "no_log": False},
        values={"type": "dict", "default": {}},
        when_missing={"type": "str", "choices": ["fail", "nothing"], "default": "fail"},
        dependents={
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {name: {"type": "str", "required": True} for name in ("table", "column", "refers_to")},
        },
        show={"type": "list", "elements": "str", "default": []},
    )
    run(arguments, body)


if __name__ == "__main__":
    main()
