# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Password files, users of the database and the returner's configuration: they fit each other, or nothing of them is touched."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._database.contents import exists
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.server import DatabaseError, Server, User, compose, identifier, literal
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.passwords import read_password
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_PRIVILEGE = re.compile(r"[A-Z]+( [A-Z]+)*\Z")
_SETTING = re.compile(r"^mysql\.(user|pass)\s*:\s*(.*?)\s*$", re.M)
# Some of what ALL stands for in a schema; the whole list is another one in each version.
_ALL = {"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "LOCK TABLES"}

# The only digest that mysql_native_password knows.
_SERVERS_OWN = "sha1"


class CredentialsError(DatabaseError):
    """Password files, users and the returner's configuration do not fit each other."""


@dataclass(frozen=True)
class Credential:
    """Whether a file's password is good for a user. ``reason`` says why not, without the password."""

    user: str
    file: str
    fits: bool
    reason: str

    def as_result(self) -> Dict[str, Any]:
        """For results."""
        return dict(vars(self))


def password_hash(password: str) -> str:
    """What the server keeps of a password (mysql_native_password). A statement with it, logged, tells nobody the password."""
    return "*" + hashlib.new(_SERVERS_OWN, hashlib.new(_SERVERS_OWN, password.encode("utf-8")).digest()).hexdigest().upper()


def _scalar(text: str) -> str:
    """A YAML scalar on one line."""
    if text[:1] == "'" and text[-1:] == "'" and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if text[:1] == '"' and text[-1:] == '"' and len(text) > 1:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def returner_login(path: str) -> Tuple[str, str]:
    """User and password in the returner's configuration."""
    try:
        with open(path, encoding="utf-8") as file:
            found = {name: _scalar(value) for name, value in _SETTING.findall(file.read())}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no text"
        raise CredentialsError("The returner's configuration %s cannot be read." % path, found=reason, remedy="Put the file back.") from None
    if not found.get("user") or not found.get("pass"):
        raise CredentialsError("%s names no user with a password." % path, found="no mysql.user or no mysql.pass", remedy="Put the right file back.")
    return found["user"], found["pass"]


def files(users: Sequence[User], returner_file: str) -> List[Credential]:
    """Whether the files fit each other. Asks no server."""
    result: List[Credential] = []
    for user in users:
        try:
            read_password(user.password_file)
            result.append(Credential(user.name, user.password_file, True, ""))
        except LifeboatError as error:
            result.append(Credential(user.name, user.password_file, False, error.message))
    if returner_file:
        result.append(_returner(users, returner_file))
    return result


def _returner(users: Sequence[User], returner_file: str) -> Credential:
    try:
        name, password = returner_login(returner_file)
        owner = next((user for user in users if user.name == name), None)
        if owner is None:
            return Credential(name, returner_file, False, "it is for a user that is not among the users of the schema")
        if not hmac.compare_digest(password.encode("utf-8"), read_password(owner.password_file).encode("utf-8")):
            return Credential(name, returner_file, False, "its password is another one than that in %s" % owner.password_file)
    except LifeboatError as error:
        return Credential("", returner_file, False, error.message)
    return Credential(name, returner_file, True, "")


def logins(server: Server, schema: str, users: Sequence[User], returner_file: str) -> List[Credential]:
    """Whether the files fit each other, and each user logs in with its own and may do what it has to."""
    result = files(users, returner_file)
    there = exists(server, schema) is not None
    for index, user in enumerate(users):
        if result[index].fits:
            reason = _login_problem(server, schema if there else "", user)
            result[index] = replace(result[index], fits=not reason, reason=reason)
    return result


def _login_problem(server: Server, schema: str, user: User) -> str:
    refusal = replace(server, user=user.name, password=read_password(user.password_file)).refusal()
    if refusal:
        return refusal
    rows = server.query(
        compose(
            "SELECT PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES WHERE TABLE_SCHEMA = %s AND GRANTEE = %s;",
            literal(schema),
            literal("'%s'@'%s'" % (user.name, user.host)),
        )
    )
    wanted: Set[str] = _ALL if "ALL" in user.privileges else set(user.privileges)
    lacking = sorted(wanted - {str(row[0]) for row in rows})
    return "it lacks %s" % ", ".join(lacking) if schema and lacking else ""


def require(found: Sequence[Credential], tried: str) -> None:
    """Refuse when not all of them fit."""
    odd = [credential for credential in found if not credential.fits]
    if odd:
        raise CredentialsError(
            "Password files, users of the database and the returner's configuration do not all fit each other.",
            tried=tried,
            found="; ".join("%s (user %s): %s" % (credential.file, credential.user or "unknown", credential.reason) for credential in odd),
            remedy="Bring back all of them together, or none: keep those that this machine made when it was installed.",
            credentials=[credential.as_result() for credential in found],
        )


def grant(server: Server, schema: str, users: Sequence[User]) -> None:
    """Make the users with the passwords in this host's own files, and give them what they need."""
    statements = []
    for user in users:
        if not all(_PRIVILEGE.match(privilege) for privilege in user.privileges):
            raise CredentialsError("%s is no list of privileges." % ", ".join(user.privileges), remedy="Name them as GRANT does, in capital letters.")
        who = "%s@%s" % (identifier(user.name), identifier(user.host))
        hashed = password_hash(read_password(user.password_file))
        statements.append("GRANT %s ON %s.* TO %s IDENTIFIED BY PASSWORD '%s';" % (", ".join(user.privileges), identifier(schema), who, hashed))
    server.query("\n".join(statements))
