# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the files that a restore would bring are there, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look import required as subject
from tests.unit.plugins.module_utils._node.failing import loop, nobody, open_to_all
from tests.unit.plugins.module_utils._pki.test_tls import DAY, NOW, Maker


@pytest.fixture
def pki(tmp_path: Path) -> Maker:
    (tmp_path / "pki").mkdir()
    return Maker(tmp_path / "pki")


def chain(pki: Maker, name: str, authority: str = "ca") -> dict[str, Any]:
    """A check as the platform's data have it; nobody is called like this server name."""
    files = {"certificate": f"{name}.crt", "key": f"{name}.key", "ca": f"{authority}.crt"}
    paths = {key: str(pki.directory / file) for key, file in files.items()}
    return {"id": name, "type": "chain", "purpose": "client", "server_name": "another.example.org", **paths}


def authority(pki: Maker, name: str) -> dict[str, Any]:
    return {"id": name, "type": "authority", "certificate": str(pki.directory / f"{name}.crt"), "key": str(pki.directory / f"{name}.key")}


def test_files_and_directories_that_hold_one_are_present(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("file", "full", "empty", "nested", "none")]
    (tmp_path / "file").touch()
    (tmp_path / "full" / "a").mkdir(parents=True)
    (tmp_path / "full" / "a" / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "nested" / "b").mkdir(parents=True)
    assert subject.look(paths, []) == {"expected": paths, "present": paths[:2], "missing": paths[2:], "faults": []}


def test_a_whole_machine_has_no_faults(pki: Maker) -> None:
    ca = pki.make("ca", authority=True)
    pki.make("client", ca, usage="client")
    checks = [authority(pki, "ca"), chain(pki, "client")]
    assert subject.look([str(pki.directory)], checks)["faults"] == []
    # An external authority keeps its key to itself.
    (pki.directory / "ca.key").unlink()
    assert subject.look([str(pki.directory)], checks)["faults"] == []


def test_what_does_not_load_or_fit_is_a_fault(pki: Maker) -> None:
    ca, other = pki.make("ca", authority=True), pki.make("other", authority=True)
    for name, issuer in (("swapped", ca), ("foreign", other), ("gone", ca), ("garbage", ca)):
        pki.make(name, issuer, usage="client")
    pki.make("expired", ca, usage="client", begin=NOW - 9 * DAY, end=NOW - DAY)
    (pki.directory / "swapped.key").write_bytes((pki.directory / "foreign.key").read_bytes())
    (pki.directory / "gone.crt").unlink()
    (pki.directory / "garbage.key").write_text("nothing")
    names = ("swapped", "foreign", "gone", "garbage")
    found = subject.look([str(pki.directory)], [chain(pki, name) for name in (*names, "expired")])["faults"]
    assert [text.partition(":")[0] for text in found] == list(names)
    for text, words in zip(found, ("does not belong", "is not signed by this CA", "is missing", "cannot be loaded")):
        assert words in text, text
    assert "nothing" not in " ".join(found)


def test_a_machine_without_any_of_the_files_has_no_faults(pki: Maker, tmp_path: Path) -> None:
    assert subject.look([str(pki.directory), str(tmp_path / "none")], [chain(pki, "client")])["faults"] == []


def test_what_cannot_be_judged_is_no_fault(pki: Maker) -> None:
    """A kubeconfig with a token, and a clock that is behind."""
    ca = pki.make("ca", authority=True)
    pki.make("early", ca, usage="client", begin=NOW + DAY)
    kubeconfig = pki.directory / "token.conf"
    kubeconfig.write_text("apiVersion: v1\nkind: Config\nusers:\n- name: x\n  user:\n    token: abc\n")
    checks = [chain(pki, "early"), {"id": "token", "type": "kubeconfig", "kubeconfig": str(kubeconfig)}]
    assert subject.look([str(pki.directory)], checks)["faults"] == []


def test_files_that_cannot_be_read_are_a_failed_look(pki: Maker, tmp_path: Path) -> None:
    ca = pki.make("ca", authority=True)
    pki.make("client", ca, usage="client")
    checks = [chain(pki, "client")]
    open_to_all(pki.directory)
    (pki.directory / "client.key").chmod(0)
    with nobody(), pytest.raises(PermissionError):
        subject.look([str(pki.directory)], checks)
    loop(tmp_path / "loop")
    with pytest.raises(OSError, match="symbolic links"):
        subject.look([str(tmp_path / "loop")], [])
