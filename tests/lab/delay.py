# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry frames between an interface and a tap device, each some milliseconds late: ``delay.py INTERFACE TAP MILLISECONDS``.

Runs as a file of its own inside a network namespace; see relay.py.
"""

from __future__ import annotations

import collections
import fcntl
import os
import selectors
import socket
import struct
import sys
import time

ETH_P_ALL = 3
TUNSETIFF = 0x400454CA
IFF_TAP_NO_INFORMATION = 0x0002 | 0x1000
LARGEST_FRAME = 65536
# What a real cable would hold is far less; past this, frames are lost as on any overloaded line.
MOST_HELD = 20000


def open_tap(name: str) -> int:
    """A file that stands for the tap device."""
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP_NO_INFORMATION))
    return handle


def main() -> int:
    """Forward until killed."""
    interface, tap_name, milliseconds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    delay = milliseconds / 1000
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.bind((interface, 0))
    wire.setblocking(False)
    tap = open_tap(tap_name)
    queue: collections.deque[tuple[float, bool, bytes]] = collections.deque()
    selector = selectors.DefaultSelector()
    selector.register(wire, selectors.EVENT_READ)
    selector.register(tap, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        timeout = max(0.0, queue[0][0] - time.monotonic()) if queue else None
        selector.select(timeout)
        due = time.monotonic() + delay
        try:
            while len(queue) < MOST_HELD:
                frame, address = wire.recvfrom(LARGEST_FRAME)
                # The socket also shows what this program sends.
                if address[2] != socket.PACKET_OUTGOING:
                    queue.append((due, True, frame))
        except BlockingIOError:
            pass
        try:
            while len(queue) < MOST_HELD:
                queue.append((due, False, os.read(tap, LARGEST_FRAME)))
        except BlockingIOError:
            pass
        now = time.monotonic()
        while queue and queue[0][0] <= now:
            _due, to_tap, frame = queue.popleft()
            try:
                if to_tap:
                    os.write(tap, frame)
                else:
                    wire.send(frame)
            except OSError:
                # A cable does not report lost frames either.
                continue


if __name__ == "__main__":
    sys.exit(main())
