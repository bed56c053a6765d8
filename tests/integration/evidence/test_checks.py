# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real playbooks: what checks make of evidence that is missing, wrong, secret, late, or out of reach."""

from __future__ import annotations

import re
from pathlib import Path

from tests import checks_seen
from tests.integration.evidence.playground import BEGIN, FINISH, Playground
from tests.secrets_search import Search

FINDINGS = (
    BEGIN
    + """
- hosts: cp1
  gather_facts: false
  vars:
    outer: 1
    list_of_checks:
      - {id: try.from_variable, title: "Nine is nine", expect: nine == 9, found: nine, remedy: none}
    half_there: {one: 1, two: "{{ nowhere }}"}
  tasks:
    - lifeboat.cluster.stage: {name: verify, state: started}
    - name: Find
      lifeboat.cluster.check:
        evidence:
          gone: "{{ registered_nowhere.snapshot }}"
          half: "{{ half_there }}"
          outer: "{{ outer }}"
          text: {a: "{% raw %}{{ not_rendered }}{% endraw %}"}
        checks:
          - {id: try.undefined, title: t, expect: gone.revision > 1, found: gone.revision, remedy: r, severity: warning}
          - {id: try.type, title: t, expect: outer | length == 1, found: outer, remedy: r, severity: warning}
          - {id: try.no_condition, title: t, expect: outer, found: outer, remedy: r, severity: warning}
          - {id: try.no_evidence, title: t, expect: outer == 1, found: gone.revision, remedy: r, severity: warning}
          - {id: try.syntax, title: t, expect: "outer == = 1", found: outer, remedy: r, severity: warning}
          - {id: try.half, title: "Half of it {{ nowhere }}", expect: half.one == 1, found: half.one, remedy: r}
          - {id: "try.{{ 'templated' }}", title: t, expect: outer == 1, found: text.a, expected: "{{ outer }} it is", remedy: r}
          - {id: try.severity, title: t, expect: outer == 2, found: "outer ~ ' is there.'", remedy: r, severity: "{{ 'warning' if outer == 1 else 'error' }}"}
    - name: Find by variables
      lifeboat.cluster.check:
        evidence: {nine: 9}
        checks: "{{ list_of_checks }}"
    - name: Find with a module
      lifeboat.cluster.check:
        module: {name: ansible.builtin.command, args: {cmd: "sh -c 'echo no >&2; exit 3'"}}
        checks:
          - {id: try.module_failed, title: t, expect: result.rc == 3, found: result.stderr, remedy: r}
          - {id: try.module_without, title: t, expect: result.cluster.voters == 3, found: result.cluster, remedy: r, severity: warning}
    - name: Find with a module without arguments
      lifeboat.cluster.check:
        module: {name: ansible.builtin.stat, args: {path: "{{ nowhere }}"}}
        checks:
          - {id: try.arguments, title: t, expect: result.stat.exists, found: result.stat.exists, remedy: r, severity: warning}
    - lifeboat.cluster.stage: {name: verify, state: ended}
"""
    + FINISH
)

FOUND = {
    "try.undefined": (False, "not available: 'registered_nowhere' is undefined"),
    "try.type": (False, "not available: TypeError: object of type 'int' has no len() (found: 1)"),
    "try.no_condition": (False, "not available: the expectation is no condition: it gives neither true nor false (found: 1)"),
    "try.no_evidence": (False, "not available: 'registered_nowhere' is undefined"),
    "try.syntax": (False, "not available: TemplateSyntaxError: unexpected '=' (found: 1)"),
    "try.half": (True, 1),
    "try.templated": (True, "{{ not_rendered }}"),
    "try.severity": (False, "1 is there."),
    "try.from_variable": (True, 9),
    "try.module_failed": (True, "no"),
    "try.arguments": (
        False,
        "not available: the arguments of module ansible.builtin.stat could not be rendered: 'nowhere' is undefined; 'result' is undefined",
    ),
}


def test_findings(playground: Playground) -> None:
    """Whatever is wrong with the evidence of a check is a finding with its reason, and never an error of the task."""
    seen = playground.directory / "seen"
    done = playground.play(FINDINGS, LIFEBOAT_CHECKS_SEEN=str(seen))
    assert done.returncode == 0, done.stdout
    checks = {check_id: record for (check_id, _host), record in playground.checks().items()}
    assert {check_id: (checks[check_id]["passed"], checks[check_id]["found"]) for check_id in FOUND} == FOUND
    # Since 2.21: "The command exited with a non-zero return code."
    said = checks["try.module_without"]["found"]
    assert re.match(r"not available: module ansible\.builtin\.command failed: (The command exited with a )?non-zero return code\.?; ", said), said
    assert checks["try.half"]["title"] == "Half of it {{ nowhere }}"
    assert checks["try.templated"]["expected"] == "1 it is"
    assert checks["try.templated"]["expression"] == "outer == 1"
    assert "WARNING cp1: t [try.severity]: expected outer == 2, found 1 is there. r" in done.stdout
    assert checks_seen.lines_of(seen) == {check_id for check_id, record in checks.items() if record["passed"] is False}


CHECK_MODE = (
    BEGIN
    + """
- hosts: cp1
  gather_facts: false
  tasks:
    - lifeboat.cluster.stage: {name: verify, state: started}
    - name: Change
      ansible.builtin.command: {cmd: echo changed}
      when: not ansible_check_mode
      register: changed
    - name: Find
      lifeboat.cluster.check:
        checks:
          - {id: try.not_done, title: t, expect: changed.stdout == 'changed', found: changed.stdout, remedy: r}
          - {id: try.there, title: t, expect: "inventory_hostname == 'cp1'", found: inventory_hostname, remedy: r}
    - name: Wait in vain
      lifeboat.cluster.check:
        module: {name: ansible.builtin.command, args: {cmd: echo waited}}
        timeout_seconds: 600
        checks:
          - {id: try.waited, title: t, expect: result.stdout == 'waited', found: result.stdout, remedy: r}
    - lifeboat.cluster.gate: {groups: [control_plane], stage: looked, absent_hosts: [cp2]}
      ignore_errors: true
    - lifeboat.cluster.stage: {name: verify, state: ended}
"""
    + FINISH
)


def test_check_mode(playground: Playground) -> None:
    """What is there is evaluated, what a plan can't have is not, and nothing is waited for."""
    done = playground.play(CHECK_MODE, "--check")
    assert done.returncode == 2, done.stdout
    checks = {check_id: record for (check_id, _host), record in playground.checks().items()}
    assert checks["try.not_done"]["passed"] == checks["try.waited"]["passed"] == "not_evaluated"
    assert "'stdout'" in checks["try.not_done"]["found"]
    assert checks["try.waited"]["found"] == 'not available: module ansible.builtin.command does nothing in check mode (found: "" (empty text))'
    assert checks["try.there"]["passed"] is True
    assert checks["gate.confirmation"]["passed"] == "not_evaluated"
    assert checks["gate.preflight"]["passed"] is False
    report = playground.report()
    assert report["run"]["check_mode"] is True
    assert report["counts"]["not_evaluated"] == 3
    assert report["rto_reason"] == "check mode, nothing was restored"


SECRETS = (
    BEGIN
    + """
- hosts: cp1
  gather_facts: false
  vars:
    ansible_become_password: "{{ lookup('file', directory ~ '/planted-become') }}"
    vault_api: "{{ lookup('file', directory ~ '/planted-vault') }}"
    secret: "{{ lookup('file', directory ~ '/planted-no-log') }}"
  tasks:
    - lifeboat.cluster.stage: {name: verify, state: started}
    - name: Look at a secret
      lifeboat.cluster.check:
        evidence: {it: {password: "{{ secret }}"}}
        measures: {kept: "{{ secret }}"}
        facts: {topic: {key: "{{ secret }}"}}
        checks:
          - {id: try.secret, title: "Secret {{ secret }}", expect: it.password | length > 3, found: it, remedy: "not {{ secret }}"}
          - {id: try.secret_again, title: t, expect: it.password == 1, found: it.password, expected: "{{ secret }}", remedy: r, severity: warning}
          - {id: try.secret_error, title: t, expect: "it.password.nowhere[secret] == 1", found: "it[secret]", remedy: r, severity: warning}
      no_log: true
    - name: Fail with a secret
      lifeboat.cluster.check:
        module: {name: ansible.builtin.command, args: {cmd: "echo {{ secret | quote }}"}}
        timeout_seconds: 1
        interval_seconds: 0.2
        checks:
          - {id: try.secret_fails, title: t, expect: result.stdout == 'other', found: result.stdout, remedy: r}
      no_log: true
      ignore_errors: true
    - name: Secrets in what is found, without no_log
      lifeboat.cluster.check:
        checks:
          - id: try.become
            title: t
            expect: 1 == 2
            found: "{'a': ansible_become_password | b64encode, 'b': 'x' ~ ansible_become_password}"
            remedy: r
            severity: warning
          - {id: try.named, title: t, expect: 1 == 2, found: "vault_api | urlencode", remedy: "{{ vault_api }}", severity: warning}
    - lifeboat.cluster.stage: {name: verify, state: ended, notes: ["{{ vault_api }}"], reason: "{{ ansible_become_password }}"}
"""
    + FINISH
)


def test_secrets(playground: Playground) -> None:
    """Planted values, hidden by no_log or by the name of their variable, reach neither the journal, the reports nor the screen, in no encoding."""
    values = {name: f'{name}-"Zo\u00eb"-&x/+7391 {name[::-1]}' for name in ("become", "vault", "no-log")}
    planted = playground.directory / "planted"
    planted.mkdir()
    for name, value in values.items():
        (planted / f"planted-{name}").write_text(value)
    done = playground.play(SECRETS, "-e", f"directory={planted}", "--diff", "-vv")
    assert done.returncode == 2, done.stdout
    (playground.directory / "screen").write_text(done.stdout)
    hits, count = Search({name: value.encode() for name, value in values.items()}).in_trees([playground.directory], besides=[planted])
    assert not hits, "\n".join(map(str, hits))
    assert count > 5
    checks = {check_id: record for (check_id, _host), record in playground.checks().items()}
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", checks["try.secret"]["found"])
    assert checks["try.secret_again"]["found"] == checks["try.secret_fails"]["found"] != checks["try.secret"]["found"]
    assert checks["try.secret_error"]["found"] == "the evidence is missing or of another kind (hidden by no_log)"
    assert checks["try.become"]["found"] == {"a": "[hidden]", "b": "x[hidden]"}
    measure = playground.records("measure")[0]
    assert measure["value"] == checks["try.secret_again"]["found"]


WAITING = (
    BEGIN
    + """
- hosts: cp1
  gather_facts: false
  tasks:
    - lifeboat.cluster.stage: {name: etcd, state: started}
    - name: Wait for the third
      lifeboat.cluster.check:
        module: {name: ansible.builtin.shell, args: {cmd: "echo x >> {{ directory }}/count; wc -l < {{ directory }}/count", executable: /bin/sh}}
        timeout_seconds: "120"
        interval_seconds: "0.1"
        checks:
          - {id: try.third, title: t, expect: result.stdout | int >= 3, found: result.stdout | int, remedy: r}
    - block:
        - name: Wait in vain
          lifeboat.cluster.check:
            module: {name: ansible.builtin.stat, args: {path: "{{ directory }}/never"}}
            timeout_seconds: 1
            interval_seconds: 0.2
            checks:
              - {id: try.never, title: It is there, expect: result.stat.exists, found: result.stat.exists, remedy: Make it.}
      rescue:
        - lifeboat.cluster.stage: {name: etcd, state: ended, status: failed, reason: it never came}
- hosts: unreachable:w1
  gather_facts: false
  tasks:
    - lifeboat.cluster.stage: {name: workers, state: started}
    - name: Wait for a host
      lifeboat.cluster.check:
        module: {name: ansible.builtin.ping}
        timeout_seconds: 1
        interval_seconds: 0.2
        checks:
          - {id: try.reachable, title: t, expect: result.ping == 'pong', found: result.ping, remedy: Start the host.}
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: lifeboat.cluster.report, tasks_from: finish}
      vars: {report_status: failed, report_reason: a rescue ended it}
"""
)


def test_waiting(playground: Playground) -> None:
    """A module is run again until all holds or time is up; a host out of reach is a finding, and what a rescue says is in the report."""
    with playground.inventory.open("a") as inventory:
        inventory.write("[unreachable]\naway ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_common_args='-o ControlMaster=no'\n")
    done = playground.play(WAITING, "-e", f"directory={playground.directory}")
    assert done.returncode == 2, done.stdout
    checks = playground.checks()
    third, never, away = checks[("try.third", "cp1")], checks[("try.never", "cp1")], checks[("try.reachable", "away")]
    assert (third["passed"], third["found"]) == (True, 3)
    assert (never["passed"], never["found"]) == (False, False)
    assert never["duration"] >= 1
    assert away["passed"] is False
    assert away["found"].startswith("not available: the host could not be reached: ")
    assert "away                       : ok=1    changed=0    unreachable=0    failed=1" in done.stdout
    report = playground.report()
    assert [stage["status"] for stage in report["stages"]] == ["failed", "failed"]
    assert report["stages"][0]["reasons"] == ["cp1: it never came"]
    assert "a rescue ended it" in report["reasons"]
    assert report["run"]["ended_at"]


WRONG = (
    BEGIN
    + """
- hosts: cp1
  gather_facts: false
  vars:
    good: &good {id: try.good, title: t, expect: "1 == 1", found: "1", remedy: r}
  tasks:
    - {name: no stage, lifeboat.cluster.check: {checks: [*good]}, ignore_errors: true}
    - lifeboat.cluster.stage: {name: verify, state: started}
    - {name: a loop, lifeboat.cluster.check: {checks: [*good]}, loop: [1, 2], ignore_errors: true}
    - {name: until, lifeboat.cluster.check: {checks: [*good]}, register: x, until: x is success, ignore_errors: true}
    - {name: async, lifeboat.cluster.check: {checks: [*good]}, async: 5, ignore_errors: true}
    - {name: incomplete, lifeboat.cluster.check: {checks: [{id: try.incomplete, title: t, expect: "1 == 1", colour: red}]}, ignore_errors: true}
    - {name: nothing, lifeboat.cluster.check: {checks: []}, ignore_errors: true}
    - {name: nothing to wait for, lifeboat.cluster.check: {checks: [*good], timeout_seconds: 3}, ignore_errors: true}
    - {name: severity, lifeboat.cluster.check: {checks: [{id: a, title: t, expect: "1 == 1", found: "1", remedy: r, severity: grave}]}, ignore_errors: true}
    - ansible.builtin.command: {argv: [echo, "lookup('pipe', 'touch was_evaluated')"]}
      register: data
    - name: untrusted
      lifeboat.cluster.check: {checks: [{id: try.untrusted, title: t, expect: "{{ data.stdout }}", found: "1", remedy: r}]}
      ignore_errors: true
    - name: untrusted list
      lifeboat.cluster.check: {checks: "{{ [{'id': 'a', 'title': 't', 'expect': data.stdout, 'found': '1', 'remedy': 'r'}] }}"}
      ignore_errors: true
    - {name: a second run, lifeboat.cluster.run_begin: {playbook: x}, ignore_errors: true}
"""
)


def test_wrong_use(playground: Playground) -> None:
    """What can't work says so in words; expressions that come from data are not evaluated."""
    done = playground.play(WRONG)
    for text in (
        "No stage is open on cp1",
        "lifeboat.cluster.check can't be used with loop",
        "lifeboat.cluster.check can't be used with until",
        "does not support async",
        "Check 1 (try.incomplete) is given without found, remedy and with unknown options colour.",
        "Option checks has to be a list with at least one check.",
        "Option timeout_seconds needs option module",
        "Check a has severity 'grave'; it can be error or warning.",
        "The expression in expect of check a does not come from a playbook",
        "A run begins once, on localhost; this play runs on cp1.",
    ):
        assert text in done.stdout, f"{text}\n{done.stdout}"
    assert not list(Path(playground.directory).rglob("was_evaluated"))
    assert done.stdout.count("...ignoring") == 11, done.stdout
