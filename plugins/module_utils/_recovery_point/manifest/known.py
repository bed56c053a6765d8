# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the names in a location alone say of its points.

Whoever may write results can write a name. A table may go by names; who deletes by them reads what is inside (results.read_believed).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Iterable, List, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.results import ResultName
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import tags
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.tags import TagName
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.clocks import LONGEST_BACKUP_SECONDS, is_future

ABANDONED_AFTER_SECONDS = LONGEST_BACKUP_SECONDS
# The state of a whole point whose time has not come.
IN_THE_FUTURE = "in_the_future"


def proof(found: Iterable[ResultName]) -> Optional[ResultName]:
    """The result that speaks for a point: the newest that passed and opened it; if none did, the newest that passed. None once a later one failed."""
    proven: Optional[ResultName] = None
    for result in in_order(found):
        if not result.passed:
            proven = None
        elif proven is None or _opens(result) or not _opens(proven):
            proven = result
    return proven


def last_drill(found: Iterable[ResultName]) -> Optional[ResultName]:
    """The newest drill."""
    return results.newest(result for result in found if result.kind == "drill")


def is_kept(found: Iterable[TagName]) -> bool:
    """Whether somebody said that the point is to be kept, and did not take it back."""
    newest = tags.newest(found)
    return newest is not None and newest.tag == "keep"


def in_order(found: Iterable[ResultName]) -> List[ResultName]:
    """The results that say something of the contents, oldest first."""
    # An escrow check says whose keys open a point, not whether the point is whole.
    return sorted((result for result in found if result.kind != "escrow"), key=lambda result: (result.at, not result.passed))


def _opens(result: ResultName) -> bool:
    return _reaches(result, "opened")


def _reaches(result: ResultName, level: str) -> bool:
    return names.LEVELS.index(result.level) >= names.LEVELS.index(level)


def verdict(result: ResultName) -> str:
    """How it ended, in a word."""
    return "passed" if result.passed else "failed"


def id_time(identifier: str) -> Optional[datetime]:
    """When the point was opened, by its id. None when the id names no time."""
    if not names.is_point_id(identifier):
        return None
    try:
        return datetime.strptime(identifier[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:  # the thirteenth month: the form is right, and nobody opened it
        return None


def began_before(identifier: str, moment: datetime) -> bool:
    """Whether the id names that time or an earlier one."""
    began = id_time(identifier)
    return began is not None and began <= moment


def stem(name: str) -> Tuple[str, str]:
    """The name of a record without its ending, and the ending."""
    for suffix in (".json.sig", ".json"):
        if name.endswith(suffix):
            return name[: -len(suffix)], suffix
    return name, ""


def is_from_the_future(identifier: str, now: datetime) -> bool:
    """Whether the id names a time that has not come."""
    began = id_time(identifier)
    return began is not None and is_future(began, now)


@dataclass(frozen=True)
class Known:
    """What the names alone say of one point."""

    id: str
    manifest: bool = False
    signature: bool = False
    # Whether anything lies below points/<id>/.
    objects: bool = False
    tombstone: bool = False
    results: Sequence[ResultName] = ()
    tags: Sequence[TagName] = ()
    overlaid: Sequence[str] = ()

    def possible_states(self) -> Tuple[str, ...]:
        """The states that it can turn out to be in when it is read."""
        if not names.is_point_id(self.id):
            return ("foreign",)
        found = ("complete", "tampered", IN_THE_FUTURE) if self.manifest else ("open", "abandoned")
        return (*found, "broken", "unreadable", "foreign", *(("pruning",) if self.tombstone else ()))


def due(known: Iterable[Known], level: str, now: datetime, after: timedelta, limit: int) -> List[str]:
    """Ids of the points to verify now, newest first, at most ``limit``.

    A sealed point is due when it never passed at this level or a higher one, or did so longer ago than ``after``; or when a drill or restore of it
    failed since. A verification that failed counts as one that was made: else a few broken points, tried again in every run, would use up the limit,
    and no other point would ever be read. A result from the future says nothing, and points whose ids are from there come last.
    """
    found: List[str] = []
    sealed = (entry for entry in known if entry.manifest and not entry.tombstone and names.is_point_id(entry.id))
    for entry in sorted(sealed, key=lambda entry: (not is_from_the_future(entry.id, now), entry.id), reverse=True):
        if len(found) >= limit:
            break
        judged: Optional[ResultName] = None
        for result in in_order(result for result in entry.results if not is_future(result.at, now)):
            if result.passed and _reaches(result, level) or result.kind == "verification" and not result.passed:
                judged = result
            elif not result.passed:
                judged = None
        if judged is None or now - judged.at > after:
            found.append(entry.id)
    return found
