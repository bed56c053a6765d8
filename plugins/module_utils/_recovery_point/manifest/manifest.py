# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a recovery point (written last, signed) and its opening record (written first)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.records import Fields, canonical, parse
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.sealing import Digests
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ManifestError, PointIncompleteError

FORMAT = 1
# A manifest of thousands of hosts stays far below; a reader never takes more into memory.
LARGEST_BYTES = 64 << 20
STATUSES = ("completed", "partially_failed")


@dataclass(frozen=True)
class Artifact:
    """One sealed file of a point."""

    name: str
    component: str
    host: str
    sealed_sha256: str
    sealed_size_bytes: int
    plain_sha256: str
    plain_size_bytes: int
    contents: Dict[str, Any] = field(default_factory=dict)

    def to_record(self) -> Dict[str, Any]:
        """The entry as plain data."""
        return asdict(self)

    @property
    def digests(self) -> Digests:
        """Its hashes and sizes."""
        return Digests(self.plain_sha256, self.plain_size_bytes, self.sealed_sha256, self.sealed_size_bytes)

    @classmethod
    def from_record(cls, value: Any, path: str, what: str = "The manifest") -> Artifact:
        """Read one entry of ``artifacts``."""
        record = Fields(value, what, path)
        record.only([entry.name for entry in fields(cls)])
        artifact = cls(
            name=record.named("name", names.check_artifact_name),
            component=record.named("component", names.check_component),
            host=record.text("host"),
            sealed_sha256=record.sha256("sealed_sha256"),
            sealed_size_bytes=record.number("sealed_size_bytes"),
            plain_sha256=record.sha256("plain_sha256"),
            plain_size_bytes=record.number("plain_size_bytes"),
            contents=record.mapping("contents"),
        )
        if artifact.name.split("/")[0] != artifact.component:
            record.refuse("component", "is not the directory in the artifact's name")
        return artifact


@dataclass(frozen=True)
class Missing:
    """Something that a complete point would hold, and why this one does not."""

    component: str
    host: str
    reason: str

    @classmethod
    def from_record(cls, value: Any, path: str, what: str = "The manifest") -> Missing:
        """Read one entry of ``missing``."""
        record = Fields(value, what, path)
        record.only([entry.name for entry in fields(cls)])
        return cls(record.named("component", names.check_component), record.text("host"), record.text("reason"))


@dataclass(frozen=True)
class ClusterIdentity:
    """What proves that a cluster is this one (not its name). A part is null where it could not be read."""

    kube_system_uid: Optional[str]
    ca_sha256: Optional[str]

    @classmethod
    def from_record(cls, value: Any, path: str, what: str = "The manifest") -> ClusterIdentity:
        """Read ``cluster_identity``."""
        record = Fields(value, what, path)
        record.only([entry.name for entry in fields(cls)])
        return cls(record.optional_text("kube_system_uid"), record.optional_sha256("ca_sha256"))


@dataclass(frozen=True)
class Manifest:
    """Everything that is known of a sealed point. ``taken_at`` is the time of the snapshot's revision: the point's age counts from it.

    ``checks`` have ``id``, ``host``, ``passed``, ``severity`` and ``stage``; ``durations`` are seconds by stage, of the run that made the point.
    ``nodes`` has ``name`` and ``address`` of each host, as they were.
    ``scope`` names the hosts that the point is about; none means the whole cluster. ``etcd`` of a point without a snapshot holds the members alone.
    """

    id: str
    cluster_name: str
    cluster_identity: ClusterIdentity
    taken_at: str
    opened_at: str
    sealed_at: str
    status: str
    retain_until: str
    platform: str
    versions: Dict[str, Any]
    artifacts: List[Artifact]
    etcd: Optional[Dict[str, Any]]
    highest_revision: int
    missing: List[Missing]
    scope: List[str]
    seen_before: List[str]
    recipients: List[str]
    checks: List[Dict[str, Any]]
    durations: Dict[str, Any]
    origin: Optional[Dict[str, Any]]
    fingerprints: Dict[str, Any]
    names: Dict[str, Any]
    nodes: Dict[str, Any]
    open_sha256: str
    format: int = FORMAT

    @property
    def retain(self) -> datetime:
        """Until when no object of the point may be removed."""
        return names.parse_time(self.retain_until)

    @property
    def size_bytes(self) -> int:
        """Sealed size of all artifacts."""
        return sum(artifact.sealed_size_bytes for artifact in self.artifacts)

    @property
    def components(self) -> List[str]:
        """Components of the cluster of which the point holds something; what is there to help whoever opens it is none."""
        return sorted({artifact.component for artifact in self.artifacts} - set(names.KIT))

    @property
    def has_snapshot(self) -> bool:
        """Whether it was sealed with the data of etcd."""
        return "revision" in (self.etcd or {})

    def covers(self, hosts: Sequence[str]) -> bool:
        """Whether it is of the whole cluster or, where hosts are named, holds something of each of them."""
        return set(hosts) <= {artifact.host for artifact in self.artifacts} if hosts else not self.scope

    def artifact(self, name: str) -> Artifact:
        """One artifact by its name."""
        for candidate in self.artifacts:
            if candidate.name == name:
                return candidate
        raise PointIncompleteError(
            "Recovery point %s has no artifact %s" % (self.id, name),
            found=", ".join(artifact.name for artifact in self.artifacts),
            remedy="use one of these, or another recovery point",
            missing=["%s of %s: %s" % (missing.component, missing.host, missing.reason) for missing in self.missing],
        )

    def to_record(self) -> Dict[str, Any]:
        """The manifest as plain data."""
        return asdict(self)

    def to_bytes(self) -> bytes:
        """The manifest as it is stored and signed."""
        return canonical(self.to_record())

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a stored manifest. Check its signature first: nothing in it is to be believed before."""
        return cls.from_record(parse(data, "The manifest"))

    @classmethod
    def from_record(cls, value: Any) -> Manifest:
        """Read a manifest from plain data; every complaint names the field."""
        record = Fields(value, "The manifest")
        found = record.take("format")
        if found != FORMAT or isinstance(found, bool):
            raise ManifestError(
                "The manifest has a format that this version cannot read",
                found="format %s" % repr(found)[:40],
                remedy="use the version of lifeboat.cluster that wrote the point, or a newer one; this one reads format %d" % FORMAT,
                field="format",
            )
        record.only([entry.name for entry in fields(cls)])
        manifest = cls(
            id=record.named("id", names.check_point_id),
            cluster_name=record.named("cluster_name", names.check_cluster_name),
            cluster_identity=ClusterIdentity.from_record(record.take("cluster_identity"), "cluster_identity"),
            taken_at=record.time("taken_at"),
            opened_at=record.time("opened_at"),
            sealed_at=record.time("sealed_at"),
            status=record.text("status", STATUSES),
            retain_until=record.time("retain_until"),
            platform=record.text("platform"),
            versions=record.mapping("versions"),
            artifacts=record.sequence("artifacts", Artifact.from_record),
            etcd=record.optional_mapping("etcd"),
            highest_revision=record.number("highest_revision"),
            missing=record.sequence("missing", Missing.from_record),
            scope=record.texts("scope"),
            seen_before=record.texts("seen_before"),
            recipients=record.texts("recipients"),
            checks=record.objects("checks"),
            durations=record.mapping("durations"),
            origin=record.optional_mapping("origin"),
            fingerprints=record.mapping("fingerprints"),
            names=record.mapping("names"),
            nodes=record.mapping("nodes"),
            open_sha256=record.sha256("open_sha256"),
        )
        for number, point in enumerate(manifest.seen_before):
            if not names.is_point_id(point):
                record.refuse("seen_before[%d]" % number, "is not the id of a recovery point")
        if not manifest.artifacts:
            record.refuse("artifacts", "is empty")
        if len({artifact.name for artifact in manifest.artifacts}) != len(manifest.artifacts):
            record.refuse("artifacts", "names one artifact twice")
        if not manifest.recipients:
            record.refuse("recipients", "is empty")
        if (manifest.status == "partially_failed") != bool(manifest.missing):
            record.refuse("status", "does not agree with missing")
        return manifest


@dataclass(frozen=True)
class Opening:
    """``open.json``: who began the point, when, and how long it is to be kept."""

    id: str
    cluster_name: str
    opened_at: str
    retain_until: str
    run_id: str
    user: str
    controller: str
    seen_before: List[str]
    format: int = FORMAT

    @property
    def retain(self) -> datetime:
        """Until when no object of the point may be removed."""
        return names.parse_time(self.retain_until)

    def to_record(self) -> Dict[str, Any]:
        """The record as plain data."""
        return asdict(self)

    def to_bytes(self) -> bytes:
        """The record as it is stored."""
        return canonical(self.to_record())

    @classmethod
    def from_bytes(cls, data: bytes) -> Opening:
        """Read a stored opening record."""
        record = Fields(parse(data, "open.json"), "open.json")
        if record.take("format") != FORMAT:
            record.refuse("format", "is not %d" % FORMAT)
        record.only([entry.name for entry in fields(cls)])
        return cls(
            id=record.named("id", names.check_point_id),
            cluster_name=record.named("cluster_name", names.check_cluster_name),
            opened_at=record.time("opened_at"),
            retain_until=record.time("retain_until"),
            run_id=record.text("run_id"),
            user=record.text("user"),
            controller=record.text("controller"),
            seen_before=record.texts("seen_before"),
        )
