#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_plan
short_description: Decide what a recovery does, or refuse it
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Compares what was seen on the machines with what the recovery point holds, and returns who is rebuilt, who gets the etcd snapshot
    and who is left alone.
  - Refuses while nothing is changed yet when machines belong to another cluster, when the members do not fit, when the point lacks
    something, or when data of old members would be rolled back without the operator having chosen so.
  - Talks to no machine. Runs on the controller.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  purpose:
    description: What the plan is for.
    type: str
    choices: [recover, roll_back]
    required: true
  hosts:
    description:
      - What was seen, by inventory host name. Each value has C(groups), C(components), C(node) (the result of
        M(lifeboat.cluster.node_info)) and C(etcd) (C(answers), C(linearizable) and C(version), as M(lifeboat.cluster.etcd_cluster_info) found them).
      - For the assignments also C(at) (C(name), C(address), C(addresses)), C(connection) (the address by which Ansible reaches it), C(keeps) and C(moving),
        as the platform's data have them.
    type: dict
    required: true
  manifest:
    description: The verified manifest of the recovery point.
    type: dict
    required: true
  high_water_revision:
    description: The highest etcd revision in any manifest or restore result of this cluster.
    type: int
    default: 0
  survivor:
    description:
      - The host whose data become the cluster with O(quorum_lost_source=survivor), where data of several clusters are on the disks. Without it the one
        that got furthest.
    type: str
    default: ""
  quorum_lost_source:
    description: The operator's choice when quorum is lost but data of old members is still there.
    type: str
    choices: ['', recovery_point, survivor, members]
    default: ''
  scope:
    description: Hosts that may be rebuilt, for O(purpose=recover). None means all.
    type: list
    elements: str
    default: []
  unreachable:
    description:
      - Hosts that gave no answer, so that O(hosts) has nothing of them. Only a O(scope) without them, or O(missing_members), allows anything to be done.
    type: list
    elements: str
    default: []
  missing_members:
    description:
      - Members of etcd in the recovery point that are gone, by inventory name. The others become the cluster, one is enough; these can join later.
      - Without it a cluster is restored onto all of its members or not at all.
    type: list
    elements: str
    default: []
  give_up:
    description: Ids or tokens of unfinished restores that are given up. The plan is made as if their records were not there.
    type: list
    elements: str
    default: []
  moved_names:
    description: New names by old ones, which are followed besides those of machines that moved.
    type: dict
    default: {}
  host_names:
    description: Addresses by name that are written into hosts files besides those of the nodes.
    type: dict
    default: {}
  mounts_may_differ:
    description: Allow a data directory of etcd that was a mount point when the recovery point was made, and is none now.
    type: bool
    default: false
  revision_slack:
    description: Revisions added on top of the highest one ever seen, where that is above what the clock says (1000 a second since 2020).
    type: int
    default: 1000000000
  versions_may_differ:
    description: Allow the data of the point on machines that run other minor versions of etcd or Kubernetes than those that made it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Decide what is rebuilt
  lifeboat.cluster.recovery_plan:
    purpose: recover
    hosts: "{{ seen }}"
    manifest: "{{ point.manifest }}"
  register: plan
"""

RETURN = r"""
plan:
  description: The plan.
  returned: success
  type: dict
  contains:
    strategy:
      description:
        - One of C(nothing), C(rebuild_admin), C(rebuild_members), C(rebuild_workers), C(rebuild_cluster), C(finish_restore), C(start_members), C(roll_back).
      type: str
    situation:
      description: The situation in which the cluster was found, a row of the table in docs/recovery.md.
      type: str
    reason:
      description: One sentence for people.
      type: str
    token:
      description: The etcd cluster token, adopted from an unfinished run when there is one.
      type: str
    bump_revision:
      description: How far the revision of what is restored is moved on.
      type: int
    file_hosts:
      description: Hosts that get keys and configuration.
      type: list
      elements: str
    etcd_hosts:
      description: Hosts that get the snapshot.
      type: list
      elements: str
    admin_hosts:
      description: Admin nodes that are rebuilt, before every other machine.
      type: list
      elements: str
    superseded:
      description: Ids of restore records that this plan makes history, by host.
      type: dict
assignments:
  description:
    - By host what it gets. C(groups) of the plan that it belongs to, C(components) that are brought back on it, C(kept) globs that stay as they are,
      C(hosts_entries) names by address, C(moved_words) new words by old ones, C(given_up) ids of unfinished restores, C(identity) of the cluster;
      and of etcd C(snapshot_artifact), C(snapshot_sha256), C(snapshot_revision), C(tool_artifact), C(member_names).
    - In check mode only the group C(prepare) is left, with which a plan ends.
  returned: success
  type: dict
  sample: {cp2: {groups: [changes, prepare, verify, stop, members], components: [pki, node_config]}}
given_up:
  description: Ids of unfinished restores whose record on a host becomes history, those of O(give_up) and those that the plan was decided without.
  returned: success
  type: dict
"""

import datetime
import time
import typing as t

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.assignments import Machine, Operator, Point, assign
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.plan import plan_recovery, plan_roll_back
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import Request, Seen, host_view, point_view
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def _names(values: t.List[str]) -> t.List[str]:
    """Names without what stands around them. Of an empty text, which AWX sends for a question without an answer, Ansible makes a list with an empty name."""
    return [name.strip() for name in values if name.strip()]


def _machine(host: t.Mapping[str, t.Any]) -> Machine:
    node = host.get("node") or {}
    return Machine(
        components=host.get("components") or (),
        groups=host.get("groups") or (),
        at=host.get("at") or {},
        connection=host.get("connection") or "",
        has_etcdutl=bool(node.get("etcdutl")),
        empty=bool(node.get("bare")),
        keeps=host.get("keeps") or (),
        moving=host.get("moving") or {},
    )


def _point(manifest: t.Mapping[str, t.Any]) -> Point:
    return Point(
        nodes=manifest.get("nodes") or {},
        names=manifest.get("names") or {},
        identity=manifest["cluster_identity"],
        artifacts=manifest["artifacts"],
        etcd=manifest.get("etcd") or {},
    )


def body(call: Call) -> t.Dict[str, t.Any]:
    """Views in, plan out."""
    params = call.params
    hosts = params["hosts"]
    give_up = _names(params["give_up"])
    taken_at = datetime.datetime.fromisoformat(str(params["manifest"]["taken_at"]).replace("Z", "+00:00")).timestamp()
    point = point_view(params["manifest"], params["high_water_revision"], taken_at)
    seen = Seen(
        [host_view(name, host.get("groups") or [], host.get("node") or {}, host.get("etcd"), give_up) for name, host in sorted(hosts.items())],
        {name: host.get("components") or [] for name, host in hosts.items()},
        Request(
            now=time.time(),
            slack=params["revision_slack"],
            scope=_names(params["scope"]),
            quorum_lost_source=params["quorum_lost_source"],
            survivor=params["survivor"].strip(),
            missing_members=_names(params["missing_members"]),
            give_up=give_up,
            versions_may_differ=params["versions_may_differ"],
            mounts_may_differ=params["mounts_may_differ"],
        ),
        params["unreachable"],
    )
    plan = plan_roll_back(seen, point) if params["purpose"] == "roll_back" else plan_recovery(seen, point)
    machines = {name: _machine(host) for name, host in hosts.items()}
    operator = Operator(params["moved_names"], params["host_names"])
    assigned = assign(plan, machines, _point(params["manifest"]), operator, only_planned=call.check_mode)
    return {
        "plan": plan.as_dict(),
        "assignments": {name: found.as_dict() for name, found in assigned.items()},
    }


def main() -> t.NoReturn:
    """Run the module."""
    run(
        {
            "purpose": {"type": "str", "choices": ["recover", "roll_back"], "required": True},
            "hosts": {"type": "dict", "required": True},
            "manifest": {"type": "dict", "required": True},
            "high_water_revision": {"type": "int", "default": 0},
            "quorum_lost_source": {"type": "str", "choices": ["", "recovery_point", "survivor", "members"], "default": ""},
            "survivor": {"type": "str", "default": ""},
            "scope": {"type": "list", "elements": "str", "default": []},
            "unreachable": {"type": "list", "elements": "str", "default": []},
            "missing_members": {"type": "list", "elements": "str", "default": []},
            "give_up": {"type": "list", "elements": "str", "default": []},
            "moved_names": {"type": "dict", "default": {}},
            "host_names": {"type": "dict", "default": {}},
            "mounts_may_differ": {"type": "bool", "default": False},
            "revision_slack": {"type": "int", "default": 1000000000},
            "versions_may_differ": {"type": "bool", "default": False},
        },
        body,
    )


if __name__ == "__main__":
    main()
