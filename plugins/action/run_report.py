# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the report of a run, and copies it to the location when the run ends."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.lifeboat.cluster.plugins.plugin_utils.evidence import Evidence


class ActionModule(ActionBase):
    """lifeboat.cluster.run_report"""

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._execute_module(task_vars=task_vars))
        if not result.get("failed") and boolean(self._task.args.get("finish", False), strict=False):
            self._upload(task_vars or {})
        return result

    def _upload(self, task_vars: Dict[str, Any]) -> None:
        try:
            evidence = Evidence(self._task, task_vars, self._templar)
        except AnsibleActionFail:
            # The report of an old run is rendered outside of any run: that one was copied in its own time.
            return
        if os.path.realpath(evidence.run.directory) == os.path.realpath(str(self._task.args.get("directory", ""))):
            evidence.upload("", reports=True)
