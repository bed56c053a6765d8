# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results: appended, and their names alone tell whether a point is verified."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.records import canonical, parse
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.results import Result, ResultName
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    ManifestError,
    SignatureError,
    SignatureUncheckedError,
    UnsignedError,
)
from tests.unit.plugins.module_utils._recovery_point.making import Maker

START = datetime(2026, 11, 20, 13, 0, tzinfo=timezone.utc)
POINT = "20261120T133500Z-1a2b3c"


def history(*entries: str) -> list[ResultName]:
    """Results one minute apart, written as ``level+`` (passed) or ``level-`` (failed)."""
    return [ResultName(START + timedelta(minutes=number), "verification", entry[:-1], entry[-1] == "+", "key") for number, entry in enumerate(entries)]


@pytest.mark.parametrize(
    ("entries", "verified"),
    [
        ([], False),
        (["listed+", "hashed+"], False),
        (["opened+"], True),
        (["booted+"], True),
        (["restored+"], True),
        (["opened+", "hashed-"], False),
        (["opened+", "hashed-", "listed+"], False),
        (["opened-", "opened+"], True),
        (["opened+", "listed+"], True),
        (["booted+", "opened-"], False),
    ],
)
def test_verified_means_opened_and_nothing_failed_since(entries: list[str], verified: bool) -> None:
    assert results.is_verified(history(*entries)) is verified
    assert results.is_verified(list(reversed(history(*entries)))) is verified


def test_of_two_results_in_one_second_the_failed_one_counts() -> None:
    passed = ResultName(START, "verification", "opened", True, "a")
    failed = ResultName(START, "verification", "hashed", False, "b")
    for order in ([passed, failed], [failed, passed]):
        assert not results.is_verified(order)
        assert results.newest(order) == failed
    assert results.newest([]) is None


def test_a_result_is_appended_and_read_back(maker: Maker) -> None:
    point = maker.point()
    for number in range(2):
        result = results.new_result("shop", point.id, "restore", "restored", True, "run-1", 4711, {"host": f"cp{number}"})
        key = results.append(maker.location, result, str(maker.keys.signing_key))
        data = maker.location.read(key, 1 << 20)
        assert Result.from_bytes(data) == result
        signature = maker.location.read(key + ".sig", 1 << 16)
        signing.verify(data, signature, signing.RESULT_NAMESPACE, str(maker.keys.allowed_signers), "The result")
    assert len([name for name in maker.files() if "/results/" in str(name)]) == 4
    row = maker.catalog().points[0].row(names.now())
    assert row["verified"] is True
    assert (row["last_result"]["kind"], row["last_result"]["level"], row["last_result"]["verdict"]) == ("restore", "restored", "passed")


def test_without_a_key_there_is_no_signature(maker: Maker) -> None:
    key = results.append(maker.location, results.new_result("shop", POINT, "drill", "booted", False, "run-1"))
    assert maker.location.size(key + ".sig") is None
    assert "-drill-booted-failed-" in key


@pytest.mark.parametrize(
    "key",
    ["", "x.json", "a/20261120T133500Z-drill-booted-passed-0123456.json", "20261120T133500Z-drill-booted-passed-01234567.json.sig", "20261320T133500Z-x.json"],
)
def test_other_names_are_not_results(key: str) -> None:
    assert results.parse_name(key) is None


def test_only_results_under_a_point_count() -> None:
    name = "20261120T133600Z-drill-booted-passed-01234567.json"
    found = results.names_of([f"shop/results/{POINT}/{name}", f"shop/results/{name}", f"shop/results/other/{name}", f"shop/results/{POINT}/deeper/{name}"])
    assert {point: len(entries) for point, entries in found.items()} == {POINT: 1}


def test_a_result_that_is_not_one_is_refused() -> None:
    record = {
        "format": 1,
        "cluster_name": "shop",
        "point_id": POINT,
        "kind": "drill",
        "level": "booted",
        "verdict": "passed",
        "at": "2026-11-20T13:35:00Z",
        "run_id": "r",
        "user": "u",
        "controller": "c",
        "highest_revision": None,
        "details": {},
    }
    assert Result.from_bytes(canonical(record)).kind == "drill"
    for field, value in (
        ("format", 2),
        ("kind", "x"),
        ("level", "x"),
        ("verdict", "maybe"),
        ("highest_revision", -1),
        ("highest_revision", 1 << 63),
        ("details", []),
    ):
        with pytest.raises(ManifestError, match=f"The result is not valid: {field}"):
            Result.from_bytes(canonical({**record, field: value}))


@pytest.mark.parametrize(
    ("verified", "components", "damaged", "level"),
    [
        ("opened", ["etcd", "pki"], [], "restored"),
        # Not a byte of etcd came out of the point: that it opened is all that is proven of it.
        ("opened", ["pki", "node_config"], [], "opened"),
        ("opened", [], [], "opened"),
        # What nobody read is not proven by bringing back a part.
        ("hashed", ["etcd", "pki"], [], "hashed"),
        ("listed", ["etcd", "pki"], [], "listed"),
        ("listed", ["pki"], [], "listed"),
        (None, ["etcd"], [], "listed"),
        ("opened", ["etcd", "pki"], ["collection/collection.tar.zst.age"], "listed"),
    ],
)
def test_a_restore_proves_what_was_read_and_restored_and_no_more(verified: str | None, components: list[str], damaged: list[str], level: str) -> None:
    assert results.proven_level("restore", "restored", verified, components, damaged) == level
    assert results.is_verified(history(f"{level}+")) is (level in ("opened", "restored"))


def test_a_restore_is_never_raised_above_what_was_asked_for_and_other_kinds_are_left_alone() -> None:
    assert results.proven_level("restore", "hashed", "opened", ["etcd"], []) == "hashed"
    assert results.proven_level("drill", "booted", None, [], []) == "booted"
    assert results.proven_level("verification", "opened", None, [], ["pki/cp1.tar.zst.age"]) == "opened"


def test_a_result_names_hosts_and_components_and_one_of_before_has_none() -> None:
    result = results.new_result("shop", POINT, "restore", "opened", True, "run-1", hosts=["w2", "w1", "w1"], components=["pki"], damaged=["etcd/a.zst.age"])
    assert (result.hosts, result.components, result.damaged) == (["w1", "w2"], ["pki"], ["etcd/a.zst.age"])
    assert Result.from_bytes(result.to_bytes()) == result
    record = parse(result.to_bytes(), "it")
    for field in ("hosts", "components", "damaged"):
        del record[field]
    old = Result.from_bytes(canonical(record))
    assert (old.hosts, old.components, old.damaged) == ([], [], [])
    with pytest.raises(ManifestError, match="hosts"):
        Result.from_bytes(canonical({**record, "hosts": "w1"}))


def test_what_a_result_says_inside_is_shown_only_when_it_is_believed(maker: Maker) -> None:
    result = results.new_result(maker.cluster, POINT, "restore", "opened", True, "run-1", hosts=["w1"], components=["pki"])
    for signed in (True, False):
        name = results.parse_name(results.append(maker.location, result, str(maker.keys.signing_key) if signed else None))
        assert name is not None
        shown = results.account(maker.location, name.to_record(), maker.cluster, POINT, maker.keys.trust)
        assert shown.get("hosts") == (["w1"] if signed else None)
        assert {**name.to_record(), **shown} == shown


def test_the_writer_is_named() -> None:
    assert results.user_name() == subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert results.controller_name()


# -- whose results are believed -----------------------------------------------------------------------------------------------------------


def appended(maker: Maker, kind: str = "verification", signed: bool = True) -> ResultName:
    """A result in the location, and its name."""
    result = results.new_result(maker.cluster, POINT, kind, "opened", True, "run-1")
    key = results.append(maker.location, result, str(maker.keys.signing_key) if signed else None)
    name = results.parse_name(key)
    assert name is not None
    return name


def test_a_signed_result_is_believed(maker: Maker) -> None:
    assert results.read_believed(maker.location, appended(maker), "shop", POINT, maker.keys.trust).verdict == "passed"


def test_a_result_is_not_believed_without_a_signature_or_signers(maker: Maker) -> None:
    with pytest.raises(UnsignedError, match="is not signed"):
        results.read_believed(maker.location, appended(maker, signed=False), "shop", POINT, maker.keys.trust)
    with pytest.raises(SignatureUncheckedError, match="nobody said who may sign"):
        results.read_believed(maker.location, appended(maker), "shop", POINT, Trust())


def test_a_result_that_was_renamed_copied_or_signed_for_another_purpose_is_not_believed(maker: Maker) -> None:
    there = appended(maker)
    data, signature = maker.path(there.key).read_bytes(), maker.path(there.key + ".sig").read_bytes()
    failed = there.key.replace("-passed-", "-failed-")
    other = there.key.replace(POINT, "20261121T133500Z-1a2b3c")
    for key in (failed, other):
        maker.location.put_new(key + ".sig", signature)
        maker.location.put_new(key, data)
    for key, point in ((failed, POINT), (other, "20261121T133500Z-1a2b3c")):
        name = results.parse_name(key)
        assert name is not None
        with pytest.raises(ManifestError, match="something else than its name"):
            results.read_believed(maker.location, name, "shop", point, maker.keys.trust)
    maker.path(there.key + ".sig").chmod(0o600)
    maker.path(there.key + ".sig").write_bytes(signing.sign(data, str(maker.keys.signing_key), signing.TAG_NAMESPACE))
    with pytest.raises(SignatureError):
        results.read_believed(maker.location, there, "shop", POINT, maker.keys.trust)


def test_a_proof_of_keys_does_not_verify_a_point() -> None:
    proof = ResultName(START, "escrow", "opened", True, "key")
    assert not results.is_verified([proof])
    later = ResultName(START + timedelta(minutes=5), "escrow", "opened", False, "key")
    assert results.is_verified([*history("opened+"), later])
