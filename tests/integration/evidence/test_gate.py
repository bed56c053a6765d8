# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real playbooks: the gate before a destructive step lets nothing pass that it should not."""

from __future__ import annotations

from tests.integration.evidence.playground import BEGIN, Playground

PREFLIGHT = (
    BEGIN
    + """
- hosts: control_plane:workers
  gather_facts: false
  tasks:
    - lifeboat.cluster.stage: {name: preflight, state: started}
    - lifeboat.cluster.check:
        checks:
          - {id: try.healthy, title: It is well, expect: inventory_hostname != sick | default(''), found: inventory_hostname, remedy: Heal it.}
    - lifeboat.cluster.stage: {name: preflight, state: ended}
"""
)

DESTROY = """
- hosts: control_plane
  gather_facts: false
  tasks:
    - name: Pass the gate
      lifeboat.cluster.gate:
        confirm_cluster_name: "{{ confirm_cluster_name | default('') }}"
        required_groups: "{{ required | default('control_plane,workers') }}"
        limit_allowed: "{{ limited | default('no') }}"
        absent_hosts: "{{ absent | default([]) }}"
    - name: Destroy
      ansible.builtin.debug: {msg: destroyed}
"""

CONFIRMED = ("-e", "confirm_cluster_name=prod-1")


def failed_checks(playground: Playground, host: str = "cp1") -> dict[str, str]:
    """What the gate found wrong on a host."""
    return {check_id: record["found"] for (check_id, on), record in playground.checks().items() if on == host and record["passed"] is False}


def test_confirmation_and_groups(playground: Playground) -> None:
    """Without the name, with another name, with a group that is empty or not there: nothing is destroyed, and the error says what to type."""
    alone = PREFLIGHT.replace("control_plane:workers", "all") + DESTROY
    done = playground.play(alone, "-e", "required=control_plane,workers,spare,nowhere")
    assert done.returncode == 2, done.stdout
    assert "destroyed" not in done.stdout
    assert "-e confirm_cluster_name=prod-1" in done.stdout
    found = failed_checks(playground)
    assert found == {
        "gate.confirmation": "nothing",
        "gate.groups": "admin: not in the inventory, control_plane: 2, etcd: not in the inventory, nowhere: not in the inventory, spare: 0, workers: 1",
    }
    assert playground.report()["verdict"] == "failed"

    done = playground.play(alone, "-e", "confirm_cluster_name=prod-2")
    assert "destroyed" not in done.stdout
    assert failed_checks(playground, "cp2") == {"gate.confirmation": "prod-2"}

    done = playground.play(alone, *CONFIRMED)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count('"msg": "destroyed"') == 2
    assert not failed_checks(playground)


def test_preflight_has_to_pass_everywhere(playground: Playground) -> None:
    """A host that failed preflight, or never had it, stops all others, although the play goes on without it."""
    done = playground.play(PREFLIGHT + DESTROY, *CONFIRMED, "-e", "sick=w1")
    assert "destroyed" not in done.stdout
    assert failed_checks(playground) == {"gate.preflight": "failed on w1"}

    done = playground.play(PREFLIGHT.replace("control_plane:workers", "control_plane") + DESTROY, *CONFIRMED)
    assert "destroyed" not in done.stdout
    assert failed_checks(playground) == {"gate.preflight": "not run on w1"}

    done = playground.play(PREFLIGHT.replace("control_plane:workers", "control_plane") + DESTROY, *CONFIRMED, "-e", '{"absent": ["w1"]}')
    assert done.returncode == 0, done.stdout
    assert playground.checks()[("gate.preflight", "cp1")]["found"] == "passed on cp1, cp2; without w1, which the plan does without"


def test_limits(playground: Playground) -> None:
    """A limit without localhost begins no run; with it, the gate names the hosts that are cut, unless the playbook can work on part of the inventory."""
    done = playground.play(PREFLIGHT + DESTROY, *CONFIRMED, "--limit", "cp1")
    assert done.returncode == 2
    assert "No run has begun" in done.stdout
    assert "--limit 'cp1,localhost'" in done.stdout
    assert "destroyed" not in done.stdout
    assert not playground.run_directories()

    done = playground.play(PREFLIGHT + DESTROY, *CONFIRMED, "--limit", "cp1,localhost")
    assert "destroyed" not in done.stdout
    assert failed_checks(playground) == {"gate.limit": "--limit cp1,localhost leaves out cp2, w1", "gate.preflight": "not run on cp2, w1"}

    done = playground.play(PREFLIGHT + DESTROY, *CONFIRMED, "--limit", "cp1,localhost", "-e", "limited=yes")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count('"msg": "destroyed"') == 1
