# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's object gateway, out of Debian's packages."""

from __future__ import annotations

from tests.servers.ceph import CephGateway
from tests.servers.stories import ServerTests, story

__all__ = ["story"]


class TestCeph(ServerTests):
    """Ceph RGW."""

    kind = CephGateway
