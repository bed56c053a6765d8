# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the templates of the report draw: figures, bars of the timeline, checks in groups, all as ready text and numbers."""

from __future__ import annotations

import datetime
from typing import Any, Callable, Dict, List, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.formats import found_text
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import duration, elapsed, to_moment

Json = Dict[str, Any]

WORDS = {
    "passed": "Passed",
    "failed": "Failed",
    "warning": "Warning",
    "not_evaluated": "Not evaluated",
    "interrupted": "Interrupted",
    "running": "Running",
}
_WORST_FIRST = ("failed", "warning", "not_evaluated", "passed")
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MOST_TICKS = 7
# More hosts than this are counted instead of named where all of a stage are meant.
_MOST_HOSTS = 8


def view_of(report: Json) -> Json:
    """Everything that a template needs."""
    running = report["run"]["state"] == "running"
    groups = _groups(report, running)
    problems = [row for group in groups for row in group["rows"] if row["outcome"] in ("failed", "warning")]
    return {
        "report": report,
        "verdict": _verdict(report, running),
        "figures": _figures(report),
        "timeline": _timeline(report, running),
        "problems": sorted(problems, key=lambda row: _WORST_FIRST.index(row["outcome"])),
        "groups": groups,
        "hosts": _hosts(report, running),
        "topics": [(topic, _pairs(facts)) for topic, facts in report["facts"].items() if topic not in ("newest_verified_recovery_point",)],
        "environment": _environment(report),
        "measures": [dict(measure, text=_measured(measure)) for measure in report["measures"]],
        "words": WORDS,
    }


def summary(report: Json) -> str:
    """The verdict in one line, for the end of a play."""
    counts = report["counts"]
    parts = ["%s: %d of %s met" % (report["headline"], counts["passed"], _count(counts["total"] - counts["not_evaluated"], "check"))]
    achieved = [(name, report["achieved_%s_seconds" % name]) for name in ("rto", "rpo")]
    parts += ["%s %s" % (name.upper(), duration(seconds)) for name, seconds in achieved if seconds is not None]
    return "; ".join(parts + report["reasons"])


def _verdict(report: Json, running: bool) -> Json:
    counts = report["counts"]
    kind = report["verdict"]
    if kind == "passed" and (report["targets"]["rto_met"] is False or report["targets"]["rpo_met"] is False):
        kind = "warning"
    elif kind == "interrupted" and running:
        kind = "running"
    considered = counts["total"] - counts["not_evaluated"]
    hosts = [host["host"] for host in report["hosts"] if host["host"] != "localhost"]
    where = _count(len(hosts), "host") + (" and the controller" if len(hosts) < len(report["hosts"]) else "") if hosts else "the controller"
    text = "%d of %d checks met on %s." % (counts["passed"], considered, where) if considered else "No check was evaluated."
    if counts["not_evaluated"]:
        text += " %s not evaluated in check mode." % _count(counts["not_evaluated"], "check")
    return {"kind": kind, "text": text, "reasons": report["reasons"]}


def _figures(report: Json) -> List[Json]:
    """The numbers that a reader looks for first."""
    figures = []
    for name, title, reason in (("rto", "Recovery time", report["rto_reason"]), ("rpo", "Data loss", report["rpo_reason"])):
        achieved, target, met = report["achieved_%s_seconds" % name], report["targets"]["%s_seconds" % name], report["targets"]["%s_met" % name]
        if target is None:
            note = "no target was set"
        elif met is None:
            note = "target %s" % duration(target)
        else:
            note = "target %s, %s" % (duration(target), "met" if met else "missed by %s" % duration(achieved - target))
        figures.append(
            {
                "title": title,
                "short": name.upper(),
                "value": duration(achieved) if achieved is not None else "Not measured",
                "measured": achieved is not None,
                "note": note if achieved is not None else "%s; %s" % (reason, note) if target is not None else reason,
                "kind": {True: "passed", False: "failed", None: "none"}[met],
                "percent": None if met is None else _percent(achieved, max(achieved, target) or 1),
                "target_percent": None if met is None else _percent(target, max(achieved, target) or 1),
            }
        )
    newest = report["newest_verified_recovery_point"]
    age = newest.get("age_seconds")
    taken = "taken %s%s" % (when(newest.get("taken_at")), ", %s" % newest["level"] if newest.get("level") else "")
    figures.append(
        {
            "title": "Newest verified recovery point",
            "short": "",
            "value": "%s old" % duration(age) if age is not None else "Not recorded",
            "measured": age is not None,
            "note": taken if age is not None else "this run did not look for one",
            "kind": "none",
            "percent": None,
            "target_percent": None,
        }
    )
    return figures


def _timeline(report: Json, running: bool) -> Json:
    """Bars in percent of the time from the beginning (or the declaration shortly before it) to the end."""
    start = to_moment(report["run"]["started_at"]) or 0.0
    end = max(
        [to_moment(report["run"]["last_seen_at"]) or start] + [to_moment(last) or start for stage in report["stages"] for _first, last in stage["intervals"]]
    )
    declared = to_moment(report["times"]["declared_at"])
    ready = to_moment(report["times"]["service_ready_at"])
    origin = start
    if declared is not None and 0 < start - declared <= end - start:
        origin = declared
    span = max(end - origin, 0.001)
    rows = []
    for stage in sorted(report["stages"], key=lambda stage: str(stage["started_at"])):
        status = "running" if running and stage["status"] == "interrupted" else stage["status"]
        bars = []
        for first, last in stage["intervals"]:
            left, right = (to_moment(first) or origin) - origin, (to_moment(last) or origin) - origin
            text = "from %s to %s" % (elapsed(left), elapsed(right))
            bars.append({"left": _percent(left, span), "width": max(0.4, _percent(right - left, span)), "text": text})
        rows.append(
            {
                "name": stage["name"],
                "title": stage["title"],
                "status": status,
                "word": WORDS[status],
                "bars": bars,
                "duration": duration(stage["seconds"]) if status in ("passed", "failed") else "no end",
                "hosts": _count(len(stage["hosts"]), "host"),
                "begins": elapsed((to_moment(stage["started_at"]) or origin) - origin),
            }
        )
    marks = []
    if ready is not None and origin <= ready <= end + 1:
        marks.append({"left": min(100.0, _percent(ready - origin, span)), "text": "service ready", "kind": "ready"})
    step = next((tick for tick in _TICKS if span / tick <= _MOST_TICKS), _TICKS[-1])
    ticks = [{"left": _percent(step * index, span), "text": elapsed(step * index)} for index in range(int(span // step) + 1)]
    return {
        "rows": rows,
        "ticks": ticks,
        "marks": marks,
        "from": "the declaration of the disaster" if origin != start else "the beginning of the run",
        "run_left": _percent(start - origin, span) if origin != start else None,
        "total": duration(end - origin),
    }


def _groups(report: Json, running: bool) -> List[Json]:
    groups = []
    for stage in report["stages"]:
        status = "running" if running and stage["status"] == "interrupted" else stage["status"]
        hosts = [host["host"] for host in stage["hosts"]]
        rows = _rows([check for check in report["checks"] if check["stage"] == stage["name"]], hosts)
        outcomes = [check["outcome"] for check in report["checks"] if check["stage"] == stage["name"]]
        counts = [(outcome, outcomes.count(outcome)) for outcome in _WORST_FIRST]
        groups.append(
            {
                "name": stage["name"],
                "title": stage["title"],
                "status": status,
                "word": WORDS[status],
                "duration": duration(stage["seconds"]) if status in ("passed", "failed") else "no end",
                "hosts": _host_list(hosts, []),
                "open_hosts": [host["host"] for host in stage["hosts"] if host["status"] == "interrupted"],
                "reasons": stage["reasons"],
                "rows": rows,
                "summary": ", ".join("%d %s" % (count, WORDS[outcome].lower()) for outcome, count in counts if count) or "no checks",
            }
        )
    return groups


def _host_list(hosts: List[str], of: List[str]) -> str:
    """Names of hosts as a text that stays short: empty when there is only one, a number when all of many are meant."""
    if len(of) == 1 and hosts == of:
        return ""
    if len(hosts) > _MOST_HOSTS and (not of or sorted(hosts) == sorted(of)):
        return "all %d hosts" % len(hosts) if of else "%d hosts" % len(hosts)
    return ", ".join(hosts)


def _rows(checks: List[Json], hosts: List[str]) -> List[Json]:
    """One row for the same check on several hosts; what was found is listed once for all hosts that found the same."""
    rows: Dict[Tuple[str, str, str], Json] = {}
    for check in checks:
        row = rows.setdefault(
            (check["id"], check["title"], check["expected"]),
            dict(
                {name: check[name] for name in ("id", "title", "expected", "stage")},
                is_expression=check["expected"] == check["expression"],
                remedy="",
                outcome="passed",
                found={},
            ),
        )
        if _WORST_FIRST.index(check["outcome"]) < _WORST_FIRST.index(row["outcome"]):
            row["outcome"] = check["outcome"]
        if check["outcome"] != "passed":
            row["remedy"] = row["remedy"] or check["remedy"]
        text = found_text(check["found"])
        host = check["host"] + (" (through %s)" % check["delegated_to"] if check["delegated_to"] else "")
        row["found"].setdefault((check["outcome"], text), []).append(host)
    for row in rows.values():
        row["word"] = WORDS[row["outcome"]]
        met = sorted(host for (outcome, _text), names in row["found"].items() if outcome == "passed" for host in names)
        row["met_on"] = ", ".join(met) if len(met) <= _MOST_HOSTS else "%d other hosts" % len(met)
        row["found"] = [
            {
                "outcome": outcome,
                "word": WORDS[outcome],
                "text": text,
                "hosts": _host_list(sorted(names), hosts),
                "is_long": "\n" in text or len(text) > 160,
                "is_short": len(text) <= 34,
            }
            for (outcome, text), names in sorted(row["found"].items(), key=lambda item: _WORST_FIRST.index(item[0][0]))
        ]
    return sorted(rows.values(), key=lambda row: _WORST_FIRST.index(row["outcome"]))


def _hosts(report: Json, running: bool) -> List[Json]:
    hosts = []
    for host in report["hosts"]:
        status = "running" if running and host["status"] == "interrupted" else host["status"]
        last = [stage["name"] for stage in report["stages"] if any(entry["host"] == host["host"] for entry in stage["hosts"])]
        hosts.append(dict(host, status=status, word=WORDS[status], last_stage=last[-1] if last else ""))
    return hosts


def _environment(report: Json) -> List[Tuple[str, str]]:
    run = report["run"]
    pairs: List[Tuple[str, Optional[str]]] = [
        ("Cluster", run["cluster_name"]),
        ("Playbook", run["playbook"]),
        ("Run", run["id"]),
        ("Started by", run["user"]),
        ("Controller", run["controller"]),
        ("Began", when(run["started_at"])),
        ("Ended", when(run["ended_at"]) if run["ended_at"] else "no end is recorded; last record %s" % when(run["last_seen_at"])),
        ("Took", duration(run["seconds"])),
        ("Inventory", "%s; %s" % (_count(run["hosts"] or 0, "host"), ", ".join("%s %d" % pair for pair in (run["groups"] or {}).items()))),
        ("Mode", "check mode, nothing was changed" if run["check_mode"] else None),
        ("Limit", run["limit"]),
        ("lifeboat.cluster", run["collection_version"]),
        ("ansible-core", run["ansible_version"]),
    ]
    for key, value in (run["awx"] or {}).items():
        pairs.append(("AWX %s" % key.replace("_", " "), value))
    if run["dead_run_ids"]:
        pairs.append(("Earlier runs without an end", ", ".join(run["dead_run_ids"])))
    return [(key, str(value)) for key, value in pairs if value not in (None, "")]


def _pairs(facts: Json) -> List[Tuple[str, str]]:
    def text(key: str, value: Any) -> str:
        return when(value) if key.endswith("_at") and to_moment(value) is not None else found_text(value)

    return [(str(key).replace("_", " "), text(str(key), value)) for key, value in facts.items()]


def _measured(measure: Json) -> str:
    value, unit = measure["value"], measure["unit"]
    if unit == "time" and to_moment(value) is not None:
        return when(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if unit == "bytes":
            return size(value)
        if unit == "seconds":
            return duration(value)
        return "%s %s" % (value, unit) if unit else str(value)
    return found_text(value) + (" %s" % unit if unit and unit != "time" else "")


def size(count: float) -> str:
    """Bytes for people: 142.5 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return "%d B" % count if unit == "B" else "%.1f %s" % (count, unit)
        count /= 1024
    return "%.1f TiB" % count


def when(value: Any) -> str:
    """A moment for people, in UTC to the second: 2026-11-20 13:40:12 UTC."""
    moment = to_moment(value)
    if moment is None:
        return str(value)
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def plain(text: Any) -> str:
    """Text that stays one cell of a Markdown table, or one line of a list."""
    line = " ".join(str(text).split())
    for character in "\\`*_<>[]|":
        line = line.replace(character, "\\" + character)
    return line


def code(text: Any) -> str:
    """Text as Markdown code that may hold anything."""
    line = " ".join(str(text).split()).replace("|", "\\|")
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in line).split()), default=0)
    fence = "`" * (longest + 1)
    return "%s %s %s" % (fence, line, fence) if longest else "`%s`" % line


def _percent(part: float, whole: float) -> float:
    return round(100.0 * part / whole, 3)


def _count(number: int, noun: str) -> str:
    return "%d %s%s" % (number, noun, "" if number == 1 else "s")


FILTERS: Dict[str, Callable[..., str]] = {"duration": duration, "found": found_text, "when": when, "md": plain, "code": code}
