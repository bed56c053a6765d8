# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: one form, every field checked, every complaint with the field's name."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest, Opening
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.records import canonical, parse
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ManifestError, PointIncompleteError

POINT = "20261120T133500Z-1a2b3c"
RECORD: dict[str, Any] = {
    "format": 1,
    "id": POINT,
    "cluster_name": "shop",
    "cluster_identity": {"kube_system_uid": "6dbd6a44", "ca_sha256": "ab" * 32},
    "taken_at": "2026-11-20T13:35:10Z",
    "opened_at": "2026-11-20T13:35:00Z",
    "sealed_at": "2026-11-20T13:36:00Z",
    "status": "partially_failed",
    "retain_until": "2026-12-20T13:35:00Z",
    "platform": "kubeadm",
    "versions": {"kubernetes": "v1.34.1"},
    "artifacts": [
        {
            "name": "etcd/cp1.tar.zst.age",
            "component": "etcd",
            "host": "cp1",
            "sealed_sha256": "01" * 32,
            "sealed_size_bytes": 100,
            "plain_sha256": "02" * 32,
            "plain_size_bytes": 200,
            "contents": {"entries": 1},
        }
    ],
    "etcd": {"revision": 4711},
    "highest_revision": 4711,
    "missing": [{"component": "node_config", "host": "w1", "reason": "unreachable"}],
    "scope": ["w1"],
    "seen_before": ["20261119T133500Z-1a2b3c"],
    "recipients": ["age1x"],
    "checks": [{"id": "a", "passed": True}],
    "durations": {"backup": 12.5},
    "origin": None,
    "fingerprints": {"ca": "ab"},
    "names": {"cp1": "10.0.0.1"},
    "nodes": {"cp1": {"name": "cp1", "address": "10.0.0.1"}},
    "open_sha256": "03" * 32,
}
WRONG = [
    ("id", "latest", "id cannot be"),
    ("cluster_name", "../etc", "cluster_name cannot be"),
    ("cluster_identity", None, "cluster_identity is not an object"),
    ("cluster_identity.ca_sha256", "AB" * 32, "cluster_identity.ca_sha256 is not a SHA-256"),
    ("cluster_identity.name", "x", "cluster_identity.name is not a known field"),
    ("taken_at", "yesterday", "taken_at is not a time"),
    ("opened_at", 7, "opened_at is not a text"),
    ("sealed_at", "2026-11-20T13:36:00+01:00", "sealed_at is not a time"),
    ("retain_until", "", "retain_until is not a text"),
    ("scope", None, "scope is not a list"),
    ("nodes", [], "nodes is not an object"),
    ("scope", [1], r"scope\[0\] is not a text"),
    ("status", "fine", "status is not one of"),
    ("status", "completed", "status does not agree with missing"),
    ("platform", 3, "platform is not a text"),
    ("versions", [], "versions is not an object"),
    ("artifacts", [], "artifacts is empty"),
    ("artifacts", {}, "artifacts is not a list"),
    ("artifacts.0", "x", r"artifacts\[0\] is not an object"),
    ("artifacts.0.name", "../x", r"artifacts\[0\].name cannot be"),
    ("artifacts.0.component", "pki", r"artifacts\[0\].component is not the directory"),
    ("artifacts.0.host", "", r"artifacts\[0\].host is not a text"),
    ("artifacts.0.sealed_sha256", "x", r"artifacts\[0\].sealed_sha256 is not a SHA-256"),
    ("artifacts.0.sealed_size_bytes", -1, r"artifacts\[0\].sealed_size_bytes is not a whole number"),
    ("artifacts.0.plain_size_bytes", True, r"artifacts\[0\].plain_size_bytes is not a whole number"),
    ("artifacts.0.plain_sha256", None, r"artifacts\[0\].plain_sha256 is not a text"),
    ("artifacts.0.contents", [], r"artifacts\[0\].contents is not an object"),
    ("artifacts.0.extra", 1, r"artifacts\[0\].extra is not a known field"),
    ("etcd", "x", "etcd is not an object"),
    ("highest_revision", 1.5, "highest_revision is not a whole number"),
    ("highest_revision", (1 << 62) + 1, "highest_revision is not a whole number"),
    ("missing", [{"component": "etcd", "host": "cp1"}], r"missing\[0\].reason is missing"),
    ("seen_before", ["x"], r"seen_before\[0\] is not the id"),
    ("seen_before", [7], r"seen_before\[0\] is not a text"),
    ("recipients", [], "recipients is empty"),
    ("checks", [1], r"checks\[0\] is not an object"),
    ("durations", None, "durations is not an object"),
    ("origin", [], "origin is not an object"),
    ("fingerprints", 1, "fingerprints is not an object"),
    ("names", [], "names is not an object"),
    ("open_sha256", "0", "open_sha256 is not a SHA-256"),
    ("unheard_of", 1, "unheard_of is not a known field"),
]


def changed(path: str, value: Any) -> dict[str, Any]:
    """The record with one field changed."""
    record: Any = deepcopy(RECORD)
    holder = record
    *parents, last = path.split(".")
    for name in parents:
        holder = holder[int(name) if name.isdigit() else name]
    holder[int(last) if last.isdigit() else last] = value
    result: dict[str, Any] = record
    return result


def test_a_manifest_survives_the_round_trip() -> None:
    manifest = Manifest.from_record(RECORD)
    assert manifest.to_record() == RECORD
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert manifest.components == ["etcd"]
    assert manifest.size_bytes == 100
    assert manifest.artifact("etcd/cp1.tar.zst.age").host == "cp1"


def test_the_canonical_form_does_not_depend_on_order() -> None:
    data = canonical(RECORD)
    assert canonical(dict(reversed(RECORD.items()))) == data
    assert data.endswith(b"}\n")
    assert data.count(b"\n") == 1
    assert json.loads(data) == RECORD


@pytest.mark.parametrize(("path", "value", "complaint"), WRONG)
def test_every_wrong_field_is_named(path: str, value: Any, complaint: str) -> None:
    with pytest.raises(ManifestError, match="The manifest is not valid: " + complaint):
        Manifest.from_bytes(canonical(changed(path, value)))


@pytest.mark.parametrize("field", sorted(set(RECORD) - {"format"}))
def test_every_missing_field_is_named(field: str) -> None:
    record = deepcopy(RECORD)
    del record[field]
    if field in ("etcd", "origin"):
        assert getattr(Manifest.from_record(record), field) is None
        return
    with pytest.raises(ManifestError, match=f"{field} is missing"):
        Manifest.from_record(record)


@pytest.mark.parametrize("value", [2, 0, "1", None, True, {}])
def test_an_unknown_format_is_refused_before_anything_else(value: Any) -> None:
    with pytest.raises(ManifestError, match="format that this version cannot read") as caught:
        Manifest.from_record({"format": value, "whatever": 1})
    assert "use the version of lifeboat.cluster that wrote the point" in str(caught.value)


def test_an_artifact_named_twice_is_refused() -> None:
    with pytest.raises(ManifestError, match="names one artifact twice"):
        Manifest.from_record(changed("artifacts", RECORD["artifacts"] * 2))


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]\n", b"\xff\xfe", b'{"a":1,"a":1}\n', b'{"a": 1}\n', b'{"a":1}', b'{"b":1,"a":1}\n', b'{"a":NaN}\n', b'{"a":"\xc3\xa4"}\n', b"[" * 100000],
)
def test_only_the_canonical_form_is_read(data: bytes) -> None:
    with pytest.raises(ManifestError, match="The manifest cannot be read"):
        parse(data, "The manifest")


def test_an_unknown_artifact_says_what_there_is_and_what_is_missing() -> None:
    with pytest.raises(PointIncompleteError, match="has no artifact pki/cp1.tar.zst.age") as caught:
        Manifest.from_record(RECORD).artifact("pki/cp1.tar.zst.age")
    assert "etcd/cp1.tar.zst.age" in str(caught.value)
    assert caught.value.details["missing"] == ["node_config of w1: unreachable"]


def test_the_opening_record_is_checked_as_well() -> None:
    opening = Opening(POINT, "shop", "2026-11-20T13:35:00Z", "2026-12-20T13:35:00Z", "run", "root", "bastion", [])
    assert Opening.from_bytes(opening.to_bytes()) == opening
    for field, value in (("format", 2), ("id", "x"), ("cluster_name", "/"), ("opened_at", "x"), ("user", ""), ("more", 1)):
        with pytest.raises(ManifestError, match=f"open.json is not valid: {field}"):
            Opening.from_bytes(canonical({**opening.to_record(), field: value}))
