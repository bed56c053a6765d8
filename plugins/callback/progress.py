# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows what somebody has to read: stages, tables, changes, warnings and failures."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: Stages, tables, changes, warnings and failures
version_added: "0.1.0"
description:
  - Leaves out what ended well and has nothing to say - plays, included files, and tasks that are C(ok) or skipped.
  - Shown are the stages and the progress that the collection reports, its tables, tasks that changed something, differences, warnings, and
    failures as the callback P(ansible.builtin.default#callback) shows them.
  - Of a failure of the collection itself, and of C(fail) and C(assert), the reason is shown once, and not again as JSON with all that was recorded.
  - Messages of P(ansible.builtin.debug#module) and P(ansible.builtin.assert#module) are shown as plain lines.
  - With C(-v) and more everything is shown, as P(ansible.builtin.default#callback) does.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
author:
  - Lifeboat contributors (@lifeboat)
"""

import re
from typing import Any, List

from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default

_SAY = ("debug", "assert")
# Whoever fails here says all of it in the message, which ansible-core shows as lines before the result.
_WHOLE_MESSAGE = re.compile(r"lifeboat\.cluster\.\w+|(ansible\.(builtin|legacy)\.)?(fail|assert)")
# What assert says where nobody gave it a message.
_NOTHING_SAID = "All assertions passed"


def says(result: Any) -> bool:
    """Whether the task is there to say something."""
    return str(result.task.action).rpartition(".")[2] in _SAY and result.result.get("msg") != _NOTHING_SAID


def lines_of(message: Any) -> List[str]:
    """A message as plain lines; none where it is data."""
    if isinstance(message, str):
        return message.splitlines()
    return message if isinstance(message, list) and all(isinstance(line, str) for line in message) else []


class CallbackModule(Default):
    """lifeboat.cluster.progress"""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "lifeboat.cluster.progress"

    def __init__(self) -> None:
        super().__init__()
        self._reason_is_shown = False

    @property
    def _everything(self) -> bool:
        return bool(self._display.verbosity)

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        """Only results that have something to say are shown."""
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        if not self._everything:
            self.set_option("display_ok_hosts", False)
            self.set_option("display_skipped_hosts", False)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        if self._everything:
            super().v2_playbook_on_play_start(play)
        else:
            self._play = play

    def v2_playbook_on_no_hosts_matched(self) -> None:
        if self._everything:
            super().v2_playbook_on_no_hosts_matched()

    def v2_playbook_on_include(self, included_file: Any) -> None:
        if self._everything:
            super().v2_playbook_on_include(included_file)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        known = _WHOLE_MESSAGE.fullmatch(str(result.task.action)) and result.result.get("msg") and result.result.get("exception")
        self._reason_is_shown = bool(known) and not self._everything
        super().v2_runner_on_failed(result, ignore_errors)
        self._reason_is_shown = False

    def _dump_results(self, *arguments: Any, **options: Any) -> Any:
        return "the reason is above, with -v all of the result is here" if self._reason_is_shown else super()._dump_results(*arguments, **options)

    def v2_runner_on_ok(self, result: Any) -> None:
        if self._everything:
            super().v2_runner_on_ok(result)
            return
        if isinstance(result.task, TaskInclude):
            return
        lines = lines_of(result.result.get("msg")) if says(result) else []
        if lines:
            self._display.display("\n".join(lines))
        elif says(result) or result.result.get("warnings") or result.result.get("deprecations"):
            self.set_option("display_ok_hosts", True)
            super().v2_runner_on_ok(result)
            self.set_option("display_ok_hosts", False)
        else:
            super().v2_runner_on_ok(result)
