#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_tool
short_description: Keep a copy of the etcdutl that fits this cluster
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Finds an C(etcdutl) that is able to restore, as M(lifeboat.cluster.etcd_restore) does (the C(PATH) of the host, then the newest etcd image of
    containerd, mounted as long as it is needed), and copies it to a file on the host, from where a recovery point takes it.
  - A statically linked one is preferred, because it runs on every machine. One that needs libraries is taken when there is no other.
  - Fails when the host has none. A backup is none the worse for it, as long as the machines to restore have their own.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  path:
    description:
      - The file to write, with mode 0700. Its directory must exist.
      - When this very program lies there already, nothing is done; another file is replaced in one step.
    type: path
    required: true
  owner:
    description:
      - User, or C(user:group), who shall own the finished file, for a transfer by somebody who is not root.
    type: str
    default: ""
  etcdutl:
    description:
      - Path of the C(etcdutl) to keep, instead of looking for one.
    type: path
    default: ""
attributes:
  check_mode:
    description: In check mode no image is mounted, so size and digest of a program inside of one are not known.
seealso:
  - module: lifeboat.cluster.etcd_restore
  - module: lifeboat.cluster.etcd_snapshot
"""

EXAMPLES = r"""
- name: Keep the etcdutl that fits
  lifeboat.cluster.etcd_tool:
    path: /var/tmp/lifeboat-x1/etcdutl
    owner: operator
  register: kept
"""

RETURN = r"""
tool:
  description: The copy.
  returned: success
  type: dict
  contains:
    path:
      description: Where it lies.
      type: str
      sample: /var/tmp/lifeboat-x1/etcdutl
    size_bytes:
      description: Its length; null in check mode when it is inside of an image.
      type: int
      sample: 16748728
    sha256:
      description: Its digest; null in check mode when it is inside of an image.
      type: str
      sample: daf658379d712e1608449b109cc7e6c012c3047d70b8a0ed1d0a19bfb1961940
    version:
      description: What it says its version is.
      type: str
      sample: 3.6.16
    source:
      description: Where it was found; V(given), V(host), V(image), or V(member) for the container of the etcd that runs.
      type: str
      sample: image
    static:
      description: Whether it needs no library of the machine; null in check mode when it is inside of an image.
      type: bool
      sample: true
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.keep import keep
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Find, compare, copy."""
    changed, copy = keep(call.params["path"], call.params["owner"], call.params["etcdutl"], call.check_mode)
    tool = copy.as_result()
    after = {name: tool[name] for name in ("path", "sha256", "version")}
    return {"changed": changed, "tool": tool, "diff": {"before": {} if changed else after, "after": after}}


def main() -> None:
    """Entry point."""
    run(
        {
            "path": {"type": "path", "required": True},
            "owner": {"type": "str", "default": ""},
            "etcdutl": {"type": "path", "default": ""},
        },
        body,
    )


if __name__ == "__main__":
    main()
