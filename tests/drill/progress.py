# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said on the screen, and what becomes of a drill that was killed."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.killing import kill_tree

# What the collection's stages say between Ansible's own lines.
STAGE_LINE = re.compile(r"^\[\d+:\d\d(:\d\d)?\] ")


class Progress:
    """Lines with the time since the beginning."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    def __call__(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._begin), 60)
        print(f"[{minutes:02d}:{seconds:02d}] {text}", flush=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Say what begins, and how long it took."""
        self(text)
        begin = time.monotonic()
        yield
        self(f"  done in {time.monotonic() - begin:.1f} s")

    def playbook_line(self, line: str) -> None:
        """Show of a playbook's output what its stages say, and what went wrong."""
        if STAGE_LINE.match(line):
            print(f"        {line}", flush=True)
        elif line.startswith(("fatal:", "[ERROR]:", "ERROR!")):
            print(f"        {line[:400]}", flush=True)


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


class Leftover:
    """Remembers the playbook that runs, so that the next drill can end it when this one was killed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def remember(self, pid: int) -> None:
        """Note a process that leads a group."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps({"pid": pid, "started": _started(pid), "boot": _boot()}))

    def end(self) -> None:
        """End the process group of an earlier drill, if it is still the same process."""
        try:
            noted = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return
        if noted.get("boot") == _boot() and noted.get("started") and noted["started"] == _started(int(noted["pid"])) and int(noted["pid"]) != os.getpid():
            kill_tree(int(noted["pid"]))
        self._path.unlink()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
