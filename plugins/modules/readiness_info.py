#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: readiness_info
short_description: Tell whether a cluster could be recovered today, as far as its recovery points can tell
version_added: "0.1.0"
description:
  - Compares the age of the newest verified point of each component, for each machine, with what was promised. Verified means that the newest result at
    level C(opened) or higher that an allowed signer signed passed, and that none later failed.
  - The machines are those that the newest point of the whole cluster holds or misses. One that no fresh verified point holds makes the component stale,
    though whole points are fresh. Points, drills and proofs from the future count for nothing.
  - Tells which recipients of the newest point were proven, whether what this controller signs would be believed, whether the location takes the next
    backup, when a drill last passed, and how often backup and verification have to run to keep what was promised.
  - Returns all of it as metrics, too. Runs on the controller and changes nothing.
options:
  rpo_targets:
    description:
      - "How old the newest verified point may become, in seconds by component, as V({etcd: 3600, pki: 86400})."
      - A component that is not named has O(rpo_target_seconds).
    type: dict
    default: {}
  rpo_target_seconds:
    description:
      - The same for every other component that the newest point of the whole cluster holds or misses.
      - Without it, only the components of O(rpo_targets) are looked at.
    type: str
  proof_days:
    description: Days after which the private key of a recipient has to be proven again.
    type: int
    default: 90
  drill_days:
    description: Days after which a drill is due again.
    type: int
    default: 90
  recipients:
    description: To whom the next backup is sealed.
    type: list
    elements: str
    default: []
  signing_key:
    description: SSH private key with which this controller signs. Without it, nothing is said about it.
    type: path
  caller:
    description: How playbooks are called on this controller, for the systemd units.
    type: dict
    suboptions:
      program:
        description: Path of C(ansible-playbook).
        type: str
        default: ansible-playbook
      inventories:
        description: Paths of the inventories.
        type: list
        elements: str
        default: []
      directory:
        description: Directory in which it is called.
        type: str
        default: /
      user:
        description: User that calls it.
        type: str
        default: root
      environment:
        description: Variables without which it would not be found. No secrets.
        type: dict
        default: {}
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.recovery_point_location
  - lifeboat.cluster.recovery_point_location.trust
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.recovery_point_info
  - module: lifeboat.cluster.recovery_point_escrow
  - module: lifeboat.cluster.circle_info
"""

EXAMPLES = r"""
- name: Is what was promised kept?
  lifeboat.cluster.readiness_info:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    allowed_signers: /etc/lifeboat/allowed_signers
    rpo_targets: {etcd: 3600}
    rpo_target_seconds: 86400
"""

RETURN = r"""
readiness:
  description: The state.
  returned: success
  type: dict
  contains:
    components:
      description:
        - One entry for each component that has a target, with C(component), C(verdict), C(target_seconds), C(age_seconds), C(point), C(taken_at),
          C(verified_at), C(missing) (machines that this point lacks), C(unverified) (newer points, with the reason) and C(text).
        - C(machines) are those that are worse off than C(point) says, each with C(machine), C(verdict), C(point), C(taken_at), C(age_seconds), C(text).
        - The verdict is V(fresh), V(stale), V(unverified) (there are points, none of them verified) or V(none), of the machine that is worst off.
          C(own_verdict) is that of C(point).
      type: list
      elements: dict
    recipients:
      description: Recipients of the newest point, with C(recipient), C(proven), C(proven_at), C(point) and C(text).
      type: list
      elements: dict
    newest:
      description: The newest complete point of the whole cluster, with C(id), C(taken_at) and C(recipients).
      type: dict
    certificates:
      description:
        - For each machine of the newest complete point whose certificates are known, the one that ends first, with C(machine), C(path), C(ends_at),
          C(seconds_left) (below 0 once it ended), C(state) (V(valid), V(ending) within 30 days, V(expired)), C(expired) (how many) and C(text).
      type: list
      elements: dict
    points:
      description: Number of points by state.
      type: dict
    alarming:
      description: Points whose bytes are not the ones that were written.
      type: list
      elements: str
    future:
      description: Points that claim to be from the future.
      type: list
      elements: str
    doubtful:
      description: Results that nobody believes, and why.
      type: list
      elements: str
    signing:
      description: Whether what this controller signs would be believed, with C(fits) (null without a key), C(signer), C(text) and C(remedy).
      type: dict
    writable:
      description: Whether the location takes the next backup, with C(writable), C(needed_bytes) and C(problem).
      type: dict
    write_once:
      description: Whether what is written to the location stays until its time is over, also against whoever has the credentials of the backup.
      type: bool
    lacks:
      description: What the location does not protect against, in words. Empty when it is write-once.
      type: str
    drill:
      description: The newest drill that passed, with C(at), C(point), C(age_seconds), C(recent) and C(text).
      type: dict
    schedule:
      description: How often to run what, with C(interval_seconds) (null when no schedule meets the targets), C(offsets), C(worst_seconds) and C(arithmetic).
      type: dict
    cluster_facts:
      description: What the newest point tells of the cluster, with C(nodes), C(service_cidrs), C(pod_cidrs) and C(images), for M(lifeboat.cluster.circle_info).
      type: dict
table:
  description: The state as lines for people.
  returned: success
  type: list
  elements: str
metrics:
  description: The state in the text format of Prometheus.
  returned: success
  type: str
schedule_files:
  description: Systemd units and AWX schedules, contents by file name. Empty when no schedule meets the targets.
  returned: success
  type: dict
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog, schedule
from ansible_collections.lifeboat.cluster.plugins.module_utils._readiness import readiness
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import TRUST_ARGUMENTS, Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location


def body(call: adapter.Call) -> Dict[str, Any]:
    """Read, judge, and say it in every form."""
    params = call.params
    trust = Trust.from_params(params)
    if trust.allowed_signers is None:
        raise catalog.unchecked("The points of cluster %s" % params["cluster_name"])
    location = open_location(params["location"])
    found = catalog.Catalog(location, params["cluster_name"], trust)
    wishes = readiness.Wishes(**{name: params[name] for name in readiness.Wishes._fields})
    look = readiness.Look(location, found, trust, wishes)
    record = look.record()
    caller = params["caller"]
    files = schedule.files(
        look.timetable,
        found.cluster,
        schedule.Caller(
            caller["program"], caller["inventories"], caller["directory"], caller["user"], {key: str(value) for key, value in caller["environment"].items()}
        ),
    )
    return {"readiness": record, "table": readiness.table(record), "metrics": readiness.metrics(record), "schedule_files": files}


def main() -> None:
    """Argument spec and call."""
    caller = {
        "program": {"type": "str", "default": "ansible-playbook"},
        "inventories": {"type": "list", "elements": "str", "default": []},
        "directory": {"type": "str", "default": "/"},
        "user": {"type": "str", "default": "root"},
        "environment": {"type": "dict", "default": {}},
    }
    adapter.run(
        dict(
            LOCATION_ARGUMENTS,
            **TRUST_ARGUMENTS,
            rpo_targets={"type": "dict", "default": {}},
            rpo_target_seconds={"type": "str"},
            proof_days={"type": "int", "default": 90},
            drill_days={"type": "int", "default": 90},
            recipients={"type": "list", "elements": "str", "default": []},
            signing_key={"type": "path", "no_log": False},
            caller={"type": "dict", "options": caller, "apply_defaults": True},
        ),
        body,
    )


if __name__ == "__main__":
    main()
