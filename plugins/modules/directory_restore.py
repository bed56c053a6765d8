#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: directory_restore
short_description: Bring an OpenLDAP server's configuration and tree back from a dump
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Loads a dump of M(lifeboat.cluster.directory_dump) into new directories inside of the live ones, exports both again and compares them byte by byte.
  - Then, in the state V(applied), puts them in place by renames. What stood there is moved to C(.lifeboat-aside-<restore_id>) beside it.
  - A configuration that lacks a schema which the entries need is refused before anything is put in place.
  - The server may run while data are staged; it must not when they are put in place. Killed at any moment, the restore is finished by running it again.
  - A directory that holds the same already is left as it is.
  - In check mode only the plan is returned.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.inside
  - lifeboat.cluster.directory_server
  - lifeboat.cluster.directory_server.scratch
options:
  state:
    description:
      - V(staged) loads and compares, and returns in RV(restore.replace) what M(lifeboat.cluster.node_services) has to put in place.
      - V(applied) does that too, and puts it in place. It refuses while a server uses the data.
    type: str
    choices: [staged, applied]
    default: applied
  dump:
    description:
      - The dump, on this host.
    type: path
    required: true
  sha256:
    description:
      - SHA-256 that it has to have.
    type: str
    default: ""
  data_dir:
    description:
      - Directory of the host with the database.
    type: path
    required: true
  data_dir_inside:
    description:
      - The same directory as the programs in O(container) see it, and as the configuration names it. Default is O(data_dir).
    type: path
    default: ""
  owner:
    description:
      - User, or C(user:group), who owns the files, as the programs know it.
    type: str
    default: ""
  restore_id:
    description:
      - Name of this restore, the same on a rerun. What makes way is kept under it.
    type: str
    required: true
seealso:
  - module: lifeboat.cluster.directory_dump
"""

EXAMPLES = r"""
- name: Bring the directory of users back, with its service stopped
  lifeboat.cluster.directory_restore:
    state: applied
    config_dir: /var/lib/misc/ldap-config
    suffix: dc=example,dc=org
    data_dir: /var/lib/misc/ldap
    owner: openldap
    dump: "{{ staging }}/directory.tar"
    sha256: "{{ expected_sha256 }}"
    restore_id: "{{ restore_id }}"
"""

RETURN = r"""
restore:
  description: What was done; in check mode, what would be.
  returned: success
  type: dict
  contains:
    action: {description: "V(nothing), V(stage), or V(swap) when an earlier run has staged already.", type: str}
    before: {description: "Number of entries in configuration and tree; null when there is nothing that can be read.", type: dict}
    dump: {description: "As M(lifeboat.cluster.directory_dump) returns it.", type: dict}
    replace:
      description: What is put in place, each with C(staged), C(target) and C(aside); empty when there is nothing to do, and before it is staged.
      type: list
      elements: dict
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap import restore
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap.dump import examine
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap.server import DIRECTORY_ARGUMENTS, Directory
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.scratch import DEFAULT_DIRECTORY
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run


def body(call: Call) -> Dict[str, Any]:
    """Plan, and unless only asked, stage and swap."""
    params = call.params
    request = restore.Request(
        directory=Directory.from_params(params),
        config=restore.Place(params["config_dir"], params["config_dir_inside"] or params["config_dir"]),
        data=restore.Place(params["data_dir"], params["data_dir_inside"] or params["data_dir"]),
        restore_id=params["restore_id"],
        owner=params["owner"],
        scratch_directory=params["scratch_directory"],
    )
    dump = examine(params["dump"], params["sha256"])
    applied = params["state"] == "applied"
    plan = restore.plan(dump, request)
    names = plan.names
    changed = plan.action == restore.STAGE or (applied and plan.changed)
    if changed and not call.check_mode:
        if applied:
            restore.require_stopped(request)
        names = names or restore.stage(dump, request)
        if applied:
            restore.swap(request, names)
    result: Dict[str, Any] = {"changed": changed, "restore": restore.as_result(plan, dump, request, names)}
    if changed:
        after = {"config_entries": dump.record.config.entries, "entries": dump.record.tree.entries}
        result["diff"] = {"before": result["restore"]["before"] or {}, "after": after}
    return result


def main() -> None:
    """Entry point."""
    arguments = dict(DIRECTORY_ARGUMENTS)
    arguments.update(
        {
            "state": {"type": "str", "choices": ["staged", "applied"], "default": "applied"},
            "dump": {"type": "path", "required": True},
            "sha256": {"type": "str", "default": ""},
            "data_dir": {"type": "path", "required": True},
            "data_dir_inside": {"type": "path", "default": ""},
            "owner": {"type": "str", "default": ""},
            "restore_id": {"type": "str", "required": True},
            "scratch_directory": {"type": "path", "default": DEFAULT_DIRECTORY},
        }
    )
    run(arguments, body)


if __name__ == "__main__":
    main()
