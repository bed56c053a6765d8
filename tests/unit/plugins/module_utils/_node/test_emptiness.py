# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a machine empty: its files, its data and what runs, and nothing that only looks like it."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look import inspect as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.inspect import Question, look
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import Container, ContainerRuntime
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.probing import DECIDING
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import processes
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Unit
from tests.unit.plugins.module_utils._node.failing import loop, nobody, open_to_all

KUBELET = f"lbt-k-{os.getpid()}"[:14]
REQUIRED = ("pki", "kubelet.conf", "manifests")


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> dict[str, Unit]:
    """The units that systemd knows; this machine need not be booted with it."""
    known: dict[str, Unit] = {}
    monkeypatch.setattr(subject.Systemd, "show", lambda _self, names: {name: known.get(name, Unit(name)) for name in names})
    return known


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units: dict[str, Unit]) -> Path:
    """A machine with what an empty one may have."""
    for name, value in (("RECORD", "restore.json"), ("LOCK", "lock.json"), ("ASIDE", "aside"), ("STAGING", "staging-*")):
        monkeypatch.setattr(subject, name, str(tmp_path / value))
    units["kubelet.service"] = Unit("kubelet.service", "loaded", "inactive", "dead")
    for name in ("manifests", "pki/etcd", "etcd/member/snap", "aside/t1/etc/kubernetes", "etcd/member.t1/snap"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "aside/t1/etc/kubernetes/kubelet.conf").touch()
    (tmp_path / "etcd/member.t1/snap/db").touch()
    (tmp_path / "restore.json").write_text('{"point": "p1", "phase": "begun"}')
    return tmp_path


def question(machine: Path) -> Question:
    platform = {
        "etcd": {"data_dir": str(machine / "etcd")},
        "manifests_dir": str(machine / "manifests"),
        "manifests_parking": str(machine / "parking"),
        "runtime": {"crictl": "no-such-crictl", "endpoint": f"unix://{machine}/none.sock"},
        "services": {
            "kubelet": {"kind": "unit", "unit": "kubelet.service", "process": KUBELET},
            "etcd": {"kind": "static_pod", "manifest": "etcd.yaml", "container": "etcd", "process": KUBELET + "e"},
        },
    }
    return Question(platform, required_files=[str(machine / name) for name in REQUIRED])


@contextmanager
def named(machine: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `sleep` with the name of a service, as any user can make one."""
    program = machine / name
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([program, "600"]) as process:
        try:
            end = time.monotonic() + 20
            # The kernel gives it its name a moment after it has begun.
            while [found.pid for found in processes([name])[name]] != [process.pid]:
                assert time.monotonic() < end
            yield process
        finally:
            process.kill()


def seen(machine: Path) -> dict[str, Any]:
    node = look(question(machine))
    assert node["probe_errors"] == {}
    return node


def test_leftovers_and_empty_directories_make_no_machine_used(machine: Path) -> None:
    node = seen(machine)
    assert (node["bare"], node["bare_evidence"]) == (True, [])
    assert node["required_files"]["missing"] == [str(machine / name) for name in REQUIRED]


@pytest.mark.parametrize("name", ["pki/etcd/ca.crt", "kubelet.conf", "manifests/etcd.yaml"])
def test_one_file_that_a_restore_would_bring_is_enough(machine: Path, name: str) -> None:
    """Case 9: kubelet.conf or ca.crt being gone says nothing of the rest, and their being there neither."""
    (machine / name).touch()
    node = seen(machine)
    assert node["bare"] is False
    assert node["required_files"]["present"] == node["bare_evidence"] == [str(machine / name.partition("/")[0])]
    assert len(node["required_files"]["missing"]) == 2


def test_data_that_survived_make_a_machine_used_whose_files_are_missing(machine: Path) -> None:
    """Case 9 C: the system disk is new, etcd's disk is not. Both have to be seen."""
    (machine / "etcd/member/snap/db").touch()
    node = seen(machine)
    assert (node["bare"], node["bare_evidence"]) == (False, [f"etcd data in {machine}/etcd"])
    assert node["etcd"]["state"] == "data"
    assert node["required_files"]["present"] == []


def test_a_process_that_merely_has_the_name_is_no_evidence(machine: Path, units: dict[str, Unit]) -> None:
    """Case 9 D: a `sleep` named kubelet, on a machine whose kubelet waits for its next start."""
    units["kubelet.service"] = Unit("kubelet.service", "loaded", "activating", "auto-restart", restarts=77, control_group="/system.slice/kubelet.service")
    with named(machine, KUBELET) as process, named(machine, KUBELET + "e"):
        node = seen(machine)
    assert node["processes"][KUBELET] == [process.pid]
    assert (node["bare"], node["bare_evidence"]) == (True, [])


def test_the_main_process_of_the_unit_is_evidence(machine: Path, units: dict[str, Unit], monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubelet and its containers run on, though somebody removed all of its files."""
    monkeypatch.setattr(subject, "SETTLED_SECONDS", 0.5)
    with named(machine, KUBELET) as process:
        units["kubelet.service"] = Unit("kubelet.service", "loaded", "active", "running", main_pid=process.pid)
        node = seen(machine)
        assert node["bare_evidence"] == [f"process {KUBELET} pid {process.pid}"]
    assert node["bare"] is False


def test_a_kubelet_that_ends_at_once_is_no_evidence(machine: Path, units: dict[str, Unit]) -> None:
    """Case 9 D: for a tenth of a second systemd itself calls it active and running."""
    with named(machine, KUBELET) as process:
        units["kubelet.service"] = Unit("kubelet.service", "loaded", "active", "running", main_pid=process.pid, restarts=77)
        subject_found = subject.Look(question(machine))
        ending = threading.Timer(0.3, process.kill)
        ending.start()
        begin = time.monotonic()
        assert subject_found.bare_evidence() == []
        assert time.monotonic() - begin < subject.SETTLED_SECONDS
        ending.join()


@pytest.mark.parametrize(("known", "bare"), [("the runtime's", False), ("another's", True), ("cannot be asked", False), ("no runtime", False)])
def test_a_process_in_a_container_of_the_runtime_is_evidence(machine: Path, monkeypatch: pytest.MonkeyPatch, known: str, bare: bool) -> None:
    """Containers outlive the runtime: where it cannot be asked, any container counts."""
    ours, others = "a" * 64, "b" * 64
    containers = [Container(ours if known == "the runtime's" else others, "etcd", "running", 0, "", "", "", "", 0.0)]

    def ask(_self: ContainerRuntime) -> list[Container]:
        if known == "cannot be asked":
            raise ValueError("no JSON")
        return containers

    monkeypatch.setattr(subject, "SETTLED_SECONDS", 0.2)
    monkeypatch.setattr(ContainerRuntime, "absent", lambda _self: "none" if known == "no runtime" else "")
    monkeypatch.setattr(ContainerRuntime, "containers", ask)
    monkeypatch.setattr(ContainerRuntime, "images", lambda _self: [])
    with named(machine, KUBELET + "e"):
        look_ = subject.Look(question(machine))
        (process,) = look_._found[KUBELET + "e"]
        object.__setattr__(process, "container_id", ours)
        assert (look_.bare_evidence() == []) is bare


@pytest.mark.parametrize("probe", ["etcd", "record", "lock", "required_files"])
def test_a_deciding_probe_that_failed_leaves_it_unknown(machine: Path, probe: str) -> None:
    """Case 3: each of these was "nothing there" before."""
    paths = {"etcd": "etcd", "record": "restore.json", "lock": "lock.json", "required_files": "kubelet.conf"}
    path = machine / paths[probe]
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    loop(path)
    node = look(question(machine))
    assert probe in node["probe_errors"]
    assert probe in DECIDING
    assert node["bare"] is None
    assert node["obstacles"]["probes"]["in_the_way"]
    assert probe in node["obstacles"]["probes"]["found"]


def test_a_machine_that_lets_nobody_look_is_not_empty(machine: Path) -> None:
    (machine / "pki/ca.crt").touch()
    (machine / "etcd/member/snap/db").touch()
    open_to_all(machine)
    for name in ("pki", "etcd"):
        (machine / name).chmod(0)
    with nobody():
        node = look(question(machine))
    assert {"etcd", "required_files", "bare_evidence"} <= set(node["probe_errors"])
    assert node["bare"] is None


def test_without_the_list_of_files_nobody_knows(machine: Path) -> None:
    node = look(Question(question(machine).platform))
    assert (node["bare"], node["bare_evidence"], node["required_files"], node["probe_errors"]) == (None, None, None, {})
