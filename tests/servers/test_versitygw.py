# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""versitygw."""

from __future__ import annotations

from tests.servers.stories import ServerTests, story
from tests.servers.versitygw import VersityGateway

__all__ = ["story"]


class TestVersitygw(ServerTests):
    """versitygw."""

    kind = VersityGateway
