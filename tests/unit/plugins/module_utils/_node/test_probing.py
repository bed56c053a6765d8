# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Not there, or not to be read: with a real file system that refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.digests import certificate_file_sha256, public_file_sha256, public_half_sha256
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import probing as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import DiskError
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.probing import LookError
from tests.unit.plugins.module_utils._node.failing import TOO_LONG, loop, nobody, open_to_all

# By each of these a file is looked at; the answer for a missing one.
READERS = {
    "text_or_none": (subject.text_or_none, None),
    "status": (subject.status, None),
    "link_status": (subject.link_status, None),
    "is_directory": (subject.is_directory, False),
    "names_in": (subject.names_in, []),
    "holds_something": (subject.holds_something, False),
    "can_be_read": (subject.can_be_read, False),
    "tree_size": (subject.tree_size, (0, None)),
    "json_object": (lambda path: subject.json_object(path, "It"), None),
    "certificate_file_sha256": (certificate_file_sha256, None),
    "public_file_sha256": (public_file_sha256, None),
    "public_half_sha256": (public_half_sha256, None),
}


@pytest.mark.parametrize("name", READERS)
def test_only_what_is_certainly_not_there_is_not_there(tmp_path: Path, name: str) -> None:
    read, missing = READERS[name]
    (tmp_path / "file").write_text("x")
    assert read(str(tmp_path / "none")) == missing
    assert read(str(tmp_path / "none" / "below")) == missing
    assert read(str(tmp_path / "file" / "below a file")) == missing
    with pytest.raises(OSError) as raised:
        read(str(tmp_path / TOO_LONG))
    assert raised.value.errno == errno.ENAMETOOLONG
    loop(tmp_path / "loop")
    with pytest.raises(OSError) as raised:
        read(str(tmp_path / "loop" / "below"))
    assert raised.value.errno == errno.ELOOP


@pytest.mark.parametrize("name", READERS)
def test_access_denied_is_no_absence(tmp_path: Path, name: str) -> None:
    (tmp_path / "closed" / "below").mkdir(parents=True)
    open_to_all(tmp_path)
    (tmp_path / "closed").chmod(0)
    with nobody(), pytest.raises(PermissionError):
        READERS[name][0](str(tmp_path / "closed" / "below"))


def test_a_directory_whose_content_cannot_be_seen_is_not_empty(tmp_path: Path) -> None:
    """C(os.walk) and C(glob) would say nothing."""
    (tmp_path / "data" / "closed").mkdir(parents=True)
    (tmp_path / "data" / "closed" / "db").write_text("x" * 10)
    open_to_all(tmp_path / "data")
    (tmp_path / "data" / "closed").chmod(0)
    with nobody():
        for read in (subject.holds_something, subject.tree_size):
            with pytest.raises(PermissionError):
                read(str(tmp_path / "data"))
    (tmp_path / "data" / "closed").chmod(0o755)
    assert subject.tree_size(str(tmp_path / "data"))[0] == 10


def test_a_link_to_nothing_is_an_error_wherever_on_the_way_it_is(tmp_path: Path) -> None:
    """The disk that it leads to may just not be mounted."""
    (tmp_path / "link").symlink_to("/nonexistent/disk")
    (tmp_path / "there").mkdir()
    (tmp_path / "good").symlink_to("there")
    for path in ("link", "link/etcd/member"):
        with pytest.raises(LookError, match="is a link to /nonexistent/disk, which is not there"):
            subject.status(str(tmp_path / path))
        with pytest.raises(LookError):
            subject.names_in(str(tmp_path / path))
    assert subject.status(str(tmp_path / "good" / "none")) is None
    assert subject.is_directory(str(tmp_path / "good"))


def test_a_directory_holds_something_when_there_is_a_file_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert not subject.holds_something(str(tmp_path / "a"))
    (tmp_path / "a" / "b" / "file").touch()
    assert subject.holds_something(str(tmp_path / "a"))
    assert subject.holds_something(str(tmp_path / "a" / "b" / "file"))


def test_what_is_no_json_object_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    for text in ("{ half a lo", "[]", "", "\xff", "null"):
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(DiskError, match="no JSON object"):
            subject.json_object(str(path), "The lock of this host")
    path.write_text('{"a": 1}')
    assert subject.json_object(str(path), "The lock of this host") == {"a": 1}


def test_the_next_directory_that_exists(tmp_path: Path) -> None:
    assert subject.existing_ancestor(str(tmp_path / "a" / "b")) == str(tmp_path)
    assert subject.existing_ancestor(os.sep) == os.sep
