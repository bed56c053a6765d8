#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_info
short_description: List and verify recovery points
version_added: "0.1.0"
description:
  - Lists the recovery points of one cluster, or shows and verifies one of them.
  - Nothing that a manifest says is believed before its signature was checked.
  - Runs on the controller and changes nothing.
options:
  id:
    description:
      - Id of one point, or V(latest) for the newest complete point (by the time of its snapshot) whose signature is believed.
      - Without it, all points are listed and none is verified.
    type: str
    aliases: [recovery_point_id]
  components:
    description: With O(id=latest), only points that hold all of these components. An hourly point of etcd alone does not replace the last full one.
    type: list
    elements: str
    default: []
  hosts:
    description:
      - With O(id=latest), only points that hold something of all of these hosts, be they of the whole cluster or not.
      - Without it, only points of the whole cluster.
    type: list
    elements: str
    default: []
  level:
    description:
      - How far to verify the point O(id). Each level includes those before it.
      - V(none) reads the manifest only. V(listed) proves that every artifact is there with its size. V(hashed) reads every byte.
      - V(opened) decrypts and unpacks every artifact, checks the etcd snapshot, and compares certificates and keys with the manifest.
      - V(opened) needs O(identity_files).
    type: str
    choices: [none, listed, hashed, opened]
    default: none
  failed_checks:
    description:
      - What happens when the point does not stand up to the verification.
      - V(fail) fails the task, V(return) only returns the checks, for M(lifeboat.cluster.check) to record.
    type: str
    choices: [fail, return]
    default: fail
  abandoned_after_seconds:
    description: A point that was opened longer ago than this and is not sealed counts as abandoned.
    type: int
    default: 86400
  working_directory:
    description: Private directory on the controller for the plain etcd snapshot, which is removed again. Without it, the temporary directory.
    type: path
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.recovery_point_location
  - lifeboat.cluster.recovery_point_location.trust
  - lifeboat.cluster.recovery_point_location.opening
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.recovery_point
  - module: lifeboat.cluster.artifact_push
"""

EXAMPLES = r"""
- name: List the recovery points
  lifeboat.cluster.recovery_point_info:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    allowed_signers: /etc/lifeboat/allowed_signers

- name: Prove that the newest one can be opened
  lifeboat.cluster.recovery_point_info:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    id: latest
    level: opened
    allowed_signers: /etc/lifeboat/allowed_signers
    identity_files: [/etc/lifeboat/age.key]
"""

RETURN = r"""
points:
  description: All points, oldest id first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Id of the point.
      type: str
    state:
      description: One of V(complete), V(open), V(abandoned), V(broken), V(foreign).
      type: str
    reason:
      description: Why the state is not V(complete).
      type: str
    signature:
      description: One of V(valid), V(accepted) (without signature, by its id), V(unchecked), V(none).
      type: str
    signer:
      description: Principal that signed.
      type: str
    status:
      description: V(completed) or V(partially_failed).
      type: str
    taken_at:
      description: Time that the point stands for.
      type: str
    age_seconds:
      description: Seconds since RV(points[].taken_at).
      type: int
    size_bytes:
      description: Sealed size.
      type: int
    components:
      description: Components of which the point holds something.
      type: list
      elements: str
    scope:
      description: Hosts that it is about. None means the whole cluster.
      type: list
      elements: str
    missing:
      description: What it lacks.
      type: list
      elements: str
    verified:
      description: Whether the newest result at level V(opened) or higher passed and none later failed.
      type: bool
    last_result:
      description: The newest result.
      type: dict
high_water_revision:
  description: Highest revision that any manifest or restore result names.
  returned: success
  type: int
id:
  description: Id of the chosen point.
  returned: when O(id) is given
  type: str
manifest:
  description: Its manifest. Null when it cannot be believed and O(failed_checks=return).
  returned: when O(id) is given
  type: dict
age_seconds:
  description: Its age, counted from the time of its snapshot.
  returned: when O(id) is given and the manifest is believed
  type: int
checks:
  description: What was checked, each with RV(checks[].id), title, passed, found and expected.
  returned: when O(id) is given
  type: list
  elements: dict
  contains:
    id:
      description: Id of the check.
      type: str
passed:
  description: Whether all checks were met.
  returned: when O(id) is given
  type: bool
artifacts:
  description: One record for each artifact, with name, host, listed, hashed, opened and problem.
  returned: when O(id) is given and O(level) is not V(none)
  type: list
  elements: dict
"""

from typing import Any, Dict, List

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point import catalog, sealing, verification
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.errors import PointRefusedError
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.locations import LOCATION_ARGUMENTS, open_location


def one_point(params: Dict[str, Any], location: Location, found: catalog.Catalog) -> Dict[str, Any]:
    """Choose a point and verify it."""
    checks: List[Dict[str, Any]] = []
    try:
        point = found.select(params["id"], params["components"], params["hosts"])
    except LifeboatError as error:
        if params["failed_checks"] == "fail" or params["id"] == "latest":
            raise
        checks.append(verification.usable(params["id"], error))
        return {"id": params["id"], "manifest": None, "checks": checks, "passed": False, "artifacts": []}
    manifest = point.manifest
    checks.append(verification.usable(point.id, None, point.signed))
    outcome: Dict[str, Any] = {"id": point.id, "manifest": manifest.to_record(), "age_seconds": catalog.age_seconds(manifest, found.now), "artifacts": []}
    if params["level"] != "none":
        verified = verification.verify_point(location, manifest, params["level"], params["identity_files"], params["working_directory"])
        checks += verified.checks
        outcome["artifacts"] = verified.artifacts
    outcome.update({"checks": checks, "passed": all(entry["passed"] for entry in checks)})
    if not outcome["passed"] and params["failed_checks"] == "fail":
        raise PointRefusedError(
            "Recovery point %s does not stand up to verification at level %s" % (point.id, params["level"]),
            found="; ".join("%s: %s" % (entry["title"], entry["found"]) for entry in checks if not entry["passed"]),
            remedy="use another recovery point, or another copy of it; keep this one for the search for the cause",
            checks=checks,
            artifacts=outcome["artifacts"],
        )
    return outcome


def body(call: adapter.Call) -> Dict[str, Any]:
    """List, choose, verify."""
    params = call.params
    location = open_location(params["location"])
    found = catalog.Catalog(location, params["cluster_name"], catalog.Trust.from_params(params), abandoned_after_seconds=params["abandoned_after_seconds"])
    outcome: Dict[str, Any] = {"points": [point.row(found.now) for point in found.points], "high_water_revision": found.high_water_revision()}
    if params["id"]:
        outcome.update(one_point(params, location, found))
    return outcome


def main() -> None:
    """Argument spec and call."""
    adapter.run(
        dict(
            LOCATION_ARGUMENTS,
            **catalog.TRUST_ARGUMENTS,
            **sealing.OPENING_ARGUMENTS,
            id={"type": "str", "aliases": ["recovery_point_id"]},
            components={"type": "list", "elements": "str", "default": []},
            hosts={"type": "list", "elements": "str", "default": []},
            level={"type": "str", "choices": ["none", "listed", "hashed", "opened"], "default": "none"},
            failed_checks={"type": "str", "choices": ["fail", "return"], "default": "fail"},
            abandoned_after_seconds={"type": "int", "default": catalog.ABANDONED_AFTER_SECONDS},
            working_directory={"type": "path"},
        ),
        body,
        required_if=[("level", "opened", ("identity_files",))],
    )


if __name__ == "__main__":
    main()
