# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles from backup to restore, with a real etcd: what a point holds beside its components, and who gets it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.verification import verify_point
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.etcd_release import release
from tests.integration.playbooks import LIMIT_SECONDS
from tests.integration.recovery_point.playing import Stage, Task, role, staged
from tests.integration.recovery_point.servers import Etcd, etcd, free_ports
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, make_pki_files, make_tar

UID = "0b0f1f5e-5b39-4f5c-8b9e-7d0c7b8f1a11"
TOKEN = "restore-20261120t140000z"
KIT = ["collection/collection.tar.zst.age", "inventory/inventory.json.zst.age"]
TOOL = "tools/etcdutl.zst.age"


class Scene(Stage):
    """A cluster of one etcd member, cp1, which is this machine."""

    server: Etcd
    urls: tuple[str, str]

    def settings(self) -> None:
        """What an inventory says."""
        (self.directory / "group_vars").mkdir(exist_ok=True)
        keys = self.keys
        (self.directory / "group_vars" / "all.yml").write_text(
            yaml.safe_dump(
                {
                    "lifeboat_location": {"type": "directory", "path": str(self.root)},
                    "lifeboat_recipients": [keys.recipient],
                    "lifeboat_identity_files": [str(keys.identity_file)],
                    "lifeboat_signing_key": str(keys.signing_key),
                    "lifeboat_allowed_signers": str(keys.allowed_signers),
                    "platform_data": {
                        "runtime": {"unit": "containerd.service"},
                        "versions": ["kubelet"],
                        "images_from_manifests": True,
                        "keep_target": [],
                        "moving": {"groups": [], "domain": "", "never": []},
                        "etcd": {"endpoint": self.urls[1], "ca_cert": "", "client_cert": "", "client_key": "", "data_dir": str(self.directory / "restored")},
                    },
                }
            )
        )
        hosts = json.loads((self.directory / "hosts.yml").read_text())
        hosts["all"]["hosts"] = {"cp1": hosts["all"]["hosts"]["cp1"]}
        hosts["all"]["children"] = {"etcd": {"hosts": {"cp1": {}}}, "control_plane": {"hosts": {"cp1": {}}}}
        (self.directory / "hosts.yml").write_text(json.dumps(hosts))

    def backup(self, *before_seal: Task) -> list[tuple[str, list[Task]]]:
        """The plays of a backup, as far as they matter here."""
        facts = {"etcd_fit": True, "etcd_leads": True, "etcd_seen": {"revision": 1}}
        pki = self.put("cp1", "pki.tar", make_tar(make_pki_files()))
        summary = {
            "artifacts": "{{ hostvars.cp1.recovery_point_artifacts + [hostvars.cp1.fetched.artifact] }}",
            "etcd": "{{ hostvars.cp1.etcd_taken.snapshot | combine({'names': {'cp1': 'cp1'}, 'hosts': {'cp1': '%s'}}) }}" % self.urls[0],
            "platform": "kubeadm",
            "versions": {"kubelet": "1.34.1"},
            "cluster_identity": {"kube_system_uid": None, "ca_sha256": None},
            "highest_revision": "{{ hostvars.cp1.etcd_taken.snapshot.revision }}",
            "required_components": ["etcd", "pki"],
            "scope": [],
            "missing": [],
            "fingerprints": {},
            "names": {},
            "nodes": {},
        }
        fetching = self.fetching(pki, "pki", inspect=True, remove_source=False, point="{{ hostvars.localhost.recovery_point_opened.id }}")
        return [
            ("localhost", [role("recovery_point", "open")]),
            (
                "cp1",
                [
                    {"ansible.builtin.group_by": {"key": "lifeboat_reachable"}},
                    {"ansible.builtin.set_fact": facts},
                    staged("backup", "started"),
                    role("etcd", "backup"),
                    fetching,
                    role("recovery_point", "sweep"),
                    staged("backup", "ended"),
                ],
            ),
            (
                "localhost",
                [
                    {"ansible.builtin.set_fact": {"platform_summary": summary}},
                    *before_seal,
                    role("recovery_point", "seal"),
                    self.telling("sealed", "recovery_point_sealed"),
                ],
            ),
        ]

    def restore(self, tool: str | None, to_link: str | None = None) -> list[tuple[str, list[Task]]]:
        """The plays of a restore, as far as they matter here, on a machine that has an etcdutl in ``tool`` or none, and lacks a link of its data directory."""
        node = {
            "hostname": "cp1",
            "node_name": None,
            "clock_ahead_seconds": 0.0,
            "addresses": ["192.0.2.11"],
            "space": [],
            "units": {"containerd.service": {"active": "active"}},
            "images": [],
            "versions": {"kubelet": "1.34.1"},
            "etcdutl": {"source": "host", "version": "3.6.16", "path": "etcdutl"} if tool else None,
            "etcd": {"to_link": to_link},
            "obstacles": {subject: {"in_the_way": False, "found": "", "remedy": ""} for subject in ("etcd_directories", "etcd_log")},
        }
        plan = {
            "source": "recovery_point",
            "strategy": "rebuild_cluster",
            "token": TOKEN,
            "bump_revision": 1000,
            "initial_cluster": {"cp1": self.urls[0]},
            **{f"{kind}_hosts": [] for kind in ("file", "stop", "admin", "member", "worker", "verify")},
            "etcd_hosts": ["cp1"],
            "survivor": "",
        }
        assigned = self.assigned(needs_tool=not tool, cp1=["changes", "prepare", "record", "verify", "control_plane"])
        facts = {"platform_node": node, "platform_address": "192.0.2.11", "platform_components": ["etcd"]}
        return [
            ("localhost", [role("recovery_point", "verify"), {"ansible.builtin.set_fact": {"platform_plan": plan}}, assigned]),
            (
                "cp1",
                [
                    {"ansible.builtin.set_fact": facts},
                    role("platform", "preflight", platform_purpose="restore", platform_versions_may_differ=True),
                    staged("preflight", "ended"),
                    role("platform", "sort"),
                    staged("prepare", "started"),
                    role("etcd", "prepare"),
                    self.telling("restored", "etcd_restored"),
                    role("recovery_point", "sweep"),
                    staged("prepare", "ended"),
                ],
            ),
        ]


@pytest.fixture
def scene(stage: Stage, binaries: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A running etcd with something in it; PATH has no etcdutl, but for a test that puts one into the first directory."""
    stage.__class__ = Scene
    assert isinstance(stage, Scene)
    peer, client = free_ports()
    stage.urls = (f"http://127.0.0.1:{peer}", f"http://127.0.0.1:{client}")
    stage.settings()
    (stage.directory / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{stage.directory / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with etcd(binaries, stage.directory / "etcd", "cp1", peer, client) as server:
        server.ctl("put", "/registry/namespaces/shop", "one")
        server.ctl("put", "/registry/namespaces/kube-system", json.dumps({"metadata": {"uid": UID}}))
        stage.server = server
        yield stage


def test_a_machine_without_an_etcdutl_gets_the_one_of_the_point(scene: Scene, binaries: Path) -> None:
    tool = scene.directory / "bin" / "etcdutl"
    shutil.copy(binaries / "etcdutl", tool)
    done = scene.play(*scene.backup())
    assert done.returncode == 0, done.stdout
    manifest = scene.told("sealed")["manifest"]
    assert [artifact["name"] for artifact in manifest["artifacts"]] == [*KIT[:1], "etcd/snapshot.db.zst.age", *KIT[1:], "pki/cp1.tar.zst.age", TOOL]
    checks = scene.checks()
    assert (checks["etcd.tool_kept"]["passed"], checks["etcd.tool_kept"]["found"]) == (True, f"etcdutl {release(binaries)} of the host")
    assert checks["recovery_point.kit"]["passed"] is True
    assert {entry["id"] for entry in manifest["checks"]} >= {"etcd.snapshot_whole", "etcd.tool_kept", "recovery_point.recipients"}
    assert sorted(manifest["durations"]) == ["backup", "open"]
    assert not list(Path("/var/tmp").glob("lifeboat-*/etcdutl"))

    tool.unlink()
    done = scene.play(*scene.restore(None))
    assert done.returncode == 0, done.stdout
    assert scene.checks()["platform.etcdutl"]["found"] == "the one in the recovery point"
    restored = scene.told("restored")["restore"]
    assert (restored["etcdutl_source"], restored["etcdutl_version"]) == ("shipped", release(binaries))
    assert (scene.directory / "restored" / f".lifeboat-restore-{TOKEN}" / "member" / "snap" / "db").exists()


def test_a_machine_with_its_own_gets_none(scene: Scene, binaries: Path) -> None:
    shutil.copy(binaries / "etcdutl", scene.directory / "bin" / "etcdutl")
    assert scene.play(*scene.backup()).returncode == 0
    disk = scene.directory / "disk" / "etcd"
    (scene.directory / "restored").mkdir()
    done = scene.play(*scene.restore("host", str(disk)))
    assert done.returncode == 0, done.stdout
    # An empty directory made room for the link that the recovery point tells of.
    assert (scene.directory / "restored").readlink() == disk
    assert (disk / f".lifeboat-restore-{TOKEN}" / "member" / "snap" / "db").exists()
    assert scene.checks()["platform.etcdutl"]["found"] == "3.6.16 of the host (etcdutl)"
    assert scene.told("restored")["restore"]["etcdutl_source"] == "host"


def test_a_cluster_without_an_etcdutl_is_backed_up_and_preflight_says_so(scene: Scene) -> None:
    """A warning at the backup, which is complete; a failed check, before anything is touched, where it would be needed."""
    done = scene.play(*scene.backup())
    assert done.returncode == 0, done.stdout
    check = scene.checks()["etcd.tool_kept"]
    assert (check["passed"], check["severity"]) == (False, "warning")
    assert "no etcdutl that can restore was found on this host: " in check["found"]
    sealed = scene.told("sealed")["manifest"]
    assert sealed["status"] == "completed"
    assert TOOL not in [artifact["name"] for artifact in sealed["artifacts"]]
    done = scene.play(*scene.restore(None))
    assert done.returncode != 0
    check = scene.checks()["platform.etcdutl"]
    assert (check["passed"], check["found"]) == (False, "none on the machine, no etcd image, none in the recovery point")
    assert not (scene.directory / "restored").exists()


def test_aids_that_cannot_be_added_are_a_warning(scene: Scene) -> None:
    """Something lies under the inventory's name already: the point is sealed without it, and says so."""
    occupied = f"{scene.root}/{names.points_prefix(CLUSTER)}{{{{ recovery_point_opened.id }}}}/artifacts/inventory"
    occupying: list[Task] = [
        {"ansible.builtin.file": {"path": occupied, "state": "directory", "mode": "0700"}},
        {"ansible.builtin.copy": {"dest": f"{occupied}/inventory.json.zst.age", "content": "x", "mode": "0600"}},
    ]
    done = scene.play(*scene.backup(*occupying))
    assert done.returncode == 0, done.stdout
    check = scene.checks()["recovery_point.kit"]
    assert (check["passed"], check["severity"]) == (False, "warning")
    assert check["found"].startswith("inventory/inventory.json.zst.age: inventory/inventory.json.zst.age exists already in recovery point")
    assert KIT[0] in [artifact["name"] for artifact in scene.told("sealed")["manifest"]["artifacts"]]


def test_two_backups_at_once_make_two_good_points(scene: Scene, binaries: Path) -> None:
    shutil.copy(binaries / "etcdutl", scene.directory / "bin" / "etcdutl")
    command = scene.command(scene.backup())
    output = scene.directory / "output.txt"
    with output.open("wb") as stream:
        runs = [
            subprocess.Popen(command, cwd=scene.directory, env=scene.environment(), stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT)
            for _number in range(2)
        ]
        ended = [run.wait(LIMIT_SECONDS) for run in runs]
    assert ended == [0, 0], output.read_text()
    found = scene.catalog().points
    assert [point.state for point in found] == ["complete", "complete"]
    for point in found:
        assert point.manifest is not None
        verified = verify_point(scene.location, point.manifest, "opened", [str(scene.keys.identity_file)])
        assert verified.passed, verified.checks
    assert not scene.plain_files()


def test_a_backup_of_another_cluster_under_the_name_is_refused_before_anything_is_taken(scene: Scene) -> None:
    first = scene.point().cluster_identity.kube_system_uid
    speaking: list[Task] = [
        {"ansible.builtin.group_by": {"key": "lifeboat_speaker"}},
        {"ansible.builtin.set_fact": {"node_cluster": {"cluster": {"kube_system_uid": UID}}}},
    ]
    before = scene.points()
    done = scene.play(("cp1", speaking), *scene.backup())
    assert done.returncode != 0
    assert "Another cluster is backed up under the name shop already" in done.stdout
    assert f"-e lifeboat_replaces={first}" in " ".join(done.stdout.split())
    assert scene.points() == before
    done = scene.play(("cp1", speaking), *scene.backup(), arguments=("-e", f"lifeboat_replaces={first}"))
    assert done.returncode == 0, done.stdout
