# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery points of long ago, in any location: records and signatures are real, artifacts are a few random bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.tombstones import Tombstone
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Artifact, ClusterIdentity, Manifest, Missing, Opening
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.points import sealed_ids
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing, tags
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys

RUN = "20261120T130000Z-backup_cluster-1f3a"
SHA = "ab" * 32


def at(text: str) -> datetime:
    """A time; without hours, at noon."""
    return names.parse_time(text if "T" in text else text + "T12:00:00Z")


class Past:
    """Makes points with any time, as the backups of that time left them."""

    def __init__(self, location: Location, keys: Keys, cluster: str = CLUSTER) -> None:
        self.location = location
        self.keys = keys
        self.cluster = cluster

    @property
    def trust(self) -> Trust:
        """Believes whatever this maker signs."""
        return self.keys.trust

    @property
    def signing_key(self) -> str:
        """Signs all records."""
        return str(self.keys.signing_key)

    @staticmethod
    def lock(until: datetime) -> datetime | None:
        """How long an object of then is still locked; no server locks into the past."""
        return until if until > names.now() else None

    def opened(self, moment: datetime, retain_days: float = 5, identifier: str = "") -> Opening:
        """A point that was opened then and not sealed, with one artifact."""
        opening = Opening(
            id=identifier or names.new_point_id(moment),
            cluster_name=self.cluster,
            opened_at=names.format_time(moment),
            retain_until=names.format_time(moment + timedelta(days=retain_days)),
            run_id=RUN,
            user="root",
            controller="control",
            seen_before=sealed_ids(self.location, self.cluster)[-200:],
        )
        self.location.put_new(names.open_key(self.cluster, opening.id), opening.to_bytes(), self.lock(opening.retain))
        return opening

    def point(
        self,
        moment: datetime,
        components: Sequence[str] = ("etcd", "pki"),
        scope: Sequence[str] = (),
        verified: bool = True,
        sign: bool = True,
        retain_days: float = 5,
        machines: Sequence[str] = ("cp1",),
        lost: Sequence[str] = (),
        **more: Any,
    ) -> str:
        """A sealed point of these machines, with one snapshot of etcd; those that are lost did not answer. Returns its id."""
        opening = self.opened(moment, retain_days)
        artifacts = []
        wanted = [(component, machine) for component in components for machine in (machines[:1] if component == "etcd" else machines)]
        for component, machine in wanted:
            content = os.urandom(200)
            name = f"{component}/{machine}.tar.zst.age"
            self.location.put_new(names.artifact_key(self.cluster, opening.id, name), content, self.lock(opening.retain))
            artifacts.append(Artifact(name, component, machine, hashlib.sha256(content).hexdigest(), len(content), SHA, 1000))
        manifest = Manifest(
            id=opening.id,
            cluster_name=self.cluster,
            cluster_identity=ClusterIdentity("6dbd6a44-0c4e-4ff3-ba1f-ee0b2b7e5a5c", SHA),
            taken_at=opening.opened_at,
            opened_at=opening.opened_at,
            sealed_at=opening.opened_at,
            status="partially_failed" if lost else "completed",
            retain_until=opening.retain_until,
            platform="kubeadm",
            versions={},
            artifacts=artifacts,
            etcd=None,
            highest_revision=0,
            missing=[Missing(component, machine, "unreachable") for component in components if component != "etcd" for machine in lost],
            scope=list(scope),
            seen_before=opening.seen_before,
            recipients=[self.keys.recipient],
            checks=[],
            durations={},
            origin=None,
            fingerprints={},
            names={},
            nodes={machine: {"name": machine, "address": "192.0.2.1"} for machine in machines},
            open_sha256=hashlib.sha256(opening.to_bytes()).hexdigest(),
        )
        self.seal(replace(manifest, **more), sign)
        if verified:
            self.result(opening.id, moment + timedelta(minutes=30), retain_until=self.lock(opening.retain))
        return opening.id

    def seal(self, manifest: Manifest, sign: bool = True) -> None:
        """Write a manifest as it is."""
        data = manifest.to_bytes()
        key = names.manifest_key(self.cluster, manifest.id)
        if sign:
            self.location.put_new(key + ".sig", signing.sign(data, self.signing_key, signing.MANIFEST_NAMESPACE), self.lock(manifest.retain))
        self.location.put_new(key, data, self.lock(manifest.retain))

    def result(
        self,
        point: str,
        moment: datetime,
        passed: bool = True,
        level: str = "opened",
        kind: str = "verification",
        key: Path | None = None,
        sign: bool = True,
        retain_until: datetime | None = None,
    ) -> str:
        """A result of then, signed by ``key`` or this maker's own."""
        result = replace(results.new_result(self.cluster, point, kind, level, passed, RUN), at=names.format_time(moment))
        return results.append(self.location, result, str(key or self.signing_key) if sign else None, retain_until)

    def tag(self, point: str, tag: str, moment: datetime, reason: str = "audit 2026", sign: bool = True) -> str:
        """A tag of then."""
        record = replace(tags.new_tag(self.cluster, point, tag, reason), at=names.format_time(moment))
        return tags.append(self.location, record, self.signing_key if sign else None)

    def tombstone(self, point: str, moment: datetime, key: Path | None = None, sign: bool = True, says: str = "", namespace: str = "") -> None:
        """A tombstone of then, of whatever quality."""
        record = Tombstone(
            says or point, self.cluster, names.format_time(moment), "root on control", RUN, "no tier of the policy wants it", None, ["etcd", "pki"]
        )
        path = names.tombstone_key(self.cluster, point)
        if sign:
            signature = signing.sign(record.to_bytes(), str(key or self.signing_key), namespace or signing.TOMBSTONE_NAMESPACE)
            self.location.put_new(path + ".sig", signature)
        self.location.put_new(path, record.to_bytes())

    def keys_there(self) -> list[str]:
        """Every key of the cluster."""
        return [stored.key for stored in self.location.list(names.cluster_prefix(self.cluster))]

    def points_there(self) -> list[str]:
        """Ids of which there is a manifest."""
        return sealed_ids(self.location, self.cluster)
