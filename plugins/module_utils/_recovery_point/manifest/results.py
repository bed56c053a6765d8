# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of verifications, drills and restores: appended, never changed; their names alone say the verdict."""

from __future__ import annotations

import getpass
import os
import re
import socket
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.records import Fields, canonical, parse
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust, read_signed
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ManifestError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

FORMAT = 1
LARGEST_BYTES = 16 << 20
_NAME = re.compile(
    r"\A(?P<time>[0-9]{8}T[0-9]{6}Z)-(?P<kind>%s)-(?P<level>%s)-(?P<verdict>passed|failed)-(?P<random>[0-9a-f]{8})\.json\Z"
    % ("|".join(names.KINDS), "|".join(names.LEVELS))
)
_PROVES_OPENING = names.LEVELS[names.LEVELS.index("opened") :]
# The component whose data stand for the whole cluster.
_ETCD = "etcd"
# Says whose keys open a point, not whether the point is whole.
_PROVES_KEYS = "escrow"


class ResultName(NamedTuple):
    """What the name of a result says."""

    at: datetime
    kind: str
    level: str
    passed: bool
    key: str

    def to_record(self) -> Dict[str, Any]:
        """As plain data."""
        return {"at": names.format_time(self.at), "kind": self.kind, "level": self.level, "verdict": "passed" if self.passed else "failed", "key": self.key}


@dataclass(frozen=True)
class Result:
    """One verification, drill or restore of a point.

    ``hosts`` and ``components``: what a restore really brought back from the point. ``damaged``: artifacts that were missing, or not what was sealed.
    """

    cluster_name: str
    point_id: str
    kind: str
    level: str
    verdict: str
    at: str
    run_id: str
    user: str
    controller: str
    # The highest revision that the cluster had, or was given by a restore: nobody may ever be given a lower one again.
    highest_revision: Optional[int] = None
    details: Dict[str, Any] = field(default_factory=dict)
    hosts: List[str] = field(default_factory=list)
    components: List[str] = field(default_factory=list)
    damaged: List[str] = field(default_factory=list)
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """The result as it is stored."""
        return canonical(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> Result:
        """Read a stored result."""
        record = Fields(parse(data, "The result"), "The result")
        if record.take("format") != FORMAT:
            record.refuse("format", "is not %d" % FORMAT)
        record.only([entry.name for entry in fields(cls)])
        return cls(
            cluster_name=record.named("cluster_name", names.check_cluster_name),
            point_id=record.named("point_id", names.check_point_id),
            kind=record.text("kind", names.KINDS),
            level=record.text("level", names.LEVELS),
            verdict=record.text("verdict", ("passed", "failed")),
            at=record.time("at"),
            run_id=record.text("run_id"),
            user=record.text("user"),
            controller=record.text("controller"),
            highest_revision=record.number("highest_revision") if record.has("highest_revision") else None,
            details=record.mapping("details"),
            # Results that were written before there were these fields have none.
            hosts=record.texts("hosts") if record.has("hosts") else [],
            components=record.texts("components") if record.has("components") else [],
            damaged=record.texts("damaged") if record.has("damaged") else [],
        )


def user_name() -> str:
    """Who writes a record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "uid %d" % os.getuid()


def controller_name() -> str:
    """From where a record is written."""
    return socket.gethostname() or "unknown"


def proven_level(kind: str, asked: str, verified: Optional[str], components: Sequence[str], damaged: Sequence[str]) -> str:
    """How far a result proves the point: the level that stands in its name, by which everybody decides.

    A restore proves what was read of the point before it, and no more: ``verified`` is the level of that, and who does not say it has only listed it.
    ``restored``, which stands for a point that brought a cluster back, needs the data of etcd restored out of it, and all of it read. A point of which
    something is damaged is not proven, whatever came back from it.
    """
    if kind != "restore":
        return asked
    reached = names.READING_LEVELS[0] if damaged or verified not in names.READING_LEVELS else str(verified)
    if reached == "opened" and _ETCD in components:
        reached = "restored"
    return min(asked, reached, key=names.LEVELS.index)


def new_result(
    cluster: str,
    point: str,
    kind: str,
    level: str,
    passed: bool,
    run_id: str,
    highest_revision: Optional[int] = None,
    details: Optional[Dict[str, Any]] = None,
    *,
    hosts: Sequence[str] = (),
    components: Sequence[str] = (),
    damaged: Sequence[str] = (),
) -> Result:
    """A result of now, by this user."""
    return Result(
        cluster_name=names.check_cluster_name(cluster),
        point_id=names.check_point_id(point),
        kind=kind,
        level=level,
        verdict="passed" if passed else "failed",
        at=names.format_time(names.now()),
        run_id=run_id,
        user=user_name(),
        controller=controller_name(),
        highest_revision=highest_revision,
        details=details or {},
        hosts=sorted(set(hosts)),
        components=sorted(set(components)),
        damaged=sorted(set(damaged)),
    )


def parse_name(key: str) -> Optional[ResultName]:
    """Read the name of a result; None when the key is not one (its signature, or something foreign)."""
    match = _NAME.match(key.rsplit("/", 1)[-1])
    if match is None:
        return None
    at = datetime.strptime(match.group("time"), "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    return ResultName(at, match.group("kind"), match.group("level"), match.group("verdict") == "passed", key)


def newest(results: Iterable[ResultName]) -> Optional[ResultName]:
    """The newest result; of two at the same second the failed one."""
    return max(results, key=lambda result: (result.at, not result.passed), default=None)


def is_verified(results: Iterable[ResultName]) -> bool:
    """The newest result at level opened or higher passed, and none later failed at any level."""
    ordered = sorted((result for result in results if result.kind != _PROVES_KEYS), key=lambda result: (result.at, not result.passed))
    verified = False
    for result in ordered:
        if not result.passed:
            verified = False
        elif result.level in _PROVES_OPENING:
            verified = True
    return verified


def append(location: Location, result: Result, signing_key: Optional[str] = None, retain_until: Optional[datetime] = None) -> str:
    """Store a result, its signature first when there is a key, locked for as long as its point; returns its key."""
    key = names.result_key(result.cluster_name, result.point_id, names.parse_time(result.at), result.kind, result.level, result.verdict == "passed")
    data = result.to_bytes()
    if retain_until is not None and retain_until <= names.now():
        retain_until = None  # the point may go already; a lock that is over before it begins is refused
    if signing_key:
        location.put_new(key + ".sig", signing.sign(data, signing_key, signing.RESULT_NAMESPACE), retain_until)
    location.put_new(key, data, retain_until)
    return key


def read_believed(location: Location, name: ResultName, cluster: str, point: str, trust: Trust) -> Result:
    """Read a result that an allowed signer signed, and prove that it says what its name says.

    Raises SignatureError (unsigned, edited, a stranger's, or nobody said who may sign) and ManifestError. The name alone is a claim: whoever may write
    results, an intruder with the backup job's credentials too, can write a name.
    """
    what = "The result %s" % name.key.rsplit("/", 1)[-1]
    result = Result.from_bytes(read_signed(location, name.key, LARGEST_BYTES, signing.RESULT_NAMESPACE, trust, what).data)
    said = (cluster, point, name.kind, name.level, "passed" if name.passed else "failed", names.format_time(name.at))
    found = (result.cluster_name, result.point_id, result.kind, result.level, result.verdict, result.at)
    if said != found:
        raise ManifestError(
            "%s says something else than its name" % what,
            tried=name.key,
            found="inside: %s" % ", ".join(found),
            remedy="somebody copied or renamed it: it proves nothing; find out who wrote it",
        )
    return result


def account(location: Location, name: Dict[str, Any], cluster: str, point: str, trust: Trust) -> Dict[str, Any]:
    """The record of a result's name with what is inside, where that says more: what a restore brought back, and what a failed verification found damaged.

    Nothing is added of a result that is not believed.
    """
    result = parse_name(str(name["key"]))
    if result is None or not (result.kind == "restore" or result.kind == "verification" and not result.passed):
        return name
    try:
        said = read_believed(location, result, cluster, point, trust)
    except LifeboatError:
        return name
    return dict(name, hosts=said.hosts, components=said.components, damaged=said.damaged)


def names_of(keys: Iterable[str]) -> Dict[str, List[ResultName]]:
    """Results by point id, out of a listing of keys ``<cluster>/results/<id>/<name>``."""
    found: Dict[str, List[ResultName]] = {}
    for key in keys:
        result = parse_name(key)
        parts = key.split("/")
        if result is not None and len(parts) == 4 and names.is_point_id(parts[2]):
            found.setdefault(parts[2], []).append(result)
    return found
