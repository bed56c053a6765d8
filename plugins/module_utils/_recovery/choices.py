# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions that only the operator can answer: whose data become the cluster when nobody serves it, and what becomes of a restore that was begun."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery import situations
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.refusals import RecoveryRefused, Way
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.situations import Unfinished
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import HostView, PointView, Record, Seen, listed

SOURCES = ("recovery_point", "survivor", "members")
SOURCE = "quorum_lost_source"
SURVIVOR = "quorum_lost_survivor"


def with_data(seen: Seen, point: PointView) -> List[HostView]:
    """Members whose data are on their disks; not a store that never was the cluster."""
    return [host for host in seen.etcd_hosts if host.etcd_data and not situations.is_stray(host, point)]


def ages(seen: Seen, point: PointView) -> str:
    """How old everything is that could become the cluster."""
    now = seen.request.now
    rows = ["recovery point %s: taken %.0f s ago" % (point.point, now - point.taken_at)]
    several = len(_lineages(seen, point)) > 1
    for host in with_data(seen, point):
        told = ["last written %.0f s ago" % (now - host.etcd_data_newest) if host.etcd_data_newest else "nobody knows when last written"]
        told += ["revision %d" % host.etcd_own_revision] if host.etcd_own_revision else []
        told += ["of cluster %s" % (host.etcd_data_cluster or "unknown")] if several else []
        told += ["moved aside by earlier restores: %s" % ", ".join(host.etcd_asides)] if host.etcd_asides else []
        rows.append("data on %s: %s" % (host.name, ", ".join(told)))
    rows += ["%s is unreachable, its data are unknown" % name for name in seen.unreachable if name in point.etcd_members]
    return "; ".join(rows)


def _lineages(seen: Seen, point: PointView) -> List[List[HostView]]:
    """Members with data, those of one cluster together, the largest group first: members of two clusters never form a quorum.

    Of data that do not tell it is taken that they belong to the others, as long as those are of one cluster.
    """
    groups: Dict[str, List[HostView]] = {}
    for host in with_data(seen, point):
        groups.setdefault(host.etcd_data_cluster, []).append(host)
    if len(groups) == 2 and "" in groups:
        groups = {"": with_data(seen, point)}
    return sorted(groups.values(), key=len, reverse=True)


def _holders(seen: Seen, point: PointView) -> List[HostView]:
    """Members whose data can start together."""
    groups = _lineages(seen, point)
    return groups[0] if groups else []


def _majority(holders: Sequence[HostView], seen: Seen, point: PointView) -> int:
    """How many members have to start with their own data for a quorum: of those that the data name, else of those of the recovery point."""
    told = max((host.etcd_data_voters for host in holders), default=0)
    return (told or len(point.etcd_members or seen.etcd_hosts)) // 2 + 1


def ways(seen: Seen, point: PointView) -> List[Way]:
    """What can be chosen, the choice that loses least first."""
    found = []
    holders = _holders(seen, point)
    if len(holders) >= _majority(holders, seen, point):
        found.append(Way("the members start with the data that they have (%s); files come back where they are missing" % listed(holders), {SOURCE: "members"}))
    lineages = _lineages(seen, point) if point.store == "v3" else []
    for group in lineages:
        best = _furthest(group)
        read = "" if best.etcd_answers else ", read from its disk: what was written in the last moment before it ended may be missing"
        named = {SURVIVOR: best.name} if len(lineages) > 1 else {}
        found.append(Way("the data on %s becomes the cluster%s" % (best.name, read), {SOURCE: "survivor", **named}))
    found.append(Way("recovery point %s becomes the cluster; the data on the disks is moved aside" % point.point, {SOURCE: "recovery_point"}))
    return found


def chosen(seen: Seen, point: PointView) -> str:
    """The source that the operator chose. Raises the question when nothing was chosen."""
    if seen.request.quorum_lost_source in SOURCES:
        return seen.request.quorum_lost_source
    restored = situations.resumable(seen, point)
    raise RecoveryRefused(
        "Quorum is lost, but data of members is still there: choose which one to use."
        if restored is None
        else "An earlier run restored recovery point %s, etcd has run since, and %s was lost: choose which data to use."
        % (point.point, listed(situations.lost_since(restored, seen))),
        tried="a linearizable read on every etcd host; looked for data on their disks",
        found=ages(seen, point),
        ways=ways(seen, point),
    )


def _furthest(hosts: Sequence[HostView]) -> HostView:
    """The member of one cluster that got furthest. Of two that are equal the one that answers: it can be asked for a snapshot with a checksum."""
    return max(hosts, key=lambda host: (host.etcd_own_revision, host.etcd_answers, host.etcd_data_newest or 0.0))


def survivor(seen: Seen, point: PointView) -> HostView:
    """The member whose data becomes the cluster. Raises RecoveryRefused when there is none, and when data of several clusters are there and none was named."""
    groups = _lineages(seen, point)
    named = [host for host in with_data(seen, point) if host.name == seen.request.survivor]
    if named:
        return named[0]
    if len(groups) != 1 or seen.request.survivor:
        raise RecoveryRefused(
            "%s has no data of etcd." % seen.request.survivor
            if seen.request.survivor
            else "Data of several clusters are there: name the member whose data become the cluster."
            if groups
            else "No member has data, so none can become the cluster.",
            tried="looked for data on every etcd host, and of which cluster they are",
            found=ages(seen, point),
            ways=[way for way in ways(seen, point) if groups or way.variables.get(SOURCE) != "survivor"],
        )
    return _furthest(groups[0])


def startable(seen: Seen, point: PointView) -> List[HostView]:
    """Members that start with their own data. There have to be enough of them for a quorum."""
    holders = _holders(seen, point)
    if len(holders) < _majority(holders, seen, point):
        raise RecoveryRefused(
            "Too few members have data of one cluster: %d, and %d make a quorum." % (len(holders), _majority(holders, seen, point)),
            tried="looked for data on every etcd host, and of which cluster they are",
            found=ages(seen, point),
            ways=[way for way in ways(seen, point) if way.variables.get(SOURCE) != "members"],
        )
    return holders


def check_resumed(seen: Seen, point: PointView, restore: Unfinished) -> None:
    """An unfinished restore goes on with its own source, onto its own members. Whoever says something else has to give it up first: nothing said is ignored."""
    record = restore.record
    choice = seen.request.quorum_lost_source
    if choice and choice != record.source:
        raise RecoveryRefused(
            "An earlier run began to restore %s, and %s=%s says something else." % (_described(record), SOURCE, choice),
            tried="go on with restore %s" % record.restore_id,
            found=ages(seen, point),
            ways=[
                Way("go on with that restore", {SOURCE: record.source}),
                Way("give that restore up, and use this", {**_give_up(seen, "", record).variables, SOURCE: choice}),
            ],
        )
    wanted = {name for name in point.etcd_members if name not in seen.request.missing_members}
    if record.members and set(record.members) != wanted:
        raise RecoveryRefused(
            "An earlier run began to restore onto other members of etcd: %s." % ", ".join(sorted(record.members)),
            tried="go on with restore %s" % record.restore_id,
            found="members now: %s" % ", ".join(sorted(wanted)),
            ways=[_give_up(seen, "give that restore up, and restore onto the members of now", record)],
        )


def _described(record: Record) -> str:
    return "what it saved of the survivor" if record.source == "survivor" else "recovery point " + record.point


def check_new_survivors(seen: Seen, point: PointView, restore: Unfinished) -> None:
    """Data that came to light after the source was chosen, or that nobody was asked about, are asked about now."""
    if restore.record.choice or seen.request.quorum_lost_source:
        return
    unknown = [host for host in with_data(seen, point) if not situations.in_place(host, restore.token)]
    if unknown:
        raise RecoveryRefused(
            "Data of members are there that the earlier run did not see: %s." % listed(unknown),
            tried="looked for data on every etcd host",
            found=ages(seen, point),
            ways=[
                Way("go on with recovery point %s; these data are moved aside" % point.point, {SOURCE: "recovery_point"}),
                _give_up(seen, "give the earlier run up and choose anew", restore.record),
            ],
        )


def check_saved(seen: Seen, restore: Unfinished) -> None:
    """What was saved of a survivor lies on the members alone: whoever lost it can only join the others later."""
    without = [host for host in seen.etcd_hosts if not situations.has_restored(host, restore.token)]
    if without:
        raise RecoveryRefused(
            "What an earlier run saved of the survivor is not on: %s." % listed(without),
            tried="looked for what restore %s built on every etcd host" % restore.record.restore_id,
            found="it is on: %s" % listed([host for host in seen.etcd_hosts if host not in without]),
            ways=[_give_up(seen, "give that restore up and choose anew", restore.record)],
        )


def _finish(record: Record) -> Way:
    return Way("finish it", {"recovery_point_id": record.point}, record.playbook)


def _give_up(seen: Seen, text: str, *records: Record) -> Way:
    """What was given up with this very command already is named again: the option has one value."""
    return Way(text, {"lifeboat_give_up": ",".join([*seen.request.give_up, *(record.restore_id for record in records)])})


def other_restore(seen: Seen, point: PointView) -> RecoveryRefused:
    """A restore of something else was begun, and nothing serves: it is finished, or given up by its id."""
    begun = situations.unfinished(seen)
    others = [one.record for one in begun if not situations.same_restore(one.record, point)] or [one.record for one in begun]
    return RecoveryRefused(
        "Another restore is unfinished on machines of this cluster.",
        tried="begin a restore of recovery point %s" % point.point,
        found="; ".join(
            "restore %s of recovery point %s (%s) on %s" % (one.record.restore_id, one.record.point, one.record.source, listed(one.hosts)) for one in begun
        ),
        ways=[
            *([_finish(others[0])] if len(begun) == 1 else []),
            _give_up(seen, "give it up: its record goes into the history, what it staged is moved aside", *others),
        ],
    )


def check_unfinished(seen: Seen, point: PointView, mine: Optional[Unfinished]) -> None:
    """``restore_etcd`` on a cluster that does not serve: not into the middle of another restore, nor over what ran since its own."""
    others = [one for one in situations.unfinished(seen) if mine is None or one.token != mine.token]
    if others:
        raise other_restore(seen, point)
    if mine is not None:
        check_resumed(seen, point, mine)
    # A choice between sources is no answer: the same member with an empty log would vote beside one that has acknowledged writes.
    if mine is not None and situations.lost_since(mine, seen) and situations.used_since(mine, seen):
        raise RecoveryRefused(
            "An earlier run restored recovery point %s, etcd has run since, and %s was lost." % (point.point, listed(situations.lost_since(mine, seen))),
            tried="looked for what that run restored on every etcd host",
            found=ages(seen, point),
            ways=[
                Way("choose which data to use", {}, "recover_cluster"),
                _give_up(seen, "give the earlier run up: every member goes back to the recovery point once more", mine.record),
            ],
        )


def stray(seen: Seen, point: PointView) -> RecoveryRefused:
    """An etcd serves that knows less than the point: nobody can tell a store that began empty from one that somebody rolled back."""
    strays = [host for host in seen.etcd_hosts if situations.is_stray(host, point)]
    return RecoveryRefused(
        "etcd answers on %s, but it is not the cluster of recovery point %s." % (listed(strays), point.point),
        tried="compared the revision that is served with that of the recovery point; revisions only grow",
        found="%s; the point has %d. %s"
        % ("; ".join("%s serves revision %d" % (host.name, host.etcd_revision) for host in strays), point.etcd_revision, ages(seen, point)),
        # It is an empty store that began by itself; its data are moved aside, whatever is chosen.
        ways=[
            *ways(seen, point),
            Way("it is the cluster, and somebody rolled it back: take a recovery point of it now, and recover with that one", {}, "backup_cluster"),
        ],
    )
