# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the module which run has locked the host, so that it changes nothing once another run took the lock: only the controller knows."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action.normal import ActionModule as AnyModule

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.runs import NoRun, find_run
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.run_lock import RunLock, owner_of


class ActionModule(AnyModule):
    """lifeboat.cluster.node_services"""

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        variables = task_vars or {}
        lock: Optional[RunLock] = None
        try:
            lock = RunLock(find_run(variables, os.getppid()), str(self._task.delegate_to or variables.get("inventory_hostname", "")))
            if lock.directory() is not None and not self._task.args.get("lock_owner"):
                self._task.args = dict(self._task.args, lock_owner=owner_of(lock.run))
        except NoRun:
            # Called outside of a run: nobody has locked anything.
            lock = None
        except LifeboatError as error:
            raise AnsibleActionFail(str(error), result=error.as_result()) from None
        result: Dict[str, Any] = super().run(tmp, task_vars)
        if lock is not None and not result.get("failed") and not result.get("unreachable"):
            lock.given()
        return result
