#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_archive_restore
short_description: Put files of a host archive back
version_added: "0.1.0"
description:
  - Unpacks an archive of M(lifeboat.cluster.host_archive) into a private directory, compares it with the live files, and puts back what differs.
  - What stands in the way is moved to the same path beneath O(aside), once. A rerun with the same O(restore_id), after a kill too, replaces what this
    restore wrote itself and keeps what stood there before the first run.
  - Contents, kind, owner, mode, extended attributes and link targets are compared; a different time alone is no difference.
  - Files appear whole and with all attributes. Owners are restored by name where the name exists on this host, else by number.
  - Files that decide who can log in and how the host is reached are refused unless O(named) lifts that.
  - Contents of files are never in results, diffs or errors.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  state:
    description:
      - V(unpacked) verifies the archive and unpacks it into O(staging).
      - V(planned) does that, and compares it with the live files.
      - V(applied) does both, and puts back what differs.
      - In check mode nothing is unpacked; the plan is made from the archive's own index.
    type: str
    choices: [unpacked, planned, applied]
    default: applied
  archive:
    description: The archive. Not needed when it is unpacked already.
    type: str
  sha256:
    description: SHA-256 that the archive must have.
    type: str
    default: ""
  staging:
    description: Directory to unpack into, created with mode 0700. Staged files are beneath its C(tree), whole, but with private modes.
    type: str
    required: true
  restore_id:
    description: Name of this restore; the same on a rerun. Needed for the states V(planned) and V(applied).
    type: str
  include:
    description: Globs on captured paths to restore, each with all beneath it. Empty means everything.
    type: list
    elements: str
    default: []
  exclude:
    description: Globs on captured paths that are not restored.
    type: list
    elements: str
    default: []
  never:
    description:
      - Globs that are refused because they could lock everybody out.
      - By default sshd's configuration and keys, authorized keys, sudo, PAM, users and passwords, host names, network, routes and packet filters.
    type: list
    elements: str
  named:
    description: Globs that are restored although O(never) matches them.
    type: list
    elements: str
    default: []
  divert:
    description: Path prefixes to restore elsewhere, for instance manifests into a directory where nothing starts them yet.
    type: dict
    default: {}
  extras:
    description: What to do with live files that the archive does not have, in the captured directories that O(exact) matches.
    type: str
    choices: [keep, aside]
    default: keep
  exact:
    description: Globs of directories that are to hold nothing but what was captured. Others are left alone.
    type: list
    elements: str
    default: []
  aside:
    description: Where replaced files go. Default is C(/var/lib/lifeboat/aside/) and O(restore_id).
    type: str
  root:
    description: Directory that stands for C(/), for a system that is mounted there.
    type: str
    default: /
"""

EXAMPLES = r"""
- name: Show what a restore would change
  lifeboat.cluster.host_archive_restore:
    state: planned
    archive: "{{ staging }}/pki.tar"
    sha256: "{{ expected_sha256 }}"
    staging: /var/lib/lifeboat/staging/pki
    restore_id: "{{ restore_id }}"

- name: Put keys and manifests back, the manifests where nothing starts them
  lifeboat.cluster.host_archive_restore:
    state: applied
    staging: /var/lib/lifeboat/staging/pki
    restore_id: "{{ restore_id }}"
    divert:
      /etc/kubernetes/manifests: /etc/kubernetes/manifests.parked
    extras: aside
    exact: [/etc/kubernetes/pki]
"""

RETURN = r"""
staging:
  description: The unpacked archive.
  returned: when it is unpacked
  type: dict
  contains:
    path: {description: The directory., type: str}
    tree: {description: Directory with the staged files., type: str}
    facts: {description: "File with the captured facts, or empty.", type: str}
    archive_sha256: {description: SHA-256 of the archive., type: str}
    entries: {description: Number of captured paths., type: int}
plan:
  description: What differs, as paths on the target.
  returned: for the states planned and applied
  type: dict
  contains:
    create: {description: Nothing stands there., type: list, elements: str}
    replace: {description: Something else stands there., type: list, elements: str}
    attributes: {description: Directories with other owner or mode., type: list, elements: str}
    same: {description: Already as captured., type: list, elements: str}
    refused: {description: Refused by O(never)., type: list, elements: str}
    would_cut_connection: {description: "Matched by O(never), named or not, and different from the live ones.", type: list, elements: str}
    extra: {description: Live files that the archive does not have where O(exact) matches., type: list, elements: str}
    diverted: {description: Captured path to path on the target., type: dict}
    owners_by_number: {description: Owners and groups that do not exist here by name., type: dict}
    space: {description: "For each file system C(path), C(needed_bytes), C(free_bytes), C(enough).", type: list, elements: dict}
applied:
  description: What was done.
  returned: for the state applied, not in check mode
  type: dict
  contains:
    created: {description: New paths., type: list, elements: str}
    replaced: {description: Replaced paths., type: list, elements: str}
    attributes: {description: Directories that were given other attributes., type: list, elements: str}
    moved_aside: {description: "What was moved in this run, each with C(path) and C(aside).", type: list, elements: dict}
    lost_attributes: {description: Extended attributes that a file system did not take., type: dict}
aside:
  description: Where replaced files are.
  returned: for the states planned and applied
  type: str
"""

from typing import Any, Dict, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import files
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

SPEC: Dict[str, Any] = {
    "state": {"type": "str", "choices": ["unpacked", "planned", "applied"], "default": "applied"},
    "archive": {"type": "str"},
    "sha256": {"type": "str", "default": ""},
    "staging": {"type": "str", "required": True},
    "restore_id": {"type": "str"},
    "include": {"type": "list", "elements": "str", "default": []},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "never": {"type": "list", "elements": "str"},
    "named": {"type": "list", "elements": "str", "default": []},
    "divert": {"type": "dict", "default": {}},
    "extras": {"type": "str", "choices": ["keep", "aside"], "default": "keep"},
    "exact": {"type": "list", "elements": "str", "default": []},
    "aside": {"type": "str"},
    "root": {"type": "str", "default": "/"},
}
REQUIRED_IF = [("state", "unpacked", ("archive",)), ("state", "planned", ("restore_id",)), ("state", "applied", ("restore_id",))]
_REQUEST = ("staging", "restore_id", "include", "exclude", "named", "divert", "extras", "exact", "root")


def _request(params: Dict[str, Any]) -> files.RestoreRequest:
    options = {name: params[name] for name in _REQUEST}
    never = list(files.LOCK_OUT) if params["never"] is None else params["never"]
    return files.RestoreRequest(never=never, aside=params["aside"] or "/var/lib/lifeboat/aside/%s" % params["restore_id"], **options)


def body(call: Call) -> Dict[str, Any]:
    """Unpack, plan, apply: as far as asked."""
    params = call.params
    staged: Optional[files.Staged] = None
    if params["archive"] and not call.check_mode:
        staged = files.unpack(params["archive"], params["staging"], params["sha256"])
    elif files.is_complete(params["staging"]) or not params["archive"]:
        staged = files.open_staging(params["staging"])
    index = staged.index if staged is not None else files.peek(params["archive"], params["sha256"])
    result: Dict[str, Any] = {"changed": staged is None or staged.created, "diff": {"before": "", "after": ""}}
    if staged is not None:
        result["staging"] = files.staging_result(staged)
    if params["state"] == "unpacked":
        return result
    request = _request(params)
    plan = files.plan_index(request, index)
    result.update(plan=plan.as_result(), aside=request.aside, diff=plan.diff())
    if params["state"] == "applied":
        files.check_room(plan)
        result["changed"] = result["changed"] or plan.changed
        if not call.check_mode:
            result["applied"] = files.apply(plan).as_result()
    return result


def main() -> None:
    """Entry point."""
    run(SPEC, body, required_if=REQUIRED_IF)


if __name__ == "__main__":
    main()
