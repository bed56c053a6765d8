# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switch the transmit checksum offload (and with it segmentation offload) of an interface: ``offload.py INTERFACE on|off``.

Runs as a file of its own inside a network namespace; spares the dependency on ethtool.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
# ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO
COMMANDS = (0x17, 0x1F, 0x24)


def main() -> int:
    """Set all three."""
    interface, value = sys.argv[1], int(sys.argv[2] == "on")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in COMMANDS:
            request = array.array("B", struct.pack("II", command, value))
            address, _length = request.buffer_info()
            fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP8x", interface.encode(), address))
    return 0


if __name__ == "__main__":
    sys.exit(main())
