#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: needed_files_info
short_description: Find the files of a host that its control plane or kubelet needs, and that a list of paths does not hold
version_added: "0.1.0"
description:
  - Follows what static pods mount of the host, files that options of their programs and of the kubelet name, and files that those name (admission plugins,
    kubeconfigs, certificates of the kubelet's configuration).
  - What the system, its packages or the container runtime bring is left out. Of the files that name others only paths are returned.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  manifests:
    description: Directories of static pod manifests. What is not there is passed over.
    type: list
    elements: path
    default: []
  processes:
    description: Names of programs of the host, as the platform's data have them, whose options are looked at.
    type: list
    elements: str
    default: []
  listed:
    description: Paths that are captured anyway; what is one of them, or below one, is not returned.
    type: list
    elements: path
    default: []
  largest_bytes:
    description: Directories with more than this are C(large), to be captured only when somebody says so.
    type: int
    default: 67108864
"""

EXAMPLES = r"""
- name: Find what no list of paths knows
  lifeboat.cluster.needed_files_info:
    manifests: [/etc/kubernetes/manifests]
    processes: [kubelet]
    listed: [/etc/kubernetes/pki, /etc/kubernetes/manifests, /var/lib/kubelet/config.yaml]
  register: needed
"""

RETURN = r"""
files:
  description: Files and directories that are needed and not listed.
  returned: success
  type: list
  elements: dict
  contains:
    path: {description: Where it is., type: str, sample: /etc/kubernetes/admission}
    by: {description: Who needs it., type: str, sample: "static pod kube-apiserver, hostPath"}
    exists: {description: Whether it is there., type: bool}
    large: {description: Whether it is a directory with more than O(largest_bytes)., type: bool}
paths:
  description: Those that are there and not large, as M(lifeboat.cluster.host_archive) takes paths.
  returned: success
  type: list
  elements: dict
  contains:
    path: {description: Where it is., type: str}
    why: {description: Who needs it., type: str}
"""

import os
from typing import Any, Dict, Iterator, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run
from ansible_collections.lifeboat.cluster.plugins.module_utils.host import needed, probing
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.processes import arguments, processes


def body(call: Call) -> Dict[str, Any]:
    """Follow, and tell what is not listed."""
    params = call.params

    def found() -> Iterator[Tuple[str, str]]:
        for directory in params["manifests"]:
            yield from needed.of_manifests(directory)
        for name, running in processes(params["processes"]).items():
            for process in running:
                yield from needed.of_process(arguments(process.pid), name)

    files = [need.as_dict() for need in needed.needs(found())]
    there = needed.not_captured(files, params["listed"])
    missing = [item for item in files if not item["exists"]]
    told = [dict(item, large=_is_large(str(item["path"]), params["largest_bytes"])) for item in [*there, *missing]]
    return {"files": told, "paths": [{"path": item["path"], "why": item["by"]} for item in told if item["exists"] and not item["large"]]}


def _is_large(path: str, largest_bytes: int) -> bool:
    return os.path.isdir(path) and probing.tree_size(path)[0] > largest_bytes


def main() -> None:
    """Entry point."""
    run(
        {
            "manifests": {"type": "list", "elements": "path", "default": []},
            "processes": {"type": "list", "elements": "str", "default": []},
            "listed": {"type": "list", "elements": "path", "default": []},
            "largest_bytes": {"type": "int", "default": 67108864},
        },
        body,
    )


if __name__ == "__main__":
    main()
