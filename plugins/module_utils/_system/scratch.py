# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of a service's own programs, for a moment and for nobody else: in a directory of its own, gone with whoever started it.

A backup is proven by loading it into such a server. The directory is seen by the programs, so with a container it lies inside of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
import time
from typing import Callable, Iterator, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside, ProgramError
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

DEFAULT_DIRECTORY = "/var/lib/lifeboat/scratch"
READY_SECONDS = 120.0
# A server outlives nobody: it is killed when standard input ends, which it does when this process is gone, for whatever reason.
_WATCHED = """exec 3<&0
"$@" 3<&- </dev/null & child=$!
{ read -r _ <&3; kill -9 "$child"; } & reader=$!
exec 3<&-
wait "$child"; status=$?
kill "$reader" 2>/dev/null
exit "$status"
"""
_KILLED = 128 + 9
_PAUSE_SECONDS = 0.05


class ScratchError(LifeboatError):
    """A server to prove a backup with could not be started."""


@contextlib.contextmanager
def _alone(inside: Inside, path: str) -> Iterator[None]:
    """Hold a name that the kernel gives to one process of this host at a time, and takes back from a dead one."""
    name = hashlib.sha256(("%s %s" % (inside.container, path)).encode("utf-8")).hexdigest()
    with socket.socket(socket.AF_UNIX) as held:
        try:
            held.bind("\0lifeboat-scratch-%s" % name)
        except OSError as error:
            raise ScratchError(
                "The scratch directory %s is in use by another process." % path,
                found=error.strerror or str(error),
                remedy="Wait for it to end, then run again.",
            ) from error
        yield


@contextlib.contextmanager
def directory(inside: Inside, base: str, name: str) -> Iterator[str]:
    """An empty private directory below ``base``, as the programs see it; removed at the end. One at a time for each name."""
    path = os.path.join(base, name)
    with _alone(inside, path):
        # A run that was killed may have left some.
        inside.run(["rm", "-rf", "--", path])
        inside.run(["mkdir", "-p", "-m", "700", base])
        inside.run(["mkdir", "-m", "700", path])
        try:
            yield path
        finally:
            inside.run(["rm", "-rf", "--", path])


class _Server(threading.Thread):
    """Runs the server until its input is closed, and keeps what became of it."""

    def __init__(self, inside: Inside, command: Sequence[str], limit_seconds: float) -> None:
        super().__init__(daemon=True)
        self._inside = inside
        self._command = list(command)
        self._limit_seconds = limit_seconds
        self._input, self._end = os.pipe()
        self.problem: Optional[ProgramError] = None

    def run(self) -> None:
        with os.fdopen(self._input, "rb") as stdin:
            try:
                self._inside.run(["sh", "-c", _WATCHED, "sh", *self._command], stdin=stdin, timeout_seconds=self._limit_seconds, statuses=(0, _KILLED))
            except ProgramError as error:
                self.problem = error

    def stop(self) -> None:
        """End it and wait until it is gone."""
        os.close(self._end)
        self.join()


@contextlib.contextmanager
def serving(inside: Inside, command: Sequence[str], ready: Callable[[], bool], limit_seconds: float) -> Iterator[None]:
    """A server that runs while the block does. ``ready`` is asked until it answers yes; ``limit_seconds`` is the server's longest life."""
    server = _Server(inside, command, limit_seconds)
    server.start()
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if not server.is_alive() or time.monotonic() > deadline:
                raise ScratchError(
                    "A scratch server of %s did not start." % inside.where,
                    tried=" ".join(command),
                    found=server.problem.found if server.problem else "it ended" if not server.is_alive() else "no answer within %d seconds" % READY_SECONDS,
                    remedy="See what it says; there has to be room for its data, and its programs have to be whole.",
                )
            time.sleep(_PAUSE_SECONDS)
        yield
    finally:
        server.stop()
