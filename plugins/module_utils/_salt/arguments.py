# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of all modules that deal with a Salt master, and what they make of them."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.programs import Programs
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside

FILES: Dict[str, Any] = {
    "pki_dir": {"type": "path", "default": "/etc/salt/pki/master"},
    "cache_dir": {"type": "path", "default": "/var/cache/salt/master"},
}
PROGRAMS: Dict[str, Any] = {
    "config_dir": {"type": "str", "default": "/etc/salt"},
    "timeout_seconds": {"type": "int", "default": 15},
    "container": {"type": "str", "default": ""},
    "container_runtime": {"type": "str", "default": "docker"},
    "search_path": {"type": "list", "elements": "path", "default": []},
}


def programs_of(params: Dict[str, Any]) -> Programs:
    """The master's programs, as the options name them."""
    return Programs(Inside(params["container"], params["container_runtime"], params["search_path"]), params["config_dir"], params["timeout_seconds"])
