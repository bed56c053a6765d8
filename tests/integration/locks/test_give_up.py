# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An unfinished restore that nobody can finish is given up by name, through the role that takes the lock and writes the record."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.integration.evidence.playground import BEGIN
from tests.integration.locks.conftest import Machine

TOKEN = "lifeboat-p1-0123456789ab"
NEXT = "lifeboat-p2-ba9876543210"

PLAY = (
    BEGIN
    + """
    - ansible.builtin.set_fact:
        recovery_point_chosen: {manifest: {artifacts: [{name: etcd/cp1.tar.zst.age, plain_size_bytes: 50000000000}]}}
- hosts: cp1
  gather_facts: false
  any_errors_fatal: true
  vars:
    platform_assignment:
      groups: [planned, prepare]
      hosts_entries: {}
      snapshot_sha256: ""
      given_up: ["{{ lifeboat_give_up | default('') }}"]
    platform_data: {services: {}, etcd: {data_dir: "{{ data_dir }}"}}
    # As a look found it just before.
    platform_node:
      record: >-
        {{ none if late | default(false) | bool
           else lookup('ansible.builtin.file', '/var/lib/lifeboat/restore.json', errors='ignore') | default('{}', true) | from_json }}
      lock: null
    platform_plan:
      point: "{{ point }}"
      token: "{{ token }}"
      bump_revision: 1000
      strategy: rebuild_cluster
      source: recovery_point
      choice: ""
      file_hosts: [cp1]
      initial_cluster: {cp1: https://cp1:2380, cp2: https://cp2:2380}
      member_hosts: [cp1, cp2]
  tasks:
    - ansible.builtin.include_role: {name: lifeboat.cluster.platform, tasks_from: lock}
    - name: Change the machine
      lifeboat.cluster.restore_record: {phase: begun}
      when: change | default(false) | bool
    - name: Show the lease
      ansible.builtin.debug: {msg: "silent for {{ platform_locked.lock.silent_for_seconds }}"}
    - name: Show what was given up
      ansible.builtin.debug: {msg: "{{ platform_locked.given_up | default('', true) | to_json }}"}
"""
)


class Restores:
    """Runs that restore onto one machine and end before they are finished."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.data = machine.directory / "etcd"
        for path in (self.data / "member", self.data / f".lifeboat-restore-{TOKEN}" / "member", machine.state / "staging" / "p1" / "pki"):
            path.mkdir(parents=True)
        (machine.state / "staging" / "p1" / "pki" / "ca.key").write_text("secret")

    def run(self, point: str, token: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """One of them."""
        given = {"data_dir": str(self.data), "point": point, "token": token, **variables}
        return self.machine.on_machine(PLAY, *(word for name, value in given.items() for word in ("-e", f"{name}={value}")))

    @property
    def record(self) -> dict[str, Any]:
        """The record of the machine."""
        found: dict[str, Any] = json.loads((self.machine.state / "restore.json").read_text())
        return found


def test_an_unfinished_restore_is_given_up_by_name(machine: Machine) -> None:
    """Refused with the name to type; a wrong name is refused with the right one; the right one archives the record and moves what was prepared aside."""
    restores = Restores(machine)
    assert restores.run("p1", TOKEN, change="yes").returncode == 0
    # One name on all machines, which the errors show and the report too.
    assert (restores.record["restore_id"], restores.record["phase"]) == (TOKEN, "begun")

    done = restores.run("p2", NEXT)
    assert done.returncode == 2, done.stdout
    assert f"-e lifeboat_give_up={TOKEN}" in done.stdout
    assert f"ansible-playbook lifeboat.cluster.try_it -e recovery_point_id=p1 -e confirm_cluster_name={'prod-1'}" in done.stdout

    owner = json.loads((machine.state / "lock.json").read_text())["owner"]["run_id"]
    done = restores.run("p2", NEXT, lifeboat_give_up="lifeboat-p1-typo")
    assert done.returncode == 2, done.stdout
    assert "Another restore is unfinished on this host than the one that is to be given up" in done.stdout
    assert f"-e lifeboat_give_up={TOKEN}" in done.stdout
    assert restores.record["token"] == TOKEN
    assert json.loads((machine.state / "lock.json").read_text())["owner"]["run_id"] == owner

    done = restores.run("p2", NEXT, lifeboat_give_up=TOKEN)
    assert done.returncode == 0, done.stdout
    assert (restores.record["point"], restores.record["token"], restores.record["phase"]) == ("p2", NEXT, "planned")
    (line,) = (machine.state / "restore-history.jsonl").read_text().splitlines()
    assert (json.loads(line)["token"], json.loads(line)["phase"]) == (TOKEN, "begun")
    assert json.loads(line)["given_up_at"]
    assert sorted(path.name for path in restores.data.iterdir()) == [f".lifeboat-given-up-{TOKEN}", "member"]
    assert (restores.data / f".lifeboat-given-up-{TOKEN}" / "member").is_dir()
    assert (machine.state / "staging" / f".lifeboat-given-up-{TOKEN}" / "pki" / "ca.key").read_text() == "secret"

    # Killed there and run again, word for word: the new restore goes on.
    done = restores.run("p2", NEXT, lifeboat_give_up=TOKEN, change="yes")
    assert done.returncode == 0, done.stdout
    assert (restores.record["token"], restores.record["phase"]) == (NEXT, "begun")


def test_the_same_point_is_begun_anew_when_it_was_given_up(machine: Machine) -> None:
    """The new record does not inherit how far the old one came."""
    restores = Restores(machine)
    restores.run("p1", TOKEN, change="yes")
    done = restores.run("p1", NEXT, lifeboat_give_up=TOKEN)
    assert done.returncode == 0, done.stdout
    assert (restores.record["token"], restores.record["phase"]) == (NEXT, "planned")


def test_a_rerun_keeps_how_far_it_came_and_an_unanswered_question_gives_nothing_up(machine: Machine) -> None:
    restores = Restores(machine)
    restores.run("p1", TOKEN, change="yes")
    done = restores.run("p1", TOKEN, lifeboat_give_up="")
    assert done.returncode == 0, done.stdout
    assert (restores.record["token"], restores.record["phase"]) == (TOKEN, "begun")


def test_a_plan_that_is_older_than_what_is_there_is_refused(machine: Machine) -> None:
    """Another run began, or ended, between the look and the lock."""
    restores = Restores(machine)
    assert restores.run("p1", TOKEN, change="yes").returncode == 0
    assert (restores.record["members"], restores.record["options"]) == (["cp1", "cp2"], {})
    before = (machine.state / "restore.json").read_text()
    done = restores.run("p1", TOKEN, late="yes")
    assert done.returncode == 2, done.stdout
    assert "Another run has changed this host since it was looked at" in done.stdout
    assert (machine.state / "restore.json").read_text() == before


def test_the_lock_announces_what_the_work_takes(machine: Machine) -> None:
    """Fifty gigabytes, two members one after the other: hours of silence between two steps on one machine are no sign of death."""
    done = Restores(machine).run("p1", TOKEN)
    assert f"silent for {900 + 300 + 2 * 600 + 10_000}" in done.stdout, done.stdout
    assert json.loads((machine.state / "lock.json").read_text())["silent_for_seconds"] == 12_400
