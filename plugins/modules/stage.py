#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin stage."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stage
short_description: Mark the start or the end of a stage
version_added: "0.1.0"
description:
  - Writes to the journal of the run that a stage starts or ends on this host, and shows a line with the clock of the run on the screen.
  - Runs on all hosts that take part, or on C(localhost) for steps of the controller. The time of a stage counts from the first start to the last end.
  - At each end the report is rendered, by one of the hosts for all.
  - A stage that a host never ends is V(interrupted) in the report. A stage without checks is a defect and fails the run.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  name:
    description: Name of the stage, the same on all hosts.
    type: str
    required: true
  title:
    description: What the stage does, for the screen and the report.
    type: str
  state:
    description: Whether the stage starts or ends now.
    type: str
    choices: [started, ended]
    required: true
  status:
    description:
      - How the stage ended. Without it, V(failed) when a check of this stage was not met on this host, else V(passed).
      - Give V(failed) in a C(rescue) whose cause is no check.
    type: str
    choices: [passed, failed]
  reason:
    description: Why it failed, for the report. Must hold no secrets.
    type: str
  restores_service:
    description: When this stage ends well, the service is back. Records the measure C(service_ready_at), from which the achieved RTO is computed.
    type: bool
    default: false
  measures:
    description:
      - Measured values by name, each a value or a dictionary of C(value) and C(unit). Names that end in C(_seconds), C(_bytes), C(_percent)
        and C(_at) need no unit.
      - The names C(declared_at), C(disaster_at), C(taken_at), C(service_ready_at) and C(newest_verified_taken_at) are moments with a meaning.
        RTO and RPO are computed from them.
      - A value that is undefined is left out with a warning.
    type: dict
  facts:
    description:
      - Facts for the report, by topic. Each topic is a dictionary, for example C(recovery_point) or C(versions).
      - A topic that is undefined is left out with a warning.
    type: dict
  notes:
    description: Remarks for the report.
    type: list
    elements: str
  next_steps:
    description: What the reader of the report should do next, for example what can be removed now.
    type: list
    elements: str
attributes:
  check_mode:
    description: Evidence is recorded in check mode too, and marked so.
seealso:
  - module: lifeboat.cluster.check
"""

EXAMPLES = r"""
- name: Start the stage
  lifeboat.cluster.stage:
    name: etcd
    title: Restore etcd
    state: started

- name: End the stage
  lifeboat.cluster.stage:
    name: etcd
    state: ended
    measures:
      snapshot_bytes: "{{ etcd_restored.restore.size_bytes }}"
"""

RETURN = r"""
stage:
  description: The stage on this host.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the stage.
      type: str
    state:
      description: V(started) or V(ended).
      type: str
    started_at:
      description: When it started, when that is what was recorded.
      type: str
    ended_at:
      description: When it ended, when that is what was recorded.
      type: str
    status:
      description: V(passed) or V(failed), at the end.
      type: str
    seconds:
      description: How long the stage took so far, over all hosts, at the end.
      type: float
"""
