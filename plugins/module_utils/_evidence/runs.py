# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: their directories, which of them still live, and how a task finds its own."""

from __future__ import annotations

import glob
import os
import re
import secrets
import shutil
import socket
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import PRIVATE_DIRECTORY, Journal, Record
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import now, to_iso
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

DEFAULT_DIRECTORY = "./lifeboat-runs"
# The kernel's own, the same on every machine: who is in it is no container.
INITIAL_PID_NAMESPACE = "pid:[4026531836]"
# An unsealed artifact that nobody has written to for so long was left by a run of which nothing else can be told.
FORGOTTEN_AFTER_SECONDS = 86400


class RunError(LifeboatError):
    """A run could not begin, or a task found no run to belong to."""


class NoRun(RunError):
    """No run has begun that this task could belong to."""


class Process(NamedTuple):
    """What tells whether the process that made a run still lives."""

    controller: str
    boot_id: str
    pid: int
    started_ticks: int
    pid_namespace: str = ""
    machine_id: str = ""


def this_controller() -> str:
    """The host name of the controller."""
    return socket.gethostname()


def boot_id() -> str:
    """The kernel's id of this boot; empty where there is none."""
    return _line("/proc/sys/kernel/random/boot_id")


def machine_id() -> str:
    """The id of the installed system; empty where there is none. Containers of one image may share it."""
    return _line("/etc/machine-id")


def pid_namespace() -> str:
    """Where this process's numbers count; empty when /proc shows another namespace's processes, so that nothing can be told of a number."""
    try:
        return os.readlink("/proc/self/ns/pid") if os.readlink("/proc/self") == str(os.getpid()) else ""
    except OSError:
        return ""


def _line(path: str) -> str:
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip()
    except (OSError, ValueError):
        return ""


def process_started(pid: int) -> int:
    """When a process started, in ticks since boot; 0 when there is no such process or the system doesn't tell."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stream:
            # The name of the program stands in parentheses and may hold anything.
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in ("Z", "X") else int(fields[19])


def this_process(pid: int) -> Process:
    """Identify a living process of this controller."""
    return Process(this_controller(), boot_id(), pid, process_started(pid), pid_namespace(), machine_id())


def is_alive(process: Process) -> Optional[bool]:
    """Whether that process still runs; None when nobody here can tell.

    That a process is gone is concluded in its own pid namespace alone: two containers of one machine may share their host name, and see other processes under
    the same numbers. A number of a namespace is given away again only when all processes in the old one have ended, so it may be trusted.
    """
    if process.controller != this_controller() or not process.pid_namespace or process.pid_namespace != pid_namespace():
        return None
    if process.boot_id != boot_id():
        # A boot ends every process; but a host name alone, or a container, does not say that it was this machine's.
        rebooted = process.pid_namespace == INITIAL_PID_NAMESPACE and process.machine_id and process.machine_id == machine_id()
        return False if rebooted else None
    started = process_started(process.pid)
    return bool(started) and started == process.started_ticks


def process_of(begin: Mapping[str, Any]) -> Process:
    """The process in a run_begin record, or in the fact lifeboat_run."""
    return Process(
        str(begin.get("controller") or ""),
        str(begin.get("boot_id") or ""),
        int(begin.get("pid") or 0),
        int(begin.get("pid_started_ticks") or 0),
        str(begin.get("pid_namespace") or ""),
        str(begin.get("machine_id") or ""),
    )


def process_fields(process: Process) -> Dict[str, Any]:
    """A process as a run_begin record and the fact lifeboat_run have it."""
    return {
        "controller": process.controller,
        "boot_id": process.boot_id,
        "machine_id": process.machine_id,
        "pid": process.pid,
        "pid_namespace": process.pid_namespace,
        "pid_started_ticks": process.started_ticks,
    }


def new_run_id(playbook: str, moment: Optional[float] = None) -> str:
    """An id that sorts by time and says what ran: 20261120T134012Z-recover_cluster-1f3a."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now() if moment is None else moment))
    return "%s-%s-%s" % (stamp, re.sub(r"[^A-Za-z0-9_]+", "_", playbook) or "run", secrets.token_hex(2))


def make_run_directory(runs_directory: str, run_id: str, minimum_free_bytes: int) -> str:
    """Make the private directory of a run, after a look at the space."""
    runs_directory = os.path.abspath(os.path.expanduser(runs_directory))
    directory = os.path.join(runs_directory, run_id)
    try:
        os.makedirs(runs_directory, PRIVATE_DIRECTORY, exist_ok=True)
        free = shutil.disk_usage(runs_directory).free
        if free < minimum_free_bytes:
            raise RunError(
                "There is too little space for a run under %s." % runs_directory,
                tried="at least %d bytes free" % minimum_free_bytes,
                found="%d bytes free" % free,
                remedy="Free some space, or set lifeboat_runs_directory to a directory with more of it.",
            )
        os.mkdir(directory, PRIVATE_DIRECTORY)
        os.chmod(directory, PRIVATE_DIRECTORY)
        descriptor = os.open(os.path.join(directory, "salt"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(32))
        Journal(directory).create()
    except OSError as error:
        raise RunError(
            "The run directory %s could not be made: %s" % (directory, error.strerror),
            remedy="Set lifeboat_runs_directory to a directory on the controller that the user of this run may write to.",
        ) from error
    return directory


def salt_of(run_directory: str) -> bytes:
    """The salt of a run's fingerprints; random when the file is lost, so that no fingerprint is ever made without salt."""
    try:
        with open(os.path.join(run_directory, "salt"), "rb") as stream:
            return stream.read() or secrets.token_bytes(32)
    except OSError:
        return secrets.token_bytes(32)


class EarlierRuns(NamedTuple):
    """Runs of one cluster that began and never ended, by what is known about their process."""

    dead: List[str]
    alive: List[str]
    unknown: List[str]
    # Of the dead ones, those that may have left a cluster half changed: a list that failed did not, nor one after which another change came to its end.
    unfinished: List[str]


def earlier_runs(runs_directory: str, cluster_name: str, but: str = "") -> EarlierRuns:
    """Runs of this cluster that have no end in their journal, without the run ``but``."""
    found: Dict[Optional[bool], List[str]] = {False: [], True: [], None: []}
    changing: List[str] = []
    newest_change = ""
    root = os.path.abspath(os.path.expanduser(runs_directory))
    for directory in sorted(glob.glob(os.path.join(glob.escape(root), "*", "journal"))):
        run_id = os.path.basename(os.path.dirname(directory))
        if run_id == but:
            continue
        try:
            records = Journal(os.path.dirname(directory)).read()
        except (LifeboatError, OSError):
            continue
        begin = next((record for record in records if record["kind"] == "run_begin"), None)
        if begin is None or begin.get("cluster_name") != cluster_name:
            continue
        changes = bool(begin.get("changes_cluster") and not begin.get("check_mode"))
        if any(record["kind"] == "run_end" for record in records):
            newest_change = run_id if changes else newest_change
            continue
        found[is_alive(process_of(begin))].append(run_id)
        changing += [run_id] if changes else []
    # Their ids begin with the time.
    unfinished = [run_id for run_id in found[False] if run_id in changing and run_id > newest_change]
    return EarlierRuns(found[False], found[True], found[None], unfinished)


def plain_leftovers(run_directory: str, quiet_for_seconds: float = 0.0) -> List[str]:
    """Unsealed artifacts that a killed run left on the controller; only those that nobody has written to for so long, when that is all that can be told."""
    found: List[str] = []
    # Never through a link to a directory: what lies behind it is not ours.
    for directory, directories, files in os.walk(run_directory):
        links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
        found += [os.path.join(directory, name) for name in files + links if name.endswith(".plain")]
    return sorted(path for path in found if not quiet_for_seconds or _quiet_for(path) > quiet_for_seconds)


def _quiet_for(path: str) -> float:
    """How long ago a file was written to; none at all when it is gone by now."""
    try:
        return now() - os.lstat(path).st_mtime
    except OSError:
        return 0.0


class Run(NamedTuple):
    """The run that a task belongs to."""

    id: str
    directory: str
    playbook: str
    started_at: str
    cluster_name: str
    user: str
    process: Process

    def journal(self) -> Journal:
        """The journal of this run."""
        return Journal(self.directory)


def find_run(task_vars: Mapping[str, Any], controller_pid: int) -> Run:
    """The run that began in this ansible-playbook process, out of the fact ``lifeboat_run`` on localhost."""
    fact = _fact(task_vars)
    if not fact:
        raise NoRun(
            "No run has begun: localhost has no fact lifeboat_run.",
            found="a --limit of %r, which also cuts off plays on localhost" % str(task_vars["ansible_limit"]) if task_vars.get("ansible_limit") else "",
            remedy="Run lifeboat.cluster.run_begin (or role lifeboat.cluster.report, tasks_from begin) on localhost as the first task of the playbook; "
            "with --limit, add localhost to it: --limit 'cp1,localhost'.",
        )
    directory = str(fact.get("directory", ""))
    # Its machine is none of it: who writes down a fact may not know one.
    if process_of(fact)._replace(machine_id="") != this_process(controller_pid)._replace(machine_id=""):
        raise NoRun(
            "The fact lifeboat_run on localhost belongs to another run (%s): a fact cache kept it." % fact.get("id"),
            remedy="Run lifeboat.cluster.run_begin on localhost as the first task of this playbook too.",
        )
    if not os.path.isdir(os.path.join(directory, "journal")):
        raise RunError("The run directory %s is gone." % directory, remedy="Find out who removed it while the run was going on, then start again.")
    return Run(
        id=str(fact["id"]),
        directory=directory,
        playbook=str(fact.get("playbook", "")),
        started_at=str(fact.get("started_at", "")),
        cluster_name=str(fact.get("cluster_name", "")),
        user=str(fact.get("user", "")),
        process=process_of(fact),
    )


def _fact(task_vars: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        facts = task_vars["hostvars"]["localhost"].get("ansible_facts") or {}
    except KeyError:
        return {}
    fact = facts.get("lifeboat_run")
    return fact if isinstance(fact, Mapping) else {}


def begin_record(run_id: str, **fields: Any) -> Record:
    """The first record of a journal."""
    return dict({"kind": "run_begin", "run_id": run_id, "time": to_iso(now()), "journal_version": 1}, **fields)
