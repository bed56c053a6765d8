# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host knows of its own restore, and which run may change the cluster at present."""

from __future__ import annotations

import calendar
import contextlib
import copy
import json
import os
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.host._disk import exclusive, make_directories, read_json, reason, sync_directory, write_json

DIRECTORY = "/var/lib/lifeboat"
FINISHED = "finished"
# Chosen, but nothing on the host has changed yet: another restore may take its place.
PLANNED = "planned"
_RECORD = "restore.json"
_HISTORY = "restore-history.jsonl"
_LOCK = "lock.json"
_GUARD = ".record-guard"
# They say which restore this is. While it is unfinished another value means another restore.
IDENTITY = ("point", "cluster_name", "token", "bump_revision", "restore_id")
# They change while it goes on.
PROGRESS = ("revision_after", "phase", "strategy", "source", "restores_files", "playbook")
OWNER = ("run_id", "controller", "controller_boot_id", "pid", "user")


class RecordError(LifeboatError):
    """The restore record cannot be read or must not be changed that way."""


class LockHeldError(LifeboatError):
    """Another run holds the lock of this host."""


@dataclass
class Change:
    """A record or lock before and after."""

    changed: bool
    before: Optional[Dict[str, Any]]
    after: Optional[Dict[str, Any]]


@dataclass
class LockRequest:
    """Who wants the lock, and which claims of others it may overrule."""

    owner: Dict[str, Any]
    purpose: str = ""
    stale_after_seconds: int = 900
    take_over: str = ""
    dead_run_ids: List[str] = field(default_factory=list)


def utc(seconds: Optional[float] = None) -> str:
    """A time as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _seconds(text: Any) -> float:
    """The time that an ISO 8601 text in UTC means."""
    match = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z", str(text))
    if match is None:
        raise RecordError("A time in the lock cannot be read.", found=repr(text), remedy="Remove the lock file when no run is active on this cluster.")
    return float(calendar.timegm(time.strptime(match.group(0), "%Y-%m-%dT%H:%M:%SZ")))


class Store:
    """The files under ``/var/lib/lifeboat``, changed by one process at a time."""

    def __init__(self, directory: str = DIRECTORY) -> None:
        self._directory = directory

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _read(self, name: str, what: str) -> Optional[Dict[str, Any]]:
        try:
            return read_json(self._path(name), what)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise RecordError("%s cannot be read." % what, tried="open %s" % self._path(name), found=reason(error), remedy="Look at the file.") from error

    def record(self) -> Optional[Dict[str, Any]]:
        """The restore record, if there is one."""
        return self._read(_RECORD, "The restore record of this host")

    def lock(self) -> Optional[Dict[str, Any]]:
        """The lock, if there is one."""
        return self._read(_LOCK, "The lock of this host")

    @contextlib.contextmanager
    def _alone(self, dry_run: bool) -> Iterator[None]:
        """One process at a time between reading and writing."""
        if dry_run:
            yield
            return
        try:
            make_directories(self._directory)
            with exclusive(self._path(_GUARD), "The records of this host", wait=True):
                yield
        except OSError as error:
            raise RecordError(
                "The records of this host cannot be written.",
                tried="write to %s" % self._directory,
                found=reason(error),
                remedy="Free space or repair the file system.",
            ) from error

    def _write(self, name: str, value: Dict[str, Any]) -> None:
        write_json(self._path(name), value)

    def _remove(self, name: str) -> None:
        os.unlink(self._path(name))
        sync_directory(self._directory)

    def _archive(self, record: Dict[str, Any]) -> None:
        """Add a record to the history file."""
        line = (json.dumps(dict(record, archived_at=utc()), sort_keys=True) + "\n").encode("ascii")
        descriptor = os.open(self._path(_HISTORY), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                # A line that a kill cut short stays apart from the next.
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
            os.fsync(file.fileno())

    def present(self, wanted: Dict[str, Any], replace: bool = False, dry_run: bool = False) -> Change:
        """Merge fields into the record; another restore while one is unfinished is refused unless ``replace``."""
        unknown = set(wanted) - set(IDENTITY) - set(PROGRESS)
        if unknown:
            raise RecordError("The restore record has no such fields: %s." % ", ".join(sorted(unknown)))
        with self._alone(dry_run or not wanted):
            before = self.record()
            base, old = _merge_base(before, wanted, replace)
            after = _merged(base, wanted)
            if after == before or not wanted:
                return Change(False, before, before)
            if not dry_run:
                if old is not None:
                    self._archive(old)
                self._write(_RECORD, after)
            return Change(True, before, after)

    def absent(self, dry_run: bool = False) -> Change:
        """Move the record into the history file."""
        with self._alone(dry_run or self.record() is None):
            before = self.record()
            if before is not None and not dry_run:
                self._archive(before)
                self._remove(_RECORD)
            return Change(before is not None, before, None)

    def acquire(self, request: LockRequest, dry_run: bool = False) -> Change:
        """Take the lock, or renew it when this run holds it. Renewing is no change."""
        owner = _owner(request.owner)
        with self._alone(dry_run):
            now = time.time()
            before = self.lock()
            held = before is not None and before.get("owner", {}).get("run_id") == owner["run_id"]
            if before is not None and not held:
                _may_overrule(before, request, now, self._path(_LOCK))
            after: Dict[str, Any] = {"owner": owner, "purpose": request.purpose, "taken_at": utc(now), "heartbeat_at": utc(now)}
            if held and before is not None:
                after["taken_at"] = before["taken_at"]
                after["purpose"] = request.purpose or before.get("purpose", "")
            if not dry_run:
                self._write(_LOCK, after)
            return Change(not held, before, after)

    def release(self, owner: Dict[str, Any], dry_run: bool = False) -> Change:
        """Give the lock back. Only its owner can."""
        run_id = _owner(owner)["run_id"]
        with self._alone(dry_run or self.lock() is None):
            before = self.lock()
            if before is None:
                return Change(False, None, None)
            if before.get("owner", {}).get("run_id") != run_id:
                raise LockHeldError(
                    "The lock of this host belongs to another run.",
                    tried="release it as run %s" % run_id,
                    found=describe_lock(before, time.time()),
                    remedy="Leave it to that run; or take it over with 'take_over' and release it then.",
                    lock=before,
                )
            if not dry_run:
                self._remove(_LOCK)
            return Change(True, before, None)


def unfinished(record: Optional[Dict[str, Any]]) -> bool:
    """Whether a record is of a restore that has not reached its end."""
    return record is not None and record.get("phase") != FINISHED


def command_to_go_on(record: Dict[str, Any]) -> str:
    """The command that takes an unfinished restore to its end."""
    return "ansible-playbook lifeboat.cluster.%s -e recovery_point_id=%s -e confirm_cluster_name=%s" % (
        record.get("playbook") or "recover_cluster",
        record.get("point"),
        record.get("cluster_name"),
    )


def _merge_base(before: Optional[Dict[str, Any]], wanted: Dict[str, Any], replace: bool) -> Tuple[Dict[str, Any], Optional[Dict[str, Any]]]:
    """The record to merge into, and the one that makes way for it."""
    if before is None:
        return {}, None
    different = [name for name in IDENTITY if name in wanted and before.get(name) not in (None, wanted[name])]
    if not different:
        return before, None
    if unfinished(before) and before.get("phase") != PLANNED and not replace:
        raise RecordError(
            "Another restore is unfinished on this host.",
            tried="begin one with %s" % ", ".join("%s %s" % (name, wanted[name]) for name in different),
            found="a restore of point %s of cluster %s in phase %s, begun %s, last changed %s"
            % (before.get("point"), before.get("cluster_name"), before.get("phase"), before.get("started_at"), before.get("updated_at")),
            remedy="Finish it: %s. Or give it up with 'replace: true'; it stays in the history." % command_to_go_on(before),
            record=before,
        )
    return {}, before


def _merged(base: Dict[str, Any], wanted: Dict[str, Any]) -> Dict[str, Any]:
    """The record with new fields; times and history change only when something else does."""
    now = utc()
    after = copy.deepcopy(base)
    for name in IDENTITY + PROGRESS:
        after.setdefault(name, None)
    after.update(wanted)
    if base and after == base:
        return after
    if after["restore_id"] is None:
        after["restore_id"] = "%s-%s" % (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), secrets.token_hex(4))
    after.setdefault("started_at", now)
    after["updated_at"] = now
    after.setdefault("history", [])
    if after["phase"] != base.get("phase") or not base:
        after["history"].append({"phase": after["phase"], "at": now})
    return after


def _owner(owner: Dict[str, Any]) -> Dict[str, Any]:
    """The owner with exactly the known fields."""
    if not owner.get("run_id") or set(owner) - set(OWNER):
        raise RecordError(
            "The owner of a lock is not described correctly.",
            found="fields %s" % ", ".join(sorted(owner)),
            remedy="Give run_id, and of %s what is known." % ", ".join(OWNER[1:]),
        )
    return {name: owner.get(name) for name in OWNER}


def _age(lock: Dict[str, Any], name: str, now: float) -> int:
    return max(0, int(now - _seconds(lock.get(name))))


def describe_lock(lock: Dict[str, Any], now: float) -> str:
    """Owner and age of a lock, for people."""
    owner = {name: lock.get("owner", {}).get(name) or "unknown" for name in OWNER}
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
    """Refuse unless the other run is stale, given up by name, or known to be dead on this very controller."""
    other = lock.get("owner", {})
    age = _age(lock, "heartbeat_at", now)
    same_controller = all(other.get(name) and other.get(name) == request.owner.get(name) for name in ("controller", "controller_boot_id"))
    if age > request.stale_after_seconds or request.take_over == other.get("run_id") or (same_controller and other.get("run_id") in request.dead_run_ids):
        return
    raise LockHeldError(
        "Another run holds the lock of this host.",
        tried="take %s as run %s" % (path, request.owner.get("run_id")),
        found=describe_lock(lock, now),
        remedy="Wait for it. When it is certainly dead, take its lock with take_over=%s; without a sign of life it counts as dead after %d seconds."
        % (other.get("run_id"), request.stale_after_seconds),
        lock=lock,
        age_seconds=age,
    )
