#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_archive
short_description: Capture files of a host into one archive
version_added: "0.1.0"
description:
  - Captures files and directories with owners, modes, times, links, hard links and extended attributes (security labels and POSIX ACLs among them)
    into one PAX tar. Its first member, C(LIFEBOAT-INDEX.json), has attributes and SHA-256 of every path.
  - A file that changes while it is read is read again; one that keeps changing is an error.
  - The archive is read back before it gets its name. A valid archive of the same request that is at O(path) already is kept and reported.
  - Sockets, pipes and devices are not captured, nor are file systems that are mounted beneath a listed directory; both are reported.
  - Contents of files are never in results, diffs or errors.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  path:
    description: The archive to write. Its directory must exist.
    type: str
    required: true
  paths:
    description: What to capture.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - Absolute path or glob. C(*), C(?) and C([...]) match within one name, C(**) any number of directories; hidden names match like others.
          - A directory is captured with all beneath it. A link that is named without a glob is captured together with what it leads to.
        type: str
        required: true
      required:
        description: Fail when nothing is found.
        type: bool
        default: false
      why:
        description: Why it is captured. For readers of the platform's facts, not used.
        type: str
        default: ""
  exclude:
    description: Globs on absolute paths that are left out, each with all beneath it.
    type: list
    elements: str
    default: []
  facts:
    description: Facts about the host that go into the archive as C(LIFEBOAT-FACTS.json). Not for secrets.
    type: dict
  owner:
    description: User who is given the finished archive, so that the connection can transfer it. Usually the user that Ansible logs in as.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Capture the keys of a control plane
  lifeboat.cluster.host_archive:
    path: "{{ staging }}/pki.tar"
    owner: "{{ ansible_user_id }}"
    paths:
      - {path: /etc/kubernetes/pki, required: true}
      - {path: /etc/kubernetes/*.conf, required: true}
      - {path: /etc/kubernetes/encryption.yaml}
    exclude:
      - /etc/kubernetes/pki/**/*.bak
  become: true
"""

RETURN = r"""
archive:
  description: The archive.
  returned: success
  type: dict
  contains:
    path: {description: Where it lies., type: str}
    size_bytes: {description: Its size; null in check mode., type: int}
    sha256: {description: Its SHA-256; null in check mode., type: str}
    taken_at: {description: When it was begun; null in check mode., type: str}
    entries:
      description: Every captured path.
      type: list
      elements: dict
      contains:
        path: {description: Absolute path., type: str}
        type: {description: "C(file), C(directory), C(symlink) or C(hardlink).", type: str}
        mode: {description: "Permission bits, such as 0600.", type: str}
        uid: {description: Number of the owner., type: int}
        gid: {description: Number of the group., type: int}
        owner: {description: "Name of the owner, or empty.", type: str}
        group: {description: "Name of the group, or empty.", type: str}
        size: {description: Bytes., type: int}
        sha256: {description: "Digest of the contents; empty for what has none, and in check mode.", type: str}
        mtime: {description: Time of the last change., type: str}
        link_target: {description: "Where a link leads; for a hard link, the first name of the same file.", type: str}
        xattrs: {description: Names of extended attributes., type: list, elements: str}
    missing: {description: Paths and globs for which nothing was found., type: list, elements: str}
    missing_required: {description: Required ones among those; the module fails when there are any., type: list, elements: str}
    skipped: {description: What was not captured. Each with C(path) and C(reason)., type: list, elements: dict}
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.archive import CaptureRequest, WantedPath, capture, existing, rehearse
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

SPEC: Dict[str, Any] = {
    "path": {"type": "str", "required": True},
    "paths": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"path": {"type": "str", "required": True}, "required": {"type": "bool", "default": False}, "why": {"type": "str", "default": ""}},
    },
    "exclude": {"type": "list", "elements": "str", "default": []},
    "facts": {"type": "dict"},
    "owner": {"type": "str", "default": ""},
}


def body(call: Call) -> Dict[str, Any]:
    """Capture, unless it was done already."""
    options = dict(call.params, paths=[WantedPath(item["path"], item["required"]) for item in call.params["paths"]])
    request = CaptureRequest(**options)
    record = existing(request)
    if record is not None:
        return {"changed": False, "archive": record.as_result(), "diff": {"before": record.lines(), "after": record.lines()}}
    record = rehearse(request) if call.check_mode else capture(request)
    return {"changed": True, "archive": record.as_result(), "diff": {"before": "", "after": record.lines()}}


def main() -> None:
    """Entry point."""
    run(SPEC, body)


if __name__ == "__main__":
    main()
