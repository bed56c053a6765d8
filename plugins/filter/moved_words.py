# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What machines that came back under another name or address were called, and are called now."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping

from ansible.errors import AnsibleFilterError

Nodes = Mapping[str, Mapping[str, str]]


def moved_words(before: Nodes, after: Nodes, domain: str = "") -> Dict[str, str]:
    """From name and address by host, then and now, to new words by old ones; a host that is in one of them alone has not moved.

    With a domain, its names in it are among them.
    """
    for nodes in (before, after):
        if not isinstance(nodes, Mapping):
            raise AnsibleFilterError("moved_words needs dictionaries by host, not %s" % type(nodes).__name__)
    words: Dict[str, str] = {}
    for host in sorted(set(before) & set(after)):
        pairs = [(str(before[host].get(field) or ""), str(after[host].get(field) or "")) for field in ("name", "address")]
        if domain and all(pairs[0]):
            pairs.append(("%s.%s" % (pairs[0][0], domain), "%s.%s" % (pairs[0][1], domain)))
        words.update({old: new for old, new in pairs if old and new and old != new})
    return words


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"moved_words": moved_words}
