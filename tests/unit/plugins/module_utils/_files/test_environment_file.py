# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a unit's environment file: what is ours is set, everything else stays."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.environment_file import EnvironmentFileError, set_settings, settings
from ansible_collections.lifeboat.cluster.plugins.modules.environment_file import body

BEFORE = """# [member]
ETCD_NAME=0123456789abcdef0123456789abcdef
#ETCD_INITIAL_CLUSTER_STATE="new"
ETCD_DATA_DIR="/var/lib/etcd"

ETCD_INITIAL_CLUSTER="a=https://a:2380,b=https://b:2380"
ETCD_INITIAL_CLUSTER_TOKEN='k8s'
"""
JOINING = {"ETCD_INITIAL_CLUSTER": "a=https://a:2380,c=https://c:2380", "ETCD_INITIAL_CLUSTER_STATE": "existing"}


def _call(path: Path, wanted: dict[str, str], check_mode: bool = False) -> dict[str, Any]:
    call: Any = SimpleNamespace(params={"path": str(path), "settings": wanted}, check_mode=check_mode)
    return body(call)


def test_only_what_is_ours_changes() -> None:
    after = set_settings(BEFORE, JOINING, "etcd")
    assert after.splitlines() == [
        *BEFORE.splitlines()[:5],
        'ETCD_INITIAL_CLUSTER="a=https://a:2380,c=https://c:2380"',
        "ETCD_INITIAL_CLUSTER_TOKEN='k8s'",
        'ETCD_INITIAL_CLUSTER_STATE="existing"',
    ]
    assert set_settings(after, JOINING, "etcd") == after
    # The same value in other quotes is the same.
    assert set_settings(BEFORE, {"ETCD_INITIAL_CLUSTER_TOKEN": "k8s", "ETCD_DATA_DIR": "/var/lib/etcd"}, "etcd") == BEFORE


def test_of_two_the_last_counts() -> None:
    text = "A=1\nB=2\nA=3"
    assert settings(text) == {"A": "3", "B": "2"}
    assert set_settings(text, {"A": "1"}, "f") == 'A=1\nB=2\nA="1"\n'


@pytest.mark.parametrize("value", ['with "quotes"', "a\\b", "$HOME `x`", "", " ", "a=b c"])
def test_a_value_is_read_back(value: str) -> None:
    text = set_settings("", {"A": value}, "f")
    assert settings(text) == {"A": value}
    # A shell reads double quotes in the same way.
    assert subprocess.run(["sh", "-c", text + 'printf %s "$A"'], stdout=subprocess.PIPE, check=True, text=True).stdout == value


@pytest.mark.parametrize(("text", "wanted"), [("", {"A B": "1"}), ("", {"A": "1\nB=2"}), ("A=1 \\\n2\n", {"B": "1"})])
def test_what_a_line_cannot_hold_is_refused(text: str, wanted: dict[str, str]) -> None:
    with pytest.raises(EnvironmentFileError):
        set_settings(text, wanted, "f")


def test_the_first_state_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "etcd"
    path.write_text(BEFORE)
    path.chmod(0o640)
    os.chown(path, 0, 7)
    planned = _call(path, JOINING, check_mode=True)
    assert planned["changed"]
    assert (path.read_text(), os.listdir(tmp_path)) == (BEFORE, ["etcd"])

    assert _call(path, JOINING) == planned
    kept = Path(planned["before"])
    assert kept.read_text() == BEFORE
    assert settings(path.read_text()).items() >= JOINING.items()
    for file in (path, kept):
        state = file.stat()
        assert (state.st_mode & 0o777, state.st_uid, state.st_gid) == (0o640, 0, 7)
    assert not _call(path, JOINING)["changed"]
    assert _call(path, {"ETCD_NAME": "other"})["changed"]
    assert kept.read_text() == BEFORE
    # Other lines may be secret.
    assert planned["diff"]["before"] == {"ETCD_INITIAL_CLUSTER": "a=https://a:2380,b=https://b:2380", "ETCD_INITIAL_CLUSTER_STATE": None}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFileError, match="cannot be read"):
        _call(tmp_path / "none", JOINING)
