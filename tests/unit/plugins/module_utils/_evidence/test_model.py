# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal becomes stages, checks and times; the verdict follows from them alone."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.model import Model, build
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.verdict import Assessment, assess
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import to_iso

START = 1795182012.0


def at(seconds: float, kind: str, **fields: Any) -> dict[str, Any]:
    """A record so many seconds after the beginning."""
    return {"kind": kind, "time": to_iso(START + seconds), **fields}


def begin(**fields: Any) -> dict[str, Any]:
    """The first record."""
    return at(0, "run_begin", run_id="r", cluster_name="prod-1", playbook="p", targets={"rto_seconds": 600, "rpo_seconds": 300}, **fields)


def start(seconds: float, host: str, stage: str = "etcd") -> dict[str, Any]:
    """A host starts a stage."""
    return at(seconds, "stage_start", host=host, stage=stage, title="Restore")


def end(seconds: float, host: str, stage: str = "etcd", **fields: Any) -> dict[str, Any]:
    """A host ends a stage."""
    return at(seconds, "stage_end", host=host, stage=stage, **{"status": "passed", **fields})


def check(seconds: float, host: str, passed: Any = True, check_id: str = "c", stage: str = "etcd", **fields: Any) -> dict[str, Any]:
    """A check on a host."""
    return at(seconds, "check", host=host, stage=stage, id=check_id, title="It is so", passed=passed, **{"remedy": "Do it", "task": "t", **fields})


def run_end(seconds: float = 100, **fields: Any) -> dict[str, Any]:
    """The run ends."""
    return at(seconds, "run_end", host="localhost", **{"status": "passed", **fields})


def judged(*records: dict[str, Any], alive: bool | None = False) -> tuple[Model, Assessment]:
    """Model and verdict of a journal."""
    model = build(records)
    return model, assess(model, START + 1000, alive)


def test_times_of_a_stage() -> None:
    """From the first start to the last end, without the time between two visits."""
    model, _assessment = judged(begin(), start(10, "a"), start(12, "b"), end(20, "a"), end(35.5, "b"), start(50, "a"), end(60, "a"))
    stage = model.stages["etcd"]
    assert (stage.started, stage.ended) == (START + 10, START + 60)
    assert stage.seconds == 35.5
    assert stage.hosts == ["a", "b"]
    assert stage.status == "passed"


def test_serial_stage() -> None:
    """Hosts one after the other make one stage."""
    model, _assessment = judged(begin(), start(10, "a"), end(20, "a"), start(20, "b"), end(30, "b"))
    assert model.stages["etcd"].seconds == 20


def test_a_passed_run() -> None:
    """All figures of a recovery."""
    _model, assessment = judged(
        begin(),
        at(0, "measure", name="declared_at", value=to_iso(START - 60)),
        at(0, "measure", name="disaster_at", value=to_iso(START - 100)),
        start(1, "a"),
        at(2, "measure", name="taken_at", value=to_iso(START - 350), stage="etcd", host="a"),
        check(3, "a"),
        at(80, "measure", name="service_ready_at", value=to_iso(START + 80), stage="etcd", host="b"),
        at(70, "measure", name="service_ready_at", value=str(START + 70), stage="etcd", host="a"),
        end(90, "a"),
        run_end(),
    )
    assert (assessment.verdict, assessment.state, assessment.headline) == ("passed", "ended", "Passed")
    # The service is back when its last part is; what was lost counts from the disaster, not from its declaration.
    assert assessment.rto_seconds == 140
    assert assessment.rpo_seconds == 250
    assert assessment.targets == {"rto_seconds": 600, "rto_met": True, "rpo_seconds": 300, "rpo_met": True}
    assert assessment.next_steps == []
    assert assessment.counts == {"passed": 1, "failed": 0, "warning": 0, "not_evaluated": 0, "total": 1}


def test_missed_targets() -> None:
    """They don't turn the verdict, but they are in the headline and in the next steps."""
    _model, assessment = judged(
        begin(),
        start(1, "a"),
        check(3, "a"),
        at(2, "measure", name="taken_at", value=to_iso(START - 301)),
        at(2, "measure", name="service_ready_at", value=to_iso(START + 700)),
        end(90, "a"),
        run_end(900),
    )
    assert (assessment.verdict, assessment.headline) == ("passed", "Passed, RTO and RPO target missed")
    assert "missed by 1 min 40 s" in assessment.next_steps[0]
    assert "missed by 1.0 s" in assessment.next_steps[1]


def test_nothing_measured() -> None:
    """Without measures there are reasons instead of figures."""
    _model, assessment = judged(begin(), start(1, "a"), check(2, "a"), end(3, "a"), run_end())
    assert (assessment.rto_seconds, assessment.rpo_seconds) == (None, None)
    assert assessment.rto_reason == "no service was restored in this run"
    assert assessment.rpo_reason == "no recovery point was used in this run"
    assert assessment.targets["rto_met"] is None


def test_check_mode() -> None:
    """A plan achieves no recovery."""
    _model, assessment = judged(begin(check_mode=True), start(1, "a"), check(2, "a", "not_evaluated"), end(3, "a"), run_end())
    assert (assessment.verdict, assessment.headline) == ("passed", "Passed in check mode")
    assert assessment.rto_reason == "check mode, nothing was restored"


@pytest.mark.parametrize("ended", [True, False])
def test_a_failed_check(ended: bool) -> None:
    """It fails the run, whether or not the run came to an end; the hosts that stood by are interrupted."""
    records = [begin(), start(1, "a"), start(1, "b"), check(2, "a", passed=False)] + ([run_end(status="failed", reason="a rescue")] if ended else [])
    model, assessment = judged(*records)
    assert assessment.verdict == "failed"
    assert model.stages["etcd"].status == "failed"
    assert model.stages["etcd"].status_on("a") == "failed"
    assert model.stages["etcd"].status_on("b") == "open"
    assert assessment.next_steps[0] == "It is so (a): Do it"
    assert ("a rescue" in assessment.reasons) is ended


def test_one_step_for_many_hosts() -> None:
    """The same failure on many hosts is one thing to do."""
    _model, assessment = judged(begin(), *[check(2, host, passed=False) for host in ("b", "a", "c")])
    assert assessment.next_steps == ["It is so (a, b, c): Do it"]


def test_a_warning() -> None:
    """It is told and does not fail."""
    _model, assessment = judged(begin(), start(1, "a"), check(2, "a", passed=False, severity="warning"), end(3, "a"), run_end())
    assert assessment.verdict == "passed"
    assert assessment.counts["warning"] == 1
    assert assessment.next_steps == ["It is so (a): Do it"]


@pytest.mark.parametrize(("alive", "headline", "state"), [(True, "In progress", "running"), (False, "Interrupted", "dead"), (None, "Not finished", "unknown")])
def test_no_end(alive: bool | None, headline: str, state: str) -> None:
    """A run without an end is interrupted, or still going on."""
    model, assessment = judged(begin(), start(1, "a"), start(1, "b"), check(2, "a"), check(2, "b"), end(3, "b"), alive=alive)
    assert (assessment.verdict, assessment.headline, assessment.state) == ("interrupted", headline, state)
    assert model.stages["etcd"].status == "interrupted"
    assert model.stages["etcd"].open_hosts == ["a"]
    assert model.stages["etcd"].ended is None
    assert ("etcd on a" in assessment.next_steps[0]) is (alive is not True)


def test_no_end_between_stages() -> None:
    """Also when it was killed between two stages."""
    _model, assessment = judged(begin(), start(1, "a"), check(2, "a"), end(3, "a"))
    assert assessment.verdict == "interrupted"
    assert "no end in its journal" in assessment.next_steps[0]


def test_an_end_with_an_open_stage() -> None:
    """Whoever ended the run, a stage that did not end fails it."""
    _model, assessment = judged(begin(), start(1, "a"), check(2, "a"), run_end())
    assert assessment.verdict == "failed"
    assert "started and never ended: etcd" in assessment.reasons


def test_a_stage_without_checks() -> None:
    """Nothing proves it, so it fails the run; while it is open nobody complains."""
    _model, assessment = judged(begin(), start(1, "a"), end(3, "a"), run_end())
    assert assessment.verdict == "failed"
    assert assessment.defects == ["stage etcd has no checks, so nothing proves it"]
    _model, assessment = judged(begin(), start(1, "a"), alive=True)
    assert not assessment.defects


def test_no_stage_at_all() -> None:
    """An empty inventory passes nothing."""
    _model, assessment = judged(begin(), run_end())
    assert (assessment.verdict, assessment.defects) == ("failed", ["no stage ran, so nothing was proven"])


def test_a_failed_stage_without_a_failed_check() -> None:
    """A rescue says why."""
    model, assessment = judged(begin(), start(1, "a"), check(2, "a"), end(3, "a", status="failed", reason="a task failed"), run_end())
    assert assessment.verdict == "failed"
    assert model.stages["etcd"].reasons == ["a: a task failed"]


def test_a_repeated_check() -> None:
    """The same task run again replaces its own result; another task with the same id does not."""
    records = (begin(), start(1, "a"), check(2, "a", passed=False), check(5, "a"), end(6, "a"), run_end())
    _model, assessment = judged(*records)
    assert assessment.verdict == "passed"
    _model, assessment = judged(*records[:3], check(5, "a", task="another"), *records[4:])
    assert assessment.verdict == "failed"


def test_a_lost_start() -> None:
    """An end or a check without a start still makes a stage, and two starts with one end leave nothing open."""
    model, _assessment = judged(begin(), end(5, "a"), check(7, "b", duration=2.0), start(10, "c"), start(20, "c"), end(30, "c"))
    stage = model.stages["etcd"]
    assert not stage.is_open
    assert stage.hosts == ["a", "b", "c"]
    assert stage.started == START + 5
    assert stage.seconds == 2 + 20


def test_open_stage_of_a_host() -> None:
    """The one that it started last of those that it has not ended."""
    model, _assessment = judged(begin(), start(1, "a", "one"), start(2, "a", "two"), start(3, "b", "three"), end(4, "a", "two"))
    assert model.open_stage("a") == "one"
    assert model.open_stage("b") == "three"
    assert model.open_stage("c") is None
    assert model.stages["one"].first_open_host == "a"
    assert model.stages["two"].last_ended_host == "a"


def test_facts() -> None:
    """Later facts go over earlier ones, by topic; the newest verified point has an age at the end of the run."""
    taken = to_iso(START - 500)
    model, assessment = judged(
        begin(),
        at(1, "note", topic="versions", facts={"etcd": "3.5", "kubernetes": "1.33"}),
        at(2, "note", topic="versions", facts={"etcd": "3.6"}),
        at(3, "note", topic="newest_verified_recovery_point", facts={"id": "p", "taken_at": taken}),
        run_end(100),
    )
    assert model.facts("versions") == {"etcd": "3.6", "kubernetes": "1.33"}
    assert model.topics == ["versions", "newest_verified_recovery_point"]
    assert assessment.newest_verified == {"id": "p", "taken_at": taken, "age_seconds": 600}


def test_records_of_a_later_version() -> None:
    """Unknown kinds and missing fields are no reason to lose a report."""
    model, assessment = judged({"kind": "prophecy"}, {"kind": "check"}, {"kind": "stage_end"}, {"kind": "measure"}, {"kind": "note"}, begin(), run_end())
    assert assessment.verdict
    assert model.begin["run_id"] == "r"
