# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OpenLDAP server, through its own programs: what its configuration and its tree hold, and whether it lets the administrator in."""

from __future__ import annotations

import hashlib
import os
import urllib.parse
from dataclasses import dataclass, field
from typing import IO, Any, BinaryIO, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap import ldif
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import processes
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import INSIDE_ARGUMENTS, Inside
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.passwords import read_password
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_BLOCK_BYTES = 1 << 20
_INVALID_CREDENTIALS = 49
_UNREACHABLE = 255

DIRECTORY_ARGUMENTS: Dict[str, Any] = {
    **INSIDE_ARGUMENTS,
    "config_dir": {"type": "path", "required": True},
    "config_dir_inside": {"type": "path", "default": ""},
    "suffix": {"type": "str", "required": True},
    "timeout_seconds": {"type": "int", "default": 600},
}
BIND_ARGUMENTS: Dict[str, Any] = {
    "bind_dn": {"type": "str", "required": True},
    "password_file": {"type": "path", "required": True, "no_log": False},
}


class DirectoryError(LifeboatError):
    """The directory refused, or is not what it has to be."""


@dataclass(frozen=True)
class Ldif:
    """What an LDIF holds."""

    entries: int
    size_bytes: int
    sha256: str

    def as_result(self) -> Dict[str, Any]:
        """For results."""
        return dict(vars(self))


@dataclass(frozen=True)
class Bind:
    """As whom to log in, and where the password lies on the host."""

    dn: str
    password: str = field(repr=False)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Bind:
        """Out of a module's parameters."""
        return cls(params["bind_dn"], read_password(params["password_file"]))


@dataclass(frozen=True)
class Directory:
    """A configuration directory, as the programs see it, and the suffix of the database in question."""

    inside: Inside
    config_dir: str
    suffix: str
    timeout_seconds: float

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Directory:
        """Out of a module's parameters."""
        return cls(Inside.of_params(params), params["config_dir_inside"] or params["config_dir"], params["suffix"], params["timeout_seconds"])

    def _run(self, command: Sequence[str], **more: Any) -> Any:
        return self.inside.run(command, timeout_seconds=self.timeout_seconds, **more)

    def export_config(self, target: IO[bytes]) -> None:
        """The configuration as LDIF."""
        self._run(["slapcat", "-F", self.config_dir, "-n", "0", "-o", "ldif-wrap=no"], stdout=target)

    def export_tree(self, target: IO[bytes]) -> None:
        """The entries below the suffix as LDIF, at one moment; a server may run meanwhile."""
        self._run(["slapcat", "-F", self.config_dir, "-b", self.suffix, "-o", "ldif-wrap=no"], stdout=target)

    def import_config(self, source: bytes) -> None:
        """Fill an empty configuration directory."""
        self._run(["slapadd", "-F", self.config_dir, "-n", "0"], stdin=source)

    def import_tree(self, source: IO[bytes]) -> None:
        """Fill the empty database of the suffix with a whole file."""
        # A buffered file's own seek need not reach the descriptor, and that is what slapadd reads from.
        os.lseek(source.fileno(), 0, os.SEEK_SET)
        self._run(["slapadd", "-F", self.config_dir, "-b", self.suffix], stdin=source)

    def bind_problem(self, url: str, bind: Bind) -> str:
        """Why the administrator is not let in, or an empty text."""
        # The password comes by standard input and without a newline: the tools would take that for a part of it.
        command = ["ldapwhoami", "-x", "-H", url, "-D", bind.dn, "-y", "/dev/stdin"]
        done = self._run(command, stdin=bind.password.encode("utf-8"), statuses=(0, _INVALID_CREDENTIALS, _UNREACHABLE))
        return str(done.complaint or "exit status %d" % done.status) if done.status else ""

    def served_entries(self, url: str, bind: Bind) -> int:
        """How many entries the server shows to the administrator."""
        command = ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", url, "-D", bind.dn, "-y", "/dev/stdin", "-b", self.suffix, "1.1"]
        done = self._run(command, stdin=bind.password.encode("utf-8"))
        return sum(1 for line in done.output.splitlines() if ldif.name_of(line) == "dn")


def socket_url(path: str) -> str:
    """The URL of a socket."""
    return "ldapi://%s" % urllib.parse.quote(path, safe="")


def measure(source: BinaryIO) -> Ldif:
    """Count and hash an LDIF from its beginning."""
    digest, size = hashlib.sha256(), 0
    source.seek(0)
    for block in iter(lambda: source.read(_BLOCK_BYTES), b""):
        digest.update(block)
        size += len(block)
    source.seek(0)
    return Ldif(sum(1 for _entry in ldif.entries(source)), size, digest.hexdigest())


def same_entries(one: BinaryIO, other: BinaryIO) -> bool:
    """Whether two trees are equal. The time of the last change is left out: a server writes it down when it stops, long after the change."""
    trees = []
    for source in (one, other):
        source.seek(0)
        trees.append(hashlib.sha256(ldif.rewritten(source, lambda line: None if ldif.name_of(line) == "contextcsn" else line)).hexdigest())
    return trees[0] == trees[1]


def schemas(config: IO[bytes]) -> List[str]:
    """Names of the schemas that a configuration defines."""
    config.seek(0)
    found = [ldif.value_of(entry[0]) for entry in ldif.entries(config)]
    # cn={4}inetorgperson,cn=schema,cn=config
    return [name.split(",")[0].split("}")[-1] for name in found if name.endswith(",cn=schema,cn=config")]


def context_csn(tree: IO[bytes], suffix: str) -> List[str]:
    """The time of the last change of the tree, as replication knows it; empty where nothing keeps it."""
    tree.seek(0)
    for entry in ldif.entries(tree):
        if ldif.value_of(entry[0]).lower() == suffix.lower():
            return ldif.values(entry, "contextCSN")
    return []


def database_dir(config: IO[bytes], suffix: str) -> str:
    """Where a configuration keeps the entries of a suffix; empty when it does not."""
    config.seek(0)
    for entry in ldif.entries(config):
        if suffix.lower() in map(str.lower, ldif.values(entry, "olcSuffix")):
            return (ldif.values(entry, "olcDbDirectory") or [""])[0]
    return ""


def served_by(directories: Sequence[str]) -> List[processes.Process]:
    """Running servers that have a file of these directories open, from a container too: there the same file has another path."""
    ours: Set[Optional[Tuple[int, int]]] = set()
    for directory in directories:
        for place, _directories, files in os.walk(directory):
            ours.update(_identity(os.path.join(place, name)) for name in files)
    found = processes.processes(["slapd"], own_network=False)["slapd"]
    return [process for process in found if ours & set(_open_files(process.pid))]


def _identity(path: str) -> Optional[Tuple[int, int]]:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _open_files(pid: int) -> List[Tuple[int, int]]:
    place = "/proc/%d/fd" % pid
    try:
        names = os.listdir(place)
    except OSError:
        return []
    return [identity for identity in (_identity(os.path.join(place, name)) for name in names) if identity is not None]
