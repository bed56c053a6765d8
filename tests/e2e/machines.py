# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be true on a machine of a working cluster, seen through ssh by testinfra; the same after a fresh install and after a recovery."""

from __future__ import annotations

import json
from typing import Any

import testinfra

from tests.lab import Lab

PKI = "/etc/kubernetes/pki"
PRIVATE_KEYS = (
    f"{PKI}/ca.key",
    f"{PKI}/sa.key",
    f"{PKI}/apiserver.key",
    f"{PKI}/apiserver-etcd-client.key",
    f"{PKI}/apiserver-kubelet-client.key",
    f"{PKI}/front-proxy-ca.key",
    f"{PKI}/front-proxy-client.key",
    f"{PKI}/etcd/ca.key",
    f"{PKI}/etcd/server.key",
    f"{PKI}/etcd/peer.key",
    f"{PKI}/etcd/healthcheck-client.key",
)
PRIVATE_FILES = ("admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf")
MANIFESTS = ("etcd.yaml", "kube-apiserver.yaml", "kube-controller-manager.yaml", "kube-scheduler.yaml")
CONTROL_PLANE_FILES = (
    *PRIVATE_KEYS,
    *(f"/etc/kubernetes/{file}" for file in PRIVATE_FILES),
    *(f"/etc/kubernetes/manifests/{file}" for file in MANIFESTS),
    "/etc/kubernetes/enc/encryption.yaml",
    "/var/lib/etcd/member",
)
WORKER_PORTS = (10250,)
CONTROL_PLANE_PORTS = (2379, 2380, 6443, 10250, 10257, 10259)
STATIC_PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
STAGING = ("/var/tmp/lifeboat-*", "/tmp/lifeboat-*", "/var/lib/etcd/.lifeboat-restore-*/member", "/var/lib/lifeboat/manifests/*", "/var/lib/lifeboat/lock*")


def host(lab: Lab, name: str) -> Any:
    """The machine as testinfra sees it, as root."""
    return testinfra.get_host(f"ssh://{name}", ssh_config=str(lab.ssh_config), sudo=True)


def check_machine(lab: Lab, name: str) -> None:
    """Everything that has to be true on this machine; few commands, because each is a trip through ssh."""
    machine = host(lab, name)
    control_plane = lab.topology.node(name).control_plane
    _check_services(machine, name)
    _check_private(machine, name, ["/etc/kubernetes/kubelet.conf", *(CONTROL_PLANE_FILES if control_plane else ())])
    listening = {int(address.rpartition(":")[2]) for address in machine.socket.get_listening_sockets() if address.startswith("tcp://")}
    wanted = set(CONTROL_PLANE_PORTS if control_plane else WORKER_PORTS)
    assert wanted <= listening, f"nothing listens on {sorted(wanted - listening)} of {name}"
    if control_plane:
        _check_keys(machine, name)
        _check_containers(machine, name)
    left = machine.run(f"ls -d {' '.join(STAGING)} 2> /dev/null").stdout.split()
    assert not left, f"left behind on {name}: {left}"


def _check_services(machine: Any, name: str) -> None:
    for unit in ("kubelet", "containerd"):
        service = machine.service(unit)
        assert service.is_enabled, f"{unit} on {name} is not enabled"
        assert service.is_running, f"{unit} on {name} does not run"
    assert machine.file("/etc/hostname").content_string.strip() == name


def _check_private(machine: Any, name: str, paths: list[str]) -> None:
    """These belong to root, and nobody else reads them."""
    found = {}
    for line in machine.run(f"stat --format '%n %U:%G %a' {' '.join(paths)}").stdout.splitlines():
        path, owner, mode = line.split()
        found[path] = (owner, int(mode, 8) & 0o077)
    wrong = {path: found.get(path, "missing") for path in paths if found.get(path) != ("root:root", 0)}
    assert not wrong, f"on {name}: {wrong}"


def _check_keys(machine: Any, name: str) -> None:
    """Every key still belongs to its certificate."""
    strangers = machine.run(
        'for key in %s; do [ "$(openssl pkey -in $key -pubout)" = "$(openssl x509 -in ${key%%.key}.crt -pubkey -noout)" ] || echo $key; done'
        % " ".join(key for key in PRIVATE_KEYS if not key.endswith("/sa.key"))
    )
    assert (strangers.rc, strangers.stdout, strangers.stderr) == (0, "", ""), f"on {name} these keys do not belong to their certificates: {strangers}"


def _check_containers(machine: Any, name: str) -> None:
    """The static pods run, each once."""
    listing = json.loads(machine.check_output("crictl ps --output json"))["containers"]
    running = sorted(one["metadata"]["name"] for one in listing if one["metadata"]["name"] in STATIC_PODS)
    assert running == sorted(STATIC_PODS), f"on {name} these run: {running}"
