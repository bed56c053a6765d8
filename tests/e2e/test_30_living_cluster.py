# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A living cluster: one member is rebuilt without rolling anything back, and all members are rolled back when that is asked for."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.drill.playbooks import Playbooks
from tests.e2e.bench import LAB, Bench, refused, relisted, succeeded
from tests.e2e.footprint import assert_untouched

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}


def test_a_backup_without_the_first_control_plane(living: Bench, directory: Path) -> None:
    """It is off: the point is made by the others, and says what is missing. Without any control plane there is no point."""
    bench = living
    location = directory / "location"
    location.mkdir(mode=0o700)
    backup = bench.playbooks(directory, location, bench.writing())
    first, *others = bench.control_plane
    bench.dirty = True
    bench.lab.break_("power-off", first)
    bench.close_connections(first)
    finished = succeeded(backup.run("backup_cluster"))
    manifest = json.loads(next((location / LAB / "manifests").glob("*.json")).read_text())
    assert manifest["status"] == "partially_failed"
    assert {(one["component"], one["host"]) for one in manifest["missing"]} == {("pki", first), ("node_config", first)}
    assert manifest["cluster_identity"]["kube_system_uid"] == bench.baseline.memory.kube_system_uid
    held = {(artifact["component"], artifact["host"]) for artifact in manifest["artifacts"]}
    assert {("pki", name) for name in others} <= held
    assert [check["passed"] for check in finished.report["checks"] if check["id"] == "platform.reachable" and check["host"] == first] == [False]

    bench.lab.break_("power-off", *others)
    bench.close_connections(*others)
    refused(backup.run("backup_cluster"), "platform.reachable", first)
    assert len(list((location / LAB / "manifests").glob("*.json"))) == 1
    bench.lab.heal("power-off", *bench.control_plane)
    bench.close_connections()
    bench.settled()
    bench.dirty = False


def test_one_lost_member_is_rebuilt(living: Bench, operator: Playbooks) -> None:
    """One control plane loses its disk while a quorum lives: it comes back, and an object made after the recovery point is still there."""
    bench = living
    marker = bench.mark("after-the-point")
    name = bench.control_plane[1]
    memory = bench.memory(bench.settled())
    bench.bare(name)
    since = time.time()
    finished = succeeded(operator.run("recover_cluster", CONFIRMED))
    assert "nothing is rolled back" in finished.message()
    bench.verify(memory, bench.expected(rolled_back=False, rebuilt=[name], marker=marker, since=since))


def test_a_living_cluster_is_rolled_back(living: Bench, operator: Playbooks) -> None:
    """restore_etcd puts the snapshot over every member: what came later is gone, what was before is equal, old watches are cancelled."""
    bench = living
    marker = bench.mark("after-the-point")
    memory = bench.memory()
    client = bench.watch()
    assert marker in client.seen
    bench.dirty = True
    inodes = {name: footprint.store for name, footprint in bench.footprints().items()}
    # Every number and flag as text, as AWX surveys and -e k=v deliver them.
    as_text = ["-e", "rto_target_seconds=600", "-e", "rpo_target_seconds=86400", "-e", "fence_wait_seconds=180", "-e", "platform_revision_slack=1000000000"]
    finished = succeeded(operator.run("restore_etcd", CONFIRMED, options=as_text))
    bench.figures.logs["restore_etcd"] = finished
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=(), marker=marker))
    relisted(client, bench, marker)
    for name in bench.control_plane:
        aside = [path for path, inode in bench.footprints()[name].store.items() if "/member." in path and inode == inodes[name]["/var/lib/etcd/member"]]
        assert len(aside) == 1, f"the old data of {name} is not aside: {bench.footprints()[name].store}"


def test_a_rerun_after_success_changes_nothing(living: Bench, operator: Playbooks) -> None:
    """Nothing is lost any more: the recovery says so and changes nothing on any machine."""
    before = living.footprints()
    again = succeeded(operator.run("recover_cluster", CONFIRMED))
    assert "there is nothing to recover" in again.message()
    assert_untouched(before, living.footprints())
