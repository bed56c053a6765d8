# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks the start or the end of a stage on a host."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import duration, now, to_iso
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.evidence import Evidence, display, extras, refuse_loops

_LAZY = ("measures", "facts")


class ActionModule(ActionBase):
    """lifeboat.cluster.stage"""

    _requires_connection = False

    @classmethod
    def finalize_task_arg(cls, name: str, value: Any, templar: Any, context: Any) -> Any:
        """Leave what may be undefined to the plugin: a lost measure must not fail a stage."""
        return value if name in _LAZY and isinstance(value, dict) else super().finalize_task_arg(name, value, templar, context)

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        refuse_loops(self._task)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "name": {"type": "str", "required": True},
                "title": {"type": "str"},
                "state": {"type": "str", "choices": ["started", "ended"], "required": True},
                "status": {"type": "str", "choices": ["passed", "failed"]},
                "reason": {"type": "str"},
                "restores_service": {"type": "bool", "default": False},
                "measures": {"type": "dict"},
                "facts": {"type": "dict"},
                "notes": {"type": "list", "elements": "str"},
                "next_steps": {"type": "list", "elements": "str"},
            }
        )
        evidence = Evidence(self._task, task_vars or {}, self._templar)
        try:
            more = extras(evidence, options["name"], options, self._templar)
        except AnsibleError as error:
            raise AnsibleActionFail(str(error)) from error
        if options["state"] == "started":
            result.update(self._start(evidence, options, more))
        else:
            result.update(self._end(evidence, options, more))
        for note in options["notes"] or []:
            evidence.say("%s: %s" % (options["name"], " ".join(str(evidence.value(note)).split())))
        result["changed"] = False
        return result

    def _start(self, evidence: Evidence, options: Dict[str, Any], more: List[Dict[str, Any]]) -> Dict[str, Any]:
        name = options["name"]
        evidence.append(evidence.record("stage_start", name, title=options["title"]), *more)
        stage = evidence.model().stages.get(name)
        # Of hosts that start together, the first in the journal says it for all of them.
        if stage and stage.first_open_host == evidence.host:
            evidence.say("%s started" % _titled(name, stage.title))
        return {"stage": {"name": name, "state": "started", "started_at": to_iso(now())}}

    def _end(self, evidence: Evidence, options: Dict[str, Any], more: List[Dict[str, Any]]) -> Dict[str, Any]:
        name = options["name"]
        before = evidence.model()
        stage = before.stages.get(name)
        if stage is None or evidence.host not in stage.open_hosts:
            display.warning("Stage %s ends on %s without having started there." % (name, evidence.host))
        failed = [check.id for check in before.checks if check.stage == name and check.host == evidence.host and check.is_failure]
        status = options["status"] or ("failed" if failed else "passed")
        reason = options["reason"] or ("checks not met: %s" % ", ".join(failed) if failed else None)
        if options["restores_service"] and status == "passed":
            more.append(evidence.record("measure", name, name="service_ready_at", value=to_iso(now())))
        evidence.append(evidence.record("stage_end", name, title=options["title"], status=status, reason=reason), *more)

        after = evidence.model()
        stage = after.stages.get(name)
        seconds = stage.seconds if stage else None
        # The last of the hosts that can still end says it for all of them, and renders the report.
        waiting = set(stage.open_hosts) & {str(host) for host in (evidence.task_vars.get("ansible_play_hosts") or [])} if stage else set()
        if stage and not waiting and stage.last_ended_host == evidence.host:
            count = len(stage.hosts)
            word = "ended" if stage.status != "failed" else "FAILED"
            hosts = "1 host" if count == 1 else "%d hosts" % count
            evidence.say("%s %s after %s (%s)" % (_titled(name, stage.title), word, duration(seconds), hosts))
            evidence.render()
            evidence.upload(name)
        return {"stage": {"name": name, "state": "ended", "status": status, "ended_at": to_iso(now()), "seconds": seconds}}


def _titled(name: str, title: str) -> str:
    return "%s: %s" % (name, title) if title and title != name else name
