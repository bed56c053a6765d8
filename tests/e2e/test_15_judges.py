# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judges themselves: a drill takes no cluster but the lab's, and every check of the verification can fail."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from tests import environment
from tests.drill.verification import Verification
from tests.e2e.bench import LAB, Bench
from tests.workload import Api, Picture
from tests.workload.objects import RUNNING
from tests.workload.picture import Entry

FOREIGN = """\
all:
  children:
    control_plane:
      hosts: {cp1: {ansible_host: 192.0.2.11}}
  vars: {lifeboat_cluster_name: production}
"""
PRETENDING = FOREIGN.replace("lifeboat_cluster_name: production", f"lifeboat_cluster_name: {LAB}, lifeboat_lab: true")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--inventory", "@foreign@"], "was not written by the lab"),
        (["--inventory", "@pretending@"], "that lab's inventory is"),
        (["--inventory", "/nowhere.yml"], "no inventory that Ansible can read"),
        (["--scenario", "earthquake"], "no scenario"),
        (["--scenario", "quorum", "--topology", "single"], "needs another topology: TOPOLOGY=ha"),
        (["--scenario", "admin"], "needs another topology: TOPOLOGY=caasp"),
        (["--location", "tape"], "no location"),
    ],
)
def test_a_drill_refuses(directory: Path, arguments: list[str], text: str) -> None:
    """Whatever it was not made for, before it touches anything."""
    for name, content in (("foreign", FOREIGN), ("pretending", PRETENDING)):
        (directory / f"{name}.yml").write_text(content)
    words = [str(directory / f"{word.strip('@')}.yml") if word.startswith("@") else word for word in arguments]
    command = [sys.executable, "-m", "tests.drill", *words]
    done = subprocess.run(command, cwd=environment.ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert text in done.stderr


def test_every_check_can_fail(living: Bench) -> None:
    """Against a memory of another cluster, everything that compares is not met; what only looks at the cluster is."""
    memory = living.memory()
    first = next(path for path in memory.picture if path.endswith("configmaps/item-0000"))
    changed: Entry = {**memory.picture[first], "sha256": "0" * 64}
    picture: Picture = {**memory.picture, first: changed, f"{first}-gone": memory.picture[first]}
    other = dataclasses.replace(
        memory,
        kube_system_uid="another",
        node_uids={**memory.node_uids, "cp1": "another"},
        token=memory.token[:-8] + "AAAAAAAA",
        pods={**memory.pods, f"{RUNNING}/gone": {"uid": "another", "node": "w1", "containers": "containerd://another"}},
        picture=picture,
        planted={**memory.planted, "shop": "another"},
    )
    marker = living.mark("there")
    expected = living.expected(rolled_back=True, rebuilt=[], marker=marker)
    failed = {check.id for check in Verification(living.lab, other, expected, limit_seconds=1).all() if not check.passed}
    wanted = {"drill.cluster_uid", "drill.node_uids", "drill.pods_kept", "drill.objects", "drill.secrets", "drill.token", "drill.rolled_back"}
    # A new Deployment and a busy etcd need more than the second that they are given here.
    assert failed - {"drill.schedules", "drill.etcd"} == wanted
    rebuilt = Verification(living.lab, other, living.expected(rolled_back=False, rebuilt=["w1"], marker=f"{marker}-gone"), limit_seconds=1).all()
    assert {"drill.pods_again", "drill.nothing_lost"} <= {check.id for check in rebuilt if not check.passed}
    Api(living.lab.kubeconfig, connections=1).request("DELETE", f"/api/v1/namespaces/{RUNNING}/configmaps/{marker}")
