# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role platform says of a machine before a backup: with real files, in a mount namespace that has them where a cluster's machine has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.record import utc
from tests.integration.etcd.servers import wait_for
from tests.integration.evidence.playground import BEGIN, Playground
from tests.ports import free_port

PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
RECORD = {"point": "p1", "cluster_name": "prod-1", "restore_id": "r1-abc", "phase": "begun", "playbook": "recover_cluster", "updated_at": utc()}
LOCK = {"owner": {"run_id": "r7", "controller": "ops1", "user": "ops", "pid": 7}, "purpose": "recover_cluster", "taken_at": utc(), "heartbeat_at": utc()}
# systemctl, as far as a look asks it: one unit, whose main process is in a file.
SYSTEMCTL = """#!/bin/sh
pid=$(cat {directory}/etcd.pid 2>/dev/null || echo 0)
echo "Id=etcd.service\nNames=etcd.service\nLoadState=loaded\nActiveState=active\nSubState=running\nMainPID=$pid\nNRestarts=0\nNeedDaemonReload=no\n"
"""


def role(tasks_from: str, **variables: Any) -> dict[str, Any]:
    return {"ansible.builtin.include_role": {"name": "lifeboat.cluster.platform", "tasks_from": tasks_from}, "vars": variables}


class Machines(Playground):
    """Two control planes: this machine twice, each with directories of its own."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        own = f"{directory}/{{{{ inventory_hostname }}}}"
        overrides = {
            "etcd": {"data_dir": f"{own}/etcd", "ca_cert": f"{own}/none.crt"},
            "manifests_dir": f"{own}/manifests",
            "manifests_parking": f"{own}/parking",
            "runtime": {"unit": "", "crictl": "no-such-crictl", "endpoint": f"unix://{directory}/none.sock"},
            "identity": {"ca_certs": [f"{own}/ca.crt"], "front_proxy_ca_cert": f"{own}/none.crt", "service_account_public_key": f"{own}/none.pub"},
            "pki": {"files": [{"path": f"{own}/ca.crt", "required": True, "why": "a test"}], "certificates": []},
            "node_config": {"files": [{"path": f"{own}/manifests", "required": True, "why": "a test"}], "certificates": []},
            "services": {"etcd": {"kind": "unit", "unit": "etcd.service"}, "kubelet": {"kind": "none"}},
            "start": {"control_plane": [["etcd"], list(PODS[1:])]},
            "stop": {"control_plane": [list(PODS)]},
            "space_paths": ["/"],
        }
        hosts = {name: {"ansible_connection": "local", "ansible_python_interpreter": sys.executable} for name in ("cp1", "cp2")}
        groups = {name: {"hosts": dict.fromkeys(hosts, {})} for name in ("control_plane", "etcd")}
        settings = {"lifeboat_cluster_name": "prod-1", "lifeboat_runs_directory": str(self.runs), "lifeboat_platform_overrides": overrides}
        self.inventory = directory / "hosts.yml"
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "children": groups, "vars": settings}}))
        (directory / "bin").mkdir()
        (directory / "bin" / "systemctl").write_text(SYSTEMCTL.format(directory=directory))
        (directory / "bin" / "systemctl").chmod(0o755)
        self.state = directory / "state"
        self.state.mkdir()
        for name in hosts:
            for below in ("manifests", "parking", "etcd/member/snap"):
                (directory / name / below).mkdir(parents=True)
            (directory / name / "etcd/member/snap/db").touch()
            for pod in PODS[1:]:
                (directory / name / "manifests" / f"{pod}.yaml").write_text("kind: Pod\n")

    def command(self, playbook: str, *arguments: str) -> list[str]:
        """With directories of their own for what lies at fixed places, and a disk of its own for the data of cp1."""
        data = self.directory / "cp1" / "etcd"
        mounts = f"mkdir -p /var/lib/lifeboat && mount --bind {self.state} /var/lib/lifeboat && mount --bind {data} {data}"
        script = f'{mounts} && exec env PATH="{self.directory / "bin"}{os.pathsep}$PATH" "$@"'
        return ["unshare", "--mount", "sh", "-c", script, "sh", *super().command(playbook, *arguments)]

    def preflight(self, *after: dict[str, Any], scope: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """As backup_cluster does it, with variables of the environment."""
        look = [role("publish"), role("discover", platform_unreachable_severity="warning", platform_scope=scope)]
        copied = {"content": "{{ platform_at | to_json }}", "dest": f"{self.directory}/{{{{ inventory_hostname }}}}.json", "mode": "0600"}
        at = {"ansible.builtin.copy": copied}
        plays = [
            {"hosts": "control_plane", "gather_facts": False, "any_errors_fatal": True, "tasks": [*look, at]},
            {"hosts": "lifeboat_wanted", "gather_facts": False, "any_errors_fatal": True, "tasks": [role("preflight", platform_purpose="backup"), *after]},
        ]
        return self.play(BEGIN + yaml.safe_dump(plays, width=10_000), **variables)

    def interpreter(self, host: str, script: str, **settings: Any) -> None:
        """Python runs on one machine in a shell script of its own; further settings of that machine."""
        path = self.directory / host / "python"
        path.write_text(f'#!/bin/sh\n{script} "$@"\n')
        path.chmod(0o755)
        inventory = yaml.safe_load(self.inventory.read_text())
        inventory["all"]["hosts"][host].update(settings, ansible_python_interpreter=str(path))
        self.inventory.write_text(yaml.safe_dump(inventory))

    def not_met(self) -> set[tuple[str, str]]:
        """Checks of the last run that were not met."""
        return {key for key, record in self.checks().items() if not record["passed"]}

    @contextmanager
    def etcd(self, binaries: Path, *arguments: str, **variables: str) -> Iterator[None]:
        """A real one, which systemd says it has started."""
        client, peer = (f"http://127.0.0.1:{free_port()}" for _number in range(2))
        urls = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command = [str(binaries / "etcd"), *urls, "--initial-cluster", f"default={peer}", "--log-level=error", *arguments]
        with subprocess.Popen(command, cwd=self.directory, env={**os.environ, **variables}) as process:
            try:
                (self.directory / "etcd.pid").write_text(str(process.pid))
                yield
            finally:
                (self.directory / "etcd.pid").unlink()
                process.kill()


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path)


def test_a_quiet_machine_may_be_backed_up_and_tells_where_its_data_are(machines: Machines) -> None:
    done = machines.preflight()
    assert done.returncode == 0, done.stdout
    assert machines.not_met() == set()
    first, second = (json.loads((machines.directory / f"{name}.json").read_text()) for name in ("cp1", "cp2"))
    assert (first["etcd_data_mount"], second["etcd_data_mount"]) == (True, False)
    assert {"name", "address", "addresses", "etcd_data_dir", "etcd_wal_dir"} <= set(first)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "America/New_York"])
def test_the_controller_may_be_in_any_time_zone(machines: Machines, zone: str) -> None:
    """A time without a zone was read as a local one: every machine was hours off."""
    done = machines.preflight(TZ=zone)
    assert done.returncode == 0, done.stdout
    assert {machines.checks()["platform.clock", name]["found"] for name in ("cp1", "cp2")} == {"0.0 s ahead of the controller"}


def test_a_machine_that_answers_late_makes_no_clock_wrong(machines: Machines) -> None:
    """Neither its own nor those of the machines that wait for it."""
    machines.interpreter("cp2", f"sleep 4; exec {sys.executable}")
    done = machines.preflight()
    assert done.returncode == 0, done.stdout
    assert {machines.checks()["platform.clock", name]["found"] for name in ("cp1", "cp2")} == {"0.0 s ahead of the controller"}


@pytest.mark.parametrize(("shift", "word"), [("+100s", "ahead of"), ("-100s", "behind")])
def test_a_clock_that_is_wrong_is_found(machines: Machines, shift: str, word: str) -> None:
    machines.interpreter("cp2", f"exec faketime -m -f {shift} {sys.executable}")
    done = machines.preflight()
    assert done.returncode != 0, done.stdout
    assert machines.not_met() == {("platform.clock", "cp2")}
    seconds, _space, rest = machines.checks()["platform.clock", "cp2"]["found"].partition(" ")
    assert 60 < float(seconds) <= 101
    assert rest == f"s {word} the controller"


def test_a_machine_in_the_middle_of_a_recovery_is_refused(machines: Machines) -> None:
    """Case 6: it was captured without a word, with the manifests that happened to be there."""
    (machines.state / "restore.json").write_text(json.dumps(RECORD))
    (machines.state / "lock.json").write_text(json.dumps({**LOCK, "heartbeat_at": utc(time.time())}))
    first = machines.directory / "cp1"
    (first / "manifests" / "kube-scheduler.yaml").rename(first / "parking" / "kube-scheduler.yaml")
    done = machines.preflight()
    assert done.returncode != 0, done.stdout
    checks = machines.checks()
    both = {(name, host) for name in ("platform.no_recovery", "platform.not_locked") for host in ("cp1", "cp2")}
    assert machines.not_met() == both | {("platform.nothing_parked", "cp1"), ("platform.manifests_there", "cp1")}
    assert all(checks[key]["severity"] == "error" for key in machines.not_met())
    assert "lifeboat_give_up=r1-abc" in checks["platform.no_recovery", "cp1"]["remedy"]
    assert "run r7 of ops on controller ops1" in checks["platform.not_locked", "cp1"]["found"]
    assert checks["platform.nothing_parked", "cp1"]["found"] == str(first / "parking" / "kube-scheduler.yaml")
    assert str(first / "manifests" / "kube-scheduler.yaml") in checks["platform.manifests_there", "cp1"]["found"]

    # A backup of a part looks at its machines alone; what lies on both here is taken away.
    for path in machines.state.iterdir():
        path.unlink()
    done = machines.preflight(scope="cp2")
    assert done.returncode == 0, done.stdout
    assert ("platform.nothing_parked", "cp2") in machines.checks()
    assert ("platform.nothing_parked", "cp1") not in machines.checks()


def test_a_stale_lock_is_a_warning_and_a_broken_one_an_error(machines: Machines) -> None:
    (machines.state / "lock.json").write_text(json.dumps({**LOCK, "heartbeat_at": "2020-01-01T00:00:00Z"}))
    done = machines.preflight()
    assert done.returncode == 0, done.stdout
    assert machines.checks()["platform.not_locked", "cp1"]["severity"] == "warning"
    assert machines.not_met() == {("platform.not_locked", "cp1"), ("platform.not_locked", "cp2")}
    (machines.state / "lock.json").write_text("{ half a lo")
    done = machines.preflight()
    assert done.returncode != 0, done.stdout
    assert {("platform.not_locked", "cp1"), ("platform.probes", "cp1")} <= machines.not_met()


def test_a_recovery_that_begins_during_the_backup_is_seen_at_its_end(machines: Machines) -> None:
    lock = {"ansible.builtin.copy": {"content": json.dumps({**LOCK, "heartbeat_at": "{{ now(utc=true).strftime('%Y-%m-%dT%H:%M:%SZ') }}"})}}
    lock["ansible.builtin.copy"].update(dest="/var/lib/lifeboat/lock.json", mode="0600")
    done = machines.preflight(lock, role("unchanged"))
    assert done.returncode != 0, done.stdout
    assert machines.not_met() == {("platform.no_recovery_began", "cp1"), ("platform.no_recovery_began", "cp2")}


@pytest.mark.parametrize(
    ("arguments", "variables", "refused"),
    [
        (["--data-dir={own}/etcd"], {}, ""),
        # The link leads to the same directory.
        ([], {"ETCD_DATA_DIR": "{own}/link"}, ""),
        (["--data-dir={own}/other"], {}, "{{etcd: {{data_dir: {own}/other}}}}"),
        ([], {"ETCD_DATA_DIR": "{own}/other"}, "{{etcd: {{data_dir: {own}/other}}}}"),
        # Of which a snapshot can be taken all the same.
        (["--data-dir={own}/etcd", "--wal-dir={own}/log"], {}, ""),
    ],
)
def test_a_real_etcd_that_works_elsewhere_is_refused(machines: Machines, binaries: Path, arguments: list[str], variables: dict[str, str], refused: str) -> None:
    """Case 11: etcd answers and the backup is verified, and the restore would go where nobody reads it."""
    own = machines.directory / "cp1"
    # What etcd finds has to be its own.
    (own / "etcd/member/snap/db").unlink()
    (own / "link").symlink_to("etcd")
    with machines.etcd(binaries, *(word.format(own=own) for word in arguments), **{name: value.format(own=own) for name, value in variables.items()}):
        logs = {"link": own / "etcd", "other": own / "other"}
        words = " ".join([*arguments, *variables.values()])
        wal = own / "log" if "--wal-dir" in words else next((path for name, path in logs.items() if name in words), own / "etcd") / "member/wal"
        wait_for("etcd has begun its log", lambda: list(wal.glob("*.wal")))
        done = machines.preflight(scope="cp1")
    checks = machines.checks()
    check = checks["platform.etcd_directories", "cp1"]
    assert check["passed"] is (not refused), check
    assert (done.returncode == 0) is (not refused), done.stdout
    assert refused.format(own=own) in check["remedy"]
    log = checks["platform.etcd_log", "cp1"]
    assert (log["passed"], log["severity"]) == ("--wal-dir" not in words, "warning")
    assert log["passed"] or f"{own}/etcd/member/wal" in log["remedy"]
    at = json.loads((machines.directory / "cp1.json").read_text())
    assert at["etcd_data_dir"] in (f"{own}/etcd", f"{own}/link", f"{own}/other")
    assert at["etcd_data_link"] == (f"{own}/etcd" if at["etcd_data_dir"] == f"{own}/link" else None)
    assert at["etcd_wal_dir"] == (f"{own}/log" if "--wal-dir" in words else None)
