# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playground for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.evidence.playground import Playground


@pytest.fixture
def playground(tmp_path: Path) -> Playground:
    """An empty directory with an inventory of two control planes and a worker, all local."""
    return Playground(tmp_path)
