# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of many kinds in a real cluster, a picture of everything that a cluster holds, and the difference of two pictures."""

from __future__ import annotations

from tests.workload.api import Api
from tests.workload.creation import Created, create
from tests.workload.picture import Difference, Picture, capture, difference, settle

__all__ = ["Api", "Created", "Difference", "Picture", "capture", "create", "difference", "settle"]
