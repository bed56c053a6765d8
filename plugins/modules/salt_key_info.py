#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: salt_key_info
short_description: Look at the keys of a Salt master, its cache, and who answers it
version_added: "0.1.0"
description:
  - Reads the keys of all minions in every state, and the master's own, from its files. A master that does not run is described too, and so are the
    keys in an unpacked archive.
  - Fingerprints are those of C(salt-key -F) and C(salt-call key.finger), so that both sides compare.
  - With O(ping) the master's own programs say who is connected and who answers. A master that does not run is a finding then, not a failure.
  - No private key is ever in the result.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.inside
  - lifeboat.cluster.salt_master
  - lifeboat.cluster.salt_master.programs
options:
  ping:
    description: Whether to ask every accepted minion for an answer.
    type: bool
    default: false
  busy_grains:
    description:
      - Grains that say that something is going on. With O(ping), every accepted minion is asked for these.
    type: list
    elements: str
    default: []
  grains:
    description: Other grains that every accepted minion is asked for, with O(ping).
    type: list
    elements: str
    default: []
  expected:
    description: Ids that ought to be accepted. What differs is in RV(salt.expected).
    type: list
    elements: str
seealso:
  - module: lifeboat.cluster.salt_key
  - module: lifeboat.cluster.salt_minion_info
"""

EXAMPLES = r"""
- name: Look at the keys of an admin node whose Salt master is in a container
  lifeboat.cluster.salt_key_info:
    cache_dir: /var/lib/misc/salt/cache/salt-master
    container: salt-master
    ping: true
    busy_grains: [update_in_progress, removal_in_progress]
    expected: [admin, ca, 0a3f5c7e9b1d4f60a2c4e6081a2b3c4d]
"""

RETURN = r"""
salt:
  description: What was found.
  returned: success
  type: dict
  contains:
    accepted: {description: Fingerprints of accepted keys by id., type: dict}
    pending: {description: Fingerprints of keys that wait for acceptance., type: dict}
    rejected: {description: Fingerprints of rejected keys., type: dict}
    denied: {description: Fingerprints of keys that contradict the key that is known of the id., type: dict}
    problems: {description: "Names among the keys that are no keys, each with the reason.", type: list, elements: str}
    duplicates:
      description: Ids with a key in more than one state.
      type: list
      elements: dict
      contains:
        id: {description: The id., type: str}
        states: {description: "Its states.", type: list, elements: str}
        equal: {description: Whether it is one and the same key., type: bool}
    master:
      description: The master's own keys.
      type: dict
      contains:
        fingerprint: {description: "Of C(master.pub), which minions remember; empty when there is none.", type: str}
        pair: {description: Whether C(master.pem) and C(master.pub) belong together; null when that cannot be seen., type: bool}
        reason: {description: Why not., type: str}
    data: {description: Ids of which the cache has grains and pillar., type: list, elements: str}
    mine: {description: Ids of which the cache has mine data., type: list, elements: str}
    expected: {description: "C(missing) and C(unexpected) ids among the accepted; null without O(expected).", type: dict}
    answers:
      description: Who answers; null without O(ping).
      type: dict
      contains:
        running: {description: Whether the master answered., type: bool}
        reason: {description: Why not., type: str}
        present: {description: Ids that are connected., type: list, elements: str}
        answered: {description: Accepted ids that answered., type: list, elements: str}
        silent: {description: Accepted ids that did not answer., type: list, elements: str}
        busy: {description: "By id, those of O(busy_grains) that are set.", type: dict}
        grains: {description: "By id, the values of O(grains).", type: dict}
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.arguments import FILES, PROGRAMS, programs_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.keys import ACCEPTED, DIRECTORIES, cached, compare, read_keys, read_master
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

SPEC: Dict[str, Any] = dict(
    FILES,
    **PROGRAMS,
    ping={"type": "bool", "default": False},
    busy_grains={"type": "list", "elements": "str", "default": []},
    grains={"type": "list", "elements": "str", "default": []},
    expected={"type": "list", "elements": "str"},
)


def body(call: Call) -> Dict[str, Any]:
    """Look."""
    params = call.params
    keys = read_keys(params["pki_dir"])
    found: Dict[str, Any] = {state: keys.by_state(state) for state in DIRECTORIES}
    found.update(
        problems=list(keys.problems),
        duplicates=keys.duplicates,
        master=read_master(params["pki_dir"]).as_result(),
        data=cached(params["cache_dir"], "data"),
        mine=cached(params["cache_dir"], "mine"),
        expected=compare(keys, params["expected"]) if params["expected"] is not None else None,
        answers=programs_of(params).ask(sorted(found[ACCEPTED]), params["busy_grains"], params["grains"]).as_result() if params["ping"] else None,
    )
    return {"salt": found}


def main() -> None:
    """Entry point."""
    run(SPEC, body)


if __name__ == "__main__":
    main()
