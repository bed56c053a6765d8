# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database in a data directory of etcd, and how far it is: told by its last row, without reading all of it."""

from __future__ import annotations

import json
import os
import struct
from typing import Any, Dict, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.bolt import BoltFile

# The main half of a key of bucket C(key), and the values of bucket C(meta).
_REVISION = struct.Struct(">q")


def database_of(data_dir: str) -> str:
    """Where a member keeps its database."""
    return os.path.join(data_dir, "member", "snap", "db")


def revision_of(path: str) -> int:
    """The revision of the store in a database file. Raises SnapshotInvalid (StoreCorrupt) when it is none, or is being written, and OSError."""
    return look(path)[0]


def look(path: str) -> Tuple[int, int]:
    """Revision, and how many members have a vote (0 where they are not in it, as before etcd 3.5). Raises as ``revision_of``."""
    with BoltFile(path, mapped=False) as bolt:
        newest = bolt.last_key("key")
        known = [_REVISION.unpack_from(newest)[0] if newest is not None and len(newest) >= _REVISION.size else 0]
        for name in (b"finishedCompactRev", b"scheduledCompactRev"):
            value = bolt.get("meta", name)
            known += [_REVISION.unpack_from(value)[0]] if value is not None and len(value) >= _REVISION.size else []
        members = [_member(value) for _key, value in bolt.items("members")]
    return int(max(known)), sum(not member.get("isLearner") for member in members)


def _member(value: bytes) -> Dict[str, Any]:
    try:
        document = json.loads(value)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
