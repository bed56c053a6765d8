# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MariaDB or MySQL server, asked through its own client: nothing but the programs of the service is needed on a host.

Passwords travel in the environment, statements by standard input; neither is ever an argument.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import IO, Any, Dict, List, Optional, Sequence, Union

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import DEFAULT_SECONDS, Done, Inside, ProgramError
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

CLIENTS = ("mariadb", "mysql")
DUMPERS = ("mariadb-dump", "mysqldump")
_PACKET = "--max-allowed-packet=1G"
_ESCAPED = re.compile(r"\\(.)")
_PLAIN = {"t": "\t", "n": "\n", "0": "\0", "\\": "\\"}
_ERROR = re.compile(r"^ERROR (\d+) \(", re.M)
_STATEMENT = "--------------"
# Logins, connections, names of tables and schemas: these texts hold no values.
_HARMLESS = frozenset(("1044", "1045", "1049", "1114", "1142", "1146", "1205", "1227", "1698", "2002", "2003", "2006", "2013"))
# What the client answers with while nobody listens, and when the password is wrong.
_ABSENT = re.compile(r"ERROR (2002|2003|2013|2006)\b")
_DENIED = re.compile(r"ERROR (1045|1698|1044)\b")

Row = List[Optional[str]]


class DatabaseError(LifeboatError):
    """The database refused, or is not what it has to be."""


def identifier(name: str) -> str:
    """A name of a schema, table or column in a statement."""
    if not name or "\0" in name:
        raise DatabaseError("%r is no name of a schema, table or column." % name, remedy="Correct the name.")
    return "`%s`" % name.replace("`", "``")


def literal(value: str) -> str:
    """A text in a statement: as bytes in hex, so that no mode of the server and no character in it can end it early."""
    return "CONVERT(X'%s' USING utf8mb4)" % value.encode("utf-8").hex()


def compose(template: str, *parts: str) -> str:
    """A statement with its parts in place of each ``%s``: identifiers, literals and other statements, made by the functions above."""
    return template % parts


def _told(found: str) -> str:
    """What a program complained about, without the statement that it repeats and without the values in it."""
    errors = list(_ERROR.finditer(found))
    if not errors:
        return "it said nothing that could be shown" if _STATEMENT in found else found
    text = found[errors[-1].start() :]
    return text if errors[-1].group(1) in _HARMLESS else re.sub("'.*'", "'...'", text, flags=re.S)


def _unescape(cell: str) -> Optional[str]:
    """A cell of the client's batch output. It tells NULL from the word NULL no more than the client does."""
    return None if cell == "NULL" else _ESCAPED.sub(lambda found: _PLAIN.get(found.group(1), found.group(1)), cell)


def _rows(text: str) -> List[Row]:
    return [[_unescape(cell) for cell in line.split("\t")] for line in text.split("\n")[:-1]]


@dataclass(frozen=True)
class Server:
    """A server behind a socket, and as whom to talk to it."""

    inside: Inside
    socket: str
    user: str = "root"
    password: str = field(default="", repr=False)
    timeout_seconds: float = DEFAULT_SECONDS

    def run(
        self, programs: Sequence[str], arguments: Sequence[str], *, stdin: Union[bytes, IO[bytes], None] = None, stdout: Optional[IO[bytes]] = None
    ) -> Done:
        """Run a client program. Its own configuration files are left out: only what is said here holds."""
        command = [self.inside.first(*programs), "--no-defaults", "--socket=%s" % self.socket, "--user=%s" % self.user]
        command += ["--default-character-set=utf8mb4", _PACKET, *arguments]
        try:
            return self.inside.run(command, environment={"MYSQL_PWD": self.password}, stdin=stdin, stdout=stdout, timeout_seconds=self.timeout_seconds)
        except ProgramError as error:
            # Not the error itself: a client repeats the statement that failed, and statements hold secrets.
            raise DatabaseError(error.message, tried=error.tried, found=_told(error.found), remedy=error.remedy) from None

    def query(self, statements: str, schema: str = "") -> List[Row]:
        """The rows of a statement, or of several; texts, None for NULL."""
        # One time zone, so that the same moment is the same text on every server.
        done = self._batch("SET time_zone = '+00:00';\n%s" % statements, schema, "--skip-column-names")
        return _rows(done.text)

    def records(self, statement: str, schema: str) -> List[Dict[str, Optional[str]]]:
        """The rows of one statement as dictionaries."""
        lines = _rows(self._batch(statement, schema).text)
        return [dict(zip(map(str, lines[0]), line)) for line in lines[1:]]

    def _batch(self, statements: str, schema: str, *arguments: str) -> Done:
        return self.run(CLIENTS, ["--batch", *arguments, *(["--database=%s" % schema] if schema else [])], stdin=statements.encode("utf-8"))

    def value(self, statement: str, schema: str = "") -> Optional[str]:
        """The only value of the only row; None when there is no row."""
        rows = self.query(statement, schema)
        return rows[0][0] if rows else None

    def load(self, source: IO[bytes], schema: str) -> None:
        """Load the rest of an open file."""
        self.run(CLIENTS, ["--batch", "--database=%s" % schema], stdin=source)

    def version(self) -> str:
        """The server's version."""
        return str(self.value("SELECT VERSION()"))

    def answers(self) -> bool:
        """Whether the server is there and lets this user in. Raises when it is there and something else is wrong."""
        return not self.refusal()

    def refusal(self) -> str:
        """Why this user can't log in, or an empty text."""
        try:
            self.query("SELECT 1")
        except LifeboatError as error:
            if _ABSENT.search(error.found) or _DENIED.search(error.found):
                return error.found
            raise
        return ""

    def require(self, password_file: str) -> None:
        """Refuse when there is no way in."""
        found = self.refusal()
        if found:
            denied = _DENIED.search(found)
            raise DatabaseError(
                "The password in %s does not let %s into the database." % (password_file, self.user)
                if denied
                else "The database in %s does not answer." % self.inside.where,
                tried="log in as %s through %s" % (self.user, self.socket),
                found=found,
                remedy="Put the password file and the server that belong together in place: all of the credentials, or none of them."
                if denied
                else "Start the database first; see its log.",
            )


@dataclass(frozen=True)
class User:
    """A user of the schema, whose password lies in a file of the host."""

    name: str
    host: str
    password_file: str
    privileges: Sequence[str]

    @classmethod
    def from_params(cls, entry: Dict[str, Any]) -> User:
        """Out of a module's parameter."""
        return cls(entry["name"], entry["host"], entry["password_file"], tuple(entry["privileges"]))
