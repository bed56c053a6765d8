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
CONTROL_PLANE_PORTS = (2379, 2380, 6443, 10250, 10257, 10259)
STATIC_PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
STAGING = ("/var/tmp/lifeboat-*", "/tmp/lifeboat-*", "/var/lib/etcd/.lifeboat-restore-*/member", "/var/lib/lifeboat/manifests/*", "/var/lib/lifeboat/lock*")


def host(lab: Lab, name: str) -> Any:
    """The machine as testinfra sees it, as root."""
    return testinfra.get_host(f"ssh://{name}", ssh_config=str(lab.ssh_config), sudo=True)


def check_machine(lab: Lab, name: str) -> None:
    """Everything that has to be true on this machine."""
    machine = host(lab, name)
    _check_services(machine, name)
    _check_private(machine, name, "/etc/kubernetes/kubelet.conf")
    if lab.topology.node(name).control_plane:
        _check_control_plane(machine, name)
    left = [path for pattern in STAGING for path in machine.run(f"ls -d {pattern} 2> /dev/null").stdout.split()]
    assert not left, f"left behind on {name}: {left}"


def _check_services(machine: Any, name: str) -> None:
    for unit in ("kubelet", "containerd"):
        service = machine.service(unit)
        assert service.is_enabled, f"{unit} on {name} is not enabled"
        assert service.is_running, f"{unit} on {name} does not run"
    assert machine.file("/etc/hostname").content_string.strip() == name
    assert machine.socket("tcp://10250").is_listening, f"nothing listens on 10250 of {name}"


def _check_private(machine: Any, name: str, path: str) -> None:
    file = machine.file(path)
    assert file.exists, f"{path} is missing on {name}"
    assert (file.user, file.group, file.mode & 0o077) == ("root", "root", 0), f"{path} on {name} is {file.user}:{file.group} {file.mode:o}"


def _check_control_plane(machine: Any, name: str) -> None:
    for path in (*PRIVATE_KEYS, *(f"/etc/kubernetes/{file}" for file in PRIVATE_FILES), *(f"/etc/kubernetes/manifests/{file}" for file in MANIFESTS)):
        _check_private(machine, name, path)
    _check_private(machine, name, "/etc/kubernetes/enc/encryption.yaml")
    data = machine.file("/var/lib/etcd/member")
    assert data.is_directory, f"etcd on {name} has no data"
    assert (data.user, data.mode & 0o077) == ("root", 0), f"etcd's data on {name} is {data.user} {data.mode:o}"
    for port in CONTROL_PLANE_PORTS:
        assert machine.socket(f"tcp://{port}").is_listening, f"nothing listens on {port} of {name}"
    # Every key still belongs to its certificate.
    for key in (key for key in PRIVATE_KEYS if not key.endswith("/sa.key")):
        public = machine.check_output("openssl pkey -in %s -pubout", key)
        certified = machine.check_output("openssl x509 -in %s -pubkey -noout", key.removesuffix(".key") + ".crt")
        assert public == certified, f"{key} on {name} does not belong to its certificate"
    listing = json.loads(machine.check_output("crictl ps --all --output json"))["containers"]
    running = [one["metadata"]["name"] for one in listing if one["state"] == "CONTAINER_RUNNING"]
    assert sorted(one for one in running if one in STATIC_PODS) == sorted(STATIC_PODS), f"on {name} these run: {running}"
