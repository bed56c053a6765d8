# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a dump back: loaded into a schema of its own, compared, and swapped in by one RENAME TABLE.

Until that statement the live schema is untouched, whatever happens; afterwards it is the dump's. What stood there stays on the server, in a
schema beside it. The statement is the server's own work: a client that is killed either had sent it or had not.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._database import contents, credentials
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.contents import Contents, Rules
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.credentials import Credential
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.dump import Dump, create, load, problems
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.server import DatabaseError, Server, User, compose, identifier, literal
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

NOTHING, REPLACE, CREATE = "nothing", "replace", "create"
_LONGEST_NAME = 64
_LOCK_SECONDS = 60


class RestoreError(DatabaseError):
    """A dump can't be brought back, or was not brought back whole."""


@dataclass(frozen=True)
class Request:
    """What is to be restored, and where."""

    schema: str
    rules: Rules
    restore_id: str
    users: Sequence[User] = ()
    returner_file: str = ""
    expected_version: str = ""
    accept_newer_schema: bool = False

    @property
    def loading(self) -> str:
        """The schema that a dump is loaded into. Nobody else's: what is there is what an earlier try left."""
        return _beside(self.schema, "loading")

    def aside(self, number: int = 0) -> str:
        """A schema for the tables that make way."""
        return _beside(self.schema, re.sub(r"[^0-9a-z]+", "_", self.restore_id.lower()) + ("_%d" % number if number else ""))


@dataclass(frozen=True)
class Plan:
    """What has to be done."""

    action: str
    present: Optional[Contents]
    differences: List[str]
    credentials: List[Credential]
    # A schema for loading that an earlier run left, killed after the swap.
    leftover: bool

    @property
    def grants(self) -> bool:
        """Whether users have to be made or mended."""
        return not all(credential.fits for credential in self.credentials)

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return self.action != NOTHING or self.grants or self.leftover


def _beside(schema: str, what: str) -> str:
    name = "%s_lifeboat_%s" % (schema, what)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 9] + "_" + hashlib.sha256(name.encode("utf-8")).hexdigest()[:8]


def _newer(found: str, expected: str) -> bool:
    if found.isdigit() and expected.isdigit():
        return int(found) > int(expected)
    return found != expected


def _refuse(message: str, found: str, remedy: str) -> None:
    raise RestoreError(message, tried="plan the restore; nothing was changed", found=found, remedy=remedy)


def plan(server: Server, dump: Dump, request: Request) -> Plan:
    """Look at what is there, and refuse what can't be restored."""
    present = contents.read(server, request.schema, request.rules, dump.contents.salt)
    odd = problems(dump, request.rules)
    if odd:
        _refuse(
            "The dump %s can't be restored by renaming tables." % dump.path, "; ".join(odd), "Load it by hand into a schema of its own, and take what you need."
        )
    expected = request.expected_version or (present.version if present else "")
    if expected and _newer(dump.contents.version, expected) and not request.accept_newer_schema:
        _refuse(
            "The dump was written by newer programs than those on this machine, which would not know its tables.",
            "schema version %s in the dump, %s here" % (dump.contents.version or "unknown", expected),
            "Update this machine to the version of the recovery point first; or, when you know that they fit, -e velum_database_accept_newer_schema=true.",
        )
    found = credentials.files(request.users, request.returner_file)
    credentials.require(found, "compare the files with each other; nothing was changed")
    differing = contents.differences(present, dump.contents) if present else []
    action = CREATE if present is None else REPLACE if differing else NOTHING
    if action == REPLACE and present is not None and present.code:
        _refuse(
            "Schema %s can't make way: renaming moves tables alone." % request.schema, ", ".join(present.code), "Move these aside by hand, then run this again."
        )
    fitting = credentials.logins(server, request.schema, request.users, request.returner_file)
    return Plan(action, present, differing, fitting, contents.exists(server, request.loading) is not None)


def apply(server: Server, dump: Dump, request: Request, planned: Plan) -> Tuple[List[Credential], List[Dict[str, str]]]:
    """Do what was planned and read it back; returns how the credentials fit and what was moved aside.

    A rerun finishes what a kill interrupted, from its beginning.
    """
    moved: List[Dict[str, str]] = []
    if planned.action != NOTHING:
        _load(server, dump, request)
        moved = _swap(server, request, dump.contents)
    elif planned.leftover:
        _drop_loading(server, request)
    if planned.grants:
        credentials.grant(server, request.schema, request.users)
    _require_equal(contents.read(server, request.schema, request.rules, dump.contents.salt), dump, request.schema)
    fitting = credentials.logins(server, request.schema, request.users, request.returner_file)
    credentials.require(fitting, "log in with each of them; the rows are restored")
    return fitting, moved


def _drop_loading(server: Server, request: Request) -> None:
    server.query("DROP DATABASE IF EXISTS %s;" % identifier(request.loading))


def _load(server: Server, dump: Dump, request: Request) -> None:
    """The whole dump in a schema of its own, compared; taken away again when it does not fit or there is no room."""
    _drop_loading(server, request)
    try:
        create(server, request.loading, dump.contents)
        with open(dump.path, "rb", buffering=0) as file:
            load(server, file, request.loading)
        _require_equal(contents.read(server, request.loading, request.rules, dump.contents.salt), dump, request.loading)
    except LifeboatError:
        # Room for what lives. Should the server be gone too, the next run begins with this.
        with contextlib.suppress(LifeboatError):
            _drop_loading(server, request)
        raise


def _require_equal(found: Optional[Contents], dump: Dump, schema: str) -> None:
    differing = contents.differences(found, dump.contents) if found else ["no such schema"]
    if differing:
        raise RestoreError(
            "Schema %s does not hold what %s says." % (schema, dump.path),
            tried="compare counts and digests of all tables after loading",
            found="; ".join(differing),
            remedy="Use another recovery point. What stood there before is untouched, or beside it on the server.",
        )


def _tables(server: Server, schema: str) -> List[str]:
    return [
        str(row[0]) for row in server.query(compose("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s ORDER BY 1;", literal(schema)))
    ]


def _place_aside(server: Server, request: Request, tables: Sequence[str]) -> str:
    """A schema beside the live one in which none of these tables stands; one of this restore when it is free."""
    number = 0
    while set(_tables(server, request.aside(number))) & set(tables):
        number += 1
    return request.aside(number)


def _swap(server: Server, request: Request, like: Contents) -> List[Dict[str, str]]:
    """All tables of the live schema aside and all loaded ones into it, in one statement."""
    present, loaded = _tables(server, request.schema), _tables(server, request.loading)
    aside = _place_aside(server, request, present)
    statements = ["SET SESSION lock_wait_timeout = %d;" % _LOCK_SECONDS]
    for schema in [request.schema, *([aside] if present else [])]:
        statements.append(
            "CREATE DATABASE IF NOT EXISTS %s CHARACTER SET %s COLLATE %s;" % (identifier(schema), identifier(like.charset), identifier(like.collation))
        )
    names = [(request.schema, aside, table) for table in present] + [(request.loading, request.schema, table) for table in loaded]
    renames = ("%s.%s TO %s.%s" % (identifier(old), identifier(table), identifier(new), identifier(table)) for old, new, table in names)
    server.query("\n".join([*statements, "RENAME TABLE %s;" % ", ".join(renames)]))
    # Empty now. Should it not be, the statement above would have failed.
    _drop_loading(server, request)
    return [{"table": "%s.%s" % (request.schema, table), "aside": "%s.%s" % (aside, table)} for table in present]


def as_result(planned: Plan, dump: Dump, request: Request, fitting: Sequence[Credential], moved: Sequence[Dict[str, str]]) -> Dict[str, Any]:
    """Fields for a module's result."""
    return {
        "action": planned.action,
        "schema": request.schema,
        "before": planned.present.as_result() if planned.present else None,
        "dump": dump.as_result(),
        "differences": planned.differences,
        "moved_aside": list(moved),
        "credentials": [credential.as_result() for credential in fitting],
    }
