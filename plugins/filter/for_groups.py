# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a platform's data say for the machines of some inventory groups."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence

from ansible.errors import AnsibleFilterError

EVERY = "every"
GROUPS = ("admin", "control_plane", "workers", "etcd")


def for_groups(data: Any, groups: Sequence[str]) -> List[Any]:
    """The items for a machine of these groups: those for every machine first, then those of each of its groups, none twice.

    A list is for every machine.
    """
    if not isinstance(data, Mapping):
        if isinstance(data, (str, bytes)) or not isinstance(data, Sequence):
            raise AnsibleFilterError("for_groups needs a list, or a dictionary of lists by inventory group, not %s" % type(data).__name__)
        data = {EVERY: data}
    unknown = sorted(str(name) for name in data if name not in (EVERY, *GROUPS))
    if unknown:
        # A misspelled group would leave its machines without what is meant for them, in silence.
        raise AnsibleFilterError("for_groups knows no group %s; known are %s" % (", ".join(unknown), ", ".join((EVERY, *GROUPS))))
    found: List[Any] = []
    for name in (EVERY, *GROUPS):
        if name == EVERY or name in groups:
            found += [item for item in data.get(name) or [] if item not in found]
    return found


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"for_groups": for_groups}
