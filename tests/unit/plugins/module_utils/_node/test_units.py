# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units as systemctl tells them, with recorded answers of systemd 252."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Systemd, Unit, UnitError, parse_show

SHOW = """MainPID=56
NRestarts=3
Id=kubelet.service
Names=kubelet.service k.service
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/etc/systemd/system/kubelet.service
UnitFileState=enabled
NeedDaemonReload=yes
ControlGroup=/system.slice/kubelet.service
ExecStart={ path=/usr/bin/kubelet ; argv[]=/usr/bin/kubelet --token=secret ; ignore_errors=no ; start_time=[n/a] ; pid=56 ; code=(null) ; status=0/0 }

MainPID=0
NRestarts=0
Id=etcd.service
Names=etcd.service
LoadState=not-found
ActiveState=inactive
SubState=dead
FragmentPath=
UnitFileState=
NeedDaemonReload=no
"""


def systemd(tmp_path: Path, script: str) -> Systemd:
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    return Systemd(str(program))


def test_the_files_of_a_unit() -> None:
    """Each file of the environment stands in a line of its own."""
    text = (
        "Id=kubelet.service\nNames=kubelet.service\nFragmentPath=/etc/systemd/system/kubelet.service\n"
        "DropInPaths=/etc/systemd/system/kubelet.service.d/10-kubeadm.conf /run/x.conf\n"
        "EnvironmentFiles=/var/lib/kubelet/kubeadm-flags.env (ignore_errors=yes)\nEnvironmentFiles=/etc/kubernetes/kubelet.env (ignore_errors=no)\n"
    )
    assert parse_show(text, ["kubelet.service"])["kubelet.service"].files == (
        "/etc/systemd/system/kubelet.service",
        "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
        "/run/x.conf",
        "/var/lib/kubelet/kubeadm-flags.env",
        "/etc/kubernetes/kubelet.env",
    )


def test_show_is_read_by_name_and_alias() -> None:
    units = parse_show(SHOW, ["k.service", "etcd.service", "other.service"])
    kubelet = units["k.service"]
    assert (kubelet.exists, kubelet.runs, kubelet.stopped, kubelet.needs_reload) == (True, True, False, True)
    assert kubelet.as_dict() == {
        "load": "loaded",
        "active": "active",
        "sub": "running",
        "enabled": "enabled",
        "main_pid": 56,
        "restarts": 3,
        "same_seconds": None,
        "steady": False,
    }
    assert str(kubelet) == "unit k.service (active/running, pid 56)"
    assert kubelet.control_group == "/system.slice/kubelet.service"
    assert "--token=secret" in kubelet.command
    assert "secret" not in repr(kubelet) + str(kubelet.as_dict())
    assert not units["etcd.service"].exists
    assert units["etcd.service"].stopped
    assert units["other.service"] == Unit("other.service")


@pytest.mark.parametrize(
    ("active", "sub", "runs", "stopped"),
    [
        ("active", "running", True, False),
        ("reloading", "reload", True, False),
        ("active", "exited", False, False),
        ("activating", "auto-restart", False, False),
        ("activating", "start", False, False),
        ("deactivating", "stop-sigterm", False, False),
        ("inactive", "dead", False, True),
        ("failed", "failed", False, True),
    ],
)
def test_a_unit_between_two_restarts_neither_runs_nor_is_stopped(active: str, sub: str, runs: bool, stopped: bool) -> None:
    unit = Unit("x", "loaded", active, sub)
    assert (unit.runs, unit.stopped) == (runs, stopped)


# As systemd 252 shows a unit whose program ends at once, with RestartSec=10: now in its life of a tenth of a second, now between two of them.
CRASHING = """MainPID={pid}
NRestarts={restarts}
ExecMainStartTimestampMonotonic={started}
ActiveEnterTimestampMonotonic={started}
Id=kubelet.service
Names=kubelet.service
LoadState=loaded
ActiveState={active}
SubState={sub}
"""


@pytest.mark.parametrize(
    ("active", "sub", "pid", "restarts", "age", "steady"),
    [
        # A lucky look at a unit that ends and is started again every ten seconds.
        ("active", "running", 56, 0, 0.1, False),
        ("active", "running", 57, 1, 9.9, False),
        ("activating", "auto-restart", 0, 2, 5.0, False),
        ("active", "running", 56, 0, 12.0, True),
        # Once it has ended by itself, it has to show for longer that it stays.
        ("active", "running", 58, 3, 12.0, False),
        ("active", "running", 58, 3, 30.0, True),
        ("active", "exited", 0, 0, 90.0, False),
        # A daemon without a main process that systemd knows of.
        ("active", "running", 0, 0, 13.0, True),
    ],
)
def test_a_unit_runs_steadily_when_its_process_is_the_same_for_a_while(active: str, sub: str, pid: int, restarts: int, age: float, steady: bool) -> None:
    text = CRASHING.format(active=active, sub=sub, pid=pid, restarts=restarts, started=int((5000 - age) * 1e6))
    unit = parse_show(text, ["kubelet.service"], now=5000.0)["kubelet.service"]
    assert (unit.steady, unit.as_dict()["steady"]) == (steady, steady)
    assert unit.restarting is (sub == "auto-restart")
    assert unit.same_seconds == pytest.approx(age)


def test_acts_do_not_wait(tmp_path: Path) -> None:
    subject = systemd(tmp_path, f'echo "$*" >> {tmp_path}/calls')
    subject.start(["a"])
    subject.stop(["a", "b"])
    subject.restart(["a"])
    subject.enable(["a"])
    subject.reset_failed(["a"])
    subject.reload()
    expected = ["start --no-block a", "stop --no-block a b", "restart --no-block a", "enable a", "reset-failed a", "daemon-reload"]
    assert (tmp_path / "calls").read_text().splitlines() == expected


def test_a_refusal_tells_systemds_words(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match="Unit kubelet.service is masked"):
        systemd(tmp_path, "echo 'Unit kubelet.service is masked.' >&2; exit 1").start(["kubelet.service"])
    with pytest.raises(UnitError, match="Failed to connect to bus"):
        systemd(tmp_path, "echo 'Failed to connect to bus' >&2; exit 1").show(["kubelet.service"])


def test_without_systemctl_there_are_no_units() -> None:
    absent = Systemd("no-such-systemctl")
    assert absent.show(["kubelet.service"]) == {"kubelet.service": Unit("kubelet.service")}
    with pytest.raises(UnitError, match="no systemctl on this host"):
        absent.start(["kubelet.service"])
