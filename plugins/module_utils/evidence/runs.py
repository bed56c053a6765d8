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

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.evidence.clock import now, to_iso
from ansible_collections.lifeboat.cluster.plugins.module_utils.evidence.journal import PRIVATE_DIRECTORY, Journal, Record

DEFAULT_DIRECTORY = "./lifeboat-runs"


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


def this_controller() -> str:
    """The host name of the controller."""
    return socket.gethostname()


def boot_id() -> str:
    """The kernel's id of this boot; empty where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
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
    return Process(this_controller(), boot_id(), pid, process_started(pid))


def is_alive(process: Process) -> Optional[bool]:
    """Whether that process still runs; None when it ran on another controller, so nobody here can tell."""
    if process.controller != this_controller():
        return None
    if process.boot_id != boot_id():
        return False
    started = process_started(process.pid)
    return bool(started) and started == process.started_ticks


def process_of(begin: Mapping[str, Any]) -> Process:
    """The process in a run_begin record."""
    return Process(str(begin.get("controller", "")), str(begin.get("boot_id", "")), int(begin.get("pid") or 0), int(begin.get("pid_started_ticks") or 0))


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


def earlier_runs(runs_directory: str, cluster_name: str, but: str = "") -> EarlierRuns:
    """Runs of this cluster that have no end in their journal, without the run ``but``."""
    found: Dict[Optional[bool], List[str]] = {False: [], True: [], None: []}
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
        if begin is None or begin.get("cluster_name") != cluster_name or any(record["kind"] == "run_end" for record in records):
            continue
        found[is_alive(process_of(begin))].append(run_id)
    return EarlierRuns(found[False], found[True], found[None])


def plain_leftovers(run_directory: str) -> List[str]:
    """Unsealed artifacts that a killed run left on the controller."""
    found = []
    # Never through a link to a directory: what lies behind it is not ours.
    for directory, directories, files in os.walk(run_directory):
        links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
        found += [os.path.join(directory, name) for name in files + links if name.endswith(".plain")]
    return sorted(found)


class Run(NamedTuple):
    """The run that a task belongs to."""

    id: str
    directory: str
    playbook: str
    started_at: str
    cluster_name: str

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
    if int(fact.get("pid") or 0) != controller_pid or fact.get("boot_id") != boot_id() or fact.get("controller") != this_controller():
        raise NoRun(
            "The fact lifeboat_run on localhost belongs to another run (%s): a fact cache kept it." % fact.get("id"),
            remedy="Run lifeboat.cluster.run_begin on localhost as the first task of this playbook too.",
        )
    if not os.path.isdir(os.path.join(directory, "journal")):
        raise RunError("The run directory %s is gone." % directory, remedy="Find out who removed it while the run was going on, then start again.")
    return Run(str(fact["id"]), directory, str(fact.get("playbook", "")), str(fact.get("started_at", "")), str(fact.get("cluster_name", "")))


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
