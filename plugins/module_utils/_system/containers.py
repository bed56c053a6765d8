# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers of this node, through crictl and its JSON."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._system import programs
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

RUNNING = "running"
CREATED = "created"
EXITED = "exited"
# A process or container that has been the same for so long is believed to stay: one that ends and comes again, as the kubelet's unit does every ten
# seconds, is never as old.
STEADY_SECONDS = 12.0
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin:/opt/cni/bin"


class ContainerRuntimeError(LifeboatError):
    """The container runtime can't be asked."""


@dataclass(frozen=True)
class Container:
    """One container, as its runtime tells it."""

    id: str
    name: str
    state: str
    attempt: int
    image: str
    pod: str
    namespace: str
    sandbox: str
    created_at: float
    # Whether its pod is a static one: the kubelet gives those a digest for a uid. None when the runtime does not tell the uid.
    static: Optional[bool] = None

    @property
    def same_seconds(self) -> float:
        """For how long it has been there."""
        return round(max(0.0, time.time() - self.created_at), 3)

    @property
    def steady(self) -> bool:
        """Whether it runs, and has been this one container for long enough to be believed."""
        return self.state == RUNNING and self.same_seconds >= STEADY_SECONDS

    def as_dict(self) -> Dict[str, Any]:
        """For results and errors."""
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "attempt": self.attempt,
            "image": self.image,
            "pod": self.pod,
            "namespace": self.namespace,
            "created_at": self.created_at,
            "same_seconds": self.same_seconds,
            "steady": self.steady,
        }

    def __str__(self) -> str:
        return "container %s id %s (%s, attempt %d, pod %s)" % (self.name, self.id[:13], self.state, self.attempt, self.pod)


def find_program(name: str) -> str:
    """The full path of a program, also where a bare sudo PATH does not look; an empty text when there is none."""
    if os.path.isabs(name):
        return name if os.access(name, os.X_OK) else ""
    return shutil.which(name) or shutil.which(name, path=SEARCH_PATH) or ""


def _number(value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def parse_containers(document: Mapping[str, Any]) -> List[Container]:
    """Containers out of ``crictl ps -o json``."""
    containers = []
    for item in document.get("containers") or []:
        labels = item.get("labels") or {}
        metadata = item.get("metadata") or {}
        containers.append(
            Container(
                id=str(item.get("id", "")),
                name=str(labels.get("io.kubernetes.container.name") or metadata.get("name", "")),
                state=str(item.get("state", "")).replace("CONTAINER_", "").lower(),
                attempt=_number(metadata.get("attempt")),
                image=str((item.get("image") or {}).get("userSpecifiedImage") or (item.get("image") or {}).get("image", "")),
                pod=str(labels.get("io.kubernetes.pod.name", "")),
                namespace=str(labels.get("io.kubernetes.pod.namespace", "")),
                sandbox=str(item.get("podSandboxId", "")),
                created_at=_number(item.get("createdAt")) / 1e9,
                static="-" not in str(labels["io.kubernetes.pod.uid"]) if labels.get("io.kubernetes.pod.uid") else None,
            )
        )
    return containers


def parse_images(document: Mapping[str, Any]) -> List[str]:
    """References of images out of ``crictl images -o json``: tags, and digests of those without a tag."""
    references: Set[str] = set()
    for item in document.get("images") or []:
        references.update(str(reference) for reference in item.get("repoTags") or [])
        references.update(str(reference) for reference in item.get("repoDigests") or [])
    return sorted(references)


class ContainerRuntime:
    """The runtime of this node, asked through crictl."""

    def __init__(self, crictl: str = "crictl", endpoint: str = "", timeout_seconds: float = 10.0) -> None:
        self.crictl = crictl
        self.endpoint = endpoint
        self.timeout_seconds = timeout_seconds

    @classmethod
    def of_platform(cls, platform: Mapping[str, Any]) -> ContainerRuntime:
        """The runtime that a platform dict names."""
        runtime = platform.get("runtime") or {}
        return cls(str(runtime.get("crictl") or "crictl"), str(runtime.get("endpoint") or ""))

    def absent(self) -> str:
        """Why there can be no containers here (no crictl and no runtime socket), or an empty text. A socket without crictl is not absence."""
        if self.endpoint.startswith("unix://") and not os.path.exists(self.endpoint[len("unix://") :]):
            return "no runtime socket %s" % self.endpoint
        if not self.endpoint and not find_program(self.crictl):
            return "no %s" % self.crictl
        return ""

    def _run(self, arguments: Sequence[str], timeout_seconds: Optional[float] = None) -> bytes:
        program = find_program(self.crictl)
        if not program:
            raise ContainerRuntimeError(
                "The containers of this node can't be listed.",
                tried="find %s in %s" % (self.crictl, SEARCH_PATH),
                found="no such program, but the container runtime's socket %s exists" % self.endpoint,
                remedy="Install cri-tools on this host, or name the program in the platform's runtime.crictl.",
            )
        limit = timeout_seconds or self.timeout_seconds
        command: List[str] = [program]
        if self.endpoint:
            command += ["--runtime-endpoint", self.endpoint, "--image-endpoint", self.endpoint]
        command += ["--timeout", "%ds" % max(1, int(limit))] + list(arguments)
        try:
            done = programs.run(command, timeout_seconds=limit + 2)
        except programs.TooLong as error:
            raise ContainerRuntimeError(
                "The container runtime did not answer.",
                tried=" ".join(command),
                found="no answer within %d seconds" % limit,
                remedy="Look at the unit of the container runtime (containerd, crio) and restart it.",
            ) from error
        if done.returncode != 0:
            raise ContainerRuntimeError(
                "The container runtime refused a request.",
                tried=" ".join(command),
                found=done.stderr.decode("utf-8", "replace").strip()[-500:],
                remedy="Look at the unit of the container runtime (containerd, crio).",
            )
        return done.stdout

    def _document(self, arguments: Sequence[str]) -> Dict[str, Any]:
        document = json.loads(self._run(list(arguments) + ["-o", "json"]).decode("utf-8") or "{}")
        return document if isinstance(document, dict) else {}

    def containers(self) -> List[Container]:
        """All containers, stopped ones included; none when there is no runtime on this host."""
        return [] if self.absent() else parse_containers(self._document(["ps", "-a"]))

    def images(self) -> List[str]:
        """References of all images that lie on this node."""
        return [] if self.absent() else parse_images(self._document(["images"]))

    def stop(self, container: Container, grace_seconds: int) -> None:
        """Stop one container: a signal, and after the grace another that nobody survives."""
        self._run(["stop", "--timeout", str(grace_seconds), container.id], grace_seconds + self.timeout_seconds)

    def remove(self, container: Container) -> None:
        """Remove a container that was never started: there is nothing in it, and no stop ends it."""
        self._run(["rm", container.id])

    def stop_sandbox(self, container: Container) -> None:
        """Stop what holds the container's pod together."""
        if container.sandbox:
            self._run(["stopp", container.sandbox])


def split_by_life(containers: Sequence[Container]) -> Tuple[List[Container], List[Container]]:
    """Those that run or are about to, and those that have ended."""
    alive = [container for container in containers if container.state in (RUNNING, CREATED)]
    return alive, [container for container in containers if container.state not in (RUNNING, CREATED)]
