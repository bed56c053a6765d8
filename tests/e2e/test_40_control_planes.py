# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All control planes are lost, the worker lives: what is checked before, what a plan predicts, and the recovery."""

from __future__ import annotations

import time

from tests.drill.playbooks import Playbooks
from tests.drill.steps import first_change
from tests.e2e.bench import LAB, Bench, refused, relisted, succeeded
from tests.e2e.footprint import assert_untouched

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
IMAGE_OF = "kube-apiserver"


def test_bare_control_planes(living: Bench, operator: Playbooks) -> None:
    """In the order in which an operator would meet them: a full disk, a missing image, a wrong name, a plan, the recovery."""
    bench = living
    marker = bench.mark("after-the-point")
    memory = bench.memory()
    client = bench.watch()
    bench.bare(*bench.control_plane)
    since = time.time()
    bare = bench.footprints()

    with_full_disk(bench, operator)
    without_an_image(bench, operator)
    refused(operator.run("recover_cluster", {"confirm_cluster_name": "production"}), "confirm_cluster_name", LAB)
    assert_untouched(bare, bench.footprints())

    plan = operator.run("recover_cluster", CONFIRMED, check=True)
    assert plan.status == 0, plan.tail()
    assert "rebuild_cluster" in plan.message()
    assert "/etc/kubernetes/pki/apiserver.crt" in plan.output, "check mode with diff does not predict which files come back"
    assert_untouched(bare, bench.footprints())

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
    bench.verify(memory, bench.expected(rolled_back=True, rebuilt=bench.control_plane, marker=marker, since=since))
    relisted(client, bench, marker)


def with_full_disk(bench: Bench, operator: Playbooks) -> None:
    """There is no room for etcd's data on one machine."""
    name = bench.control_plane[1]
    bench.lab.break_("fill-etcd-disk", name)
    try:
        before = bench.footprints()
        refused(operator.run("recover_cluster", CONFIRMED), name, "/var/lib/etcd")
        assert_untouched(before, bench.footprints())
    finally:
        bench.lab.heal("fill-etcd-disk", name)


def without_an_image(bench: Bench, operator: Playbooks) -> None:
    """One machine has another Kubernetes version: the image that the captured manifest names is not there."""
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
