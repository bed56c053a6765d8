# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The admin node is lost, and comes back under another name and address. The last of the suite: the lab is another one afterwards."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.caasp.bench import LAB, Bench
from tests.caasp.test_20_admin import killer
from tests.e2e.bench import succeeded

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
NAME = "boss"


def test_the_admin_node_comes_back_under_another_name(bench: Bench, directory: Path) -> None:
    """Killed while the nodes are told of it, and finished: rows, files and certificates have the new name, and every minion obeys the master that it knows."""
    bench.lab.reset()
    bench.close_connections("admin", *bench.nodes)
    bench.bare("admin")
    inventory = bench.move("admin", NAME, directory)
    operator = bench.playbooks(directory, bench.location, inventory=inventory)
    assert operator.run("recover_admin", CONFIRMED, kill_when=killer("Write the new words", 0.5)).killed
    succeeded(operator.run("recover_admin", CONFIRMED))

    rows = bench.memory.rows["pillars"]
    assert "\tdashboard\tadmin\t" in rows
    bench.assert_working(
        dataclasses.replace(bench.memory, rows={**bench.memory.rows, "pillars": rows.replace("\tdashboard\tadmin\t", f"\tdashboard\t{NAME}\t")})
    )
    for node in bench.nodes:
        assert f"dashboard={NAME}\n" in bench.on(node, "cat /etc/caasp-flag")
        assert bench.on(node, "cat /etc/salt/minion.d/master.conf") == f"master: {NAME}\n"
    names = bench.on("admin", "openssl x509 -noout -ext subjectAltName -in /etc/pki/velum.crt")
    assert f"DNS:{NAME}.infra.caasp.local" in names
    assert "DNS:admin" not in names
    bench.on("admin", "openssl verify -CAfile /etc/pki/ca.crt /etc/pki/velum.crt /etc/pki/ldap.crt /etc/pki/salt-api.crt")
    assert bench.on("admin", "cat /etc/hostname").strip() == NAME
    bench.assert_issues("w2")
