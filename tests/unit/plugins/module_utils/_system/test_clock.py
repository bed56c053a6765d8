# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a host's clock is from the controller's, when it is not known at which moment of the look it was read."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.clock import seconds_ahead


@pytest.mark.parametrize(
    ("host", "asked", "answered", "ahead"),
    [
        (1005.0, 1000.0, 1010.0, 0.0),
        # A look of a minute, for a slow sudo: the clock may be right.
        (1001.0, 1000.0, 1060.0, 0.0),
        (1095.0, 1000.0, 1060.0, 35.0),
        (970.0, 1000.0, 1060.0, -30.0),
        (4600.0, 1000.0, 1001.0, 3599.0),
    ],
)
def test_what_the_look_took_is_no_difference(host: float, asked: float, answered: float, ahead: float) -> None:
    assert seconds_ahead(host, asked, answered) == ahead
