# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the ``location`` option to a Location. A further kind of location is one more entry here."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.errors import LocationError
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils.recovery_point.location import Location

# The same options as the documentation fragment recovery_point_location.
LOCATION_ARGUMENTS: Dict[str, Any] = {
    "location": {
        "type": "dict",
        "required": True,
        "options": {
            "type": {"type": "str", "choices": ["directory"], "default": "directory"},
            "path": {"type": "path", "required": True},
            "mount_required": {"type": "bool", "default": False},
        },
    },
    "cluster_name": {"type": "str", "required": True},
}


def open_location(specification: Mapping[str, Any]) -> Location:
    """The location that the options describe."""
    kind = specification.get("type") or "directory"
    if kind == "directory":
        return FilesystemLocation(str(specification["path"]), mount_required=bool(specification.get("mount_required")))
    raise LocationError("This type of backup location is not known", found=repr(kind), remedy="use type: directory")
