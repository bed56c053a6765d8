# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record that a point was pruned: written and signed before its first object is removed, and kept as long as a later point names it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import List, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.records import Fields, canonical, parse
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust, read_signed
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import TombstoneError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location

FORMAT = 1
LARGEST_BYTES = 1 << 20


@dataclass(frozen=True)
class Tombstone:
    """The record that a point was pruned, by whom and why."""

    id: str
    cluster_name: str
    pruned_at: str
    by: str
    run_id: str
    reason: str
    # None of an abandoned point, which stands for no time.
    taken_at: Optional[str]
    components: List[str]
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """The tombstone as it is stored and signed."""
        return canonical(asdict(self))

    def __str__(self) -> str:
        return "pruned %s by %s in run %s (%s)" % (self.pruned_at, self.by, self.run_id, self.reason)

    @classmethod
    def from_bytes(cls, data: bytes) -> Tombstone:
        """Read a stored tombstone."""
        record = Fields(parse(data, "The tombstone"), "The tombstone")
        if record.take("format") != FORMAT:
            record.refuse("format", "is not %d" % FORMAT)
        record.only([entry.name for entry in fields(cls)])
        return cls(
            id=record.named("id", names.check_point_id),
            cluster_name=record.named("cluster_name", names.check_cluster_name),
            pruned_at=record.time("pruned_at"),
            by=record.text("by"),
            run_id=record.text("run_id"),
            reason=record.text("reason"),
            taken_at=record.time("taken_at") if record.has("taken_at") else None,
            components=record.texts("components"),
        )


def read_tombstone(location: Location, cluster: str, point: str, trust: Trust) -> Tombstone:
    """Read a tombstone that an allowed signer signed. Raises ObjectMissingError when there is none; any other, SignatureError and ManifestError, is not one."""
    key = names.tombstone_key(cluster, point)
    what = "The tombstone of %s" % point
    tombstone = Tombstone.from_bytes(read_signed(location, key, LARGEST_BYTES, signing.TOMBSTONE_NAMESPACE, trust, what).data)
    if (tombstone.cluster_name, tombstone.id) != (cluster, point):
        raise TombstoneError(
            "%s is that of another point" % what,
            tried=key,
            found="it says cluster %s, point %s" % (tombstone.cluster_name, tombstone.id),
            remedy="somebody copied it there: find out who, and remove it",
        )
    return tombstone
