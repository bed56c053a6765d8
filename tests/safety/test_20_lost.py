# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No quorum: data that survived, machines that are gone for good, looks that fail, restores that are given up."""

from __future__ import annotations

import time
from pathlib import Path

from tests.drill.playbooks import Playbooks
from tests.e2e.bench import LAB, READY_SECONDS, Bench, refused, succeeded
from tests.e2e.damage import Copy
from tests.e2e.footprint import assert_untouched
from tests.safety.test_10_living import lost, record, write
from tests.workload.creation import wait_for

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
STOP = "systemctl stop kubelet; for one in $(crictl ps --quiet); do crictl stop --timeout 0 $one; done; true"
# What is on the system disk goes, what is on the disk of etcd stays.
LOSE_SYSTEM_DISK = STOP + "; rm -rf /etc/kubernetes/* /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env /var/lib/kubelet/pki /var/lib/lifeboat"


def on_all(bench: Bench, command: str) -> None:
    """Run a command on every control plane."""
    bench.dirty = True
    for name in bench.control_plane:
        bench.lab.node(name).run(["sh", "-c", command])


def test_data_disks_survive_the_system_disks(living: Bench, operator: Playbooks) -> None:
    """Case 9 C: files come back, and the members start with what they have. Nothing that was written is lost."""
    bench = living
    written = write(bench, "survives")
    memory = bench.memory(bench.settled())
    on_all(bench, LOSE_SYSTEM_DISK)
    since = time.time()
    refused(operator.run("recover_cluster", CONFIRMED), "quorum_lost_source=members", "quorum_lost_source=recovery_point", "last written")
    succeeded(operator.run("recover_cluster", {**CONFIRMED, "quorum_lost_source": "members"}))
    assert not lost(bench, written)
    bench.verify(memory, bench.expected(rolled_back=False, rebuilt=bench.control_plane, since=since))


def test_the_last_data_disk_becomes_the_cluster(living: Bench, operator: Playbooks) -> None:
    """Two machines burnt, the third has a new system disk: nobody can be asked, and its database is read. Nothing that was written is lost."""
    bench = living
    written = write(bench, "last")
    memory = bench.memory(bench.settled())
    last, *burnt = bench.control_plane
    bench.bare(*burnt)
    bench.lab.node(last).run(["sh", "-c", LOSE_SYSTEM_DISK])
    since = time.time()
    refused(operator.run("recover_cluster", CONFIRMED), f"the data on {last} becomes the cluster, read from its disk", "quorum_lost_source=survivor")
    succeeded(operator.run("recover_cluster", {**CONFIRMED, "quorum_lost_source": "survivor"}))
    assert not lost(bench, written)
    bench.verify(memory, bench.expected(rolled_back=False, rebuilt=bench.control_plane, since=since))


def test_a_data_directory_that_cannot_be_read_is_not_empty(living: Bench, operator: Playbooks) -> None:
    """Case 3: the look fails on one machine; the newest data may be there."""
    bench = living
    on_all(bench, STOP)
    name = bench.control_plane[0]
    # Nobody can look through a link to itself.
    bench.lab.node(name).run(["sh", "-c", "umount /var/lib/etcd 2> /dev/null; mv /var/lib/etcd /var/lib/etcd-away && ln -s etcd /var/lib/etcd"])
    before = bench.footprints()
    refused(operator.run("recover_cluster", {**CONFIRMED, "quorum_lost_source": "recovery_point"}), f"etcd on {name}", "symbolic links")
    assert_untouched(before, bench.footprints(), containers=False)


def test_a_cluster_comes_back_on_two_of_three_and_the_third_joins_later(living: Bench, operator: Playbooks) -> None:
    """Case 8: one machine is gone; the messages name the one way, and it leads on."""
    bench = living
    marker = bench.mark("after-the-point")
    memory = bench.memory()
    away = bench.control_plane[2]
    bench.bare(*bench.machines)
    bench.lab.break_("power-off", away)
    bench.close_connections(away)
    since = time.time()
    refused(operator.run("recover_cluster", CONFIRMED), f"confirm_missing_members={away}")
    succeeded(operator.run("recover_cluster", {**CONFIRMED, "confirm_missing_members": away}))
    written = write(bench, "on-two")
    bench.lab.heal("power-off", away)
    bench.bare(away)
    finished = succeeded(operator.run("recover_cluster", CONFIRMED))
    assert "nothing is rolled back" in finished.message()
    assert not lost(bench, written)
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=bench.machines, marker=marker, since=since))


def test_a_restore_that_leads_nowhere_is_given_up(living: Bench, operator: Playbooks, directory: Path, location: Path) -> None:
    """Case 16 b: begun, and then its recovery point is gone. Another one is refused until the first is given up by its id."""
    bench = living
    memory = bench.memory()
    second = succeeded(bench.playbooks(directory / "backup", location, bench.writing()).run("backup_cluster"))
    points = sorted((location / LAB / "manifests").glob("*.json"))
    assert len(points) == 2, second.log
    newest = points[1].stem
    bench.bare(*bench.control_plane)

    def begun(line: str) -> bool:
        """Yes when every member is being changed, a moment into the task that does it."""
        if "fence : Put restored data in place and start" not in line:
            return False
        wait_for("the restore has begun", lambda: ", ".join(name for name in bench.control_plane if record(bench, name)["phase"] == "planned"), READY_SECONDS)
        return True

    killed = operator.run("recover_cluster", {**CONFIRMED, "recovery_point_id": newest}, kill_when=begun)
    assert killed.killed
    # What the controller had begun on the machines goes on without it.
    on_all(bench, STOP)
    restore = record(bench, bench.control_plane[0])["restore_id"]
    Copy(location, LAB, newest, bench.keys).flip("etcd/")
    over = {**CONFIRMED, "recovery_point_id": points[0].stem, "lifeboat_take_over_run": killed.run_directory.name if killed.run_directory else ""}
    since = time.time()
    refused(operator.run("recover_cluster", over), f"lifeboat_give_up={restore}")
    given_up = sorted({record(bench, name)["restore_id"] for name in bench.control_plane})
    succeeded(operator.run("recover_cluster", {**over, "lifeboat_give_up": ",".join(given_up), "quorum_lost_source": "recovery_point"}))
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=bench.control_plane, since=since))


def test_what_this_recovery_does_not_need_may_be_damaged(living: Bench, operator: Playbooks, location: Path) -> None:
    """Point 10: refused with the names; usable when they are named; never without what is needed."""
    bench = living
    memory = bench.memory()
    copy = Copy(location, LAB, bench.baseline.point, bench.keys)
    copy.flip("collection/")
    name = bench.control_plane[1]
    bench.bare(name)
    since = time.time()
    damaged = str(copy.artifact("collection/").relative_to(copy.artifacts()))
    refused(operator.run("recover_cluster", CONFIRMED), "lifeboat_accept_damaged", damaged)
    copy.flip(f"pki/{name}")
    needed = str(copy.artifact(f"pki/{name}").relative_to(copy.artifacts()))
    refused(operator.run("recover_cluster", {**CONFIRMED, "lifeboat_accept_damaged": [damaged, needed]}), needed)
    copy.flip(f"pki/{name}")
    succeeded(operator.run("recover_cluster", {**CONFIRMED, "lifeboat_accept_damaged": [damaged]}))
    bench.verify(memory, bench.expected(rolled_back=False, rebuilt=[name], since=since))
