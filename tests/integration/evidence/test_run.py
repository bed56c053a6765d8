# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real playbooks: a run from begin to end, a killed one, and one on which all hosts fail."""

from __future__ import annotations

import re
import stat
import subprocess
import time
from xml.etree import ElementTree

from tests.integration.evidence.playground import BEGIN, FINISH, Playground
from tests.integration.playbooks import LIMIT_SECONDS
from tests.killing import kill_tree

WHOLE = (
    BEGIN
    + """
- hosts: all
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - lifeboat.cluster.stage: {name: preflight, title: Look first, state: started}
    - name: Look
      lifeboat.cluster.check:
        evidence: {sizes: [1, 2]}
        measures: {taken_at: "{{ lookup('pipe', 'date -u -d @1795179257 +%Y-%m-%dT%H:%M:%SZ') }}", lost: "{{ nowhere.at.all }}"}
        checks:
          - id: try.sizes
            title: "Sizes are small on {{ inventory_hostname }}"
            expect: sizes | max < 10
            found: sizes
            remedy: Make them smaller.
    - lifeboat.cluster.stage: {name: preflight, state: ended}
- hosts: control_plane
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - lifeboat.cluster.gate: {confirm_cluster_name: "{{ confirm_cluster_name | default('') }}", required_groups: [control_plane]}
    - lifeboat.cluster.stage: {name: etcd, title: Restore etcd, state: started}
    - name: Ask
      lifeboat.cluster.check:
        module: {name: ansible.builtin.command, args: {cmd: "echo {{ inventory_hostname }}"}}
        facts: {versions: {etcd: "3.6.{{ 8 + 8 }}"}}
        checks:
          - {id: try.echo, title: It answers, expect: result.stdout == inventory_hostname, found: result.stdout, expected: its own name, remedy: Repair it.}
      delegate_to: w1
    - name: End
      lifeboat.cluster.stage:
        name: etcd
        state: ended
        restores_service: true
        measures: {snapshot_bytes: "{{ 2048 }}", speed: {value: 3, unit: MiB/s}}
        next_steps: [Remove what was moved aside.]
        notes: [The moon was full.]
"""
    + FINISH
)


def test_a_whole_run(playground: Playground) -> None:
    """Everything given as text: the run passes, its files say so, and the verdict is in the statistics."""
    disaster = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1795179257 + 600))
    arguments = (
        "-e",
        "confirm_cluster_name=prod-1",
        "-e",
        "rto_target_seconds=600",
        "-e",
        "rpo_target_seconds=300",
        "-e",
        "awx_job_id=77",
        "-e",
        "tower_user_name=kim",
    )
    done = playground.play(WHOLE, *arguments, "-e", f"report_disaster_at={disaster}")
    assert done.returncode == 0, done.stdout
    directory = playground.run_directories()[0]
    assert re.fullmatch(r"\d{8}T\d{6}Z-try_it-[0-9a-f]{4}", directory.name)
    assert stat.S_IMODE(directory.stat().st_mode) == stat.S_IMODE((directory / "journal").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.rglob("*") if path.is_file()} == {0o600}

    begin = playground.records("run_begin")[0]
    assert begin["awx"] == {"job_id": "77", "user_name": "kim"}
    assert begin["targets"] == {"rpo_seconds": 300, "rto_seconds": 600}
    assert begin["groups"] == {"control_plane": 2, "spare": 0, "workers": 1}
    assert begin["hosts"] == 3
    assert all(begin[name] for name in ("ansible_version", "collection_version", "user", "boot_id", "pid_started_ticks"))

    checks = playground.checks()
    assert [checks[("try.sizes", host)]["title"] for host in ("cp1", "cp2", "w1")] == [f"Sizes are small on {host}" for host in ("cp1", "cp2", "w1")]
    assert (
        checks[("try.echo", "cp1")] | {"found": "cp1", "delegated_to": "w1", "expected": "its own name", "task": "Ask", "play": "control_plane"}
        == checks[("try.echo", "cp1")]
    )
    assert ("gate.preflight", "cp2") in checks

    report = playground.report()
    assert report["verdict"] == "passed"
    assert report["headline"] == "Passed, RPO target missed"
    assert report["achieved_rpo_seconds"] == 600
    assert 0 < report["achieved_rto_seconds"] < LIMIT_SECONDS
    assert report["targets"] == {"rto_seconds": 600, "rto_met": True, "rpo_seconds": 300, "rpo_met": False}
    assert [stage["name"] for stage in report["stages"]] == ["preflight", "gate", "etcd"]
    assert {stage["status"] for stage in report["stages"]} == {"passed"}
    assert report["stages"][2]["title"] == "Restore etcd"
    assert report["facts"]["versions"] == {"etcd": "3.6.16"}
    assert [note["text"] for note in report["notes"]] == ["The moon was full."] * 2
    assert report["next_steps"][-1] == "Remove what was moved aside."
    units = {measure["name"]: (measure["value"], measure["unit"]) for measure in report["measures"]}
    assert units["snapshot_bytes"] == (2048, "bytes")
    assert units["speed"] == (3, "MiB/s")
    assert "lost" not in units
    assert "Measure lost is not recorded: 'nowhere' is undefined" in done.stdout

    cases = [case.get("name") for case in ElementTree.parse(directory / "junit.xml").iter("testcase")]
    assert len(cases) == len(report["checks"]) == 3 + 2 + 8
    assert "try.echo [cp2]" in cases
    assert (directory / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert "## Verdict: Passed" in (directory / "report.md").read_text()
    assert 'lifeboat_run_verdict{cluster="prod-1",playbook="try_it",verdict="passed"} 1' in (directory / "metrics.prom").read_text()

    assert re.search(r"^\[\d\d:\d\d\] preflight: Look first started$", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^\[\d\d:\d\d\] preflight: Look first ended after .* \(3 hosts\)$", done.stdout, re.MULTILINE)) == 1
    assert len(re.findall(r"^\[\d\d:\d\d\] etcd: Restore etcd ended after .* \(2 hosts\)$", done.stdout, re.MULTILINE)) == 1
    assert '"lifeboat_verdict": "passed"' in done.stdout
    assert f'"lifeboat_run_id": "{directory.name}"' in done.stdout


ALL_FAIL = (
    BEGIN
    + """
- hosts: all
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - lifeboat.cluster.stage: {name: preflight, state: started}
    - name: Look
      lifeboat.cluster.check:
        checks:
          - {id: try.good, title: This holds, expect: "1 == 1", found: "'one'", remedy: none}
          - {id: try.bad, title: This does not hold, expect: "1 == 2", found: "'one of two'", remedy: Count again.}
    - lifeboat.cluster.stage: {name: preflight, state: ended}
"""
    + FINISH
)


def test_all_hosts_fail(playground: Playground) -> None:
    """No later play runs, yet the report is there, with the failure of every host, and the statistics don't say that all is well."""
    done = playground.play(ALL_FAIL)
    assert done.returncode == 2, done.stdout
    report = playground.report()
    assert report["verdict"] == "failed"
    assert [check["host"] for check in report["checks"] if check["outcome"] == "failed"] == report_hosts(report)
    assert report["next_steps"][0] == "This does not hold (cp1, cp2, w1): Count again."
    assert report["stages"][0]["status"] == "failed"
    assert '"lifeboat_verdict": "failed"' in done.stdout
    assert "1. This does not hold [try.bad]\n   expected:   1 == 2\n   found:      one of two\n   what to do: Count again." in done.stdout
    assert len(list(ElementTree.parse(playground.run_directories()[0] / "junit.xml").iter("failure"))) == 3


def report_hosts(report: dict[str, object]) -> list[str]:
    """The hosts of the failed checks in the order of the journal, each once."""
    checks = report["checks"]
    assert isinstance(checks, list)
    hosts = [check["host"] for check in checks if check["outcome"] == "failed"]
    assert sorted(hosts) == ["cp1", "cp2", "w1"]
    return hosts


ENDLESS = (
    BEGIN
    + """
- hosts: all
  gather_facts: false
  tasks:
    - lifeboat.cluster.stage: {name: etcd, title: Restore etcd, state: started}
    - name: Look
      lifeboat.cluster.check:
        checks:
          - {id: try.good, title: This holds, expect: "1 == 1", found: "1", remedy: none}
    - name: Take for ever
      ansible.builtin.command: {cmd: sleep 600}
"""
)

AGAIN = """
- hosts: localhost
  gather_facts: false
  tasks:
    - lifeboat.cluster.run_begin: {playbook: again}
      register: begun
    - name: Show
      ansible.builtin.debug:
        msg: "dead {{ begun.dead_run_ids }} removed {{ begun.removed_leftovers }} alive {{ begun.alive_run_ids }}"
"""


def test_a_killed_run(playground: Playground) -> None:
    """Its stage is interrupted; the next run names it, removes the unsealed artifacts that it left, and brings its report up to date."""
    with (playground.directory / "output").open("w") as output:
        process = subprocess.Popen(
            playground.command(ENDLESS),
            cwd=playground.directory,
            env=playground.variables(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + LIMIT_SECONDS
            while not (playground.run_directories() and len(playground.records("check")) == 3):
                assert process.poll() is None, (playground.directory / "output").read_text()
                assert time.monotonic() < deadline, (playground.directory / "output").read_text()
                time.sleep(0.1)
            alive = playground.play(AGAIN)
            assert "alive ['" in alive.stdout, alive.stdout
            assert "Another run of cluster prod-1 is going on" in alive.stdout
        finally:
            kill_tree(process.pid)
            process.wait(LIMIT_SECONDS)
    killed = playground.run_directories()[0]
    (killed / "artifacts").mkdir()
    leftover = killed / "artifacts" / "etcd.db.plain"
    leftover.write_text("not sealed")

    done = playground.play(AGAIN)
    assert done.returncode == 0, done.stdout
    # The run of the first AGAIN is among them; which of two that began in one second comes first, their ids do not say.
    assert f"'{killed.name}'" in "".join(re.findall(r"dead \[([^]]*)\]", done.stdout)), done.stdout
    assert f"removed ['{leftover}']" in done.stdout
    assert not leftover.exists()
    report = playground.report(killed)
    assert report["run"]["id"] == killed.name
    assert (report["verdict"], report["headline"], report["run"]["state"]) == ("interrupted", "Interrupted", "dead")
    assert [(stage["name"], stage["status"]) for stage in report["stages"]] == [("etcd", "interrupted")]
    assert "Interrupted was etcd on cp1, cp2, w1" in report["next_steps"][0]


def test_a_fact_cache_keeps_a_run(playground: Playground) -> None:
    """A fact of an earlier run is not taken for this run."""
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(playground.directory / "facts")}
    assert playground.play(AGAIN, **cache).returncode == 0
    stage = "- hosts: cp1\n  gather_facts: false\n  tasks:\n    - lifeboat.cluster.stage: {name: preflight, state: started}\n"
    done = playground.play(stage, **cache)
    assert done.returncode == 2
    assert "belongs to another run" in done.stdout
