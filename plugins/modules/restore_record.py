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
  - One destructive run per cluster holds a lock on the hosts. It names its owner and shows a sign of life; it is never taken from a run that may live.
  - Both are JSON files in O(directory), mode 0600, replaced atomically. Replaced and removed records stay in C(restore-history.jsonl).
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
      - V(unlocked) gives the lock back; only its owner can.
    type: str
    choices: [present, absent, locked, unlocked]
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
    description: How far the restore is. With V(planned) nothing has changed yet, V(finished) ends it; between the two no other restore can begin.
    type: str
  restore_id:
    description: Name of this restore. Made up when a record begins without one.
    type: str
  strategy:
    description: How the cluster comes back, as M(lifeboat.cluster.recovery_plan) chose.
    type: str
  source:
    description: Where the data of etcd comes from, V(recovery_point) or V(survivor).
    type: str
  restores_files:
    description: Whether this host gets keys and configuration too, or keeps its own.
    type: bool
  playbook:
    description: Playbook that does the restore, for the command to go on with.
    type: str
  replace:
    description: Give up an unfinished restore and begin another.
    type: bool
    default: false
  owner:
    description: The run that takes or gives back the lock.
    type: dict
    suboptions:
      run_id: {description: Id of the run., type: str, required: true}
      controller: {description: Host name of the controller., type: str}
      controller_boot_id: {description: Boot id of the controller., type: str}
      pid: {description: Process on the controller., type: int}
      user: {description: Who runs it., type: str}
  purpose:
    description: What the lock is for.
    type: str
    default: ""
  stale_after_seconds:
    description: A lock whose last sign of life is older belongs to nobody.
    type: int
    default: 900
  take_over:
    description: Id of a run whose lock is taken although it may live.
    type: str
    default: ""
  dead_run_ids:
    description: Runs of this controller that are known to be dead. Believed only for a lock of the same controller since the same boot.
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
    owner:
      run_id: "{{ hostvars['localhost'].ansible_facts.lifeboat_run.id }}"
      controller: bastion

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
    restores_files: {description: Whether this host gets keys and configuration too., type: bool}
    playbook: {description: Playbook that does it., type: str}
    started_at: {description: When it began., type: str}
    updated_at: {description: When the record changed last., type: str}
    history: {description: "Each C(phase) and when (C(at)) it was reached.", type: list, elements: dict}
previous:
  description: The record, or for V(locked) and V(unlocked) the lock, before; null when there was none.
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
unfinished:
  description: Whether the record is of a restore that has not reached its end.
  returned: success
  type: bool
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.record import IDENTITY, PROGRESS, Change, LockRequest, Store, unfinished

SPEC: Dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent", "locked", "unlocked"], "default": "present"},
    "point": {"type": "str"},
    "cluster_name": {"type": "str"},
    "token": {"type": "str", "no_log": False},
    "bump_revision": {"type": "int"},
    "revision_after": {"type": "int"},
    "phase": {"type": "str"},
    "restore_id": {"type": "str"},
    "strategy": {"type": "str"},
    "source": {"type": "str"},
    "restores_files": {"type": "bool"},
    "playbook": {"type": "str"},
    "replace": {"type": "bool", "default": False},
    "owner": {
        "type": "dict",
        "options": {
            "run_id": {"type": "str", "required": True},
            "controller": {"type": "str"},
            "controller_boot_id": {"type": "str"},
            "pid": {"type": "int"},
            "user": {"type": "str"},
        },
    },
    "purpose": {"type": "str", "default": ""},
    "stale_after_seconds": {"type": "int", "default": 900},
    "take_over": {"type": "str", "default": ""},
    "dead_run_ids": {"type": "list", "elements": "str", "default": []},
    "directory": {"type": "str", "default": "/var/lib/lifeboat"},
}
REQUIRED_IF = [("state", "locked", ("owner",)), ("state", "unlocked", ("owner",))]
_LOCK_REQUEST = ("owner", "purpose", "stale_after_seconds", "take_over", "dead_run_ids")


def _change(store: Store, call: Call) -> Change:
    params = call.params
    if params["state"] == "locked":
        return store.acquire(LockRequest(**{name: params[name] for name in _LOCK_REQUEST}), call.check_mode)
    if params["state"] == "unlocked":
        return store.release(params["owner"], call.check_mode)
    if params["state"] == "absent":
        return store.absent(call.check_mode)
    wanted = {name: params[name] for name in IDENTITY + PROGRESS if params[name] is not None}
    return store.present(wanted, params["replace"], call.check_mode)


def body(call: Call) -> Dict[str, Any]:
    """Change the record or the lock, and return both."""
    store = Store(call.params["directory"])
    change = _change(store, call)
    of_lock = call.params["state"] in ("locked", "unlocked")
    record = store.record() if of_lock else change.after
    return {
        "changed": change.changed,
        "record": record,
        "previous": change.before,
        "lock": change.after if of_lock else store.lock(),
        "unfinished": unfinished(record),
        "diff": {"before": change.before or {}, "after": change.after or {}},
    }


def main() -> None:
    """Entry point."""
    run(SPEC, body, required_if=REQUIRED_IF)


if __name__ == "__main__":
    main()
