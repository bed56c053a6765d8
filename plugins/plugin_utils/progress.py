# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines on the screen (and in AWX's output) while something long goes on.

An action plugin runs on the controller and may print at any time. A module may not: it appends its lines to a file that its action plugin shows.
"""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, Optional

from ansible import constants
from ansible.utils.display import Display

_LOOK_SECONDS = 1.0


def say(line: Optional[str]) -> None:
    """Show a line, if there is one."""
    if line:
        Display().display(line)


@contextmanager
def every_second(action: Callable[[], Any]) -> Iterator[None]:
    """Do something small each second while the block goes on, and once after it. That it cannot be done is no reason to fail."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(_LOOK_SECONDS):
            with suppress(OSError):
                action()

    thread = threading.Thread(target=work, name="lifeboat-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(OSError):
            action()


class ShowsProgress:
    """Before ``ansible.plugins.action.normal`` in the bases of an action: runs the module of its name as any other, and shows what this appends to its
    ``progress_file``.
    """

    _connection: Any
    _task: Any

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        # Elsewhere than here, and later than now, nobody could look into the file.
        if self._connection.transport != "local" or self._task.async_val or self._task.args.get("progress_file"):
            return self._run(tmp, task_vars)
        descriptor, path = tempfile.mkstemp(prefix="lifeboat-progress-", dir=constants.DEFAULT_LOCAL_TMP)
        os.close(descriptor)
        self._task.args = dict(self._task.args, progress_file=path)
        try:
            with open(path, encoding="utf-8") as stream, every_second(lambda: _show(stream)):
                return self._run(tmp, task_vars)
        finally:
            os.unlink(path)

    def _run(self, tmp: Any, task_vars: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        as_usual: Any = super()
        result: Dict[str, Any] = as_usual.run(tmp, task_vars)
        return result


def _show(stream: Any) -> None:
    for line in stream:
        say(line.rstrip("\n"))
