# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small files under ``/var/lib/lifeboat`` that runs keep on a host: read whole, replaced whole, by one process at a time."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import exclusive, make_directories, read_json, reason, sync_directory, write_json
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

DIRECTORY = "/var/lib/lifeboat"
_GUARD = ".record-guard"


class RecordError(LifeboatError):
    """A record or lock cannot be read, or must not be changed that way."""


@dataclass
class Change:
    """A record or lock before and after."""

    changed: bool
    before: Optional[Dict[str, Any]]
    after: Optional[Dict[str, Any]]


def utc(seconds: Optional[float] = None) -> str:
    """A time as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Files:
    """What lies in the directory."""

    def __init__(self, directory: str = DIRECTORY) -> None:
        self._directory = directory

    def path(self, name: str) -> str:
        """Where a file lies."""
        return os.path.join(self._directory, name)

    def read(self, name: str, what: str) -> Optional[Dict[str, Any]]:
        """A file as it is; None when it is not there. ``what`` names it in errors."""
        try:
            return read_json(self.path(name), what)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise RecordError("%s cannot be read." % what, tried="open %s" % self.path(name), found=reason(error), remedy="Look at the file.") from error

    @contextlib.contextmanager
    def alone(self, dry_run: bool) -> Iterator[None]:
        """One process at a time between reading and writing."""
        if dry_run:
            yield
            return
        try:
            make_directories(self._directory)
            with exclusive(self.path(_GUARD), "The records of this host", wait=True):
                yield
        except OSError as error:
            raise RecordError(
                "The records of this host cannot be written.",
                tried="write to %s" % self._directory,
                found=reason(error),
                remedy="Free space or repair the file system.",
            ) from error

    def write(self, name: str, value: Dict[str, Any]) -> None:
        """Replace a file."""
        write_json(self.path(name), value)

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(self.path(name))
        sync_directory(self._directory)
