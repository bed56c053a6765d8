# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under which address a machine serves the cluster: as the machine says, not as Ansible connects to it."""

from __future__ import annotations

import ipaddress
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.lifeboat.cluster.plugins.plugin_utils.filter_input import need_dictionaries

# Flags that name the machine's own address, those that the cluster goes by first; with a list the first one counts.
_FLAGS = (
    ("kube-apiserver", "advertise-address"),
    ("etcd", "initial-advertise-peer-urls"),
    ("etcd", "advertise-client-urls"),
    ("kubelet", "node-ip"),
)


def _address(text: str) -> Optional[str]:
    """An address out of a literal or a URL; None for names, and for what every machine has."""
    first = text.split(",")[0].strip()
    host = urlsplit(first).hostname if "://" in first else first
    try:
        found = ipaddress.ip_address(host or "")
    except ValueError:
        return None
    return None if found.is_unspecified or found.is_loopback else str(found)


def _said(node: Mapping[str, Any]) -> Iterator[str]:
    flags = node.get("flags") or {}
    for process, flag in _FLAGS:
        found = _address(str((flags.get(process) or {}).get(flag) or ""))
        if found:
            yield found


def node_address(node: Mapping[str, Any], connected: str, named: str = "", before: str = "") -> str:
    """The address of a machine in the cluster.

    What the inventory ``named``; what the machine's own processes say; what it was when the recovery point was made (``before``), where the machine has that
    address; the one to which its name leads, as a kubelet finds it; what Ansible is ``connected`` to, where the machine has it; the one by which it reaches
    others; the only one it has. Last of all what Ansible is connected to, whatever that is: a machine of which nothing is known.
    """
    need_dictionaries("node_address", "what node_info found", node)
    if named:
        return named
    own: List[str] = [str(address) for address in node.get("addresses") or ()]
    others = [before, str((node.get("resolv") or {}).get("own_address") or ""), connected]
    candidates = list(_said(node)) + [_address(text) or "" for text in others] + [str(node.get("default_address") or "")] + (own if len(own) == 1 else [])
    return next((address for address in candidates if address and address in own), connected)


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"node_address": node_address}
