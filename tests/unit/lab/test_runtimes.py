# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The traits cri-o and containerd-2: which runtime machines have, what it is told, and where its images lie."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tomllib
import yaml

from tests.lab import containerd, crio, external_etcd, golden, kubeadm, layered, prerequisites
from tests.lab.cache import Cache
from tests.lab.disk import link_tree
from tests.lab.errors import LabError
from tests.lab.machines import BareMachine
from tests.lab.progress import Progress
from tests.lab.topology import CONTAINERD, CRI_O, Topology, make_topology
from tests.lab.traits import PLAIN, Traits

SECRETS = kubeadm.Secrets("abcdef.0123456789abcdef", "00" * 32, "a2V5")


def _topology(*traits: str, kind: str = "ha") -> Topology:
    return make_topology(kind, 4, Traits.parse(traits))


def test_kubeadm_is_told_the_runtime() -> None:
    for traits, runtime in (((), CONTAINERD), (("cri-o",), CRI_O), (("containerd-2",), CONTAINERD)):
        topology = _topology(*traits)
        init, *_others = yaml.safe_load_all(kubeadm.init_configuration(topology, SECRETS))
        join = yaml.safe_load(kubeadm.join_configuration(topology, topology.node("w1"), SECRETS, "00"))
        assert {one["nodeRegistration"]["criSocket"] for one in (init, join)} == {runtime.endpoint}
    member = _topology("cri-o", "external-etcd").node("e1")
    assert yaml.safe_load(external_etcd.kubelet_configuration(member, {}))["containerRuntimeEndpoint"] == CRI_O.endpoint


def test_a_machine_has_one_runtime() -> None:
    with pytest.raises(LabError, match="cri-o and containerd-2"):
        _topology("containerd-2", "cri-o")


def test_only_a_cluster_with_cri_o_depends_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: golden.golden_key(_topology(*([name] if name else []))) for name in ("", "cri-o", "containerd-2")}
    assert before[""] == before["containerd-2"]
    monkeypatch.setattr(golden, "crio_key", lambda: "another")
    assert golden.golden_key(_topology()) == before[""]
    assert golden.golden_key(_topology("cri-o")) != before["cri-o"]


def test_what_the_store_takes_is_asked_for_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites.shutil, "which", lambda program: None if program == "skopeo" else f"/usr/bin/{program}")
    assert prerequisites.missing_packages() == []
    assert prerequisites.missing_packages(crio.PROGRAMS) == ["skopeo"]


def test_configurations_can_be_read() -> None:
    found = {name: text for name, (text, _mode) in crio.files("registry.example/pause:1").items()}
    main = tomllib.loads(found["etc/crio/crio.conf.d/10-lab.conf"])
    assert main["crio"]["root"].startswith(f"{CRI_O.store}/")
    assert f"unix://{main['crio']['api']['listen']}" == CRI_O.endpoint.replace("/var/run/", "/run/")
    assert main["crio"]["image"]["pause_image"] == "registry.example/pause:1"
    assert main["crio"]["runtime"]["runtimes"]["runc"]["runtime_path"] == "/usr/lib/lifeboat-lab/runc"
    assert json.loads(found["etc/containers/policy.json"])["default"]
    assert tomllib.loads(found["etc/containers/registries.conf"])["unqualified-search-registries"] == ["docker.io"]
    assert tomllib.loads(containerd.CONFIGURATION)["imports"] == [f"/{Path(containerd.DROP_IN).parent}/*.toml"]
    assert tomllib.loads(containerd.LAB.replace("@PAUSE@", "p:1"))["plugins"]["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"] == "p:1"


@pytest.mark.parametrize(("score", "left"), [(-997, 0), (1000, 1000), (0, 0), (None, None)])
def test_no_score_is_lowered(tmp_path: Path, score: int | None, left: int | None) -> None:
    """What runc is called with does not change; of the bundle nothing but the score."""
    config: dict[str, dict[str, Any]] = {"process": {"args": ["x"], **({} if score is None else {"oomScoreAdj": score})}, "root": {"path": "rootfs"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "real").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "real").chmod(0o755)
    (tmp_path / "runc").write_text(crio.RUNC.replace("/usr/sbin/runc", str(tmp_path / "real")))
    words = ["--root=/run/runc", "create", "--bundle", str(tmp_path), "--pid-file", "/run/x y", "id"]
    done = subprocess.run(["sh", tmp_path / "runc", *words], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == words
    after = json.loads((tmp_path / "config.json").read_text())
    assert after["process"].pop("oomScoreAdj", None) == left
    config["process"].pop("oomScoreAdj", None)
    assert after == config
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "real", "runc"]


def test_the_store_of_cri_o_is_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = BareMachine(tmp_path / "bare", tmp_path / "debian", tmp_path / "binaries")
    monkeypatch.setattr(crio, "crio_key", lambda: "key")
    cache = Cache(tmp_path / "cache")
    entry = cache.path("crio", "key")
    (entry / "store").mkdir(parents=True)
    machine = crio.with_crio(plain, Traits.parse(["cri-o"]), cache, Progress(quiet=True))
    assert machine.containerd == entry / "store"
    assert machine.layers == (entry / "layer", *plain.layers)
    assert layered.read_machine(machine.to_record()) == machine
    assert layered.below(tmp_path / "python", machine).containerd == entry / "store"
    assert crio.with_crio(plain, PLAIN, cache, Progress(quiet=True)) == plain


@pytest.mark.parametrize("name", ["overlay/abc/diff/usr/bin/etcd", "snapshots/1/fs/bin/x", "io/blobs/sha256/ab"])
def test_content_is_shared_and_databases_are_copied(tmp_path: Path, name: str) -> None:
    for path in (name, "overlay-images/images.json"):
        (tmp_path / "store" / path).parent.mkdir(parents=True)
        (tmp_path / "store" / path).write_text("x")
    link_tree(tmp_path / "store", tmp_path / "copy")
    assert (tmp_path / "copy" / name).stat().st_ino == (tmp_path / "store" / name).stat().st_ino
    database = "overlay-images/images.json"
    assert (tmp_path / "copy" / database).stat().st_ino != (tmp_path / "store" / database).stat().st_ino
