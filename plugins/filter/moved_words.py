# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What machines that came back under another name or address were called, and are called now."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping

from ansible_collections.lifeboat.cluster.plugins.plugin_utils.filter_input import is_address, need_dictionaries

Nodes = Mapping[str, Mapping[str, Any]]


def moved_words(before: Nodes, after: Nodes, domain: str = "") -> Dict[str, str]:
    """From name and address by host, then and now, to new words by old ones; a host that is in one of them alone has not moved.

    With a domain, its names in it are among them. An address counts only where both are addresses of the internet protocol: a name by which Ansible
    connects is none that the cluster knows.
    """
    need_dictionaries("moved_words", "dictionaries by host", before, after)
    words: Dict[str, str] = {}
    for host in sorted(set(before) & set(after)):
        name, address = ([str(nodes[host].get(field) or "") for nodes in (before, after)] for field in ("name", "address"))
        pairs = [name] if all(name) else []
        if pairs and domain:
            pairs.append(["%s.%s" % (word, domain) for word in name])
        # It may be asked on another of its addresses, and still have the one that the cluster knows.
        if all(map(is_address, address)) and address[0] not in (after[host].get("addresses") or []):
            pairs.append(address)
        words.update({old: new for old, new in pairs if old != new})
    return words


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"moved_words": moved_words}
