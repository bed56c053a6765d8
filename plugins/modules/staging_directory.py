#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: staging_directory
short_description: The private directory of a run for artifacts on their way
version_added: "0.1.0"
description:
  - Makes one directory for a run below O(base), readable by the login user alone, so that the connection's own file transfer can use it without root.
    Run it with C(become=false).
  - Removes what killed runs of the same login user left there, because it may hold secrets, and names it in a warning.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  state:
    description: Whether the run needs its directory, or is done with it.
    type: str
    choices: [present, absent]
    default: present
  run_id:
    description: Id of the run, which becomes part of the directory's name.
    type: str
    required: true
  base:
    description: Where the directory is made.
    type: path
    default: /var/tmp
  dead_run_ids:
    description: Runs that are known to be dead; their directories are removed.
    type: list
    elements: str
    default: []
  exclusive_playbooks:
    description: Playbooks of which only this run can be going on, because it holds the lock of the cluster. Directories of other runs of these are removed.
    type: list
    elements: str
    default: []
  holds_lock:
    description: Whether this run holds the lock of the host. Then its directory says so, and counts as left behind when another run finds that it lost it.
    type: bool
    default: false
  locked_by:
    description:
      - The run that held the lock of the host at O(looked_at_epoch), empty for none.
      - A directory of a run that had the lock, to which nothing was written since, is removed when it is not of that run; wherever its controller was.
    type: str
  looked_at_epoch:
    description: When O(locked_by) was looked at, by the clock of the host.
    type: float
  stale_after_seconds:
    description: Directories of any run to which nothing was written for so long are removed. Every artifact that comes or goes is written.
    type: int
    default: 21600
"""

EXAMPLES = r"""
- name: Make a private directory for artifacts
  lifeboat.cluster.staging_directory:
    run_id: "{{ hostvars['localhost'].ansible_facts.lifeboat_run.id }}"
  become: false
  register: staging
"""

RETURN = r"""
path:
  description: The directory; empty when there is none.
  returned: success
  type: str
  sample: /var/tmp/lifeboat-20261120T134012Z-backup_cluster-1f3a-ql2x_9ab
owner:
  description: The login user.
  returned: success
  type: str
removed:
  description: Directories of dead runs that were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import staging
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> t.Dict[str, t.Any]:
    """Look, remove what is stale, make or remove the run's own."""
    params = call.params
    plan = staging.plan(
        params["base"],
        params["run_id"],
        dead_run_ids=params["dead_run_ids"],
        exclusive_playbooks=params["exclusive_playbooks"],
        stale_after_seconds=params["stale_after_seconds"],
        lock=staging.SeenLock(params["locked_by"] or "", params["looked_at_epoch"]) if params["looked_at_epoch"] is not None else None,
    )
    before = [path for path in (plan.path, *plan.stale) if path]
    path = plan.path or ""
    if params["state"] == "present":
        if not call.check_mode:
            staging.remove(plan.stale)
            path = staging.make(plan, params["holds_lock"])
        changed = bool(plan.stale) or plan.path is None
        after = [path] if path else []
    else:
        if not call.check_mode:
            staging.remove(before)
        changed, path, after = bool(before), "", []
    if plan.stale:
        call.warn("Artifacts of interrupted runs were left on this host and are removed: %s" % ", ".join(plan.stale))
    result = {"changed": changed, "path": path, "owner": staging.owner(), "removed": list(plan.stale)}
    return dict(result, diff={"before": {"directories": before}, "after": {"directories": after}}) if changed else result


def main() -> t.NoReturn:
    """Run the module."""
    run(
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "run_id": {"type": "str", "required": True},
            "base": {"type": "path", "default": "/var/tmp"},
            "dead_run_ids": {"type": "list", "elements": "str", "default": []},
            "exclusive_playbooks": {"type": "list", "elements": "str", "default": []},
            "holds_lock": {"type": "bool", "default": False},
            "locked_by": {"type": "str"},
            "looked_at_epoch": {"type": "float"},
            "stale_after_seconds": {"type": "int", "default": 21600},
        },
        body,
        required_together=[("locked_by", "looked_at_epoch")],
    )


if __name__ == "__main__":
    main()
