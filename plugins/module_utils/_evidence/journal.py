# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a run: what happened, one JSON object per line, written at once and never changed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import Any, Dict, Iterator, List, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import now, to_iso
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import Redactor

Record = Dict[str, Any]

KINDS = ("run_begin", "stage_start", "stage_end", "check", "note", "measure", "run_end")

_PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700


class JournalError(LifeboatError):
    """The journal could not be written or read."""


@contextlib.contextmanager
def locked(path: str) -> Iterator[int]:
    """Hold an exclusive lock on a file made for that; it ends with the process, so a killed run leaves none behind."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


class Journal:
    """Appends to and reads the journal under a run directory."""

    def __init__(self, run_directory: str, redactor: Optional[Redactor] = None) -> None:
        self.directory = os.path.join(run_directory, "journal")
        self._redactor = redactor or Redactor()

    def create(self) -> None:
        """Make the directory of the journal; the run directory exists."""
        os.makedirs(self.directory, PRIVATE_DIRECTORY, exist_ok=True)

    def segments(self) -> List[str]:
        """The files of the journal, oldest first."""
        try:
            names = os.listdir(self.directory)
        except OSError as error:
            raise JournalError(
                "The journal %s can't be read: %s" % (self.directory, error.strerror),
                remedy="Check the run directory; a run starts with lifeboat.cluster.run_begin, which makes it.",
            ) from error
        return [os.path.join(self.directory, name) for name in sorted(names) if name.endswith(".jsonl")]

    def append(self, *records: Record) -> None:
        """Write records durably, each as one line; several go in together or, after a kill, not at all or in part at the end."""
        lines = []
        for record in records:
            if record.get("kind") not in KINDS:
                raise JournalError("A journal has no records of kind %r." % (record.get("kind"),))
            whole = dict({"time": to_iso(now())}, **{key: value for key, value in record.items() if value is not None})
            lines.append(json.dumps(self._redactor.value(whole), ensure_ascii=False, separators=(",", ":")) + "\n")
        try:
            with locked(os.path.join(self.directory, "lock")):
                segments = self.segments()
                self._write(segments[-1] if segments else os.path.join(self.directory, "000.jsonl"), "".join(lines).encode("utf-8", "replace"))
        except OSError as error:
            raise JournalError(
                "The journal %s could not be written: %s" % (self.directory, error.strerror),
                remedy="Check the space and the rights of the run directory on the controller.",
            ) from error

    @staticmethod
    def _write(path: str, content: bytes) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _PRIVATE_FILE)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                # A writer was killed in the middle of its line: it stays torn, ours begins on a line of its own.
                content = b"\n" + content
            while content:
                content = content[os.write(descriptor, content) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close_segment(self) -> Optional[str]:
        """Let the next record begin a new file and return the closed one, which no one writes any more; None when the open one is empty."""
        with locked(os.path.join(self.directory, "lock")):
            segments = self.segments()
            if not segments or not os.path.getsize(segments[-1]):
                return None
            number = int(os.path.basename(segments[-1]).split(".")[0]) + 1
            os.close(os.open(os.path.join(self.directory, "%03d.jsonl" % number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE))
            return segments[-1]

    def size(self) -> int:
        """Bytes of the journal so far: two equal sizes mean that nothing was written between."""
        return sum(os.path.getsize(path) for path in self.segments())

    def read(self) -> List[Record]:
        """All records, oldest first. Lines that a kill has torn are left out."""
        records: List[Record] = []
        for path in self.segments():
            with open(path, "rb") as stream:
                for line in stream:
                    record = _parse(line)
                    if record is not None:
                        records.append(record)
        return records


def _parse(line: bytes) -> Optional[Record]:
    try:
        record = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    return record if isinstance(record, dict) and "kind" in record else None
