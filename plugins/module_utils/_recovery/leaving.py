# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node leaves for good: where it is still known, and whether it is gone. Pure functions of what was seen; nothing here talks to a machine.

A node of a Salt-run cluster is known in five places: a row of the dashboard's database, keys of the Salt master (in up to four states), the master's
cache and mine, the member list of etcd, and a Node object (kubic-project/salt orch/removal.sls and orch/force-removal.sls leave some of them behind).
Other clusters have the last two.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

DATABASE, KEYS, CACHE, ETCD, NODE = PLACES = ("database", "keys", "cache", "etcd", "node")
_STATES = ("accepted", "pending", "rejected", "denied")


class LeavingRefused(LifeboatError):
    """What was named lives, or cannot be told apart; nothing was changed."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the places said. ``salt`` and ``rows`` are None where the cluster has no such place.

    ``nodes`` are those of ``cluster_info``, ``members`` and ``statuses`` those of ``etcd_cluster_info``, ``salt`` is the one of
    ``salt_key_info`` with answers, ``rows`` have ``minion_id`` and ``fqdn``, ``machines`` are host name and machine id by inventory name.
    """

    nodes: Sequence[Mapping[str, Any]]
    members: Sequence[Mapping[str, Any]]
    statuses: Sequence[Mapping[str, Any]]
    machines: Mapping[str, Mapping[str, str]]
    salt: Optional[Mapping[str, Any]] = None
    rows: Optional[Sequence[Mapping[str, Any]]] = None


@dataclasses.dataclass(frozen=True)
class Leaving:
    """One node and its traces: lists by place, of what a person can look up there."""

    id: str
    name: str
    traces: Mapping[str, List[str]]

    @property
    def places(self) -> List[str]:
        """Where it is still known, in the order in which it is taken out: the cache last, as other things are found by it."""
        return [place for place in (NODE, ETCD, DATABASE, KEYS, CACHE) if self.traces[place]]

    def as_dict(self) -> Dict[str, Any]:
        """Plain values for a module result."""
        return {"id": self.id, "name": self.name, "traces": dict(self.traces), "places": self.places}


def _short(name: object) -> str:
    return str(name or "").partition(".")[0].lower()


def node_name(identity: str, seen: Seen, given: str = "") -> str:
    """The name under which Kubernetes knows it: given, from its row, from its kubelet's machine id, or the identity itself."""
    from_rows = [_short(row.get("fqdn")) for row in seen.rows or () if row.get("minion_id") == identity]
    from_nodes = [str(node["name"]) for node in seen.nodes if node.get("machine_id") == identity]
    found = sorted({name for name in from_rows + from_nodes if name})
    if given:
        return given
    if len(found) > 1:
        raise LeavingRefused(
            "It is not clear which Node belongs to %s." % identity,
            tried="looked for it in the database's rows and in the machine ids that kubelets report",
            found="names: %s" % ", ".join(found),
            remedy="Give the name of the Node that is to go (node_leaving_name).",
        )
    return found[0] if found else identity


def find(identity: str, seen: Seen, given_name: str = "") -> Leaving:
    """Where it is still known."""
    name = node_name(identity, seen, given_name)
    names = {identity, name}
    salt = seen.salt or {}
    cached = {"data": salt.get("data") or [], "mine": salt.get("mine") or []}
    traces = {
        DATABASE: ["%s %s" % (row.get("minion_id"), row.get("fqdn")) for row in seen.rows or () if row.get("minion_id") == identity],
        KEYS: ["%s %s" % (state, (salt.get(state) or {})[identity]) for state in _STATES if identity in (salt.get(state) or {})],
        CACHE: [kind for kind, ids in cached.items() if identity in ids],
        ETCD: ["%s %s" % (member["id"], member["name"]) for member in seen.members if member.get("name") in names],
        NODE: ["%s %s" % (node["name"], node["uid"]) for node in seen.nodes if node["name"] == name],
    }
    return Leaving(identity, name, traces)


def signs_of_life(leaving: Leaving, seen: Seen) -> List[str]:
    """What says that it is not gone."""
    answers = (seen.salt or {}).get("answers") or {}
    signs = ["its minion is connected to the Salt master"] if leaving.id in (answers.get("present") or []) else []
    signs += ["its minion answers test.ping"] if leaving.id in (answers.get("answered") or []) else []
    signs += ["Node %s is Ready" % node["name"] for node in seen.nodes if node["name"] == leaving.name and node.get("ready")]
    signs += [
        "etcd member %s answers" % status.get("name")
        for status in seen.statuses
        if status.get("reachable") and status.get("name") in (leaving.id, leaving.name)
    ]
    signs += [
        "it is the machine %s of the inventory" % host
        for host, machine in sorted(seen.machines.items())
        if leaving.id in (host, machine.get("machine_id"), machine.get("hostname")) or leaving.name in (host, machine.get("hostname"))
    ]
    return signs


def judge(leaving: Leaving, seen: Seen) -> None:
    """Raise LeavingRefused when anything says that it lives, or when nobody could say so."""
    signs = signs_of_life(leaving, seen)
    if signs:
        raise LeavingRefused(
            "%s (%s) is not gone." % (leaving.id, leaving.name),
            tried="looked for signs of life: Salt, Kubernetes, etcd, the inventory",
            found="; ".join(signs),
            remedy="Only what is gone for good is taken out. Switch the machine off first, and take it out of the inventory. "
            "A machine that goes on is drained and removed by the cluster's own means.",
        )
    answers = (seen.salt or {}).get("answers")
    if seen.salt is not None and not (answers or {}).get("running"):
        raise LeavingRefused(
            "The Salt master could not be asked whether %s answers." % leaving.id,
            tried="asked it who is connected and who answers",
            found=str((answers or {}).get("reason") or "no answer"),
            remedy="Start the Salt master, or recover the admin node first (lifeboat.cluster.recover_admin).",
        )
