# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog: which points there are, in which state, and which one is chosen."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point import names, points, results, signing
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.catalog import Trust, read_believable, read_manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.errors import (
    ManifestError,
    NameRefusedError,
    NoRecoveryPointError,
    OtherClusterError,
    PointIncompleteError,
    SignatureUncheckedError,
    SignedByStrangerError,
    SignedBytesEditedError,
    UnsignedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.manifest import Manifest
from tests.unit.plugins.module_utils.recovery_point.making import CLUSTER, Keys, Maker, make_tar


def resign(maker: Maker, manifest: Manifest, keys: Keys) -> None:
    """Write a manifest over the stored one, signed by somebody."""
    data = manifest.to_bytes()
    maker.path(names.manifest_key(CLUSTER, manifest.id)).write_bytes(data)
    maker.path(names.signature_key(CLUSTER, manifest.id)).write_bytes(signing.sign(data, str(keys.signing_key), signing.MANIFEST_NAMESPACE))


def test_an_empty_location_has_no_points(maker: Maker) -> None:
    assert maker.catalog().points == []
    assert maker.catalog().high_water_revision() == 0
    with pytest.raises(NoRecoveryPointError, match="no recovery point of cluster shop that can be used") as caught:
        maker.catalog().select("latest")
    assert "no points at all" in str(caught.value)
    with pytest.raises(NoRecoveryPointError, match="There is no recovery point 2026"):
        maker.catalog().select("20261120T133500Z-1a2b3c")
    with pytest.raises(NameRefusedError):
        maker.catalog().select("newest")


def test_a_complete_point_has_a_full_row(maker: Maker) -> None:
    manifest = maker.point(taken_at="2026-11-20T13:00:00Z")
    now = names.parse_time("2026-11-20T14:00:00Z")
    found = maker.catalog(now=now)
    row = found.points[0].row(now)
    assert row["id"] == manifest.id
    assert (row["state"], row["signature"], row["signer"], row["status"], row["reason"]) == ("complete", "valid", "ops@shop", "completed", "")
    assert (row["age_seconds"], row["components"], row["verified"], row["last_result"]) == (3600, ["etcd", "pki"], False, None)
    assert row["size_bytes"] == sum(artifact.sealed_size_bytes for artifact in manifest.artifacts)
    assert found.select("latest").manifest == manifest


def test_a_point_is_open_then_abandoned(maker: Maker) -> None:
    opening = maker.open()
    opened = names.parse_time(opening.opened_at)
    states = [maker.catalog(now=opened + timedelta(seconds=age), abandoned_after_seconds=100).points[0].state for age in (0, 100, 101)]
    assert states == ["open", "open", "abandoned"]
    with pytest.raises(NoRecoveryPointError, match="is open"):
        maker.catalog().select(opening.id)
    assert opening.run_id in maker.catalog().points[0].reason


def test_foreign_things_are_told_apart(maker: Maker) -> None:
    manifest = maker.point()
    directory = maker.root / CLUSTER / "points"
    (directory / "20250101T000000Z-aaaaaa" / "artifacts").mkdir(parents=True)
    (directory / "20250101T000000Z-aaaaaa" / "artifacts" / "file").write_bytes(b"x")
    (directory / "notes").mkdir()
    (directory / "notes" / "file").write_bytes(b"x")
    states = {point.id: (point.state, point.reason) for point in maker.catalog().points}
    assert states["20250101T000000Z-aaaaaa"] == ("foreign", "it has neither open.json nor a manifest")
    assert states["notes"] == ("foreign", "its name is not the id of a recovery point")
    assert states[manifest.id] == ("complete", "")
    assert maker.catalog().select("latest").id == manifest.id


def test_another_clusters_point_copied_in_is_foreign(maker: Maker, keys: Keys, tmp_path: Path) -> None:
    other = Maker(tmp_path, keys, cluster="office")
    sealed, opened = other.point(), other.open()
    shutil.copytree(maker.root / "office", maker.root / CLUSTER)
    for point in (sealed.id, opened.id):
        assert maker.catalog().get(point).state == "foreign"
        with pytest.raises(OtherClusterError, match="that of another one"):
            maker.catalog().select(point)
    with pytest.raises(NoRecoveryPointError, match="foreign"):
        maker.catalog().select("latest")
    with pytest.raises(OtherClusterError, match="cluster office"):
        read_manifest(maker.location, CLUSTER, sealed.id, keys.trust)


def test_a_manifest_under_the_id_of_another_point_is_foreign(maker: Maker) -> None:
    first, second = maker.point(), maker.point()
    for key in (names.manifest_key, names.signature_key):
        shutil.copy(maker.path(key(CLUSTER, first.id)), maker.path(key(CLUSTER, second.id)))
    assert maker.catalog().get(second.id).state == "foreign"


def test_latest_goes_by_the_time_of_the_snapshot_and_not_by_id(maker: Maker) -> None:
    older = maker.point(taken_at="2026-11-20T12:00:00Z")
    newer = maker.point(taken_at="2026-11-20T13:00:00Z")
    copied = maker.point(taken_at="2026-11-20T11:00:00Z", origin={"location": "elsewhere"})
    assert maker.catalog().select("latest").id == newer.id
    maker.path(names.manifest_key(CLUSTER, newer.id)).unlink()
    assert maker.catalog().select("latest").id == older.id
    assert maker.catalog().get(copied.id).state == "complete"


def test_latest_with_components_passes_over_smaller_points(maker: Maker) -> None:
    full = maker.point(taken_at="2026-11-20T12:00:00Z")
    opening = maker.open()
    artifact = maker.add(opening.id, "etcd", "cp1", make_tar({"a": b"b"}))
    manifest = points.draft(maker.location, CLUSTER, opening.id, maker.evidence([artifact], taken_at="2026-11-20T13:00:00Z"))
    points.seal_point(maker.location, manifest, points.Sealing(str(maker.keys.signing_key), maker.keys.trust, ["etcd"]))
    found = maker.catalog()
    assert found.select("latest").id == opening.id
    assert found.select("latest", ["etcd", "pki"]).id == full.id
    with pytest.raises(NoRecoveryPointError, match="with velum_database"):
        found.select("latest", ["velum_database"])


def test_latest_of_the_whole_cluster_passes_over_points_of_a_part(maker: Maker) -> None:
    """A newer point of one machine serves whoever asks for that machine, and nobody else; another machine is found in the point of the whole."""
    full = maker.point(taken_at="2026-11-20T12:00:00Z")
    opening = maker.open()
    artifact = maker.add(opening.id, "node_config", "w1", make_tar({"a": b"b"}))
    evidence = {**maker.evidence([artifact], taken_at="2026-11-20T13:00:00Z"), "scope": ["w1"], "etcd": None}
    part = points.draft(maker.location, CLUSTER, opening.id, evidence)
    points.seal_point(maker.location, part, points.Sealing(str(maker.keys.signing_key), maker.keys.trust, ["node_config"]))
    found = maker.catalog()
    assert found.select("latest").id == full.id
    assert found.select("latest", hosts=["w1"]).id == part.id
    assert found.select("latest", hosts=["cp1"]).id == full.id
    assert not part.has_snapshot
    assert found.get(part.id).row(found.now)["scope"] == ["w1"]
    with pytest.raises(NoRecoveryPointError, match="holds something of w9") as refusal:
        found.select("latest", hosts=["w9"])
    assert "(of w1 only)" in str(refusal.value)


def test_unsigned_edited_and_a_strangers_are_three_errors(maker: Maker, stranger: Keys) -> None:
    unsigned, edited, strange = maker.point(sign=False), maker.point(), maker.point()
    path = maker.path(names.manifest_key(CLUSTER, edited.id))
    path.write_bytes(path.read_bytes().replace(b'"highest_revision":0', b'"highest_revision":9'))
    resign(maker, strange, stranger)
    found = maker.catalog()
    for manifest, kind in ((unsigned, UnsignedError), (edited, SignedBytesEditedError), (strange, SignedByStrangerError)):
        assert found.get(manifest.id).state == "broken"
        with pytest.raises(kind):
            found.select(manifest.id)
    with pytest.raises(NoRecoveryPointError) as caught:
        found.select("latest")
    for word in ("not signed", "does not agree with its signature", "signed by a stranger"):
        assert word in str(caught.value)


def test_an_unsigned_point_is_accepted_only_by_its_id(maker: Maker, stranger: Keys) -> None:
    unsigned, other, strange = maker.point(sign=False), maker.point(sign=False), maker.point()
    resign(maker, strange, stranger)
    trust = replace(maker.keys.trust, accept_unsigned=[unsigned.id, strange.id])
    found = maker.catalog(trust)
    point = found.select(unsigned.id)
    assert point.signed.signature == "accepted"
    assert found.select("latest").id == unsigned.id
    with pytest.raises(UnsignedError):
        found.select(other.id)
    with pytest.raises(SignedByStrangerError):
        found.select(strange.id)


def test_without_allowed_signers_nothing_is_believed_but_edits_are_still_seen(maker: Maker) -> None:
    manifest, edited = maker.point(), maker.point()
    path = maker.path(names.manifest_key(CLUSTER, edited.id))
    path.write_bytes(path.read_bytes().replace(b"kubeadm", b"kubeaDm"))
    found = maker.catalog(Trust())
    assert found.get(manifest.id).row(found.now)["signature"] == "unchecked"
    assert found.get(edited.id).state == "broken"
    for wanted in ("latest", manifest.id):
        with pytest.raises(SignatureUncheckedError, match="nobody said who may sign"):
            found.select(wanted)
    with pytest.raises(SignatureUncheckedError):
        read_believable(maker.location, CLUSTER, manifest.id, Trust())
    accepting = Trust(accept_unsigned=[manifest.id, edited.id])
    assert maker.catalog(accepting).select("latest").id == manifest.id
    with pytest.raises(SignedBytesEditedError):
        maker.catalog(accepting).select(edited.id)


def test_one_signer_of_several_can_be_asked_for(maker: Maker) -> None:
    manifest = maker.point()
    assert maker.catalog(replace(maker.keys.trust, signer="ops@shop")).select("latest").id == manifest.id
    with pytest.raises(SignedByStrangerError):
        maker.catalog(replace(maker.keys.trust, signer="drill@shop")).select(manifest.id)


def test_a_signed_manifest_of_another_format_is_refused(maker: Maker, keys: Keys) -> None:
    manifest = maker.point()
    resign(maker, replace(manifest, format=2), keys)
    with pytest.raises(ManifestError, match="format that this version cannot read"):
        maker.catalog().select(manifest.id)


def test_missing_and_truncated_artifacts_make_a_point_broken(maker: Maker) -> None:
    manifest = maker.point()
    path = maker.path(names.artifact_key(CLUSTER, manifest.id, "pki/cp1.tar.zst.age"))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(PointIncompleteError, match=f"pki/cp1.tar.zst.age has {len(content) - 1} bytes, not {len(content)}"):
        maker.catalog().select(manifest.id)
    path.unlink()
    with pytest.raises(PointIncompleteError, match="pki/cp1.tar.zst.age is missing"):
        maker.catalog().select(manifest.id)
    assert maker.catalog().get(manifest.id).state == "broken"


def test_open_json_belongs_to_the_point(maker: Maker) -> None:
    manifest = maker.point()
    path = maker.path(names.open_key(CLUSTER, manifest.id))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"2030-01-01", b"2020-01-01"))
    with pytest.raises(ManifestError, match=r"open.json of recovery point .* is not the one that its manifest names"):
        maker.catalog().select(manifest.id)
    path.unlink()
    with pytest.raises(PointIncompleteError, match=r"open.json .* is missing"):
        maker.catalog().select(manifest.id)


def test_the_high_water_mark_is_the_highest_of_all(maker: Maker) -> None:
    maker.point(highest_revision=100)
    point = maker.point(highest_revision=50)
    assert maker.catalog().high_water_revision() == 100
    results.append(maker.location, results.new_result(CLUSTER, point.id, "restore", "restored", False, "r", 1_000_000_100))
    results.append(maker.location, results.new_result(CLUSTER, point.id, "drill", "booted", True, "r", 5_000_000_000))
    assert maker.catalog().high_water_revision() == 1_000_000_100
    maker.path(results.append(maker.location, results.new_result(CLUSTER, point.id, "restore", "restored", True, "r", 7))).write_bytes(b"garbage")
    assert maker.catalog().high_water_revision() == 1_000_000_100


def test_a_point_that_cannot_be_used_says_why(maker: Maker) -> None:
    opening = maker.open()
    found = maker.catalog()
    assert found.get(opening.id).error is None
    with pytest.raises(LifeboatError, match="open one is usable when its backup has sealed it"):
        found.select(opening.id)
