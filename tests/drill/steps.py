# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill, step by step."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import to_iso, to_moment
from tests import environment
from tests.drill import evidence
from tests.drill.clients import ReadyClock, WatchClient
from tests.drill.demands import Demand, demands, overrides, warned
from tests.drill.keys import SIGNER, Keys, make_keys, make_signing_key
from tests.drill.locations import BACKUP, KINDS, RESTORE, Overlay, Place, S3Place, open_place
from tests.drill.memory import Memory, api_servers, mark, remember
from tests.drill.playbooks import Finished, Playbooks, settings
from tests.drill.progress import Leftover, Progress
from tests.drill.scenarios import SCENARIOS, Scenario, everything
from tests.drill.verification import Check, Expected, Verification
from tests.lab import Lab
from tests.lab.topology import TOPOLOGIES
from tests.lab.traits import PLAIN, Traits
from tests.secrets_search import Search, planted_value
from tests.workload import Api, capture, create, settle
from tests.workload.objects import RUNNING
from tests.workload.picture import kinds

OUTPUT = environment.BUILD / "drill"
OBJECTS = 2000
WATCHED = f"/api/v1/namespaces/{RUNNING}/configmaps"
MARKER = "made-after-the-recovery-point"
RELIST_SECONDS = 60.0


class DrillFailure(Exception):
    """The drill cannot go on; the text says why."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    scenario: Scenario
    location: str
    topology: str
    lab: str
    keep_lab: bool
    inventory: Path | None = None
    traits: Traits = PLAIN


@dataclasses.dataclass
class Disaster:
    """What is known about the time of the disaster."""

    memory: Memory
    struck_at: float = 0.0
    declared_at: float = 0.0
    over_at: float = 0.0
    judged_at: float = 0.0
    recovery: Finished | None = None
    refusal: Finished | None = None
    # A recovery without what the traits of the lab demand.
    undemanded: Finished | None = None
    ready: ReadyClock | None = None
    overlay: Overlay | None = None


def refuse_foreign_inventory(inventory: Path) -> str:
    """Make sure that the lab wrote this inventory: every machine in it says so. Returns the lab's name."""
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "--inventory", str(inventory), "--list"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=settings(), stdin=subprocess.DEVNULL)
    if answer.returncode or not inventory.exists():
        raise DrillFailure(f"{inventory} is no inventory that Ansible can read:\n{answer.stderr.strip()}")
    hosts: Mapping[str, Mapping[str, Any]] = json.loads(answer.stdout)["_meta"]["hostvars"]
    foreign = sorted(name for name, variables in hosts.items() if variables.get("lifeboat_lab") is not True)
    names = {str(variables.get("lifeboat_cluster_name")) for variables in hosts.values()}
    if foreign or len(names) != 1:
        what = f"these machines are not the lab's: {' '.join(foreign)}" if foreign else "it names no cluster, or several"
        raise DrillFailure(
            f"{inventory} was not written by the lab: {what}.\n"
            "A drill destroys every machine of its inventory, so it takes only what the lab made for it: python3 -m tests.lab up ha --name NAME."
        )
    name = names.pop()
    if Lab.open(name).inventory.resolve() != inventory.resolve():
        raise DrillFailure(f"{inventory} says that it belongs to the lab {name}, but that lab's inventory is {Lab.open(name).inventory}.")
    return name


class Drill:
    """One drill from nothing to the report."""

    def __init__(self, wanted: Wanted, progress: Progress) -> None:
        self._wanted = wanted
        self._scenario = wanted.scenario
        self._say = progress
        self._checks: list[Check] = []
        self._leftover = Leftover(environment.BUILD / "drill-playbook.json")
        self._lab = Lab.open(wanted.lab)
        self._planted = {"shop": planted_value(), "ledger": planted_value()}
        self._demands = demands(wanted.traits)
        self._keys: Keys
        self._place: Place = open_place(wanted.location, OUTPUT / "location")

    # Steps

    def run(self) -> bool:
        """Everything; true when all checks are met."""
        self._leftover.end()
        shutil.rmtree(OUTPUT, ignore_errors=True)
        OUTPUT.mkdir(parents=True)
        began_at = time.time()
        with self._place:
            self._prepare()
            memory = self._back_up()
            disaster = self._strike(memory)
            self._recover(disaster)
            self._verify(disaster)
            self._back_up_again(disaster)
            passed = self._report(disaster, began_at)
        self._clean_up(passed)
        return passed

    @property
    def _rolls_back(self) -> bool:
        return self._scenario.rolls_back(self._lab)

    def _prepare(self) -> None:
        traits = self._wanted.traits.words
        with self._say.step(" ".join([f"a fresh lab: {self._wanted.topology}", *traits])):
            self._lab.up(self._wanted.topology, traits)
        refuse_foreign_inventory(self._lab.inventory)
        with self._say.step("keys: age to seal, SSH to sign"):
            self._keys = make_keys(OUTPUT / "keys")
        with self._say.step(f"a workload of {OBJECTS} objects"):
            made = create(self._lab.kubeconfig, OBJECTS, self._planted)
            self._say(f"  {made.total} objects in {len(made.kinds)} kinds, {made.total / made.seconds:.0f} a second")
        with self._say.step("waiting until the controllers have nothing left to do"):
            settle(self._lab.kubeconfig)

    def _playbooks(self) -> Playbooks:
        variables: dict[str, object] = {
            "lifeboat_location": self._place.options,
            "lifeboat_allowed_signers": str(self._keys.allowed_signers),
        }
        return Playbooks(
            self._lab.inventory,
            OUTPUT / "logs",
            OUTPUT / "runs",
            variables,
            home=OUTPUT / "controller",
            controller_environment=self._lab.controller_environment,
        )

    def _run(self, name: str, variables: Mapping[str, object], job: str) -> Finished:
        finished = self._playbooks().run(
            name,
            variables,
            process_environment=self._place.process_environment(job),
            on_line=self._say.playbook_line,
            on_start=self._leftover.remember,
        )
        self._say(f"  lifeboat.cluster.{name} ended with status {finished.status} after {finished.seconds:.1f} s; its output: {finished.log}")
        return finished

    def _back_up(self) -> Memory:
        memory = remember(self._lab, self._planted)
        self._say(f"backup: lifeboat.cluster.backup_cluster, to {self._place.describe()}")
        finished = self._run_backup()
        if finished.status:
            raise DrillFailure(f"the backup failed: {finished.log}\n{finished.tail()}")
        for demand in self._demands:
            self._judge_warning(demand, finished)
        revision = int(self._manifest()["etcd"]["revision"])
        with self._say.step(f"a picture of every object as of revision {revision}"):
            memory.picture = capture(self._lab.kubeconfig, revision)
            self._say(f"  {len(memory.picture)} objects in {len(kinds(memory.picture))} kinds")
        return memory

    def _run_backup(self) -> Finished:
        variables = {"lifeboat_recipients": [self._keys.recipient], "lifeboat_signing_key": str(self._keys.signing_key), "lifeboat_signer": SIGNER}
        return self._run("backup_cluster", variables, BACKUP)

    def _judge_warning(self, demand: Demand, backup: Finished) -> None:
        found = warned(backup.report, demand.warning)
        self._record(
            f"drill.told_{demand.trait.replace('-', '_')}",
            f"A backup warns of what the cluster has with {demand.trait}",
            found,
            f"a warning {demand.warning}",
            "a warning" if found else "no warning",
            f"See {backup.log}.",
        )

    def _manifest(self) -> dict[str, Any]:
        found = self._place.manifests(self._wanted.lab)
        if not found:
            raise DrillFailure(f"the backup left no manifest in {self._place.describe()}")
        loaded: dict[str, Any] = json.loads(found[-1])
        return loaded

    def _strike(self, memory: Memory) -> Disaster:
        mark(self._lab.kubeconfig, MARKER)
        self._watch = WatchClient(self._lab.kubeconfig, WATCHED)
        self._watch.start()
        deadline = time.monotonic() + RELIST_SECONDS
        while MARKER not in self._watch.seen:
            if time.monotonic() > deadline:
                raise DrillFailure(f"the watch on {WATCHED} has not begun after {RELIST_SECONDS:.0f} s: {self._watch.trouble}")
            time.sleep(0.1)
        if not self._rolls_back:
            memory.picture = settle(self._lab.kubeconfig)
        disaster = Disaster(memory, struck_at=time.time())
        with self._say.step(f"DISASTER ({self._scenario.name}): {self._scenario.title}"):
            self._scenario.destroy(self._lab)
            if self._scenario.loses_controller:
                self._lose_controller()
        disaster.over_at = time.time()
        if isinstance(self._place, S3Place):
            with self._say.step("an intruder in the bucket: every object is overwritten, then deleted"):
                done = disaster.overlay = self._place.intrude(self._wanted.lab)
                self._say(
                    f"  of {len(done.before)} objects, {done.overwritten} overwritten with the backup job's credentials, {done.deleted} under a delete marker"
                )
        return disaster

    def _lose_controller(self) -> None:
        """What stays is the location, the age key, the allowed signers, the inventory and the collection."""
        for name in ("runs", "controller"):
            shutil.rmtree(OUTPUT / name, ignore_errors=True)
        for path in (self._keys.signing_key, self._keys.signing_key.with_suffix(".pub")):
            path.unlink()

    def _recover(self, disaster: Disaster) -> None:
        variables: dict[str, object] = {
            "confirm_cluster_name": self._wanted.lab,
            "lifeboat_identity_files": [str(self._keys.identity)],
            "report_disaster_at": _iso(disaster.struck_at),
        }
        if self._keys.signing_key.exists():
            variables.update(lifeboat_signing_key=str(self._keys.signing_key), lifeboat_signer=SIGNER)
        if self._scenario.must_choose(self._lab):
            self._say("recovery without a choice of the source, which has to be refused")
            disaster.refusal = self._run("recover_cluster", variables, RESTORE)
            variables["quorum_lost_source"] = "recovery_point"
        if overrides(self._demands):
            self._say("recovery without the settings that such a cluster demands, which has to be refused")
            disaster.undemanded = self._run("recover_cluster", variables, RESTORE)
            variables["lifeboat_platform_overrides"] = overrides(self._demands)
        disaster.declared_at = time.time()
        variables["report_declared_at"] = _iso(disaster.declared_at)
        disaster.ready = ReadyClock(self._lab.kubeconfig, api_servers(self._lab))
        if self._rolls_back and self._scenario.name != "corrupt":
            # Nothing answers before the recovery, so the first answers are its work.
            disaster.ready.start()
        self._say(f"recovery: lifeboat.cluster.recover_cluster -e confirm_cluster_name={self._wanted.lab}")
        disaster.recovery = self._run("recover_cluster", variables, RESTORE)
        disaster.ready.close()

    def _verify(self, disaster: Disaster) -> None:
        recovery = disaster.recovery
        assert recovery is not None
        self._say("verification from the outside")
        disaster.judged_at = time.time()
        self._record("drill.recovery", "The recovery ended with success", recovery.status == 0, "status 0", f"status {recovery.status}", f"See {recovery.log}.")
        if disaster.refusal is not None:
            text = disaster.refusal.message()
            refused = disaster.refusal.status != 0 and "quorum_lost_source" in text and "taken" in text and "last written" in text
            self._record(
                "drill.refusal",
                "With data of old members still there, the operator is asked to choose and sees both ages",
                refused,
                "a refusal with both ages",
                "refused" if refused else f"status {disaster.refusal.status}",
                f"See {disaster.refusal.log}.",
            )
        if disaster.undemanded is not None:
            self._verify_undemanded(disaster.undemanded)
        if not recovery.status:
            # What waits for a cluster that is not there would say nothing more.
            self._verify_cluster(disaster)
        if disaster.overlay is not None:
            self._verify_bucket(disaster.overlay)
        self._verify_silence()

    def _verify_undemanded(self, finished: Finished) -> None:
        """Refused, with the way out, before anything was changed."""
        ways = [demand.way for demand in self._demands if demand.overrides]
        unnamed = [way for way in ways if way not in finished.message()]
        changed = first_change(finished.report) is not None
        self._record(
            "drill.undemanded",
            "Without the settings that such a cluster demands, a recovery is refused, and says which",
            finished.status != 0 and not unnamed and not changed,
            "a refusal with the way out, and no change",
            f"status {finished.status}, {'something' if changed else 'nothing'} was changed" + (f", not named: {' '.join(unnamed)}" if unnamed else ""),
            f"See {finished.log}.",
        )

    def _back_up_again(self, disaster: Disaster) -> None:
        """Where a recovery ends what a backup warned of, the next one has nothing to say; it is made without the settings that the recovery took."""
        ended = [demand for demand in self._demands if demand.overrides]
        if not ended or disaster.recovery is None or disaster.recovery.status:
            return
        if not self._keys.signing_key.exists():
            make_signing_key(self._keys)
        self._say("another backup")
        finished = self._run_backup()
        unmet = [check["id"] for check in finished.report["checks"] if check["outcome"] != "passed"] if finished.run_directory else ["no report"]
        self._record(
            "drill.next_backup",
            "The next backup is made, and has nothing to say",
            finished.status == 0 and not unmet,
            "status 0, all checks met",
            f"status {finished.status}, " + (f"not met: {' '.join(unmet)}" if unmet else "all checks met"),
            f"See {finished.log}.",
        )

    def _verify_cluster(self, disaster: Disaster) -> None:
        rebuilt = tuple(self._scenario.rebuilt(self._lab))
        expected = Expected(
            rolled_back=self._rolls_back,
            kept_machines=tuple(name for name in everything(self._lab) if name not in rebuilt),
            rebuilt_machines=rebuilt,
            marker=MARKER,
            since=disaster.over_at,
        )
        self._checks += Verification(self._lab, disaster.memory, expected, say=self._show).all()
        self._verify_watch()

    def _record(self, check_id: str, title: str, passed: bool, expected: str, found: str, remedy: str) -> None:
        self._checks.append(Check(check_id, title, passed, expected, found, remedy))
        self._show(self._checks[-1])

    def _show(self, check: Check) -> None:
        self._say(f"  {'ok    ' if check.passed else 'FAILED'} {check.title}: {check.found}")

    def _verify_watch(self) -> None:
        """A client that was watching is told to list again when the cluster went back in time, and sees what happens from then on."""
        name = "made-after-the-recovery"
        # Neither index nor revision of a v2 store can be raised: who watched before it was put back would wait in silence, and is started anew.
        begun_anew = self._rolls_back and bool(self._lab.topology.admin)
        if begun_anew:
            self._watch.close()
            self._watch = WatchClient(self._lab.kubeconfig, WATCHED)
            self._watch.start()
        mark(self._lab.kubeconfig, name)
        deadline = time.monotonic() + RELIST_SECONDS
        while name not in self._watch.seen and time.monotonic() < deadline:
            time.sleep(0.2)
        told = len(self._watch.told_to_relist)
        seen = name in self._watch.seen
        if begun_anew:
            passed, expected = seen and MARKER not in self._watch.seen, "started anew, in step"
        elif self._rolls_back:
            forgotten = MARKER not in self._watch.seen
            passed, expected = bool(told) and seen and forgotten, "told to list again (410), and in step since"
        else:
            passed, expected = seen, "in step"
        found = f"told {told} times, {'sees' if seen else 'does not see'} new objects" + (f"; last trouble: {self._watch.trouble}" if not passed else "")
        self._record(
            "drill.watch",
            "A client with an open watch is in step with the cluster",
            passed,
            expected,
            found,
            "Restart the clients: they believe in objects that are gone.",
        )
        self._watch.close()
        Api(self._lab.kubeconfig, connections=1).request("DELETE", f"{WATCHED}/{name}")

    def _verify_bucket(self, overlay: Overlay) -> None:
        """The originals outlived the intruder, recovery read them, and who asks the catalog is told what was laid over them."""
        assert isinstance(self._place, S3Place)
        changed = self._place.differences(overlay)
        whole = not changed and not overlay.destroyed and overlay.refused_deletions == len(overlay.before) == overlay.deleted
        lost = [*overlay.destroyed, *changed]
        self._record(
            "drill.originals",
            "The original of every object is still in the bucket, below what an intruder laid over it, and could not be removed",
            whole and overlay.overwritten > 0,
            f"{len(overlay.before)} originals, deletions refused",
            f"lost: {' '.join(lost)}" if lost else f"{len(overlay.before)} originals; {overlay.refused_deletions} deletions by the backup job refused",
            "Look at the policies of the bucket, and at its object lock.",
        )
        catalog = OUTPUT / "catalog.json"
        finished = self._run("list_recovery_points", {"lifeboat_output_file": str(catalog), "lifeboat_output": "json"}, RESTORE)
        points = json.loads(catalog.read_text())["points"] if catalog.exists() else []
        told = {key for point in points for key in point.get("overlaid", [])}
        expected = {key for key in overlay.before if "/points/" in key or "/manifests/" in key}
        states = sorted({point["state"] for point in points})
        missing = sorted(expected - told)
        self._record(
            "drill.overlaid",
            "The list of recovery points says what was laid over them",
            finished.status == 0 and states == ["tampered"] and bool(expected) and not missing,
            f"tampered, {len(expected)} objects overlaid",
            f"{' '.join(states) or 'no point'}, {len(told)} objects overlaid" + (f"; not told: {' '.join(missing[:5])}" if missing else ""),
            f"See {finished.log}.",
        )

    def _verify_silence(self) -> None:
        values = (
            {name: value.encode() for name, value in self._planted.items()} | self._keys.private_values() | self._place.secrets() | self._lab.private_values
        )
        hits, count = Search(values).in_trees([OUTPUT], besides=[self._keys.directory, *self._place.besides()])
        found = "; ".join(str(hit) for hit in hits[:5]) or f"nothing in {count} files"
        self._record(
            "drill.silence", "No planted secret is in any output, report or artifact", not hits and count > 0, "nothing", found, "Find out which task wrote it."
        )

    # The end

    def _report(self, disaster: Disaster, began_at: float) -> bool:
        recovery = disaster.recovery
        assert recovery is not None
        directory = recovery.run_directory or evidence.run_without_recovery(OUTPUT / "runs", self._wanted.lab)
        ready_at = disaster.ready.all_ready_at if disaster.ready else None
        measures: dict[str, Any] = {
            "disaster_at": _iso(disaster.struck_at),
            "declared_at": _iso(disaster.declared_at),
            "api_ready_at": _iso(ready_at) if ready_at else None,
            "recovery_seconds": round(recovery.seconds, 1),
            "drill_seconds": round(time.time() - began_at, 1),
        }
        facts = {
            "location": self._place.describe(),
            "scenario": self._scenario.name,
            "topology": self._wanted.topology,
            "traits": " ".join(self._wanted.traits.words) or "none",
        }
        evidence.add(directory, self._checks, measures, facts, disaster.judged_at)
        report = evidence.write_report(directory, OUTPUT)
        passed = report["verdict"] == "passed" and all(check["passed"] is not False or check["severity"] != "error" for check in report["checks"])
        self._summarise(report, recovery, ready_at, passed)
        return passed

    def _summarise(self, report: Mapping[str, Any], recovery: Finished, ready_at: float | None, passed: bool) -> None:
        counts = report["counts"]
        change = first_change(report)
        lines = [
            "",
            f"verdict          {'PASSED' if passed else 'FAILED'}: {counts['passed']} of {counts['total']} checks met" + _warnings(counts),
            f"achieved RTO     {_seconds(report['achieved_rto_seconds'])}",
            f"achieved RPO     {_seconds(report['achieved_rpo_seconds'])}",
            f"whole playbook   {recovery.seconds:.1f} s",
            f"first change to API ready on every control plane: {_seconds(ready_at - change) if ready_at and change else 'not measured in this scenario'}",
            f"location         {self._place.describe()}",
            f"report           {OUTPUT / 'report.html'}",
        ]
        if not passed:
            lines += ["", *(f"failed: {reason}" for reason in report["reasons"])]
            lines += [
                f"  {check['id']} [{check['host']}] {check['title']}: {str(check['found'])[:300]}" for check in report["checks"] if check["outcome"] == "failed"
            ]
            lines += [f"next: {step}" for step in report["next_steps"][:5]]
            lines += ["", recovery.tail(25)] if recovery.status else []
        print("\n".join(lines), flush=True)

    def _clean_up(self, passed: bool) -> None:
        if self._wanted.keep_lab or not passed:
            print(
                f'lab              still up: look with `make lab ARGS="ssh {self._wanted.lab} ..."`, remove with `make lab ARGS="down {self._wanted.lab}"`',
                flush=True,
            )
        else:
            self._lab.down()


def first_change(report: Mapping[str, Any]) -> float | None:
    """When a recovery changed something that was in use or put in place for the first time, by its own measures."""
    found = [to_moment(measure["value"]) for measure in report["measures"] if measure["name"] == "first_change_at"]
    return min((moment for moment in found if moment is not None), default=None)


def _iso(moment: float) -> str:
    return str(to_iso(moment))


def _seconds(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1f} s"


def _warnings(counts: Mapping[str, int]) -> str:
    return f", {counts['warning']} warnings" if counts["warning"] else ""


def wanted_from(scenario: str, location: str, topology: str, lab: str, keep_lab: bool, inventory: str, traits: str = "") -> Wanted:
    """Judge what was asked for; raises DrillFailure, and LabError for traits."""
    if scenario not in SCENARIOS:
        raise DrillFailure(f"There is no scenario {scenario!r}: choose one of {', '.join(SCENARIOS)}.")
    if location not in KINDS:
        raise DrillFailure(f"There is no location {location!r}: choose {' or '.join(KINDS)}.")
    if topology not in TOPOLOGIES:
        raise DrillFailure(f"There is no topology {topology!r}: choose one of {', '.join(TOPOLOGIES)}.")
    if topology not in SCENARIOS[scenario].topologies:
        raise DrillFailure(f"Scenario {scenario} needs another topology: TOPOLOGY={' or '.join(SCENARIOS[scenario].topologies)}.")
    chosen = Traits.parse([traits])
    chosen.check(topology)
    path = Path(inventory) if inventory else None
    name = refuse_foreign_inventory(path) if path else lab
    return Wanted(SCENARIOS[scenario], location, topology, name, keep_lab, path, chosen)
