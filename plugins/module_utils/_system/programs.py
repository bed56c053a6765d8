# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place in which the domain starts other programs.

AnsibleModule.run_command is of no use here: the domain has no module, on the controller it runs without one, and programs need a time limit, bytes or open
files as input and output, inherited locks, or a life beside ours. What holds for all of them is said once: no shell, nothing to read but what was given, no
descriptor but those named, and an end within the time, also when a program leaves children behind that keep its output open.
"""

from __future__ import annotations

import subprocess
from typing import IO, TYPE_CHECKING, Any, Mapping, Optional, Sequence, Union

# How long the output of a program that was killed is waited for: a child of it may hold it open for ever.
_DRAIN_SECONDS = 2.0

Input = Union[bytes, IO[bytes], None]
TooLong = subprocess.TimeoutExpired
Ended = subprocess.CompletedProcess

if TYPE_CHECKING:
    _Base = subprocess.Popen[bytes]
else:
    # Python 3.8 has no such type at run time.
    _Base = subprocess.Popen


class Process(_Base):
    """A program that runs beside us; it gets no input unless one is given. Raises OSError when it cannot be started."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        options.setdefault("stdin", subprocess.DEVNULL)
        super().__init__(list(command), **options)

    def end(self) -> None:
        """Kill it, if it is still there, and wait no longer than a moment for what it, or a child of it, still writes."""
        if self.poll() is None:
            self.kill()
        try:
            self.communicate(timeout=_DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            for stream in (self.stdin, self.stdout, self.stderr):
                if stream is not None:
                    stream.close()
        self.wait()


def run(
    command: Sequence[str],
    *,
    timeout_seconds: float,
    stdin: Input = None,
    stdout: Optional[IO[bytes]] = None,
    together: bool = False,
    environment: Optional[Mapping[str, str]] = None,
    pass_fds: Sequence[int] = (),
    own_session: bool = False,
) -> Ended[bytes]:
    """Run a program to its end; its status is the caller's to judge.

    ``stdin`` is bytes, an open file, or nothing; ``stdout`` an open file that takes the output instead of memory; with ``together`` complaints come in the
    output. Without ``environment`` it has ours. Raises OSError when it cannot be started and TooLong when it was killed after the time.
    """
    given = isinstance(stdin, bytes)
    process = Process(
        command,
        stdin=subprocess.PIPE if given else subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        env=None if environment is None else dict(environment),
        pass_fds=tuple(pass_fds),
        start_new_session=own_session,
    )
    try:
        output, complaint = process.communicate(stdin if isinstance(stdin, bytes) else None, timeout=timeout_seconds)
    except BaseException:
        process.end()
        raise
    return Ended(list(command), process.returncode, output, complaint)
