# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory with an inventory of several local hosts, in which tests run real playbooks and read what they left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from tests.integration import playbooks

INVENTORY = """
[control_plane]
cp1
cp2
[workers]
w1
[spare]
[all:vars]
ansible_connection=local
ansible_python_interpreter={python}
lifeboat_cluster_name=prod-1
lifeboat_runs_directory={runs}
"""

BEGIN = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: lifeboat.cluster.report, tasks_from: begin}
      vars: {report_playbook: try_it, report_title: A try}
"""

FINISH = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: lifeboat.cluster.report, tasks_from: finish}
"""


class Playground:
    """Runs playbooks in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runs = directory / "runs"
        self.inventory = directory / "hosts"
        self.inventory.write_text(INVENTORY.format(python=sys.executable, runs=self.runs))

    def command(self, playbook: str, *arguments: str) -> list[str]:
        """The command line for a playbook given as text."""
        path = self.directory / "play.yml"
        path.write_text(playbook)
        return [playbooks.PROGRAM, "--inventory", str(self.inventory), str(path), *arguments]

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of Ansible."""
        return playbooks.environment(self.directory, ANSIBLE_SHOW_CUSTOM_STATS="true", **more)

    def play(self, playbook: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook to its end."""
        return playbooks.run(self.command(playbook, *arguments), self.directory, self.variables(**variables))

    def run_directories(self) -> list[Path]:
        """The runs, oldest first."""
        return sorted((path.parent for path in self.runs.glob("*/journal")), key=lambda path: (path / "salt").stat().st_mtime_ns)

    def records(self, kind: str = "") -> list[dict[str, Any]]:
        """The journal of the last run."""
        return [record for record in Journal(str(self.run_directories()[-1])).read() if not kind or record["kind"] == kind]

    def report(self, run: Path | None = None) -> dict[str, Any]:
        """The report of a run, or of the last one, as it was rendered in the end."""
        found: dict[str, Any] = json.loads(((run or self.run_directories()[-1]) / "report.json").read_text())
        return found

    def checks(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The checks of the last run by id and host."""
        return {(record["id"], record["host"]): record for record in self.records("check")}
