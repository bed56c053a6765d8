# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pure parts of what the lab is built from."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from tests.lab import kubeadm
from tests.lab.binaries import staging_modules
from tests.lab.cgroups import version_one_hierarchies
from tests.lab.images import Image, write_archive
from tests.lab.osimage import mirror_of
from tests.lab.topology import make_topology

DEB822 = """\
Types: deb
# deb http://mirror.example/archive bookworm main
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
"""


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([DEB822], "http://mirror.example/debian"),
        (["deb http://mirror.example/debian bookworm main\n"], "http://mirror.example/debian"),
        (["deb [signed-by=/a b=c] https://mirror.example/debian/ bookworm main contrib\n"], "https://mirror.example/debian"),
        (["# deb http://mirror.example/debian bookworm main\n"], None),
        (["deb http://mirror.example/debian-security bookworm-security main\n"], None),
        (["deb http://mirror.example/ubuntu noble main\n", DEB822], "http://mirror.example/debian"),
        (["deb http://mirror.example/debian trixie main\n"], None),
        ([], None),
    ],
)
def test_the_mirror_of_the_machine(texts: list[str], found: str | None) -> None:
    assert mirror_of(texts) == found


def test_cgroup_hierarchies_as_the_kernel_has_them() -> None:
    proc = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t1\t1\ncpu\t1\t1\t1\ncpuacct\t1\t1\t1\nhugetlb\t0\t1\t1\nrdma\t0\t1\t0\n"
    own = "3:cpuset:/\n1:cpu,cpuacct:/\n9:name=systemd:/\n0::/\n"
    assert version_one_hierarchies(proc, own) == ["cpuset", "cpu,cpuacct", "hugetlb"]


def test_staging_modules_out_of_go_mod() -> None:
    text = "module k8s.io/kubernetes\nrequire (\n\tk8s.io/api v0.0.0\n)\nreplace (\n"
    text += "\tk8s.io/api => ./staging/src/k8s.io/api\n\tk8s.io/kubelet => ./staging/src/k8s.io/kubelet\n)\n"
    assert staging_modules(text) == ["k8s.io/api", "k8s.io/kubelet"]


def test_an_image_archive_is_what_it_says_and_always_the_same(tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(b"binary")
    image = Image("example.test/tool:1", ("tool",), "tool")
    archives = [tmp_path / "one.tar", tmp_path / "two.tar"]
    for archive in archives:
        write_archive(archive, [image], tmp_path)
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with tarfile.open(archives[0]) as opened:

        def content(name: str) -> bytes:
            handle = opened.extractfile(name)
            assert handle is not None
            return handle.read()

        (entry,) = json.loads(content("manifest.json"))
        configuration = content(entry["Config"])
        layer = content(entry["Layers"][0])
    assert entry["RepoTags"] == ["example.test/tool:1"]
    assert entry["Config"] == hashlib.sha256(configuration).hexdigest() + ".json"
    described = json.loads(configuration)
    assert described["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
    assert described["config"]["Entrypoint"] == ["/usr/local/bin/tool"]


def _documents(text: str) -> list[dict[str, object]]:
    return [json.loads(part) for part in text.split("\n---\n")]


def test_the_load_balancer_is_in_the_certificate() -> None:
    secrets = kubeadm.Secrets("abcdef.0123456789abcdef", "00" * 32, "a2V5")
    topology = make_topology("ha", 4)
    cluster = _documents(kubeadm.init_configuration(topology, secrets))[1]
    server = cluster["apiServer"]
    assert isinstance(server, dict)
    assert {"10.77.4.5", "10.77.4.11", "api.lab.internal", "cp3"} <= set(server["certSANs"])
    assert cluster["controlPlaneEndpoint"] == "api.lab.internal:6443"


def test_only_control_planes_join_with_a_certificate_key() -> None:
    secrets = kubeadm.Secrets("abcdef.0123456789abcdef", "00" * 32, "a2V5")
    topology = make_topology("ha", 0)
    for node in topology.nodes:
        (document,) = _documents(kubeadm.join_configuration(topology, node, secrets, "ab"))
        assert ("controlPlane" in document) is node.control_plane


def test_a_lone_node_takes_the_workload() -> None:
    secrets = kubeadm.Secrets("abcdef.0123456789abcdef", "00" * 32, "a2V5")
    for kind, tainted in (("single", False), ("ha", True)):
        registration = _documents(kubeadm.init_configuration(make_topology(kind, 0), secrets))[0]["nodeRegistration"]
        assert isinstance(registration, dict)
        assert ("taints" not in registration) is tainted
