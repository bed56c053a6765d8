# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which situation a cluster was found. What a living cluster says outweighs every record of an earlier run."""

from __future__ import annotations

import dataclasses
import enum
from typing import Dict, List, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import STARTED, HostView, PointView, Record, Seen


class Situation(enum.Enum):
    """What was found. The text of each is its row in docs/recovery.md."""

    WHOLE = "whole"
    SILENT = "silent"
    MACHINES_LOST = "machines_lost"
    MEMBERS_LOST = "members_lost"
    PART_LOST = "part_lost"
    RESTORE_SERVES = "restore_serves"
    STRAY_STORE = "stray_store"
    CLUSTER_LOST = "cluster_lost"
    DATA_THERE = "data_there"
    RESTORE_UNFINISHED = "restore_unfinished"
    RESTORE_LOST_MEMBER = "restore_lost_member"
    OTHER_RESTORE = "other_restore"


@dataclasses.dataclass(frozen=True)
class Description:
    """A row of the table of situations."""

    found: str
    done: str
    asked: str = ""


DESCRIPTIONS: Dict[Situation, Description] = {
    Situation.WHOLE: Description("etcd has quorum, no machine is empty, nothing is unfinished", "nothing"),
    Situation.SILENT: Description(
        "etcd has quorum and no machine is empty, but a member does not answer, or files are missing on a machine that is not empty",
        "nothing: such a machine is touched only when it is named",
        "`recover_node -e node_to_recover=<name>`",
    ),
    Situation.MACHINES_LOST: Description("etcd has quorum; workers or the admin node are empty", "they are rebuilt, nothing is rolled back"),
    Situation.MEMBERS_LOST: Description(
        "etcd has quorum; a machine with a member is empty, or its data are gone",
        "the lost member leaves, its files come back, it joins as a learner and is promoted; nothing is rolled back",
    ),
    Situation.PART_LOST: Description("`recover_node` or `recover_admin` while etcd has no quorum", "the named machine is rebuilt; a member of etcd is refused"),
    Situation.RESTORE_SERVES: Description(
        "an earlier run restored this recovery point and did not finish; etcd serves it with quorum",
        "no data are put over any member: services are started, members that lost their data leave and join, the rest is finished",
    ),
    Situation.STRAY_STORE: Description(
        "an etcd answers, but its revision is lower than that of the recovery point (an empty store that bootstrapped itself, or a roll back by hand)",
        "refused until chosen",
        "as in `data_there`, that store left out; or a newer recovery point of that cluster",
    ),
    Situation.CLUSTER_LOST: Description("etcd has no quorum and no data of its members is left", "every member is restored from the recovery point"),
    Situation.DATA_THERE: Description(
        "etcd has no quorum, and data of its members are still on disks (also when only system disks were lost)",
        "what was chosen; data that are replaced are moved aside",
        "`quorum_lost_source=members` (start what is there, files come back where missing), `survivor`, or `recovery_point`; the ages of all are shown",
    ),
    Situation.RESTORE_UNFINISHED: Description(
        "an earlier run of this recovery point was stopped on its way; etcd has no quorum yet",
        "the same restore goes on: token, revision and source stay",
    ),
    Situation.RESTORE_LOST_MEMBER: Description(
        "an earlier run of this recovery point was not finished, etcd ran on what it restored, and a member was lost since",
        "refused until chosen: what runs since the restore may hold newer data than the recovery point",
        "`quorum_lost_source=members`, `survivor`, or `recovery_point`",
    ),
    Situation.OTHER_RESTORE: Description(
        "a restore of another recovery point, or from another source, was begun and not finished; etcd has no quorum",
        "refused until it is finished or given up",
        "`recovery_point_id=<that one>`, or `lifeboat_give_up=<restore id>`",
    ),
}


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """A restore of etcd that was begun. ``hosts`` are those with a record of it."""

    record: Record
    hosts: Sequence[HostView]

    @property
    def token(self) -> str:
        """What tells it from all others."""
        return self.record.token


def serving(seen: Seen, point: PointView) -> List[HostView]:
    """Members that answered a read with the consent of a quorum, and know at least what the point knows."""
    return [host for host in seen.etcd_hosts if host.etcd_serves and not is_stray(host, point)]


def is_stray(host: HostView, point: PointView) -> bool:
    """Whether what serves here never was the cluster of the point: revisions only grow, and those after a restore are higher still."""
    return host.etcd_serves and point.has_snapshot and point.store != "v2" and host.etcd_revision < point.etcd_revision


def without_strays(seen: Seen, point: PointView) -> Seen:
    """Beside members that serve the cluster, one that serves a store of its own is a member that does not serve."""
    if not serving(seen, point):
        return seen
    return dataclasses.replace(seen, hosts=[dataclasses.replace(host, etcd_serves=False) if is_stray(host, point) else host for host in seen.hosts])


def unfinished(seen: Seen) -> List[Unfinished]:
    """Restores of etcd that were begun on machines of this inventory, by token."""
    found: Dict[str, List[HostView]] = {}
    for host in seen.etcd_hosts:
        if host.record is not None and host.record.begun and host.record.restores_etcd:
            found.setdefault(host.record.token, []).append(host)
    result = []
    for hosts in found.values():
        first = hosts[0].record
        if first is not None:
            result.append(Unfinished(first, hosts))
    return result


def same_restore(record: Record, point: PointView) -> bool:
    """Whether a record is of this very point: by its id and, where it was written down, by the digest of its snapshot."""
    same_data = record.source == "survivor" or not record.snapshot_sha256 or not point.snapshot_sha256 or record.snapshot_sha256 == point.snapshot_sha256
    return record.point == point.point and same_data


def restored_revision(record: Record, hosts: Sequence[HostView], point: PointView) -> int:
    """The revision at which the data of a restore begin."""
    told = [place.revision_after for host in hosts for place in host.restores if place.token == record.token]
    highest = max(told, default=0)
    if highest:
        return highest
    return record.bump_revision + (point.etcd_revision if record.source != "survivor" else 0)


def serves_restore(restore: Unfinished, seen: Seen, point: PointView) -> bool:
    """Whether a quorum serves what this restore put in place, and not what was there before it."""
    begin = restored_revision(restore.record, seen.etcd_hosts, point)
    for host in serving(seen, point):
        place = host.restored(restore.token)
        by_marker = place is not None and not place.staged
        by_revision = restore.record.bump_revision > 0 and host.etcd_revision >= begin
        if by_marker or by_revision:
            return True
    return False


def has_restored(host: HostView, token: str) -> bool:
    """Whether what this restore built is on the machine, in place or beside the data."""
    return host.restored(token) is not None


def in_place(host: HostView, token: str) -> bool:
    """Whether what this restore built is the machine's data."""
    place = host.restored(token)
    return place is not None and not place.staged and host.etcd_data


def used_since(restore: Unfinished, seen: Seen) -> List[HostView]:
    """Members on which etcd has run on the restored data: they may hold writes that nobody else holds."""
    hosts = []
    for host in seen.etcd_hosts:
        place = host.restored(restore.token)
        in_use = place is not None and in_place(host, restore.token) and place.used
        if in_use or (host.record is not None and host.record.token == restore.token and host.record.phase == STARTED and host.etcd_data):
            hosts.append(host)
    return hosts


def lost_since(restore: Unfinished, seen: Seen) -> List[HostView]:
    """Members that may have taken part in what was restored, and have nothing of it any more."""
    return [
        host
        for host in seen.etcd_hosts
        if not has_restored(host, restore.token) and (host.record is None or host.record.token != restore.token or host.record.begun)
    ]


def is_lost(host: HostView) -> bool:
    """Whether a machine is empty, or was on its way back when an earlier run ended. A machine with data and files of its own is neither."""
    if host.bare or ("etcd" in host.groups and not host.etcd_data and not host.etcd_answers):
        return True
    if host.record is None or not host.record.begun:
        return False
    # Its services ran, and its member does not now: that is a fault of today. It may have been promoted long ago.
    if host.record.phase == STARTED and "etcd" in host.groups and not host.etcd_serves and not host.needs_files:
        return False
    # Of a restore of etcd that the living cluster knows nothing of, only files can be half done; a member keeps what it has.
    return not host.record.restores_etcd or (host.files_under_way and "etcd" not in host.groups)


def is_silent(host: HostView) -> bool:
    """Whether a machine that is not empty lacks something: its member does not serve, or files are missing."""
    return not is_lost(host) and (("etcd" in host.groups and not host.etcd_serves) or host.needs_files)


def rebuilt(seen: Seen) -> List[HostView]:
    """What is rebuilt while a quorum lives, or alone: lost machines in the scope, and whatever was named and lacks something."""
    return [host for host in seen.hosts if seen.in_scope(host) and (is_lost(host) or (seen.named(host) and is_silent(host)))]


def _living(seen: Seen, point: PointView) -> Situation:
    if any(serves_restore(restore, seen, point) and same_restore(restore.record, point) for restore in unfinished(seen)) and not seen.request.scope:
        return Situation.RESTORE_SERVES
    lost = rebuilt(seen)
    if any("etcd" in host.groups for host in lost):
        return Situation.MEMBERS_LOST
    if lost:
        return Situation.MACHINES_LOST
    return Situation.SILENT if any(is_silent(host) for host in seen.hosts) and not seen.request.scope else Situation.WHOLE


def _lost(seen: Seen, point: PointView) -> Situation:
    begun = unfinished(seen)
    mine = resumable(seen, point)
    if len(begun) > 1 or (begun and mine is None):
        return Situation.OTHER_RESTORE
    if mine is not None:
        return Situation.RESTORE_LOST_MEMBER if lost_since(mine, seen) and used_since(mine, seen) else Situation.RESTORE_UNFINISHED
    return Situation.DATA_THERE if any(host.etcd_data for host in seen.etcd_hosts) else Situation.CLUSTER_LOST


def resumable(seen: Seen, point: PointView) -> Optional[Unfinished]:
    """The one begun restore of this very point."""
    begun = unfinished(seen)
    return begun[0] if len(begun) == 1 and same_restore(begun[0].record, point) else None


def classify(seen: Seen, point: PointView) -> Situation:
    """The situation of a cluster, as ``recover_cluster``, ``recover_node`` and ``recover_admin`` find it."""
    if serving(seen, point):
        return _living(seen, point)
    if seen.request.scope:
        return Situation.PART_LOST
    if any(is_stray(host, point) for host in seen.etcd_hosts):
        return Situation.DATA_THERE if seen.request.quorum_lost_source else Situation.STRAY_STORE
    return _lost(seen, point)


def table() -> str:
    """The table of situations for docs/recovery.md, in Markdown."""
    rows = ["| situation | what was found | what is done | what the operator chooses |", "|---|---|---|---|"]
    rows += ["| `%s` | %s | %s | %s |" % (situation.value, one.found, one.done, one.asked or "-") for situation, one in DESCRIPTIONS.items()]
    return "\n".join(rows) + "\n"
