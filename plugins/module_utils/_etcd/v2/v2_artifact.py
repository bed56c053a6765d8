# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that a backup of a v2 store is: a tar archive with a record, a listing of all keys, and a data directory that etcd starts from.

The record stands first and holds the digest of everything that follows, so a file that was cut or altered is refused before anything of it is used.
By hand it is restored as the documentation of etcd tells: unpack ``v2/member`` and start etcd on it with ``--force-new-cluster``.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from dataclasses import dataclass
from typing import IO, Any, Dict, List, Mapping, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import BackupInvalid
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_tree
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_tree import Tree
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import CHUNK, write_all

FORMAT = 1
RECORD = "v2/record.json"
LISTING = "v2/tree.jsonl"
_DATA = "v2/member/"
_LARGEST_RECORD_BYTES = 16 << 20
# A database of bbolt has its magic number after the head of its first page.
_DATABASE_HEAD = b"\xed\xda\x0c\xed"
_PAGE_HEAD_BYTES = 16


@dataclass(frozen=True)
class Contents:
    """What a proven file holds."""

    record: Dict[str, Any]
    tree: Tree


def write(target: IO[bytes], record: Mapping[str, Any], tree: Tree, data_dir: str) -> None:
    """Pack a data directory that nothing serves. Nothing in it is a link, and nobody's name is written down."""
    listing = io.BytesIO()
    v2_tree.write_listing(tree, listing)
    files = sorted(_files(data_dir))
    digests = {LISTING: hashlib.sha256(listing.getvalue()).hexdigest()}
    digests.update({_DATA + name: _sha256(os.path.join(data_dir, "member", name)) for name in files})
    head = json.dumps(dict(record, format=FORMAT, index=tree.index, files=digests), indent=1, sort_keys=True).encode() + b"\n"
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, RECORD, io.BytesIO(head), len(head))
        _add(archive, LISTING, io.BytesIO(listing.getvalue()), len(listing.getvalue()))
        for name in files:
            path = os.path.join(data_dir, "member", name)
            with open(path, "rb") as source:
                _add(archive, _DATA + name, source, os.path.getsize(path))


def _files(data_dir: str) -> List[str]:
    member = os.path.join(data_dir, "member")
    return [os.path.relpath(os.path.join(directory, name), member) for directory, _names, files in os.walk(member) for name in files]


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    archive.addfile(entry, content)


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        for block in iter(lambda: source.read(CHUNK), b""):
            digest.update(block)
    return digest.hexdigest()


def read(source: IO[bytes], what: str, data_dir: str = "") -> Contents:
    """Prove a file to its end; with ``data_dir`` unpack its data there. Raises BackupInvalid, which says what is wrong with it."""
    try:
        # Read as a stream: a pipe will do, and members come in the order in which they were written.
        with tarfile.open(fileobj=source, mode="r|") as archive:
            return _read(archive, what, data_dir)
    except (tarfile.TarError, EOFError) as error:
        raise _invalid(what, "truncated", "not a whole tar archive: %s" % error) from None


def _read(archive: tarfile.TarFile, what: str, data_dir: str) -> Contents:
    record: Dict[str, Any] = {}
    tree: Optional[Tree] = None
    open_digests: Dict[str, str] = {}
    for entry in archive:
        content = archive.extractfile(entry) if entry.isfile() else None
        if content is None:
            raise _invalid(what, "altered", "%s is not a file" % entry.name)
        if not record:
            record = _record(entry, content, what)
            open_digests = {str(name): str(digest) for name, digest in record["files"].items()}
            continue
        expected = open_digests.pop(entry.name, None)
        if expected is None:
            raise _invalid(what, "altered", "%s is not in its record" % entry.name)
        if entry.name == LISTING:
            text = content.read()
            found = hashlib.sha256(text).hexdigest()
        else:
            found = _unpack(content, _place(entry.name, data_dir, what))
        if found != expected:
            raise _invalid(what, "altered", "the sha256 of %s differs" % entry.name)
        if entry.name == LISTING:
            tree = v2_tree.read_listing(iter(text.splitlines()), int(record["index"]), what)
    if open_digests or tree is None:
        raise _invalid(what, "truncated", "%s is missing" % (sorted(open_digests)[0] if open_digests else "everything"))
    return Contents(record, tree)


def _record(entry: tarfile.TarInfo, content: IO[bytes], what: str) -> Dict[str, Any]:
    if entry.name != RECORD or entry.size > _LARGEST_RECORD_BYTES:
        raise _invalid(what, "other_file", "it begins with %s" % entry.name[:80])
    try:
        record = json.loads(content.read())
        known = record["format"] == FORMAT and isinstance(record["files"], dict) and isinstance(record["index"], int)
    except (ValueError, KeyError, TypeError):
        known, record = False, {}
    if not known:
        raise _invalid(what, "altered", "its record cannot be read")
    return dict(record)


def _place(name: str, data_dir: str, what: str) -> str:
    """Where a file is unpacked to. Only names that etcd gives are taken: ``snap/...`` and ``wal/...``."""
    parts = name[len(_DATA) :].split("/")
    if not name.startswith(_DATA) or len(parts) != 2 or parts[0] not in ("snap", "wal") or parts[1] in ("", ".", ".."):
        raise _invalid(what, "altered", "%s is no file of a data directory" % name)
    return os.path.join(data_dir, "member", *parts) if data_dir else ""


def _unpack(content: IO[bytes], path: str) -> str:
    digest = hashlib.sha256()
    descriptor = -1
    if path:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for block in iter(lambda: content.read(CHUNK), b""):
            digest.update(block)
            if descriptor >= 0:
                write_all(descriptor, block)
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return digest.hexdigest()


def _invalid(what: str, reason: str, found: str) -> BackupInvalid:
    return BackupInvalid(
        "%s is not a whole, unaltered backup of a v2 store" % what,
        tried="read it to its end and compared every digest with its record",
        found=found,
        remedy="Use another copy of this backup, or another recovery point.",
        path=what,
        reason=reason,
    )


def read_file(path: str, data_dir: str = "") -> Contents:
    """Prove a file on the disk, and unpack it as ``read`` does. A snapshot of the v3 store is told apart: it holds no key of the v2 store."""
    try:
        with open(path, "rb") as source:
            if source.read(len(_DATABASE_HEAD) + _PAGE_HEAD_BYTES)[_PAGE_HEAD_BYTES:] == _DATABASE_HEAD:
                raise BackupInvalid(
                    "%s is a snapshot of the v3 store; the objects of this cluster are in the v2 store" % path,
                    found="a database of bbolt, which holds no key of the v2 store",
                    remedy="Use a recovery point that was made by etcd_v2_backup.",
                    path=path,
                    reason="v3_snapshot",
                )
            source.seek(0)
            return read(source, path, data_dir)
    except OSError as error:
        raise BackupInvalid("%s cannot be read" % path, found=str(error.strerror), remedy="Check path and permissions.", path=path, reason="missing") from None
