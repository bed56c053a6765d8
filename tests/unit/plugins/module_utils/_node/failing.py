# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fails for a reader that is not root, or not allowed: real files, real errors of the kernel."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
# Longer than a file system allows for one name.
TOO_LONG = "x" * 300


@contextmanager
def nobody() -> Iterator[None]:
    """This process as a user whom the mode of files stops; it is root otherwise. All of its threads are."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)


def open_to_all(directory: Path) -> None:
    """Let everybody go through a directory and those above it: the tests' own are private."""
    temporary = Path(tempfile.gettempdir())
    for path in (directory, *directory.parents):
        if temporary in path.parents and path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o755)


def loop(path: Path) -> None:
    """A link that leads to itself: ELOOP."""
    path.symlink_to(path.name)
