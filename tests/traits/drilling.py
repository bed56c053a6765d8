# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the drill as a person does, on a lab with traits, and judges its report."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests import environment
from tests.lab import Lab

# One machine may test several checkouts at once, and a lab belongs to one of them.
LAB = environment.lab_name("traits")
LIMIT_SECONDS = 1500
# So many checks a drill had when this was written, of a whole cluster and of a part; fewer would mean that something is not looked at any more.
LEAST_CHECKS = {"bomb": 190}
LEAST_CHECKS_OF_A_PART = 100
LEAST_CHECKS_OF_ONE_MACHINE = 70


def drill(traits: str, scenario: str = "bomb", topology: str = "ha") -> dict[str, Any]:
    """The report of a drill that has passed; nothing of its lab is left, whatever happens."""
    command = [sys.executable, "-m", "tests.drill", "--traits", traits, "--scenario", scenario, "--topology", topology, "--lab", LAB]
    try:
        done = subprocess.run(command, cwd=environment.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=LIMIT_SECONDS, check=False)  # fmt: skip
    finally:
        lab = Lab.open(LAB)
        if lab.exists:
            lab.down()
    print(done.stdout)
    assert done.returncode == 0, "\n".join(done.stdout.splitlines()[-60:])
    report: dict[str, Any] = json.loads((environment.BUILD / "drill" / "report.json").read_text())
    assert report["verdict"] == "passed"
    least = LEAST_CHECKS_OF_ONE_MACHINE if topology == "single" else LEAST_CHECKS.get(scenario, LEAST_CHECKS_OF_A_PART)
    assert report["counts"]["total"] >= least
    assert report["counts"]["passed"] == report["counts"]["total"], [check for check in report["checks"] if check["outcome"] != "passed"]
    return report
