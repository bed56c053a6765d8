# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Advisory locks between lab programs; the kernel drops them when a program dies, so none is ever stale."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import LabError

# Held by this process. A child that inherits one of these keeps the lock until it closes it.
HELD: set[int] = set()


@contextmanager
def locked(path: Path, what: str, *, timeout: float, announce: float = 2.0) -> Iterator[None]:
    """Hold a lock file; says who has it when that takes long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        begin = time.monotonic()
        announced = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = time.monotonic() - begin
                holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
                if waited > timeout:
                    raise LabError(f"lock {what}", f"{path} is held by process {holder} for more than {timeout:.0f} s", "wait for it or end it") from None
                if waited > announce and not announced:
                    print(f"waiting for process {holder}, which works on {what}", file=sys.stderr, flush=True)
                    announced = True
                time.sleep(0.1)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        HELD.add(handle)
        yield
    finally:
        HELD.discard(handle)
        os.close(handle)
