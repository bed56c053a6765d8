# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers and images as crictl tells them, with recorded answers of crictl 1.34 on containerd 1.6."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._system import containers as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import ContainerRuntime, ContainerRuntimeError

PS = {
    "containers": [
        {
            "id": "6b4dfef92d28a061bde28111a5c9cd2d9d35d6a4ddd167acbac9fb6924c9fb37",
            "podSandboxId": "0f1f",
            "metadata": {"name": "etcd", "attempt": 2},
            "image": {"image": "sha256:43b1", "annotations": {}, "userSpecifiedImage": "registry.k8s.io/etcd:3.6.16-0", "runtimeHandler": ""},
            "imageRef": "sha256:43b1",
            "state": "CONTAINER_RUNNING",
            "createdAt": "1795183918078618300",
            "labels": {
                "io.kubernetes.container.name": "etcd",
                "io.kubernetes.pod.name": "etcd-cp1",
                "io.kubernetes.pod.namespace": "kube-system",
                "io.kubernetes.pod.uid": "1234",
            },
            "annotations": {"io.kubernetes.container.restartCount": "2"},
        },
        {"id": "dead", "metadata": {"name": "web"}, "state": "CONTAINER_EXITED", "labels": None, "image": None},
    ]
}
IMAGES = {"images": [{"id": "sha256:1", "repoTags": ["registry.k8s.io/pause:3.10.1"], "repoDigests": ["registry.k8s.io/pause@sha256:ee65"]}, {"repoTags": []}]}


def runtime(tmp_path: Path, script: str, timeout_seconds: float = 10) -> ContainerRuntime:
    program = tmp_path / "crictl"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    (tmp_path / "sock").touch()
    return ContainerRuntime(str(program), f"unix://{tmp_path}/sock", timeout_seconds)


def test_containers_are_read(tmp_path: Path) -> None:
    (tmp_path / "ps.json").write_text(json.dumps(PS))
    etcd, web = runtime(tmp_path, f'echo "$*" > {tmp_path}/call; cat {tmp_path}/ps.json').containers()
    assert (etcd.name, etcd.state, etcd.attempt, etcd.pod, etcd.namespace) == ("etcd", "running", 2, "etcd-cp1", "kube-system")
    assert etcd.image == "registry.k8s.io/etcd:3.6.16-0"
    assert etcd.created_at == pytest.approx(1795183918.0786183)
    assert str(etcd) == "container etcd id 6b4dfef92d28a (running, attempt 2, pod etcd-cp1)"
    assert (web.name, web.state, web.attempt, web.image) == ("web", "exited", 0, "")
    assert subject.split_by_life([etcd, web]) == ([etcd], [web])
    assert f"--runtime-endpoint unix://{tmp_path}/sock" in (tmp_path / "call").read_text()


def test_images_are_read() -> None:
    assert subject.parse_images(IMAGES) == ["registry.k8s.io/pause:3.10.1", "registry.k8s.io/pause@sha256:ee65"]
    assert subject.parse_images({}) == []


def test_a_host_without_runtime_has_no_containers(tmp_path: Path) -> None:
    bare = ContainerRuntime("crictl", f"unix://{tmp_path}/none")
    assert bare.absent() == f"no runtime socket unix://{tmp_path}/none"
    assert bare.containers() == []
    assert bare.images() == []
    assert ContainerRuntime("no-such-crictl").absent() == "no no-such-crictl"


def test_a_runtime_without_crictl_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sock").touch()
    with pytest.raises(ContainerRuntimeError, match="Install cri-tools"):
        ContainerRuntime("no-such-crictl", f"unix://{tmp_path}/sock").containers()


def test_a_refusal_tells_the_runtimes_words(tmp_path: Path) -> None:
    with pytest.raises(ContainerRuntimeError, match="connection refused"):
        runtime(tmp_path, "echo 'rpc error: connection refused' >&2; exit 1").containers()


def test_a_runtime_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = runtime(tmp_path, "exec sleep 60", 0.1)
    original = subject.programs.run
    monkeypatch.setattr(subject.programs, "run", lambda command, timeout_seconds: original(command, timeout_seconds=min(timeout_seconds, 0.3)))
    with pytest.raises(ContainerRuntimeError, match="did not answer"):
        hanging.containers()


def test_a_container_and_its_sandbox_are_stopped(tmp_path: Path) -> None:
    stopping = runtime(tmp_path, f'echo "$*" | sed "s/.*--timeout [0-9]*s //" >> {tmp_path}/calls')
    (etcd, _web) = subject.parse_containers(PS)
    stopping.stop(etcd, 5)
    stopping.stop_sandbox(etcd)
    assert (tmp_path / "calls").read_text().splitlines() == [f"stop --timeout 5 {etcd.id}", "stopp 0f1f"]


def test_platform_facts_name_the_runtime() -> None:
    found = ContainerRuntime.of_platform({"runtime": {"crictl": "/opt/bin/crictl", "endpoint": "unix:///run/crio/crio.sock"}})
    assert (found.crictl, found.endpoint) == ("/opt/bin/crictl", "unix:///run/crio/crio.sock")
    assert ContainerRuntime.of_platform({}).crictl == "crictl"


def test_programs_are_found_where_sudo_does_not_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert subject.find_program("sh").endswith("/sh")
    assert subject.find_program("no-such-program") == ""
    assert subject.find_program(str(tmp_path / "none")) == ""
