# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which encryption configuration an API server names: real processes, in mounts of their own too, and the files that would start one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import in_use as subject

# A name that no process of this machine has; the kernel cuts it to 15 bytes.
PROGRAM = "lb-apiserver"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program of that name which waits, whatever its arguments are."""
    path = tmp_path / PROGRAM
    shutil.copy("/bin/bash", path)
    return path


@contextmanager
def running(program: Path, *arguments: str, before: str = "", cwd: Path | None = None) -> Iterator[None]:
    """It runs, after ``before`` was done in a mount namespace of its own."""
    script = f"{before}\nexec {program} -c 'read -r; exit' {PROGRAM} \"$@\""
    command = (["unshare", "--mount"] if before else []) + ["bash", "-c", script, "wrapper", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=cwd)
    try:
        deadline = time.monotonic() + 30
        while not subject.processes([PROGRAM])[PROGRAM]:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def test_the_file_that_a_running_one_names(program: Path, tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text("x")
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    with running(program, f"--encryption-provider-config={link}", "--other=1"):
        found = subject.look(PROGRAM, [])
    assert (found.known, found.source, found.option, found.file, found.real_file, found.exists) == (True, "process", str(link), str(link), str(file), True)


def test_two_words_and_a_relative_path(program: Path, tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text("x")
    with running(program, "--encryption-provider-config", "e.yaml", cwd=tmp_path):
        assert subject.look(PROGRAM, []).file == str(tmp_path / "e.yaml")


def test_a_running_one_without_the_option(program: Path, tmp_path: Path) -> None:
    (tmp_path / "kube.yaml").write_text(f"command: [{PROGRAM}, --encryption-provider-config=/old.yaml]\n")
    with running(program, "--etcd-servers=x"):
        found = subject.look(PROGRAM, [str(tmp_path)])
    assert (found.known, found.source, found.file) == (True, "process", "")


def test_a_file_that_the_process_sees_by_another_path(program: Path, tmp_path: Path) -> None:
    """A container's mount: what it calls inside/e.yaml lies elsewhere on the machine."""
    host, inside = tmp_path / "host", tmp_path / "inside"
    host.mkdir()
    inside.mkdir()
    (host / "e.yaml").write_text("x")
    with running(program, f"--encryption-provider-config={inside}/e.yaml", before=f"mount --bind {host} {inside}"):
        found = subject.look(PROGRAM, [])
    assert (found.option, found.exists) == (f"{inside}/e.yaml", True)
    assert os.path.samefile(found.file, host / "e.yaml")
    assert not (inside / "e.yaml").exists()


def test_a_file_that_is_gone(program: Path, tmp_path: Path) -> None:
    with running(program, f"--encryption-provider-config={tmp_path}/gone.yaml"):
        found = subject.look(PROGRAM, [])
    assert (found.known, found.file, found.exists) == (True, f"{tmp_path}/gone.yaml", False)


def test_the_pod_that_starts_the_api_server_says_it_and_its_mounts_where_the_file_is(tmp_path: Path) -> None:
    """One before it in the alphabet only speaks of it."""
    about = f"  annotations: {{about: in front of {PROGRAM}}}\n"
    (tmp_path / "haproxy.yaml").write_text(f"metadata:\n  name: lb\n{about}spec:\n  containers:\n  - command: [haproxy]\n")
    (tmp_path / "enc").mkdir()
    (tmp_path / "enc/e.yaml").touch()
    (tmp_path / "kube.yaml").write_text(
        f"metadata: {{name: api}}\nspec:\n  containers:\n  - command: [{PROGRAM}, --encryption-provider-config=/in-pod/e.yaml]\n"
        f"    volumeMounts: [{{mountPath: /in-pod, name: e}}]\n  volumes: [{{name: e, hostPath: {{path: {tmp_path}/enc}}}}]\n"
    )
    found = subject.look(PROGRAM, [str(tmp_path)])
    assert (found.option, found.file, found.exists, found.manifest) == ("/in-pod/e.yaml", f"{tmp_path}/enc/e.yaml", True, f"{tmp_path}/kube.yaml")


@pytest.mark.parametrize(
    "text",
    [
        f"    - {PROGRAM}\n    - --encryption-provider-config=/etc/e.yaml\n",
        f"    - {PROGRAM}\n    # - --encryption-provider-config=/etc/old.yaml\n    - '--encryption-provider-config=/etc/e.yaml'\n",
        f'{{"command": ["{PROGRAM}", "--encryption-provider-config=/etc/e.yaml"]}}',
        f'{{"command": ["{PROGRAM}", "--encryption-provider-config", "/etc/e.yaml"]}}',
        f"command: [{PROGRAM}, --encryption-provider-config=/etc/e.yaml]",
    ],
)
def test_what_would_start_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "a-scheduler.yaml").write_text("command: [other]\n")
    (tmp_path / "kube.yaml").write_text(text)
    found = subject.look(PROGRAM, [str(tmp_path / "gone"), str(tmp_path)])
    assert (found.known, found.source, found.file, found.manifest) == (True, "manifest", "/etc/e.yaml", str(tmp_path / "kube.yaml"))


def test_a_file_with_arguments_and_nothing_at_all(tmp_path: Path) -> None:
    file = tmp_path / "apiserver"
    file.write_text('KUBE_API_ARGS="--secure-port=6444 --encryption-provider-config=/etc/e.yaml --v=2"\n')
    assert subject.look(PROGRAM, [str(file)]).file == "/etc/e.yaml"
    file.write_text('KUBE_API_ARGS="--secure-port=6444"\n')
    assert (subject.look(PROGRAM, [str(file)]).known, subject.look(PROGRAM, [str(file)]).file) == (True, "")
    assert (subject.look(PROGRAM, []).known, subject.look(PROGRAM, [str(tmp_path / "gone")]).known) == (False, False)
