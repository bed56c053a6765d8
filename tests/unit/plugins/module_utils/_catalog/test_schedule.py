# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules keep their promise, played minute by minute; systemd and the recurrence rules agree with the arithmetic."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from dateutil.rrule import rrulestr

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import schedule
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.schedule import Caller, Measured, Timetable

# Soon after the day from which AWX counts: the recurrence rules of the test step through every moment since.
START = datetime(2026, 1, 9, tzinfo=timezone.utc)
CALLER = Caller("/bin/true", ["/etc/li fe/hosts"], "/srv", "root", {"ANSIBLE_CONFIG": "/etc/100%/ansible.cfg"})


def worst_age(timetable: Timetable, backup: int, verification: int, failing: int) -> int:
    """Play the schedule: the oldest that the newest verified point becomes when these backups fail, counted by seconds."""
    assert timetable.interval_seconds is not None
    verified: list[tuple[int, int]] = []  # when it is known, when it was taken (at worst, at the start)
    for run in range(8):
        if not 3 <= run < 3 + failing:
            begin = run * timetable.interval_seconds
            assert timetable.offsets["verify_recovery_point"] >= backup
            verified.append((begin + timetable.offsets["verify_recovery_point"] + verification, begin))
    return max(later - taken for (_known, taken), (later, _next) in zip(verified, verified[1:]))


@pytest.mark.parametrize(
    ("target", "backup", "verification", "interval"),
    [(3600, 60, 60, 1200), (900, 30, 20, 300), (86400, 600, 900, 8 * 3600), (86400 * 3, 3600, 7200, 86400), (86400 * 30, 60, 60, 7 * 86400)],
)
def test_the_promise_holds_even_if_one_run_fails(target: int, backup: int, verification: int, interval: int) -> None:
    """The longest interval that does."""
    timetable = schedule.plan({"etcd": target, "pki": target * 2}, Measured(backup, 3), Measured(verification, 3))
    assert (timetable.component, timetable.interval_seconds, timetable.spare_runs) == ("etcd", interval, 1)
    assert timetable.worst_seconds is not None
    assert worst_age(timetable, backup, verification, 1) <= timetable.worst_seconds <= target
    longer = [candidate for candidate in schedule.INTERVALS if candidate > interval]
    assert not longer or 2 * longer[0] + timetable.offsets["verify_recovery_point"] + verification > target


def test_a_tight_promise_has_no_spare_run_and_says_so() -> None:
    """One failing run breaks it."""
    timetable = schedule.plan({"etcd": 600}, Measured(60, 1), Measured(60, 1))
    assert (timetable.interval_seconds, timetable.spare_runs) == (300, 0)
    assert worst_age(timetable, 60, 60, 0) <= 600 < worst_age(timetable, 60, 60, 1)
    assert "a failed one makes it stale" in timetable.arithmetic[-1]


def test_a_promise_that_nothing_keeps() -> None:
    """No files, and the reason."""
    timetable = schedule.plan({"etcd": 600}, Measured(None), Measured(300, 2))
    assert timetable.interval_seconds is None
    assert "No schedule keeps etcd within 10 min" in timetable.arithmetic[-1]
    assert "assumed: none has been measured yet" in timetable.arithmetic[0]
    assert schedule.files(timetable, "shop", CALLER) == {}


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """All of them, verified by systemd itself; a broken one is refused."""
    timetable = schedule.plan({"etcd": 3600}, Measured(60, 1), Measured(60, 1))
    written = schedule.files(timetable, "shop", CALLER)
    units = [tmp_path / name for name in written if not name.endswith(".yml")]
    for path in units:
        path.write_text(written[path.name])
    assert len(units) == 6
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    service = written["lifeboat-shop-backup-cluster.service"]
    assert 'ExecStart=/bin/true --inventory "/etc/li fe/hosts" lifeboat.cluster.backup_cluster' in service
    assert "Environment=ANSIBLE_CONFIG=/etc/100%%/ansible.cfg" in service
    units[1].write_text(units[1].read_text().replace("UTC", "Elsewhere/Never"))
    assert subprocess.run(["systemd-analyze", "verify", "--man=no", units[1]], capture_output=True, text=True, check=False).stderr


def by_systemd(calendar: str, count: int) -> list[datetime]:
    """The next times of a calendar event after START."""
    command = ["systemd-analyze", "calendar", "--base-time=2026-01-09 00:00:00 UTC", f"--iterations={count}", calendar]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"}).stdout.splitlines()
    moments = [line.split(":", 1)[1].strip() for line in lines if "Next elapse" in line or "Iter. #" in line]
    return [datetime.strptime(moment, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=timezone.utc) for moment in moments]


@pytest.mark.parametrize("interval", schedule.INTERVALS)
def test_systemd_and_awx_mean_the_same_times(interval: int) -> None:
    """Every gap is the interval, and both say the same moments, for a start at once and for one that comes later."""
    for offset in (0, 60 * 64):
        systemd = by_systemd(schedule.on_calendar(interval, offset), 4)
        text = schedule.recurrence(interval, offset)
        assert text.count("DTSTART:") == text.count(" RRULE:FREQ=") == text.count(";INTERVAL=") == 1
        rule = rrulestr(text.replace(" RRULE", "\nRRULE"))
        awx = [moment for moment, _number in zip(rule.xafter(START, inc=False), range(4))]
        assert systemd == awx
        assert {later - earlier for earlier, later in zip(systemd, systemd[1:])} == {timedelta(seconds=interval)}


def test_awx_schedules_are_data() -> None:
    """In the form of infra.aap_configuration, the same text each time."""
    timetable = schedule.plan({"etcd": 3600}, Measured(60, 1), Measured(60, 1))
    text = schedule.files(timetable, "shop", CALLER)["awx_schedules.yml"]
    rows = yaml.safe_load(text)["controller_schedules"]
    assert [row["name"] for row in rows] == ["lifeboat_shop_backup_cluster", "lifeboat_shop_verify_recovery_point", "lifeboat_shop_report_readiness"]
    assert rows[1]["rrule"] == "DTSTART:20260105T000200Z RRULE:FREQ=MINUTELY;INTERVAL=20"
    assert text == schedule.files(timetable, "shop", CALLER)["awx_schedules.yml"]
