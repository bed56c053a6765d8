# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file of a point damaged, missing, cut off or replaced; every level finds what it promises to find."""

from __future__ import annotations

import errno
import io
import json
import subprocess
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import sealing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification import verification
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.verification import Verification, verify_point
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    IdentityRefusedError,
    ManifestError,
    PointIncompleteError,
    SignedBytesEditedError,
    UnsignedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys, Maker, assert_no_secrets, flip, make_pki_files, make_tar


def verify(maker: Maker, manifest: Manifest, level: str, identity: Path | None = None) -> Verification:
    """Verify as the module does."""
    return verify_point(maker.location, manifest, level, [str(identity or maker.keys.identity_file)], str(maker.run_directory))


def failing(verified: Verification) -> list[str]:
    """Ids of the checks that were not met."""
    return [entry["id"] for entry in verified.checks if not entry["passed"]]


def full_point(maker: Maker) -> Manifest:
    """A point with secrets in it, a tool that is no archive, and an empty archive."""
    opening = maker.open()
    artifacts = [
        maker.add(opening.id, "etcd", "cp1", make_tar({"notes": b"no snapshot"})),
        maker.add(opening.id, "pki", "cp1", make_tar(make_pki_files()), inspect=True),
        maker.add(opening.id, "node_config", "w1", make_tar({})),
        maker.add(opening.id, "tools", "etcdutl", b"\x7fELF" + bytes(100000), extension=""),
    ]
    return maker.seal(opening.id, artifacts)


@pytest.mark.parametrize("level", ["listed", "hashed", "opened"])
def test_a_sound_point_passes_at_every_level(maker: Maker, level: str) -> None:
    manifest = full_point(maker)
    verified = verify(maker, manifest, level)
    assert verified.passed
    expected = {"listed": 1, "hashed": 2, "opened": 4}[level]
    assert len(verified.checks) == expected
    assert all(record[level] for record in verified.artifacts)
    assert [path for path in maker.run_directory.rglob("*") if path.is_dir() and path.name.startswith("lifeboat-verify")] == []


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\nexec /usr/bin/etcdutl\n", b"\x7fEL"])
def test_a_tool_that_is_no_program_is_found(maker: Maker, content: bytes) -> None:
    """Its bytes are those that were sealed, and worth nothing."""
    opening = maker.open()
    artifacts = [
        maker.add(opening.id, "etcd", "cp1", make_tar({"notes": b"no snapshot"})),
        maker.add(opening.id, "pki", "cp1", make_tar({})),
        maker.add(opening.id, "tools", "etcdutl", content, extension=""),
    ]
    manifest = maker.seal(opening.id, artifacts)
    verified = verify(maker, manifest, "opened")
    assert failing(verified) == ["recovery_point_opened"]
    assert "tools/etcdutl.zst.age is not a Linux program" in verified.checks[2]["found"]
    assert verify(maker, manifest, "hashed").passed


def test_aids_are_no_components_of_the_cluster(maker: Maker) -> None:
    """Freshness, retention and the least that makes a point count components; a tool must not stand in for one."""
    manifest = full_point(maker)
    assert manifest.components == ["etcd", "node_config", "pki"]
    opening = maker.open()
    kit = [maker.add(opening.id, "tools", "etcdutl", b"\x7fELF" + bytes(100), extension="")]
    with pytest.raises(PointIncompleteError, match="holds nothing of etcd and pki"):
        maker.seal(opening.id, kit)


def test_every_flipped_byte_of_every_file_is_found(maker: Maker) -> None:
    manifest = full_point(maker)
    for path in maker.files():
        size = path.stat().st_size
        for position in (0, size // 3, size // 2, size - 2, size - 1):
            flip(path, position)
            expect_damage(maker, manifest, path)
            flip(path, position)
    assert maker.catalog().select("latest").manifest == manifest
    assert verify(maker, manifest, "opened").passed


def expect_damage(maker: Maker, manifest: Manifest, path: Path) -> None:
    """The file with a flipped byte is named, in the way that it deserves."""
    key = str(path.relative_to(maker.root))
    found = maker.catalog()
    if "/artifacts/" in key:
        name = key.split("/artifacts/")[1]
        assert found.get(manifest.id).state == "complete"
        for level, checks in (("hashed", {"recovery_point_hashed"}), ("opened", {"recovery_point_hashed", "recovery_point_opened"})):
            verified = verify(maker, manifest, level)
            assert checks <= set(failing(verified))
            assert [record["name"] for record in verified.artifacts if record["problem"]] == [name]
            assert name in next(entry["found"] for entry in verified.checks if not entry["passed"])
        return
    assert found.get(manifest.id).state == "broken"
    kind = ManifestError if key.endswith("open.json") else SignedBytesEditedError
    with pytest.raises(kind):
        found.select(manifest.id)


def test_every_missing_or_truncated_file_is_found(maker: Maker) -> None:
    manifest = full_point(maker)
    for path in maker.files():
        content = path.read_bytes()
        path.unlink()
        expect_absence(maker, manifest, path, gone=True)
        for kept in (len(content) - 1, len(content) // 2, 0):
            path.write_bytes(content[:kept])
            expect_absence(maker, manifest, path, gone=False)
        path.write_bytes(content)
    assert maker.catalog().select(manifest.id).manifest == manifest


def expect_absence(maker: Maker, manifest: Manifest, path: Path, gone: bool) -> None:
    """A file that is not there, or not whole, is named."""
    key = str(path.relative_to(maker.root))
    point = maker.catalog().get(manifest.id)
    if key.endswith(f"{manifest.id}.json"):
        assert point.state == ("open" if gone else "broken")
        return
    assert point.state == "broken"
    expected: type[LifeboatError] = PointIncompleteError
    if key.endswith(".sig"):
        expected = UnsignedError if gone else SignedBytesEditedError
    elif key.endswith("open.json"):
        expected = PointIncompleteError if gone else ManifestError
    with pytest.raises(expected):
        maker.catalog().select(manifest.id)
    if "/artifacts/" in key:
        name = key.split("/artifacts/")[1]
        assert name in point.reason
        verified = verify(maker, manifest, "listed")
        assert failing(verified) == ["recovery_point_listed"]
        assert name in verified.checks[0]["found"]


def test_damage_in_one_artifact_hides_none_in_another(maker: Maker) -> None:
    """One flipped byte, one file gone, one cut off: all are named, what is left is read to its end, and all of it can be accepted by name alone."""
    manifest = full_point(maker)
    paths = {artifact.name: maker.path(names.artifact_key(CLUSTER, manifest.id, artifact.name)) for artifact in manifest.artifacts}
    flip(paths["pki/cp1.tar.zst.age"], 700)
    paths["node_config/w1.tar.zst.age"].unlink()
    paths["tools/etcdutl.zst.age"].write_bytes(paths["tools/etcdutl.zst.age"].read_bytes()[:-1])
    verified = verify(maker, manifest, "opened")
    bad = ["node_config/w1.tar.zst.age", "pki/cp1.tar.zst.age", "tools/etcdutl.zst.age"]
    assert sorted(verified.damaged) == bad
    assert [record["name"] for record in verified.artifacts if record["opened"]] == ["etcd/cp1.tar.zst.age"]
    problems = {record["name"]: record["problem"] for record in verified.artifacts}
    assert "is missing" in problems[bad[0]]
    assert "has SHA-256" in problems[bad[1]]
    assert "bytes, not" in problems[bad[2]]
    assert verified.bearable(bad)
    assert not verified.bearable(bad[:2])
    assert not verified.passed


class Unreadable(FilesystemLocation):
    """A disk of which some blocks are bad."""

    bad = ""

    def open(self, key: str) -> BinaryIO:
        stream = super().open(key)
        if not key.endswith(self.bad):
            return stream

        class Bad(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def readinto(self, _buffer: Any) -> int:
                raise OSError(errno.EIO, "Input/output error")

            def close(self) -> None:
                stream.close()
                super().close()

        return cast("BinaryIO", io.BufferedReader(Bad()))


@pytest.mark.parametrize("level", ["hashed", "opened"])
def test_an_artifact_that_the_disk_does_not_give_back_is_damaged(maker: Maker, level: str) -> None:
    manifest = full_point(maker)
    location = Unreadable(str(maker.root))
    location.bad = "pki/cp1.tar.zst.age"
    verified = verify_point(location, manifest, level, [str(maker.keys.identity_file)], str(maker.run_directory))
    assert verified.damaged == ["pki/cp1.tar.zst.age"]
    assert [record["problem"] for record in verified.artifacts if record["problem"]] == ["pki/cp1.tar.zst.age cannot be read: [Errno 5] Input/output error"]


def test_wrong_contents_and_another_key_are_laid_at_the_right_door(maker: Maker, stranger: Keys) -> None:
    manifest = full_point(maker)
    other = verify(maker, forge(maker, manifest, "pki/cp1.tar.zst.age", make_tar(make_pki_files())), "opened")
    assert other.damaged == ["pki/cp1.tar.zst.age"]
    assert other.bearable(other.damaged)
    # An artifact that is sealed to somebody else is whole: naming it would open nothing.
    manifest = full_point(maker)
    closed = verify(maker, manifest, "opened", stranger.identity_file)
    assert closed.damaged == []
    assert not closed.bearable([artifact.name for artifact in manifest.artifacts])


def test_a_snapshot_that_is_missing_is_damage_of_the_artifact_that_should_hold_it(maker: Maker) -> None:
    opening = maker.open()
    artifacts = [
        maker.add(opening.id, "etcd", "cp1", make_tar({"notes": b"no snapshot"})),
        maker.add(opening.id, "pki", "cp1", make_tar(make_pki_files()), inspect=True),
    ]
    manifest = maker.seal(opening.id, artifacts, etcd={"revision": 4711})
    verified = verify(maker, manifest, "opened")
    assert verified.damaged == ["etcd/cp1.tar.zst.age"]
    # Of a point that holds nothing of etcd at all nothing can be accepted by name.
    record = manifest.to_record()
    record["artifacts"] = [artifact for artifact in record["artifacts"] if artifact["component"] != "etcd"]
    verified = verify(maker, Manifest.from_record(record), "opened")
    assert (verified.damaged, verified.bearable([])) == ([], False)
    assert failing(verified) == ["recovery_point_snapshot"]


def test_the_wrong_age_key_is_told_from_damage(maker: Maker, stranger: Keys) -> None:
    manifest = full_point(maker)
    verified = verify(maker, manifest, "opened", stranger.identity_file)
    assert "recovery_point_opened" in failing(verified)
    assert "recovery_point_hashed" not in failing(verified)
    assert f"recipients of this point are: {maker.keys.recipient}" in verified.checks[2]["found"]
    with pytest.raises(IdentityRefusedError):
        verify_point(maker.location, manifest, "opened", [])


def test_one_artifact_in_place_of_another_is_found(maker: Maker) -> None:
    first, second = full_point(maker), full_point(maker)
    name = "pki/cp1.tar.zst.age"
    other = maker.path(names.artifact_key(CLUSTER, first.id, name)).read_bytes()
    maker.path(names.artifact_key(CLUSTER, second.id, name)).write_bytes(other)
    verified = verify(maker, second, "opened")
    assert not verified.passed
    assert name in json.dumps(verified.checks)


def forge(maker: Maker, manifest: Manifest, name: str, content: bytes) -> Manifest:
    """Put another plain content under an artifact, with a manifest whose hashes agree."""
    path = maker.path(names.artifact_key(CLUSTER, manifest.id, name))
    path.unlink()
    digests = sealing.seal_to(maker.location, names.artifact_key(CLUSTER, manifest.id, name), io.BytesIO(content), [maker.keys.recipient])
    record = manifest.to_record()
    for artifact in record["artifacts"]:
        if artifact["name"] == name:
            artifact.update(digests._asdict())
    return Manifest.from_record(record)


def test_an_archive_that_is_none_is_found_though_its_hashes_agree(maker: Maker) -> None:
    manifest = forge(maker, full_point(maker), "node_config/w1.tar.zst.age", b"not a tar archive" * 100)
    verified = verify(maker, manifest, "opened")
    assert failing(verified) == ["recovery_point_opened"]
    assert "node_config/w1.tar.zst.age is not a whole tar archive" in json.dumps(verified.checks)


def test_another_number_of_entries_than_recorded_is_found(maker: Maker) -> None:
    manifest = forge(maker, full_point(maker), "node_config/w1.tar.zst.age", make_tar({"one": b"1"}))
    verified = verify(maker, manifest, "opened")
    assert failing(verified) == ["recovery_point_opened"]
    assert "has 1 entries, not 0" in json.dumps(verified.checks)


def test_other_certificates_and_keys_than_recorded_are_found(maker: Maker) -> None:
    manifest = full_point(maker)
    same_number = make_tar(make_pki_files())
    verified = verify(maker, forge(maker, manifest, "pki/cp1.tar.zst.age", same_number), "opened")
    assert failing(verified) == ["recovery_point_certificates"]
    (check,) = (entry for entry in verified.checks if entry["id"] == "recovery_point_certificates")
    for path in ("pki/ca.crt", "pki/ca.key", "pki/sa.pub"):
        assert path in check["found"]
    assert_no_secrets(json.dumps(verified))


def test_a_recorded_snapshot_has_to_be_there(maker: Maker) -> None:
    opening = maker.open()
    artifacts = [
        maker.add(opening.id, "etcd", "cp1", make_tar({"notes": b"no snapshot"})),
        maker.add(opening.id, "pki", "cp1", make_tar(make_pki_files()), inspect=True),
    ]
    manifest = maker.seal(opening.id, artifacts, etcd={"revision": 4711})
    verified = verify(maker, manifest, "opened")
    assert failing(verified) == ["recovery_point_snapshot"]
    assert "no snapshot" in verified.checks[-1]["found"]


@pytest.mark.parametrize("extension", ["tar", "db"])
def test_a_snapshot_that_is_none_is_found_and_its_plain_copy_removed(maker: Maker, extension: str) -> None:
    opening = maker.open()
    garbage = b"planted secret in no snapshot" * 5000
    artifacts = [
        maker.add(opening.id, "etcd", "cp1", garbage if extension == "db" else make_tar({"snapshot.db": garbage}), extension=extension),
        maker.add(opening.id, "pki", "cp1", make_tar(make_pki_files()), inspect=True),
    ]
    manifest = maker.seal(opening.id, artifacts, etcd={"revision": 4711, "size_bytes": len(garbage)})
    verified = verify(maker, manifest, "opened")
    assert failing(verified) == ["recovery_point_snapshot"]
    assert "planted" not in json.dumps(verified)
    assert subprocess.run(["grep", "-rl", "planted secret", maker.run_directory], capture_output=True, check=False).stdout == b""


def test_results_hold_no_secrets(maker: Maker) -> None:
    manifest = full_point(maker)
    verified = verify(maker, manifest, "opened")
    assert_no_secrets(json.dumps(verified))
    assert_no_secrets(manifest.to_bytes().decode())
    for path in maker.files():
        assert_no_secrets(path.read_bytes().decode("latin-1"))


def test_a_point_that_may_not_be_used_is_a_failed_check(maker: Maker) -> None:
    manifest = full_point(maker)
    signed = maker.catalog().select(manifest.id).signed
    good = verification.usable(manifest.id, None, signed)
    bad = verification.usable(manifest.id, UnsignedError("The manifest is not signed", found="nothing"))
    assert (good["passed"], good["found"]) == (True, "signed by ops@shop")
    assert (bad["passed"], bad["found"]) == (False, "The manifest is not signed: nothing")
    assert good["id"] == bad["id"]
