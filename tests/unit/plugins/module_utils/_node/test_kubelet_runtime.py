# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container runtime a machine has: by the kubelet that runs, by what it would be started with, by whose socket is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.kubelet_runtime import socket_path, told
from tests import environment

CRIO = {"unit": "crio.service", "endpoint": "unix:///run/crio/crio.sock"}


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    """Those of kubeadm, with the places of this test: containerd's socket is there."""
    (tmp_path / "containerd.sock").touch()
    return {
        "unit": "containerd.service",
        "endpoint": f"unix://{tmp_path}/containerd.sock",
        "others": [{"unit": "crio.service", "endpoint": f"unix://{tmp_path}/crio.sock"}],
        "kubelet_files": [str(tmp_path / "kubeadm-flags.env"), str(tmp_path / "config.yaml")],
    }


def crio(tmp_path: Path) -> dict[str, str]:
    """What is told of a machine with CRI-O."""
    return {"unit": "crio.service", "endpoint": f"unix://{tmp_path}/crio.sock"}


def test_the_flag_of_a_kubelet_that_runs_counts_most(tmp_path: Path, facts: dict[str, Any]) -> None:
    (tmp_path / "config.yaml").write_text(f"containerRuntimeEndpoint: {facts['endpoint']}\n")
    assert told({"container-runtime-endpoint": f"unix://{tmp_path}/crio.sock"}, {"runtime": facts}) == crio(tmp_path)


@pytest.mark.parametrize("quoted", ["unix://{}/crio.sock", '"unix://{}/crio.sock"', "{}/crio.sock"])
def test_the_configuration_that_it_was_started_with(tmp_path: Path, facts: dict[str, Any], quoted: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(f"kind: KubeletConfiguration\ncontainerRuntimeEndpoint: {quoted.format(tmp_path)}\n")
    assert told({"config": str(own)}, {"runtime": facts}) == crio(tmp_path)


@pytest.mark.parametrize(
    "form", ['{{"kind": "KubeletConfiguration", "containerRuntimeEndpoint": "unix://{}/crio.sock"}}', '{{\n  "containerRuntimeEndpoint": "{}/crio.sock"\n}}']
)
def test_a_configuration_in_json(tmp_path: Path, facts: dict[str, Any], form: str) -> None:
    (tmp_path / "config.yaml").write_text(form.format(tmp_path))
    assert told(None, {"runtime": facts}) == crio(tmp_path)


def test_the_last_drop_in_counts_more_than_the_configuration(tmp_path: Path, facts: dict[str, Any]) -> None:
    own, drop_ins = tmp_path / "own.yaml", tmp_path / "conf.d"
    drop_ins.mkdir()
    own.write_text(f"containerRuntimeEndpoint: {facts['endpoint']}\n")
    (drop_ins / "10-a.conf").write_text(f"containerRuntimeEndpoint: {facts['endpoint']}\n")
    (drop_ins / "20-b.conf").write_text(f"containerRuntimeEndpoint: unix://{tmp_path}/crio.sock\n")
    (drop_ins / "30-c.yaml").write_text("containerRuntimeEndpoint: unix:///nobody/reads.this\n")
    assert told({"config": str(own), "config-dir": str(drop_ins)}, {"runtime": facts}) == crio(tmp_path)


def test_a_line_in_a_comment_says_nothing(tmp_path: Path, facts: dict[str, Any]) -> None:
    line = 'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint={}"\n'
    (tmp_path / "kubeadm-flags.env").write_text("#" + line.format(facts["endpoint"]) + line.format(f"unix://{tmp_path}/crio.sock"))
    assert told(None, {"runtime": facts}) == crio(tmp_path)


def test_an_empty_setting_says_nothing(tmp_path: Path, facts: dict[str, Any]) -> None:
    (tmp_path / "config.yaml").write_text('containerRuntimeEndpoint: ""\nclusterDomain: x\n')
    assert told(None, {"runtime": facts}) == {}


def test_a_kubelet_that_is_off_would_read_its_files(tmp_path: Path, facts: dict[str, Any]) -> None:
    (tmp_path / "kubeadm-flags.env").write_text(f'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix://{tmp_path}/crio.sock --node-ip=10.0.0.1"\n')
    assert told(None, {"runtime": facts}) == crio(tmp_path)


def test_the_usual_one_is_no_news_however_it_is_written(tmp_path: Path, facts: dict[str, Any]) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert told({"container-runtime-endpoint": f"unix://{tmp_path}/link/containerd.sock"}, {"runtime": facts}) == {}


def test_an_empty_machine_has_the_runtime_whose_socket_is_there(tmp_path: Path, facts: dict[str, Any]) -> None:
    assert told(None, {"runtime": facts}) == {}
    (tmp_path / "containerd.sock").unlink()
    assert told(None, {"runtime": facts}) == {}
    (tmp_path / "crio.sock").touch()
    assert told(None, {"runtime": facts}) == crio(tmp_path)


def test_a_runtime_that_nobody_knows_has_no_unit(facts: dict[str, Any]) -> None:
    assert told({"container-runtime-endpoint": "/run/other/o.sock"}, {"runtime": facts}) == {"endpoint": "unix:///run/other/o.sock", "unit": ""}


def test_the_inventory_has_the_last_word(tmp_path: Path, facts: dict[str, Any]) -> None:
    said = {"container-runtime-endpoint": f"unix://{tmp_path}/crio.sock"}
    assert told(said, {"runtime": {**facts, "endpoint_given": True}}) == {}


@pytest.mark.parametrize("platform", [{}, {"runtime": {}}, {"runtime": {"endpoint": "unix:///var/run/dockershim.sock", "unit": "docker.service"}}])
def test_a_platform_with_one_runtime_asks_nobody(platform: dict[str, Any]) -> None:
    assert told({"container-runtime-endpoint": "unix:///run/x.sock"}, platform) == {}


def test_the_file_of_kubeadm_knows_cri_o() -> None:
    data = yaml.safe_load((environment.ROOT / "roles/platform/files/kubeadm.yml").read_text())
    assert told({"container-runtime-endpoint": "unix:///var/run/crio/crio.sock"}, data) == CRIO
    assert socket_path("unix:///var/run/crio/crio.sock") == "/run/crio/crio.sock"
