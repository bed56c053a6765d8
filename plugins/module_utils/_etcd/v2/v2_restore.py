# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building the first member of a new cluster out of a backup of a v2 store, beside the old data; the other members join it and learn everything.

The way of etcd's own documentation (etcd-io/etcd v3.4 Documentation/v2/admin_guide.md): a copy under new identities, a start with
``--force-new-cluster``, and the right peer URL afterwards. All of it happens in a scratch server: the member's own service is never started so.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import BackupInvalid, RestoreError
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.staged import Staged
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.snapshot import iso_time, owner_ids, store_inventory
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_artifact, v2_scratch, v2_tree
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_artifact import Contents
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.digests import file_sha256

# etcd reserves its log in segments of 64 MiB: one for each of two scratch directories.
_LOG_BYTES = 2 * 64 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """What is to be built."""

    backup: str
    data_dir: str
    peer_url: str
    token: str
    backup_sha256: str = ""
    etcd: str = ""
    etcdctl: str = ""
    owner: str = ""
    timeout_seconds: float = 600.0

    @property
    def staged(self) -> Staged:
        """The directory that is built."""
        return Staged(self.data_dir, self.token)


@dataclass(frozen=True)
class RestorePlan:
    """What a run will do: nothing when the marker tells that it was done."""

    request: Request
    contents: Contents
    sha256: str
    done: Optional[Dict[str, Any]] = None
    others: List[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return self.done is None

    def promise(self) -> Dict[str, Any]:
        """The part of the marker that is known before the restore; a marker with the same part is the same restore."""
        return {"backup_sha256": self.sha256, "token": self.request.token, "peer_url": self.request.peer_url}


def plan(request: Request) -> RestorePlan:
    """Prove the backup, look at what stands, compare space, find the programs; changes nothing."""
    contents = v2_artifact.read_file(request.backup)
    sha256 = file_sha256(request.backup)
    if request.backup_sha256 and sha256 != request.backup_sha256.lower():
        raise BackupInvalid(
            "%s is not the backup that was asked for" % request.backup,
            tried="compared its sha256",
            found="%s, wanted %s" % (sha256, request.backup_sha256),
            remedy="Fetch the recovery point's backup again.",
            path=request.backup,
            reason="other_backup",
        )
    draft = RestorePlan(request, contents, sha256, others=request.staged.others())
    done = request.staged.done(draft.promise())
    if done is None:
        v2_scratch.program(request.etcd, "etcd")
        v2_scratch.program(request.etcdctl, "etcdctl")
        request.staged.require_space(os.path.getsize(request.backup), _LOG_BYTES)
    return RestorePlan(request, contents, sha256, done, draft.others)


def apply(current: RestorePlan) -> Dict[str, Any]:
    """Build the staging directory, prove what was built key by key, write the marker; returns what the marker holds."""
    request, staged = current.request, current.request.staged
    identity = owner_ids(request.owner) if request.owner else None
    with staged.exclusive(identity):
        # Somebody else's run may have finished while we waited.
        current = plan(request)
        if current.done is not None:
            return current.done
        clock = time.monotonic()
        staged.remove()
        work = os.path.join(staged.path, "work")
        unpacked = os.path.join(work, "unpacked")
        os.makedirs(work, mode=0o700)
        v2_artifact.read_file(request.backup, unpacked)
        v2_scratch.new_identity(v2_scratch.program(request.etcdctl, "etcdctl"), unpacked, staged.path, request.timeout_seconds)
        _settle_alone(request, work)
        shutil.rmtree(work)
        marker = dict(current.promise(), **_prove(request, current.contents))
        staged.tighten(identity)
        marker.update(finished_at=iso_time(time.time()), duration_seconds=round(time.monotonic() - clock, 3))
        staged.write_marker(marker)
        return marker


def _settle_alone(request: Request, work: str) -> None:
    """Let a scratch server forget all former members, and tell the peer URL at which the others will find the first one."""
    with v2_scratch.serving(v2_scratch.program(request.etcd, "etcd"), request.staged.path, work, entries=1, seconds=request.timeout_seconds) as scratch:
        members = scratch.client.members()
        if len(members) != 1:
            raise RestoreError(
                "the scratch etcd has %d members" % len(members), tried="started it with --force-new-cluster", remedy="Use the etcd of the backup's version."
            )
        scratch.client.update_member(str(members[0]["id"]), request.peer_url)
        known = scratch.client.barrier().raft_index
        # It saves after every second entry.
        scratch.client.barrier()
        scratch.wait_saved(known, request.timeout_seconds)


def _prove(request: Request, contents: Contents) -> Dict[str, Any]:
    """Open what was built: every key of both stores is there, and one member at the wanted URL."""
    snapshots = os.path.join(request.staged.member, "snap")
    tree = v2_tree.from_raft_snapshot(v2_tree.newest_raft_snapshot(snapshots))
    database = store_inventory(os.path.join(snapshots, "db")).as_result()
    difference = v2_tree.compare(contents.tree, tree, time.time())
    wrong = [] if difference.equal else [str(difference)]
    if list(tree.members.values()) != [[request.peer_url]]:
        wrong.append("members at %s" % ", ".join(url for urls in tree.members.values() for url in urls))
    before = contents.record["v3"]
    wrong += ["%s of the v3 store differs" % name for name in ("revision", "keys_by_prefix", "leases_total") if database[name] != before[name]]
    if wrong:
        raise RestoreError(
            "what was built is not what the backup holds",
            tried="read %s" % snapshots,
            found="; ".join(wrong),
            remedy="Use etcd and etcdctl of the version that made the backup; the old data was not touched.",
        )
    summary = tree.summary()
    return {
        "index_after": tree.index,
        "revision_after": database["revision"],
        "v2_keys_total": summary["keys_total"],
        "v2_hidden_total": summary["hidden_total"],
        "v2_digest": summary["digest"],
        "v2_expired": difference.expired,
        "v3_keys_total": database["keys_total"],
    }


def as_result(current: RestorePlan, marker: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """Fields for a module's result; without a marker, what is planned."""
    staged = current.request.staged
    result: Dict[str, Any] = {
        "staged": staged.path,
        "marker": staged.marker,
        "member_present": os.path.isdir(staged.member),
        "other_stagings": current.others,
        "index_after": None,
        "revision_after": None,
        "v2_keys_total": None,
        "v2_hidden_total": None,
        "v2_digest": "",
        "v2_expired": [],
        "v3_keys_total": None,
        "finished_at": "",
        "duration_seconds": 0.0,
    }
    result.update(current.promise())
    result.update(marker or {})
    return result
