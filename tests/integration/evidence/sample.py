# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals of a made-up recovery, to test reports with and to look at: python -m tests.integration.evidence.sample DIRECTORY."""

from __future__ import annotations

import os
import sys
from typing import Any

import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils import clock
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence import render, runs
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
TEMPLATES = os.path.join(ROOT, "roles", "report", "templates")

CONTROL_PLANE = ["cp1", "cp2", "cp3"]
NODES = [*CONTROL_PLANE, "w1"]
WARNINGS = {("platform.clock", "w1"): "2.6 s ahead of the controller"}
EXPRESSIONS = {"etcd.quorum": "result.linearizable"}
START = 1795182012.345

# name, title, hosts, seconds, checks: (id, title, expected, found or {host: found}, remedy, hosts)


def stages() -> list[dict[str, Any]]:
    """What happens in the made-up run."""
    with open(os.path.join(os.path.dirname(__file__), "sample.yml"), encoding="utf-8") as stream:
        found: list[dict[str, Any]] = yaml.safe_load(stream)
    return found


class Clock:
    """Time of the made-up run."""

    def __init__(self) -> None:
        self.moment = START

    def __call__(self, seconds: float = 0.0) -> str:
        self.moment += seconds
        return clock.to_iso(self.moment)


def write(directory: str, ending: str, run_id: str = "20261120T134012Z-recover_cluster-1f3a") -> str:
    """Write the journal of a run that ends ``passed``, ``failed`` or ``interrupted``."""
    path = os.path.join(directory, run_id)
    os.makedirs(path, 0o700)
    journal = Journal(path)
    journal.create()
    now = Clock()
    journal.append(
        runs.begin_record(
            run_id,
            time=now(),
            playbook="recover_cluster",
            title="Recovery of a whole cluster after the loss of the data centre",
            cluster_name="prod-eu1",
            user="k.lindqvist (sudo by ops)",
            controller="bastion-2.ops.example",
            boot_id="c1582b60-0886-4c6f-a9a3-79cee41ad0d5",
            pid=4711,
            pid_started_ticks=1,
            ansible_version="2.19.14",
            collection_version="0.1.0",
            awx={"job_id": "18422", "job_template_name": "recover prod-eu1", "user_name": "k.lindqvist", "job_launch_type": "manual"},
            groups={"control_plane": 3, "etcd": 3, "workers": 1},
            hosts=4,
            targets={"rpo_seconds": 3600, "rto_seconds": 1800},
            check_mode=False,
            dead_run_ids=["20261120T132201Z-recover_cluster-88ce"] if ending == "failed" else [],
            host="localhost",
        )
    )
    journal.append(
        {"kind": "measure", "time": now(), "host": "localhost", "name": "declared_at", "value": clock.to_iso(START - 212)},
        {"kind": "measure", "time": now(), "host": "localhost", "name": "disaster_at", "value": clock.to_iso(START - 520)},
    )
    for stage in stages():
        name, title, hosts, checks = stage["name"], stage["title"], stage["hosts"], stage["checks"]
        _gate(journal, now, name, hosts)
        for index, host in enumerate(hosts):
            journal.append({"kind": "stage_start", "time": clock.to_iso(now.moment + 0.07 * index), "host": host, "stage": name, "title": title})
        step = stage["seconds"] / (len(checks) + 1)
        stopped = False
        for check in checks:
            now(step)
            if ending == "interrupted" and name == "control_plane":
                return path
            if _check(journal, now, name, check, ending, step):
                stopped = True
                break
        if name == "recovery_point":
            _point(journal, now)
        now(step)
        if stopped:
            break
        if name == "prepare":
            journal.append({"kind": "measure", "time": now(), "host": "cp1", "stage": name, "name": "snapshot_bytes", "value": 149422080, "unit": "bytes"})
        for index, host in enumerate(hosts):
            journal.append({"kind": "stage_end", "time": clock.to_iso(now.moment + 0.11 * index), "host": host, "stage": name, "status": "passed"})
        now(0.8)
        if name == "workers":
            journal.append({"kind": "measure", "time": now(), "host": "w1", "stage": name, "name": "service_ready_at", "value": now()})
    if ending == "passed":
        for text in (
            "Watch the cluster for a day, then remove the old data: /var/lib/lifeboat/aside/20261120T134012Z on cp1, cp2, cp3, w1.",
            "Take a full recovery point now: everything since 13:00 UTC exists only in this cluster.",
        ):
            journal.append({"kind": "note", "time": now(), "host": "localhost", "stage": "verify", "topic": "next_step", "text": text})
    if ending in ("passed", "failed"):
        journal.append({"kind": "run_end", "time": now(1.2), "host": "localhost", "status": ending})
    return path


def _gate(journal: Journal, now: Clock, name: str, hosts: list[str]) -> None:
    if name not in ("prepare", "stop", "etcd", "workers"):
        return
    for host in hosts:
        journal.append({"kind": "stage_start", "time": now(), "host": host, "stage": "gate", "title": "Safety gates"})
        for check_id, title, expected, found in (
            ("gate.confirmation", "The operator typed the name of the cluster", "prod-eu1", "prod-eu1"),
            ("gate.preflight", "Stage preflight of this run passed on every host", "preflight passed on 4 hosts", "passed on cp1, cp2, cp3, w1"),
        ):
            journal.append(
                {"kind": "check", "time": now(), "host": host, "stage": "gate", "task": "Refuse what must not be overwritten", "id": check_id, "title": title}
                | {"passed": True, "expected": expected, "found": found, "remedy": "Correct it.", "severity": "error", "duration": 0.01}
            )
        journal.append({"kind": "stage_end", "time": now(0.04), "host": host, "stage": "gate", "status": "passed"})


def _check(journal: Journal, now: Clock, stage: str, check: dict[str, Any], ending: str, seconds: float) -> bool:
    """Record a check on its hosts; returns whether the run stops at it."""
    stopped = False
    found = check["found_on"] if "found_on" in check else dict.fromkeys(check["hosts"], check["found"])
    for host, value in found.items():
        passed, severity = True, "error"
        if (check["id"], host) in WARNINGS:
            value, passed, severity = WARNINGS[(check["id"], host)], False, "warning"
        if ending == "failed" and check["id"] == "etcd.hash":
            value, passed, stopped = "2 of 3 equal: cp1 2733104421, cp2 2733104421, cp3 1180029317", False, True
        if ending == "failed" and check["id"] == "etcd.quorum" and host == "cp3":
            value, passed = "not available: module lifeboat.cluster.etcd_cluster_info failed: connection to https://127.0.0.1:2379 refused", False
        record = {"kind": "check", "time": now(), "host": host, "stage": stage, "task": check["title"], "passed": passed, "found": value, "severity": severity}
        record.update({name: check[name] for name in ("id", "title", "expected", "remedy")})
        journal.append(dict(record, expression=EXPRESSIONS.get(check["id"], "evidence.ok"), duration=round(seconds, 3)))
    return stopped


def _point(journal: Journal, now: Clock) -> None:
    taken = START - 520 - 2235
    facts = {
        "id": "20261120T125417Z-full-9d21",
        "taken_at": clock.to_iso(taken),
        "sealed_at": clock.to_iso(taken + 71),
        "location": "s3://dr-prod-eu1/prod-eu1",
        "components": "etcd, pki, node_config",
        "snapshot revision": 482113,
        "signed by": "backup@ops.example",
        "size": "187.4 MiB in 14 artifacts",
        "retain until": "2027-02-18T12:54:17Z",
    }
    versions = {"kubernetes": "v1.33.4", "etcd": "3.6.16", "containerd": "1.7.28", "operating system": "Debian 12"}
    newest = {"id": facts["id"], "taken_at": facts["taken_at"], "level": "restored in a drill"}
    for topic, about in (("recovery_point", facts), ("newest_verified_recovery_point", newest), ("versions", versions)):
        journal.append({"kind": "note", "time": now(), "host": "localhost", "stage": "recovery_point", "topic": topic, "facts": about})
    journal.append(
        {"kind": "measure", "time": now(), "host": "localhost", "stage": "recovery_point", "name": "taken_at", "value": facts["taken_at"], "unit": "time"},
        {"kind": "note", "time": now(), "host": "localhost", "stage": "recovery_point", "text": "The load balancer was pointed at cp1 by hand before the run."},
    )


def main() -> None:
    """Write and render one run of each kind."""
    for ending in ("passed", "failed", "interrupted"):
        path = write(os.path.join(sys.argv[1], ending), ending)
        render.render(path, TEMPLATES)
        print(path)


if __name__ == "__main__":
    main()
