#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: static_pod_arguments
short_description: Set arguments in a static pod manifest
version_added: "0.1.0"
description:
  - Sets command line arguments in a static pod manifest as kubeadm writes it, with the standard library alone, and replaces the file whole.
  - An etcd member that joins a living cluster has to be started with the member list of today, not with the one of the day of the backup.
  - A manifest in any other form is refused.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  path:
    description: The manifest.
    type: path
    required: true
  arguments:
    description: Values by flag, dashes included.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Let the member join a living cluster
  lifeboat.cluster.static_pod_arguments:
    path: /var/lib/lifeboat/manifests/etcd.yaml
    arguments:
      --initial-cluster: cp1=https://192.0.2.11:2380,cp2=https://192.0.2.12:2380
      --initial-cluster-state: existing
"""

RETURN = r"""
path:
  description: The manifest.
  returned: success
  type: str
"""

import os
import typing as t

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import write_file
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.static_pod import set_arguments
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError


def body(call: Call) -> t.Dict[str, t.Any]:
    """Read, set, write, read back."""
    path = call.params["path"]
    try:
        with open(path, encoding="utf-8") as file:
            before = file.read()
            mode = os.fstat(file.fileno()).st_mode & 0o7777
    except OSError as error:
        raise LifeboatError("The static pod manifest %s cannot be read." % path, found=str(error), remedy="Restore the node's configuration first.") from error
    after = set_arguments(before, {str(flag): str(value) for flag, value in call.params["arguments"].items()}, path)
    if after != before and not call.check_mode:
        write_file(path, after.encode("utf-8"), mode)
    return {"changed": after != before, "path": path, "diff": {"before": before, "after": after}}


def main() -> t.NoReturn:
    """Run the module."""
    run({"path": {"type": "path", "required": True}, "arguments": {"type": "dict", "required": True}}, body)


if __name__ == "__main__":
    main()
