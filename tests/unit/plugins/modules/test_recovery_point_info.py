# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module recovery_point_info: the table, one point, the levels, and every refusal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.modules import recovery_point_info
from tests.unit.plugins.module_utils._recovery_point.aging import Past
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Maker, assert_no_secrets, flip, make_keys, make_pki_files, make_tar

ETCD, PKI = "etcd/cp1.tar.zst.age", "pki/cp1.tar.zst.age"


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    """Makes points in an empty location."""
    return Maker(tmp_path, make_keys(tmp_path / "keys"))


class Runner:
    """Calls the module as Ansible does."""

    def __init__(self, maker: Maker, capsys: pytest.CaptureFixture[str]) -> None:
        self._maker = maker
        self._capsys = capsys

    def __call__(self, **options: Any) -> dict[str, Any]:
        keys = self._maker.keys
        arguments = {
            "location": {"path": str(self._maker.root)},
            "cluster_name": CLUSTER,
            "allowed_signers": str(keys.allowed_signers),
            "working_directory": str(self._maker.run_directory),
            **options,
        }
        if options.get("level") == "opened":
            arguments.setdefault("identity_files", [str(keys.identity_file)])
        self._capsys.readouterr()
        with patch_module_args({name: value for name, value in arguments.items() if value is not None}), pytest.raises(SystemExit):
            recovery_point_info.main()
        answer: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return answer


@pytest.fixture
def run(maker: Maker, capsys: pytest.CaptureFixture[str]) -> Runner:
    """Calls the module."""
    return Runner(maker, capsys)


def test_an_empty_location_gives_an_empty_table(run: Runner) -> None:
    answer = run(high_water_revision=True)
    assert (answer["points"], answer["high_water_revision"], answer["changed"]) == ([], 0, False)
    assert "high_water_revision" not in run()
    failed = run(id="latest")
    assert failed["error"]["kind"] == "NoRecoveryPointError"


def test_the_table_shows_points_of_every_kind(run: Runner, maker: Maker) -> None:
    sealed = maker.point(highest_revision=4711)
    opened = maker.open()
    broken = maker.point(sign=False)
    results.append(maker.location, results.new_result(CLUSTER, sealed.id, "drill", "booted", True, "r"))
    answer = run()
    states = {row["id"]: row["state"] for row in answer["points"]}
    assert states == {sealed.id: "complete", opened.id: "open", broken.id: "broken"}
    assert "manifest" not in answer
    assert run(id=sealed.id)["high_water_revision"] == 4711
    assert [row["verified"] for row in answer["points"] if row["id"] == sealed.id] == [True]
    abandoned = run(abandoned_after_seconds=-1)
    assert {row["id"]: row["state"] for row in abandoned["points"]}[opened.id] == "abandoned"


@pytest.mark.parametrize(("level", "checks"), [("none", 1), ("listed", 2), ("hashed", 3), ("opened", 5)])
def test_one_point_is_verified_to_its_level(run: Runner, maker: Maker, level: str, checks: int) -> None:
    manifest = maker.point()
    for wanted in ("latest", manifest.id):
        answer = run(id=wanted, level=level)
        assert (answer["id"], answer["passed"], answer["changed"]) == (manifest.id, True, False)
        assert answer["manifest"] == manifest.to_record()
        assert len(answer["checks"]) == checks
        assert all(set(entry) == {"id", "title", "passed", "found", "expected"} for entry in answer["checks"])
        assert answer["age_seconds"] >= 0
        assert len(answer["artifacts"]) == (0 if level == "none" else 2)


def test_opening_needs_a_key(run: Runner, maker: Maker) -> None:
    maker.point()
    answer = run(id="latest", level="opened", identity_files=[])
    assert answer["failed"] is True
    assert "identity" in answer["msg"]


def test_a_flipped_byte_is_an_error_that_names_the_artifact_or_a_failed_check(run: Runner, maker: Maker) -> None:
    manifest = maker.point()
    name = "pki/cp1.tar.zst.age"
    flip(maker.path(names.artifact_key(CLUSTER, manifest.id, name)), 700)
    assert run(id="latest", level="listed")["passed"] is True
    for level in ("hashed", "opened"):
        failed = run(id="latest", level=level)
        assert failed["error"]["kind"] == "PointRefusedError"
        assert name in failed["msg"]
        assert [entry["id"] for entry in failed["error"]["checks"] if not entry["passed"]][0] == "recovery_point_hashed"
        returned = run(id="latest", level=level, failed_checks="return")
        assert "failed" not in returned
        assert (returned["passed"], returned["judged"], returned["manifest"]["id"]) == (False, True, manifest.id)
        assert [record["name"] for record in returned["artifacts"] if record["problem"]] == [name]


def test_a_page_of_the_table_and_what_is_due(run: Runner, maker: Maker) -> None:
    made = sorted(maker.point().id for _number in range(3))
    results.append(maker.location, results.new_result(CLUSTER, made[2], "verification", "opened", True, "r"))
    answer = run(limit=1)
    assert ([row["id"] for row in answer["points"]], answer["counts"]["all"], answer["gaps"]) == ([made[2]], 3, [])
    assert (len(answer["table"]), answer["table"][-2]) == (4, "1 of 3 points: 3 sealed")
    assert not answer["write_once"]
    assert answer["table"][-1] == f"Not write-once: {answer['lacks']}"
    assert "files have no locks" in answer["lacks"]
    answer = run(limit=0, due={"limit": 1})
    assert (answer["points"], answer["due"]) == ([], [made[1]])
    # Extra variables arrive as text.
    answer = run(filters={"verified": "false", "states": "complete,tampered"}, limit="2")
    assert [row["id"] for row in answer["points"]] == made[:2]
    assert "is pruned" in run(filters={"states": ["is pruned"]})["msg"]
    answer = run(id=made[0])
    assert [row["id"] for row in answer["points"]] == [made[0]]
    assert "table" not in answer


def test_a_newer_point_that_cannot_be_used_is_named(run: Runner, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    # Not from the answer: ansible-core gathers the warnings of a whole process, here of every test before this one.
    monkeypatch.setattr(adapter.Call, "warn", lambda _call, text: warnings.append(text))
    good = maker.point(taken_at="2026-11-20T12:00:00Z").id
    bad = maker.point(taken_at="2026-11-20T13:00:00Z", sign=False).id
    answer = run(id="latest")
    assert answer["id"] == good
    assert [bad in warning and "is not signed" in warning for warning in warnings] == [True]


def test_a_point_from_the_future_is_passed_over_and_used_by_its_id(run: Runner, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(adapter.Call, "warn", lambda _call, text: warnings.append(text))
    good = maker.point().id
    late = Past(maker.location, maker.keys).point(names.parse_time("2031-01-01T10:00:00Z"))
    answer = run(id="latest")
    assert (answer["id"], answer["changed"]) == (good, False)
    assert len(warnings) == 1
    assert f"Recovery point {late} is passed over: it is in_the_future (it says 2031-01-01T10:00:00Z, and here it is " in warnings[0]
    warnings.clear()
    answer = run(id=late)
    assert (answer["id"], answer["points"][0]["state"], answer["age_seconds"] < 0) == (late, "in_the_future", True)
    assert len(warnings) == 1
    assert f"Recovery point {late} is used because it is named" in warnings[0]
    assert [row["state"] for row in run()["points"]] == ["complete", "in_the_future"]
    assert [row["id"] for row in run(filters={"states": ["in_the_future"]})["points"]] == [late]


def damage_unsigned(maker: Maker, point: str) -> None:
    """Remove the signature."""
    maker.path(names.signature_key(CLUSTER, point)).unlink()


def damage_edited(maker: Maker, point: str) -> None:
    """Change the manifest."""
    path = maker.path(names.manifest_key(CLUSTER, point))
    path.write_bytes(path.read_bytes().replace(b"kubeadm", b"kubeaDm"))


def damage_stranger(maker: Maker, point: str) -> None:
    """Sign with a key that nobody allows."""
    stranger = make_keys(maker.root.parent / "stranger", "mallory@elsewhere")
    data = maker.path(names.manifest_key(CLUSTER, point)).read_bytes()
    maker.path(names.signature_key(CLUSTER, point)).write_bytes(signing.sign(data, str(stranger.signing_key), signing.MANIFEST_NAMESPACE))


def damage_missing_artifact(maker: Maker, point: str) -> None:
    """Remove an artifact."""
    maker.path(names.artifact_key(CLUSTER, point, "etcd/cp1.tar.zst.age")).unlink()


def damage_opening(maker: Maker, point: str) -> None:
    """Flip a bit of open.json."""
    flip(maker.path(names.open_key(CLUSTER, point)), 20)


def damage_everything(maker: Maker, point: str) -> None:
    """Remove the manifest."""
    maker.path(names.manifest_key(CLUSTER, point)).unlink()


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (damage_unsigned, "UnsignedError", "is not signed"),
        (damage_edited, "SignedBytesEditedError", "does not agree with its signature"),
        (damage_stranger, "SignedByStrangerError", "signed by a stranger"),
        (damage_missing_artifact, "PointIncompleteError", "etcd/cp1.tar.zst.age is missing"),
        (damage_opening, "ManifestError", "open.json"),
        (damage_everything, "NoRecoveryPointError", "is open"),
    ],
)
def test_a_point_that_may_not_be_used_is_an_error_or_a_failed_check(run: Runner, maker: Maker, damage: Any, kind: str, words: str) -> None:
    point = maker.point().id
    damage(maker, point)
    failed = run(id=point)
    assert failed["error"]["kind"] == kind
    assert words in failed["msg"]
    returned = run(id=point, failed_checks="return")
    assert (returned["passed"], returned["manifest"]) == (False, None)
    assert [entry["id"] for entry in returned["checks"]] == ["recovery_point_usable"]
    assert words in returned["checks"][0]["found"]
    assert run(id="latest")["error"]["kind"] == "NoRecoveryPointError"


# -- damage that can be borne -------------------------------------------------------------------------------------------------------------


def offered(answer: dict[str, Any]) -> dict[str, Any]:
    """The extra variables that a refusal tells to copy."""
    return dict(json.loads(re.search(r"-e '([^']*)'", answer["error"]["remedy"]).group(1)))


@pytest.mark.parametrize("damage", [damage_missing_artifact, lambda maker, point: flip(maker.path(names.artifact_key(CLUSTER, point, ETCD)), 700)])
def test_a_damaged_artifact_is_refused_with_the_option_that_accepts_it(run: Runner, maker: Maker, damage: Any) -> None:
    """The refusal can be followed as it stands; nothing less does, and the damage is shown all the same."""
    other, point = maker.point(taken_at="2026-11-20T12:00:00Z").id, maker.point(taken_at="2026-11-20T13:00:00Z").id
    damage(maker, point)
    refused = run(id=point, level="opened")
    assert refused["error"]["kind"] == "PointRefusedError"
    assert ETCD in refused["error"]["found"]
    assert f"-e recovery_point_id={point} " in refused["error"]["remedy"]
    option = offered(refused)
    assert option == {"lifeboat_accept_damaged": [ETCD]}
    for names_given in ([], ["etcd/*"], [PKI], ["etcd/cp1"]):
        assert run(id=point, level="opened", accept_damaged=names_given)["error"]["kind"] == "PointRefusedError"
    answer = run(id=point, level="opened", accept_damaged=option["lifeboat_accept_damaged"])
    assert (answer["passed"], answer["usable"], answer["judged"], answer["level"]) == (False, True, True, "opened")
    assert answer["manifest"]["id"] == point
    assert answer["damaged"] == [ETCD]
    assert answer["held_elsewhere"] == {ETCD: [other]}
    assert [record["name"] for record in answer["artifacts"] if record["opened"]] == [PKI]


def test_all_damage_is_named_at_once_and_each_has_to_be_accepted(run: Runner, maker: Maker) -> None:
    point = maker.point().id
    for name in (ETCD, PKI):
        flip(maker.path(names.artifact_key(CLUSTER, point, name)), 700)
    refused = run(id="latest", level="opened", accept_damaged=[PKI])
    assert offered(refused) == {"lifeboat_accept_damaged": [ETCD, PKI]}
    assert (refused["error"]["damaged"], refused["error"]["artifacts"][1]["name"]) == ([ETCD, PKI], PKI)
    assert run(id="latest", level="opened", accept_damaged=f"{ETCD},{PKI}")["usable"] is True


def test_a_point_of_which_something_is_missing_is_named_when_there_is_no_other(run: Runner, maker: Maker) -> None:
    """It may be all that is left. The way leads on: its id, then the option, then it is used."""
    point = maker.point().id
    damage_missing_artifact(maker, point)
    refused = run(id="latest", level="opened")
    assert refused["error"]["kind"] == "NoRecoveryPointError"
    assert refused["error"]["remedy"].endswith(f"-e recovery_point_id={point}")
    option = offered(run(id=point, level="opened"))
    assert run(id=point, level="opened", accept_damaged=option["lifeboat_accept_damaged"])["usable"] is True


@pytest.mark.parametrize("damage", [damage_opening, lambda maker, point: maker.path(names.open_key(CLUSTER, point)).unlink()])
def test_the_record_of_the_beginning_is_nothing_that_a_recovery_needs(run: Runner, maker: Maker, damage: Any) -> None:
    point = maker.point().id
    damage(maker, point)
    refused = run(id=point, level="opened")
    assert offered(refused) == {"lifeboat_accept_damaged": ["open.json"]}
    answer = run(id=point, level="opened", accept_damaged=["open.json"])
    assert (answer["passed"], answer["usable"], answer["damaged"]) == (False, True, ["open.json"])


@pytest.mark.parametrize("damage", [damage_unsigned, damage_edited, damage_stranger, damage_everything])
def test_a_manifest_or_signature_that_is_damaged_cannot_be_accepted(run: Runner, maker: Maker, damage: Any) -> None:
    point = maker.point().id
    damage(maker, point)
    everything = [ETCD, PKI, "open.json", "manifest", f"{point}.json"]
    assert "failed" in run(id=point, level="opened", accept_damaged=everything)
    returned = run(id=point, level="opened", accept_damaged=everything, failed_checks="return")
    assert (returned["passed"], returned["usable"], returned["manifest"]) == (False, False, None)


def test_a_key_that_does_not_fit_cannot_be_accepted(run: Runner, maker: Maker) -> None:
    point = maker.point().id
    stranger = make_keys(maker.root.parent / "stranger")
    flip(maker.path(names.artifact_key(CLUSTER, point, PKI)), 700)
    answer = run(id=point, level="opened", identity_files=[str(stranger.identity_file)], accept_damaged=[ETCD, PKI], failed_checks="return")
    assert (answer["damaged"], answer["usable"]) == ([PKI], False)


def test_the_newest_result_says_what_was_restored_and_what_is_damaged(run: Runner, maker: Maker) -> None:
    key = str(maker.keys.signing_key)
    point = maker.point().id
    results.append(maker.location, results.new_result(CLUSTER, point, "restore", "opened", True, "r", hosts=["w1"], components=["pki"]), key)
    answer = run()
    assert answer["points"][0]["last_result"]["hosts"] == ["w1"]
    assert "restored last: pki of w1" in answer["table"][1]
    results.append(maker.location, results.new_result(CLUSTER, point, "verification", "opened", False, "r", damaged=[PKI]), key)
    answer = run()
    assert answer["points"][0]["last_result"]["damaged"] == [PKI]
    assert f"damaged: {PKI}" in answer["table"][1]


def test_another_clusters_name_finds_nothing(run: Runner, maker: Maker) -> None:
    maker.point()
    assert run(cluster_name="office")["points"] == []
    assert run(cluster_name="../shop")["error"]["kind"] == "NameRefusedError"
    (maker.root / CLUSTER).rename(maker.root / "office")
    answer = run(cluster_name="office", id="latest")
    assert "foreign" in answer["msg"]


def test_the_wrong_key_is_told_whom_to_ask(run: Runner, maker: Maker) -> None:
    maker.point()
    stranger = make_keys(maker.root.parent / "stranger")
    answer = run(id="latest", level="opened", identity_files=[str(stranger.identity_file)])
    assert f"recipients of this point are: {maker.keys.recipient}" in answer["msg"]
    returned = run(id="latest", level="opened", identity_files=[str(stranger.identity_file)], failed_checks="return")
    assert (returned["passed"], returned["judged"]) == (False, False)
    assert_no_secrets(json.dumps(answer))


def test_without_allowed_signers_only_a_named_point_is_used(run: Runner, maker: Maker) -> None:
    point = maker.point().id
    assert run(id="latest", allowed_signers=None)["error"]["kind"] == "SignatureUncheckedError"
    assert run(id=point, allowed_signers=None, failed_checks="return")["judged"] is False
    answer = run(id=point, allowed_signers=None, accept_unsigned=[point])
    assert answer["passed"] is True
    assert "accepted by its id" in answer["checks"][0]["found"]


def test_latest_with_components(run: Runner, maker: Maker) -> None:
    point = maker.point().id
    assert run(id="latest", components=["etcd", "pki"])["id"] == point
    assert "with velum_database" in run(id="latest", components=["velum_database"])["msg"]


def test_results_hold_no_secrets(run: Runner, maker: Maker) -> None:
    opening = maker.open()
    artifacts = [
        maker.add(opening.id, "etcd", "cp1", make_tar({"file": b"content"})),
        maker.add(opening.id, "pki", "cp1", make_tar(make_pki_files()), inspect=True),
    ]
    maker.seal(opening.id, artifacts)
    answer = run(id="latest", level="opened")
    assert answer["passed"] is True
    assert_no_secrets(json.dumps(answer))
