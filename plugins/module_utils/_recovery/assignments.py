# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan says of each machine: its groups, what is brought onto it out of the recovery point, what it keeps, and the names that it has to know."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.recovery_plan import RecoveryPlan

ETCD = "etcd"
# Where a backup puts the etcdutl that fits its snapshot.
TOOL = "tools/etcdutl.zst.age"


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a machine said when it was looked at.

    ``at`` has ``name``, ``address``, ``addresses`` and ``node_name``; ``connection`` is the address by which Ansible reaches it. ``keeps`` are paths that a
    machine keeps which is not rebuilt from nothing. ``moving`` are the platform's data of machines that may come back under another name or address:
    ``groups``, ``domain``, ``never``.
    """

    components: Sequence[str] = ()
    groups: Sequence[str] = ()
    at: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    connection: str = ""
    has_etcdutl: bool = False
    empty: bool = False
    keeps: Sequence[str] = ()
    moving: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def may_move(self) -> bool:
        """Whether the cluster knows it by a name and an address that it may have lost."""
        return bool(set(self.groups) & set(self.moving.get("groups") or ()))


@dataclasses.dataclass(frozen=True)
class Point:
    """What the manifest of a recovery point says; each field as it stands there."""

    nodes: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    identity: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    artifacts: Sequence[Mapping[str, Any]] = ()
    etcd: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Operator:
    """What the operator says besides: new names by old ones, addresses by name."""

    moved_names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    host_names: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What one machine gets.

    ``groups`` are those of the plan, without their prefix. ``components`` are brought back on it. ``kept`` are globs that stay as they are.
    ``hosts_entries`` are names by address, for its hosts file; ``moved_words`` new words by old ones. ``given_up`` are ids of unfinished restores whose
    record becomes history. Of etcd: the artifact of the snapshot, its SHA-256 and revision, the artifact of an etcdutl (empty where the machine has one),
    and the names of the members by host.
    """

    groups: List[str]
    given_up: List[str]
    components: List[str]
    kept: List[str]
    hosts_entries: Dict[str, List[str]]
    moved_words: Dict[str, str]
    identity: Mapping[str, Any]
    snapshot_artifact: str = ""
    snapshot_sha256: str = ""
    snapshot_revision: int = 0
    tool_artifact: str = ""
    member_names: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> Dict[str, Any]:
        """Plain values for a module result."""
        return dataclasses.asdict(self)


def is_address(text: str) -> bool:
    """Whether a text is an address of the internet protocol, and no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def hosts_entries(names: Mapping[str, str], besides: Mapping[str, str]) -> Dict[str, List[str]]:
    """From address by name to names by address, as a hosts file has them; names without an address are left out.

    So are names whose address is a name, in recovery points of inventories without addresses, and names that are addresses: they need no entry. What an
    operator says (``besides``) is taken as it is.
    """
    entries: Dict[str, List[str]] = {}
    addressed = {name: address for name, address in names.items() if address and is_address(str(address)) and not is_address(str(name))}
    for name, address in sorted({**addressed, **besides}.items()):
        if address:
            entries.setdefault(str(address), []).append(str(name))
    return entries


def moved_words(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]], domain: str = "") -> Dict[str, str]:
    """From name and address by host, then and now, to new words by old ones; a host that is in one of them alone has not moved.

    With a domain, its names in it are among them. An address counts only where both are addresses of the internet protocol: a name by which Ansible
    connects is none that the cluster knows.
    """
    words: Dict[str, str] = {}
    for host in sorted(set(before) & set(after)):
        name, address = ([str(nodes[host].get(field) or "") for nodes in (before, after)] for field in ("name", "address"))
        pairs = [name] if all(name) else []
        if pairs and domain:
            pairs.append(["%s.%s" % (word, domain) for word in name])
        # It may be asked on another of its addresses, and still have the one that the cluster knows.
        if all(map(is_address, address)) and address[0] not in (after[host].get("addresses") or []):
            pairs.append(address)
        words.update({old: new for old, new in pairs if old != new})
    return words


def assign(plan: RecoveryPlan, machines: Mapping[str, Machine], point: Point, operator: Operator, *, only_planned: bool = False) -> Dict[str, Assignment]:
    """By host what it gets. ``only_planned`` (check mode): the comparison of what would come with what is there is the end of it."""
    moving = {name: machine for name, machine in machines.items() if machine.may_move} if plan.strategy != "nothing" else {}
    words = _words(moving, point, operator)
    names = {name: address for name, address in point.names.items() if name not in words}
    if words:
        names.update({str(machine.at["name"]): str(machine.at["address"]) for machine in moving.values()})
    entries = hosts_entries(names, operator.host_names)
    snapshot = next((artifact for artifact in point.artifacts if artifact["component"] == ETCD), {})
    tool = next((TOOL for artifact in point.artifacts if artifact["name"] == TOOL), "")

    def one(name: str, machine: Machine) -> Assignment:
        fresh = name in plan.file_hosts
        groups = plan.groups(name)
        if only_planned:
            groups = [group for group in groups if group == "prepare"]
        elif words and (fresh or not machine.empty):
            groups = [*groups, "follow"]
        return Assignment(
            groups=groups,
            given_up=plan.given_up(name),
            components=_components(plan, name, machine, only_planned),
            # A machine that is not rebuilt from nothing keeps what fits only data of its own; one that moved, its name.
            kept=([] if fresh else list(machine.keeps)) + (list(machine.moving.get("never") or ()) if words and name in moving else []),
            hosts_entries=entries,
            moved_words=words,
            identity=point.identity,
            snapshot_artifact=str(snapshot.get("name") or ""),
            snapshot_sha256=str(snapshot.get("plain_sha256") or ""),
            snapshot_revision=int(point.etcd.get("revision") or 0),
            tool_artifact="" if machine.has_etcdutl else tool,
            # Of a part of the cluster there may be no data of etcd, nor anything of its members.
            member_names=point.etcd.get("names") or {},
        )

    return {name: one(name, machine) for name, machine in machines.items()}


def _words(moving: Mapping[str, Machine], point: Point, operator: Operator) -> Dict[str, str]:
    """The words that have changed: those of machines that moved, and those that the operator says, where one did."""
    connections = {machine.connection for machine in moving.values() if machine.connection}
    before = {name: node for name, node in point.nodes.items() if node.get("address") not in connections}
    domain = next((str(machine.moving.get("domain") or "") for machine in moving.values()), "")
    words = moved_words(before, {name: machine.at for name, machine in moving.items()}, domain)
    return {**words, **operator.moved_names} if words else {}


def _components(plan: RecoveryPlan, name: str, machine: Machine, only_planned: bool) -> List[str]:
    """Everything on a rebuilt machine, but for the data of a member that learns it from the living ones."""
    wanted = [component for component in machine.components if component != ETCD] if name in plan.file_hosts else []
    # In check mode nothing is saved of a survivor, so there is nothing to compare.
    if name in plan.etcd_hosts and not (only_planned and plan.source == "survivor"):
        wanted.append(ETCD)
    return [component for component in machine.components if component in wanted]
