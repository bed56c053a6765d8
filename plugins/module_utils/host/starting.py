# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the services of a node in order, each group proven before the next; files, host names and data are put in place first."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Set

from ansible_collections.lifeboat.cluster.plugins.module_utils.host import replacement
from ansible_collections.lifeboat.cluster.plugins.module_utils.host._disk import make_directories, read_json, write_file, write_json
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.containers import ContainerRuntimeError
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.processes import listening_ports, processes
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.readiness import ApiProof, EtcdProof
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.services import STATIC_POD, UNIT, Journal, Node, Observation, Service, ServiceError
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.turns import Predecessors, Turn, checks_others, own_name, predecessors
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.units import Unit

if TYPE_CHECKING:
    from ansible_collections.lifeboat.cluster.plugins.module_utils.host.files import RestorePlan

ASIDE = "/var/lib/lifeboat/aside"
PLACED = "/var/lib/lifeboat/placed.json"
KICK_SECONDS = 3.0
# Who reads what only at boot.
READ_AT_BOOT = (
    ("/etc/modules-load.d/", "systemd-modules-load.service"),
    ("/etc/sysctl.d/", "systemd-sysctl.service"),
    ("/etc/sysctl.conf", "systemd-sysctl.service"),
)
UNIT_DIRECTORIES = ("/etc/systemd/", "/usr/lib/systemd/", "/lib/systemd/", "/usr/local/lib/systemd/", "/run/systemd/")


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
    etcd_hash: bool = False
    refuse_if_unequal: bool = True
    ledger: str = replacement.LEDGER
    placed: str = PLACED
    hosts_file: str = "/etc/hosts"

    @property
    def services(self) -> List[Service]:
        """All services, in order."""
        return [service for group in self.groups for service in group]


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


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _write_hosts(path: str, text: str) -> None:
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


def _units_with_changed_config(services: Sequence[Service], paths: Set[str]) -> Set[str]:
    return {service.name for service in services for pattern in service.config if any(fnmatch.fnmatch(path, pattern) for path in paths)}


def _read_placed(path: str) -> Dict[str, Any]:
    """Which restore has put which manifest into the parking."""
    try:
        return read_json(path, "The list of restored manifests")
    except FileNotFoundError:
        return {}


def _note_placed(node: Node, plans: Sequence[RestorePlan], path: str) -> None:
    parked = {node.parked_path(service) for service in node.services.values() if service.kind == STATIC_POD}
    placed = _read_placed(path)
    new = {target: planned.request.restore_id for planned in plans for target in planned.diverted.values() if target in parked}
    if any(placed.get(target) != restore_id for target, restore_id in new.items()):
        make_directories(os.path.dirname(path))
        write_json(path, dict(placed, **new))


def _plan_files(node: Node, items: Sequence[Mapping[str, Any]], placed_path: str, rehearse: bool) -> List[RestorePlan]:
    """Plans for captured files. Manifests go to the parking: the kubelet must not see them all at once."""
    if not items:
        return []
    from ansible_collections.lifeboat.cluster.plugins.module_utils.host import files
    from ansible_collections.lifeboat.cluster.plugins.module_utils.host._entries import fingerprint, same

    placed = _read_placed(placed_path)
    live_of_parked = {node.parked_path(service): node.live_path(service) for service in node.services.values() if service.kind == STATIC_POD}
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
            live = live_of_parked.get(step.path)
            if live and os.path.lexists(live) and not os.path.lexists(step.path):
                known = placed.get(step.path) == request.restore_id or same(step.wanted, fingerprint(live))
                released += [step.entry.path] if known else []
        plans.append(files.plan(replace(request, exclude=request.exclude + released)) if released else planned)
    return plans


def plan_start(node: Node, request: StartRequest, rehearse: bool = False) -> StartPlan:
    """What starting would do. Changes nothing."""
    file_plans = _plan_files(node, request.files, request.placed, rehearse)
    hosts = _read_text(request.hosts_file)
    hosts_after = hosts
    conflicts: List[str] = []
    if request.hosts_entries:
        from ansible_collections.lifeboat.cluster.plugins.module_utils.host._hosts import hosts_conflicts, merge_hosts

        entries = {str(address): [names] if isinstance(names, str) else [str(name) for name in names] for address, names in request.hosts_entries.items()}
        hosts_after = merge_hosts(hosts, entries)
        conflicts = ["%s is %s in another line, wanted is %s" % (item.name, item.found, item.wanted) for item in hosts_conflicts(hosts, entries)]
    steps = replacement.plan(request.replace, request.ledger, rehearse)
    seen = node.observe(list(node.services.values()))
    running = [text for now in seen.values() for text in now.leftovers()]
    plan = StartPlan(file_plans, hosts, hosts_after, conflicts, steps, [], running)
    plan.services = _service_actions(node, seen, request.services, _units_with_changed_config(request.services, plan.file_paths))
    return plan


def _refuse_while_running(plan: StartPlan) -> None:
    if plan.changes_data and plan.running:
        raise ServiceError(
            "Data of running services is not replaced.",
            tried="plan the restore of %d files and %d directories"
            % (len(plan.file_paths), len([step for step in plan.steps if step.action != replacement.DONE])),
            found="; ".join(plan.running),
            remedy="Stop the services on this host first (node_services with state: stopped), then run this again.",
            still_running=plan.running,
        )


def _put_in_place(node: Node, request: StartRequest, plan: StartPlan, journal: Journal) -> List[Dict[str, Any]]:
    """Files, host names, data directories; returns what became of the files."""
    applied = []
    if plan.changes_files:
        from ansible_collections.lifeboat.cluster.plugins.module_utils.host import files

        with journal.phase("files"):
            journal.changing()
            applied = [files.apply(planned).as_result() for planned in plan.files]
            _note_placed(node, plan.files, request.placed)
    if plan.hosts_before != plan.hosts_after:
        with journal.phase("hosts"):
            journal.changing()
            _write_hosts(request.hosts_file, plan.hosts_after)
    if any(step.action != replacement.DONE for step in plan.steps):
        with journal.phase("replace"):
            journal.changing()
            replacement.apply(plan.steps, request.ledger)
    else:
        replacement.apply(plan.steps, request.ledger)
    return applied


def _check_manifests(node: Node, request: StartRequest, plan: StartPlan) -> None:
    """Every manifest is there, and there is no doubt which one is meant."""
    for service in request.services:
        if service.kind != STATIC_POD:
            continue
        live, parked = node.live_path(service), node.parked_path(service)
        if not os.path.lexists(live) and not os.path.lexists(parked):
            raise ServiceError(
                "The manifest of %s is missing." % service.name,
                tried="look for %s and %s" % (live, parked),
                found="neither exists",
                remedy="Restore this node's files out of a recovery point first (component node_config).",
            )
        if node.differs(service) and parked not in plan.file_paths:
            raise ServiceError(
                "There are two different manifests of %s." % service.name,
                tried="compare %s and %s" % (live, parked),
                found="they differ, and none of them was restored by this call",
                remedy="Keep the one that should run, move the other away, then run this again.",
            )


def _hold_back(node: Node, request: StartRequest, journal: Journal) -> None:
    """Before the kubelet starts, take away the manifests of all but its own group: it would start everything at once."""
    agent = node.agent_unit()
    with_agent = [index for index, group in enumerate(request.groups) if agent is not None and agent.name in [service.unit for service in group]]
    if agent is None or agent.runs or not with_agent:
        return
    for group in request.groups[with_agent[0] + 1 :]:
        for service in group:
            if service.kind == STATIC_POD and os.path.lexists(node.live_path(service)):
                if node.differs(service):
                    # The parked one was restored by this call, so it is the one that is meant; park() would let the live one win.
                    node.release(service)
                journal.changing()
                node.park(service)


class _Starter:
    """One run of starting; knows what was there before, to tell new containers from old ones."""

    def __init__(self, node: Node, request: StartRequest, plan: StartPlan, journal: Journal) -> None:
        self.node = node
        self.request = request
        self.plan = plan
        self.journal = journal
        self.etcd = EtcdProof(request.etcd)
        self.api = ApiProof(request.api)
        self.etcd_result: Optional[Dict[str, Any]] = None
        before = node.observe(request.services)
        self.known = {container.id for seen in before.values() for container in seen.alive + seen.ended}
        self.unit_restarts = {seen.unit.name: seen.unit.restarts for seen in before.values() if seen.unit is not None}
        self.ready_at: Dict[str, float] = {}
        self.changed: Set[str] = set()
        self.started_at: Dict[str, float] = {}
        self.kicked_at: Dict[str, float] = {}
        self.born: Set[str] = set()
        self.started_units: Set[str] = set()
        self.turns: List[Dict[str, Any]] = []

    def _not_born(self, left: Sequence[Service]) -> Set[str]:
        """Static pods without a process. Looking at all processes costs, so a process that was seen once is taken for granted until the end."""
        waiting = [service for service in left if service.kind == STATIC_POD and service.process and service.name not in self.born]
        found = processes({service.process for service in waiting}, self.node.proc) if waiting else {}
        for service in waiting:
            if found[service.process]:
                self.born.add(service.name)
            else:
                self._kick(service)
        return {service.name for service in waiting} - self.born

    def _missing_service(self, service: Service, units: Mapping[str, Unit]) -> str:
        if service.kind == UNIT and not units[service.unit].runs:
            return str(units[service.unit])
        if service.ready == "etcd_quorum":
            return self.etcd.missing()
        if service.ready == "api":
            return self.api.missing()
        if service.ready == "container":
            listening = listening_ports(self.node.proc)
            silent = [str(port) for port in service.ports if port not in listening]
            if silent:
                return "%s does not listen on %s yet" % (service.name, ", ".join(silent))
            if service.kind == STATIC_POD:
                seen = self.node.observe([service])[service.name]
                if not seen.alive and not seen.containers_unknown:
                    return "no running container %s yet" % service.container
        return ""

    def _missing(self, group: Sequence[Service]) -> List[str]:
        left = [service for service in group if service.name not in self.ready_at]
        units = self.node.systemd.show([service.unit for service in left if service.kind == UNIT])
        not_born = self._not_born(left)
        missing = []
        for service in left:
            what = "no process %s yet" % service.process if service.name in not_born else self._missing_service(service, units)
            if what:
                missing.append(what)
            else:
                self.ready_at[service.name] = time.time()
        return missing

    def _release(self, services: Sequence[Service]) -> None:
        for service in services:
            self.started_at[service.name] = time.time()
            if not os.path.lexists(self.node.parked_path(service)):
                continue
            if not os.path.lexists(self.node.live_path(service)) or self.node.differs(service):
                self.journal.changing()
                self.changed.add(service.name)
            self.node.release(service)

    def _start_units(self, services: Sequence[Service]) -> None:
        by_unit = {service.unit: service for service in services}
        units = self.node.systemd.show(sorted(by_unit))
        for unit in units.values():
            self.started_at[by_unit[unit.name].name] = time.time()
            if not unit.exists or unit.load == "masked":
                raise ServiceError(
                    "The unit %s can't be started." % unit.name,
                    tried="look at it with systemctl show",
                    found="it is %s" % unit.load,
                    remedy="systemctl unmask %s" % unit.name if unit.load == "masked" else "Install the package that brings it, or restore this node's files.",
                )
        failed = [unit.name for unit in units.values() if unit.active == "failed"]
        if failed:
            self.node.systemd.reset_failed(failed)
        restart = _units_with_changed_config(services, self.plan.file_paths)
        to_start = [unit.name for unit in units.values() if not unit.runs]
        to_restart = [unit.name for unit in units.values() if unit.runs and by_unit[unit.name].name in restart]
        for names, act in ((to_start, self.node.systemd.start), (to_restart, self.node.systemd.restart)):
            if names:
                self.journal.changing()
                self.changed.update(by_unit[name].name for name in names)
                self.started_units.update(names)
                act(names)

    def _turn(self, service: Service) -> Turn:
        """After whom the local member of etcd starts, if that matters."""
        parked = self.node.parked_path(service)
        if service.ready != "etcd_quorum" or service.kind != STATIC_POD or os.path.lexists(self.node.live_path(service)) or not os.path.lexists(parked):
            return Turn(reason="it is not started by this call")
        manifest = _read_text(parked)
        if not checks_others(manifest):
            return Turn(reason="its manifest does not ask for the initial corruption check")
        return predecessors(str(self.request.etcd.get("data_dir") or "/var/lib/etcd"), own_name(manifest))

    def _set_off(self, group: Sequence[Service]) -> None:
        """Manifests first: a kubelet of the same group finds them when it starts. Only a member of etcd that has to wait for its turn comes after."""
        pods = [service for service in group if service.kind == STATIC_POD]
        units = [service for service in group if service.kind == UNIT]
        turns = {service.name: self._turn(service) for service in pods}
        waiting = [service for service in pods if turns[service.name].after]
        self._release([service for service in pods if service not in waiting])
        if units:
            self._start_units(units)
        for service in waiting:
            self._wait_turn(service, turns[service.name])
            self._release([service])

    def _wait_turn(self, service: Service, turn: Turn) -> None:
        others = Predecessors(turn.after, self.request.etcd)
        start = time.monotonic()
        left = self.journal.wait("wait for the turn of %s" % service.name, self.request.wait_seconds, lambda: [] if others.patience_over else others.missing())
        self.turns.append({"service": service.name, "after": turn.after, "seconds": round(time.monotonic() - start, 3), "missing": left or others.waiting})

    def _kick(self, service: Service) -> None:
        """A kubelet may overlook a manifest that comes in the very moment in which it begins to watch; a touch shows it again."""
        if time.time() - max(self.started_at[service.name], self.kicked_at.get(service.name, 0.0)) > KICK_SECONDS:
            self.kicked_at[service.name] = time.time()
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.node.live_path(service))

    def group(self, group: Sequence[Service]) -> None:
        """Start one group and prove it."""
        name = "start " + " ".join(service.name for service in group)
        with self.journal.phase(name):
            self._set_off(group)
            left = self.journal.wait(name, self.request.wait_seconds, lambda: self._missing(group))
        if left:
            raise ServiceError(
                "Services of this node did not become ready: %s." % ", ".join(service.name for service in group if service.name not in self.ready_at),
                tried="%s, then %d seconds of looking" % (name, self.request.wait_seconds),
                found="; ".join(left + self._picture()),
                remedy="Look at the containers named (crictl logs <id>) and at journalctl -u kubelet on this host, and at the same on the other hosts: etcd "
                "needs a quorum of them. Then run the same command again; what is ready stays.",
                missing=left,
            )
        if self.request.etcd_hash and any(service.ready == "etcd_quorum" for service in group):
            with self.journal.phase("compare etcd members"):
                self.etcd_result = self.etcd.compare(self.request.wait_seconds, self.request.refuse_if_unequal, pause=self.journal.pause)

    def _picture(self) -> List[str]:
        """The containers of all services as they are now, for an error."""
        texts = []
        for seen in self.node.observe(self.request.services).values():
            texts += [str(container) for container in seen.alive + [item for item in seen.ended if item.id not in self.known]]
        return texts

    def enable(self) -> None:
        """Let the units start at boot. Last, because it costs time and nobody waits for it."""
        units = self.node.systemd.show([service.unit for service in self.request.services if service.kind == UNIT])
        disabled = [unit.name for unit in units.values() if unit.enabled == "disabled"]
        if disabled:
            with self.journal.phase("enable units"):
                self.journal.changing()
                self.changed.update(service.name for service in self.request.services if service.unit in disabled)
                self.node.systemd.enable(disabled)

    def settle_files(self) -> None:
        """Let those read restored files again who read them only when they start: systemd, the kernel's settings, the container runtime."""
        self._reload_units()
        changed = self.plan.file_paths
        helpers = sorted({unit for prefix, unit in READ_AT_BOOT if any(path.startswith(prefix) for path in changed)})
        helpers = [unit.name for unit in self.node.systemd.show(helpers).values() if unit.exists]
        if helpers:
            self.node.systemd.restart(helpers)
        runtime = self.node.systemd.show([self.node.runtime_unit])[self.node.runtime_unit] if self.node.runtime_unit else None
        if runtime is None or not runtime.exists or not self.request.groups:
            return
        stale = any(fnmatch.fnmatch(path, pattern) for path in changed for pattern in self.node.runtime_config)
        if runtime.runs and not stale:
            return
        name = "start %s" % runtime.name if not runtime.runs else "restart %s" % runtime.name
        with self.journal.phase(name):
            self.journal.changing()
            (self.node.systemd.restart if runtime.runs else self.node.systemd.start)([runtime.name])
            left = self.journal.wait(name, self.request.wait_seconds, self._runtime_missing)
        if left:
            raise ServiceError(
                "The container runtime did not come up.",
                tried="%s, then %d seconds of looking" % (name, self.request.wait_seconds),
                found="; ".join(left),
                remedy="Look at journalctl -u %s on this host; its configuration may just have been restored. Then run the same command again." % runtime.name,
            )

    def _runtime_missing(self) -> List[str]:
        unit = self.node.systemd.show([self.node.runtime_unit])[self.node.runtime_unit]
        if not unit.runs:
            return [str(unit)]
        try:
            self.node.runtime.containers()
        except ContainerRuntimeError as error:
            return [error.found]
        absent = self.node.runtime.absent()
        return [absent] if absent else []

    def _reload_units(self) -> None:
        """Let systemd read unit files that were restored."""
        units = self.node.systemd.show([service.unit for service in self.request.services if service.kind == UNIT])
        if any(path.startswith(UNIT_DIRECTORIES) for path in self.plan.file_paths) or any(unit.needs_reload for unit in units.values()):
            with self.journal.phase("reload units"):
                self.journal.changing()
                self.node.systemd.reload()

    def results(self) -> List[Dict[str, Any]]:
        """Evidence of every service, and whether anything was made anew after it had ended."""
        results = []
        for name, seen in self.node.observe(self.request.services).items():
            new = [container for container in seen.alive + seen.ended if container.id not in self.known]
            running = seen.alive[0] if seen.alive else None
            restarts = max(0, len(new) - 1)
            steady = bool(seen.alive) or bool(seen.containers_unknown)
            if seen.unit is not None:
                # A unit that was started by this call counts from zero.
                restarts = seen.unit.restarts - (0 if seen.unit.name in self.started_units else self.unit_restarts[seen.unit.name])
                steady = seen.unit.runs
            results.append(
                {
                    "name": name,
                    "kind": seen.service.kind,
                    "state": "started" if name in self.ready_at and steady else "stopped",
                    "changed": name in self.changed,
                    "ready_at": self.ready_at.get(name),
                    "ready_seconds": round(self.ready_at[name] - self.started_at[name], 3) if name in self.ready_at else None,
                    "container_id": running.id if running else "",
                    "attempt": running.attempt if running else None,
                    "restarts": restarts,
                    "crash_looping": restarts > 0 or not steady,
                    "evidence": seen.as_dict(),
                }
            )
        return results


# --- the whole --------------------------------------------------------------------------------------------------------------------------


def start(node: Node, request: StartRequest, journal: Journal) -> Dict[str, Any]:
    """Put files, names and data in place, start the groups in order, prove each, and tell how long everything took."""
    plan = plan_start(node, request)
    _refuse_while_running(plan)
    applied = _put_in_place(node, request, plan, journal)
    _check_manifests(node, request, plan)
    starter = _Starter(node, request, plan, journal)
    starter.settle_files()
    _hold_back(node, request, journal)
    for group in request.groups:
        starter.group(group)
    ready_at = max(
        [starter.ready_at[service.name] for service in request.services if service.ready == "api"] or list(starter.ready_at.values()) or [time.time()]
    )
    starter.enable()
    with journal.phase("prove started"):
        services = starter.results()
    return {
        "changed": journal.first_change_at is not None,
        "state": "started",
        "phases": journal.phases,
        "services": services,
        "crash_looping": any(item["crash_looping"] for item in services),
        "first_change_at": journal.first_change_at,
        "ready_at": ready_at,
        "finished_at": time.time(),
        "etcd": starter.etcd_result,
        "turns": starter.turns,
        "files": applied,
        "hosts_conflicts": plan.hosts_conflicts,
        "plan": plan.as_dict(),
        "diff": plan.diff(),
    }
