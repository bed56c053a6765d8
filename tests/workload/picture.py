# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of everything that a cluster holds, at one revision if wanted, and the difference of two pictures.

An object is compared as a whole, with uid, resourceVersion, status and managedFields, unless the cluster itself is expected to write to
it after a recovery. What is expected, and why, is said below; nothing else is left out.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import urllib3

from tests.workload.api import AnswerError, Api, Object

WORKERS = 8

# (group, resource): not in the picture at all.
LEFT_OUT = {
    ("", "componentstatuses"): "computed at every request, never stored",
    ("", "events"): "expire within the hour, and a recovery makes many",
    ("events.k8s.io", "events"): "the same objects as the events of the core group",
    ("coordination.k8s.io", "leasecandidates"): "written anew by whoever wants to lead",
    ("certificates.k8s.io", "certificatesigningrequests"): "removed by the controller manager one hour after they were approved",
}

# Path prefixes: not in the picture.
LEFT_OUT_PATHS = {
    "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/": "renewed every few seconds by API servers and leaders",
    "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/": "renewed every few seconds by the kubelets",
    "/api/v1/namespaces/kube-system/secrets/bootstrap-token-": "kubeadm's, removed when they expire",
    "/api/v1/namespaces/kube-system/secrets/kubeadm-certs": "kubeadm's, removed with its token",
    "/api/v1/namespaces/kube-public/configmaps/cluster-info": "signed anew when a bootstrap token expires",
}

# (group, resource): compared without status, resourceVersion and managedFields, because somebody reports a state that is observed anew.
OBSERVED = {
    ("", "nodes"): "conditions, addresses and images are reported by the kubelet",
    ("", "pods"): "container states are reported by the kubelet",
    ("", "replicationcontrollers"): "ready replicas follow the pods",
    ("", "resourcequotas"): "usage is counted again",
    ("apps", "deployments"): "ready replicas follow the pods",
    ("apps", "replicasets"): "ready replicas follow the pods",
    ("apps", "statefulsets"): "ready replicas follow the pods",
    ("apps", "daemonsets"): "scheduled pods follow the nodes",
    ("autoscaling", "horizontalpodautoscalers"): "metrics are looked for again",
    ("policy", "poddisruptionbudgets"): "healthy pods are counted again",
    ("apiregistration.k8s.io", "apiservices"): "availability is probed again",
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): "references are checked again",
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): "conditions are set again",
    ("storage.k8s.io", "csinodes"): "reported by the kubelet",
}

# (group, resource) of what a controller derives from pods: only that the object is there, with the same uid, unless it is managed by people.
DERIVED = {
    ("", "endpoints"): "addresses move between ready and not ready with their pods",
    ("discovery.k8s.io", "endpointslices"): "addresses move between ready and not ready with their pods",
}


# A kubelet makes these of the manifests in its directory, and makes them anew when it sees one without a manifest: it starts with etcd's only.
MIRROR = "kubernetes.io/config.mirror"


class Entry(TypedDict):
    """One object of a picture."""

    uid: str
    resourceVersion: str
    sha256: str
    rule: str


Picture = dict[str, Entry]


@dataclass
class Difference:
    """What is not the same in the later of two pictures."""

    missing: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    same: int = 0

    @property
    def lost(self) -> list[str]:
        """Everything that the later picture does not have as it was."""
        return self.missing + self.replaced + self.changed

    def __bool__(self) -> bool:
        return bool(self.lost)

    def describe(self, at_most: int = 20) -> str:
        """For people."""
        lines = []
        for what in ("missing", "replaced", "changed"):
            paths: list[str] = getattr(self, what)
            lines += [f"{what}: {path}" for path in paths[:at_most]]
            if len(paths) > at_most:
                lines.append(f"{what}: {len(paths) - at_most} more")
        return "\n".join(lines) or f"{self.same} objects equal"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _rule(group: str, resource: str, found: Object) -> str:
    if (group, resource) == ("", "pods") and MIRROR in found["metadata"].get("annotations", {}):
        return "mirror"
    if (group, resource) in OBSERVED:
        return "observed"
    if (group, resource) in DERIVED:
        derived = resource == "endpoints" or "endpointslice.kubernetes.io/managed-by" in found["metadata"].get("labels", {})
        # The API servers keep their own addresses in default/kubernetes themselves.
        return "derived" if derived or found["metadata"]["name"] == "kubernetes" else "whole"
    return "whole"


def _without_observations(resource: str, found: Object) -> Object:
    metadata = {name: value for name, value in found["metadata"].items() if name not in ("resourceVersion", "managedFields")}
    rest = {name: value for name, value in found.items() if name not in ("status", "metadata")}
    if resource == "nodes":
        # A node that was away is tainted until its kubelet reports again.
        rest["spec"] = {name: value for name, value in rest.get("spec", {}).items() if name != "taints"}
    return {**rest, "metadata": metadata}


def entry(group: str, resource: str, found: Object) -> Entry:
    """What a picture keeps of an object."""
    rule = _rule(group, resource, found)
    metadata = found["metadata"]
    if rule == "mirror":
        images = sorted((one["name"], one["image"]) for one in found["spec"]["containers"])
        return {"uid": "its kubelet's", "resourceVersion": metadata["resourceVersion"], "sha256": _digest(images), "rule": rule}
    seen: object = found if rule == "whole" else _without_observations(resource, found) if rule == "observed" else metadata["uid"]
    return {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"], "sha256": _digest(seen), "rule": rule}


def capture(kubeconfig: Path, revision: int | None = None, api: Api | None = None) -> Picture:
    """A picture of every object of every resource that can be listed; as of exactly one etcd revision when given."""
    api = api or Api(kubeconfig, connections=WORKERS)

    def of_resource(item: tuple[str, Object]) -> Picture:
        path, resource = item
        group, name = resource["group"], resource["resource"]
        found: Picture = {}
        for one in api.items(path, revision):
            namespace = one["metadata"].get("namespace")
            place = f"{resource['prefix']}/namespaces/{namespace}/{name}" if namespace else path
            found[f"{place}/{one['metadata']['name']}"] = entry(group, name, one)
        return found

    wanted = [(path, resource) for path, resource in api.resources().items() if (resource["group"], resource["resource"]) not in LEFT_OUT]
    picture: Picture = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        for part in pool.map(of_resource, wanted):
            picture.update(part)
    return {path: picture[path] for path in sorted(picture) if not path.startswith(tuple(LEFT_OUT_PATHS))}


def difference(before: Picture, after: Picture) -> Difference:
    """What the later picture lost, replaced, changed or has in addition."""
    result = Difference(added=[path for path in after if path not in before])
    for path, old in before.items():
        new = after.get(path)
        if new is None:
            result.missing.append(path)
        elif new["uid"] != old["uid"]:
            result.replaced.append(path)
        elif new["sha256"] != old["sha256"]:
            result.changed.append(path)
        else:
            result.same += 1
    return result


def kinds(picture: Picture) -> Counter[str]:
    """How many objects of each resource."""
    return Counter(path.rpartition("/")[0].rpartition("/")[2] for path in picture)


def _patient_capture(kubeconfig: Path, api: Api, deadline: float) -> Picture:
    """A picture, also of a cluster whose servers are busy."""
    while True:
        try:
            return capture(kubeconfig, api=api)
        except (AnswerError, urllib3.exceptions.HTTPError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def settle(kubeconfig: Path, quiet_seconds: float = 3.0, limit_seconds: float = 180.0) -> Picture:
    """Wait until the controllers have nothing left to do: two pictures with some time between them are the same."""
    api = Api(kubeconfig, connections=WORKERS)
    deadline = time.monotonic() + limit_seconds
    before: Picture = {}
    while True:
        time.sleep(quiet_seconds)
        after = _patient_capture(kubeconfig, api, deadline)
        found = difference(before, after)
        if not found and not found.added and before:
            return after
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {limit_seconds:.0f} s the cluster still changes:\n{found.describe()}\nadded: {' '.join(found.added[:20])}")
        before = after
