# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hardened control plane needs of its machine, and no list of paths knew (real-clusters C12)."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import needed
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive import archive

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
    for name in ("BROUGHT", "_MADE_ANEW"):
        monkeypatch.setattr(needed, name, tuple(path for path in getattr(needed, name) if path != "/tmp"))
    root = tmp_path / "machine"
    for directory in ("audit", "admission", "webhook", "manifests", "kubelet.conf.d"):
        (root / directory).mkdir(parents=True)
    (root / "manifests/kube-apiserver.yaml").write_text(API.format(root=root))
    (root / "manifests/.hidden.yaml").write_text(API.format(root="/elsewhere"))
    (root / "audit/policy.yaml").touch()
    (root / "admission/config.yaml").write_text(ADMISSION.format(root=root))
    (root / "webhook/policy.yaml").write_text("imagePolicy:\n  kubeConfigFile: webhook.conf\n")
    (root / "webhook/webhook.conf").write_text("users:\n- user:\n    client-certificate: client.crt\n")
    (root / "webhook/client.crt").touch()
    (root / "limits.yaml").touch()
    with socket.socket(socket.AF_UNIX) as kms:
        monkeypatch.chdir(root)
        kms.bind("kms.sock")
    return root


def found_in(*found: needed.Found, listed: tuple[str, ...] = (), data: tuple[str, ...] = (), largest: int = 1 << 20) -> dict[str, needed.Need]:
    """What is needed, by its path."""
    return {need.path: need for need in needed.needs(found, listed, data, largest)}


def test_what_is_reachable_from_a_static_pod(machine: Path) -> None:
    reader = needed.Reader()
    found = found_in(*reader.manifests(str(machine / "manifests")))
    assert sorted(path.replace(str(machine), "") for path in found) == [
        "/admission",
        "/audit",
        "/etc/kubernetes/pki/ca.crt",
        "/gone.yaml",
        "/limits.yaml",
        "/manifests/kube-apiserver.yaml",
        "/webhook/client.crt",
        "/webhook/policy.yaml",
        "/webhook/webhook.conf",
    ]
    assert found[f"{machine}/webhook/policy.yaml"].by == f"static pod kube-apiserver, path in {machine}/admission/config.yaml"
    assert not found[f"{machine}/gone.yaml"].exists
    assert not any("elsewhere" in path for path in found), "a hidden file is no manifest"
    assert reader.not_understood == []


@pytest.mark.parametrize("name", ["vip.manifest", "vip", "kube-apiserver.yaml.bak"])
def test_every_file_that_is_not_hidden_is_a_manifest(machine: Path, name: str) -> None:
    (machine / "limits.yaml").rename(machine / "vip.conf")
    (machine / "manifests" / name).write_text(f"metadata:\n  name: vip\nspec:\n  volumes:\n  - name: c\n    hostPath:\n      path: {machine}/vip.conf\n")
    assert f"{machine}/vip.conf" in found_in(*needed.Reader().manifests(str(machine / "manifests")))


def test_a_path_of_a_url_is_no_file(machine: Path) -> None:
    """Anonymous requests that an authentication configuration lets in."""
    (machine / "authn.yaml").write_text("anonymous:\n  enabled: true\n  conditions:\n  - path: /livez\n")
    text = f"metadata:\n  name: api\nspec:\n  containers:\n  - command:\n    - --authentication-config={machine}/authn.yaml\n"
    assert list(found_in(*needed.Reader().manifest(text, "api.yaml"))) == [f"{machine}/authn.yaml"]


@pytest.mark.parametrize(
    "volumes",
    [
        "  - {name: c, hostPath: {path: PLACE, type: File}}\n",
        "  - name: c\n    hostPath: {path: PLACE}\n",
        '  - "hostPath": {"path": "PLACE"}\n    "name": c\n',
    ],
)
def test_volumes_in_one_line(machine: Path, volumes: str) -> None:
    reader = needed.Reader()
    text = "metadata:\n  name: vip\nspec:\n  volumes:\n" + volumes.replace("PLACE", f"{machine}/limits.yaml")
    assert [need.path for need in needed.needs(reader.manifest(text, "vip.yaml"), (), (), 1)] == [f"{machine}/limits.yaml"]
    assert reader.not_understood == []


def test_a_manifest_that_is_not_understood_is_named() -> None:
    reader = needed.Reader()
    text = "metadata:\n  name: vip\nspec:\n  volumes:\n  - name: c\n    hostPath: *place\n"
    assert list(reader.manifest(text, "/manifests/vip.yaml")) == []
    assert reader.not_understood == ["/manifests/vip.yaml"]


def test_other_volumes_with_a_path_are_none_of_the_machine() -> None:
    text = "metadata:\n  name: vip\nspec:\n  volumes:\n  - name: share\n    nfs:\n      path: /export/vip\n      server: nas\n"
    assert list(needed.Reader().manifest(text, "vip.yaml")) == []


def test_the_same_as_json(machine: Path) -> None:
    document = {
        "kind": "Pod",
        "metadata": {"name": "vip"},
        "spec": {
            "containers": [{"command": ["vip", "--config=/conf/vip.yaml"], "volumeMounts": [{"mountPath": "/conf", "name": "c"}]}],
            "volumes": [{"name": "c", "hostPath": {"path": f"{machine}/webhook"}}, {"name": "e", "emptyDir": {}}],
        },
    }
    found = found_in(*needed.Reader().manifest(json.dumps(document), "vip.json"))
    assert list(found) == [f"{machine}/webhook"]
    assert found[f"{machine}/webhook"].by == "static pod vip, hostPath"


def test_what_a_kubelet_is_started_with(machine: Path) -> None:
    config = machine / "config.yaml"
    config.write_text(
        f"staticPodPath: {machine}/manifests\nauthentication:\n  x509:\n    clientCAFile: {machine}/audit/policy.yaml\nresolvConf: /run/resolv.conf\n"
    )
    (machine / "kubelet.conf.d/10-ca.conf").write_text(f"tlsCertFile: {machine}/kubelet.crt\n")
    words = [
        *("/usr/bin/kubelet", f"--config={config}", "--config-dir", f"{machine}/kubelet.conf.d", "--root-dir=/data/kubelet", "--node-ip=10.0.0.11"),
        *(f"--tls-sni-cert-key={machine}/a.crt,{machine}/a.key:example.org", "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf"),
    ]
    found = [path.replace(str(machine), "") for path in found_in(*needed.Reader().process(words, "kubelet"))]
    # The static pods of its directory count too, and credentials that have served may be gone.
    assert [path for path in found if path.startswith(("/a.", "/audit", "/config", "/kubelet", "/manifests", "/limits"))] == [
        "/a.crt",
        "/a.key",
        "/audit",
        "/config.yaml",
        "/kubelet.conf.d",
        "/kubelet.crt",
        "/limits.yaml",
        "/manifests",
    ]
    assert "/etc/kubernetes/bootstrap-kubelet.conf" not in found


def test_listed_paths_and_data_are_no_needs(machine: Path) -> None:
    (machine / "srv/etcd/data").mkdir(parents=True)
    (machine / "link").symlink_to("srv/etcd")
    mounted = [needed.Found(str(machine / name), "x", mounted=True) for name in ("audit", "link", "srv/etcd", "srv/etcd/data")]
    assert list(found_in(*mounted, listed=(f"{machine}/audit/",), data=(f"{machine}/srv/etcd/data",))) == []


def test_a_file_that_an_option_names_counts_where_a_mount_does_not() -> None:
    """A certificate of the company in the system's directory; the directory itself comes with the system."""
    found = found_in(needed.Found("/etc/ssl/certs", "x", mounted=True), needed.Found("/etc/ssl/certs/corp.pem", "x"), needed.Found("/usr/bin/kubelet", "x"))
    assert list(found) == ["/etc/ssl/certs/corp.pem"]
    assert list(found_in(needed.Found("/etc/passwd", "x", mounted=True), needed.Found("/etc/ssh/ca.pub", "x"))) == [], "who restores these locks himself out"


def test_what_is_too_much_is_left_and_named(machine: Path) -> None:
    (machine / "audit/log").write_bytes(b"x" * 100)
    found = found_in(needed.Found("/srv", "x", mounted=True), needed.Found(str(machine / "audit"), "y", mounted=True), largest=99)
    assert found["/srv"].left == "much else lies in it"
    assert found[str(machine / "audit")].left.startswith("it holds more than")


def test_a_log_that_etcd_gave_up_is_no_need(machine: Path) -> None:
    """A restore lets etcd read its log in its data directory; the manifest mounts the old one still, and every backup after it would warn."""
    log = machine / "etcd-wal" / "wal"
    log.mkdir(parents=True)
    for name in ("0000000000000000-0000000000000000.wal", "0000000000000001-00000000000003e8.wal.broken", "0.tmp"):
        (log / name).write_bytes(b"x" * 100)
    mounted = needed.Found(str(machine / "etcd-wal"), "static pod etcd, hostPath", mounted=True)
    assert list(found_in(mounted, largest=99)) == []
    (machine / "etcd-wal" / "ca.crt").touch()
    assert found_in(mounted, largest=99)[str(machine / "etcd-wal")].left.startswith("it holds more than"), "something else is in it"
    (machine / "empty").mkdir()
    assert list(found_in(needed.Found(str(machine / "empty"), "x", mounted=True))) == [str(machine / "empty")]


def test_what_is_mounted_below_a_listed_directory_is_needed(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of the directory does not hold it."""
    (machine / "pki/etcd").mkdir(parents=True)
    (machine / "pki/etcd/ca.key").touch()
    monkeypatch.setattr(needed, "mount_points", lambda: ["/", f"{machine}/pki/etcd"])
    mounted = needed.Found(f"{machine}/pki/etcd", "static pod etcd, hostPath", mounted=True)
    assert list(found_in(mounted, listed=(f"{machine}/pki",))) == [f"{machine}/pki/etcd"]
    assert list(found_in(mounted, listed=(f"{machine}/pki", f"{machine}/pki/etcd"))) == []
    monkeypatch.setattr(needed, "mount_points", lambda: ["/", f"{machine}/pki"])
    assert list(found_in(mounted, listed=(f"{machine}/pki",))) == []


def test_logs_are_no_configuration(machine: Path) -> None:
    """They change while they are read, and grow."""
    (machine / "logs").mkdir()
    for name in ("audit.log", "audit-2026-11-30T10-00-00.000.log.gz"):
        (machine / "logs" / name).write_bytes(b"x" * 100)
    text = (
        f"metadata:\n  name: api\nspec:\n  containers:\n  - command:\n    - --audit-log-path={machine}/logs/audit.log\n"
        f"  volumes:\n  - name: l\n    hostPath:\n      path: {machine}/logs\n"
    )

    def look() -> list[tuple[str, str]]:
        reader = needed.Reader()
        return [(need.path, need.left) for need in needed.needs(reader.manifest(text, "api.yaml"), (), (), 1 << 20, reader.logs)]

    assert look() == []
    (machine / "logs/policy.yaml").touch()
    assert look() == [(f"{machine}/logs", "a log in it is written all the time")]
    text = text.replace(f"path: {machine}/logs\n", f"path: {machine}/logs/audit.log\n")
    assert look() == []


def test_a_large_file_is_left_and_named(machine: Path) -> None:
    (machine / "limits.yaml").write_bytes(b"x" * 100)
    assert found_in(needed.Found(f"{machine}/limits.yaml", "x", mounted=True), largest=99)[f"{machine}/limits.yaml"].left.startswith("it holds more than")


def test_a_manifest_that_is_a_link_comes_with_what_it_leads_to(machine: Path) -> None:
    """The kubelet follows it."""
    (machine / "lb").mkdir()
    (machine / "lb/haproxy.yaml").write_text("metadata:\n  name: haproxy\n")
    (machine / "manifests/haproxy.yaml").symlink_to(machine / "lb/haproxy.yaml")
    assert f"{machine}/lb/haproxy.yaml" in found_in(*needed.Reader().manifests(f"{machine}/manifests"), listed=(f"{machine}/manifests",))


@pytest.mark.parametrize(
    "form", ["{}", '{"staticPodPath": "PLACE/manifests", "resolvConf": "PLACE/resolv.conf"}', "staticPodPath: PLACE/manifests\nresolvConf: PLACE/resolv.conf\n"]
)
def test_a_kubelet_that_does_not_run_is_known_from_its_files(machine: Path, form: str) -> None:
    """Its configuration may be JSON of one line; and of its flags, those in a comment do not count."""
    (machine / "resolv.conf").touch()
    (machine / "config.yaml").write_text(form.replace("PLACE", str(machine)))
    (machine / "flags.env").write_text(f'# --x={machine}/old\nKUBELET_KUBEADM_ARGS="--config={machine}/config.yaml --pod-manifest-path={machine}/manifests"\n')
    found = found_in(*needed.Reader().file(f"{machine}/flags.env", "kubelet"))
    assert {f"{machine}/config.yaml", f"{machine}/manifests", f"{machine}/limits.yaml"} <= set(found)
    assert (f"{machine}/resolv.conf" in found) is (form != "{}")
    assert f"{machine}/old" not in found


def test_values_that_begin_like_paths_and_are_none(machine: Path) -> None:
    text = (
        "metadata:\n  name: api\nspec:\n  containers:\n  - command:\n    - --authorization-always-allow-paths=/healthz,/readyz\n    - --etcd-prefix=/registry\n"
        f"    - \"--kubeconfig\"\n    - \"{machine}/config.yaml\"\n  - command: [/bin/sh, -c, 'exec api --cloud-config={machine}/limits.yaml; sleep 1']\n"
    )
    (machine / "config.yaml").touch()
    assert list(found_in(*needed.Reader().manifest(text, "api.yaml"))) == [f"{machine}/config.yaml", f"{machine}/limits.yaml"]
    words = ["kubelet", "--runtime-cgroups=/system.slice/containerd.service", "--cgroup-root", "/"]
    assert list(needed.Reader().process(words, "kubelet")) == []


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/usr/local/etc/haproxy", True),
        ("/usr/local/share/ca-certificates", False),
        ("/usr/share/ca-certificates", False),
        ("/etc/ssl/etcd/ssl", True),
        ("/etc/ssl/certs", False),
        ("/etc/pki", False),
        ("/etc/pki/kms", True),
        ("/etc/pki/ca-trust", False),
        ("/etc/resolv.conf", False),
    ],
)
def test_what_comes_with_the_system_and_what_somebody_put_there(path: str, taken: bool) -> None:
    assert list(found_in(needed.Found(path, "x", mounted=True))) == ([path] if taken else [])


def test_links_come_with_what_they_lead_to(machine: Path) -> None:
    (machine / "linked").symlink_to("limits.yaml")
    (machine / "dangling").symlink_to("nowhere")
    found = found_in(needed.Found(str(machine / "linked"), "x"), needed.Found(str(machine / "dangling"), "x"))
    assert found[str(machine / "limits.yaml")].by == f"x, where {machine}/linked leads"
    assert not found[str(machine / "dangling")].exists


WITH_LOGS = """apiVersion: v1
kind: Pod
metadata: {{name: front}}
spec:
  containers:
  - name: front
    image: front:1
    command: [front, --log-file=/logs/own/front.log]
    volumeMounts:
    - {{mountPath: /logs/own, name: own}}
  volumes:
  - {{name: own, hostPath: {{path: {root}/own, type: Directory}}}}
  - {{name: made, hostPath: {{path: {root}/system/made, type: DirectoryOrCreate}}}}
  - {{name: wanted, hostPath: {{path: {root}/system/wanted, type: Directory}}}}
  - {{name: system, hostPath: {{path: {root}/system, type: Directory}}}}
  - {{name: gone, hostPath: {{path: {root}/system/gone, type: Directory}}}}
"""


def test_a_directory_of_logs_that_a_pod_demands_is_needed_without_the_logs(machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kubelet makes it for DirectoryOrCreate; for a Directory that is not there the pod never starts."""
    monkeypatch.setattr(needed, "_LOG_DIRECTORY", f"{machine}/system")
    monkeypatch.setattr(needed, "BROUGHT", (*needed.BROUGHT, f"{machine}/system"))
    for directory in ("own", "system/made", "system/wanted"):
        (machine / directory).mkdir(parents=True)
        (machine / directory / "front.log").write_text("a line\n")
    manifest = machine / "manifests" / "front.yaml"
    manifest.write_text(WITH_LOGS.format(root=machine))
    reader = needed.Reader()
    found = list(reader.manifest(manifest.read_text(), str(manifest)))
    needs = {need.path: need for need in needed.needs(found, (), (), 1 << 20, reader.logs)}
    assert sorted(needs) == [f"{machine}/own", f"{machine}/system/wanted"]
    assert all(need.empty and not need.left for need in needs.values())

    wanted = [archive.WantedPath(path) for path in needs]
    record = archive.capture(archive.CaptureRequest(wanted, str(tmp_path / "a.tar"), [f"{path}/*" for path in needs]))
    assert [(entry.path, entry.type) for entry in record.index.entries] == [(path, "directory") for path in sorted(needs)]
