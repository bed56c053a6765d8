# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sanity looks at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import environment


@pytest.fixture
def collection_copy(tmp_path: Path) -> Path:
    """The collection's root in a scratch collections path."""
    return environment.copy_collection(tmp_path / "collections")
