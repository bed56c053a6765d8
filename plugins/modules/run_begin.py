#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin run_begin."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_begin
short_description: Begin a run and its journal
version_added: "0.1.0"
description:
  - Makes the run id once, the private directory of the run on the controller, and the journal in it, to which M(lifeboat.cluster.stage),
    M(lifeboat.cluster.check) and M(lifeboat.cluster.gate) append.
  - Runs on C(localhost), as the first task of a playbook.
  - Sets the fact C(lifeboat_run) on C(localhost), where the other actions find it. A fact that a cache kept from another run is refused by them.
  - Lists earlier runs of the same cluster that never ended, and removes unsealed artifacts (C(*.plain)) that they left on the controller. Of runs that may
    live in another container, only those that nobody has written to for a day.
  - Publishes C(lifeboat_run_id), C(lifeboat_report) and the C(lifeboat_verdict) V(failed) as statistics of the play, as M(ansible.builtin.set_stats)
    does. What a failed task returns never reaches the statistics, so the verdict is bad until role P(lifeboat.cluster.report#role) publishes a better one.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  playbook:
    description: Name of the playbook, for the run id and the report. Without it, the name on the command line.
    type: str
  title:
    description: Heading of the report.
    type: str
  cluster_name:
    description:
      - Name of the cluster. Without it, C(lifeboat_cluster_name) as C(localhost) sees it, else as all hosts of the inventory do.
    type: str
  directory:
    description: Directory on the controller that holds all runs. Without it, C(lifeboat_runs_directory), else V(./lifeboat-runs).
    type: path
  minimum_free_bytes:
    description: The run does not begin when O(directory) has less space than this.
    type: int
    default: 268435456
  rpo_target_seconds:
    description: How much data may be lost, in seconds of work. Without it, the variable C(rpo_target_seconds). Text such as V("3600") is fine.
    type: raw
  rto_target_seconds:
    description: How long the service may be away, in seconds. Without it, the variable C(rto_target_seconds). Text such as V("3600") is fine.
    type: raw
  declared_at:
    description: When the disaster was declared, from which the recovery time counts. Without it, the beginning of the run.
    type: raw
  disaster_at:
    description: When the disaster struck, back from which lost data count. Without it, O(declared_at).
    type: raw
  scope:
    description:
      - What the run is about, a host or group of the inventory, where the playbook says it. Without it, the variable C(lifeboat_scope), in which empty
        text means V(everything), as AWX sends it for a question that nobody answered. A C(lifeboat_scope) that says something else is refused.
    type: str
  named:
    description:
      - Variables in which the operator has to name something, with their values. An empty one ends the run before it begins.
      - When O(scope) is one of the values, it has to be the name of one machine, not that of a group or a pattern.
    type: dict
    default: {}
  changes_cluster:
    description:
      - Whether the playbook changes machines of the cluster. Settings of Ansible that would stop it in the middle or leave checks out are refused then
        (C(--step), C(task_timeout)).
      - C(--tags) and C(--skip-tags) that leave all steps out are refused in any case.
    type: bool
    default: false
attributes:
  check_mode:
    description: Evidence is recorded in check mode too, and marked so.
notes:
  - The journal holds no secrets. What has the shape of one is hidden, and so is the value of each variable whose name says that it is one.
"""

EXAMPLES = r"""
- name: Begin the run
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Begin the run
      lifeboat.cluster.run_begin:
        playbook: recover_cluster
        rto_target_seconds: 3600
      register: begun

    - name: Show what earlier runs left behind
      ansible.builtin.debug:
        var: begun.dead_run_ids
"""

RETURN = r"""
run:
  description: The run. The fact C(lifeboat_run) of C(localhost) is the same.
  returned: success
  type: dict
  contains:
    id:
      description: Id of the run.
      type: str
      sample: 20261120T134012Z-recover_cluster-1f3a
    directory:
      description: Directory of the run on the controller.
      type: str
    playbook:
      description: Name of the playbook.
      type: str
    started_at:
      description: When it began, ISO 8601 in UTC.
      type: str
      sample: "2026-11-20T13:40:12.345Z"
    cluster_name:
      description: Name of the cluster.
      type: str
    controller:
      description: Host name of the controller.
      type: str
    boot_id:
      description: The kernel's id of the controller's boot.
      type: str
    machine_id:
      description: Id of the controller's system; empty where there is none.
      type: str
    pid:
      description: Process id of ansible-playbook.
      type: int
    said:
      description: What the operator has said that a rerun of a recovery needs too, by variable.
      type: dict
    command:
      description: The command that says it again.
      type: str
    pid_namespace:
      description: Where this id counts. Two containers of one machine differ in it.
      type: str
    pid_started_ticks:
      description: When the process started, in ticks since boot.
      type: int
    scope:
      description: What the run is about, a host or group of the inventory, or V(everything).
      type: str
    user:
      description: Who started it.
      type: str
    dead_run_ids:
      description: As RV(dead_run_ids).
      type: list
      elements: str
dead_run_ids:
  description: Runs of this cluster under O(directory) that never ended and whose process is gone. They may have left plain artifacts on hosts.
  returned: success
  type: list
  elements: str
alive_run_ids:
  description: Runs of this cluster that are going on in this moment. A warning names them too.
  returned: success
  type: list
  elements: str
unknown_run_ids:
  description:
    - Runs without an end that began on another controller, or in another container (pid namespace) of this machine, so nobody here can tell whether they are
      still going on.
  returned: success
  type: list
  elements: str
removed_leftovers:
  description: Unsealed artifacts of dead and forgotten runs that were removed from the controller.
  returned: success
  type: list
  elements: str
"""
