# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the lab and the drill on another release of Kubernetes: which one is settled when a process begins."""

from __future__ import annotations

import os
import subprocess
import sys

from tests import environment
from tests.lab.versions import RELEASES, USUAL

# One machine may test several checkouts at once, and a lab belongs to one of them.
LAB = environment.lab_name("releases")
OLDEST, *_BETWEEN, NEWEST = RELEASES
OTHERS = tuple(release for release in RELEASES if release != USUAL)
LIMIT_SECONDS = 3600
TAIL_LINES = 60


def run(release: str, module: str, *arguments: str) -> str:
    """What a program of the tests printed that ended with success on this release."""
    # Binaries that were given are those of one release.
    variables = {name: value for name, value in os.environ.items() if name != "LIFEBOAT_BINARIES"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=environment.ROOT,
        env={**variables, "LIFEBOAT_KUBERNETES": release},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
    return done.stdout


def lab(release: str, *arguments: str) -> None:
    """A command of the lab."""
    run(release, "tests.lab", *arguments)
