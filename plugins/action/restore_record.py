# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the module which run asks, and whether the one that holds the lock is known here to be dead: only the controller knows."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.runs import NoRun, find_run
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.keeping import DIRECTORY
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.run_lock import MODULE, RunLock, is_dead, owner_of

_OF_THE_LOCK = ("locked", "renewed", "unlocked")


class ActionModule(ActionBase):
    """lifeboat.cluster.restore_record"""

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        try:
            result.update(self._run(dict(self._task.args), task_vars or {}))
        except LifeboatError as error:
            raise AnsibleActionFail(str(error), result=error.as_result()) from None
        return result

    def _run(self, arguments: Dict[str, Any], task_vars: Dict[str, Any]) -> Dict[str, Any]:
        state = str(arguments.get("state") or "present")
        mine: Optional[RunLock] = None
        if not arguments.get("owner"):
            mine = self._own(state, task_vars)
            if mine is not None:
                arguments["owner"] = owner_of(mine.run)
        answer = self._ask(arguments, task_vars)
        holder = ((answer.get("error") or {}).get("lock") or {}).get("owner") or {}
        if state == "locked" and answer.get("failed") and is_dead(holder):
            arguments["dead_run_ids"] = [*(arguments.get("dead_run_ids") or []), holder.get("run_id")]
            answer = self._ask(arguments, task_vars)
        if mine is not None and not answer.get("failed") and not self._task.check_mode:
            if state == "unlocked":
                mine.forget()
            elif state == "locked":
                mine.note(str(arguments.get("directory") or DIRECTORY))
            else:
                mine.given()
        return answer

    def _own(self, state: str, task_vars: Dict[str, Any]) -> Optional[RunLock]:
        """This run's lock on the host: always when the lock is what the task is about, else only where it was taken."""
        host = str(self._task.delegate_to or task_vars.get("inventory_hostname", ""))
        try:
            lock = RunLock(find_run(task_vars, os.getppid()), host)
        except NoRun:
            if state in _OF_THE_LOCK:
                raise
            return None
        return lock if state in _OF_THE_LOCK or lock.directory() is not None else None

    def _ask(self, arguments: Dict[str, Any], task_vars: Dict[str, Any]) -> Dict[str, Any]:
        answer: Dict[str, Any] = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        return answer
