# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog: which points there are, in which state, and which one is chosen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.catalog import (
    Catalog,
    Filters,
    Known,
    Trust,
    due,
    is_kept,
    proof,
    read_believable,
    read_manifest,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.tombstones import Tombstone
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import points
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.results import ResultName
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing, tags
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    AccessDeniedError,
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
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import StoredObject
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.revisions import clock_revision
from tests.unit.plugins.module_utils._recovery_point.copying import copy_of
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, RUN, Keys, Maker, make_tar


def resign(maker: Maker, manifest: Manifest, keys: Keys) -> None:
    """Write a manifest over the stored one, signed by somebody."""
    data = manifest.to_bytes()
    maker.path(names.manifest_key(CLUSTER, manifest.id)).write_bytes(data)
    maker.path(names.signature_key(CLUSTER, manifest.id)).write_bytes(signing.sign(data, str(keys.signing_key), signing.MANIFEST_NAMESPACE))


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> tuple[Maker, Manifest]:
    """A point to copy, and who made it."""
    maker = Maker(tmp_path_factory.mktemp("original"), keys)
    return maker, maker.point()


@pytest.fixture
def sealed_as(maker: Maker, original: tuple[Maker, Manifest]) -> Callable[..., Manifest]:
    """Makes a point with an id of the past, or one that was sealed again later than it was taken."""

    def make(point: str, taken_at: str, sign: bool = True, **more: Any) -> Manifest:
        return copy_of(maker, original[1], point, sign, original[0], taken_at=taken_at, **more)

    return make


def bury(maker: Maker, manifest: Manifest, keys: Keys | None = None, **inside: str) -> None:
    """Write the tombstone of a point, signed by somebody or by nobody."""
    record = Tombstone(manifest.id, CLUSTER, "2026-11-21T00:00:00Z", "ops on here", RUN, "too old", manifest.taken_at, manifest.components)
    data, key = replace(record, **inside).to_bytes(), names.tombstone_key(CLUSTER, manifest.id)
    if keys:
        maker.location.put_new(key + ".sig", signing.sign(data, str(keys.signing_key), signing.TOMBSTONE_NAMESPACE))
    maker.location.put_new(key, data)


class Versioned(FilesystemLocation):
    """A location where somebody laid something over some keys, as S3 shows it."""

    over: tuple[str, ...] = ()

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Say of the keys that they have a version too many."""
        return (stored._replace(overlaid=int(stored.key in self.over)) for stored in super().list(prefix))


class Watched(FilesystemLocation):
    """A location that knows which objects were read."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.seen: set[str] = set()

    def read(self, key: str, limit_bytes: int) -> bytes:
        """Read, and remember."""
        self.seen.add(key)
        return super().read(key, limit_bytes)


class Remembering(FilesystemLocation):
    """A location that goes on naming directories from which everything was removed."""

    def children(self, prefix: str) -> list[str]:
        """One more."""
        return sorted([*super().children(prefix), "20251120T120000Z-aaaaaa"])


class Closed(FilesystemLocation):
    """A location that does not let manifests be read."""

    def read(self, key: str, limit_bytes: int) -> bytes:
        """Refuse."""
        raise AccessDeniedError("Access denied", tried=key)


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


def test_above_the_clock_only_a_signed_result_raises_the_high_water_mark(maker: Maker, keys: Keys, stranger: Keys) -> None:
    point = maker.point(highest_revision=50)
    allowed = clock_revision(names.now().timestamp())

    def restored(revision: int, level: str, signing_key: Path | None = None) -> None:
        results.append(maker.location, results.new_result(CLUSTER, point.id, "restore", level, True, "r", revision), str(signing_key) if signing_key else None)

    restored(allowed - 1000, "restored")
    restored(allowed + 10**9, "booted")
    restored(allowed + 10**9, "opened", stranger.signing_key)
    assert maker.catalog().high_water_revision() == allowed - 1000
    # Nobody said who may sign: the safe side is the higher one.
    assert Catalog(maker.location, CLUSTER, Trust()).high_water_revision() == allowed + 10**9
    restored(allowed + 500_000, "hashed", keys.signing_key)
    assert maker.catalog().high_water_revision() == allowed + 500_000


def test_a_point_that_cannot_be_used_says_why(maker: Maker) -> None:
    opening = maker.open()
    found = maker.catalog()
    assert found.get(opening.id).error is None
    with pytest.raises(LifeboatError, match="open one is usable when its backup has sealed it"):
        found.select(opening.id)


# -- what was laid over, what is being removed ----------------------------------------------------------------------------------------


def test_what_lies_over_an_original_is_tampering_and_the_point_is_used_nevertheless(maker: Maker, keys: Keys) -> None:
    manifest = maker.point()
    result = results.append(maker.location, results.new_result(CLUSTER, manifest.id, "drill", "booted", True, "r"))
    tag = tags.append(maker.location, tags.new_tag(CLUSTER, manifest.id, "keep", "the last of the year"))
    places = [
        names.manifest_key(CLUSTER, manifest.id),
        names.signature_key(CLUSTER, manifest.id),
        names.open_key(CLUSTER, manifest.id),
        names.artifact_key(CLUSTER, manifest.id, "pki/cp1.tar.zst.age"),
        result,
        tag,
    ]
    location = Versioned(str(maker.root))
    for over in [(place,) for place in places] + [tuple(places)]:
        location.over = over
        found = Catalog(location, CLUSTER, keys.trust)
        row = found.rows()[0]
        assert (row["state"], row["usable"], row["overlaid"]) == ("tampered", True, sorted(over))
        assert over[0] in row["reason"]
        assert found.select("latest").id == found.select(manifest.id).id == manifest.id
    # What is not usable anyway does not become so by it.
    maker.path(places[3]).unlink()
    row = Catalog(location, CLUSTER, keys.trust).rows()[0]
    assert (row["state"], row["usable"]) == ("broken", False)
    assert places[0] in row["overlaid"]


def test_a_point_with_a_tombstone_is_used_no_more(maker: Maker, keys: Keys) -> None:
    going, staying = maker.point(), maker.point()
    bury(maker, going, keys)
    found = maker.catalog()
    assert found.counts() == {"all": 2, "sealed": 1, "open": 0, "abandoned": 0, "pruning": 1, "foreign": 0}
    row = found.get(going.id).row(found.now)
    assert (row["state"], row["usable"], row["components"]) == ("pruning", False, ["etcd", "pki"])
    assert "signature is believed" in row["reason"]
    assert found.select("latest").id == staying.id
    # As long as it is whole, whoever names it may use it: the tombstone may be an intruder's who stole the key.
    assert found.select(going.id).id == going.id
    # Half of it is gone, then its manifest, then all.
    shutil.rmtree(maker.root / CLUSTER / "points" / going.id / "artifacts")
    assert maker.catalog().get(going.id).state == "pruning"
    with pytest.raises(NoRecoveryPointError, match="is pruning"):
        maker.catalog().select(going.id)
    for key in (names.manifest_key, names.signature_key):
        maker.path(key(CLUSTER, going.id)).unlink()
    assert maker.catalog().get(going.id).state == "pruning"
    shutil.rmtree(maker.root / CLUSTER / "points" / going.id)
    assert list(maker.catalog().known) == [staying.id]


@pytest.mark.parametrize("forgery", ["nobody's", "a stranger's", "edited", "another point's", "garbage"])
def test_a_tombstone_that_nobody_believes_takes_no_point_out_of_use(maker: Maker, keys: Keys, stranger: Keys, forgery: str) -> None:
    manifest = maker.point()
    key = names.tombstone_key(CLUSTER, manifest.id)
    if forgery == "garbage":
        maker.location.put_new(key, b"gone")
    else:
        signers = {"nobody's": None, "a stranger's": stranger}
        bury(maker, manifest, signers.get(forgery, keys), **({"id": "20200101T000000Z-aaaaaa"} if forgery == "another point's" else {}))
    if forgery == "edited":
        maker.path(key).write_bytes(maker.path(key).read_bytes().replace(b"too old", b"too new"))
    row = maker.catalog().rows()[0]
    assert (row["state"], row["usable"], row["overlaid"]) == ("tampered", True, [key])
    assert "its tombstone is not believed" in row["reason"]
    assert maker.catalog().select("latest").id == manifest.id


def test_without_allowed_signers_a_tombstone_is_not_checked_but_a_named_point_is_used(maker: Maker, keys: Keys) -> None:
    manifest = maker.point()
    bury(maker, manifest, keys)
    assert "was not checked" in maker.catalog(Trust()).get(manifest.id).reason
    assert maker.catalog(Trust()).get(manifest.id).state == "pruning"
    assert maker.catalog(Trust(accept_unsigned=[manifest.id])).select(manifest.id).id == manifest.id


def test_what_is_left_without_a_manifest_is_seen(maker: Maker) -> None:
    manifest = maker.point()
    maker.path(names.manifest_key(CLUSTER, manifest.id)).unlink()
    shutil.rmtree(maker.root / CLUSTER / "points" / manifest.id)
    assert (maker.catalog().points[0].state, maker.catalog().points[0].reason) == ("foreign", "nothing but the signature of a manifest is there")


def test_an_error_of_the_location_breaks_no_point(maker: Maker, keys: Keys) -> None:
    maker.point()
    found = Catalog(Closed(str(maker.root)), CLUSTER, keys.trust)
    for ask in (found.rows, found.latest, found.high_water_revision):
        with pytest.raises(AccessDeniedError):
            ask()


# -- the newest -----------------------------------------------------------------------------------------------------------------------


def test_latest_is_not_misled_by_copies_and_reads_no_further_than_it_must(maker: Maker, sealed_as: Callable[..., Manifest], keys: Keys) -> None:
    """Copies have newer ids and older times; what is older than a backup may take cannot win."""
    old = [sealed_as(f"202611{day:02}T120000Z-aaaaaa", f"2026-11-{day:02}T12:01:00Z") for day in (1, 2, 3)]
    winner = sealed_as("20261120T120000Z-aaaaaa", "2026-11-20T12:01:00Z")
    edge = sealed_as("20261119T130000Z-aaaaaa", "2026-11-19T13:01:00Z")
    copies = [sealed_as(f"20261125T12000{number}Z-aaaaaa", "2026-11-10T00:00:00Z", origin={"id": "x"}) for number in range(3)]
    location = Watched(str(maker.root))
    found = Catalog(location, CLUSTER, keys.trust)
    assert found.latest().id == winner.id
    # All eight fit into one batch here, so by name: those behind the bound were left out when the batch is one.
    location.seen.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.catalog._BATCH", 1)
        assert Catalog(location, CLUSTER, keys.trust).latest().id == winner.id
    read = {key.split("/")[2][:-5] for key in location.seen if "/manifests/" in key and key.endswith(".json")}
    assert read == {winner.id, edge.id, *(copy.id for copy in copies)}
    assert not read & {manifest.id for manifest in old}
    # A slow backup: opened before the other, taken after it, within the time that one may take.
    slow = sealed_as("20261119T130001Z-aaaaaa", "2026-11-20T12:30:00Z")
    assert maker.catalog().latest().id == slow.id


def test_latest_with_nothing_but_copies_is_the_one_taken_last(maker: Maker, sealed_as: Callable[..., Manifest]) -> None:
    copies = [sealed_as(f"2026112{number}T000000Z-aaaaaa", f"2026-0{9 - number}-01T00:00:00Z") for number in range(5)]
    assert maker.catalog().latest().id == copies[0].id


def test_what_is_newer_and_not_used_is_named(maker: Maker, sealed_as: Callable[..., Manifest]) -> None:
    good = sealed_as("20261120T120000Z-aaaaaa", "2026-11-20T12:00:00Z")
    unsigned = sealed_as("20261120T130000Z-aaaaaa", "2026-11-20T13:00:00Z", sign=False)
    garbage = sealed_as("20261120T140000Z-aaaaaa", "2026-11-20T14:00:00Z")
    maker.path(names.manifest_key(CLUSTER, garbage.id)).write_bytes(b"{")
    sealed_as("20261120T110000Z-aaaaaa", "2026-11-20T11:00:00Z", sign=False)
    found = maker.catalog()
    assert found.latest().id == good.id
    assert [point.id for point in found.passed_over] == [unsigned.id, garbage.id]


# -- the table ------------------------------------------------------------------------------------------------------------------------


def test_rows_are_the_newest_and_nothing_else_is_read(maker: Maker, sealed_as: Callable[..., Manifest], keys: Keys) -> None:
    made = [sealed_as(f"202611{day:02}T120000Z-aaaaaa", f"2026-11-{day:02}T12:00:00Z") for day in range(1, 6)]
    (maker.root / CLUSTER / "points" / "zzz").mkdir()
    (maker.root / CLUSTER / "points" / "zzz" / "file").write_text("somebody's")
    location = Watched(str(maker.root))
    found = Catalog(location, CLUSTER, keys.trust, now=names.parse_time("2026-11-06T12:00:00Z"))
    assert [row["id"] for row in found.rows(2)] == [manifest.id for manifest in made[-2:]]
    assert {key for key in location.seen if made[2].id in key} == set()
    assert found.rows(0) == []
    # A name that is no id takes no place among the newest.
    assert [row["id"] for row in found.rows()] == ["zzz", *(manifest.id for manifest in made)]
    assert found.counts() == {"all": 6, "sealed": 5, "open": 0, "abandoned": 0, "pruning": 0, "foreign": 1}


def test_a_directory_that_is_empty_is_no_point(maker: Maker, keys: Keys) -> None:
    made = maker.point()
    found = Catalog(Remembering(str(maker.root)), CLUSTER, keys.trust)
    assert (list(found.known), found.counts()["all"]) == ([made.id], 1)


def test_filters_choose_rows(maker: Maker, sealed_as: Callable[..., Manifest]) -> None:
    now = names.parse_time("2026-11-10T12:00:00Z")
    ids = [f"202611{day:02}T120000Z-aaaaaa" for day in range(1, 6)]
    for number, point in enumerate(ids):
        sealed_as(point, f"2026-11-{number + 1:02}T12:00:00Z", sign=point != ids[4])
    copy = sealed_as("20261109T120000Z-aaaaaa", "2026-11-01T00:00:00Z")
    opening = points.open_point(maker.location, CLUSTER, RUN, "2030-01-01T00:00:00Z", "20261110T110000Z-aaaaaa").opening
    results.append(maker.location, results.new_result(CLUSTER, ids[0], "verification", "opened", True, "r"))
    results.append(maker.location, results.new_result(CLUSTER, ids[1], "drill", "booted", False, "r"))
    found = maker.catalog(now=now)

    def chosen(limit: int | None = None, **filters: Any) -> list[str]:
        return [row["id"] for row in found.rows(limit, Filters(**filters))]

    day = 86400
    assert chosen(verified=True) == [ids[0]]
    assert chosen(drilled="failed") == [ids[1]]
    assert chosen(drilled="none", states=["complete"]) == [ids[0], ids[2], ids[3], copy.id]
    assert chosen(states=["open", "broken"]) == [ids[4], opening.id]
    assert chosen(states=["complete"], limit=2) == [ids[3], copy.id]
    assert chosen(signatures=["none"]) == [ids[4], opening.id]
    assert chosen(components=["etcd", "pki"], limit=1) == [copy.id]
    assert chosen(components=["velum_database"]) == []
    assert chosen(max_age_seconds=7 * day) == [ids[2], ids[3], ids[4], opening.id]
    assert chosen(min_age_seconds=9 * day) == [ids[0], copy.id]
    assert chosen(min_age_seconds=7 * day, max_age_seconds=8 * day) == [ids[1], ids[2]]


def test_a_row_says_what_was_proven_and_what_is_kept(maker: Maker) -> None:
    manifest = maker.point()
    assert [maker.catalog().rows()[0][name] for name in ("verified_at", "drilled_at", "kept")] == [None, None, False]
    results.append(maker.location, results.new_result(CLUSTER, manifest.id, "drill", "booted", True, "r"))
    tags.append(maker.location, tags.new_tag(CLUSTER, manifest.id, "keep", "the last of the year"))
    row = maker.catalog().rows()[0]
    assert (row["verified"], row["verified_level"], row["drill_verdict"], row["kept"]) == (True, "booted", "passed", True)
    assert row["verified_at"] == row["drilled_at"] == row["last_result"]["at"]


def test_gaps_are_points_that_were_known_and_are_gone(maker: Maker, keys: Keys) -> None:
    first, second, third = maker.point(), maker.point(), maker.point()
    found = maker.catalog()
    assert found.gaps() == []
    assert found.rows()
    assert found.gaps() == []
    for gone in (first, second):
        maker.path(names.manifest_key(CLUSTER, gone.id)).unlink()
    newest = max((first, second, third), key=lambda manifest: len(manifest.seen_before))
    assert newest == third
    bury(maker, first, keys)
    found = maker.catalog()
    assert found.get(third.id).state == "complete"
    assert found.gaps() == [second.id]


def test_the_high_water_mark_goes_by_signed_manifests_and_looks_at_no_more_than_it_needs(
    maker: Maker, sealed_as: Callable[..., Manifest], keys: Keys, stranger: Keys
) -> None:
    for number in range(4):
        sealed_as(f"2026112{number}T000000Z-aaaaaa", f"2026-11-2{number}T00:00:00Z", highest_revision=100 + number)
    forged = sealed_as("20261128T000000Z-aaaaaa", "2026-11-28T00:00:00Z", highest_revision=9_000)
    resign(maker, forged, stranger)
    location = Watched(str(maker.root))
    assert Catalog(location, CLUSTER, keys.trust).high_water_revision() == 103
    assert len([key for key in location.seen if key.endswith(".sig")]) == 2


# -- names alone ----------------------------------------------------------------------------------------------------------------------

NOW = names.parse_time("2026-11-20T12:00:00Z")


def result(days_ago: float, kind: str = "verification", level: str = "opened", passed: bool = True) -> ResultName:
    """The name of a result."""
    return ResultName(NOW - timedelta(days=days_ago), kind, level, passed, "key")


def test_what_speaks_for_a_point_is_its_newest_opening() -> None:
    opened, listed, failed = result(3), result(1, level="listed"), result(2, passed=False)
    drilled, escrow = result(1, "drill", "booted"), result(0, "escrow", "opened", False)
    assert proof([]) is None
    assert proof([listed, opened]) == opened
    assert proof([listed, opened, drilled, escrow]) == drilled
    assert proof([opened, failed]) is None
    assert proof([opened, failed, listed]) == listed


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([], True),
        ([result(6)], False),
        ([result(8)], True),
        ([result(1, level="hashed")], True),
        ([result(1, "drill", "booted")], False),
        ([result(1, "escrow")], True),
        # A verification that failed was one; it is made again when its time has come.
        ([result(1, passed=False)], False),
        ([result(8, passed=False)], True),
        # What failed elsewhere wants to be looked at now.
        ([result(2), result(1, "drill", "booted", False)], True),
        ([result(2, "drill", "booted", False), result(1)], False),
    ],
)
def test_a_point_is_due_when_nobody_read_it_for_long(found: list[ResultName], wanted: bool) -> None:
    known = [Known("20261101T000000Z-aaaaaa", manifest=True, results=found)]
    assert bool(due(known, "opened", NOW, timedelta(days=7), 3)) is wanted


def test_the_newest_are_due_first_and_not_more_than_the_limit() -> None:
    def known(day: int, **more: Any) -> Known:
        return Known(f"202611{day:02}T000000Z-aaaaaa", **{"manifest": True, **more})

    entries = [known(day) for day in range(1, 6)]
    entries += [known(6, results=[result(1)]), known(7, manifest=False), known(8, tombstone=True), Known("notes", manifest=True)]
    week = timedelta(days=7)
    assert due(entries, "opened", NOW, week, 3) == [entries[4].id, entries[3].id, entries[2].id]
    assert due(entries, "opened", NOW, timedelta(0), 1) == [entries[5].id]
    assert due(entries, "opened", NOW, week, 0) == []


def test_the_newest_tag_counts() -> None:
    def tag(at: datetime, name: str) -> tags.TagName:
        return tags.TagName(at, name, name)

    assert not is_kept([])
    assert is_kept([tag(NOW, "keep")])
    assert not is_kept([tag(NOW, "keep"), tag(NOW + timedelta(1), "release")])
    assert is_kept([tag(NOW, "release"), tag(NOW, "keep")])
