# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hardened control plane needs of its machine, and no list of paths knew (real-clusters C12)."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils.host import needed

API = """apiVersion: v1
kind: Pod
metadata:
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=10.0.0.11
    # --old-option={root}/etc/old
    - --audit-policy-file=/etc/kubernetes/audit/policy.yaml
    - --audit-log-path=/var/log/kubernetes/audit.log
    - --admission-control-config-file=/etc/kubernetes/admission/config.yaml
    - --client-ca-file=/etc/kubernetes/pki/ca.crt
    image: registry.k8s.io/kube-apiserver:v1.34.4
    name: kube-apiserver
    volumeMounts:
    - mountPath: /etc/kubernetes/audit
      name: audit
      readOnly: true
    - mountPath: /etc/kubernetes/admission
      name: admission
    - mountPath: /etc/ssl/certs
      name: certificates
  volumes:
  - hostPath:
      path: {root}/audit
      type: DirectoryOrCreate
    name: audit
  - hostPath:
      path: {root}/admission
    name: admission
  - hostPath:
      path: /etc/ssl/certs
    name: certificates
  - hostPath:
      path: {root}/kms.sock
    name: kms
  - hostPath:
      path: {root}/gone.yaml
      type: File
    name: gone
"""
ADMISSION = """apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ImagePolicyWebhook
  path: ../webhook/policy.yaml
- name: EventRateLimit
  path: {root}/limits.yaml
- name: PodSecurity
  configuration: {{}}
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # The machine of this test lies below it.
    monkeypatch.setattr(needed, "BROUGHT", tuple(path for path in needed.BROUGHT if path != "/tmp"))
    root = tmp_path / "machine"
    for directory in ("audit", "admission", "webhook", "manifests", "kubelet.conf.d"):
        (root / directory).mkdir(parents=True)
    (root / "manifests/kube-apiserver.yaml").write_text(API.format(root=root))
    (root / "manifests/.hidden.yaml").write_text(API.format(root="/elsewhere"))
    (root / "manifests/kube-apiserver.yaml.bak").write_text(API.format(root="/elsewhere"))
    (root / "audit/policy.yaml").touch()
    (root / "admission/config.yaml").write_text(ADMISSION.format(root=root))
    (root / "webhook/policy.yaml").touch()
    (root / "limits.yaml").touch()
    with socket.socket(socket.AF_UNIX) as kms:
        monkeypatch.chdir(root)
        kms.bind("kms.sock")
    return root


def test_what_is_reachable_from_a_static_pod(machine: Path) -> None:
    found = {need.path: need for need in needed.needs(needed.of_manifests(str(machine / "manifests")))}
    assert sorted(path.replace(str(machine), "") for path in found) == [
        "/admission",
        "/audit",
        "/etc/kubernetes/pki/ca.crt",
        "/gone.yaml",
        "/limits.yaml",
        "/webhook/policy.yaml",
    ]
    assert found[f"{machine}/webhook/policy.yaml"].by == f"static pod kube-apiserver, path in {machine}/admission/config.yaml"
    assert not found[f"{machine}/gone.yaml"].exists
    assert not any("elsewhere" in path for path in found), "neither a hidden file nor a copy is a manifest"


def test_the_same_as_json(machine: Path) -> None:
    document = {
        "kind": "Pod",
        "metadata": {"name": "vip"},
        "spec": {
            "containers": [{"command": ["vip", "--config=/conf/vip.yaml"], "volumeMounts": [{"mountPath": "/conf", "name": "c"}]}],
            "volumes": [{"name": "c", "hostPath": {"path": f"{machine}/webhook"}}, {"name": "e", "emptyDir": {}}],
        },
    }
    found = needed.needs(needed.of_manifest(json.dumps(document), "vip.json"))
    assert [need.path for need in found] == [f"{machine}/webhook"]
    assert found[0].by == "static pod vip, hostPath"


def test_what_a_kubelet_is_started_with(machine: Path) -> None:
    config = machine / "config.yaml"
    config.write_text(
        f"staticPodPath: {machine}/manifests\nauthentication:\n  x509:\n    clientCAFile: {machine}/audit/policy.yaml\nresolvConf: /run/resolv.conf\n"
    )
    words = ["/usr/bin/kubelet", f"--config={config}", "--config-dir", f"{machine}/kubelet.conf.d", "--root-dir=/data/kubelet", "--node-ip=10.0.0.11"]
    found = [need.path.replace(str(machine), "") for need in needed.needs(needed.of_process(words, "kubelet"))]
    assert found == ["/audit/policy.yaml", "/config.yaml", "/kubelet.conf.d", "/manifests"]


def test_what_is_not_captured_is_named() -> None:
    wanted = [need.as_dict() for need in (needed.Need("/etc/a/b", "x"), needed.Need("/etc/ab", "x"), needed.Need("/etc/c", "x", exists=False))]
    assert [item["path"] for item in needed.not_captured(wanted, ["/etc/a/", "/etc/d"])] == ["/etc/ab"]
    assert needed.not_captured(wanted, ["/etc"]) == []
