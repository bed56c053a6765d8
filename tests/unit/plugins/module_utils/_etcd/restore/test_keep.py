# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping the etcdutl that fits, with real programs: what is preferred, what is refused, and what stays when it fails."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import struct
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, RestoreError, ToolError
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore import keep as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore import tools
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.elf import is_program, is_static
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.keep import keep
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.tools import Tool, beside_members, serving
from ansible_collections.lifeboat.cluster.plugins.modules import etcd_tool

OLD = "echo 'etcdutl version: 3.5.9'"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of our own before the host's, and a staging directory; there is no containerd, and no etcd runs."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "staging").mkdir(mode=0o700)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    script(tmp_path / "bin" / "ctr", "exit 0")
    # Not those of a lab on this machine.
    monkeypatch.setattr(tools, "beside_members", list)
    return tmp_path


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A static etcdutl that does nothing but tell its version: a head, one segment, and write and exit in the machine's own code (x86-64)."""
    said = b"etcdutl version: 3.6.16\nAPI version: 3.6\n"
    begin, base = 120, 0x400000
    code = b"\xb8\x01\0\0\0\xbf\x01\0\0\0\x48\xbe" + struct.pack("<Q", base + begin + 42) + b"\xba" + struct.pack("<I", len(said))
    code += b"\x0f\x05\xb8\x3c\0\0\0\x31\xff\x0f\x05" + b"\x90" * 6
    assert len(code) == 42
    size = begin + len(code) + len(said)
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + begin, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096)
    path = tmp_path / "static-etcdutl"
    path.write_bytes(head + segment + code + said + bytes(8000))
    path.chmod(0o755)
    return path


def script(path: Path, text: str) -> Path:
    """A program in the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def image(places: Path, content: Path) -> Path:
    """A stand-in for ctr that has one etcd image and mounts it by linking; returns its log."""
    mounted = places / "mounted"
    log = places / "log"
    script(
        places / "bin" / "ctr",
        f'echo "$4" >> {log}\ncase "$4" in\n'
        "ls) echo registry.k8s.io/etcd:3.6.16-0;;\n"
        f'mount) mkdir -p "$6/bin"; cp {content} "$6/bin/etcdutl"; touch {mounted};;\n'
        f'unmount) rm -r "$6/bin"; rm {mounted};;\nesac',
    )
    return log


@pytest.fixture
def unmountable(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether something is mounted is what our stand-in says; nothing is mounted for real."""
    from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore import tools

    monkeypatch.setattr(tools, "_MOUNT_POINT", str(places / "mount-point"))
    monkeypatch.setattr(tools, "_mounted", lambda _place: (places / "mounted").exists())


def sha256(path: Path) -> str:
    """Digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_static_one_of_the_host_is_kept_once(places: Path, program: Path) -> None:
    shutil.copy(program, places / "bin" / "etcdutl")
    target = places / "staging" / "etcdutl"
    changed, copy = keep(str(target))
    assert changed
    assert copy.as_result() == {
        "path": str(target),
        "size_bytes": target.stat().st_size,
        "sha256": sha256(program),
        "version": "3.6.16",
        "source": "host",
        "static": True,
    }
    assert sha256(target) == copy.sha256
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    before = target.stat()
    assert keep(str(target)) == (False, copy)
    assert target.stat().st_ino == before.st_ino
    assert os.listdir(places / "staging") == ["etcdutl"]


def test_a_damaged_or_readable_copy_is_made_anew(places: Path, program: Path) -> None:
    shutil.copy(program, places / "bin" / "etcdutl")
    target = places / "staging" / "etcdutl"
    keep(str(target))
    content = bytearray(target.read_bytes())
    content[5000] ^= 1
    target.write_bytes(bytes(content))
    assert keep(str(target))[0]
    assert sha256(target) == sha256(program)
    target.chmod(0o755)
    assert keep(str(target))[0]
    assert stat.S_IMODE(target.stat().st_mode) == 0o700


def test_it_belongs_to_whom_it_is_for(places: Path, program: Path) -> None:
    shutil.copy(program, places / "bin" / "etcdutl")
    target = places / "staging" / "etcdutl"
    keep(str(target), owner="65534:65534")
    assert (target.stat().st_uid, target.stat().st_gid) == (65534, 65534)
    assert not keep(str(target), owner="65534:65534")[0]
    assert keep(str(target), owner="0:0")[0]
    with pytest.raises(EtcdError, match="is not known on this host"):
        keep(str(target), owner="nobody-of-that-name")


def test_check_mode_writes_nothing(places: Path, program: Path) -> None:
    shutil.copy(program, places / "bin" / "etcdutl")
    target = places / "staging" / "etcdutl"
    changed, copy = keep(str(target), check_mode=True)
    assert (changed, copy.static) == (True, True)
    assert os.listdir(places / "staging") == []
    keep(str(target))
    assert not keep(str(target), check_mode=True)[0]


@pytest.mark.usefixtures("unmountable")
def test_out_of_an_image_and_check_mode_mounts_nothing(places: Path, program: Path) -> None:
    log = image(places, program)
    target = places / "staging" / "etcdutl"
    changed, foreseen = keep(str(target), check_mode=True)
    assert (changed, foreseen.version, foreseen.source, foreseen.sha256, foreseen.static) == (True, "3.6.16", "image", None, None)
    assert log.read_text().split() == ["ls"]
    changed, copy = keep(str(target))
    assert (changed, copy.source, copy.sha256) == (True, "image", sha256(program))
    assert log.read_text().split() == ["ls", "ls", "mount", "unmount"]
    assert not (places / "mounted").exists()
    assert not keep(str(target), check_mode=True)[0]


@pytest.mark.usefixtures("unmountable")
def test_an_old_one_on_the_path_is_passed_over(places: Path, program: Path) -> None:
    image(places, program)
    script(places / "bin" / "etcdutl", OLD)
    assert keep(str(places / "staging" / "etcdutl"))[1].source == "image"


@pytest.mark.usefixtures("unmountable")
def test_one_that_needs_libraries_gives_way_to_a_static_one(places: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The static one of the image wins over the host's; without an image, one with libraries is better than none, and says so."""
    dynamic = places / "bin" / "etcdutl"
    shutil.copy(program, dynamic)
    real = is_static
    monkeypatch.setattr(tools, "is_static", lambda path: path != str(dynamic) and real(path))
    monkeypatch.setattr(subject, "is_static", lambda path: path != str(dynamic) and real(path))
    copy = keep(str(places / "staging" / "etcdutl"))[1]
    assert (copy.source, copy.static) == ("host", False)
    image(places, program)
    copy = keep(str(places / "staging" / "etcdutl"))[1]
    assert (copy.source, copy.static) == ("image", True)


def test_a_host_without_one_says_what_was_tried(places: Path) -> None:
    with pytest.raises(RestoreError, match="no etcdutl that can restore") as caught:
        keep(str(places / "staging" / "etcdutl"))
    assert "PATH: no etcdutl" in caught.value.tried
    assert os.listdir(places / "staging") == []


def test_a_script_is_no_tool_to_keep(places: Path) -> None:
    script(places / "bin" / "etcdutl", "echo 'etcdutl version: 3.6.16'")
    with pytest.raises(ToolError, match="not a program that could be kept"):
        keep(str(places / "staging" / "etcdutl"))


def test_no_room_no_directory_and_a_link_in_the_way(places: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(program, places / "bin" / "etcdutl")
    with pytest.raises(ToolError, match="could not be copied"):
        keep(str(places / "nowhere" / "etcdutl"))
    target = places / "staging" / "etcdutl"
    target.symlink_to("/etc/passwd")
    with pytest.raises(ToolError, match="is not a file"):
        keep(str(target))
    target.unlink()
    monkeypatch.setattr(subject.shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(ToolError, match="not enough room"):
        keep(str(target))
    assert os.listdir(places / "staging") == []


def test_a_disk_that_fills_up_leaves_nothing(places: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(program, places / "bin" / "etcdutl")

    def full(_source: Any, target: Any, _length: int) -> None:
        target.write(b"begun")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(subject.shutil, "copyfileobj", full)
    with pytest.raises(ToolError, match="could not be copied") as caught:
        keep(str(places / "staging" / "etcdutl"))
    assert caught.value.remedy == "Make room."
    assert os.listdir(places / "staging") == []


def test_static_or_not(tmp_path: Path, program: Path) -> None:
    """A Go program without libraries, a program of the distribution, and files that are cut off or no programs at all."""
    assert is_static(str(program))
    assert not is_static("/bin/sh")
    assert is_program("/bin/sh")
    head = (program).read_bytes()[:4096]
    for content in (b"", b"#!/bin/sh\n", head[:40], head[:70], b"\x7fELF" + bytes(200), head[:4] + b"\x07" + head[5:]):
        (tmp_path / "file").write_bytes(content)
        assert not is_static(str(tmp_path / "file"))
    # 32 bits, big-endian: one loaded segment; then one that names the dynamic linker.
    for kind, expected in ((1, True), (3, False)):
        elf = bytearray(96)
        elf[:6] = b"\x7fELF\x01\x02"
        struct.pack_into(">I", elf, 28, 64)
        struct.pack_into(">HH", elf, 42, 32, 1)
        struct.pack_into(">I", elf, 64, kind)
        (tmp_path / "file").write_bytes(bytes(elf))
        assert is_static(str(tmp_path / "file")) is expected


@pytest.mark.parametrize(
    ("version", "images", "expected"),
    [
        ("3.6.16", [], Tool("etcdutl", "3.6.16", "host")),
        ("3.5.9", ["registry.k8s.io/etcd:3.5.24-0"], Tool("registry.k8s.io/etcd:3.5.24-0", "3.5.24", "image")),
        (None, ["registry.k8s.io/etcd:3.5.9-0", "registry.k8s.io/etcd:3.6.4-0", "x/etcd@sha256:12"], Tool("registry.k8s.io/etcd:3.6.4-0", "3.6.4", "image")),
        (None, ["registry.k8s.io/etcd:3.5.9-0"], None),
        ("3.5.9", [], None),
        (None, [], None),
    ],
)
def test_whether_one_must_be_shipped(version: str | None, images: list[str], expected: Tool | None) -> None:
    assert serving(version, images) == expected


def process(proc: Path, pid: int, name: str, uid: int, program: Path | None = None) -> Path:
    """A process as /proc shows it, with a program in its own root directory."""
    place = proc / str(pid) / "root/usr/local/bin/etcdutl"
    place.parent.mkdir(parents=True)
    (proc / str(pid) / "status").write_text(f"Name:\t{name}\nState:\tS (sleeping)\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
    if program is not None:
        shutil.copy2(program, place)
    return place


def test_the_program_beside_a_member_of_root_is_found_and_no_other(tmp_path: Path, program: Path) -> None:
    """Anybody can make a process called etcd with a root directory of its own."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    process(tmp_path / "proc", 11, "etcd", 1000, program)
    process(tmp_path / "proc", 12, "etcdctl", 0, program)
    process(tmp_path / "proc", 13, "etcd", 0)
    wanted = process(tmp_path / "proc", 14, "etcd", 0, program)
    (tmp_path / "proc" / "15").mkdir()
    assert beside_members(str(tmp_path / "proc")) == [str(wanted)]


def test_where_no_image_can_be_mounted_the_member_has_it(places: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = process(places / "proc", 14, "etcd", 0, program)
    monkeypatch.setattr(tools, "beside_members", lambda: [str(beside)])
    changed, copy = keep(str(places / "staging" / "etcdutl"))
    assert (changed, copy.source, copy.version) == (True, "member", "3.6.16")
    with pytest.raises(RestoreError, match="no etcdutl"), tools.etcdutl():
        raise AssertionError("a restore takes nothing that ends with etcd")


def test_the_module(places: Path, program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Changed, then not; the diff says what; a failure has a kind that a role can tell from a crash."""

    def call(**options: Any) -> dict[str, Any]:
        capsys.readouterr()
        with patch_module_args({"path": str(places / "staging" / "etcdutl"), **options}), pytest.raises(SystemExit):
            etcd_tool.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    assert call()["error"]["kind"] == "RestoreError"
    shutil.copy(program, places / "bin" / "etcdutl")
    first = call()
    assert (first["changed"], first["diff"]["before"], first["tool"]["static"]) == (True, {}, True)
    assert first["diff"]["after"] == {"path": str(places / "staging" / "etcdutl"), "sha256": first["tool"]["sha256"], "version": "3.6.16"}
    second = call()
    assert (second["changed"], second["diff"]["before"]) == (False, first["diff"]["after"])
    assert call(etcdutl=str(script(places / "old", OLD)))["failed"] is True
