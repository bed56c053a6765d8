# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments in manifests as kubeadm writes them, and what can be read of others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.etcd_directories import flag_value
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.static_pod import (
    ManifestNotUnderstood,
    host_path,
    pod_name,
    set_arguments,
)

MANIFEST = """apiVersion: v1
kind: Pod
metadata:
  name: etcd
spec:
  containers:
  - command:
    - etcd
    - --advertise-client-urls=https://10.0.0.1:2379
    - --initial-cluster=cp1=https://10.0.0.1:2380
    - --name=cp1
    image: registry.k8s.io/etcd:3.6.4-0
    livenessProbe:
      httpGet:
        path: /livez
"""


def command(text: str) -> list[str]:
    parsed = yaml.safe_load(text)["spec"]["containers"][0]["command"]
    assert isinstance(parsed, list)
    return parsed


def test_a_flag_that_is_there_is_replaced_and_a_new_one_comes_last() -> None:
    members = "cp1=https://10.0.0.1:2380,cp2=https://10.0.0.2:2380"
    text = set_arguments(
        MANIFEST.replace("  - command:\n    - etcd\n", "  - command:\n    - --etcd-first=1\n"),
        {"--initial-cluster": members, "--initial-cluster-state": "existing"},
        "etcd.yaml",
    )
    assert command(text) == [
        "--etcd-first=1",
        "--advertise-client-urls=https://10.0.0.1:2379",
        "--initial-cluster=" + members,
        "--name=cp1",
        "--initial-cluster-state=existing",
    ]
    assert yaml.safe_load(text)["spec"]["containers"][0]["livenessProbe"] == {"httpGet": {"path": "/livez"}}


def test_the_programs_name_before_the_flags_stays() -> None:
    assert command(set_arguments(MANIFEST, {"--name": "cp9"}, "etcd.yaml"))[0] == "etcd"


def test_setting_the_same_again_changes_nothing() -> None:
    once = set_arguments(MANIFEST, {"--initial-cluster-state": "existing"}, "etcd.yaml")
    assert set_arguments(once, {"--initial-cluster-state": "existing"}, "etcd.yaml") == once


@pytest.mark.parametrize("value", ["a b", "x: y", 'say "hi"', "#no"])
def test_values_that_need_quotes_come_back_as_they_were(value: str) -> None:
    assert "--name=" + value in command(set_arguments(MANIFEST, {"--name": value}, "etcd.yaml"))


def test_another_containers_arguments_are_left_alone() -> None:
    two = MANIFEST + "  - command:\n    - other\n    - --name=theirs\n    image: x\n"
    parsed = yaml.safe_load(set_arguments(two, {"--name": "mine"}, "etcd.yaml"))["spec"]["containers"]
    assert "--name=theirs" in parsed[1]["command"]


INIT = """apiVersion: v1
kind: Pod
metadata:
  name: etcd
spec:
  initContainers:
  - name: prepare
    command:
    - prepare
    - --x=y
  containers:
  - command:
    - etcd
    - --data-dir=/var/lib/etcd
    # slow disks

    - --heartbeat-interval=500
    - --name=$(NODE)
    - --initial-cluster=cp1=https://10.0.0.1:2380
    - --wal-dir=/var/lib/etcd-wal
    image: registry.k8s.io/etcd:3.6.4-0
    name: etcd
"""


def test_remarks_other_items_and_other_containers_are_no_end_of_the_command() -> None:
    """Where a flag stood twice, etcd would take the last: the old one."""
    text = set_arguments(INIT, {"--initial-cluster": "cp1=https://10.0.0.9:2380", "--wal-dir": "/var/lib/etcd/member/wal", "--new": "1"}, "etcd.yaml")
    spec = yaml.safe_load(text)["spec"]
    assert spec["initContainers"][0]["command"] == ["prepare", "--x=y"]
    assert spec["containers"][0]["command"] == [
        "etcd",
        "--data-dir=/var/lib/etcd",
        "--heartbeat-interval=500",
        "--name=$(NODE)",
        "--initial-cluster=cp1=https://10.0.0.9:2380",
        "--wal-dir=/var/lib/etcd/member/wal",
        "--new=1",
    ]
    assert "# slow disks" in text


def test_a_value_that_is_an_item_of_its_own_is_refused() -> None:
    text = INIT.replace("    - --initial-cluster=cp1=https://10.0.0.1:2380\n", "    - --initial-cluster\n    - cp1=https://10.0.0.1:2380\n")
    with pytest.raises(ManifestNotUnderstood, match="--initial-cluster=x"):
        set_arguments(text, {"--initial-cluster": "x"}, "etcd.yaml")


@pytest.mark.parametrize("text", ["", "kind: Pod\n", "spec:\n  containers:\n  - command: [etcd, --name=cp1]\n"])
def test_any_other_form_is_refused_with_what_to_do_by_hand(text: str) -> None:
    with pytest.raises(ManifestNotUnderstood, match="--name=cp9"):
        set_arguments(text, {"--name": "cp9"}, "etcd.yaml")


def pod(command: list[str]) -> dict[str, Any]:
    mounts = [{"mountPath": "/etc/kubernetes/pki/etcd", "name": "etcd-certs", "readOnly": True}, {"name": "etcd-data", "mountPath": "/var/lib/etcd"}]
    volumes: list[dict[str, Any]] = [
        {"name": "settings", "configMap": {"name": "etcd-data"}},
        {"hostPath": {"path": "/etc/kubernetes/pki/etcd", "type": "DirectoryOrCreate"}, "name": "etcd-certs"},
        {"name": "etcd-data", "hostPath": {"path": "/data/etcd", "type": "DirectoryOrCreate"}},
        {"emptyDir": {}, "name": "scratch"},
    ]
    metadata = {"annotations": {"name": "not-this"}, "labels": {"component": "etcd", "namespace": "nor-this"}, "name": "etcd", "namespace": "kube-system"}
    container = {"command": command, "image": "registry.k8s.io/etcd:3.6.16-0", "name": "the-container", "volumeMounts": mounts}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], "hostNetwork": True, "volumes": volumes}, "status": {}}


class Indented(yaml.SafeDumper):
    """Lists stand deeper than their key, as many people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


FORMS: dict[str, Callable[[Any], str]] = {
    "kubeadm": yaml.safe_dump,
    "in the order of a person": lambda document: yaml.safe_dump(document, sort_keys=False),
    "indented": lambda document: yaml.dump(document, Dumper=Indented, sort_keys=False),
    "json": lambda document: json.dumps(document, indent=2),
    "remarks": lambda document: "# --data-dir=/not/this\n" + yaml.safe_dump(document).replace("  name: etcd\n", "  name: 'etcd'  # the member\n"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", [["etcd", "--data-dir=/var/lib/etcd", "--name=m1"], ["etcd", "--data-dir", "/var/lib/etcd", "--name", "m1"]])
def test_name_arguments_and_mounts_are_read_in_every_form(form: str, command: list[str]) -> None:
    text = FORMS[form](pod(command))
    assert pod_name(text) == ("etcd", "kube-system")
    assert flag_value("data-dir", text) == "/var/lib/etcd"
    assert flag_value("wal-dir", text) is None
    assert host_path(text, "/var/lib/etcd", "etcd") == "/data/etcd"
    assert host_path(text, "/var/lib/etcd/member/wal", "etcd") == "/data/etcd/member/wal"
    assert host_path(text, "/var/lib/etcd-other", "etcd") == "/var/lib/etcd-other"
    assert host_path(text, "/wal", "etcd") == "/wal"


@pytest.mark.parametrize("text", ["", "kind: Pod\n", "{ broken", "[]", "metadata:\n"])
def test_what_says_nothing_is_told_as_nothing(text: str) -> None:
    assert pod_name(text) == ("", "default")
    assert host_path(text, "/var/lib/etcd", "etcd") == "/var/lib/etcd"
    assert flag_value("data-dir", text) is None
