# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LDIF: folded lines, base64, comments; and a configuration for a scratch server."""

from __future__ import annotations

import io

from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap import dump, ldif, server

CONFIG = b"""dn: cn=config
olcPidFile: /run/slapd.pid
olcTLSCertificateFile: /etc/pki/ldap.crt

dn: cn={0}core,cn=schema,cn=config
cn: {0}core

dn: olcDatabase={1}mdb,cn=config
olcSuffix: DC=Example
olcDbDirectory: /var/lib/ldap
olcSyncrepl: {0}rid=1 provider=ldap://other

dn: olcDatabase={2}mdb,cn=config
olcSuffix: cn=log
olcDbDirectory: /var/lib/log
"""


def test_entries() -> None:
    source = io.BytesIO(b"# comment\n\n\ndn: a\ncn: on\n e\nsn:: w7w=\nsn;lang-de: x\r\n\ndn: b")
    found = list(ldif.entries(source))
    assert found == [[b"dn: a", b"cn: one", b"sn:: w7w=", b"sn;lang-de: x"], [b"dn: b"]]
    assert ldif.values(found[0], "SN") == ["ü", "x"]
    assert ldif.value_of(b"sn:: !") == ""


def test_what_a_configuration_says() -> None:
    config = io.BytesIO(CONFIG)
    assert server.schemas(config) == ["core"]
    assert server.database_dir(config, "dc=example") == "/var/lib/ldap"
    assert server.database_dir(config, "dc=other") == ""
    assert server.measure(config).entries == 4


def test_a_scratch_configuration_shares_nothing_with_the_real_server() -> None:
    changed = dump.elsewhere(io.BytesIO(CONFIG), "dc=example", "/s/tree", "/s/other").decode()
    assert "olcDbDirectory: /s/tree\n" in changed
    assert "olcDbDirectory: /s/other-2\n" in changed
    for word in ("/run", "/etc", "/var", "ldap://"):
        assert word not in changed


def test_the_time_of_the_last_change_is_no_difference() -> None:
    trees = [io.BytesIO(b"dn: a\ncn: %s\ncontextCSN: %s\n\n" % pair) for pair in ((b"x", b"1"), (b"x", b"2"), (b"y", b"2"))]
    assert server.same_entries(trees[0], trees[1])
    assert not server.same_entries(trees[1], trees[2])


def test_a_socket_in_a_url() -> None:
    assert server.socket_url("/run/a b") == "ldapi://%2Frun%2Fa%20b"
