# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The revision that a restored store reaches at least."""

# 2020-01-01. A cluster writes less than this in the long run; 2**53, beyond which some clients cannot count, is 285000 years away.
_BEGINS = 1_577_836_800
_REVISIONS_PER_SECOND = 1000


def clock_revision(now: float) -> int:
    """The revision that goes with a time in seconds since the epoch: later restores get higher ones, even when nobody knows of the earlier."""
    return int((now - _BEGINS) * _REVISIONS_PER_SECOND)
