# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's first five minutes, to the letter: its commands, in its order, in an empty home, from the collection as it is released.

What README marks with NEEDS_CLUSTER before a block is left out, and only commands that need machines or a recovery point may stand in such a block.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

from tests import environment
from tests.integration.controller import galaxy

README = environment.ROOT / "README.md"
SECTIONS = ("## Installation", "### Your own cluster in five minutes")
NEEDS_CLUSTER = "<!-- needs the cluster -->"
# Playbooks that reach machines, or that need a recovery point, which only machines give.
NEEDING = {
    "backup_cluster",
    "verify_recovery_point",
    "verify_recovery_points",
    "prove_recipients",
    "prune_recovery_points",
    "report_readiness",
    "recover_cluster",
}
LIMIT_SECONDS = 240


class Block(NamedTuple):
    """A block of commands in README."""

    commands: list[str]
    needs_cluster: bool


def blocks() -> list[Block]:
    """The blocks of the two sections, in their order."""
    text = README.read_text()
    found = []
    for section in SECTIONS:
        assert text.count(f"\n{section}\n") == 1
        level = section.split(" ", 1)[0]
        body = re.split(rf"\n#{{2,{len(level)}}} ", text.split(f"\n{section}\n", 1)[1])[0]
        for before, indent, code in re.findall(r"([^\n]*)\n( *)```sh\n(.*?)\n *```", body, flags=re.DOTALL):
            commands = [line.removeprefix(indent) for line in code.splitlines()]
            found.append(Block(commands, before.strip() == NEEDS_CLUSTER))
    return found


def playbook_of(command: str) -> str:
    """The playbook of the collection that a command runs; nothing for other commands."""
    found = re.search(r"^ansible-playbook .*?\blifeboat\.cluster\.(\w+)", command)
    return found.group(1) if found else ""


def test_only_what_needs_the_cluster_is_left_out() -> None:
    """The rule of this test: each marked block is all about machines and recovery points but for lists, and no other block has anything of that."""
    found = blocks()
    assert len(found) == README.read_text().count(NEEDS_CLUSTER) + 3
    for block in found:
        names = [playbook_of(command) for command in block.commands]
        if block.needs_cluster:
            assert set(names) - {"list_recovery_points"} <= NEEDING, names
            assert NEEDING & set(names), names
        else:
            assert not NEEDING & set(names), names
    assert {playbook_of(command) for block in found for command in block.commands} >= {"prepare_controller", "list_recovery_points", *NEEDING}


def test_the_first_five_minutes(tmp_path: Path) -> None:
    """From the tarball to a directory in which everything fits, and to the list of its recovery points."""
    copy = environment.copy_collection(tmp_path / "source")
    programs = Path(sys.executable).parent
    subprocess.run([programs / "ansible-galaxy", "collection", "build", "--output-path", tmp_path], cwd=copy, check=True, capture_output=True)
    (artifact,) = tmp_path.glob("lifeboat-cluster-*.tar.gz")
    assert f"`ansible-galaxy collection install ./{artifact.name}`" in README.read_text()
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "srv").mkdir()

    commands = [command for block in blocks() if not block.needs_cluster for command in block.commands]
    # Its own /srv, which nobody else sees; what is installed stays as it is.
    script = "\n".join([f"mount --bind {shlex.quote(str(tmp_path / 'srv'))} /srv", "cd", "set -x", *commands])
    with galaxy.serve(artifact) as address:
        variables = {
            "HOME": str(home),
            "PATH": f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "PIP_NO_INDEX": "true",
            "PIP_ROOT_USER_ACTION": "ignore",
            "ANSIBLE_GALAXY_SERVER": address,
        }
        done = subprocess.run(
            ["unshare", "--mount", "bash", "-eu", "-c", script],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert "lifeboat.cluster:" in done.stdout
    assert "was installed successfully" in done.stdout
    assert not re.search(r"\[ERROR\]|\[DEPRECATION", done.stdout), done.stdout

    said = yaml.safe_load((home / "shop" / "group_vars" / "all" / "lifeboat.yml").read_text())
    assert said["lifeboat_location"]["path"] == "/srv/lifeboat"
    assert said["lifeboat_signing_key"] == f"{home}/shop/keys/signing_key"
    # What README says is in the directory is there.
    rows = re.findall(r"^   \| `([\w/.]+)` \|", README.read_text(), flags=re.MULTILINE)
    assert len(rows) == 4
    assert [row for row in rows if not (home / "shop" / row).exists()] == []
    assert (tmp_path / "srv" / "lifeboat" / "shop" / "runs").is_dir()
    # The list is short, by the ansible.cfg of the directory, and names the next step.
    listed = done.stdout.split("+ ansible-playbook lifeboat.cluster.list_recovery_points", 1)[1]
    assert "0 of 0 points" in listed
    assert "Make one with lifeboat.cluster.backup_cluster" in listed
    assert "TASK [" not in listed
    assert f"cd {home}/shop && ansible-playbook lifeboat.cluster.backup_cluster" in done.stdout
