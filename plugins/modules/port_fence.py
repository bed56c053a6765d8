#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: port_fence
short_description: Close TCP ports of a host to everybody but the host itself
version_added: "0.1.0"
description:
  - While a server is put together again, nobody may talk to it yet. Minions that knock at a Salt master without its old keys, for instance, end up
    as new ones.
  - Adds one rule with the remark C(lifeboat) before all others of the table C(raw), for IPv4 and, where the kernel has it, IPv6. It drops what
    comes to the ports from anywhere but loopback, also for ports of containers, and also on connections that are open already.
  - The rule is read back. It does not outlive a restart of the host; run the module again then.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  state:
    description:
      - V(closed) closes exactly O(ports); others that this module has closed are opened.
      - V(open) takes away every rule of this module, and no other.
    type: str
    choices: [closed, open]
    required: true
  ports:
    description: The ports, at most 15. Needed for O(state=closed).
    type: list
    elements: int
    default: []
"""

EXAMPLES = r"""
- name: Let no minion in before the keys are in order
  lifeboat.cluster.port_fence:
    state: closed
    ports: [4505, 4506]

- name: Let them in
  lifeboat.cluster.port_fence:
    state: open
"""

RETURN = r"""
rules:
  description: The rules of this module afterwards; in check mode as they are.
  returned: success
  type: list
  elements: str
  sample:
    - iptables -t raw -A PREROUTING ! -i lo -p tcp -m addrtype --dst-type LOCAL -m multiport --dports 4505,4506 -m comment --comment lifeboat -j DROP
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._system import port_fence
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

SPEC: Dict[str, Any] = {
    "state": {"type": "str", "choices": ["closed", "open"], "required": True},
    "ports": {"type": "list", "elements": "int", "default": []},
}


def body(call: Call) -> Dict[str, Any]:
    """Look, and unless only asked, change and read back."""
    ports = port_fence.check_ports(call.params["ports"]) if call.params["state"] == "closed" else []
    before = port_fence.filters()
    changed = not port_fence.settled(before, ports)
    after = port_fence.apply(before, ports) if changed and not call.check_mode else before
    texts = {"before": port_fence.rules(before), "after": port_fence.wanted(before, ports)}
    return {"changed": changed, "rules": port_fence.rules(after), "diff": {when: "".join("%s\n" % line for line in lines) for when, lines in texts.items()}}


def main() -> None:
    """Entry point."""
    run(SPEC, body)


if __name__ == "__main__":
    main()
