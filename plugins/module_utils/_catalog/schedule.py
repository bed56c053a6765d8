# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From targets and measured durations to a schedule that meets them, as systemd units and as AWX schedules. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.freshness import span

_HOUR, _DAY = 3600, 86400
# Each divides a day (or is a week), so that calendars can say it and the gap is the same every day.
INTERVALS = tuple([60 * minutes for minutes in (5, 10, 15, 20, 30)] + [_HOUR * hours for hours in (1, 2, 3, 4, 6, 8, 12)] + [_DAY, 7 * _DAY])
# As long as nothing was measured.
ASSUMED_SECONDS = 600
# What starts after something else waits for half as long again as that ever took.
_MARGIN = 1.5
# So many runs may fail one after the other before anything is stale.
SPARE_RUNS = 1
# Where all AWX schedules begin to count: midnight on a Monday, long ago, so that the same schedule is always the same text.
_ANCHOR = datetime(2026, 1, 5, tzinfo=timezone.utc)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
JOBS = {
    "backup_cluster": "take a recovery point",
    "verify_recovery_point": "prove that the newest recovery point opens",
    "report_readiness": "report whether the newest verified recovery points are fresh enough",
}


class Measured(NamedTuple):
    """The longest that was seen, in seconds, and out of how many runs; None when there was none."""

    seconds: Optional[int]
    runs: int = 0


@dataclass(frozen=True)
class Timetable:
    """How often to run what. ``interval_seconds`` is None when no schedule can meet the strictest target."""

    component: str
    target_seconds: int
    interval_seconds: Optional[int]
    # Seconds after the backup at which each playbook starts.
    offsets: Dict[str, int]
    # The oldest that the newest verified point of the component can become, if so many runs in a row fail.
    worst_seconds: Optional[int]
    spare_runs: int
    # How it comes about, a sentence a line.
    arithmetic: List[str]

    def to_record(self) -> Dict[str, Any]:
        """As plain data."""
        return {
            "component": self.component,
            "target_seconds": self.target_seconds,
            "interval_seconds": self.interval_seconds,
            "offsets": self.offsets,
            "worst_seconds": self.worst_seconds,
            "spare_runs": self.spare_runs,
            "arithmetic": self.arithmetic,
        }


class Caller(NamedTuple):
    """How the playbooks are called on this controller."""

    program: str
    inventories: Sequence[str]
    directory: str
    user: str
    # Variables of the environment without which they would not be found.
    environment: Mapping[str, str]


def plan(targets: Mapping[str, int], backup: Measured, verification: Measured) -> Timetable:
    """The longest interval with which the strictest target holds. One backup takes all components, so the others hold too."""
    component = min(targets, key=lambda name: (targets[name], name))
    target = targets[component]
    taking, proving = _whole_minute(_or_assumed(backup)), _whole_minute(_or_assumed(verification))
    verify_after = _whole_minute(taking * _MARGIN)
    offsets = {"backup_cluster": 0, "verify_recovery_point": verify_after, "report_readiness": verify_after + _whole_minute(proving * _MARGIN)}
    lines = [
        "A backup takes up to %s (%s)." % (span(taking), _source(backup)),
        "A verification takes up to %s (%s)." % (span(proving), _source(verification)),
        "The verification starts %s after the backup, half as long again as a backup takes." % span(verify_after),
    ]
    late = verify_after + proving
    for spare in range(SPARE_RUNS, -1, -1):
        fitting = [interval for interval in INTERVALS if interval >= late and (1 + spare) * interval + late <= target]
        if not fitting:
            continue
        interval = fitting[-1]
        worst = (1 + spare) * interval + late
        lines.append(
            "At an interval of %s the newest verified point becomes at most %d x %s + %s + %s = %s old, %s. %s has the strictest target, %s."
            % (
                span(interval),
                1 + spare,
                span(interval),
                span(verify_after),
                span(proving),
                span(worst),
                "even if one run fails" if spare else "if no run fails: a failed one makes it stale",
                component,
                span(target),
            )
        )
        return Timetable(component, target, interval, offsets, worst, spare, lines)
    least = max(INTERVALS[0], late) + late
    lines.append(
        "No schedule keeps %s within %s: backup after backup, the newest verified point would still become %s old." % (component, span(target), span(least))
    )
    return Timetable(component, target, None, offsets, None, 0, lines)


def _or_assumed(measured: Measured) -> int:
    return ASSUMED_SECONDS if measured.seconds is None else max(1, measured.seconds)


def _source(measured: Measured) -> str:
    if measured.seconds is None:
        return "assumed: none has been measured yet"
    return "the longest of the last %d" % measured.runs if measured.runs > 1 else "one was measured"


def _whole_minute(seconds: float) -> int:
    return int(-(-seconds // 60) * 60)


# -- as text ------------------------------------------------------------------------------------------------------------------------


def on_calendar(interval: int, offset: int) -> str:
    """A calendar event of systemd, in UTC so that no summer time widens a gap."""
    minute = offset // 60 % 60
    if interval < _HOUR:
        return "*-*-* *:%02d/%d:00 UTC" % (offset // 60 % (interval // 60), interval // 60)
    if interval < _DAY:
        return "*-*-* %02d/%d:%02d:00 UTC" % (offset // _HOUR % (interval // _HOUR), interval // _HOUR, minute)
    clock = "%02d:%02d:00 UTC" % (offset // _HOUR % 24, minute)
    return "*-*-* %s" % clock if interval == _DAY else "%s *-*-* %s" % (_DAYS[offset // _DAY % 7], clock)


def recurrence(interval: int, offset: int) -> str:
    """A recurrence rule as AWX takes it: DTSTART in UTC, one RRULE with an interval, nothing else."""
    for name, unit in (("WEEKLY", 7 * _DAY), ("DAILY", _DAY), ("HOURLY", _HOUR), ("MINUTELY", 60)):
        if interval % unit == 0:
            start = _ANCHOR + timedelta(seconds=offset)
            return "DTSTART:%s RRULE:FREQ=%s;INTERVAL=%d" % (start.strftime("%Y%m%dT%H%M%SZ"), name, interval // unit)
    raise ValueError("intervals are whole minutes")


def files(timetable: Timetable, cluster: str, caller: Caller) -> Dict[str, str]:
    """Contents by file name: a service and a timer for each playbook, and the schedules for AWX. None when no schedule meets the target."""
    if timetable.interval_seconds is None:
        return {}
    found: Dict[str, str] = {}
    schedules: List[Dict[str, str]] = []
    for playbook, purpose in JOBS.items():
        name = "lifeboat-%s-%s" % (cluster, playbook.replace("_", "-"))
        offset = timetable.offsets[playbook]
        found[name + ".service"] = _service(purpose, cluster, playbook, timetable.interval_seconds, caller)
        found[name + ".timer"] = _timer(purpose, cluster, on_calendar(timetable.interval_seconds, offset))
        template = "lifeboat_%s_%s" % (cluster.replace("-", "_"), playbook)
        schedules.append({"name": template, "unified_job_template": template, "rrule": recurrence(timetable.interval_seconds, offset)})
    comments = "".join("# %s\n" % line for line in timetable.arithmetic)
    # JSON strings are YAML strings.
    rows = "".join(
        "  - name: %s\n    unified_job_template: %s\n    rrule: %s\n" % tuple(json.dumps(schedule[key]) for key in ("name", "unified_job_template", "rrule"))
        for schedule in schedules
    )
    found["awx_schedules.yml"] = "---\n# Schedules of AWX, in the form of infra.aap_configuration.\n%scontroller_schedules:\n%s" % (comments, rows)
    return found


def _service(purpose: str, cluster: str, playbook: str, interval: int, caller: Caller) -> str:
    words = [caller.program]
    for inventory in caller.inventories:
        words += ["--inventory", inventory]
    words.append("lifeboat.cluster.%s" % playbook)
    lines = [
        "[Unit]",
        "Description=Lifeboat, cluster %s: %s" % (cluster, purpose),
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        "User=%s" % caller.user.replace("%", "%%"),
        "WorkingDirectory=%s" % caller.directory.replace("%", "%%"),
        *["Environment=%s" % _word("%s=%s" % pair) for pair in sorted(caller.environment.items())],
        "ExecStart=%s" % " ".join(_word(word, in_command=True) for word in words),
        "# A run that hangs does not keep the next one from starting.",
        "TimeoutStartSec=%d" % interval,
    ]
    if playbook == "verify_recovery_point":
        lines.insert(0, "# Belongs on the machine that has the private key, which is not the one that makes backups.")
    return "\n".join(lines) + "\n"


def _timer(purpose: str, cluster: str, calendar: str) -> str:
    return "\n".join(
        [
            "[Unit]",
            "Description=Lifeboat, cluster %s: when to %s" % (cluster, purpose),
            "",
            "[Timer]",
            "OnCalendar=%s" % calendar,
            "AccuracySec=1s",
            "# What was due while the machine was off is done when it is on again.",
            "Persistent=true",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def _word(text: str, in_command: bool = False) -> str:
    """One word of a unit file: systemd expands percent signs everywhere and dollar signs in commands, and splits at blanks."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if in_command:
        text = text.replace("$", "$$")
    return '"%s"' % text if not text or any(character in text for character in " \t'\"\\;") else text
