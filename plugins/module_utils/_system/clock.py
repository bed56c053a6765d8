# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By how much the clock of a host differs from the controller's."""

from __future__ import annotations


def seconds_ahead(host_epoch: float, asked_at: float, answered_at: float) -> float:
    """By how many seconds, at least, the host's clock is ahead of the controller's; behind is below zero.

    The host read its clock once between ``asked_at`` and ``answered_at`` (seconds since 1970, by the controller's clock). When is not known: sudo, a
    connection, another host in the queue may have taken most of that time. So a clock that can be right at some moment in between is called right.
    """
    return max(host_epoch - answered_at, 0.0) or min(host_epoch - asked_at, 0.0)
