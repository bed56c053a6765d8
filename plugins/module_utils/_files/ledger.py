# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of a restore on one host: what we are about to write, noted before we write it."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.entries import Fingerprint
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import DiskError, display, exclusive, sync_directory, write_all

LEDGER = "ledger.jsonl"


class Ledger:
    """Lines of JSON. A last line that a kill cut short announces nothing that was begun, and is dropped.

    ``directories`` are those in which unfinished files may lie; ``touched`` are the paths whose own or whose directory's times may have
    changed since the last run that finished.
    """

    def __init__(self, aside: str) -> None:
        self._path = os.path.join(aside, LEDGER)
        self._descriptor: Optional[int] = None
        self._length = 0
        self._written: Dict[str, Set[Tuple[str, str]]] = {}
        self.directories: Set[str] = set()
        self.touched: Set[str] = set()
        self._load()

    def _load(self) -> None:
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as file:
            data = file.read()
            self._length = data.rfind(b"\n") + 1
            try:
                for line in data[: self._length].splitlines():
                    self._note(json.loads(line.decode("ascii")))
            except (ValueError, KeyError, TypeError) as error:
                raise DiskError(
                    "The ledger of the restore cannot be read.",
                    tried="read %s" % display(self._path),
                    found="a line that is not one of ours",
                    remedy="Begin again with another restore_id; what was moved aside so far stays in %s." % display(os.path.dirname(self._path)),
                ) from error

    def _note(self, record: Dict[str, Any]) -> None:
        if record["operation"] == "write":
            self._written.setdefault(record["path"], set()).add((record["written"], record["wanted"]))
        if record["operation"] == "temporary":
            self.directories.add(record["path"])
        elif record["operation"] == "finished":
            self.touched.clear()
        else:
            self.touched.update((record["path"], os.path.dirname(record["path"])))

    def ours(self, path: str, live: Fingerprint) -> bool:
        """Whether what stands at a path was put there by this restore."""
        return any(written == live.digest() for written, _wanted in self._written.get(path, ()))

    def as_good_as(self, path: str, live: Fingerprint, wanted: Fingerprint) -> bool:
        """Whether it is what this restore wrote for that very wish, on a file system that could not take all of it."""
        return (live.digest(), wanted.digest()) in self._written.get(path, ())

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Open for appending, one process at a time."""
        with exclusive(self._path, "The restore of files on this host", wait=False) as descriptor:
            self._load()
            os.ftruncate(descriptor, self._length)
            os.lseek(descriptor, self._length, os.SEEK_SET)
            sync_directory(os.path.dirname(self._path))
            self._descriptor = descriptor
            try:
                yield
            finally:
                self._descriptor = None

    def append(self, records: List[Dict[str, Any]]) -> None:
        """Note records and make them durable."""
        if self._descriptor is None:
            raise RuntimeError("the ledger is not open")
        write_all(self._descriptor, "".join(json.dumps(record, sort_keys=True) + "\n" for record in records).encode("ascii"))
        os.fsync(self._descriptor)
        for record in records:
            self._note(record)
