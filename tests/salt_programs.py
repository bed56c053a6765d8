# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Salt in an environment of its own in the cache: its pins fit nothing else."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from tests import environment
from tests.lab.cache import Cache, key_of
from tests.lab.errors import LabError

LOCK = environment.REQUIREMENTS / "salt.txt"


def salt_programs() -> Path:
    """The directory with ``salt``, ``salt-master``, ``salt-minion``, ``salt-key``, ``salt-run`` and ``salt-call``, as the lock file says."""
    key = key_of(LOCK.read_text(), sys.version, sys.base_prefix)
    final = Cache().path("salt", key) / "bin"

    def build(directory: Path) -> None:
        venv.create(directory, with_pip=True, symlinks=True)
        command = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input"]
        command += ["--no-deps", "--require-hashes", "--requirement", str(LOCK)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError("install Salt", f"{done.stdout}\n{done.stderr}".strip(), "is the package index within reach? A changed salt.in needs `make lock`.")
        # The entry gets its name when it is finished; its programs name the interpreter by the whole path.
        for program in (directory / "bin").glob("salt*"):
            program.write_text(program.read_text().replace(str(directory / "bin"), str(final), 1))

    return Cache().entry("salt", key, build) / "bin"
