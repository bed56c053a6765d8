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
  - Names are listed once, whatever the number of points. The records of a point are read only when it is shown, chosen, or asked about by O(filters).
  - Nothing that a manifest says is believed before its signature was checked.
  - Runs on the controller and changes nothing.
options:
  id:
    description:
      - Id of one point, or V(latest) for the newest usable point (by the time of its snapshot), which is whole and whose signature is believed.
      - A point from the future, made when a clock was wrong, is never V(latest). Named by its id it is used, with a warning.
      - Without it, points are listed and none is verified.
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
  limit:
    description:
      - Without O(id), how many points are listed, the newest by their ids. Without it, all. With V(0), none.
      - Each point that is listed costs a few reads. How many there are in all is in RV(counts).
    type: int
  filters:
    description: Without O(id), only points that are all of what is given here.
    type: dict
    default: {}
    suboptions:
      min_age_seconds:
        description: Taken at least so long ago.
        type: int
      max_age_seconds:
        description: Taken at most so long ago.
        type: int
      components:
        description: Holding all of these components.
        type: list
        elements: str
        default: []
      verified:
        description: Verified, or not, as in RV(points[].verified).
        type: bool
      drilled:
        description: What came of the newest drill.
        type: str
        choices: [passed, failed, none]
      states:
        description: In one of these states.
        type: list
        elements: str
        choices: [complete, tampered, in_the_future, open, abandoned, pruning, broken, unreadable, foreign]
        default: []
      signatures:
        description: With one of these signatures.
        type: list
        elements: str
        choices: [valid, accepted, unchecked, none]
        default: []
  due:
    description:
      - Return in RV(due) which points are to be verified now. Nothing is read for it.
      - A sealed point is due when no result says that it passed at O(due.level) or above within O(due.after_days) days, or when a drill or restore of
        it failed since. A verification that failed counts as one that was made.
    type: dict
    suboptions:
      level:
        description: The level that is wanted.
        type: str
        choices: [listed, hashed, opened]
        default: opened
      after_days:
        description: Days after which it is wanted again.
        type: int
        default: 7
      limit:
        description: So many at most, the newest first.
        type: int
        default: 3
  high_water_revision:
    description: Return RV(high_water_revision). By default with O(id) only, because it means looking into the newest 200 manifests and every restore result.
    type: bool
  level:
    description:
      - How far to verify the point O(id). Each level includes those before it.
      - V(none) reads the manifest only. V(listed) proves that every artifact is there with its size. V(hashed) reads every byte.
      - V(opened) decrypts and unpacks every artifact, checks the etcd snapshot, and compares certificates and keys with the manifest.
      - V(opened) needs O(identity_files).
    type: str
    choices: [none, listed, hashed, opened]
    default: none
  accept_damaged:
    description:
      - Names of artifacts of the point that may be damaged or missing, exactly these, for a recovery that does not need them. V(open.json) may be among them.
      - The checks are not met all the same, and RV(passed) stays false. RV(usable) is true when nothing else is wrong.
      - A manifest or a signature that is damaged cannot be accepted.
    type: list
    elements: str
    default: []
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
  - lifeboat.cluster.recovery_point_progress
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

- name: List the ten newest ones that were never proven to open
  lifeboat.cluster.recovery_point_info:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    allowed_signers: /etc/lifeboat/allowed_signers
    limit: 10
    filters:
      verified: false
      states: [complete, tampered]

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
  description: The points that were asked for, oldest id first; with O(id), that point alone.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Id of the point.
      type: str
    state:
      description:
        - One of V(complete), V(tampered), V(in_the_future), V(open), V(abandoned), V(pruning), V(broken), V(unreadable), V(foreign).
        - V(tampered) is as good as V(complete), because originals are read; but something was laid over one of them.
        - V(unreadable) is one that the server did not give, for a reason of its own. Nothing is known of its bytes.
        - V(in_the_future) is whole, but its time is later than now by more than five minutes. A clock was wrong, this one or that of whoever made it.
      type: str
    usable:
      description: Whether V(latest) may choose it. It is complete or tampered, and its signature is trusted.
      type: bool
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
      description: Seconds since RV(points[].taken_at). Below zero for one from the future.
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
    verified_at:
      description: Time of the newest result that opened it, or else of the newest that passed. Null when a later one failed, or when there is none.
      type: str
    verified_level:
      description: Level of that result.
      type: str
    drilled_at:
      description: Time of the newest drill.
      type: str
    drill_verdict:
      description: V(passed) or V(failed).
      type: str
    last_result:
      description:
        - The newest result, by its name.
        - Of a restore, and of a verification that failed, also C(hosts), C(components) and C(damaged), when it is signed by an allowed signer.
      type: dict
    kept:
      description: Whether the newest tag says that it is to be kept.
      type: bool
    overlaid:
      description: Keys over which somebody laid a version or a delete marker, and the key of a tombstone that is not believed.
      type: list
      elements: str
counts:
  description:
    - How many points there are, by what their names say, with RV(counts.all), RV(counts.sealed), RV(counts.open), RV(counts.abandoned),
      RV(counts.pruning) and RV(counts.foreign).
  returned: success
  type: dict
  contains:
    all:
      description: All of them.
      type: int
    sealed:
      description: Those with a manifest.
      type: int
    open:
      description: Those without one that began a short time ago.
      type: int
    abandoned:
      description: Those without one that began longer ago.
      type: int
    pruning:
      description: Those with a tombstone of which something is left.
      type: int
    foreign:
      description: Those that have no id as their name.
      type: int
table:
  description: The points as lines for the screen.
  returned: when O(id) is not given
  type: list
  elements: str
write_once:
  description: Whether what is written to the location stays until its time is over, also against whoever has the credentials of the backup.
  returned: success
  type: bool
lacks:
  description: What the location does not protect against, in words. Empty when RV(write_once) is true.
  returned: success
  type: str
as_of:
  description: The time from which ages count.
  returned: success
  type: str
gaps:
  description: Ids that the manifests of RV(points) name as sealed before them, and that are neither there nor pruned.
  returned: success
  type: list
  elements: str
due:
  description: Ids of the points to verify now, newest first.
  returned: when O(due) is given
  type: list
  elements: str
high_water_revision:
  description: Highest revision that one of the newest 200 manifests or any restore result names.
  returned: when O(id) is given, or O(high_water_revision=true)
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
usable:
  description: Whether a recovery may go on with it. All checks were met, or all that is wrong is damage that was accepted with O(accept_damaged).
  returned: when O(id) is given
  type: bool
damaged:
  description: Names of the artifacts that are missing or are not what was sealed, as far as O(level) reads them. All others are as good as ever.
  returned: when O(id) is given
  type: list
  elements: str
held_elsewhere:
  description: Ids of other usable points that hold an artifact of the same name, the newest first, by the name of each damaged artifact.
  returned: when O(id) is given
  type: dict
remedy:
  description: What to do when the point does not stand up, with the option that accepts the damage.
  returned: when O(id) is given
  type: str
level:
  description: How far the point was verified, O(level).
  returned: when O(id) is given
  type: str
judged:
  description:
    - Whether this says something of the point. It does not when the point is not sealed, when nobody said who may sign, or when all that is wrong is
      that artifacts are sealed to other keys than O(identity_files) or were refused by the server.
  returned: when O(id) is given
  type: bool
artifacts:
  description: One record for each artifact, with name, host, listed, hashed, opened, other_key, refused and problem.
  returned: when O(id) is given and O(level) is not V(none)
  type: list
  elements: dict
"""

from datetime import timedelta
from typing import Any, Dict, List, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.table import table
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import damage
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification import verification
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    NoRecoveryPointError,
    SignatureUncheckedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.progress import PROGRESS_ARGUMENTS, Meter, Teller, into_file, watched
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError


def one_point(params: Dict[str, Any], location: Location, found: catalog.Catalog) -> Dict[str, Any]:
    """Choose a point and verify it."""
    checks: List[Dict[str, Any]] = []
    reading = params["level"] != "none"
    problem: Optional[LifeboatError] = None
    try:
        if reading:
            point, problem = damage.choose(found, params["id"], params["components"], params["hosts"])
        else:
            point = found.select(params["id"], params["components"], params["hosts"])
    except catalog.OF_NO_POINT:
        raise
    except LifeboatError as error:
        if params["failed_checks"] == "fail" or params["id"] == "latest":
            raise
        checks.append(verification.usable(params["id"], error))
        judged = not isinstance(error, (NoRecoveryPointError, SignatureUncheckedError, *catalog.REFUSED))
        nothing = {"damaged": [], "usable": False, "held_elsewhere": {}, "remedy": error.remedy, "level": params["level"], "artifacts": []}
        return {"id": params["id"], "manifest": None, "checks": checks, "passed": False, "judged": judged, **nothing}
    manifest = point.manifest
    checks.append(verification.usable(point.id, problem, point.signed))
    outcome: Dict[str, Any] = {"id": point.id, "manifest": manifest.to_record(), "age_seconds": catalog.age_seconds(manifest, found.now)}
    outcome.update({"artifacts": [], "judged": True, "level": params["level"]})
    verified: Optional[verification.Verification] = None
    if reading:
        teller = Teller(Meter("Recovery point %s read" % point.id, manifest.size_bytes), into_file(params.get("progress_file")))
        seen = watched(location, teller.more)
        verified = verification.verify_point(seen, manifest, params["level"], params["identity_files"], params["working_directory"])
        teller.end()
        checks += verified.checks
        outcome.update({"artifacts": verified.artifacts, "judged": verified.judged})
    judgement = damage.judge(location, found, point, verified, params["accept_damaged"], problem)
    outcome.update(judgement._asdict(), checks=checks, passed=all(entry["passed"] for entry in checks))
    if not judgement.usable and params["failed_checks"] == "fail":
        raise damage.refusal(point.id, checks, judgement, params["level"], outcome["artifacts"])
    return outcome


def rows_of(found: catalog.Catalog, identifier: str) -> List[Dict[str, Any]]:
    """The row of one point; none when there is no such point."""
    return [found.get(identifier).row(found.now)] if identifier in found.known else []


def with_results(call: adapter.Call, location: Location, rows: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """The rows with what their newest results say inside, where that is more than their names do."""
    cluster, trust = call.params["cluster_name"], catalog.Trust.from_params(call.params)
    return [dict(row, last_result=results.account(location, row["last_result"], cluster, row["id"], trust)) if row["last_result"] else row for row in rows]


def body(call: adapter.Call) -> Dict[str, Any]:
    """List, choose, verify."""
    params = call.params
    location = open_location(params["location"])
    found = catalog.Catalog(location, params["cluster_name"], catalog.Trust.from_params(params), abandoned_after_seconds=params["abandoned_after_seconds"])
    lacks = location.lacks()
    outcome: Dict[str, Any] = {"counts": found.counts(), "as_of": names.format_time(found.now), "write_once": not lacks, "lacks": lacks}
    if params["due"]:
        outcome["due"] = found.due(params["due"]["level"], timedelta(days=params["due"]["after_days"]), params["due"]["limit"])
    if params["id"]:
        outcome.update(one_point(params, location, found))
        outcome["points"] = with_results(call, location, rows_of(found, outcome["id"]))
        if outcome["usable"] and outcome["damaged"]:
            call.warn("Recovery point %s is used although it is damaged: %s" % (outcome["id"], ", ".join(outcome["damaged"])))
        for row in outcome["points"]:
            if row["state"] == catalog.IN_THE_FUTURE:
                call.warn("Recovery point %s is used because it is named: %s. Its age says nothing" % (row["id"], row["reason"]))
        for point in found.passed_over:
            call.warn("Recovery point %s is passed over: it is %s (%s)" % (point.id, point.state, point.note or "its signature is not believed"))
    else:
        outcome["points"] = with_results(call, location, found.rows(params["limit"], catalog.Filters(**params["filters"])))
        outcome["table"] = table(outcome["points"], outcome["counts"], found.now, lacks)
    outcome["gaps"] = found.gaps()
    if params["high_water_revision"] or params["high_water_revision"] is None and params["id"]:
        outcome["high_water_revision"] = found.high_water_revision()
    return outcome


FILTER_ARGUMENTS: Dict[str, Any] = {
    "min_age_seconds": {"type": "int"},
    "max_age_seconds": {"type": "int"},
    "components": {"type": "list", "elements": "str", "default": []},
    "verified": {"type": "bool"},
    "drilled": {"type": "str", "choices": ["passed", "failed", "none"]},
    "states": {"type": "list", "elements": "str", "choices": list(catalog.STATES), "default": []},
    "signatures": {"type": "list", "elements": "str", "choices": list(catalog.SIGNATURES), "default": []},
}
DUE_ARGUMENTS: Dict[str, Any] = {
    "level": {"type": "str", "choices": ["listed", "hashed", "opened"], "default": "opened"},
    "after_days": {"type": "int", "default": 7},
    "limit": {"type": "int", "default": 3},
}


def main() -> None:
    """Argument spec and call."""
    adapter.run(
        dict(
            LOCATION_ARGUMENTS,
            **catalog.TRUST_ARGUMENTS,
            **age_keys.OPENING_ARGUMENTS,
            **PROGRESS_ARGUMENTS,
            id={"type": "str", "aliases": ["recovery_point_id"]},
            components={"type": "list", "elements": "str", "default": []},
            hosts={"type": "list", "elements": "str", "default": []},
            limit={"type": "int"},
            filters={"type": "dict", "default": {}, "options": FILTER_ARGUMENTS, "apply_defaults": True},
            due={"type": "dict", "options": DUE_ARGUMENTS},
            high_water_revision={"type": "bool"},
            level={"type": "str", "choices": ["none", "listed", "hashed", "opened"], "default": "none"},
            accept_damaged={"type": "list", "elements": "str", "default": []},
            failed_checks={"type": "str", "choices": ["fail", "return"], "default": "fail"},
            abandoned_after_seconds={"type": "int", "default": catalog.ABANDONED_AFTER_SECONDS},
            working_directory={"type": "path"},
        ),
        body,
        required_if=[("level", "opened", ("identity_files",))],
    )


if __name__ == "__main__":
    main()
