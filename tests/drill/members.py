# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a lab's etcd, asked on their machines: static pods of kubeadm, or units of CaaSP with the v2 store beside the v3 one."""

from __future__ import annotations

import json
from typing import Any

from tests.lab import Lab
from tests.lab.topology import bracketed

_STACKED = ("/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/etcd/server.crt", "/etc/kubernetes/pki/etcd/server.key")
_UNIT = ("/etc/pki/trust/anchors/SUSE_CaaSP_CA.crt", "/etc/pki/minion.crt", "/etc/pki/minion.key")
# In no listing, as their names begin with an underscore.
HIDDEN = ("/registry/_hidden", "/registry/configmaps/_lifeboat/hidden")


def etcdctl(lab: Lab, node: str, *arguments: str) -> str:
    """Run etcdctl on a member's machine: that of its container, or the machine's own."""
    machine = lab.node(node)
    if lab.topology.admin:
        ca, certificate, key = _UNIT
        # The certificates hold neither localhost nor addresses.
        connection = ["--endpoints", f"https://{node}:2379", "--cacert", ca, "--cert", certificate, "--key", key]
        return machine.run(["etcdctl", *connection, *arguments], environment={"ETCDCTL_API": "3"}).stdout
    container = machine.run(["crictl", "ps", "--quiet", "--name", "^etcd$", "--state", "Running"]).stdout.split()
    if not container:
        raise LookupError(f"no etcd runs on {node}")
    ca, certificate, key = _STACKED
    connection = ["--endpoints", f"https://{bracketed(machine.plan.etcd_client_address)}:2379", "--cacert", ca, "--cert", certificate, "--key", key]
    return machine.run(["crictl", "exec", container[0], "etcdctl", *connection, *arguments]).stdout


def member_names(lab: Lab) -> list[str]:
    """What the members call themselves: as Kubernetes calls their nodes; CaaSP's by the id of their machine."""
    if lab.topology.admin:
        return [lab.node(node.name).run(["cat", "/etc/machine-id"]).stdout.strip() for node in lab.topology.etcd]
    return [node.node_name for node in lab.topology.etcd]


def v2_values(lab: Lab, member: str) -> dict[str, str]:
    """The v2 store as one member has it: values by key. Indexes move and times to live run; hidden keys are in no listing and asked for by name."""
    ca, certificate, key = _UNIT

    def ask(path: str) -> dict[str, Any]:
        url = f"https://{member}:2379/v2/keys{path}"
        answer: dict[str, Any] = json.loads(
            lab.node(member).run(["curl", "--silent", "--fail", "--cacert", ca, "--cert", certificate, "--key", key, url]).stdout
        )
        node: dict[str, Any] = answer["node"]
        return node

    found: dict[str, str] = {}
    waiting = [ask("/?recursive=true&quorum=true"), *(ask(f"{hidden}?quorum=true") for hidden in HIDDEN)]
    while waiting:
        node = waiting.pop()
        if node.get("dir"):
            found[f"{node.get('key', '')}/"] = ""
            waiting += node.get("nodes", [])
        else:
            found[node["key"]] = str(node["value"])
    return found
