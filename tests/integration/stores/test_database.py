# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of a real MariaDB server, and their way back: what goes wrong is refused, and no row is lost."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._database import contents, credentials, dump, rows
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.arguments import open_server
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.credentials import CredentialsError
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.dump import DumpError
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.restore import RestoreError
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.rows import Dependent, RowError, Wanted
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.server import DatabaseError
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.passwords import PasswordFileError
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from tests.integration.stores import killed
from tests.integration.stores.conftest import short_directory
from tests.integration.stores.velum import ASIDE, SCHEMA, STATE, VERSION, VOLATILE, Velum, mounted, running


def proven(velum: Velum, path: Path) -> dump.Dump:
    """Examine a dump and load it into a scratch server."""
    held = dump.examine(str(path))
    server = velum.server()
    dump.checked(held, contents.Rules(**velum.rules()), server.inside, base=velum.scratch, timeout_seconds=server.timeout_seconds)
    return held


def forged(path: Path, body: bytes, **tables: dict[str, object]) -> Path:
    """A dump with another body, or other tables told, whose last line fits: as if somebody knew the format."""
    record = json.loads(b"{" + path.read_bytes().splitlines()[-1].partition(b" {")[2])
    record.update(size=len(body), sha256=hashlib.sha256(body).hexdigest())
    record["contents"]["tables"].update(tables)
    text = json.dumps(record).encode()
    other = path.with_name("other.sql")
    other.write_bytes(body + b"-- Lifeboat: " + hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n")
    return other


def body_of(path: Path) -> bytes:
    """All but the last line."""
    return b"".join(path.read_bytes().splitlines(keepends=True)[:-1])


def test_there_and_back(velum: Velum, tmp_path: Path) -> None:
    """A dump says what it holds; another installation with other passwords gets every row back, and keeps what it had."""
    before = velum.lines()
    path = tmp_path / "database.sql"
    held = velum.take(path, owner="nobody")
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (65534, 0o600)
    assert sorted(held.contents.tables) == sorted(STATE)
    assert held.contents.volatile == sorted(VOLATILE)
    assert held.contents.version == VERSION
    assert {name: table.rows for name, table in held.contents.tables.items()}["pillars"] == 9
    assert proven(velum, path) == held
    assert os.listdir(velum.scratch) == []
    assert held.contents.salt not in repr(held)
    assert velum.bring_back(path)[0].action == "nothing"

    velum.sql("DELETE FROM registry_mirrors; DELETE FROM registries; UPDATE pillars SET value = 'wrong'; CREATE TABLE younger (id INT); ")
    velum.sql("INSERT INTO younger VALUES (1); INSERT INTO salt_events (tag) VALUES ('live');")
    other = velum.lines()
    velum.new_passwords()
    plan, moved = velum.bring_back(path)
    assert plan.action == "replace"
    assert "table pillars has other values in its 9 rows" in plan.differences
    assert "table younger was not there" in plan.differences
    assert len(moved) == len(STATE) + len(VOLATILE) + 1
    assert velum.lines() == before
    assert velum.lines(ASIDE) == other
    assert velum.sql("SELECT tag FROM salt_events;", ASIDE)[-1] == ["live"]
    assert velum.sql("SELECT COUNT(*) FROM salt_events;") == [["0"]]
    assert velum.schemas() == {SCHEMA, ASIDE}
    with pytest.raises(DatabaseError, match="foreign key constraint fails"):
        velum.sql("DELETE FROM registries WHERE id = 3;")
    assert all(item.fits for item in credentials.logins(velum.server(), SCHEMA, velum.request().users, velum.request().returner_file))
    assert velum.bring_back(path)[0].changed is False

    # The same restore once more, after the rows were used: nothing that was kept is overwritten.
    velum.sql("DELETE FROM users;")
    velum.bring_back(path)
    assert velum.lines() == before
    assert velum.lines(ASIDE) == other
    assert velum.sql("SELECT COUNT(*) FROM users;", f"{ASIDE}_1") == [["0"]]

    velum.sql(f"DROP DATABASE {SCHEMA};", "")
    plan, moved = velum.bring_back(path)
    assert (plan.action, moved) == ("create", [])
    assert velum.lines() == before


def test_rows_that_change_during_the_dump(velum: Velum, tmp_path: Path) -> None:
    """The dump is of one moment, and the other tables are still compared; a table that did not change and is not equal is refused."""
    program = velum.programs / "mariadb-dump"
    real = program.read_text()
    change = f"MYSQL_PWD=$MYSQL_PWD {velum.programs}/mariadb --no-defaults --socket={velum.socket} {SCHEMA} -e 'UPDATE minions SET online = online + 1'"
    try:
        program.write_text(real.replace("exec ", "") + change + "\n")
        held = velum.take(tmp_path / "a.sql")
        found = velum.look(salt=held.contents.salt)
        assert found is not None
        assert contents.differences(found, held.contents) == ["table minions has other values in its 4 rows"]
        # A dump program that leaves rows out, as a damaged index would make it.
        program.write_text(real.replace('"$@"', '"$@" --where="1 = 0"'))
        with pytest.raises(DumpError, match="table users has 0 rows instead of 1"):
            velum.take(tmp_path / "b.sql")
        # One that ends in the middle, with a good status.
        program.write_text(real.replace("exec ", "").replace('"$@"', '"$@" | head -c 5000'))
        with pytest.raises(LifeboatError, match="does not hold what it has to|failed"):
            velum.take(tmp_path / "b.sql")
    finally:
        program.write_text(real)
    assert sorted(os.listdir(tmp_path)) == ["a.sql"]


def test_damaged_dumps_are_refused(velum: Velum, dumped: Path) -> None:
    """Cut off anywhere, without its end, or with one byte flipped: seen from the file alone; a forged last line does not help."""
    path = dumped
    whole = path.read_bytes()
    velum.sql("DELETE FROM orchestrations;")
    before = velum.lines()
    damaged = path.with_name("damaged.sql")
    last = whole.rindex(b"\n-- Lifeboat: ") + 1
    for length in [0, 100, len(whole) // 3, len(whole) // 2, last - 60, last - 1, last, last + 20, len(whole) - 2, len(whole) - 1]:
        damaged.write_bytes(whole[:length])
        with pytest.raises(DumpError, match="is not a whole, unaltered dump"):
            velum.bring_back(damaged)
    for position in [1, len(whole) // 4, whole.index(b"192.0.2.1"), last - 30, last + 40]:
        damaged.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(DumpError, match="is not a whole, unaltered dump"):
            velum.bring_back(damaged)
    with pytest.raises(DumpError, match="SHA-256"):
        dump.examine(str(path), "0" * 64)
    body = body_of(path)
    other = forged(path, body, users={"rows": 1, "digest": "0" * 64})
    with pytest.raises(DumpError, match="users has other values"):
        proven(velum, other)
    with pytest.raises(RestoreError, match="users has other values"):
        velum.bring_back(other)
    with pytest.raises(DumpError, match="pillars has other values"):
        proven(velum, forged(path, body.replace(b"192.0.2.1", b"192.0.2.9")))
    cut = body[: body.index(b"-- Dumping data for table `users`")] + b"\n-- Dump completed\n"
    with pytest.raises(RestoreError, match="table users has 0 rows instead of 1"):
        velum.bring_back(forged(path, cut))
    with pytest.raises(DumpError, match="the server's own end marker is missing"):
        velum.bring_back(forged(path, re.sub(rb"-- Dump completed[^\n]*\n\Z", b"", body)))
    assert velum.lines() == before
    assert velum.schemas() == {SCHEMA}


def test_what_no_backup_is_taken_of(velum: Velum, tmp_path: Path) -> None:
    """An orchestration in progress, a table that is gone, one without transactions; a wrong password; a server that is away."""
    path = tmp_path / "database.sql"
    velum.sql("INSERT INTO orchestrations (jid, status) VALUES ('1', 0);")
    with pytest.raises(DumpError, match="1 in progress"):
        velum.take(path)
    velum.sql("UPDATE orchestrations SET status = 1; ALTER TABLE certificates ENGINE = MyISAM;")
    with pytest.raises(DumpError, match=r"certificates \(MyISAM\)"):
        velum.take(path)
    velum.sql("ALTER TABLE certificates ENGINE = InnoDB; RENAME TABLE pillars TO gone;")
    with pytest.raises(DumpError, match="no table pillars"):
        velum.take(path)
    velum.file("mariadb-root-password").write_text("wrong\n")
    with pytest.raises(DatabaseError, match="does not let root into the database"):
        velum.take(path)
    velum.file("mariadb-root-password").write_text("")
    with pytest.raises(PasswordFileError, match="is empty"):
        velum.take(path)
    velum.file("mariadb-root-password").write_text(velum.root_password)
    absent = velum.options(socket=str(tmp_path / "nothing"))
    with pytest.raises(DatabaseError, match="does not answer"):
        open_server(absent)
    path.write_text("something else")
    velum.reset()
    with pytest.raises(LifeboatError, match="File exists"):
        velum.take(path)
    assert path.read_text() == "something else"
    assert os.listdir(tmp_path) == ["database.sql"]


def test_credentials_that_do_not_fit(velum: Velum, dumped: Path) -> None:
    """All of them or none: nothing is changed when a file is missing, empty, or another one than the returner's."""
    path = dumped
    velum.sql("DELETE FROM users;")
    before = velum.lines()
    returner, salt = velum.file("55-returner-credentials.conf"), velum.file("mariadb-salt-password")
    good = {file: file.read_text() for file in (returner, salt, velum.file("mariadb-velum-password"))}
    broken = {
        "its password is another one": (returner, good[returner].replace("mysql.pass: '", "mysql.pass: 'x")),
        "is empty": (salt, "\n"),
        "not among the users": (returner, good[returner].replace("'salt'", "'pepper'")),
        "names no user with a password": (returner, "mysql.host: localhost\n"),
    }
    for reason, (file, text) in broken.items():
        file.write_text(text)
        with pytest.raises(CredentialsError, match="do not all fit each other") as caught:
            velum.bring_back(path)
        assert reason in caught.value.found
        file.write_text(good[file])
    salt.unlink()
    with pytest.raises(CredentialsError, match="cannot be read"):
        velum.bring_back(path)
    salt.write_text(good[salt])
    assert velum.lines() == before

    # Grants that do not fit the files are made anew, also where the rows are there already.
    velum.sql("REVOKE INSERT ON velum_production.* FROM salt@localhost; DROP USER velum@localhost;")
    assert [item.reason.partition(":")[0] for item in velum.bring_back(path)[0].credentials] == ["exit status 1", "it lacks INSERT", ""]
    velum.sql("DROP USER salt@localhost;")
    plan, moved = velum.bring_back(path)
    assert (plan.action, plan.grants, moved) == ("nothing", True, [])
    assert not velum.bring_back(path)[0].changed
    for file, text in good.items():
        assert all(word not in repr(plan) for word in re.findall(r"[0-9a-f]{16}", text)), file


def test_newer_programs_and_things_that_are_no_tables(velum: Velum, dumped: Path) -> None:
    """A dump of a newer schema version is refused, unless asked for; triggers and views are in the dump, and a restore says that it can't move them."""
    path = dumped
    velum.sql(f"UPDATE schema_migrations SET version = '20170101000001' WHERE version = '{VERSION}';")
    before = velum.lines()
    with pytest.raises(RestoreError, match="newer programs"):
        velum.bring_back(path)
    with pytest.raises(RestoreError, match="newer programs"):
        velum.bring_back(path, expected_version="5")
    assert velum.lines() == before
    velum.bring_back(path, accept_newer_schema=True)
    assert velum.lines() != before

    velum.sql("CREATE VIEW seen AS SELECT * FROM minions; CREATE TRIGGER before_minions BEFORE INSERT ON minions FOR EACH ROW SET NEW.highstate = 0;")
    velum.sql("CREATE FUNCTION one() RETURNS INT RETURN 1;")
    other = path.with_name("code.sql")
    code = ["function one", "trigger before_minions", "view seen"]
    assert velum.take(other).contents.code == code
    with pytest.raises(RestoreError, match="can't be restored by renaming tables") as caught:
        velum.bring_back(other)
    assert caught.value.found == "; ".join(code)
    velum.sql("DELETE FROM users;")
    with pytest.raises(RestoreError, match="can't make way"):
        velum.bring_back(path)
    assert velum.schemas() == {SCHEMA, ASIDE}


@pytest.mark.parametrize(("pattern", "moment"), killed.POINTS)
def test_a_killed_restore_is_finished(velum: Velum, dumped: Path, pattern: str, moment: str) -> None:
    """The process is really gone at that point; no row is lost, and the same call again brings the rest."""
    path = dumped
    before = velum.lines()
    velum.sql("DELETE FROM users; INSERT INTO pillars (pillar, value) VALUES ('live', 'row');")
    live = velum.lines()
    velum.new_passwords()
    with killed.client(velum, pattern, moment):
        done = killed.work(velum, "restore", path)
    assert done.returncode == -9, done.stdout
    found = velum.lines()
    assert found in (live, before)
    assert found == live or velum.lines(ASIDE) == live
    velum.bring_back(path)
    assert velum.lines() == before
    assert velum.lines(ASIDE) == live
    assert velum.schemas() == {SCHEMA, ASIDE}
    assert not velum.bring_back(path)[0].changed


def test_a_killed_proof_leaves_no_server(velum: Velum, tmp_path: Path) -> None:
    """The scratch server is gone with the process, and its files with the next proof."""
    with killed.client(velum, "CREATE DATABASE .proof", "after"):
        done = killed.work(velum, "dump", tmp_path / "database.sql")
    assert done.returncode == -9, done.stdout
    killed.wait_for_no_process(velum.scratch)
    velum.take(tmp_path / "database.sql")
    assert os.listdir(tmp_path) == ["database.sql"]
    assert os.listdir(velum.scratch) == []


def test_a_full_disk(velum: Velum, tmp_path: Path) -> None:
    """Of the dump, and of the scratch server; nothing is left behind, and the schema is as it was."""
    before = velum.lines()
    with mounted(tmp_path / "small", "200k") as small:
        with pytest.raises(LifeboatError, match="No space left|errno 28|error 28"):
            velum.take(small / "database.sql")
        assert list(small.iterdir()) == []
        with pytest.raises(LifeboatError):
            dump.take(velum.server(), SCHEMA, contents.Rules(**velum.rules()), str(tmp_path / "a.sql"), owner="", scratch_directory=str(small))
        assert list(small.iterdir()) == []
    assert os.listdir(tmp_path) == []
    assert velum.lines() == before


def test_a_full_disk_of_the_server(tmp_path: Path) -> None:
    """The dump does not fit beside the live schema, which serves on; with room, the same restore succeeds."""
    with short_directory("400M") as small, running(small) as velum:
        velum.reset()
        velum.sql("INSERT INTO certificates (certificate) VALUES " + ", ".join(["(REPEAT('0123456789abcdef', 100000))"] * 8))
        path = tmp_path / "database.sql"
        velum.take(path)
        before = velum.lines()
        velum.sql("UPDATE users SET email = 'live@example.org';")
        live = velum.lines()
        filler = small / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, os.statvfs(small).f_bavail * os.statvfs(small).f_frsize - (9 << 20))
        # Full up, a server may say so or die.
        with pytest.raises(DatabaseError, match="is full|Lost connection"):
            velum.bring_back(path)
        velum.stop()
        filler.unlink()
        velum.start()
        assert velum.lines() == live
        velum.bring_back(path)
        assert velum.lines() == before
        assert velum.lines(ASIDE) == live
        assert velum.schemas() == {SCHEMA, ASIDE}


HOSTILE = ["'; DROP TABLE users; -- ", '"', "\\", "\\'", "a\tb\nc", "%", "_", "`", "ü🚀", "NULL", "", " ", "0", "x' OR '1'='1"]


def test_rows_with_hostile_values(velum: Velum) -> None:
    """Whatever the values, they are values; columns and tables too."""
    server = velum.server()
    for mode, texts in (("", HOSTILE), ("NO_BACKSLASH_ESCAPES,ANSI_QUOTES", HOSTILE[:4])):
        velum.sql(f"SET GLOBAL sql_mode = '{mode}';")
        for text in texts:
            wanted = Wanted("pillars", {"pillar": text, "minion_id": None}, {"value": text}, rows.PRESENT)
            plan = rows.plan(server, SCHEMA, wanted)
            assert plan.action == "insert", text
            rows.apply(server, SCHEMA, wanted, plan)
            assert rows.plan(server, SCHEMA, wanted).action == "nothing"
            changed = Wanted("pillars", {"pillar": text}, {"value": None}, rows.UPDATED)
            rows.apply(server, SCHEMA, changed, rows.plan(server, SCHEMA, changed))
            gone = Wanted("pillars", {"pillar": text}, {}, rows.ABSENT)
            plan = rows.plan(server, SCHEMA, gone)
            assert plan.action == "delete", text
            rows.apply(server, SCHEMA, gone, plan)
            with pytest.raises(DatabaseError, match="ERROR (1054|1059|1300)"):
                rows.plan(server, SCHEMA, Wanted("pillars", {f"x{text}": "1"}, {}, rows.ABSENT))
    velum.sql("SET GLOBAL sql_mode = DEFAULT;")
    assert velum.sql("SELECT COUNT(*) FROM pillars;") == [["9"]]
    assert velum.sql("SELECT COUNT(*) FROM users;") == [["1"]]


def test_a_minion_goes_with_what_depends_on_it(velum: Velum) -> None:
    """One transaction, the exact row, and nobody else's."""
    server = velum.server()
    worker = "fedcba9876543210fedcba9876543210"
    dependents = [Dependent("pillars", "minion_id", "minion_id")]
    # A collation would take these for the same.
    for other in (worker.upper(), worker + " "):
        assert rows.plan(server, SCHEMA, Wanted("minions", {"minion_id": other}, {}, rows.ABSENT)).action == "nothing"
    wanted = Wanted("minions", {"minion_id": worker}, {}, rows.ABSENT, dependents)
    plan = rows.plan(server, SCHEMA, wanted)
    assert (plan.action, plan.dependents) == ("delete", {"pillars": 1})
    rows.apply(server, SCHEMA, wanted, plan)
    assert velum.sql("SELECT COUNT(*) FROM minions;") == [["3"]]
    assert velum.sql("SELECT COUNT(*) FROM pillars;") == [["8"]]
    assert rows.plan(server, SCHEMA, wanted).action == "nothing"
    # A row that others refer to stays, with all of its own: the transaction is taken back.
    wanted = Wanted("registries", {"id": "3"}, {}, rows.ABSENT, [Dependent("certificates", "id", "id")])
    velum.sql("INSERT INTO certificates (id) VALUES (3);")
    with pytest.raises(DatabaseError, match="foreign key"):
        rows.apply(server, SCHEMA, wanted, rows.plan(server, SCHEMA, wanted))
    assert velum.sql("SELECT COUNT(*) FROM certificates;") == [["3"]]
    with pytest.raises(RowError, match="2 rows of pillars"):
        rows.plan(server, SCHEMA, Wanted("pillars", {"pillar": "twice"}, {"value": "x"}, rows.UPDATED))
    with pytest.raises(RowError, match="no row"):
        rows.plan(server, SCHEMA, Wanted("pillars", {"pillar": "unknown"}, {"value": "x"}, rows.UPDATED))
    with pytest.raises(RowError, match="key is empty"):
        rows.plan(server, SCHEMA, Wanted("pillars", {}, {}, rows.ABSENT))
    # What the database does not keep as it was given is told.
    short = Wanted("minions", {"minion_id": "admin"}, {"highstate": "7 apples"}, rows.UPDATED)
    velum.sql("SET GLOBAL sql_mode = '';")
    with pytest.raises(RowError, match="is not as it has to be after the change"):
        rows.apply(server, SCHEMA, short, rows.plan(server, SCHEMA, short))
    velum.sql("SET GLOBAL sql_mode = DEFAULT;")


def test_secrets_stay_where_they_are(velum: Velum, dumped: Path) -> None:
    """In the dump, and neither in what is told of it nor in errors: a client repeats the statement that failed."""
    held = dump.examine(str(dumped))
    assert velum.secret in dumped.read_text("utf-8", "replace")
    told = json.dumps(held.as_result()) + repr(velum.server())
    velum.sql("CREATE UNIQUE INDEX one ON users (email);")
    twice = Wanted("users", {"id": "9"}, {"email": "root@example.org", "encrypted_password": velum.secret}, rows.PRESENT)
    with pytest.raises(DatabaseError, match="ERROR 1062") as caught:
        rows.apply(velum.server(), SCHEMA, twice, rows.plan(velum.server(), SCHEMA, twice))
    told += str(caught.value)
    for secret in (velum.secret, velum.secret.encode().hex(), "root@example", velum.root_password, held.contents.salt):
        assert secret not in told
