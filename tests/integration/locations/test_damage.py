# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage on the disks of a real S3 server, and keys that are lost: each is said, by name, and nothing damaged is ever used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification import verification
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    IdentityRefusedError,
    ManifestError,
    ObjectDamagedError,
    SignatureError,
    SignedByStrangerError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3 import S3Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from tests.s3_server import S3Server
from tests.unit.plugins.module_utils._recovery_point.making import Keys, Maker, flip, make_keys

BUCKET = "backups"


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The keys of the cluster's owner."""
    return make_keys(tmp_path_factory.mktemp("owner"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server without object lock: damage is done on its disk."""
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        running.create_bucket(BUCKET, object_lock=False)
        yield running


@pytest.fixture
def maker(server: S3Server, owner: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Makes points of a cluster that has the bucket for itself, below a prefix of its own."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    location = S3Location(BUCKET, prefix=tmp_path.name, endpoint_url=server.endpoint_url, region="us-east-1", addressing_style="path")
    return Maker(tmp_path, owner, location=location)


def verified(maker: Maker, manifest: Manifest, level: str) -> verification.Verification:
    """Read the point up to a level."""
    return verification.verify_point(maker.location, manifest, level, [str(maker.keys.identity_file)])


def on_disk(server: S3Server, maker: Maker, ending: str) -> Path:
    """The one file of the maker's objects whose name ends so."""
    (found,) = [path for path in server.files(BUCKET) if f"/{maker.run_directory.parent.name}/" in str(path) and str(path).endswith(ending)]
    return found


def test_one_flipped_byte_in_any_artifact_is_found_at_hashed_and_at_opened(server: S3Server, maker: Maker) -> None:
    manifest = maker.point()
    assert verified(maker, manifest, "opened").passed
    for artifact in manifest.artifacts:
        path = on_disk(server, maker, artifact.name)
        for position in (0, artifact.sealed_size_bytes // 2, artifact.sealed_size_bytes - 1):
            flip(path, position)
            for level in ("hashed", "opened"):
                found = verified(maker, manifest, level)
                assert [record["name"] for record in found.artifacts if not record["hashed"]] == [artifact.name], level
                assert not found.passed
            flip(path, position)
    assert verified(maker, manifest, "opened").passed


def test_one_flipped_byte_in_manifest_signature_or_opening_refuses_the_point(server: S3Server, maker: Maker) -> None:
    manifest = maker.point()
    assert maker.catalog().select("latest").id == manifest.id
    for ending, position, expected in (
        (f"{manifest.id}.json", 40, (SignatureError, ManifestError, ObjectDamagedError)),
        (f"{manifest.id}.json.sig", 60, (SignatureError, ObjectDamagedError)),
        (f"{manifest.id}/open.json", 30, (ManifestError, ObjectDamagedError)),
    ):
        path = on_disk(server, maker, ending)
        flip(path, position)
        point = maker.catalog().get(manifest.id)
        assert point.state == "broken", ending
        with pytest.raises(expected):
            maker.catalog().select(manifest.id)
        with pytest.raises(LifeboatError, match="no recovery point of cluster shop that can be used"):
            maker.catalog().select("latest")
        flip(path, position)
    assert maker.catalog().select("latest").id == manifest.id


def test_a_lost_key_and_a_wrong_recipient_are_told_apart_from_damage(maker: Maker, tmp_path: Path) -> None:
    manifest = maker.point()
    stranger = make_keys(tmp_path / "stranger")
    wrong = verification.verify_point(maker.location, manifest, "opened", [str(stranger.identity_file)])
    assert not wrong.passed
    for record in wrong.artifacts:
        assert record["hashed"] is True
        assert "No identity matches" in record["problem"]
        assert maker.keys.recipient in record["problem"]
    with pytest.raises(IdentityRefusedError, match="cannot be read"):
        verification.verify_point(maker.location, manifest, "opened", [str(tmp_path / "lost.key")])
    with pytest.raises(SignedByStrangerError):
        maker.catalog(stranger.trust).select(manifest.id)


def test_an_object_that_is_gone_from_the_disk_is_named(server: S3Server, maker: Maker) -> None:
    manifest = maker.point()
    artifact = manifest.artifacts[0]
    assert names.artifact_key(manifest.cluster_name, manifest.id, artifact.name).endswith(artifact.name)
    on_disk(server, maker, artifact.name).unlink()
    point = maker.catalog().get(manifest.id)
    assert point.state == "broken"
    assert f"{artifact.name} is missing" in point.reason
