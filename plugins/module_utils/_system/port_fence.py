# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Close ports of this host to everybody but the host itself, with one rule of iptables that is found again by its remark."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import List, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._system import programs
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import find_program
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

REMARK = "lifeboat"
MAXIMUM_PORTS = 15
_IPV6 = "/proc/net/if_inet6"
_TIMEOUT_SECONDS = 60.0
# Before anything else sees the packet: the runtime's own rules would carry it into a container, past the chain INPUT. So connections that are
# open already are cut off too.
_TABLE, _CHAIN = "raw", "PREROUTING"


class PortFenceError(LifeboatError):
    """The packet filter can't be asked, or does not hold what it was given."""


@dataclass(frozen=True)
class Filter:
    """The packet filter of one family of addresses: our rules, as words, and their numbers in the chain."""

    program: str
    ours: List[List[str]]
    numbers: List[int]

    def closes(self, ports: Sequence[int]) -> bool:
        """Whether exactly these ports are closed, by one rule before all others."""
        return self.numbers == [1] and _meaning(self.ours[0]) == _meaning(_rule(ports))

    def written(self, words: Sequence[str]) -> str:
        """A rule as a command."""
        return "%s -t %s -A %s %s" % (os.path.basename(self.program), _TABLE, _CHAIN, " ".join(words))


def check_ports(ports: Sequence[int]) -> List[int]:
    """The ports in order; raises PortFenceError when they can't be closed by one rule."""
    found = sorted(set(ports))
    if found and len(found) <= MAXIMUM_PORTS and all(0 < port < 65536 for port in found):
        return found
    raise PortFenceError(
        "These ports can't be closed.",
        tried="read the ports",
        found=", ".join(map(str, found)) or "none",
        remedy="Give 1 to %d numbers of ports." % MAXIMUM_PORTS,
    )


def _rule(ports: Sequence[int]) -> List[str]:
    words = ["!", "-i", "lo", "-p", "tcp", "-m", "addrtype", "--dst-type", "LOCAL", "-m", "multiport", "--dports", ",".join(map(str, ports))]
    return [*words, "-m", "comment", "--comment", REMARK, "-j", "DROP"]


def _meaning(words: Sequence[str]) -> List[str]:
    """A rule without the names of the extensions, which versions of iptables write in other places."""
    return sorted(word for before, word in zip(["", *words], words) if word != "-m" and before != "-m")


def _run(program: str, *arguments: str) -> str:
    command = [program, "-w", "-t", _TABLE, *arguments]
    try:
        done = programs.run(command, timeout_seconds=_TIMEOUT_SECONDS)
        found = done.stderr.decode("utf-8", "replace").strip()[-500:] if done.returncode else ""
    except programs.TooLong:
        found = "no answer within %d seconds" % _TIMEOUT_SECONDS
    if found:
        raise PortFenceError(
            "The packet filter of this host refused.",
            tried=" ".join(command),
            found=found,
            remedy="Run it as root; look whether the kernel has iptables, and who holds its lock.",
        )
    return done.stdout.decode("utf-8", "replace")


def filters() -> List[Filter]:
    """What the packet filters hold. Raises PortFenceError when there is none, or one that is needed is missing."""
    # A host whose kernel has no IPv6 needs no filter for it.
    needed = ["iptables"] + (["ip6tables"] if os.path.exists(_IPV6) else [])
    programs = [find_program(name) for name in needed]
    if not all(programs):
        raise PortFenceError(
            "Ports can't be closed on this host.",
            tried="find %s" % " and ".join(needed),
            found="no %s" % " and no ".join(name for name, program in zip(needed, programs) if not program),
            remedy="Install iptables.",
        )
    found = []
    for program in programs:
        rules = [shlex.split(line)[2:] for line in _run(program, "-S", _CHAIN).splitlines() if line.startswith("-A ")]
        numbers = [number for number, words in enumerate(rules, 1) if ("--comment", REMARK) in zip(words, words[1:])]
        found.append(Filter(program, [rules[number - 1] for number in numbers], numbers))
    return found


def settled(found: Sequence[Filter], ports: Sequence[int]) -> bool:
    """Whether the filters are as wanted; no ports means open."""
    return all(one.closes(ports) if ports else not one.ours for one in found)


def apply(found: Sequence[Filter], ports: Sequence[int]) -> List[Filter]:
    """Close exactly these ports (none: open all of ours), and read it back."""
    for one in found:
        if settled([one], ports):
            continue
        if ports:
            # The new rule first: the ports are open at no moment.
            _run(one.program, "-I", _CHAIN, "1", *_rule(ports))
        # By number, and from the end: an old rule may say the same as the new one, which has moved all of them on by one.
        for number in reversed(one.numbers):
            _run(one.program, "-D", _CHAIN, str(number + bool(ports)))
    after = filters()
    if not settled(after, ports):
        raise PortFenceError(
            "The packet filter does not hold what it was given.",
            tried="close ports %s" % ", ".join(map(str, ports)) if ports else "open the ports",
            found="; ".join(rules(after)) or "no rule of ours",
            remedy="Something else writes these rules at the same time: stop it (a firewall service that reloads), then run this again.",
        )
    return after


def rules(found: Sequence[Filter]) -> List[str]:
    """Our rules, as iptables writes them."""
    return [one.written(words) for one in found for words in one.ours]


def wanted(found: Sequence[Filter], ports: Sequence[int]) -> List[str]:
    """Our rules as they shall be."""
    return [one.written(_rule(ports)) for one in found] if ports else []
