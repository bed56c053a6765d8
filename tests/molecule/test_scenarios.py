# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run every molecule scenario on the nodes of a lab.

A scenario is a directory here with a molecule.yml. Those on the same topology share a lab, and there is never more than one lab. Molecule is
content with an inventory that matches no host, so the sizes of the groups and the hosts of each recap are checked here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import environment

HERE = Path(__file__).resolve().parent
LAB = environment.lab_name("molecule")
# By topology, how many machines there have to be in each group.
GROUP_SIZES = {
    "single": {"admin": 0, "control_plane": 1, "etcd": 1, "workers": 0},
    "caasp": {"admin": 1, "control_plane": 2, "etcd": 3, "workers": 2},
}
# Scenarios of the admin node's components; all others need no more than one machine.
ADMIN_NODE = ("directory", "salt_master", "velum_database")
SCENARIOS = sorted(("caasp" if path.parent.name in ADMIN_NODE else "single", path.parent.name) for path in HERE.glob("*/molecule.yml"))


def run(command: list[str], repository: Path, variables: dict[str, str], limit_seconds: int) -> str:
    """Run a program in the checkout; fail with what it said."""
    result = subprocess.run(
        command,
        cwd=repository,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        timeout=limit_seconds,
    )
    if result.returncode:
        pytest.fail(f"{' '.join(command)} ended with status {result.returncode}:\n{result.stdout[-20_000:]}", pytrace=False)
    return result.stdout


@dataclass
class SharedLab:
    """The lab of all scenarios of a topology: the process environment that points molecule at it, and whether its nodes are no longer fresh."""

    variables: dict[str, str]
    used: bool = False


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedLab]:
    """One lab for all scenarios of a topology."""
    topology: str = request.param
    lab_command = [sys.executable, "-m", "tests.lab"]
    inventory = repository / "build" / "lab" / LAB / "inventory"
    variables_file = write_variables(tmp_path_factory.mktemp("molecule"))
    variables = {
        **os.environ,
        "LIFEBOAT_INVENTORY": str(inventory),
        "LIFEBOAT_VARIABLES": str(variables_file),
        "MOLECULE_GLOB": str(HERE / "*" / "molecule.yml"),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(repository / "build" / "test" / "molecule"),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
    }
    run([*lab_command, "up", topology, "--name", LAB], repository, variables, 1200)
    try:
        listing = json.loads(subprocess.run(["ansible-inventory", "-i", inventory, "--list"], env=variables, capture_output=True, check=True).stdout)
        graph = {group: hosts_of(group, listing) for group in GROUP_SIZES[topology]}
        assert {group: len(hosts) for group, hosts in graph.items()} == GROUP_SIZES[topology]
        yield SharedLab(variables)
    finally:
        run([*lab_command, "down", LAB], repository, variables, 600)


def write_variables(directory: Path) -> Path:
    """Keys, an empty location, and the variables that name them."""
    keys = directory / "keys"
    location = directory / "location"
    keys.mkdir()
    location.mkdir()
    subprocess.run(["age-keygen", "-o", keys / "age.key"], check=True, capture_output=True)
    recipient = subprocess.run(["age-keygen", "-y", keys / "age.key"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / "signing"], check=True)
    (keys / "allowed_signers").write_text(f"backup {(keys / 'signing.pub').read_text()}", encoding="utf-8")
    path = directory / "variables.json"
    variables = {
        "lifeboat_location": {"type": "directory", "path": str(location)},
        "lifeboat_recipients": [recipient],
        "lifeboat_identity_files": [str(keys / "age.key")],
        "lifeboat_signing_key": str(keys / "signing"),
        "lifeboat_allowed_signers": str(keys / "allowed_signers"),
        "lifeboat_runs_directory": str(directory / "runs"),
    }
    path.write_text(json.dumps(variables), encoding="utf-8")
    return path


def hosts_of(group: str, listing: dict[str, dict[str, list[str]]]) -> set[str]:
    """Hosts of a group and of its children."""
    details = listing.get(group, {})
    return set(details.get("hosts", [])).union(*(hosts_of(child, listing) for child in details.get("children", [])))


# Without the scope, each test would get a lab of its own.
@pytest.mark.parametrize(("lab", "scenario"), SCENARIOS, indirect=["lab"], scope="module")
def test_scenario(scenario: str, lab: SharedLab, repository: Path) -> None:
    """Molecule runs the scenario's sequence on fresh nodes, and each of its playbooks did something on some host."""
    if lab.used:
        run([sys.executable, "-m", "tests.lab", "reset", LAB], repository, lab.variables, 600)
    lab.used = True
    said = run(["molecule", "-c", str(HERE / "config.yml"), "test", "--scenario-name", scenario, "--destroy=never"], repository, lab.variables, 1200)
    recaps = re.split(r"^PLAY RECAP \*+$", said, flags=re.MULTILINE)[1:]
    assert recaps, f"molecule ran no playbook:\n{said}"
    for recap in recaps:
        assert re.match(r"\s*\S+\s+: ok=[1-9]", recap), f"a playbook ran on no host:\n{said}"
