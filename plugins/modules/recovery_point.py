#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point
short_description: Open and seal recovery points, and append results to them
version_added: "0.1.0"
description:
  - A recovery point is everything that was taken for one cluster at one time, verified and sealed.
  - It is opened first, then hosts bring their artifacts with M(lifeboat.cluster.artifact_fetch), and it is sealed last. Without the manifest that
    sealing writes there is no recovery point, so that a backup that was interrupted is never used.
  - Runs on the controller.
options:
  state:
    description:
      - V(opened) makes a new id and writes C(open.json).
      - V(sealed) reads every artifact back, then writes the manifest's signature, then the manifest, then reads that back.
      - Both are refused when the clocks of this controller and of O(location) are more than five minutes apart. A point is not begun where every trusted
        one is from the future by this clock, and not sealed when its snapshot is from the future, or older than a trusted point that was there before.
      - V(result) appends the result of a verification, a drill or a restore.
    type: str
    choices: [opened, sealed, result]
    required: true
  id:
    description:
      - Id of the point. Required for O(state=sealed) and O(state=result).
      - With O(state=opened), the id of a point that this same run opened before gives that point again.
    type: str
    aliases: [recovery_point_id]
  run_id:
    description: Id of the run that writes.
    type: str
    default: none
  retain_until:
    description: Time in UTC until which the point is kept, for O(state=opened).
    type: str
  retain_days:
    description: Days that the point is kept, for O(state=opened), when O(retain_until) is not given.
    type: int
    default: 30
  artifacts:
    description: The RV(lifeboat.cluster.artifact_fetch#module:artifact) records of all artifacts.
    type: list
    elements: dict
    default: []
  etcd:
    description:
      - The snapshot's record. Its C(revision), C(sha256) and C(size_bytes) are compared whenever the point is opened, and C(taken_at) dates it.
      - Of a point without a snapshot, the members alone, C(hosts) and C(names).
    type: dict
  taken_at:
    description: Time in UTC that the point stands for. Without it, C(taken_at) in O(etcd), else the time of opening.
    type: str
  platform:
    description: Name of the platform.
    type: str
  versions:
    description: Versions of everything.
    type: dict
    default: {}
  cluster_identity:
    description:
      - What proves that a cluster is this one.
      - A point is refused when the newest ones under O(cluster_name) are of a cluster with another UID, be it at opening or at sealing.
    type: dict
    suboptions:
      kube_system_uid:
        description: UID of the namespace kube-system.
        type: str
      ca_sha256:
        description: SHA-256 fingerprint of the cluster's CA certificate, in hex.
        type: str
  replaces:
    description: UID of kube-system of the cluster in whose place this one was built anew, under the same name. Only then two clusters may follow one another.
    type: str
  future_point:
    description:
      - Id of the newest point, when it is from the future because the clock of whoever made it was wrong, for O(state=opened).
      - Needed only where every trusted point is from the future. As soon as one is not, those that are do not count.
    type: str
  scope:
    description:
      - Hosts that the point is about, when it is not of the whole cluster.
      - Whoever asks for the newest point gets such a one only for these hosts.
    type: list
    elements: str
    default: []
  missing:
    description: What a complete point would hold and this one does not. With any, its status is V(partially_failed).
    type: list
    elements: dict
    default: []
    suboptions:
      component:
        description: The component.
        type: str
        required: true
      host:
        description: The host.
        type: str
        required: true
      reason:
        description: Why it is missing.
        type: str
        required: true
  recipients:
    description: To whom the artifacts are sealed. Told to whoever tries to open them with another key.
    type: list
    elements: str
    default: []
  checks:
    description:
      - Checks that were made during the backup, each with C(id), C(host), C(passed), C(severity) and C(stage).
      - Without them, those in the journal of O(run_directory), of all stages that have ended. What was found stays in the journal.
    type: list
    elements: dict
    default: []
  durations:
    description: Seconds by stage. Without them, those in the journal of O(run_directory), of all stages that have ended.
    type: dict
    default: {}
  fingerprints:
    description: Fingerprints of CA, service account key, encryption configuration and member list.
    type: dict
    default: {}
  names:
    description: Addresses by name, of the nodes and of the API, as they could be looked up. In a disaster the name service is often dead too.
    type: dict
    default: {}
  nodes:
    description: C(name) and C(address) of each host, by its name in the inventory. A machine that comes back under others is told by them.
    type: dict
    default: {}
  highest_revision:
    description: Highest etcd revision known of the cluster, for O(state=sealed) and O(state=result). A restore goes above it.
    type: int
  origin:
    description: Where the point was copied from, when it is a copy.
    type: dict
  required_components:
    description: Components without which the point is refused.
    type: list
    elements: str
    default: [etcd, pki]
  signing_key:
    description: SSH private key without passphrase that signs the manifest or result. Without it the point is usable only when its id is named.
    type: path
  run_directory:
    description: Private directory of the run on the controller. With it, sealing goes on where a killed attempt stopped.
    type: path
  result:
    description: What to append, for O(state=result).
    type: dict
    suboptions:
      kind:
        description: What was done.
        type: str
        choices: [verification, drill, restore, escrow]
        required: true
      level:
        description:
          - How far it went.
          - Of a restore, at the most. It is never above O(result.verified_level), never above V(opened) when etcd is not among O(result.components),
            and V(listed) when something of the point is damaged. The level stands in the name of the result, and everybody decides by it.
        type: str
        choices: [listed, hashed, opened, booted, restored]
        required: true
      verified_level:
        description: Of a restore, how far the point was verified before it. Without it, the result proves no more than V(listed).
        type: str
        choices: [listed, hashed, opened]
      hosts:
        description: Of a restore, the hosts that got something from the point.
        type: list
        elements: str
        default: []
      components:
        description: Of a restore, the components that were brought back from the point.
        type: list
        elements: str
        default: []
      damaged:
        description: Artifacts of the point that are missing, or are not what was sealed.
        type: list
        elements: str
        default: []
      passed:
        description: Whether it succeeded.
        type: bool
        required: true
      details:
        description: Evidence.
        type: dict
        default: {}
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.recovery_point_location
  - lifeboat.cluster.recovery_point_location.trust
  - lifeboat.cluster.recovery_point_progress
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.artifact_fetch
  - module: lifeboat.cluster.recovery_point_info
"""

EXAMPLES = r"""
- name: Open a recovery point
  lifeboat.cluster.recovery_point:
    state: opened
    location:
      path: /srv/lifeboat
    cluster_name: shop
    retain_days: 90
  register: opened

- name: Seal it
  lifeboat.cluster.recovery_point:
    state: sealed
    location:
      path: /srv/lifeboat
    cluster_name: shop
    id: "{{ opened.id }}"
    artifacts: "{{ artifacts }}"
    etcd: "{{ snapshot }}"
    recipients: "{{ lifeboat_recipients }}"
    signing_key: /etc/lifeboat/signing_key

- name: Record that it was opened with the private key
  lifeboat.cluster.recovery_point:
    state: result
    location:
      path: /srv/lifeboat
    cluster_name: shop
    id: "{{ opened.id }}"
    result:
      kind: verification
      level: opened
      passed: true
"""

RETURN = r"""
id:
  description: Id of the point.
  returned: success
  type: str
  sample: 20261120T133500Z-1a2b3c
opening:
  description: The record that was written first.
  returned: O(state=opened)
  type: dict
seen_before:
  description: Ids of the sealed points that were there before.
  returned: O(state=opened)
  type: list
  elements: str
lacks:
  description: What the location does not protect against, in words. Empty when what is written there stays until its time is over.
  returned: O(state=opened)
  type: str
manifest:
  description: The manifest; null in check mode when the point was not opened, because then there is nothing to make one of.
  returned: O(state=sealed)
  type: dict
signed:
  description: Whether the manifest has a signature.
  returned: O(state=sealed)
  type: bool
size_bytes:
  description: Sealed size of all artifacts.
  returned: O(state=sealed)
  type: int
unlisted:
  description: Objects that lie with the artifacts and are not in the manifest, as of a host that failed late.
  returned: O(state=sealed)
  type: list
  elements: str
level:
  description: The level in the name of the result.
  returned: O(state=result)
  type: str
result_key:
  description: Where the result was stored.
  returned: O(state=result), not in check mode
  type: str
"""

from datetime import datetime, timedelta
from typing import Any, Dict, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import account, points
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.known import is_from_the_future
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import ClusterIdentity
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import NoRecoveryPointError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.progress import PROGRESS_ARGUMENTS, Meter, Teller, into_file, watched
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError


def identity_of(params: Dict[str, Any]) -> ClusterIdentity:
    """Who the cluster is, as far as the task says so."""
    given = params["cluster_identity"] or {}
    return ClusterIdentity(given.get("kube_system_uid"), given.get("ca_sha256"))


def opened(call: adapter.Call, location: Location) -> Dict[str, Any]:
    """Begin a point."""
    params = call.params
    retain_until = params["retain_until"] or names.format_time(names.now() + timedelta(days=params["retain_days"]))
    done = points.open_point(
        location,
        params["cluster_name"],
        params["run_id"],
        retain_until,
        params["id"],
        call.check_mode,
        identity_of(params),
        catalog.Trust.from_params(params),
        params["replaces"],
        params["future_point"],
    )
    future = [point for point in done.opening.seen_before if is_from_the_future(point, names.now())]
    if future:
        call.warn(
            "Recovery points that are from the future by the clock of this controller (%s) are set aside: %d, the newest %s. If this clock is behind, stop "
            "here and set it" % (names.format_time(names.now()), len(future), future[-1])
        )
    opening = done.opening.to_record()
    return {
        "changed": done.changed,
        "id": done.opening.id,
        "opening": opening,
        "seen_before": done.opening.seen_before,
        "lacks": location.lacks(),
        "diff": {"before": {} if done.changed else opening, "after": opening},
    }


def journalled(call: adapter.Call) -> Dict[str, Any]:
    """Checks and durations out of the run's journal, where none are given. A point without them is whole: a lost journal is a warning."""
    params = call.params
    if not params["run_directory"] or params["checks"] or params["durations"]:
        return {}
    try:
        return account.of_run(params["run_directory"])._asdict()
    except (LifeboatError, OSError) as error:
        call.warn("The manifest of %s says nothing of the run that made it: %s" % (params["id"], error))
        return {}


def sealed(call: adapter.Call, location: Location) -> Dict[str, Any]:
    """Finish a point."""
    params = call.params
    try:
        manifest = points.draft(location, params["cluster_name"], params["id"], dict(params, **journalled(call)))
    except NoRecoveryPointError:
        if not call.check_mode:
            raise
        return {"changed": True, "id": params["id"], "manifest": None, "signed": bool(params["signing_key"]), "size_bytes": 0, "unlisted": [], "diff": {}}
    teller = Teller(Meter("Recovery point %s read back" % manifest.id, manifest.size_bytes), into_file(params["progress_file"]))
    done = points.seal_point(
        watched(location, teller.more),
        manifest,
        points.Sealing(params["signing_key"], catalog.Trust.from_params(params), params["required_components"], params["run_directory"], params["replaces"]),
        check_mode=call.check_mode,
    )
    teller.end()
    if not done.signed:
        call.warn("Recovery point %s is not signed: it will be refused wherever its id is not named in accept_unsigned" % params["id"])
    if done.unlisted:
        call.warn("Recovery point %s has objects that are not part of it: %s" % (params["id"], ", ".join(done.unlisted)))
    summary = {"id": done.manifest.id, "status": done.manifest.status, "artifacts": [artifact.name for artifact in done.manifest.artifacts]}
    return {
        "changed": done.changed,
        "id": done.manifest.id,
        "manifest": done.manifest.to_record(),
        "signed": done.signed,
        "size_bytes": done.manifest.size_bytes,
        "unlisted": done.unlisted,
        "diff": {"before": {} if done.changed else summary, "after": summary},
    }


def kept_until(call: adapter.Call, location: Location) -> Optional[datetime]:
    """A result is kept as long as its point; that of a point which cannot say how long that is, as the location keeps things by itself."""
    try:
        return catalog.read_opening(location, call.params["cluster_name"], call.params["id"]).retain
    except LifeboatError:
        return None


def result(call: adapter.Call, location: Location) -> Dict[str, Any]:
    """Append a result."""
    params = call.params
    given = params["result"]
    record = results.new_result(
        params["cluster_name"],
        params["id"],
        given["kind"],
        results.proven_level(given["kind"], given["level"], given["verified_level"], given["components"], given["damaged"]),
        given["passed"],
        params["run_id"],
        params["highest_revision"],
        given["details"] or {},
        hosts=given["hosts"],
        components=given["components"],
        damaged=given["damaged"],
    )
    key: Optional[str] = None if call.check_mode else results.append(location, record, params["signing_key"], kept_until(call, location))
    told = {"hosts": record.hosts, "components": record.components, "damaged": record.damaged}
    summary = {"kind": record.kind, "level": record.level, "verdict": record.verdict, **{name: value for name, value in told.items() if value}}
    outcome: Dict[str, Any] = {"changed": True, "id": record.point_id, "level": record.level, "diff": {"before": {}, "after": summary}}
    return dict(outcome, result_key=key) if key else outcome


def body(call: adapter.Call) -> Dict[str, Any]:
    """Do what the state asks for."""
    location = open_location(call.params["location"])
    return {"opened": opened, "sealed": sealed, "result": result}[call.params["state"]](call, location)


def main() -> None:
    """Argument spec and call."""
    missing = {name: {"type": "str", "required": True} for name in ("component", "host", "reason")}
    details = {
        "kind": {"type": "str", "choices": list(names.KINDS), "required": True},
        "level": {"type": "str", "choices": list(names.LEVELS), "required": True},
        "verified_level": {"type": "str", "choices": list(names.READING_LEVELS)},
        "hosts": {"type": "list", "elements": "str", "default": []},
        "components": {"type": "list", "elements": "str", "default": []},
        "damaged": {"type": "list", "elements": "str", "default": []},
        "passed": {"type": "bool", "required": True},
        "details": {"type": "dict", "default": {}},
    }
    adapter.run(
        dict(
            LOCATION_ARGUMENTS,
            **catalog.TRUST_ARGUMENTS,
            **PROGRESS_ARGUMENTS,
            state={"type": "str", "choices": ["opened", "sealed", "result"], "required": True},
            id={"type": "str", "aliases": ["recovery_point_id"]},
            run_id={"type": "str", "default": "none"},
            retain_until={"type": "str"},
            retain_days={"type": "int", "default": 30},
            artifacts={"type": "list", "elements": "dict", "default": []},
            etcd={"type": "dict"},
            taken_at={"type": "str"},
            platform={"type": "str"},
            versions={"type": "dict", "default": {}},
            cluster_identity={"type": "dict", "options": {"kube_system_uid": {"type": "str"}, "ca_sha256": {"type": "str"}}},
            replaces={"type": "str"},
            future_point={"type": "str"},
            scope={"type": "list", "elements": "str", "default": []},
            missing={"type": "list", "elements": "dict", "default": [], "options": missing},
            recipients={"type": "list", "elements": "str", "default": []},
            checks={"type": "list", "elements": "dict", "default": []},
            durations={"type": "dict", "default": {}},
            fingerprints={"type": "dict", "default": {}},
            names={"type": "dict", "default": {}},
            nodes={"type": "dict", "default": {}},
            highest_revision={"type": "int"},
            origin={"type": "dict"},
            required_components={"type": "list", "elements": "str", "default": ["etcd", "pki"]},
            signing_key={"type": "path", "no_log": False},
            run_directory={"type": "path"},
            result={"type": "dict", "options": details},
        ),
        body,
        required_if=[("state", "sealed", ("id", "artifacts", "recipients")), ("state", "result", ("id", "result"))],
    )


if __name__ == "__main__":
    main()
