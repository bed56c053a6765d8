# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a host whose lock a run holds may wait at most until that run's next step on it."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Sequence

from ansible.errors import AnsibleFilterError

# What any host may be silent for, whatever is restored.
ALWAYS_SECONDS = 900
# One step on as many hosts as there are forks; a group of services may take three minutes, and there are a few of them.
TURN_SECONDS = 300
# One host of those that are worked on one after the other, while all others wait.
ONE_SECONDS = 600
# Less than a slow line to another site carries; every byte is read, opened and sent.
BYTES_PER_SECOND = 5_000_000


def lock_silence(artifacts: Any, hosts: Any, forks: Any, one_by_one: Any = 0) -> int:
    """Seconds. Too many, and another controller has to be told that a run is dead; too few, and it takes the lock of a living one."""
    if isinstance(artifacts, (str, bytes)) or not isinstance(artifacts, Sequence):
        raise AnsibleFilterError("lock_silence needs the list of artifacts of a recovery point, not %s" % type(artifacts).__name__)
    hosts, forks, one_by_one = (max(least, int(value)) for least, value in ((0, hosts), (1, forks), (0, one_by_one)))
    sizes = [int(item.get("plain_size_bytes") or 0) for item in artifacts if isinstance(item, Mapping)]
    # Each goes to one host, but for the data of etcd: the largest, and brought to each member.
    total = sum(sizes) + max([0, *sizes]) * max(0, min(hosts, 9) - 1)
    return ALWAYS_SECONDS + TURN_SECONDS * -(-hosts // forks) + ONE_SECONDS * one_by_one + total // BYTES_PER_SECOND


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"lock_silence": lock_silence}
