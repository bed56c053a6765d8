# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the drill: `python -m tests.drill --help`."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys

from tests import environment


def main() -> int:
    """Parse, run, say how it ended."""
    # The collection has to be importable before anything that uses its evidence package.
    sys.path.insert(0, str(environment.collection_tree()))
    from tests.drill.progress import Progress
    from tests.drill.scenarios import SCENARIOS
    from tests.drill.steps import Drill, DrillFailure, wanted_from
    from tests.lab import LabError

    scenarios = "\n".join(f"  {one.name:<14} {one.title}" for one in SCENARIOS.values())
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill",
        description="Make a lab cluster with a workload, back it up, destroy it, recover it, verify it from the outside, and report.",
        epilog=f"scenarios:\n{scenarios}\n\nEvery option may also be given in the environment: SCENARIO, LOCATION, TOPOLOGY, TRAITS, LAB, KEEP_LAB, INVENTORY.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scenario", default=os.environ.get("SCENARIO") or "bomb", help="what happens (default: bomb)")
    parser.add_argument("--location", default=os.environ.get("LOCATION") or "directory", help="where recovery points lie: directory (default) or s3")
    parser.add_argument("--topology", default=os.environ.get("TOPOLOGY") or "ha", help="ha (default), single or caasp")
    parser.add_argument("--traits", default=os.environ.get("TRAITS") or "", help="traits of the lab, with commas: real, or `python -m tests.lab --help`")
    parser.add_argument("--lab", default=os.environ.get("LAB") or "drill", help="name of the lab (default: drill); one that is up is thrown away")
    parser.add_argument("--keep-lab", action="store_true", default=bool(os.environ.get("KEEP_LAB")), help="leave the lab up also after success")
    parser.add_argument(
        "--inventory", default=os.environ.get("INVENTORY") or "", help="an inventory that the lab wrote, instead of --lab; any other is refused"
    )
    arguments = parser.parse_args()
    environment.BUILD.mkdir(exist_ok=True)
    with (environment.BUILD / "drill.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another drill is running in this checkout.", file=sys.stderr)
            return 2
        try:
            options = (arguments.scenario, arguments.location, arguments.topology, arguments.lab, arguments.keep_lab, arguments.inventory)
            return 0 if Drill(wanted_from(*options, arguments.traits), Progress()).run() else 1
        except (DrillFailure, LabError, TimeoutError) as error:
            print(f"\nverdict          FAILED\n{error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\ninterrupted; the next drill starts afresh", file=sys.stderr)
            return 130


if __name__ == "__main__":
    sys.exit(main())
