#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: salt_key
short_description: Accept, reject and remove keys of a Salt master's minions, by name and fingerprint
version_added: "0.1.0"
description:
  - Changes the keys in the master's own directories, so the master need not run. Keys are always named; there is no way to accept all of them.
  - A key with another fingerprint than the one given belongs to another machine, and is refused.
  - What goes away is moved to O(aside), never deleted.
  - A minion whose key was taken away stays connected until the master is restarted or changes its session key.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.salt_master
options:
  state:
    description:
      - V(accepted) accepts the pending key of each id; with a fingerprint also the rejected or denied key that has it. What is left of the same key
        in other states goes away.
      - V(rejected) rejects the accepted or pending key of each id.
      - V(absent) takes the key of each id away in every state, and with O(cache) what the master's cache knows of it.
      - V(reconciled) makes what there is agree with O(keys), all accepted keys of a recovery point. Pending and denied copies of an accepted key go away; a
        pending key that is the one of the recovery point is accepted. Keys with another fingerprint, and ids that were rejected since, are left as they
        are and told in RV(plan.refused). Ids that O(keys) does not name are left as they are and told in RV(plan.unknown).
    type: str
    choices: [accepted, rejected, absent, reconciled]
    required: true
  keys:
    description: The keys.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: Id of the minion.
        type: str
        required: true
      fingerprint:
        description: SHA-256 fingerprint that its key must have. Needed for O(state=reconciled).
        type: str
        default: ""
  cache:
    description: For O(state=absent), whether the cache of the id (grains, pillar, mine) goes too, after all keys.
    type: bool
    default: false
  aside:
    description: Directory for what goes away.
    type: path
    default: /var/lib/lifeboat/aside/salt_key
seealso:
  - module: lifeboat.cluster.salt_key_info
  - module: lifeboat.cluster.port_fence
"""

EXAMPLES = r"""
- name: Accept one new node, whose fingerprint was read on its console
  lifeboat.cluster.salt_key:
    state: accepted
    keys:
      - id: 0a3f5c7e9b1d4f60a2c4e6081a2b3c4d
        fingerprint: "{{ fingerprint_on_console }}"

- name: Forget a node that is gone
  lifeboat.cluster.salt_key:
    state: absent
    keys:
      - id: 0a3f5c7e9b1d4f60a2c4e6081a2b3c4d
    cache: true
    cache_dir: /var/lib/misc/salt/cache/salt-master
"""

RETURN = r"""
plan:
  description: What had to be done, and what is only told.
  returned: success
  type: dict
  contains:
    moves:
      description: Keys that change their state.
      type: list
      elements: dict
      contains:
        id: {description: Id of the minion., type: str}
        from: {description: State before., type: str}
        to: {description: "State afterwards, V(absent) for one that goes away.", type: str}
        fingerprint: {description: Its fingerprint., type: str}
        why: {description: Why., type: str}
    caches: {description: Directories of the cache that go away., type: list, elements: str}
    refused:
      description: For O(state=reconciled), keys that are not what the recovery point has.
      type: list
      elements: dict
      contains:
        id: {description: Id of the minion., type: str}
        state: {description: State of the key., type: str}
        fingerprint: {description: Its fingerprint., type: str}
        expected: {description: Fingerprint in the recovery point., type: str}
        why: {description: What is wrong., type: str}
    missing: {description: "For O(state=reconciled), ids whose accepted key is not there.", type: list, elements: str}
    unknown: {description: "For O(state=reconciled), ids by state that O(keys) does not name.", type: dict}
accepted:
  description: Fingerprints of accepted keys by id afterwards; in check mode as they are.
  returned: success
  type: dict
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt import changes
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.arguments import FILES
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.keys import ACCEPTED, read_keys
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

SPEC: Dict[str, Any] = dict(
    FILES,
    state={"type": "str", "choices": ["accepted", "rejected", "absent", "reconciled"], "required": True},
    keys={
        "type": "list",
        "elements": "dict",
        "required": True,
        "no_log": False,
        "options": {"id": {"type": "str", "required": True}, "fingerprint": {"type": "str", "default": ""}},
    },
    cache={"type": "bool", "default": False},
    aside={"type": "path", "default": "/var/lib/lifeboat/aside/salt_key"},
)


def body(call: Call) -> Dict[str, Any]:
    """Plan, and unless only asked, apply and read back."""
    params = call.params
    wanted = changes.read_wanted(params["keys"], params["state"])
    keys = read_keys(params["pki_dir"])
    plan = changes.plan(keys, params["cache_dir"], params["state"], wanted, params["cache"])
    if not call.check_mode:
        keys = changes.apply(plan, params["aside"])
    return {"changed": plan.changed, "plan": plan.as_result(), "accepted": keys.by_state(ACCEPTED), "diff": plan.diff()}


def main() -> None:
    """Entry point."""
    run(SPEC, body)


if __name__ == "__main__":
    main()
