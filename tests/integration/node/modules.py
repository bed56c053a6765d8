# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one module of the collection through Ansible and read its results by host."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests import environment

_ANSWER = re.compile(r"^(\S+) \| ([A-Z]+)!? => (\{.*?^\})", re.MULTILINE | re.DOTALL)


def ansible() -> str:
    """The program beside the interpreter that runs the tests."""
    beside = Path(sys.executable).with_name("ansible")
    return str(beside) if beside.exists() else shutil.which("ansible") or "ansible"


def kubeadm_facts() -> dict[str, Any]:
    """The facts that the collection ships for kubeadm, for workers that are no members of etcd, as the role platform publishes them."""
    facts: dict[str, Any] = yaml.safe_load((environment.ROOT / "roles/platform/files/kubeadm.yml").read_text())
    for order in ("start", "stop"):
        facts[order]["workers"] = [["kubelet"]]
    return facts


@dataclass
class Results:
    """What a module answered on each host."""

    by_host: dict[str, dict[str, Any]]
    failed: dict[str, str]
    output: str

    def __getitem__(self, host: str) -> dict[str, Any]:
        assert host in self.by_host, self.output
        return self.by_host[host]

    def __iter__(self) -> Any:
        return iter(self.by_host.items())


class Modules:
    """Modules on the hosts of an inventory."""

    def __init__(self, inventory: Path | str) -> None:
        self.inventory = str(inventory)

    def begin(self, hosts: str, module: str, *options: str, **arguments: Any) -> subprocess.Popen[str]:
        """Set a module off."""
        command = [ansible(), "-i", self.inventory, hosts, "-m", f"lifeboat.cluster.{module}", "-a", json.dumps(arguments), *options]
        # sudo looks the host's own name up; without DNS that takes longer than Ansible waits by default.
        variables = dict(os.environ, ANSIBLE_TIMEOUT="120", ANSIBLE_PIPELINING="1", ANSIBLE_NOCOLOR="1")
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables)

    @staticmethod
    def end(process: subprocess.Popen[str]) -> Results:
        """Wait for it and read what it said."""
        output, _nothing = process.communicate(timeout=600)
        results = Results({}, {}, output)
        for found in _ANSWER.finditer(output):
            host, verdict, document = found.group(1), found.group(2), json.loads(found.group(3))
            if verdict in ("FAILED", "UNREACHABLE"):
                results.failed[host] = str(document.get("msg", ""))
            else:
                results.by_host[host] = document
        return results

    def try_(self, hosts: str, module: str, *options: str, **arguments: Any) -> Results:
        """Run a module that may fail."""
        return self.end(self.begin(hosts, module, *options, **arguments))

    def run(self, hosts: str, module: str, *options: str, **arguments: Any) -> Results:
        """Run a module that must not fail."""
        results = self.try_(hosts, module, *options, **arguments)
        assert not results.failed, results.output
        assert results.by_host, results.output
        return results
