# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a journal says: stages with their hosts and times, checks, measures, facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import to_moment

NOT_EVALUATED = "not_evaluated"


@dataclass
class Check:
    """One expectation on one host, and what was found."""

    id: str
    title: str
    passed: Any
    found: Any
    expected: str
    expression: str
    remedy: str
    severity: str
    stage: str
    host: str
    delegated_to: str
    task: str
    time: Optional[float]
    duration: Optional[float]

    @property
    def is_failure(self) -> bool:
        """Whether this check speaks against the run."""
        return self.passed is False and self.severity == "error"

    @property
    def is_warning(self) -> bool:
        """Whether this check was not met without failing the run."""
        return self.passed is False and self.severity != "error"

    @property
    def outcome(self) -> str:
        """One word for a reader."""
        if self.passed is True:
            return "passed"
        if self.passed is False:
            return "failed" if self.severity == "error" else "warning"
        return "not_evaluated"


@dataclass
class Span:
    """One stay of one host in a stage."""

    start: float
    end: Optional[float] = None
    status: str = "open"
    reason: str = ""
    # The place of its start in the journal, which is exact where times are equal.
    number: int = 0


@dataclass
class Stage:
    """A part of the run that several hosts may take part in."""

    name: str
    title: str = ""
    spans: Dict[str, List[Span]] = field(default_factory=dict)
    last_seen: float = 0.0
    failed_hosts: List[str] = field(default_factory=list)
    last_ended_host: str = ""

    @property
    def first_open_host(self) -> str:
        """Of the hosts that are in it, the one that started first; empty when none is."""
        return min(self.open_hosts, key=lambda host: self.spans[host][-1].number, default="")

    @property
    def hosts(self) -> List[str]:
        """All hosts that started it, in order of their names."""
        return sorted(self.spans)

    @property
    def open_hosts(self) -> List[str]:
        """Hosts that started it and have not ended it."""
        return [host for host in self.hosts if self.spans[host][-1].end is None]

    @property
    def is_open(self) -> bool:
        """Whether a host is still in it."""
        return bool(self.open_hosts)

    def status_on(self, host: str) -> str:
        """passed, failed, or open."""
        last = self.spans[host][-1] if host in self.spans else None
        if host in self.failed_hosts and (last is None or last.status != "passed"):
            return "failed"
        return last.status if last else "open"

    @property
    def status(self) -> str:
        """failed when a host failed, else interrupted while a host is open, else passed."""
        statuses = {self.status_on(host) for host in self.spans} | ({"failed"} if self.failed_hosts else set())
        return "failed" if "failed" in statuses else "interrupted" if "open" in statuses else "passed"

    @property
    def started(self) -> float:
        """When the first host started it."""
        return min(span.start for spans in self.spans.values() for span in spans)

    @property
    def ended(self) -> Optional[float]:
        """When the last host ended it; None while one is open."""
        ends = [span.end for spans in self.spans.values() for span in spans]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(ends) else None

    @property
    def intervals(self) -> List[Tuple[float, float]]:
        """The times when at least one host was in it, without overlaps; an open end counts until the stage was last seen."""
        merged: List[Tuple[float, float]] = []
        for start, end in sorted((span.start, max(span.start, span.end or self.last_seen)) for spans in self.spans.values() for span in spans):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        return merged

    @property
    def seconds(self) -> float:
        """How long it took: from the first start to the last end, without the time between two visits."""
        return round(sum(end - start for start, end in self.intervals), 3)

    @property
    def reasons(self) -> List[str]:
        """Why it failed where it failed, as far as that was said."""
        return ["%s: %s" % (host, self.spans[host][-1].reason) for host in self.hosts if self.spans[host][-1].reason]


@dataclass
class Measure:
    """A measured value, or a moment."""

    name: str
    value: Any
    unit: str
    stage: str
    host: str
    time: Optional[float]


@dataclass
class Note:
    """Facts about a topic, or a remark."""

    topic: str
    text: str
    facts: Dict[str, Any]
    stage: str
    host: str


@dataclass
class Model:
    """Everything that a journal says."""

    begin: Dict[str, Any] = field(default_factory=dict)
    end: Optional[Dict[str, Any]] = None
    stages: Dict[str, Stage] = field(default_factory=dict)
    checks: List[Check] = field(default_factory=list)
    measures: List[Measure] = field(default_factory=list)
    notes: List[Note] = field(default_factory=list)
    last_seen: float = 0.0

    @property
    def started(self) -> Optional[float]:
        """When the run began."""
        return to_moment(self.begin.get("time"))

    @property
    def ended(self) -> Optional[float]:
        """When the run ended; None while it has not."""
        return to_moment(self.end.get("time")) if self.end else None

    @property
    def hosts(self) -> List[str]:
        """All hosts that appear in it."""
        return sorted({host for stage in self.stages.values() for host in stage.spans} | {check.host for check in self.checks if check.host})

    def open_stage(self, host: str) -> Optional[str]:
        """The stage that this host is in: the one that it started last of those it has not ended."""
        found = [(stage.spans[host][-1].start, name) for name, stage in self.stages.items() if host in stage.open_hosts]
        return max(found)[1] if found else None

    def moments(self, name: str) -> List[float]:
        """All values of a measure that are moments."""
        found = (to_moment(measure.value) for measure in self.measures if measure.name == name)
        return [moment for moment in found if moment is not None]

    def facts(self, topic: str) -> Dict[str, Any]:
        """The facts about a topic, later ones over earlier ones."""
        merged: Dict[str, Any] = {}
        for note in self.notes:
            if note.topic == topic:
                merged.update(note.facts)
        return merged

    @property
    def topics(self) -> List[str]:
        """The topics that facts are known about, in order of appearance."""
        return list(dict.fromkeys(note.topic for note in self.notes if note.topic and note.facts))


def build(records: Iterable[Mapping[str, Any]]) -> Model:
    """Put the records of a journal together."""
    model = Model()
    checks: Dict[Tuple[str, str, str, str], Check] = {}
    for number, record in enumerate(records):
        moment = to_moment(record.get("time")) or model.last_seen
        model.last_seen = max(model.last_seen, moment)
        kind, name, host = record["kind"], str(record.get("stage") or ""), str(record.get("host") or "")
        stage = model.stages.get(name)
        if stage:
            stage.last_seen = max(stage.last_seen, moment)
        if kind == "run_begin" and not model.begin:
            model.begin = dict(record)
        elif kind == "run_end":
            model.end = dict(record)
        elif kind == "stage_start":
            stage = model.stages.setdefault(name, Stage(name))
            stage.title = str(record.get("title") or stage.title)
            stage.last_seen = max(stage.last_seen, moment)
            stage.spans.setdefault(host, []).append(Span(moment, number=number))
        elif kind == "stage_end":
            _end_stage(model, name, host, moment, record)
        elif kind == "check":
            check = _check(record, moment)
            stage = model.stages.setdefault(name, Stage(name))
            stage.last_seen = max(stage.last_seen, moment)
            if host not in stage.spans:
                # Recorded for a stage that this host never started: the stage was there for the time of the check.
                stage.spans[host] = [Span(moment - (check.duration or 0.0), moment, "passed")]
            # The same task run again on the same host replaces what it said before; another task never does.
            checks[(name, check.id, host, check.task)] = check
        elif kind == "measure":
            model.measures.append(Measure(str(record.get("name")), record.get("value"), str(record.get("unit") or ""), name, host, moment))
        elif kind == "note":
            facts = record.get("facts")
            model.notes.append(Note(str(record.get("topic") or ""), str(record.get("text") or ""), facts if isinstance(facts, dict) else {}, name, host))
    model.checks = list(checks.values())
    for check in model.checks:
        stage = model.stages.get(check.stage)
        if stage and check.is_failure and check.host not in stage.failed_hosts:
            stage.failed_hosts.append(check.host)
    return model


def _end_stage(model: Model, name: str, host: str, moment: float, record: Mapping[str, Any]) -> None:
    stage = model.stages.setdefault(name, Stage(name))
    stage.title = stage.title or str(record.get("title") or "")
    stage.last_seen = max(stage.last_seen, moment)
    spans = stage.spans.setdefault(host, [])
    if not spans or spans[-1].end is not None:
        # An end without a start, as after a lost line: the stage was there at that moment.
        spans.append(Span(moment))
    stage.last_ended_host = host
    spans[-1].end = moment
    spans[-1].status = "failed" if record.get("status") == "failed" else "passed"
    spans[-1].reason = str(record.get("reason") or "")
    for earlier in spans[:-1]:
        if earlier.end is None:
            # Started twice and ended once: the first visit ended when the second began.
            earlier.end = moment
            earlier.status = spans[-1].status


def _check(record: Mapping[str, Any], moment: float) -> Check:
    duration = record.get("duration")
    return Check(
        id=str(record.get("id")),
        title=str(record.get("title") or record.get("id")),
        passed=record.get("passed"),
        found=record.get("found"),
        expected=str(record.get("expected") or ""),
        expression=str(record.get("expression") or ""),
        remedy=str(record.get("remedy") or ""),
        severity=str(record.get("severity") or "error"),
        stage=str(record.get("stage") or ""),
        host=str(record.get("host") or ""),
        delegated_to=str(record.get("delegated_to") or ""),
        task=str(record.get("task") or ""),
        time=moment,
        duration=float(duration) if isinstance(duration, (int, float)) else None,
    )
