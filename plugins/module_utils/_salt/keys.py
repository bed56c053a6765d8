# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of a Salt master, read from its files: so a master that does not run, or is only an unpacked archive, can be described too."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import pem
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import display, reason
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

ACCEPTED, PENDING, REJECTED, DENIED = "accepted", "pending", "rejected", "denied"
# By state the directory below pki_dir (saltstack/salt salt/key.py).
DIRECTORIES = {ACCEPTED: "minions", PENDING: "minions_pre", REJECTED: "minions_rejected", DENIED: "minions_denied"}
# An id becomes a name of a file, and one word in a list of targets that are divided by commas.
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:+=-]{0,254}")
_LARGEST_KEY = 1 << 16


class SaltError(LifeboatError):
    """Salt's files or programs are not as they have to be."""


def check_id(minion_id: str) -> str:
    """The id, when it can be one; raises SaltError otherwise."""
    if _ID.fullmatch(minion_id):
        return minion_id
    raise SaltError(
        "%r is no id of a minion." % minion_id,
        tried="read the ids that were given",
        found="something that is no name of a file",
        remedy="Give the id as salt-key -L shows it; on a cluster node it is the content of /etc/machine-id.",
    )


def fingerprint(data: bytes) -> str:
    """The fingerprint of a public key, as ``salt-key -F`` and ``salt-call key.finger`` have it; an empty text when the data is none.

    Salt hashes the lines between the first and the last: the master's copy of a key and the minion's differ in the final newline.
    """
    lines = [line for line in data.replace(b"\r\n", b"\n").split(b"\n") if line.strip()]
    if len(lines) < 3 or not lines[0].startswith(b"-----BEGIN") or not lines[-1].startswith(b"-----END"):
        return ""
    digest = hashlib.sha256(b"".join(line + b"\n" for line in lines[1:-1])).hexdigest()
    return ":".join(digest[start : start + 2] for start in range(0, len(digest), 2))


def check_fingerprint(text: str) -> str:
    """A fingerprint as Salt writes it, out of one with or without colons; raises SaltError when it is none of SHA-256."""
    plain = text.replace(":", "").lower()
    if not plain or re.fullmatch("[0-9a-f]{64}", plain):
        return ":".join(plain[start : start + 2] for start in range(0, len(plain), 2))
    raise SaltError(
        "%r is no fingerprint of a key." % text,
        tried="read the fingerprints that were given",
        found="something other than 32 bytes in hexadecimal",
        remedy="Give the SHA-256 fingerprint, as salt-key -F shows it.",
    )


def read_public(path: str) -> bytes:
    """A small file that is neither link nor directory. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is no file")
        return file.read(_LARGEST_KEY)


def file_fingerprint(path: str) -> str:
    """The fingerprint of a public key file; an empty text when it is missing or holds none."""
    try:
        return fingerprint(read_public(path))
    except OSError:
        return ""


@dataclass(frozen=True)
class Key:
    """A minion's public key, as the master has it in one state."""

    id: str
    state: str
    path: str
    fingerprint: str

    def __str__(self) -> str:
        return "%s (%s, %s)" % (self.id, self.state, self.fingerprint)


@dataclass(frozen=True)
class MasterKey:
    """The master's own pair."""

    fingerprint: str
    pair: Optional[bool]
    reason: str

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return {"fingerprint": self.fingerprint, "pair": self.pair, "reason": self.reason}


@dataclass(frozen=True)
class Keys:
    """All keys of minions that a master has. ``problems`` are what stands among them and is none."""

    pki_dir: str
    keys: Tuple[Key, ...]
    problems: Tuple[str, ...]

    def of(self, minion_id: str) -> Dict[str, Key]:
        """The keys of an id by state."""
        return {key.state: key for key in self.keys if key.id == minion_id}

    def by_state(self, state: str) -> Dict[str, str]:
        """Fingerprints by id."""
        return {key.id: key.fingerprint for key in self.keys if key.state == state}

    @property
    def duplicates(self) -> List[Dict[str, Any]]:
        """Ids that have a key in more than one state; ``equal`` when it is the same key in all of them."""
        found = []
        for minion_id in sorted({key.id for key in self.keys}):
            states = self.of(minion_id)
            if len(states) > 1:
                found.append({"id": minion_id, "states": list(states), "equal": len({key.fingerprint for key in states.values()}) == 1})
        return found

    def lines(self, keys: Optional[Iterable[Key]] = None) -> str:
        """One line for each key, for a diff."""
        return "".join("%s\n" % key for key in sorted(self.keys if keys is None else keys, key=lambda key: (key.id, key.state)))


def read_keys(pki_dir: str) -> Keys:
    """Every key of every minion. Raises SaltError when there is no such directory, so no master."""
    if not os.path.isdir(pki_dir):
        raise SaltError(
            "There are no keys of a Salt master.",
            tried="read %s" % display(pki_dir),
            found="no such directory",
            remedy="Name the directory of the master's keys (pki_dir), or restore it out of a recovery point first.",
        )
    keys: List[Key] = []
    problems: List[str] = []
    for state, name in DIRECTORIES.items():
        directory = os.path.join(pki_dir, name)
        # A name that begins with a dot is the master's own list of what is in the directory.
        for minion_id in sorted(entry for entry in (os.listdir(directory) if os.path.isdir(directory) else []) if not entry.startswith(".")):
            path = os.path.join(directory, minion_id)
            problem = "" if _ID.fullmatch(minion_id) else "the name can be no id of a minion"
            found = ""
            if not problem:
                try:
                    found = fingerprint(read_public(path))
                    problem = "" if found else "it holds no public key"
                except OSError as error:
                    problem = reason(error)
            if problem:
                problems.append("%s: %s" % (display(path), problem))
            else:
                keys.append(Key(minion_id, state, path, found))
    return Keys(pki_dir, tuple(keys), tuple(problems))


def read_master(pki_dir: str) -> MasterKey:
    """The master's own keys: what minions remember it by, and whether the private one belongs to it."""
    public, private = os.path.join(pki_dir, "master.pub"), os.path.join(pki_dir, "master.pem")
    try:
        public_data = read_public(public)
        private_data = read_public(private)
    except OSError as error:
        return MasterKey(file_fingerprint(public), None, "%s: %s" % (display(error.filename or pki_dir), reason(error)))
    public_key, private_key = pem.public_key(public_data), pem.private_key(private_data)
    if public_key is None or private_key is None:
        return MasterKey(fingerprint(public_data), False, "%s holds no key" % display(public if public_key is None else private))
    pair = pem.belong_together(public_key.der, private_key.der)
    reasons = {True: "", False: "master.pem and master.pub are not one pair", None: "master.pem does not show its public part; it may be encrypted"}
    return MasterKey(fingerprint(public_data), pair, reasons[pair])


def cached(cache_dir: str, name: str) -> List[str]:
    """Ids of minions of which the master's cache holds something: ``data`` (grains and pillar) or ``mine``."""
    base = os.path.join(cache_dir, "minions")
    if not os.path.isdir(base):
        return []
    # One byte is the empty dictionary.
    return sorted(minion_id for minion_id in os.listdir(base) if _size(os.path.join(base, minion_id, name + ".p")) > 1)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def compare(found: Keys, expected: Sequence[str]) -> Dict[str, List[str]]:
    """Which expected ids are not accepted, and which accepted ones nobody expected."""
    accepted, wanted = set(found.by_state(ACCEPTED)), {check_id(minion_id) for minion_id in expected}
    return {"missing": sorted(wanted - accepted), "unexpected": sorted(accepted - wanted)}
