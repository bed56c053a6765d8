#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_record
short_description: Keep a host's restore record and the lock of the run that may change it
version_added: "0.1.0"
description:
  - Each host remembers which recovery point is being restored onto it, with which token and revisions, and how far that is.
    A rerun from any controller adopts it.
  - One destructive run per cluster holds a lock on the hosts. It names its owner, shows signs of life, and announces how long it may be silent at most.
    Until then it is never taken from a run that may live.
  - Inside a run (M(lifeboat.cluster.run_begin)) the owner is that run, and which runs are dead is looked up on the controller. A run that holds the lock renews
    it with each call, and changes nothing any more when another run took it.
  - Both are JSON files in O(directory), mode 0600, replaced atomically. Replaced, removed and given up records stay in C(restore-history.jsonl).
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  state:
    description:
      - V(present) merges the given fields into the record; without any it only reads. Point, cluster, token, bump and O(restore_id) cannot change while
        a restore is unfinished.
      - V(absent) moves the record into the history.
      - V(locked) takes the lock. Renewing the sign of life of a lock that this run holds is no change.
      - V(renewed) shows a sign of life of a lock that this run holds, and fails when it does not hold it any more.
      - V(unlocked) gives the lock back; only its owner can.
    type: str
    choices: [present, absent, locked, renewed, unlocked]
    default: present
  point:
    description: Id of the recovery point.
    type: str
  cluster_name:
    description: Name of the cluster.
    type: str
  token:
    description: Token of the restored etcd cluster. Not a secret.
    type: str
  bump_revision:
    description: What was added to the revision of the snapshot.
    type: int
  revision_after:
    description: Revision after the restore.
    type: int
  phase:
    description:
      - How far the restore is. With V(planned), as which a record begins, nothing has changed yet; V(finished) ends it. Between the two no other
        restore can begin.
    type: str
  restore_id:
    description: Name of this restore, by which it can be given up. When a record begins without one, its O(token).
    type: str
  strategy:
    description: How the cluster comes back, as M(lifeboat.cluster.recovery_plan) chose.
    type: str
  source:
    description: Where the data of etcd comes from, V(recovery_point), V(survivor) or V(members).
    type: str
  choice:
    description: What the operator chose when data of members were still there; empty when nobody was asked.
    type: str
  snapshot_sha256:
    description: Digest of the snapshot that becomes the data of etcd. A token belongs to one recovery point, one source and one snapshot.
    type: str
  restores_files:
    description: Whether this host gets keys and configuration too, or keeps its own.
    type: bool
  members:
    description: Hosts whose members of etcd the restore is about. One that is unfinished goes on with the same ones.
    type: list
    elements: str
  options:
    description: What the operator said to the playbook, for the command to go on with.
    type: dict
  seen_record:
    description:
      - With V(locked), the record as M(lifeboat.cluster.node_info) saw it when it was decided what to do; empty when there was none.
      - The lock is not taken when the record has changed since. Without this option nothing is compared.
    type: dict
  playbook:
    description: Playbook that does the restore, for the command to go on with.
    type: str
  give_up:
    description:
      - Restores to give up, by their C(restore_id) or token. Their record goes into the history, and O(staging) is moved aside.
      - With V(present), before the fields are merged; with V(locked), as soon as the lock is taken.
      - A host that has no unfinished restore, or gave up one of these before, has nothing to do. One with another unfinished restore refuses and names it.
    type: list
    elements: str
    default: []
  staging:
    description:
      - What a restore that is given up had prepared. It is moved aside, never removed, to C(.lifeboat-given-up-<restore_id>) beside it.
      - C({token}) and C({point}) stand for those of its record.
    type: list
    elements: str
    default: []
  owner:
    description:
      - The run that takes, renews or gives back the lock. Inside a run it need not be given.
      - With V(present) and V(absent), the lock has to be this run's, and is renewed.
    type: dict
    suboptions:
      run_id: {description: Id of the run., type: str, required: true}
      controller: {description: Host name of the controller., type: str}
      controller_boot_id: {description: Boot id of the controller., type: str}
      pid_namespace: {description: "The pid namespace of the controller's process, as C(/proc/self/ns/pid) says: two containers differ in it.", type: str}
      pid: {description: Process on the controller., type: int}
      pid_started_ticks: {description: "When that process started, in ticks since boot.", type: int}
      user: {description: Who runs it., type: str}
  purpose:
    description: What the lock is for.
    type: str
    default: ""
  silent_for_seconds:
    description:
      - How long the owner may show no sign of life at most. Only then its lock is free for others.
      - Without it, 900 for V(locked), and what was announced before for V(renewed). Filter P(lifeboat.cluster.lock_silence#filter) gives it for a run.
    type: int
  take_over:
    description: Id of a run whose lock is taken although it may live.
    type: str
    default: ""
  dead_run_ids:
    description: Runs that are known to be dead. Trusted only for a lock of the same controller, since the same boot and in the same pid namespace.
    type: list
    elements: str
    default: []
  directory:
    description: Where record and lock lie.
    type: str
    default: /var/lib/lifeboat
"""

EXAMPLES = r"""
- name: Lock the host
  lifeboat.cluster.restore_record:
    state: locked
    purpose: recover_cluster of production

- name: Give an unfinished restore up
  lifeboat.cluster.restore_record:
    state: locked
    purpose: recover_cluster of production
    give_up: [lifeboat-20261120T133500Z-1a2b3c-0123456789ab]
    staging: ["/var/lib/etcd/.lifeboat-restore-{token}", "/var/lib/lifeboat/staging/{point}"]

- name: Note how far the restore is
  lifeboat.cluster.restore_record:
    point: "{{ point.id }}"
    cluster_name: production
    phase: etcd_restored
    revision_after: "{{ restored.restore.revision_after }}"

- name: Read the record
  lifeboat.cluster.restore_record:
  register: remembered
"""

RETURN = r"""
record:
  description: The restore record, or null.
  returned: success
  type: dict
  contains:
    point: {description: Id of the recovery point., type: str}
    cluster_name: {description: Name of the cluster., type: str}
    token: {description: Token of the restored etcd cluster., type: str}
    bump_revision: {description: What was added to the revision of the snapshot., type: int}
    revision_after: {description: Revision after the restore., type: int}
    phase: {description: How far it is., type: str}
    restore_id: {description: Name of this restore., type: str}
    strategy: {description: How the cluster comes back., type: str}
    source: {description: Where the data of etcd comes from., type: str}
    choice: {description: What the operator chose when data of members were still there., type: str}
    snapshot_sha256: {description: Digest of the snapshot that becomes the data of etcd., type: str}
    restores_files: {description: Whether this host gets keys and configuration too., type: bool}
    members: {description: Hosts whose members of etcd it is about., type: list, elements: str}
    options: {description: What the operator said to the playbook., type: dict}
    playbook: {description: Playbook that does it., type: str}
    started_at: {description: When it began., type: str}
    updated_at: {description: When the record changed last., type: str}
    history: {description: "Each C(phase) and when (C(at)) it was reached.", type: list, elements: dict}
previous:
  description: The record, or for V(locked), V(renewed) and V(unlocked) the lock, before; null when there was none.
  returned: success
  type: dict
lock:
  description: The lock, or null.
  returned: success
  type: dict
  contains:
    owner: {description: The run that holds it., type: dict}
    purpose: {description: What for., type: str}
    taken_at: {description: When it was taken., type: str}
    heartbeat_at: {description: Last sign of life., type: str}
    silent_for_seconds: {description: How long there may be none., type: int}
given_up:
  description: The restore that was given up, or null.
  returned: success
  type: dict
  contains:
    record: {description: Its record., type: dict}
    moved_aside: {description: "What it had prepared: C(path) and where it is now (C(aside)).", type: list, elements: dict}
unfinished:
  description: Whether the record is of a restore that has not reached its end.
  returned: success
  type: bool
"""

from typing import Any, Dict, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.lock import SILENT_FOR_SECONDS, Lock, LockRequest
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.record import IDENTITY, PROGRESS, Change, GivenUp, Store, unfinished
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

SPEC: Dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent", "locked", "renewed", "unlocked"], "default": "present"},
    "point": {"type": "str"},
    "cluster_name": {"type": "str"},
    "token": {"type": "str", "no_log": False},
    "bump_revision": {"type": "int"},
    "revision_after": {"type": "int"},
    "phase": {"type": "str"},
    "restore_id": {"type": "str"},
    "strategy": {"type": "str"},
    "source": {"type": "str"},
    "choice": {"type": "str"},
    "snapshot_sha256": {"type": "str"},
    "restores_files": {"type": "bool"},
    "members": {"type": "list", "elements": "str"},
    "options": {"type": "dict"},
    "seen_record": {"type": "dict"},
    "playbook": {"type": "str"},
    "give_up": {"type": "list", "elements": "str", "default": []},
    "staging": {"type": "list", "elements": "str", "default": []},
    "owner": {
        "type": "dict",
        "options": {
            "run_id": {"type": "str", "required": True},
            "controller": {"type": "str"},
            "controller_boot_id": {"type": "str"},
            "pid_namespace": {"type": "str"},
            "pid": {"type": "int"},
            "pid_started_ticks": {"type": "int"},
            "user": {"type": "str"},
        },
    },
    "purpose": {"type": "str", "default": ""},
    "silent_for_seconds": {"type": "int"},
    "take_over": {"type": "str", "default": ""},
    "dead_run_ids": {"type": "list", "elements": "str", "default": []},
    "directory": {"type": "str", "default": "/var/lib/lifeboat"},
}
REQUIRED_IF = [("state", state, ("owner",)) for state in ("locked", "renewed", "unlocked")]


def _lock(lock: Lock, call: Call) -> Change:
    params = call.params
    if params["state"] == "locked":
        request = LockRequest(
            params["owner"], params["purpose"], params["silent_for_seconds"] or SILENT_FOR_SECONDS, params["take_over"], params["dead_run_ids"]
        )
        return lock.acquire(request, call.check_mode)
    if params["state"] == "renewed":
        return lock.renew(params["owner"], params["silent_for_seconds"], call.check_mode)
    if params["state"] == "unlocked":
        return lock.release(params["owner"], call.check_mode)
    # Whoever changes the record under a lock has to hold it still.
    return lock.renew(params["owner"], params["silent_for_seconds"], call.check_mode) if params["owner"] else Change(False, None, None)


def _give_up(store: Store, call: Call, dry_run: bool) -> GivenUp:
    wanted = [name.strip() for name in call.params["give_up"] if name.strip()]
    return store.give_up(wanted, call.params["staging"], dry_run) if wanted else GivenUp()


def _record(store: Store, call: Call, given_up: GivenUp) -> Change:
    if call.params["state"] == "absent":
        return store.absent(call.check_mode)
    wanted = {name: call.params[name] for name in IDENTITY + PROGRESS if call.params[name] is not None}
    return store.present(wanted, call.check_mode, given_up if call.check_mode else None)


def body(call: Call) -> Dict[str, Any]:
    """Change the record or the lock, and return both."""
    store, lock = Store(call.params["directory"]), Lock(call.params["directory"])
    of_lock = call.params["state"] not in ("present", "absent")
    # What is refused is refused before the lock is taken.
    if call.params["state"] == "locked" and call.params["seen_record"] is not None:
        store.require_unchanged(call.params["seen_record"])
    given_up = _give_up(store, call, dry_run=True)
    change = _lock(lock, call)
    if not call.check_mode:
        given_up = _give_up(store, call, dry_run=False)
    if not of_lock:
        change = _record(store, call, given_up)
    record: Optional[Dict[str, Any]] = store.record() if of_lock else change.after
    return {
        "changed": change.changed or given_up.record is not None,
        "record": record,
        "previous": change.before,
        "lock": change.after if of_lock else lock.read(),
        "given_up": {"record": given_up.record, "moved_aside": given_up.moved_aside} if given_up.record else None,
        "unfinished": unfinished(record),
        "diff": {"before": change.before or {}, "after": change.after or {}},
    }


def main() -> None:
    """Entry point."""
    run(SPEC, body, required_if=REQUIRED_IF)


if __name__ == "__main__":
    main()
