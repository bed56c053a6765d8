# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a point may be begun, and sealed, at this time: it has to lie behind the trusted points that are there, and not in the future.

A point that lies in the future itself does not count: some clock was wrong when it was made, and that must not end all backups. Only where every trusted
point lies in the future, the clock of this controller is the one that is wrong, until somebody says otherwise.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Dict, Iterable, Iterator, List, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.known import is_from_the_future
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.reading import OF_NO_POINT, read_manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.clocks import (
    CLOCK_TOLERANCE_SECONDS,
    LONGEST_BACKUP_SECONDS,
    TimeRefusedError,
    check_location_clock,
    is_future,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import duration
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

# Of the points that are there, so many of the newest are looked at. Usually the first one answers.
_LOOKED_AT = 20
_TOLERANCE = timedelta(seconds=CLOCK_TOLERANCE_SECONDS)
_HOW_TO_SET = "timedatectl and chronyc tracking say whether a clock is kept"


class Times:
    """What the points that are there say of the time. Manifests with a wrong signature say nothing; without allowed signers those count that are signed."""

    def __init__(self, location: Location, cluster: str, ids: Sequence[str], trust: Trust) -> None:
        self._location = location
        self._cluster = cluster
        self._trust = trust
        self._now = names.now()
        self._read: Dict[str, Optional[Manifest]] = {}
        self._past = [point for point in ids if not is_from_the_future(point, self._now)][-_LOOKED_AT:]
        self._ahead = [point for point in ids if is_from_the_future(point, self._now)][-_LOOKED_AT:]

    def check_some_are_past(self, what: str, known_as_future: Optional[str] = None) -> None:
        """Refuse where every trusted point lies in the future, unless the newest is one of which somebody said that its time is wrong."""
        if next(self._trusted(self._past, future=False), None) is not None:
            return
        future = list(self._trusted([*self._past, *self._ahead], future=True))
        if not future:
            return
        newest = max(future, key=lambda manifest: (manifest.taken_at, manifest.id))
        if newest.id != known_as_future:
            raise TimeRefusedError(
                "%s: by the clock of this controller every trusted recovery point is from the future" % what,
                tried="to compare its time with those of the points in %s" % self._location.describe(),
                found="this controller says %s, the newest point %s says %s" % (names.format_time(self._now), newest.id, newest.taken_at),
                remedy="set the clock of this controller (%s) and start the backup again; if it is right, and the clock that made that point was wrong, say so "
                "once: -e lifeboat_future_point=%s" % (_HOW_TO_SET, newest.id),
                point=newest.id,
            )

    def newest_original(self) -> Optional[Manifest]:
        """The newest trusted one that is neither from the future nor a copy: a copy stands for the time of its original."""
        return next((manifest for manifest in self._trusted(self._past, future=False) if manifest.origin is None), None)

    def _trusted(self, ids: Iterable[str], future: bool) -> Iterator[Manifest]:
        for point in reversed(list(ids)):
            manifest = self._manifest(point)
            if manifest is not None and is_future(names.parse_time(manifest.taken_at), self._now) is future:
                yield manifest

    def _manifest(self, point: str) -> Optional[Manifest]:
        if point not in self._read:
            try:
                self._read[point] = read_manifest(self._location, self._cluster, point, self._trust).manifest
            except OF_NO_POINT:
                raise
            except LifeboatError:
                self._read[point] = None
        return self._read[point]


def seen_before(ids: Sequence[str], limit: int) -> List[str]:
    """The newest ids, at most ``limit``, sorted; those from the future are the first to be left out, so that they take no place of the real ones."""
    now = names.now()
    return sorted(sorted(ids, key=lambda point: (not is_from_the_future(point, now), point))[-limit:])


def check_beginning(
    location: Location, cluster: str, ids: Sequence[str], trust: Trust, known_as_future: Optional[str] = None, is_copy: bool = False, look_only: bool = False
) -> None:
    """Refuse to begin a point at a wrong time. ``ids`` are those of the sealed points; ``look_only`` writes nothing, so it asks no directory for its time."""
    what = "No recovery point is begun"
    if not look_only:
        check_location_clock(location, what)
    if not is_copy:
        Times(location, cluster, ids, trust).check_some_are_past(what, known_as_future)


def check_sealing(location: Location, manifest: Manifest, trust: Trust, look_only: bool = False) -> None:
    """Once more when a point is sealed, as clocks may have jumped since it was begun; and the time that it would stand for.

    It is compared with the points that were sealed before this one began: of two backups at the same time either may be the first to be sealed.
    """
    what = "Recovery point %s is not sealed" % manifest.id
    if not look_only:
        check_location_clock(location, what)
    if manifest.origin is None:  # a copy stands for the time of its original
        _check_taken(manifest, Times(location, manifest.cluster_name, manifest.seen_before, trust).newest_original(), what)


def _check_taken(manifest: Manifest, newest: Optional[Manifest], what: str) -> None:
    now, begun, taken = names.now(), names.parse_time(manifest.opened_at), names.parse_time(manifest.taken_at)
    snapshot = "its snapshot says %s" % manifest.taken_at
    here = "this controller says %s" % names.format_time(now)
    the_machine = "set the clock of the machine that gave the snapshot (%s), then start the backup again" % _HOW_TO_SET
    if is_future(begun, now):
        _refuse(what, "the clock of this controller was set back", begun - now, "it was begun at %s, and %s" % (manifest.opened_at, here), _again())
    if is_future(taken, now):
        _refuse(what, "its snapshot is from the future", taken - now, "%s, and %s" % (snapshot, here), the_machine)
    if (taken - begun).total_seconds() > LONGEST_BACKUP_SECONDS:
        found = "it was begun at %s, and %s" % (manifest.opened_at, snapshot)
        _refuse(what, "its snapshot is too long after its beginning: a clock was set meanwhile", taken - begun, found, _again())
    if newest is not None and names.parse_time(newest.taken_at) - taken > _TOLERANCE:
        found = "%s; %s, which was sealed before this backup began, says %s; %s" % (snapshot, newest.id, newest.taken_at, here)
        _refuse(what, "its snapshot is older than a trusted point that was there before", names.parse_time(newest.taken_at) - taken, found, the_machine)


def _again() -> str:
    return "set the clocks of controller and machines (%s), then start the backup again; it begins a new point" % _HOW_TO_SET


def _refuse(what: str, why: str, apart: timedelta, found: str, remedy: str) -> None:
    raise TimeRefusedError(
        "%s: %s" % (what, why), tried="to compare the clocks", found="%s: %s apart" % (found, duration(apart.total_seconds())), remedy=remedy
    )
