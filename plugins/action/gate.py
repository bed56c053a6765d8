# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands before a destructive step: lets a host pass only when the whole inventory passed preflight in this run."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Record
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.model import NOT_EVALUATED, Model
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.evidence import Evidence, conclude, refuse_loops
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.run_lock import RunLock

STAGE = "gate"
_TITLE = "Safety gates"
_MOST_NAMED = 20


class ActionModule(ActionBase):
    """lifeboat.cluster.gate"""

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        refuse_loops(self._task)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "confirm_cluster_name": {"type": "str", "default": ""},
                "expected_cluster_name": {"type": "str"},
                "groups": {"type": "list", "elements": "str", "default": ["admin", "etcd", "control_plane", "workers"]},
                "required_groups": {"type": "list", "elements": "str", "default": []},
                "absent_hosts": {"type": "list", "elements": "str", "default": []},
                "stage": {"type": "str", "default": "preflight"},
                "limit_allowed": {"type": "bool", "default": False},
            }
        )
        started = time.monotonic()
        task_vars = task_vars or {}
        evidence = Evidence(self._task, task_vars, self._templar)
        model = evidence.model()
        inventory: Dict[str, List[str]] = {str(name): [str(host) for host in hosts] for name, hosts in (task_vars.get("groups") or {}).items()}
        wanted = sorted({host for name in options["groups"] for host in inventory.get(name, [])} - set(options["absent_hosts"]))
        # Hosts that this run can reach at all: those of this play, failed ones included, and those that took part before.
        present = {str(host) for host in task_vars.get("ansible_play_hosts_all") or []} | set(model.hosts)
        limit = str(task_vars.get("ansible_limit") or "")
        cut = [host for host in wanted if host not in present] if limit else []
        hosts = [host for host in wanted if host not in cut] if options["limit_allowed"] else wanted

        expected_name = options["expected_cluster_name"] or evidence.run.cluster_name
        checks = [
            _confirmation(options["confirm_cluster_name"], expected_name, bool(self._task.check_mode)),
            _groups(options, inventory),
            _limit(limit, cut, options["limit_allowed"]),
            _preflight(model, options["stage"], hosts, options["absent_hosts"]),
            *self._lock(evidence, task_vars),
        ]
        for check in checks:
            check["found"] = evidence.redactor.value(check["found"])

        evidence.append(evidence.record("stage_start", STAGE, title=_TITLE))
        result.update(changed=False, checks=checks, hosts=hosts)
        conclude(evidence, STAGE, checks, round(time.monotonic() - started, 3), result)
        evidence.append(evidence.record("stage_end", STAGE, title=_TITLE, status="passed"))
        return result

    def _lock(self, evidence: Evidence, task_vars: Dict[str, Any]) -> List[Record]:
        """Where this run has locked the host, a sign of life: the steps behind the gate may take as long as the run announced when it took the lock."""
        lock = RunLock(evidence.run, evidence.host)
        found = "this run"
        remedy = "Nothing."
        try:
            if not lock.renew(self, task_vars):
                return []
        except LifeboatError as error:
            found = "%s %s" % (error.message, error.found)
            remedy = error.remedy
        return [_check("gate.lock", "This run still holds the lock of the machine", found == "this run", "this run", found, remedy)]


def _check(check_id: str, title: str, passed: Any, expected: str, found: str, remedy: str) -> Record:
    return {"id": check_id, "title": title, "passed": passed, "expected": expected, "found": found, "remedy": remedy, "severity": "error"}


def _confirmation(given: str, expected: str, check_mode: bool) -> Record:
    if not expected:
        raise AnsibleActionFail("The gate does not know the name of the cluster: set lifeboat_cluster_name in the inventory.")
    passed: Any = given == expected
    if check_mode and not given:
        # A plan changes nothing, so nothing has to be confirmed.
        passed = NOT_EVALUATED
    return _check(
        "gate.confirmation",
        "The operator typed the name of the cluster",
        passed,
        expected,
        given or "nothing",
        "If %s is the cluster that this playbook is to change, run it with: -e confirm_cluster_name=%s" % (expected, expected),
    )


def _groups(options: Dict[str, Any], inventory: Dict[str, List[str]]) -> Record:
    required = sorted(set(options["required_groups"]))
    named = sorted(set(options["groups"]) | set(required))
    # A group that may be empty may as well be missing from the inventory.
    passed = all(inventory.get(name) for name in required) and any(inventory.get(name) for name in options["groups"])
    return _check(
        "gate.groups",
        "The groups of the inventory have hosts",
        passed,
        "hosts in each of %s" % ", ".join(required) if required else "hosts in at least one of %s" % ", ".join(named),
        ", ".join("%s: %s" % (name, len(inventory[name]) if name in inventory else "not in the inventory") for name in named),
        "Correct the inventory: name the hosts of these groups, or let the groups of your inventory be their children.",
    )


def _limit(limit: str, cut: List[str], allowed: bool) -> Record:
    found = "no limit" if not limit else "--limit %s leaves out %s" % (limit, _names(cut) if cut else "no host of these groups")
    return _check(
        "gate.limit",
        "No --limit cuts hosts out of this step",
        allowed or not cut,
        "all hosts of the groups take part" + (", or a limit that this playbook allows" if allowed else ""),
        found,
        "Run the playbook without --limit: this step changes the cluster as a whole, and a host that is left out would hold old data.",
    )


def _preflight(model: Model, name: str, hosts: List[str], absent: List[str]) -> Record:
    stage = model.stages.get(name)
    states = {host: stage.status_on(host) if stage and host in stage.spans else "not run" for host in hosts}
    bad = {host: state for host, state in states.items() if state != "passed"}
    words = {"not run": "not run on", "failed": "failed on", "open": "not ended on"}
    found = "; ".join("%s %s" % (words[state], _names([host for host in bad if bad[host] == state])) for state in words if state in bad.values())
    return _check(
        "gate.preflight",
        "Stage %s of this run passed on every host" % name,
        bool(hosts) and not bad,
        "%s passed on %s" % (name, "%d hosts" % len(hosts) if len(hosts) != 1 else "1 host"),
        (found or ("passed on %s" % _names(hosts) if hosts else "no hosts")) + ("; without %s, which the plan does without" % _names(absent) if absent else ""),
        "Correct what stage %s reports on these hosts, or take hosts that are gone for good out of the inventory; then run the playbook again." % name,
    )


def _names(hosts: List[str]) -> str:
    more = len(hosts) - _MOST_NAMED
    return ", ".join(sorted(hosts)[:_MOST_NAMED]) + (" and %d more" % more if more > 0 else "")
