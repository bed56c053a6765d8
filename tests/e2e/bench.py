# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one lab of this suite, with a workload in it and one recovery point of it; what every test starts from and is judged by."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests import environment
from tests.drill.clients import ReadyClock, WatchClient
from tests.drill.keys import SIGNER, Keys
from tests.drill.memory import Memory, api_servers, mark, running_pods
from tests.drill.playbooks import Finished, Playbooks
from tests.drill.scenarios import control_plane, everything
from tests.drill.verification import Check, Expected, Verification
from tests.e2e.footprint import Footprint, footprints
from tests.e2e.machines import check_machine
from tests.lab import Lab
from tests.workload import Api, Picture, settle
from tests.workload.creation import wait_for
from tests.workload.objects import RUNNING

OUTPUT = environment.BUILD / "e2e"
# One machine may test several checkouts at once, and a lab belongs to one of them.
LAB = environment.lab_name("e2e")
CONFIG_MAPS = f"/api/v1/namespaces/{RUNNING}/configmaps"
READY_SECONDS = 180.0
BUSY_SECONDS = 60.0


@dataclasses.dataclass
class Baseline:
    """What was there when the recovery point was taken."""

    memory: Memory
    picture: Picture = dataclasses.field(repr=False)
    backup: Finished
    location: Path
    point: str
    manifest: dict[str, Any] = dataclasses.field(repr=False)


@dataclasses.dataclass
class Figures:
    """Measured on the way, compared by later tests."""

    ready_seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    logs: dict[str, Finished] = dataclasses.field(default_factory=dict)


class Bench:
    """The lab and its recovery point, shared by all tests."""

    def __init__(self, lab: Lab, keys: Keys) -> None:
        self.lab = lab
        self.keys = keys
        self.figures = Figures()
        self.dirty = False
        self._baseline: Baseline | None = None

    @property
    def baseline(self) -> Baseline:
        """The recovery point and what it holds."""
        assert self._baseline is not None
        return self._baseline

    @baseline.setter
    def baseline(self, baseline: Baseline) -> None:
        self._baseline = baseline

    @property
    def control_plane(self) -> list[str]:
        """The names of the control-plane machines."""
        return control_plane(self.lab)

    @property
    def machines(self) -> list[str]:
        """The names of all machines."""
        return everything(self.lab)

    def reading(self) -> dict[str, object]:
        """Variables of somebody who may open recovery points and write results."""
        return {
            "lifeboat_identity_files": [str(self.keys.identity)],
            "lifeboat_allowed_signers": str(self.keys.allowed_signers),
            "lifeboat_signing_key": str(self.keys.signing_key),
            "lifeboat_signer": SIGNER,
        }

    def writing(self) -> dict[str, object]:
        """Variables of the backup job, which holds no key that opens anything."""
        return {
            "lifeboat_recipients": [self.keys.recipient],
            "lifeboat_allowed_signers": str(self.keys.allowed_signers),
            "lifeboat_signing_key": str(self.keys.signing_key),
            "lifeboat_signer": SIGNER,
        }

    def playbooks(self, directory: Path, location: Path, variables: dict[str, object]) -> Playbooks:
        """Playbooks whose logs and runs are kept in a test's own directory."""
        place = {"lifeboat_location": {"type": "directory", "path": str(location)}}
        return Playbooks(self.lab.inventory, directory / "logs", directory / "runs", {**place, **variables})

    def living(self) -> None:
        """Make sure that the cluster is whole, answers, and holds what the recovery point holds; what a failed test left is thrown away."""
        if self.dirty or not self._answers():
            self.lab.reset()
            self.close_connections()
            if self._baseline is not None:
                self._load()
            self.dirty = False

    def _load(self) -> None:
        """Bring the workload into a fresh cluster, as it was at the recovery point: with its UIDs, so that old tokens work."""
        directory = OUTPUT / "session" / f"load-{time.time_ns():x}"
        location = directory / "location"
        shutil.copytree(self.baseline.location, location)
        succeeded(self.playbooks(directory, location, self.reading()).run("restore_etcd", {"confirm_cluster_name": LAB}))
        # A test that rolls back to this point has to find a cluster on which nobody did so before.
        for name in self.machines:
            self.lab.node(name).run(["sh", "-c", "rm -rf /var/lib/lifeboat /var/lib/etcd/member.*"])
        self.settled()

    def _answers(self) -> bool:
        """Whether every API server is ready; a busy one gets some time."""
        apis = [Api(self.lab.kubeconfig, server=server, connections=1) for server in api_servers(self.lab).values()]
        deadline = time.monotonic() + BUSY_SECONDS
        while not all(api.answers() for api in apis):
            if time.monotonic() > deadline:
                return False
            time.sleep(1)
        return True

    def memory(self, picture: Picture | None = None) -> Memory:
        """What the cluster is to be judged by: the baseline, with the pods that run just now."""
        pods = running_pods(Api(self.lab.kubeconfig))
        return dataclasses.replace(self.baseline.memory, pods=pods, picture=self.baseline.picture if picture is None else picture)

    def close_connections(self, *machines: str) -> None:
        """End ssh's shared connections, as after the minutes in which nobody used them: one to a machine that is gone hangs."""
        for name in machines or self.machines:
            subprocess.run(["ssh", "-F", str(self.lab.ssh_config), "-O", "exit", name], check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=10)

    def bare(self, *machines: str) -> None:
        """Take the disks of machines away and boot them empty; the test that does so is dirty until it has verified the recovery."""
        self.dirty = True
        self.lab.reset(list(machines), bare=True)
        self.close_connections(*machines)

    def footprints(self) -> dict[str, Footprint]:
        """What may not change on any machine when something is refused."""
        return footprints(self.lab)

    def ready_clock(self) -> ReadyClock:
        """A clock that notes when each API server answers; to be started when none does."""
        return ReadyClock(self.lab.kubeconfig, api_servers(self.lab))

    def watch(self) -> WatchClient:
        """A client with an open watch, already in step."""
        client = WatchClient(self.lab.kubeconfig, CONFIG_MAPS)
        client.start()
        wait_for("the watch has begun", lambda: "" if client.revision else f"it has not: {client.trouble}", READY_SECONDS)
        return client

    def mark(self, name: str) -> str:
        """Make an object that only exists after the recovery point; returns its name."""
        unique = f"{name}-{time.time_ns():x}"
        if not Api(self.lab.kubeconfig, connections=1).answers(f"/api/v1/namespaces/{RUNNING}"):
            Api(self.lab.kubeconfig, connections=1).request("POST", "/api/v1/namespaces", body={"metadata": {"name": RUNNING}})
        mark(self.lab.kubeconfig, unique)
        return unique

    def settled(self) -> Picture:
        """The cluster as it is now, when nothing moves in it any more."""
        return settle(self.lab.kubeconfig)

    def verify(self, memory: Memory, expected: Expected) -> list[Check]:
        """The same verification for every cluster, fresh or recovered; fails the test with what was not met. Ends the test's dirtiness."""
        verification = Verification(self.lab, memory, expected, limit_seconds=READY_SECONDS)
        checks = verification.all()
        assert not verification.failed, "\n".join(f"{check.id}: {check.title}: expected {check.expected}, found {check.found}" for check in verification.failed)
        for name in self.machines:
            check_machine(self.lab, name)
        self.dirty = False
        return checks

    def expected(self, *, rolled_back: bool, rebuilt: Sequence[str], marker: str = "", since: float = 0.0) -> Expected:
        """What a recovery is to make of the cluster."""
        kept = tuple(name for name in self.machines if name not in rebuilt)
        return Expected(rolled_back, kept, tuple(rebuilt), marker, since)


def succeeded(finished: Finished) -> Finished:
    """The playbook ended well, and its own report says so."""
    assert finished.status == 0, f"{finished.playbook} ended with {finished.status}; see {finished.log}\n{finished.tail()}"
    report = finished.report
    assert report["verdict"] == "passed", report["reasons"]
    assert report["checks"], "a run without checks proves nothing"
    assert all(stage["checks"] for stage in report["stages"]), [stage["name"] for stage in report["stages"] if not stage["checks"]]
    return finished


def refused(finished: Finished, *texts: str) -> Finished:
    """The playbook ended badly and said these things; texts are matched after line breaks are undone."""
    assert finished.status != 0, f"{finished.playbook} went through; see {finished.log}\n{finished.tail()}"
    said = finished.message()
    missing = [text for text in texts if text not in said]
    assert not missing, f"{finished.playbook} did not say {missing}; see {finished.log}\n{finished.tail(60)}"
    assert "Traceback (most recent call last)" not in said, f"a traceback; see {finished.log}"
    assert "template error" not in said.lower(), f"a templating error; see {finished.log}"
    return finished


def relisted(client: WatchClient, bench: Bench, gone: str) -> None:
    """The client was told to list again, and has been in step since."""
    new = bench.mark("seen-by-the-watch")

    def problem() -> str:
        if new not in client.seen:
            return f"the client does not see {new}: {client.trouble}"
        return "" if client.told_to_relist and gone not in client.seen else "the client was not told to list again, and believes in an object that is gone"

    wait_for("the client with an open watch is in step", problem, READY_SECONDS)
    client.close()


def new_runs(directory: Path) -> list[Path]:
    """The runs that a test has made."""
    return sorted(path.parent for path in directory.glob("runs*/*/journal"))


def journal_of(run: Path) -> list[dict[str, Any]]:
    """All records of a run that can be read."""
    records = []
    for segment in sorted((run / "journal").glob("*.jsonl")):
        for line in segment.read_text().splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                # Torn by a kill.
                continue
    return records


def keep_lab() -> bool:
    """Whether the lab is used again and left up, for work on the tests."""
    return bool(os.environ.get("LIFEBOAT_E2E_KEEP"))


Tamper = Callable[[Path], None]
