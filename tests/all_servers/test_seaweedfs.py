# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SeaweedFS: its build takes longer than every change has time for."""

from __future__ import annotations

from tests.servers.seaweedfs import SeaweedFS
from tests.servers.stories import ServerTests, story

__all__ = ["story"]


class TestSeaweedFS(ServerTests):
    """SeaweedFS."""

    kind = SeaweedFS
