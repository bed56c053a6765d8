#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin check."""

from __future__ import annotations

DOCUMENTATION = r"""
module: check
short_description: Check expectations, record evidence, fail when one is not met
version_added: "0.1.0"
description:
  - Evaluates a list of expectations about what was found, and writes one line each into the journal of the run, with the evidence.
  - Fails the host when a check of severity V(error) is not met, after all checks were recorded and the report was rendered.
    The message says for each check what was expected, what was found and what to do.
  - Expressions are evaluated inside of this action. Evidence that is undefined, or of the wrong type, makes a check that is not met, not an error of the task.
  - With O(module), the evidence is gathered by running a module. With O(timeout_seconds), it is run again and again until all expectations
    hold or the time is up.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  stage:
    description: Stage that the checks belong to. Without it, the one that is open on this host, else the one that is open on C(localhost).
    type: str
  checks:
    description:
      - The checks. May be a variable that holds such a list.
      - Texts may contain templates, O(checks[].expect) and O(checks[].found) are expressions without braces.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: Name of the check that stays the same from run to run, for example V(etcd.quorum).
        type: str
        required: true
      title:
        description: What is true when the check is met, in one sentence.
        type: str
        required: true
      expect:
        description:
          - Expression that has to be true, without braces. Sees the variables of the host, O(evidence), and C(result) with O(module).
          - An expression that comes from data instead of a playbook, a role or the inventory is refused.
        type: raw
        required: true
      found:
        description: Expression for what was found, the evidence. A check whose evidence is missing is not met.
        type: raw
        required: true
      expected:
        description: The expectation in words, for the reader of the report. Without it, the text of O(checks[].expect).
        type: str
      remedy:
        description: What to do when it is not met.
        type: str
        required: true
      severity:
        description: Whether the host fails when it is not met.
        type: str
        choices: [error, warning]
        default: error
  evidence:
    description: Variables for the expressions, over those of the host. What is undefined in here is found out by the checks that use it.
    type: dict
  module:
    description: Module to gather evidence with, on this host and as this task says (delegation, privileges, C(module_defaults)).
    type: dict
    suboptions:
      name:
        description: Fully qualified name of the module.
        type: str
        required: true
      args:
        description: Its options.
        type: dict
  interval_seconds:
    description: Time between two runs of O(module).
    type: float
    default: 5
  timeout_seconds:
    description:
      - How long to wait for all expectations to hold. V(0) checks once. Needs O(module).
      - While waiting, a line every ten seconds says what for. A host that can't be reached is waited for as well.
    type: float
    default: 0
  warnings_timeout_seconds:
    description:
      - How long to wait for expectations of severity V(warning), when those of severity V(error) hold. Without it, as long as O(timeout_seconds).
      - What does not fail the host may stay as it is for good, such as a machine that is gone, and should not keep a recovery from its end.
    type: float
  measures:
    description: Measured values to record beside the checks. See M(lifeboat.cluster.stage).
    type: dict
  facts:
    description: Facts for the report, by topic. See M(lifeboat.cluster.stage).
    type: dict
attributes:
  check_mode:
    description:
      - Checks whose evidence is there are evaluated, others are recorded as C(not_evaluated) and don't fail the host. O(module) is run once, in check mode.
notes:
  - Can't be used with C(loop), C(until) and C(async). Give all checks as one list, and let this action do the waiting.
  - With C(no_log), found values are recorded as salted hashes, which are equal within one run when the values are.
  - For test suites, the environment variable E(LIFEBOAT_CHECKS_SEEN) names a file to which the ids of checks that are not met are appended.
seealso:
  - module: lifeboat.cluster.stage
"""

EXAMPLES = r"""
- name: Check the members of etcd
  lifeboat.cluster.check:
    evidence:
      etcd: "{{ etcd_info.cluster }}"
    checks:
      - id: etcd.voters_healthy
        title: Every voting member of etcd is healthy
        expect: etcd.healthy_voters == etcd.voters
        found: "'%d of %d' | format(etcd.healthy_voters, etcd.voters)"
        expected: all voting members
        remedy: Look at the logs of the members that are not, with crictl logs or journalctl -u etcd.
      - id: etcd.no_alarms
        title: No alarm is raised in etcd
        expect: etcd.alarms == []
        found: etcd.alarms
        remedy: Free space and defragment the members, then disarm the alarm.

- name: Wait until etcd has quorum
  lifeboat.cluster.check:
    module:
      name: lifeboat.cluster.etcd_cluster_info
      args:
        linearizable: true
    timeout_seconds: 120
    interval_seconds: 2
    checks:
      - id: etcd.quorum
        title: Etcd answers a linearizable read
        expect: result.linearizable
        found: result.linearizable
        remedy: Start the other members. A read is only answered when more than half of them run.
"""

RETURN = r"""
checks:
  description: All checks with their results. Of a failed task, only those that are not met.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Id of the check.
      type: str
    title:
      description: What it says.
      type: str
    passed:
      description: V(true), V(false), or the text V(not_evaluated) in check mode.
      type: raw
    expected:
      description: What was expected, in words if the check says so.
      type: str
    expression:
      description: The expression that was evaluated.
      type: str
    found:
      description: What was found. Secrets are hidden.
      type: raw
    remedy:
      description: What to do when it is not met.
      type: str
    severity:
      description: V(error) or V(warning).
      type: str
stage:
  description: The stage that the checks were recorded for.
  returned: always
  type: str
"""
