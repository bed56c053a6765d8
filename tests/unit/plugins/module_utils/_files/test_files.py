# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting real files back, as root: plans, refusals, what is moved aside, and kills at every step."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import aside as _aside
from ansible_collections.lifeboat.cluster.plugins.module_utils._files import files
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive import archive, container
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive import entries as _entries
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive import unpacking as _staging
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.archive import ArchiveError, CaptureRequest, WantedPath
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.files import RestoreError, RestoreRequest, apply, plan, unpack
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import DiskError

SECRET = "planted-secret-77e0d1"


class Host:
    """A directory that stands for a host, its archive and its staging."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.live = base / "live"
        self.staging = str(base / "staging")
        self.aside = base / "aside"
        self.tar = str(base / "host.tar")
        self.live.mkdir(parents=True)

    def path(self, name: str) -> Path:
        return self.live / name

    def write(self, name: str, text: str = "", mode: int = 0o644) -> Path:
        path = self.live / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.chmod(path, mode)
        return path

    def capture(self, *paths: str, **more: Any) -> None:
        wanted = [WantedPath(str(self.live / path)) for path in paths or ("",)]
        record = archive.capture(CaptureRequest(wanted, self.tar, **more))
        unpack(self.tar, self.staging, str(record.sha256))

    def request(self, **more: Any) -> RestoreRequest:
        values: Dict[str, Any] = {"include": [], "exclude": [], "never": [], "named": [], "divert": {}, "aside": str(self.aside)}
        values.update(more)
        return RestoreRequest(staging=self.staging, restore_id=values.pop("restore_id", "r1"), **values)

    def plan(self, **more: Any) -> files.RestorePlan:
        return plan(self.request(**more))

    def apply(self, **more: Any) -> files.AppliedFiles:
        return apply(self.plan(**more))

    def names(self, paths: List[str]) -> List[str]:
        return [os.path.relpath(path, self.live) for path in paths]

    def put_aside(self, name: str) -> Path:
        return Path(str(self.aside) + str(self.live / name))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@contextlib.contextmanager
def mounted(path: Path, size: str) -> Iterator[Path]:
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "lifeboat-test", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


Picture = Dict[str, Tuple[Any, ...]]


def picture(directory: Path, times: bool = False) -> Picture:
    """Everything beneath a directory, in comparable form."""
    found: Picture = {}
    pending = [str(directory)]
    while pending:
        path = pending.pop()
        status = os.lstat(path)
        content: Any = None
        if stat.S_ISDIR(status.st_mode):
            pending += [os.path.join(path, name) for name in os.listdir(path)]
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = Path(path).read_bytes()
        when = status.st_mtime_ns if times else 0
        found[os.path.relpath(path, directory)] = (
            status.st_mode,
            status.st_uid,
            status.st_gid,
            content,
            when,
            tuple(sorted(_entries.read_xattrs(path).items())),
        )
    return found


def leftovers(*directories: Path) -> List[str]:
    return [path for directory in directories for path in picture(directory) if ".lifeboat-" in path] if all(map(os.path.exists, directories)) else []


def fill(host: Host) -> None:
    """A tree with everything in it, as it is captured."""
    host.write("etc/changed", "captured " + SECRET, 0o600)
    host.write("etc/mode", "same contents", 0o640)
    host.write("etc/owner", "owned")
    os.chown(host.path("etc/owner"), 1, 1)
    host.write("etc/same", "same")
    host.write("etc/gone/deep/file", "gone", 0o4755)
    host.write("etc/now-a-directory/child", "child")
    host.path("etc/link").symlink_to("changed")
    host.path("etc/dangling").symlink_to("/nowhere")
    host.path("etc/other-link").symlink_to("captured-target")
    host.write("etc/first", "linked")
    os.link(host.path("etc/first"), host.path("etc/second"))
    os.setxattr(host.path("etc/mode"), "trusted.note", b"\xff\0")
    host.write("etc/pki/ca.key", "key", 0o600)
    os.chmod(host.path("etc/pki"), 0o700)
    for name in picture(host.live):
        os.utime(host.path(name), ns=(1, 1_500_000_000_111_222_333), follow_symlinks=False)


def damage(host: Host) -> None:
    """The same tree as a restore finds it."""
    host.write("etc/changed", "live " + SECRET, 0o644)
    os.chmod(host.path("etc/mode"), 0o604)
    os.chown(host.path("etc/owner"), 2, 2)
    shutil.rmtree(host.path("etc/gone"))
    shutil.rmtree(host.path("etc/now-a-directory"))
    host.write("etc/now-a-directory", "was a file")
    host.path("etc/link").unlink()
    host.write("etc/link/with/contents", "in the way")
    os.chmod(host.path("etc/link/with"), 0o711)
    host.path("etc/other-link").unlink()
    host.path("etc/other-link").symlink_to("live-target")
    host.path("etc/second").unlink()
    host.write("etc/second", "not linked any more")
    host.write("etc/pki/extra", "extra")
    host.write("etc/pki/extra-directory/deep", "extra")
    os.chmod(host.path("etc/pki"), 0o755)
    host.write("etc/untouched", "not captured")


def extras(host: Host) -> Dict[str, Any]:
    return {"extras": "aside", "exact": [str(host.path("etc/pki"))]}


def check_outcome(host: Host, captured: Picture, before: Picture) -> None:
    """The live tree is as captured, what stood there is aside, nothing unfinished lies about, and nothing more is to do."""
    now = picture(host.live, times=True)
    for name, expected in captured.items():
        # Directories that hold more than what was captured have a time of their own.
        assert now[name] == expected, name
    assert os.path.samefile(host.path("etc/first"), host.path("etc/second"))
    assert host.path("etc/untouched").read_text() == "not captured"
    assert sorted(os.listdir(host.path("etc/pki"))) == ["ca.key"]
    assert leftovers(host.live, host.aside) == []
    after = picture(host.live)
    saved = picture(host.put_aside(""))
    for name, was in before.items():
        if stat.S_ISDIR(was[0]):
            assert name in after or name in saved
        else:
            assert was in (after.get(name), saved.get(name)), name
    assert not host.plan(**extras(host)).changed
    assert not host.apply(**extras(host)).changed


def test_a_restore_brings_everything_back_and_loses_nothing(host: Host) -> None:
    fill(host)
    host.capture("etc")
    captured = picture(host.live / "etc", times=True)
    captured = {os.path.normpath(os.path.join("etc", name)): value for name, value in captured.items()}
    damage(host)
    before = picture(host.live)
    found = host.plan(**extras(host))
    assert sorted(host.names(found.create)) == ["etc/gone", "etc/gone/deep", "etc/gone/deep/file", "etc/now-a-directory/child"]
    assert sorted(host.names(found.replace)) == [
        "etc/changed",
        "etc/link",
        "etc/mode",
        "etc/now-a-directory",
        "etc/other-link",
        "etc/owner",
        "etc/second",
    ]
    assert host.names(found.attributes) == ["etc/pki"]
    assert sorted(host.names(found.extra)) == ["etc/pki/extra", "etc/pki/extra-directory"]
    assert {"etc/same", "etc/first", "etc/dangling", "etc"} <= set(host.names(found.same))
    assert picture(host.live) == before
    assert not host.aside.exists()
    applied = apply(found)
    assert applied.changed
    check_outcome(host, captured, before)
    moved = {os.path.relpath(item["path"], host.live) for item in applied.moved_aside}
    assert moved == {*host.names(found.replace), "etc/pki/extra", "etc/pki/extra-directory"}
    assert all(os.path.lexists(item["aside"]) for item in applied.moved_aside)
    assert stat.S_IMODE(os.stat(host.aside).st_mode) == 0o700
    text = json.dumps([found.as_result(), found.diff(), applied.as_result()]) + (host.aside / "ledger.jsonl").read_text()
    assert SECRET not in text


def test_the_diff_has_attributes_and_digests_only(host: Host) -> None:
    host.write("file", SECRET, 0o600)
    host.capture()
    host.write("file", "live " + SECRET, 0o644)
    diff = host.plan().diff()
    assert diff["before"].startswith("0644 root:root ")
    assert diff["after"].startswith("0600 root:root ")
    assert diff["after"].endswith(" %s\n" % host.path("file"))
    assert SECRET not in json.dumps(diff)


class Killed(BaseException):
    """Never raised: the process is gone."""


CALLS = (
    "rename",
    "replace",
    "link",
    "symlink",
    "unlink",
    "mkdir",
    "rmdir",
    "chown",
    "chmod",
    "setxattr",
    "removexattr",
    "utime",
    "fsync",
    "ftruncate",
    "write",
)


def killed_at(number: int, after: bool, action: Callable[[], Any]) -> bool:
    """Run the action in a child that dies at its nth call that changes the disk; whether it died."""
    child = os.fork()
    if child == 0:
        count = [0]

        def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                count[0] += 1
                if count[0] == number and not after:
                    os._exit(9)
                try:
                    return original(*arguments, **options)
                finally:
                    if count[0] == number:
                        os._exit(9)

            return call

        status = 1
        try:
            for name in CALLS:
                setattr(os, name, wrap(getattr(os, name)))
            action()
            status = 0
        finally:
            os._exit(status)
    _child, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) in (0, 9)
    return os.WEXITSTATUS(status) == 9


@contextlib.contextmanager
def place_for_aside(host: Host, elsewhere: bool) -> Iterator[None]:
    if not elsewhere:
        yield
        return
    with mounted(host.base / "other", "10m"):
        host.aside = host.base / "other" / "aside"
        yield


class Rehearsal:
    """A host that is to be restored, again and again from the same state."""

    def __init__(self, base: Path) -> None:
        self.host = Host(base)
        fill(self.host)
        self.host.capture("etc")
        self.captured = {os.path.normpath(os.path.join("etc", name)): value for name, value in picture(self.host.live / "etc", times=True).items()}
        damage(self.host)
        self.before = picture(self.host.live)
        for name in self.before:
            # What was written just now would be waited for before it is read.
            if os.lstat(self.host.path(name)).st_mtime_ns > 1_600_000_000_000_000_000:
                os.utime(self.host.path(name), ns=(1, 1_600_000_000_000_000_000), follow_symlinks=False)
        subprocess.run(["cp", "-a", str(self.host.live), str(base / "saved")], check=True)

    def reset(self) -> None:
        shutil.rmtree(self.host.live)
        shutil.rmtree(self.host.aside, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.host.base / "saved"), str(self.host.live)], check=True)

    def restore(self) -> None:
        self.host.apply(**extras(self.host))

    def check(self) -> None:
        check_outcome(self.host, self.captured, self.before)


@pytest.fixture
def rehearsal() -> Iterator[Rehearsal]:
    """In memory: what is tested are the steps, not the disk, and there are hundreds of them."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as base:
        yield Rehearsal(Path(base))


@pytest.mark.parametrize(("elsewhere", "after", "stride"), [(False, False, 1), (False, True, 5), (True, False, 2), (True, True, 5)])
def test_a_kill_at_any_step_and_a_rerun_lose_nothing(rehearsal: Rehearsal, elsewhere: bool, after: bool, stride: int) -> None:
    with place_for_aside(rehearsal.host, elsewhere):
        number = 1
        while killed_at(number, after, rehearsal.restore):
            rehearsal.restore()
            rehearsal.check()
            rehearsal.reset()
            number += stride
        assert number > 100
        rehearsal.check()


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("stride", [5, 11, 29])
def test_many_kills_in_one_restore(rehearsal: Rehearsal, elsewhere: bool, stride: int) -> None:
    with place_for_aside(rehearsal.host, elsewhere):
        number, deaths = stride, 0
        while killed_at(number, bool(deaths % 2), rehearsal.restore):
            number += stride
            deaths += 1
        assert deaths > 1
        rehearsal.check()


def test_what_appears_between_two_runs_is_kept_apart(host: Host) -> None:
    host.write("file", "captured")
    host.capture()
    host.write("file", "first")
    host.apply()
    host.write("file", "second")
    host.apply()
    host.write("file", "third")
    applied = host.apply()
    assert host.path("file").read_text() == "captured"
    assert host.put_aside("file").read_text() == "first"
    later = [Path(str(host.aside / ".later" / number) + str(host.path("file"))).read_text() for number in ("1", "2")]
    assert later == ["second", "third"]
    assert applied.moved_aside[0]["aside"] == str(host.aside / ".later" / "2") + str(host.path("file"))


def test_our_own_files_are_replaced_without_a_trace(host: Host) -> None:
    host.write("file", "captured", 0o600)
    host.capture()
    host.write("file", "before")
    host.apply()
    other = Host.__new__(Host)
    other.__dict__ = dict(host.__dict__, staging=str(host.base / "staging2"), tar=str(host.base / "host2.tar"))
    saved = host.path("file").read_bytes()
    host.write("file", "captured again")
    other.capture()
    host.path("file").unlink()
    host.path("file").write_bytes(saved)
    os.chmod(host.path("file"), 0o600)
    applied = other.apply()
    assert applied.moved_aside == []
    assert host.path("file").read_text() == "captured again"
    assert host.put_aside("file").read_text() == "before"
    assert not (host.aside / ".later").exists()


def test_another_restore_id_begins_anew(host: Host) -> None:
    host.write("file", "captured")
    host.capture()
    host.write("file", "one")
    host.apply()
    host.write("file", "two")
    host.apply(restore_id="r2", aside=str(host.base / "aside2"))
    assert host.put_aside("file").read_text() == "one"
    assert Path(str(host.base / "aside2") + str(host.path("file"))).read_text() == "two"


def test_what_would_lock_everybody_out_is_refused_unless_named(host: Host) -> None:
    for name in ("etc/ssh/sshd_config", "etc/sudoers", "etc/kubernetes/admin.conf", "root/.ssh/authorized_keys"):
        host.write(name, "captured")
    host.capture()
    host.write("etc/ssh/sshd_config", "live")
    host.write("etc/kubernetes/admin.conf", "live")
    never = [str(host.live) + path for path in ("/etc/ssh", "/etc/sudoers", "/**/authorized_keys")]
    found = host.plan(never=never)
    assert host.names(found.refused) == ["etc/ssh", "etc/ssh/sshd_config", "etc/sudoers", "root/.ssh/authorized_keys"]
    assert host.names(found.would_cut_connection) == ["etc/ssh/sshd_config"]
    apply(found)
    assert host.path("etc/ssh/sshd_config").read_text() == "live"
    assert host.path("etc/kubernetes/admin.conf").read_text() == "captured"
    named = host.plan(never=never, named=[str(host.path("etc/ssh"))])
    assert host.names(named.refused) == ["etc/sudoers", "root/.ssh/authorized_keys"]
    assert host.names(named.would_cut_connection) == ["etc/ssh/sshd_config"]
    apply(named)
    assert host.path("etc/ssh/sshd_config").read_text() == "captured"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/ssh/sshd_config",
        "/etc/ssh/ssh_host_ed25519_key",
        "/root/.ssh/authorized_keys",
        "/home/erika/.ssh/authorized_keys",
        "/var/lib/x/authorized_keys",
        "/etc/sudoers",
        "/etc/sudoers.d/admins",
        "/etc/pam.d/sshd",
        "/etc/shadow",
        "/etc/passwd",
        "/etc/network/interfaces",
        "/etc/netplan/50.yaml",
        "/etc/systemd/network/10.network",
        "/etc/sysconfig/network/ifcfg-eth0",
        "/etc/sysconfig/network/routes",
        "/etc/NetworkManager/system-connections/x",
        "/etc/hosts",
        "/etc/nftables.conf",
    ],
)
def test_the_shipped_list_covers(path: str) -> None:
    from ansible_collections.lifeboat.cluster.plugins.module_utils._files.globs import GlobSet

    assert GlobSet(files.LOCK_OUT).matches(path)
    assert not GlobSet(files.LOCK_OUT).matches("/etc/kubernetes/pki/ca.key")


def test_a_diversion_does_not_get_around_the_refusal(host: Host) -> None:
    host.write("a/file", "captured")
    host.capture("a")
    found = host.plan(never=[str(host.path("etc/ssh"))], divert={str(host.path("a")): str(host.path("etc/ssh"))})
    assert host.names(found.refused) == ["etc/ssh", "etc/ssh/file"]
    assert not found.changed


def test_a_link_on_the_host_does_not_get_around_the_refusal(host: Host) -> None:
    host.write("alias/sshd_config", "captured")
    host.capture("alias/sshd_config")
    shutil.rmtree(host.path("alias"))
    host.write("etc/ssh/sshd_config", "live")
    host.path("alias").symlink_to("etc/ssh")
    found = host.plan(never=[str(host.path("etc/ssh"))])
    assert host.names(found.refused) == host.names(found.would_cut_connection) == ["alias/sshd_config"]
    assert host.names(host.plan(never=[str(host.path("etc/ssh"))], named=[str(host.path("etc/ssh"))]).replace) == ["alias/sshd_config"]


def test_include_and_exclude(host: Host) -> None:
    for name in ("a/one.conf", "a/two.conf", "b/one.conf"):
        host.write(name, "captured")
    host.capture()
    for name in ("a/one.conf", "a/two.conf", "b/one.conf"):
        host.write(name, "live")
    found = host.plan(include=[str(host.live) + "/a", str(host.live) + "/**/one.conf"], exclude=[str(host.live) + "/a/two*"])
    assert host.names(found.replace) == ["a/one.conf", "b/one.conf"]
    apply(found)
    assert host.path("a/two.conf").read_text() == "live"


def test_diverted_manifests_go_to_the_parking_and_leave_the_live_ones(host: Host) -> None:
    host.write("manifests/etcd.yaml", "captured")
    host.write("manifests-old/x", "captured")
    host.capture()
    host.write("manifests/etcd.yaml", "live")
    divert = {str(host.path("manifests")): str(host.path("parked/deep"))}
    applied = host.apply(divert=divert)
    assert host.path("parked/deep/etcd.yaml").read_text() == "captured"
    assert host.path("manifests/etcd.yaml").read_text() == "live"
    assert stat.S_IMODE(os.stat(host.path("parked/deep")).st_mode) == 0o755
    assert host.names(sorted(applied.created)) == ["parked/deep", "parked/deep/etcd.yaml"]
    assert host.plan(divert=divert).as_result()["diverted"][str(host.path("manifests/etcd.yaml"))] == str(host.path("parked/deep/etcd.yaml"))
    assert not host.plan(divert=divert).changed
    with pytest.raises(RestoreError, match="that place is taken by"):
        host.plan(divert={str(host.path("manifests")): str(host.path("manifests-old"))})


def test_missing_parents_come_back_with_their_attributes(host: Host) -> None:
    host.write("var/lib/app/data/file", "x")
    os.chmod(host.path("var/lib/app"), 0o2750)
    os.chown(host.path("var/lib/app"), 5, 6)
    host.capture("var/lib/app/data/file")
    shutil.rmtree(host.path("var"))
    number = 0
    while killed_at(number := number + 1, False, host.apply):
        pass
    status = os.stat(host.path("var/lib/app"))
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o2750, 5, 6)
    assert host.path("var/lib/app/data/file").read_text() == "x"
    assert leftovers(host.live) == []


def test_owners_go_by_name_where_the_name_exists(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write("one", "x")
    os.chown(host.path("one"), 1, 1)
    host.write("two", "x")
    os.chown(host.path("two"), 54321, 54322)
    host.capture()
    (host.path("one")).unlink()
    monkeypatch.setattr(_entries, "owner_id", {"daemon": 901, "root": 0}.get)
    monkeypatch.setattr(_entries, "group_id", {"root": 0}.get)
    found = host.plan()
    assert found.owners_by_number == {
        "group 1": "group daemon does not exist here",
        "group 54322": "group 54322 had no name where it was captured",
        "user 54321": "user 54321 had no name where it was captured",
    }
    apply(found)
    status = os.stat(host.path("one"))
    assert (status.st_uid, status.st_gid) == (901, 1)


def test_links_above_a_path_are_followed_and_links_in_the_archive_are_not(host: Host) -> None:
    host.write("lib/unit", "captured")
    host.capture("lib/unit")
    shutil.rmtree(host.path("lib"))
    host.path("usr").mkdir()
    host.path("lib").symlink_to("usr")
    host.apply()
    assert host.path("usr/unit").read_text() == "captured"
    assert host.path("lib").is_symlink()


def test_a_link_where_a_directory_was_captured_is_replaced_with_all_beneath(host: Host) -> None:
    host.write("pki/ca.key", "captured")
    host.capture()
    shutil.rmtree(host.path("pki"))
    host.write("elsewhere/ca.key", "captured")
    host.path("pki").symlink_to("elsewhere")
    found = host.plan()
    assert host.names(found.replace) == ["pki"]
    assert host.names(found.create) == ["pki/ca.key"]
    apply(found)
    assert not host.path("pki").is_symlink()
    assert os.readlink(host.put_aside("pki")) == "elsewhere"
    assert host.path("elsewhere/ca.key").read_text() == "captured"


def test_a_file_above_a_captured_path_is_an_error(host: Host) -> None:
    host.write("a/b/file", "x")
    host.capture("a/b/file")
    shutil.rmtree(host.path("a/b"))
    host.write("a/b", "a file")
    with pytest.raises(RestoreError, match="is no directory, and is not in the archive"):
        host.plan()


def test_another_root(host: Host) -> None:
    host.write("etc/app/file", "captured")
    host.capture("etc/app/file", "etc")
    root = host.base / "sysroot"
    inside = root / str(host.live)[1:]
    (inside / "real").mkdir(parents=True)
    (inside / "etc").symlink_to(str(host.live / "real"))
    host.apply(root=str(root), include=[str(host.path("etc/app"))])
    assert (inside / "real" / "app" / "file").read_text() == "captured"
    assert not host.path("real").exists()
    assert not host.plan(root=str(root), include=[str(host.path("etc/app"))]).changed


def test_extras_are_kept_or_moved_aside_only_where_asked(host: Host) -> None:
    host.write("pki/ca.key", "k")
    host.write("pki/left-out.bak", "b")
    host.write("other/x", "x")
    host.capture(exclude=[str(host.live) + "/**/*.bak"])
    host.write("pki/extra", "e")
    host.write("pki/not-included", "e")
    host.write("pki/locks-out", "e")
    host.write("other/extra", "e")
    exact = [str(host.path("pki"))]
    never = [str(host.path("pki/locks-out"))]
    options = {"exact": exact, "never": never, "exclude": [str(host.path("pki/not-included"))]}
    found = host.plan(**options)
    assert host.names(found.extra) == ["pki/extra"]
    assert not found.changed
    assert not apply(found).changed
    applied = host.apply(extras="aside", **options)
    assert sorted(os.listdir(host.path("pki"))) == ["ca.key", "left-out.bak", "locks-out", "not-included"]
    assert host.path("other/extra").exists()
    assert host.put_aside("pki/extra").read_text() == "e"
    assert host.names([item["path"] for item in applied.moved_aside]) == ["pki/extra"]


def test_attributes_that_a_file_system_does_not_take_are_reported_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write("file", "x")
    os.setxattr(host.path("file"), "user.lost", b"1")
    os.setxattr(host.live, "user.lost", b"1")
    host.capture()
    os.removexattr(host.path("file"), "user.lost")
    os.removexattr(host.live, "user.lost")

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    applied = host.apply()
    assert applied.lost_attributes == {str(host.path("file")): ["user.lost"], str(host.live): ["user.lost"]}
    assert not host.plan().changed


def test_attributes_that_the_place_for_old_files_does_not_take_are_reported(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write("file", "captured")
    host.capture()
    host.write("file", "live")
    os.setxattr(host.path("file"), "trusted.note", b"1")
    setting = os.setxattr

    def refuse(path: str, *arguments: Any, **options: Any) -> None:
        if path.startswith(str(host.aside)):
            raise OSError(errno.ENOTSUP, "Operation not supported")
        setting(path, *arguments, **options)

    with mounted(host.base / "other", "1m"):
        host.aside = host.base / "other" / "aside"
        monkeypatch.setattr(os, "setxattr", refuse)
        assert host.apply().lost_attributes == {str(host.put_aside("file")): ["trusted.note"]}
        assert host.put_aside("file").read_text() == "live"


def test_links_in_a_circle_above_a_path_are_an_error(host: Host) -> None:
    host.write("a/file", "x")
    host.capture("a/file")
    shutil.rmtree(host.path("a"))
    host.path("a").symlink_to("b")
    host.path("b").symlink_to("a")
    with pytest.raises(DiskError, match="leads in a circle"):
        host.plan()


def test_a_default_acl_leaves_no_trace_on_restored_files(host: Host) -> None:
    import struct

    host.write("file", "x", 0o600)
    host.capture("file")
    host.path("file").unlink()
    entries = ((1, 6, 0xFFFFFFFF), (2, 7, 1234), (4, 4, 0xFFFFFFFF), (0x10, 7, 0xFFFFFFFF), (0x20, 4, 0xFFFFFFFF))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(host.live, "system.posix_acl_default", acl)
    host.apply()
    assert os.listxattr(host.path("file")) == []
    assert stat.S_IMODE(os.stat(host.path("file")).st_mode) == 0o600


def test_a_security_label_of_the_target_itself_is_no_difference(host: Host) -> None:
    host.write("file", "x")
    host.capture()
    os.setxattr(host.path("file"), "security.selinux", b"label\0")
    assert not host.plan().changed


def test_odd_names_go_there_and_back(host: Host) -> None:
    names = [b"new\nline", b"\xff\xfe", "ünï".encode(), b"-rf", b"a" * 255, b"*", b"[x]", b"q'\"", b" "]
    for name in names:
        with open(os.path.join(os.fsencode(host.live), name), "wb") as file:
            file.write(name)
        os.symlink(name, os.path.join(os.fsencode(host.live), b"l" + name[:200]))
    deep = os.fsencode(host.live)
    for _level in range(10):
        deep = os.path.join(deep, b"d" * 250)
        os.mkdir(deep)
    host.capture()
    before = picture(host.live)
    for name in os.listdir(host.live):
        _aside.remove(str(host.path(name)))
    found = host.plan()
    json.dumps([found.as_result(), found.diff()], ensure_ascii=False).encode("utf-8")
    applied = apply(found)
    json.dumps(applied.as_result(), ensure_ascii=False).encode("utf-8")
    assert picture(host.live) == before
    assert not host.plan().changed
    for name in names:
        with open(os.path.join(os.fsencode(host.live), name), "ab") as file:
            file.write(b"more")
    host.apply()
    assert picture(host.live) == before


def test_no_room_is_said_before_the_first_change(host: Host) -> None:
    with mounted(host.live / "small", "1m"):
        host.write("small/file", "x" * 700_000)
        host.write("small/other", "x")
        host.capture("small")
        host.write("small/file", "y" * 700_000)
        host.write("small/other", "changed")
        before = picture(host.live)
        found = host.plan()
        assert [item.enough for item in found.space] == [False, True]
        with pytest.raises(RestoreError, match=r"There is no room to restore the files\.") as caught:
            apply(found)
        assert "Nothing was changed" in str(caught.value)
        assert picture(host.live) == before
        assert not host.aside.exists()


def test_a_disk_that_fills_up_in_the_middle_and_a_rerun(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with mounted(host.live / "small", "1m"):
        for number in range(9):
            host.write("small/%d" % number, "captured %d" % number * 5000)
        host.capture("small")
        for number in range(9):
            host.write("small/%d" % number, "live %d" % number)
        (host.live / "small" / "ballast").write_bytes(b"x" * 800_000)
        before = picture(host.live)
        monkeypatch.setattr(files, "check_room", lambda _plan: None)
        with pytest.raises(RestoreError, match="No space left on device") as caught:
            host.apply()
        assert "run again with the same restore_id" in str(caught.value)
        assert leftovers(host.live) == []
        now = picture(host.live)
        for name, was in before.items():
            assert now[name] == was or host.put_aside(name).exists()
        (host.live / "small" / "ballast").unlink()
        host.apply()
        assert host.path("small/8").read_text() == "captured 8" * 5000
        assert host.put_aside("small/8").read_text() == "live 8"


def test_a_mount_point_in_the_way_is_said(host: Host) -> None:
    host.write("file", "captured")
    host.write("source", "mounted")
    host.capture("file")
    subprocess.run(["mount", "--bind", str(host.path("source")), str(host.path("file"))], check=True)
    try:
        with pytest.raises(RestoreError, match="a mount point, or a file made immutable"):
            host.apply()
        assert leftovers(host.live) != []
    finally:
        subprocess.run(["umount", str(host.path("file"))], check=True)
    host.apply()
    assert leftovers(host.live) == []
    assert host.path("file").read_text() == "captured"


def test_staged_files_that_were_changed_are_not_restored(host: Host) -> None:
    host.write("file", "captured")
    host.capture()
    host.write("file", "live")
    Path(_staging.staged_path(host.staging, str(host.path("file")))).write_text("evil")
    with pytest.raises(RestoreError, match=r"The staged file for .* was changed"):
        host.apply()
    assert host.path("file").read_text() == "live"
    assert leftovers(host.live) == []
    (Path(host.staging) / "LIFEBOAT-INDEX.json").write_text("{}")
    with pytest.raises(ArchiveError):
        host.plan()


def test_two_restores_at_once(host: Host) -> None:
    import fcntl

    host.write("file", "captured")
    host.capture()
    host.write("file", "live")
    host.aside.mkdir()
    with (host.aside / "ledger.jsonl").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DiskError, match="in use by another process"):
            host.apply()
    assert host.path("file").read_text() == "live"


@pytest.mark.parametrize("wrong", [{"restore_id": "../x"}, {"restore_id": ""}, {"extras": "delete"}, {"aside": "/"}, {"root": "relative"}])
def test_requests_that_make_no_sense(host: Host, wrong: Dict[str, Any]) -> None:
    host.write("file")
    host.capture()
    with pytest.raises(files.LifeboatError):
        host.plan(**wrong)


def test_a_special_file_in_the_way_is_replaced(host: Host) -> None:
    host.write("file", "captured")
    host.write("directory/child", "captured")
    host.capture()
    shutil.rmtree(host.path("directory"))
    host.path("file").unlink()
    os.mkfifo(host.path("file"))
    os.mkfifo(host.path("directory"))
    host.apply()
    assert host.path("file").read_text() == "captured"
    assert host.path("directory/child").read_text() == "captured"


def test_unpacking_is_private_whole_and_done_once(host: Host) -> None:
    host.write("etc/key", SECRET, 0o4644)
    os.chown(host.path("etc/key"), 5, 5)
    os.link(host.path("etc/key"), host.path("etc/twin"))
    host.path("etc/current").symlink_to(host.path("etc/key"))
    host.path("etc/outside").symlink_to("/etc/shadow")
    host.path("etc/above").symlink_to("../../../../../../etc/shadow")
    host.path("etc/dangling").symlink_to("nowhere")
    host.capture(facts={"kernel": "6.1"})
    staged = Path(_staging.staged_path(host.staging, str(host.path("etc"))))
    assert sorted(os.listdir(staged)) == ["current", "key", "twin"]
    status = os.stat(staged / "key")
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, 0)
    assert os.readlink(staged / "current") == "key"
    assert stat.S_IMODE(os.stat(host.staging).st_mode) == 0o700
    assert json.loads((Path(host.staging) / "LIFEBOAT-FACTS.json").read_text()) == {"kernel": "6.1"}
    again = unpack(host.tar, host.staging)
    assert not again.created
    os.unlink(host.tar)
    assert not unpack(host.tar, host.staging).created
    assert not unpack(host.tar, host.staging, again.archive_sha256).created
    with pytest.raises(ArchiveError, match="holds another archive"):
        unpack(host.tar, host.staging, "0" * 64)
    with pytest.raises(ArchiveError, match="cannot be opened"):
        unpack(host.tar, host.staging + "2")


def test_unpacking_refuses_wrong_digests_places_and_archives(host: Host) -> None:
    host.write("file", "x")
    host.capture()
    with pytest.raises(ArchiveError, match="is not the expected one"):
        unpack(host.tar, str(host.base / "new"), "0" * 64)
    assert not (host.base / "new").exists()
    used = host.base / "used"
    used.mkdir()
    (used / "precious").touch()
    with pytest.raises(ArchiveError, match="is not empty"):
        unpack(host.tar, str(used))
    assert (used / "precious").exists()
    (host.base / "link").symlink_to(used)
    with pytest.raises(ArchiveError, match="cannot be the staging directory"):
        unpack(host.tar, str(host.base / "link"))
    os.chown(used, 1, 1)
    with pytest.raises(ArchiveError, match="cannot be the staging directory"):
        unpack(host.tar, str(used))
    host.write("file", "y")
    archive.capture(CaptureRequest([WantedPath(str(host.live))], str(host.base / "other.tar")))
    with pytest.raises(ArchiveError, match="holds another archive"):
        unpack(str(host.base / "other.tar"), host.staging)
    with pytest.raises(ArchiveError, match="no complete unpacked archive"):
        plan(RestoreRequest(str(host.base / "none"), "r1", [], [], [], [], {}, str(host.aside)))


def test_unpacking_is_killed_anywhere_and_done_again(host: Host) -> None:
    fill(host)
    host.capture("etc")
    target = str(host.base / "again")
    number = deaths = 0
    while killed_at(number := number + 1, bool(number % 2), lambda: unpack(host.tar, target)):
        deaths += 1
        with contextlib.suppress(ArchiveError):
            assert len(files.open_staging(target).index.entries) == 17
        if number > 40:
            number += 5
    assert deaths > 30
    assert picture(Path(target) / "tree") == picture(Path(host.staging) / "tree")
    assert "UNPACKING" not in os.listdir(target)


def test_unpacking_onto_a_full_disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write("file", "x" * 300_000)
    host.capture()
    with mounted(host.base / "small", "256k"):
        with pytest.raises(ArchiveError, match="There is no room to unpack"):
            unpack(host.tar, str(host.base / "small" / "s"))
        monkeypatch.setattr(_staging, "room", lambda _path: (1 << 40, -1))
        with pytest.raises(ArchiveError, match="No space left on device"):
            unpack(host.tar, str(host.base / "small" / "s"))
        with pytest.raises(ArchiveError, match="no complete unpacked archive"):
            files.open_staging(str(host.base / "small" / "s"))


def test_a_damaged_archive_leaves_no_complete_staging(host: Host) -> None:
    host.write("file", SECRET)
    host.capture()
    data = bytearray(Path(host.tar).read_bytes())
    data[data.rindex(SECRET.encode())] ^= 1
    Path(host.tar).write_bytes(bytes(data))
    target = str(host.base / "again")
    with pytest.raises(ArchiveError, match=r"other contents of .*file than the index says") as caught:
        unpack(host.tar, target)
    assert SECRET not in str(caught.value)
    assert not files.is_complete(target)


def test_the_archive_is_swapped_while_it_is_unpacked(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write("file", "one")
    host.capture()
    host.write("file", "two")
    archive.capture(CaptureRequest([WantedPath(str(host.live))], str(host.base / "other.tar")))
    opened: List[Optional[str]] = []
    original = _staging.open_archive

    def opening(path: str) -> Any:
        opened.append(path)
        return original(path if len(opened) < 3 else str(host.base / "other.tar"))

    monkeypatch.setattr(_staging, "open_archive", opening)
    with pytest.raises(ArchiveError, match="other bytes than a moment ago"):
        unpack(host.tar, str(host.base / "again"))


def test_planning_from_the_archive_alone(host: Host) -> None:
    host.write("file", "captured")
    host.capture()
    host.write("file", "live")
    index = files.peek(host.tar)
    assert isinstance(index, container.Index)
    shutil.rmtree(host.staging)
    assert host.names(files.plan_index(host.request(), index).replace) == ["file"]
    with pytest.raises(ArchiveError, match="not the expected one"):
        files.peek(host.tar, "0" * 64)


def test_hosts_are_merged_once_and_nothing_else_is_touched() -> None:
    text = "127.0.0.1 localhost\n127.0.1.1 cp1.example.org cp1\n# comment\n10.0.0.2\tCP2 cp2.example.org # by hand\n"
    entries = {"10.0.0.1": ["cp1"], "10.0.0.2": ["cp2"], "10.0.0.3": ["cp3", "cp3.example.org", "cp3"], "fd00::3": ["cp3"]}
    merged = files.merge_hosts(text, entries)
    assert merged == text + "# BEGIN lifeboat.cluster\n10.0.0.1 cp1\n10.0.0.3 cp3 cp3.example.org\nfd00::3 cp3\n# END lifeboat.cluster\n"
    assert files.merge_hosts(merged, entries) == merged
    assert files.merge_hosts(merged + "10.0.0.9 later\n", {"10.0.0.4": ["cp4"]}) == (
        text + "# BEGIN lifeboat.cluster\n10.0.0.4 cp4\n# END lifeboat.cluster\n10.0.0.9 later\n"
    )
    assert files.merge_hosts(merged, {}) == text
    assert files.merge_hosts("", {}) == ""
    assert files.merge_hosts("a b", {"10.0.0.1": ["x"]}).startswith("a b\n# BEGIN")
    (conflict,) = files.hosts_conflicts(merged, entries)
    assert (conflict.name, conflict.wanted, conflict.found) == ("cp1", "10.0.0.1", "127.0.1.1")
    assert files.hosts_conflicts("::1 cp1\n", {"10.0.0.1": ["cp1"]}) == []


@pytest.mark.parametrize("text", ["# BEGIN lifeboat.cluster\n", "# END lifeboat.cluster\n# BEGIN lifeboat.cluster\n", "# BEGIN lifeboat.cluster\n" * 2])
def test_broken_markers_are_an_error(text: str) -> None:
    with pytest.raises(files.LifeboatError, match="marked block"):
        files.merge_hosts(text, {})


@pytest.mark.parametrize("entries", [{"10.0.0": ["x"]}, {"10.0.0.1": ["a b"]}, {"10.0.0.1": ["a\n10.0.0.2 b"]}, {"10.0.0.1": [""]}, {"x": []}])
def test_what_is_no_host_entry_is_refused(entries: Dict[str, List[str]]) -> None:
    with pytest.raises(files.LifeboatError):
        files.merge_hosts("", entries)


def test_fields_of_the_request_are_as_others_expect() -> None:
    request = RestoreRequest(staging="/s", restore_id="r", include=[], exclude=[], never=[], named=[], divert={}, aside="/a")
    assert (request.root, request.extras, request.exact) == ("/", "keep", [])
    assert set(vars(request)) >= {"staging", "restore_id", "include", "exclude", "never", "named", "divert", "aside", "root"}


def test_ledger_lines_come_before_the_change(host: Host) -> None:
    host.write("file", "captured")
    host.capture()
    host.write("file", "live")
    seen: Set[str] = set()
    rename = os.rename

    def renaming(source: str, target: str, **options: Any) -> None:
        if target == str(host.path("file")):
            seen.update(json.loads(line)["path"] for line in (host.aside / "ledger.jsonl").read_text().splitlines() if '"write"' in line)
        rename(source, target, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", renaming)
        host.apply()
    assert seen == {str(host.path("file"))}
    record = [json.loads(line) for line in (host.aside / "ledger.jsonl").read_text().splitlines() if '"write"' in line][0]
    assert record["sha256"] == _staging.archive_digest(str(host.path("file")))
    with (host.aside / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"operation": "wri')
    host.write("file", "changed")
    host.apply()
    assert host.path("file").read_text() == "captured"
    with (host.aside / "ledger.jsonl").open("a") as ledger:
        ledger.write("garbage\n")
    with pytest.raises(DiskError, match="The ledger of the restore cannot be read"):
        host.plan()
