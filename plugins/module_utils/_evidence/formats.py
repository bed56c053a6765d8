# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run as data, and its forms for machines: JSON, JUnit, Prometheus; and the view that templates draw from."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, Optional
from xml.etree import ElementTree

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.model import Model, Stage
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.verdict import Assessment
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import to_iso, to_moment

SCHEMA = "lifeboat.report/1"

_RUN_FIELDS = (
    "playbook",
    "title",
    "cluster_name",
    "user",
    "controller",
    "ansible_version",
    "collection_version",
    "awx",
    "groups",
    "hosts",
    "check_mode",
    "limit",
    "dead_run_ids",
)


def as_report(model: Model, assessment: Assessment, moment: float) -> Dict[str, Any]:
    """The report as plain data: what report.json holds."""
    begin = model.begin
    end = model.ended if model.ended is not None else (moment if assessment.state == "running" else model.last_seen)
    run: Dict[str, Any] = {"id": begin.get("run_id"), "state": assessment.state}
    run.update({name: begin.get(name) for name in _RUN_FIELDS})
    run.update(started_at=begin.get("time"), ended_at=model.end.get("time") if model.end else None)
    run["last_seen_at"] = to_iso(end)
    run["seconds"] = round(end - model.started, 3) if model.started is not None else None
    return {
        "schema": SCHEMA,
        "verdict": assessment.verdict,
        "headline": assessment.headline,
        "reasons": assessment.reasons,
        "achieved_rto_seconds": assessment.rto_seconds,
        "achieved_rpo_seconds": assessment.rpo_seconds,
        "rto_reason": assessment.rto_reason,
        "rpo_reason": assessment.rpo_reason,
        "targets": assessment.targets,
        "times": assessment.times,
        "newest_verified_recovery_point": assessment.newest_verified,
        "next_steps": assessment.next_steps,
        "counts": assessment.counts,
        "defects": assessment.defects,
        "run": run,
        "stages": [_stage(model, stage) for stage in model.stages.values()],
        "checks": [_check(check) for check in model.checks],
        "measures": [
            {"name": measure.name, "value": measure.value, "unit": measure.unit, "stage": measure.stage, "host": measure.host} for measure in model.measures
        ],
        "facts": {topic: model.facts(topic) for topic in model.topics},
        "notes": [{"text": note.text, "stage": note.stage, "host": note.host} for note in model.notes if note.text and note.topic != "next_step"],
        "hosts": [_host(model, host) for host in model.hosts],
        "rendered_at": to_iso(moment),
    }


def _stage(model: Model, stage: Stage) -> Dict[str, Any]:
    ended = stage.ended
    return {
        "name": stage.name,
        "title": stage.title or stage.name,
        "status": stage.status,
        "seconds": stage.seconds,
        "started_at": to_iso(stage.started),
        "ended_at": None if ended is None else to_iso(ended),
        "intervals": [[to_iso(start), to_iso(end)] for start, end in stage.intervals],
        "hosts": [{"host": host, "status": stage.status_on(host) if stage.status_on(host) != "open" else "interrupted"} for host in stage.hosts],
        "reasons": stage.reasons,
        "checks": sum(1 for check in model.checks if check.stage == stage.name),
    }


def _check(check: Any) -> Dict[str, Any]:
    return {
        "id": check.id,
        "title": check.title,
        "passed": check.passed,
        "outcome": check.outcome,
        "expected": check.expected,
        "expression": check.expression,
        "found": check.found,
        "remedy": check.remedy,
        "severity": check.severity,
        "stage": check.stage,
        "host": check.host,
        "delegated_to": check.delegated_to or None,
        "task": check.task,
        "time": None if check.time is None else to_iso(check.time),
        "duration_seconds": check.duration,
    }


def _host(model: Model, host: str) -> Dict[str, Any]:
    counts = dict.fromkeys(("passed", "failed", "warning", "not_evaluated"), 0)
    for check in model.checks:
        if check.host == host:
            counts[check.outcome] += 1
    statuses = {name: stage.status_on(host) for name, stage in model.stages.items() if host in stage.spans}
    status = "failed" if "failed" in statuses.values() or counts["failed"] else "interrupted" if "open" in statuses.values() else "passed"
    return {"host": host, "status": status, "checks": counts, "stages": len(statuses)}


def found_text(value: Any) -> str:
    """A found value for people: text as it is, anything else as JSON; line ends of several lines stay."""
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, str):
        return value if value.strip() else '"%s" (empty text)' % value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, (dict, list)) and len(json.dumps(value)) > 100 else None)


# XML 1.0 can't carry these, not even escaped.
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml(value: Any) -> str:
    return _NOT_IN_XML.sub("\ufffd", str(value))


def as_junit(report: Dict[str, Any]) -> str:
    """One test case per check; an interrupted stage and a defect are errors of their own, so that no dashboard shows them green."""
    run = report["run"]
    root = ElementTree.Element("testsuites", {"name": _xml(run["id"])})
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for stage in report["stages"]:
        checks = [check for check in report["checks"] if check["stage"] == stage["name"]]
        about = {"name": _xml(stage["name"]), "timestamp": stage["started_at"][:19], "time": "%.3f" % stage["seconds"]}
        suite = ElementTree.SubElement(root, "testsuite", about)
        counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
        seen: Dict[str, int] = {}
        for check in checks:
            name = "%s [%s]" % (check["id"], check["host"])
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                # The same check by another task: names in a suite have to differ.
                name += " (%d)" % seen[name]
            about = {"classname": _xml(stage["name"]), "name": _xml(name), "time": "%.3f" % (check["duration_seconds"] or 0)}
            case = ElementTree.SubElement(suite, "testcase", about)
            counts["tests"] += 1
            facts = "%s\nexpected: %s\nfound: %s" % (check["title"], check["expected"], found_text(check["found"]))
            if check["outcome"] == "failed":
                counts["failures"] += 1
                failure = ElementTree.SubElement(case, "failure", {"message": _xml(check["title"]), "type": "check"})
                failure.text = _xml("%s\nwhat to do: %s" % (facts, check["remedy"]))
            elif check["outcome"] == "not_evaluated":
                counts["skipped"] += 1
                ElementTree.SubElement(case, "skipped", {"message": "not evaluated in check mode"})
            else:
                output = ElementTree.SubElement(case, "system-out")
                output.text = _xml(facts if check["outcome"] == "passed" else "WARNING, not met\n%s\nwhat to do: %s" % (facts, check["remedy"]))
        problem = None
        if stage["status"] == "interrupted":
            problem = "the stage started and never ended on %s" % ", ".join(host["host"] for host in stage["hosts"] if host["status"] == "interrupted")
        elif stage["status"] == "failed" and not counts["failures"]:
            problem = "the stage failed: %s" % ("; ".join(stage["reasons"]) or "no reason was recorded")
        elif not checks:
            problem = "the stage has no checks, so nothing proves it"
        if problem:
            counts["tests"] += 1
            counts["errors"] += 1
            case = ElementTree.SubElement(suite, "testcase", {"classname": _xml(stage["name"]), "name": "stage", "time": "0.000"})
            ElementTree.SubElement(case, "error", {"message": _xml(problem), "type": "stage"}).text = _xml(problem)
        for key, count in counts.items():
            suite.set(key, str(count))
            totals[key] += count
    for key, count in totals.items():
        root.set(key, str(count))
    root.set("time", "%.3f" % (run["seconds"] or 0))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _label(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Metrics:
    """The text format of Prometheus: families of gauges with common labels."""

    def __init__(self, **labels: Any) -> None:
        self._labels = labels
        self._lines: List[str] = []

    def family(self, name: str, text: str) -> Callable[..., None]:
        """Begin a family of gauges; the returned function adds a sample, and leaves out one without a value."""
        self._lines += ["# HELP %s %s" % (name, text), "# TYPE %s gauge" % name]

        def add(value: Optional[float], **labels: Any) -> None:
            if value is None:
                return
            pairs = dict(self._labels, **labels)
            text = ",".join('%s="%s"' % (key, _label(pairs[key])) for key in pairs)
            number = float(value)
            self._lines.append("%s{%s} %s" % (name, text, repr(int(number)) if number == int(number) else repr(number)))

        return add

    def text(self) -> str:
        """All families."""
        return "\n".join(self._lines) + "\n"


def as_metrics(report: Dict[str, Any]) -> str:
    """Gauges for a Prometheus textfile collector; the run id is a label of one of them only, so that series stay the same from run to run."""
    run, targets = report["run"], report["targets"]
    metrics = Metrics(cluster=run["cluster_name"], playbook=run["playbook"])
    metrics.family("lifeboat_run_info", "Which run these metrics are about.")(1, run_id=run["id"], collection_version=run["collection_version"] or "")
    verdict = metrics.family("lifeboat_run_verdict", "1 for the verdict of the last run: passed, failed or interrupted.")
    for name in ("passed", "failed", "interrupted"):
        verdict(1 if report["verdict"] == name else 0, verdict=name)
    metrics.family("lifeboat_run_start_timestamp_seconds", "When the run began.")(to_moment(run["started_at"]))
    metrics.family("lifeboat_run_end_timestamp_seconds", "When the run ended; absent while it has not.")(to_moment(run["ended_at"]))
    metrics.family("lifeboat_run_duration_seconds", "How long the run took.")(run["seconds"])
    metrics.family("lifeboat_achieved_rto_seconds", "From the declaration of the disaster to the service being ready.")(report["achieved_rto_seconds"])
    metrics.family("lifeboat_target_rto_seconds", "What was promised for it.")(targets.get("rto_seconds"))
    metrics.family("lifeboat_achieved_rpo_seconds", "From the time of the recovery point to the disaster.")(report["achieved_rpo_seconds"])
    metrics.family("lifeboat_target_rpo_seconds", "What was promised for it.")(targets.get("rpo_seconds"))
    newest = to_moment(report["newest_verified_recovery_point"].get("taken_at"))
    metrics.family("lifeboat_newest_verified_recovery_point_timestamp_seconds", "When the newest verified recovery point was taken.")(newest)
    counts = metrics.family("lifeboat_checks", "Checks of the run by outcome.")
    for outcome in ("passed", "failed", "warning", "not_evaluated"):
        counts(report["counts"][outcome], outcome=outcome)
    seconds = metrics.family("lifeboat_stage_duration_seconds", "How long a stage took.")
    for stage in report["stages"]:
        seconds(stage["seconds"], stage=stage["name"])
    passed = metrics.family("lifeboat_stage_passed", "Whether a stage passed on all of its hosts.")
    for stage in report["stages"]:
        passed(1 if stage["status"] == "passed" else 0, stage=stage["name"])
    met = metrics.family("lifeboat_check_passed", "Whether a check was met; checks that were not evaluated are absent.")
    series: Dict[Any, Dict[str, Any]] = {}
    for check in report["checks"]:
        if check["outcome"] != "not_evaluated":
            key = (check["stage"], check["id"], check["host"], check["severity"])
            # Two tasks with the same check make one series, which is good when both are.
            series[key] = dict(check, passed=check["passed"] and series.get(key, check)["passed"])
    for (stage, check_id, host, severity), check in series.items():
        met(1 if check["passed"] is True else 0, stage=stage, check=check_id, host=host, severity=severity)
    return metrics.text()
