# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd units of this host, through systemctl."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._system import programs
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import STEADY_SECONDS, find_program
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_PROPERTIES = (
    "Id,Names,LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,NeedDaemonReload,FragmentPath,ControlGroup,ExecStart,DropInPaths,EnvironmentFiles,"
    "ActiveEnterTimestampMonotonic,ExecMainStartTimestampMonotonic"
)
_TIMEOUT_SECONDS = 60.0
# One look shows for how long a main process has been the same one, because systemd says when it was started. A unit that systemd had to start again by
# itself has ended at least once: it has to show for longer that it does so no more.
RESTARTED_SECONDS = 30.0


class UnitError(LifeboatError):
    """systemd refused, or can't be asked."""


@dataclass(frozen=True)
class Unit:
    """The state of one unit."""

    name: str
    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    enabled: str = ""
    main_pid: int = 0
    restarts: int = 0
    needs_reload: bool = False
    path: str = ""
    control_group: str = ""
    # What systemd runs, as it says itself. It may hold secrets: it is in no result and no error.
    command: str = field(default="", repr=False)
    # Its own file, its drop-ins, and the files that its environment comes from.
    files: Tuple[str, ...] = ()
    # For how long the main process has been this one; None where nothing runs, or systemd does not say.
    same_seconds: Optional[float] = None

    @property
    def exists(self) -> bool:
        """Whether systemd has a file for it."""
        return self.load not in ("not-found", "")

    @property
    def runs(self) -> bool:
        """Whether it works steadily: a unit between two restarts does not."""
        return self.active in ("active", "reloading") and not self.restarting and self.sub not in ("exited", "dead")

    @property
    def stopped(self) -> bool:
        """Whether nothing of it runs and systemd will not start it again by itself."""
        return self.active in ("inactive", "failed")

    @property
    def restarting(self) -> bool:
        """Whether it has ended and systemd waits before it starts it again."""
        return self.sub.startswith("auto-restart")

    @property
    def steady(self) -> bool:
        """Whether it runs, and has been running as one and the same process for long enough to be believed."""
        needed = RESTARTED_SECONDS if self.restarts else STEADY_SECONDS
        return self.runs and self.same_seconds is not None and self.same_seconds >= needed

    def as_dict(self) -> Dict[str, Any]:
        """For results."""
        return {
            "load": self.load,
            "active": self.active,
            "sub": self.sub,
            "enabled": self.enabled,
            "main_pid": self.main_pid,
            "restarts": self.restarts,
            "same_seconds": self.same_seconds,
            "steady": self.steady,
        }

    def __str__(self) -> str:
        return "unit %s (%s/%s%s)" % (self.name, self.active, self.sub, ", pid %d" % self.main_pid if self.main_pid else "")


def _same_seconds(fields: Dict[str, str], now: float) -> Optional[float]:
    """For how long the main process has been the same; of a unit without a main process, for how long it has been active."""
    name = "ExecMainStartTimestampMonotonic" if int(fields.get("MainPID") or 0) else "ActiveEnterTimestampMonotonic"
    since = fields.get(name, "")
    if fields.get("ActiveState") not in ("active", "reloading", "activating") or not re.fullmatch(r"[1-9][0-9]*", since):
        return None
    return round(max(0.0, now - int(since) / 1e6), 3)


def _files(pairs: Sequence[Tuple[str, str]]) -> Tuple[str, ...]:
    """Of the files of an environment there is a line each, with a remark behind it."""
    found: List[str] = []
    for name, value in pairs:
        if name in ("FragmentPath", "DropInPaths"):
            found += value.split()
        elif name == "EnvironmentFiles":
            found.append(value.partition(" (ignore_errors=")[0])
    return tuple(path for path in dict.fromkeys(found) if path.startswith("/") and "*" not in path)


def parse_show(text: str, names: Sequence[str], now: Optional[float] = None) -> Dict[str, Unit]:
    """Units out of the blocks that ``systemctl show`` prints, by the names that were asked for (which may be aliases).

    ``now`` is the monotonic clock, which is the one of systemd's time stamps.
    """
    moment = time.monotonic() if now is None else now
    units: Dict[str, Unit] = {}
    for block in text.split("\n\n"):
        pairs = [line.partition("=")[::2] for line in block.splitlines() if "=" in line]
        fields = dict(pairs)
        known_as = set(fields.get("Names", "").split()) | {fields.get("Id", "")}
        for name in names:
            if name in known_as:
                units[name] = Unit(
                    name=name,
                    load=fields.get("LoadState", ""),
                    active=fields.get("ActiveState", ""),
                    sub=fields.get("SubState", ""),
                    enabled=fields.get("UnitFileState", ""),
                    main_pid=int(fields.get("MainPID") or 0),
                    restarts=int(fields.get("NRestarts") or 0),
                    needs_reload=fields.get("NeedDaemonReload") == "yes",
                    path=fields.get("FragmentPath", ""),
                    control_group=fields.get("ControlGroup", ""),
                    command=fields.get("ExecStart", ""),
                    files=_files(pairs),
                    same_seconds=_same_seconds(fields, moment),
                )
    return {name: units.get(name, Unit(name)) for name in names}


class Systemd:
    """systemctl, with errors that say what to do."""

    def __init__(self, systemctl: str = "systemctl") -> None:
        self.systemctl = systemctl

    def _run(self, *arguments: str) -> programs.Ended[bytes]:
        program = find_program(self.systemctl)
        command = [program or self.systemctl] + list(arguments)
        if not program:
            raise UnitError(
                "The services of this host can't be controlled.",
                tried=" ".join(command),
                found="no systemctl on this host",
                remedy="This platform's services are systemd units; check lifeboat_platform, or boot the host with systemd.",
            )
        try:
            return programs.run(command, timeout_seconds=_TIMEOUT_SECONDS)
        except programs.TooLong as error:
            raise UnitError(
                "systemd did not answer.",
                tried=" ".join(command),
                found="no answer within %d seconds" % _TIMEOUT_SECONDS,
                remedy="Look at the host's console; systemctl is-system-running must answer.",
            ) from error

    def _act(self, *arguments: str) -> None:
        done = self._run(*arguments)
        if done.returncode != 0:
            raise UnitError(
                "systemd refused to %s." % " ".join(arguments),
                tried="%s %s" % (self.systemctl, " ".join(arguments)),
                found=done.stderr.decode("utf-8", "replace").strip()[-500:],
                remedy="Run systemctl status %s on the host." % arguments[-1],
            )

    def show(self, names: Sequence[str]) -> Dict[str, Unit]:
        """The state of these units. Without systemd there are none."""
        if not names or not find_program(self.systemctl):
            return {name: Unit(name) for name in names}
        done = self._run("show", "--no-pager", "--property", _PROPERTIES, "--", *names)
        if done.returncode != 0:
            raise UnitError(
                "The state of units can't be read.",
                tried="systemctl show %s" % " ".join(names),
                found=done.stderr.decode("utf-8", "replace").strip()[-500:],
                remedy="Check that systemd is this host's first process and that D-Bus runs.",
            )
        return parse_show(done.stdout.decode("utf-8", "replace"), names)

    def start(self, names: List[str]) -> None:
        """Start, without waiting."""
        self._act("start", "--no-block", *names)

    def restart(self, names: List[str]) -> None:
        """Restart, without waiting."""
        self._act("restart", "--no-block", *names)

    def stop(self, names: List[str]) -> None:
        """Stop, without waiting."""
        self._act("stop", "--no-block", *names)

    def enable(self, names: List[str]) -> None:
        """Let them start at boot."""
        self._act("enable", *names)

    def reset_failed(self, names: List[str]) -> None:
        """Forget failures, so that a start limit that was hit does not hold the unit."""
        self._act("reset-failed", *names)

    def reload(self) -> None:
        """Read the unit files again."""
        self._act("daemon-reload")
