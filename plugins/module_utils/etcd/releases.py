# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of etcd as numbers, and releases that are known for a fault."""

from __future__ import annotations

import re
from typing import Optional, Tuple


def version_tuple(version: str) -> Tuple[int, int, int]:
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
