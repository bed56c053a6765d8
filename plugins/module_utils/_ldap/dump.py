# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump of a directory: configuration and tree as LDIF in one archive, proven in a scratch server that lets the administrator in."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Dict, Iterator, List, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap import ldif
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap.server import (
    Bind,
    Directory,
    DirectoryError,
    Ldif,
    context_csn,
    database_dir,
    measure,
    schemas,
    socket_url,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.digests import file_sha256
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import scratch
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import growing

FORMAT = 1
CONFIG, TREE, RECORD = "config.ldif", "tree.ldif", "directory.json"
# What a scratch server must not share with the real one: files that it writes, servers that it would talk to, keys that it may not have.
_LEFT_OUT = ("olcpidfile", "olcargsfile", "olclogfile", "olcsyncrepl", "olcupdateref", "olcmirrormode", "olcmultiprovider")


class DumpError(DirectoryError):
    """No dump can be taken, or a dump is not whole."""


@dataclass(frozen=True)
class Record:
    """What a dump says of itself."""

    taken_at: str
    version: str
    suffix: str
    config: Ldif
    tree: Ldif
    schemas: List[str]
    context_csn: List[str]

    def as_result(self) -> Dict[str, object]:
        """For results, and for the archive."""
        return dict(vars(self), config=self.config.as_result(), tree=self.tree.as_result())


@dataclass(frozen=True)
class Dump:
    """A whole dump on the disk."""

    path: str
    size_bytes: int
    sha256: str
    record: Record

    def as_result(self) -> Dict[str, object]:
        """For results."""
        return {"path": self.path, "size_bytes": self.size_bytes, "sha256": self.sha256, **self.record.as_result()}


def _damaged(path: str, found: str) -> DumpError:
    return DumpError(
        "%s is not a whole, unaltered dump of a directory." % path,
        tried="read it to its end and compared it with what it says of itself",
        found=found,
        remedy="Use another copy of this dump, or another recovery point.",
    )


@contextmanager
def opened(path: str) -> Iterator[Dict[str, BinaryIO]]:
    """The files of a dump. Raises DumpError when they can't be read."""
    try:
        with tarfile.open(path, mode="r:") as archive, ExitStack() as stack:
            files: Dict[str, BinaryIO] = {}
            for name in (CONFIG, TREE, RECORD):
                member = archive.extractfile(name)
                if member is None:
                    raise _damaged(path, "%s is no file" % name)
                # Programs read from a descriptor, which a member of an archive has not. Without a name: nothing of it is left.
                files[name] = stack.enter_context(tempfile.TemporaryFile(dir=os.path.dirname(path)))
                shutil.copyfileobj(member, files[name])
                files[name].seek(0)
            yield files
    except OSError as error:
        raise DumpError("The dump %s cannot be read." % path, found=error.strerror or str(error), remedy="Bring it onto this host first.") from error
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def examine(path: str, sha256: str = "") -> Dump:
    """Read a whole dump. Raises DumpError when it is cut off, altered, or not the one that ``sha256`` names."""
    with opened(path) as files:
        try:
            told = json.loads(files[RECORD].read().decode("ascii"))
            if told.pop("format") != FORMAT:
                raise _damaged(path, "it is of another version of Lifeboat")
            record = Record(**{**told, "config": Ldif(**told["config"]), "tree": Ldif(**told["tree"])})
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(path, "%s: %s" % (RECORD, type(error).__name__)) from error
        for name, wanted in ((CONFIG, record.config), (TREE, record.tree)):
            found = measure(files[name])
            if found != wanted:
                raise _damaged(
                    path, "%s: %d entries in %d bytes that differ from the %d entries told" % (name, found.entries, found.size_bytes, wanted.entries)
                )
    digest = file_sha256(path)
    if sha256 and digest != sha256:
        raise _damaged(path, "SHA-256 %s, not %s" % (digest, sha256))
    return Dump(path, os.stat(path).st_size, digest, record)


def _version(directory: Directory) -> str:
    words = directory.inside.run(["slapd", "-VV"], statuses=(0, 1)).complaint.split()
    return words[words.index("slapd") + 1] if "slapd" in words[:-1] else ""


def survey(directory: Directory, config: BinaryIO, tree: BinaryIO) -> Record:
    """Export both, and say what they hold. Refuses a tree without entries."""
    taken_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    directory.export_config(config)
    if not database_dir(config, directory.suffix):
        raise DumpError(
            "The directory has no database for %s." % directory.suffix,
            tried="read the configuration in %s" % directory.config_dir,
            remedy="Correct suffix and config_dir in the platform's data.",
        )
    directory.export_tree(tree)
    found = measure(tree)
    if not found.entries:
        raise DumpError("The directory is empty.", tried="export %s" % directory.suffix, remedy="Restore it first; there is nothing to back up.")
    return Record(taken_at, _version(directory), directory.suffix, measure(config), found, schemas(config), context_csn(tree, directory.suffix))


def take(directory: Directory, path: str, *, bind: Bind, owner: str, scratch_directory: str) -> Dump:
    """Export, prove, and pack; the archive gets its name when all of it is done."""
    place = os.path.dirname(path)
    # Without names: nothing of them is left, however this ends.
    with tempfile.TemporaryFile(dir=place) as config, tempfile.TemporaryFile(dir=place) as tree:
        record = survey(directory, config, tree)
        prove(directory, record, config, tree, bind, scratch_directory)
        with growing(path, owner) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            told = json.dumps({"format": FORMAT, **record.as_result()}, indent=1, sort_keys=True).encode("ascii")
            for name, source, size in (
                (RECORD, io.BytesIO(told), len(told)),
                (CONFIG, config, record.config.size_bytes),
                (TREE, tree, record.tree.size_bytes),
            ):
                member = tarfile.TarInfo(name)
                member.size, member.mode, member.mtime = size, 0o600, int(time.time())
                source.seek(0)
                archive.addfile(member, source)
    return examine(path)


def elsewhere(config: BinaryIO, suffix: str, tree_dir: str, others_dir: Optional[str] = None) -> bytes:
    """A configuration that keeps the suffix's entries in ``tree_dir`` and touches nothing of the real server."""
    real, number = database_dir(config, suffix), 0

    def change(line: bytes) -> Optional[bytes]:
        nonlocal number
        name = ldif.name_of(line)
        if name in _LEFT_OUT or name.startswith("olctls"):
            return None
        if name == "olcdbdirectory":
            number += 1
            place = tree_dir if ldif.value_of(line) == real else "%s-%d" % (others_dir or tree_dir, number)
            return b"olcDbDirectory: " + os.fsencode(place)
        return line

    config.seek(0)
    return ldif.rewritten(config, change)


def prove(directory: Directory, record: Record, config: BinaryIO, tree: BinaryIO, bind: Bind, base: str) -> None:
    """Load both into a scratch server, log in as the administrator, count, and compare."""
    inside = directory.inside
    with scratch.directory(inside, base, "directory") as place:
        proof = Directory(inside, place + "/config", directory.suffix, directory.timeout_seconds)
        fill(proof, config, tree, place + "/tree")
        require_same(proof, record.tree)
        url = socket_url(place + "/socket")
        command = [inside.first("slapd"), "-d", "0", "-F", proof.config_dir, "-h", url]
        with scratch.serving(inside, command, lambda: "contact LDAP server" not in proof.bind_problem(url, bind), directory.timeout_seconds):
            problem = proof.bind_problem(url, bind)
            served = 0 if problem else proof.served_entries(url, bind)
    if problem:
        raise DumpError(
            "The password file does not let %s into the directory of this dump." % bind.dn,
            tried="log in to a scratch server with the dump's configuration and tree",
            found=problem,
            remedy="Put the password file and the directory that belong together in place.",
        )
    if served != record.tree.entries:
        raise DumpError(
            "The dump does not serve what it has to.",
            tried="count the entries that a scratch server shows to %s" % bind.dn,
            found="%d entries instead of %d" % (served, record.tree.entries),
            remedy="Take another dump, or use another recovery point.",
        )


def checked(directory: Directory, dump: Dump, bind: Bind, base: str) -> None:
    """Prove a dump that lies on the disk by loading it into a scratch server."""
    with opened(dump.path) as files:
        prove(directory, dump.record, files[CONFIG], files[TREE], bind, base)


def fill(scratch_copy: Directory, config: BinaryIO, tree: BinaryIO, tree_dir: str) -> None:
    """Make the configuration of ``scratch_copy`` and load the tree into ``tree_dir``, without touching anything of the real server."""
    changed = elsewhere(config, scratch_copy.suffix, tree_dir, os.path.dirname(scratch_copy.config_dir) + "/other")
    directories = [ldif.value_of(line) for entry in ldif.entries(io.BytesIO(changed)) for line in entry if ldif.name_of(line) == "olcdbdirectory"]
    scratch_copy.inside.run(["mkdir", "-p", "-m", "700", scratch_copy.config_dir, *directories])
    scratch_copy.import_config(changed)
    scratch_copy.import_tree(tree)


def require_same(found: Directory, wanted: Ldif) -> None:
    """Refuse a tree that, loaded and exported again, is another one."""
    with tempfile.TemporaryFile() as exported:
        found.export_tree(exported)
        seen = measure(exported)
    if seen != wanted:
        raise DumpError(
            "The loaded tree is not the one of the dump.",
            tried="export it again and compare",
            found="%d entries in %d bytes instead of %d in %d" % (seen.entries, seen.size_bytes, wanted.entries, wanted.size_bytes),
            remedy="Use another recovery point.",
        )
