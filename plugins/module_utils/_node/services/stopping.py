# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop the services of a node in order; each group is proven gone before the next is touched."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._node import other_pods
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services import etcd_place
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import (
    GRACE_SECONDS,
    PATIENCE_SECONDS,
    STATIC_POD,
    UNIT,
    Journal,
    Node,
    Observation,
    Service,
    ServiceError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import CREATED, Container, ContainerRuntimeError


def _stop_action(node: Node, seen: Observation, agent_works: bool) -> str:
    service = seen.service
    if seen.live:
        how = "the kubelet stops the container" if agent_works else "stop the container through the runtime"
        return "move %s to %s%s" % (node.live_path(service), node.parked_path(service), "; " + how if seen.alive or seen.processes else "")
    if seen.unit is not None and not seen.unit.stopped:
        return "stop %s" % service.unit
    if seen.runs:
        return "prove that it ends" if agent_works else "stop the container through the runtime"
    return ""


def plan_stop(node: Node, groups: Sequence[Sequence[Service]]) -> List[Dict[str, Any]]:
    """What stopping would do, in order. Changes nothing."""
    services = [service for group in groups for service in group]
    seen = node.observe(services)
    agent = node.agent_unit()
    plan = other_pods.plan_park_copies(node) if any(service.kind == STATIC_POD for service in services) else []
    for group in groups:
        if _others_end_before(node, group, services):
            plan += other_pods.plan_stop(node)
        for service in group:
            action = _stop_action(node, seen[service.name], agent is not None and agent.runs)
            plan.append({"service": service.name, "action": action or "already stopped", "change": bool(action)})
    return plan


def _others_end_before(node: Node, group: Sequence[Service], services: Sequence[Service]) -> bool:
    """Whether static pods that the platform does not name end before this group: with the control plane's pods, not where only a kubelet is stopped."""
    agent = node.agent()
    return agent is not None and agent in group and any(service.kind == STATIC_POD for service in services)


def _park_all(node: Node, group: Sequence[Service], journal: Journal) -> None:
    for service in group:
        if service.kind == STATIC_POD and os.path.lexists(node.live_path(service)):
            journal.changing()
            node.park(service)


def _stop_directly(node: Node, group: Sequence[Service], journal: Journal, asked_before: bool = False) -> List[str]:
    """Stop containers through the runtime: where no kubelet does it, or where they were asked before and did not end.

    Returns what the runtime refused: whether anything is left is looked at afterwards in any case.
    """
    alive = [(container, seen.service) for seen in node.observe(group).values() for container in seen.alive]
    if not alive:
        return []
    journal.changing()

    def end(item: Tuple[Container, Service]) -> str:
        container, service = item
        try:
            if asked_before:
                # The kubelet is at work on the pod and removes its sandbox itself.
                node.runtime.stop(container, 0)
            elif container.state == CREATED:
                # The kubelet ended between making it and starting it: nobody starts it any more.
                node.runtime.remove(container)
                node.runtime.stop_sandbox(container)
            else:
                node.runtime.stop(container, service.grace_seconds or GRACE_SECONDS)
                node.runtime.stop_sandbox(container)
        except ContainerRuntimeError as error:
            return error.found
        return ""

    with ThreadPoolExecutor(max_workers=len(alive)) as pool:
        return [text for text in pool.map(end, alive) if text]


def _what_runs(node: Node, group: Sequence[Service]) -> List[str]:
    """What of a group still runs; the runtime is asked only when processes and ports are gone, because asking costs."""
    cheap = [text for seen in node.observe(group, with_containers=False).values() for text in seen.leftovers()]
    return cheap or [text for seen in node.observe(group).values() for text in seen.leftovers()]


def _end_and_look(node: Node, group: Sequence[Service], pods: Sequence[Service], journal: Journal, refused: List[str]) -> List[str]:
    """End the containers that had their time, and say what of the group still runs.

    More than once: a kubelet that was busy replacing a container that failed its probes starts the new one before it learns
    that the manifest is gone, and an API server without etcd that only starts does not listen to signals for 20 seconds.
    """
    refused[:] = _stop_directly(node, pods, journal, asked_before=True)
    return _what_runs(node, group)


def _stop_group(node: Node, group: Sequence[Service], wait_seconds: float, journal: Journal) -> None:
    name = "stop " + " ".join(service.name for service in group)
    pods = [service for service in group if service.kind == STATIC_POD]
    refused: List[str] = []
    with journal.phase(name):
        _park_all(node, group, journal)
        agent = node.agent_unit()
        agent_works = agent is not None and agent.runs
        if pods and not agent_works:
            if agent is not None and not agent.stopped:
                # Between two restarts: it must not come to life in the middle of this.
                journal.changing()
                node.systemd.stop([agent.name])
            refused += _stop_directly(node, pods, journal)
        units = node.systemd.show([service.unit for service in group if service.kind == UNIT])
        to_stop = [unit.name for unit in units.values() if unit.exists and not unit.stopped]
        if to_stop:
            journal.changing()
            node.systemd.stop(to_stop)
        patience = min(max(service.grace_seconds or PATIENCE_SECONDS for service in pods), wait_seconds) if pods and agent_works else wait_seconds
        left = journal.wait(name, patience, lambda: _what_runs(node, group))
        if left and patience < wait_seconds:
            left = journal.wait(name, wait_seconds - patience, lambda: _end_and_look(node, group, pods, journal, refused))
    if left:
        ports = [port for seen in node.observe(group, with_containers=False).values() for port in seen.ports]
        raise ServiceError(
            "Services of this node did not stop: %s." % ", ".join(service.name for service in group),
            tried="%s, then %d seconds of looking" % (name, wait_seconds),
            found="; ".join(left + (node.describe_ports(ports) if ports else []) + refused),
            remedy="Look why it does not end (crictl ps, ps -fp <pid>). A process of this name that is not the cluster's must be ended or moved to a "
            "network of its own by hand. Then run the same command again; what is stopped stays stopped.",
            still_running=left,
        )


def _prove_stopped(node: Node, services: Sequence[Service], wait_seconds: float, journal: Journal) -> Dict[str, Observation]:
    """Look at every service again. A kubelet that was about to start a container when its manifest was taken away may have done so before it ended."""
    after = node.observe(services)
    agent = node.agent_unit()
    if any(seen.alive for seen in after.values()) and not any(seen.live for seen in after.values()) and (agent is None or agent.stopped):
        _stop_directly(node, [service for service in services if service.kind == STATIC_POD], journal)
        journal.wait("prove stopped", wait_seconds, lambda: _what_runs(node, services))
        after = node.observe(services)
    return after


def stop(node: Node, groups: Sequence[Sequence[Service]], wait_seconds: float, journal: Journal) -> Dict[str, Any]:
    """Stop groups of services in order; each is proven gone before the next is touched."""
    services = [service for group in groups for service in group]
    before = node.observe(services)
    etcd_place.refuse_running_elsewhere(node, before)
    others: List[Dict[str, Any]] = []
    if any(service.kind == STATIC_POD for service in services):
        other_pods.park_copies(node, journal)
    for group in groups:
        if _others_end_before(node, group, services):
            others = other_pods.stop(node, wait_seconds, journal)
        _stop_group(node, group, wait_seconds, journal)
    with journal.phase("prove stopped"):
        after = _prove_stopped(node, services, wait_seconds, journal)
    left = [text for seen in after.values() for text in seen.leftovers()]
    live = [node.live_path(seen.service) for seen in after.values() if seen.live]
    if left or live:
        raise ServiceError(
            "A service of this node came back after it had been stopped.",
            tried="look at every service again after the last was stopped",
            found="; ".join(left + ["manifest %s" % path for path in live]),
            remedy="Find who starts it (configuration management, a watchdog, a person) and end that first.",
            still_running=left,
        )
    results = []
    for service in services:
        touched = before[service.name].runs or before[service.name].live
        results.append({"name": service.name, "kind": service.kind, "state": "stopped", "changed": touched, "evidence": after[service.name].as_dict()})
    return {
        "changed": journal.first_change_at is not None or any(item["changed"] for item in results),
        "state": "stopped",
        "phases": journal.phases,
        "services": results,
        "other_static_pods": others,
        "evidence": [after[service.name].describe_stopped() for service in services]
        + ["%s: manifest parked%s" % (item["manifest"], "; still runs: " + ", ".join(item["left"]) if item["left"] else "") for item in others],
        "first_change_at": journal.first_change_at,
        "finished_at": time.time(),
    }
