# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses turned round, as a hosts file has them."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible_collections.lifeboat.cluster.plugins.plugin_utils.filter_input import is_address, need_dictionaries


def hosts_entries(names: Mapping[str, str], besides: Optional[Mapping[str, str]] = None) -> Dict[str, List[str]]:
    """From address by name to names by address; names without an address are left out.

    So are names whose address is a name, in recovery points of inventories without addresses, and names that are addresses: they need no entry. What an
    operator says (``besides``) is taken as it is.
    """
    need_dictionaries("hosts_entries", "a dictionary of addresses by name", names, besides or {})
    entries: Dict[str, List[str]] = {}
    addressed = {name: address for name, address in names.items() if address and is_address(str(address)) and not is_address(str(name))}
    for name, address in sorted({**addressed, **(besides or {})}.items()):
        if address:
            entries.setdefault(str(address), []).append(str(name))
    return entries


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"hosts_entries": hosts_entries}
