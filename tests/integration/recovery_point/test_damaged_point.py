# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A damaged recovery point, as a recovery meets it: refused, used when told so by name, never silently, and never for what is needed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.integration import playbooks
from tests.integration.recovery_point.playing import Stage, Task, role, staged
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, flip, make_pki_files, make_tar

COLLECTION, NEIGHBOUR, WORKER = "collection/collection.tar.zst.age", "pki/cp1.tar.zst.age", "pki/w1.tar.zst.age"


@pytest.fixture
def points(stage: Stage) -> tuple[Manifest, Manifest]:
    """Two recovery points of a control plane and a worker, the older first; and an inventory that knows where they lie."""
    (stage.directory / "group_vars").mkdir()
    (stage.directory / "group_vars" / "all.yml").write_text(
        yaml.safe_dump(
            {
                "lifeboat_location": {"type": "directory", "path": str(stage.root)},
                "lifeboat_identity_files": [str(stage.keys.identity_file)],
                "lifeboat_signing_key": str(stage.keys.signing_key),
                "lifeboat_allowed_signers": str(stage.keys.allowed_signers),
            }
        )
    )
    return sealed(stage, "2026-11-20T12:00:00Z"), sealed(stage, "2026-11-20T13:00:00Z")


def sealed(stage: Stage, taken_at: str) -> Manifest:
    """A recovery point of both machines."""
    opening = stage.open()
    artifacts = [
        stage.add(opening.id, "collection", "collection", make_tar({"galaxy.yml": b"name: cluster"})),
        stage.add(opening.id, "etcd", "cp1", make_tar({"notes": b"none"})),
        stage.add(opening.id, "pki", "cp1", make_tar(make_pki_files()), inspect=True),
        stage.add(opening.id, "pki", "w1", make_tar({"ca.crt": b"public"})),
    ]
    return stage.seal(opening.id, artifacts, taken_at=taken_at)


def damage(stage: Stage, manifest: Manifest, *artifacts: str) -> None:
    """Flip a bit of each."""
    for name in artifacts:
        flip(stage.path(names.artifact_key(CLUSTER, manifest.id, name)), 300)


def recovery(level: str = "restored", **plan: Any) -> list[tuple[str, list[Task]]]:
    """The plays of a recovery of one worker, as far as a recovery point is concerned."""
    planned = {"source": "recovery_point", "file_hosts": ["w1"], "etcd_hosts": [], **plan}
    components = {"platform_components": ["pki", "etcd"], "platform_node": {"etcdutl": None, "lock": None, "now_epoch": 0}}
    restored = "{{ platform_plan.file_hosts + (platform_plan.etcd_hosts if platform_plan.source == 'recovery_point' else []) }}"
    recording = role(
        "recovery_point",
        "record",
        recovery_point_result_kind="restore",
        recovery_point_result_level=level,
        recovery_point_result_hosts=restored,
        recovery_point_result_components="{{ ['pki'] + (['etcd'] if platform_plan.etcd_hosts else []) }}",
    )
    ending: list[Task] = [recording, role("report", "finish")]
    planning = [{"ansible.builtin.set_fact": {"platform_plan": planned}}, staged("plan", "started"), role("recovery_point", "needs"), staged("plan", "ended")]
    return [
        ("localhost", [role("recovery_point", "verify")]),
        ("cp1,w1", [{"ansible.builtin.group_by": {"key": "etcd"}}, {"ansible.builtin.set_fact": components}]),
        ("localhost", planning),
        ("w1", [role("recovery_point", "push", recovery_point_artifact=WORKER), role("recovery_point", "sweep")]),
        ("localhost", ending),
    ]


def appended(stage: Stage, point: str) -> list[results.Result]:
    """What was appended beside a point, in its order."""
    found = results.names_of(stored.key for stored in stage.location.list(names.results_prefix(CLUSTER)))
    ordered = sorted(found.get(point, []), key=lambda name: (name.at, not name.passed))
    return [results.read_believed(stage.location, name, CLUSTER, point, stage.keys.trust) for name in ordered]


def option(stdout: str) -> tuple[str, ...]:
    """What the refusal tells to copy, word for word."""
    found = re.search(r"-e recovery_point_id=\S+ -e '[^']*lifeboat_accept_damaged[^']*'", " ".join(stdout.split()))
    assert found, stdout
    identifier, extra = re.fullmatch(r"-e (\S+) -e '([^']*)'", found.group()).groups()
    return "-e", identifier, "-e", extra


def test_damage_that_a_recovery_does_not_need_is_accepted_by_name_and_shown(stage: Stage, points: tuple[Manifest, Manifest]) -> None:
    """Refused first; the refusal is followed word for word; the report, the result and the list say what was done."""
    point = points[1]
    damage(stage, point, COLLECTION, NEIGHBOUR)
    refused = stage.play(*recovery())
    assert refused.returncode != 0, refused.stdout
    check = stage.checks()["recovery_point.verified"]
    assert (check["passed"], check["severity"]) == (False, "error")
    assert appended(stage, point.id) == []

    done = stage.play(*recovery(), arguments=option(refused.stdout))
    assert done.returncode == 0, done.stdout
    checks = stage.checks()
    check = checks["recovery_point.verified"]
    assert (check["passed"], check["severity"]) == (False, "warning")
    assert check["found"].startswith(f"damaged, and accepted by name: {COLLECTION}, {NEIGHBOUR}; ")
    assert checks["recovery_point.needed_intact"]["passed"] is True
    report = json.loads((newest_run(stage) / "report.json").read_text())
    assert any(COLLECTION in str(note) for note in report["notes"])
    assert report["counts"]["warning"] >= 1

    restore, verification = appended(stage, point.id)
    assert (restore.kind, restore.level, restore.verdict, restore.hosts, restore.components) == ("restore", "listed", "passed", ["w1"], ["pki"])
    assert restore.damaged == [COLLECTION, NEIGHBOUR]
    assert (verification.kind, verification.level, verification.verdict) == ("verification", "opened", "failed")
    assert verification.damaged == [COLLECTION, NEIGHBOUR]
    row = stage.catalog().get(point.id).row(names.now())
    assert (row["verified"], row["verified_at"]) == (False, None)


def newest_run(stage: Stage) -> Path:
    """The directory of the newest run."""
    return max(stage.runs.iterdir(), key=lambda path: (path / "salt").stat().st_mtime_ns)


def test_what_a_recovery_needs_is_never_accepted(stage: Stage, points: tuple[Manifest, Manifest]) -> None:
    """The plan ends it, before anything is brought anywhere, and names where another copy is."""
    older, point = points
    damage(stage, point, COLLECTION, WORKER)
    accepting = ("-e", json.dumps({"lifeboat_accept_damaged": [COLLECTION, WORKER]}))
    done = stage.play(*recovery(), arguments=accepting)
    assert done.returncode != 0, done.stdout
    check = stage.checks()["recovery_point.needed_intact"]
    assert (check["passed"], check["severity"]) == (False, "error")
    assert WORKER in check["found"]
    assert COLLECTION not in check["found"]
    assert f"{WORKER} is also in {older.id}. Choose one that is whole: -e recovery_point_id=<id>" in check["remedy"]
    assert not list(Path("/var/tmp").glob(f"lifeboat-{newest_run(stage).name}-*"))
    # And it leads on.
    done = stage.play(*recovery(), arguments=("-e", f"recovery_point_id={older.id}"))
    assert done.returncode == 0, done.stdout
    (result,) = appended(stage, older.id)
    assert (result.level, result.damaged) == ("opened", [])


def test_a_damaged_artifact_that_is_pushed_all_the_same_fails_by_itself(stage: Stage, points: tuple[Manifest, Manifest]) -> None:
    damage(stage, points[1], WORKER)
    verifying, _looking, _planning, pushing, _recording = recovery()
    done = stage.play(verifying, pushing, arguments=("-e", json.dumps({"lifeboat_accept_damaged": [WORKER]})))
    assert done.returncode != 0, done.stdout
    assert f"{WORKER} is damaged and cannot be opened" in done.stdout
    assert not stage.plain_files()


@pytest.mark.parametrize(
    ("plan", "level", "expected"),
    [
        ({"etcd_hosts": ["cp1"]}, "opened", "restored"),
        ({"etcd_hosts": ["cp1"]}, "listed", "listed"),
    ],
)
def test_a_restore_is_recorded_at_the_level_that_was_proven(
    stage: Stage, points: tuple[Manifest, Manifest], plan: dict[str, Any], level: str, expected: str
) -> None:
    """A worker that came back is no proof of etcd; a point that nobody opened is not proven by it."""
    done = stage.play(*recovery(**plan), arguments=("-e", f"recovery_point_level={level}"))
    assert done.returncode == 0, done.stdout
    (result,) = appended(stage, points[1].id)
    assert (result.kind, result.level, result.hosts) == ("restore", expected, sorted({"w1", *plan.get("etcd_hosts", [])}))
    assert stage.catalog().get(points[1].id).row(names.now())["verified"] is (expected in ("opened", "restored"))


@pytest.mark.parametrize("playbook", ["verify_recovery_point", "verify_recovery_points"])
def test_a_verification_accepts_nothing_and_its_result_names_the_damage(stage: Stage, points: tuple[Manifest, Manifest], playbook: str) -> None:
    """Whatever an inventory or a job has been told to accept."""
    damage(stage, points[1], COLLECTION)
    command = [playbooks.PROGRAM, "--inventory", str(stage.directory / "hosts.yml"), f"lifeboat.cluster.{playbook}"]
    command += ["--extra-vars", json.dumps({"lifeboat_accept_damaged": [COLLECTION]})]
    done = playbooks.run(command, stage.directory, stage.environment())
    assert done.returncode != 0, done.stdout
    (result,) = appended(stage, points[1].id)
    assert (result.kind, result.verdict, result.damaged) == ("verification", "failed", [COLLECTION])
    # Journal of the run: the check is not met, and names what is damaged.
    found = [record["found"] for record in Journal(str(newest_run(stage))).read() if record["kind"] == "check" and record["id"] == "recovery_point.verified"]
    assert any(text.startswith(f"damaged: {COLLECTION}; ") for text in found)
