# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshot files that were altered or cut: every one is found, and its failure says what is wrong."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import SnapshotInvalid
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.bolt import BoltFile
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.inventory import Store
from tests.integration.etcd.servers import Server


@pytest.fixture(scope="module")
def good(single: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of the shared member."""
    path = tmp_path_factory.mktemp("snapshot") / "good.db"
    with single.client() as client:
        snapshot.save(client, str(path))
    return path


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    path = tmp_path / "copy.db"
    path.write_bytes(good.read_bytes())
    return path


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as target:
        target.seek(offset)
        byte = target.read(1)[0]
        target.seek(offset)
        target.write(bytes([byte ^ 0x10]))


def test_one_flipped_byte_anywhere_is_found(good: Path, copy: Path) -> None:
    size = good.stat().st_size
    chance = random.Random(4711)
    offsets = {0, 16, 80, 4096, 4112, 8192, size - 33, *range(size - 32, size), *(chance.randrange(size) for _number in range(150))}
    for offset in sorted(offsets):
        _flip(copy, offset)
        with pytest.raises(SnapshotInvalid) as caught:
            snapshot.record(str(copy))
        wanted = "trailer_altered" if offset >= size - 32 else "altered"
        assert caught.value.details["reason"] == wanted, offset
        assert str(copy) in str(caught.value)
        _flip(copy, offset)
    assert snapshot.record(str(copy))["trailer_ok"]


def test_a_file_cut_anywhere_is_found(good: Path, copy: Path) -> None:
    content = good.read_bytes()
    size = len(content)
    pages = range(0, size - 32, 4096 * 16)
    lengths = {0, 1, 31, 32, 511, 4095, size - 1, size - 31, size - 33, size - 64, size - 512, size - 4096, *pages, *(page + 32 for page in pages)}
    for length in sorted(lengths):
        copy.write_bytes(content[:length])
        with pytest.raises(SnapshotInvalid) as caught:
            snapshot.record(str(copy))
        assert caught.value.details["reason"] == "truncated", length


def test_a_missing_trailer_and_a_file_that_is_too_long(good: Path, copy: Path) -> None:
    content = good.read_bytes()
    for damaged, reason in ((content[:-32], "no_trailer"), (content + b"x", "too_long"), (content + b"\0" * 512, "too_long")):
        copy.write_bytes(damaged)
        with pytest.raises(SnapshotInvalid) as caught:
            snapshot.record(str(copy))
        assert caught.value.details["reason"] == reason


def test_the_database_of_a_member_is_read_when_that_is_wanted(good: Path, single: Server) -> None:
    database = single.data_dir / "member" / "snap" / "db"
    with pytest.raises(SnapshotInvalid) as caught:
        snapshot.prove(str(database))
    assert caught.value.details["reason"] == "no_trailer"
    good_record = snapshot.record(str(good))
    bare = good.with_name("bare.db")
    bare.write_bytes(good.read_bytes()[:-32])
    record = snapshot.record(str(bare), skip_hash_check=True)
    assert not record["trailer_ok"]
    assert record["keys_by_kind"] == good_record["keys_by_kind"]


def test_not_a_snapshot_at_all(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(os.urandom(100_000))
    with pytest.raises(SnapshotInvalid):
        snapshot.record(str(path))
    with pytest.raises(SnapshotInvalid) as caught:
        snapshot.record(str(path), skip_hash_check=True)
    assert caught.value.details["reason"] == "no_meta"
    with pytest.raises(SnapshotInvalid, match="cannot be opened"):
        snapshot.record(str(tmp_path / "missing"))
    with pytest.raises(SnapshotInvalid, match="not a file"):
        snapshot.record(str(tmp_path))


def test_the_other_head_serves_when_one_is_damaged(good: Path, copy: Path) -> None:
    with BoltFile(str(good)) as bolt:
        newest = bolt.meta
    # In a snapshot both heads tell the same state, the second under an older number.
    _flip(copy, 16 + 40)
    with BoltFile(str(copy)) as bolt:
        assert (bolt.meta.transaction, bolt.meta.root) == (newest.transaction - 1, newest.root)
    _flip(copy, 4096 + 16 + 40)
    with pytest.raises(SnapshotInvalid, match="wrong checksum"):
        BoltFile(str(copy))


def test_a_damaged_database_never_hangs_or_trips_the_reader(good: Path, copy: Path) -> None:
    chance = random.Random(1848)
    with BoltFile(str(good)) as bolt:
        size, page_size = bolt.meta.database_bytes, bolt.meta.page_size
    refused = 0
    for round_number in range(60):
        # Heads of pages and the first elements are where numbers lead elsewhere.
        page = chance.randrange(size // page_size) * page_size
        offsets = [page + chance.randrange(64) if round_number % 3 else chance.randrange(size) for _number in range(3)]
        for offset in offsets:
            _flip(copy, offset)
        try:
            with Store.open(str(copy)) as store:
                store.inventory()
                for entry in store.live():
                    assert entry.key
        except SnapshotInvalid:
            refused += 1
        for offset in reversed(offsets):
            _flip(copy, offset)
    assert refused > 8
    assert snapshot.record(str(copy))["trailer_ok"]
