# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for systemctl that starts and stops real programs, one directory each: where no systemd runs, modules find it on the PATH."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def group_lives(unit: Path) -> bool:
    """Whether a process of the unit's group lives; one that only waits for its parent does not."""
    file = unit / "group"
    if not file.exists():
        return False
    group = file.read_text()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if its_group == group and state not in "ZX":
            return True
    return False


def start(unit: Path) -> None:
    """Start the program, unless it runs; it need not be ready when this returns."""
    if group_lives(unit):
        return
    with (unit / "log").open("ab") as log:
        process = subprocess.Popen((unit / "command").read_text().split("\0"), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (unit / "group").write_text(str(process.pid))


def stop(unit: Path) -> None:
    """Kill the program and its children, wait until they are gone, and empty their runtime directory, as systemd does.

    Salt takes a process that nobody waits for, as may happen where there is no systemd, for one that still runs.
    """
    while group_lives(unit):
        process = int((unit / "group").read_text())
        try:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        time.sleep(0.02)
    for path in Path((unit / "runtime").read_text()).glob("*"):
        path.unlink()


def show(unit: Path) -> str:
    """The block that systemctl show prints."""
    if not unit.is_dir():
        return f"Id={unit.name}\nNames={unit.name}\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n"
    active = "ActiveState=active\nSubState=running" if group_lives(unit) else "ActiveState=inactive\nSubState=dead"
    return f"Id={unit.name}\nNames={unit.name}\nLoadState=loaded\n{active}\nUnitFileState=enabled\nMainPID=0\nNRestarts=0\nNeedDaemonReload=no\n"


def main() -> None:
    """As the collection calls it; the units are beside this program."""
    verb, *words = sys.argv[1:]
    for name in [word for word in words if word.endswith(".service")]:
        unit = Path(__file__).resolve().parent.parent / "units" / name
        if verb == "show":
            print(show(unit))
        if verb in ("stop", "restart"):
            stop(unit)
        if verb in ("start", "restart"):
            start(unit)


if __name__ == "__main__":
    main()
