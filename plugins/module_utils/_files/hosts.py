# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge names into the text of /etc/hosts without touching what is there."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Dict, Iterator, List, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

BEGIN = "# BEGIN lifeboat.cluster"
END = "# END lifeboat.cluster"


class HostsError(LifeboatError):
    """The text of /etc/hosts cannot be merged."""


@dataclass(frozen=True)
class HostsConflict:
    """A name that a line outside our block gives another address."""

    name: str
    wanted: str
    found: str


def _address(text: str) -> str:
    """One spelling for one address."""
    try:
        return str(ipaddress.ip_address(text.split("%")[0]))
    except ValueError:
        return text


def _pairs(lines: List[str]) -> Iterator[Tuple[str, str]]:
    """Address and name, for each name of each line."""
    for line in lines:
        fields = line.split("#", 1)[0].split()
        for name in fields[1:]:
            yield _address(fields[0]), name.lower()


def _split(text: str) -> Tuple[List[str], List[str]]:
    """Lines before and after our block; the block itself is left out."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    begins = [number for number, line in enumerate(lines) if line.strip() == BEGIN]
    ends = [number for number, line in enumerate(lines) if line.strip() == END]
    if not begins and not ends:
        return lines, []
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
        raise HostsError(
            "The marked block in /etc/hosts is broken.",
            tried="find one line %r and, after it, one line %r" % (BEGIN, END),
            found="%d and %d of them" % (len(begins), len(ends)),
            remedy="Repair or remove these marker lines.",
        )
    return lines[: begins[0]], lines[ends[0] + 1 :]


def _check(entries: Dict[str, List[str]]) -> None:
    for address, names in entries.items():
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            remedy = "Correct the address in lifeboat_host_names, or lifeboat_node_address in the inventory."
            raise HostsError("%r is no IP address." % address, tried="write it to /etc/hosts", remedy=remedy) from error
        for name in names:
            if not name or any(character.isspace() or character == "#" for character in name):
                raise HostsError("%r is no host name." % name, tried="write it to /etc/hosts", remedy="Correct the name in the inventory.")


def merge_hosts(text: str, entries: Dict[str, List[str]]) -> str:
    """The text with one marked block that maps each address to its names.

    Names that lines outside the block already give the same address are left out of it. Lines outside it are never changed:
    ``hosts_conflicts`` names those that disagree.
    """
    _check(entries)
    before, after = _split(text)
    outside = set(_pairs(before + after))
    block: List[str] = []
    for address in sorted(entries, key=lambda item: (ipaddress.ip_address(item).version, int(ipaddress.ip_address(item)))):
        names = [name for name in dict.fromkeys(entries[address]) if (_address(address), name.lower()) not in outside]
        if names:
            block.append("%s %s" % (address, " ".join(names)))
    lines = before + ([BEGIN, *block, END] if block else []) + after
    return "".join(line + "\n" for line in lines)


def hosts_conflicts(text: str, entries: Dict[str, List[str]]) -> List[HostsConflict]:
    """Names for which a line outside our block says something else."""
    _check(entries)
    before, after = _split(text)
    wanted = {name.lower(): (name, _address(address)) for address, names in entries.items() for name in names}
    families = {name: ipaddress.ip_address(address).version for name, (_name, address) in wanted.items()}
    found: List[HostsConflict] = []
    for address, name in _pairs(before + after):
        if name in wanted and address != wanted[name][1] and _family(address) == families[name]:
            found.append(HostsConflict(wanted[name][0], wanted[name][1], address))
    return found


def _family(address: str) -> int:
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 0
