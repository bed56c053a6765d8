# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grains and settings of Salt, read without a YAML library: what is understood is what PyYAML reads, and the rest is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt import grains
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.keys import fingerprint
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.minion import Question, look
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Systemd

VALUES: list[Any] = [
    {},
    {"roles": ["kube-master", "etcd"], "bootstrap_complete": True, "tx_update_reboot_needed": False},
    {"kubelet": {"should_uncordon": False, "labels": ["a", "b"]}, "roles": ["admin"]},
    {"deep": {"deeper": {"deepest": 3, "nothing": None}}, "after": "x"},
    {"empty": [], "none": {}, "text": "", "number": -12, "float": 1.5, "quoted": "it's: #1", "looks_like": "true", "digits": "0123", "date": "2026-11-20"},
    {"address": "10.0.0.1", "url": "https://admin:4505/x", "id": "0a3f5c7e9b1d4f60a2c4e6081a2b3c4d", "exponent": "12e34567", "words": "two words"},
    {"00000000000000000000000000000012": "numbers only", "yes": "no", "null": "~"},
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_what_salt_writes_is_read(value: Any) -> None:
    """Salt writes with PyYAML in block style."""
    text = yaml.safe_dump(value, default_flow_style=False)
    assert grains.parse(text, "grains") == value


@pytest.mark.parametrize(
    "text",
    [
        "roles:\n- admin\n",
        "---\n# a remark\nroles:\n  - admin   # the admin node\n\nbootstrap_complete: yes\n",
        "kubelet:\n    should_uncordon: On\nroles: []\n",
        "a: 'single ''quoted'''\nb: \"double\"\nc:\nd: ~\n",
    ],
)
def test_what_people_write_is_read_as_pyyaml_does(text: str) -> None:
    assert grains.parse(text, "grains") == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("roles: [admin, ca]\n", "line 1: a value that is no plain one"),
        ("a: 1\nb: |\n  text\n", "line 2: a value that is no plain one"),
        ("a: &anchor x\n", "line 1"),
        ("a: *alias\n", "line 1"),
        ("a: !!str 3\n", "line 1"),
        ("roles:\n- name: x\n", "line 2: a list of other things"),
        ("roles:\n- - x\n", "line 2"),
        ("roles:\n- x\n - y\n", "line 3"),
        ("a:\n  b: 1\n c: 2\n", "line 3: not a name with a value"),
        ("a:\n\tb: 1\n", "line 2: a tab"),
        ("a: 1\na: 2\n", "line 2: a is there twice"),
        ("- a\n", "line 1: not one mapping"),
        ("just text\n", "line 1"),
        ("a: two\n  lines\n", "line 2"),
        ("a: 010\n", "line 1"),
        ("a: 1:30\n", "line 1"),
        ("a: 2026-11-20\n", "line 1"),
        ("a: 1_000\n", "line 1"),
        ('a: "tab\\t"\n', "line 1"),
    ],
)
def test_what_is_beyond_that_is_refused_by_its_line(text: str, found: str) -> None:
    with pytest.raises(grains.NotUnderstood) as caught:
        grains.parse(text, "/etc/salt/grains")
    assert caught.value.found.startswith(found)
    assert "/etc/salt/grains is not understood" in str(caught.value)


def test_one_setting_among_others() -> None:
    """The rest of a configuration file may be anything."""
    text = "beacons:\n  load: [{averages: {1m: 0}}]\nmaster:\n- admin1\n- admin2\n# id: old\nid: abc\nmine: |\n  id: no\n"
    assert grains.setting(text, "master", "minion") == ["admin1", "admin2"]
    assert grains.setting(text, "id", "minion") == "abc"
    assert grains.setting(text, "mast", "minion") is None
    with pytest.raises(grains.NotUnderstood, match="line 1:"):
        grains.setting("id: {{ id }}\n", "id", "minion")


class Host:
    """The files of a minion."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "minion.d").mkdir()
        (directory / "pki").mkdir()
        (directory / "machine-id").write_text("0a3f\n")

    def look(self) -> dict[str, Any]:
        """What is seen of it."""
        names = [str(self.directory / name) for name in ("", "pki", "grains")]
        return look(Question(*names, ["update_in_progress", "other"], machine_id=str(self.directory / "machine-id")), Systemd("no-systemctl"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """One with nothing."""
    return Host(tmp_path)


def test_a_host_without_salt(host: Host) -> None:
    assert host.look() == {
        "id": None,
        "id_file": "",
        "master": [],
        "master_file": "",
        "grains": {},
        "roles": [],
        "busy": [],
        "fingerprint": "",
        "master_fingerprint": "",
        "machine_id": "0a3f",
        "running": False,
        "problems": [],
    }


def test_a_whole_minion(host: Host) -> None:
    """The files of minion.d come after the main one, in order of their names."""
    (host.directory / "minion").write_text("master: old\nid: 1\n")
    (host.directory / "minion.d" / "a.conf").write_text("master: admin\n")
    (host.directory / "minion.d" / "minion_id.conf").write_text("id: 0a3f\n")
    (host.directory / "minion_id").write_text("made-up\n")
    (host.directory / "grains").write_text("roles:\n- etcd\nupdate_in_progress: true\nother: false\n")
    key = "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n"
    (host.directory / "pki" / "minion_master.pub").write_text(key)
    seen = host.look()
    assert (seen["id"], seen["id_file"]) == ("0a3f", str(host.directory / "minion.d" / "minion_id.conf"))
    assert (seen["master"], seen["roles"], seen["busy"]) == (["admin"], ["etcd"], ["update_in_progress"])
    assert seen["master_fingerprint"] == fingerprint(key.encode())


def test_an_id_that_salt_made_up(host: Host) -> None:
    (host.directory / "minion_id").write_text("made-up\n")
    assert host.look()["id"] == "made-up"


def test_files_that_are_not_understood_are_told(host: Host) -> None:
    """And nothing is guessed from them: the grains are unknown, not empty."""
    (host.directory / "grains").write_text("roles: [etcd]\n")
    (host.directory / "minion").write_text("master: {{ x }}\n")
    (host.directory / "minion.d" / "a.conf").mkdir()
    seen = host.look()
    assert (seen["grains"], seen["master"], seen["id"]) == (None, [], None)
    assert sorted({Path(problem.split(":")[0]).name for problem in seen["problems"]}) == ["a.conf", "grains", "minion"]
