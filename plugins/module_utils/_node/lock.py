# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which run may change this host at present. A lock belongs to its run for as long as that shows signs of life, at the intervals that it announced."""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.keeping import DIRECTORY, Change, Files, RecordError, utc
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_LOCK = "lock.json"
OWNER = ("run_id", "controller", "controller_boot_id", "pid_namespace", "pid", "pid_started_ticks", "user")
# What tells one controller from every other: two containers of one machine differ in the last alone.
_CONTROLLER = ("controller", "controller_boot_id", "pid_namespace")
# How long the owner of a lock may be silent that announced nothing else.
SILENT_FOR_SECONDS = 900
# Whoever works or waits on the host itself shows a sign of life at least this often.
RENEW_EVERY_SECONDS = 60.0


class LockHeldError(LifeboatError):
    """Another run holds the lock of this host."""


class LockLostError(LifeboatError):
    """The run that asks held the lock of this host, and does not any more: it must change nothing more."""


@dataclass
class LockRequest:
    """Who wants the lock, how long it may be silent at most, and which claims of others it may overrule."""

    owner: Dict[str, Any]
    purpose: str = ""
    silent_for_seconds: int = SILENT_FOR_SECONDS
    take_over: str = ""
    dead_run_ids: List[str] = field(default_factory=list)


class Lock:
    """The lock of this host."""

    def __init__(self, directory: str = DIRECTORY) -> None:
        self._files = Files(directory)

    def read(self) -> Optional[Dict[str, Any]]:
        """The lock, if there is one."""
        return self._files.read(_LOCK, "The lock of this host")

    def acquire(self, request: LockRequest, dry_run: bool = False) -> Change:
        """Take the lock, or renew it when this run holds it. Renewing is no change."""
        owner = _owner(request.owner)
        with self._files.alone(dry_run):
            now = time.time()
            before = self.read()
            held = before is not None and _run_of(before) == owner["run_id"]
            if before is not None and not held:
                _may_overrule(before, request, now, self._files.path(_LOCK))
            after: Dict[str, Any] = {
                "owner": owner,
                "purpose": request.purpose,
                "taken_at": utc(now),
                "heartbeat_at": utc(now),
                "silent_for_seconds": request.silent_for_seconds,
            }
            if held and before is not None:
                after["taken_at"] = before["taken_at"]
                after["purpose"] = request.purpose or before.get("purpose", "")
            if not dry_run:
                self._files.write(_LOCK, after)
            return Change(not held, before, after)

    def renew(self, owner: Dict[str, Any], silent_for_seconds: Optional[int] = None, dry_run: bool = False) -> Change:
        """Show a sign of life, and announce how long none may come now: as long as before, when nothing is said. No change. Never takes a lock back."""
        known = _owner(owner)
        with self._files.alone(dry_run):
            before = self._ours(known)
            after = dict(before, heartbeat_at=utc())
            if silent_for_seconds is not None:
                after["silent_for_seconds"] = silent_for_seconds
            if not dry_run:
                self._files.write(_LOCK, after)
            return Change(False, before, after)

    def check(self, owner: Dict[str, Any]) -> None:
        """Refuse to go on when this run does not hold the lock."""
        self._ours(_owner(owner))

    def _ours(self, owner: Dict[str, Any]) -> Dict[str, Any]:
        """The lock as this run holds it."""
        lock = self.read()
        if lock is not None and _run_of(lock) == owner["run_id"]:
            return lock
        tried = "look whether run %s still holds %s, before its next change" % (owner["run_id"], self._files.path(_LOCK))
        if lock is None:
            raise LockLostError(
                "This run does not hold the lock of this host any more, so it stops before its next change.",
                tried=tried,
                found="no lock: another run took it over and has ended since, or somebody removed the file",
                remedy="See that no other run is at work on this cluster. Then run the same command again; it goes on where this run stopped.",
                lock=None,
            )
        other = _run_of(lock) or "unknown"
        raise LockLostError(
            "Another run took the lock of this host, so this run stops before its next change.",
            tried=tried,
            found=describe_lock(lock, time.time()),
            remedy="Leave the cluster to run %s: look how it goes on, and let it end. If it is that one which should not be at work, end it there, and "
            "then run the same command again with -e lifeboat_take_over_run=%s; it goes on where this run stopped." % (other, other),
            lock=lock,
        )

    def release(self, owner: Dict[str, Any], dry_run: bool = False) -> Change:
        """Give the lock back. Only its owner can."""
        run_id = _owner(owner)["run_id"]
        with self._files.alone(dry_run or self.read() is None):
            before = self.read()
            if before is None:
                return Change(False, None, None)
            if _run_of(before) != run_id:
                raise LockHeldError(
                    "The lock of this host belongs to another run.",
                    tried="release it as run %s" % run_id,
                    found=describe_lock(before, time.time()),
                    remedy="Leave it to that run. When it is certainly dead, run the same command again with -e lifeboat_take_over_run=%s." % _run_of(before),
                    lock=before,
                )
            if not dry_run:
                self._files.remove(_LOCK)
            return Change(True, before, None)


class LockKeeper:
    """For whoever works on the host for long: nothing is changed without the lock, and nobody takes the owner for dead meanwhile."""

    def __init__(self, owner: Dict[str, Any], directory: str = DIRECTORY, every_seconds: float = RENEW_EVERY_SECONDS) -> None:
        self._owner = owner
        self._lock = Lock(directory)
        self._every = every_seconds
        self._renewed: Optional[float] = None

    def check(self) -> None:
        """Raise LockLostError when the lock is not this run's."""
        self._lock.check(self._owner)

    def renew(self) -> None:
        """Show a sign of life; raises LockLostError when the lock is not this run's."""
        self._lock.renew(self._owner)
        self._renewed = time.monotonic()

    def guard(self) -> None:
        """Before each change, and now and then while waiting: a look at the lock, and a sign of life when the last one is a while ago."""
        if self._renewed is None or time.monotonic() - self._renewed >= self._every:
            self.renew()
        else:
            self.check()


def _owner_of(lock: Dict[str, Any]) -> Dict[str, Any]:
    owner = lock.get("owner")
    return owner if isinstance(owner, dict) else {}


def _run_of(lock: Dict[str, Any]) -> str:
    return str(_owner_of(lock).get("run_id") or "")


def _seconds(text: Any) -> float:
    """The time that an ISO 8601 text in UTC means."""
    match = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z", str(text))
    if match is None:
        raise RecordError("A time in the lock cannot be read.", found=repr(text), remedy="Remove the lock file when no run is active on this cluster.")
    return float(calendar.timegm(time.strptime(match.group(0), "%Y-%m-%dT%H:%M:%SZ")))


def _owner(owner: Dict[str, Any]) -> Dict[str, Any]:
    """The owner with exactly the known fields."""
    if not owner.get("run_id") or set(owner) - set(OWNER):
        raise RecordError(
            "The owner of a lock is not described correctly.",
            found="fields %s" % (", ".join(sorted(owner)) or "none"),
            remedy="Give run_id, and of %s what is known." % ", ".join(OWNER[1:]),
        )
    return {name: owner.get(name) for name in OWNER}


def _age(lock: Dict[str, Any], name: str, now: float) -> int:
    return max(0, int(now - _seconds(lock.get(name))))


def _announced(lock: Dict[str, Any]) -> int:
    """How long its owner may be silent at most, as it said itself."""
    try:
        return int(lock.get("silent_for_seconds") or SILENT_FOR_SECONDS)
    except (TypeError, ValueError):
        return SILENT_FOR_SECONDS


def is_silent(lock: Dict[str, Any], now: float) -> bool:
    """Whether the owner of a lock has been silent for longer than it announced. A time that cannot be read is no silence."""
    try:
        return _age(lock, "heartbeat_at", now) > _announced(lock)
    except RecordError:
        return False


def describe_lock(lock: Dict[str, Any], now: float) -> str:
    """Owner and age of a lock, for people."""
    owner = {name: _owner_of(lock).get(name) or "unknown" for name in OWNER}
    return "run %s of %s on controller %s (process %s), for %s; taken %d seconds ago, last sign of life %d seconds ago" % (
        owner["run_id"],
        owner["user"],
        owner["controller"],
        owner["pid"],
        lock.get("purpose") or "an unnamed purpose",
        _age(lock, "taken_at", now),
        _age(lock, "heartbeat_at", now),
    )


def _may_overrule(lock: Dict[str, Any], request: LockRequest, now: float, path: str) -> None:
    """Refuse unless the other run is silent for longer than it announced, given up by name, or known to be dead on this very controller."""
    other = _owner_of(lock)
    age, announced = _age(lock, "heartbeat_at", now), _announced(lock)
    same_controller = all(other.get(name) and other.get(name) == request.owner.get(name) for name in _CONTROLLER)
    run_id = _run_of(lock)
    if age > announced or (run_id and request.take_over == run_id) or (same_controller and run_id in request.dead_run_ids):
        return
    raise LockHeldError(
        "Another run holds the lock of this host.",
        tried="take %s as run %s" % (path, request.owner.get("run_id")),
        found=describe_lock(lock, now),
        remedy="Wait for it. When it is certainly dead, run the same command again with -e lifeboat_take_over_run=%s. Without a sign of life its lock is free "
        "in %d seconds: it announced to be silent for %d at most." % (run_id, announced - age + 1, announced),
        lock=lock,
        age_seconds=age,
    )
