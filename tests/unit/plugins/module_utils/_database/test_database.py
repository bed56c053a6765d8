# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs no server: files of credentials, quoting, texts of errors, names."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._database import credentials, rows, server
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.contents import Contents, Rules, Table, differences
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.restore import Request, _newer
from ansible_collections.lifeboat.cluster.plugins.module_utils._database.server import DatabaseError, Server, User
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside


@pytest.mark.parametrize(
    ("line", "password"),
    [
        ("mysql.pass: plain", "plain"),
        ("mysql.pass: 'it''s'", "it's"),
        ('mysql.pass: "say \\"a\\\\b\\""', 'say "a\\b"'),
        ("mysql.pass  :   spaced  ", "spaced"),
        ("mysql.pass: '", "'"),
    ],
)
def test_the_returners_password(tmp_path: Path, line: str, password: str) -> None:
    path = tmp_path / "returner.conf"
    path.write_text(f"mysql.user: salt\n# mysql.pass: old\n{line}\n")
    assert credentials.returner_login(str(path)) == ("salt", password)


def test_files_that_fit_each_other(tmp_path: Path) -> None:
    """Told of each file; the first line is the password, whatever ends it."""
    salt, returner = tmp_path / "salt", tmp_path / "returner"
    users = [User("salt", "localhost", str(salt), ["SELECT"])]
    returner.write_text("mysql.user: salt\nmysql.pass: word\n")
    for content in ("word", "word\n", "word\r\n", "word\nanother line\n"):
        salt.write_text(content)
        assert [item.fits for item in credentials.files(users, str(returner))] == [True, True]
    salt.write_text("Word\n")
    found = credentials.files(users, str(returner))
    assert [item.fits for item in found] == [True, False]
    with pytest.raises(credentials.CredentialsError, match="another one than that in") as caught:
        credentials.require(found, "compare")
    assert "ord" not in caught.value.found.replace("password", "")
    returner.write_bytes(b"\xff")
    assert credentials.files(users, str(returner))[1].reason.startswith("The returner's configuration")
    assert credentials.files(users, "") == [credentials.Credential("salt", str(salt), True, "")]


def test_the_servers_own_hash() -> None:
    """As SELECT PASSWORD('password') answers on every MariaDB and MySQL before 8."""
    assert credentials.password_hash("password") == "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"


def test_privileges_are_words() -> None:
    with pytest.raises(credentials.CredentialsError, match="no list of privileges"):
        credentials.grant(Server(Inside(), "/nonexistent"), "s", [User("u", "h", __file__, ["ALL ON *.* TO x; --"])])


def test_quoting() -> None:
    assert server.identifier("a`b") == "`a``b`"
    assert server.literal("'; --") == "CONVERT(X'273b202d2d' USING utf8mb4)"
    for name in ("", "a\0b"):
        with pytest.raises(DatabaseError, match="no name"):
            server.identifier(name)


def test_cells_of_the_client() -> None:
    assert server._rows("a\\tb\tNULL\nc\\nd\\\\e\t\n\n") == [["a\tb", None], ["c\nd\\e", ""], [""]]


def test_errors_without_the_statement_and_its_values() -> None:
    repeated = "exit status 1: --------------\nINSERT INTO t VALUES ('secret\nERROR')\n--------------\n\n"
    assert (
        server._told(repeated + "ERROR 1062 (23000) at line 2: Duplicate entry 'it's secret' for key 'one'")
        == "ERROR 1062 (23000) at line 2: Duplicate entry '...'"
    )
    assert server._told("exit status 1: ERROR 1146 (42S02) at line 1: Table 's.t' doesn't exist").endswith("Table 's.t' doesn't exist")
    assert server._told("exit status 1: --------------\nsecret\n--------------") == "it said nothing that could be shown"
    assert server._told("exit status 5: mariadb-dump: Got errno 28 on write") == "exit status 5: mariadb-dump: Got errno 28 on write"


def test_names_beside_the_schema() -> None:
    rules = Rules([])
    assert Request("velum", rules, "restore-20261120T140000Z").aside() == "velum_lifeboat_restore_20261120t140000z"
    assert Request("velum", rules, "a").aside(2) == "velum_lifeboat_a_2"
    long = [Request("s" * 40, rules, "alone-%d-%s" % (number, "x" * 40)).aside() for number in (1, 2)]
    assert [len(name) for name in long] == [64, 64]
    assert long[0] != long[1]


@pytest.mark.parametrize(("found", "expected", "newer"), [("10", "9", True), ("9", "10", False), ("9", "9", False), ("b", "a", True), ("", "5", True)])
def test_newer_versions(found: str, expected: str, newer: bool) -> None:
    assert _newer(found, expected) is newer


def test_differences_are_told_by_table() -> None:
    one = Contents("1", "", "", "", {"a": Table(1, "x"), "b": Table(2, "y"), "c": Table(3, "z")}, ["v"], [])
    other = Contents("2", "", "", "", {"a": Table(1, "w"), "b": Table(9, "y"), "d": Table(0, "")}, [], [])
    assert differences(one, one) == []
    assert differences(other, one) == [
        "table c is missing",
        "table d was not there",
        "table a has other values in its 1 rows",
        "table b has 9 rows instead of 2",
        "table v is missing",
        "schema version 2 instead of 1",
    ]


def test_values_as_texts() -> None:
    assert [rows.text_of(value) for value in (None, True, 0, "x", 1.5)] == [None, "1", "0", "x", "1.5"]
