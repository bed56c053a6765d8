# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What flags say of the platform's facts."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._system import static_pod, told

KUBEADM = {"etcd": {"endpoint": "https://127.0.0.1:2379", "data_dir": "/var/lib/etcd"}, "api": {"server": "https://127.0.0.1:6443", "port": 6443}}
NAMED = {"etcd": {"endpoint": "https://m1:2379"}, "api": {"server": "https://m1:6443"}}
PLAIN = {
    "listen-client-urls": "https://127.0.0.1:2379,https://10.77.0.11:2379",
    "listen-peer-urls": "https://10.77.0.11:2380",
    "trusted-ca-file": "/etc/kubernetes/pki/etcd/ca.crt",
    "cert-file": "/etc/kubernetes/pki/etcd/server.crt",
    "key-file": "/etc/kubernetes/pki/etcd/server.key",
}


def of_etcd(**flags: str) -> dict[str, Any]:
    """What is told of etcd with these flags instead of kubeadm's."""
    changed = {**PLAIN, **{name.replace("_", "-"): value for name, value in flags.items()}}
    return dict(told.told({"etcd": changed}, "", lambda path: path, KUBEADM).get("etcd", {}))


def test_kubeadm_says_what_its_file_says() -> None:
    said = told.told({"etcd": PLAIN, "kube-apiserver": {"secure-port": "6443"}}, "/var/lib/etcd", lambda path: path, KUBEADM)
    assert said["services"] == {"etcd": {"ports": [2379, 2380]}, "kube-apiserver": {"ports": [6443]}}
    assert said["etcd"]["client_key"] == "/etc/kubernetes/pki/etcd/server.key"
    assert told.differences(said, {**KUBEADM, "etcd": {**KUBEADM["etcd"], **said["etcd"]}, "services": said["services"]}) == []


@pytest.mark.parametrize(
    ("urls", "endpoint"),
    [
        ("https://[::1]:2379,https://[fd00::11]:2379", "https://[::1]:2379"),
        ("https://[fd00::11]:2379", "https://[fd00::11]:2379"),
        ("https://0.0.0.0:12379", "https://127.0.0.1:12379"),
        ("https://[::]:2379", "https://[::1]:2379"),
        ("https://10.0.0.1:2379,http://127.0.0.1:2381", "http://127.0.0.1:2381"),
        ("unix://localhost:0,https://10.0.0.1:2379", "https://10.0.0.1:2379"),
    ],
)
def test_the_nearest_endpoint(urls: str, endpoint: str) -> None:
    """C14: etcd of an IPv6-only machine listens on [::1]."""
    assert of_etcd(listen_client_urls=urls)["endpoint"] == endpoint


def test_a_named_host_keeps_its_name() -> None:
    """Its certificates hold neither localhost nor addresses."""
    said = told.told({"etcd": {"listen-client-urls": "https://0.0.0.0:12379"}, "kube-apiserver": {"secure-port": "6444"}}, "", lambda path: path, NAMED)
    assert said["etcd"]["endpoint"] == "https://m1:12379"
    assert said["api"] == {"port": 6444, "server": "https://m1:6444"}


@pytest.mark.parametrize("bound", ["", "0.0.0.0", "::"])
def test_an_api_server_on_every_address(bound: str) -> None:
    assert told.of_api_server({"secure-port": "8443", "bind-address": bound}, "")["server"] == "https://127.0.0.1:8443"


def test_an_api_server_on_one_address() -> None:
    assert told.of_api_server({"secure-port": "6443", "bind-address": "fd00::11"}, "")["server"] == "https://[fd00::11]:6443"


def test_ports_of_those_who_only_watch() -> None:
    """A recovery waits for them; 0 is none."""
    flags = {"kube-scheduler": {"secure-port": "10359"}, "kube-controller-manager": {"secure-port": "0"}}
    assert told.told(flags, "", lambda path: path, KUBEADM) == {"services": {"kube-scheduler": {"ports": [10359]}, "kube-controller-manager": {"ports": []}}}


def test_nothing_is_told_without_flags() -> None:
    assert told.told({}, "", lambda path: path, KUBEADM) == {}


def test_differences_are_words() -> None:
    said = {"etcd": {"data_dir": "/srv/etcd/data"}, "services": {"etcd": {"ports": [12379]}}}
    assert told.differences(said, KUBEADM) == ["etcd.data_dir is /srv/etcd/data, not /var/lib/etcd", "services.etcd.ports is [12379]"]


URLS = "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.1:2379"


@pytest.mark.parametrize(
    "text",
    [
        f"spec:\n  containers:\n  - command:\n    - etcd\n    # - --data-dir=/old\n    - --data-dir=/var/lib/etcd\n    - {URLS}\n",
        f'spec: {{containers: [{{command: [etcd, "--data-dir=/var/lib/etcd", "{URLS}"]}}]}}\n',
        f'{{"spec": {{"containers": [{{"command": ["etcd", "--data-dir=/var/lib/etcd", "{URLS}"]}}]}}}}',
    ],
)
def test_flags_of_a_manifest(text: str) -> None:
    assert static_pod.flags(text, "etcd") == {"data-dir": "/var/lib/etcd", "listen-client-urls": "https://127.0.0.1:2379,https://10.0.0.1:2379"}
