# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a run: passed or not, achieved RTO and RPO against target, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.model import Check, Model
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import duration, to_iso, to_moment

PASSED, FAILED, INTERRUPTED = "passed", "failed", "interrupted"


@dataclass
class Assessment:
    """What a run achieved."""

    verdict: str
    state: str
    headline: str
    reasons: List[str] = field(default_factory=list)
    defects: List[str] = field(default_factory=list)
    rto_seconds: Optional[float] = None
    rpo_seconds: Optional[float] = None
    rto_reason: str = ""
    rpo_reason: str = ""
    targets: Dict[str, Any] = field(default_factory=dict)
    times: Dict[str, Optional[str]] = field(default_factory=dict)
    newest_verified: Dict[str, Any] = field(default_factory=dict)
    counts: Dict[str, int] = field(default_factory=dict)
    interrupted_stages: List[str] = field(default_factory=list)
    next_steps: List[str] = field(default_factory=list)


def assess(model: Model, moment: float, alive: Optional[bool]) -> Assessment:
    """Judge a run as it stands at ``moment``; ``alive`` says whether its process still runs (None: unknown)."""
    state = "ended" if model.end else "running" if alive else "dead" if alive is False else "unknown"
    assessment = Assessment(verdict=PASSED, state=state, headline="")
    _count(assessment, model)
    _measure(assessment, model, moment)
    _find_defects(assessment, model)
    failures = [check for check in model.checks if check.is_failure]
    failed_stages = [name for name, stage in model.stages.items() if stage.status == "failed"]
    assessment.interrupted_stages = [name for name, stage in model.stages.items() if stage.status == "interrupted"]

    if failures:
        assessment.reasons.append("%s not met" % _plural(len(failures), "check"))
    if failed_stages:
        assessment.reasons.append("failed: %s" % ", ".join(failed_stages))
    if assessment.interrupted_stages and state != "running":
        assessment.reasons.append("started and never ended: %s" % ", ".join(assessment.interrupted_stages))
    assessment.reasons += assessment.defects
    ended_badly = model.end is not None and model.end.get("status") == FAILED
    if ended_badly and model.end and model.end.get("reason"):
        assessment.reasons.append(str(model.end["reason"]))

    if failures or failed_stages or assessment.defects or ended_badly or (assessment.interrupted_stages and model.end):
        assessment.verdict = FAILED
    elif not model.end:
        assessment.verdict = INTERRUPTED
    assessment.headline = _headline(assessment, model)
    assessment.next_steps = _next_steps(assessment, model, failures)
    return assessment


def _count(assessment: Assessment, model: Model) -> None:
    assessment.counts = dict.fromkeys(("passed", "failed", "warning", "not_evaluated"), 0)
    for check in model.checks:
        assessment.counts[check.outcome] += 1
    assessment.counts["total"] = len(model.checks)


def _measure(assessment: Assessment, model: Model, moment: float) -> None:
    def last(name: str) -> Optional[float]:
        found = model.moments(name)
        return found[-1] if found else None

    declared = last("declared_at")
    if declared is None:
        declared = model.started
    disaster = last("disaster_at")
    if disaster is None:
        disaster = declared
    # A platform is back when the last of its parts is.
    ready = max(model.moments("service_ready_at"), default=None)
    taken = last("taken_at")
    assessment.times = {
        name: None if value is None else to_iso(value)
        for name, value in (("declared_at", declared), ("disaster_at", disaster), ("service_ready_at", ready), ("taken_at", taken))
    }

    if model.begin.get("check_mode"):
        assessment.rto_reason = assessment.rpo_reason = "check mode, nothing was restored"
    elif ready is not None and declared is not None:
        assessment.rto_seconds = round(max(0.0, ready - declared), 3)
    else:
        assessment.rto_reason = "no service was restored in this run"
    if model.begin.get("check_mode"):
        pass
    elif taken is not None and disaster is not None:
        assessment.rpo_seconds = round(max(0.0, disaster - taken), 3)
    else:
        assessment.rpo_reason = "no recovery point was used in this run"

    targets = model.begin.get("targets") or {}
    for name, achieved in (("rto", assessment.rto_seconds), ("rpo", assessment.rpo_seconds)):
        target = targets.get("%s_seconds" % name)
        assessment.targets["%s_seconds" % name] = target
        assessment.targets["%s_met" % name] = None if target is None or achieved is None else achieved <= target

    newest = dict(model.facts("newest_verified_recovery_point"))
    newest_taken = last("newest_verified_taken_at")
    if newest_taken is None:
        newest_taken = to_moment(newest.get("taken_at"))
    if newest_taken is not None:
        reference = model.ended if model.ended is not None else moment
        newest.update(taken_at=to_iso(newest_taken), age_seconds=round(max(0.0, reference - newest_taken), 3))
    assessment.newest_verified = newest


def _find_defects(assessment: Assessment, model: Model) -> None:
    checked = {check.stage for check in model.checks}
    for name, stage in model.stages.items():
        if name not in checked and stage.status == PASSED:
            assessment.defects.append("stage %s has no checks, so nothing proves it" % name)
    if model.end and not model.stages:
        assessment.defects.append("no stage ran, so nothing was proven")


def _headline(assessment: Assessment, model: Model) -> str:
    if assessment.verdict == FAILED:
        return "Failed"
    if assessment.verdict == INTERRUPTED:
        return {"running": "In progress", "dead": "Interrupted"}.get(assessment.state, "Not finished")
    if model.begin.get("check_mode"):
        return "Passed in check mode"
    missed = [name.upper() for name in ("rto", "rpo") if assessment.targets.get("%s_met" % name) is False]
    return "Passed, %s target missed" % " and ".join(missed) if missed else "Passed"


def _next_steps(assessment: Assessment, model: Model, failures: List[Check]) -> List[str]:
    steps: List[str] = []
    for check in failures:
        hosts = ", ".join(sorted({other.host for other in failures if other.id == check.id and other.remedy == check.remedy}))
        steps.append("%s (%s): %s" % (check.title, hosts, check.remedy or "find out why, then run the playbook again."))
    if assessment.verdict == INTERRUPTED and assessment.state == "running":
        steps.append("Wait: the run is going on. This page shows it as of the time stated below.")
    elif assessment.interrupted_stages:
        where = "; ".join("%s on %s" % (name, ", ".join(model.stages[name].open_hosts)) for name in assessment.interrupted_stages)
        steps.append("Run the same playbook again, with the same recovery point: what was finished is recognised and not repeated. Interrupted was %s." % where)
    elif assessment.verdict == INTERRUPTED:
        steps.append("Run the same playbook again: this run has no end in its journal.")
    for defect in assessment.defects:
        steps.append("Report this as a defect of the playbook: %s." % defect)
    for name, achieved in (("rto", assessment.rto_seconds), ("rpo", assessment.rpo_seconds)):
        if assessment.targets.get("%s_met" % name) is False and achieved is not None:
            target = float(assessment.targets["%s_seconds" % name])
            steps.append(
                "The %s target of %s was missed by %s. %s"
                % (
                    name.upper(),
                    duration(target),
                    duration(achieved - target),
                    "Look at the longest stages in the timeline." if name == "rto" else "Back up more often, or check why the schedule was not kept.",
                )
            )
    for check in model.checks:
        if check.is_warning and check.remedy:
            steps.append("%s (%s): %s" % (check.title, check.host, check.remedy))
    steps += [note.text for note in model.notes if note.topic == "next_step" and note.text]
    return list(dict.fromkeys(steps))


def _plural(count: int, noun: str) -> str:
    return "%d %s%s" % (count, noun, "" if count == 1 else "s")
