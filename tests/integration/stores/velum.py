# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real MariaDB server with a schema of the shape of Velum's, and its password files; on a private socket, out of unpacked packages."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils._database import contents, dump, restore
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.arguments import open_server, users_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.server import Server
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside
from tests.debian_programs import LIBRARIES, unpacked

PACKAGES = ("mariadb-server-core", "mariadb-server", "mariadb-client", "mariadb-client-core", "liburing2", "libaio1")
SCHEMA = "velum_production"
VOLATILE = ["salt_events", "salt_returns", "jids", "salt_jobs"]
STATE = ["minions", "pillars", "users", "certificates", "registries", "registry_mirrors", "orchestrations", "schema_migrations"]
VERSION = "20182106194300"
ASIDE = f"{SCHEMA}_lifeboat_restore_1"
LOADING = f"{SCHEMA}_lifeboat_loading"
LIMIT_SECONDS = 120.0

SHAPE = """
CREATE TABLE minions (id INT AUTO_INCREMENT PRIMARY KEY, minion_id VARCHAR(255) UNIQUE, fqdn VARCHAR(255), role INT, highstate INT DEFAULT 0,
  online BOOL DEFAULT 0);
CREATE TABLE pillars (id INT AUTO_INCREMENT PRIMARY KEY, minion_id VARCHAR(255), pillar VARCHAR(255), value TEXT);
CREATE TABLE users (id INT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(255) NOT NULL, encrypted_password VARCHAR(255) NOT NULL, created_at DATETIME);
CREATE TABLE certificates (id INT AUTO_INCREMENT PRIMARY KEY, certificate MEDIUMBLOB, seen TIMESTAMP NULL);
CREATE TABLE registries (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(255));
CREATE TABLE registry_mirrors (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(255), registry_id INT, share FLOAT,
  CONSTRAINT fk_rails_4d0a FOREIGN KEY (registry_id) REFERENCES registries (id));
CREATE TABLE orchestrations (id INT AUTO_INCREMENT PRIMARY KEY, jid VARCHAR(255), kind INT, status INT);
CREATE TABLE schema_migrations (version VARCHAR(255) PRIMARY KEY);
CREATE TABLE salt_events (id BIGINT AUTO_INCREMENT PRIMARY KEY, tag VARCHAR(255), data MEDIUMTEXT, alter_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE salt_returns (fun VARCHAR(50), jid VARCHAR(255), full_ret MEDIUMTEXT);
CREATE TABLE jids (jid VARCHAR(255) PRIMARY KEY, `load` MEDIUMTEXT);
CREATE TABLE salt_jobs (jid VARCHAR(255), status INT);
"""
# Values that are lost where bytes, quotes, time zones or NULL are handled carelessly.
ROWS = """
SET time_zone = '+05:00';
INSERT INTO minions (minion_id, fqdn, role, highstate) VALUES ('admin', 'admin.example', 2, 3), ('ca', NULL, NULL, 0),
  ('0123456789abcdef0123456789abcdef', 'master-0.example', 0, 3), ('fedcba9876543210fedcba9876543210', 'worker-0.example', 1, 1);
INSERT INTO pillars (minion_id, pillar, value) VALUES (NULL, 'dashboard', '192.0.2.1'), (NULL, 'api:server:external_fqdn', 'api.example'),
  (NULL, 'ldap:bind_pw', '%(secret)s'), ('fedcba9876543210fedcba9876543210', 'kubelet:args', '--v=2'), (NULL, 'motd', 'a\\tb\\nc\\\\d''e"f; DROP -- ü 🚀'),
  (NULL, 'empty', ''), (NULL, 'null', NULL), (NULL, 'twice', 'same'), (NULL, 'twice', 'same');
INSERT INTO users (email, encrypted_password, created_at) VALUES ('root@example.org', '$2a$11$%(secret)s', '2018-03-25 02:30:00');
INSERT INTO certificates (certificate, seen) VALUES (UNHEX('00FF27225C0A1A'), '2018-10-28 02:30:00'), (REPEAT('x', 300000), NULL);
INSERT INTO registries (id, name) VALUES (3, 'mirror'), (7, 'other');
INSERT INTO registry_mirrors (name, registry_id, share) VALUES ('m1', 3, 0.1), ('m2', 7, 1e-20);
INSERT INTO orchestrations (jid, kind, status) VALUES ('20181126', 0, 1);
INSERT INTO schema_migrations VALUES ('20170101000000'), ('%(version)s');
INSERT INTO salt_events (tag, data) VALUES ('salt/auth', 'volatile');
"""


def programs(directory: Path) -> Path:
    """A directory with programs that find their libraries and files in the unpacked packages."""
    root = unpacked(*PACKAGES)
    libraries = os.pathsep.join(str(root / name) for name in LIBRARIES)
    directory.mkdir()
    for path, more in (("bin/mariadb", ""), ("bin/mariadb-dump", ""), ("sbin/mariadbd", "--basedir"), ("bin/mariadb-install-db", "--basedir")):
        program = directory / Path(path).name
        basedir = f" {more}={root}/usr" if more else ""
        program.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {root}/usr/{path} "$@"{basedir}\n')
        program.chmod(0o755)
    return directory


@dataclass
class Velum:
    """A running server, the files beside it, and what the modules are told."""

    directory: Path
    programs: Path
    secret: str = field(default_factory=lambda: "s3cr" + secrets.token_hex(8))
    root_password: str = field(default_factory=lambda: "root'" + secrets.token_hex(8))
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.directory / "socket"

    @property
    def data(self) -> Path:
        """Where its data are."""
        return self.directory / "data"

    def file(self, name: str) -> Path:
        """A password file."""
        return self.directory / name

    def options(self, **more: Any) -> dict[str, Any]:
        """What every module is told."""
        return {
            "container": "",
            "container_runtime": "docker",
            "search_path": [str(self.programs)],
            "socket": str(self.socket),
            "schema": SCHEMA,
            "root_user": "root",
            "root_password_file": str(self.file("mariadb-root-password")),
            "timeout_seconds": 120,
            **more,
        }

    def rules(self) -> dict[str, Any]:
        """What the modules are told about the schema."""
        return {
            "state_tables": STATE,
            "volatile_tables": VOLATILE,
            "busy_query": "SELECT COUNT(*) FROM orchestrations WHERE status = 0",
            "version_query": "SELECT MAX(version) FROM schema_migrations",
        }

    def users(self) -> dict[str, Any]:
        """What the modules are told about users."""
        return {
            "users": [
                {"name": "velum", "host": "localhost", "password_file": str(self.file("mariadb-velum-password")), "privileges": ["ALL"]},
                {"name": "salt", "host": "localhost", "password_file": str(self.file("mariadb-salt-password")), "privileges": ["SELECT", "INSERT", "DELETE"]},
            ],
            "returner_file": str(self.file("55-returner-credentials.conf")),
        }

    @property
    def scratch(self) -> str:
        """Where scratch servers live."""
        return str(self.directory / "scratch")

    def server(self) -> Server:
        """The server as the modules reach it."""
        return open_server(self.options())

    def sql(self, statements: str, schema: str = SCHEMA) -> list[list[str | None]]:
        """What an administrator would type."""
        return self.server().query(statements, schema)

    def look(self, schema: str = SCHEMA, salt: str = "one") -> contents.Contents | None:
        """What a schema holds."""
        return contents.read(self.server(), schema, contents.Rules(**self.rules()), salt)

    def lines(self, schema: str = SCHEMA) -> dict[str, str]:
        """The tables of a schema that is there."""
        found = self.look(schema)
        assert found is not None
        return found.lines()

    def schemas(self) -> set[str]:
        """All schemas that are not the server's own."""
        return {str(row[0]) for row in self.sql("SHOW DATABASES;", "")} - {"information_schema", "mysql", "performance_schema", "sys"}

    def take(self, path: Path, owner: str = "") -> dump.Dump:
        """Dump the schema."""
        return dump.take(self.server(), SCHEMA, contents.Rules(**self.rules()), str(path), owner=owner, scratch_directory=self.scratch)

    def request(self, **more: Any) -> restore.Request:
        """A restore."""
        described = {"users": users_of(self.users()), "returner_file": self.users()["returner_file"], "restore_id": "restore-1", **more}
        return restore.Request(schema=SCHEMA, rules=contents.Rules(**self.rules()), **described)

    def bring_back(self, path: Path | str, **more: Any) -> tuple[restore.Plan, list[dict[str, str]]]:
        """Plan and apply a restore; the plan, and what was moved."""
        held, request, server = dump.examine(str(path)), self.request(**more), self.server()
        planned = restore.plan(server, held, request)
        return planned, restore.apply(server, held, request, planned)[1] if planned.changed else []

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [str(self.programs / "mariadbd"), "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}", "--user=root", "--skip-networking"]
        command += [f"--pid-file={self.directory}/pid", "--innodb-flush-log-at-trx-commit=0"]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        probe = Server(Inside(search=(str(self.programs),)), str(self.socket))
        wait_for("MariaDB", lambda: "ERROR 2" not in probe.refusal())

    def stop(self) -> None:
        """End it at once, as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def reset(self) -> None:
        """A new installation with rows: nothing is left of what a test did."""
        self.file("mariadb-root-password").write_text(self.root_password + "\n")
        for schema in self.schemas():
            self.sql(f"DROP DATABASE `{schema}`;", "")
        self.sql("DROP USER IF EXISTS velum@localhost, salt@localhost;", "")
        self.new_passwords()
        self.sql(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;", "")
        self.sql(SHAPE + ROWS % {"secret": self.secret, "version": VERSION})
        for name, privileges in (("velum", "ALL"), ("salt", "SELECT, INSERT, DELETE")):
            password = self.file(f"mariadb-{name}-password").read_text().strip()
            self.sql(f"GRANT {privileges} ON {SCHEMA}.* TO {name}@localhost IDENTIFIED BY '{password}';")

    def new_passwords(self) -> None:
        """As an installation makes them: files and returner fit each other, and no server."""
        for name in ("velum", "salt"):
            self.file(f"mariadb-{name}-password").write_text(secrets.token_hex(8) + "\n")
        password = self.file("mariadb-salt-password").read_text().strip()
        text = f"mysql.host: 'localhost'\nmysql.user: 'salt'\nmysql.pass: '{password}'\nmysql.db: '{SCHEMA}'\n"
        self.file("55-returner-credentials.conf").write_text(text)


def wait_for(what: str, reached: Any) -> None:
    """Until something is so."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not reached():
        assert time.monotonic() < deadline, f"no {what} within {LIMIT_SECONDS} seconds"
        time.sleep(0.05)


@contextmanager
def mounted(directory: Path, size: str) -> Iterator[Path]:
    """A file system of this size."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)
        directory.rmdir()


@contextmanager
def running(directory: Path) -> Iterator[Velum]:
    """A server for as long as the block runs."""
    velum = Velum(directory, programs(directory / "bin"))
    install = [velum.programs / "mariadb-install-db", "--no-defaults", f"--datadir={velum.data}", "--user=root", "--auth-root-authentication-method=normal"]
    subprocess.run(install, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    try:
        velum.start()
        Server(Inside(search=(str(velum.programs),)), str(velum.socket)).query("SET PASSWORD = PASSWORD('%s');" % velum.root_password.replace("'", "''"))
        yield velum
    finally:
        velum.stop()
