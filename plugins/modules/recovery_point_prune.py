#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_prune
short_description: Remove recovery points that a retention policy does not want any more
version_added: "0.1.0"
description:
  - Looks at all recovery points of one cluster, decides about each with every reason, makes the locks of those longer that a tier keeps for longer,
    and removes those that nothing keeps. In check mode, only the plan is made.
  - Points are counted for each set of components, and each scope, for itself. An hourly point of etcd alone does not replace the last full one.
    What is missing in a point counts as if it were there, so that a point that lacks a machine stands with those that have it.
  - A point in which something is missing does not take the place of one in which nothing is. Of a period that has both, the newest whole one is kept,
    and the newest whole one is kept beside those of O(policy.keep_last).
  - Never removed are the newest verified artifact of each component and machine, wherever it lies (the newest, where none is verified), the newest
    verified point of each group, all points of a group in which none is verified, what is locked or whose C(retain_until) is not reached, what is
    tagged V(keep), points whose newest verification failed, and points that are open, broken or foreign. Verified means that the signature of the
    result was checked.
  - A machine that was removed from the cluster protects nothing any more, when the newest point of the whole cluster in which nothing is missing does not
    name it, and no point did in the 30 days before that one.
  - A point from the future, made when a clock was wrong, takes no place and protects nothing. It is kept until its own C(retain_until) is reached.
  - When a point is missing that a later one saw before it, and no signed tombstone says that it was pruned, nothing is removed at all.
  - Before the first object of a point is removed, the locks of all of them were looked at, and a signed tombstone was written. A run that was killed is
    finished by the next one. A tombstone is kept as long as a later point names its point, and at least 30 days.
  - Where there are object locks, a point that is the last of its hour, day, week, month or year is locked until it falls out of its tier, as soon as
    that period is over. Nobody can take such a lock back in compliance mode, so look at the plan before.
  - Runs on the controller.
options:
  policy:
    description:
      - How many points are kept. A policy in which all numbers are 0 is refused.
      - As with restic, periods without a point do not count, and while a tier has places left it also keeps the oldest point.
    type: dict
    required: true
    suboptions:
      keep_last:
        description: The newest so many, and the newest in which nothing is missing.
        type: int
        default: 0
      keep_hourly:
        description: The newest of each hour, of so many hours. One in which nothing is missing goes before one that lacks something, here and below.
        type: int
        default: 0
      keep_daily:
        description: The newest of each day in UTC.
        type: int
        default: 0
      keep_weekly:
        description: The newest of each ISO week.
        type: int
        default: 0
      keep_monthly:
        description: The newest of each month.
        type: int
        default: 0
      keep_yearly:
        description: The newest of each year.
        type: int
        default: 0
      minimum_age_days:
        description: Younger points are kept whatever else is said.
        type: int
        default: 0
  confirm_cluster_name:
    description: What the operator typed. Has to equal O(cluster_name), but for check mode.
    type: str
    default: ""
  signing_key:
    description: SSH private key without passphrase that signs tombstones, of one of O(allowed_signers). Not needed in check mode.
    type: path
  run_id:
    description: Id of the run, for the tombstones.
    type: str
    default: none
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.recovery_point_location
  - lifeboat.cluster.recovery_point_location.trust
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.recovery_point_tag
  - module: lifeboat.cluster.recovery_point_info
"""

EXAMPLES = r"""
- name: Show what would be removed
  lifeboat.cluster.recovery_point_prune:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    allowed_signers: /etc/lifeboat/allowed_signers
    policy:
      keep_last: 3
      keep_daily: 14
      keep_monthly: 12
      minimum_age_days: 7
  check_mode: true
  diff: true

- name: Remove it
  lifeboat.cluster.recovery_point_prune:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    confirm_cluster_name: shop
    allowed_signers: /etc/lifeboat/allowed_signers
    signing_key: /etc/lifeboat/signing_key
    policy:
      keep_last: 3
      keep_daily: 14
      keep_monthly: 12
      minimum_age_days: 7
"""

RETURN = r"""
plan:
  description: A decision for each point, oldest id first. The same in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Id of the point.
      type: str
    action:
      description: V(keep), V(remove), or V(finish) for one that a killed run had begun to remove.
      type: str
    reasons:
      description: Every reason to keep it, or why it goes.
      type: list
      elements: str
    state:
      description: V(complete), V(in_the_future), V(open), V(abandoned), V(broken), V(foreign), or V(remains) of a point without manifest.
      type: str
    taken_at:
      description: Time that it stands for; of an open or abandoned one, of its opening.
      type: str
    components:
      description: Of what it holds something.
      type: list
      elements: str
    scope:
      description: Hosts that it is about. None means the whole cluster.
      type: list
      elements: str
    size_bytes:
      description: Size of all its objects.
      type: int
    verified:
      description: Whether it is proven to open, by a result whose signature is believed.
      type: bool
    retain_until:
      description: Until when a tier wants it kept, where that is longer than its manifest says.
      type: str
removed:
  description: Points that were, or would be, removed.
  returned: success
  type: list
  elements: str
kept:
  description: Points that stay.
  returned: success
  type: list
  elements: str
extended:
  description: Points whose locks were, or would be, made longer, each with C(id) and C(retain_until).
  returned: success
  type: list
  elements: dict
completed:
  description: Points of which the rest was, or would be, removed.
  returned: success
  type: list
  elements: str
forgotten:
  description: Points whose tombstones were, or would be, removed, because no point names them any more.
  returned: success
  type: list
  elements: str
freed_bytes:
  description: Size of what was, or would be, removed.
  returned: success
  type: int
swept:
  description: Uploads that nobody finished for a day and that were removed. They are found only outside of check mode.
  returned: success
  type: int
left:
  description: What was planned and not done, and why, as when a point was tagged meanwhile.
  returned: success
  type: list
  elements: str
problems:
  description: What is strange and was not acted upon, such as broken points, points from the future, and tombstones, tags and results that are not trusted.
  returned: success
  type: list
  elements: str
groups:
  description: What is counted together, each with name, points, kept, and newest_verified, which is null where nothing is verified.
  returned: success
  type: list
  elements: dict
table:
  description: The plan for people, a line each.
  returned: success
  type: list
  elements: str
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import TRUST_ARGUMENTS, Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention import pruning
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.retention import FINISH, REMOVE, Policy, PruneRefusedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location

POLICY_ARGUMENTS: Dict[str, Any] = {
    name: {"type": "int", "default": 0} for name in ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "minimum_age_days")
}


def body(call: adapter.Call) -> Dict[str, Any]:
    """Plan; then, outside of check mode, carry out."""
    params = call.params
    cluster, trust = params["cluster_name"], Trust.from_params(params)
    policy = Policy.from_params(params["policy"])
    if not call.check_mode:
        pruning.confirm(cluster, params["confirm_cluster_name"])
        if not params["signing_key"]:
            raise PruneRefusedError("Nothing is pruned without a signed record of it", found="no signing key", remedy="set lifeboat_signing_key")
    location = open_location(params["location"])
    prepared = pruning.prepare(location, cluster, trust, policy, names.now())
    outcome = pruning.Outcome(
        removed=prepared.plan.ids(REMOVE),
        finished=prepared.plan.ids(FINISH),
        extended=sorted(prepared.extensions),
        forgotten=prepared.forgotten,
        freed_bytes=prepared.removable_bytes,
    )
    if not call.check_mode:
        outcome = pruning.apply(location, prepared, trust, params["signing_key"], params["run_id"])
    planned = {*prepared.plan.ids(REMOVE), *prepared.plan.ids(FINISH)}
    return {
        "changed": outcome.changed,
        "plan": prepared.plan.to_records(),
        "removed": outcome.removed,
        "kept": [decision.candidate.id for decision in prepared.plan.decisions if decision.candidate.id not in planned],
        "extended": [{"id": point, "retain_until": names.format_time(prepared.extensions[point])} for point in outcome.extended],
        "completed": outcome.finished,
        "forgotten": outcome.forgotten,
        "freed_bytes": outcome.freed_bytes,
        "swept": outcome.swept,
        "left": outcome.left,
        "problems": prepared.problems,
        "groups": prepared.groups(),
        "table": prepared.table(),
        "diff": prepared.diff(),
    }


def main() -> None:
    """Argument spec and call."""
    adapter.run(
        dict(
            LOCATION_ARGUMENTS,
            **TRUST_ARGUMENTS,
            policy={"type": "dict", "required": True, "options": POLICY_ARGUMENTS},
            confirm_cluster_name={"type": "str", "default": ""},
            signing_key={"type": "path", "no_log": False},
            run_id={"type": "str", "default": "none"},
        ),
        body,
    )


if __name__ == "__main__":
    main()
