#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the report of a run from its journal."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_report
short_description: Render the report of a run
version_added: "0.1.0"
description:
  - Reads the journal of a run and writes C(report.html), C(report.md), C(report.json), C(junit.xml) and C(metrics.prom) into the directory of the run,
    and into a second directory if wanted. Each file is replaced in one step.
  - Computes the verdict, the achieved RTO and RPO against target, and what to do next, from the journal alone.
  - With O(finish), in the run that it belongs to, copies the rest of the journal, C(report.html) and C(report.json) to the location in the variable
    C(lifeboat_location), if there is one. A copy that is there is never replaced, and failing to copy is a warning.
  - Runs on the controller, without privileges, with the Python of Ansible. Role P(lifeboat.cluster.report#role) calls it so.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  directory:
    description: Directory of the run, as C(lifeboat_run.directory) says.
    type: path
    required: true
  template_directory:
    description: Directory of the templates C(report.html.j2) and C(report.md.j2).
    type: path
    required: true
  copy_to:
    description: A second directory for the files, which is made when it is not there.
    type: path
  copy_mode:
    description: Mode of the files in O(copy_to), as octal text. The files of the run itself can be read by their owner only.
    type: str
    default: "0640"
  finish:
    description: Record the end of the run before the report is rendered. A run has one end, so a second call renders only.
    type: bool
    default: false
  status:
    description: With O(finish), how the run ended. Without it, what follows from the journal. A run can't be declared V(passed) against its journal.
    type: str
    choices: [passed, failed]
  reason:
    description: With O(finish), why the run failed, for the report. Must hold no secrets.
    type: str
attributes:
  action:
    description: Runs on the controller.
    support: full
  check_mode:
    description: The report is rendered in check mode too, as the evidence is recorded. Nothing is copied to the location.
notes:
  - Never reports a change, because the report is a view of the journal.
"""

EXAMPLES = r"""
- name: Render the report of a run again
  lifeboat.cluster.run_report:
    directory: /var/lib/lifeboat-runs/20261120T134012Z-recover_cluster-1f3a
    template_directory: "{{ role_path }}/templates"
    copy_to: /srv/www/drills/latest
    copy_mode: "0644"
  delegate_to: localhost
  become: false
"""

RETURN = r"""
run_id:
  description: Id of the run.
  returned: success
  type: str
verdict:
  description: V(passed), V(failed), or V(interrupted) while the run has no end and nothing failed.
  returned: success
  type: str
headline:
  description: The verdict in words.
  returned: success
  type: str
summary:
  description: Verdict, checks, RTO and RPO in one line.
  returned: success
  type: str
reasons:
  description: What speaks against the run.
  returned: success
  type: list
  elements: str
achieved_rto_seconds:
  description: From the declaration of the disaster to the service being ready. None when the run restored no service.
  returned: success
  type: float
achieved_rpo_seconds:
  description: From the time of the recovery point to the disaster. None when the run used no recovery point.
  returned: success
  type: float
targets:
  description: C(rto_seconds), C(rpo_seconds), and whether they were met (C(rto_met), C(rpo_met)).
  returned: success
  type: dict
failed_checks:
  description: Checks of severity C(error) that were not met, as in C(report.json).
  returned: success
  type: list
  elements: dict
counts:
  description: Number of checks by outcome.
  returned: success
  type: dict
next_steps:
  description: What to do next.
  returned: success
  type: list
  elements: str
paths:
  description: All files that were written.
  returned: success
  type: list
  elements: str
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.render import RenderError, finish, render
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.view import summary
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

ARGUMENTS: Dict[str, Any] = {
    "directory": {"type": "path", "required": True},
    "template_directory": {"type": "path", "required": True},
    "copy_to": {"type": "path"},
    "copy_mode": {"type": "str", "default": "0640"},
    "finish": {"type": "bool", "default": False},
    "status": {"type": "str", "choices": ["passed", "failed"]},
    "reason": {"type": "str"},
}

RESULTS = ("verdict", "headline", "reasons", "achieved_rto_seconds", "achieved_rpo_seconds", "targets", "counts", "next_steps", "paths")


def body(call: Call) -> Dict[str, Any]:
    """Finish the run if wanted, render, and return the figures."""
    options = call.params
    try:
        mode = int(options["copy_mode"], 8)
    except ValueError:
        raise RenderError("copy_mode has to be octal text such as 0640, not %r." % options["copy_mode"]) from None
    if options["finish"]:
        finish(options["directory"], options["status"], options["reason"])
    report = render(options["directory"], options["template_directory"], options["copy_to"], mode)
    result: Dict[str, Any] = {name: report[name] for name in RESULTS}
    result["run_id"] = report["run"]["id"]
    result["summary"] = summary(report)
    result["failed_checks"] = [check for check in report["checks"] if check["outcome"] == "failed"]
    return result


def main() -> None:
    """Run the module."""
    run(ARGUMENTS, body)


if __name__ == "__main__":
    main()
