# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One row of a table: found by its key, told apart byte by byte, changed or removed with what depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._database.server import DatabaseError, Server, compose, identifier, literal

ABSENT, PRESENT, UPDATED = "absent", "present", "updated"
NOTHING, INSERT, UPDATE, DELETE = "nothing", "insert", "update", "delete"


class RowError(DatabaseError):
    """The row is not the one that was meant, or is not there."""


@dataclass(frozen=True)
class Dependent:
    """Rows of another table that go with the row: those whose ``column`` holds the row's ``refers_to``."""

    table: str
    column: str
    refers_to: str


@dataclass(frozen=True)
class Wanted:
    """Which row, and what it shall be."""

    table: str
    key: Mapping[str, Optional[str]]
    values: Mapping[str, Optional[str]]
    state: str
    dependents: Sequence[Dependent] = ()
    #: Whether a row that is to be changed and is not there is an error; else there is nothing to do.
    has_to_exist: bool = True


@dataclass(frozen=True)
class Plan:
    """The one change that leads to what is wanted. ``before`` is the row with the columns that matter, None when there is none."""

    action: str
    before: Optional[Dict[str, Optional[str]]]
    columns: List[str]
    dependents: Dict[str, int]

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return self.action != NOTHING


def text_of(value: Any) -> Optional[str]:
    """A value as the database compares it."""
    return None if value is None else str(int(value)) if isinstance(value, bool) else str(value)


def _bytes(column: str) -> str:
    # Byte by byte: the collation of a column would find other rows too (case, accents, blanks at the end).
    return "CAST(CONVERT(%s USING utf8mb4) AS BINARY)" % column


def _condition(key: Mapping[str, Optional[str]]) -> str:
    parts = []
    for column, value in sorted(key.items()):
        name = identifier(column)
        parts.append("%s IS NULL" % name if value is None else "%s = X'%s'" % (_bytes(name), value.encode("utf-8").hex()))
    return " AND ".join(parts)


def _value(value: Optional[str]) -> str:
    return "NULL" if value is None else literal(value)


def find(server: Server, schema: str, wanted: Wanted) -> Optional[Dict[str, Optional[str]]]:
    """The row, with the columns that matter; None when there is none. More than one is refused."""
    if not wanted.key:
        raise RowError("Which row of %s? The key is empty." % wanted.table, remedy="Name the columns that tell the row.")
    columns = sorted({*wanted.key, *wanted.values, *(dependent.refers_to for dependent in wanted.dependents)})
    selected = ", ".join("HEX(%s)" % _bytes(identifier(column)) for column in columns)
    rows = server.query(compose("SELECT %s FROM %s WHERE %s;", selected, identifier(wanted.table), _condition(wanted.key)), schema)
    if len(rows) > 1:
        raise RowError(
            "%d rows of %s have this key." % (len(rows), wanted.table), tried=_told(wanted.key), remedy="Name more columns, so that the key tells one row."
        )
    if not rows:
        return None
    return {column: None if cell is None else bytes.fromhex(cell).decode("utf-8", "replace") for column, cell in zip(columns, rows[0])}


def _told(key: Mapping[str, Optional[str]]) -> str:
    return ", ".join("%s=%s" % (column, "NULL" if value is None else value) for column, value in sorted(key.items()))


def plan(server: Server, schema: str, wanted: Wanted) -> Plan:
    """What has to be done."""
    row = find(server, schema, wanted)
    if row is None:
        if wanted.state == UPDATED and wanted.has_to_exist:
            raise RowError("There is no row of %s with this key." % wanted.table, tried=_told(wanted.key), remedy="Correct the key, or ask for state present.")
        return Plan(INSERT if wanted.state == PRESENT else NOTHING, None, sorted(wanted.values), {})
    if wanted.state == ABSENT:
        return Plan(DELETE, row, [], {dependent.table: _count(server, schema, dependent, row) for dependent in wanted.dependents})
    changing = sorted(column for column, value in wanted.values.items() if row[column] != value)
    return Plan(UPDATE if changing else NOTHING, row, changing, {})


def _of_row(dependent: Dependent, row: Mapping[str, Optional[str]]) -> str:
    """Where the rows are that go with this one. A NULL refers to nothing."""
    value = row[dependent.refers_to]
    return "FALSE" if value is None else _condition({dependent.column: value})


def _count(server: Server, schema: str, dependent: Dependent, row: Mapping[str, Optional[str]]) -> int:
    return int(server.value(compose("SELECT COUNT(*) FROM %s WHERE %s;", identifier(dependent.table), _of_row(dependent, row)), schema) or 0)


def apply(server: Server, schema: str, wanted: Wanted, planned: Plan) -> None:
    """Make the change in one transaction and read it back."""
    table, condition = identifier(wanted.table), _condition(wanted.key)
    statements = ["START TRANSACTION;"]
    if planned.action == DELETE and planned.before is not None:
        for dependent in wanted.dependents:
            statements.append(compose("DELETE FROM %s WHERE %s;", identifier(dependent.table), _of_row(dependent, planned.before)))
        statements.append(compose("DELETE FROM %s WHERE %s;", table, condition))
    elif planned.action == UPDATE:
        assignments = ", ".join("%s = %s" % (identifier(column), _value(wanted.values[column])) for column in planned.columns)
        statements.append(compose("UPDATE %s SET %s WHERE %s;", table, assignments, condition))
    elif planned.action == INSERT:
        row = {**wanted.key, **wanted.values}
        names = ", ".join(identifier(column) for column in sorted(row))
        statements.append(compose("INSERT INTO %s (%s) VALUES (%s);", table, names, ", ".join(_value(row[column]) for column in sorted(row))))
    server.query("\n".join([*statements, "COMMIT;"]), schema)
    after = plan(server, schema, wanted)
    if after.changed:
        raise RowError(
            "The row of %s is not as it has to be after the change." % wanted.table,
            tried="%s, and read it back" % planned.action,
            found="still to do: %s %s" % (after.action, ", ".join(after.columns)),
            remedy="The database keeps the values otherwise (another type, another length), or somebody else changes the row: look at it.",
        )
