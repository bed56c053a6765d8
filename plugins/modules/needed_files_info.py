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
  units:
    description: Units of systemd, of whose main processes the options are looked at. Their own files, drop-ins and environment files are needed, too.
    type: list
    elements: str
    default: []
  files:
    description: Files with options or settings of these processes, which are followed where a unit of O(units) does not run.
    type: list
    elements: path
    default: []
  listed:
    description: Paths that are captured anyway; what is one of them, or below one, is not returned.
    type: list
    elements: path
    default: []
  data:
    description: Directories of data that are saved in another way. These, what lies in them and what they lie in are not returned.
    type: list
    elements: path
    default: []
  largest_bytes:
    description: Directories and files with more than this are captured only when somebody names them.
    type: int
    default: 67108864
"""

EXAMPLES = r"""
- name: Find what no list of paths knows
  lifeboat.cluster.needed_files_info:
    manifests: [/etc/kubernetes/manifests]
    units: [kubelet.service]
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
    empty: {description: "Whether the directory alone is needed, without what is in it: one of logs, that a pod wants to be there.", type: bool}
    left: {description: "Why it is not among RV(paths), although it is there; else empty.", type: str, sample: much else lies in it}
not_running:
  description: Units that do not run. What their processes are told is known as far as O(files) say it.
  returned: success
  type: list
  elements: str
not_understood:
  description: Manifests whose volumes could not all be read.
  returned: success
  type: list
  elements: str
exclude:
  description: What is in directories of which nothing but themselves is needed, as M(lifeboat.cluster.host_archive) takes it.
  returned: success
  type: list
  elements: str
paths:
  description: Those that are there and can be taken, as M(lifeboat.cluster.host_archive) takes paths.
  returned: success
  type: list
  elements: dict
  contains:
    path: {description: Where it is., type: str}
    why: {description: Who needs it., type: str}
"""

import glob
import os
from dataclasses import asdict
from typing import Any, Dict, Iterator, List

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import needed
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import arguments
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Systemd
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Follow, and tell what is not listed."""
    params, reader = call.params, needed.Reader()

    def found() -> Iterator[needed.Found]:
        for directory in params["manifests"]:
            yield from reader.manifests(directory)
        for name, unit in (Systemd().show(params["units"]) if params["units"] else {}).items():
            short = name.rpartition(".")[0]
            for path in unit.files:
                yield needed.Found(path, "unit %s" % name, may_be_gone=True)
            if unit.main_pid:
                yield from reader.process(arguments(unit.main_pid), short)
            elif unit.exists:
                not_running.append(name)
                for path in params["files"]:
                    yield from reader.file(path, short)

    not_running: List[str] = []
    files = needed.needs(found(), params["listed"], params["data"], params["largest_bytes"], reader.logs)
    return {
        "not_running": not_running,
        "files": [asdict(need) for need in files],
        "not_understood": reader.not_understood,
        # Names are no patterns.
        "exclude": [os.path.join(glob.escape(need.path), "*") for need in files if need.empty],
        "paths": [{"path": need.path, "why": need.by} for need in files if need.exists and not need.left],
    }


def main() -> None:
    """Entry point."""
    run(
        {
            "manifests": {"type": "list", "elements": "path", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "list", "elements": "path", "default": []},
            "listed": {"type": "list", "elements": "path", "default": []},
            "data": {"type": "list", "elements": "path", "default": []},
            "largest_bytes": {"type": "int", "default": 67108864},
        },
        body,
    )


if __name__ == "__main__":
    main()
