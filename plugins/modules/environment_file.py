#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: environment_file
short_description: Set variables in the environment file of a systemd unit
version_added: "0.1.0"
description:
  - Sets variables in a file that a unit names as its C(EnvironmentFile=), keeps every other line as it is, and replaces the file whole,
    with its owner and mode.
  - An etcd member that joins a living cluster has to be started with the member list of today, not with the one of the day of the backup.
  - What stood there before the first change is kept beside the file, once.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  path:
    description: The file. It must exist.
    type: path
    required: true
  settings:
    description: Values by the name of the variable.
    type: dict
    required: true
seealso:
  - module: lifeboat.cluster.static_pod_arguments
"""

EXAMPLES = r"""
- name: Let the member join a living cluster
  lifeboat.cluster.environment_file:
    path: /etc/sysconfig/etcd
    settings:
      ETCD_INITIAL_CLUSTER: node1=https://node1:2380,node2=https://node2:2380
      ETCD_INITIAL_CLUSTER_STATE: existing
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /etc/sysconfig/etcd
before:
  description: Where the file is kept as it was before the first change.
  returned: success
  type: str
  sample: /etc/sysconfig/etcd.lifeboat-before
"""

import os
import typing as t

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.environment_file import EnvironmentFileError, set_settings, settings
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import write_file
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> t.Dict[str, t.Any]:
    """Read, keep once, set, write, read back."""
    path = call.params["path"]
    wanted = {str(name): str(value) for name, value in call.params["settings"].items()}
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
            state = os.fstat(file.fileno())
    except OSError as error:
        raise EnvironmentFileError(
            "The environment file %s cannot be read." % path, found=str(error), remedy="Restore the node's configuration first."
        ) from error
    after = set_settings(text, wanted, path)
    kept = path + ".lifeboat-before"
    if after != text and not call.check_mode:
        for target, content in ((kept, text), (path, after)):
            if target == kept and os.path.lexists(kept):
                continue
            write_file(target, content.encode("utf-8", "surrogateescape"), state.st_mode & 0o7777)
            os.chown(target, state.st_uid, state.st_gid)
    had = settings(text)
    # Only what is ours to change: other lines may be secret.
    diff = {"before": {name: had.get(name) for name in sorted(wanted)}, "after": dict(sorted(wanted.items()))}
    return {"changed": after != text, "path": path, "before": kept, "diff": diff}


def main() -> t.NoReturn:
    """Run the module."""
    run({"path": {"type": "path", "required": True}, "settings": {"type": "dict", "required": True}}, body)


if __name__ == "__main__":
    main()
