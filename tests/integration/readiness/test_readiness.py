# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""report_readiness and prove_recipients as a user calls them, on a real location; and the example alerts in a real promtool."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.debian_programs import unpacked
from tests.integration import playbooks
from tests.unit.plugins.module_utils._recovery_point.aging import Past
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys, Maker, assert_no_secrets, make_keys

ROOT = Path(__file__).parents[3]
RULES = ROOT / "extensions" / "prometheus"


class Scene(Maker):
    """A location, an inventory, and the two playbooks."""

    def __init__(self, directory: Path, keys: Keys) -> None:
        super().__init__(directory, keys)
        self.directory = directory
        self.runs = directory / "runs"
        self.metrics = directory / "metrics" / "lifeboat.prom"
        self.metrics.parent.mkdir()
        self.variables: dict[str, Any] = {
            "lifeboat_cluster_name": CLUSTER,
            "lifeboat_runs_directory": str(self.runs),
            "lifeboat_location": {"type": "directory", "path": str(self.root)},
            "lifeboat_recipients": [keys.recipient],
            "lifeboat_identity_files": [str(keys.identity_file)],
            "lifeboat_signing_key": str(keys.signing_key),
            "lifeboat_allowed_signers": str(keys.allowed_signers),
            "lifeboat_metrics_file": str(self.metrics),
            "rpo_target_seconds": 86400,
        }

    def play(self, playbook: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the collection to its end."""
        hosts = {"control_plane": {"hosts": {"cp1": {"ansible_host": "192.0.2.1"}}}, "etcd": {"hosts": {"cp1": {}}}, "workers": {}, "admin": {}}
        (self.directory / "hosts.yml").write_text(json.dumps({"all": {"vars": {**self.variables, **more}, "children": hosts}}))
        command = ["--inventory", str(self.directory / "hosts.yml"), f"lifeboat.cluster.{playbook}", *arguments]
        return playbooks.play(self.directory, *command, VAULT_ADDR="https://vault.default.svc:8200")

    def checks(self) -> dict[str, Any]:
        """Whether each check of the newest run was met."""
        run = max(self.runs.iterdir(), key=lambda path: (path / "salt").stat().st_mtime_ns)
        return {record["id"]: record["passed"] for record in Journal(str(run)).read() if record["kind"] == "check"}

    def everything_written(self) -> str:
        """All text in run directories, metrics and results."""
        places = [*self.runs.rglob("*"), self.metrics, *self.root.rglob("results/**/*")]
        return "\n".join(path.read_text(errors="replace") for path in places if path.is_file())


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The keys of the cluster's owner."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def scene(tmp_path: Path, keys: Keys) -> Scene:
    """An empty location."""
    return Scene(tmp_path, keys)


def test_from_an_alarm_to_a_ready_cluster(scene: Scene, tmp_path: Path) -> None:
    """Unverified and unproven: it fails. A foreign key is refused. Verified and proven: it passes, with the circle as a warning; a rerun changes nothing."""
    authority = {"id": "cluster-ca", "type": "authority", "certificate": "/etc/kubernetes/pki/ca.crt"}
    point = scene.point(durations={"discover": 3}, nodes={"cp1": {"name": "cp1", "address": "192.0.2.1", "certificates": [authority]}})
    schedules = tmp_path / "schedules"
    schedules.mkdir()
    done = scene.play("report_readiness")
    assert done.returncode != 0, done.stdout
    assert re.search(r"etcd +UNVERIFIED", done.stdout), done.stdout
    checks = scene.checks()
    assert [name for name in ("readiness.fresh", "readiness.recipients_proven", "readiness.no_circle") if checks[name] is not False] == []
    assert (checks["readiness.signing"], checks["readiness.location_writable"], checks["readiness.points_sound"]) == (True, True, True)
    # The authority of the test's points ends after 30 days.
    assert (checks["readiness.certificates_valid"], checks["readiness.certificates_last"]) == (True, False)
    assert re.search(r"cp1 +/etc/kubernetes/pki/ca\.crt ends in (29|30) d", done.stdout), done.stdout
    assert 'certificate_end_timestamp_seconds{cluster="shop",machine="cp1"} ' in scene.metrics.read_text()
    # What cannot be computed is absent, and the rest is written though the run fails.
    assert 'lifeboat_rpo_target_seconds{cluster="shop",component="etcd"} 86400' in scene.metrics.read_text()
    assert "recovery_point_timestamp_seconds{" not in scene.metrics.read_text()

    stranger = make_keys(tmp_path / "stranger")
    done = scene.play("prove_recipients", lifeboat_identity_files=[str(scene.keys.identity_file), str(stranger.identity_file)])
    assert done.returncode != 0, done.stdout
    assert f"{stranger.recipient}  NO RECIPIENT of this point" in done.stdout
    assert (scene.checks()["readiness.keys_known"], scene.checks()["readiness.keys_open"]) == (False, True)
    assert_no_secrets(done.stdout)

    results.append(scene.location, results.new_result(CLUSTER, point.id, "verification", "opened", True, "none"), str(scene.keys.signing_key))
    done = scene.play("report_readiness", lifeboat_schedule_directory=str(schedules))
    assert done.returncode == 0, done.stdout
    assert "VAULT" not in done.stdout.replace("VAULT_ADDR", "")
    assert "vault.default.svc is a name that only the cluster's own name servers know" in done.stdout
    assert re.search(r"etcd +fresh", done.stdout), done.stdout
    assert len(list(schedules.iterdir())) == 7
    assert 'component="etcd"} ' in scene.metrics.read_text()
    assert f'lifeboat_recipient_proven_timestamp_seconds{{cluster="shop",recipient="{scene.keys.recipient}"}}' in scene.metrics.read_text()
    assert (scene.metrics.stat().st_mode & 0o777, [path.name for path in scene.metrics.parent.iterdir()]) == (0o644, [scene.metrics.name])
    checked = subprocess.run([promtool(), "check", "metrics"], input=scene.metrics.read_text(), capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    before = {path: path.stat().st_mtime_ns for path in schedules.iterdir()}

    # Text as extra vars are; and a target that is not kept.
    done = scene.play(
        "report_readiness", "-e", '{"lifeboat_rpo_targets": {"etcd": "1"}}', "-e", "lifeboat_recipient_proof_days=0", lifeboat_schedule_directory=str(schedules)
    )
    assert done.returncode != 0, done.stdout
    assert re.search(r"etcd +STALE", done.stdout), done.stdout
    assert "more than 0 days" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in schedules.iterdir()} == before
    assert_no_secrets(done.stdout + scene.everything_written())


def test_a_machine_that_is_in_no_fresh_point_is_an_alarm(scene: Scene) -> None:
    """The others are fresh; the check, the table and the metrics name the machine and the component. A point of 2031 helps nobody."""
    past, now = Past(scene.location, scene.keys), names.now()
    past.point(names.parse_time("2031-01-01T10:00:00Z"), machines=("cp1", "cp3"), retain_days=30)
    old = past.point(now - timedelta(days=10), machines=("cp1", "cp3"))
    past.point(now - timedelta(minutes=40), machines=("cp1",), lost=("cp3",))
    done = scene.play("report_readiness")
    assert done.returncode != 0, done.stdout
    assert re.search(rf"of cp3 +STALE +10 d +24 h +{old}", done.stdout), done.stdout
    assert f"pki of cp3 is stale: 10 d old ({old})" in re.sub(r"\s+", " ", done.stdout)
    checks = scene.checks()
    assert [checks[f"readiness.{name}"] for name in ("fresh", "every_host", "clock")] == [False, False, False]
    assert 'lifeboat_machine_without_recovery_point{cluster="shop",component="pki",machine="cp3"} 1' in scene.metrics.read_text()

    past.location.remove(names.manifest_key(CLUSTER, max(past.points_there())))
    past.result(past.point(now - timedelta(minutes=35), ("pki",), ("cp3",), machines=("cp3",)), now)
    done = scene.play("report_readiness")
    assert re.search(r"pki +fresh", done.stdout), done.stdout
    assert (scene.checks()["readiness.fresh"], scene.checks()["readiness.clock"]) == (True, True)


def test_a_proof_in_check_mode(scene: Scene) -> None:
    """A plan opens the point, and appends nothing."""
    scene.point()
    done = scene.play("prove_recipients", "--check", "-e", "recovery_point_prove_all=true")
    assert done.returncode == 0, done.stdout
    assert "opened pki/cp1.tar.zst.age, etcd/cp1.tar.zst.age" in done.stdout
    assert not (scene.root / names.results_prefix(CLUSTER)).exists()


# -- alerts -----------------------------------------------------------------------------------------------------------------------------


def promtool() -> Path:
    """Out of Debian's prometheus, which is not installed: it would start a server."""
    return unpacked("prometheus") / "usr" / "bin" / "promtool"


def played(directory: Path, rules: str) -> subprocess.CompletedProcess[str]:
    """Let promtool play the tests of the rules."""
    (directory / "lifeboat.rules.yml").write_text(rules)
    (directory / "lifeboat.rules_test.yml").write_bytes((RULES / "lifeboat.rules_test.yml").read_bytes())
    return subprocess.run(
        [promtool(), "test", "rules", "lifeboat.rules_test.yml"], cwd=directory, capture_output=True, text=True, timeout=playbooks.LIMIT_SECONDS, check=False
    )


def test_alerts_fire_and_keep_still(tmp_path: Path) -> None:
    """As the example says; and every rule matters: one that never fires, and one that always does, is noticed."""
    text = (RULES / "lifeboat.rules.yml").read_text()
    checked = subprocess.run([promtool(), "check", "rules", RULES / "lifeboat.rules.yml"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    good = played(tmp_path, text)
    assert good.returncode == 0, good.stdout + good.stderr
    for never_or_always in ("vector(1) == 2", "vector(1)"):
        rules = yaml.safe_load(text)
        for rule in rules["groups"][0]["rules"]:
            rule["expr"] = never_or_always
        broken = played(tmp_path, yaml.safe_dump(rules))
        assert broken.returncode != 0
        unnoticed = [rule["alert"] for rule in rules["groups"][0]["rules"] if f"alertname: {rule['alert']}," not in broken.stdout + broken.stderr]
        assert unnoticed == []


def test_alerts_name_metrics_that_are_written() -> None:
    """Every metric of a rule is one that readiness or a run writes."""
    written = "".join(path.read_text() for path in (ROOT / "plugins/module_utils").rglob("*.py") if path.name in ("readiness.py", "formats.py"))
    used = set(
        re.findall(r"\blifeboat_[a-z_]+", " ".join(rule["expr"] for rule in yaml.safe_load((RULES / "lifeboat.rules.yml").read_text())["groups"][0]["rules"]))
    )
    assert len(used) > 8
    assert [name for name in sorted(used) if f'"{name}"' not in written] == []
