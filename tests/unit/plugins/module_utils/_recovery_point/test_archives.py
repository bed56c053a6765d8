# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives: read to their end, and refused when they are cut off or go on."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.archives import contents, read_archive
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ArtifactDamagedError
from tests.unit.plugins.module_utils._recovery_point.making import make_pki_files, make_tar

FILES = {"etc/a": b"a" * 1000, "etc/b": os.urandom(100000), "var/empty": b""}


def test_an_archive_is_counted_and_shown() -> None:
    seen = {}
    summary = read_archive(io.BytesIO(make_tar(FILES)), "x", lambda member, content: seen.update({member.name: content.read()}))
    assert summary == (3, 3, 101000)
    assert seen == FILES
    assert read_archive(io.BytesIO(make_tar(FILES)), "x") == summary


def test_an_archive_by_stock_tar_with_everything_in_it(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"x" * 10)
    (source / "link").symlink_to("file")
    os.link(source / "file", source / "hard")
    os.mkfifo(source / "pipe")
    with (source / "sparse").open("wb") as stream:
        stream.truncate(1 << 20)
    (source / ("long" * 50)).write_bytes(b"y")
    subprocess.run(["tar", "--create", "--sparse", "--format=pax", "--file", "archive.tar", "source"], cwd=tmp_path, check=True)
    with (tmp_path / "archive.tar").open("rb") as stream:
        summary = read_archive(stream, "x")
    assert summary.entries == 7
    assert summary.file_bytes == 10 + (1 << 20) + 1


def test_an_archive_cut_off_anywhere_is_refused() -> None:
    whole = make_tar(FILES)
    body = len(whole.rstrip(b"\0"))
    for end in (0, 1, 511, 512, 1000, 2048, body - 1, body + 512 - body % 512):
        with pytest.raises(ArtifactDamagedError):
            read_archive(io.BytesIO(whole[:end]), "etcd/cp1.tar.zst.age")


def test_what_stands_behind_the_end_is_noticed() -> None:
    whole = make_tar(FILES)
    read_archive(io.BytesIO(whole + bytes(100000)), "x")
    for more in (b"x", bytes(5000) + b"x", make_tar(FILES)):
        with pytest.raises(ArtifactDamagedError, match="goes on where its tar archive ends"):
            read_archive(io.BytesIO(whole + more), "x")


def test_what_is_no_archive_is_refused() -> None:
    for data in (b"not tar" * 1000, os.urandom(20000)):
        with pytest.raises(ArtifactDamagedError, match="not a whole tar archive"):
            read_archive(io.BytesIO(data), "etcd/cp1.tar.zst.age")


def test_damaged_headers_are_noticed() -> None:
    whole = bytearray(make_tar(FILES))
    whole[whole.index(b"etc/b") + 10] ^= 1
    with pytest.raises(ArtifactDamagedError, match="a header is damaged"):
        read_archive(io.BytesIO(bytes(whole)), "x")


def test_contents_with_and_without_a_look_into_the_files() -> None:
    archive = make_tar(make_pki_files())
    plain = contents(io.BytesIO(archive), "x", inspect=False)
    assert set(plain) == {"entries", "files", "file_bytes"}
    looked = contents(io.BytesIO(archive), "x", inspect=True)
    assert looked["entries"] == plain["entries"] == 8
    assert [entry["path"] for entry in looked["certificates"]] == ["etc/kubernetes/pki/ca.crt"]
