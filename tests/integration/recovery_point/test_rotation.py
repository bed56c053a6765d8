# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 13 with a real API server: values that it wrote, a key that was rotated away, a roll back that it comes up from."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.encryption import Configuration, Stored, judge
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import uid_of
from tests.encrypting import IDENTITY, configuration, key, keys
from tests.integration.node.api_server import RealApiServer
from tests.integration.recovery_point.playing import Stage, Task, role, staged
from tests.unit.plugins.module_utils._recovery_point.making import make_pki_files

TOKEN = "restore-20261120t140000z"
# Other tests run API servers on this machine too: ours is known by a name of its own, which the kernel does not cut.
PROGRAM = f"lb-api-{os.getpid()}"
SECRET = "/api/v1/namespaces/default/secrets"


class World(Stage):
    """cp1 is this machine, with an API server that encrypts."""

    server: RealApiServer

    @property
    def file(self) -> Path:
        """What --encryption-provider-config names."""
        return self.directory / "etc" / "enc" / "encryption.yaml"

    def write(self, content: bytes) -> None:
        """Another configuration."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(content)

    def prepare(self) -> None:
        """The inventory."""
        for name, content in make_pki_files().items():
            path = self.directory / name
            if "encryption" not in name and "manifests" not in name:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        platform = {
            "services": {"kube-apiserver": {"process": PROGRAM}},
            "manifests_dir": str(self.directory / "no-manifests"),
            "pki": {"files": [{"path": str(self.directory / "etc"), "required": True}]},
        }
        variables = {
            "lifeboat_cluster_name": "shop",
            "lifeboat_runs_directory": str(self.runs),
            "lifeboat_location": {"type": "directory", "path": str(self.root)},
            "lifeboat_recipients": [self.keys.recipient],
            "lifeboat_identity_files": [str(self.keys.identity_file)],
            "lifeboat_signing_key": str(self.keys.signing_key),
            "lifeboat_allowed_signers": str(self.keys.allowed_signers),
        }
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "platform_data": platform}
        children = {group: {"hosts": {"cp1": {}}} for group in ("etcd", "control_plane")}
        (self.directory / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"cp1": local}, "vars": variables, "children": children}}))

    def backup(self, endpoint: str, told: str) -> list[tuple[str, list[Task]]]:
        """From etcd to the seal."""
        etcd = {"endpoint": endpoint, "ca_cert": "", "client_cert": "", "client_key": ""}
        facts = {
            "etcd_fit": True,
            "etcd_leads": True,
            "etcd_seen": {"revision": 1},
            "platform_node": {"hostname": "cp1"},
            "node_cluster": {"cluster": {"kube_system_uid": told}},
            "platform_data": "{{ platform_data | combine({'etcd': %s}) }}" % json.dumps(etcd),
        }
        summary: dict[str, Any] = {
            "artifacts": "{{ hostvars.cp1.recovery_point_artifacts }}",
            "etcd": "{{ hostvars.cp1.etcd_taken.snapshot | combine({'names': {}, 'hosts': {}}) }}",
            "platform": "kubeadm",
            "versions": {},
            "cluster_identity": {"kube_system_uid": told, "ca_sha256": None},
            "highest_revision": 0,
            "required_components": ["etcd", "pki"],
            **{name: [] for name in ("scope", "missing")},
            **{name: {} for name in ("fingerprints", "names", "nodes")},
        }
        groups: list[Task] = [{"ansible.builtin.group_by": {"key": f"lifeboat_{name}"}} for name in ("reachable", "wanted", "speaker")]
        taking = [role("pki", "backup"), role("etcd", "backup"), role("pki", "prove"), role("recovery_point", "sweep")]
        return [
            ("cp1", [*groups, {"ansible.builtin.set_fact": facts}]),
            ("localhost", [role("recovery_point", "open")]),
            ("cp1", [staged("backup", "started"), *taking, staged("backup", "ended")]),
            ("localhost", [{"ansible.builtin.set_fact": {"platform_summary": summary}}, role("recovery_point", "seal")]),
        ]

    def restore(self) -> list[tuple[str, list[Task]]]:
        """The preflight, then, when the test has stopped the API server, the keys."""
        plan = {"source": "recovery_point", "strategy": "roll_back", "token": TOKEN, "etcd_hosts": ["cp1"], "file_hosts": []}
        stopped = {"ansible.builtin.file": {"path": str(self.directory / "stopped"), "state": "touch", "mode": "0600"}}
        wanted = [role("pki", "encryption"), staged("preflight", "ended"), stopped, role("pki", "add_encryption_keys"), role("recovery_point", "sweep")]
        return [
            ("localhost", [role("recovery_point", "verify"), {"ansible.builtin.set_fact": {"platform_plan": plan}}]),
            ("cp1", [{"ansible.builtin.set_fact": {"platform_plan": plan}}, staged("preflight", "started"), *wanted]),
        ]


@pytest.fixture
def world(stage: Stage, binaries: Path) -> Iterator[World]:
    """Its API server runs under a name of its own."""
    stage.__class__ = World
    assert isinstance(stage, World)
    stage.prepare()
    programs, servers = stage.directory / "programs", stage.directory / "servers"
    programs.mkdir()
    servers.mkdir()
    for name, target in (("etcd", "etcd"), (PROGRAM, "kube-apiserver")):
        (programs / name).symlink_to(binaries / target)
    stage.server = RealApiServer(servers, programs)
    stage.server.make_certificates()
    try:
        yield stage
    finally:
        stage.server.stop()


def serve(world: World, data: str = "etcd") -> str:
    """etcd, and the API server with the configuration that is there; returns etcd's URL."""
    endpoint = world.server.start_etcd(data)
    world.server.start_api(endpoint, f"--encryption-provider-config={world.file}", program=PROGRAM)
    world.server.wait_ready()
    return endpoint


def written(number: int, name: str) -> bytes:
    """Each provider for a resource of its own; the namespace that names the cluster is among them."""
    entries = [
        (["secrets"], [keys("aescbc", (name, key(number))), IDENTITY]),
        (["configmaps", "namespaces"], [keys("aesgcm", (name, key(number + 1))), IDENTITY]),
        (["limitranges"], [keys("secretbox", (name, key(number + 2))), IDENTITY]),
    ]
    return configuration(*entries)


ALL = ["aescbc {0} (secrets)", "aesgcm {0} (configmaps)", "aesgcm {0} (namespaces)", "secretbox {0} (limitranges)"]


def test_a_roll_back_over_rotated_keys_comes_up(world: World, binaries: Path) -> None:
    world.write(written(1, "key1"))
    endpoint = serve(world)
    world.server.create(SECRET, "Secret", "v1", "password", data={"a": base64.b64encode(b"of before").decode()})
    world.server.create("/api/v1/namespaces/default/limitranges", "LimitRange", "v1", "small", spec={"limits": []})
    with world.server.client() as client:
        uid = str(client.request("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"])

    # What the API server wrote is opened, and is this cluster's.
    done = world.play(*world.backup(endpoint, uid))
    assert done.returncode == 0, done.stdout
    checks = world.checks()
    assert checks["recovery_point.encryption_covered"]["found"] == "opened: %s; on cp1" % ", ".join(label.format("key1") for label in ALL)
    assert checks["etcd.snapshot_identity"]["found"] == "not readable: it is encrypted with aesgcm key1"
    taken = world.directory / "taken.db"
    with connect(Connection(endpoint=endpoint)) as client:
        snapshot.save(client, str(taken))
    inventory = snapshot.store_inventory(str(taken))
    there = Stored.from_record(inventory.as_result(), inventory.samples)
    assert inventory.registry_keys["/registry"] > 20
    found = judge(Configuration.parse(world.file.read_bytes(), "right"), there)
    assert (found.problems, uid_of(found.kube_system or b"")) == ((), uid)
    assert len(judge(Configuration.parse(written(10, "key1"), "others of the same names"), there).problems) == len(ALL)

    # The keys are rotated away. A store of its own is enough to ask the API server what it reads.
    world.server.stop()
    world.write(written(20, "key2"))
    serve(world, "etcd-rotated")
    refused = world.play(*world.restore())
    assert refused.returncode != 0
    check = world.checks()["pki.encryption_keys_here"]
    assert (check["passed"], sorted(check["found"].split("; "))) == (False, [f"{label.format('key1')} is not here" for label in ALL])
    assert not (world.directory / "stopped").exists()

    # With the option that the message names, the API server comes up on the old data.
    assert "-e lifeboat_add_encryption_keys=true" in check["remedy"]
    done = world.play(*world.restore(), arguments=("-e", "lifeboat_add_encryption_keys=true"))
    assert done.returncode == 0, done.stdout
    world.server.stop()
    peer = "http://127.0.0.1:2380"
    restoring = [binaries / "etcdutl", "snapshot", "restore", taken, "--data-dir", world.server.directory / "etcd-restored", "--name", "one"]
    subprocess.run([*restoring, "--initial-cluster", f"one={peer}", "--initial-advertise-peer-urls", peer], check=True, capture_output=True)
    endpoint = serve(world, "etcd-restored")
    with world.server.client() as client:
        secret = client.request("GET", f"{SECRET}/password")
        assert base64.b64decode(secret["data"]["a"]) == b"of before"
        assert client.request("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"] == uid
        assert client.request("GET", "/api/v1/namespaces/default/limitranges/small")["kind"] == "LimitRange"
    # The first key is still the one that writes.
    world.server.create(SECRET, "Secret", "v1", "newer", data={})
    with connect(Connection(endpoint=endpoint)) as client:
        (item,) = client.range(b"/registry/secrets/default/newer").items
    assert item.value.startswith(b"k8s:enc:aescbc:v1:key2:")
