# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification at level opened looks into real etcd snapshots, and compares them with the manifest."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.verification import Verification, verify_point
from tests.integration.recovery_point.servers import Snapshot
from tests.unit.plugins.module_utils._recovery_point.making import Maker, make_tar


def make_point(maker: Maker, content: bytes, record: dict[str, Any], extension: str) -> Manifest:
    """A point with this snapshot, and this record of it."""
    opening = maker.open()
    stored = make_tar({"etcd/snapshot.db": content, "etcd/notes": b"x"}) if extension == "tar" else content
    artifacts = [maker.add(opening.id, "etcd", "snapshot", stored, extension=extension), maker.add(opening.id, "pki", "cp1", make_tar({}))]
    return maker.seal(opening.id, artifacts, etcd=record)


def verify(maker: Maker, manifest: Manifest) -> Verification:
    """Open everything."""
    return verify_point(maker.location, manifest, "opened", [str(maker.keys.identity_file)], str(maker.run_directory))


@pytest.mark.parametrize("extension", ["db", "tar"])
def test_a_sound_snapshot_passes_alone_and_in_an_archive(maker: Maker, snapshot: Snapshot, extension: str) -> None:
    verified = verify(maker, make_point(maker, snapshot.content, snapshot.record, extension))
    assert verified.passed, verified.checks
    (check,) = (entry for entry in verified.checks if entry["id"] == "recovery_point_snapshot")
    assert check["found"] == f"revision {snapshot.record['revision']}, 1 keys"
    assert not [path for path in maker.run_directory.rglob("*") if path.name.startswith(("lifeboat-verify", "snapshot"))]


@pytest.mark.parametrize(
    ("field", "value"),
    [("revision", 7), ("sha256", "0" * 64), ("size_bytes", 5)],
)
def test_another_snapshot_than_the_recorded_one_is_found(maker: Maker, snapshot: Snapshot, field: str, value: Any) -> None:
    verified = verify(maker, make_point(maker, snapshot.content, {**snapshot.record, field: value}, "db"))
    assert [entry["id"] for entry in verified.checks if not entry["passed"]] == ["recovery_point_snapshot"]
    assert f"{field} of the snapshot is {snapshot.record[field]}, not {value}" in verified.checks[-1]["found"]


@pytest.mark.parametrize("position", [5000, 20000, -40, -1])
def test_a_snapshot_that_was_damaged_before_it_was_sealed_is_found(maker: Maker, snapshot: Snapshot, position: int) -> None:
    content = bytearray(snapshot.content)
    content[position] ^= 1
    record = {"revision": snapshot.record["revision"]}
    verified = verify(maker, make_point(maker, bytes(content), record, "db"))
    assert [entry["id"] for entry in verified.checks if not entry["passed"]] == ["recovery_point_snapshot"]
