# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening and sealing points: what is refused, what a rerun does, and that nothing is ever rewritten."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import points
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Artifact, ClusterIdentity, Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    ArtifactDamagedError,
    LocationError,
    ManifestError,
    NoRecoveryPointError,
    ObjectExistsError,
    OtherClusterError,
    PointIncompleteError,
    SignatureError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, RUN, Keys, Maker, flip, make_tar


def artifacts_of(maker: Maker, point: str) -> list[Artifact]:
    """Etcd and pki."""
    return [maker.add(point, component, "cp1", make_tar({"file": component.encode()})) for component in ("etcd", "pki")]


def how(maker: Maker, **more: object) -> points.Sealing:
    """Sealing with the owner's key."""
    return points.Sealing(str(maker.keys.signing_key), maker.keys.trust)._replace(**more)


def test_opening_writes_who_and_when_first(maker: Maker) -> None:
    opened = points.open_point(maker.location, CLUSTER, RUN, "2030-01-01T00:00:00Z")
    assert opened.changed
    assert [path.name for path in maker.files()] == ["open.json"]
    assert catalog.read_opening(maker.location, CLUSTER, opened.opening.id) == opened.opening
    assert (opened.opening.run_id, opened.opening.retain_until, opened.opening.seen_before) == (RUN, "2030-01-01T00:00:00Z", [])


def test_opening_again_in_the_same_run_is_no_change_and_in_another_one_is_refused(maker: Maker) -> None:
    first = maker.open()
    again = points.open_point(maker.location, CLUSTER, RUN, "2031-01-01T00:00:00Z", first.id)
    assert (again.changed, again.opening) == (False, first)
    with pytest.raises(ObjectExistsError, match="opened by another run"):
        points.open_point(maker.location, CLUSTER, "another-run", "2031-01-01T00:00:00Z", first.id)


def test_check_mode_writes_nothing(maker: Maker) -> None:
    opened = points.open_point(maker.location, CLUSTER, RUN, "2030-01-01T00:00:00Z", check_mode=True)
    assert opened.changed
    assert maker.files() == []
    opening = maker.open()
    manifest = points.draft(maker.location, CLUSTER, opening.id, maker.evidence(artifacts_of(maker, opening.id)))
    before = maker.files()
    sealed = points.seal_point(maker.location, manifest, how(maker, run_directory=str(maker.run_directory)), check_mode=True)
    assert sealed.changed
    assert maker.files() == before
    assert not list(maker.run_directory.glob("manifest-*"))


def test_points_remember_which_ones_their_writer_saw(maker: Maker) -> None:
    first, second = maker.point(), maker.point()
    third = maker.open()
    assert second.seen_before == [first.id]
    assert third.seen_before == sorted([first.id, second.id])


def test_the_manifest_is_written_last_and_says_everything(maker: Maker) -> None:
    opening = maker.open()
    artifacts = artifacts_of(maker, opening.id)
    etcd = {"revision": 4711, "sha256": "ab" * 32, "taken_at": "2026-11-20T13:00:00.123Z"}
    manifest = maker.seal(
        opening.id,
        artifacts,
        etcd=etcd,
        highest_revision=4800,
        missing=[{"component": "node_config", "host": "w1", "reason": "unreachable"}],
        checks=[{"id": "x", "passed": True}],
        durations={"backup": 1.5},
        fingerprints={"ca": "ab"},
    )
    stored = Manifest.from_bytes(maker.path(names.manifest_key(CLUSTER, opening.id)).read_bytes())
    assert stored == manifest
    assert (stored.taken_at, stored.highest_revision, stored.status) == ("2026-11-20T13:00:00Z", 4800, "partially_failed")
    assert (stored.opened_at, stored.retain_until) == (opening.opened_at, opening.retain_until)
    assert stored.components == ["etcd", "pki"]
    newest = max(maker.files(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == f"{opening.id}.json"


def test_without_a_time_of_its_own_the_point_has_that_of_its_opening(maker: Maker) -> None:
    opening = maker.open()
    assert maker.seal(opening.id, artifacts_of(maker, opening.id)).taken_at == opening.opened_at
    second, taken_at = maker.open(), names.format_time(names.now() - timedelta(minutes=2))
    assert maker.seal(second.id, artifacts_of(maker, second.id), taken_at=taken_at).taken_at == taken_at


@pytest.mark.parametrize("component", ["etcd", "pki"])
def test_a_point_without_etcd_or_pki_is_refused(maker: Maker, component: str) -> None:
    opening = maker.open()
    artifacts = [artifact for artifact in artifacts_of(maker, opening.id) if artifact.component != component]
    with pytest.raises(PointIncompleteError, match=f"nothing of {component}"):
        maker.seal(opening.id, artifacts)
    assert maker.location.size(names.manifest_key(CLUSTER, opening.id)) is None
    manifest = points.draft(maker.location, CLUSTER, opening.id, maker.evidence(artifacts))
    assert points.seal_point(maker.location, manifest, how(maker, required_components=[artifacts[0].component])).changed


def test_a_point_that_was_never_opened_cannot_be_sealed(maker: Maker) -> None:
    with pytest.raises(NoRecoveryPointError, match="was not opened here"):
        points.draft(maker.location, CLUSTER, "20261120T133500Z-1a2b3c", maker.evidence([]))


def test_a_point_without_anything_is_refused(maker: Maker) -> None:
    with pytest.raises(PointIncompleteError, match="holds nothing at all"):
        points.draft(maker.location, CLUSTER, maker.open().id, maker.evidence([]))


def test_records_that_are_not_artifacts_are_refused_by_field(maker: Maker) -> None:
    opening = maker.open()
    evidence = maker.evidence(artifacts_of(maker, opening.id))
    evidence["artifacts"][1]["sealed_sha256"] = "x"
    with pytest.raises(ManifestError, match=r"artifacts\[1\].sealed_sha256 is not a SHA-256"):
        points.draft(maker.location, CLUSTER, opening.id, evidence)


def test_every_artifact_is_read_back_before_the_manifest(maker: Maker) -> None:
    opening = maker.open()
    artifacts = artifacts_of(maker, opening.id)
    path = maker.path(names.artifact_key(CLUSTER, opening.id, artifacts[1].name))
    flip(path, 50)
    with pytest.raises(ArtifactDamagedError, match="pki/cp1.tar.zst.age was read back with other bytes"):
        maker.seal(opening.id, artifacts)
    path.unlink()
    with pytest.raises(PointIncompleteError, match="pki/cp1.tar.zst.age is missing"):
        maker.seal(opening.id, artifacts)
    assert not (maker.root / CLUSTER / "manifests").exists()


def test_sealing_again_is_no_change_and_with_other_content_an_error(maker: Maker) -> None:
    opening = maker.open()
    artifacts = artifacts_of(maker, opening.id)
    first = maker.seal(opening.id, artifacts)
    manifest = points.draft(maker.location, CLUSTER, opening.id, maker.evidence(artifacts))
    again = points.seal_point(maker.location, manifest, how(maker))
    assert (again.changed, again.manifest, again.signed) == (False, first, True)
    with pytest.raises(ObjectExistsError, match="sealed already, with another content") as caught:
        maker.seal(opening.id, artifacts, platform="caasp3")
    assert "differences in: platform" in str(caught.value)


class KilledError(Exception):
    """Stands for the end of the process."""


def killed_before(maker: Maker, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """Make the location die just before it writes a key."""
    original = maker.location.put_new

    def put_new(wanted: str, data: bytes, retain_until: datetime | None = None) -> bool:
        if wanted == key:
            raise KilledError
        return original(wanted, data, retain_until)

    monkeypatch.setattr(maker.location, "put_new", put_new)


def test_a_kill_between_signature_and_manifest_is_gone_on_from(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = maker.open()
    artifacts = artifacts_of(maker, opening.id)
    evidence = maker.evidence(artifacts)
    manifest = points.draft(maker.location, CLUSTER, opening.id, evidence)
    sealing = how(maker, run_directory=str(maker.run_directory))
    with monkeypatch.context() as patch:
        killed_before(maker, patch, names.manifest_key(CLUSTER, opening.id))
        with pytest.raises(KilledError):
            points.seal_point(maker.location, manifest, sealing)
    assert maker.catalog().get(opening.id).state == "open"
    real = names.now()
    monkeypatch.setattr(names, "now", lambda: real + timedelta(minutes=2))
    later = points.draft(maker.location, CLUSTER, opening.id, evidence)
    assert later != manifest
    assert points.seal_point(maker.location, later, sealing).manifest == manifest
    assert maker.catalog().get(opening.id).state == "complete"


def test_the_same_without_the_run_directory_is_refused_and_changes_nothing(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = maker.open()
    artifacts = artifacts_of(maker, opening.id)
    with monkeypatch.context() as patch:
        killed_before(maker, patch, names.manifest_key(CLUSTER, opening.id))
        with pytest.raises(KilledError):
            maker.seal(opening.id, artifacts)
    with pytest.raises(ObjectExistsError, match="was being sealed with another content"):
        maker.seal(opening.id, artifacts, platform="caasp3")
    assert maker.location.size(names.manifest_key(CLUSTER, opening.id)) is None


def test_a_torn_draft_is_no_obstacle(maker: Maker) -> None:
    opening = maker.open()
    artifacts = artifacts_of(maker, opening.id)
    Path(maker.run_directory, f"manifest-{opening.id}.json").write_bytes(b'{"half')
    manifest = points.draft(maker.location, CLUSTER, opening.id, maker.evidence(artifacts))
    assert points.seal_point(maker.location, manifest, how(maker, run_directory=str(maker.run_directory))).changed


def test_a_key_that_nobody_allows_is_noticed_at_once(maker: Maker, stranger: Keys) -> None:
    opening = maker.open()
    manifest = points.draft(maker.location, CLUSTER, opening.id, maker.evidence(artifacts_of(maker, opening.id)))
    with pytest.raises(SignatureError, match="stranger"):
        points.seal_point(maker.location, manifest, how(maker, signing_key=str(stranger.signing_key)))
    assert maker.location.size(names.manifest_key(CLUSTER, opening.id)) is None
    assert maker.location.size(names.signature_key(CLUSTER, opening.id)) is None


def test_without_a_key_the_point_is_unsigned(maker: Maker) -> None:
    manifest = maker.point(sign=False)
    assert maker.location.size(names.signature_key(CLUSTER, manifest.id)) is None


def test_what_is_not_in_the_manifest_is_told(maker: Maker) -> None:
    opening = maker.open()
    artifacts = artifacts_of(maker, opening.id)
    extra = maker.add(opening.id, "node_config", "w1", make_tar({}))
    manifest = points.draft(maker.location, CLUSTER, opening.id, maker.evidence(artifacts))
    sealed = points.seal_point(maker.location, manifest, how(maker))
    assert sealed.unlisted == [names.artifact_key(CLUSTER, opening.id, extra.name)]
    assert maker.catalog().points[0].unlisted == sealed.unlisted


def test_a_location_that_gives_other_bytes_back_is_noticed(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = maker.open()
    artifacts = artifacts_of(maker, opening.id)
    original = maker.location.put_new

    def put_new(key: str, data: bytes, retain_until: datetime | None = None) -> bool:
        return original(key, data.replace(b"kubeadm", b"kubeaDm"), retain_until)

    monkeypatch.setattr(maker.location, "put_new", put_new)
    with pytest.raises(ManifestError, match="was read back with other bytes"):
        maker.seal(opening.id, artifacts)


def test_two_runs_at_once_make_two_points(maker: Maker, keys: Keys, tmp_path: Path) -> None:
    one, other = maker, Maker(tmp_path, keys)
    openings = [one.open(), other.open()]
    assert openings[0].id != openings[1].id
    artifacts = [artifacts_of(writer, opening.id) for writer, opening in zip([one, other], openings)]
    sealed = [writer.seal(opening.id, found) for writer, opening, found in zip([one, other], openings, artifacts)]
    assert [point.state for point in maker.catalog().points] == ["complete", "complete"]
    with pytest.raises(ObjectExistsError):
        one.add(sealed[1].id, "etcd", "cp1", make_tar({"file": b"other"}))


def test_the_signature_is_one_of_the_manifest_and_of_nothing_else(maker: Maker) -> None:
    manifest = maker.point()
    signature = maker.path(names.signature_key(CLUSTER, manifest.id)).read_bytes()
    with pytest.raises(SignatureError):
        signing.check_integrity(manifest.to_bytes(), signature, signing.RESULT_NAMESPACE, "it")
    signing.check_integrity(manifest.to_bytes(), signature, signing.MANIFEST_NAMESPACE, "it")


def test_all_errors_are_ones_that_people_can_act_on() -> None:
    for error in (LocationError, ManifestError, SignatureError, PointIncompleteError):
        assert issubclass(error, LifeboatError)


# -- one name, two clusters ---------------------------------------------------------------------------------------------------------------

OTHER_UID = "0b0f1f5e-5b39-4f5c-8b9e-7d0c7b8f1a11"


def opened_by(maker: Maker, uid: str | None, replaces: str | None = None) -> points.Opened:
    """A point that a cluster with this UID opens."""
    return points.open_point(maker.location, CLUSTER, RUN, "2030-01-01T00:00:00Z", identity=ClusterIdentity(uid, None), replaces=replaces)


def test_a_second_cluster_under_one_name_is_refused_before_anything_is_written(maker: Maker) -> None:
    first = maker.point()
    uid = first.cluster_identity.kube_system_uid
    before = maker.files()
    with pytest.raises(OtherClusterError, match="Another cluster is backed up under the name shop") as refused:
        opened_by(maker, OTHER_UID)
    assert uid is not None
    assert f"lifeboat_replaces={uid}" in str(refused.value)
    assert maker.files() == before
    assert opened_by(maker, uid).changed
    assert opened_by(maker, None).changed
    assert opened_by(maker, OTHER_UID, replaces=uid).changed


def test_a_forged_manifest_does_not_end_all_backups(maker: Maker, stranger: Keys, tmp_path: Path) -> None:
    first = maker.point()
    (tmp_path / "forged").mkdir()
    forger = Maker(tmp_path / "forged", stranger, location=maker.location)
    opening = forger.open()
    made = artifacts_of(forger, opening.id)
    known = first.cluster_identity.kube_system_uid
    forged = forger.evidence(made, cluster_identity={"kube_system_uid": OTHER_UID, "ca_sha256": None})
    manifest = points.draft(maker.location, CLUSTER, opening.id, forged)
    points.seal_point(maker.location, manifest, points.Sealing(str(stranger.signing_key), stranger.trust))
    opened = points.open_point(maker.location, CLUSTER, RUN, "2030-01-01T00:00:00Z", identity=ClusterIdentity(known, None), trust=maker.keys.trust)
    assert opened.changed


def test_of_two_clusters_that_begin_at_once_only_one_seals(maker: Maker) -> None:
    openings = [maker.open(), maker.open()]
    for opening, uid in zip(openings, ("6dbd6a44-0c4e-4ff3-ba1f-ee0b2b7e5a5c", OTHER_UID), strict=True):
        made = artifacts_of(maker, opening.id)
        identity = {"kube_system_uid": uid, "ca_sha256": "ab" * 32}
        if uid == OTHER_UID:
            with pytest.raises(OtherClusterError, match="Another cluster"):
                maker.seal(opening.id, made, cluster_identity=identity)
        else:
            maker.seal(opening.id, made, cluster_identity=identity)
    assert [point.state for point in maker.catalog().points if point.manifest] == ["complete"]
