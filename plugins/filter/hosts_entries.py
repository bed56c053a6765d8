# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses turned round, as a hosts file has them."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

from ansible.errors import AnsibleFilterError


def hosts_entries(names: Mapping[str, str]) -> Dict[str, List[str]]:
    """From address by name to names by address; names without an address are left out."""
    if not isinstance(names, Mapping):
        raise AnsibleFilterError("hosts_entries needs a dictionary of addresses by name, not %s" % type(names).__name__)
    entries: Dict[str, List[str]] = {}
    for name, address in sorted(names.items()):
        if address:
            entries.setdefault(str(address), []).append(str(name))
    return entries


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"hosts_entries": hosts_entries}
