# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugins' own logic, with Ansible's template engine and without a play."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.parsing.vault import EncryptedString, VaultLib, VaultSecret, VaultSecretsContext
from ansible.template import Templar, trust_as_template
from ansible.utils.context_objects import CLIArgs

from ansible_collections.lifeboat.cluster.plugins.action import check, run_begin
from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import Redactor
from ansible_collections.lifeboat.cluster.plugins.plugin_utils import evidence as shared


def templar(**variables: Any) -> Templar:
    """Ansible's template engine with some variables."""
    return Templar(variables=variables)


class FakeEvidence:
    """Where lines for the screen go, instead of to a run."""

    def __init__(self, check_mode: bool = False, no_log: bool = False) -> None:
        self.task = SimpleNamespace(check_mode=check_mode, delegate_to=None, get_name=lambda: "Task")
        self.no_log = no_log
        self.host = "cp1"
        self.task_vars: dict[str, Any] = {}
        self.redactor = Redactor(salt=b"salt")
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)

    def value(self, value: Any) -> Any:
        """As the real one."""
        return shared.Evidence.value(self, value)

    def record(self, kind: str, stage: str, **fields: Any) -> dict[str, Any]:
        """A record without the task's place."""
        return {"kind": kind, "stage": stage, **fields}


def definition(expect: str, found: str = "x", severity: str = "error") -> check.Definition:
    """A check with two trusted expressions."""
    return check.Definition("id", "The third is there", trust_as_template(expect), trust_as_template(found), expect, "remedy", severity)


def waiting(seconds: float, warnings_seconds: float | None = None) -> dict[str, Any]:
    """The options of a check that waits."""
    return {"timeout_seconds": seconds, "warnings_timeout_seconds": warnings_seconds, "interval_seconds": 0.1}


def test_waiting_says_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it waits, a line now and then names the check, the time and what was found, and it stops when all is well."""
    monkeypatch.setattr(check, "_PROGRESS_SECONDS", 0.15)
    plugin = object.__new__(check.ActionModule)
    plugin._templar = templar()
    turns: list[int] = []

    def gather(_module: Any, variables: dict[str, Any], _task_vars: Any) -> str:
        turns.append(1)
        variables["x"] = len(turns)
        return ""

    monkeypatch.setattr(plugin, "_gather", gather)
    fake = FakeEvidence()
    checks = [definition("x >= 5"), definition("x >= 4")]
    outcomes = plugin._evaluate(checks, {"name": "m"}, {}, fake, waiting(60))
    assert [outcome.passed for outcome in outcomes] == [True, True]
    assert len(turns) == 5
    assert fake.lines
    assert fake.lines[0].startswith("cp1: waiting for: The third is there and 1 more, 0.")
    assert "of 1 min 00 s; found: " in fake.lines[0]


def test_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds in the last turn counts, and what does not is what was found then."""
    plugin = object.__new__(check.ActionModule)
    plugin._templar = templar()
    monkeypatch.setattr(plugin, "_gather", lambda _module, variables, _task_vars: variables.update(x=1) or "")
    checks = [definition("x == 1"), definition("x == 2")]
    outcomes = plugin._evaluate(checks, {"name": "m"}, {}, FakeEvidence(), waiting(0.3))
    assert [(outcome.passed, outcome.found) for outcome in outcomes] == [(True, 1), (False, 1)]


@pytest.mark.parametrize(
    ("checks", "warnings_seconds", "turns"),
    [
        # What can't be mended by waiting keeps nobody; while an error is open, warnings are waited for with it.
        ((("x < 0", "warning"),), 0.0, 1),
        ((("x < 0", "warning"), ("x >= 4", "error")), 0.0, 4),
        ((("x >= 4", "warning"), ("x >= 1", "error")), None, 4),
        ((("x >= 4", "warning"),), 60.0, 4),
    ],
)
def test_warnings_have_a_patience_of_their_own(
    monkeypatch: pytest.MonkeyPatch, checks: tuple[tuple[str, str], ...], warnings_seconds: float | None, turns: int
) -> None:
    plugin = object.__new__(check.ActionModule)
    plugin._templar = templar()
    taken: list[int] = []

    def gather(_module: Any, variables: dict[str, Any], _task_vars: Any) -> str:
        taken.append(1)
        variables["x"] = len(taken)
        return ""

    monkeypatch.setattr(plugin, "_gather", gather)
    definitions = [definition(expect, severity=severity) for expect, severity in checks]
    plugin._evaluate(definitions, {"name": "m"}, {}, FakeEvidence(), waiting(60, warnings_seconds))
    assert len(taken) == turns


@pytest.mark.parametrize(
    ("no_log", "check_mode", "passed", "text"),
    [
        (False, False, False, "not available: the module said so; 'x' is undefined"),
        (False, True, "not_evaluated", "not available: the module said so; 'x' is undefined"),
        (True, False, False, "the evidence is missing or of another kind (hidden by no_log)"),
    ],
)
def test_missing_evidence(no_log: bool, check_mode: bool, passed: Any, text: str) -> None:
    """A reason, the module's own first; none of it under no_log."""
    outcome = check._outcome(definition("x == 1"), templar(), "the module said so", FakeEvidence(check_mode, no_log))
    assert (outcome.passed, outcome.unavailable) == (passed, text)


def test_hidden_values() -> None:
    """Under no_log equal values look equal, truth values and nothing stay, and the value is looked for in other texts."""
    fake = FakeEvidence(no_log=True)
    assert fake.value("geheim-text") == fake.value("geheim-text") != fake.value("anders-text")
    assert str(fake.value({"a": "verborgen"})).startswith("sha256:")
    assert (fake.value(True), fake.value(None)) == (True, None)
    assert fake.redactor.text("it is geheim-text") == "it is [hidden]"


def test_secrets_by_name_and_by_vault() -> None:
    """Values of variables with a secret's name, and values that stand encrypted in a file, wherever they are."""
    secret = VaultSecret(b"password")
    VaultSecretsContext.initialize(VaultSecretsContext([("default", secret)]))
    encrypted = EncryptedString(ciphertext=VaultLib().encrypt("from the vault", secret).decode())
    variables = {
        "ansible_become_password": trust_as_template("{{ pointer }}"),
        "pointer": "by name",
        "vault_x": "by prefix",
        "etcd_secret_key": "by suffix",
        "broken_password": trust_as_template("{{ nowhere }}"),
        "lifeboat_signing_key": "/path/to/key",
        "nested": {"list": [{"deep": encrypted}]},
        "hostvars": {"x": encrypted},
    }
    assert set(shared.known_secrets(variables, templar(**variables))) == {"from the vault", "by name", "by prefix", "by suffix"}


def test_numbers_from_text() -> None:
    """Extra variables are text."""
    assert [shared.whole_number(value, "x") for value in ("600", 600, " 7 ", None, "")] == [600, 600, 7, None, None]
    for wrong in ("ten", "1.5", "-1", True):
        with pytest.raises(AnsibleActionFail, match="x "):
            shared.whole_number(wrong, "x")


def test_variables_of_the_inventory() -> None:
    """As localhost sees them, else as all hosts do; disagreement is refused."""
    hosts = {"a": {"name": "one", "other": "x"}, "b": {"name": "one", "other": "y"}, "c": {}}
    task_vars = {"hostvars": hosts, "groups": {"all": ["a", "b", "c"]}}
    assert shared.variable({**task_vars, "name": "own"}, templar(), "name") == "own"
    assert shared.variable(task_vars, templar(), "name") == "one"
    assert shared.variable(task_vars, templar(), "missing") is None
    with pytest.raises(AnsibleActionFail, match=r"don't agree about other: x, y"):
        shared.variable(task_vars, templar(), "other")


@pytest.mark.parametrize(
    ("argument", "name"),
    [("playbooks/recover_cluster.yml", "recover_cluster"), ("x.yaml", "x"), ("lifeboat.cluster.run_drill", "run_drill"), ("plain", "plain")],
)
def test_name_of_the_playbook(argument: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the command line: a path or a full name."""
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({"args": (argument,)}))
    assert run_begin._playbook_name() == name


def test_awx() -> None:
    """What AWX says about its job, under either prefix."""
    assert run_begin._awx({"awx_job_id": 7, "tower_job_id": 8, "tower_user_name": "kim", "awx_schedule_name": ""}) == {"job_id": "7", "user_name": "kim"}
    assert run_begin._awx({}) is None


def test_version_of_the_collection() -> None:
    """Of the checkout that the tests run in."""
    assert run_begin.collection_version().count(".") == 2


def test_few_earlier_runs_are_named() -> None:
    """The newest; somebody's daily alarm must not fill the screen."""
    assert run_begin.newest_of(["2", "1"]) == "2, 1"
    assert run_begin.newest_of(["1", "5", "3", "2", "4"]) == "5, 4, 3 and 2 before them"


def test_measures_and_facts() -> None:
    """Units come from names; what is undefined is left out."""
    fake = FakeEvidence()
    engine = templar(size=5)
    options = {
        "measures": {
            "a_bytes": trust_as_template("{{ size }}"),
            "b": {"value": 1, "unit": "MiB/s"},
            "c_at": "2026-11-20T13:40:12Z",
            "d": trust_as_template("{{ nowhere }}"),
        },
        "facts": {"versions": {"etcd": 3}, "lost": trust_as_template("{{ nowhere }}"), "no_dictionary": "x"},
        "notes": ["A note."],
        "next_steps": ["A step."],
    }
    records = shared.extras(fake, "etcd", options, engine)
    assert [(record["name"], record["value"], record["unit"]) for record in records if record["kind"] == "measure"] == [
        ("a_bytes", 5, "bytes"),
        ("b", 1, "MiB/s"),
        ("c_at", "2026-11-20T13:40:12Z", "time"),
    ]
    assert [{key: record[key] for key in record if key not in ("kind", "stage")} for record in records if record["kind"] == "note"] == [
        {"topic": "versions", "facts": {"etcd": 3}},
        {"text": "A note."},
        {"topic": "next_step", "text": "A step."},
    ]
