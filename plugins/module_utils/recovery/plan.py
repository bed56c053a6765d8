# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery will do: a pure function from what was seen on the machines and what the recovery point holds to a plan or a refusal.

Nothing here talks to a machine. Times are seconds since the epoch (UTC).
"""

from __future__ import annotations

import dataclasses
import secrets
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.etcd.revisions import clock_revision

#: Added on top of the highest revision ever seen. The etcd documentation gives 1e9 as a week of very busy writing
#: (etcd-io/website content/en/docs/v3.6/op-guide/recovery.md).
DEFAULT_REVISION_SLACK = 1_000_000_000

STRATEGIES = ("nothing", "rebuild_members", "rebuild_cluster", "roll_back", "rebuild_workers", "rebuild_admin")
# Those that put the point over etcd: their token and bump are one for all members, and no use to the others.
RESTORES_ETCD = ("rebuild_cluster", "roll_back")


class RecoveryRefused(LifeboatError):
    """The recovery would destroy something or cannot succeed; nothing was changed."""


@dataclasses.dataclass(frozen=True)
class HostView:
    """What was seen on one machine before anything was changed."""

    name: str
    groups: Sequence[str]
    bare: bool
    hostname: str = ""
    ca_sha256: Optional[str] = None
    etcd_data: bool = False
    etcd_answers: bool = False
    etcd_serves: bool = False
    etcd_data_newest: Optional[float] = None
    etcd_revision: int = 0
    record: Optional[Mapping[str, Any]] = None
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def planned(self, point: str) -> bool:
        """Whether an earlier run meant to put this very point here and did not finish."""
        return self.record is not None and self.record.get("point") == point and self.record.get("phase") != "finished"

    def begun(self, point: str) -> bool:
        """Whether an earlier run changed this machine on the way to this very point and did not finish."""
        return self.planned(point) and self.record is not None and self.record.get("phase") != "planned"

    def finished(self, point: str) -> bool:
        """Whether an earlier run put this very point here and saw it through."""
        return self.record is not None and self.record.get("point") == point and self.record.get("phase") == "finished"


@dataclasses.dataclass(frozen=True)
class PointView:
    """What the manifest of the recovery point says."""

    point: str
    taken_at: float
    ca_sha256: str
    etcd_revision: int
    high_water_revision: int
    etcd_members: Mapping[str, str]
    artifacts: Sequence[str]
    #: Whether the data of etcd is among them: not in a point of a part of the cluster.
    has_snapshot: bool = True
    #: Where the objects are: ``v3``, ``v2`` or ``both``.
    store: str = "v3"
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class RecoveryPlan:
    """Who gets what. Lists hold inventory host names.

    ``etcd_hosts`` get the snapshot, ``member_hosts`` rejoin a living cluster, ``file_hosts`` get keys and configuration,
    ``stop_hosts`` must be brought to a stop first, ``admin_hosts`` are rebuilt before every other machine, ``worker_hosts`` start last,
    ``verify_hosts`` are looked at in the end (none named: all).
    """

    strategy: str
    reason: str
    point: str
    token: str = ""
    bump_revision: int = 0
    adopted: bool = False
    source: str = "recovery_point"
    survivor: str = ""
    file_hosts: List[str] = dataclasses.field(default_factory=list)
    etcd_hosts: List[str] = dataclasses.field(default_factory=list)
    member_hosts: List[str] = dataclasses.field(default_factory=list)
    admin_hosts: List[str] = dataclasses.field(default_factory=list)
    stop_hosts: List[str] = dataclasses.field(default_factory=list)
    worker_hosts: List[str] = dataclasses.field(default_factory=list)
    living_hosts: List[str] = dataclasses.field(default_factory=list)
    verify_hosts: List[str] = dataclasses.field(default_factory=list)
    initial_cluster: Dict[str, str] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> Dict[str, Any]:
        """Plain values for a module result."""
        return dataclasses.asdict(self)


def target_revision(high_water: int, slack: int, now: float) -> int:
    """Where a restored store begins, so that no client ever saw a higher revision: where the clock says, or above the high-water mark by the slack.

    What the clock says grows faster than the revision of a cluster in the long run. So a later restore, of whatever point, stays above an earlier one even when
    the earlier one's result was lost: its clients would wait in silence for the revisions in between. Slack on top of it would break just that.
    """
    floor = clock_revision(now)
    return floor if floor > high_water else high_water + slack


def _named(hosts: Sequence[HostView]) -> str:
    return ", ".join(host.name for host in hosts) or "none"


def _check_groups(hosts: Sequence[HostView], components: Mapping[str, Sequence[str]], point: PointView) -> None:
    """Whoever stands in the wrong group would be skipped in silence by the plays for the right one."""
    if not hosts:
        raise RecoveryRefused(
            "The groups of the inventory hold no machine.",
            tried="looked for machines in the groups admin, etcd, control_plane and workers",
            remedy="Name the machines of the cluster in the inventory, or let the groups of your inventory be children of these.",
        )
    kinds = sorted({name.partition("/")[0] for name in point.artifacts})
    wrong = [
        "%s has no component %s" % (host.name, component)
        for host in hosts
        for component in kinds
        if component != "etcd" and component not in components.get(host.name, ()) and _holds(point, component, host.name)
    ]
    if wrong:
        raise RecoveryRefused(
            "Machines stand in other groups of the inventory than when recovery point %s was made." % point.point,
            tried="matched the components of each machine, which follow from its groups, with the artifacts of the point",
            found="%s, and the point holds it; groups now: %s"
            % (", ".join(wrong), "; ".join("%s in %s" % (host.name, ", ".join(host.groups) or "none") for host in hosts)),
            remedy="Put them back into the groups admin, control_plane, etcd and workers in which they were.",
        )


def _holds(point: PointView, component: str, host: str) -> bool:
    return any(name.startswith("%s/%s." % (component, host)) for name in point.artifacts)


def minor(version: str) -> str:
    """``1.34`` of ``v1.34.4``: what may not differ between data and the programs that read it."""
    return ".".join(version.lstrip("v").split(".")[:2])


def _check_versions(hosts: Sequence[HostView], point: PointView, may_differ: bool) -> None:
    """For machines that keep their programs and get the data of the point."""
    different = [
        "%s on %s is %s, the point was made with %s" % (program, host.name, host.versions[program], wanted)
        for host in hosts
        for program, wanted in sorted(point.versions.items())
        if wanted and host.versions.get(program) and minor(host.versions[program]) != minor(wanted)
    ]
    if different and not may_differ:
        raise RecoveryRefused(
            "Recovery point %s was made with other versions than those that run here." % point.point,
            tried="compared the minor versions of etcd and Kubernetes",
            found="; ".join(different),
            remedy="Use a point that was made with these versions, or bring the programs back to those of the point. "
            "Only when you know that they read this data: -e platform_versions_may_differ=true.",
        )


def _check_identity(hosts: Sequence[HostView], point: PointView) -> None:
    strangers = [host for host in hosts if host.ca_sha256 and host.ca_sha256 != point.ca_sha256]
    if strangers:
        raise RecoveryRefused(
            "These machines belong to another cluster: %s." % _named(strangers),
            tried="compared the certificate authority on their disks with that of recovery point %s" % point.point,
            found="; ".join("%s has CA %s" % (host.name, (host.ca_sha256 or "")[:16]) for host in strangers) + "; the point has %s" % point.ca_sha256[:16],
            remedy="Check inventory and recovery_point_id. To reuse these machines, empty them yourself first.",
        )


def _check_snapshot(point: PointView) -> None:
    if not point.has_snapshot:
        raise RecoveryRefused(
            "Recovery point %s has no data of etcd: it is of a part of the cluster." % point.point,
            tried="looked for the record of a snapshot in its manifest",
            found="artifacts: %s" % ", ".join(point.artifacts),
            remedy="Use a point of the whole cluster (list_recovery_points), or bring back what this one holds: lifeboat.cluster.recover_admin, recover_node.",
        )


def _check_members(etcd_hosts: Sequence[HostView], point: PointView, *, all_of_them: bool = True) -> Dict[str, str]:
    missing = [host.name for host in etcd_hosts if host.name not in point.etcd_members]
    extra = [name for name in point.etcd_members if all_of_them and name not in {host.name for host in etcd_hosts}]
    if missing or extra:
        raise RecoveryRefused(
            "The etcd group of the inventory does not fit the members in recovery point %s." % point.point,
            tried="matched inventory hosts of group etcd with the members recorded at backup",
            found="not in the point: %s; not in the inventory: %s" % (", ".join(missing) or "none", ", ".join(extra) or "none"),
            remedy="Put exactly the members of the point into the group etcd (same names and addresses).",
        )
    return {host.name: point.etcd_members[host.name] for host in etcd_hosts}


def _check_artifacts(hosts: Sequence[HostView], components: Mapping[str, Sequence[str]], point: PointView) -> None:
    missing = [
        "%s/%s" % (component, host.name)
        for host in hosts
        for component in components.get(host.name, ())
        if component != "etcd" and not _holds(point, component, host.name)
    ]
    if missing:
        raise RecoveryRefused(
            "Recovery point %s holds nothing for: %s." % (point.point, ", ".join(missing)),
            tried="looked for one artifact for each component and host to rebuild",
            found="artifacts: %s" % ", ".join(point.artifacts),
            remedy="Choose a point that holds these hosts (list_recovery_points), or take them out of the inventory and join them anew afterwards.",
        )


def _check_scope(hosts: Sequence[HostView], scope: Sequence[str], quorum_alive: bool, unreachable: Sequence[str]) -> None:
    """What was named has to be there, and members of etcd without a quorum come back together or not at all."""
    unknown = [name for name in scope if name not in {host.name for host in hosts}]
    members = [host for host in hosts if host.name in scope and "etcd" in host.groups]
    blind = [name for name in unreachable if name in scope or not scope]
    if blind:
        raise RecoveryRefused(
            "Nothing is known of machines that this is about: %s." % ", ".join(blind),
            tried="a connection to every machine of the inventory",
            found="no answer from %s" % ", ".join(unreachable),
            remedy="Repair the connection, or take them out of the inventory if they are gone for good. What answers can be brought back alone: "
            "lifeboat.cluster.recover_admin, recover_node.",
        )
    if unknown:
        raise RecoveryRefused(
            "These are no machines of the cluster: %s." % ", ".join(unknown),
            tried="looked for them in the groups admin, etcd, control_plane and workers",
            found="machines: %s" % _named(hosts),
            remedy="Name a machine, or a group, of the inventory.",
        )
    if members and not quorum_alive:
        raise RecoveryRefused(
            "etcd has no quorum, so %s can't come back alone." % _named(members),
            tried="a linearizable read on every etcd host",
            found="no answer",
            remedy="Run lifeboat.cluster.recover_cluster: it brings all members back together.",
        )


def _ages(hosts: Sequence[HostView], point: PointView, now: float) -> str:
    rows = ["recovery point %s: taken %.0f s ago" % (point.point, now - point.taken_at)]
    rows += [
        "data on %s: last written %.0f s ago%s" % (host.name, now - host.etcd_data_newest, ", revision %d" % host.etcd_revision if host.etcd_revision else "")
        for host in hosts
        if host.etcd_data_newest
    ]
    return "; ".join(rows)


def _survivor(survivors: Sequence[HostView]) -> HostView:
    """The member whose data becomes the cluster, the one that got furthest: one that answers can be asked for a snapshot with a checksum."""
    answering = [host for host in survivors if host.etcd_answers]
    if not answering:
        raise RecoveryRefused(
            "No surviving member answers, so none can be asked for a snapshot.",
            tried="etcd on %s" % _named(survivors),
            found="data on the disk, but no answer",
            remedy="Start etcd on one of them (its kubelet, with etcd's manifest in place) and run again, or choose -e quorum_lost_source=recovery_point.",
        )
    return max(answering, key=lambda host: (host.etcd_revision, host.etcd_data_newest or 0.0))


def _token(
    hosts: Sequence[HostView], point: PointView, slack: int, now: float, survivor: Optional[HostView] = None, restores_etcd: bool = True
) -> tuple[str, int, bool]:
    """Token, bump of the revision of what is restored (the point, or what the survivor has), and whether both come from an unfinished run."""
    for host in hosts:
        # A run that let etcd alone wrote down no bump: taken over by one that restores it, the revision would not move on.
        alike = (str((host.record or {}).get("strategy") or "") in RESTORES_ETCD) is restores_etcd
        if alike and host.planned(point.point) and host.record is not None and host.record.get("token"):
            return str(host.record["token"]), int(host.record.get("bump_revision") or 0), True
    high_water = max([point.high_water_revision, point.etcd_revision, *(host.etcd_revision for host in hosts)])
    begin = survivor.etcd_revision if survivor else point.etcd_revision
    return "lifeboat-%s-%s" % (point.point, secrets.token_hex(6)), target_revision(high_water, slack, now) - begin, False


def plan_recovery(
    hosts: Sequence[HostView],
    components: Mapping[str, Sequence[str]],
    point: PointView,
    *,
    quorum_alive: bool,
    quorum_lost_source: str = "",
    now: float,
    slack: int = DEFAULT_REVISION_SLACK,
    versions_may_differ: bool = False,
    scope: Sequence[str] = (),
    unreachable: Sequence[str] = (),
) -> RecoveryPlan:
    """Decide what ``recover_cluster`` does.

    ``components`` maps each host to its components; ``quorum_alive`` is the proof of a linearizable read on any old member;
    ``quorum_lost_source`` is the operator's choice (``recovery_point`` or ``survivor``) when data of old members is still there.
    ``scope`` names the hosts that may be rebuilt; none means all. ``unreachable`` names hosts of which nothing is known; only where they are not in the
    scope may anything be done without them. Raises RecoveryRefused, always before any change.
    """
    _check_groups(hosts, components, point)
    _check_identity(hosts, point)
    _check_scope(hosts, scope, quorum_alive, unreachable)
    etcd_hosts = [host for host in hosts if "etcd" in host.groups]
    under_way = [host for host in hosts if host.begun(point.point)]
    admins = [host for host in hosts if "admin" in host.groups]
    # A worker that is a member of etcd starts with the members: the others wait for it.
    workers = [host for host in hosts if "workers" in host.groups and "control_plane" not in host.groups and host not in etcd_hosts]
    # Whoever is brought back alone needs nobody else in the point.
    members = _check_members([host for host in etcd_hosts if not scope or host.name in scope], point, all_of_them=not scope)
    restoring = any(host in under_way and (host.record or {}).get("strategy") in RESTORES_ETCD for host in etcd_hosts)

    if scope or (quorum_alive and not restoring):
        lost = [host for host in hosts if host.bare or (host in under_way and (host.record or {}).get("strategy") not in RESTORES_ETCD)]
        lost += [host for host in etcd_hosts if not host.etcd_serves and host not in lost]
        left_out = [host for host in lost if scope and host.name not in scope]
        lost = [host for host in lost if host not in left_out]
        besides = " Left as they are, though lost: %s." % _named(left_out) if left_out else ""
        if not lost:
            return RecoveryPlan(
                "nothing",
                "etcd has quorum and no machine is bare: there is nothing to recover. To go back in time use lifeboat.cluster.restore_etcd."
                if not scope
                else "no machine of %s is bare: there is nothing to recover.%s" % (", ".join(scope), besides),
                point.point,
                living_hosts=[host.name for host in hosts],
                initial_cluster=members,
            )
        _check_artifacts(lost, components, point)
        lost_members = [host for host in lost if host in etcd_hosts]
        token, _bump, adopted = _token(hosts, point, slack, now, restores_etcd=False)
        return RecoveryPlan(
            "rebuild_members" if lost_members else "rebuild_admin" if all(host in admins for host in lost) else "rebuild_workers",
            "%s: %s rebuilt, nothing is rolled back.%s" % ("etcd has quorum" if quorum_alive else "only what was named", _named(lost), besides),
            point.point,
            token,
            0,
            adopted,
            file_hosts=[host.name for host in lost],
            member_hosts=[host.name for host in lost_members],
            admin_hosts=[host.name for host in lost if host in admins],
            stop_hosts=[host.name for host in lost if not host.bare or host in admins],
            worker_hosts=[host.name for host in lost if host in workers],
            living_hosts=[host.name for host in hosts if host not in lost],
            # A cluster that is lost as well, in whole or in part, says nothing about what was rebuilt.
            verify_hosts=[] if quorum_alive and not unreachable else [host.name for host in lost],
            initial_cluster=members,
        )

    _check_snapshot(point)
    survivors = [host for host in etcd_hosts if host.etcd_data and not host.begun(point.point)]
    source = quorum_lost_source
    if survivors and not restoring:
        if source not in ("recovery_point", "survivor"):
            raise RecoveryRefused(
                "Quorum is lost, but data of old members is still there: choose which one to use.",
                tried="a linearizable read on every etcd host; looked for data on their disks",
                found=_ages(survivors, point, now),
                remedy="Run again with -e quorum_lost_source=survivor (the data on %s becomes the cluster) or -e quorum_lost_source=recovery_point "
                "(the point becomes the cluster; the data on the disks is moved aside)." % survivors[0].name,
            )
    else:
        # Begun with a survivor, it is finished with what was saved of it then: every member has that beside its data.
        source = "survivor" if any((host.record or {}).get("source") == "survivor" for host in under_way) else "recovery_point"
    resumed = restoring and source == "survivor"
    survivor = _survivor(survivors) if source == "survivor" and not resumed else None
    # Keys and configuration of a machine that still has its own are newer than those of the point: they stay, in a rerun too.
    rebuilt = [host for host in hosts if host.bare or (host in under_way and (host.record or {}).get("restores_files") is not False)]
    control_plane = [host for host in hosts if host in etcd_hosts or "control_plane" in host.groups]
    _check_artifacts(rebuilt, components, point)
    if source != "survivor":
        _check_versions([host for host in control_plane if host not in rebuilt], point, versions_may_differ)
    token, bump, adopted = _token(hosts, point, slack, now, survivor)
    return RecoveryPlan(
        "rebuild_cluster",
        "etcd has no quorum: every member is restored from %s."
        % ("the data on " + survivor.name if survivor else "what an earlier run saved of the survivor" if resumed else "recovery point " + point.point),
        point.point,
        token,
        bump,
        adopted,
        source,
        survivor.name if survivor else "",
        file_hosts=[host.name for host in rebuilt],
        etcd_hosts=[host.name for host in etcd_hosts],
        admin_hosts=[host.name for host in rebuilt if host in admins],
        # What an earlier run began on the admin node may run by now, and programs of a bare one do; the services of one that lives are none of this.
        stop_hosts=[host.name for host in hosts if (host in control_plane and not host.bare) or (host in admins and host in rebuilt)],
        worker_hosts=[host.name for host in workers],
        living_hosts=[host.name for host in hosts if host not in rebuilt and host not in control_plane],
        initial_cluster=members,
    )


def plan_roll_back(
    hosts: Sequence[HostView],
    components: Mapping[str, Sequence[str]],
    point: PointView,
    *,
    now: float,
    slack: int = DEFAULT_REVISION_SLACK,
    versions_may_differ: bool = False,
) -> RecoveryPlan:
    """Decide what ``restore_etcd`` does: put the snapshot over every member of a cluster whose machines are all there."""
    _check_groups(hosts, components, point)
    _check_identity(hosts, point)
    _check_snapshot(point)
    etcd_hosts = [host for host in hosts if "etcd" in host.groups]
    members = _check_members(etcd_hosts, point)
    bare = [host for host in etcd_hosts if host.bare]
    if bare:
        raise RecoveryRefused(
            "restore_etcd needs every etcd machine in place; these are bare: %s." % _named(bare),
            tried="looked for keys and configuration on every etcd host",
            remedy="Run lifeboat.cluster.recover_cluster instead: it brings back keys and configuration too.",
        )
    if etcd_hosts and all(host.finished(point.point) for host in etcd_hosts):
        return RecoveryPlan(
            "nothing",
            "recovery point %s already serves on every member. To put it there once more, remove the restore record (/var/lib/lifeboat/restore.json) "
            "on the hosts of group etcd." % point.point,
            point.point,
            living_hosts=[host.name for host in hosts],
            initial_cluster=members,
        )
    token, bump, adopted = _token(etcd_hosts, point, slack, now)
    control_plane = [host for host in hosts if "control_plane" in host.groups or host in etcd_hosts]
    _check_versions(control_plane, point, versions_may_differ)
    return RecoveryPlan(
        "roll_back",
        "every member goes back to recovery point %s." % point.point,
        point.point,
        token,
        bump,
        adopted,
        etcd_hosts=[host.name for host in etcd_hosts],
        stop_hosts=[host.name for host in control_plane],
        worker_hosts=[host.name for host in hosts if "workers" in host.groups and host not in control_plane],
        living_hosts=[host.name for host in hosts if host not in control_plane],
        initial_cluster=members,
    )


def one_then_grow(plan: RecoveryPlan, hosts: Sequence[HostView], point: PointView) -> RecoveryPlan:
    """The plan for a point with a v2 store: one member gets the data, the others join it one at a time.

    Neither the index of a v2 store nor the revision beside it can be raised, so nobody who watched before may go on: kubelets are stopped too.
    What an earlier run restored, and serves, is not stopped again: with the members that joined it, it is the quorum.
    """
    if point.store == "v3" or not plan.etcd_hosts:
        return plan
    if plan.source == "survivor":
        raise RecoveryRefused(
            "What the survivor has cannot be saved: its objects are in the v2 store.",
            tried="looked which store recovery point %s was made of" % point.point,
            found="store %s; a copy of a v2 store needs a quorum that tells what is committed" % point.store,
            remedy="Choose -e quorum_lost_source=recovery_point; the data on the disks is moved aside, not deleted.",
        )
    views = {host.name: host for host in hosts}
    first = min(plan.etcd_hosts, key=lambda name: ("control_plane" not in views[name].groups, plan.etcd_hosts.index(name)))
    serving = [name for name in plan.etcd_hosts if views[name].etcd_serves and views[name].begun(point.point)]
    clients = [name for name in plan.worker_hosts if not views[name].bare and name not in plan.stop_hosts]
    return dataclasses.replace(
        plan,
        bump_revision=0,
        etcd_hosts=[first],
        member_hosts=[name for name in plan.etcd_hosts if name != first],
        worker_hosts=[name for name in plan.worker_hosts if name not in plan.etcd_hosts],
        stop_hosts=[name for name in plan.stop_hosts + clients if name not in serving],
    )


def host_view(name: str, groups: Sequence[str], node: Mapping[str, Any], etcd: Optional[Mapping[str, Any]]) -> HostView:
    """Read one machine's view out of the results of C(node_info) and, for etcd hosts, C(etcd_cluster_info)."""
    data = node.get("etcd") or {}
    identity = node.get("identity") or {}
    return HostView(
        name=name,
        groups=tuple(groups),
        bare=bool(node.get("bare")),
        hostname=str(node.get("hostname") or ""),
        ca_sha256=identity.get("ca_sha256"),
        etcd_data=bool(data.get("member")),
        etcd_answers=bool((etcd or {}).get("answers")),
        etcd_serves=bool((etcd or {}).get("linearizable")),
        etcd_data_newest=data.get("newest_mtime"),
        etcd_revision=int((etcd or {}).get("revision") or 0),
        record=node.get("record"),
        versions={"etcd": str((etcd or {}).get("version") or ""), "kubelet": str((node.get("versions") or {}).get("kubelet") or "")},
    )


def point_view(manifest: Mapping[str, Any], high_water_revision: int, taken_at: float) -> PointView:
    """Read what a plan needs out of a verified manifest."""
    etcd = manifest.get("etcd") or {}
    return PointView(
        point=str(manifest["id"]),
        taken_at=taken_at,
        ca_sha256=str((manifest.get("cluster_identity") or {}).get("ca_sha256") or ""),
        etcd_revision=int(etcd.get("revision") or 0),
        high_water_revision=max(int(high_water_revision), int(manifest.get("highest_revision") or 0), int(etcd.get("revision") or 0)),
        etcd_members={str(host): str(url) for host, url in (etcd.get("hosts") or {}).items()},
        artifacts=tuple(str(artifact["name"]) for artifact in manifest.get("artifacts") or ()),
        has_snapshot="revision" in etcd,
        store=str(etcd.get("store") or "v3"),
        versions={"etcd": str(etcd.get("server_version") or ""), "kubelet": str((manifest.get("versions") or {}).get("kubelet") or "")},
    )
