# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a node (static pods and units) as the platform's facts name them: what is there, and the small acts on them."""

from __future__ import annotations

import errno
import filecmp
import json
import os
import shutil
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, Union

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import Container, ContainerRuntime, ContainerRuntimeError, split_by_life
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import (
    DiskError,
    exclusive,
    make_directories,
    read_json,
    sync_directories,
    sync_directory,
    write_file,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import Process, listening_ports, port_owners, processes
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Systemd, Unit
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

STATIC_POD = "static_pod"
UNIT = "unit"
# A service that this installation of the platform does without.
ABSENT = "none"
READINESS = ("etcd_quorum", "api", "container", "none")
RUN_DIRECTORY = "/run/lifeboat"
POLL_SECONDS = 0.1
BEAT_SECONDS = 1.0
# On top of what an earlier call may spend on one group of services.
LOCK_PATIENCE_SECONDS = 30.0
# Beside the lock: there while a call waits for the one that holds it.
_SUCCESSOR = "services.successor"
# The kubelet gives a static pod 30 seconds to end. Where it has not ended after this long, the kubelet does not do its work.
PATIENCE_SECONDS = 40.0
GRACE_SECONDS = 30
# Files with these names are the control plane's, whatever the platform's facts have on this machine.
_CONTROL_PLANE = ("etcd.yaml", "kube-apiserver.yaml", "kube-controller-manager.yaml", "kube-scheduler.yaml")


class ServiceError(LifeboatError):
    """Services of this node are not in the state that was asked for."""


@dataclass(frozen=True)
class Service:
    """One service of a node, as the platform's facts name it."""

    name: str
    kind: str
    process: str = ""
    ports: Tuple[int, ...] = ()
    ready: str = "none"
    manifest: str = ""
    container: str = ""
    namespace: str = "kube-system"
    unit: str = ""
    config: Tuple[str, ...] = ()
    grace_seconds: int = 0


def _platform_error(found: str) -> ServiceError:
    return ServiceError(
        "The platform's facts about services can't be used.",
        tried="read the services of the platform",
        found=found,
        remedy="Correct the platform file or lifeboat_platform_overrides.",
    )


def read_services(platform: Mapping[str, Any]) -> Dict[str, Service]:
    """The services of a platform dict, checked, without those that the inventory has taken out."""
    services: Dict[str, Service] = {}
    for name, facts in (platform.get("services") or {}).items():
        if not isinstance(facts, Mapping):
            raise _platform_error("service %s is no dict" % name)
        kind = str(facts.get("kind", ""))
        if kind == ABSENT:
            continue
        needed = {STATIC_POD: ("manifest", "container"), UNIT: ("unit",)}.get(kind)
        if needed is None:
            raise _platform_error("service %s has kind %r; known are %s, %s and %s" % (name, kind, STATIC_POD, UNIT, ABSENT))
        for key in needed:
            if not facts.get(key):
                raise _platform_error("service %s of kind %s has no %s" % (name, kind, key))
        ready = str(facts.get("ready") or "none")
        if ready not in READINESS:
            raise _platform_error("service %s has ready %r; known are %s" % (name, ready, ", ".join(READINESS)))
        services[str(name)] = Service(
            name=str(name),
            kind=kind,
            process=str(facts.get("process") or ""),
            ports=tuple(int(port) for port in facts.get("ports") or ()),
            ready=ready,
            manifest=str(facts.get("manifest") or ""),
            container=str(facts.get("container") or ""),
            namespace=str(facts.get("namespace") or "kube-system"),
            unit=str(facts.get("unit") or ""),
            config=tuple(str(pattern) for pattern in facts.get("config") or ()),
            grace_seconds=int(facts.get("grace_seconds") or 0),
        )
    return services


def etcd_service(facts: Mapping[str, Any], services: Mapping[str, Service]) -> Optional[Service]:
    """The local member of etcd, if the platform has one here: the one that its facts name, that has the name, or whose readiness is a quorum."""
    named = services.get(str(facts.get("service") or "")) or services.get("etcd")
    return named or next((service for service in services.values() if service.ready == "etcd_quorum"), None)


def read_groups(services: Mapping[str, Service], groups: Sequence[Union[str, Sequence[str]]]) -> List[List[Service]]:
    """An order of groups of service names, as services. A bare name is a group of one."""
    result = []
    for group in groups:
        names = [group] if isinstance(group, str) else list(group)
        unknown = [name for name in names if name not in services]
        if unknown:
            raise _platform_error("no facts about service %s; known are %s" % (", ".join(map(str, unknown)), ", ".join(sorted(services)) or "none"))
        result.append([services[name] for name in names])
    return result


@dataclass
class Observation:
    """What is true of one service at one moment."""

    service: Service
    alive: List[Container] = field(default_factory=list)
    ended: List[Container] = field(default_factory=list)
    containers_unknown: str = ""
    processes: List[Process] = field(default_factory=list)
    ports: List[int] = field(default_factory=list)
    unit: Optional[Unit] = None
    live: bool = False
    parked: bool = False

    def leftovers(self) -> List[str]:
        """Everything that shows that the service still runs; empty means stopped."""
        found = [str(container) for container in self.alive]
        found += [str(process) for process in self.processes]
        found += ["port %d" % port for port in self.ports]
        if self.unit is not None and not self.unit.stopped:
            found.append(str(self.unit))
        if self.containers_unknown and not self.service.process:
            found.append("unknown containers: %s" % self.containers_unknown)
        return found

    @property
    def runs(self) -> bool:
        """Whether anything of the service runs."""
        return bool(self.alive or self.processes or self.ports or (self.unit is not None and not self.unit.stopped))

    def as_dict(self) -> Dict[str, Any]:
        """Evidence for results."""
        evidence: Dict[str, Any] = {
            "processes": [process.as_dict() for process in self.processes],
            "ports": list(self.ports),
            "containers": [container.as_dict() for container in self.alive],
            "ended_containers": len(self.ended),
        }
        if self.containers_unknown:
            evidence["containers_unknown"] = self.containers_unknown
        if self.service.kind == STATIC_POD:
            evidence["manifest"] = {"live": self.live, "parked": self.parked}
        if self.unit is not None:
            evidence["unit"] = self.unit.as_dict()
        return evidence

    def describe_stopped(self) -> str:
        """One line for people."""
        parts = []
        if self.service.kind == STATIC_POD:
            parts.append("manifest parked" if self.parked else "no manifest")
            parts.append("no container runs" if not self.containers_unknown else "runtime not asked (%s)" % self.containers_unknown)
        if self.unit is not None:
            parts.append("unit %s" % (self.unit.active if self.unit.exists else "not there"))
        if self.service.process:
            parts.append("no process %s" % self.service.process)
        if self.service.ports:
            parts.append("nothing listens on %s" % ", ".join(map(str, self.service.ports)))
        return "%s: %s" % (self.service.name, "; ".join(parts))


class Journal:
    """Phases with their seconds, and a file that tells an onlooker what is going on.

    ``guard`` raises when this host may not be changed any more; it is asked before each change, and once a second while something is waited for.
    """

    def __init__(self, state: str, directory: str = RUN_DIRECTORY, guard: Callable[[], None] = lambda: None) -> None:
        self.state = state
        self._guard = guard
        self._guarded_at = 0.0
        self.phases: List[Dict[str, Any]] = []
        self.first_change_at: Optional[float] = None
        self._path = os.path.join(directory, "progress") if directory else ""
        self._successor = os.path.join(directory, _SUCCESSOR) if directory else ""
        self._last_beat = 0.0

    def changing(self) -> None:
        """Make sure that this host may be changed, and note the moment of the first change."""
        self._guard()
        if self.first_change_at is None:
            self.first_change_at = time.time()

    def beat(self, phase: str, waiting_for: Sequence[str] = (), now: bool = False) -> None:
        """Write the progress file, at most once a second unless the phase is new."""
        if not self._path or (not now and time.monotonic() - self._last_beat < BEAT_SECONDS):
            return
        self._last_beat = time.monotonic()
        line = {"at": time.time(), "pid": os.getpid(), "state": self.state, "phase": phase, "waiting_for": list(waiting_for)}
        make_directories(os.path.dirname(self._path))
        write_file(self._path, (json.dumps(line) + "\n").encode(), 0o644)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time one phase; it is recorded also when it fails."""
        self.beat(name, now=True)
        started_at, start = time.time(), time.monotonic()
        try:
            yield
        finally:
            self.phases.append({"name": name, "started_at": started_at, "seconds": round(time.monotonic() - start, 3)})

    def wait(self, phase: str, wait_seconds: float, missing: Callable[[], List[str]]) -> List[str]:
        """Look until nothing is missing or time is over; what is missing then."""
        end = time.monotonic() + wait_seconds
        while True:
            left = missing()
            if not left or time.monotonic() >= end:
                return left
            self.beat(phase, left)
            self.pause()

    def pause(self, seconds: float = POLL_SECONDS) -> None:
        """Sleep for a moment of waiting. Whoever waits while another call wants this host was left behind by a controller that was killed: it ends here."""
        if self._successor and os.path.exists(self._successor):
            raise ServiceError(
                "Another call wants to control this host's services, so this one waits no more.",
                tried="wait, in state %s" % self.state,
                found=self._successor,
                remedy="Nothing: two of these calls at a time only come of a controller that was killed, and the run that wants this host goes on with it.",
            )
        if time.monotonic() - self._guarded_at >= BEAT_SECONDS:
            self._guarded_at = time.monotonic()
            self._guard()
        time.sleep(seconds)


def _at_work(directory: str) -> str:
    """What the call that holds this host's services is doing, by its progress file."""
    try:
        line = read_json(os.path.join(directory, "progress"), "What the other call is doing")
        return "process %s: %s, for %.0f s, waiting for %s" % (
            line["pid"],
            line["phase"],
            time.time() - float(line["at"]),
            "; ".join(line["waiting_for"]) or "nothing",
        )
    except (DiskError, OSError, KeyError, TypeError, ValueError):
        return "a process that has not said what it does"


@contextmanager
def only_one(wait_seconds: float, directory: str = RUN_DIRECTORY) -> Iterator[None]:
    """Keep a second call on this host from working at the same time.

    A controller that is killed leaves its module at work, waiting for a quorum, say. The rerun, which holds the lock of the cluster, lets it know that it is
    there: then it ends at its next look, and does to its end what is not waiting. ``wait_seconds`` is for that, and for a predecessor that knows no successors.
    """
    make_directories(directory)
    successor = os.path.join(directory, _SUCCESSOR)
    end = time.monotonic() + wait_seconds
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(exclusive(os.path.join(directory, "services.lock"), "The control of this node's services", wait=False))
                break
            except DiskError as error:
                os.close(os.open(successor, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
                if time.monotonic() >= end:
                    raise DiskError(error.message, tried="%s for %d s" % (error.tried, wait_seconds), found=_at_work(directory), remedy=error.remedy) from error
            time.sleep(POLL_SECONDS)
        with suppress(FileNotFoundError):
            os.unlink(successor)
        yield


def move_file(source: str, target: str) -> None:
    """Rename a file, also from one file system to another, so that at every moment one whole copy has its right name."""
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A name that begins with a dot: the kubelet does not read it.
        part = os.path.join(os.path.dirname(target), ".%s.lifeboat-part" % os.path.basename(target))
        shutil.copy2(source, part)
        status = os.stat(source)
        os.chown(part, status.st_uid, status.st_gid)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.rename(part, target)
        sync_directory(os.path.dirname(target))
        os.unlink(source)
    sync_directories([os.path.dirname(source), os.path.dirname(target)])


def _superseded(path: str) -> str:
    return "%s.superseded-%d" % (path, time.time_ns())


def known_manifests(platform: Mapping[str, Any], services: Mapping[str, Service]) -> Set[str]:
    """Manifests that start in the platform's order or, on a machine whose order has no place for them, not at all."""
    own = {service.manifest for service in services.values() if service.kind == STATIC_POD}
    return own | {str(name) for name in platform.get("manifests_known") or ()} | set(_CONTROL_PLANE)


def own_pods(services: Mapping[str, Service]) -> Set[Tuple[str, str]]:
    """Namespace and name of the platform's static pods."""
    return {(service.namespace, service.container) for service in services.values() if service.kind == STATIC_POD}


class Node:
    """This host as its platform describes it: looking and the small acts; the order is the callers' matter."""

    def __init__(self, platform: Mapping[str, Any], runtime: Optional[ContainerRuntime] = None, systemd: Optional[Systemd] = None, proc: str = "/proc") -> None:
        self.services = read_services(platform)
        self.manifests = os.path.normpath(str(platform.get("manifests_dir") or "/etc/kubernetes/manifests"))
        self.parking = os.path.normpath(str(platform.get("manifests_parking") or "/var/lib/lifeboat/manifests"))
        self.known_manifests = known_manifests(platform, self.services)
        self.etcd: Mapping[str, Any] = platform.get("etcd") or {}
        self.runtime = runtime or ContainerRuntime.of_platform(platform)
        self.systemd = systemd or Systemd()
        self.proc = proc
        facts = platform.get("runtime") or {}
        self.runtime_unit = str(facts.get("unit") or "")
        # Files that the runtime reads only when it starts (or only when they are written in place, which a restore never does).
        self.runtime_config = [str(pattern) for pattern in facts.get("config") or ()]
        self._agent = str(platform.get("manifests_agent") or "kubelet")

    def live_path(self, service: Service) -> str:
        """Where the kubelet reads the manifest of a service."""
        return os.path.join(self.manifests, service.manifest)

    def parked_path(self, service: Service) -> str:
        """Where the manifest lies while the service is stopped."""
        return os.path.join(self.parking, service.manifest)

    def live_of(self, parked: str) -> str:
        """Where the kubelet would read a file of the parking, or an empty text when it is none."""
        directory, name = os.path.split(parked)
        return os.path.join(self.manifests, name) if directory == self.parking else ""

    def agent(self) -> Optional[Service]:
        """The service that acts on manifests, if the platform has one and it is a unit."""
        agent = self.services.get(self._agent)
        return agent if agent is not None and agent.kind == UNIT else None

    def agent_unit(self) -> Optional[Unit]:
        """The unit that acts on manifests, if the platform has one."""
        agent = self.agent()
        return self.systemd.show([agent.unit])[agent.unit] if agent is not None else None

    def etcd_service(self) -> Optional[Service]:
        """The local member of etcd, if there is one."""
        return etcd_service(self.etcd, self.services)

    def observe(self, services: Sequence[Service], with_containers: bool = True) -> Dict[str, Observation]:
        """What is true of these services now."""
        observations = {service.name: Observation(service) for service in services}
        running = processes({service.process for service in services if service.process}, self.proc)
        listening = listening_ports(self.proc)
        units = self.systemd.show(sorted({service.unit for service in services if service.unit}))
        containers: List[Container] = []
        unknown = ""
        if with_containers and any(service.kind == STATIC_POD for service in services):
            try:
                containers = self.runtime.containers()
            except ContainerRuntimeError as error:
                unknown = error.found
        for service in services:
            seen = observations[service.name]
            seen.processes = list(running.get(service.process, []))
            seen.ports = [port for port in service.ports if port in listening]
            if service.kind == UNIT:
                seen.unit = units[service.unit]
                continue
            seen.containers_unknown = unknown
            seen.alive, seen.ended = split_by_life([item for item in containers if (item.name, item.namespace) == (service.container, service.namespace)])
            seen.live = os.path.lexists(self.live_path(service))
            seen.parked = os.path.lexists(self.parked_path(service))
        return observations

    def differs(self, service: Service) -> bool:
        """Whether a live and a parked manifest exist that are not the same: somebody else has written one of them."""
        live, parked = self.live_path(service), self.parked_path(service)
        return os.path.lexists(live) and os.path.lexists(parked) and not filecmp.cmp(live, parked, shallow=False)

    def park(self, service: Service) -> None:
        """Take a manifest away from the kubelet. An older parked one that differs is kept beside it."""
        parked = self.parked_path(service)
        make_directories(self.parking)
        if self.differs(service):
            move_file(parked, _superseded(parked))
        move_file(self.live_path(service), parked)

    def release(self, service: Service) -> None:
        """Give a parked manifest to the kubelet, in one step. A live one that differs is kept in the parking."""
        live, parked = self.live_path(service), self.parked_path(service)
        make_directories(self.manifests)
        if self.differs(service):
            shutil.copy2(live, _superseded(parked))
        move_file(parked, live)

    def describe_ports(self, ports: Sequence[int]) -> List[str]:
        """Which processes hold ports, for error texts."""
        return ["port %d held by pid %s" % (port, ", ".join(map(str, pids)) or "unknown") for port, pids in sorted(port_owners(ports, self.proc).items())]
