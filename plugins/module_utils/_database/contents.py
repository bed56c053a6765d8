# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a schema holds: row counts and hashes of its tables, the version of its structure, and what would be in the way of a restore."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._database.server import DatabaseError, Row, Server, compose, identifier, literal

_NO_SUCH_TABLE = re.compile(r"ERROR 1146\b")
# The sums of four parts of each row's digest: the order of the rows does not matter, and two equal rows do not cancel each other out.
_PARTS = (1, 16, 31, 46)
_SUMS = ", ".join("COALESCE(SUM(CAST(CONV(SUBSTR(h, %d, 15), 16, 10) AS DECIMAL(65))), 0)" % part for part in _PARTS)

_CODE = """SELECT 'view', TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s
UNION ALL SELECT 'trigger', TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s
UNION ALL SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s
UNION ALL SELECT 'event', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s;"""


@dataclass(frozen=True)
class Rules:
    """What the platform says about the schema. Volatile tables are kept without their rows, and never compared."""

    state_tables: Sequence[str]
    volatile_tables: Sequence[str] = ()
    busy_query: str = ""
    version_query: str = ""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Rules:
        """Out of a module's parameters."""
        return cls(params["state_tables"], params["volatile_tables"], params["busy_query"], params["version_query"])


@dataclass(frozen=True)
class Table:
    """A table whose rows are kept. The digest is salted: rows hold secrets, and a plain one could be guessed against."""

    rows: int
    digest: str


@dataclass(frozen=True)
class Contents:
    """What a schema holds at one moment."""

    version: str
    server_version: str
    charset: str
    collation: str
    tables: Dict[str, Table]
    volatile: List[str]
    # Views, triggers, routines and events.
    code: List[str]
    engines: Dict[str, str] = field(default_factory=dict)
    salt: str = field(default="", repr=False)

    def as_result(self) -> Dict[str, Any]:
        """For results: everything but the salt."""
        return {
            "schema_version": self.version,
            "server_version": self.server_version,
            "tables": {name: {"rows": table.rows, "digest": table.digest} for name, table in sorted(self.tables.items())},
            "volatile_tables": self.volatile,
            "code": self.code,
        }

    def lines(self) -> Dict[str, str]:
        """For diffs."""
        return {name: "%d rows, %s" % (table.rows, table.digest[:16]) for name, table in sorted(self.tables.items())}

    def missing(self, rules: Rules) -> List[str]:
        """State tables that are not there."""
        return sorted(set(rules.state_tables) - set(self.tables))


def _names(server: Server, schema: str) -> Dict[str, Row]:
    rows = server.query(compose("SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s ORDER BY 1;", literal(schema)))
    return {str(row[0]): row for row in rows}


def _code(server: Server, schema: str) -> List[str]:
    """What RENAME TABLE can't move from one schema to another."""
    rows = server.query(compose(_CODE, *[literal(schema)] * _CODE.count("%s")))
    return sorted("%s %s" % (row[0], row[1]) for row in rows)


def _summing(schema: str, columns: Mapping[str, Sequence[str]], salt: str) -> str:
    """Statements that count and sum all tables in one transaction."""
    statements = ["SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;", "START TRANSACTION WITH CONSISTENT SNAPSHOT;"]
    for table, names in sorted(columns.items()):
        # A digest of each value keeps long ones out of max_allowed_packet, and the border between two values where it is.
        digests = ", ".join("COALESCE(SHA2(CAST(%s AS BINARY), 256), '-')" % identifier(name) for name in sorted(names))
        inner = compose("SELECT SHA2(CONCAT(%s, %s), 256) AS h FROM %s.%s", literal(salt), digests, identifier(schema), identifier(table))
        statements.append(compose("SELECT %s, COUNT(*), COUNT(h), %s FROM (%s) AS r;", literal(table), _SUMS, inner))
    return "\n".join([*statements, "COMMIT;"])


def version_of(server: Server, schema: str, rules: Rules) -> str:
    """The version of the schema's structure; empty where nothing tells it."""
    if not rules.version_query:
        return ""
    try:
        return server.value(rules.version_query, schema) or ""
    except DatabaseError as error:
        if _NO_SUCH_TABLE.search(error.found):
            return ""
        raise


def busy(server: Server, schema: str, rules: Rules) -> int:
    """How much is going on in the schema that a backup must not fall into."""
    return int(server.value(rules.busy_query, schema) or 0) if rules.busy_query else 0


def exists(server: Server, schema: str) -> Optional[Row]:
    """Character set and collation of a schema; None when it is not there."""
    rows = server.query(
        compose("SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s;", literal(schema))
    )
    return rows[0] if rows else None


def read(server: Server, schema: str, rules: Rules, salt: str = "") -> Optional[Contents]:
    """What a schema holds; None when it is not there."""
    defaults = exists(server, schema)
    if defaults is None:
        return None
    names = _names(server, schema)
    kept = [name for name, row in names.items() if row[1] == "BASE TABLE" and name not in rules.volatile_tables]
    columns: Dict[str, List[str]] = {name: [] for name in kept}
    for table, column in server.query(compose("SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s;", literal(schema))):
        if table in columns:
            columns[str(table)].append(str(column))
    tables: Dict[str, Table] = {}
    for row in server.query(_summing(schema, columns, salt), schema):
        if row[1] != row[2]:
            raise DatabaseError("The rows of table %s can't be told apart." % row[0], found="%s rows, %s of them with a digest" % (row[1], row[2]))
        tables[str(row[0])] = Table(int(row[1] or 0), hashlib.sha256("-".join(map(str, row[3:])).encode("ascii")).hexdigest())
    return Contents(
        version=version_of(server, schema, rules),
        server_version=server.version(),
        charset=str(defaults[0]),
        collation=str(defaults[1]),
        tables=tables,
        volatile=sorted(set(names) & set(rules.volatile_tables)),
        code=_code(server, schema),
        engines={name: str(names[name][2]) for name in kept},
        salt=salt,
    )


def differences(found: Contents, wanted: Contents) -> List[str]:
    """What is not as it has to be, a text each; none when the rows of all kept tables are the same."""
    texts = ["table %s is missing" % name for name in sorted(set(wanted.tables) - set(found.tables))]
    texts += ["table %s was not there" % name for name in sorted(set(found.tables) - set(wanted.tables))]
    for name in sorted(set(found.tables) & set(wanted.tables)):
        ours, theirs = found.tables[name], wanted.tables[name]
        if ours.rows != theirs.rows:
            texts.append("table %s has %d rows instead of %d" % (name, ours.rows, theirs.rows))
        elif ours.digest != theirs.digest:
            texts.append("table %s has other values in its %d rows" % (name, ours.rows))
    texts += ["table %s is missing" % name for name in sorted(set(wanted.volatile) - set(found.volatile))]
    if found.version != wanted.version:
        texts.append("schema version %s instead of %s" % (found.version or "unknown", wanted.version or "unknown"))
    return texts
