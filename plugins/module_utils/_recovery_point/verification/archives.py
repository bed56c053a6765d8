# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading tar archives as streams: to their end, in bounded memory, showing chosen members to a visitor."""

from __future__ import annotations

import io
import tarfile
from typing import IO, Any, Callable, Dict, List, NamedTuple, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.inspect import LARGEST_FILE_BYTES, Inspector
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ArtifactDamagedError

# Called with each regular member; it may read the member through the second argument.
Visitor = Callable[[tarfile.TarInfo, IO[bytes]], None]
_END_BYTES = 1024
_BLOCK = 1 << 18


class ArchiveSummary(NamedTuple):
    """What a whole archive holds."""

    entries: int
    files: int
    file_bytes: int


class _Counted(io.RawIOBase):
    """Counts, and remembers where the last byte was that is not zero."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self.size = 0
        self.data_end = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        used = len(block.rstrip(b"\0"))
        if used:
            self.data_end = self.size + used
        self.size += len(block)
        return block


def read_archive(stream: IO[bytes], what: str, visit: Optional[Visitor] = None) -> ArchiveSummary:
    """Read a tar archive to the last byte of the stream; one that is cut off, or has something behind its end, is an error."""
    counted = _Counted(stream)
    entries = files = file_bytes = 0
    try:
        with tarfile.open(fileobj=counted, mode="r|", bufsize=_BLOCK, encoding="utf-8", errors="surrogateescape") as archive:
            headers: List[tarfile.TarInfo] = vars(archive)["members"]
            for member in archive:
                entries += 1
                if member.isreg():
                    files += 1
                    file_bytes += member.size
                    content = archive.extractfile(member)
                    if visit is not None and content is not None:
                        visit(member, content)
                headers.clear()  # the list of all headers would grow with the archive
            end = archive.offset
    except (tarfile.TarError, EOFError) as error:
        raise ArtifactDamagedError(
            "%s is not a whole tar archive" % what, found=str(error)[:200] or type(error).__name__, remedy="use another recovery point", artifact=what
        ) from error
    while counted.read(_BLOCK):
        pass
    # tarfile takes a damaged header for the end of the archive, and looks at nothing behind it.
    if counted.data_end > end:
        raise ArtifactDamagedError(
            "%s goes on where its tar archive ends" % what,
            found="the archive ends at byte %d, data at byte %d: a header is damaged, or something was added" % (end, counted.data_end),
            remedy="use another recovery point",
            artifact=what,
        )
    if counted.size - end < _END_BYTES:
        raise ArtifactDamagedError(
            "%s is a tar archive without its end" % what,
            found="%d bytes, of which the end marker is missing" % counted.size,
            remedy="use another recovery point",
            artifact=what,
        )
    return ArchiveSummary(entries, files, file_bytes)


def contents(stream: IO[bytes], what: str, inspect: bool) -> Dict[str, Any]:
    """The ``contents`` record of an archive: counts, and what its files say about keys and configuration."""
    inspector = Inspector()

    def visit(member: tarfile.TarInfo, content: IO[bytes]) -> None:
        if inspect and member.size <= LARGEST_FILE_BYTES:
            inspector.add(member.name, content.read())

    summary = read_archive(stream, what, visit)
    record: Dict[str, Any] = dict(summary._asdict())
    if inspect:
        record.update(inspector.report())
    return record
