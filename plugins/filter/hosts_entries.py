# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses turned round, as a hosts file has them."""

from __future__ import annotations

import ipaddress
from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible.errors import AnsibleFilterError


def hosts_entries(names: Mapping[str, str], besides: Optional[Mapping[str, str]] = None) -> Dict[str, List[str]]:
    """From address by name to names by address; names without an address are left out.

    So are names whose address is a name, in recovery points of inventories without addresses, and names that are addresses: they need no entry. What an
    operator says (``besides``) is taken as it is.
    """
    for given in (names, besides or {}):
        if not isinstance(given, Mapping):
            raise AnsibleFilterError("hosts_entries needs a dictionary of addresses by name, not %s" % type(given).__name__)
    entries: Dict[str, List[str]] = {}
    addressed = {name: address for name, address in names.items() if address and _is_address(str(address)) and not _is_address(str(name))}
    for name, address in sorted({**addressed, **(besides or {})}.items()):
        if address:
            entries.setdefault(str(address), []).append(str(name))
    return entries


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"hosts_entries": hosts_entries}
