# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery refuses to begin with, and which way leads on. Nothing was changed when one of these is raised."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import UNASKED, HostView, PointView, Seen, listed
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.releases import serves

GROUPS = "admin, etcd, control_plane and workers"


@dataclasses.dataclass(frozen=True)
class Way:
    """One way on: the same playbook, or another one, with these variables; or something that only a person can do (``repair``)."""

    text: str
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    playbook: str = ""
    repair: bool = False

    def __str__(self) -> str:
        options = "".join(" -e %s=%s" % item for item in self.variables.items())
        if self.playbook:
            # The cluster's name is confirmed for each playbook that changes it.
            return "lifeboat.cluster.%s%s -e confirm_cluster_name=<name>: %s" % (self.playbook, options, self.text)
        return "the same command with%s: %s" % (options, self.text) if options else self.text


class RecoveryRefused(LifeboatError):
    """The recovery would destroy something or cannot succeed; nothing was changed. ``ways`` are the ways on."""

    def __init__(self, message: str, *, tried: str, found: str, ways: Sequence[Way]) -> None:
        self.ways = tuple(ways)
        remedy = " ".join("(%d) %s." % (number, str(way).rstrip(".")) for number, way in enumerate(ways, 1))
        plain: List[Dict[str, Any]] = [dataclasses.asdict(way) for way in ways]
        super().__init__(message, tried=tried, found=found, remedy=remedy, ways=plain)


def check_groups(seen: Seen, point: PointView) -> None:
    """Whoever stands in the wrong group would be skipped in silence by the plays for the right one."""
    if not seen.hosts:
        raise RecoveryRefused(
            "The groups of the inventory hold no machine.",
            tried="looked for machines in the groups %s" % GROUPS,
            found="none" if not seen.unreachable else "only unreachable ones: %s" % ", ".join(seen.unreachable),
            ways=[Way("name the machines of the cluster in the inventory, or let the groups of your inventory be children of these", repair=True)],
        )
    components = sorted({name.partition("/")[0] for name in point.artifacts} - {"etcd"})
    wrong = [
        "%s has no component %s" % (host.name, component)
        for host in seen.hosts
        for component in components
        if component not in seen.components.get(host.name, ()) and point.holds(component, host.name)
    ]
    if wrong:
        raise RecoveryRefused(
            "Machines stand in other groups of the inventory than when recovery point %s was made." % point.point,
            tried="matched the components of each machine, which follow from its groups, with the artifacts of the recovery point",
            found="%s, and the recovery point holds it; groups now: %s"
            % (", ".join(wrong), "; ".join("%s in %s" % (host.name, ", ".join(host.groups) or "none") for host in seen.hosts)),
            ways=[Way("put them back into the groups %s in which they were" % GROUPS, repair=True)],
        )


def check_scope(seen: Seen) -> None:
    """What was named has to be among the machines of the cluster."""
    known = {host.name for host in seen.hosts} | set(seen.unreachable)
    unknown = [name for name in seen.request.scope if name not in known]
    if unknown:
        raise RecoveryRefused(
            "These are no machines of the cluster: %s." % ", ".join(unknown),
            tried="looked for them in the groups %s" % GROUPS,
            found="machines: %s" % listed(seen.hosts),
            ways=[Way("name a machine, or a group, of the inventory", repair=True)],
        )


def check_reachable(seen: Seen, point: PointView) -> None:
    """Nothing is decided about machines that cannot be reached, unless they are members of etcd that the operator named as missing."""
    concerned = [name for name in seen.unreachable if (name in seen.request.scope or not seen.request.scope) and name not in seen.request.missing_members]
    if concerned:
        members = [name for name in concerned if name in point.etcd_members]
        all_gone = ",".join(dict.fromkeys([*seen.request.missing_members, *members]))
        gone = Way("members of etcd that are gone: the others become the cluster, these join later", {"confirm_missing_members": all_gone})
        raise RecoveryRefused(
            "Machines that this is about are unreachable: %s." % ", ".join(concerned),
            tried="a connection to every machine of the inventory",
            found="no answer from %s" % ", ".join(seen.unreachable),
            ways=[
                Way("repair the connection, or take workers and control planes without etcd out of the inventory when they are gone for good", repair=True),
                *([gone] if members else []),
                Way("one reachable machine alone", {"node_to_recover": "<name>"}, "recover_node"),
            ],
        )


def check_seen(seen: Seen, serve: bool) -> None:
    """A look that failed is not an answer: what was not seen is not absent. ``serve``: whether members of the cluster serve."""
    # While others serve, one that could not be asked is a member that does not serve; where nobody does, it may be the one that does.
    harmless = {UNASKED} if serve else set()
    blind = [
        "%s on %s: %s" % (look, host.name, why)
        for host in seen.hosts
        if seen.in_scope(host)
        for look, why in sorted(host.unseen.items())
        if look not in harmless
    ]
    if blind:
        raise RecoveryRefused(
            "Machines could not be looked at well enough to decide anything about them.",
            tried="looked for data, keys, configuration, restore record and lock on every machine",
            found="; ".join(blind),
            ways=[Way("repair what is named (a file system that fails, a file that cannot be read) and run the same command again", repair=True)],
        )


def check_identity(seen: Seen, point: PointView) -> None:
    """No machine of another cluster is touched. A member of etcd on a machine of its own has etcd's authority alone."""
    strangers = [host for host in seen.hosts if host.ca_sha256 and host.ca_sha256 != point.ca_sha256]
    alone = [host for host in seen.etcd_hosts if not host.ca_sha256 and host.etcd_ca_sha256]
    members = [host for host in alone if point.etcd_ca_sha256 and host.etcd_ca_sha256 != point.etcd_ca_sha256]
    if members:
        raise RecoveryRefused(
            "These members of etcd belong to another cluster: %s." % listed(members),
            tried="compared etcd's certificate authority on their disks with that of recovery point %s" % point.point,
            found="; ".join("%s has etcd's CA %s" % (host.name, (host.etcd_ca_sha256 or "")[:16]) for host in members)
            + "; the point has %s" % point.etcd_ca_sha256[:16],
            ways=[Way("check inventory and recovery_point_id. To reuse these machines, empty them yourself first", repair=True)],
        )
    if strangers:
        raise RecoveryRefused(
            "These machines belong to another cluster: %s." % listed(strangers),
            tried="compared the certificate authority on their disks with that of recovery point %s" % point.point,
            found="; ".join("%s has CA %s" % (host.name, (host.ca_sha256 or "")[:16]) for host in strangers) + "; the point has %s" % point.ca_sha256[:16],
            ways=[Way("check inventory and recovery_point_id. To reuse these machines, empty them yourself first", repair=True)],
        )


def check_one_cluster(serving: Sequence[HostView]) -> None:
    """Members that serve are members of one cluster."""
    ids = sorted({host.etcd_cluster_id for host in serving if host.etcd_cluster_id})
    if len(ids) > 1:
        raise RecoveryRefused(
            "The machines of group etcd serve more than one cluster.",
            tried="asked every member for the id of its cluster",
            found="; ".join("%s serves %s at revision %d" % (host.name, host.etcd_cluster_id, host.etcd_revision) for host in serving),
            ways=[Way("find out which one is the cluster, and stop etcd on the machines of the other", repair=True)],
        )


def check_mounts(hosts: Sequence[HostView], seen: Seen, point: PointView) -> None:
    """Data on a file system that is not mounted is not gone, and a restore would lie beneath the mount point."""
    unmounted = [host for host in hosts if host.name in point.etcd_mounts and not host.etcd_mount]
    if unmounted and not seen.request.mounts_may_differ:
        raise RecoveryRefused(
            "etcd's data directory is a mount point in recovery point %s and none now: %s." % (point.point, listed(unmounted)),
            tried="compared the file system of etcd's data directory with what the recovery point says",
            found="nothing is mounted there",
            ways=[
                Way("mount the file system of etcd's data and run the same command again", repair=True),
                Way("the machine was built anew without one, and this is wanted", {"platform_mounts_may_differ": "true"}),
            ],
        )


def check_snapshot(point: PointView) -> None:
    """Only a point of the whole cluster holds the data of etcd."""
    if not point.has_snapshot:
        raise RecoveryRefused(
            "Recovery point %s has no data of etcd: it is of a part of the cluster." % point.point,
            tried="looked for the record of a snapshot in its manifest",
            found="artifacts: %s" % ", ".join(point.artifacts),
            ways=[
                Way("use a recovery point of the whole cluster (list_recovery_points)", {"recovery_point_id": "<id>"}),
                Way("bring back one machine of it alone", {"node_to_recover": "<name>"}, "recover_node"),
            ],
        )


def check_members(seen: Seen, point: PointView) -> List[str]:
    """Names of the members that are restored: those of the point, but for those that the operator named as missing."""
    present = [host.name for host in seen.etcd_hosts]
    strange = [name for name in present if name not in point.etcd_members]
    if strange:
        raise RecoveryRefused(
            "Machines of group etcd are no members in recovery point %s: %s." % (point.point, ", ".join(strange)),
            tried="matched inventory hosts of group etcd with the members recorded at backup",
            found="members of the point: %s" % ", ".join(sorted(point.etcd_members)),
            ways=[Way("take them out of the group etcd (they can join afterwards), or use a recovery point of today's members", repair=True)],
        )
    missing = [name for name in point.etcd_members if name not in present]
    wrong = [name for name in seen.request.missing_members if name not in missing]
    if wrong:
        raise RecoveryRefused(
            "confirm_missing_members names machines that are not missing: %s." % ", ".join(wrong),
            tried="matched confirm_missing_members with the members of recovery point %s" % point.point,
            found="missing: %s" % (", ".join(missing) or "none"),
            ways=[
                Way("name exactly the members that are missing", {"confirm_missing_members": ",".join(missing)})
                if missing
                else Way("run the same command without confirm_missing_members", repair=True)
            ],
        )
    unconfirmed = [name for name in missing if name not in seen.request.missing_members]
    if unconfirmed or not present:
        raise RecoveryRefused(
            "Members of etcd in recovery point %s are not here: %s." % (point.point, ", ".join(missing)),
            tried="matched inventory hosts of group etcd with the members recorded at backup",
            found="here: %s" % (", ".join(present) or "none"),
            ways=[
                Way("put all members of the recovery point into the group etcd (same names and addresses)", repair=True),
                Way(
                    "they are gone: the members that are here become the cluster, one is enough; the others join later (recover_cluster again)",
                    {"confirm_missing_members": ",".join(missing)},
                ),
            ],
        )
    return present


def check_artifacts(hosts: Sequence[HostView], seen: Seen, point: PointView) -> None:
    """Whoever gets files has to be in the point."""
    missing = [
        "%s/%s" % (component, host.name)
        for host in hosts
        for component in seen.components.get(host.name, ())
        if component != "etcd" and not point.holds(component, host.name)
    ]
    if missing:
        raise RecoveryRefused(
            "Recovery point %s holds nothing for: %s." % (point.point, ", ".join(missing)),
            tried="looked for one artifact for each component and host to rebuild",
            found="artifacts: %s" % ", ".join(point.artifacts),
            ways=[
                Way("choose a recovery point that holds these hosts (list_recovery_points)", {"recovery_point_id": "<id>"}),
                Way("take them out of the inventory and join them anew afterwards", repair=True),
            ],
        )


def minor(version: str) -> str:
    """``1.34`` of ``v1.34.4``: what may not differ between data and the programs that read it."""
    return ".".join(version.lstrip("v").split(".")[:2])


def _check_storage(hosts: Sequence[HostView], point: PointView) -> None:
    """Data that the etcd of a machine would not start on, whoever wants it."""
    unable = ["etcd on %s is %s" % (host.name, host.versions["etcd"]) for host in hosts if not serves(host.versions.get("etcd") or "", point.storage_version)]
    if unable:
        release = point.versions.get("etcd") or point.storage_version
        raise RecoveryRefused(
            "No etcd that is older than the data of recovery point %s starts on them." % point.point,
            tried="compared the storage version of the snapshot with the etcd of each machine",
            found="the snapshot is of %s; %s" % (point.storage_version, ", ".join(unable)),
            ways=[
                Way("use a recovery point that was made with this etcd (list_recovery_points)", {"recovery_point_id": "<id>"}),
                Way("install etcd %s on the machines named (the image in its manifest), then run this again" % release, repair=True),
            ],
        )


def check_versions(hosts: Sequence[HostView], seen: Seen, point: PointView) -> None:
    """For machines that keep their programs and get the data of the point."""
    _check_storage(hosts, point)
    different = [
        "%s on %s is %s, the point was made with %s" % (program, host.name, host.versions[program], wanted)
        for host in hosts
        for program, wanted in sorted(point.versions.items())
        if wanted and host.versions.get(program) and minor(host.versions[program]) != minor(wanted)
    ]
    if different and not seen.request.versions_may_differ:
        raise RecoveryRefused(
            "Recovery point %s was made with other versions than those that run here." % point.point,
            tried="compared the minor versions of etcd and Kubernetes",
            found="; ".join(different),
            ways=[
                Way("use a recovery point that was made with these versions, or bring the programs back to those of the point", repair=True),
                Way("only when you know that they read this data", {"platform_versions_may_differ": "true"}),
            ],
        )
