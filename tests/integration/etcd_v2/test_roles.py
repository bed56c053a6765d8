# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""roles/etcd with a v2 store, through a sealed point and back: refused where the witnesses disagree, restored on the first member, proven on all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from tests.integration.etcd.servers import Cluster, wait_for
from tests.integration.etcd_v2 import store
from tests.integration.recovery_point.conftest import keys, stage
from tests.integration.recovery_point.playing import Stage, Task
from tests.integration.recovery_point.test_roles import role, staged
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, make_pki_files, make_tar

__all__ = ["keys", "stage"]

UID = "6dbd6a44-0c4e-4ff3-ba1f-ee0b2b7e5a5c"
TOKEN = "restore-20261120t140000z"


class Scene:
    """Three members, all of them this machine, and the plays of a backup and a recovery as far as they matter here."""

    def __init__(self, stage: Stage, cluster: Cluster) -> None:
        self.stage = stage
        self.cluster = cluster
        self.urls = {server.name: server.peer_url for server in cluster.servers}
        hosts = {server.name: self._host_variables(server.connection(), server.data_dir) for server in cluster.servers}
        inventory = {"all": {"hosts": hosts, "children": {group: {"hosts": dict.fromkeys(hosts, {})} for group in ("etcd", "control_plane")}}}
        (stage.directory / "hosts.yml").write_text(json.dumps(inventory))
        (stage.directory / "group_vars").mkdir()
        settings = {
            "lifeboat_cluster_name": CLUSTER,
            "lifeboat_runs_directory": str(stage.runs),
            "lifeboat_location": {"type": "directory", "path": str(stage.root)},
            "lifeboat_recipients": [stage.keys.recipient],
            "lifeboat_identity_files": [str(stage.keys.identity_file)],
            "lifeboat_signing_key": str(stage.keys.signing_key),
            "lifeboat_allowed_signers": str(stage.keys.allowed_signers),
        }
        (stage.directory / "group_vars" / "all.yml").write_text(yaml.safe_dump(settings))

    @staticmethod
    def _host_variables(connection: Any, data_dir: Path) -> dict[str, Any]:
        etcd = {key: getattr(connection, key) for key in ("endpoint", "ca_cert", "client_cert", "client_key")}
        etcd |= {"store": "detect", "data_dir": str(data_dir), "service": "etcd"}
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "platform_data": {"etcd": etcd, "keep_target": [], "moving": {"groups": [], "domain": "", "never": []}},
        }

    def facts(self, backend: str) -> list[Task]:
        """What the plays before have published, with API servers that were told this back end."""
        flags = {"kube-apiserver": {"storage-backend": backend}}
        node = {"hostname": "{{ inventory_hostname }}", "bare": False, "etcdutl": None, "etcd": {"to_link": None}, "flags": flags}
        return [
            {"ansible.builtin.group_by": {"key": "lifeboat_reachable"}},
            {"ansible.builtin.set_fact": {"platform_node": node, "platform_components": ["etcd"]}},
        ]

    def preflight(self, backend: str) -> subprocess.CompletedProcess[str]:
        """That alone."""
        return self.stage.play(("etcd", [*self.facts(backend), staged("preflight", "started"), role("etcd", "preflight"), staged("preflight", "ended")]))

    def backup(self) -> subprocess.CompletedProcess[str]:
        """Up to the sealed point."""
        pki = self.stage.put("cp1", "pki.tar", make_tar(make_pki_files()))
        fetching = self.stage.fetching(pki, "pki", inspect=True, point="{{ hostvars.localhost.recovery_point_opened.id }}")
        chosen = "hostvars[hostvars.node1.etcd_chosen]"
        members = {"names": {name: name for name in self.urls}, "hosts": self.urls}
        summary = {
            "artifacts": "{{ %s.recovery_point_artifacts + [hostvars.node1.fetched.artifact] }}" % chosen,
            "etcd": "{{ %s.etcd_taken.snapshot | combine(%s) }}" % (chosen, members),
            "platform": "any",
            "versions": {},
            "cluster_identity": {"kube_system_uid": None, "ca_sha256": None},
            "missing": [],
            "fingerprints": {},
            "names": {},
            "nodes": {},
            "scope": [],
            "required_components": ["etcd", "pki"],
            "highest_revision": 0,
        }
        sealed = self.stage.telling("sealed", "recovery_point_sealed")
        taking = [*self.facts("etcd2"), staged("backup", "started"), role("etcd", "preflight"), role("etcd", "backup"), {**fetching, "run_once": True}]
        return self.stage.play(
            ("localhost", [role("recovery_point", "open")]),
            ("etcd", [*taking, role("recovery_point", "sweep"), staged("backup", "ended")]),
            ("localhost", [{"ansible.builtin.set_fact": {"platform_summary": summary}}, role("recovery_point", "seal"), sealed]),
        )

    def recovery(self, backend: str) -> list[tuple[str, list[Task]]]:
        """The first member is prepared; when the test has started the members, all are verified."""
        plan = {
            **{f"{kind}_hosts": [] for kind in ("file", "stop", "worker", "living")},
            "etcd_hosts": ["node1"],
            "member_hosts": ["node2", "node3"],
            "admin_hosts": [],
            "verify_hosts": [],
            "strategy": "rebuild_cluster",
            "source": "recovery_point",
            "survivor": "",
            "token": TOKEN,
            "bump_revision": 0,
            "initial_cluster": self.urls,
        }
        assigned = self.stage.assigned(**{name: ["changes", "prepare", "record", "verify"] for name in self.urls})
        prepared = self.stage.telling("prepared", "ansible_facts.lifeboat_prepared.etcd")
        go = {"ansible.builtin.wait_for": {"path": str(self.stage.directory / "go"), "timeout": 240}}
        return [
            ("localhost", [role("recovery_point", "verify"), {"ansible.builtin.set_fact": {"platform_plan": plan}}, assigned]),
            ("etcd", [*self.facts(backend), role("platform", "sort")]),
            ("node1", [staged("prepare", "started"), role("etcd", "prepare"), prepared, staged("prepare", "ended")]),
            ("node1", [go]),
            ("etcd", [staged("verify", "started"), role("etcd", "verify"), role("recovery_point", "sweep"), staged("verify", "ended")]),
        ]

    def checks(self) -> dict[str, list[dict[str, Any]]]:
        """The checks of the newest run by id."""
        run = max(self.stage.runs.iterdir(), key=lambda path: (path / "salt").stat().st_mtime_ns)
        found: dict[str, list[dict[str, Any]]] = {}
        for record in Journal(str(run)).read():
            if record["kind"] == "check":
                found.setdefault(record["id"], []).append(record)
        return found

    def damage(self, position: float) -> None:
        """Flip one bit of the sealed backup."""
        (sealed,) = self.stage.root.rglob("v2backup.tar.zst.age")
        content = bytearray(sealed.read_bytes())
        content[int(len(content) * position)] ^= 1
        sealed.write_bytes(content)


@pytest.fixture
def scene(stage: Stage, with_v2: Callable[..., Cluster], binaries: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A cluster whose objects are in the v2 store."""
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    return Scene(stage, with_v2(3))


def test_from_backup_to_three_members(scene: Scene, tmp_path: Path) -> None:
    servers = scene.cluster.servers
    store.fill(servers[0])
    store.Writer(servers[0]).put("/registry/namespaces/kube-system", json.dumps({"metadata": {"uid": UID}}))
    with servers[0].client() as client:
        for number in range(20):
            client.delete(b"/registry/leases/node-%d" % number)

    # API servers that read the v3 store, where nothing is: a snapshot would succeed and hold nothing.
    refused = scene.preflight("etcd3")
    assert refused.returncode != 0
    check = scene.checks()["etcd.store_known"][0]
    assert (check["passed"], "the API servers use the v3 store, and it is empty" in check["found"]) == (False, True)

    done = scene.backup()
    assert done.returncode == 0, done.stdout
    manifest = scene.stage.told("sealed")["manifest"]
    assert "etcd/v2backup.tar.zst.age" in [artifact["name"] for artifact in manifest["artifacts"]]
    etcd = manifest["etcd"]
    assert (etcd["store"], etcd["revision"], etcd["keys_total"]) == ("v2", etcd["v2"]["index"], etcd["v2"]["keys_total"])
    assert (etcd["v2"]["hidden_total"], etcd["server_version"], etcd["encryption"]) == (len(store.HIDDEN), "3.4.23", [])
    assert (manifest["highest_revision"], etcd["kube_system_uid"]) == (etcd["revision"], UID)
    assert scene.checks()["etcd.snapshot_identity"][0]["found"] == f"kube-system is {UID}; no API server was asked"
    assert "/registry/events/shop/web.1" not in json.dumps(manifest)

    # All is lost.
    scene.cluster.stop()
    for server in servers:
        (server.data_dir / "member").rename(tmp_path / f"lost-{server.name}")
    misfit = scene.stage.play(*scene.recovery("etcd3"))
    assert misfit.returncode != 0, misfit.stdout
    assert "etcd.store_fits" in scene.checks(), misfit.stdout
    assert scene.checks()["etcd.store_fits"][0]["passed"] is False
    assert not list(servers[0].data_dir.iterdir())

    command = scene.stage.command(scene.recovery("etcd2"))
    output = tmp_path / "output"
    with output.open("wb") as file, subprocess.Popen(command, cwd=scene.stage.directory, env=scene.stage.environment(), stdout=file, stderr=file) as run:

        def prepared() -> bool:
            assert run.poll() is None, output.read_text()
            return (scene.stage.directory / "prepared.json").exists()

        wait_for("the first member's data", prepared, 240)
        (swap,) = scene.stage.told("prepared")["replace"]
        Path(swap["staged"]).rename(swap["target"])
        store.start_first(servers[0])
        store.join(servers[0], servers[1])
        store.join(servers[0], servers[2])
        (scene.stage.directory / "go").touch()
        assert run.wait(240) == 0, output.read_text()
    checks = scene.checks()
    passed = {name for name, records in checks.items() if all(record["passed"] for record in records)}
    assert passed >= {f"etcd.{name}" for name in ("v2_built", "v2_members_equal", "v2_restored", "quorum", "hashes_equal", "store_fits")}
    assert len(checks["etcd.v2_members_equal"]) == 3
    # Nothing was raised, so there is no old watch that would be cancelled.
    assert "etcd.old_watch_cancelled" not in checks
    assert "nobody lists this" not in output.read_text()

    scene.damage(0.5)
    damaged = scene.stage.play(("localhost", [role("recovery_point", "verify")]))
    assert damaged.returncode != 0
    assert "v2backup" in json.dumps(scene.checks()["recovery_point.verified"])
