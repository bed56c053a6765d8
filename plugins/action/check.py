# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks expectations about evidence, records each, and fails the host when one is not met."""

from __future__ import annotations

import time
from typing import Any, Dict, List, NamedTuple, Optional

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.executor import module_common
from ansible.plugins.action import ActionBase
from ansible.template import is_trusted_as_template

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.formats import found_text
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Record
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.model import NOT_EVALUATED
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import duration
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.evidence import Evidence, conclude, extras, first_line, innermost_reason, refuse_loops

# Given as they are written in the playbook: what is missing in them is a finding, not an error of the task.
_LAZY = ("checks", "evidence", "module", "measures", "facts")

_REQUIRED = ("id", "title", "expect", "found", "remedy")
_ALLOWED = _REQUIRED + ("expected", "severity")
_SEVERITIES = ("error", "warning")
_PROGRESS_SECONDS = 10.0


class Definition(NamedTuple):
    """A check as the playbook gives it; expectation and found are expressions."""

    id: str
    title: str
    expect: Any
    found: Any
    expected: str
    remedy: str
    severity: str


class Outcome(NamedTuple):
    """What became of a check."""

    passed: Any
    found: Any
    unavailable: str


class ActionModule(ActionBase):
    """lifeboat.cluster.check"""

    @classmethod
    def finalize_task_arg(cls, name: str, value: Any, templar: Any, context: Any) -> Any:
        """Keep expressions and evidence unrendered; a list of checks in a variable is looked up, without rendering what is in it."""
        if name not in _LAZY:
            return super().finalize_task_arg(name, value, templar, context)
        return templar.resolve_to_container(value) if isinstance(value, str) else value

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        refuse_loops(self._task)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "stage": {"type": "str"},
                "checks": {"type": "raw", "required": True},
                "evidence": {"type": "raw"},
                "module": {"type": "raw"},
                "interval_seconds": {"type": "float", "default": 5.0},
                "timeout_seconds": {"type": "float", "default": 0.0},
                "warnings_timeout_seconds": {"type": "float"},
                "measures": {"type": "raw"},
                "facts": {"type": "raw"},
            }
        )
        started = time.monotonic()
        evidence = Evidence(self._task, dict(task_vars or {}), self._templar)
        stage = options["stage"] or self._open_stage(evidence)
        module = _module(options["module"], options["timeout_seconds"])
        variables = self._variables(evidence.task_vars, options["evidence"])
        definitions = [self._definition(given, number, evidence, variables) for number, given in enumerate(_list(options["checks"]), 1)]

        outcomes = self._evaluate(definitions, module, variables, evidence, options)

        seconds = round(time.monotonic() - started, 3)
        checks = [_record(definition, outcome, evidence) for definition, outcome in zip(definitions, outcomes)]
        templar = self._templar.copy_with_new_env(available_variables=variables)
        more = extras(evidence, stage, options, templar)
        result.update(changed=False, checks=checks, stage=stage)
        conclude(evidence, stage, checks, seconds, result, more)
        return result

    @staticmethod
    def _open_stage(evidence: Evidence) -> str:
        model = evidence.model()
        stage = model.open_stage(evidence.host) or model.open_stage("localhost")
        if not stage:
            raise AnsibleActionFail(
                "No stage is open on %s, so the checks would belong to nothing. Start one with lifeboat.cluster.stage, or set option stage." % evidence.host
            )
        return stage

    def _variables(self, task_vars: Dict[str, Any], given: Any) -> Dict[str, Any]:
        """The variables that expressions see: those of the task, and the evidence over them."""
        if given is None:
            return dict(task_vars)
        if not isinstance(given, dict):
            raise AnsibleActionFail("Option evidence has to be a dictionary of variables, not %s." % type(given).__name__)
        variables = dict(task_vars)
        for name, value in given.items():
            variables[str(name)] = value
            if isinstance(value, str) and str(name) in value and str(name) in task_vars:
                # evidence: {point: "{{ point }}"} means the outer variable, not itself.
                try:
                    variables[str(name)] = self._templar.template(value)
                except AnsibleError:
                    del variables[str(name)]
        return variables

    def _definition(self, given: Any, number: int, evidence: Evidence, variables: Dict[str, Any]) -> Definition:
        if not isinstance(given, dict):
            raise AnsibleActionFail("Check %d is no dictionary but %s." % (number, type(given).__name__))
        missing = [name for name in _REQUIRED if given.get(name) in (None, "")]
        unknown = sorted(str(name) for name in given if name not in _ALLOWED)
        if missing or unknown:
            problems = (["without %s" % ", ".join(missing)] if missing else []) + (["with unknown options %s" % ", ".join(unknown)] if unknown else [])
            raise AnsibleActionFail("Check %d (%s) is given %s." % (number, given.get("id", "no id"), " and ".join(problems)))
        severity = self._severity(given.get("severity", "error"), variables)
        if severity not in _SEVERITIES:
            raise AnsibleActionFail("Check %s has severity %r; it can be error or warning." % (given["id"], severity))
        for name in ("expect", "found"):
            if isinstance(given[name], str) and not is_trusted_as_template(given[name]):
                raise AnsibleActionFail(
                    "The expression in %s of check %s does not come from a playbook, a role or the inventory but from data, so it is not evaluated."
                    % (name, given["id"])
                )
        texts = {name: self._text(given.get(name) or "", evidence, variables) for name in ("id", "title", "expected", "remedy")}
        return Definition(texts["id"], texts["title"], given["expect"], given["found"], texts["expected"] or str(given["expect"]), texts["remedy"], severity)

    def _severity(self, given: Any, variables: Dict[str, Any]) -> str:
        """How bad it is when the check is not met; a condition in it that can't be rendered makes it an error."""
        try:
            return str(self._templar.copy_with_new_env(available_variables=variables).template(given))
        except AnsibleError:
            return "error"

    def _text(self, text: Any, evidence: Evidence, variables: Dict[str, Any]) -> str:
        """Text of a check, rendered; under no_log, or when something in it is missing, as it was written."""
        if evidence.no_log:
            return str(text)
        try:
            return str(self._templar.copy_with_new_env(available_variables=variables).template(text))
        except AnsibleError:
            return str(text)

    def _evaluate(
        self, definitions: List[Definition], module: Optional[Dict[str, Any]], variables: Dict[str, Any], evidence: Evidence, options: Dict[str, Any]
    ) -> List[Outcome]:
        """Evaluate all checks; with a module, run it again until all are met or time is up, which may be earlier where only warnings are left."""
        started = last_said = time.monotonic()
        given = options["warnings_timeout_seconds"]
        patience = {"error": options["timeout_seconds"], "warning": options["timeout_seconds"] if given is None else min(given, options["timeout_seconds"])}
        while True:
            problem = self._gather(module, variables, evidence.task_vars) if module else ""
            templar = self._templar.copy_with_new_env(available_variables=variables)
            outcomes = [_outcome(definition, templar, problem, evidence) for definition in definitions]
            open_checks = [(definition, outcome) for definition, outcome in zip(definitions, outcomes) if outcome.passed is not True]
            waited = time.monotonic() - started
            timeout = max((patience[definition.severity] for definition, _outcome in open_checks), default=0.0)
            if not open_checks or not module or evidence.task.check_mode or waited >= timeout:
                return outcomes
            if time.monotonic() - last_said >= _PROGRESS_SECONDS:
                last_said = time.monotonic()
                definition, outcome = open_checks[0]
                others = " and %d more" % (len(open_checks) - 1) if len(open_checks) > 1 else ""
                state = outcome.unavailable or "found: %s" % found_text(evidence.value(outcome.found))
                about = (evidence.host, definition.title, others, duration(waited), duration(timeout), " ".join(state.split()))
                evidence.say("%s: waiting for: %s%s, %s of %s; %s" % about)
            time.sleep(max(0.1, min(options["interval_seconds"], timeout - waited)))

    def _gather(self, module: Dict[str, Any], variables: Dict[str, Any], task_vars: Dict[str, Any]) -> str:
        """Run the module once and keep its result as variable ``result``; returns why there is none."""
        variables.pop("result", None)
        try:
            templar = self._templar.copy_with_new_env(available_variables=variables)
            arguments = templar.template(module.get("args") or {})
        except AnsibleError as error:
            return "the arguments of module %s could not be rendered: %s" % (module["name"], innermost_reason(error))
        try:
            result = self._run_module(str(module["name"]), arguments, task_vars)
        except AnsibleConnectionFailure as error:
            try:
                self._connection.reset()
            except (AnsibleError, AttributeError, OSError):
                pass
            return "the host could not be reached: %s" % first_line(error)
        except AnsibleError as error:
            return "module %s could not be run: %s" % (module["name"], innermost_reason(error))
        variables["result"] = result
        if result.get("skipped") and self._task.check_mode:
            return "module %s does nothing in check mode" % module["name"]
        if result.get("failed") or result.get("unreachable"):
            return "module %s failed: %s" % (module["name"], result.get("msg") or "no message")
        return ""

    def _run_module(self, name: str, arguments: Dict[str, Any], task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Run a module as a task of its own would: with its action plugin if it has one, and with module_defaults."""
        loader = self._shared_loader_obj.action_loader
        context = loader.find_plugin_with_context(name, collection_list=self._task.collections)
        module = self._shared_loader_obj.module_loader.find_plugin_with_context(name, collection_list=self._task.collections)
        resolved = context.resolved_fqcn if context.resolved else module.resolved_fqcn
        apply_defaults = getattr(module_common, "_apply_action_arg_defaults", None)
        if apply_defaults is not None and resolved:
            arguments = apply_defaults(resolved, self._task, arguments, self._templar)
        if not context.resolved:
            found: Dict[str, Any] = self._execute_module(module_name=name, module_args=arguments, task_vars=task_vars)
            return found
        task = self._task.copy()
        task.action = name
        task.args = arguments
        handler = loader.get(
            name,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
            collection_list=self._task.collections,
        )
        found = handler.run(task_vars=task_vars)
        return found


def _list(value: Any) -> List[Any]:
    if not isinstance(value, list) or not value:
        raise AnsibleActionFail("Option checks has to be a list with at least one check.")
    return list(value)


def _module(given: Any, timeout: float) -> Optional[Dict[str, Any]]:
    if given is None:
        if timeout > 0:
            raise AnsibleActionFail("Option timeout_seconds needs option module: without it nothing would change while waiting.")
        return None
    if not isinstance(given, dict) or not given.get("name") or set(given) - {"name", "args"}:
        raise AnsibleActionFail("Option module has to be a dictionary with name and args.")
    return dict(given)


def _outcome(definition: Definition, templar: Any, problem: str, evidence: Evidence) -> Outcome:
    """Evaluate one check. What can't be evaluated is not met, or, in check mode, not evaluated."""
    found: Any = None
    reasons: List[str] = []
    passed: Any = None
    try:
        passed = templar.evaluate_conditional(definition.expect)
    except AnsibleError as error:
        reasons.append(innermost_reason(error))
    try:
        found = templar.evaluate_expression(definition.found) if isinstance(definition.found, str) else definition.found
    except AnsibleError as error:
        reasons.append(innermost_reason(error))
    if not reasons and (passed or not (problem and evidence.task.check_mode)):
        return Outcome(bool(passed), found, "")
    if evidence.no_log:
        text = "the evidence is missing or of another kind (hidden by no_log)"
    else:
        text = "not available: %s" % "; ".join(dict.fromkeys(([problem] if problem else []) + reasons))
    return Outcome(NOT_EVALUATED if evidence.task.check_mode else False, found, text)


def _record(definition: Definition, outcome: Outcome, evidence: Evidence) -> Record:
    found = evidence.value(outcome.found)
    if outcome.unavailable:
        found = outcome.unavailable if found is None else "%s (found: %s)" % (outcome.unavailable, found_text(found))
        found = evidence.redactor.value(found)
    return {
        "id": evidence.redactor.text(definition.id),
        "title": evidence.redactor.text(definition.title),
        "passed": outcome.passed,
        "expected": evidence.redactor.text(definition.expected),
        "expression": evidence.redactor.text(str(definition.expect)),
        "found": found,
        "remedy": evidence.redactor.text(definition.remedy),
        "severity": definition.severity,
    }
