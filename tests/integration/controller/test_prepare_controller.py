# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""prepare_controller as a user calls it: a first run, a second one, what somebody broke, and what the callback shows."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.integration import playbooks

# There is no inventory yet, and Ansible warns of that.
QUIET = {"ANSIBLE_INVENTORY_UNPARSED_WARNING": "false"}


class User:
    """Somebody in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.location = directory / "off" / "location"
        self.location.parent.mkdir()
        self.cluster = directory / "shop"

    def call(self, playbook: str, *arguments: str, where: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the collection in the user's directory, or in another one."""
        environment = playbooks.environment(self.directory, **QUIET, **variables)
        return playbooks.run([playbooks.PROGRAM, f"lifeboat.cluster.{playbook}", *arguments], where or self.directory, environment)

    def prepare(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Prepare the controller by the same command each time."""
        given = json.dumps({"lifeboat_location": {"type": "directory", "path": str(self.location)}})
        return self.call("prepare_controller", "-e", "lifeboat_cluster_name=shop", "-e", given, *arguments, **variables)

    def files(self) -> dict[str, tuple[bytes, int, int]]:
        """What is there, with permissions and times, but for the evidence of runs."""
        return {
            str(path.relative_to(self.cluster)): (path.read_bytes(), path.stat().st_mode & 0o777, path.stat().st_mtime_ns)
            for path in sorted(self.cluster.rglob("*"))
            if path.is_file() and "lifeboat-runs" not in path.parts
        }

    def secrets(self) -> list[str]:
        """Lines that are in no text but the private keys themselves."""
        identity = [line for line in (self.cluster / "keys" / "age.key").read_text().splitlines() if line.startswith("AGE-SECRET-KEY-")]
        signing = [line for line in (self.cluster / "keys" / "signing_key").read_text().splitlines() if not line.startswith("-----")]
        return identity + signing[1:]

    def texts(self) -> str:
        """All that runs left in journals and reports, here and at the location."""
        places = (self.directory / "lifeboat-runs", self.cluster / "lifeboat-runs", self.location)
        return "\n".join(path.read_text(errors="replace") for place in places for path in place.rglob("*") if path.is_file())


@pytest.fixture
def user(tmp_path: Path) -> User:
    """Somebody who has nothing yet."""
    return User(tmp_path)


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """How many tasks changed something, of the recap."""
    found = re.search(r"^localhost .* changed=(\d+) ", done.stdout, flags=re.MULTILINE)
    assert found, done.stdout
    return int(found.group(1))


def test_a_first_run_and_a_second_one(user: User) -> None:
    """Check mode makes nothing; then everything is there and fits; then nothing changes, wherever it is called from."""
    shown = user.prepare("--check", "--diff")
    assert shown.returncode == 0, shown.stdout
    assert not user.cluster.exists()
    assert not user.location.exists()
    assert f"+{user.cluster}/keys/age.key: made" in shown.stdout
    assert "+lifeboat_cluster_name: " in shown.stdout

    done = user.prepare("--diff", "-vvv")
    assert done.returncode == 0, done.stdout
    assert changed(done) == changed(shown) == 4
    assert sorted(user.files()) == [
        ".gitignore",
        "ansible.cfg",
        "group_vars/all/lifeboat.yml",
        "hosts",
        "keys/age.key",
        "keys/allowed_signers",
        "keys/signing_key",
        "keys/signing_key.pub",
    ]
    said = yaml.safe_load((user.cluster / "group_vars/all/lifeboat.yml").read_text())
    assert said["lifeboat_location"] == {"type": "directory", "path": str(user.location)}
    assert [said[name] for name in ("lifeboat_signing_key", "lifeboat_allowed_signers", "lifeboat_signer", "rpo_target_seconds")] == [
        f"{user.cluster}/keys/signing_key",
        f"{user.cluster}/keys/allowed_signers",
        "backup",
        3600,
    ]
    public = re.search(r"public key: (\S+)", (user.cluster / "keys/age.key").read_text())
    assert public
    assert said["lifeboat_recipients"] == [public.group(1)]
    assert "lifeboat_identity_files" not in said
    assert f'#   - "{user.cluster}/keys/age.key"' in (user.cluster / "group_vars/all/lifeboat.yml").read_text()
    assert f"Copy it and {user.cluster}/keys/allowed_signers to a safe place" in done.stdout
    assert f"cd {user.cluster} && ansible-playbook lifeboat.cluster.backup_cluster" in done.stdout
    assert [secret for secret in user.secrets() if secret in shown.stdout + done.stdout + user.texts()] == []

    before = user.files()
    again = user.prepare()
    assert again.returncode == 0, again.stdout
    inside = user.call("prepare_controller", where=user.cluster)
    assert inside.returncode == 0, inside.stdout
    assert (changed(again), changed(inside)) == (0, 0)
    assert user.files() == before
    # With the ansible.cfg that was made: what has to be read is there, and nothing else.
    assert "TASK" not in inside.stdout
    assert "ok: [localhost]" not in inside.stdout
    assert f"The controller of cluster shop is prepared in {user.cluster}." in inside.stdout


def test_what_somebody_broke_is_said(user: User) -> None:
    """Each fault with its remedy, nothing is repaired over somebody's head; a location that is not the one that is written is refused before it is made."""
    assert user.prepare().returncode == 0
    (user.cluster / "keys/age.key").chmod(0o644)
    variables = user.cluster / "group_vars/all/lifeboat.yml"
    text = re.sub(r"age1\w+", "age1u0z3wqcw6ckgs0ge3v6d9w5fhx9hk2m3pj7mf0dqdzgr2g4mpqfsqt5e9z", variables.read_text())
    variables.write_text(text.replace("keep_hourly: 48", "keep_hourly: 5").replace("  minimum_age_days: 7\n", ""))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(user.directory / "stranger")], check=True)
    (user.cluster / "keys/allowed_signers").write_text(f"other {(user.directory / 'stranger.pub').read_text()}")
    before = user.files()
    done = user.prepare(ANSIBLE_STDOUT_CALLBACK="lifeboat.cluster.progress")
    assert done.returncode == 2, done.stdout
    for check in ("identity_recipient", "files_private", "signing_key_allowed"):
        assert f"[controller.{check}]" in done.stdout, done.stdout
    assert f"chmod 0600 {user.cluster}/keys/age.key" in done.stdout
    assert "WARNING localhost: The retention fits the RPO target [controller.retention_fits]" in done.stdout
    assert user.files() == before

    user.location = user.location.with_name("mistyped")
    done = user.prepare()
    assert done.returncode == 2, done.stdout
    assert f'written is shop in {{"type": "directory", "path": "{user.directory}/off/location"}}' in done.stdout
    assert not user.location.exists()
    done = user.call("prepare_controller", "-e", "lifeboat_cluster_name=other")
    assert done.returncode == 2, done.stdout
    assert "Nobody has said where recovery points are to lie." in done.stdout
    assert not (user.directory / "other").exists()


SAMPLE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - {name: A quiet one, ansible.builtin.command: 'true', changed_when: false}
    - {name: A skipped one, ansible.builtin.command: 'true', when: false}
    - {name: A change, ansible.builtin.command: 'true', changed_when: true}
    - {name: A table, ansible.builtin.debug: {msg: [first line, second line]}}
    - {name: Data, ansible.builtin.debug: {msg: {points: [1]}}}
    - {name: A verdict, ansible.builtin.assert: {that: true, success_msg: It passed}}
    - {name: A silent one, ansible.builtin.assert: {that: true}}
    - {name: A warning, warns: }
    - {name: A failure, ansible.builtin.fail: {msg: '{{ ["It broke", "at once"] | join(": ") }}'}}
- hosts: nobody:&nobody
  gather_facts: false
  tasks: []
"""


WARNS = """
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule({})
module.warn("Mind the gap")
module.exit_json()
"""


def test_the_callback(user: User) -> None:
    """Tables, data, changes, verdicts, warnings of modules and failures; plays, quiet tasks and skipped ones only with -v."""
    (user.directory / "library").mkdir()
    (user.directory / "library" / "warns.py").write_text(WARNS)
    (user.directory / "play.yml").write_text(SAMPLE)
    short = playbooks.play(user.directory, "play.yml", ANSIBLE_STDOUT_CALLBACK="lifeboat.cluster.progress", **QUIET)
    whole = playbooks.play(user.directory, "-v", "play.yml", ANSIBLE_STDOUT_CALLBACK="lifeboat.cluster.progress", **QUIET)
    assert (short.returncode, whole.returncode) == (2, 2)
    assert "\nfirst line\nsecond line\n" in short.stdout
    for said in ("TASK [A change]", '"points": [', "\nIt passed\n", "TASK [A failure]", "It broke", "Mind the gap", "PLAY RECAP"):
        assert said in short.stdout, short.stdout
    # The reason of a failure once, and with -v the result, too.
    assert (short.stdout.count("It broke: at once"), whole.stdout.count("It broke: at once")) == (1, 2)
    assert "fatal: [localhost]: FAILED!" in short.stdout
    for said in ("PLAY [", "[A quiet one]", "[A skipped one]", "[A silent one]", "[A table]", "[A verdict]", "skipping"):
        assert said not in short.stdout, short.stdout
    for said in ("PLAY [localhost]", "TASK [A quiet one]", "TASK [A skipped one]", "TASK [A table]", "TASK [A silent one]"):
        assert said in whole.stdout, whole.stdout
