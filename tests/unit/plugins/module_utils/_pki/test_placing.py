# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new configuration takes the place of the old one, which is kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import placing as subject


def planned(there: Path, new: bytes, suffix: str = "token") -> subject.Plan:
    """A plan to write this."""
    source = there.parent / "source"
    source.write_bytes(new)
    return subject.plan(str(there), str(source), hashlib.sha256(new).hexdigest(), suffix)


def test_the_old_file_is_kept_once_and_the_new_one_has_its_owner_and_mode(tmp_path: Path) -> None:
    there = tmp_path / "e.yaml"
    there.write_bytes(b"old")
    there.chmod(0o640)
    os.chown(there, 65534, 65533)
    plan = planned(there, b"new")
    assert (plan.changed, there.read_bytes()) == (True, b"old")
    subject.apply(plan)
    subject.apply(planned(there, b"newer"))
    kept = tmp_path / "e.yaml.token"
    assert (there.read_bytes(), kept.read_bytes()) == (b"newer", b"old")
    for path in (there, kept):
        state = path.stat()
        assert (state.st_mode & 0o777, state.st_uid, state.st_gid) == (0o640, 65534, 65533)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.yaml", "e.yaml.token", "source"]


def test_the_same_content_is_no_change(tmp_path: Path) -> None:
    there = tmp_path / "e.yaml"
    there.write_bytes(b"same")
    plan = planned(there, b"same")
    subject.apply(plan)
    assert (plan.changed, [path.name for path in tmp_path.glob("*.token")]) == (False, [])


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    there = tmp_path / "e.yaml"
    with pytest.raises(subject.PlacingError, match="cannot be read"):
        planned(there, b"new")
    there.symlink_to(tmp_path / "source")
    with pytest.raises(subject.PlacingError, match="cannot be read"):
        planned(there, b"new")
    there.unlink()
    there.mkdir()
    with pytest.raises(subject.PlacingError, match="not a regular file"):
        planned(there, b"new")
    with pytest.raises(subject.PlacingError, match="not what was sent"):
        subject.plan(str(there), str(tmp_path / "source"), "0" * 64, "token")
