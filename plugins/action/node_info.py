# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds how far the host's clock is from the controller's: only around the look itself can that be told, after it other hosts are waited for."""

from __future__ import annotations

import time
from typing import Any, Dict, Optional

from ansible.plugins.action.normal import ActionModule as AnyModule

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.clock import seconds_ahead


class ActionModule(AnyModule):
    """lifeboat.cluster.node_info"""

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        asked_at = time.time()
        result: Dict[str, Any] = super().run(tmp, task_vars)
        answered_at = time.time()
        if "now_epoch" in (result.get("node") or {}):
            result["node"]["clock_ahead_seconds"] = seconds_ahead(float(result["node"]["now_epoch"]), asked_at, answered_at)
        return result
