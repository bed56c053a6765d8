# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of both stores of a living member, that holds every write which was acknowledged before it began, and is proven by starting etcd on it.

What is copied, in this order, and why that order is safe:

1. The newest raft snapshots: they hold the v2 tree as it was some time ago.
2. A snapshot of the v3 store, which is at or after these: a member writes its database down before it saves a raft snapshot.
3. A read with a quorum's consent. When it is answered, the member has applied everything that was acknowledged before.
4. More such reads, until the log on the disk says that all this is committed; then the log, up to the record that says so.

A scratch etcd replays the copy: both stores are then at one and the same raft entry.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import TRAILER_BYTES, EtcdClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import BackupError
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.inventory import Inventory
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.snapshot import (
    directory_of,
    iso_time,
    owner_ids,
    require_space,
    save,
    store_inventory,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_artifact, v2_log, v2_scratch, v2_tree
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_api import Position, V2Client
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_tree import Tree
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.digests import file_sha256
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import sync_directory

# A segment may be removed while we copy, or the log may need one more entry before it tells how far it is committed.
_ATTEMPTS = 5
_BARRIERS = 20


@dataclass(frozen=True)
class Request:
    """What is to be backed up, with what, to where."""

    path: str
    data_dir: str
    etcd: str = ""
    etcdctl: str = ""
    owner: str = ""
    minimum_free_bytes: int = 0
    timeout_seconds: float = 600.0

    @property
    def work(self) -> str:
        """Where copies and scratch servers work: beside the file, private, and removed at the end."""
        return self.path + ".work"


@dataclass(frozen=True)
class Replay:
    """A data directory that a scratch etcd has left in order."""

    data_dir: str
    tree: Tree
    database: Inventory


def check(request: Request) -> Tuple[str, str]:
    """The programs that will be used; raises when they or the member's data are not there."""
    programs = v2_scratch.program(request.etcd, "etcd"), v2_scratch.program(request.etcdctl, "etcdctl")
    if not os.path.isdir(os.path.join(request.data_dir, "member", "wal")):
        raise BackupError(
            "%s is not the data directory of an etcd member" % request.data_dir,
            tried="looked for member/wal in it",
            remedy="Run this on an etcd member, with the data directory that its etcd is started with.",
        )
    return programs


def take(client: EtcdClient, v2: V2Client, request: Request, cluster: Dict[str, Any]) -> Dict[str, Any]:
    """Copy, replay, prove against the living member, pack, prove what was packed; returns the record."""
    etcd, etcdctl = check(request)
    identity = owner_ids(request.owner) if request.owner else None
    started, clock = time.time(), time.monotonic()
    size = _bytes_below(request.data_dir)
    with directory_of(request.path) as (place, directory):
        # The copy, what etcdctl makes of it, the file and its proof.
        require_space(place, directory, 2 * size, request.minimum_free_bytes)
    _remove(request.work)
    os.mkdir(request.work, 0o700)
    try:
        copy, barrier, commit = _copied(client, v2, request)
        replay = _replay(etcd, copy, request, commit)
        living = v2.tree(quorum=True, hidden=replay.tree.hidden_roots())
        _require_whole(replay.tree, living, barrier, v2.name)
        packed = os.path.join(request.work, "packed")
        v2_scratch.new_identity(etcdctl, replay.data_dir, packed, request.timeout_seconds)
        v2_log.trim(os.path.join(packed, "member", "wal"))
        own: Dict[str, Any] = next((status for status in cluster["statuses"] if status["endpoint"] == client.connection.endpoint), {})
        record = {
            "taken_at": iso_time(started),
            "server_version": own.get("version", ""),
            "barrier_index": barrier.index,
            "raft_index": commit,
            "v2": replay.tree.summary(),
            "v3": replay.database.as_result(),
        }
        part = os.path.join(request.work, "part")
        with open(part, "xb", opener=_private) as target:
            v2_artifact.write(target, record, replay.tree, packed)
            target.flush()
            os.fsync(target.fileno())
        _prove(part, etcd, request, replay)
        os.utime(part, (started, started))
        if identity is not None:
            os.chown(part, identity[0], identity[1])
        os.rename(part, request.path)
        sync_directory(os.path.dirname(os.path.abspath(request.path)))
    finally:
        _remove(request.work)
    result = record_of(request.path)
    result.update(
        duration_seconds=round(time.monotonic() - clock, 3),
        endpoint=client.connection.endpoint,
        transport=client.transport,
        member_id=own.get("member_id", ""),
        cluster=cluster,
    )
    return result


def _copied(client: EtcdClient, v2: V2Client, request: Request) -> Tuple[str, Position, int]:
    """A private copy of the member's data; where the member was when it began, and the raft entry up to which the copy is committed."""
    problem: Optional[Exception] = None
    for attempt in range(_ATTEMPTS):
        copy = os.path.join(request.work, "copy%d" % attempt)
        try:
            return (copy, *_copy(client, v2, request, copy))
        except FileNotFoundError as error:
            problem = error
            _remove(copy)
    raise BackupError(
        "the data of the member cannot be copied", tried="%d times" % _ATTEMPTS, found=str(problem), remedy="Run it again, or on another member."
    ) from None


def _copy(client: EtcdClient, v2: V2Client, request: Request, copy: str) -> Tuple[Position, int]:
    member = os.path.join(request.data_dir, "member")
    snapshots = os.path.join(copy, "member", "snap")
    os.makedirs(snapshots, mode=0o700)
    newest = v2_tree.newest_raft_snapshot(os.path.join(member, "snap"))
    if newest:
        shutil.copyfile(newest, os.path.join(snapshots, os.path.basename(newest)))
    database = os.path.join(snapshots, "db")
    saved = save(client, database)
    os.truncate(database, saved.size_bytes - TRAILER_BYTES)
    begun = v2.barrier()
    log = os.path.join(member, "wal")
    end = v2_log.End("", 0, 0)
    for _attempt in range(_BARRIERS):
        # Its own entry is flushed after the record that tells what was committed before it.
        v2.barrier()
        names = v2_log.needed(v2_log.segments(log), v2_tree.raft_index(newest))
        end = v2_log.find_end(log, names, begun.raft_index)
        if end.commit >= begun.raft_index:
            v2_log.copy(log, names, end, os.path.join(copy, "member", "wal"))
            return begun, end.commit
    raise BackupError(
        "the log of the member does not tell that all acknowledged writes are committed",
        tried="%d reads with a quorum's consent, to move it on" % _BARRIERS,
        found="committed up to raft entry %d on the disk, %d in memory" % (end.commit, begun.raft_index),
        remedy="Is %s the data directory of the member at %s?" % (request.data_dir, v2.name),
    )


def _replay(etcd: str, data_dir: str, request: Request, commit: int) -> Replay:
    """Let a scratch etcd apply the log, save the whole tree as a raft snapshot, and end."""
    snapshots = os.path.join(data_dir, "member", "snap")
    entries = commit - v2_tree.raft_index(v2_tree.newest_raft_snapshot(snapshots))
    with v2_scratch.serving(etcd, data_dir, request.work, entries=entries, seconds=request.timeout_seconds) as scratch:
        scratch.wait_saved(commit, request.timeout_seconds)
    tree = v2_tree.from_raft_snapshot(v2_tree.newest_raft_snapshot(snapshots))
    return Replay(data_dir, tree, store_inventory(os.path.join(snapshots, "db")))


def _require_whole(copied: Tree, living: Tree, barrier: Position, endpoint: str) -> None:
    """What the member shows, and was written before the barrier, has to be in the copy, word for word. What came later may be."""
    difference = v2_tree.compare(copied, living, time.time(), since=barrier.index)
    if difference.equal:
        return
    raise BackupError(
        "the copy of the v2 store is not what %s shows" % endpoint,
        tried="compared every key written up to index %d" % barrier.index,
        found=str(difference),
        remedy="Run the backup again; if it fails again, take it from another member.",
        difference=difference.as_result(),
    )


def _prove(part: str, etcd: str, request: Request, replay: Replay) -> None:
    """Unpack the very file and start etcd on it: both stores have to be those of the replay."""
    unpacked = os.path.join(request.work, "proof")
    listed = v2_artifact.read_file(part, unpacked).tree
    again = _replay(etcd, unpacked, request, v2_tree.raft_index(v2_tree.newest_raft_snapshot(os.path.join(unpacked, "member", "snap"))) + 1)
    wrong: List[str] = []
    difference = v2_tree.compare(listed, again.tree, time.time())
    if not difference.equal:
        wrong.append(str(difference))
    for name in ("highest_row_revision", "keys_by_prefix", "leases_total"):
        if getattr(again.database, name) != getattr(replay.database, name):
            wrong.append("%s of the v3 store differs" % name)
    if wrong:
        raise BackupError(
            "the backup does not hold what was copied",
            tried="started etcd on it",
            found="; ".join(wrong),
            remedy="Run it again; if it fails again, take it from another member.",
        )


def record_of(path: str) -> Dict[str, Any]:
    """The record of a backup that is there: proven to its end. Its time is the file's."""
    record = v2_artifact.read_file(path).record
    state = os.stat(path)
    return {
        "path": path,
        "size_bytes": state.st_size,
        "sha256": file_sha256(path),
        "taken_at": iso_time(state.st_mtime),
        "duration_seconds": 0.0,
        "server_version": record["server_version"],
        "barrier_index": record["barrier_index"],
        "raft_index": record["raft_index"],
        "v2": record["v2"],
        "v3": record["v3"],
        "endpoint": "",
        "transport": "",
        "member_id": "",
        "cluster": None,
    }


def _bytes_below(directory: str) -> int:
    total = 0
    for place, _names, files in os.walk(directory):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _remove(directory: str) -> None:
    if os.path.lexists(directory):
        shutil.rmtree(directory)
