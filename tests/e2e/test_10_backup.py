# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh cluster passes the verification that recovered ones are judged by, and the backup of it is what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.drill.playbooks import Playbooks
from tests.e2e.bench import LAB, Bench, refused, succeeded
from tests.e2e.conftest import Silence
from tests.e2e.damage import Copy

COMPONENTS = {"etcd", "pki", "node_config"}
KIT = {"tools", "inventory", "collection"}


def test_a_fresh_cluster_passes(living: Bench) -> None:
    """Else the verification says nothing about recovered ones."""
    living.verify(living.memory(), living.expected(rolled_back=False, rebuilt=()))


def test_the_backup_is_complete(bench: Bench) -> None:
    """Every component of every machine is in the point, and nothing is missing."""
    manifest = bench.baseline.manifest
    assert manifest["status"] == "completed"
    assert {artifact["component"] for artifact in manifest["artifacts"]} == COMPONENTS | KIT
    held = {(artifact["component"], artifact["host"]) for artifact in manifest["artifacts"]}
    assert {("pki", name) for name in bench.control_plane} <= held
    assert {("node_config", name) for name in bench.machines} <= held
    assert bench.baseline.backup.report["verdict"] == "passed"


def test_the_backup_changed_nothing(living: Bench, directory: Path) -> None:
    """A second backup leaves every machine as it was."""
    before = living.footprints()
    location = directory / "location"
    location.mkdir(mode=0o700)
    succeeded(living.playbooks(directory, location, living.writing()).run("backup_cluster"))
    after = living.footprints()
    changes = {name: found for name in before if (found := before[name].changes(after[name]))}
    assert not changes


def test_points_are_listed_and_verified(bench: Bench, operator: Playbooks) -> None:
    """Both reading playbooks, with every extra variable as text, as surveys and -e k=v deliver them."""
    as_text = [
        "-e",
        f"recovery_point_id={bench.baseline.point}",
        "-e",
        "rpo_target_seconds=3600",
        "-e",
        "rto_target_seconds=600",
        "-e",
        "recovery_point_level=opened",
    ]
    listed = succeeded(operator.run("list_recovery_points", options=as_text))
    assert bench.baseline.point in listed.output
    verified = succeeded(operator.run("verify_recovery_point", options=as_text))
    assert any(check["id"] == "recovery_point.verified" and check["passed"] is True for check in verified.report["checks"])


def test_a_damaged_point_is_recorded_as_such(bench: Bench, operator: Playbooks, location: Path) -> None:
    """A verification that fails is appended to the point like one that succeeds, and the list says so."""
    point = bench.baseline.point
    succeeded(operator.run("verify_recovery_point"))
    verdicts = location / LAB / "results" / point
    assert [path.name for path in verdicts.glob("*-verification-opened-passed-*.json")]
    row = rf"{point} +complete +completed .* %s \d+m +- +- +etcd"
    assert re.search(row % "opened", succeeded(operator.run("list_recovery_points")).output)

    Copy(location, LAB, point, bench.keys).flip("etcd/")
    refused(operator.run("verify_recovery_point"), "etcd/", point)
    assert [path.name for path in verdicts.glob("*-verification-opened-failed-*.json")]
    assert re.search(row % "FAILED", succeeded(operator.run("list_recovery_points")).output)


def test_secrets_stay_secret_in_a_backup(bench: Bench, silence: Silence) -> None:
    """Said at -vvv, written into journal, report and recovery point: none of it holds a secret, and nothing is left on a machine's disk."""
    session = bench.baseline.location.parent
    hits = silence.outputs(session, besides=[bench.keys.directory])
    assert not hits, "\n".join(map(str, hits))
    assert not [name for name, footprint in bench.footprints().items() if footprint.left]


def test_a_search_finds_what_it_looks_for(silence: Silence, planted: dict[str, str], directory: Path) -> None:
    """The search itself is proven on every form."""
    for value in planted.values():
        (directory / "planted.json").write_text(json.dumps({"deep": json.dumps({"value": value})}))
        assert silence.outputs(directory, [])
