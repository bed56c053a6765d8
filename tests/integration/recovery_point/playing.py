# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs real playbooks that make and use recovery points."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.names import points_prefix
from tests.integration import playbooks
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys, Maker

NOBODY = 65534
Task = dict[str, Any]


def role(name: str, verb: str, **variables: Any) -> Task:
    """One verb of one role."""
    return {"ansible.builtin.include_role": {"name": f"lifeboat.cluster.{name}", "tasks_from": verb}, "vars": variables}


def staged(name: str, state: str) -> Task:
    """One end of a stage."""
    return {"lifeboat.cluster.stage": {"name": name, "state": state}}


class Stage(Maker):
    """A location with hosts: cp1 and w1 are this machine, other is this machine as nobody."""

    def __init__(self, directory: Path, other: Path, keys: Keys) -> None:
        super().__init__(directory, keys)
        self.directory = directory
        self.runs = directory / "runs"
        self.hosts = {"cp1": directory / "cp1", "w1": directory / "w1", "other": other}
        for path in self.hosts.values():
            path.mkdir(mode=0o700, exist_ok=True)
        os.chown(other, NOBODY, NOBODY)
        inventory: dict[str, Any] = {
            "all": {
                "vars": {"lifeboat_cluster_name": CLUSTER, "lifeboat_runs_directory": str(self.runs)},
                "hosts": {
                    "cp1": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
                    "w1": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
                    "other": {"ansible_connection": "login_user", "ansible_python_interpreter": "/usr/bin/python3", "ansible_pipelining": True},
                },
            }
        }
        (directory / "hosts.yml").write_text(json.dumps(inventory))

    # -- files on hosts ----------------------------------------------------------------------------------------------------------------

    def put(self, host: str, name: str, content: bytes) -> Path:
        """A file in the private directory of a host's login user."""
        path = self.hosts[host] / name
        path.write_bytes(content)
        path.chmod(0o600)
        if host == "other":
            os.chown(path, NOBODY, NOBODY)
        return path

    # -- tasks -------------------------------------------------------------------------------------------------------------------------

    def options(self, **more: Any) -> dict[str, Any]:
        """What every module of this part is told."""
        return {"location": {"path": str(self.root)}, "cluster_name": CLUSTER, **more}

    def opening(self) -> Task:
        """Open a point."""
        return {"lifeboat.cluster.recovery_point": self.options(state="opened", run_id="{{ run.run.id }}"), "register": "opened"}

    def fetching(self, source: Path, component: str, **more: Any) -> Task:
        """Fetch a file into the point."""
        options = {"point": "{{ hostvars.localhost.opened.id }}", "component": component, "source": str(source), "recipients": [self.keys.recipient], **more}
        return {"lifeboat.cluster.artifact_fetch": self.options(**options), "register": "fetched"}

    def noting(self) -> Task:
        """Keep the record of what was fetched."""
        return {"ansible.builtin.set_fact": {"artifacts": "{{ artifacts | default([]) + [fetched.artifact] }}"}}

    def sealing(self, **more: Any) -> Task:
        """Seal the point with what all hosts fetched."""
        records = "{{ groups['all'] | map('extract', hostvars) | selectattr('artifacts', 'defined') | map(attribute='artifacts') | flatten }}"
        options = {
            "state": "sealed",
            "id": "{{ opened.id }}",
            "artifacts": records,
            "recipients": [self.keys.recipient],
            "signing_key": str(self.keys.signing_key),
            "allowed_signers": str(self.keys.allowed_signers),
            "run_directory": "{{ run.run.directory }}",
            **more,
        }
        return {"lifeboat.cluster.recovery_point": self.options(**options), "register": "sealed"}

    def pushing(self, artifact: str, destination: Path, **more: Any) -> Task:
        """Bring an artifact to a host."""
        options = {
            "point": "{{ hostvars.localhost.opened.id }}",
            "artifact": artifact,
            "destination": str(destination),
            "identity_files": [str(self.keys.identity_file)],
            "allowed_signers": str(self.keys.allowed_signers),
            **more,
        }
        return {"lifeboat.cluster.artifact_push": self.options(**options), "register": "pushed"}

    def looking(self, **more: Any) -> Task:
        """Verify the newest point."""
        options = {
            "id": "latest",
            "level": "opened",
            "identity_files": [str(self.keys.identity_file)],
            "allowed_signers": str(self.keys.allowed_signers),
            "working_directory": "{{ run.run.directory }}",
            **more,
        }
        return {"lifeboat.cluster.recovery_point_info": self.options(**options), "register": "info"}

    def assigned(self, *, needs_tool: bool = False, **groups: list[str]) -> Task:
        """What a plan publishes on localhost, for hosts with these groups: the data of etcd are restored from the point that was verified."""
        etcd = "{{ recovery_point_chosen.manifest.artifacts | selectattr('component', 'eq', 'etcd') | map(attribute='%s') | first | default('') }}"
        every = {
            "given_up": [],
            "components": ["etcd"],
            "kept": [],
            "hosts_entries": {},
            "moved_words": {},
            "identity": "{{ recovery_point_chosen.manifest.cluster_identity }}",
            "snapshot_artifact": etcd % "name",
            "snapshot_sha256": etcd % "plain_sha256",
            "snapshot_revision": "{{ recovery_point_chosen.manifest.etcd.revision | default(0) | int }}",
            "tool_artifact": "{{ recovery_point_chosen.manifest.artifacts | map(attribute='name') | select('match', 'tools/') | first | default('') }}"
            if needs_tool
            else "",
            "member_names": "{{ recovery_point_chosen.manifest.etcd.names }}",
        }
        return {"ansible.builtin.set_fact": {"platform_assignments": {name: {**every, "groups": own} for name, own in groups.items()}}}

    # -- playbooks ---------------------------------------------------------------------------------------------------------------------

    def command(self, plays: list[tuple[str, list[Task]]], *arguments: str) -> list[str]:
        """The command line for plays given as (hosts, tasks); the first begins a run."""
        begin = {"lifeboat.cluster.run_begin": {"minimum_free_bytes": 0}, "register": "run"}
        written: list[dict[str, Any]] = [{"hosts": "localhost", "gather_facts": False, "tasks": [begin]}]
        written += [{"hosts": hosts, "gather_facts": False, "any_errors_fatal": True, "tasks": tasks} for hosts, tasks in plays]
        playbook = self.directory / "play.yml"
        playbook.write_text(yaml.safe_dump(written, sort_keys=False))
        return [playbooks.PROGRAM, "--inventory", str(self.directory / "hosts.yml"), str(playbook), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of Ansible."""
        fixed = {"ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).with_name("connection")), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}
        return playbooks.environment(self.directory, **fixed, **more)

    def play(self, *plays: tuple[str, list[Task]], arguments: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
        """Run plays to their end."""
        return playbooks.run(self.command(list(plays), *arguments), self.directory, self.environment(**variables))

    def told(self, name: str) -> Any:
        """What a task wrote with ``telling``."""
        return json.loads((self.directory / f"{name}.json").read_text())

    def telling(self, name: str, value: str) -> Task:
        """Write a value for the test to read."""
        content = "{{ %s | to_json }}" % value
        return {
            "ansible.builtin.copy": {"dest": str(self.directory / f"{name}.json"), "content": content, "mode": "0600"},
            "check_mode": False,
            "delegate_to": "localhost",
        }

    def checks(self) -> dict[str, dict[str, Any]]:
        """The checks of the newest run by id."""
        run = max(self.runs.iterdir(), key=lambda path: (path / "salt").stat().st_mtime_ns)
        return {record["id"]: record for record in Journal(str(run)).read() if record["kind"] == "check"}

    # -- what must not be there --------------------------------------------------------------------------------------------------------

    def plain_files(self) -> list[Path]:
        """Plain copies that lie about on the controller."""
        return sorted(self.runs.rglob("*.plain"))

    def points(self) -> list[str]:
        """Ids of all points."""
        return sorted(path.name for path in (self.root / points_prefix(CLUSTER)).iterdir())


def sha256(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
