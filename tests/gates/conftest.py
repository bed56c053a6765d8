# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real copy of the collection for tools that refuse a link or write beside what they read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import environment


@pytest.fixture
def collection_copy(tmp_path: Path) -> Path:
    """The collection's root in a scratch collections path; each gate has its own, because tools leave files there."""
    return environment.copy_collection(tmp_path / "collections")


@pytest.fixture
def copied_collections(collection_copy: Path) -> Path:
    """The collections path that holds the copy."""
    return collection_copy.parent.parent.parent
