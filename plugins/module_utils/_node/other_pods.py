# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static pods that the platform's facts do not name: load balancers, virtual addresses, KMS plugins.

Nobody knows what needs them: the endpoint of the API, or the API server itself. So they come back first, at the moment in which the kubelet starts, together
with etcd; and they are stopped last, before the kubelet is. That they run is looked at and told, but nothing fails because of them.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Set

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.pod_files import PodFiles, names_in
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import (
    GRACE_SECONDS,
    PATIENCE_SECONDS,
    STATIC_POD,
    Journal,
    Node,
    Service,
    own_pods,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import Container, ContainerRuntimeError, split_by_life

# The API server may need one of them, so it waits for them; one that does not run after this long is gone on without.
WAIT_SECONDS = 20.0


@dataclass(frozen=True)
class OtherPod:
    """One manifest that belongs to no service of the platform."""

    service: Service
    live: bool
    parked: bool
    pod: str
    namespace: str

    @property
    def manifest(self) -> str:
        """The name of its file."""
        return self.service.manifest

    def containers(self, found: Sequence[Container]) -> List[Container]:
        """Its containers among those of this host. The kubelet adds the node's name to the pod's."""
        if not self.pod:
            return []
        mine = [item for item in found if item.namespace == self.namespace and item.static is not False]
        return [item for item in mine if item.pod == self.pod or item.pod.startswith(self.pod + "-")]


def _files(node: Node) -> PodFiles:
    """The manifests of this host that are no service's, live or parked."""
    return PodFiles.read((node.manifests, node.parking), node.known_manifests, own_pods(node.services))


def find(node: Node) -> List[OtherPod]:
    """What is live or parked and no service's manifest. A copy of another manifest is none: it would start a second pod of the same name."""
    live, parked = names_in(node.manifests), names_in(node.parking)
    return [
        OtherPod(Service(name=name, kind=STATIC_POD, manifest=name), name in live, name in parked, pod, namespace)
        for name, (namespace, pod) in sorted(_files(node).pods.items())
    ]


def live_copies(node: Node) -> List[Service]:
    """What the kubelet would start as soon as the manifest is gone of which it is a copy."""
    live = names_in(node.manifests)
    return [Service(name=name, kind=STATIC_POD, manifest=name) for name in _files(node).copies if name in live]


def left_over(node: Node) -> List[str]:
    """What lies in the parking and is started by nobody: copies, manifests of services that this machine does not have."""
    mine = {service.manifest for service in node.services.values() if service.kind == STATIC_POD} | {pod.manifest for pod in find(node)}
    return sorted(os.path.join(node.parking, name) for name in names_in(node.parking) - mine)


def _alive(node: Node, pods: Sequence[OtherPod]) -> Dict[str, List[Container]]:
    """Living containers by manifest. A container of a service is never taken for one of theirs."""
    services = {(service.container, service.namespace) for service in node.services.values() if service.kind == STATIC_POD}
    everything = [item for item in node.runtime.containers() if (item.name, item.namespace) not in services]
    return {pod.manifest: split_by_life(pod.containers(everything))[0] for pod in pods}


# --- stopping ---------------------------------------------------------------------------------------------------------------------------


def plan_stop(node: Node) -> List[Dict[str, Any]]:
    """What stopping them would do."""
    return [
        {"service": pod.manifest, "action": "move %s to %s" % (node.live_path(pod.service), node.parked_path(pod.service)), "change": True}
        for pod in find(node)
        if pod.live
    ]


def plan_park_copies(node: Node) -> List[Dict[str, Any]]:
    """What taking copies away would do."""
    return [
        {"service": copy.manifest, "action": "move %s to %s for good: a copy" % (node.live_path(copy), node.parked_path(copy)), "change": True}
        for copy in live_copies(node)
    ]


def park_copies(node: Node, journal: Journal) -> None:
    """Take copies away before the first manifest goes: the kubelet would start what it is about to be told to stop."""
    copies = live_copies(node)
    if copies:
        with journal.phase("park copies of manifests"):
            for copy in copies:
                journal.changing()
                node.park(copy)


def stop(node: Node, wait_seconds: float, journal: Journal) -> List[Dict[str, Any]]:
    """Take their manifests away while the kubelet runs, and wait for their containers to end; what goes on running is told."""
    pods = find(node)
    if not pods:
        return []
    agent = node.agent_unit()
    works = agent is not None and agent.runs
    with journal.phase("stop other static pods"):
        for pod in pods:
            if pod.live:
                journal.changing()
                node.park(pod.service)
        left: List[str] = []
        if works:
            left = journal.wait("stop other static pods", min(PATIENCE_SECONDS, wait_seconds), lambda: _what_runs(node, pods))
        if left or not works:
            left = _stop_directly(node, pods, journal, asked_before=works)
    return [{"manifest": pod.manifest, "pod": pod.pod, "changed": pod.live, "left": [text for text in left if pod.pod and pod.pod in text]} for pod in pods]


def _what_runs(node: Node, pods: Sequence[OtherPod]) -> List[str]:
    try:
        return [str(container) for containers in _alive(node, pods).values() for container in containers]
    except ContainerRuntimeError as error:
        return [error.found]


def _stop_directly(node: Node, pods: Sequence[OtherPod], journal: Journal, asked_before: bool) -> List[str]:
    """Through the runtime, where no kubelet does it or it does not end."""
    try:
        alive = [container for containers in _alive(node, pods).values() for container in containers]
    except ContainerRuntimeError as error:
        return [error.found]
    if not alive:
        return []
    journal.changing()

    def end(container: Container) -> None:
        try:
            node.runtime.stop(container, 0 if asked_before else GRACE_SECONDS)
            if not asked_before:
                node.runtime.stop_sandbox(container)
        except ContainerRuntimeError:
            # Whether it still runs is looked at in any case.
            return

    with ThreadPoolExecutor(max_workers=len(alive)) as pool:
        list(pool.map(end, alive))
    return journal.wait("stop other static pods", GRACE_SECONDS, lambda: _what_runs(node, pods))


# --- starting ---------------------------------------------------------------------------------------------------------------------------


def plan_start(node: Node) -> List[Dict[str, Any]]:
    """What giving them back to the kubelet would do."""
    return [
        {"service": pod.manifest, "action": "move %s to %s" % (node.parked_path(pod.service), node.live_path(pod.service)), "change": True}
        for pod in find(node)
        if pod.parked
    ]


def release(node: Node, journal: Journal) -> Set[str]:
    """Give them back to the kubelet; which of them."""
    released = {pod.manifest for pod in find(node) if pod.parked}
    for pod in find(node):
        if pod.parked:
            journal.changing()
            node.release(pod.service)
    return released


def missing(node: Node) -> List[str]:
    """Which of them have no running container. One whose pod's name is not understood, or a runtime that does not answer, is not waited for."""
    pods = [pod for pod in find(node) if pod.live and pod.pod]
    try:
        alive = _alive(node, pods) if pods else {}
    except ContainerRuntimeError:
        return []
    return ["no running container of %s yet" % pod.manifest for pod in pods if not alive[pod.manifest]]


def results(node: Node, released: Set[str]) -> List[Dict[str, Any]]:
    """Each with its state: started, stopped, or unknown where its containers can't be told."""
    pods = find(node)
    try:
        alive = _alive(node, pods) if pods else {}
        known = True
    except ContainerRuntimeError:
        alive, known = {}, False
    answer = []
    for pod in pods:
        containers = alive.get(pod.manifest, [])
        state = "unknown" if not known or not pod.pod else "started" if containers else "stopped"
        answer.append(
            {
                "manifest": pod.manifest,
                "pod": pod.pod,
                "state": state,
                "changed": pod.manifest in released,
                "containers": [container.as_dict() for container in containers],
            }
        )
    return answer
