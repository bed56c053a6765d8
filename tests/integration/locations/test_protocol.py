# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every kind of location does the same way: a directory, one that others share, and a bucket."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    LocationError,
    NameRefusedError,
    ObjectExistsError,
    ObjectMissingError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location, StoredObject
from tests.integration.locations.places import PART, Place, S3Place, pattern

KEY = "shop/points/p/artifacts/etcd/cp1.tar.zst.age"
# Around one part, around several, and with as many as are sent and read ahead at once, and one more.
SIZES = (0, 1, PART - 1, PART, PART + 1, 2 * PART, 4 * PART + 7)


def read_all(location: Location, key: str, block: int = 1 << 20) -> bytes:
    """The whole object, in blocks."""
    parts: list[bytes] = []
    with location.open(key) as stream:
        while True:
            part = stream.read(block)
            if not part:
                return b"".join(parts)
            parts.append(part)


def test_what_is_written_is_read(place: Place) -> None:
    location = place.open()
    location.check_writable(1)
    assert location.put_new(KEY, b"content") is True
    for reader in (location, place.open()):
        assert reader.read(KEY, 7) == b"content"
        assert read_all(reader, KEY, 3) == b"content"
        assert reader.size(KEY) == 7
        with pytest.raises(LocationError, match="larger than it can be"):
            reader.read(KEY, 6)


@pytest.mark.parametrize("size", SIZES)
def test_every_size_arrives_whole(place: Place, size: int) -> None:
    content = pattern(size)
    location = place.open()
    with location.upload(KEY) as upload:
        # Pieces that fit no border.
        for start in range(0, size, 777_777):
            upload.write(content[start : start + 777_777])
        upload.flush()
        assert upload.commit() is True
    assert location.size(KEY) == size
    assert read_all(place.open(), KEY) == content


def test_what_is_missing(place: Place) -> None:
    location = place.open()
    assert location.size(KEY) is None
    assert list(location.list("shop/")) == []
    assert location.children("shop/points/") == []
    assert location.remove(KEY) is False
    assert location.locked_until(KEY) is None
    for attempt in (lambda: location.open(KEY), lambda: location.read(KEY, 10)):
        with pytest.raises(ObjectMissingError, match="is missing"):
            attempt()
    location.put_new(KEY, b"content")
    # Neither what is above a key nor what its name begins with is an object.
    for other in (KEY.rsplit("/", 1)[0], KEY[:-4], KEY + ".sig"):
        assert location.size(other) is None


def test_keys_cannot_lead_out(place: Place) -> None:
    location = place.open()
    for key in ("../outside", "/etc/passwd", "shop/../../outside", "shop/.hidden", "shop//double", ""):
        with pytest.raises(NameRefusedError):
            location.put_new(key, b"x")
        with pytest.raises(NameRefusedError):
            location.read(key, 100)


def test_listings_are_whole_and_sorted(place: Place) -> None:
    location = place.open()
    keys = sorted([f"shop/manifests/{number:02}.json{end}" for number in range(10) for end in ("", ".sig")] + ["shop/manifests/a/b", "shop/manifests/a-b"])
    for number, key in enumerate(reversed(keys)):
        location.put_new(key, b"x" * (number % 3))
    location.put_new("shop2/manifests/x", b"other")
    sizes = {key: number % 3 for number, key in enumerate(reversed(keys))}
    assert list(place.open().list("shop/manifests/")) == [StoredObject(key, sizes[key], 0) for key in keys]
    assert [entry.key for entry in location.list("shop/")] == keys
    assert list(location.list("shop/nothing/")) == []


def test_children_are_the_names_one_level_below(place: Place) -> None:
    location = place.open()
    for number in range(9):
        for name in ("open.json", "artifacts/etcd/a", "artifacts/etcd/b", "artifacts/pki/a"):
            location.put_new(f"shop/points/p{number}/{name}", b"x")
    location.put_new("shop/points/file", b"no directory")
    assert place.open().children("shop/points/") == [f"p{number}" for number in range(9)]
    assert location.children("shop/points/p3/artifacts/") == ["etcd", "pki"]
    # What is removed for good is nobody's child any more.
    for entry in list(location.list("shop/points/p4/")):
        assert location.remove(entry.key) is True
    assert "p4" not in location.children("shop/points/") or list(location.list("shop/points/p4/")) == []


def test_nothing_is_rewritten(place: Place) -> None:
    location = place.open()
    assert location.put_new(KEY, b"content") is True
    for writer in (location, place.open()):
        assert writer.put_new(KEY, b"content") is False
        for other in (b"contenT", b"conten", b"content+", b""):
            with pytest.raises(ObjectExistsError, match="exists already, with other bytes"):
                writer.put_new(KEY, other)
    assert location.read(KEY, 100) == b"content"
    assert list(location.list("shop/")) == [StoredObject(KEY, 7, 0)]


def test_nothing_large_is_rewritten(place: Place) -> None:
    content = pattern(PART + 5)
    location = place.open()
    assert location.put_new(KEY, content) is True
    assert place.open().put_new(KEY, content) is False
    with pytest.raises(ObjectExistsError):
        location.put_new(KEY, content[:-1] + b"?")
    assert location.read(KEY, len(content)) == content
    assert list(location.list("shop/")) == [StoredObject(KEY, len(content), 0)]
    assert location.sweep("shop/", 0) == 0


def test_leaving_without_commit_leaves_nothing(place: Place) -> None:
    location = place.open()
    for size in (10, 2 * PART + 1):
        with location.upload(KEY) as upload:
            upload.write(pattern(size))
            assert location.size(KEY) is None
        with suppress(KeyboardInterrupt), location.upload(KEY) as upload:
            upload.write(pattern(size))
            raise KeyboardInterrupt
    assert location.size(KEY) is None
    assert list(location.list("shop/")) == []
    assert location.sweep("shop/", 0) == 0
    if isinstance(place, S3Place):
        assert place.unfinished() == 0


HALF = """
with location.upload(sys.argv[2]) as upload:
    upload.write(b"x" * (20 << 20))
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_writer_left_is_swept(place: Place) -> None:
    process = place.in_a_child(HALF, KEY)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    location = place.open()
    assert location.size(KEY) is None
    assert list(location.list("shop/")) == []
    assert location.sweep("other/", 0) == 0
    if place.kind != "directory":  # there, a lock tells at once that the writer is dead
        assert location.sweep("shop/", 3600) == 0
    assert location.sweep("shop/", 0) == 1
    assert location.sweep("shop/", 0) == 0
    assert location.put_new(KEY, b"whole") is True


def test_it_tells_its_time(place: Place) -> None:
    before = time.time()
    there = place.open().clock()
    assert there is not None
    # One that has whole seconds is right by half a second, and versitygw writes its date anew once a second; a kernel's clock ticks a few times in a hundredth.
    assert before - 2 < there < time.time() + 1
    assert list(place.open().list("shop/")) == []


@pytest.mark.parametrize("size", [3000, PART + 1])
@pytest.mark.parametrize("same", [True, False])
def test_two_writers_of_one_key_make_one_object(place: Place, size: int, same: bool) -> None:
    outcomes: list[object] = []
    barrier = threading.Barrier(2)
    contents = [pattern(size, 1), pattern(size, 1 if same else 2)]

    def write(content: bytes) -> None:
        try:
            with place.open().upload(KEY) as upload:
                upload.write(content)
                barrier.wait()
                outcomes.append((upload.commit(), content))
        except ObjectExistsError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = [outcome[1] for outcome in outcomes if isinstance(outcome, tuple) and outcome[0]]
    assert len(first) == 1, outcomes
    others = [outcome for outcome in outcomes if not (isinstance(outcome, tuple) and outcome[0])]
    if same:
        assert others == [(False, contents[0])]
    else:
        assert isinstance(others[0], ObjectExistsError)
    location = place.open()
    assert location.read(KEY, size) == first[0]
    assert list(location.list("shop/")) == [StoredObject(KEY, size, 0)]
    assert location.sweep("shop/", 0) == 0


def test_removed_is_gone(place: Place) -> None:
    location, other = place.open(), place.open()
    location.put_new(KEY, b"content")
    location.put_new(KEY + ".sig", b"its neighbour")
    assert other.read(KEY, 100) == b"content"
    assert location.remove(KEY) is True
    assert location.remove(KEY) is False
    # Also for whoever knew it before.
    assert other.size(KEY) is None
    with pytest.raises(ObjectMissingError):
        other.read(KEY, 100)
    assert location.read(KEY + ".sig", 100) == b"its neighbour"
    assert location.put_new(KEY, b"another") is True
    assert other.read(KEY, 100) == b"another"


def test_without_locks_nothing_is_locked(place: Place) -> None:
    location = place.open()
    until = datetime.now(timezone.utc) + timedelta(hours=1)
    assert location.locks is False
    assert location.put_new(KEY, b"content", until) is True
    assert location.retain(KEY, until) is False
    assert location.locked_until(KEY) is None
    assert location.remove(KEY) is True
