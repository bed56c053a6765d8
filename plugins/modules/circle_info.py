#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: circle_info
short_description: Find what a recovery needs and what lies inside the cluster that is to be recovered
version_added: "0.1.0"
description:
  - Compares the services that a backup or recovery uses with the machines, networks and names of the cluster.
  - Looks at the controller besides, at where directories are mounted from, at its name servers, and at whether it is a machine or a pod of the cluster.
  - Runs on the controller and changes nothing. It never fails for what it finds; names that cannot be looked up within ten seconds are said.
options:
  services:
    description:
      - What is in use, by a name for people. A URL, a host with or without port, or an absolute path. Empty ones are passed over.
    type: dict
    default: {}
  images:
    description: Images that the cluster cannot start without. Their registries are services, too.
    type: list
    elements: str
    default: []
  machines:
    description: Names and addresses of the machines of the cluster, lists by machine.
    type: dict
    default: {}
  endpoints:
    description: Names or addresses of the cluster's API server and load balancers.
    type: list
    elements: str
    default: []
  service_cidrs:
    description: Networks of the cluster's services.
    type: list
    elements: str
    default: []
  pod_cidrs:
    description: Networks of the cluster's pods.
    type: list
    elements: str
    default: []
  domain:
    description: Domain of the cluster's own name servers.
    type: str
    default: cluster.local
extends_documentation_fragment:
  - lifeboat.cluster.attributes
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.readiness_info
"""

EXAMPLES = r"""
- name: Find circles
  lifeboat.cluster.circle_info:
    services:
      location: https://s3.shop.example.com
      Vault: https://vault.default.svc:8200
    machines:
      cp1: [cp1, 10.0.0.1]
    service_cidrs: [10.96.0.0/12]
"""

RETURN = r"""
circles:
  description: What was found, the worst first. Empty is good.
  returned: success
  type: list
  elements: dict
  contains:
    service:
      description: Name of the service.
      type: str
    address:
      description: How it is addressed.
      type: str
    state:
      description: V(inside) the cluster, or V(unknown) because its name could not be looked up.
      type: str
    found:
      description: What tells.
      type: str
    remedy:
      description: What to do.
      type: str
looked_at:
  description: The services that were looked at.
  returned: success
  type: list
  elements: str
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery import circles, surroundings


def body(call: adapter.Call) -> Dict[str, Any]:
    """Look around, look names up, compare."""
    params = call.params
    services = {str(name): str(address) for name, address in params["services"].items() if address}
    services.update({"registry %s" % registry: registry for registry in circles.registries_of(params["images"])})
    cluster = circles.Cluster(
        machines={str(machine): [str(name) for name in known] for machine, known in params["machines"].items()},
        endpoints=params["endpoints"],
        service_cidrs=params["service_cidrs"],
        pod_cidrs=params["pod_cidrs"],
        domain=params["domain"],
    )
    here = surroundings.controller()
    addresses = surroundings.look_up(circles.hosts_to_look_up(services, cluster, here))
    found = circles.find(services, cluster, here, addresses.get)
    looked_at = [*services, *("name server %s" % server for server in circles.name_servers(here.resolv_conf)), "this controller"]
    return {"circles": [circle.to_record() for circle in sorted(found, key=lambda circle: circle.state)], "looked_at": looked_at}


def main() -> None:
    """Argument spec and call."""
    adapter.run(
        {
            "services": {"type": "dict", "default": {}},
            "images": {"type": "list", "elements": "str", "default": []},
            "machines": {"type": "dict", "default": {}},
            "endpoints": {"type": "list", "elements": "str", "default": []},
            "service_cidrs": {"type": "list", "elements": "str", "default": []},
            "pod_cidrs": {"type": "list", "elements": "str", "default": []},
            "domain": {"type": "str", "default": "cluster.local"},
        },
        body,
    )


if __name__ == "__main__":
    main()
