# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host knows of its own restore: which one, how far it is, and those that ended or were given up."""

from __future__ import annotations

import copy
import json
import os
import secrets
import shlex
import time
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.keeping import DIRECTORY, Change, Files, RecordError, utc
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import display, reason, sync_directory

FINISHED = "finished"
# Chosen, but nothing on the host has changed yet: another restore may take its place.
PLANNED = "planned"
# The machine is being changed; it was added as a member; its services ran.
BEGUN = "begun"
STARTED = "started"
_BEYOND_BEGUN = ("added", STARTED)
_RECORD = "restore.json"
_HISTORY = "restore-history.jsonl"
# They say which restore this is. While it is unfinished another value means another restore.
IDENTITY = ("point", "cluster_name", "token", "bump_revision", "restore_id")
# They change while it goes on.
PROGRESS = ("revision_after", "phase", "strategy", "source", "choice", "snapshot_sha256", "restores_files", "members", "playbook", "options")
# What was prepared for a restore that was given up gets this name, beside where it was: nobody takes it for prepared data any more.
GIVEN_UP = ".lifeboat-given-up-"
_PLAYBOOKS = "lifeboat.cluster."


@dataclass
class GivenUp:
    """What came of giving a restore up: its record, and where what it had prepared was moved to. Without a record, there was nothing to give up."""

    record: Optional[Dict[str, Any]] = None
    moved_aside: List[Dict[str, str]] = field(default_factory=list)


class Store:
    """The restore record under ``/var/lib/lifeboat``, and its history."""

    def __init__(self, directory: str = DIRECTORY) -> None:
        self._files = Files(directory)

    def record(self) -> Optional[Dict[str, Any]]:
        """The restore record, if there is one."""
        return self._files.read(_RECORD, "The restore record of this host")

    def _archive(self, record: Dict[str, Any], **more: str) -> None:
        """Add a record to the history file."""
        line = (json.dumps(dict(record, archived_at=utc(), **more), sort_keys=True) + "\n").encode("ascii")
        descriptor = os.open(self._files.path(_HISTORY), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                # A line that a kill cut short stays apart from the next.
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
            os.fsync(file.fileno())

    def _history(self) -> Iterator[Dict[str, Any]]:
        """Records that were archived; a line that a kill cut short is none."""
        try:
            with open(self._files.path(_HISTORY), "rb") as file:
                lines = file.read().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                record = json.loads(line.decode("utf-8"))
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record

    def present(self, wanted: Dict[str, Any], dry_run: bool = False, rehearsed: Optional[GivenUp] = None) -> Change:
        """Merge fields into the record; another restore while one is unfinished is refused, unless it was just ``rehearsed`` to give that one up."""
        unknown = set(wanted) - set(IDENTITY) - set(PROGRESS)
        if unknown:
            raise RecordError("The restore record has no such fields: %s." % ", ".join(sorted(unknown)))
        with self._files.alone(dry_run or not wanted):
            before = self.record() if rehearsed is None or rehearsed.record is None else None
            base, old = _merge_base(before, wanted)
            after = _merged(base, _onwards(base, wanted))
            if after == before or not wanted:
                return Change(False, before, before)
            if not dry_run:
                if old is not None:
                    self._archive(old)
                self._files.write(_RECORD, after)
            return Change(True, before, after)

    def require_unchanged(self, seen: Dict[str, Any]) -> None:
        """Refuse when the record is another one than was ``seen`` (empty: none) when it was decided what to do."""
        record = self.record() or {}
        differing = [name for name in ("restore_id", "phase", "updated_at") if record.get(name) != seen.get(name)]
        if differing:
            raise RecordError(
                "Another run has changed this host since it was looked at.",
                tried="compare the restore record with the one that was seen then",
                found="%s; seen was %s" % (describe_record(record) if record else "no record", describe_record(seen) if seen else "none"),
                remedy="Run the same command again: it looks at every machine anew, and decides by what it finds.",
            )

    def absent(self, dry_run: bool = False) -> Change:
        """Move the record into the history file."""
        with self._files.alone(dry_run or self.record() is None):
            before = self.record()
            if before is not None and not dry_run:
                self._archive(before)
                self._files.remove(_RECORD)
            return Change(before is not None, before, None)

    def give_up(self, restores: Sequence[str], staging: Sequence[str] = (), dry_run: bool = False) -> GivenUp:
        """Give an unfinished restore up: what it had prepared is moved aside, then its record goes into the history.

        ``restores`` are restore ids or tokens. A host that has no unfinished restore, or gave up one of these before, has nothing to do; one with another
        unfinished restore refuses. In ``staging``, ``{token}`` and ``{point}`` stand for those of the record; nothing is moved where the record has none.
        """
        with self._files.alone(dry_run or not unfinished(self.record())):
            record = self.record()
            if record is None or not unfinished(record):
                return GivenUp()
            if not is_one_of(record, restores):
                # One that was only planned makes way for another by itself.
                if record.get("phase") == PLANNED or any(past.get("given_up_at") and is_one_of(past, restores) for past in self._history()):
                    return GivenUp()
                raise RecordError(
                    "Another restore is unfinished on this host than the one that is to be given up.",
                    tried="give up %s" % ", ".join(restores),
                    found=describe_record(record),
                    remedy="To give up this one: -e lifeboat_give_up=%s (several ones with a comma between them). Or finish it: %s"
                    % (record.get("restore_id"), command_to_go_on(record)),
                    record=record,
                )
            moved = _moves(record, staging)
            if not dry_run:
                # The record last: a rerun of one that was killed in between gives up what is left.
                for item in moved:
                    _move_aside(item["path"], item["aside"])
                self._archive(record, given_up_at=utc())
                self._files.remove(_RECORD)
            return GivenUp(record, moved)


def unfinished(record: Optional[Dict[str, Any]]) -> bool:
    """Whether a record is of a restore that has not reached its end."""
    return record is not None and record.get("phase") != FINISHED


def is_one_of(record: Dict[str, Any], restores: Sequence[str]) -> bool:
    """Whether one of these restore ids or tokens is that of the record."""
    return any(name and name in (record.get("restore_id"), record.get("token")) for name in restores)


def describe_record(record: Dict[str, Any]) -> str:
    """Which restore it is and how far it came, for people."""
    return "restore %s of point %s of cluster %s in phase %s, begun %s, last changed %s" % (
        record.get("restore_id"),
        record.get("point"),
        record.get("cluster_name"),
        record.get("phase"),
        record.get("started_at"),
        record.get("updated_at"),
    )


def command_to_go_on(record: Dict[str, Any]) -> str:
    """The command that takes an unfinished restore to its end."""
    playbook = str(record.get("playbook") or "recover_cluster")
    options = record.get("options")
    said = {name: value for name, value in options.items() if name != "recovery_point_id"} if isinstance(options, dict) else {}
    words = [json.dumps({name: value}) for name, value in sorted(said.items())]
    return "ansible-playbook %s%s -e recovery_point_id=%s -e confirm_cluster_name=%s%s" % (
        "" if playbook.startswith(_PLAYBOOKS) else _PLAYBOOKS,
        playbook,
        record.get("point"),
        record.get("cluster_name"),
        "".join(" -e %s" % shlex.quote(word) for word in words),
    )


def _moves(record: Dict[str, Any], staging: Sequence[str]) -> List[Dict[str, str]]:
    """What is there of what the restore had prepared, and where it goes."""
    moves: List[Dict[str, str]] = []
    for template in staging:
        path = template
        for name in ("token", "point"):
            value = str(record.get(name) or "")
            if "{%s}" % name in path and (not value or "/" in value):
                path = ""
            path = path.replace("{%s}" % name, value)
        if not path or not os.path.lexists(path):
            continue
        directory = os.path.dirname(os.path.abspath(path))
        aside = os.path.join(directory, "%s%s" % (GIVEN_UP, record.get("restore_id")))
        taken = {item["aside"] for item in moves}
        number = 0
        free = aside
        while os.path.lexists(free) or free in taken:
            number += 1
            free = "%s.%d" % (aside, number)
        moves.append({"path": os.path.abspath(path), "aside": free})
    return moves


def _move_aside(path: str, aside: str) -> None:
    try:
        os.rename(path, aside)
        sync_directory(os.path.dirname(path))
    except OSError as error:
        raise RecordError(
            "What was prepared for the restore that is given up can't be moved aside.",
            tried="rename %s to %s" % (display(path), display(aside)),
            found=reason(error),
            remedy="Repair the file system, or unmount what is mounted there; then run the same command again.",
        ) from error


def _merge_base(before: Optional[Dict[str, Any]], wanted: Dict[str, Any]) -> Tuple[Dict[str, Any], Optional[Dict[str, Any]]]:
    """The record to merge into, and the one that makes way for it."""
    if before is None:
        return {}, None
    different = [name for name in IDENTITY if name in wanted and before.get(name) not in (None, wanted[name])]
    if not different:
        return before, None
    if unfinished(before) and before.get("phase") != PLANNED:
        raise RecordError(
            "Another restore is unfinished on this host.",
            tried="begin one with %s" % ", ".join("%s %s" % (name, wanted[name]) for name in different),
            found=describe_record(before),
            remedy="Finish it: %s. Or give it up: run your command again with -e lifeboat_give_up=%s; its record goes into the history, and what it had "
            "prepared is moved aside." % (command_to_go_on(before), before.get("restore_id")),
            record=before,
        )
    return {}, before


def _onwards(base: Dict[str, Any], wanted: Dict[str, Any]) -> Dict[str, Any]:
    """A rerun changes a machine that was further already: how far it was stays written down."""
    back = wanted.get("phase") == BEGUN and base.get("phase") in _BEYOND_BEGUN
    return {name: value for name, value in wanted.items() if name != "phase"} if back else wanted


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
        # The token is the same on all hosts of a restore, so that one name gives it up everywhere.
        after["restore_id"] = after["token"] or "%s-%s" % (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), secrets.token_hex(4))
    if after["phase"] is None:
        after["phase"] = PLANNED
    after.setdefault("started_at", now)
    after["updated_at"] = now
    after.setdefault("history", [])
    if after["phase"] != base.get("phase") or not base:
        after["history"].append({"phase": after["phase"], "at": now})
    return after
