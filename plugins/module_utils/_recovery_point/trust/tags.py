# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of a point: appended and signed, never changed; the newest one counts."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.records import Fields, canonical, parse
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust, read_signed
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ManifestError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location

FORMAT = 1
LARGEST_BYTES = 64 << 10
_NAME = re.compile(r"\A(?P<time>[0-9]{8}T[0-9]{6}Z)-(?P<tag>%s)-(?P<random>[0-9a-f]{8})\.json\Z" % "|".join(names.TAGS))


class TagName(NamedTuple):
    """What the name of a tag says."""

    at: datetime
    tag: str
    key: str

    def to_record(self) -> Dict[str, Any]:
        """As plain data."""
        return {"at": names.format_time(self.at), "tag": self.tag, "key": self.key}


@dataclass(frozen=True)
class Tag:
    """One tag of a point: ``keep`` holds it back from pruning, ``release`` ends that."""

    cluster_name: str
    point_id: str
    tag: str
    reason: str
    at: str
    user: str
    controller: str
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """The tag as it is stored."""
        return canonical(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> Tag:
        """Read a stored tag."""
        record = Fields(parse(data, "The tag"), "The tag")
        if record.take("format") != FORMAT:
            record.refuse("format", "is not %d" % FORMAT)
        record.only([entry.name for entry in fields(cls)])
        return cls(
            cluster_name=record.named("cluster_name", names.check_cluster_name),
            point_id=record.named("point_id", names.check_point_id),
            tag=record.text("tag", names.TAGS),
            reason=record.text("reason"),
            at=record.time("at"),
            user=record.text("user"),
            controller=record.text("controller"),
        )


def new_tag(cluster: str, point: str, tag: str, reason: str) -> Tag:
    """A tag of now, by this user."""
    return Tag(
        cluster_name=names.check_cluster_name(cluster),
        point_id=names.check_point_id(point),
        tag=tag,
        reason=reason,
        at=names.format_time(names.now()),
        user=results.user_name(),
        controller=results.controller_name(),
    )


def append(location: Location, tag: Tag, signing_key: Optional[str] = None, retain_until: Optional[datetime] = None) -> str:
    """Store a tag, its signature first when there is a key; returns its key."""
    key = names.tag_key(tag.cluster_name, tag.point_id, names.parse_time(tag.at), tag.tag)
    data = tag.to_bytes()
    if signing_key:
        location.put_new(key + ".sig", signing.sign(data, signing_key, signing.TAG_NAMESPACE), retain_until)
    location.put_new(key, data, retain_until)
    return key


def names_of(keys: Iterable[str]) -> Dict[str, List[TagName]]:
    """Tags by point id, oldest first, out of a listing of keys ``<cluster>/tags/<id>/<name>``."""
    found: Dict[str, List[TagName]] = {}
    for key in keys:
        parts = key.split("/")
        match = _NAME.match(parts[-1])
        if match is not None and len(parts) == 4 and names.is_point_id(parts[2]):
            at = datetime.strptime(match.group("time"), "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
            found.setdefault(parts[2], []).append(TagName(at, match.group("tag"), key))
    return {point: sorted(entries, key=_order) for point, entries in found.items()}


def newest(tags: Iterable[TagName]) -> Optional[TagName]:
    """The tag that counts; of two at the same second the one that keeps."""
    return max(tags, key=_order, default=None)


def _order(tag: TagName) -> Any:
    return tag.at, tag.tag == "keep", tag.key


def read_believed(location: Location, name: TagName, cluster: str, point: str, trust: Trust) -> Tag:
    """Read a tag that an allowed signer signed, and prove that it says what its name says. Raises SignatureError and ManifestError."""
    what = "The tag %s" % name.key.rsplit("/", 1)[-1]
    tag = Tag.from_bytes(read_signed(location, name.key, LARGEST_BYTES, signing.TAG_NAMESPACE, trust, what).data)
    if (tag.cluster_name, tag.point_id, tag.tag, tag.at) != (cluster, point, name.tag, names.format_time(name.at)):
        raise ManifestError("%s says something else than its name" % what, tried=name.key, remedy="somebody copied or renamed it: find out who")
    return tag
