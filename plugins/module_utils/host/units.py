# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd units of this host, through systemctl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.containers import find_program

_PROPERTIES = "Id,Names,LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,NeedDaemonReload,FragmentPath,ControlGroup,ExecStart"
_TIMEOUT_SECONDS = 60.0


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

    @property
    def exists(self) -> bool:
        """Whether systemd has a file for it."""
        return self.load not in ("not-found", "")

    @property
    def runs(self) -> bool:
        """Whether it works steadily: a unit between two restarts does not."""
        return self.active in ("active", "reloading") and self.sub not in ("auto-restart", "exited", "dead")

    @property
    def stopped(self) -> bool:
        """Whether nothing of it runs and systemd will not start it again by itself."""
        return self.active in ("inactive", "failed")

    def as_dict(self) -> Dict[str, Any]:
        """For results."""
        return {"load": self.load, "active": self.active, "sub": self.sub, "enabled": self.enabled, "main_pid": self.main_pid, "restarts": self.restarts}

    def __str__(self) -> str:
        return "unit %s (%s/%s%s)" % (self.name, self.active, self.sub, ", pid %d" % self.main_pid if self.main_pid else "")


def parse_show(text: str, names: Sequence[str]) -> Dict[str, Unit]:
    """Units out of the blocks that ``systemctl show`` prints, by the names that were asked for (which may be aliases)."""
    units: Dict[str, Unit] = {}
    for block in text.split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
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
                )
    return {name: units.get(name, Unit(name)) for name in names}


class Systemd:
    """systemctl, with errors that say what to do."""

    def __init__(self, systemctl: str = "systemctl") -> None:
        self.systemctl = systemctl

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
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
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=_TIMEOUT_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
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
