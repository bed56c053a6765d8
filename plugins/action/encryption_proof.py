# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens encrypted values of a snapshot with the keys that were captured of a control plane, in the controller's memory."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.runs import find_run
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.encryption import Stored
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import Sample
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.transfer import Workspace
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.encryption import Proof, named_file, prove
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.host_files import read_archived

ARCHIVE = {"path": {"type": "str", "required": True}, "sha256": {"type": "str", "required": True}, "size_bytes": {"type": "int", "required": True}}


class ActionModule(ActionBase):
    """lifeboat.cluster.encryption_proof"""

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "archives": {"type": "list", "elements": "dict", "required": True, "options": ARCHIVE},
                "in_use": {"type": "dict", "required": True},
                "static_pods": {"type": "list", "elements": "dict", "default": []},
                "snapshot": {"type": "dict", "required": True},
                "samples": {"type": "list", "elements": "dict", "default": []},
            }
        )
        try:
            proof = self._prove(options, task_vars or {})
        except LifeboatError as error:
            raise AnsibleActionFail(str(error), result=error.as_result()) from None
        result.update(changed=False, proof=proof.as_result())
        return result

    def _prove(self, options: Dict[str, Any], task_vars: Dict[str, Any]) -> Proof:
        host = str(task_vars["inventory_hostname"])
        stored = Stored.from_record(options["snapshot"], [Sample.from_result(record) for record in options["samples"]])
        file = named_file(options["in_use"], options["static_pods"])
        if not stored.encrypted or not file:
            return prove(host, options["in_use"], file, None, stored) if stored.encrypted else Proof(host, file)
        workspace = Workspace(find_run(task_vars, os.getppid()).directory)
        real = str(options["in_use"].get("real_file") or file)
        for archive in options["archives"]:
            found = read_archived(self, archive, [file, real], workspace, host)
            if found:
                # Behind a link, it lies in the archive under its own name.
                there = file if file in found else real
                return prove(host, options["in_use"], there, found[there], stored)
        return prove(host, options["in_use"], file, None, stored)
