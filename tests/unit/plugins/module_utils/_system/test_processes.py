# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes and ports out of /proc: a made-up tree, then the real one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._system import processes as subject

CONTAINER = "6b4dfef92d28a061bde28111a5c9cd2d9d35d6a4ddd167acbac9fb6924c9fb37"
OURS, THEIRS = "net:[4026531840]", "net:[4026532001]"


class Tree:
    """A /proc in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "self" / "ns").mkdir(parents=True)
        (root / "self" / "ns" / "net").symlink_to(OURS)
        (root / "net").mkdir()

    def add(self, pid: int, comm: str, *, exe: str = "", arguments: tuple[str, ...] = (), state: str = "S", network: str = OURS, cgroup: str = "") -> None:
        """One process."""
        entry = self.root / str(pid)
        (entry / "ns").mkdir(parents=True)
        (entry / "fd").mkdir()
        (entry / "comm").write_text(comm + "\n")
        (entry / "stat").write_text(f"{pid} ({comm}) {state} 1 1 0 0 -1")
        (entry / "cmdline").write_bytes(b"".join(part.encode() + b"\0" for part in arguments))
        (entry / "cgroup").write_text(cgroup)
        if exe:
            (entry / "exe").symlink_to(exe)
        if network:
            (entry / "ns" / "net").symlink_to(network)

    def listen(self, table: str, lines: list[str]) -> None:
        """The table of sockets."""
        (self.root / "net" / table).write_text("  sl  local_address rem_address   st ...\n" + "".join(line + "\n" for line in lines))

    def found(self, *names: str) -> dict[str, list[int]]:
        """Process ids by name."""
        return {name: [process.pid for process in items] for name, items in subject.processes(names, str(self.root)).items()}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "proc")


def test_a_process_has_the_name_of_its_program(tree: Tree) -> None:
    tree.add(10, "etcd", exe="/usr/local/bin/etcd", arguments=("etcd", "--name=cp1"))
    tree.add(11, "etcdctl", exe="/usr/bin/etcdctl", arguments=("etcdctl",))
    tree.add(12, "sh", exe="/bin/dash", arguments=("sh", "-c", "grep etcd"))
    assert tree.found("etcd", "kubelet") == {"etcd": [10], "kubelet": []}


def test_long_names_are_compared_whole(tree: Tree) -> None:
    tree.add(10, "kube-controller", exe="/usr/bin/kube-controller-manager", arguments=("kube-controller-manager",))
    tree.add(11, "kube-controller", exe="/usr/bin/kube-controller-other", arguments=("kube-controller-other",))
    assert tree.found("kube-controller-manager") == {"kube-controller-manager": [10]}


def test_a_deleted_program_and_a_script_count(tree: Tree) -> None:
    tree.add(10, "etcd", exe="/usr/bin/etcd (deleted)", arguments=("/usr/bin/etcd",))
    tree.add(11, "kubelet", exe="/bin/dash", arguments=("/bin/sh", "/usr/bin/kubelet"))
    assert tree.found("etcd", "kubelet") == {"etcd": [10], "kubelet": [11]}


def test_a_name_of_two_words_wants_the_argument_too(tree: Tree) -> None:
    tree.add(10, "hyperkube", exe="/usr/bin/hyperkube", arguments=("/usr/bin/hyperkube", "apiserver", "--v=2"))
    tree.add(11, "hyperkube", exe="/usr/bin/hyperkube", arguments=("/usr/bin/hyperkube", "scheduler"))
    assert tree.found("hyperkube apiserver", "hyperkube scheduler", "hyperkube kubelet") == {
        "hyperkube apiserver": [10],
        "hyperkube scheduler": [11],
        "hyperkube kubelet": [],
    }


def test_zombies_and_processes_of_another_network_do_not_count(tree: Tree) -> None:
    tree.add(10, "etcd", exe="/bin/etcd", arguments=("etcd",), state="Z")
    tree.add(11, "etcd", exe="/bin/etcd", arguments=("etcd",), network=THEIRS)
    tree.add(12, "etcd", exe="/bin/etcd", arguments=("etcd",))
    tree.add(13, "etcd", exe="/bin/etcd", arguments=("etcd",), network="")
    assert tree.found("etcd") == {"etcd": [12, 13]}
    everywhere = subject.processes(["etcd"], str(tree.root), own_network=False)
    assert [process.pid for process in everywhere["etcd"]] == [11, 12, 13]


def test_a_process_that_vanishes_is_passed_over(tree: Tree) -> None:
    (tree.root / "10").mkdir()
    tree.add(11, "etcd", exe="/bin/etcd", arguments=("etcd",))
    (tree.root / "11" / "stat").unlink()
    assert tree.found("etcd") == {"etcd": []}


@pytest.mark.parametrize(
    "cgroup",
    [
        f"12:memory:/kubepods/burstable/pod1234/{CONTAINER}\n0::/\n",
        f"0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-{CONTAINER}.scope\n",
        f"5:cpu:/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:{CONTAINER}\n",
    ],
)
def test_the_container_is_told_by_the_control_group(tree: Tree, cgroup: str) -> None:
    tree.add(10, "etcd", exe="/bin/etcd", arguments=("etcd",), cgroup=cgroup)
    (process,) = subject.processes(["etcd"], str(tree.root))["etcd"]
    assert process.container_id == CONTAINER
    assert str(process) == "process etcd pid 10 in container 6b4dfef92d28a"
    assert process.as_dict()["executable"] == "/bin/etcd"


@pytest.mark.parametrize(
    ("cgroup", "main_pid", "of_unit", "in_pod"),
    [
        ("0::/system.slice/kubelet.service\n", 0, True, False),
        ("1:name=systemd:/machine.slice/node/system.slice/kubelet.service\n", 0, True, False),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", 0, False, False),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", 10, True, False),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", 11, False, False),
        (f"0::/system.slice/docker-{CONTAINER}.scope\n", 0, False, False),
        (f"0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-{CONTAINER}.scope\n", 0, False, True),
    ],
)
def test_a_name_alone_makes_no_process_of_a_unit_or_a_pod(tree: Tree, cgroup: str, main_pid: int, of_unit: bool, in_pod: bool) -> None:
    tree.add(10, "kubelet", exe="/usr/bin/kubelet", arguments=("kubelet",), cgroup=cgroup)
    (process,) = subject.processes(["kubelet"], str(tree.root))["kubelet"]
    assert process.belongs_to_unit(main_pid, "/system.slice/kubelet.service") is of_unit
    assert process.belongs_to_unit(main_pid, "") is (main_pid == 10)
    assert process.runs_in_a_pod(set()) is in_pod
    # Where the runtime cannot be asked, containers may run all the same.
    assert process.runs_in_a_pod(None) is bool(process.container_id)
    assert process.runs_in_a_pod({CONTAINER}) is bool(process.container_id)


def test_listening_ports_of_both_families(tree: Tree) -> None:
    tree.listen(
        "tcp",
        [
            "   0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1",
            "   1: 0100007F:C350 0100007F:094B 01 00000000:00000000 00:00000000 00000000     0        0 112 1",
        ],
    )
    tree.listen("tcp6", ["   0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A 0:0 00:0 0     0        0 113 1"])
    assert subject.listening_ports(str(tree.root)) == {2379, 6443}
    tree.add(10, "etcd")
    (tree.root / "10" / "fd" / "3").symlink_to("socket:[111]")
    assert subject.port_owners([2379, 6443], str(tree.root)) == {2379: [10], 6443: []}


def test_without_tables_nothing_listens(tree: Tree) -> None:
    assert subject.listening_ports(str(tree.root)) == set()
    assert subject.port_owners([1], str(tree.root)) == {1: []}


def test_only_telling_flags_are_returned(tree: Tree) -> None:
    arguments = ("kube-apiserver", "--etcd-servers=https://127.0.0.1:2379", "--token-auth-file=/secret", "--secure-port", "6443", "--config", "--v=2", "-x")
    tree.add(10, "kube-apiserver", arguments=arguments)
    assert subject.telling_flags(10, str(tree.root)) == {"etcd-servers": "https://127.0.0.1:2379", "secure-port": "6443", "config": "true"}


def test_the_real_tree(tmp_path: Path) -> None:
    program = tmp_path / "lbt-real-proc"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        process = subprocess.Popen([program, "60"], env={**os.environ, "LBT_SHOWN": "yes", "LBT_HIDDEN": "no"})
        try:
            end = time.monotonic() + 10
            while [item.pid for item in subject.processes([program.name])[program.name]] != [process.pid]:
                assert time.monotonic() < end
            assert port in subject.listening_ports()
            assert subject.port_owners([port]) == {port: [os.getpid()]}
            assert subject.arguments(process.pid) == [str(program), "60"]
            assert 0 <= (subject.age_seconds(process.pid) or 0) < 60
            assert subject.environment(process.pid, ["LBT_SHOWN"]) == {"LBT_SHOWN": "yes"}
        finally:
            process.kill()
            process.wait()
    assert subject.processes([program.name]) == {program.name: []}
    assert subject.age_seconds(process.pid) is None
    assert port not in subject.listening_ports()
