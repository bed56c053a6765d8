# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module recovery_point: opens, seals, appends results; check mode, diff, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest, Opening
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.results import Result
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.modules import recovery_point
from tests.unit.plugins.module_utils._recovery_point.aging import Past
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, SECRETS, Maker, assert_no_secrets, make_keys, make_pki_files, make_tar

POINT = "20261120T133500Z-1a2b3c"


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    """Makes points in an empty location."""
    return Maker(tmp_path, make_keys(tmp_path / "keys"))


class Runner:
    """Calls the module as Ansible does."""

    def __init__(self, maker: Maker, capsys: pytest.CaptureFixture[str]) -> None:
        self._maker = maker
        self._capsys = capsys

    def __call__(self, state: str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {"location": {"path": str(self._maker.root)}, "cluster_name": CLUSTER, "state": state, "_ansible_check_mode": check_mode, **options}
        self._capsys.readouterr()
        with patch_module_args(arguments), pytest.raises(SystemExit):
            recovery_point.main()
        answer: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return answer

    def seal(self, point: str, components: tuple[str, ...] = ("etcd", "pki"), check_mode: bool = False, **options: Any) -> dict[str, Any]:
        """Seal with small artifacts."""
        artifacts = [self._maker.add(point, component, "cp1", make_tar({"file": b"content"})).to_record() for component in components]
        return self.seal_these(point, artifacts, check_mode, **options)

    def seal_these(self, point: str, artifacts: list[dict[str, Any]], check_mode: bool = False, **options: Any) -> dict[str, Any]:
        """Seal with given records."""
        keys = self._maker.keys
        given = {"signing_key": str(keys.signing_key), "allowed_signers": str(keys.allowed_signers), "recipients": [keys.recipient], **options}
        return self("sealed", check_mode, id=point, artifacts=artifacts, **{name: value for name, value in given.items() if value is not None})


@pytest.fixture
def run(maker: Maker, capsys: pytest.CaptureFixture[str]) -> Runner:
    """Calls the module."""
    return Runner(maker, capsys)


def test_opened_writes_the_opening_and_shows_it(run: Runner, maker: Maker) -> None:
    answer = run("opened", run_id="run-1", retain_days=10)
    assert answer["changed"] is True
    opening = Opening.from_bytes(maker.path(names.open_key(CLUSTER, answer["id"])).read_bytes())
    assert answer["opening"] == answer["diff"]["after"] == opening.to_record()
    assert answer["diff"]["before"] == {}
    assert answer["seen_before"] == []
    kept = names.parse_time(opening.retain_until) - names.parse_time(opening.opened_at)
    # Opened a moment after it was said for how long: with a location in between.
    assert round(kept.total_seconds() / 86_400, 1) == 10
    again = run("opened", run_id="run-1", id=answer["id"])
    assert (again["changed"], again["id"]) == (False, answer["id"])
    assert again["diff"]["before"] == again["diff"]["after"]


def test_points_from_the_future_are_named_where_one_begins(run: Runner, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(adapter.Call, "warn", lambda _call, text: warnings.append(text))
    late = Past(maker.location, maker.keys).point(names.parse_time("2031-01-01T10:00:00Z"))
    trusted = {"allowed_signers": str(maker.keys.allowed_signers)}
    answer = run("opened", **trusted)
    assert (answer["failed"], answer["error"]["kind"], answer["error"]["point"]) == (True, "TimeRefusedError", late)
    assert f"-e lifeboat_future_point={late}" in answer["msg"]
    # It is said once: from the next one on, the point from the future does not count.
    point = run("opened", future_point=late, **trusted)["id"]
    assert run.seal(point)["signed"] is True
    assert run("opened", **trusted)["changed"] is True
    assert len(warnings) == 2
    assert "Recovery points that are from the future by the clock of this controller" in warnings[0]
    assert f"are set aside: 1, the newest {late}" in warnings[0]


def journal_of(maker: Maker) -> Journal:
    """The journal of a run in which a stage has ended and the one that seals is open."""
    journal = Journal(str(maker.run_directory))
    journal.create()
    check = {"kind": "check", "title": "t", "expected": "e", "found": SECRETS["password"], "remedy": "r", "task": "x"}
    journal.append(
        {"kind": "run_begin", "time": "2026-11-20T13:00:00.000Z", "run_id": "r"},
        {"kind": "stage_start", "time": "2026-11-20T13:00:01.000Z", "stage": "backup", "host": "cp1"},
        {**check, "time": "2026-11-20T13:00:02.000Z", "stage": "backup", "host": "cp1", "id": "etcd.whole", "passed": True, "severity": "error"},
        {**check, "time": "2026-11-20T13:00:02.000Z", "stage": "backup", "host": "cp1", "id": "etcd.fit", "passed": False, "severity": "warning"},
        {**check, "time": "2026-11-20T13:00:02.000Z", "stage": "backup", "host": "cp1", "id": "etcd.unseen", "passed": "not_evaluated", "severity": "error"},
        {"kind": "stage_end", "time": "2026-11-20T13:00:03.500Z", "stage": "backup", "host": "cp1", "status": "passed"},
        {"kind": "stage_start", "time": "2026-11-20T13:00:03.600Z", "stage": "half", "host": "cp1"},
        {"kind": "stage_start", "time": "2026-11-20T13:00:03.600Z", "stage": "half", "host": "gone"},
        {**check, "time": "2026-11-20T13:00:03.700Z", "stage": "half", "host": "cp1", "id": "half.a", "passed": True, "severity": "error"},
        {**check, "time": "2026-11-20T13:00:03.700Z", "stage": "half", "host": "gone", "id": "half.b", "passed": True, "severity": "error"},
        {"kind": "stage_end", "time": "2026-11-20T13:00:03.800Z", "stage": "half", "host": "cp1", "status": "passed"},
        {"kind": "stage_start", "time": "2026-11-20T13:00:04.000Z", "stage": "seal", "host": "localhost"},
        {**check, "time": "2026-11-20T13:00:05.000Z", "stage": "seal", "host": "localhost", "id": "recovery_point.early", "passed": True, "severity": "error"},
    )
    return journal


def test_the_manifest_says_what_the_journal_said(run: Runner, maker: Maker) -> None:
    """Ended stages only, without what was found; sealed again later, it is the same point and no change."""
    journal = journal_of(maker)
    point = run("opened")["id"]
    answer = run.seal(point, run_directory=str(maker.run_directory))
    stored = maker.path(names.manifest_key(CLUSTER, point)).read_bytes()
    manifest = Manifest.from_bytes(stored)
    assert_no_secrets(stored.decode())
    assert manifest.durations == {"backup": 2.5}
    assert manifest.checks == [
        {"id": "etcd.fit", "host": "cp1", "passed": False, "severity": "warning", "stage": "backup"},
        {"id": "etcd.unseen", "host": "cp1", "passed": "not_evaluated", "severity": "error", "stage": "backup"},
        {"id": "etcd.whole", "host": "cp1", "passed": True, "severity": "error", "stage": "backup"},
        {"id": "half.a", "host": "cp1", "passed": True, "severity": "error", "stage": "half"},
    ]
    journal.append({"kind": "stage_end", "stage": "seal", "host": "localhost", "status": "passed"})
    again = run.seal_these(point, answer["manifest"]["artifacts"], run_directory=str(maker.run_directory))
    assert (again["changed"], again["manifest"]) == (False, answer["manifest"])


def test_given_checks_win_and_a_lost_journal_is_a_warning(run: Runner, maker: Maker, warned: list[str]) -> None:
    journal_of(maker)
    point = run("opened")["id"]
    answer = run.seal(point, run_directory=str(maker.run_directory), checks=[{"id": "x"}], check_mode=True)
    assert (answer["manifest"]["checks"], answer["manifest"]["durations"]) == ([{"id": "x"}], {})
    shutil.rmtree(maker.run_directory / "journal")
    point = run("opened")["id"]
    answer = run.seal(point, run_directory=str(maker.run_directory))
    assert (answer["changed"], answer["manifest"]["checks"]) == (True, [])
    assert "says nothing of the run that made it" in " ".join(warned)


def test_opened_in_check_mode_changes_nothing(run: Runner, maker: Maker) -> None:
    answer = run("opened", check_mode=True)
    assert answer["changed"] is True
    assert names.is_point_id(answer["id"])
    assert maker.files() == []


def test_sealed_writes_the_manifest_and_again_is_no_change(run: Runner, maker: Maker) -> None:
    point = run("opened", retain_until="2030-01-01T00:00:00Z")["id"]
    predicted = run.seal(point, check_mode=True)
    assert predicted["changed"] is True
    assert maker.location.size(names.manifest_key(CLUSTER, point)) is None
    artifacts = predicted["manifest"]["artifacts"]
    answer = run.seal_these(point, artifacts, etcd={"revision": 4711})
    assert (answer["changed"], answer["signed"], answer["unlisted"]) == (True, True, [])
    assert answer["manifest"] == Manifest.from_bytes(maker.path(names.manifest_key(CLUSTER, point)).read_bytes()).to_record()
    assert answer["size_bytes"] == sum(artifact["sealed_size_bytes"] for artifact in artifacts)
    assert answer["diff"]["after"]["artifacts"] == ["etcd/cp1.tar.zst.age", "pki/cp1.tar.zst.age"]
    again = run.seal_these(point, artifacts, etcd={"revision": 4711})
    assert (again["changed"], again["manifest"]) == (False, answer["manifest"])
    assert maker.catalog().select("latest").id == point


def test_sealed_in_check_mode_without_a_point_predicts(run: Runner) -> None:
    answer = run.seal_these(POINT, [], check_mode=True)
    assert (answer["changed"], answer["manifest"]) == (True, None)


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module warned of. Where Ansible's controller side is loaded too, warnings do not come back in results."""
    said: list[str] = []
    monkeypatch.setattr(adapter.Call, "warn", lambda _call, text: said.append(text))
    return said


def test_sealing_without_a_key_warns(run: Runner, warned: list[str]) -> None:
    answer = run.seal(run("opened")["id"], signing_key=None, allowed_signers=None)
    assert answer["signed"] is False
    assert "is not signed" in " ".join(warned)


def test_sealing_warns_of_what_is_not_in_the_manifest(run: Runner, maker: Maker, warned: list[str]) -> None:
    point = run("opened")["id"]
    maker.add(point, "node_config", "w1", make_tar({}))
    answer = run.seal(point)
    assert answer["unlisted"] == [f"shop/points/{point}/artifacts/node_config/w1.tar.zst.age"]
    assert "not part of it" in " ".join(warned)


@pytest.mark.parametrize(
    ("components", "options", "kind", "words"),
    [
        (("etcd",), {}, "PointIncompleteError", "nothing of pki"),
        (("pki",), {}, "PointIncompleteError", "nothing of etcd"),
        (("etcd", "pki"), {"signing_key": "/nonexistent"}, "SigningUnavailableError", "signing key is not there"),
        (("etcd", "pki"), {"taken_at": "yesterday"}, "ManifestError", "taken_at"),
        (("etcd", "pki"), {"recipients": []}, "ManifestError", "recipients is empty"),
    ],
)
def test_what_cannot_be_sealed_is_refused(run: Runner, maker: Maker, components: tuple[str, ...], options: dict[str, Any], kind: str, words: str) -> None:
    point = run("opened")["id"]
    answer = run.seal(point, components, **options)
    assert answer["failed"] is True
    assert answer["error"]["kind"] == kind
    assert words in answer["msg"]
    assert maker.location.size(names.manifest_key(CLUSTER, point)) is None


def test_a_point_that_was_not_opened_is_refused(run: Runner) -> None:
    answer = run.seal_these(POINT, [])
    assert answer["error"]["kind"] == "NoRecoveryPointError"
    assert "What to do" in answer["msg"]


def test_a_location_that_is_not_there_is_refused(run: Runner, maker: Maker) -> None:
    answer = run("opened", location={"path": str(maker.root / "nowhere")})
    assert answer["error"]["kind"] == "LocationVanishedError"
    assert "prepare_location" in answer["error"]["remedy"]


def test_a_result_is_appended_and_in_check_mode_not(run: Runner, maker: Maker) -> None:
    result = {"kind": "verification", "level": "opened", "passed": False, "details": {"why": "flipped byte"}}
    predicted = run("result", check_mode=True, id=POINT, result=result)
    assert (predicted["changed"], "result_key" in predicted, maker.files()) == (True, False, [])
    answer = run("result", id=POINT, result=result, highest_revision=5, run_id="run-1", signing_key=str(maker.keys.signing_key))
    assert "-verification-opened-failed-" in answer["result_key"]
    stored = Result.from_bytes(maker.path(answer["result_key"]).read_bytes())
    assert (stored.verdict, stored.highest_revision, stored.run_id, stored.details) == ("failed", 5, "run-1", {"why": "flipped byte"})
    assert maker.path(answer["result_key"] + ".sig").exists()
    assert answer["diff"]["after"] == {"kind": "verification", "level": "opened", "verdict": "failed"}


def test_a_restore_is_recorded_with_what_was_done_and_at_no_higher_level(run: Runner, maker: Maker) -> None:
    """A worker that came back proves nothing of etcd, and a point that was only listed is not proven by it at all: the name says so."""
    worker = {"kind": "restore", "level": "restored", "passed": True, "verified_level": "opened", "hosts": ["w1"], "components": ["pki", "node_config"]}
    answer = run("result", id=POINT, result=worker)
    assert (answer["level"], "-restore-opened-passed-" in answer["result_key"]) == ("opened", True)
    stored = Result.from_bytes(maker.path(answer["result_key"]).read_bytes())
    assert (stored.hosts, stored.components) == (["w1"], ["node_config", "pki"])
    assert answer["diff"]["after"]["hosts"] == ["w1"]
    assert run("result", id=POINT, result={**worker, "verified_level": "listed"})["level"] == "listed"
    assert run("result", id=POINT, result={**worker, "components": ["etcd"]})["level"] == "restored"
    assert run("result", id=POINT, result={**worker, "components": ["etcd"], "damaged": ["pki/w2.tar.zst.age"]})["level"] == "listed"


@pytest.mark.parametrize("state", ["sealed", "result"])
def test_options_that_a_state_needs_are_asked_for(run: Runner, state: str) -> None:
    answer = run(state)
    assert answer["failed"] is True
    assert "id" in answer["msg"]


def test_results_hold_no_secrets(run: Runner, maker: Maker) -> None:
    point = run("opened")["id"]
    artifacts = [
        maker.add(point, "etcd", "cp1", make_tar({"file": b"content"})).to_record(),
        maker.add(point, "pki", "cp1", make_tar(make_pki_files()), inspect=True).to_record(),
    ]
    answer = run.seal_these(point, artifacts)
    assert answer["manifest"]["artifacts"][1]["contents"]["encryption"]
    assert_no_secrets(json.dumps(answer))
