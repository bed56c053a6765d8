# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a machine from being backed up: each obstacle, seen in real files, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.lock import is_silent
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look import inspect
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.inspect import Question, look
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.obstacles import obstacles
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.record import utc
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Unit

NOW = 1_800_000_000.0
PARTS = ("probes", "record", "lock", "parked", "manifests", "etcd_directories", "etcd_log")
RECORD = {"point": "p1", "cluster_name": "shop", "restore_id": "r1-abc", "phase": "begun", "playbook": "recover_cluster", "updated_at": "2026-11-20T13:35:00Z"}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A quiet machine with all of its manifests."""
    for name, value in (("RECORD", "restore.json"), ("LOCK", "lock.json"), ("ASIDE", "aside"), ("STAGING", "staging-*")):
        monkeypatch.setattr(inspect, name, str(tmp_path / value))
    monkeypatch.setattr(inspect.Systemd, "show", lambda _self, names: {name: Unit(name) for name in names})
    for name in ("manifests", "parking", "etcd"):
        (tmp_path / name).mkdir()
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / "manifests" / f"{name}.yaml").write_text(f"    - {name}\n    - --data-dir={tmp_path}/etcd\n")
    return tmp_path


def platform(machine: Path) -> dict[str, Any]:
    pods = ("etcd", "kube-apiserver")
    return {
        "etcd": {"data_dir": str(machine / "etcd"), "service": "etcd"},
        "manifests_dir": str(machine / "manifests"),
        "manifests_parking": str(machine / "parking"),
        "runtime": {"crictl": "no-such-crictl", "endpoint": f"unix://{machine}/none.sock"},
        "services": {
            **{name: {"kind": "static_pod", "manifest": f"{name}.yaml", "container": name} for name in pods},
            "left-out": {"kind": "none"},
            "kubelet": {"kind": "unit", "unit": "kubelet.service"},
        },
    }


def seen(machine: Path, **facts: Any) -> dict[str, Any]:
    found: dict[str, Any] = look(Question({**platform(machine), **facts}))["obstacles"]
    assert set(found) == set(PARTS)
    assert all(one["found"] and one["remedy"] for one in found.values())
    return found


def the_only(found: dict[str, Any], name: str) -> dict[str, Any]:
    """The one obstacle that is in the way."""
    assert [part for part in PARTS if found[part]["in_the_way"]] == [name], found
    one: dict[str, Any] = found[name]
    return one


def test_a_quiet_machine_has_none(machine: Path) -> None:
    assert [part for part, one in seen(machine).items() if one["in_the_way"]] == []
    (machine / "restore.json").write_text(json.dumps({**RECORD, "phase": "finished"}))
    found = seen(machine)
    assert not found["record"]["in_the_way"], "it is history"
    assert "p1" in found["record"]["found"]


@pytest.mark.parametrize("phase", ["begun", "added", "started", None])
def test_an_unfinished_recovery(machine: Path, phase: str | None) -> None:
    (machine / "restore.json").write_text(json.dumps({**RECORD, "phase": phase}))
    one = the_only(seen(machine), "record")
    assert "point p1" in one["found"]
    assert "ansible-playbook lifeboat.cluster.recover_cluster -e recovery_point_id=p1 -e confirm_cluster_name=shop" in one["remedy"]
    assert "-e lifeboat_give_up=r1-abc" in one["remedy"]


@pytest.mark.parametrize(("name", "other"), [("record", "restore.json"), ("lock", "lock.json")])
def test_what_cannot_be_read_is_in_the_way(machine: Path, name: str, other: str) -> None:
    (machine / other).write_text('{"half": ')
    found = seen(machine)
    assert [part for part in PARTS if found[part]["in_the_way"]] == ["probes", name]
    assert "no JSON object" in found[name]["found"]
    assert name in found["probes"]["found"]


@pytest.mark.parametrize(
    ("lock", "stale"),
    [
        ({"heartbeat_at": utc(NOW - 10)}, False),
        ({"heartbeat_at": utc(NOW - 899)}, False),
        ({"heartbeat_at": utc(NOW - 901)}, True),
        # The lock itself says how long its run may be silent.
        ({"heartbeat_at": utc(NOW - 901), "silent_for_seconds": 3600}, False),
        ({"heartbeat_at": utc(NOW - 100), "silent_for_seconds": 60}, True),
        # Nobody knows: it is held.
        ({"heartbeat_at": "yesterday"}, False),
        ({}, False),
        ({"heartbeat_at": utc(NOW - 901), "silent_for_seconds": "long"}, True),
        ({"heartbeat_at": utc(NOW + 100)}, False),
    ],
)
def test_when_a_lock_is_stale(lock: dict[str, Any], stale: bool) -> None:
    assert is_silent(lock, NOW) is stale


def test_a_lock_of_another_run(machine: Path) -> None:
    lock = {"owner": {"run_id": "r7", "controller": "ops1", "user": "ops", "pid": 7}, "purpose": "recover_cluster", "taken_at": utc()}
    (machine / "lock.json").write_text(json.dumps({**lock, "heartbeat_at": utc()}))
    one = the_only(seen(machine), "lock")
    assert one["stale"] is False
    assert "run r7 of ops on controller ops1" in one["found"]
    assert "lifeboat_take_over_run=r7" in one["remedy"]
    (machine / "lock.json").write_text(json.dumps({**lock, "heartbeat_at": "2020-01-01T00:00:00Z"}))
    assert the_only(seen(machine), "lock")["stale"] is True
    (machine / "lock.json").write_text(json.dumps({"owner": "nobody"}))
    one = the_only(seen(machine), "lock")
    assert (one["stale"], "run unknown" in one["found"]) == (False, True)


def test_a_parked_manifest(machine: Path) -> None:
    (machine / "parking" / "etcd.yaml.superseded-1").touch()
    assert not seen(machine)["parked"]["in_the_way"]
    (machine / "parking" / "kube-vip.yaml").touch()
    assert the_only(seen(machine), "parked")["found"] == str(machine / "parking" / "kube-vip.yaml")


def test_a_manifest_that_is_missing(machine: Path) -> None:
    """Case 6: a manifests directory with the API server's alone was captured without a word."""
    (machine / "manifests" / "etcd.yaml").unlink()
    one = the_only(seen(machine), "manifests")
    assert one["found"] == f"missing: {machine}/manifests/etcd.yaml"
    assert "kind: none" in one["remedy"]


def test_manifests_that_cannot_be_looked_at(machine: Path) -> None:
    (machine / "manifests").rename(machine / "moved")
    (machine / "manifests").symlink_to(machine / "nowhere")
    found = seen(machine)
    for part in ("manifests", "parked"):
        assert "could not be looked at" in found[part]["found"]
        assert "which is not there" in found[part]["found"]


@pytest.mark.parametrize(
    ("flags", "words", "remedy"),
    [
        ("--data-dir=/data/etcd", "says data in /data/etcd; the platform says", "lifeboat_platform_overrides: {etcd: {data_dir: /data/etcd}}"),
    ],
)
def test_etcd_works_elsewhere(machine: Path, flags: str, words: str, remedy: str) -> None:
    """Case 11: node_info said it, and nobody compared it with the platform's data."""
    (machine / "manifests" / "etcd.yaml").write_text("    - etcd\n    - " + flags.replace("{root}", str(machine)) + "\n")
    facts = platform(machine)
    facts["etcd"]["data_dir_given"] = True
    one = the_only(seen(machine, **facts), "etcd_directories")
    assert words in one["found"]
    assert remedy.replace("{root}", str(machine)) in one["remedy"]


def test_a_manifest_that_says_another_directory_than_the_process(machine: Path) -> None:
    """The backup is fine, the restore would be refused with everything stopped."""
    node = look(Question(platform(machine)))
    would = "the manifest etcd.yaml says data directory /data, log directory not set"
    node["etcd"].update(in_use=True, flags_source="the process with pid 7", would_start=would)
    one = obstacles(node, platform(machine))["etcd_directories"]
    assert one["in_the_way"]
    assert "the manifest etcd.yaml says data directory /data" in one["found"]
    assert "let etcd start anew" in one["remedy"]


@pytest.mark.parametrize(
    ("flags", "remedy"),
    [("--wal-dir=/log/etcd", "take --wal-dir"), ("--data-dir={root}/etcd\n    - --wal-dir=/log/etcd", "{root}/etcd/member/wal")],
)
def test_etcd_has_a_log_of_its_own(machine: Path, flags: str, remedy: str) -> None:
    """Apart from where the data are: a snapshot can be taken all the same, and the way of a restore can be chosen."""
    (machine / "manifests" / "etcd.yaml").write_text("    - etcd\n    - " + flags.replace("{root}", str(machine)) + "\n")
    facts = platform(machine)
    one = the_only(seen(machine, **facts), "etcd_log")
    assert "log in /log/etcd" in one["found"]
    assert remedy.replace("{root}", str(machine)) in one["remedy"]
    assert "lifeboat_platform_overrides: {etcd: {wal_into_data_dir: true}}" in one["remedy"]
    facts["etcd"]["wal_into_data_dir"] = True
    one = seen(machine, **facts)["etcd_log"]
    assert not one["in_the_way"]
    assert "log in /log/etcd" in one["found"]


def test_where_the_inventory_is_silent_the_machine_says_where_etcd_works(machine: Path) -> None:
    """By its manifest, as the host has the path; where there is none, by the recovery point."""
    facts, elsewhere = platform(machine), machine / "srv" / "data"
    (elsewhere / "member" / "snap").mkdir(parents=True)
    (elsewhere / "member" / "snap" / "db").write_bytes(b"\0" * 4096)
    mounts = f"    volumeMounts:\n    - mountPath: /inside\n      name: data\n  volumes:\n  - hostPath:\n      path: {machine}/srv\n    name: data\n"
    manifest = machine / "manifests" / "etcd.yaml"
    manifest.write_text("spec:\n  containers:\n  - command:\n    - etcd\n    - --data-dir=/inside/data\n" + mounts)
    node = look(Question(facts))
    assert (node["etcd"]["data_dir"], node["etcd"]["state"]) == (str(elsewhere), "data")
    assert not node["obstacles"]["etcd_directories"]["in_the_way"]
    assert node["told"]["etcd"] == {"data_dir": str(elsewhere)}
    assert node["told_differently"] == [f"etcd.data_dir is {elsewhere}, not {machine}/etcd"]
    manifest.unlink()
    assert look(Question(facts, etcd_data_dir=str(elsewhere)))["etcd"]["state"] == "data"
    assert look(Question(facts))["etcd"]["data_dir"] == str(machine / "etcd")


def test_a_unit_that_is_gone_leaves_the_word_of_its_environment_file(machine: Path) -> None:
    """On a new system disk the unit may be away and the data be there: nobody looked where the file says."""
    elsewhere, file, facts = machine / "srv" / "data", machine / "etcd-settings", platform(machine)
    (elsewhere / "member" / "snap").mkdir(parents=True)
    (elsewhere / "member" / "snap" / "db").write_bytes(b"\0" * 4096)
    file.write_text(f"ETCD_DATA_DIR={elsewhere}\n")
    facts["etcd"]["environment_file"] = str(file)
    facts["services"]["etcd"] = {"kind": "unit", "unit": "lbt-no-such.service", "process": "lbt-no-such"}
    found = look(Question(facts))["etcd"]
    assert (found["data_dir"], found["state"], found["flags_source"]) == (str(elsewhere), "data", str(file))


def test_etcd_works_in_the_platforms_directory_under_another_name(machine: Path) -> None:
    (machine / "link").symlink_to("etcd")
    (machine / "manifests" / "etcd.yaml").write_text(f"    - --data-dir={machine}/etcd/\n    - --wal-dir={machine}/etcd/member/wal\n")
    facts = platform(machine)
    facts["etcd"]["data_dir"] = str(machine / "link")
    assert not seen(machine, **facts)["etcd_directories"]["in_the_way"]


def test_a_container_may_have_another_directory_at_the_same_path(machine: Path) -> None:
    node = look(Question(platform(machine)))
    node["etcd"]["in_use"] = False
    one = obstacles(node, platform(machine))["etcd_directories"]
    assert one["in_the_way"]
    assert "hostPath" in one["remedy"]
    node["etcd"].update(in_use=True, flags_data_dir="/elsewhere/in/the/container")
    assert not obstacles(node, platform(machine))["etcd_directories"]["in_the_way"], "it is the platform's directory all the same"
    node["etcd"], node["probe_errors"]["etcd"] = None, "OSError: Input/output error"
    found = obstacles(node, platform(machine))
    assert [part for part in PARTS if found[part]["in_the_way"]] == ["probes", "etcd_directories", "etcd_log"]
