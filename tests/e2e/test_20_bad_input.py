# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input against a living cluster: each is refused with a clear text before the first change, which is proven on every machine.

The playbook is restore_etcd, the only one that would destroy a living cluster; all tests share the lab, and none needs a recovery.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.drill.members import etcdctl
from tests.drill.playbooks import Playbooks, settings
from tests.e2e import inventories
from tests.e2e.bench import LAB, Bench, refused
from tests.e2e.damage import Copy, strangers
from tests.e2e.footprint import assert_untouched
from tests.lab import versions

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
OTHER = "another-cluster"
FAR = 500_000_000


def _minor_after(version: str) -> str:
    major, minor = version.split(".")[:2]
    return f"{major}.{int(minor) + 1}"


# Later than what runs here.
ETCD_SINCE = _minor_after(versions.ETCD)
KUBERNETES_SINCE = f"{_minor_after(versions.KUBERNETES)}.0"


@dataclass(frozen=True)
class Case:
    """One kind of bad input, and what has to be said about it."""

    id: str
    texts: tuple[str, ...]
    damage: Callable[[Copy], None] | None = None
    variables: dict[str, object] = field(default_factory=dict)
    inventory: Callable[[inventories.Groups], None] | None = None
    options: tuple[str, ...] = ()


def _edit_revision(record: dict[str, Any]) -> None:
    record["etcd"]["revision"] += 1


def _edit_authority(record: dict[str, Any]) -> None:
    record["cluster_identity"]["ca_sha256"] = "0" * 64


def _edit_versions(name: str, version: str) -> Callable[[dict[str, Any]], None]:
    def edit(record: dict[str, Any]) -> None:
        assert name in record["versions"], sorted(record["versions"])
        record["versions"][name] = version

    return edit


def _edit_etcd_version(record: dict[str, Any]) -> None:
    record["etcd"]["server_version"] = record["etcd"]["storage_version"] = f"{ETCD_SINCE}.0"


CASES = (
    Case("a byte of the etcd snapshot is flipped", ("etcd/",), damage=lambda copy: copy.flip("etcd/")),
    Case("a byte of the keys is flipped", ("pki/cp2",), damage=lambda copy: copy.flip("pki/cp2")),
    Case("a byte of a control plane's configuration is flipped", ("node_config/cp1",), damage=lambda copy: copy.flip("node_config/cp1")),
    Case("a byte of a worker's configuration is flipped", ("node_config/w1",), damage=lambda copy: copy.flip("node_config/w1")),
    Case("an artifact is missing", ("pki/cp3", "is missing"), damage=lambda copy: copy.artifact("pki/cp3").unlink()),
    Case("the manifest was edited", ("does not agree with its signature",), damage=lambda copy: copy.edit(_edit_revision)),
    Case("the manifest is not signed", ("is not signed",), damage=lambda copy: copy.signature.unlink()),
    Case("a stranger signed the manifest", ("is signed by a stranger",), damage=lambda copy: copy.sign(strangers(copy.location.parent))),
    Case("the age key is another one", ("age",), variables={"lifeboat_identity_files": ["@strangers@/age.txt"]}),
    Case("no age key is given", ("lifeboat_identity_files",), variables={"lifeboat_identity_files": []}),
    Case("nobody is allowed to sign", ("lifeboat_allowed_signers",), variables={"lifeboat_allowed_signers": ""}),
    Case("the point lies under another cluster's name", (OTHER,), damage=lambda copy: copy.rename(OTHER), variables={"lifeboat_cluster_name": OTHER}),
    Case("the point is of another cluster", ("belong to another cluster", "cp1"), damage=lambda copy: copy.rewrite(_edit_authority)),
    Case("there is no such point", ("20200101T000000Z-abcdef",), variables={"recovery_point_id": "20200101T000000Z-abcdef"}),
    Case("what is given is no point at all", ("../../etc",), variables={"recovery_point_id": "../../etc"}),
    Case("the location is empty", ("no recovery point",), variables={"lifeboat_location": {"type": "directory", "path": "@empty@"}}),
    Case("the location is not there", ("/nowhere/at/all",), variables={"lifeboat_location": {"type": "directory", "path": "/nowhere/at/all"}}),
    Case("the confirmed name is another one", (LAB, "production", "confirm_cluster_name"), variables={"confirm_cluster_name": "production"}),
    Case("the confirmed name is empty", ("confirm_cluster_name",), variables={"confirm_cluster_name": ""}),
    Case("nothing is confirmed", ("confirm_cluster_name",), variables={"confirm_cluster_name": None}),
    Case("etcd was of another version", (ETCD_SINCE,), damage=lambda copy: copy.rewrite(_edit_etcd_version)),
    Case("Kubernetes was of another version", (KUBERNETES_SINCE,), damage=lambda copy: copy.rewrite(_edit_versions("kubelet", KUBERNETES_SINCE))),
    Case("a worker stands among the members", ("group etcd", "w1"), inventory=inventories.worker_as_member),
    Case("a member stands in no group", ("group etcd", "cp3"), inventory=inventories.member_missing),
    Case("the group etcd is empty", ("etcd",), inventory=inventories.no_etcd),
    Case("the group control_plane is empty", ("control_plane",), inventory=inventories.no_control_plane),
    Case("every group is empty", ("inventory",), inventory=inventories.nothing),
    Case("a limit cuts machines off", ("limit",), options=("--limit", "cp1,localhost")),
    Case("a limit cuts localhost off", ("limit",), options=("--limit", "control_plane")),
)


@pytest.fixture(scope="module")
def calm(bench: Bench) -> Bench:
    """A cluster that is whole, at the beginning of the table."""
    bench.living()
    return bench


def revision(bench: Bench) -> int:
    """Of the living etcd."""
    answer = etcdctl(bench.lab, bench.control_plane[0], "endpoint", "status", "-w", "fields")
    match = re.search(r'"Revision" : (\d+)', answer)
    assert match, answer
    return int(match.group(1))


def resolved(value: object, directory: Path) -> object:
    """A variable with the paths of this test in it."""
    if isinstance(value, dict):
        return {key: resolved(one, directory) for key, one in value.items()}
    if isinstance(value, list):
        return [resolved(one, directory) for one in value]
    if isinstance(value, str) and value.startswith("@"):
        _at, what, rest = value.split("@", 2)
        place = strangers(directory).directory if what == "strangers" else directory / what
        place.mkdir(exist_ok=True)
        return f"{place}{rest}"
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_bad_input_is_refused(calm: Bench, operator: Playbooks, directory: Path, location: Path, case: Case) -> None:
    """Says what is wrong, and every machine is as it was."""
    if case.damage:
        case.damage(Copy(location, LAB, calm.baseline.point, calm.keys))
    inventory = inventories.variant(calm.lab.inventory, directory / "inventory.yml", case.inventory) if case.inventory else None
    before, old_revision = calm.footprints(), revision(calm)
    variables = {key: resolved(value, directory) for key, value in {**CONFIRMED, **case.variables}.items()}
    finished = operator.run("restore_etcd", variables, inventory=inventory, options=case.options)
    assert_untouched(before, calm.footprints())
    refused(finished, *case.texts)
    assert old_revision <= revision(calm) < old_revision + FAR


def test_the_lock_of_another_run_is_respected(calm: Bench, operator: Playbooks, directory: Path) -> None:
    """A destructive run of another controller holds the machines: its owner is named, and nothing is taken from it."""
    run = "20261120T120000Z-recover_cluster-beef"
    owner = {"owner": {"run_id": run, "controller": "bastion.elsewhere.test", "controller_boot_id": "another", "pid": 1, "user": "somebody"}}
    module(calm, directory, "lifeboat.cluster.restore_record", {"state": "locked", "purpose": "recover_cluster", **owner})
    try:
        before = calm.footprints()
        finished = operator.run("restore_etcd", CONFIRMED)
        assert_untouched(before, calm.footprints())
        refused(finished, run, "bastion.elsewhere.test")
    finally:
        module(calm, directory, "lifeboat.cluster.restore_record", {"state": "unlocked", **owner})


def module(bench: Bench, directory: Path, name: str, arguments: dict[str, object]) -> None:
    """Run one module of the collection on all control-plane machines."""
    command = [str(Path(sys.executable).with_name("ansible")), "control_plane", "--inventory", str(bench.lab.inventory), "--module-name", name]
    command += ["--args", json.dumps(arguments)]
    done = subprocess.run(command, cwd=directory, env=settings(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_unreachable_machine_is_refused(calm: Bench, operator: Playbooks) -> None:
    """A machine that nobody can look at may hold a living member."""
    name = calm.control_plane[-1]
    before = calm.footprints()
    calm.close_connections()
    calm.lab.break_("cut-network", name)
    try:
        finished = operator.run("restore_etcd", CONFIRMED)
    finally:
        calm.lab.heal("cut-network", name)
    # Its controllers lose their leases while it is cut off and end themselves: containers may be new ones.
    assert_untouched(before, calm.footprints(), containers=False)
    refused(finished, name, "reached")


def test_a_full_disk_is_refused(calm: Bench, operator: Playbooks) -> None:
    """The restored data has to fit beside the old."""
    name = calm.control_plane[1]
    before = calm.footprints()
    calm.lab.break_("fill-etcd-disk", name)
    try:
        finished = operator.run("restore_etcd", CONFIRMED)
    finally:
        calm.lab.heal("fill-etcd-disk", name)
    calm.dirty = True
    assert_untouched(before, calm.footprints(), containers=False)
    refused(finished, name, "/var/lib/etcd")
    calm.living()


def test_nothing_to_recover_is_no_change(living: Bench, operator: Playbooks) -> None:
    """While quorum lives and no machine is bare, recover_cluster changes nothing and names the playbook that would."""
    before = living.footprints()
    finished = operator.run("recover_cluster", CONFIRMED)
    assert_untouched(before, living.footprints())
    assert finished.status == 0, finished.tail()
    assert "nothing to recover" in finished.message()
    assert "restore_etcd" in finished.message()
