# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller sees around itself: its mounts, its name servers, its addresses, and the addresses of names."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import threading
import time
from typing import Dict, Iterable, List, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.circles import Controller

# With dead name servers one question takes 20 seconds and more; a warning is not worth that for each name.
LOOK_UP_SECONDS = 10.0
_LOCAL = re.compile(r"\|-- ([0-9.]+)\n[^\n]*/32 host LOCAL")


def controller() -> Controller:
    """This controller, as far as it can be read."""
    return Controller(_text("/proc/mounts"), _text("/etc/resolv.conf"), addresses(), os.environ.get("KUBERNETES_SERVICE_HOST", ""))


def addresses() -> List[str]:
    """Addresses of this machine that others can reach it by."""
    found = _LOCAL.findall(_text("/proc/net/fib_trie"))
    # Hexadecimal digits without colons.
    found += [str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in _text("/proc/net/if_inet6").splitlines()]
    return sorted({text for text in found if not (ipaddress.ip_address(text).is_loopback or ipaddress.ip_address(text).is_link_local)})


def look_up(hosts: Iterable[str], limit_seconds: float = LOOK_UP_SECONDS) -> Dict[str, Optional[List[str]]]:
    """Addresses by name, all asked for at the same time; None for what was not answered in time or has none."""
    found: Dict[str, Optional[List[str]]] = {}
    threads: List[threading.Thread] = []
    for host in hosts:
        found[host] = None
        # A thread that still waits when the module ends must not hold it up: hence no pool.
        thread = threading.Thread(target=_ask, args=(host, found), daemon=True)
        thread.start()
        threads.append(thread)
    deadline = time.monotonic() + limit_seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)


def _ask(host: str, found: Dict[str, Optional[List[str]]]) -> None:
    try:
        found[host] = sorted({str(answer[4][0]) for answer in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        found[host] = None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
