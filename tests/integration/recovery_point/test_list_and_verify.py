# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks that list recovery points and verify those that are due, as a user calls them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.integration import playbooks
from tests.integration.recovery_point.playing import Stage
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, flip


def call(stage: Stage, playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook of the collection."""
    variables = {
        "lifeboat_location": {"type": "directory", "path": str(stage.root)},
        "lifeboat_identity_files": [str(stage.keys.identity_file)],
        "lifeboat_signing_key": str(stage.keys.signing_key),
        "lifeboat_allowed_signers": str(stage.keys.allowed_signers),
    }
    command = [
        playbooks.PROGRAM,
        "--inventory",
        str(stage.directory / "hosts.yml"),
        f"lifeboat.cluster.{playbook}",
        "--extra-vars",
        json.dumps(variables),
        *arguments,
    ]
    return playbooks.run(command, stage.directory, stage.environment(PWD=str(stage.directory)))


def test_points_that_are_due_are_verified_and_the_list_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged point stops no other and is named in the end; a key that does not fit is no point's fault; what was verified is not due again."""
    began = names.new_point_id().partition("-")[0]
    # Made within one second, ids would sort by chance, and not by which point saw which.
    ids = iter(f"{began}-{number:06x}" for number in range(3))
    monkeypatch.setattr(names, "new_point_id", lambda: next(ids))
    old, damaged, whole = (stage.point() for _number in range(3))
    flip(stage.path(names.artifact_key(CLUSTER, damaged.id, "pki/cp1.tar.zst.age")), 700)
    as_text = ("-e", "recovery_point_verify_limit=2", "-e", "recovery_point_level=opened", "-e", "recovery_point_verify_others=true")

    done = call(stage, "verify_recovery_points", *as_text)
    assert done.returncode == 2, done.stdout
    assert f"not proven: {damaged.id}" in done.stdout
    verdicts = {point: [name.passed for name in found] for point, found in written(stage).items()}
    assert verdicts == {whole.id: [True], damaged.id: [False]}
    checks = stage.checks()
    assert checks["recovery_point.due_verified"]["passed"] is False
    assert checks["recovery_point.others_listed"]["passed"] is True

    done = call(stage, "verify_recovery_points", *as_text, "-e", json.dumps({"lifeboat_identity_files": [str(other_key(stage))]}))
    assert done.returncode == 2, done.stdout
    assert f"not proven: {old.id}" in done.stdout
    assert written(stage).keys() == verdicts.keys()

    stage.path(names.signature_key(CLUSTER, old.id)).unlink()
    done = call(stage, "list_recovery_points", "-e", "lifeboat_list_limit=2", "-e", "lifeboat_output_file=points.json")
    assert done.returncode == 0, done.stdout
    assert re.search(rf"{damaged.id} +complete +completed .* FAILED \d+m +- +- +etcd pki", done.stdout)
    assert re.search(rf"{whole.id} +complete +completed .* opened \d+m +- +- +etcd pki", done.stdout)
    assert "2 of 3 points: 3 sealed" in done.stdout
    assert old.id not in done.stdout
    document = json.loads((stage.directory / "points.json").read_text())
    assert ([row["id"] for row in document["points"]], document["counts"]["all"]) == ([damaged.id, whole.id], 3)

    stage.path(names.manifest_key(CLUSTER, old.id)).unlink()
    done = call(stage, "list_recovery_points", "-e", "lifeboat_output=json", "-e", "lifeboat_list_filters=verified=false")
    assert done.returncode == 0, done.stdout
    shown = json.loads(re.search(r"^ok: \[localhost\] => (\{\n.*?^\})$", done.stdout, flags=re.DOTALL | re.MULTILINE).group(1))["msg"]
    assert [row["id"] for row in shown["points"]] == [old.id, damaged.id]
    assert shown["gaps"] == [old.id]
    assert stage.checks()["recovery_point.no_gap"]["passed"] is False


def written(stage: Stage) -> dict[str, list[results.ResultName]]:
    """The results that lie in the location."""
    return results.names_of(stored.key for stored in stage.location.list(names.results_prefix(CLUSTER)))


def other_key(stage: Stage) -> Path:
    """A private key to which nothing is sealed."""
    path = stage.directory / "other.key"
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    return path
