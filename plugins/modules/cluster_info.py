#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Ask one API server about its cluster, and clear away what a restore made stale
version_added: "0.1.0"
description:
  - Asks the API server of this host, with the client certificate files of this host. Nothing has to be installed.
  - With O(stale=remove), removes what a restore brought back although it is not there any more. Each object is removed by its uid, so
    that one of the same name that came meanwhile stays.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  server:
    description: Address of the API server.
    type: str
    default: https://127.0.0.1:6443
  server_name:
    description: Name that the server's certificate must hold; the default is the host of O(server), and C(kubernetes) for a loopback address.
    type: str
    default: ""
  ca_cert:
    description: Certificate of the CA that the server must be signed by.
    type: path
    default: /etc/kubernetes/pki/ca.crt
  kubeconfigs:
    description:
      - Files of which the first that is there and has a client certificate for its current context shows it. Without any, O(client_cert) is shown.
      - C(apiserver-kubelet-client) of kubeadm has no rights in the API any more since 1.36; C(admin.conf) has them.
    type: list
    elements: path
    default: []
  client_cert:
    description: Client certificate.
    type: path
    default: /etc/kubernetes/pki/apiserver-kubelet-client.crt
  client_key:
    description: Key of the client certificate.
    type: path
    default: /etc/kubernetes/pki/apiserver-kubelet-client.key
  wait_seconds:
    description: How long to wait until the server is ready, and with O(stale=remove) until the endpoints of C(default/kubernetes) are right.
    type: int
    default: 60
  timeout_seconds:
    description: How long a single request may take.
    type: int
    default: 30
  collect:
    description: What to ask for. A part that is not asked for is not in the result, and not looked at for stale objects.
    type: list
    elements: str
    choices: [identity, nodes, leases, pods, endpoints, services, volumes, objects]
    default: [identity, nodes, leases, pods, endpoints, services, volumes]
  expected_nodes:
    description: Names of all nodes that the cluster is to have. Without it, no node counts as unexpected.
    type: list
    elements: str
    default: []
  control_plane_addresses:
    description: Addresses on which the API servers advertise themselves.
    type: list
    elements: str
    default: []
  rebuilt_nodes:
    description:
      - Names of the nodes that were rebuilt. Then these have to be there and work, and what the others lack is only told.
      - Without it all of O(expected_nodes) have to.
    type: list
    elements: str
    default: []
  away_nodes:
    description: Names of the nodes of machines that cannot be reached. What they lack is told apart from what others lack, and nothing of theirs is stale.
    type: list
    elements: str
    default: []
  rebuilt_addresses:
    description:
      - Those of O(control_plane_addresses) that the service C(default/kubernetes) has to lead to. Another one may be missing.
      - Without it and without O(rebuilt_nodes), all have to be there.
    type: list
    elements: str
    default: []
  restarted_nodes:
    description:
      - Names of nodes whose kubelet was started since. Of these the condition Ready itself has to be newer than O(reported_since), of others that or the lease.
    type: list
    elements: str
    default: []
  reported_since:
    description:
      - By name of a node, a moment in seconds since 1970 on that node's own clock. What its kubelet reported before does not count.
      - A store that was restored, or that lived on, still says Ready of a node whose kubelet is gone.
    type: dict
    default: {}
  stale:
    description:
      - Whether stale objects are only reported, or removed.
      - Removed are leases of nodes that are neither there nor expected, expired leases of API servers, and pods bound to such nodes.
      - Node objects are removed only when O(remove_nodes) names them. Volume attachments are never removed.
    type: str
    choices: [report, remove]
    default: report
  remove_nodes:
    description: Names of Node objects to remove with O(stale=remove).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Look at the cluster
  lifeboat.cluster.cluster_info:
    expected_nodes: [cp1, cp2, cp3, w1]
    control_plane_addresses: [192.0.2.11, 192.0.2.12, 192.0.2.13]
  register: looked

- name: Clear away what is stale
  lifeboat.cluster.cluster_info:
    expected_nodes: [cp1, cp2, cp3, w1]
    control_plane_addresses: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    stale: remove
"""

RETURN = r"""
cluster:
  description: What the API server said; parts as asked for with O(collect).
  returned: always
  type: dict
  contains:
    server: {description: Who was asked., type: str}
    ready_seconds: {description: How long it took until the server was ready., type: float}
    kube_system_uid: {description: Identity of the cluster., type: str}
    version: {description: Version of the API server., type: str}
    ca_sha256: {description: Digest of the CA certificate file., type: str}
    root_ca_configmap_sha256: {description: Digest of the CA that pods are given., type: str}
    nodes:
      description: >-
        Each with C(name), C(uid), C(ready), C(ready_reason), C(reported) (since O(reported_since)), C(heartbeat_age_seconds), C(unschedulable),
        C(roles), C(taints), C(internal_ips),
        C(addresses), C(pod_cidrs), C(provider_id), C(machine_id), C(boot_id), C(kubelet_version) and C(created_at).
      type: list
      elements: dict
    node_states:
      description: >-
        C(asked_for) (O(rebuilt_nodes), or all of O(expected_nodes)), which of them are C(not_ready) and C(silent) (no report since
        O(reported_since), or for 60 s), C(others_not_ready), and C(away_not_ready) of O(away_nodes), each with the reason.
      type: dict
    leases:
      description: >-
        C(nodes), C(api_servers) and C(leaders), each entry with C(name), C(uid), C(holder), C(hostname), C(duration_seconds), C(renewed_at),
        C(renew_age_seconds) and C(expired).
      type: dict
    pods:
      description: >-
        C(total), C(by_phase), C(by_node), C(static) (mirror pods by node), C(restarts), C(troubled) (at most 200), C(troubled_total) and
        C(on_missing_nodes).
      type: dict
    endpoints:
      description: >-
        C(addresses) of C(default/kubernetes), C(extra), C(missing), C(absent) (not there, and with O(rebuilt_nodes) not asked for) and C(equal).
      type: dict
    api_services_unavailable: {description: Aggregated APIs that do not answer., type: list, elements: dict}
    webhooks: {description: "Each with C(configuration), C(name), C(failure_policy), C(service), C(url) and C(has_endpoints).", type: list, elements: dict}
    volume_attachments: {description: "Each with C(name), C(node), C(node_exists), C(volume) and C(attached).", type: list, elements: dict}
    objects: {description: "C(counts) by resource, C(total), and C(failed) with reasons.", type: dict}
    events_total: {description: How many events there are., type: int}
    stale:
      description: C(nodes), C(node_leases), C(apiserver_leases), C(pods_on_missing_nodes), C(endpoints_extra) and C(volume_attachments).
      type: dict
removals:
  description: What was removed, would be in check mode, or could be with O(stale=remove).
  returned: always
  type: list
  elements: dict
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.api import ApiClient, Credentials
from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.cluster import PARTS, collect, find_stale, remove, wait_endpoints
from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.nodes import Expectation
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

CERTIFICATES = "/etc/kubernetes/pki/"
STRINGS: Dict[str, Any] = {"type": "list", "elements": "str", "default": []}
SPEC: Dict[str, Any] = {
    "server": {"type": "str", "default": "https://127.0.0.1:6443"},
    "server_name": {"type": "str", "default": ""},
    "ca_cert": {"type": "path", "default": CERTIFICATES + "ca.crt"},
    "kubeconfigs": {"type": "list", "elements": "path", "default": []},
    "client_cert": {"type": "path", "default": CERTIFICATES + "apiserver-kubelet-client.crt"},
    "client_key": {"type": "path", "default": CERTIFICATES + "apiserver-kubelet-client.key", "no_log": False},
    "wait_seconds": {"type": "int", "default": 60},
    "timeout_seconds": {"type": "int", "default": 30},
    "collect": {"type": "list", "elements": "str", "choices": list(PARTS), "default": [part for part in PARTS if part != "objects"]},
    "expected_nodes": STRINGS,
    "control_plane_addresses": STRINGS,
    "stale": {"type": "str", "choices": ["report", "remove"], "default": "report"},
    "remove_nodes": STRINGS,
    "rebuilt_nodes": STRINGS,
    "rebuilt_addresses": STRINGS,
    "restarted_nodes": STRINGS,
    "reported_since": {"type": "dict", "default": {}},
    "away_nodes": STRINGS,
}


def body(call: Call) -> Dict[str, Any]:
    """Look, plan, and outside check mode remove and look again."""
    params = call.params
    expected = Expectation(
        params["expected_nodes"],
        params["control_plane_addresses"],
        params["remove_nodes"],
        params["rebuilt_nodes"],
        params["rebuilt_addresses"],
        {str(name): float(moment) for name, moment in params["reported_since"].items()},
        params["restarted_nodes"],
        params["away_nodes"],
    )
    names = ("server_name", "timeout_seconds")
    with ApiClient(params["server"], Credentials.of(params), *(params[name] for name in names)) as client:
        ready_seconds = client.wait_ready(params["wait_seconds"])
        cluster = collect(client, params["ca_cert"], params["collect"], expected)
        stale = find_stale(cluster, expected)
        removals = stale.removals
        acts = params["stale"] == "remove"
        if acts and not call.check_mode:
            removals = remove(client, stale.removals)
            if "endpoints" in params["collect"]:
                wait_endpoints(client, expected, params["wait_seconds"])
            if removals:
                cluster = collect(client, params["ca_cert"], params["collect"], expected)
                stale = find_stale(cluster, expected)
    cluster.update(stale=stale.report, ready_seconds=round(ready_seconds, 3))
    result = {"changed": acts and bool(removals), "cluster": cluster, "removals": [removal.as_dict() for removal in removals]}
    if acts:
        result["diff"] = {"before": "".join("%s\n" % removal for removal in removals), "after": ""}
    return result


def main() -> None:
    """Entry point."""
    run(SPEC, body)


if __name__ == "__main__":
    main()
