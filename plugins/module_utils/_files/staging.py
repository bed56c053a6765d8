# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private directory of a run on a host, for artifacts on their way; and those that killed runs left, which hold secrets."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

PREFIX = "lifeboat-"
# In the directory of a run that held the lock of the host when it made it.
LOCKED = "HOLDS-LOCK"
# As evidence.runs makes the ids of runs: time, playbook, four digits.
_NAME = re.compile(r"^lifeboat-(?P<run>\d{8}T\d{6}Z-(?P<playbook>[A-Za-z0-9_]+)-[0-9a-f]{4})-[^/]+$")


@dataclass(frozen=True)
class SeenLock:
    """Which run held the lock of the host (empty: none) at a time by the clock of the host."""

    run_id: str
    at: float


class StagingError(LifeboatError):
    """The private directory can't be made or removed."""


@dataclass(frozen=True)
class Plan:
    """What is to be done below ``base``. ``path`` is the run's own directory if it is there already."""

    base: str
    run_id: str
    path: Optional[str]
    stale: Tuple[str, ...]


def plan(
    base: str,
    run_id: str,
    *,
    stale_after_seconds: float,
    dead_run_ids: Sequence[str] = (),
    exclusive_playbooks: Sequence[str] = (),
    lock: Optional[SeenLock] = None,
    now: Optional[float] = None,
) -> Plan:
    """Look for directories of this login user below ``base``.

    Stale are those of runs that are known to be dead, those of other runs of ``exclusive_playbooks`` (the caller holds the lock that they need), and
    those that nobody wrote to for ``stale_after_seconds``. Directories of other users are nobody's business here.

    Stale is also one of a run that held the lock of this host when it made it, and that ``lock`` found in other hands, or in none, later: a run keeps the
    lock until it is done. So a controller that is new, and knows of no earlier run, removes what a recovery left from wherever it ran.
    """
    moment = time.time() if now is None else now
    own: Optional[str] = None
    stale: List[str] = []
    for name in sorted(os.listdir(base)):
        match = _NAME.match(name)
        path = os.path.join(base, name)
        if match is None or not _is_ours(path):
            continue
        if match.group("run") == run_id:
            own = path
        elif (
            match.group("run") in dead_run_ids
            or match.group("playbook") in exclusive_playbooks
            or _lost_its_lock(path, match.group("run"), lock)
            or _newest(path) < moment - stale_after_seconds
        ):
            stale.append(path)
    return Plan(base, run_id, own, tuple(stale))


def _is_ours(path: str) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _lost_its_lock(path: str, run_id: str, lock: Optional[SeenLock]) -> bool:
    return lock is not None and run_id != lock.run_id and os.path.lexists(os.path.join(path, LOCKED)) and _newest(path) < lock.at


def _newest(path: str) -> float:
    """When something in the directory was last written, in seconds since the epoch; just now, when it goes away meanwhile."""
    try:
        return max([os.lstat(path).st_mtime, *(entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(path))])
    except FileNotFoundError:
        return float("inf")


def make(current: Plan, holds_lock: bool = False) -> str:
    """The run's own directory, private to the login user; a rerun of the task finds it again."""
    try:
        path = current.path or tempfile.mkdtemp(prefix="%s%s-" % (PREFIX, current.run_id), dir=current.base)
        if holds_lock:
            os.close(os.open(os.path.join(path, LOCKED), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        return path
    except OSError as error:
        raise StagingError(
            "No private directory for artifacts can be made below %s." % current.base, found=str(error.strerror), remedy="Make room, or repair the file system."
        ) from error


def remove(paths: Sequence[str]) -> None:
    """Remove directories with all that is in them."""
    for path in paths:
        try:
            shutil.rmtree(path)
        except FileNotFoundError:  # whoever it belongs to, or another run, was quicker
            continue
        except OSError as error:
            raise StagingError(
                "The private directory %s could not be removed; it may hold secrets." % path,
                found="%s: %s" % (error.filename, error.strerror),
                remedy="Remove it by hand.",
            ) from error


def owner() -> str:
    """The name of the login user, or its number when it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
