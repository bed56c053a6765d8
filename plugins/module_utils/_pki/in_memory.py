# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for those who only take files: in memory, and nobody else can open them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Iterator


@contextlib.contextmanager
def as_file(data: bytes) -> Iterator[str]:
    """The path of a file with this content that only this process can open and that never lies on a disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("lifeboat", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            yield "/proc/self/fd/%d" % descriptor
    else:
        with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
            file.write(data)
            file.flush()
            yield file.name
