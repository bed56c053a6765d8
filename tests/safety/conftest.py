# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab, the recovery point and the fixtures of the suite e2e, for disasters that take longer to play than every change has time for."""

from __future__ import annotations

from tests.e2e.conftest import bench, directory, lab, living, location, operator, output, planted

__all__ = ["bench", "directory", "lab", "living", "location", "operator", "output", "planted"]
