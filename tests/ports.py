# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of loopback for servers that have to be told theirs, and that keep them while they are stopped.

A port that was found free and let go again may belong to somebody else a moment later. So each process takes whole blocks, which it holds until it
ends, and gives each port out once. Programs that can choose a port themselves and say which need none of this.
"""

from __future__ import annotations

import random
import socket

# Below those that the kernel gives to outgoing connections and to servers that ask for any.
_FIRST, _END, _BLOCK = 20000, 32000, 100

_claims: list[socket.socket] = []
_ports: list[int] = []


def free_port() -> int:
    """A port that nobody listens on and that no other process gets from here."""
    while True:
        if not _ports:
            _claim_block()
        port = _ports.pop()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _claim_block() -> None:
    """Take a block of ports by a name that the kernel gives to one process of this network, and takes back when that ends."""
    blocks = range(_FIRST, _END, _BLOCK)
    for first in random.sample(blocks, len(blocks)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0lifeboat-test-ports-{first}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        _ports.extend(range(first, first + _BLOCK))
        return
    raise AssertionError(f"all {len(blocks)} blocks of ports are held by running tests")
