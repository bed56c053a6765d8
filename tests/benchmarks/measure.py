# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One measured figure beside its baseline."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Measurement:
    """Seconds of ours and of the bare tool, and the ratio to reach (None: only reported)."""

    name: str
    ours: float
    baseline: float
    to_reach: float | None
    note: str
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Ours by baseline."""
        return self.ours / self.baseline

    @property
    def reached(self) -> bool:
        """Whether the figure is met, or only reported."""
        return self.to_reach is None or self.ratio <= self.to_reach

    def as_record(self) -> dict[str, object]:
        """For build/bench.json."""
        return {**asdict(self), "ratio": round(self.ratio, 3)}

    def line(self) -> str:
        """For people."""
        goal = "" if self.to_reach is None else f", to reach {self.to_reach} ({'reached' if self.reached else 'MISSED'})"
        return f"{self.name}: {self.ours:.2f} s beside {self.baseline:.2f} s = {self.ratio:.2f} x{goal}; {self.note}"


def alternate(ours: Callable[[], None], baseline: Callable[[], None], runs: int) -> tuple[float, float]:
    """Median seconds of both, run in turns so that whatever else the machine does meets both; one warm-up each."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for number in range(runs + 1):
        for side, action in enumerate((ours, baseline)):
            began = time.monotonic()
            action()
            if number:
                times[side].append(time.monotonic() - began)
    return statistics.median(times[0]), statistics.median(times[1])
