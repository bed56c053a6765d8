# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scratch etcd of the host's own program on a copy of ours, which proves it and rewrites it.

It listens on Unix sockets in a private directory: no other user can read what it serves, and no port is taken. It ends with us, killed or not.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import BackupError, Unreachable
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.tools import environment
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_tree
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_api import V2Client
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import programs
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import find_program
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_NAME = "lifeboat-scratch"
# A path in etcd's URLs is refused, so sockets lie in its working directory and are named like an address.
_CLIENT, _PEER = "localhost:1", "localhost:2"
_SOCKET_TIMEOUT_SECONDS = 30.0
_END_SECONDS = 60.0
_TAIL = 2000


def program(given: str, name: str) -> str:
    """The host's etcd or etcdctl."""
    found = given or find_program(name)
    if not found or not os.access(found, os.X_OK):
        raise BackupError(
            "%s is not on this host" % name,
            tried=given or "the PATH",
            remedy="The v2 store is saved and restored by the programs of its own version: run this on an etcd member, or give the path.",
        )
    return found


def version(etcd: str) -> str:
    """What the program says of itself."""
    answer = programs.run([etcd, "--version"], timeout_seconds=60, together=True)
    match = re.search(r"etcd Version:\s*(\S+)", answer.stdout.decode("utf-8", "replace"))
    return match.group(1) if match else ""


class Scratch:
    """The running server."""

    def __init__(self, client: V2Client, snapshots: str, check: Callable[[], None]) -> None:
        self.client = client
        self._snapshots = snapshots
        self._check = check

    def wait(self, what: str, condition: Callable[[], bool], seconds: float) -> None:
        """Until the condition is true; raises when the server ends or the time is over."""
        deadline = time.monotonic() + seconds
        problem = ""
        while True:
            self._check()
            try:
                if condition():
                    return
            except Unreachable as error:
                problem = error.found
            if time.monotonic() > deadline:
                raise BackupError(
                    "the scratch etcd did not get ready", tried="waited %g s for %s" % (seconds, what), found=problem, remedy="Raise the time-out."
                )
            time.sleep(0.05)

    def wait_saved(self, index: int, seconds: float) -> None:
        """Until a raft snapshot holds everything up to a raft index."""
        self.wait("a raft snapshot of all", lambda: v2_tree.raft_index(v2_tree.newest_raft_snapshot(self._snapshots)) >= index, seconds)


@contextmanager
def serving(etcd: str, data_dir: str, work: str, *, entries: int, seconds: float) -> Iterator[Scratch]:
    """Run a server of one on ``data_dir``; it forgets every other member. It ends in order, with all written down, when the context does.

    After more than ``entries`` applied raft entries it saves the whole tree as a raft snapshot.
    """
    log = os.path.join(work, "etcd.log")
    command = [etcd, "--name", _NAME, "--data-dir", data_dir, "--force-new-cluster", "--enable-v2", "--snapshot-count", str(max(1, entries))]
    command += ["--listen-client-urls", "unix://" + _CLIENT, "--advertise-client-urls", "unix://" + _CLIENT]
    command += ["--listen-peer-urls", "unix://" + _PEER, "--initial-advertise-peer-urls", "unix://" + _PEER]
    command += ["--initial-cluster", "%s=unix://%s" % (_NAME, _PEER)]
    for name in (_CLIENT, _PEER):
        _discard(os.path.join(work, name))
    directory = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(log, "wb") as output:
            process = programs.Process(_ends_with_us(command), cwd=work, stdout=output, stderr=output, env=environment())
        try:

            def check() -> None:
                if process.poll() is not None:
                    raise _ended(command, process.returncode, log)

            # A path to a socket may have 108 bytes, that of a private directory has more.
            client = V2Client.at_socket("/proc/self/fd/%d/%s" % (directory, _CLIENT), _SOCKET_TIMEOUT_SECONDS)
            scratch = Scratch(client, os.path.join(data_dir, "member", "snap"), check)
            scratch.wait("its first answer", client.healthy, seconds)
            yield scratch
            check()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_END_SECONDS)
            except programs.TooLong:
                raise BackupError("the scratch etcd did not end", tried="SIGTERM, then waited %g s" % _END_SECONDS, found=_tail(log)) from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    finally:
        os.close(directory)
        _discard(log)


def _ended(command: List[str], status: int, log: str) -> LifeboatError:
    return BackupError(
        "the scratch etcd ended by itself",
        tried=" ".join(command),
        found="status %d: %s" % (status, _tail(log)),
        remedy="What it was started on is damaged, or was made by a newer etcd. Take the backup from another member; restore from another recovery point.",
    )


def _tail(log: str) -> str:
    with open(log, "rb") as file:
        return file.read().decode("utf-8", "replace").strip()[-_TAIL:]


# In a process of its own: code of ours between fork and exec is not safe, as Python's own documentation says of preexec_fn. Opened there, a library is the
# likely reason of what was seen once: a child that ended with SIGABRT and without a word.
_EXECUTE = """\
import ctypes, os, signal, sys
os.umask(0o077)
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit("whoever started this is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def _ends_with_us(command: Sequence[str]) -> List[str]:
    """The command, with files that nobody else may read, and an end when ours comes, however that comes."""
    return [sys.executable, "-I", "-c", _EXECUTE, str(os.getpid()), *command]


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def new_identity(etcdctl: str, source: str, target: str, seconds: float) -> None:
    """Let the host's etcdctl make a data directory of another cluster and another member out of one that nothing serves."""
    command = [etcdctl, "backup", "--with-v3", "--data-dir", source, "--backup-dir", target]
    variables: Dict[str, str] = {**environment(), "ETCDCTL_API": "2"}
    try:
        done = programs.run(_ends_with_us(command), timeout_seconds=seconds, together=True, environment=variables)
    except programs.TooLong:
        raise BackupError(
            "etcdctl backup did not end within %g s" % seconds, tried=" ".join(command), remedy="Does an etcd serve %s? It must not." % source
        ) from None
    if done.returncode:
        raise BackupError(
            "etcdctl backup failed",
            tried=" ".join(command),
            found="status %d: %s" % (done.returncode, done.stdout.decode("utf-8", "replace").strip()[-_TAIL:]),
            remedy="See what it says; etcdctl 3.3 or newer is needed.",
        )
