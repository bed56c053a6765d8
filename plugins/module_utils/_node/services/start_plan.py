# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What starting the services of a node would change: files, host names, data directories, services. Changes nothing."""

from __future__ import annotations

import fnmatch
import os
import stat
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Sequence, Set

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import files, replacement
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.entries import fingerprint, same
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.unpacking import staged_path
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.files import RestorePlan
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.hosts import hosts_conflicts, merge_hosts
from ansible_collections.lifeboat.cluster.plugins.module_utils._node import other_pods
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services import etcd_place
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import STATIC_POD, Node, Observation, Service
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import make_directories, read_json, write_file, write_json

ASIDE = "/var/lib/lifeboat/aside"
PLACED = "/var/lib/lifeboat/placed.json"
# How far a call goes: to the end, or until the local member of etcd has begun, so that no host waits for one that comes after it.
READY, ETCD_BEGUN = UNTIL = ("ready", "etcd_begun")


@dataclass
class StartRequest:
    """What ``started`` was asked to do on this host."""

    groups: List[List[Service]]
    etcd: Mapping[str, Any]
    api: Mapping[str, Any]
    files: Sequence[Mapping[str, Any]] = ()
    hosts_entries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    replace: Sequence[Mapping[str, str]] = ()
    wait_seconds: float = 180.0
    until: str = READY
    etcd_hash: bool = False
    refuse_if_unequal: bool = True
    ledger: str = replacement.LEDGER
    placed: str = PLACED
    hosts_file: str = "/etc/hosts"

    @property
    def services(self) -> List[Service]:
        """All services, in order."""
        return [service for group in self.groups for service in group]

    @property
    def started_groups(self) -> List[List[Service]]:
        """The groups that this call starts: all, or those up to the one with the member of etcd."""
        if self.until != ETCD_BEGUN:
            return self.groups
        with_etcd = [index for index, group in enumerate(self.groups) if any(service.ready == "etcd_quorum" for service in group)]
        return self.groups[: with_etcd[0] + 1] if with_etcd else []


@dataclass
class StartPlan:
    """What starting would change on this host."""

    files: List[RestorePlan]
    hosts_before: str
    hosts_after: str
    hosts_conflicts: List[str]
    steps: List[replacement.Step]
    services: List[Dict[str, Any]]
    running: List[str]
    # Whether data of etcd, or the manifest that it starts with, come out of a recovery point.
    restores_etcd: bool = False

    @property
    def file_paths(self) -> Set[str]:
        """Files and directories that the restore changes."""
        return {step.path for planned in self.files for step in planned.steps}

    @property
    def changes_files(self) -> bool:
        """Whether the restore of files has anything to do."""
        return any(planned.changed for planned in self.files)

    @property
    def changes_data(self) -> bool:
        """Whether files or data directories change, which needs stopped services."""
        return self.changes_files or any(step.action != replacement.DONE for step in self.steps)

    @property
    def changed(self) -> bool:
        """Whether anything changes."""
        return self.changes_data or self.hosts_before != self.hosts_after or any(item["change"] for item in self.services)

    def diff(self) -> Dict[str, str]:
        """What changes, for people: attributes and digests of files, actions, the text of the hosts file; no other contents."""
        before, after = "", ""
        for planned in self.files:
            difference = planned.diff()
            before, after = before + difference["before"], after + difference["after"]
        if self.hosts_before != self.hosts_after:
            before, after = (side + text.encode("utf-8", "replace").decode() for side, text in ((before, self.hosts_before), (after, self.hosts_after)))
        after += "".join("%s: %s\n" % (step.replacement.target, step.action) for step in self.steps if step.action != replacement.DONE)
        after += "".join("%s: %s\n" % (item["service"], item["action"]) for item in self.services if item["change"])
        return {"before": before, "after": after}

    def as_dict(self) -> Dict[str, Any]:
        """For results: names only, never contents."""
        return {
            "files": [planned.as_result() for planned in self.files],
            "hosts": self.hosts_before != self.hosts_after,
            "hosts_conflicts": self.hosts_conflicts,
            "replace": [step.as_dict() for step in self.steps],
            "services": self.services,
        }


def read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write_hosts(path: str, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o644
    if os.path.ismount(path):
        # A file that is a mount point (a machine in a container) can't be renamed over.
        with open(path, "wb") as file:
            file.write(data)
        return
    write_file(os.path.realpath(path), data, mode)


def _service_actions(node: Node, seen: Mapping[str, Observation], services: Sequence[Service], restart: Set[str]) -> List[Dict[str, Any]]:
    actions = []
    for service in services:
        now = seen[service.name]
        steps = []
        if now.parked and not (now.live and not node.differs(service)):
            steps.append("move %s to %s" % (node.parked_path(service), node.live_path(service)))
        if now.unit is not None and (not now.unit.runs or service.name in restart):
            steps.append("%s %s" % ("restart" if now.unit.runs else "start", service.unit))
        if now.unit is not None and now.unit.enabled == "disabled":
            steps.append("enable %s" % service.unit)
        if service.kind == STATIC_POD and not now.runs and not steps:
            steps.append("wait for the kubelet to run it")
        actions.append({"service": service.name, "action": "; ".join(steps) or "already started", "change": bool(steps)})
    return actions


def units_with_changed_config(services: Sequence[Service], paths: Set[str]) -> Set[str]:
    return {service.name for service in services for pattern in service.config if any(fnmatch.fnmatch(path, pattern) for path in paths)}


def _read_placed(path: str) -> Dict[str, Any]:
    """Which restore has put which manifest into the parking."""
    try:
        return read_json(path, "The list of restored manifests")
    except FileNotFoundError:
        return {}


def note_placed(node: Node, plans: Sequence[RestorePlan], path: str) -> None:
    placed = _read_placed(path)
    new = {target: planned.request.restore_id for planned in plans for target in planned.diverted.values() if node.live_of(target)}
    if any(placed.get(target) != restore_id for target, restore_id in new.items()):
        make_directories(os.path.dirname(path))
        write_json(path, dict(placed, **new))


def _plan_files(node: Node, items: Sequence[Mapping[str, Any]], placed_path: str, rehearse: bool) -> List[RestorePlan]:
    """Plans for captured files. Manifests go to the parking: the kubelet must not see them all at once."""
    if not items:
        return []

    placed = _read_placed(placed_path)
    plans = []
    for item in items:
        if rehearse and not files.is_complete(str(item["staging"])):
            # What unpacks the archive was rehearsed too.
            continue
        request = files.RestoreRequest(
            staging=str(item["staging"]),
            restore_id=str(item["restore_id"]),
            include=list(item.get("include") or []),
            exclude=list(item.get("exclude") or []),
            never=list(files.LOCK_OUT if item.get("never") is None else item["never"]),
            named=list(item.get("named") or []),
            divert=dict({node.manifests: node.parking} if item.get("divert") is None else item["divert"]),
            aside=str(item.get("aside") or os.path.join(ASIDE, str(item["restore_id"]))),
            extras=str(item.get("extras") or "keep"),
            exact=list(item.get("exact") or []),
        )
        planned = files.plan(request)
        # A manifest that this restore has put into the parking, and that was released since, is where it belongs (and may have been adapted).
        released = []
        for step in planned.steps:
            live = node.live_of(step.path)
            if live and os.path.lexists(live) and not os.path.lexists(step.path):
                known = placed.get(step.path) == request.restore_id or same(step.wanted, fingerprint(live))
                released += [step.entry.path] if known else []
        plans.append(files.plan(replace(request, exclude=request.exclude + released)) if released else planned)
    return plans


def _others_start(node: Node, request: StartRequest) -> bool:
    """Whether static pods that the platform does not name come back in this call: with the kubelet."""
    agent = node.agent()
    return any(agent in group for group in request.started_groups) if agent is not None else bool(request.started_groups)


def _staged_files(plans: Sequence[RestorePlan]) -> Dict[str, str]:
    """Where the files lie now that are about to be put in place, by their final paths."""

    return {step.path: staged_path(planned.request.staging, step.entry.path) for planned in plans for step in planned.steps}


def _restores_etcd(node: Node, request: StartRequest, plans: Sequence[RestorePlan]) -> bool:
    """Whether data of etcd, or its manifest, is among what is put in place."""
    data = os.path.join(etcd_place.data_dir(request.etcd), "member")
    service = node.etcd_service()
    manifest = node.parked_path(service) if service is not None and service.kind == STATIC_POD else ""
    return any(os.path.abspath(str(item["target"])) == data for item in request.replace) or any(manifest in planned.diverted.values() for planned in plans)


def plan_start(node: Node, request: StartRequest, rehearse: bool = False) -> StartPlan:
    """What starting would do. Changes nothing."""
    file_plans = _plan_files(node, request.files, request.placed, rehearse)
    restores_etcd = _restores_etcd(node, request, file_plans)
    if restores_etcd:
        etcd_place.refuse_configured_elsewhere(node, request.etcd, _staged_files(file_plans))
    hosts = read_text(request.hosts_file)
    hosts_after = hosts
    conflicts: List[str] = []
    if request.hosts_entries:
        entries = {str(address): [names] if isinstance(names, str) else [str(name) for name in names] for address, names in request.hosts_entries.items()}
        hosts_after = merge_hosts(hosts, entries)
        conflicts = ["%s is %s in another line, wanted is %s" % (item.name, item.found, item.wanted) for item in hosts_conflicts(hosts, entries)]
    steps = replacement.plan(request.replace, request.ledger, rehearse)
    seen = node.observe(list(node.services.values()))
    running = [text for now in seen.values() for text in now.leftovers()]
    plan = StartPlan(file_plans, hosts, hosts_after, conflicts, steps, [], running, restores_etcd)
    plan.services = _service_actions(node, seen, request.services, units_with_changed_config(request.services, plan.file_paths))
    if _others_start(node, request):
        plan.services = other_pods.plan_start(node) + plan.services
    return plan
