# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the ``location`` option to a Location. A further kind of location is one more entry here."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import LocationError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3 import S3Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_lock import MODES

# The same options as the documentation fragment recovery_point_location.
LOCATION_ARGUMENTS: Dict[str, Any] = {
    "location": {
        "type": "dict",
        "required": True,
        "options": {
            "type": {"type": "str", "choices": ["directory", "nfs", "s3"], "default": "directory"},
            "path": {"type": "path"},
            "mount_required": {"type": "bool"},
            "bucket": {"type": "str"},
            "prefix": {"type": "str", "default": ""},
            "endpoint_url": {"type": "str"},
            "region": {"type": "str"},
            "addressing_style": {"type": "str", "choices": ["auto", "path", "virtual"], "default": "auto"},
            "ca_bundle": {"type": "path"},
            "profile": {"type": "str"},
            "object_lock_mode": {"type": "str", "choices": list(MODES), "default": "none"},
            "server_side_encryption": {"type": "str", "choices": ["AES256", "aws:kms"]},
            "kms_key_id": {"type": "str", "no_log": False},
        },
        "required_if": [("type", "directory", ("path",)), ("type", "nfs", ("path",)), ("type", "s3", ("bucket",))],
    },
    "cluster_name": {"type": "str", "required": True},
}
_OF_S3 = ("prefix", "endpoint_url", "region", "addressing_style", "ca_bundle", "profile", "object_lock_mode", "server_side_encryption", "kms_key_id")


def open_location(specification: Mapping[str, Any]) -> Location:
    """The location that the options describe."""
    kind = specification.get("type") or "directory"
    if kind == "s3":
        if specification.get("ca_bundle") and not os.path.isabs(specification["ca_bundle"]):
            # Modules and the controller's plugins read the location in different directories.
            raise LocationError(
                "The path in ca_bundle of a backup location must be absolute", found=specification["ca_bundle"], remedy="give the whole path, beginning with /"
            )
        options: Dict[str, Any] = {name: str(specification[name]) for name in _OF_S3 if specification.get(name)}
        return S3Location(_needed(specification, "bucket"), **options)
    if kind not in ("directory", "nfs"):
        raise LocationError("This type of backup location is not known", found=repr(kind), remedy="use type: directory, nfs or s3")
    mount_required = specification.get("mount_required")
    shared = kind == "nfs"
    return FilesystemLocation(_needed(specification, "path"), mount_required=shared if mount_required is None else bool(mount_required), shared=shared)


def _needed(specification: Mapping[str, Any], name: str) -> str:
    if not specification.get(name):
        raise LocationError("The backup location has no %s" % name, tried="to use a location of type %s" % specification.get("type"), remedy="give it")
    return str(specification[name])
