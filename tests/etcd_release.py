# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which etcd the tests run with: no test knows a number."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path


def release(binaries: Path) -> str:
    """As etcdutl tells it: 3.7.3."""
    said = subprocess.run([binaries / "etcdutl", "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"etcdutl version: (\S+)", said)
    assert found, said
    return found.group(1)


def storage_version(binaries: Path) -> str:
    """What such an etcd writes into its data: 3.7.0."""
    return release(binaries).rpartition(".")[0] + ".0"
