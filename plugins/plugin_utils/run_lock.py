# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of this run on one host, as the controller knows it: who holds it, whether it was taken, and the sign of life that a step gives.

Which hosts a run has locked is noted in its run directory, so that every later action of the run renews the lock without being told.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Any, Dict, Optional
from urllib.parse import quote

from ansible.plugins.action import ActionBase

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.runs import Process, Run, is_alive
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

MODULE = "lifeboat.cluster.restore_record"
# Between two steps that come one right after the other no sign of life is needed.
OFTEN_ENOUGH_SECONDS = 60.0


class RunLockError(LifeboatError):
    """The sign of life of this run could not be given, or its lock is another run's by now."""


def owner_of(run: Run) -> Dict[str, Any]:
    """The run as a lock names its owner."""
    process = run.process
    return {
        "run_id": run.id,
        "controller": process.controller,
        "controller_boot_id": process.boot_id,
        "pid_namespace": process.pid_namespace,
        "pid": process.pid,
        "pid_started_ticks": process.started_ticks,
        "user": run.user,
    }


def is_dead(owner: Dict[str, Any]) -> bool:
    """Whether the owner of a lock is a process of this very controller that has ended, wherever its run directory was."""
    try:
        process = Process(
            str(owner.get("controller") or ""),
            str(owner.get("controller_boot_id") or ""),
            int(owner.get("pid") or 0),
            int(owner.get("pid_started_ticks") or 0),
            str(owner.get("pid_namespace") or ""),
        )
    except (TypeError, ValueError):
        return False
    return bool(process.pid and process.started_ticks) and is_alive(process) is False


class RunLock:
    """The lock of a run on one host."""

    def __init__(self, run: Run, host: str) -> None:
        self.run = run
        self.host = host
        self._directory = os.path.join(run.directory, "locks")
        self._note = os.path.join(self._directory, quote(host, safe=""))

    def note(self, directory: str) -> None:
        """Remember that the lock was taken, and in which directory of the host it lies."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        part = self._note + ".part"
        with open(part, "w", encoding="utf-8") as stream:
            json.dump({"directory": directory}, stream)
        os.replace(part, self._note)

    def forget(self) -> None:
        """It was given back."""
        with suppress(FileNotFoundError):
            os.unlink(self._note)

    def directory(self) -> Optional[str]:
        """The directory of the host in which the lock lies; None when this run has taken none there."""
        try:
            with open(self._note, encoding="utf-8") as stream:
                return str(json.load(stream)["directory"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunLockError(
                "It can't be told whether this run has locked %s." % self.host,
                tried="read %s" % self._note,
                found=str(error),
                remedy="Look at the disk of the controller, then run the same command again.",
            ) from error

    def seconds_since(self) -> float:
        """How long ago the last sign of life was given by the controller."""
        try:
            return time.time() - os.stat(self._note).st_mtime
        except OSError:
            return float("inf")

    def given(self) -> None:
        """A sign of life was given."""
        with suppress(OSError):
            os.utime(self._note)

    def renew(self, action: ActionBase, task_vars: Dict[str, Any], at_most_every: float = 0.0, silent_for_seconds: Optional[int] = None) -> bool:
        """Give a sign of life on the host of the task. False when this run has no lock there. Raises when it is another run's by now."""
        directory = self.directory()
        if directory is None:
            return False
        since = self.seconds_since()
        if 0 <= since < at_most_every and silent_for_seconds is None:
            return True
        arguments: Dict[str, Any] = {"state": "renewed", "owner": owner_of(self.run), "directory": directory}
        if silent_for_seconds is not None:
            arguments["silent_for_seconds"] = silent_for_seconds
        answer = action._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        if answer.get("failed"):
            error = answer.get("error") or {}
            raise RunLockError(
                str(error.get("message") or "The lock of %s could not be renewed." % self.host),
                tried=str(error.get("tried") or MODULE),
                found=str(error.get("found") or answer.get("msg") or answer.get("module_stderr") or "no answer")[:2000],
                remedy=str(error.get("remedy") or "Repair what is named; then run the same command again."),
                host=self.host,
                lock=error.get("lock"),
            )
        self.given()
        return True
