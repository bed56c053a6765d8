# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies where etcd keeps its data on this host: in its directory, in others that etcd itself names, and on which file system."""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.staged import MARKER_NAME, STAGING_PREFIX
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.database import database_of, look
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.etcd_directories import Directories
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import probing
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.probing import LookError
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Malformed, fields

ABSENT, EMPTY, DATA = "absent", "empty", "data"
# File systems of a machine's own, on which a data directory may lie without being there for it.
_COMMON_MOUNTS = frozenset(("/", "/var", "/var/lib", "/srv", "/opt", "/home", "/usr", "/mnt", "/media"))
_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    point: str
    source: str
    device: str


def _plain(text: str) -> str:
    for code, character in _ESCAPES:
        text = text.replace(code, character)
    return text


def read_mounts(text: str) -> List[Mount]:
    """The mounts of a mountinfo, in its order: of two on one point the later one is seen."""
    mounts = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if separator and len(fields) > 4 and len(rest) > 1:
            mounts.append(Mount(_plain(fields[4]), _plain(rest[1]), fields[2]))
    return mounts


def mount_of(path: str, mounts: Sequence[Mount]) -> Optional[Mount]:
    """The mount that a real path lies on."""
    holding = [mount for mount in mounts if path == mount.point or path.startswith(mount.point.rstrip("/") + "/")]
    return max(reversed(holding), key=lambda mount: len(mount.point)) if holding else None


def state_of(data_dir: str) -> str:
    """Whether there is data of etcd in a directory: a database, a log or a snapshot of a v2 store below ``member``."""
    found = probing.status(data_dir)
    if found is None:
        return ABSENT
    if not stat.S_ISDIR(found.st_mode):
        raise LookError("%s is no directory." % data_dir, found="a file", remedy="Look what it is, and move it away.")
    member = os.path.join(data_dir, "member")
    database = probing.link_status(os.path.join(member, "snap", "db")) is not None
    snapshots = any(name.endswith(".snap") for name in probing.names_in(os.path.join(member, "snap")))
    return DATA if database or snapshots or log_state(os.path.join(member, "wal")) == DATA else EMPTY


def log_state(directory: str) -> str:
    """Whether there is a write-ahead log in a directory."""
    if probing.status(directory) is None:
        return ABSENT
    return DATA if any(name.endswith(".wal") for name in probing.names_in(directory)) else EMPTY


def _database(data_dir: str) -> Tuple[Optional[int], Optional[int]]:
    """How far the data on the disk are, and how many members with a vote they name. A database that is being written, or is damaged, does not say."""
    try:
        return look(database_of(data_dir)) if state_of(data_dir) == DATA and os.path.exists(database_of(data_dir)) else (None, None)
    except EtcdError:
        return None, None


_WAL_FRAME = 8
_WAL_METADATA = 1


def cluster_of_log(directory: str) -> Optional[str]:
    """Of which cluster the data beside a write-ahead log are, as etcd writes ids (hexadecimal); None when the log does not say.

    Each file of a log begins with a checksum and its metadata: node and cluster (etcd-io/etcd server/storage/wal: C(encoder.go) for the frames,
    C(wal.go) for their order; C(walpb/record.proto), C(api/etcdserverpb/etcdserver.proto) for C(Record) and C(Metadata)). A restore makes a new cluster, a
    member that joins belongs to that of the others.
    """
    logs = [name for name in probing.names_in(directory) if name.endswith(".wal")]
    if not logs:
        return None
    with open(os.path.join(directory, logs[-1]), "rb") as file:
        head = file.read(1 << 16)
    position = 0
    try:
        while position + _WAL_FRAME <= len(head):
            # The upper byte says how many bytes fill the frame up.
            word = int.from_bytes(head[position : position + _WAL_FRAME], "little")
            size, padding = word & ((1 << 56) - 1), (word >> 56) & 0x7 if word >> 63 else 0
            record = dict(fields(head[position + _WAL_FRAME : position + _WAL_FRAME + size]))
            metadata = record.get(3)
            if record.get(1) == _WAL_METADATA and isinstance(metadata, bytes):
                cluster = dict(fields(metadata)).get(2)
                return "%x" % cluster if isinstance(cluster, int) and cluster else None
            position += _WAL_FRAME + size + padding
            if not size:
                return None
    except Malformed:
        return None
    return None


def _owner(found: os.stat_result) -> str:
    try:
        user = pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        user = str(found.st_uid)
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    return "%s:%s" % (user, group)


def owner(path: str) -> str:
    """Owner and group of a path, by name where they have one."""
    return _owner(os.stat(path))


def _of_its_own(mount: Optional[Mount], real: str) -> bool:
    """Whether a directory is, or lies on, a file system that is there for it: not one on which much else of a machine lies."""
    return mount is not None and (mount.point == real or mount.point not in _COMMON_MOUNTS)


def _meant_to_be_mounted(data_dir: str, fstab: str) -> bool:
    """Whether the file system table has the directory, or one above it that is not there for much else."""
    lines = [line.split() for line in (probing.text_or_none(fstab) or "").splitlines()]
    points = [os.path.normpath(_plain(words[1])) for words in lines if len(words) > 1 and not words[0].startswith("#") and words[1].startswith("/")]
    plain = os.path.normpath(data_dir)
    return any(plain == point or (point not in _COMMON_MOUNTS and plain.startswith(point + "/")) for point in points)


def link_to_make(data_dir: str, link: str, mounts: Sequence[Mount]) -> Optional[str]:
    """Where the path has to lead to, as the recovery point says, when nothing of value is in the way of a link: nothing at all, or an empty directory."""
    found = probing.link_status(data_dir)
    in_the_way = found is not None and (not stat.S_ISDIR(found.st_mode) or any(mount.point == data_dir for mount in mounts) or probing.names_in(data_dir) != [])
    return None if not link or in_the_way else link


def describe(data_dir: str, aside: str, mountinfo: str = "/proc/self/mountinfo", fstab: str = "/etc/fstab", *, link: str = "") -> Dict[str, Any]:
    """What lies in a data directory, and on which file system it is. By a recovery point the path was a link (C(link)): then, where it would lead to."""
    state = state_of(data_dir)
    mounts = read_mounts(probing.text(mountinfo))
    to_link = link_to_make(data_dir, link, mounts)
    real = os.path.realpath(to_link or data_dir)
    mount = mount_of(real, mounts)
    member = os.path.join(data_dir, "member")
    parent, name = os.path.split(data_dir.rstrip("/"))
    answer: Dict[str, Any] = {
        "data_dir": data_dir,
        "resolved": real,
        # Of links on the way to it nobody but the system's own installation knows.
        "link": real if os.path.islink(data_dir) else None,
        "to_link": to_link,
        "state": state,
        "exists": state != ABSENT,
        "is_mount": _of_its_own(mount, real),
        "mount_source": mount.source if mount else None,
        "member": probing.is_directory(member),
        "size_bytes": 0,
        "newest_mtime": None,
        "wal_files": 0,
        "cluster_id": None,
        "revision": None,
        "voters": None,
        "owner": None,
        "mode": None,
        "restore_markers": [],
        "restores": [],
        "asides": [os.path.join(parent, other) for other in probing.names_in(parent) if other.startswith(name + ".")]
        + [os.path.join(aside, other) for other in probing.names_in(aside)],
    }
    for path in () if answer["is_mount"] or state == DATA else (data_dir, real):
        if _meant_to_be_mounted(path, fstab):
            raise LookError(
                "The file system of etcd's data is not mounted.",
                tried="look into %s" % path,
                found="%s is a mount point in %s, and nothing is mounted there" % (path, fstab),
                remedy="Mount it (mount %s), or take its line out of %s when that disk is gone for good." % (path, fstab),
            )
    if state == ABSENT:
        return answer
    found = os.stat(data_dir)
    answer["size_bytes"], answer["newest_mtime"] = probing.tree_size(member)
    answer["wal_files"] = sum(entry.endswith(".wal") for entry in probing.names_in(os.path.join(member, "wal")))
    answer["cluster_id"] = cluster_of_log(os.path.join(member, "wal"))
    answer["revision"], answer["voters"] = _database(data_dir)
    answer["owner"] = _owner(found)
    answer["mode"] = "%04o" % (found.st_mode & 0o7777)
    for entry in probing.names_in(data_dir):
        if entry.startswith(STAGING_PREFIX):
            answer["restore_markers"].append(os.path.join(data_dir, entry))
            answer["restores"] += _restore(os.path.join(data_dir, entry), answer["newest_mtime"])
        elif entry != "member" and entry.startswith((".lifeboat-", "member")):
            answer["asides"].append(os.path.join(data_dir, entry))
    return answer


def _restore(directory: str, newest: Optional[float]) -> List[Dict[str, Any]]:
    """What a finished restore left: beside the data, or in their place; and whether etcd has written there since. Nothing of one that was cut short."""
    text = probing.text_or_none(os.path.join(directory, MARKER_NAME))
    if text is None:
        return []
    said = json.loads(text)
    staged = probing.is_directory(os.path.join(directory, "member"))
    built = os.stat(os.path.join(directory, MARKER_NAME)).st_mtime
    return [
        {
            "token": os.path.basename(directory)[len(STAGING_PREFIX) :],
            "staged": staged,
            # The marker is written when the restored files are whole.
            "used": not staged and newest is not None and newest > built,
            "revision_after": int(said.get("revision_after") or 0),
        }
    ]


def own_log_directory(directories: Directories, data_dir: str) -> Optional[str]:
    """The directory of the log, where it is another one than in the data directory."""
    wal = directories.wal
    return wal if wal and os.path.realpath(wal) != os.path.realpath(os.path.join(data_dir, "member", "wal")) else None


def add_directories(answer: Dict[str, Any], directories: Directories, used: Optional[bool]) -> Dict[str, Any]:
    """What etcd itself names, into the description of its data."""
    data_dir = str(answer["data_dir"])
    log = own_log_directory(directories, data_dir)
    other = directories.data if directories.data and os.path.realpath(directories.data) != answer["resolved"] else None
    answer.update(
        flags_data_dir=directories.data,
        flags_wal_dir=directories.wal,
        flags_source=directories.said_by or None,
        in_use=used,
        flags_state=state_of(other) if other else answer["state"],
        wal_state=log_state(log) if log else None,
        cluster_id=cluster_of_log(log) if log and log_state(log) == DATA else answer["cluster_id"],
    )
    return answer


def evidence(answer: Mapping[str, Any]) -> List[str]:
    """What speaks against an empty machine, for people."""
    found = ["etcd data in %s" % answer["data_dir"]] if answer["state"] == DATA else []
    if answer["flags_state"] == DATA and answer["state"] != DATA:
        found.append("etcd data in %s" % answer["flags_data_dir"])
    return found + (["a log of etcd in %s" % answer["flags_wal_dir"]] if answer["wal_state"] == DATA else [])
