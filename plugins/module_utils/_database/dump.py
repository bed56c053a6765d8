# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump that proves itself: taken in one transaction, loaded into a scratch server, compared, and closed with a line that says what it holds.

The file is plain SQL, as the server's own dump program writes it, and any client loads it. Its last line is a comment with the size and the
SHA-256 of all before, with the counts and salted digests of the tables, and with its own SHA-256: a file that is cut off or altered anywhere
gives itself away.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any, Dict, Iterator, List

from ansible_collections.lifeboat.cluster.plugins.module_utils._database import contents
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.contents import Contents, Rules, Table
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.server import CLIENTS, DUMPERS, DatabaseError, Server, identifier
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import scratch
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import growing
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside

FORMAT = 1
END_MARKER = b"-- Dump completed"
_TRAILER = b"-- Lifeboat: "
_LONGEST_TRAILER = 1 << 20
_BLOCK_BYTES = 1 << 20
# Newer dumps begin with this comment, in which older clients see an unknown command.
_SANDBOX = (b"/*M!999999", b"/*!999999")
_SERVERS = ("mariadbd", "mysqld")
_INSTALLERS = ("mariadb-install-db", "mysql_install_db")
_SCHEMA = "proof"
_COMMON = ("--single-transaction", "--hex-blob", "--triggers")


class DumpError(DatabaseError):
    """No dump can be taken, or a dump is not whole."""


@dataclass(frozen=True)
class Dump:
    """A whole dump on the disk."""

    path: str
    size_bytes: int
    sha256: str
    taken_at: str
    contents: Contents

    def as_result(self) -> Dict[str, Any]:
        """For results."""
        return {"path": self.path, "size_bytes": self.size_bytes, "sha256": self.sha256, "taken_at": self.taken_at, **self.contents.as_result()}


def _closing(body_bytes: int, body_sha256: str, taken_at: str, found: Contents) -> bytes:
    record = {"format": FORMAT, "size": body_bytes, "sha256": body_sha256, "taken_at": taken_at, "contents": asdict(found)}
    text = json.dumps(record, sort_keys=True).encode("ascii")
    return _TRAILER + hashlib.sha256(text).hexdigest().encode("ascii") + b" " + text + b"\n"


def _damaged(path: str, found: str) -> DumpError:
    return DumpError(
        "%s is not a whole, unaltered dump." % path,
        tried="read it to its end and compared it with what its last line says",
        found=found,
        remedy="Use another copy of this dump, or another recovery point.",
    )


def examine(path: str, sha256: str = "") -> Dump:
    """Read a whole dump. Raises DumpError when it is cut off, altered, or not the one that ``sha256`` names."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _LONGEST_TRAILER))
            tail = file.read()
            start = tail.rfind(b"\n" + _TRAILER) + 1
            if not start:
                marked = END_MARKER in tail[-200:]
                raise _damaged(path, "its end is missing: %s" % ("only the server's own end marker is there" if marked else "no end marker"))
            record = _record(path, tail[start:])
            body_bytes = size - len(tail) + start
            file.seek(0)
            whole, body = hashlib.sha256(), hashlib.sha256()
            left = body_bytes
            while left:
                block = file.read(min(left, _BLOCK_BYTES))
                if not block:
                    raise _damaged(path, "it became shorter while it was read")
                body.update(block)
                whole.update(block)
                left -= len(block)
            whole.update(tail[start:])
    except OSError as error:
        raise DumpError("The dump %s cannot be read." % path, found=error.strerror or str(error), remedy="Bring it onto this host first.") from error
    if END_MARKER not in tail[:start][-200:]:
        raise _damaged(path, "the server's own end marker is missing")
    if (body_bytes, body.hexdigest()) != (record["size"], record["sha256"]):
        raise _damaged(path, "%d bytes with another digest than the %d bytes that its last line tells" % (body_bytes, record["size"]))
    if sha256 and whole.hexdigest() != sha256:
        raise _damaged(path, "SHA-256 %s, not %s" % (whole.hexdigest(), sha256))
    tables = {name: Table(**table) for name, table in record["contents"].pop("tables").items()}
    return Dump(path, size, whole.hexdigest(), record["taken_at"], Contents(tables=tables, **record["contents"]))


def _record(path: str, line: bytes) -> Dict[str, Any]:
    try:
        digest, _blank, text = line[len(_TRAILER) : -1].partition(b" ")
        record = json.loads(text.decode("ascii"))
        whole = line.endswith(b"\n") and digest.decode("ascii") == hashlib.sha256(text).hexdigest() and record["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise _damaged(path, "its last line is damaged, or of another version of Lifeboat")
    return dict(record)


def load(server: Server, source: IO[bytes], schema: str) -> None:
    """Load a dump, from its beginning, into a schema that is there."""
    source.seek(0)
    first = source.readline(200)
    if not first.startswith(_SANDBOX) or "--sandbox" in server.inside.run([server.inside.first(*CLIENTS), "--help"]).text:
        source.seek(0)
    server.load(source, schema)


def create(server: Server, schema: str, like: Contents) -> None:
    """Make an empty schema."""
    server.query("CREATE DATABASE %s CHARACTER SET %s COLLATE %s;" % (identifier(schema), identifier(like.charset), identifier(like.collation)))


@contextmanager
def scratch_server(inside: Inside, base: str, timeout_seconds: float) -> Iterator[Server]:
    """A server of the same programs with nothing in it, behind a private socket."""
    with scratch.directory(inside, base, "database") as directory:
        user = inside.run(["id", "-un"]).text.strip()
        data, socket = directory + "/data", directory + "/socket"
        inside.run([inside.first(*_INSTALLERS), "--no-defaults", "--datadir=%s" % data, "--user=%s" % user], timeout_seconds=timeout_seconds)
        command = [inside.first(*_SERVERS), "--no-defaults", "--datadir=%s" % data, "--socket=%s" % socket, "--pid-file=%s/pid" % directory]
        # Whoever gets through the directory's mode is root or its owner; nobody has to log in. What is lost in a crash is thrown away anyway.
        command += ["--user=%s" % user, "--skip-networking", "--skip-grant-tables", "--innodb-flush-log-at-trx-commit=0"]
        command += ["--innodb-flush-method=nosync", "--max-allowed-packet=1G"]
        server = Server(inside, socket, timeout_seconds=timeout_seconds)
        with scratch.serving(inside, command, server.answers, timeout_seconds):
            yield server


def prove(inside: Inside, source: IO[bytes], like: Contents, rules: Rules, base: str, timeout_seconds: float) -> Contents:
    """Load a dump into a scratch server and return what is there then. Refuses one in which something is in progress, as of a live schema."""
    with scratch_server(inside, base, timeout_seconds) as server:
        create(server, _SCHEMA, like)
        load(server, source, _SCHEMA)
        return survey(server, _SCHEMA, rules, like.salt)


def require_equal(found: Contents, wanted: Contents, path: str) -> None:
    """Refuse a dump that, once loaded, is not what it says."""
    differing = contents.differences(found, wanted)
    if differing:
        raise DumpError(
            "The dump %s does not hold what it has to." % path,
            tried="load it into a scratch server, and compare counts and digests of all tables",
            found="; ".join(differing),
            remedy="Take another dump, or use another recovery point.",
        )


def _busy(going_on: int) -> DumpError:
    return DumpError(
        "Something is in progress in the database: a backup of it would bring it back half done.",
        tried="asked busy_query",
        found="%d in progress" % going_on,
        remedy="Wait for the orchestration to end, then run again.",
    )


def survey(server: Server, schema: str, rules: Rules, salt: str = "") -> Contents:
    """What a dump would hold. Refuses a schema that no good dump can be taken of."""
    found = contents.read(server, schema, rules, salt)
    if found is None or found.missing(rules):
        raise DumpError(
            "Schema %s is not what the platform says." % schema,
            tried="look for its state tables",
            found="no such schema" if found is None else "no table %s" % ", ".join(found.missing(rules)),
            remedy="Correct schema and state_tables, or restore the database first.",
        )
    going_on = contents.busy(server, schema, rules)
    if going_on:
        raise _busy(going_on)
    odd = ["%s (%s)" % (name, engine) for name, engine in sorted(found.engines.items()) if engine != "InnoDB"]
    if odd:
        raise DumpError(
            "Not all tables take part in transactions.",
            tried="take all tables of %s at one moment" % schema,
            found=", ".join(odd),
            remedy="Change them to InnoDB, or list them as volatile when their rows are not needed.",
        )
    return found


def take(server: Server, schema: str, rules: Rules, path: str, *, owner: str, scratch_directory: str) -> Dump:
    """Write the dump beside its place, prove it, close it, and give it its name."""
    taken_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    before = survey(server, schema, rules, secrets.token_hex(16))
    with growing(path, owner) as file:
        # Two runs, since old dump programs can't leave out rows alone. The rows are all in the second, in one transaction.
        if before.volatile:
            server.run(DUMPERS, [*_COMMON, "--no-data", schema, *before.volatile], stdout=file)
        ignored = ["--ignore-table=%s.%s" % (schema, name) for name in before.volatile]
        server.run(DUMPERS, [*_COMMON, "--routines", *ignored, schema], stdout=file)
        after = survey(server, schema, rules, before.salt)
        found = prove(server.inside, file, before, rules, scratch_directory, server.timeout_seconds)
        require_equal(found, _settled(before, after, found), path)
        size, digest = _digest(file)
        if not _ends_marked(file, size):
            raise _damaged(path, "the server's own end marker is missing")
        file.seek(size)
        file.write(_closing(size, digest, taken_at, found))
    return examine(path)


def _settled(before: Contents, after: Contents, found: Contents) -> Contents:
    """What a dump between two looks has to hold: tables that changed meanwhile may be at any moment of it."""
    changed = {name for name in before.tables if before.tables[name] != after.tables.get(name)}
    tables: Dict[str, Table] = {name: found.tables.get(name, table) if name in changed else table for name, table in before.tables.items()}
    return Contents(**{**vars(before), "tables": tables})


def _digest(file: IO[bytes]) -> Any:
    digest, size = hashlib.sha256(), 0
    file.seek(0)
    for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def _ends_marked(file: IO[bytes], size: int) -> bool:
    file.seek(max(0, size - 200))
    return END_MARKER in file.read()


def checked(dump: Dump, rules: Rules, inside: Inside, *, base: str, timeout_seconds: float) -> None:
    """Prove a dump that lies on the disk by loading it into a scratch server."""
    with open(dump.path, "rb", buffering=0) as file:
        require_equal(prove(inside, file, dump.contents, rules, base, timeout_seconds), dump.contents, dump.path)


def problems(dump: Dump, rules: Rules) -> List[str]:
    """What a restore of this dump would be refused for."""
    return ["no table %s" % name for name in dump.contents.missing(rules)] + dump.contents.code
