#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: text_files
short_description: Write text files of one directory, each in one step
version_added: "0.1.0"
description:
  - Writes files on the controller so that no reader ever sees half of one. Until a file is whole it has a hidden name without suffix, which the
    textfile collector of a Prometheus node exporter passes over.
  - Files with the wanted content and permissions are left alone; other files of the directory are, too.
options:
  directory:
    description: The directory. It has to exist, unless O(create_directory) is set.
    type: path
    required: true
  create_directory:
    description: Make the directory when it is not there, and those above it.
    type: bool
    default: false
  files:
    description: Contents by file name.
    type: dict
    required: true
  replace:
    description: Whether a file that is there with another content or other permissions is replaced. Without it, such a file stays as it is.
    type: bool
    default: true
  mode:
    description: Permissions of the files, in octal.
    type: str
    default: "0644"
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.readiness_info
"""

EXAMPLES = r"""
- name: Tell Prometheus
  lifeboat.cluster.text_files:
    directory: /var/lib/prometheus/node-exporter
    files:
      lifeboat.prom: "{{ readiness.metrics }}"
"""

RETURN = r"""
paths:
  description: All files.
  returned: success
  type: list
  elements: str
written:
  description: Those that were, or in check mode would be, written.
  returned: success
  type: list
  elements: str
"""

import os
import stat
from typing import Any, Dict, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.render import write_whole
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError


def content_of(path: str, mode: int) -> Optional[str]:
    """The content of a file; None when there is none, or when its permissions are others."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read() if stat.S_IMODE(os.fstat(stream.fileno()).st_mode) == mode else None
    except OSError:
        return None


def body(call: adapter.Call) -> Dict[str, Any]:
    """Compare, write."""
    directory, mode = call.params["directory"], int(call.params["mode"], 8)
    wanted: Dict[str, str] = {}
    for name, content in call.params["files"].items():
        if os.path.basename(name) != name or not name:
            raise LifeboatError("This is not the name of a file", found=repr(name)[:120], remedy="give a name without a directory")
        wanted[os.path.join(directory, name)] = str(content)
    before = {path: content_of(path, mode) for path in wanted}
    written = [path for path, content in wanted.items() if before[path] != content and (call.params["replace"] or not os.path.lexists(path))]
    if written and not call.check_mode:
        try:
            if call.params["create_directory"] and not os.path.isdir(directory):
                os.makedirs(directory, 0o755)
            for path in written:
                write_whole(path, wanted[path].encode("utf-8"), mode)
        except OSError as error:
            raise LifeboatError(
                "A file cannot be written", tried=directory, found=str(error), remedy="make the directory, writable for this user, or name another one"
            ) from error
    diff = [{"before_header": path, "after_header": path, "before": before[path] or "", "after": wanted[path]} for path in written]
    return {"changed": bool(written), "paths": list(wanted), "written": written, "diff": diff}


def main() -> None:
    """Argument spec and call."""
    adapter.run(
        {
            "directory": {"type": "path", "required": True},
            "create_directory": {"type": "bool", "default": False},
            "files": {"type": "dict", "required": True},
            "replace": {"type": "bool", "default": True},
            "mode": {"type": "str", "default": "0644"},
        },
        body,
    )


if __name__ == "__main__":
    main()
