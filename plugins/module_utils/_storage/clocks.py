# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which time it is: what counts as the future, how far clocks may be apart, and what a clock that is wrong may not do to recovery points.

No clock is right by itself. Three are compared when a point is begun and when it is sealed: that of this controller, that of the location, and the times
of the points that are there.
"""

from __future__ import annotations

from datetime import datetime, timezone

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ClockSkewError, PointError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import duration

# A clock may differ from another one by so much. Machines that a time server keeps are within a second; a preflight lets the controller and each machine
# of the cluster be 30 s apart, so two machines a minute; a file server or a bucket tells whole seconds of its own clock. Five minutes are above the sum
# of these (and what Kerberos allows), and far below what does harm here: an hour of a wrong time zone, or a year.
CLOCK_TOLERANCE_SECONDS = 300
# A snapshot belongs to the backup that began the point. One that is taken more than so much later is of a clock that jumped; and the search for the newest
# point relies on it.
LONGEST_BACKUP_SECONDS = 24 * 3600


class TimeRefusedError(PointError):
    """A point is not begun or sealed, because of the time that it would stand for."""


def is_future(moment: datetime, now: datetime) -> bool:
    """Whether a point claims to be from a time that has not come."""
    return (moment - now).total_seconds() > CLOCK_TOLERANCE_SECONDS


def future_text(moment: datetime, now: datetime) -> str:
    """Why a point is set aside, in words."""
    return "it says %s, and here it is %s" % (names.format_time(moment), names.format_time(now))


def check_location_clock(location: Location, what: str) -> None:
    """Refuse to go on where the clocks of this controller and of the location disagree. ``what`` says what is not done: "Nothing is pruned"."""
    there = location.clock()
    if there is None:
        return
    here = names.now().timestamp()
    ahead = here - there
    if abs(ahead) > CLOCK_TOLERANCE_SECONDS:
        raise ClockSkewError(
            "%s while the clocks of this controller and of the location disagree" % what,
            tried="to compare them, with %s" % location.describe(),
            found="this controller says %s, the location %s: the controller is %s by %s"
            % (_said(here), _said(there), "ahead" if ahead > 0 else "behind", duration(abs(ahead))),
            remedy="set the clock of the one that is wrong (chronyc tracking, timedatectl), and start the run again",
            controller_time=_said(here),
            location_time=_said(there),
        )


def _said(seconds: float) -> str:
    return names.format_time(datetime.fromtimestamp(int(seconds), timezone.utc))
