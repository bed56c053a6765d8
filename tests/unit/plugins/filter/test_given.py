# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people give: lists and dictionaries also as text, and paths from where they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.cluster.plugins.filter import given_dict as dictionaries
from ansible_collections.lifeboat.cluster.plugins.filter import given_list as lists
from ansible_collections.lifeboat.cluster.plugins.filter import given_path as paths
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.given import given_dict, given_list, given_path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a", "b,c"], ["a", "b,c"]),
        ("a", ["a"]),
        ("a, b", ["a", "b"]),
        ("ssh-ed25519 AAAA ops\nage1x\n", ["ssh-ed25519 AAAA ops", "age1x"]),
        ('["a", "b,c"]', ["a", "b,c"]),
        ("[a, 'b']", ["a", "b"]),
        ("[]", []),
        ("", []),
        (" , ", []),
        (None, []),
    ],
)
def test_lists(given: Any, expected: list[str]) -> None:
    """Nobody counts characters."""
    assert given_list(given) == expected


def test_what_is_no_list() -> None:
    with pytest.raises(AnsibleFilterError, match="given_list needs a list, or text"):
        given_list({"a": 1})


def test_dictionaries() -> None:
    location = {"type": "directory", "path": "/srv"}
    assert given_dict(location) == given_dict('{"type": "directory", "path": "/srv"}') == given_dict("type=directory path=/srv") == location
    assert given_dict("") == given_dict(None) == {}
    for wrong in ("s3cr3t", 7, ["a"]):
        with pytest.raises(AnsibleFilterError, match="given_dict needs a dictionary") as caught:
            given_dict(wrong)
        assert "s3cr3t" not in str(caught.value)


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the directory of the process, whatever PWD says of that of its parent."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", "/")
    monkeypatch.setenv("HOME", "/home/ops")
    assert given_path("age.key") == str(tmp_path / "age.key")
    assert given_path(["./a", "/b", "~/c", "$HOME/d"]) == [str(tmp_path / "a"), "/b", "/home/ops/c", "/home/ops/d"]
    assert (given_path(""), given_path(None), given_path([])) == ("", "", [])
    with pytest.raises(AnsibleFilterError, match="given_path needs a path"):
        given_path({"a": 1})


def test_the_filters_are_these_functions() -> None:
    found = {name: function for module in (dictionaries, lists, paths) for name, function in module.FilterModule().filters().items()}
    assert found == {"given_dict": given_dict, "given_list": given_list, "given_path": given_path}


@pytest.mark.parametrize("key", ["AGE-SECRET-KEY-1PLANTEDPLANTED", "age-secret-key-1plantedplanted", "-----BEGIN OPENSSH PRIVATE KEY-----\nPLANTED\n"])
@pytest.mark.parametrize("several", [True, False])
def test_a_private_key_is_no_name_of_a_file_and_is_not_repeated(key: str, several: bool) -> None:
    with pytest.raises(AnsibleFilterError, match="A private key is given where the name of a file is meant") as refused:
        given_path([key] if several else key)
    assert "PLANTED" not in str(refused.value).upper().replace("PRIVATE KEY", "")
