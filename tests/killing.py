# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a controller in one moment: ansible-playbook and all that it started, as when the power goes."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def parents() -> dict[int, int]:
    """Process to parent, of all processes."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                # The name of the program stands in brackets and may hold anything.
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def kill_tree(leader: int) -> None:
    """Kill a process that was started here, its group and its descendants: Ansible's workers have sessions of their own and would go on alone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(leader, signal.SIGSTOP)  # it starts no more of them while we look
    known = parents()
    doomed = [leader]
    for pid in doomed:
        doomed += [child for child, parent in known.items() if parent == pid]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
    for pid in doomed[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
