# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing real files, as root, with everything that files can be."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import socket
import stat
import struct
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import globs
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive import archive, container
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive import entries as _entries
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.archive import ArchiveError, ArchiveRecord, CaptureRequest, WantedPath
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

SECRET = "planted-secret-3f9a1c"
# user::rw-, user:1234:r--, group::r--, mask::r--, other::---
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry) for entry in ((1, 6, 0xFFFFFFFF), (2, 4, 1234), (4, 4, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    return directory


@pytest.fixture
def out(tmp_path: Path) -> Path:
    directory = tmp_path / "out"
    directory.mkdir(mode=0o700)
    return directory / "host.tar"


def request(out: Path, *paths: Any, **more: Any) -> CaptureRequest:
    return CaptureRequest([item if isinstance(item, WantedPath) else WantedPath(str(item)) for item in paths], str(out), **more)


def by_path(record: ArchiveRecord) -> Dict[str, _entries.Entry]:
    return {entry.path: entry for entry in record.index.entries}


def kinds(record: ArchiveRecord, source: Path) -> Dict[str, str]:
    return {os.path.relpath(entry.path, source): entry.type for entry in record.index.entries}


def test_everything_that_a_file_can_be_is_kept(source: Path, out: Path) -> None:
    (source / "plain").write_text(SECRET)
    os.chown(source / "plain", 1234, 4321)
    os.chmod(source / "plain", 0o640)
    os.utime(source / "plain", ns=(1, 1_600_000_000_123_456_789))
    (source / "setuid").write_bytes(b"\0" * 3_000_000)
    os.chmod(source / "setuid", 0o6755)
    os.utime(source / "setuid", ns=(1, -1_500_000_001))
    os.link(source / "setuid", source / "second")
    (source / "empty").touch()
    os.setxattr(source / "empty", "user.binary=%3D", b"\x00\xff\n=%" * 10)
    os.setxattr(source / "empty", "security.selinux", b"system_u:object_r:etc_t:s0\0")
    os.setxattr(source / "empty", "system.posix_acl_access", ACL)
    (source / "directory").mkdir(mode=0o2750)
    os.chmod(source / "directory", 0o2750)
    os.setxattr(source / "directory", "user.d", b"1")
    (source / "to file").symlink_to("plain")
    (source / "to directory").symlink_to("directory")
    (source / "dangling").symlink_to("/nowhere/at all")
    os.lchown(source / "dangling", 77, 78)
    record = archive.capture(request(out, source))
    found = by_path(record)
    plain = found[str(source / "plain")]
    assert (plain.type, plain.mode, plain.uid, plain.gid, plain.owner, plain.size) == ("file", "0640", 1234, 4321, "", len(SECRET))
    assert plain.mtime_ns == 1_600_000_000_123_456_789
    assert plain.sha256 == hashlib.sha256(SECRET.encode()).hexdigest()
    assert kinds(record, source) == {
        ".": "directory",
        "plain": "file",
        "second": "file",
        "setuid": "hardlink",
        "empty": "file",
        "directory": "directory",
        "to file": "symlink",
        "to directory": "symlink",
        "dangling": "symlink",
    }
    setuid = found[str(source / "setuid")]
    assert (setuid.link_target, setuid.mode, setuid.mtime_ns) == (str(source / "second"), "6755", -1_500_000_001)
    assert setuid.sha256 == found[str(source / "second")].sha256
    assert found[str(source / "dangling")].link_target == "/nowhere/at all"
    assert (found[str(source / "dangling")].uid, found[str(source / "dangling")].gid) == (77, 78)
    empty = found[str(source / "empty")]
    assert empty.xattrs == {
        "user.binary=%3D": hashlib.sha256(b"\x00\xff\n=%" * 10).hexdigest(),
        "security.selinux": hashlib.sha256(b"system_u:object_r:etc_t:s0\0").hexdigest(),
        "system.posix_acl_access": hashlib.sha256(ACL).hexdigest(),
    }
    assert found[str(source / "directory")].mode == "2750"
    assert list(found[str(source / "directory")].xattrs) == ["user.d"]
    assert found[str(source)].owner == "root"
    status = os.stat(out)
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_size) == (0o600, 0, record.size_bytes)
    assert hashlib.sha256(out.read_bytes()).hexdigest() == record.sha256
    assert os.listdir(out.parent) == ["host.tar"]
    assert SECRET not in json.dumps(record.as_result()) + record.lines()


def test_a_plain_tar_unpacks_it_with_everything(source: Path, out: Path, tmp_path: Path) -> None:
    (source / "deep").mkdir()
    (source / "deep" / "file").write_text("contents")
    os.chown(source / "deep" / "file", 1234, 4321)
    os.chmod(source / "deep" / "file", 0o4750)
    os.utime(source / "deep" / "file", ns=(1, 1_600_000_000_123_456_789))
    os.setxattr(source / "deep" / "file", "user.x", b"\xff\0")
    os.link(source / "deep" / "file", source / "twin")
    (source / "link").symlink_to("deep")
    (source / "ümläut\nnewline").write_text("x")
    archive.capture(request(out, source, facts={"kernel": "6.1"}))
    target = tmp_path / "unpacked"
    target.mkdir()
    subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", str(out), "-C", str(target)], check=True)
    file = target / str(source)[1:] / "deep" / "file"
    status = os.stat(file)
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns, status.st_nlink) == (
        0o4750,
        1234,
        4321,
        1_600_000_000_123_456_789,
        2,
    )
    assert os.getxattr(file, "user.x") == b"\xff\0"
    assert os.readlink(target / str(source)[1:] / "link") == "deep"
    assert (target / str(source)[1:] / "ümläut\nnewline").read_text() == "x"
    index = json.loads((target / "LIFEBOAT-INDEX.json").read_text())
    assert index["body"]["entries"][0]["path"] == str(source)
    assert json.loads((target / "LIFEBOAT-FACTS.json").read_text()) == {"kernel": "6.1"}
    listing = subprocess.run(["tar", "-tf", str(out)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    assert listing.startswith(b"LIFEBOAT-INDEX.json\nLIFEBOAT-FACTS.json\n")


ODD_NAMES = [
    b"new\nline",
    b"tab\t",
    b"\xff\xfe not utf-8",
    "ünï".encode(),
    b"-rf",
    b"a" * 255,
    b"*",
    b"[x]",
    b"back\\slash",
    b"quote'\"",
    b" ",
    b"e\xcc\x81",
    b"%s%n",
]


def test_odd_names(source: Path, out: Path) -> None:
    for number, name in enumerate(ODD_NAMES):
        with open(os.path.join(os.fsencode(source), name), "wb") as file:
            file.write(b"%d" % number)
        os.symlink(name, os.path.join(os.fsencode(source), b"link%d" % number))
    deep = os.fsencode(source)
    for _level in range(12):
        deep = os.path.join(deep, b"d" * 255)
        os.mkdir(deep)
    record = archive.capture(request(out, source))
    paths = {os.fsencode(entry.path) for entry in record.index.entries}
    assert {os.path.join(os.fsencode(source), name) for name in ODD_NAMES} <= paths
    assert deep in paths
    json.dumps(record.as_result(), ensure_ascii=False).encode("utf-8")
    assert archive.existing(request(out, source)).index == record.index


def test_sockets_pipes_and_devices_are_reported(source: Path, out: Path) -> None:
    (source / "file").touch()
    os.mkfifo(source / "pipe")
    os.mknod(source / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "socket"))
        record = archive.capture(request(out, source, str(source / "pipe")))
    assert kinds(record, source) == {".": "directory", "file": "file"}
    assert {os.path.basename(item["path"]): item["reason"] for item in record.index.skipped} == {
        "pipe": "a pipe has no contents to keep",
        "device": "a character device has no contents to keep",
        "socket": "a socket has no contents to keep",
    }


def test_globs_excludes_and_required_paths(source: Path, out: Path) -> None:
    for name in ("a.conf", "b.conf", ".hidden.conf", "c.txt"):
        (source / name).touch()
    (source / "pki" / "etcd").mkdir(parents=True)
    (source / "pki" / "etcd" / "ca.key").touch()
    (source / "pki" / "old.bak").touch()
    record = archive.capture(
        request(out, source / "*.conf", source / "pki", source / "none*", "/nonexistent/x", exclude=[str(source / "**/*.bak"), str(source / "b.*")])
    )
    assert set(kinds(record, source)) == {"a.conf", ".hidden.conf", "pki", "pki/etcd", "pki/etcd/ca.key"}
    assert record.index.missing == [str(source / "none*"), "/nonexistent/x"]
    assert str(source) in {entry.path for entry in record.index.parents}
    with pytest.raises(ArchiveError) as caught:
        archive.capture(
            request(out.with_name("other.tar"), source, WantedPath(str(source / "none*"), True), WantedPath("/nonexistent", True), "/nonexistent/y")
        )
    assert "Required files are missing on this host: %s, /nonexistent." % (source / "none*") in str(caught.value)
    assert caught.value.details["missing_required"] == [str(source / "none*"), "/nonexistent"]
    assert os.listdir(out.parent) == ["host.tar"]
    for wanted in (WantedPath(str(source / "pki" / "old.bak"), True), WantedPath(str(source / "pki/*.bak"), True)):
        with pytest.raises(ArchiveError, match="Required files are missing"):
            archive.capture(request(out.with_name("other.tar"), wanted, exclude=[str(source / "**/*.bak")]))


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/etc/ssh", "/etc/ssh", True),
        ("/etc/ssh", "/etc/ssh/sshd_config", True),
        ("/etc/ssh", "/etc/sshd", False),
        ("/etc/*.conf", "/etc/a/b.conf", False),
        ("/**/*.key", "/a/b/c.key", True),
        ("/**/*.key", "/c.key", True),
        ("/etc/**", "/etc", True),
        ("/etc/**/pki", "/etc/pki/x", True),
        ("/etc/?", "/etc/a", True),
        ("/etc/?", "/etc/ab", False),
        ("/etc/[ab]", "/etc/a", True),
        ("/etc/[!ab]", "/etc/a", False),
        ("/etc/[!ab]", "/etc/c", True),
        ("/etc/[a-c]x", "/etc/bx", True),
        ("/etc/[", "/etc/[", True),
        ("/etc/[]]", "/etc/]", True),
        ("/etc/a.c", "/etc/abc", False),
        ("/home/*/.ssh", "/home/erika/.ssh/authorized_keys", True),
        ("/etc/x*", "/etc/x\ny", True),
        ("/", "/anything", True),
        ("/etc//ssh/", "/etc/ssh/x", True),
    ],
)
def test_matching(pattern: str, path: str, expected: bool) -> None:
    assert globs.GlobSet([pattern]).matches(path) is expected


@pytest.mark.parametrize("wrong", ["etc", "", "/etc/../root", "/a\0b"])
def test_paths_must_be_absolute(wrong: str, out: Path) -> None:
    with pytest.raises(globs.GlobError, match="not an absolute path"):
        globs.GlobSet([wrong])
    with pytest.raises(LifeboatError):
        archive.capture(request(out, wrong))


def test_expansion(source: Path) -> None:
    for name in ("a/b/x.conf", "a/x.conf", "x.conf", "a/[lit]", "z/.h"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    (source / "loop").symlink_to(".")

    def relative(pattern: str) -> List[str]:
        return [os.path.relpath(path, source) for path in globs.expand(str(source) + pattern)]

    assert relative("/**/x.conf") == ["a/b/x.conf", "a/x.conf", "x.conf"]
    assert relative("/a/[lit]") == ["a/[lit]"]
    assert relative("/a/[[]lit]") == ["a/[lit]"]
    assert relative("/z/*") == ["z/.h"]
    assert relative("/a/**") == ["a", "a/[lit]", "a/b", "a/b/x.conf", "a/x.conf"]
    assert relative("/x.conf/*") == []


def test_a_named_link_is_captured_with_what_it_leads_to(source: Path, out: Path) -> None:
    (source / "data" / "pki").mkdir(parents=True)
    (source / "data" / "pki" / "ca.key").touch()
    (source / "etc").mkdir()
    (source / "etc" / "middle").symlink_to("../data/pki")
    (source / "etc" / "pki").symlink_to("middle")
    (source / "etc" / "runtime").symlink_to("/proc/version")
    (source / "etc" / "circle").symlink_to("circle")
    (source / "etc" / "dangling").symlink_to("nowhere")
    record = archive.capture(request(out, source / "etc" / "pki", *(source / "etc" / name for name in ("runtime", "circle", "dangling"))))
    assert kinds(record, source) == {
        "etc/pki": "symlink",
        "etc/middle": "symlink",
        "data/pki": "directory",
        "data/pki/ca.key": "file",
        "etc/runtime": "symlink",
        "etc/circle": "symlink",
        "etc/dangling": "symlink",
    }
    globbed = archive.capture(request(out.with_name("glob.tar"), source / "etc" / "p*"))
    assert kinds(globbed, source) == {"etc/pki": "symlink"}


@pytest.mark.parametrize("order", [0, 1])
def test_a_path_through_a_captured_link_is_captured_where_it_lies(source: Path, out: Path, order: int) -> None:
    (source / "data").mkdir()
    (source / "data" / "ca.key").touch()
    (source / "etc").mkdir()
    (source / "etc" / "pki").symlink_to("../data")
    paths = [source / "etc", source / "etc" / "pki" / "ca.key"]
    record = archive.capture(request(out, *(reversed(paths) if order else paths)))
    assert kinds(record, source) == {"etc": "directory", "etc/pki": "symlink", "data/ca.key": "file"}
    alone = archive.capture(request(out.with_name("alone.tar"), source / "etc" / "pki" / "ca.key"))
    assert kinds(alone, source) == {"etc/pki/ca.key": "file"}


def test_what_is_listed_twice_is_captured_once(source: Path, out: Path) -> None:
    (source / "one").touch()
    (source.parent / "alias").symlink_to(source)
    record = archive.capture(request(out, source, source / "one", source.parent / "alias" / "one"))
    assert kinds(record, source) == {".": "directory", "one": "file"}


def test_a_mounted_file_system_is_reported_unless_listed(source: Path, out: Path) -> None:
    (source / "mounted").mkdir()
    (source / "file").touch()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "lifeboat-test", str(source / "mounted")], check=True)
    try:
        (source / "mounted" / "inside").touch()
        record = archive.capture(request(out, source))
        assert set(kinds(record, source)) == {".", "file"}
        assert record.index.skipped == [{"path": str(source / "mounted"), "reason": "another file system is mounted there: list it to capture it"}]
        listed = archive.capture(request(out.with_name("listed.tar"), source, source / "mounted"))
        assert set(kinds(listed, source)) == {".", "file", "mounted", "mounted/inside"}
    finally:
        subprocess.run(["umount", str(source / "mounted")], check=True)


def test_the_archive_never_captures_itself_or_what_a_restore_left(source: Path) -> None:
    (source / "file").touch()
    (source / (".lifeboat-%s-%s" % ("0" * 8, "1" * 16))).touch()
    record = archive.capture(request(source / "host.tar", source))
    assert set(kinds(record, source)) == {".", "file"}
    assert [item["reason"] for item in record.index.skipped] == ["left over by a restore that was interrupted"]


def test_a_second_run_keeps_a_valid_archive(source: Path, out: Path) -> None:
    (source / "file").write_text("one")
    first = archive.capture(request(out, source))
    (source / "file").write_text("two")
    again = archive.existing(request(out, source))
    assert (again.sha256, again.index) == (first.sha256, first.index)
    with pytest.raises(ArchiveError, match="the archive of another request"):
        archive.existing(request(out, source / "file"))
    assert archive.existing(request(out.with_name("none"), source)) is None
    out.with_name("link").symlink_to(out)
    with pytest.raises(ArchiveError, match="in the way"):
        archive.existing(request(out.with_name("link"), source))
    out.write_bytes(out.read_bytes()[:-20000])
    with pytest.raises(ArchiveError, match="damaged"):
        archive.existing(request(out, source))


def test_it_is_given_to_the_login_user_at_the_end(source: Path, out: Path) -> None:
    (source / "file").touch()
    archive.capture(request(out, source, owner="nobody"))
    status = os.stat(out)
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (65534, 0o600)
    with pytest.raises(ArchiveError, match="no such user"):
        archive.capture(request(out.with_name("other.tar"), source, owner="no-such-user"))


def test_leftovers_of_a_kill_are_replaced_and_a_running_capture_is_not(source: Path, out: Path) -> None:
    (source / "file").touch()
    part = out.with_name("host.tar.part")
    part.write_text("half")
    archive.capture(request(out, source))
    assert os.listdir(out.parent) == ["host.tar"]
    out.unlink()
    victim = out.with_name("victim")
    victim.write_text("precious")
    part.symlink_to(victim)
    archive.capture(request(out, source))
    assert victim.read_text() == "precious"
    assert not out.is_symlink()
    out.unlink()
    directory = os.open(out.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        with pytest.raises(ArchiveError, match="Another capture is writing"):
            archive.capture(request(out, source))
    finally:
        os.close(directory)
    part.mkdir()
    with pytest.raises(ArchiveError, match="Is a directory"):
        archive.capture(request(out, source))


def test_a_directory_that_is_not_there(source: Path, out: Path) -> None:
    with pytest.raises(ArchiveError, match="cannot be written"):
        archive.capture(request(out.parent / "none" / "x.tar", source))


@pytest.mark.parametrize("sudden", [False, True])
def test_a_file_that_never_stands_still_is_an_error(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch, sudden: bool) -> None:
    file = source / "busy"
    file.write_bytes(b"x" * 2_000_000)
    call = "fstat" if sudden else "read"
    original = getattr(os, call)

    def changing(*arguments: Any) -> Any:
        with file.open("ab") as stream:
            stream.write(SECRET.encode())
        return original(*arguments)

    monkeypatch.setattr(os, call, changing)
    with pytest.raises(_entries.FileChangedError) as caught:
        archive.capture(request(out, file))
    assert "busy changes while it is read" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert os.listdir(out.parent) == []


def test_a_file_that_changes_once_is_read_again(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = source / "file"
    file.write_bytes(b"a" * 3_000_000)
    (source / "after").write_text("after")
    read, changes = os.read, []

    def reading(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        if len(changes) < 2 and data.startswith(b"a"):
            changes.append(None)
            with file.open("r+b" if len(changes) == 1 else "ab") as stream:
                stream.write(b"abc")
        return data

    monkeypatch.setattr(os, "read", reading)
    record = archive.capture(request(out, source))
    assert len(changes) == 2
    entry = by_path(record)[str(file)]
    assert (entry.size, entry.sha256) == (3_000_003, hashlib.sha256(file.read_bytes()).hexdigest())
    with tarfile.open(out) as tar:
        assert tar.extractfile(str(file)[1:]).read() == file.read_bytes()


def test_a_file_that_is_replaced_while_it_is_read(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = source / "file"
    file.write_bytes(b"a" * 2_000_000)
    (source / "new").write_bytes(b"b" * 100)
    read, changes = os.read, []

    def reading(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        if not changes and data.startswith(b"a"):
            changes.append(None)
            os.rename(source / "new", file)
        return data

    monkeypatch.setattr(os, "read", reading)
    record = archive.capture(request(out, source))
    assert kinds(record, source) == {".": "directory", "file": "file"}
    assert by_path(record)[str(file)].size == 100
    assert [item["reason"] for item in record.index.skipped] == ["gone since the start of the capture"]


def test_files_and_links_that_vanish_are_named(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c", "d"):
        (source / name).write_text(name)
    os.link(source / "a", source / "e")
    os.link(source / "a", source / "f")
    (source / "l").symlink_to("a")
    survey = archive.survey

    def surveying(asked: CaptureRequest) -> archive.Survey:
        found = survey(asked)
        for name in ("a", "c", "l"):
            (source / name).unlink()
        (source / "d").unlink()
        (source / "d").mkdir()
        return found

    monkeypatch.setattr(archive, "survey", surveying)
    with pytest.raises(LifeboatError, match="d cannot be captured|d is no regular file any more"):
        archive.capture(request(out, source))
    (source / "d").rmdir()
    for name in ("a", "c", "d"):
        (source / name).write_text(name)
    (source / "a").unlink()
    os.link(source / "e", source / "a")
    (source / "l").symlink_to("a")

    def vanishing(asked: CaptureRequest) -> archive.Survey:
        found = survey(asked)
        for name in ("a", "c", "l"):
            (source / name).unlink()
        return found

    monkeypatch.setattr(archive, "survey", vanishing)
    record = archive.capture(request(out, source))
    assert kinds(record, source) == {".": "directory", "b": "file", "d": "file", "e": "file", "f": "hardlink"}
    assert sorted(os.path.basename(item["path"]) for item in record.index.skipped) == ["a", "c", "l"]
    assert by_path(record)[str(source / "f")].link_target == str(source / "e")


def test_a_full_disk(source: Path, tmp_path: Path) -> None:
    (source / "file").write_bytes(os.urandom(200_000))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "lifeboat-test", str(small)], check=True)
    try:
        with pytest.raises(ArchiveError, match="There is no room for the archive"):
            archive.capture(request(small / "x.tar", source))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(archive, "_check_room", lambda *_arguments: None)
            with pytest.raises(ArchiveError, match="No space left on device"):
                archive.capture(request(small / "x.tar", source))
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_what_cannot_be_read_is_named(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source / "file").write_text(SECRET)
    opening = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("/file"):
            raise PermissionError(13, "Permission denied", path)
        return opening(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ArchiveError, match=r"file cannot be captured\.\n.*\nFound: Permission denied"):
        archive.capture(request(out, source))
    assert os.listdir(out.parent) == []


def test_a_rehearsal_writes_nothing(source: Path, out: Path) -> None:
    (source / "file").write_text("x")
    record = archive.rehearse(request(out, source))
    assert (record.size_bytes, record.sha256) == (None, None)
    assert kinds(record, source) == {".": "directory", "file": "file"}
    assert os.listdir(out.parent) == []
    with pytest.raises(ArchiveError, match="Required"):
        archive.rehearse(request(out, WantedPath("/nonexistent", True)))


def contents_of(data: bytes) -> Dict[str, Any]:
    """Everything that a restore would take out of an archive."""
    seen: List[Any] = []

    def visit(entry: _entries.Entry, xattrs: Dict[str, bytes], contents: Any) -> None:
        collected = io.BytesIO()
        if contents is not None:
            contents(collected.write)
        seen.append((entry, xattrs, collected.getvalue()))

    found = container.read_archive(io.BytesIO(data), "x.tar", visit)
    return {"index": found.index, "facts": found.facts, "seen": seen}


def test_every_flipped_byte_is_found_or_harmless(source: Path, out: Path) -> None:
    (source / "file").write_text(SECRET)
    os.setxattr(source / "file", "user.x", b"value")
    os.link(source / "file", source / "twin")
    (source / "link").symlink_to("file")
    (source / "ünï").touch()
    archive.capture(request(out, source, facts={"a": 1}))
    data = out.read_bytes()
    good = contents_of(data)
    errors = set()
    for position in range(len(data)):
        if position % (97 if data[position] in b"\0 " else 3):
            continue
        try:
            assert contents_of(data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1 :]) == good
        except ArchiveError as error:
            errors.add(str(error))
    assert len(errors) > 10
    assert SECRET not in "".join(errors)


def test_every_truncation_is_found(source: Path, out: Path) -> None:
    (source / "file").write_text("contents")
    (source / "link").symlink_to("file")
    archive.capture(request(out, source))
    data = out.read_bytes()
    end = len(data.rstrip(b"\0"))
    for length in [*range(0, end, 211), end]:
        with contextlib.suppress(ArchiveError):
            contents_of(data[:length])
            assert length == end
    with pytest.raises(ArchiveError, match="behind its end"):
        contents_of(data + b"x")
    with pytest.raises(ArchiveError):
        contents_of(b"")


def forged(change: Callable[[Dict[str, Any]], None], members: Callable[[tarfile.TarFile], None]) -> bytes:
    """An archive whose index has a correct digest and says what an attacker wants."""
    body: Dict[str, Any] = {"entries": [], "parents": [], "skipped": [], "missing": [], "paths": [], "exclude": [], "facts_sha256": "", "taken_at": ""}
    change(body)
    text = json.dumps({"format": 1, "body": body, "body_sha256": container._canonical(body)}).encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("LIFEBOAT-INDEX.json")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
        members(tar)
    return stream.getvalue()


def entry(path: str, kind: str = "file", **more: Any) -> Dict[str, Any]:
    sha256 = hashlib.sha256(b"").hexdigest() if kind in ("file", "hardlink") else ""
    values = {"path": path, "type": kind, "mode": "0644", "uid": 0, "gid": 0, "owner": "", "group": "", "size": 0, "mtime_ns": 0, "sha256": sha256}
    return dict(values, link_target="", xattrs={}, **more)


@pytest.mark.parametrize(
    "entries",
    [
        [entry("/etc/../../x")],
        [entry("etc/x")],
        [entry("/etc//x")],
        [entry("/")],
        [entry("/x\0y")],
        [entry("/LIFEBOAT-INDEX.json")],
        [dict(entry("/a", "symlink"), link_target="/etc"), entry("/a/passwd")],
        [entry("/a"), entry("/a/b")],
        [entry("/a"), entry("/a")],
        [dict(entry("/a", "hardlink"), link_target="/etc/shadow")],
        [entry("/a", "hardlink")],
        [entry("/a", "symlink")],
        [dict(entry("/a"), mode="99")],
        [dict(entry("/a"), mode="17777")],
        [dict(entry("/a"), uid=-1)],
        [dict(entry("/a"), size=True)],
        [dict(entry("/a"), sha256="")],
        [dict(entry("/a"), type="fifo")],
        [dict(entry("/a"), xattrs={"user.x": 1})],
        [dict(entry("/a"), more=1)],
        ["/a"],
    ],
)
def test_an_index_that_leads_astray_is_refused(entries: List[Any]) -> None:
    with pytest.raises(LifeboatError):
        contents_of(forged(lambda body: body["entries"].extend(entries), lambda tar: None))
    with pytest.raises(LifeboatError):
        contents_of(forged(lambda body: body["parents"].extend([entries[0]] if len(entries) == 1 else [{}]), lambda tar: None))


def test_members_that_the_index_does_not_have_are_refused() -> None:
    def add(name: str, kind: bytes = tarfile.REGTYPE, linkname: str = "") -> Callable[[tarfile.TarFile], None]:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, linkname
        return lambda tar: tar.addfile(info, io.BytesIO(b""))

    good = forged(lambda body: body["entries"].append(entry("/a")), add("a"))
    assert len(contents_of(good)["seen"]) == 1
    for member in (add("../a"), add("/a"), add("b"), add("a", tarfile.SYMTYPE, "/etc"), add("a", tarfile.LNKTYPE, "etc/shadow"), add("a", tarfile.FIFOTYPE)):
        with pytest.raises(ArchiveError):
            contents_of(forged(lambda body: body["entries"].append(entry("/a")), member))
        with pytest.raises(ArchiveError, match="a member that is not in the index"):
            contents_of(forged(lambda body: None, member))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        add("a")(tar)
    with pytest.raises(ArchiveError, match="no LIFEBOAT-INDEX.json as its first member"):
        contents_of(stream.getvalue())
