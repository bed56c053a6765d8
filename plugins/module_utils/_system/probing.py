# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading files of a host so that "it is not there" and "it cannot be read" are never the same answer.

C(os.path.exists), C(os.path.isdir), C(glob) and C(os.walk) answer "no" or "nothing" when the disk fails, a network file system is stale, or access is
denied. Here only ENOENT and ENOTDIR mean "not there"; everything else is raised.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import display, read_json
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

# Probes on which a plan decides. Where one of them failed, nobody knows what is on the machine.
DECIDING = ("etcd", "identity", "record", "lock", "required_files", "bare_evidence")
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


class LookError(LifeboatError):
    """Something is there, and is not what it has to be."""


def not_there(error: OSError) -> bool:
    """Whether an error says that a path does not exist; every other error says that nobody knows."""
    return error.errno in _NOT_THERE


def one_key_a_line(content: str) -> str:
    """A document in JSON as lines with one key each, whatever its form was; anything else as it is."""
    if not content.lstrip().startswith("{"):
        return content
    try:
        return json.dumps(json.loads(content), indent=0)
    except ValueError:
        return content


def text(path: str) -> str:
    """The content of a file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def text_or_none(path: str) -> Optional[str]:
    """The content of a file, None when it is not there."""
    try:
        return text(path)
    except OSError as error:
        if not_there(error):
            return None
        raise


def status(path: str) -> Optional[os.stat_result]:
    """What a path leads to, None when nothing is there. A link on the way that leads to nothing is an error: what it leads to is not mounted, or lost."""
    try:
        return os.stat(path)
    except OSError as error:
        if not not_there(error):
            raise
    while path != "/":
        found = link_status(path)
        if found is not None:
            if stat.S_ISLNK(found.st_mode) and not _leads_somewhere(path):
                raise LookError(
                    "%s leads to nothing." % display(path),
                    tried="follow the link",
                    found="%s is a link to %s, which is not there" % (display(path), display(os.readlink(path))),
                    remedy="Mount or bring back what it leads to, or remove the link.",
                )
            return None
        path = os.path.dirname(path) or "/"
    return None


def _leads_somewhere(link: str) -> bool:
    try:
        os.stat(link)
    except OSError as error:
        if not_there(error):
            return False
        raise
    return True


def link_status(path: str) -> Optional[os.stat_result]:
    """What is at a path itself, None when nothing is."""
    try:
        return os.lstat(path)
    except OSError as error:
        if not_there(error):
            return None
        raise


def is_directory(path: str) -> bool:
    """Whether a path leads to a directory."""
    found = status(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def names_in(path: str) -> List[str]:
    """The names in a directory, sorted; none when it is not there."""
    if status(path) is None:
        return []
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        if not_there(error):
            return []
        raise


def files_below(path: str) -> Iterator[Tuple[str, os.stat_result]]:
    """Everything below a directory that is no directory. What vanishes meanwhile is passed over; what cannot be read is raised."""
    for name in names_in(path):
        below = os.path.join(path, name)
        found = link_status(below)
        if found is None:
            continue
        if stat.S_ISDIR(found.st_mode):
            yield from files_below(below)
        else:
            yield below, found


def holds_something(path: str) -> bool:
    """Whether a restore would find this path in place: a file, or a directory with at least one file below it."""
    found = status(path)
    if found is None:
        return False
    return not stat.S_ISDIR(found.st_mode) or next(files_below(path), None) is not None


def tree_size(path: str) -> Tuple[int, Optional[float]]:
    """Bytes of all files below a directory, and when the newest was written."""
    total = 0
    newest: Optional[float] = None
    for _below, found in files_below(path):
        total += found.st_size
        newest = max(newest or 0.0, found.st_mtime)
    return total, newest


def can_be_read(path: str) -> bool:
    """Whether there is a file at a path; raised is what keeps it from being read."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        if not_there(error):
            return False
        raise
    return True


def json_object(path: str, what: str) -> Optional[Dict[str, Any]]:
    """A JSON object, None when the file is not there. A file that holds anything else is an error."""
    try:
        return read_json(path, what)
    except OSError as error:
        if not_there(error):
            return None
        raise


def existing_ancestor(path: str) -> str:
    """The path itself, or the nearest directory above it that exists."""
    while path != "/" and link_status(path) is None:
        path = os.path.dirname(path)
    return path
