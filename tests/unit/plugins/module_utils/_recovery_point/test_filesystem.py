# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The location in a directory: nothing is rewritten, nothing half-written is seen, and every failure says what it is."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import filesystem
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    LocationError,
    LocationFullError,
    LocationReadOnlyError,
    LocationVanishedError,
    NameRefusedError,
    ObjectExistsError,
    ObjectMissingError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation

KEY = "shop/points/p/artifacts/etcd/cp1.tar.zst.age"


@pytest.fixture
def location(tmp_path: Path) -> FilesystemLocation:
    """An empty location."""
    (tmp_path / "location").mkdir(mode=0o700)
    return FilesystemLocation(str(tmp_path / "location"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "lifeboat-test", mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


def partials(location: FilesystemLocation) -> list[Path]:
    """What is half-written."""
    return [path for path in Path(location.path).rglob("*") if path.name.startswith(".")]


def test_an_object_is_private_and_can_be_read(location: FilesystemLocation) -> None:
    previous = os.umask(0)
    try:
        assert location.put_new(KEY, b"content")
    finally:
        os.umask(previous)
    path = Path(location.path, KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_nlink == 1
    for parent in path.relative_to(location.path).parents:
        if str(parent) != ".":
            assert stat.S_IMODE(Path(location.path, parent).stat().st_mode) == 0o700
    assert location.read(KEY, 100) == b"content"
    assert location.size(KEY) == 7
    assert not partials(location)


def test_listing_is_sorted_and_shows_neither_half_written_nor_strange_files(location: FilesystemLocation) -> None:
    for name in ("b", "a", "c/d"):
        location.put_new("shop/manifests/" + name, b"12345")
    location.put_new("other/manifests/a", b"x")
    base = Path(location.path, "shop/manifests")
    (base / ".a.123.partial").write_bytes(b"half")
    (base / "link").symlink_to(base / "a")
    os.mkfifo(base / "pipe")
    assert [(entry.key, entry.size_bytes) for entry in location.list("shop/manifests/")] == [
        ("shop/manifests/a", 5),
        ("shop/manifests/b", 5),
        ("shop/manifests/c/d", 5),
    ]
    assert list(location.list("nothing/here/")) == []


def test_a_file_that_goes_while_it_is_listed_takes_no_other_with_it(location: FilesystemLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pruning run removes one manifest between the reading of the names and the look at the file."""
    keys = [f"shop/manifests/{number}.json" for number in range(5)]
    for key in keys:
        location.put_new(key, b"content")
    removed: list[str] = []

    class Racing:
        """The entries of a directory, of which the first file goes as soon as all names are known."""

        def __init__(self, path: str) -> None:
            with os.scandir(path) as entries:
                self._entries = list(entries)

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            first = next((entry for entry in self._entries if entry.is_file()), None)
            if first is not None:
                removed.append(f"shop/manifests/{first.name}")
                os.unlink(first.path)
            return iter(self._entries)

        def __exit__(self, *_error: object) -> None:
            """Nothing is open."""

    racing = SimpleNamespace(**{**vars(os), "scandir": Racing})
    monkeypatch.setattr(filesystem, "os", racing)
    listed = [stored.key for stored in location.list("shop/")]
    assert len(removed) == 1
    assert listed == [key for key in keys if key not in removed]


def test_the_same_bytes_again_are_no_change_and_others_are_an_error(location: FilesystemLocation) -> None:
    assert location.put_new(KEY, b"content") is True
    assert location.put_new(KEY, b"content") is False
    for other in (b"contenT", b"conten", b"content+", b""):
        with pytest.raises(ObjectExistsError, match="exists already, with other bytes") as caught:
            location.put_new(KEY, other)
        assert "nothing is ever rewritten" in str(caught.value)
    assert location.read(KEY, 100) == b"content"
    assert not partials(location)


def test_leaving_without_commit_leaves_nothing(location: FilesystemLocation) -> None:
    with location.upload(KEY) as upload:
        upload.write(b"half")
        assert location.size(KEY) is None
        assert len(partials(location)) == 1
    assert not partials(location)
    with suppress(KeyboardInterrupt), location.upload(KEY) as upload:
        upload.write(b"half")
        raise KeyboardInterrupt
    assert not partials(location)
    assert location.size(KEY) is None


def test_a_missing_object_and_a_directory_are_not_objects(location: FilesystemLocation) -> None:
    with pytest.raises(ObjectMissingError, match="is missing"):
        location.open(KEY)
    location.put_new(KEY, b"content")
    parent = KEY.rsplit("/", 1)[0]
    assert location.size(parent) is None
    with pytest.raises(LocationError):
        location.read(parent, 10)
    with pytest.raises(ObjectMissingError):
        location.open(KEY + "/below")


def test_an_object_larger_than_it_can_be_is_refused(location: FilesystemLocation) -> None:
    location.put_new(KEY, b"x" * 11)
    with pytest.raises(LocationError, match="larger than it can be"):
        location.read(KEY, 10)
    assert len(location.read(KEY, 11)) == 11


def test_keys_and_links_cannot_lead_out(location: FilesystemLocation, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"secret")
    for key in ("../outside/file", "/etc/passwd", "shop/../../outside/file", "shop/.hidden"):
        with pytest.raises(NameRefusedError):
            location.read(key, 100)
        with pytest.raises(NameRefusedError):
            location.put_new(key, b"x")
    Path(location.path, "shop").symlink_to(outside)
    with pytest.raises(LocationError, match="symbolic link"):
        location.read("shop/file", 100)
    with pytest.raises(LocationError, match="symbolic link"):
        location.put_new("shop/new", b"x")
    Path(location.path, "link").symlink_to(outside / "file")
    with pytest.raises(LocationError):
        location.read("link", 100)
    assert os.listdir(outside) == ["file"]


def test_two_writers_of_one_key_make_one_object(location: FilesystemLocation) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def write(content: bytes) -> None:
        with location.upload(KEY) as upload:
            upload.write(content * 1000)
            barrier.wait()
            try:
                upload.commit()
                outcomes.append("stored")
            except ObjectExistsError:
                outcomes.append("refused")

    threads = [threading.Thread(target=write, args=(content,)) for content in (b"one", b"two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "stored"]
    assert location.read(KEY, 10000) in (b"one" * 1000, b"two" * 1000)
    assert not partials(location)


def test_a_file_that_is_swept_before_it_is_locked_is_made_again(location: FilesystemLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its creation and its lock a file looks like what a killed writer left, and another writer of the same key removes that."""
    swept: list[Path] = []
    create = os.fchmod

    def swept_once(descriptor: int, mode: int) -> None:
        create(descriptor, mode)
        if not swept:
            swept.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
            swept[0].unlink()

    monkeypatch.setattr(os, "fchmod", swept_once)
    with location.upload(KEY) as upload:
        upload.write(b"kept")
        assert upload.commit()
    assert swept
    assert location.read(KEY, 100) == b"kept"
    assert not partials(location)


WRITER = """
import sys
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
location = FilesystemLocation(sys.argv[1])
with location.upload(sys.argv[2]) as upload:
    upload.write(b"half of it")
    print("writing", flush=True)
    sys.stdin.read()
    upload.commit()
"""


def start_writer(location: FilesystemLocation) -> subprocess.Popen[bytes]:
    """Another process in the middle of an upload."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    process = subprocess.Popen([sys.executable, "-c", WRITER, location.path, KEY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    return process


def test_a_file_that_a_sweeper_is_about_to_remove_is_made_again(location: FilesystemLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweeper that has the lock first removes the file a moment later, when its writer already looked whether it is there."""
    swept: list[tuple[Path, int]] = []
    chmod = os.fchmod

    def locked_once(descriptor: int, mode: int) -> None:
        chmod(descriptor, mode)
        if not swept:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            sweeper = os.open(path, os.O_RDWR)
            fcntl.flock(sweeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
            swept.append((path, sweeper))

    monkeypatch.setattr(os, "fchmod", locked_once)
    with location.upload(KEY) as upload:
        path, sweeper = swept[0]
        path.unlink(missing_ok=True)
        os.close(sweeper)
        upload.write(b"content")
        assert upload.commit() is True
    assert location.read(KEY, 100) == b"content"
    assert not partials(location)


def test_a_killed_writer_leaves_nothing_that_counts_and_the_next_one_sweeps(location: FilesystemLocation) -> None:
    process = start_writer(location)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(partials(location)) == 1
    assert location.size(KEY) is None
    assert list(location.list("shop/")) == []
    location.put_new(KEY, b"whole")
    assert location.read(KEY, 100) == b"whole"
    assert not partials(location)


def test_a_living_writer_is_not_swept(location: FilesystemLocation) -> None:
    process = start_writer(location)
    location.put_new(KEY, b"whole")
    assert len(partials(location)) == 1
    process.communicate(b"")
    assert process.returncode != 0
    assert location.read(KEY, 100) == b"whole"


def test_a_crash_between_link_and_unlink_is_healed(location: FilesystemLocation) -> None:
    location.put_new(KEY, b"whole")
    path = Path(location.path, KEY)
    os.link(path, path.with_name(f".{path.name}.123456.partial"))
    assert location.put_new(KEY, b"whole") is False
    assert path.stat().st_nlink == 1


def test_without_hard_links_it_renames_and_still_replaces_nothing(location: FilesystemLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(filesystem.os, "link", no_links)
    assert location.put_new(KEY, b"one") is True
    assert location.put_new(KEY, b"one") is False
    with pytest.raises(ObjectExistsError):
        location.put_new(KEY, b"two")
    assert location.read(KEY, 10) == b"one"
    assert not partials(location)


def test_a_full_disk_says_so_and_leaves_nothing_behind(small_disk: Path) -> None:
    location = FilesystemLocation(str(small_disk))
    location.put_new("shop/manifests/a", b"there before")
    with location.upload(KEY) as upload, pytest.raises(LocationFullError) as caught:
        upload.write(os.urandom(4 << 20))
    assert "No space left on device" in str(caught.value)
    assert "prune" in str(caught.value)
    assert not partials(location)
    assert location.size(KEY) is None
    assert location.read("shop/manifests/a", 100) == b"there before"
    with pytest.raises(LocationFullError, match="too little space"):
        location.check_writable(4 << 20)
    location.check_writable(1 << 20)
    location.put_new("shop/manifests/b", b"there is space again")


def test_a_full_disk_without_room_for_a_name(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,nr_inodes=2", small_disk], check=True)
    with pytest.raises(LocationFullError, match="No space"):
        FilesystemLocation(str(small_disk)).put_new(KEY, b"x")


def test_a_read_only_location_says_so(small_disk: Path) -> None:
    location = FilesystemLocation(str(small_disk))
    location.put_new("shop/manifests/a", b"x")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(LocationReadOnlyError, match="read-only"):
        location.put_new("shop/manifests/b", b"x")
    with pytest.raises(LocationReadOnlyError, match="read-only"):
        location.check_writable(1)
    assert location.read("shop/manifests/a", 10) == b"x"


def test_a_mount_that_vanishes_is_noticed_before_anything_is_written_beneath_it(small_disk: Path) -> None:
    location = FilesystemLocation(str(small_disk), mount_required=True)
    location.put_new("shop/manifests/a", b"x")
    subprocess.run(["umount", small_disk], check=True)
    try:
        for attempt in (lambda: location.put_new("shop/manifests/b", b"x"), lambda: location.check_writable(1), lambda: list(location.list("shop/"))):
            with pytest.raises(LocationVanishedError):
                attempt()
        with pytest.raises(LocationVanishedError):
            location.read("shop/manifests/a", 10)
        with pytest.raises(LocationVanishedError):
            location.size("shop/manifests/a")
        assert os.listdir(small_disk) == []
    finally:
        subprocess.run(["mount", "-t", "tmpfs", "lifeboat-test", small_disk], check=True)


def test_a_mount_that_vanishes_in_the_middle_of_a_write(small_disk: Path) -> None:
    location = FilesystemLocation(str(small_disk))
    with location.upload(KEY) as upload:
        upload.write(b"half")
        subprocess.run(["umount", "--lazy", small_disk], check=True)
        try:
            with pytest.raises(LocationVanishedError, match="no longer the directory"):
                upload.commit()
        finally:
            subprocess.run(["mount", "-t", "tmpfs", "lifeboat-test", small_disk], check=True)
    assert os.listdir(small_disk) == []


def test_a_missing_mount_is_refused_when_it_is_required() -> None:
    with tempfile.TemporaryDirectory(prefix="lifeboat-test-", dir="/") as beneath:
        FilesystemLocation(beneath)
        with pytest.raises(LocationVanishedError, match="Nothing is mounted"):
            FilesystemLocation(beneath, mount_required=True)


def test_a_location_that_is_not_there_or_not_a_directory(tmp_path: Path) -> None:
    with pytest.raises(LocationVanishedError, match="is not there") as caught:
        FilesystemLocation(str(tmp_path / "nowhere"))
    assert "lifeboat_location_create=true" in str(caught.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(LocationVanishedError, match="not a directory"):
        FilesystemLocation(str(tmp_path / "file"))
    with pytest.raises(LocationError, match="absolute"):
        FilesystemLocation("relative/path")


DENIED = """
import os, sys
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import LocationReadOnlyError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
location = FilesystemLocation(sys.argv[1])
os.setgid(65534); os.setuid(65534)
for attempt in (lambda: location.put_new("shop/new/b", b"x"), lambda: location.read("shop/manifests/a", 10), lambda: list(location.list("shop/"))):
    try:
        attempt()
    except LocationReadOnlyError as error:
        assert "user id 65534" in str(error), error
        print("refused")
"""


def test_no_permission_says_who_asked() -> None:
    with tempfile.TemporaryDirectory(prefix="lifeboat-test-", dir="/") as root:
        FilesystemLocation(root).put_new("shop/manifests/a", b"x")
        os.chmod(root, 0o755)
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
        done = subprocess.run([sys.executable, "-c", DENIED, root], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused"] * 3


# -- several machines on one directory --------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(location: FilesystemLocation) -> FilesystemLocation:
    """The same directory, as one that other machines write to as well."""
    return FilesystemLocation(location.path, shared=True)


def test_on_a_shared_directory_no_lock_is_taken_or_believed(shared: FilesystemLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_arguments: object) -> None:
        pytest.fail("a lock was asked for")

    monkeypatch.setattr(filesystem.fcntl, "flock", no_locks)
    half = Path(shared.path, KEY).with_name(f".{Path(KEY).name}.abcdef012345.partial")
    half.parent.mkdir(parents=True)
    half.write_bytes(b"another machine is writing")
    assert shared.put_new(KEY, b"whole") is True
    assert partials(shared) == [half]
    os.utime(half, (0, time.time() - filesystem.DEAD_AFTER_SECONDS - 60))
    assert shared.put_new(KEY, b"whole") is False
    assert not partials(shared)


def test_on_a_shared_directory_without_links_nothing_is_published(shared: FilesystemLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(filesystem.os, "link", no_links)
    with pytest.raises(LocationError, match="cannot link files"):
        shared.put_new(KEY, b"one")
    assert shared.size(KEY) is None
    assert not partials(shared)


# -- for pruning ------------------------------------------------------------------------------------------------------------------------


def test_children_are_directories_one_level_down(location: FilesystemLocation) -> None:
    assert location.children("shop/points/") == []
    for key in ("shop/points/b/open.json", "shop/points/a/artifacts/etcd/x", "shop/points/file"):
        location.put_new(key, b"x")
    assert location.children("shop/points/") == ["a", "b"]


def test_what_is_removed_is_gone_with_its_empty_directories_and_no_others(location: FilesystemLocation) -> None:
    for key in ("shop/points/a/artifacts/etcd/x", "shop/points/b/open.json"):
        location.put_new(key, b"x")
    assert location.remove("shop/points/a/artifacts/etcd/x") is True
    assert location.remove("shop/points/a/artifacts/etcd/x") is False
    assert location.children("shop/points/") == ["b"]
    assert location.remove("shop/points/b/open.json") is True
    assert os.listdir(os.path.join(location.path, "shop")) == ["points"]
    assert os.listdir(os.path.join(location.path, "shop/points")) == []


def test_what_others_called_as_they_liked_is_removed_and_leads_nowhere(location: FilesystemLocation, tmp_path: Path) -> None:
    location.put_new(KEY, b"content")
    strange = Path(location.path) / "shop/points/p/open.json (copy)"
    strange.write_bytes(b"content")
    (tmp_path / "other").write_bytes(b"not of this location")
    assert [location.remove(stored.key) for stored in location.list("shop/points/p/")] == [True, True]
    assert not strange.exists()
    for key in ("../other", "shop/../../other", "/etc/hostname", "", "shop//x", "shop/x/"):
        with pytest.raises(NameRefusedError):
            location.remove(key)
    assert (tmp_path / "other").exists()


def test_only_old_leftovers_are_swept(location: FilesystemLocation) -> None:
    process = start_writer(location)
    old = Path(location.path, KEY).with_name(".other.abcdef012345.partial")
    old.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert location.sweep("shop/", 3600) == 1
    assert len(partials(location)) == 1
    process.communicate(b"")
    assert process.returncode == 0
    assert location.sweep("shop/", 0) == 0
