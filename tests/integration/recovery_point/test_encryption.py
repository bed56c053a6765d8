# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles with encrypted values in a real etcd: no point is sealed that nobody can read, and nothing is stopped for one that the machines cannot read.

Two control planes, both this machine; what each of their API servers would read stands in a manifest of its own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.verification import verify_point
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.names import manifests_prefix
from tests.encrypting import IDENTITY, UID, configuration, encrypted, key, keys, stored
from tests.integration.recovery_point.playing import Stage, Task, role, staged
from tests.integration.recovery_point.servers import etcd, free_ports
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, make_pki_files

HOSTS = ("cp1", "cp2")
TOKEN = "restore-20261120t140000z"
RIGHT = configuration((["secrets", "configmaps"], [keys("aescbc", ("key1", key(1))), keys("secretbox", ("box", key(3))), IDENTITY]))
# The names are right, the keys are others: a file of before, which names alone took for the right one.
OLD = configuration((["secrets", "configmaps"], [keys("aescbc", ("key1", key(7))), keys("secretbox", ("box", key(8))), IDENTITY]))
ROTATED = configuration((["secrets", "configmaps"], [keys("aescbc", ("key2", key(2))), keys("secretbox", ("box", key(3))), IDENTITY]))


class Scene(Stage):
    """The plays of a backup and of a restore, as far as they matter here."""

    endpoint: str

    def prepare(self, endpoint: str) -> None:
        """The machines and the inventory."""
        self.endpoint = endpoint
        (self.directory / "cp2").mkdir(mode=0o700)
        hosts: dict[str, Any] = {}
        inventory = json.loads((self.directory / "hosts.yml").read_text())
        for host in HOSTS:
            place = self.place(host)
            for name, content in make_pki_files().items():
                path = place / name
                if "encryption" not in name and "manifests" not in name:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
            (place / "manifests").mkdir()
            self.name_file(host, self.file(host))
            self.write(host, RIGHT)
            # Both are this machine: each gets a private directory of its own.
            private = {"recovery_point_staging": str(self.directory / f"staging-{host}"), "recovery_point_staging_owner": "root"}
            (self.directory / f"staging-{host}").mkdir(mode=0o700)
            hosts[host] = dict(inventory["all"]["hosts"]["cp1"], platform_data=self.platform(host), **private)
        inventory["all"]["hosts"] = hosts
        inventory["all"]["children"] = {"etcd": {"hosts": {"cp1": {}}}, "control_plane": {"hosts": dict.fromkeys(HOSTS, {})}}
        (self.directory / "hosts.yml").write_text(json.dumps(inventory))
        (self.directory / "group_vars").mkdir()
        settings = {
            "lifeboat_location": {"type": "directory", "path": str(self.root)},
            "lifeboat_recipients": [self.keys.recipient],
            "lifeboat_identity_files": [str(self.keys.identity_file)],
            "lifeboat_signing_key": str(self.keys.signing_key),
            "lifeboat_allowed_signers": str(self.keys.allowed_signers),
        }
        (self.directory / "group_vars" / "all.yml").write_text(yaml.safe_dump(settings))

    def platform(self, host: str) -> dict[str, Any]:
        """The platform's data of a host."""
        place = self.place(host)
        return {
            "etcd": {"endpoint": self.endpoint, "ca_cert": "", "client_cert": "", "client_key": ""},
            "services": {"kube-apiserver": {"process": "no-such-server"}},
            "manifests_dir": str(place / "manifests"),
            "pki": {"files": [{"path": str(place / "etc"), "required": True}]},
        }

    def place(self, host: str) -> Path:
        """Where a host's files lie."""
        return self.directory / f"machine-{host}"

    def file(self, host: str) -> Path:
        """The encryption configuration of a host."""
        return self.place(host) / "etc" / "enc" / "encryption.yaml"

    def write(self, host: str, content: bytes) -> None:
        """Put a configuration there."""
        self.file(host).parent.mkdir(parents=True, exist_ok=True)
        self.file(host).write_bytes(content)
        self.file(host).chmod(0o600)

    def name_file(self, host: str, path: Path) -> None:
        """What the API server of a host names."""
        (self.place(host) / "manifests" / "kube-apiserver.yaml").write_text(f"- no-such-server\n- --encryption-provider-config={path}\n")

    def fill(self, values: dict[bytes, bytes]) -> None:
        """What API servers wrote."""
        with connect(Connection(endpoint=self.endpoint)) as client:
            for path, value in values.items():
                client.put(path, value)

    def backup(self, taken: tuple[str, ...] = HOSTS, told: str = UID) -> list[tuple[str, list[Task]]]:
        """Of these machines."""
        facts = {"etcd_fit": True, "etcd_leads": True, "etcd_seen": {"revision": 1}, "platform_node": {"hostname": "{{ inventory_hostname }}"}}
        facts["node_cluster"] = {"cluster": {"kube_system_uid": told}}
        artifacts = [f"hostvars.{host}.recovery_point_artifacts" for host in taken]
        summary = {
            "artifacts": "{{ %s }}" % " + ".join(artifacts),
            "etcd": "{{ hostvars.cp1.etcd_taken.snapshot | combine({'names': {}, 'hosts': {}}) }}",
            "platform": "kubeadm",
            "versions": {},
            "cluster_identity": {"kube_system_uid": told, "ca_sha256": None},
            "highest_revision": 0,
            "required_components": ["etcd", "pki"],
            "scope": [],
            "missing": [{"component": "pki", "host": host, "reason": "unreachable"} for host in HOSTS if host not in taken],
            "fingerprints": {},
            "names": {},
            "nodes": {},
        }
        groups: list[Task] = [{"ansible.builtin.group_by": {"key": name}} for name in ("lifeboat_reachable", "lifeboat_wanted")]
        machines = ",".join(taken)
        return [
            (machines, [*groups, {"ansible.builtin.set_fact": facts}]),
            ("cp1", [{"ansible.builtin.group_by": {"key": "lifeboat_speaker"}}]),
            ("localhost", [role("recovery_point", "open")]),
            (machines, [staged("backup", "started"), role("pki", "backup")]),
            ("cp1", [role("etcd", "backup")]),
            (machines, [role("pki", "prove"), role("recovery_point", "sweep"), staged("backup", "ended")]),
            (
                "localhost",
                [{"ansible.builtin.set_fact": {"platform_summary": summary}}, role("recovery_point", "seal"), self.telling("sealed", "recovery_point_sealed")],
            ),
        ]

    def clear(self) -> None:
        """What a sweep removes, on machines of their own."""
        for host in HOSTS:
            for path in (self.directory / f"staging-{host}").iterdir():
                path.unlink()

    def restore(self) -> list[tuple[str, list[Task]]]:
        """The preflight of a roll back, and what comes before the API servers start."""
        plan = {"source": "recovery_point", "strategy": "roll_back", "token": TOKEN, "etcd_hosts": ["cp1"], "file_hosts": []}
        return [
            ("localhost", [role("recovery_point", "verify"), {"ansible.builtin.set_fact": {"platform_plan": plan}}]),
            (
                ",".join(HOSTS),
                [
                    {"ansible.builtin.set_fact": {"platform_plan": plan}},
                    staged("preflight", "started"),
                    role("pki", "encryption"),
                    staged("preflight", "ended"),
                ],
            ),
            (",".join(HOSTS), [role("pki", "add_encryption_keys"), role("recovery_point", "sweep")]),
        ]

    def sealed_points(self) -> list[str]:
        """Manifests in the location: without one there is no point."""
        place = self.root / manifests_prefix(CLUSTER)
        return sorted(path.name for path in place.iterdir()) if place.exists() else []

    def nothing_told(self, output: str) -> None:
        """No key is in what people see, in the run's directories, or in the location."""
        texts = [output, *(path.read_text(errors="replace") for path in self.runs.rglob("*") if path.is_file())]
        texts += [path.read_bytes().decode("latin-1") for path in self.files()]
        for secret in map(key, (1, 2, 3, 7, 8)):
            for form in (base64.b64encode(secret).decode(), secret.hex(), secret.decode("latin-1")):
                assert not [text for text in texts if form in text]
        assert not self.plain_files()

    def every_check(self) -> list[dict[str, Any]]:
        """The checks of the newest run, of every host."""
        run = max(self.runs.iterdir(), key=lambda path: (path / "salt").stat().st_mtime_ns)
        return [record for record in Journal(str(run)).read() if record["kind"] == "check"]


@pytest.fixture
def scene(stage: Stage, binaries: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """An etcd with what API servers write."""
    # Both hosts are this machine, and a run has one private directory on a machine: they come one after the other.
    monkeypatch.setenv("ANSIBLE_FORKS", "1")
    stage.__class__ = Scene
    assert isinstance(stage, Scene)
    peer, client = free_ports()
    with etcd(binaries, stage.directory / "etcd", "cp1", peer, client):
        stage.prepare(f"http://127.0.0.1:{client}")
        values = {b"/registry/namespaces/kube-system": stored("Namespace", "kube-system"), b"/registry/configmaps/shop/plain": stored("ConfigMap", "plain")}
        for number in range(3):
            path = b"/registry/secrets/shop/%d" % number
            values[path] = encrypted("aescbc", "key1", key(1), path)
            path = b"/registry/configmaps/shop/%d" % number
            values[path] = encrypted("secretbox", "box", key(3), path)
        stage.fill(values)
        yield stage


def test_a_point_that_can_be_read_is_sealed_and_verified(scene: Scene) -> None:
    done = scene.play(*scene.backup(), arguments=("-vvv",))
    assert done.returncode == 0, done.stdout
    check = scene.checks()["recovery_point.encryption_covered"]
    assert check["found"] == "opened: aescbc key1 (secrets), secretbox box (configmaps); on cp1, cp2"
    assert scene.checks()["etcd.snapshot_identity"]["found"] == f"kube-system is {UID}"
    assert scene.checks()["etcd.snapshot_registry"]["found"] == "8 keys below /registry"
    manifest = scene.told("sealed")["manifest"]
    assert manifest["etcd"]["kube_system_uid"] == UID
    assert manifest["etcd"]["encryption_coverage"]["hosts"]["cp2"]["configuration"] == str(scene.file("cp2"))
    assert "encryption_samples" not in json.dumps(manifest)
    scene.nothing_told(done.stdout)

    point = scene.catalog().select(manifest["id"]).manifest
    assert point is not None
    verified = verify_point(scene.location, point, "opened", [str(scene.keys.identity_file)], str(scene.run_directory))
    assert verified.passed, verified.checks
    (found,) = (one for one in verified.checks if one["id"] == "recovery_point_encryption")
    assert found["found"] == "opened: aescbc key1 (secrets), secretbox box (configmaps); on cp1, cp2"


@pytest.mark.parametrize("fault", ["old file", "not captured", "not named", "gone"])
def test_nothing_is_sealed_when_one_control_plane_cannot_read_it(scene: Scene, fault: str) -> None:
    """Case 14: one file of two is not enough, nor is a key of the same name, nor a file that the API server does not name."""
    elsewhere = scene.place("cp2") / "gone.yaml"
    expected = f"{elsewhere}, which its API server names, was not captured"
    if fault == "old file":
        scene.write("cp2", OLD)
        expected = "another key of that name"
    elif fault == "not captured":
        scene.name_file("cp2", elsewhere)
    elif fault == "not named":
        (scene.place("cp2") / "manifests" / "kube-apiserver.yaml").write_text("- no-such-server\n")
        expected = "its API server names no encryption configuration"
    else:
        (scene.place("cp2") / "manifests" / "kube-apiserver.yaml").unlink()
        expected = "no API server runs, and nothing says which encryption configuration it would use"
    done = scene.play(*scene.backup())
    assert done.returncode != 0
    check = scene.checks()["recovery_point.encryption_covered"]
    assert (check["passed"], check["severity"]) == (False, "error")
    assert check["found"].startswith("cp2: ")
    assert expected in check["found"]
    assert scene.sealed_points() == []
    assert scene.catalog().points[0].state == "open"
    scene.nothing_told(done.stdout)


def test_the_file_that_the_api_server_names_is_captured_wherever_it_lies(scene: Scene) -> None:
    """Through a link, too; and an old file of before, which is captured as well, counts for nothing."""
    elsewhere, link = scene.place("cp2") / "elsewhere.yaml", scene.place("cp2") / "link.yaml"
    elsewhere.write_bytes(RIGHT)
    link.symlink_to(elsewhere)
    scene.write("cp2", OLD)
    scene.name_file("cp2", link)
    done = scene.play(*scene.backup())
    assert done.returncode == 0, done.stdout
    manifest = scene.told("sealed")["manifest"]
    assert manifest["etcd"]["encryption_coverage"]["hosts"]["cp2"]["configuration"] == str(elsewhere)
    point = scene.catalog().select(manifest["id"]).manifest
    assert point is not None
    verified = verify_point(scene.location, point, "opened", [str(scene.keys.identity_file)], str(scene.run_directory))
    assert verified.passed, verified.checks


def test_a_control_plane_that_is_away_is_named(scene: Scene) -> None:
    scene.write("cp2", OLD)
    done = scene.play(*scene.backup(("cp1",)))
    assert done.returncode == 0, done.stdout
    assert scene.checks()["recovery_point.encryption_covered"]["found"].endswith("; on cp1; not captured: cp2")
    assert scene.told("sealed")["manifest"]["etcd"]["encryption_coverage"]["not_captured"] == ["cp2"]


def test_a_cluster_with_a_kms_is_backed_up_and_the_kms_is_named(scene: Scene) -> None:
    """Case 14: every backup of such a cluster failed, after the seal."""
    kms = {"kms": {"apiVersion": "v2", "name": "vault", "endpoint": "unix:///run/kms.sock"}}
    for host in HOSTS:
        scene.write(
            host,
            configuration((["secrets"], [kms, keys("aescbc", ("key1", key(1))), IDENTITY]), (["configmaps"], [keys("secretbox", ("box", key(3))), IDENTITY])),
        )
    scene.fill({b"/registry/secrets/shop/kms": b"k8s:enc:kms:v2:vault:\x0a\x10sealed elsewhere"})
    done = scene.play(*scene.backup())
    assert done.returncode == 0, done.stdout
    check = scene.checks()["recovery_point.kms_not_needed"]
    assert (check["passed"], check["severity"], check["found"]) == (False, "warning", "vault at unix:///run/kms.sock")
    assert "KMS: vault" in scene.checks()["recovery_point.encryption_covered"]["found"]
    assert scene.told("sealed")["manifest"]["etcd"]["encryption_coverage"]["kms"] == [{"name": "vault", "version": "v2", "endpoint": "unix:///run/kms.sock"}]


def test_an_etcd_of_somebody_else_is_refused(scene: Scene) -> None:
    """Case 20 c: another tenant's, whose kube-system is another one; then one with nothing of Kubernetes in it."""
    other = "0b0f1f5e-5b39-4f5c-8b9e-7d0c7b8f1a11"
    done = scene.play(*scene.backup(told=other))
    assert done.returncode != 0
    check = scene.checks()["etcd.snapshot_identity"]
    assert (check["passed"], check["found"]) == (False, f"kube-system is {UID} there, the API server says {other}")
    with connect(Connection(endpoint=scene.endpoint)) as client:
        for item in client.range(b"", prefix=True).items:
            client.delete(item.key)
        client.put(b"/calico/v1/host/cp1", b"{}")
    scene.clear()
    done = scene.play(*scene.backup())
    assert done.returncode != 0
    assert scene.checks()["etcd.snapshot_registry"]["found"] == "0 keys below /registry"
    assert scene.checks()["etcd.snapshot_registry"]["passed"] is False
    assert scene.sealed_points() == []


def test_a_roll_back_over_rotated_keys_is_refused_and_the_keys_are_offered(scene: Scene) -> None:
    """Case 13: nothing is stopped; the message names the key and the option, and the option leads on."""
    done = scene.play(*scene.backup())
    assert done.returncode == 0, done.stdout
    for host in HOSTS:
        scene.write(host, ROTATED)
    refused = scene.play(*scene.restore())
    assert refused.returncode != 0
    check = scene.checks()["pki.encryption_keys_here"]
    assert (check["passed"], check["severity"], check["found"]) == (False, "error", "aescbc key1 (secrets) is not here")
    assert "-e lifeboat_add_encryption_keys=true" in check["remedy"]
    assert scene.file("cp1").read_bytes() == ROTATED
    scene.nothing_told(refused.stdout)

    adding = ("-e", "lifeboat_add_encryption_keys=true")
    planned = scene.play(*scene.restore(), arguments=("--check", *adding))
    assert planned.returncode == 0, planned.stdout
    assert scene.file("cp1").read_bytes() == ROTATED

    done = scene.play(*scene.restore(), arguments=("-vvv", *adding))
    assert done.returncode == 0, done.stdout
    scene.nothing_told(done.stdout)
    for host in HOSTS:
        document = yaml.safe_load(scene.file(host).read_bytes())
        (first, *_others) = document["resources"][0]["providers"]
        assert [one["name"] for one in first["aescbc"]["keys"]] == ["key2", "key1"]
        kept = scene.file(host).with_name(f"encryption.yaml.{TOKEN}")
        assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (ROTATED, 0o600)
    again = scene.play(*scene.restore())
    assert again.returncode == 0, again.stdout
    assert scene.checks()["pki.encryption_keys_here"]["found"].endswith("has all of them")


def test_keys_that_nobody_can_add_are_refused_with_the_way_on(scene: Scene) -> None:
    done = scene.play(*scene.backup())
    assert done.returncode == 0, done.stdout
    (scene.place("cp2") / "manifests" / "kube-apiserver.yaml").write_text("- no-such-server\n")
    refused = scene.play(*scene.restore(), arguments=("-e", "lifeboat_add_encryption_keys=true"))
    assert refused.returncode != 0
    failed = [record for record in scene.every_check() if record["id"] == "pki.encryption_keys_here" and not record["passed"]]
    assert [record["host"] for record in failed] == ["cp2"]
    assert failed[0]["found"].startswith("its API server names no encryption configuration, and the recovery point holds values of aescbc key1, secretbox box")
    assert "-e recovery_point_id=..." in failed[0]["remedy"]
