# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan is made from: what was seen on each machine, what the recovery point says, and what the operator asked for.

Times are seconds since the epoch (UTC).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Sequence

#: Strategies that put a snapshot over etcd: token and bump of the revision are one for all members.
RESTORES_ETCD = ("rebuild_cluster", "roll_back", "finish_restore")
#: A record in this phase stands for an intention: nothing on the machine has changed.
PLANNED = "planned"
#: The services that a restore brings up ran on the machine: what is there is newer than the recovery point.
STARTED = "started"
FINISHED = "finished"
#: Looks of ``node_info`` without which nothing may be decided about a machine.
DECIDING_LOOKS = ("bare_evidence", "required_files", "etcd", "identity", "record", "lock")


#: A look of its own: at a member that runs and could not be asked.
UNASKED = "its member of etcd"


@dataclasses.dataclass(frozen=True)
class Record:
    """The restore record of one machine, while it is unfinished. ``phase`` is never ``finished``: such a record is history."""

    restore_id: str
    point: str
    token: str
    bump_revision: int
    phase: str
    strategy: str
    source: str = "recovery_point"
    choice: str = ""
    snapshot_sha256: str = ""
    restores_files: bool = False
    playbook: str = "recover_cluster"
    cluster_name: str = ""
    #: Hosts whose members it is about; none where the record does not say.
    members: Sequence[str] = ()

    @property
    def begun(self) -> bool:
        """Whether the machine was changed."""
        return self.phase != PLANNED

    @property
    def restores_etcd(self) -> bool:
        """Whether a snapshot was to become the cluster's data."""
        return self.strategy in RESTORES_ETCD


@dataclasses.dataclass(frozen=True)
class InPlace:
    """Data that a restore built on a machine. ``staged``: still beside the data directory's own; ``used``: etcd has run on it."""

    token: str
    staged: bool
    used: bool
    revision_after: int = 0


@dataclasses.dataclass(frozen=True)
class HostView:
    """What was seen on one machine before anything was changed. ``bare``: nothing that a restore would bring is there."""

    name: str
    groups: Sequence[str]
    bare: bool
    hostname: str = ""
    missing_files: Sequence[str] = ()
    faulty_files: Sequence[str] = ()
    unseen: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ca_sha256: Optional[str] = None
    #: The authority of etcd: all that a machine has which is a member and nothing else.
    etcd_ca_sha256: Optional[str] = None
    etcd_data: bool = False
    etcd_mount: bool = False
    etcd_answers: bool = False
    etcd_serves: bool = False
    etcd_cluster_id: str = ""
    etcd_data_newest: Optional[float] = None
    #: Of which cluster the data on the disk are, by their log; empty where that could not be read.
    etcd_data_cluster: str = ""
    #: How many members with a vote these data name; 0 where they do not say.
    etcd_data_voters: int = 0
    #: What earlier restores moved aside in the data directory.
    etcd_asides: Sequence[str] = ()
    #: The highest revision that any member told this one.
    etcd_revision: int = 0
    #: The revision of this very member: as it says, or as its database on the disk has it.
    etcd_own_revision: int = 0
    record: Optional[Record] = None
    restores: Sequence[InPlace] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def needs_files(self) -> bool:
        """Whether files are gone, or of no use, that a restore would bring."""
        return self.bare or bool(self.missing_files) or bool(self.faulty_files)

    @property
    def under_way(self) -> bool:
        """Whether an earlier run changed this machine and did not finish."""
        return self.record is not None and self.record.begun

    @property
    def files_under_way(self) -> bool:
        """Whether an earlier run may have been stopped between two files."""
        return self.record is not None and self.record.begun and self.record.restores_files and self.record.phase != STARTED

    def restored(self, token: str) -> Optional[InPlace]:
        """What the restore with this token left in the place of the data, or beside it. Where both are gone it left nothing, whatever its marker says."""
        return next((one for one in self.restores if one.token == token and (one.staged or self.etcd_data)), None)


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
    #: Whether the data of etcd is among them: not in a recovery point of a part of the cluster.
    has_snapshot: bool = True
    snapshot_sha256: str = ""
    #: Where the objects are: ``v3``, ``v2`` or ``both``.
    store: str = "v3"
    #: Of the snapshot, since etcd 3.6.
    storage_version: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: Hosts whose etcd data directory was a mount point.
    etcd_mounts: Sequence[str] = ()
    #: Of the authority of etcd; empty where the point does not say.
    etcd_ca_sha256: str = ""

    def holds(self, component: str, host: str) -> bool:
        """Whether it has the artifact of a component of a host."""
        return any(name.startswith("%s/%s." % (component, host)) for name in self.artifacts)


@dataclasses.dataclass(frozen=True)
class Request:
    """What the operator asked for. ``scope`` names the hosts that may be rebuilt, none means all that are lost."""

    now: float
    slack: int
    scope: Sequence[str] = ()
    quorum_lost_source: str = ""
    #: The member whose data become the cluster, where data of several clusters are there.
    survivor: str = ""
    missing_members: Sequence[str] = ()
    give_up: Sequence[str] = ()
    versions_may_differ: bool = False
    mounts_may_differ: bool = False


@dataclasses.dataclass(frozen=True)
class Seen:
    """All that is known when a plan is made. ``components`` maps each host to its components."""

    hosts: Sequence[HostView]
    components: Mapping[str, Sequence[str]]
    request: Request
    unreachable: Sequence[str] = ()

    @property
    def etcd_hosts(self) -> List[HostView]:
        """Machines of group etcd."""
        return [host for host in self.hosts if "etcd" in host.groups]

    @property
    def admins(self) -> List[HostView]:
        """Machines that configure the others."""
        return [host for host in self.hosts if "admin" in host.groups]

    @property
    def control_plane(self) -> List[HostView]:
        """Machines with an API server or a member of etcd."""
        return [host for host in self.hosts if "etcd" in host.groups or "control_plane" in host.groups]

    @property
    def api_servers(self) -> List[HostView]:
        """Machines with an API server and no member of etcd: they start when the members serve."""
        return [host for host in self.hosts if "control_plane" in host.groups and "etcd" not in host.groups]

    @property
    def workers(self) -> List[HostView]:
        """Machines that start last. A worker that is a member of etcd starts with the members: the others wait for it."""
        return [host for host in self.hosts if "workers" in host.groups and "control_plane" not in host.groups and "etcd" not in host.groups]

    def in_scope(self, host: HostView) -> bool:
        """Whether the operator allows this machine to be rebuilt."""
        return not self.request.scope or host.name in self.request.scope

    def named(self, host: HostView) -> bool:
        """Whether the operator named this very machine, or a group that it is in."""
        return host.name in self.request.scope

    def host(self, name: str) -> HostView:
        """The view of one machine."""
        return next(host for host in self.hosts if host.name == name)


def names(hosts: Sequence[HostView]) -> List[str]:
    """Inventory names."""
    return [host.name for host in hosts]


def listed(hosts: Sequence[HostView]) -> str:
    """Inventory names in one text."""
    return ", ".join(names(hosts)) or "none"


def read_record(value: Optional[Mapping[str, Any]], give_up: Sequence[str] = ()) -> Optional[Record]:
    """The record in a host's ``restore.json``; None when there is none, when it is finished, and when the operator gives this restore up."""
    if not value or value.get("phase") == FINISHED:
        return None
    if {value.get("restore_id"), value.get("token")} & set(give_up):
        return None
    return Record(
        restore_id=str(value.get("restore_id") or ""),
        point=str(value.get("point") or ""),
        token=str(value.get("token") or ""),
        bump_revision=int(value.get("bump_revision") or 0),
        phase=str(value.get("phase") or PLANNED),
        strategy=str(value.get("strategy") or ""),
        source=str(value.get("source") or "recovery_point"),
        choice=str(value.get("choice") or ""),
        snapshot_sha256=str(value.get("snapshot_sha256") or ""),
        restores_files=value.get("restores_files") is True,
        playbook=str(value.get("playbook") or "lifeboat.cluster.recover_cluster").rpartition(".")[2],
        cluster_name=str(value.get("cluster_name") or ""),
        members=tuple(str(name) for name in value.get("members") or ()),
    )


def _unasked(asked: Mapping[str, Any]) -> Dict[str, str]:
    """A member that runs and could not be asked may serve: that it gave no answer says nothing."""
    if not asked.get("unasked"):
        return {}
    return {UNASKED: "it runs and could not be asked (%s): bring back its certificates, or stop it" % (asked.get("reason") or "no reason given")}


def host_view(name: str, groups: Sequence[str], node: Mapping[str, Any], etcd: Optional[Mapping[str, Any]], give_up: Sequence[str] = ()) -> HostView:
    """Read one machine's view out of the results of C(node_info) and, for etcd hosts, C(etcd_cluster_info)."""
    data: Mapping[str, Any] = node.get("etcd") or {}
    files: Mapping[str, Any] = node.get("required_files") or {}
    asked: Mapping[str, Any] = etcd or {}
    errors: Mapping[str, Any] = node.get("probe_errors") or {}
    return HostView(
        name=name,
        groups=tuple(groups),
        bare=bool(node.get("bare")),
        hostname=str(node.get("hostname") or ""),
        missing_files=tuple(str(path) for path in files.get("missing") or ()),
        faulty_files=tuple(str(text) for text in files.get("faults") or ()),
        unseen={**{look: str(errors[look]) for look in DECIDING_LOOKS if look in errors}, **_unasked(asked)},
        ca_sha256=(node.get("identity") or {}).get("ca_sha256"),
        etcd_ca_sha256=(node.get("identity") or {}).get("etcd_ca_sha256"),
        etcd_data="data" in (data.get("state"), data.get("flags_state")),
        etcd_mount=bool(data.get("is_mount")),
        etcd_answers=bool(asked.get("answers")),
        etcd_serves=bool(asked.get("linearizable")),
        etcd_cluster_id=str(asked.get("cluster_id") or ""),
        etcd_data_newest=data.get("newest_mtime"),
        etcd_data_cluster=str(data.get("cluster_id") or ""),
        etcd_data_voters=int(data.get("voters") or 0),
        etcd_asides=tuple(str(path) for path in data.get("asides") or () if "/member." in str(path)),
        etcd_revision=int(asked.get("revision") or 0),
        etcd_own_revision=int(asked.get("own_revision") or data.get("revision") or 0),
        record=read_record(node.get("record"), give_up),
        restores=tuple(
            InPlace(str(one["token"]), bool(one["staged"]), bool(one["used"]), int(one.get("revision_after") or 0)) for one in data.get("restores") or ()
        ),
        versions={
            # Where it does not answer: what would start.
            "etcd": str(asked.get("version") or (node.get("versions") or {}).get("etcd") or data.get("release") or ""),
            "kubelet": str((node.get("versions") or {}).get("kubelet") or ""),
        },
    )


def _snapshot_sha256(artifacts: Sequence[Mapping[str, Any]]) -> str:
    return next((str(artifact.get("plain_sha256") or "") for artifact in artifacts if artifact.get("component") == "etcd"), "")


def point_view(manifest: Mapping[str, Any], high_water_revision: int, taken_at: float) -> PointView:
    """Read what a plan needs out of a verified manifest."""
    etcd = manifest.get("etcd") or {}
    artifacts: Sequence[Mapping[str, Any]] = manifest.get("artifacts") or ()
    nodes: Mapping[str, Any] = manifest.get("nodes") or {}
    members: Dict[str, str] = {str(host): str(url) for host, url in (etcd.get("hosts") or {}).items()}
    return PointView(
        point=str(manifest["id"]),
        taken_at=taken_at,
        ca_sha256=str((manifest.get("cluster_identity") or {}).get("ca_sha256") or ""),
        etcd_revision=int(etcd.get("revision") or 0),
        high_water_revision=max(int(high_water_revision), int(manifest.get("highest_revision") or 0), int(etcd.get("revision") or 0)),
        etcd_members=members,
        artifacts=tuple(str(artifact["name"]) for artifact in artifacts),
        has_snapshot="revision" in etcd,
        snapshot_sha256=_snapshot_sha256(artifacts),
        store=str(etcd.get("store") or "v3"),
        storage_version=str(etcd.get("storage_version") or ""),
        versions={"etcd": str(etcd.get("server_version") or ""), "kubelet": str((manifest.get("versions") or {}).get("kubelet") or "")},
        etcd_mounts=tuple(host for host in members if (nodes.get(host) or {}).get("etcd_data_mount") is True),
        etcd_ca_sha256=str((manifest.get("fingerprints") or {}).get("etcd_ca_sha256") or ""),
    )
