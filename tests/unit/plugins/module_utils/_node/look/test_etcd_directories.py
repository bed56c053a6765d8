# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directories etcd names: by its process, its manifest, its unit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look import etcd_directories as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.etcd_directories import Directories
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import Service, etcd_service
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Unit


@contextmanager
def daemon(directory: Path, *arguments: str, **variables: str) -> Iterator[int]:
    """A process with these arguments, in a directory."""
    script = directory / "lbt-etcd"
    script.write_text("#!/bin/sh\necho ready\nread line\n")
    script.chmod(0o755)
    options = {"cwd": directory, "env": {**os.environ, **variables}, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([str(script), *arguments], **options) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.kill()


def test_a_process_says_its_directories_as_etcd_reads_them(tmp_path: Path) -> None:
    """A file decides alone, else a flag, else the environment, else the name."""
    with daemon(tmp_path, "--data-dir=/data/etcd", "--wal-dir", "/log/etcd", ETCD_DATA_DIR="/elsewhere") as pid:
        assert subject.of_process(pid) == Directories("/data/etcd", "/log/etcd", f"the process with pid {pid}", f"/proc/{pid}/root")
    with daemon(tmp_path, "--name=m1", ETCD_DATA_DIR="/data/etcd", ETCD_WAL_DIR="/log") as pid:
        assert (subject.of_process(pid).data, subject.of_process(pid).wal) == ("/data/etcd", "/log")
    with daemon(tmp_path, "--name=m1") as pid:
        assert (subject.of_process(pid).data, subject.of_process(pid).wal) == (str(tmp_path / "m1.etcd"), None)
    (tmp_path / "etcd.yaml").write_text("name: m1\n# data-dir: /no\ndata-dir: '/from/file'\nwal-dir: /log/file # why\n")
    with daemon(tmp_path, "--config-file=etcd.yaml", "--data-dir=/data/etcd") as pid:
        assert (subject.of_process(pid).data, subject.of_process(pid).wal) == ("/from/file", "/log/file")
    with pytest.raises(OSError):
        subject.of_process(pid)


@pytest.mark.parametrize(
    ("text", "data", "wal"),
    [
        ("    - etcd\n    - --data-dir=/data/etcd\n    - --name=cp1\n", "/data/etcd", None),
        ("    - '--data-dir=/data/etcd'\n    - \"--wal-dir=/log\"\n", "/data/etcd", "/log"),
        ("    command: [etcd, --data-dir=/data/etcd, --wal-dir, /log]\n", "/data/etcd", "/log"),
        ('{"command": ["etcd", "--data-dir", "/data/etcd"]}', "/data/etcd", None),
        ("    - --data-dir\n    - /data/etcd\n", "/data/etcd", None),
        ("#   - --data-dir=/no\n  volumes:\n  - name: etcd-data-dir\n    hostPath: {path: /x}\n", None, None),
        ("    - --wal-dir\n    - --data-dir=/data\n", "/data", None),
    ],
)
def test_a_manifest_says_its_directories(tmp_path: Path, text: str, data: str | None, wal: str | None) -> None:
    (tmp_path / "etcd.yaml").write_text(text)
    assert subject.of_manifest([str(tmp_path / "etcd.yaml")], {}) == Directories(data, wal, f"the manifest {tmp_path}/etcd.yaml")
    assert subject.of_manifest([str(tmp_path / "none.yaml")], {}) == Directories()


@pytest.mark.parametrize(
    ("told", "data", "wal"),
    [
        ("      env: [{name: ETCD_DATA_DIR, value: /var/lib/etcd/a}, {name: ETCD_WAL_DIR, value: /wal}]\n", "/data/etcd/a", "/fast/wal"),
        ("      args: [--config-file=/etc/etcd/etcd.yaml, --data-dir=/not/this]\n", "/data/etcd/from-file", None),
        ("      args: ['--data-dir=$(NOWHERE)']\n", None, None),
        ("      args: ['--data-dir=/var/lib/etcd', '--data-dir=/var/lib/etcd/last']\n", "/data/etcd/last", None),
    ],
)
def test_a_manifest_says_it_by_variables_and_by_a_file(tmp_path: Path, told: str, data: str | None, wal: str | None) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/etcd.yaml").write_text("data-dir: /var/lib/etcd/from-file\n")
    (tmp_path / "pod.yaml").write_text(
        "metadata: {name: etcd}\nspec:\n  containers:\n    - name: etcd\n      command: [etcd]\n" + told + "      volumeMounts:\n"
        "        - {mountPath: /var/lib/etcd, name: d, subPath: etcd}\n        - {mountPath: /wal, name: w}\n        - {mountPath: /etc/etcd, name: c}\n"
        "  volumes:\n    - {name: d, hostPath: {path: /data}}\n    - {name: w, hostPath: {path: /fast/wal}}\n"
        f"    - {{name: c, hostPath: {{path: {tmp_path}/etc}}}}\n"
    )
    found = subject.of_manifest([str(tmp_path / "pod.yaml")], {})
    assert (found.data, found.wal) == (data, wal)


def test_the_first_manifest_counts_and_one_that_is_about_to_be_put_in_place_before_all(tmp_path: Path) -> None:
    for name in ("live", "parked", "staged"):
        (tmp_path / name).write_text(f"    - --data-dir=/{name}\n")
    live, parked = str(tmp_path / "live"), str(tmp_path / "parked")
    assert subject.of_manifest([parked, live], {}).data == "/parked"
    found = subject.of_manifest([parked, live], {live: str(tmp_path / "staged")})
    assert (found.data, found.said_by) == ("/staged", f"the manifest {live} ({tmp_path}/staged)")
    assert subject.of_manifest([str(tmp_path / "none"), live], {}).data == "/live"


def test_a_directory_that_is_no_absolute_path_was_named_all_the_same(tmp_path: Path) -> None:
    """It lies in the container alone, and is no directory that a restore puts data into; "not set" was the answer before a restore."""
    (tmp_path / "etcd.yaml").write_text("    - -data-dir=data\n    - --wal-dir=log\n")
    found = subject.of_manifest([str(tmp_path / "etcd.yaml")], {})
    assert (found.data, found.wal) == ("data", "log")
    assert not found.leads_to(found.data, str(tmp_path / "data"))


MANIFEST = """apiVersion: v1
kind: Pod
metadata:
  name: etcd
spec:
  containers:
  - command:
    - etcd
    - --data-dir=/var/lib/etcd
    volumeMounts:
    - mountPath: /var/lib/etcd
      name: etcd-data
    - mountPath: /etc/kubernetes/pki/etcd
      name: etcd-certs
  volumes:
  - hostPath:
      path: /etc/kubernetes/pki/etcd
      type: DirectoryOrCreate
    name: etcd-certs
  - hostPath:
      path: {host}
      type: DirectoryOrCreate
    name: etcd-data
"""


@pytest.mark.parametrize(("host", "place"), [("/var/lib/etcd", "/var/lib/etcd"), ("/data/etcd", "/data/etcd")])
def test_the_directory_is_the_one_on_the_host(tmp_path: Path, host: str, place: str) -> None:
    (tmp_path / "etcd.yaml").write_text(MANIFEST.format(host=host))
    assert subject.of_manifest([str(tmp_path / "etcd.yaml")], {}).data == place


COMMAND = "{ path=/usr/bin/etcd ; argv[]=/usr/bin/etcd --data-dir=%s --wal-dir=/log ; ignore_errors=no }"


def unit(command: str = "", load: str = "loaded") -> Unit:
    return Unit("etcd.service", load=load, command=command)


def test_a_unit_says_its_directories(tmp_path: Path) -> None:
    file = tmp_path / "etcd"
    file.write_text('ETCD_NAME="m1"\nETCD_DATA_DIR="/data/etcd"\nETCD_WAL_DIR=""\n')
    both = f"the unit etcd.service with {file}"
    assert subject.of_unit(unit(), str(file), {}) == Directories("/data/etcd", None, both)
    assert subject.of_unit(unit(COMMAND % "/by/flag"), str(file), {}) == Directories("/by/flag", "/log", both)
    assert subject.of_unit(unit(COMMAND % '\\"${ETCD_DATA_DIR}\\"'), str(file), {}).data == "/data/etcd"
    assert subject.of_unit(unit(), "", {}) == Directories(None, None, "the unit etcd.service")


def test_an_environment_file_and_a_command_say_something_without_each_other(tmp_path: Path) -> None:
    """A file that outlived the package was not read by a look; a command without a file not by a restore."""
    file = tmp_path / "etcd"
    assert subject.of_unit(unit("", "not-found"), str(file), {}) == Directories()
    assert subject.of_unit(unit(COMMAND % "/by/flag"), str(file), {}) == Directories("/by/flag", "/log", "the unit etcd.service")
    file.write_text("ETCD_DATA_DIR=/data/etcd\n")
    assert subject.of_unit(unit("", "not-found"), str(file), {}) == Directories("/data/etcd", None, str(file))


def test_a_unit_file_that_is_about_to_be_put_in_place_says_what_will_be_started(tmp_path: Path) -> None:
    lines = ("[Service]", "# ExecStart=/no --data-dir=/no", "ExecStartPre=/no --data-dir=/no", "ExecStart=/usr/bin/etcd \\", "  --data-dir=${ETCD_DATA_DIR}")
    for name, text in (("unit", "\n".join(lines)), ("settings", "ETCD_DATA_DIR=/data/etcd"), ("wanted", "ExecStart=/usr/bin/etcd --data-dir=/no")):
        (tmp_path / name).write_text(text + "\n")
    system, file = "/etc/systemd/system", str(tmp_path / "etcd")
    staged = {f"{system}/etcd.service": str(tmp_path / "unit"), file: str(tmp_path / "settings")}
    # A link that wants the unit is no unit file.
    staged[f"{system}/a.target.wants/etcd.service"] = str(tmp_path / "wanted")
    for now in (unit(COMMAND % "/now"), unit("", "not-found")):
        assert subject.of_unit(now, file, staged) == Directories("/data/etcd", None, f"the unit etcd.service with {file} ({tmp_path}/settings)")


def test_the_directory_in_use_is_told_by_what_it_is_not_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("data")
    for root in ("/proc/self/root", ""):
        named = Directories(root=root)
        assert named.leads_to(str(tmp_path / "link"), str(tmp_path / "data")) is True
        assert named.leads_to(str(tmp_path / "other"), str(tmp_path / "data")) is False
        assert named.leads_to(str(tmp_path / "none"), str(tmp_path / "data")) is None
        assert named.leads_to(None, str(tmp_path / "data")) is None
    assert Directories().leads_to(str(tmp_path / "none"), str(tmp_path / "none")) is True
    assert Directories(root="/proc/self/root").leads_to(str(tmp_path / "none"), str(tmp_path / "none")) is None, "it cannot be seen"


def test_the_member_of_etcd_is_found_by_its_name_or_by_what_it_is_ready_for() -> None:
    """A look went by the name alone, stopping and starting by the readiness alone."""
    plain, ready, other = Service("etcd", "unit"), Service("store", "unit", ready="etcd_quorum"), Service("kubelet", "unit")
    for facts, services, found in (
        ({}, [other, plain], plain),
        ({}, [other, ready], ready),
        ({"service": "store"}, [plain, ready], ready),
        ({"service": "none"}, [other], None),
    ):
        assert etcd_service(facts, {service.name: service for service in services}) is found
