# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the services of a node in order, each group proven before the next; files, host names and data are put in place first."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import files, replacement
from ansible_collections.lifeboat.cluster.plugins.module_utils._node import other_pods
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services import etcd_place
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.readiness import ApiProof, EtcdProof
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import STATIC_POD, UNIT, Journal, Node, Service, ServiceError
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.start_plan import (
    ETCD_BEGUN,
    READY,
    StartPlan,
    StartRequest,
    note_placed,
    plan_start,
    read_text,
    units_with_changed_config,
    write_hosts,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.turns import Predecessors, Turn, checks_others, own_name, predecessors
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import ContainerRuntimeError
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import listening_ports, processes
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Unit

KICK_SECONDS = 3.0
# A unit that was started in this call is looked at again when it has been there for so long. Whether it stays is for the verification to see.
SURVIVAL_SECONDS = 1.0
# Who reads what only at boot.
READ_AT_BOOT = (
    ("/etc/modules-load.d/", "systemd-modules-load.service"),
    ("/etc/sysctl.d/", "systemd-sysctl.service"),
    ("/etc/sysctl.conf", "systemd-sysctl.service"),
)
UNIT_DIRECTORIES = ("/etc/systemd/", "/usr/lib/systemd/", "/lib/systemd/", "/usr/local/lib/systemd/", "/run/systemd/")


def _end_retries(node: Node, request: StartRequest, plan: StartPlan, journal: Journal) -> StartPlan:
    """A kubelet that systemd starts again and again, as that of a package without a configuration, is no running service: it is stopped, and planned anew."""
    service, agent = node.agent(), node.agent_unit()
    retries = agent is not None and (agent.restarting or (agent.runs and agent.restarts > 0 and not agent.steady))
    if service is None or agent is None or not retries or not plan.changes_data:
        return plan
    with journal.phase("stop %s" % agent.name):
        journal.changing()
        node.systemd.stop([agent.name])

        def left() -> List[str]:
            """Of the unit and of its process: whoever replaces data looks at both."""
            return node.observe([service])[service.name].leftovers()

        journal.wait("stop %s" % agent.name, request.wait_seconds, left)
    return plan_start(node, request)


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
        with journal.phase("files"):
            journal.changing()
            applied = [files.apply(planned).as_result() for planned in plan.files]
            note_placed(node, plan.files, request.placed)
    if plan.hosts_before != plan.hosts_after:
        with journal.phase("hosts"):
            journal.changing()
            write_hosts(request.hosts_file, plan.hosts_after)
    if any(step.action != replacement.DONE for step in plan.steps):
        with journal.phase("replace"):
            journal.changing()
            replacement.apply(plan.steps, request.ledger)
    else:
        replacement.apply(plan.steps, request.ledger)
    if plan.restores_etcd and not plan.running and etcd_place.give_up_log(node, request.etcd):
        journal.changing()
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
    for service in [service for service in request.services if service.kind == STATIC_POD] + [pod.service for pod in other_pods.find(node)]:
        live, parked = node.live_path(service), node.parked_path(service)
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
        self.etcd = EtcdProof(request.etcd, etcd_place.restored(request.replace, request.etcd), self._etcd_place)
        self.api = ApiProof(request.api)
        self.etcd_result: Optional[Dict[str, Any]] = None
        self.services = [service for group in request.started_groups for service in group]
        before = node.observe(self.services)
        self.known = {container.id for seen in before.values() for container in seen.alive + seen.ended}
        self.unit_restarts = {seen.unit.name: seen.unit.restarts for seen in before.values() if seen.unit is not None}
        self.ready_at: Dict[str, float] = {}
        self.changed: Set[str] = set()
        self.started_at: Dict[str, float] = {}
        self.kicked_at: Dict[str, float] = {}
        self.born: Set[str] = set()
        self.started_units: Set[str] = set()
        self.turns: List[Dict[str, Any]] = []
        self.others: Set[str] = set()
        self.others_missing: List[str] = []

    def _etcd_place(self) -> str:
        """Where etcd looks for its data, for an error."""
        return "; ".join(str(directories) for directories in etcd_place.named(self.node, self.request.etcd))

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

    def _not_begun(self, service: Service, units: Mapping[str, Unit]) -> str:
        """A member of etcd that has begun need not serve: for that it needs the others."""
        if service.kind == UNIT:
            unit = units[service.unit]
            begun = unit.runs or (unit.active == "activating" and unit.main_pid > 0 and not unit.restarting)
            return "" if begun else str(unit)
        seen = self.node.observe([service])[service.name]
        return "" if seen.alive or seen.containers_unknown else "no running container %s yet" % service.container

    def _missing_service(self, service: Service, units: Mapping[str, Unit]) -> str:
        if service.ready == "etcd_quorum" and self.request.until == ETCD_BEGUN:
            return self._not_begun(service, units)
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
        # What has ended before does not count, and does not hold the unit back.
        ended = [unit.name for unit in units.values() if unit.active == "failed" or unit.restarting or (unit.restarts and not unit.runs)]
        if ended:
            self.journal.changing()
            self.node.systemd.reset_failed(ended)
        restart = units_with_changed_config(services, self.plan.file_paths)
        # A start of one that waits for its next try would wait with it.
        to_start = [unit.name for unit in units.values() if not unit.runs and not unit.restarting]
        to_restart = [unit.name for unit in units.values() if unit.restarting or (unit.runs and by_unit[unit.name].name in restart)]
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
        manifest = read_text(parked)
        if not checks_others(manifest):
            return Turn(reason="its manifest does not ask for the initial corruption check")
        return predecessors(str(self.request.etcd.get("data_dir") or "/var/lib/etcd"), own_name(manifest))

    def _set_off(self, group: Sequence[Service]) -> None:
        """Manifests first: a kubelet of the same group finds them when it starts. Only a member of etcd that has to wait for its turn comes after."""
        pods = [service for service in group if service.kind == STATIC_POD]
        units = [service for service in group if service.kind == UNIT]
        if self._brings_others(group):
            self.others |= other_pods.release(self.node, self.journal)
        turns = {service.name: self._turn(service) for service in pods}
        waiting = [service for service in pods if turns[service.name].after]
        self._release([service for service in pods if service not in waiting])
        if units:
            self._start_units(units)
        for service in waiting:
            self._wait_turn(service, turns[service.name])
            self._release([service])

    def _brings_others(self, group: Sequence[Service]) -> bool:
        """Whether static pods that the platform does not name come back with this group: with the kubelet, or first where there is none."""
        agent = self.node.agent()
        return agent in group if agent is not None else group == self.request.groups[0]

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
        if self.others and self._brings_others(group):
            with self.journal.phase("start other static pods"):
                seconds = min(other_pods.WAIT_SECONDS, self.request.wait_seconds)
                self.others_missing = self.journal.wait("start other static pods", seconds, lambda: other_pods.missing(self.node))
        if self.request.until == READY and self.request.etcd_hash and any(service.ready == "etcd_quorum" for service in group):
            with self.journal.phase("compare etcd members"):
                self.etcd_result = self.etcd.compare(self.request.wait_seconds, self.request.refuse_if_unequal, pause=self.journal.pause)

    def _picture(self) -> List[str]:
        """The containers of all services as they are now, for an error."""
        texts = []
        for seen in self.node.observe(self.services).values():
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
            self.journal.changing()
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

    def settle(self) -> None:
        """Look a second time at units that this call has started: one whose program ends at once was seen running in the first."""
        self.journal.wait("prove started", SURVIVAL_SECONDS, self._too_young)

    def _too_young(self) -> List[str]:
        units = self.node.systemd.show(sorted(self.started_units))
        return [str(unit) for unit in units.values() if unit.runs and unit.same_seconds is not None and unit.same_seconds < SURVIVAL_SECONDS]

    def results(self) -> List[Dict[str, Any]]:
        """Evidence of every service, and whether anything was made anew after it had ended."""
        results = []
        for name, seen in self.node.observe(self.services).items():
            new = [container for container in seen.alive + seen.ended if container.id not in self.known]
            running = seen.alive[0] if seen.alive else None
            restarts = max(0, len(new) - 1)
            steady = bool(seen.alive) or bool(seen.containers_unknown)
            if seen.unit is not None:
                # A unit that was started by this call counts from zero.
                restarts = seen.unit.restarts - (0 if seen.unit.name in self.started_units else self.unit_restarts[seen.unit.name])
                steady = seen.unit.runs or (self.request.until == ETCD_BEGUN and name in self.ready_at)
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
    plan = _end_retries(node, request, plan_start(node, request), journal)
    _refuse_while_running(plan)
    applied = _put_in_place(node, request, plan, journal)
    _check_manifests(node, request, plan)
    starter = _Starter(node, request, plan, journal)
    starter.settle_files()
    if starter.services:
        _hold_back(node, request, journal)
    for group in request.started_groups:
        starter.group(group)
    ready_at = max(
        [starter.ready_at[service.name] for service in starter.services if service.ready == "api"] or list(starter.ready_at.values()) or [time.time()]
    )
    if request.until == READY:
        starter.enable()
    with journal.phase("prove started"):
        if request.until == READY:
            starter.settle()
        services = starter.results()
        others = other_pods.results(node, starter.others) if starter.services else []
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
        "alarms_disarmed": starter.etcd.disarmed,
        "etcd_no_room": starter.etcd.no_room,
        "turns": starter.turns,
        "other_static_pods": others,
        "left_parked": other_pods.left_over(node) if starter.services and request.until == READY else [],
        "files": applied,
        "hosts_conflicts": plan.hosts_conflicts,
        "plan": plan.as_dict(),
        "diff": plan.diff(),
    }
