# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery will do: pure functions, one for each situation, from what was seen to a plan or a refusal. Nothing here talks to a machine."""

from __future__ import annotations

import dataclasses
from typing import Callable, Dict, List, Mapping, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery import choices, refusals, situations
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.recovery_plan import RecoveryPlan
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.refusals import RecoveryRefused, Way
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.situations import Situation, Unfinished
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.tokens import Token, rebuild_token, restore_token
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import HostView, PointView, Seen, listed, names


def peers(seen: Seen, point: PointView) -> Dict[str, str]:
    """Peer URL of each machine of group etcd that the point knows."""
    return {host.name: point.etcd_members[host.name] for host in seen.etcd_hosts if host.name in point.etcd_members}


def superseded(plan: RecoveryPlan, seen: Seen) -> Dict[str, str]:
    """Restore records that the plan makes history, because it was decided without them."""
    mine = (plan.token, plan.point)
    return {
        host.name: host.record.restore_id
        for host in seen.hosts
        if host.name in plan.planned_hosts and host.record is not None and host.record.begun and (host.record.token, host.record.point) != mine
    }


def _speaker(seen: Seen, plan: RecoveryPlan, point: PointView) -> str:
    """A control plane that can tell about the cluster: one that serves already, or is left as it is before a living etcd; else the first that is started."""
    masters = [host for host in seen.hosts if "control_plane" in host.groups and host.name not in plan.left_hosts]
    members = situations.serving(seen, point)
    alive = [host for host in masters if host in members and host.name not in plan.member_hosts]
    started = [host for host in masters if host.name in plan.start_hosts + plan.member_hosts]
    untouched = [host for host in seen.api_servers if members and host in masters and host not in started]
    return (alive or untouched or started or [HostView("", (), False)])[0].name


def _complete(plan: RecoveryPlan, seen: Seen, point: PointView, situation: Situation) -> RecoveryPlan:
    """What follows from the lists of a plan."""
    quorum = bool(situations.serving(seen, point)) or situation is not Situation.PART_LOST
    changed = set(plan.planned_hosts + plan.start_hosts + plan.worker_hosts + plan.admin_hosts)
    return dataclasses.replace(
        plan,
        situation=situation.value,
        restored_components=_restored(plan, seen),
        give_up=list(seen.request.give_up),
        living_hosts=[host.name for host in seen.hosts if host.name not in (changed - set(plan.worker_hosts)) | set(plan.file_hosts + plan.left_hosts)],
        living_members=names(situations.serving(seen, point)) or [name for name in plan.start_hosts if "etcd" in seen.host(name).groups],
        verify_hosts=[host.name for host in seen.hosts if host.name not in plan.left_hosts and (quorum or host.name in changed)],
        rebuilt_hosts=[host.name for host in seen.hosts if host.name in changed] if seen.unreachable or plan.left_hosts else [],
        api_hosts=[host.name for host in seen.api_servers if host.name in plan.start_hosts],
        speaker=_speaker(seen, plan, point) if quorum else "",
        voters=len([host for host in seen.etcd_hosts if host.name not in plan.left_hosts]),
        record_hosts=[
            host.name for host in seen.hosts if host.name in plan.planned_hosts or (host.record is not None and plan.token and host.record.token == plan.token)
        ],
        superseded=superseded(plan, seen),
    )


def _restored(plan: RecoveryPlan, seen: Seen) -> Dict[str, List[str]]:
    """What each host gets out of the recovery point."""
    restored: Dict[str, List[str]] = {}
    for host in seen.hosts:
        components = [one for one in seen.components.get(host.name, ()) if one != "etcd"] if host.name in plan.file_hosts else []
        components += ["etcd"] if host.name in plan.etcd_hosts and plan.source == "recovery_point" else []
        if components:
            restored[host.name] = components
    return restored


# With a quorum


def _left(seen: Seen) -> List[HostView]:
    """Machines that lack something and are not touched."""
    taken = situations.rebuilt(seen)
    return [host for host in seen.hosts if host not in taken and (situations.is_lost(host) or situations.is_silent(host))]


def _besides(left: Sequence[HostView]) -> str:
    return " Left as they are, though something is lost there: %s (recover_node -e node_to_recover=<name>)." % listed(left) if left else ""


def _whole(seen: Seen, point: PointView) -> RecoveryPlan:
    left = _left(seen)
    if seen.request.scope:
        reason = "no machine of %s is empty: there is nothing to recover.%s" % (", ".join(seen.request.scope), _besides(left))
    else:
        reason = "etcd has quorum and no machine is empty: there is nothing to recover. To go back in time use lifeboat.cluster.restore_etcd."
    return RecoveryPlan("nothing", reason, point.point, left_hosts=names(left), initial_cluster=peers(seen, point))


def _silent(seen: Seen, _point: PointView) -> RecoveryPlan:
    silent = [host for host in seen.hosts if situations.is_silent(host)]
    found = [
        "%s: %s"
        % (
            host.name,
            "; ".join(
                (["its member of etcd does not answer, its data are there"] if "etcd" in host.groups and not host.etcd_serves else [])
                + ["%s is missing" % path for path in host.missing_files]
                + list(host.faulty_files)
            ),
        )
        for host in silent
    ]
    raise RecoveryRefused(
        "etcd has quorum and no machine is empty, but something is wrong on: %s." % listed(silent),
        tried="asked every member for a linearizable read, again for a minute; looked for the files that a restore would bring",
        found="; ".join(found),
        ways=[
            Way("look why it does not run (journalctl -u kubelet, crictl logs): a member that only has to be started loses nothing", repair=True),
            Way("rebuild this machine: its data are moved aside, it leaves etcd and joins anew", {"node_to_recover": silent[0].name}, "recover_node"),
        ],
    )


def _rebuild(seen: Seen, point: PointView) -> RecoveryPlan:
    """Lost machines come back into a cluster that lives, or alone. Whoever has files of its own keeps them."""
    lost, left = situations.rebuilt(seen), _left(seen)
    # Files are in place before a member is started: one that serves has them.
    files = [host for host in lost if host.needs_files or (host.files_under_way and not host.etcd_serves)]
    refusals.check_artifacts(files, seen, point)
    members = [host for host in lost if "etcd" in host.groups and (not host.etcd_serves or (host.record is not None and host.record.phase == "added"))]
    _check_joining(members, point)
    refusals.check_mounts(members, seen, point)
    token = rebuild_token(lost, point)
    rest = [host for host in lost if host not in members]
    admins = [host for host in rest if host in seen.admins]
    workers = [host for host in rest if host in seen.workers]
    return RecoveryPlan(
        "rebuild_members" if members else "rebuild_admin" if len(admins) == len(lost) else "rebuild_workers",
        "%s: %s rebuilt, nothing is rolled back.%s"
        % ("etcd has quorum" if situations.serving(seen, point) else "only what was named", listed(lost), _besides(left)),
        point.point,
        token=token.token,
        adopted=token.adopted,
        file_hosts=names(files),
        member_hosts=names(members),
        admin_hosts=names(admins),
        stop_hosts=[host.name for host in lost if (not host.bare and (host in files or host in members)) or host in admins],
        start_hosts=[host.name for host in rest if host not in admins and host not in workers],
        worker_hosts=names(workers),
        left_hosts=names(left),
        initial_cluster=peers(seen, point),
    )


def _check_joining(members: Sequence[HostView], point: PointView) -> None:
    """Who joins does so under the name and address that the point has of it."""
    strange = [host.name for host in members if host.name not in point.etcd_members]
    if strange:
        raise RecoveryRefused(
            "Recovery point %s does not know these as members of etcd: %s." % (point.point, ", ".join(strange)),
            tried="looked for their names and peer addresses in the recovery point",
            found="members of the point: %s" % (", ".join(sorted(point.etcd_members)) or "none"),
            ways=[Way("use a recovery point that was made after they joined (list_recovery_points)", {"recovery_point_id": "<id>"})],
        )


def _part(seen: Seen, point: PointView) -> RecoveryPlan:
    members = [host for host in seen.hosts if seen.named(host) and "etcd" in host.groups]
    if members:
        raise RecoveryRefused(
            "etcd has no quorum, so %s can't come back alone." % listed(members),
            tried="a linearizable read on every etcd host",
            found="no answer",
            ways=[Way("bring all members back together; members that are gone are named there with confirm_missing_members", {}, "recover_cluster")],
        )
    return _rebuild(seen, point) if situations.rebuilt(seen) else _whole(seen, point)


def _restored_from(source: str, point: PointView) -> str:
    return "what it saved of the survivor" if source == "survivor" else "recovery point " + point.point


def finish_restore(seen: Seen, point: PointView, restore: Unfinished) -> RecoveryPlan:
    """etcd serves what an earlier run restored: nothing is put over any member that has data of it. Who lost them leaves and joins."""
    record = restore.record
    silent = [host for host in seen.etcd_hosts if not host.etcd_serves and not situations.in_place(host, restore.token)]
    members = [host for host in silent if not host.etcd_data or (host.record is not None and host.record.token == restore.token)]
    left = [host for host in silent if host not in members]
    files = [host for host in seen.hosts if host not in left and (host.needs_files or (host.files_under_way and not host.etcd_serves))]
    refusals.check_artifacts(files, seen, point)
    refusals.check_mounts(members, seen, point)
    _check_joining(members, point)
    admins = [host for host in seen.admins if host in files or host.under_way]
    started = [host for host in seen.control_plane if host not in silent]
    clients = [host for host in seen.workers if point.store != "v3" and not host.bare]
    return RecoveryPlan(
        "finish_restore",
        "an earlier run restored %s, and etcd serves it: %s joins anew, services are started, nothing is rolled back.%s "
        "To restore it once more, give that run up: -e lifeboat_give_up=%s."
        % (_restored_from(record.source, point), listed(members), _besides(left), record.restore_id),
        point.point,
        token=record.token,
        bump_revision=record.bump_revision,
        adopted=True,
        source=record.source,
        choice=record.choice,
        file_hosts=names(files),
        member_hosts=names(members),
        admin_hosts=names(admins),
        stop_hosts=names([host for host in members if not host.bare] + [host for host in files if host not in members and not host.bare] + clients),
        start_hosts=names(started),
        worker_hosts=names(seen.workers),
        left_hosts=names(left),
        initial_cluster=peers(seen, point),
    )


def _restore_serves(seen: Seen, point: PointView) -> RecoveryPlan:
    restore = next(one for one in situations.unfinished(seen) if situations.serves_restore(one, seen, point))
    return finish_restore(seen, point, restore)


# Without a quorum


def _restore(seen: Seen, point: PointView, token: Token, *, source: str, reason: str, survivor: Optional[HostView] = None) -> RecoveryPlan:
    """Every member is restored from one source."""
    members = refusals.check_members(seen, point)
    refusals.check_mounts(seen.etcd_hosts, seen, point)
    # Keys and configuration of a machine that still has its own are newer than those of the point: they stay. Decided anew in every run.
    files = [host for host in seen.hosts if host.needs_files or host.files_under_way]
    refusals.check_artifacts(files, seen, point)
    if source != "survivor":
        refusals.check_versions([host for host in seen.control_plane if host not in files], seen, point)
    admins = [host for host in files if host in seen.admins]
    return RecoveryPlan(
        "rebuild_cluster",
        reason + _fewer(seen),
        point.point,
        token=token.token,
        bump_revision=token.bump_revision,
        adopted=token.adopted,
        source=source,
        choice=seen.request.quorum_lost_source,
        survivor=survivor.name if survivor else "",
        file_hosts=names(files),
        etcd_hosts=members,
        admin_hosts=names(admins),
        # What an earlier run began on the admin node may run by now, and programs of an empty one do; the services of one that lives are none of this.
        stop_hosts=[host.name for host in seen.hosts if ((host in seen.control_plane or host in files) and not host.bare) or host in admins],
        start_hosts=names(seen.control_plane),
        worker_hosts=names(seen.workers),
        initial_cluster={name: point.etcd_members[name] for name in members},
    )


def _fewer(seen: Seen) -> str:
    missing = seen.request.missing_members
    return " Without %s, which can join later: lifeboat.cluster.recover_cluster." % ", ".join(missing) if missing else ""


def _cluster_lost(seen: Seen, point: PointView) -> RecoveryPlan:
    refusals.check_snapshot(point)
    reason = "etcd has no quorum: every member is restored from recovery point %s." % point.point
    return _restore(seen, point, restore_token(seen, point), source="recovery_point", reason=reason)


def _resume(seen: Seen, point: PointView) -> RecoveryPlan:
    restore = situations.resumable(seen, point)
    if restore is None:
        return _cluster_lost(seen, point)
    refusals.check_snapshot(point)
    choices.check_resumed(seen, point, restore)
    choices.check_new_survivors(seen, point, restore)
    saved = restore.record.source == "survivor"
    if saved:
        choices.check_saved(seen, restore)
    reason = "etcd has no quorum: every member is restored from %s, as an earlier run began. To choose anew, give that run up: -e lifeboat_give_up=%s." % (
        _restored_from(restore.record.source, point),
        restore.record.restore_id,
    )
    return _restore(seen, point, restore_token(seen, point, resumed=restore), source=restore.record.source, reason=reason)


def _data_there(seen: Seen, point: PointView) -> RecoveryPlan:
    """Data of members are there and nobody serves them: the operator chooses what becomes the cluster."""
    refusals.check_snapshot(point)
    source = choices.chosen(seen, point)
    if source == "members":
        return _start_members(seen, point)
    survivor = choices.survivor(seen, point) if source == "survivor" else None
    where = "the data on %s%s" % (survivor.name, "" if survivor.etcd_answers else " (read from its disk)") if survivor else "recovery point " + point.point
    reason = "etcd has no quorum: every member is restored from %s." % where
    return _restore(seen, point, restore_token(seen, point, survivor), source=source, reason=reason, survivor=survivor)


def _start_members(seen: Seen, point: PointView) -> RecoveryPlan:
    """The members' own data become the cluster: files come back where they are missing, data are not touched, lost members join afterwards."""
    whole = choices.startable(seen, point)
    lost = [host for host in seen.etcd_hosts if host not in whole]
    files = [host for host in seen.hosts if host.needs_files or host.files_under_way]
    refusals.check_artifacts(files, seen, point)
    refusals.check_mounts(lost, seen, point)
    _check_joining(lost, point)
    admins = [host for host in files if host in seen.admins]
    token = rebuild_token([], point)
    return RecoveryPlan(
        "start_members",
        "etcd has no quorum: the members start with the data that they have on %s; joining anew: %s. No snapshot is restored." % (listed(whole), listed(lost)),
        point.point,
        token=token.token,
        source="members",
        choice=seen.request.quorum_lost_source,
        file_hosts=names(files),
        member_hosts=names(lost),
        admin_hosts=names(admins),
        stop_hosts=names([host for host in seen.hosts if not host.bare and (host in files or host in lost)]),
        start_hosts=names([host for host in seen.control_plane if host not in lost]),
        worker_hosts=names(seen.workers),
        initial_cluster=peers(seen, point),
    )


def _other_restore(seen: Seen, point: PointView) -> RecoveryPlan:
    raise choices.other_restore(seen, point)


def _stray(seen: Seen, point: PointView) -> RecoveryPlan:
    raise choices.stray(seen, point)


PLANNERS: Mapping[Situation, Callable[[Seen, PointView], RecoveryPlan]] = {
    Situation.WHOLE: _whole,
    Situation.SILENT: _silent,
    Situation.MACHINES_LOST: _rebuild,
    Situation.MEMBERS_LOST: _rebuild,
    Situation.PART_LOST: _part,
    Situation.RESTORE_SERVES: _restore_serves,
    Situation.STRAY_STORE: _stray,
    Situation.CLUSTER_LOST: _cluster_lost,
    Situation.DATA_THERE: _data_there,
    Situation.RESTORE_UNFINISHED: _resume,
    Situation.RESTORE_LOST_MEMBER: _data_there,
    Situation.OTHER_RESTORE: _other_restore,
}


def _check(seen: Seen, point: PointView) -> None:
    """What has to hold whatever the situation."""
    refusals.check_groups(seen, point)
    refusals.check_scope(seen)
    refusals.check_reachable(seen, point)
    refusals.check_seen(seen, bool(situations.serving(seen, point)))
    refusals.check_identity(seen, point)
    refusals.check_one_cluster(situations.serving(seen, point))


def plan_recovery(seen: Seen, point: PointView) -> RecoveryPlan:
    """Decide what ``recover_cluster`` does. Raises RecoveryRefused, always before any change."""
    _check(seen, point)
    seen = situations.without_strays(seen, point)
    situation = situations.classify(seen, point)
    plan = one_then_grow(PLANNERS[situation](seen, point), seen, point)
    return _complete(plan, seen, point, situation)


def plan_roll_back(seen: Seen, point: PointView) -> RecoveryPlan:
    """Decide what ``restore_etcd`` does: put the snapshot over every member of a cluster whose machines are all there.

    Only an unfinished run of it is gone on with. A restore that was finished is history: the same command rolls back once more.
    """
    if seen.request.scope:
        raise RecoveryRefused(
            "A roll back is of the whole cluster, and lifeboat_scope says %s." % ", ".join(seen.request.scope),
            tried="restore etcd on a part of its members",
            found="every member gets the data of the recovery point, or none",
            ways=[
                Way("roll every member back", {"lifeboat_scope": "everything"}),
                Way("bring back machines that are lost, nothing is rolled back", {"lifeboat_scope": ",".join(seen.request.scope)}, "recover_cluster"),
            ],
        )
    _check(seen, point)
    refusals.check_snapshot(point)
    members = refusals.check_members(seen, point)
    empty = [host for host in seen.etcd_hosts if host.needs_files and not host.files_under_way]
    if empty:
        raise RecoveryRefused(
            "restore_etcd needs every etcd machine with its keys and configuration; they are missing on: %s." % listed(empty),
            tried="looked for keys and configuration on every etcd host",
            found="; ".join("%s: %s" % (host.name, ", ".join([*host.missing_files, *host.faulty_files]) or "nothing is there") for host in empty),
            ways=[Way("it brings back keys and configuration too", {}, "recover_cluster")],
        )
    mine = [one for one in situations.unfinished(seen) if one.record.playbook == "restore_etcd" and situations.same_restore(one.record, point)]
    restore = mine[0] if len(mine) == 1 else None
    if restore is not None and situations.serves_restore(restore, seen, point):
        return _complete(finish_restore(seen, point, restore), seen, point, Situation.RESTORE_SERVES)
    if not situations.serving(seen, point):
        choices.check_unfinished(seen, point, restore)
    elif restore is not None and not _above_all(restore, seen, point):
        restore = None
    token = restore_token(seen, point, resumed=restore)
    refusals.check_mounts(seen.etcd_hosts, seen, point)
    refusals.check_versions(seen.control_plane, seen, point)
    plan = RecoveryPlan(
        "roll_back",
        "every member goes back to recovery point %s%s." % (point.point, ", as an earlier run began" if restore else ""),
        point.point,
        token=token.token,
        bump_revision=token.bump_revision,
        adopted=token.adopted,
        choice=seen.request.quorum_lost_source,
        etcd_hosts=members,
        stop_hosts=names(seen.control_plane),
        start_hosts=names(seen.control_plane),
        worker_hosts=names(seen.workers),
        initial_cluster={name: point.etcd_members[name] for name in members},
    )
    situation = Situation.RESTORE_UNFINISHED if restore else Situation.WHOLE if situations.serving(seen, point) else Situation.DATA_THERE
    return _complete(one_then_grow(plan, seen, point), seen, point, situation)


def _above_all(restore: Unfinished, seen: Seen, point: PointView) -> bool:
    """Whether what an unfinished run restored still begins above everything that is served today."""
    return situations.restored_revision(restore.record, seen.etcd_hosts, point) > max(host.etcd_revision for host in seen.etcd_hosts)


def one_then_grow(plan: RecoveryPlan, seen: Seen, point: PointView) -> RecoveryPlan:
    """The plan for a point with a v2 store: one member gets the data, the others join it one at a time.

    Neither the index of a v2 store nor the revision beside it can be raised, so nobody who watched before may go on: kubelets are stopped too.
    """
    if point.store == "v3" or not plan.etcd_hosts:
        return plan
    if plan.source == "survivor":
        raise RecoveryRefused(
            "What the survivor has cannot be saved: its objects are in the v2 store.",
            tried="looked which store recovery point %s was made of" % point.point,
            found="store %s; a copy of a v2 store needs a quorum that tells what is committed" % point.store,
            ways=[Way("the data on the disks is moved aside, not deleted", {"quorum_lost_source": "recovery_point"})],
        )
    first = min(plan.etcd_hosts, key=lambda name: ("control_plane" not in seen.host(name).groups, plan.etcd_hosts.index(name)))
    others = [name for name in plan.etcd_hosts if name != first]
    clients = [name for name in plan.worker_hosts if not seen.host(name).bare and name not in plan.stop_hosts]
    return dataclasses.replace(
        plan,
        bump_revision=0,
        etcd_hosts=[first],
        member_hosts=others,
        start_hosts=[name for name in plan.start_hosts if name not in others],
        worker_hosts=[name for name in plan.worker_hosts if name not in plan.etcd_hosts],
        stop_hosts=plan.stop_hosts + clients,
    )
