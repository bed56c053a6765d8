#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin gate."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Let a destructive step begin only after preflight passed everywhere
version_added: "0.1.0"
description:
  - Stands as the first task in each destructive play, on all hosts of that play, and changes nothing on them but the sign of life of its own lock.
  - Lets a host pass when the operator typed the name of the cluster, the groups have hosts, no C(--limit) cuts hosts out, and the preflight stage
    of this very run ended well on every host of the groups in the inventory, not only on those that are left in the play.
  - Where the run has locked the host (M(lifeboat.cluster.restore_record)), it renews the lock, and refuses when another run took it.
  - Records each of these as a check in stage C(gate). The message of a failure names hosts and says what to type.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  confirm_cluster_name:
    description: What the operator typed, usually from the extra variable C(confirm_cluster_name). Has to equal O(expected_cluster_name).
    type: str
    default: ""
  expected_cluster_name:
    description: Name of the cluster. Without it, the one that the run began with.
    type: str
  groups:
    description: Groups of the inventory whose hosts have to have passed preflight. A group that the inventory does not have counts as empty.
    type: list
    elements: str
    default: [admin, etcd, control_plane, workers]
  required_groups:
    description: Groups that may not be empty.
    type: list
    elements: str
    default: []
  absent_hosts:
    description: Hosts of the groups that the plan does without because they are lost. The evidence names them.
    type: list
    elements: str
    default: []
  stage:
    description: The stage that has to have passed.
    type: str
    default: preflight
  limit_allowed:
    description: Whether the playbook can work on part of the inventory. Hosts that C(--limit) leaves out then don't need to have passed preflight.
    type: bool
    default: false
attributes:
  check_mode:
    description: Without O(confirm_cluster_name), the confirmation is not asked for in check mode. Everything else is.
notes:
  - With C(--limit), add C(localhost) to it. Without, plays on localhost are skipped, so no run begins and nothing passes this gate.
seealso:
  - module: lifeboat.cluster.check
"""

EXAMPLES = r"""
- name: Restore etcd
  hosts: etcd
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: Pass the gate
      lifeboat.cluster.gate:
        confirm_cluster_name: "{{ confirm_cluster_name | default('') }}"
        expected_cluster_name: "{{ lifeboat_cluster_name }}"
        groups: [etcd, control_plane, workers]
        required_groups: [etcd, control_plane]
"""

RETURN = r"""
checks:
  description: The checks of the gate. Of a failed task, only those that are not met. See M(lifeboat.cluster.check).
  returned: always
  type: list
  elements: dict
hosts:
  description: Hosts that had to have passed preflight.
  returned: always
  type: list
  elements: str
"""
