# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put staged data in the place of what stands there: by renames, finished by a rerun after a kill, never deleting what is not ours."""

from __future__ import annotations

import errno
import glob
import os
import shutil
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import existing_ancestor, make_directories, read_json, sync_directories, write_json
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

LEDGER = "/var/lib/lifeboat/replaced.json"

DONE = "done"
PUT = "put staged data in place"
MOVE_ASIDE = "move present data aside, put staged data in place"
NOT_STAGED = "put staged data in place, once there is some"
REDO = "drop our own data of an earlier try, which nobody used, put staged data in place"
_DROPPED = ".lifeboat-dropped"


class ReplacementError(LifeboatError):
    """Staged data can't take the place of what stands there."""


@dataclass(frozen=True)
class Replacement:
    """``staged`` becomes ``target``; what stood at ``target`` becomes ``aside``."""

    staged: str
    target: str
    aside: str


@dataclass(frozen=True)
class Step:
    """What has to be done for one replacement."""

    replacement: Replacement
    action: str
    aside: str

    def as_dict(self) -> Dict[str, str]:
        """For results."""
        item = self.replacement
        return {"staged": item.staged, "target": item.target, "aside": self.aside, "action": self.action}


def _identity(path: str) -> List[int]:
    status = os.lstat(path)
    return [status.st_dev, status.st_ino]


def _newest_change(path: str) -> int:
    """When anything in this tree was last written: data that somebody has used since we put it there tells itself by this."""
    newest = os.lstat(path).st_mtime_ns
    for directory, _directories, files in os.walk(path):
        newest = max([newest, os.lstat(directory).st_mtime_ns] + [os.lstat(os.path.join(directory, name)).st_mtime_ns for name in files])
    return newest


def _read_ledger(path: str) -> Dict[str, Any]:
    try:
        return read_json(path, "The ledger of replaced data")
    except FileNotFoundError:
        return {}


def _note(ledger_path: str, item: Replacement) -> None:
    """Write down, before the rename, which inode is about to become the target: a rename keeps it, so it tells our data from others'."""
    make_directories(os.path.dirname(ledger_path))
    ledger = _read_ledger(ledger_path)
    ledger[item.target] = {"staged": item.staged, "identity": _identity(item.staged), "newest": _newest_change(item.staged)}
    write_json(ledger_path, ledger)


def _free_name(path: str) -> str:
    number = 1
    while os.path.lexists("%s.%d" % (path, number)):
        number += 1
    return "%s.%d" % (path, number)


def _device_below(path: str) -> int:
    """The file system of the directory that holds a name, or is going to."""
    return os.stat(existing_ancestor(os.path.dirname(path))).st_dev


def _check_file_systems(item: Replacement, staged_there: bool, target_there: bool) -> None:
    if target_there and os.path.ismount(item.target):
        raise ReplacementError(
            "%s is a mount point and can't be renamed." % item.target,
            tried="plan to move it aside",
            found="a file system of its own is mounted there",
            remedy="Name the directory inside it (for etcd: <data_dir>/member) as the target.",
        )
    device = _device_below(item.target)
    # What is staged is there, and may be a mount point; the others are names in a directory, whose own path may be a link.
    others = [("staged data", item.staged, os.lstat(item.staged).st_dev)] if staged_there else []
    others += [("place for the data moved aside", item.aside, _device_below(item.aside))] if target_there else []
    for what, path, other in others:
        if other != device:
            raise ReplacementError(
                "The %s %s is on another file system than %s." % (what, path, item.target),
                tried="plan to rename it",
                found="renames don't cross file systems, and a copy could not be finished by a rerun",
                remedy="Choose a path on the file system of %s." % item.target,
            )


def plan(items: Sequence[Mapping[str, str]], ledger_path: str = LEDGER, rehearse: bool = False) -> List[Step]:
    """What has to be done for each replacement, after looking at what is there. Changes nothing.

    To ``rehearse`` is to plan where nothing was staged yet, because what stages was rehearsed too.
    """
    steps = []
    ledger = _read_ledger(ledger_path)
    for mapping in items:
        item = Replacement(*(os.path.abspath(mapping[key]) for key in ("staged", "target", "aside")))
        staged_there, target_there, aside_there = (os.path.lexists(path) for path in (item.staged, item.target, item.aside))
        noted = ledger.get(item.target) or {}
        ours = target_there and noted.get("identity") == _identity(item.target)
        _check_file_systems(item, staged_there, target_there)
        if not staged_there:
            if ours and noted.get("staged") == item.staged:
                steps.append(Step(item, DONE, item.aside if aside_there else ""))
                continue
            if rehearse:
                steps.append(Step(item, NOT_STAGED, ""))
                continue
            raise ReplacementError(
                "There is no staged data at %s." % item.staged,
                tried="put it in place of %s" % item.target,
                found="%s at %s, %s at %s" % ("data" if target_there else "nothing", item.target, "data" if aside_there else "nothing", item.aside),
                remedy="Stage the data again (etcd_restore builds it out of the snapshot), then run this again.",
            )
        if not target_there:
            steps.append(Step(item, PUT, item.aside if aside_there else ""))
        elif ours and noted.get("newest") == _newest_change(item.target):
            steps.append(Step(item, REDO, item.aside if aside_there else ""))
        else:
            steps.append(Step(item, MOVE_ASIDE, _free_name(item.aside) if aside_there else item.aside))
    return steps


def _rename(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        raise ReplacementError(
            "%s can't be renamed to %s." % (source, target),
            tried="rename",
            found=error.strerror or str(error),
            remedy="Mount point or other file system in the way: choose paths on one file system."
            if error.errno in (errno.EXDEV, errno.EBUSY)
            else "Remove what is in the way, then run this again.",
        ) from error
    sync_directories([os.path.dirname(source), os.path.dirname(target)])


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _sweep(item: Replacement) -> None:
    """Remove dropped data, also that of an earlier try that was killed here: only our own unused data ever gets this name."""
    for dropped in glob.glob(glob.escape(item.target + _DROPPED) + ".*"):
        _remove(dropped)


def apply(steps: Sequence[Step], ledger_path: str = LEDGER) -> bool:
    """Do what was planned. A kill at any point leaves a state that a new plan finishes."""
    changed = False
    for step in steps:
        item = step.replacement
        if step.action == DONE:
            _sweep(item)
            continue
        changed = True
        make_directories(os.path.dirname(item.target))
        if step.action == MOVE_ASIDE:
            make_directories(os.path.dirname(step.aside))
            _rename(item.target, step.aside)
        elif step.action == REDO:
            _rename(item.target, _free_name(item.target + _DROPPED))
        _note(ledger_path, item)
        _rename(item.staged, item.target)
        _sweep(item)
    return changed
