# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units as systemctl tells them, with recorded answers of systemd 252."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils.host.units import Systemd, Unit, UnitError, parse_show

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


def test_show_is_read_by_name_and_alias() -> None:
    units = parse_show(SHOW, ["k.service", "etcd.service", "other.service"])
    kubelet = units["k.service"]
    assert (kubelet.exists, kubelet.runs, kubelet.stopped, kubelet.needs_reload) == (True, True, False, True)
    assert kubelet.as_dict() == {"load": "loaded", "active": "active", "sub": "running", "enabled": "enabled", "main_pid": 56, "restarts": 3}
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
