# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress lines with the seconds since the start."""

from __future__ import annotations

import sys
import time


class Progress:
    """Says what is being done; to standard error, so that standard output stays for results."""

    def __init__(self, quiet: bool = False) -> None:
        self._begin = time.monotonic()
        self._quiet = quiet

    @property
    def seconds(self) -> float:
        """Seconds since this object was made."""
        return time.monotonic() - self._begin

    def __call__(self, message: str) -> None:
        """Say one thing."""
        if not self._quiet:
            print(f"[{self.seconds:6.1f} s] {message}", file=sys.stderr, flush=True)
