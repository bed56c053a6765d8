# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building a member's data directory from a snapshot: staged inside the data directory, proven, marked, and never in the way of the old one."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import RestoreError, SnapshotInvalid
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.staged import Staged
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.tools import Tool, environment, etcdutl, survey
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.inventory import Inventory, Store
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.snapshot import FileProof, iso_time, owner_ids, prove
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import programs
from ansible_collections.lifeboat.cluster.plugins.module_utils.releases import Version, restores_since

_HIGHEST_REVISION = (1 << 63) - 1
_TAIL = 2000
# etcd reserves its log in segments of 64 MiB: the one in use and the next.
_LOG_BYTES = 2 * 64 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """What is to be built. All members of one restore get the same snapshot, token and bump."""

    snapshot: str
    data_dir: str
    name: str
    initial_cluster: Mapping[str, str]
    token: str
    peer_url: str = ""
    snapshot_sha256: str = ""
    bump_revision: int = 0
    etcdutl: str = ""
    etcdutl_shipped: str = ""
    skip_hash_check: bool = False
    owner: str = ""
    timeout_seconds: float = 3600.0

    def __post_init__(self) -> None:
        def refuse(message: str, remedy: str) -> None:
            raise RestoreError(message, remedy=remedy)

        Staged(self.data_dir, self.token)
        if not 0 <= self.bump_revision < _HIGHEST_REVISION // 2:
            refuse("bump_revision %d is out of range" % self.bump_revision, "Give the highest revision ever served, minus the snapshot's, plus slack.")
        if self.name not in self.initial_cluster:
            refuse("%s is not in initial_cluster" % self.name, "It has %s." % (", ".join(sorted(self.initial_cluster)) or "no members"))
        for name, url in self.initial_cluster.items():
            if not re.fullmatch(r"https?://[^\s,=]+", url) or not name or re.search(r"[\s,=]", name):
                refuse("initial_cluster has the unusable entry %s=%s" % (name, url), "Give name: peer URL, such as node1: https://192.0.2.11:2380.")
        if self.peer_url and self.peer_url != self.initial_cluster[self.name]:
            refuse(
                "peer_url %s differs from %s in initial_cluster" % (self.peer_url, self.initial_cluster[self.name]),
                "They must be equal: a member registered under another URL does not find its cluster.",
            )

    @property
    def staged(self) -> Staged:
        """The directory that is built."""
        return Staged(self.data_dir, self.token)


@dataclass(frozen=True)
class RestorePlan:
    """What a run will do: nothing when the marker tells that it was done."""

    request: Request
    proof: FileProof
    done: Optional[Dict[str, Any]] = None
    unfinished: bool = False
    others: List[str] = field(default_factory=list)
    storage_version: str = ""

    @property
    def since(self) -> Version:
        """The first release whose etcdutl may do it."""
        return restores_since(self.storage_version, bump=self.request.bump_revision > 0)

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return self.done is None

    def promise(self) -> Dict[str, Any]:
        """The part of the marker that is known before the restore; a marker with the same part is the same restore."""
        request = self.request
        return {
            "snapshot_sha256": self.proof.sha256,
            "token": request.token,
            "bump_revision": request.bump_revision,
            "name": request.name,
            "peer_url": request.initial_cluster[request.name],
            "initial_cluster": dict(sorted(request.initial_cluster.items())),
        }


def plan(request: Request) -> RestorePlan:
    """Prove the snapshot, look at what stands, and compare space; changes nothing."""
    proof = prove(request.snapshot, skip_hash_check=request.skip_hash_check)
    if request.snapshot_sha256 and proof.sha256 != request.snapshot_sha256.lower():
        raise SnapshotInvalid(
            "%s is not the snapshot that was asked for" % request.snapshot,
            tried="compared its sha256",
            found="%s, wanted %s" % (proof.sha256, request.snapshot_sha256),
            remedy="Fetch the recovery point's snapshot again.",
            path=request.snapshot,
            reason="other_snapshot",
        )
    with Store.open(request.snapshot) as store:
        draft = RestorePlan(request, proof, others=request.staged.others(), storage_version=store.storage_version)
    done = request.staged.done(draft.promise())
    if done is not None:
        return replace(draft, done=done)
    request.staged.require_space(proof.size_bytes, _LOG_BYTES)
    return replace(draft, unfinished=os.path.lexists(request.staged.path))


def apply(current: RestorePlan) -> Dict[str, Any]:
    """Build the staging directory, prove what was built, write the marker; returns what the marker holds."""
    request = current.request
    identity = owner_ids(request.owner) if request.owner else None
    staged = request.staged
    with staged.exclusive(identity) as lock:
        # Somebody else's run may have finished while we waited.
        current = plan(request)
        if current.done is not None:
            return current.done
        started = time.monotonic()
        staged.remove()
        with Store.open(request.snapshot) as store:
            before = store.inventory(kinds=False)
        with etcdutl(request.etcdutl, request.etcdutl_shipped, since=current.since) as tool:
            _run(tool, request, lock)
        staged.tighten(identity)
        after = _prove_result(request, before)
        marker = current.promise()
        marker.update(
            revision_after=after.revision,
            keys_total=after.keys_total,
            etcdutl=tool.path,
            etcdutl_source=tool.source,
            etcdutl_version=tool.version,
            finished_at=iso_time(time.time()),
            duration_seconds=round(time.monotonic() - started, 3),
        )
        staged.write_marker(marker)
        return marker


def foresee(current: RestorePlan) -> Dict[str, Any]:
    """Which etcdutl a run would use; raises when it would find none."""
    tool = survey(current.request.etcdutl, current.request.etcdutl_shipped, since=current.since)
    return {"etcdutl": tool.path, "etcdutl_source": tool.source, "etcdutl_version": tool.version}


def as_result(current: RestorePlan, marker: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """Fields for a module's result; without a marker, what is planned."""
    request = current.request
    result: Dict[str, Any] = {
        "staged": request.staged.path,
        "marker": request.staged.marker,
        "member_present": os.path.isdir(request.staged.member),
        "other_stagings": current.others,
        "etcdutl": "",
        "etcdutl_source": "",
        "etcdutl_version": "",
        "revision_after": None,
        "keys_total": None,
        "finished_at": "",
        "duration_seconds": 0.0,
    }
    result.update(current.promise())
    result.update(marker or {})
    return result


def command(tool: Tool, request: Request) -> List[str]:
    """The call of etcdutl; nothing in it is secret."""
    result = [
        tool.path,
        "snapshot",
        "restore",
        os.path.abspath(request.snapshot),
        "--data-dir=%s" % request.staged.path,
        "--name=%s" % request.name,
        "--initial-cluster=%s" % ",".join("%s=%s" % pair for pair in sorted(request.initial_cluster.items())),
        "--initial-cluster-token=%s" % request.token,
        "--initial-advertise-peer-urls=%s" % request.initial_cluster[request.name],
    ]
    if request.bump_revision:
        result += ["--bump-revision=%d" % request.bump_revision, "--mark-compacted"]
    if request.skip_hash_check:
        result.append("--skip-hash-check")
    return result


# By a shell: code of ours between fork and exec is not safe, as Python's own documentation says of preexec_fn.
_PRIVATE = ("sh", "-c", 'umask 077 && exec "$@"', "sh")


def _run(tool: Tool, request: Request, lock: int) -> None:
    arguments = command(tool, request)
    try:
        answer = programs.run([*_PRIVATE, *arguments], timeout_seconds=request.timeout_seconds, together=True, environment=environment(), pass_fds=(lock,))
    except programs.TooLong:
        raise RestoreError("etcdutl did not finish within %g s" % request.timeout_seconds, tried=" ".join(arguments), remedy="Raise the time-out.") from None
    if answer.returncode:
        request.staged.remove()
        raise RestoreError(
            "etcdutl could not restore the snapshot",
            tried=" ".join(arguments),
            found="status %d: %s" % (answer.returncode, answer.stdout.decode("utf-8", "replace").strip()[-_TAIL:]),
            remedy="Read its words above; nothing was left behind, and the old data was not touched.",
            status=answer.returncode,
        )


def _prove_result(request: Request, before: Inventory) -> Inventory:
    """Open what was built: the revision moved by the bump, every key is there, the members are the wanted ones."""
    database = os.path.join(request.staged.member, "snap", "db")
    with Store.open(database) as store:
        after = store.inventory(kinds=False)
    wrong: List[str] = []
    expected = before.highest_row_revision + request.bump_revision
    if after.highest_row_revision != expected:
        wrong.append("revision %d, expected %d" % (after.highest_row_revision, expected))
    if request.bump_revision and after.scheduled_compact_revision < expected:
        wrong.append("revisions up to %d are not marked as compacted" % expected)
    if after.keys_by_prefix != before.keys_by_prefix:
        wrong.append("%d keys, the snapshot has %d" % (after.keys_total, before.keys_total))
    if after.leases_total != before.leases_total:
        wrong.append("%d leases, the snapshot has %d" % (after.leases_total, before.leases_total))
    members = {member.name: member.peer_urls[:1] for member in after.members}
    if members != {name: (url,) for name, url in request.initial_cluster.items()}:
        wrong.append("members %s" % ", ".join(sorted(members)))
    if wrong:
        raise RestoreError(
            "what etcdutl built is not what the snapshot holds",
            tried="read %s" % database,
            found="; ".join(wrong),
            remedy="Try another etcdutl; the old data was not touched.",
        )
    return after
