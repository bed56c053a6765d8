# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures ratios against the bare tools, side by side in one run, and writes build/bench.json."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from tests import environment
from tests.benchmarks.measure import Measurement
from tests.run import build_binaries


def main() -> int:
    """Measure what was asked for; status 1 when a figure that has to be reached is missed."""
    # The collection has to be found before anything of it is imported.
    sys.path.insert(0, str(environment.collection_tree()))
    from tests.benchmarks import control_plane, snapshots, uploads

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the etcd store and of the file to upload (default: 1000)")
    parser.add_argument("--runs", type=int, default=3, help="how often each side is measured; the median counts (default: 3)")
    parser.add_argument("--only", choices=["snapshots", "uploads", "control_plane"], help="measure only these")
    options = parser.parse_args()
    binaries = Path(os.environ.get("LIFEBOAT_BINARIES") or build_binaries())

    results: list[Measurement] = []
    if options.only in (None, "snapshots"):
        with tempfile.TemporaryDirectory(prefix="lifeboat-bench-") as scratch:
            results += snapshots.measure(Path(scratch), binaries, options.megabytes, options.runs)
    if options.only in (None, "uploads"):
        with tempfile.TemporaryDirectory(prefix="lifeboat-bench-") as scratch:
            results += uploads.measure(Path(scratch), options.megabytes, options.runs)
    if options.only in (None, "control_plane"):
        results += control_plane.measure()
    target = environment.BUILD / "bench.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps([result.as_record() for result in results], indent=2) + "\n", encoding="utf-8")
    for result in results:
        print(result.line())
    print(f"written to {target}")
    return 0 if all(result.reached for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
