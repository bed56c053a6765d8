# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of etcd as numbers, releases that are known for a fault, and which of them can do what."""

from __future__ import annotations

import re
from typing import Optional, Tuple

Version = Tuple[int, int, int]
# --bump-revision and --mark-compacted came with it.
_BUMP_SINCE = (3, 5, 10)
# Before it, a restore left the old members in the database.
_USABLE_SINCE = (3, 5, 0)
# From it on, a server looks at the storage version of the data, and refuses what is newer than itself.
_REFUSES_SINCE = (3, 6, 0)


def version_tuple(version: str) -> Version:
    """3.5.10 as numbers; zeros where there are none."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    return (int(match.group(1)), int(match.group(2)), int(match.group(3) or 0)) if match else (0, 0, 0)


def corrupting(version: str) -> Optional[str]:
    """Why this release is known to corrupt data or snapshots, if it is."""
    number = version_tuple(version)
    if number[:2] == (3, 5) and number[2] <= 2:
        return "3.5.0 to 3.5.2 can lose consistency after a crash (etcd-io/etcd#13766); update to 3.5.3 or newer"
    if number[:2] == (3, 4) and number[2] < 8:
        return "3.4 before 3.4.8 can corrupt its consistent index and save snapshots without a checksum; update to 3.4.8 or newer"
    if (3, 0, 0) <= number < (3, 3, 21):
        return "3.3 before 3.3.21 can corrupt its consistent index and save snapshots without a checksum; update to 3.3.21 or newer"
    return None


def unsynced(version: str) -> Optional[str]:
    """Why a member of this release may lose what it received from its leader, if it may.

    Source: etcd-io/etcd#22401; api/snap of 3.6.14 and 3.6.15, 3.7.1 and 3.7.2.
    """
    number = version_tuple(version)
    floor = {(3, 6): (3, 6, 15), (3, 7): (3, 7, 2)}.get(number[:2])
    if floor is None or number >= floor:
        return None
    return "a member that joined by a snapshot can lose it with the power (etcd-io/etcd#22401); update to %s or newer" % ".".join(map(str, floor))


def restores_since(storage_version: str = "", *, bump: bool = True) -> Version:
    """The first release whose etcdutl may restore data of this storage version (3.7.0; empty before etcd 3.6), by which a revision may be raised."""
    return max(_BUMP_SINCE if bump else _USABLE_SINCE, version_tuple(storage_version)[:2] + (0,))


def serves(version: str, storage_version: str) -> bool:
    """Whether an etcd of this release starts on data of this storage version; true where one of the two is not known.

    Source: etcd 3.6.16 on data of 3.7.3 ends with ``version "3.7.0" is not supported``, also after ``etcdutl migrate``; 3.4 and 3.5 do not look.
    """
    release, data = version_tuple(version), version_tuple(storage_version)
    return release < _REFUSES_SINCE or release[:2] >= data[:2]
