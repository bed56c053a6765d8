# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishes what a component has brought onto a host: components share this fact, and nothing else."""

from __future__ import annotations

from typing import Any, Dict, Optional

from ansible.plugins.action import ActionBase

FACT = "lifeboat_prepared"


class ActionModule(ActionBase):
    """lifeboat.cluster.prepared"""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "component": {"type": "str", "required": True},
                "files": {"type": "list", "elements": "dict", "default": []},
                "replace": {"type": "list", "elements": "dict", "default": []},
            }
        )
        before = ((task_vars or {}).get("ansible_facts") or {}).get(FACT) or {}
        entry = {"files": options["files"], "replace": options["replace"]}
        result.update(changed=False, ansible_facts={FACT: {**before, options["component"]: entry}})
        return result
