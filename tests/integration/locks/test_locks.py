# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real playbooks of several controllers, some of them in containers of one machine, that want the lock of one cluster."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.integration.evidence.playground import BEGIN
from tests.integration.locks.conftest import Begin, Machine
from tests.integration.playbooks import LIMIT_SECONDS
from tests.killing import kill_tree

LOCK = (
    BEGIN
    + """
- hosts: cp1
  gather_facts: false
  tasks:
    - lifeboat.cluster.restore_record: {state: locked, purpose: try_it, take_over: "{{ take_over | default('') }}"}
"""
)

# Holds the lock until the file is there, then goes on through a gate, to a change.
HOLD = (
    LOCK
    + """
    - lifeboat.cluster.stage: {name: preflight, state: started}
    - ansible.builtin.command: {cmd: sleep 0.2}
      register: waited
      until: lookup('ansible.builtin.fileglob', going_on) | length > 0
      retries: 3000
      delay: 0
    - lifeboat.cluster.check:
        checks: [{id: try.healthy, title: It is well, expect: "true", found: "1", remedy: none}]
    - lifeboat.cluster.stage: {name: preflight, state: ended}
    - name: Pass the gate
      lifeboat.cluster.gate: {confirm_cluster_name: prod-1, groups: [lockers]}
    - name: Change something
      ansible.builtin.debug: {msg: it was changed}
"""
)


def lock(machine: Machine) -> dict[str, Any]:
    """The lock as it lies on the machine; empty when there is none."""
    path = machine.state / "lock.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def wait_for_lock(machine: Machine, process: subprocess.Popen[str]) -> str:
    """The run that has taken the lock."""
    end = time.monotonic() + LIMIT_SECONDS
    while not lock(machine):
        assert process.poll() is None, (machine.directory / "output-0").read_text()
        assert time.monotonic() < end
        time.sleep(0.1)
    return str(lock(machine)["owner"]["run_id"])


def holding(machine: Machine, begin: Begin, container: bool) -> tuple[subprocess.Popen[str], str, Path]:
    """A run that holds the lock, its id, and the file that lets it go on."""
    machine.inventory.write_text("[lockers]\ncp1\n" + machine.inventory.read_text())
    going_on = machine.directory / "go"
    process = begin(HOLD, "-e", f"going_on={going_on}", container=container)
    return process, wait_for_lock(machine, process), going_on


def test_two_containers_of_one_machine_do_not_take_each_other_for_dead(machine: Machine, begin: Begin) -> None:
    """One host name, one boot id, one directory of runs: neither the lock nor the unsealed artifacts of a living run are touched.

    When it is killed, nobody there can know; its lock is taken by its name.
    """
    process, run_id, _go = holding(machine, begin, container=True)
    plain = machine.runs / run_id / "snapshot.plain"
    plain.write_text("not sealed")
    for container in (True, False):
        done = machine.on_machine(LOCK, container=container)
        assert done.returncode == 2, done.stdout
        assert "Another run holds the lock of this host" in done.stdout
        assert f"run {run_id} of root on controller" in done.stdout
        assert f"-e lifeboat_take_over_run={run_id}" in done.stdout
    assert lock(machine)["owner"]["run_id"] == run_id
    assert plain.exists()

    kill_tree(process.pid)
    process.wait(LIMIT_SECONDS)
    done = machine.on_machine(LOCK, container=True)
    assert done.returncode == 2, done.stdout
    assert plain.exists()
    done = machine.on_machine(LOCK, "-e", f"take_over={run_id}", container=True)
    assert done.returncode == 0, done.stdout
    assert lock(machine)["owner"]["run_id"] != run_id


def test_a_killed_controller_does_not_block_its_own_machine(machine: Machine, begin: Begin) -> None:
    """In the same pid namespace a process that is gone is gone, wherever its directory of runs was: the next run takes the lock at once."""
    process, run_id, _go = holding(machine, begin, container=False)
    done = machine.on_machine(LOCK)
    assert f"run {run_id} of root on controller" in done.stdout
    kill_tree(process.pid)
    process.wait(LIMIT_SECONDS)
    done = machine.on_machine(LOCK, "-e", f"lifeboat_runs_directory={machine.directory}/elsewhere")
    assert done.returncode == 0, done.stdout
    assert lock(machine)["owner"]["run_id"] != run_id


def test_a_run_whose_lock_was_taken_stops_at_its_next_gate(machine: Machine, begin: Begin) -> None:
    """It names who has the lock now and what to do, as evidence too, and changes nothing more; the lock stays the other run's."""
    process, run_id, go = holding(machine, begin, container=True)
    assert machine.on_machine(LOCK, "-e", f"take_over={run_id}").returncode == 0
    other = str(lock(machine)["owner"]["run_id"])
    go.touch()
    assert process.wait(LIMIT_SECONDS) == 2
    output = (machine.directory / "output-0").read_text()
    assert "it was changed" not in output
    assert "This run still holds the lock of the machine [gate.lock]" in output
    assert f"run {other} of root on controller" in output
    assert f"-e lifeboat_take_over_run={other}" in output
    assert lock(machine)["owner"]["run_id"] == other


def test_every_gate_renews_the_lock(machine: Machine, begin: Begin) -> None:
    process, run_id, go = holding(machine, begin, container=False)
    path = machine.state / "lock.json"
    path.write_text(json.dumps(dict(lock(machine), heartbeat_at="2026-01-01T00:00:00Z")))
    go.touch()
    assert process.wait(LIMIT_SECONDS) == 0, (machine.directory / "output-0").read_text()
    assert "it was changed" in (machine.directory / "output-0").read_text()
    assert lock(machine)["owner"]["run_id"] == run_id
    assert lock(machine)["heartbeat_at"] > "2026-01-01T00:00:00Z"


def test_a_lock_that_was_removed_stops_its_run_too(machine: Machine, begin: Begin) -> None:
    process, _run_id, go = holding(machine, begin, container=False)
    (machine.state / "lock.json").unlink()
    go.touch()
    assert process.wait(LIMIT_SECONDS) == 2
    output = (machine.directory / "output-0").read_text()
    assert "it was changed" not in output
    assert "somebody removed the file" in output
    assert not lock(machine)


RECORD = (
    LOCK
    + """
    - name: Another run takes the lock
      lifeboat.cluster.restore_record:
        state: locked
        owner: {run_id: run-2, controller: elsewhere, user: kim}
        take_over: "{{ hostvars['localhost'].ansible_facts.lifeboat_run.id }}"
      when: stolen | bool
    - name: Write down that this machine is being changed
      lifeboat.cluster.restore_record: {phase: begun, point: p1}
"""
)


def test_the_record_of_a_host_is_written_under_the_lock_alone(machine: Machine) -> None:
    done = machine.on_machine(RECORD, "-e", "stolen=no")
    assert done.returncode == 0, done.stdout
    assert json.loads((machine.state / "restore.json").read_text())["phase"] == "begun"
    (machine.state / "restore.json").unlink()
    (machine.state / "lock.json").unlink()
    done = machine.on_machine(RECORD, "-e", "stolen=yes")
    assert done.returncode == 2, done.stdout
    assert "Another run took the lock of this host, so this run stops before its next change" in done.stdout
    assert "run run-2 of kim on controller elsewhere" in done.stdout
    assert not (machine.state / "restore.json").exists()


SERVICES = """
- hosts: cp1
  gather_facts: false
  tasks:
    - lifeboat.cluster.restore_record:
        state: locked
        owner: {run_id: run-2, controller: elsewhere}
        take_over: "{{ hostvars['localhost'].ansible_facts.lifeboat_run.id }}"
    - name: Write a name
      lifeboat.cluster.node_services:
        state: started
        platform: {services: {}}
        services: []
        hosts_entries: {192.0.2.77: [lifeboat-lock-test]}
"""


def test_services_are_touched_under_the_lock_alone(machine: Machine) -> None:
    """The module is told of the lock of its run without being asked to: /etc/hosts gets no name when another run has the lock."""
    hosts = machine.directory / "etc-hosts"
    hosts.write_text(Path("/etc/hosts").read_text())
    command = machine.inside(["sh", "-c", 'mount --bind "$1" /etc/hosts && shift && exec "$@"', "sh", str(hosts), *machine.command(LOCK + SERVICES)])
    done = subprocess.run(command, cwd=machine.directory, env=machine.variables(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Another run took the lock of this host, so this run stops before its next change" in done.stdout + done.stderr
    assert "lifeboat-lock-test" not in hosts.read_text()
