# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files in a kubelet's directory of manifests that the platform does not name: pods of somebody else, and copies of manifests.

The kubelet reads every file that does not begin with a dot, whatever its ending, and runs one pod of a name at a time: a copy that
somebody kept (kube-apiserver.yaml.bak) starts when the manifest is taken away.
Source: kubernetes/kubernetes pkg/kubelet/config/file.go (listConfig), pkg/kubelet/pod_workers.go (allowStaticPodStart); issue 136962.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Container, Dict, Iterable, List, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.static_pod import pod_name

# How manifests are called; of two of the same pod, the one that is called so is no copy.
ENDINGS = (".yaml", ".yml", ".json", ".manifest")
# What gave way to another file of its name lies in the parking under this.
SUPERSEDED = ".superseded-"


def names_in(directory: str) -> Set[str]:
    """Files that a kubelet would read, or that are parked; none where there is no directory."""
    try:
        names = os.listdir(directory)
    except OSError:
        return set()
    return {name for name in names if not name.startswith(".") and SUPERSEDED not in name and os.path.isfile(os.path.join(directory, name))}


def _pod_in(directories: Sequence[str], name: str) -> Tuple[str, str]:
    """Namespace and name of the pod, by the last of the directories that has the file; empty where it cannot be read as a pod."""
    text = ""
    for directory in directories:
        try:
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                text = file.read(1 << 20)
        except OSError:
            continue
    pod, namespace = pod_name(text)
    return (namespace, pod) if pod else ("", "")


@dataclass
class PodFiles:
    """Namespace and name of the pod by file, and the files that are copies of another one."""

    pods: Dict[str, Tuple[str, str]] = field(default_factory=dict)
    copies: List[str] = field(default_factory=list)

    @classmethod
    def read(cls, directories: Sequence[str], known: Container[str], own: Iterable[Tuple[str, str]]) -> PodFiles:
        """Sort what lies in these directories, live before parked. ``known`` are the platform's manifests, ``own`` namespace and name of its pods."""
        found = cls()
        names = set().union(*(names_in(directory) for directory in directories))
        taken = set(own) | {_pod_in(directories, name) for name in names if name in known}
        for name in sorted((name for name in names if name not in known), key=lambda name: (not name.endswith(ENDINGS), name)):
            pod = _pod_in(directories, name)
            if pod[1] and pod in taken:
                found.copies.append(name)
            elif pod[1] or name.endswith(ENDINGS):
                # One that is called a manifest and not understood may be one all the same: hosts have no YAML reader.
                found.pods[name] = (pod[0] or "default", pod[1])
                taken.add(pod)
        return found
