# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All control planes are lost, the worker lives: what is checked before, what a plan predicts, and the recovery."""

from __future__ import annotations

import dataclasses
import time

import pytest

from tests.drill.clients import WatchClient
from tests.drill.memory import Memory
from tests.drill.playbooks import Playbooks
from tests.drill.steps import first_change
from tests.e2e.bench import LAB, Bench, refused, relisted, succeeded
from tests.e2e.footprint import assert_untouched

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
IMAGE_OF = "kube-apiserver"


@dataclasses.dataclass
class Lost:
    """The control planes are bare, and what was known before."""

    bench: Bench
    marker: str
    memory: Memory
    client: WatchClient
    since: float


@pytest.fixture(scope="module")
def lost(bench: Bench) -> Lost:
    """Every control-plane machine has lost its disk; the tests of this file are steps of one recovery, in the order in which an operator takes them."""
    bench.living()
    marker = bench.mark("after-the-point")
    memory = bench.memory()
    client = bench.watch()
    bench.bare(*bench.control_plane)
    return Lost(bench, marker, memory, client, time.time())


def test_a_full_disk_is_refused(lost: Lost, operator: Playbooks) -> None:
    """There is no room for etcd's data on one machine."""
    bench = lost.bench
    name = bench.control_plane[1]
    bench.lab.break_("fill-etcd-disk", name)
    try:
        before = bench.footprints()
        refused(operator.run("recover_cluster", CONFIRMED), name, "/var/lib/etcd")
        assert_untouched(before, bench.footprints())
    finally:
        bench.lab.heal("fill-etcd-disk", name)


def test_a_missing_image_is_refused(lost: Lost, operator: Playbooks) -> None:
    """One machine has another Kubernetes version: the image that the captured manifest names is not there."""
    bench = lost.bench
    node = bench.lab.node(bench.control_plane[2])
    images = node.run(["ctr", "--namespace", "k8s.io", "images", "list", "--quiet"]).stdout.split()
    wanted = next(image for image in images if f"/{IMAGE_OF}:" in image)
    older = wanted.rpartition(":")[0] + ":v1.33.0"
    node.run(["ctr", "--namespace", "k8s.io", "images", "tag", wanted, older])
    node.run(["ctr", "--namespace", "k8s.io", "images", "remove", wanted])
    try:
        before = bench.footprints()
        refused(operator.run("recover_cluster", CONFIRMED), node.name, wanted)
        assert_untouched(before, bench.footprints())
    finally:
        node.run(["ctr", "--namespace", "k8s.io", "images", "tag", older, wanted])
        node.run(["ctr", "--namespace", "k8s.io", "images", "remove", older])
        node.run(["ctr", "--namespace", "k8s.io", "images", "label", wanted, "io.cri-containerd.pinned=pinned", "io.cri-containerd.image=managed"])


def test_a_wrong_name_is_refused(lost: Lost, operator: Playbooks) -> None:
    """Bare machines are no reason to skip the confirmation."""
    before = lost.bench.footprints()
    refused(operator.run("recover_cluster", {"confirm_cluster_name": "production"}), "confirm_cluster_name", LAB)
    assert_untouched(before, lost.bench.footprints())


def test_check_mode_predicts(lost: Lost, operator: Playbooks) -> None:
    """With --check --diff the plan and the files that would come back are shown, and nothing changes."""
    before = lost.bench.footprints()
    plan = operator.run("recover_cluster", CONFIRMED, check=True)
    assert_untouched(before, lost.bench.footprints())
    assert plan.status == 0, plan.tail()
    assert "rebuild_cluster" in plan.message()


def test_bare_control_planes_come_back(lost: Lost, operator: Playbooks) -> None:
    """The control plane is back as it was at the recovery point, and pods on the worker never stopped."""
    bench = lost.bench
    clock = bench.ready_clock()
    clock.start()
    finished = succeeded(operator.run("recover_cluster", CONFIRMED))
    clock.close()
    bench.figures.logs["recover_cluster"] = finished
    changed_at = first_change(finished.report)
    assert changed_at is not None
    assert clock.all_ready_at is not None
    bench.figures.ready_seconds["control planes"] = clock.all_ready_at - changed_at
    print(f"first change to API ready on every control plane: {bench.figures.ready_seconds['control planes']:.1f} s; whole playbook {finished.seconds:.1f} s")
    bench.verify(lost.memory, bench.expected(rolled_back=True, rebuilt=bench.control_plane, marker=lost.marker, since=lost.since))
    relisted(lost.client, bench, lost.marker)
