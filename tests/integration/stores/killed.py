# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on a database in a process of its own, which the client program kills: before, within or after a statement that it is given."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import environment
from tests.integration.stores.velum import LOADING, Velum, wait_for

# Where a restore is killed: what the statement says, and when.
POINTS = [
    (f"CREATE DATABASE .{LOADING}", "after"),
    ("Dump completed", "half"),
    ("Dump completed", "after"),
    ("RENAME TABLE", "before"),
    ("RENAME TABLE", "after"),
    ("^GRANT", "before"),
    ("^GRANT", "after"),
]
_CLIENT = """#!/bin/sh
statements=$(mktemp -p {directory})
cat > "$statements"
exec 3< "$statements" 4< "$statements"
if grep -aqE '{pattern}' "$statements"; then
  size=$(stat -c %s "$statements")
  rm "$statements"
  case {moment} in
  half) head -c $((size / 2)) <&3 | {real} "$@" ;;
  after) {real} "$@" <&3 ;;
  esac
  kill -9 $PPID
  exit 1
fi
rm "$statements"
exec {real} "$@" <&3
"""


@contextmanager
def client(velum: Velum, pattern: str, moment: str) -> Iterator[None]:
    """A client program that kills whoever called it with statements that match."""
    program = velum.programs / "mariadb"
    real = program.with_name("real-mariadb")
    program.rename(real)
    try:
        program.write_text(_CLIENT.format(directory=velum.directory, pattern=pattern, moment=moment, real=real))
        program.chmod(0o755)
        yield
    finally:
        real.rename(program)


def work(velum: Velum, what: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Restore from ``path``, or dump to it, in another process."""
    command = [sys.executable, "-m", __name__, what, str(velum.directory), str(velum.programs), str(path)]
    variables = {"PYTHONPATH": str(environment.collection_tree()), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        command, cwd=environment.ROOT, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def wait_for_no_process(word: str) -> None:
    """Until no process has this word in its command line."""

    def gone() -> bool:
        return not any(word.encode() in line for line in map(_command_line, Path("/proc").glob("[0-9]*/cmdline")))

    wait_for("end of what was started", gone)


def _command_line(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def main() -> None:
    """The work itself."""
    what, directory, programs, path = sys.argv[1:]
    velum = Velum(Path(directory), Path(programs))
    if what == "dump":
        velum.take(Path(path))
    else:
        velum.bring_back(path)


if __name__ == "__main__":
    main()
